/* One body of expectations over both drivers. */
#include "db/db.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "things.h"

static const struct db_sql sql_insert_all = DB_SQL(
    "insert_all", "INSERT INTO things(id, n, flag, at, x, raw) VALUES ($1, $2, $3, $4, $5, $6)");
static const struct db_sql sql_select_all =
    DB_SQL("select_all", "SELECT id, n, flag, at, x, raw FROM things WHERE id = $1");

/* ---- values ---- */

static struct db_tx *store_and_read(struct db *db, const struct db_value *values, size_t *ret) {
    struct err err;
    struct db_tx *tx = db_tx_new(db, STR("u1"), DB_WRITE);
    db_tx_add_values(tx, &sql_insert_all, values, 6);
    *ret = db_tx_add(tx, &sql_select_all, values[0]);
    CHECK_OK(db_tx_run(tx, &err), &err);
    return tx;
}

BOTH_BACKENDS(values_come_back) {
    struct db *db = things_open(backend);
    size_t got;
    REQUIRE(db);
    const struct db_value values[6] = {db_text(STR("a")), db_int(INT64_MIN),
                                       db_bool(true),     db_time(INT64_C(1700000000123456)),
                                       db_double(0.1),    db_bytes(STR("\0\1\377x"))};
    struct db_tx *tx cleanup(db_tx_free_p) = store_and_read(db, values, &got);
    REQUIRE(db_rows(tx, got) == 1);
    CHECK_STR(db_get_text(tx, got, 0, 0), "a");
    CHECK(db_get_int(tx, got, 0, 1) == INT64_MIN);
    CHECK(db_get_bool(tx, got, 0, 2));
    CHECK_INT(db_get_time(tx, got, 0, 3), INT64_C(1700000000123456));
    CHECK_STR(db_get_text(tx, got, 0, 3), "2023-11-14T22:13:20.123456Z");
    CHECK(db_get_double(tx, got, 0, 4) == 0.1);
    CHECK(str_eq(db_get_text(tx, got, 0, 5), STR("\0\1\377x")));
    for (size_t column = 0; column < 6; column++) {
        CHECK(!db_is_null(tx, got, 0, column));
    }
    db_close(db);
}

BOTH_BACKENDS(null_comes_back_as_null) {
    struct db *db = things_open(backend);
    size_t got;
    REQUIRE(db);
    const struct db_value values[6] = {db_text(STR("a")), db_null(), db_null(),
                                       db_textz(NULL),    db_null(), db_null()};
    struct db_tx *tx cleanup(db_tx_free_p) = store_and_read(db, values, &got);
    REQUIRE(db_rows(tx, got) == 1);
    for (size_t column = 1; column < 6; column++) {
        CHECK(db_is_null(tx, got, 0, column));
        CHECK_INT(db_get_text(tx, got, 0, column).n, 0);
        CHECK_INT(db_get_int(tx, got, 0, column), 0);
    }
    CHECK_INT(db_get_time(tx, got, 0, 3), 0);
    CHECK(!db_get_bool(tx, got, 0, 2));
    db_close(db);
}

BOTH_BACKENDS(edges_of_values_come_back) {
    static const int64_t times[] = {
        0, 1, -1, 999999, INT64_C(253402300799999999), INT64_C(-62135596800000000)};
    struct db *db = things_open(backend);
    REQUIRE(db);
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        char id[32];
        size_t got;
        snprintf(id, sizeof id, "grüße 🙂 %zu", i);
        const struct db_value values[6] = {db_textz(id),      db_int(INT64_MAX), db_bool(false),
                                           db_time(times[i]), db_double(-1e300), db_bytes(STR(""))};
        struct db_tx *tx cleanup(db_tx_free_p) = store_and_read(db, values, &got);
        REQUIRE(db_rows(tx, got) == 1);
        CHECK_STR(db_get_text(tx, got, 0, 0), id);
        CHECK(db_get_int(tx, got, 0, 1) == INT64_MAX);
        CHECK(!db_get_bool(tx, got, 0, 2) && !db_is_null(tx, got, 0, 2));
        CHECK_INT(db_get_time(tx, got, 0, 3), times[i]);
        CHECK(db_get_double(tx, got, 0, 4) == -1e300);
        CHECK(!db_is_null(tx, got, 0, 5) && db_get_text(tx, got, 0, 5).n == 0);
    }
    db_close(db);
}

