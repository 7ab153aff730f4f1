/* What only PostgreSQL has: a pool, a server that goes away, row-level security, LISTEN. */
#include <signal.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "things.h"

#define POSTGRES(name)                                                                             \
    static void name(struct test_backend *backend);                                                \
    TEST_FIBER(name) {                                                                             \
        test_on_backend(DB_POSTGRES, name);                                                        \
    }                                                                                              \
    static void name(struct test_backend *backend)

static const struct db_sql sql_sleep = DB_SQL("sleep", "SELECT pg_sleep($1)");
static const struct db_sql sql_pid = DB_SQL("pid", "SELECT pg_backend_pid()");

static const char kill_others[] = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                                  "WHERE datname = current_database() AND pid <> pg_backend_pid()";

/* ---- the pool ---- */

struct sleeper {
    struct db *db;
    double seconds;
    int rc;
    struct err err;
};

static void sleep_in_database(void *arg) {
    struct sleeper *s = arg;
    s->rc = RUN(s->db, DB_READ, &sql_sleep, NULL, &s->err, db_double(s->seconds));
}

static void let_sleep(struct fiber_scope *scope, struct sleeper *sleeper, unsigned busy) {
    struct err err;
    CHECK_OK(fiber_spawn(scope, "sleeper", sleep_in_database, sleeper, NULL, &err), &err);
    for (int i = 0; i < 5000 && db_stats(sleeper->db).busy < busy; i++) {
        fiber_sleep(1);
    }
}

POSTGRES(a_full_pool_is_busy) {
    backend->options.pool_size = 2;
    backend->options.acquire_timeout_ms = 200;
    struct db *db = things_open(backend);
    struct fiber_scope scope;
    struct err err;
    REQUIRE(db);
    struct sleeper sleepers[2] = {{.db = db, .seconds = 1}, {.db = db, .seconds = 1}};
    fiber_scope_init(&scope);
    let_sleep(&scope, &sleepers[0], 1);
    let_sleep(&scope, &sleepers[1], 2);
    CHECK_FAILS(RUN(db, DB_READ, &sql_count, NULL, &err), &err, ERR_BUSY);
    fiber_scope_join(&scope);
    CHECK_INT(sleepers[0].rc, 0);
    CHECK_INT(sleepers[1].rc, 0);
    CHECK_INT(things_count(db), 0);
    CHECK_INT(db_stats(db).connections, 2);
    CHECK_INT(db_stats(db).busy, 0);
    db_close(db);
}

POSTGRES(an_outer_deadline_ends_the_wait_for_a_connection) {
    backend->options.pool_size = 1;
    struct db *db = things_open(backend);
    struct fiber_scope scope;
    struct fiber_timeout timeout;
    struct err err;
    REQUIRE(db);
    struct sleeper sleeper = {.db = db, .seconds = 1};
    fiber_scope_init(&scope);
    let_sleep(&scope, &sleeper, 1);
    fiber_timeout_start(&timeout, 100);
    CHECK_FAILS(RUN(db, DB_READ, &sql_count, NULL, &err), &err, ERR_TIMEOUT);
    fiber_timeout_stop(&timeout);
    fiber_scope_join(&scope);
    CHECK_INT(sleeper.rc, 0);
    db_close(db);
}

/* ---- the server goes away ---- */

static void retry_until_it_works(struct db *db) {
    struct err err;
    int rc = -1;
    for (int i = 0; i < 200 && rc < 0; i++) {
        rc = RUN(db, DB_READ, &sql_count, NULL, &err);
        if (rc < 0) {
            CHECK_INT(rc, -ERR_UNAVAILABLE);
            fiber_sleep(50);
        }
    }
    CHECK_OK(rc, &err);
    CHECK(db_stats(db).healthy);
}

