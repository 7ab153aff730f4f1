/* One body of expectations over both drivers. */
#include "db/db.h"

#include "backends.h"
#include "base/clock.h"
#include "db/migrate.h"

static const struct db_sql sql_insert =
    DB_SQL("insert", "INSERT INTO things(id, n, flag, at, x, raw) VALUES ($1, $2, $3, $4, $5, $6)");
static const struct db_sql sql_select =
    DB_SQL("select", "SELECT id, n, flag, at, x, raw FROM things WHERE id = $1");
static const struct db_sql sql_count = DB_SQL("count", "SELECT count(*) FROM things");
static const struct db_sql sql_require =
    DB_SQL("require", "SELECT adjutant_require($1 = n, 'wrong_n') FROM things WHERE id = $2");

static struct db *open_db(struct test_backend *backend) {
    struct db *db = NULL;
    struct err err;
    int applied;

    static const struct migration migrations[] = {
        {1, "things",
         "CREATE TABLE things(id TEXT PRIMARY KEY, n BIGINT, flag BOOLEAN, at TIMESTAMPTZ,\n"
         "x DOUBLE PRECISION, raw\n"
         "--@postgresql\nBYTEA\n--@end\n--@sqlite\nBLOB\n--@end\n);"}};
    if (!CHECK_OK(db_migrate(&backend->options, migrations, 1, &applied, &err), &err) ||
        !CHECK_OK(db_open(&backend->options, &db, &err), &err)) {
        return NULL;
    }
    return db;
}

BOTH_BACKENDS(values_come_back) {
    struct err err;
    struct db *db = open_db(backend);
    REQUIRE(db);
    struct db_tx *tx = db_tx_new(db, STR("u1"), DB_WRITE);
    db_tx_add(tx, &sql_insert, db_text(STR("a")), db_int(-5), db_bool(true),
              db_time(INT64_C(1700000000123456)), db_double(0.1), db_bytes(STR("\0\1\377x")));
    db_tx_add(tx, &sql_insert, db_text(STR("b")), db_null(), db_null(), db_null(), db_null(),
              db_null());
    size_t got = db_tx_add(tx, &sql_select, db_text(STR("a")));
    size_t require = db_tx_add(tx, &sql_require, db_int(-5), db_text(STR("a")));
    (void)require;
    CHECK_OK(db_tx_run(tx, &err), &err);
    CHECK_INT(db_rows(tx, got), 1);
    CHECK_STR(db_get_text(tx, got, 0, 0), "a");
    CHECK_INT(db_get_int(tx, got, 0, 1), -5);
    CHECK(db_get_bool(tx, got, 0, 2));
    CHECK_INT(db_get_time(tx, got, 0, 3), INT64_C(1700000000123456));
    CHECK(db_get_double(tx, got, 0, 4) == 0.1);
    CHECK(str_eq(db_get_text(tx, got, 0, 5), STR("\0\1\377x")));
    db_tx_free(tx);

    tx = db_tx_new(db, STR("u1"), DB_WRITE);
    db_tx_add(tx, &sql_insert, db_text(STR("c")), db_null(), db_null(), db_null(), db_null(),
              db_null());
    db_tx_add(tx, &sql_require, db_int(6), db_text(STR("a")));
    CHECK_FAILS(db_tx_run(tx, &err), &err, ERR_PRECONDITION);
    CHECK_STR(str_z(err.msg), "wrong_n");
    db_tx_free(tx);
    tx = db_tx_new(db, STR("u1"), DB_READ);
    db_tx_add(tx, &sql_count);
    CHECK_OK(db_tx_run(tx, &err), &err);
    CHECK_INT(db_get_int(tx, 0, 0, 0), 2);
    db_tx_free(tx);
    db_close(db);
}
