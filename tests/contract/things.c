#include "things.h"

const struct db_sql sql_insert = DB_SQL("insert", "INSERT INTO things(id, n) VALUES ($1, $2)");
const struct db_sql sql_update = DB_SQL("update", "UPDATE things SET n = $2 WHERE id = $1");
const struct db_sql sql_count = DB_SQL("count", "SELECT count(*) FROM things");
const struct db_sql sql_get = DB_SQL("get", "SELECT n FROM things WHERE id = $1");
const struct db_sql sql_require =
    DB_SQL("require", "SELECT adjutant_require((SELECT n FROM things WHERE id = $1) = $2, "
                      "'wrong_n')");
const struct db_sql sql_add = DB_SQL("add", "UPDATE things SET n = n + $2 WHERE id = $1");
const struct db_sql sql_forever =
    DB_SQL("forever", "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < "
                      "1000000000) SELECT count(*) FROM c");

static const struct migration migrations[] = {
    {1, "things",
     "CREATE TABLE things(id TEXT PRIMARY KEY, n BIGINT CHECK (n <> -13), flag BOOLEAN,\n"
     "at TIMESTAMPTZ, x DOUBLE PRECISION, parent TEXT REFERENCES things(id), raw\n"
     "--@postgresql\nBYTEA\n--@end\n--@sqlite\nBLOB\n--@end\n);\n"
     "CREATE TABLE kids(id TEXT PRIMARY KEY,\n"
     "parent TEXT REFERENCES things(id) DEFERRABLE INITIALLY DEFERRED);"}};

struct db *things_open(struct test_backend *backend) {
    struct db *db = NULL;
    struct err err;
    int applied;
    if (!CHECK_OK(db_migrate(&backend->options, migrations, ARRAY_LEN(migrations), &applied, &err),
                  &err) ||
        !CHECK_OK(db_open(&backend->options, &db, &err), &err)) {
        return NULL;
    }
    return db;
}

int things_run(struct db *db, enum db_mode mode, const struct db_sql *sql,
               const struct db_value *values, size_t n, int64_t *ret_first, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, STR("u1"), mode);
    size_t i = db_tx_add_values(tx, sql, values, n);
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    if (ret_first) {
        *ret_first = db_rows(tx, i) ? db_get_int(tx, i, 0, 0) : -1;
    }
    return 0;
}

int64_t things_count(struct db *db) {
    struct err err;
    int64_t n = -1;
    CHECK_OK(RUN(db, DB_READ, &sql_count, &n, &err), &err);
    return n;
}