POSTGRES(idle_connections_that_ended_are_replaced) {
    struct db *db = things_open(backend);
    REQUIRE(db);
    CHECK_INT(things_count(db), 0);
    CHECK(test_pg_number(backend->url, kill_others) >= 1);
    for (int i = 0; i < 2000 && db_stats(db).connections > 0; i++) {
        fiber_sleep(1);
    }
    CHECK_INT(db_stats(db).connections, 0);
    CHECK_INT(things_count(db), 0);
    db_close(db);
}

POSTGRES(a_terminated_transaction_is_unavailable) {
    struct db *db = things_open(backend);
    struct fiber_scope scope;
    REQUIRE(db);
    struct sleeper sleeper = {.db = db, .seconds = 30};
    fiber_scope_init(&scope);
    let_sleep(&scope, &sleeper, 1);
    fiber_sleep(50); /* it was sent */
    CHECK(test_pg_number(backend->url, kill_others) >= 1);
    fiber_scope_join(&scope);
    CHECK_INT(sleeper.rc, -ERR_UNAVAILABLE);
    retry_until_it_works(db);
    db_close(db);
}

static void on_private_cluster(void (*body)(struct test_backend *backend)) {
    struct test_backend backend;
    if (CHECK(test_private_cluster_open(&backend))) {
        body(&backend);
        test_backend_close(&backend);
    }
}

static void restart_body(struct test_backend *backend) {
    backend->options.acquire_timeout_ms = 300;
    struct db *db = things_open(backend);
    struct fiber_scope scope;
    struct err err;
    int64_t n;
    REQUIRE(db);
    CHECK_OK(RUN(db, DB_WRITE, &sql_insert, NULL, &err, db_text(STR("a")), db_int(1)), &err);
    struct sleeper sleeper = {.db = db, .seconds = 30};
    fiber_scope_init(&scope);
    let_sleep(&scope, &sleeper, 1);
    fiber_sleep(50);

    CHECK(test_private_cluster("halt"));
    fiber_scope_join(&scope);
    CHECK_INT(sleeper.rc, -ERR_UNAVAILABLE);
    CHECK_FAILS(RUN(db, DB_READ, &sql_count, NULL, &err), &err, ERR_UNAVAILABLE);
    CHECK(!db_stats(db).healthy);
    CHECK_FAILS(db_ping(db, 100, &err), &err, ERR_UNAVAILABLE);

    CHECK(test_private_cluster("resume"));
    retry_until_it_works(db);
    CHECK_OK(RUN(db, DB_READ, &sql_get, &n, &err, db_text(STR("a"))), &err);
    CHECK_INT(n, 1);

    CHECK(test_private_cluster("restart"));
    retry_until_it_works(db);
    db_close(db);
}

TEST_FIBER(a_restarted_server_is_found_again) {
    on_private_cluster(restart_body);
}

static void silent_body(struct test_backend *backend) {
    backend->options.pool_size = 1;
    struct db *db = things_open(backend);
    struct err err;
    int64_t pid = 0;
    REQUIRE(db);
    CHECK_OK(RUN(db, DB_READ, &sql_pid, &pid, &err), &err);
    REQUIRE(pid > 1 && kill((pid_t)pid, SIGSTOP) == 0);
    CHECK_FAILS(db_ping(db, 100, &err), &err, ERR_TIMEOUT);
    kill((pid_t)pid, SIGCONT);
    CHECK_INT(things_count(db), 0);
    db_close(db);
}

TEST_FIBER(a_silent_server_is_given_up) {
    on_private_cluster(silent_body);
}

POSTGRES(a_changed_table_is_planned_anew) {
    static const struct db_sql sql_star = DB_SQL("star", "SELECT * FROM things");
    backend->options.pool_size = 1;
    struct db *db = things_open(backend);
    struct err err;
    REQUIRE(db);
    CHECK_OK(RUN(db, DB_READ, &sql_star, NULL, &err), &err);
    CHECK(test_pg_sql(backend->url, "ALTER TABLE things ADD COLUMN more TEXT"));
    CHECK_FAILS(RUN(db, DB_READ, &sql_star, NULL, &err), &err, ERR_UNAVAILABLE);
    CHECK_OK(RUN(db, DB_READ, &sql_star, NULL, &err), &err);
    db_close(db);
}