BOTH_BACKENDS(large_values_and_many_rows_come_back) {
    enum { TEXT_BYTES = 3 * 1000 * 1000, ROWS = 5000 };
    static const struct db_sql sql_many =
        DB_SQL("many", "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < "
                       "5000) SELECT x, 'row' FROM c ORDER BY x");
    struct db *db = things_open(backend);
    struct err err;
    REQUIRE(db);
    char *big[5];
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, STR("u1"), DB_WRITE);
    for (int i = 0; i < 5; i++) {
        big[i] = mem_alloc(TEXT_BYTES);
        memset(big[i], 'x', TEXT_BYTES);
        big[i][0] = (char)('a' + i);
        db_tx_add(tx, &sql_insert_all, db_text((struct str){big[i], 10}), db_null(), db_null(),
                  db_null(), db_null(), db_bytes((struct str){big[i], TEXT_BYTES}));
        db_tx_add(tx, &sql_select_all, db_text((struct str){big[i], 10}));
    }
    size_t many = db_tx_add(tx, &sql_many);
    REQUIRE_OK(db_tx_run(tx, &err), &err);
    for (size_t i = 0; i < 5; i++) {
        struct str raw = db_get_text(tx, i * 2 + 1, 0, 5);
        CHECK(raw.n == TEXT_BYTES && raw.p[0] == (char)('a' + i) && raw.p[TEXT_BYTES - 1] == 'x');
        mem_free(big[i]);
    }
    REQUIRE(db_rows(tx, many) == ROWS);
    CHECK_INT(db_get_int(tx, many, ROWS - 1, 0), ROWS);
    CHECK_STR(db_get_text(tx, many, ROWS - 1, 1), "row");
    db_close(db);
}

BOTH_BACKENDS(rows_affected_are_told) {
    static const struct db_sql sql_all = DB_SQL("all", "UPDATE things SET n = 1 WHERE n <> $1");
    static const struct db_sql sql_delete =
        DB_SQL("delete", "DELETE FROM things WHERE id = $1 RETURNING n");
    struct db *db = things_open(backend);
    struct err err;
    REQUIRE(db);
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, STR("u1"), DB_WRITE);
    db_tx_add(tx, &sql_insert, db_text(STR("a")), db_int(5));
    db_tx_add(tx, &sql_insert, db_text(STR("b")), db_int(6));
    db_tx_add(tx, &sql_all, db_int(6));
    db_tx_add(tx, &sql_all, db_int(1));
    db_tx_add(tx, &sql_delete, db_text(STR("b")));
    db_tx_add(tx, &sql_delete, db_text(STR("b")));
    db_tx_add(tx, &sql_count);
    REQUIRE_OK(db_tx_run(tx, &err), &err);
    static const int affected[] = {1, 1, 1, 1, 1, 0, 1};
    for (size_t i = 0; i < ARRAY_LEN(affected); i++) {
        CHECK_INT(db_rows_affected(tx, i), affected[i]);
    }
    CHECK_INT(db_rows(tx, 4), 1);
    CHECK_INT(db_get_int(tx, 4, 0, 0), 1);
    CHECK_INT(db_rows(tx, 5), 0);
    db_close(db);
}

