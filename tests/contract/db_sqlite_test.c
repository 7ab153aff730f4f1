/* What only SQLite has: one writer with group commit, a file, a log beside it, other processes. */
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "things.h"

#define SQLITE(name)                                                                               \
    static void name(struct test_backend *backend);                                                \
    TEST_FIBER(name) {                                                                             \
        test_on_backend(DB_SQLITE, name);                                                          \
    }                                                                                              \
    static void name(struct test_backend *backend)

struct crowd {
    struct db *db;
    const char *prefix;
    unsigned next, each;
    int failed;
    struct err last;
};

static void insert_some(void *arg) {
    struct crowd *crowd = arg;
    struct err err;
    for (unsigned i = 0; i < crowd->each; i++) {
        char id[64];
        snprintf(id, sizeof id, "%s-%u", crowd->prefix, crowd->next++);
        if (RUN(crowd->db, DB_WRITE, &sql_insert, NULL, &err, db_textz(id), db_int(1)) < 0) {
            crowd->failed++;
            crowd->last = err;
        }
    }
}

static void spawn_crowd(struct fiber_scope *scope, unsigned n, struct crowd *crowd) {
    struct err err;
    for (unsigned i = 0; i < n; i++) {
        CHECK_OK(fiber_spawn(scope, "crowd", insert_some, crowd, NULL, &err), &err);
    }
}

SQLITE(transactions_share_commits) {
    struct crowd crowd = {.db = things_open(backend), .prefix = "x", .each = 20};
    struct fiber_scope scope;
    REQUIRE(crowd.db);
    fiber_scope_init(&scope);
    spawn_crowd(&scope, 64, &crowd);
    fiber_scope_join(&scope);
    struct db_stats stats = db_stats(crowd.db);
    CHECK_INT(crowd.failed, 0);
    CHECK_INT(things_count(crowd.db), 64 * 20);
    CHECK_INT(stats.transactions, 64 * 20);
    CHECK(stats.commits > 0 && stats.commits < stats.transactions / 2);
    db_close(crowd.db);
}

/* SQLite rolls everything back when it interrupts a write: the others of the group are run again.
 */
SQLITE(an_interrupted_write_costs_nobody_else) {
    static const struct db_sql sql_insert_forever =
        DB_SQL("insert_forever", "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c "
                                 "WHERE x < 1000000000) INSERT INTO things(id, n) SELECT 'f', "
                                 "count(*) FROM c");
    backend->options.statement_timeout_ms = 150;
    struct crowd crowd = {.db = things_open(backend), .prefix = "x", .each = 2};
    struct fiber_scope scope;
    struct err err;
    REQUIRE(crowd.db);
    fiber_scope_init(&scope);
    for (int i = 0; i < 3; i++) {
        spawn_crowd(&scope, 10, &crowd);
        CHECK_FAILS(RUN(crowd.db, DB_WRITE, &sql_insert_forever, NULL, &err), &err, ERR_TIMEOUT);
    }
    fiber_scope_join(&scope);
    CHECK_INT(crowd.failed, 0);
    CHECK_INT(things_count(crowd.db), 60);
    db_close(crowd.db);
}

SQLITE(reading_cannot_write) {
    struct db *db = things_open(backend);
    struct err err;
    REQUIRE(db);
    CHECK_FAILS(RUN(db, DB_READ, &sql_insert, NULL, &err, db_text(STR("a")), db_int(1)), &err,
                ERR_INTERNAL);
    CHECK_INT(things_count(db), 0);
    db_close(db);
}

/* ---- snapshots ---- */

struct transfers {
    struct db *db;
    bool stop;
};

static void transfer(void *arg) {
    struct transfers *t = arg;
    struct err err;
    while (!t->stop) {
        struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(t->db, STR("u1"), DB_WRITE);
        db_tx_add(tx, &sql_add, db_text(STR("a")), db_int(-1));
        db_tx_add(tx, &sql_add, db_text(STR("b")), db_int(1));
        CHECK_OK(db_tx_run(tx, &err), &err);
    }
}