/* ---- where it is ---- */

static int try_open(const char *url, const char *role, struct err *err) {
    struct db_options options = {.url = url, .role = role};
    struct db *db;
    if (db_open(&options, &db, err) < 0) {
        return -(int)err->code;
    }
    db_close(db);
    return 0;
}

POSTGRES(a_wrong_address_says_so_without_the_password) {
    struct err err;
    CHECK_FAILS(try_open("postgres://joe:hunter2@127.0.0.1:1/x", NULL, &err), &err,
                ERR_UNAVAILABLE);
    CHECK(strstr(err.msg, "127.0.0.1") && !strstr(err.msg, "hunter2"));
    CHECK_FAILS(try_open("postgres://joe:hunter2@host.invalid/x", NULL, &err), &err,
                ERR_UNAVAILABLE);
    CHECK(strstr(err.msg, "host.invalid") && !strstr(err.msg, "hunter2"));
    CHECK_FAILS(try_open("postgres://joe:hunter2@[::1/x", NULL, &err), &err, ERR_INVALID);
    CHECK(!strstr(err.msg, "hunter2"));
    CHECK_FAILS(try_open(backend->url, "no_such_role", &err), &err, ERR_UNAVAILABLE);
    CHECK(strstr(err.msg, "no_such_role") != NULL);
    (void)backend;
}

static void addresses_body(struct test_backend *backend) {
    char url[600], directory[64];
    struct err err;
    const char *slash = strrchr(backend->url, '/') + 1;
    const char *port = strrchr(backend->url, ':') + 1;
    int port_length = (int)strcspn(port, "/");
    snprintf(directory, sizeof directory, "/tmp/adjutant-pg-%d", getpid());

    snprintf(url, sizeof url, "postgres://postgres@/%s?host=%s&port=%.*s", slash, directory,
             port_length, port);
    CHECK_OK(try_open(url, NULL, &err), &err);
    snprintf(url, sizeof url, "postgresql://postgres@localhost:%.*s/%s?application_name=x",
             port_length, port, slash);
    CHECK_OK(try_open(url, NULL, &err), &err);
    snprintf(url, sizeof url, "postgres://postgres@127.0.0.1:1,localhost:%.*s/%s", port_length,
             port, slash);
    CHECK_OK(try_open(url, NULL, &err), &err);
    snprintf(url, sizeof url, "host=%s port=%.*s dbname=%s user=postgres", directory, port_length,
             port, slash);
    CHECK_OK(try_open(url, NULL, &err), &err);
}

TEST_FIBER(all_forms_of_address_work) {
    on_private_cluster(addresses_body);
}

/* ---- row-level security ---- */

static const char rls_schema[] =
    "SET client_min_messages = warning; DROP ROLE IF EXISTS adjutant_rls_test; CREATE ROLE "
    "adjutant_rls_test;"
    "CREATE TABLE notes(user_id TEXT NOT NULL CHECK (user_id <> ''), body TEXT);"
    "ALTER TABLE notes ENABLE ROW LEVEL SECURITY; ALTER TABLE notes FORCE ROW LEVEL SECURITY;"
    "CREATE POLICY own ON notes USING (user_id = current_setting('app.user_id')::text);"
    "GRANT SELECT, INSERT ON notes TO adjutant_rls_test;";

static int note_insert(struct db *db, struct str user, struct str owner, struct err *err) {
    static const struct db_sql sql =
        DB_SQL("note_insert", "INSERT INTO notes(user_id, body) VALUES ($1, 'x')");
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user, DB_WRITE);
    db_tx_add(tx, &sql, db_text(owner));
    return db_tx_run(tx, err);
}