/* A parameter may stand anywhere, and more than once. */
BOTH_BACKENDS(parameters_are_found_by_number) {
    static const struct db_sql sql =
        DB_SQL("numbers", "UPDATE things SET n = n + $3 WHERE id = $2 AND n = $1 AND n <> $3");
    struct db *db = things_open(backend);
    struct err err;
    int64_t n;
    REQUIRE(db);
    CHECK_OK(RUN(db, DB_WRITE, &sql_insert, NULL, &err, db_text(STR("a")), db_int(5)), &err);
    CHECK_OK(RUN(db, DB_WRITE, &sql, NULL, &err, db_int(5), db_text(STR("a")), db_int(7)), &err);
    CHECK_OK(RUN(db, DB_READ, &sql_get, &n, &err, db_text(STR("a"))), &err);
    CHECK_INT(n, 12);
    CHECK_FAILS(RUN(db, DB_READ, &sql_get, &n, &err), &err, ERR_INTERNAL);
    CHECK_FAILS(RUN(db, DB_READ, &sql_get, &n, &err, db_int(1), db_int(2)), &err, ERR_INTERNAL);
    CHECK_OK(RUN(db, DB_READ, &sql_get, &n, &err, db_text(STR("a"))), &err);
    db_close(db);
}

/* ---- all or nothing ---- */

BOTH_BACKENDS(a_failed_requirement_undoes_everything) {
    struct db *db = things_open(backend);
    struct err err;
    int64_t n;
    REQUIRE(db);
    CHECK_OK(RUN(db, DB_WRITE, &sql_insert, NULL, &err, db_text(STR("a")), db_int(5)), &err);
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, STR("u1"), DB_WRITE);
    db_tx_add(tx, &sql_insert, db_text(STR("b")), db_int(1));
    db_tx_add(tx, &sql_require, db_text(STR("a")), db_int(6));
    db_tx_add(tx, &sql_insert, db_text(STR("c")), db_int(1));
    CHECK_FAILS(db_tx_run(tx, &err), &err, ERR_PRECONDITION);
    CHECK_STR(str_z(err.msg), "wrong_n");
    CHECK_INT(things_count(db), 1);
    /* NULL is not true either. */
    CHECK_FAILS(RUN(db, DB_WRITE, &sql_require, NULL, &err, db_text(STR("none")), db_int(1)), &err,
                ERR_PRECONDITION);
    CHECK_FAILS(RUN(db, DB_READ, &sql_require, NULL, &err, db_text(STR("none")), db_int(1)), &err,
                ERR_PRECONDITION);
    CHECK_OK(RUN(db, DB_WRITE, &sql_require, &n, &err, db_text(STR("a")), db_int(5)), &err);
    db_close(db);
}

BOTH_BACKENDS(violations_have_their_codes) {
    static const struct db_sql sql_child =
        DB_SQL("child", "INSERT INTO things(id, parent) VALUES ($1, $2)");
    static const struct db_sql sql_wrong = DB_SQL("wrong", "SELECT nothing FROM nowhere");
    struct db *db = things_open(backend);
    struct err err;
    REQUIRE(db);
    CHECK_OK(RUN(db, DB_WRITE, &sql_insert, NULL, &err, db_text(STR("secret")), db_int(5)), &err);
    CHECK_FAILS(RUN(db, DB_WRITE, &sql_insert, NULL, &err, db_text(STR("secret")), db_int(5)), &err,
                ERR_CONFLICT);
    CHECK(!strstr(err.msg, "secret"));
    CHECK_FAILS(
        RUN(db, DB_WRITE, &sql_child, NULL, &err, db_text(STR("b")), db_text(STR("secretive"))),
        &err, ERR_CONFLICT);
    CHECK(!strstr(err.msg, "secretive"));
    CHECK_FAILS(RUN(db, DB_WRITE, &sql_insert, NULL, &err, db_text(STR("b")), db_int(-13)), &err,
                ERR_INVALID);
    CHECK_FAILS(RUN(db, DB_WRITE, &sql_insert, NULL, &err, db_text(STR("x\0y")), db_int(5)), &err,
                ERR_INVALID);
    CHECK_FAILS(RUN(db, DB_WRITE, &sql_insert, NULL, &err, db_text(STR("\377\376")), db_int(5)),
                &err, ERR_INVALID);
    CHECK_FAILS(RUN(db, DB_READ, &sql_wrong, NULL, &err), &err, ERR_INTERNAL);
    CHECK(strstr(err.msg, "wrong") != NULL);
    CHECK_INT(things_count(db), 1);
    db_close(db);
}

