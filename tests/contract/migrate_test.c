#include "db/migrate.h"

#include <unistd.h>

#include "things.h"

static const struct migration two[] = {
    {1, "first", "CREATE TABLE a(id INTEGER PRIMARY KEY); CREATE INDEX a_id ON a(id);"},
    {2, "it's second",
     "CREATE TABLE b(id INTEGER\n"
     "  --@postgresql\nCHECK (id::text <> '')\n--@end\n"
     "--@sqlite\n CHECK (typeof(id) = 'integer')\n--@end  \n);\n-- the end"},
};

static int migrate(struct test_backend *backend, const struct migration *m, size_t n, int *ret,
                   struct err *err) {
    return db_migrate(&backend->options, m, n, ret, err);
}

static int state(struct test_backend *backend) {
    struct err err;
    int number = -1;
    CHECK_OK(db_migration_state(&backend->options, &number, &err), &err);
    return number;
}

/* 1 when the table is there, else 0. */
static int has_table(struct test_backend *backend, const char *name) {
    struct db *db;
    struct err err;
    char text[64];
    snprintf(text, sizeof text, "SELECT count(*) FROM %s", name);
    struct db_sql sql = {"has_table", text};
    if (!CHECK_OK(db_open(&backend->options, &db, &err), &err)) {
        return -1;
    }
    int rc = RUN(db, DB_READ, &sql, NULL, &err);
    db_close(db);
    return rc == 0;
}

BOTH_BACKENDS(migrations_run_once) {
    struct err err;
    int applied = -1;
    CHECK_INT(state(backend), 0);
    CHECK(backend->kind == DB_POSTGRES || access(backend->path, F_OK) < 0);
    CHECK_OK(migrate(backend, two, 1, &applied, &err), &err);
    CHECK_INT(applied, 1);
    CHECK_INT(state(backend), 1);
    CHECK_OK(migrate(backend, two, 2, &applied, &err), &err);
    CHECK_INT(applied, 1);
    CHECK_INT(state(backend), 2);
    CHECK_OK(migrate(backend, two, 2, &applied, &err), &err);
    CHECK_INT(applied, 0);
    CHECK_INT(has_table(backend, "b"), 1);
}

BOTH_BACKENDS(a_changed_migration_is_refused) {
    struct migration changed[2] = {two[0], two[1]};
    struct err err;
    int applied = -1;
    CHECK_OK(migrate(backend, two, 2, &applied, &err), &err);
    changed[0].sql = "CREATE TABLE a(id INTEGER PRIMARY KEY);";
    CHECK_FAILS(migrate(backend, changed, 2, &applied, &err), &err, ERR_CONFLICT);
    CHECK(strstr(err.msg, "first") != NULL);
    CHECK_FAILS(migrate(backend, two, 1, &applied, &err), &err, ERR_CONFLICT);
    CHECK(strstr(err.msg, "newer") != NULL);
}

BOTH_BACKENDS(a_failing_migration_leaves_nothing) {
    const struct migration bad[] = {
        two[0],
        {2, "bad", "CREATE TABLE c(id INTEGER); INSERT INTO c VALUES (1); SELECT nonsense;"}};
    struct err err;
    int applied = -1;
    CHECK_FAILS(migrate(backend, bad, 2, &applied, &err), &err, ERR_INTERNAL);
    CHECK(strstr(err.msg, "migration 2 (bad)") != NULL);
    CHECK_INT(applied, -1);
    CHECK_INT(state(backend), 1);
    CHECK_INT(has_table(backend, "a"), 1);
    CHECK_INT(has_table(backend, "c"), 0);
    CHECK_OK(migrate(backend, two, 2, &applied, &err), &err);
    CHECK_INT(applied, 1);
}

BOTH_BACKENDS(stretches_must_be_whole) {
    static const char *const wrong[] = {"--@sqlite\nSELECT 1;", "SELECT 1;\n--@end\n",
                                        "--@sqlite\n--@postgresql\n--@end\n"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        const struct migration m = {1, "wrong", wrong[i]};
        struct err err;
        int applied = -1;
        CHECK_FAILS(migrate(backend, &m, 1, &applied, &err), &err, ERR_INVALID);
        CHECK_INT(state(backend), 0);
    }
}

struct starter {
    struct test_backend *backend;
    int applied, failed;
};

static void start(void *arg) {
    struct starter *s = arg;
    struct err err;
    int applied = 0;
    if (!CHECK_OK(migrate(s->backend, two, 2, &applied, &err), &err)) {
        s->failed++;
    }
    s->applied += applied;
}

BOTH_BACKENDS(concurrent_starts_wait_for_each_other) {
    struct starter starter = {.backend = backend};
    struct fiber_scope scope;
    struct err err;
    fiber_scope_init(&scope);
    for (int i = 0; i < 8; i++) {
        CHECK_OK(fiber_spawn(&scope, "start", start, &starter, NULL, &err), &err);
    }
    fiber_scope_join(&scope);
    CHECK_INT(starter.failed, 0);
    CHECK_INT(starter.applied, 2);
    CHECK_INT(state(backend), 2);
}