static int note_count(struct db *db, struct str user, int64_t *ret, struct err *err) {
    static const struct db_sql sql = DB_SQL("note_count", "SELECT count(*) FROM notes");
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user, DB_READ);
    db_tx_add(tx, &sql);
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    *ret = db_get_int(tx, 0, 0, 0);
    return 0;
}

POSTGRES(a_user_sees_own_rows_only) {
    struct db *db = NULL;
    struct err err;
    int64_t n = -1;
    REQUIRE(test_pg_sql(backend->url, rls_schema));
    backend->options.role = "adjutant_rls_test";
    backend->options.pool_size = 1;
    REQUIRE_OK(db_open(&backend->options, &db, &err), &err);
    /* A connection that never had a user: the setting does not exist. */
    CHECK_FAILS(note_count(db, STR_EMPTY, &n, &err), &err, ERR_INTERNAL);
    CHECK_OK(note_insert(db, STR("u1"), STR("u1"), &err), &err);
    CHECK_OK(note_insert(db, STR("o'2"), STR("o'2"), &err), &err);
    CHECK_FAILS(note_insert(db, STR("u1"), STR("o'2"), &err), &err, ERR_FORBIDDEN);
    CHECK_OK(note_count(db, STR("u1"), &n, &err), &err);
    CHECK_INT(n, 1);
    CHECK_OK(note_count(db, STR("u3"), &n, &err), &err);
    CHECK_INT(n, 0);
    /* The user before does not linger on the connection. */
    CHECK_OK(note_count(db, STR_EMPTY, &n, &err), &err);
    CHECK_INT(n, 0);
    CHECK_FAILS(note_insert(db, STR_EMPTY, STR("u1"), &err), &err, ERR_FORBIDDEN);
    db_close(db);
    backend->options.role = NULL;
    REQUIRE_OK(db_open(&backend->options, &db, &err), &err);
    CHECK_OK(note_count(db, STR("u1"), &n, &err), &err); /* a superuser: no policy */
    CHECK_INT(n, 2);
    db_close(db);
    CHECK(test_pg_sql(backend->url, "DROP OWNED BY adjutant_rls_test; "
                                    "DROP ROLE adjutant_rls_test"));
}

/* ---- listening ---- */

struct ear {
    unsigned n, lost;
    struct fiber_cond changed;
};

static void on_notify(struct str payload, void *arg) {
    struct ear *ear = arg;
    (void)payload;
    ear->n++;
    fiber_signal(&ear->changed);
}

static void on_lost(void *arg) {
    struct ear *ear = arg;
    ear->lost++;
    fiber_signal(&ear->changed);
}

static bool wait_for(struct ear *ear, unsigned n, unsigned lost) {
    while (ear->n < n || ear->lost < lost) {
        if (fiber_wait(&ear->changed, 10000) < 0) {
            return false;
        }
    }
    return true;
}

POSTGRES(listening_survives_a_lost_connection) {
    struct db *db = things_open(backend), *sender = NULL;
    struct ear ear = {.n = 0};
    struct err err;
    REQUIRE(db);
    fiber_cond_init(&ear.changed);
    CHECK_OK(db_listen(db, "first", on_notify, on_lost, &ear, &err), &err);
    CHECK(wait_for(&ear, 0, 1));
    CHECK(test_pg_number(backend->url, kill_others) >= 1);
    CHECK(wait_for(&ear, 0, 2));
    REQUIRE_OK(db_open(&backend->options, &sender, &err), &err);
    CHECK_OK(db_notify(sender, "first", STR("again"), &err), &err);
    CHECK(wait_for(&ear, 1, 2));
    /* A channel added while connected is listened to as well. */
    CHECK_OK(db_listen(db, "late", on_notify, on_lost, &ear, &err), &err);
    for (int i = 0; i < 200 && ear.n < 2; i++) {
        CHECK_OK(db_notify(sender, "late", STR("x"), &err), &err);
        fiber_sleep(20);
    }
    CHECK(ear.n >= 2);
    db_close(sender);
    db_close(db);
}