/* PostgreSQL tells it at the commit, SQLite would fail the whole group. */
BOTH_BACKENDS(what_is_owed_at_the_end_is_checked) {
    static const struct db_sql sql_kid =
        DB_SQL("kid", "INSERT INTO kids(id, parent) VALUES ($1, $2)");
    struct db *db = things_open(backend);
    struct err err;
    REQUIRE(db);
    struct db_tx *good cleanup(db_tx_free_p) = db_tx_new(db, STR("u1"), DB_WRITE);
    db_tx_add(good, &sql_kid, db_text(STR("k1")), db_text(STR("later")));
    db_tx_add(good, &sql_insert, db_text(STR("later")), db_int(1));
    CHECK_OK(db_tx_run(good, &err), &err);
    struct db_tx *bad cleanup(db_tx_free_p) = db_tx_new(db, STR("u1"), DB_WRITE);
    db_tx_add(bad, &sql_insert, db_text(STR("other")), db_int(1));
    db_tx_add(bad, &sql_kid, db_text(STR("k2")), db_text(STR("never")));
    CHECK_FAILS(db_tx_run(bad, &err), &err, ERR_CONFLICT);
    CHECK_INT(things_count(db), 1);
    db_close(db);
}

BOTH_BACKENDS(an_empty_transaction_does_nothing) {
    struct db *db = things_open(backend);
    struct err err;
    REQUIRE(db);
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, STR_EMPTY, DB_WRITE);
    CHECK_OK(db_tx_run(tx, &err), &err);
    db_tx_free(NULL);
    db_close(NULL);
    db_close(db);
}

BOTH_BACKENDS(a_failed_transaction_can_be_run_again) {
    struct db *db = things_open(backend);
    struct err err;
    REQUIRE(db);
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, STR("u1"), DB_WRITE);
    db_tx_add(tx, &sql_count);
    db_tx_add(tx, &sql_require, db_text(STR("a")), db_int(1));
    CHECK_FAILS(db_tx_run(tx, &err), &err, ERR_PRECONDITION);
    CHECK_OK(RUN(db, DB_WRITE, &sql_insert, NULL, &err, db_text(STR("a")), db_int(1)), &err);
    CHECK_OK(db_tx_run(tx, &err), &err);
    CHECK_INT(db_get_int(tx, 0, 0, 0), 1);
    db_close(db);
}

/* The error kept the second statement from being prepared. */
BOTH_BACKENDS(a_statement_behind_a_failed_one_can_be_used) {
    struct db *db = things_open(backend);
    struct err err;
    int64_t n = 0;
    REQUIRE(db);
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, STR("u1"), DB_WRITE);
    db_tx_add(tx, &sql_require, db_text(STR("a")), db_int(1));
    db_tx_add(tx, &sql_insert, db_text(STR("a")), db_int(1));
    db_tx_add(tx, &sql_insert, db_text(STR("b")), db_int(2));
    CHECK_FAILS(db_tx_run(tx, &err), &err, ERR_PRECONDITION);
    CHECK_OK(RUN(db, DB_WRITE, &sql_insert, NULL, &err, db_text(STR("a")), db_int(1)), &err);
    CHECK_FAILS(db_tx_run(tx, &err), &err, ERR_CONFLICT);
    CHECK_OK(RUN(db, DB_READ, &sql_get, &n, &err, db_text(STR("a"))), &err);
    CHECK_INT(n, 1);
    db_close(db);
}

/* ---- many at once ---- */