SQLITE(a_reading_transaction_sees_one_moment) {
    struct transfers t = {.db = things_open(backend)};
    struct fiber_scope scope;
    struct err err;
    REQUIRE(t.db);
    CHECK_OK(RUN(t.db, DB_WRITE, &sql_insert, NULL, &err, db_text(STR("a")), db_int(1000)), &err);
    CHECK_OK(RUN(t.db, DB_WRITE, &sql_insert, NULL, &err, db_text(STR("b")), db_int(0)), &err);
    fiber_scope_init(&scope);
    CHECK_OK(fiber_spawn(&scope, "transfer", transfer, &t, NULL, &err), &err);
    for (int i = 0; i < 200; i++) {
        struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(t.db, STR("u1"), DB_READ);
        db_tx_add(tx, &sql_get, db_text(STR("a")));
        db_tx_add(tx, &sql_get, db_text(STR("b")));
        REQUIRE_OK(db_tx_run(tx, &err), &err);
        CHECK_INT(db_get_int(tx, 0, 0, 0) + db_get_int(tx, 1, 0, 0), 1000);
    }
    t.stop = true;
    fiber_scope_join(&scope);
    db_close(t.db);
}

/* ---- the file ---- */

static long long size_of(const struct test_backend *backend, const char *suffix) {
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s%s", backend->path, suffix);
    return stat(path, &st) == 0 ? (long long)st.st_size : -1;
}

static unsigned mode_of(const struct test_backend *backend, const char *suffix) {
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s%s", backend->path, suffix);
    return stat(path, &st) == 0 ? st.st_mode & 0777 : 0;
}

SQLITE(the_files_are_private) {
    struct db *db = things_open(backend);
    struct err err;
    REQUIRE(db);
    CHECK_OK(RUN(db, DB_WRITE, &sql_insert, NULL, &err, db_text(STR("a")), db_int(1)), &err);
    CHECK_INT(mode_of(backend, ""), 0600);
    CHECK_INT(mode_of(backend, "-wal"), 0600);
    CHECK_INT(mode_of(backend, "-shm"), 0600);
    db_close(db);
    CHECK_INT(size_of(backend, "-wal"), -1); /* closing copies the log back */
}

SQLITE(a_file_that_cannot_be_opened_says_so) {
    struct db_options options = {.sqlite_path = "/nonexistent/x/test.db"};
    struct db *db;
    struct err err;
    CHECK_FAILS(db_open(&options, &db, &err), &err, ERR_IO);
    CHECK(strstr(err.msg, "/nonexistent/x/test.db") != NULL);
    FILE *file = fopen(backend->path, "w");
    REQUIRE(file);
    fputs("this is a text and no database at all, though it is long enough to look like one.....",
          file);
    fclose(file);
    CHECK_FAILS(db_open(&backend->options, &db, &err), &err, ERR_IO);
}

static void write_blobs(void *arg) {
    enum { BLOB_BYTES = 100 * 1000 };
    static const struct db_sql sql =
        DB_SQL("blob", "INSERT INTO things(id, raw) VALUES ($1, $2) "
                       "ON CONFLICT (id) DO UPDATE SET raw = excluded.raw");
    struct crowd *crowd = arg;
    struct err err;
    char *blob cleanup(mem_free_p) = mem_alloc(BLOB_BYTES);
    for (int i = 0; i < 40; i++) {
        char id[32];
        snprintf(id, sizeof id, "b%u", crowd->next++ % 20);
        if (RUN(crowd->db, DB_WRITE, &sql, NULL, &err, db_textz(id),
                db_bytes((struct str){blob, BLOB_BYTES})) < 0) {
            crowd->failed++;
        }
    }
}

SQLITE(the_log_stays_bounded) {
    struct crowd crowd = {.db = things_open(backend)};
    struct fiber_scope scope;
    struct err err;
    REQUIRE(crowd.db);
    for (int round = 0; round < 4; round++) { /* 128 MB in all */
        fiber_scope_init(&scope);
        for (int i = 0; i < 8; i++) {
            CHECK_OK(fiber_spawn(&scope, "blobs", write_blobs, &crowd, NULL, &err), &err);
        }
        fiber_scope_join(&scope);
        CHECK(size_of(backend, "-wal") < 32 * 1000 * 1000);
    }
    CHECK_INT(crowd.failed, 0);
    db_close(crowd.db);
}

SQLITE(a_full_disk_is_told_and_got_over) {
    struct crowd crowd = {.db = things_open(backend), .prefix = "full", .each = 20};
    struct fiber_scope scope;
    struct rlimit old, small;
    REQUIRE(crowd.db);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    small = old;
    small.rlim_cur = (rlim_t)size_of(backend, "-wal") + 20000;
    setrlimit(RLIMIT_FSIZE, &small);
    fiber_scope_init(&scope);
    spawn_crowd(&scope, 20, &crowd);
    fiber_scope_join(&scope);
    setrlimit(RLIMIT_FSIZE, &old);
    signal(SIGXFSZ, SIG_DFL);
    CHECK(crowd.failed > 0);
    CHECK_INT(crowd.last.code, ERR_IO);
    CHECK(!db_stats(crowd.db).healthy);
    CHECK_INT(things_count(crowd.db), 400 - crowd.failed);

    crowd.prefix = "after";
    crowd.failed = 0;
    insert_some(&crowd);
    CHECK_INT(crowd.failed, 0);
    CHECK(db_stats(crowd.db).healthy);
    db_close(crowd.db);
}

