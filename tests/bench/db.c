/* What a small durable transaction costs: six statements, as a step of a turn has them, from many
 * fibers at once. CPU is this process's own, worker threads included; PostgreSQL's is not in it.
 *
 *     bench_db [sqlite DIR | postgres URL] [FIBERS] [SECONDS] */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "db/db.h"
#include "db/migrate.h"

static const struct migration schema[] = {
    {1, "bench",
     "CREATE TABLE messages(user_id TEXT, thread_id TEXT, seq BIGINT, body TEXT, at TIMESTAMPTZ,\n"
     "PRIMARY KEY (thread_id, seq));\n"
     "CREATE TABLE threads(id TEXT PRIMARY KEY, user_id TEXT, seq BIGINT, at TIMESTAMPTZ);\n"
     "CREATE TABLE checkpoints(thread_id TEXT PRIMARY KEY, user_id TEXT, state TEXT);\n"
     "CREATE TABLE usage(thread_id TEXT PRIMARY KEY, user_id TEXT, input BIGINT, output BIGINT);"}};

static const struct db_sql sql_thread =
    DB_SQL("thread", "INSERT INTO threads(id, user_id, seq, at) VALUES ($1, $2, 0, $3)");
static const struct db_sql sql_require = DB_SQL(
    "owns", "SELECT adjutant_require(EXISTS (SELECT 1 FROM threads WHERE id = $1 AND user_id = $2 "
            "AND seq = $3), 'moved')");
static const struct db_sql sql_message =
    DB_SQL("message", "INSERT INTO messages(user_id, thread_id, seq, body, at) "
                      "VALUES ($1, $2, $3, $4, $5)");
static const struct db_sql sql_touch =
    DB_SQL("touch", "UPDATE threads SET seq = $3, at = $4 WHERE id = $1 AND user_id = $2");
static const struct db_sql sql_checkpoint =
    DB_SQL("checkpoint", "INSERT INTO checkpoints(thread_id, user_id, state) VALUES ($1, $2, $3) "
                         "ON CONFLICT (thread_id) DO UPDATE SET state = excluded.state");
static const struct db_sql sql_usage =
    DB_SQL("usage", "INSERT INTO usage(thread_id, user_id, input, output) VALUES ($1, $2, $3, $4) "
                    "ON CONFLICT (thread_id) DO UPDATE SET input = usage.input + excluded.input, "
                    "output = usage.output + excluded.output");
static const struct db_sql sql_read =
    DB_SQL("read", "SELECT seq, at FROM threads WHERE id = $1 AND user_id = $2");

struct bench {
    struct db *db;
    struct db_options options;
    unsigned fibers, seconds;
    int64_t end_us;
    uint64_t transactions;
};

static char body[512], state[256];

static void fail(const char *what, const struct err *err) {
    fprintf(stderr, "%s: %s\n", what, err->msg);
    exit(1);
}

static void step(struct bench *b, struct str thread, int64_t seq) {
    const struct str user = STR("user-0001");
    struct err err;
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(b->db, user, DB_WRITE);
    db_tx_add(tx, &sql_require, db_text(thread), db_text(user), db_int(seq));
    db_tx_add(tx, &sql_message, db_text(user), db_text(thread), db_int(seq),
              db_text((struct str){body, sizeof body}), db_time(clock_now_us()));
    db_tx_add(tx, &sql_touch, db_text(thread), db_text(user), db_int(seq + 1),
              db_time(clock_now_us()));
    db_tx_add(tx, &sql_checkpoint, db_text(thread), db_text(user),
              db_text((struct str){state, sizeof state}));
    db_tx_add(tx, &sql_usage, db_text(thread), db_text(user), db_int(100), db_int(7));
    db_tx_add(tx, &sql_read, db_text(thread), db_text(user));
    if (db_tx_run(tx, &err) < 0) {
        fail("step", &err);
    }
    b->transactions++;
}

static void worker(void *arg) {
    static unsigned count;
    struct bench *b = arg;
    struct err err;
    char id[40];
    snprintf(id, sizeof id, "0192f0c1-0000-7000-8000-%05u%07u", count++,
             (unsigned)(clock_now_us() / 1000 % 10000000));
    struct db_tx *tx = db_tx_new(b->db, STR("user-0001"), DB_WRITE);
    db_tx_add(tx, &sql_thread, db_textz(id), db_text(STR("user-0001")), db_time(clock_now_us()));
    if (db_tx_run(tx, &err) < 0) {
        fail("thread", &err);
    }
    db_tx_free(tx);
    for (int64_t seq = 0; clock_mono_us() < b->end_us; seq++) {
        step(b, str_z(id), seq);
    }
}

static int64_t cpu_us(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (int64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + u.ru_utime.tv_usec +
           u.ru_stime.tv_usec;
}

static void run(void *arg) {
    struct bench *b = arg;
    struct fiber_scope scope;
    struct err err;
    int applied;
    if (db_migrate(&b->options, schema, 1, &applied, &err) < 0 ||
        db_open(&b->options, &b->db, &err) < 0) {
        fail("open", &err);
    }
    int64_t begun_us = clock_mono_us(), cpu = cpu_us();
    b->end_us = begun_us + (int64_t)b->seconds * 1000000;
    fiber_scope_init(&scope);
    for (unsigned i = 0; i < b->fibers; i++) {
        if (fiber_spawn(&scope, "bench", worker, b, NULL, &err) < 0) {
            fail("spawn", &err);
        }
    }
    fiber_scope_join(&scope);
    double seconds = (double)(clock_mono_us() - begun_us) / 1e6;
    double n = (double)b->transactions;
    struct db_stats stats = db_stats(b->db);
    printf("%-8s %3u fibers: %7.0f transactions/s, %5.1f us CPU each, %4.1f a commit, %.2f ms "
           "each\n",
           b->options.url ? "postgres" : "sqlite", b->fibers, n / seconds,
           (double)(cpu_us() - cpu) / n, n / (double)stats.commits, 1e3 * seconds * b->fibers / n);
    db_close(b->db);
}

int main(int argc, char **argv) {
    struct bench bench = {.fibers = argc > 3 ? (unsigned)atoi(argv[3]) : 64,
                          .seconds = argc > 4 ? (unsigned)atoi(argv[4]) : 3};
    struct fiber_options options = {0};
    struct fiber_scope scope;
    struct err err;
    char path[512];
    uv_loop_t loop;

    if (argc < 3) {
        fprintf(stderr, "usage: %s sqlite DIR | postgres URL [FIBERS] [SECONDS]\n", argv[0]);
        return 64;
    }
    memset(body, 'b', sizeof body);
    memset(state, 's', sizeof state);
    snprintf(path, sizeof path, "%s/bench.db", argv[2]);
    if (strcmp(argv[1], "postgres") == 0) {
        bench.options.url = argv[2];
    } else {
        bench.options.sqlite_path = path;
    }
    uv_loop_init(&loop);
    fiber_runtime_start(&loop, &options);
    fiber_scope_init(&scope);
    if (fiber_spawn(&scope, "main", run, &bench, NULL, &err) < 0) {
        fail("spawn", &err);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    fiber_runtime_stop();
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    return 0;
}