struct crowd {
    struct db *db;
    int succeeded, refused, cancelled, other;
    struct err last_other;
};

static void note(struct crowd *crowd, int rc, const struct err *err) {
    if (rc == 0) {
        crowd->succeeded++;
    } else if (rc == -ERR_PRECONDITION || rc == -ERR_CONFLICT) {
        crowd->refused++;
    } else if (rc == -ERR_CANCELLED) {
        crowd->cancelled++;
    } else {
        crowd->other++;
        crowd->last_other = *err;
    }
}

static void spawn_crowd(struct fiber_scope *scope, unsigned n, void (*body)(void *), void *arg) {
    struct err err;
    for (unsigned i = 0; i < n; i++) {
        CHECK_OK(fiber_spawn(scope, "crowd", body, arg, NULL, &err), &err);
    }
}

static void add_ten_times(void *arg) {
    struct crowd *crowd = arg;
    struct err err;
    for (int i = 0; i < 10; i++) {
        int rc = RUN(crowd->db, DB_WRITE, &sql_add, NULL, &err, db_text(STR("a")), db_int(1));
        note(crowd, rc, &err);
    }
}

BOTH_BACKENDS(no_update_is_lost) {
    struct crowd crowd = {.db = things_open(backend)};
    struct fiber_scope scope;
    struct err err;
    int64_t n = 0;
    REQUIRE(crowd.db);
    CHECK_OK(RUN(crowd.db, DB_WRITE, &sql_insert, NULL, &err, db_text(STR("a")), db_int(0)), &err);
    fiber_scope_init(&scope);
    spawn_crowd(&scope, 40, add_ten_times, &crowd);
    fiber_scope_join(&scope);
    CHECK_INT(crowd.succeeded, 400);
    CHECK_OK(RUN(crowd.db, DB_READ, &sql_get, &n, &err, db_text(STR("a"))), &err);
    CHECK_INT(n, 400);
    db_close(crowd.db);
}

/* Everybody wants to take the thing from 0 to 1; each attempt also leaves a mark of its own. */
static void claim(void *arg) {
    static unsigned count;
    struct crowd *crowd = arg;
    struct err err;
    char id[32];
    snprintf(id, sizeof id, "mark-%u", count++);
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(crowd->db, STR("u1"), DB_WRITE);
    db_tx_add(tx, &sql_insert, db_textz(id), db_int(1));
    db_tx_add(tx, &sql_add, db_text(STR("a")), db_int(1));
    db_tx_add(tx, &sql_require, db_text(STR("a")), db_int(1));
    note(crowd, db_tx_run(tx, &err), &err);
}

BOTH_BACKENDS(one_of_many_claims_wins) {
    struct crowd crowd = {.db = things_open(backend)};
    struct fiber_scope scope;
    struct err err;
    int64_t n = 0;
    REQUIRE(crowd.db);
    CHECK_OK(RUN(crowd.db, DB_WRITE, &sql_insert, NULL, &err, db_text(STR("a")), db_int(0)), &err);
    fiber_scope_init(&scope);
    spawn_crowd(&scope, 40, claim, &crowd);
    fiber_scope_join(&scope);
    CHECK_INT(crowd.succeeded, 1);
    CHECK_INT(crowd.refused, 39);
    CHECK_OK(RUN(crowd.db, DB_READ, &sql_get, &n, &err, db_text(STR("a"))), &err);
    CHECK_INT(n, 1);
    CHECK_INT(things_count(crowd.db), 2);
    db_close(crowd.db);
}

/* ---- ending early ---- */

static void insert_one(void *arg) {
    static unsigned count;
    struct crowd *crowd = arg;
    struct err err;
    char id[32];
    snprintf(id, sizeof id, "c-%u", count++);
    note(crowd, RUN(crowd->db, DB_WRITE, &sql_insert, NULL, &err, db_textz(id), db_int(1)), &err);
}