/* Room may be made again: that is worth waiting for, and no mistake of whoever asks. */
SQLITE(without_room_the_database_is_unavailable) {
    static const struct db_sql sql_no_room = DB_SQL("no_room", "PRAGMA max_page_count = 1");
    static const struct db_sql sql_room = DB_SQL("room", "PRAGMA max_page_count = 1000000");
    char large[20000];
    struct db *db = things_open(backend);
    struct err err;
    REQUIRE(db);
    memset(large, 'x', sizeof large);
    struct db_value value = db_text((struct str){large, sizeof large});
    REQUIRE_OK(RUN(db, DB_WRITE, &sql_no_room, NULL, &err), &err);
    CHECK_FAILS(RUN(db, DB_WRITE, &sql_insert, NULL, &err, value, db_int(1)), &err,
                ERR_UNAVAILABLE);
    REQUIRE_OK(RUN(db, DB_WRITE, &sql_room, NULL, &err), &err);
    CHECK_OK(RUN(db, DB_WRITE, &sql_insert, NULL, &err, value, db_int(1)), &err);
    db_close(db);
}

/* ---- beside another process ---- */

SQLITE(a_foreign_lock_is_waited_for) {
    backend->options.acquire_timeout_ms = 150;
    struct db *db = things_open(backend);
    sqlite3 *other;
    struct err err;
    REQUIRE(db);
    REQUIRE(sqlite3_open(backend->path, &other) == SQLITE_OK);
    CHECK_INT(sqlite3_exec(other, "BEGIN IMMEDIATE; INSERT INTO things(id) VALUES ('other')", NULL,
                           NULL, NULL),
              SQLITE_OK);
    CHECK_FAILS(RUN(db, DB_WRITE, &sql_insert, NULL, &err, db_text(STR("a")), db_int(1)), &err,
                ERR_BUSY);
    CHECK_INT(things_count(db), 0); /* readers go on */
    CHECK_INT(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    CHECK_OK(RUN(db, DB_WRITE, &sql_insert, NULL, &err, db_text(STR("a")), db_int(1)), &err);
    CHECK_INT(things_count(db), 2);
    sqlite3_close(other);
    db_close(db);
}

/* Asks in another process, as a process does not see its own locks. */
static bool is_locked(const char *path) {
    pid_t child = fork();
    if (child == 0) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        int fd = open(path, O_RDWR | O_CLOEXEC);
        _exit(fd >= 0 && fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK ? 1 : 0);
    }
    int status = 0;
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
           WEXITSTATUS(status) == 1;
}

/* Without this lock another program that closes the database last removes the log under us. */
SQLITE(an_open_database_stays_locked) {
    struct db *db = things_open(backend);
    struct err err;
    REQUIRE(db);
    CHECK_OK(RUN(db, DB_WRITE, &sql_insert, NULL, &err, db_text(STR("a")), db_int(1)), &err);
    CHECK_INT(things_count(db), 1);
    CHECK(is_locked(backend->path));
    db_close(db);
    CHECK(!is_locked(backend->path));
}

static void fill_queue(void *arg) {
    struct crowd *crowd = arg;
    insert_some(crowd);
}

SQLITE(the_queue_is_bounded) {
    enum { MORE_THAN_FITS = 9000 };
    backend->options.acquire_timeout_ms = 2000;
    struct crowd crowd = {.db = things_open(backend), .prefix = "x", .each = 1};
    struct fiber_scope scope;
    sqlite3 *other;
    struct err err;
    REQUIRE(crowd.db);
    REQUIRE(sqlite3_open(backend->path, &other) == SQLITE_OK);
    sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    fiber_scope_init(&scope);
    for (int i = 0; i < MORE_THAN_FITS; i++) {
        CHECK_OK(fiber_spawn(&scope, "fill", fill_queue, &crowd, NULL, &err), &err);
    }
    fiber_sleep(200);
    sqlite3_exec(other, "COMMIT", NULL, NULL, NULL);
    sqlite3_close(other);
    fiber_scope_join(&scope);
    CHECK(crowd.failed > 0);
    CHECK_INT(crowd.last.code, ERR_BUSY);
    CHECK_INT(things_count(crowd.db), MORE_THAN_FITS - crowd.failed);
    db_close(crowd.db);
}