/* Cancelled at any moment, a transaction has happened exactly when it says so. */
BOTH_BACKENDS(cancelling_tells_the_truth) {
    struct crowd crowd = {.db = things_open(backend)};
    REQUIRE(crowd.db);
    for (int i = 0; i < 20; i++) {
        struct fiber_scope scope;
        fiber_scope_init(&scope);
        spawn_crowd(&scope, 30, insert_one, &crowd);
        for (int turn = 0; turn < i; turn++) {
            fiber_yield();
        }
        if (i % 3 == 0) {
            fiber_sleep(1);
        }
        fiber_scope_done(&scope);
    }
    CHECK_INT(crowd.other + crowd.refused, 0);
    CHECK_INT(crowd.succeeded + crowd.cancelled, 600);
    CHECK(crowd.cancelled > 0);
    CHECK_INT(things_count(crowd.db), crowd.succeeded);
    CHECK_INT(db_stats(crowd.db).waiting, 0);
    CHECK_INT(db_stats(crowd.db).busy, 0);
    db_close(crowd.db);
}

BOTH_BACKENDS(a_statement_has_a_time_limit) {
    backend->options.statement_timeout_ms = 200;
    struct db *db = things_open(backend);
    struct err err;
    REQUIRE(db);
    CHECK_FAILS(RUN(db, DB_READ, &sql_forever, NULL, &err), &err, ERR_TIMEOUT);
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, STR("u1"), DB_WRITE);
    db_tx_add(tx, &sql_insert, db_text(STR("a")), db_int(1));
    db_tx_add(tx, &sql_forever);
    CHECK_FAILS(db_tx_run(tx, &err), &err, ERR_TIMEOUT);
    CHECK_INT(things_count(db), 0);
    CHECK(db_stats(db).healthy);
    db_close(db);
}

BOTH_BACKENDS(a_ping_has_a_time_limit) {
    struct db *db = things_open(backend);
    struct err err;
    REQUIRE(db);
    CHECK_OK(db_ping(db, 10000, &err), &err);
    CHECK(db_stats(db).healthy);
    db_close(db);
}

/* ---- injected failures ---- */

BOTH_BACKENDS(failures_can_be_injected) {
    struct db *db = things_open(backend);
    struct err err;
    REQUIRE(db);
    db_fail_at(db, 2, ERR_IO, false);
    CHECK_OK(RUN(db, DB_WRITE, &sql_insert, NULL, &err, db_text(STR("a")), db_int(1)), &err);
    CHECK_FAILS(RUN(db, DB_WRITE, &sql_insert, NULL, &err, db_text(STR("b")), db_int(1)), &err,
                ERR_IO);
    CHECK_INT(things_count(db), 1);
    db_fail_at(db, 1, ERR_UNAVAILABLE, true);
    CHECK_FAILS(RUN(db, DB_WRITE, &sql_insert, NULL, &err, db_text(STR("b")), db_int(1)), &err,
                ERR_UNAVAILABLE);
    CHECK_INT(things_count(db), 2);
    db_fail_at(db, 1, ERR_IO, false);
    db_fail_at(db, 0, ERR_IO, false);
    CHECK_INT(things_count(db), 2);
    db_close(db);
}

BOTH_BACKENDS(failures_can_be_injected_from_outside) {
    struct db *db = things_open(backend), *second = NULL;
    struct err err;
    REQUIRE(db);
    setenv("ADJUTANT_FAIL_DB", "1:committed", 1);
    CHECK_OK(db_open(&backend->options, &second, &err), &err);
    unsetenv("ADJUTANT_FAIL_DB");
    REQUIRE(second);
    CHECK_FAILS(RUN(second, DB_WRITE, &sql_insert, NULL, &err, db_text(STR("a")), db_int(1)), &err,
                ERR_UNAVAILABLE);
    db_close(second);
    CHECK_INT(things_count(db), 1);
    db_close(db);
}

/* ---- notifications ---- */

struct ear {
    char heard[256];
    unsigned n, lost;
    struct fiber_cond changed;
};

static void on_notify(struct str payload, void *arg) {
    struct ear *ear = arg;
    size_t used = strlen(ear->heard);
    snprintf(ear->heard + used, sizeof ear->heard - used, "[%.*s]", STR_ARG(str_head(payload, 20)));
    ear->n++;
    fiber_signal(&ear->changed);
}

static void on_lost(void *arg) {
    struct ear *ear = arg;
    ear->lost++;
    fiber_signal(&ear->changed);
}

static void wait_for(const struct ear *ear, unsigned n, unsigned lost) {
    while ((ear->n < n || ear->lost < lost) &&
           fiber_wait((struct fiber_cond *)&ear->changed, 10000) == 0) {
    }
}

BOTH_BACKENDS(notifications_arrive_in_order) {
    struct db *db = things_open(backend);
    struct ear ear = {.n = 0}, other = {.n = 0};
    struct err err;
    REQUIRE(db);
    fiber_cond_init(&ear.changed);
    fiber_cond_init(&other.changed);
    CHECK_OK(db_listen(db, "first", on_notify, on_lost, &ear, &err), &err);
    CHECK_OK(db_listen(db, "second", on_notify, NULL, &other, &err), &err);
    if (backend->kind == DB_POSTGRES) {
        wait_for(&ear, 0, 1); /* listening has begun */
    }
    char *large cleanup(mem_free_p) = mem_alloc(DB_NOTIFY_MAX_BYTES + 1);
    memset(large, 'l', DB_NOTIFY_MAX_BYTES + 1);
    CHECK_OK(db_notify(db, "first", STR("one"), &err), &err);
    CHECK_OK(db_notify(db, "second", STR("x'y"), &err), &err);
    CHECK_OK(db_notify(db, "first", STR_EMPTY, &err), &err);
    CHECK_OK(db_notify(db, "third", STR("nobody"), &err), &err);
    CHECK_OK(db_notify(db, "first", (struct str){large, DB_NOTIFY_MAX_BYTES}, &err), &err);
    CHECK_FAILS(db_notify(db, "first", (struct str){large, DB_NOTIFY_MAX_BYTES + 1}, &err), &err,
                ERR_LIMIT);
    wait_for(&ear, 3, 0);
    wait_for(&other, 1, 0);
    CHECK_STR(str_z(ear.heard), "[one][][llllllllllllllllllll]");
    CHECK_STR(str_z(other.heard), "[x'y]");
    db_close(db);
}

static void notify_often(void *arg) {
    struct crowd *crowd = arg;
    struct err err;
    for (int i = 0; i < 10; i++) {
        note(crowd, db_notify(crowd->db, "first", STR("."), &err), &err);
    }
}

static void count_notify(struct str payload, void *arg) {
    (void)payload;
    struct ear *ear = arg;
    ear->n++;
    fiber_signal(&ear->changed);
}

BOTH_BACKENDS(many_notify_at_once) {
    struct crowd crowd = {.db = things_open(backend)};
    struct ear ear = {.n = 0};
    struct fiber_scope scope;
    struct err err;
    REQUIRE(crowd.db);
    fiber_cond_init(&ear.changed);
    CHECK_OK(db_listen(crowd.db, "first", count_notify, on_lost, &ear, &err), &err);
    if (backend->kind == DB_POSTGRES) {
        wait_for(&ear, 0, 1);
    }
    fiber_scope_init(&scope);
    spawn_crowd(&scope, 30, notify_often, &crowd);
    fiber_scope_join(&scope);
    CHECK_INT(crowd.succeeded, 300);
    if (backend->kind == DB_SQLITE) {
        wait_for(&ear, 300, 0);
        CHECK_INT(ear.n, 300);
    } else {
        wait_for(&ear, 1, 1); /* PostgreSQL folds equal ones of one transaction into one */
    }
    db_close(crowd.db);
}
