/* What a turn costs in the store: accepted with its message, and ended by one step with an answer,
 * a checkpoint, usage and its events, from many fibers at once. CPU is this process's own, worker
 * threads included; PostgreSQL's is not in it.
 *
 *     bench_store [sqlite DIR | postgres URL] [FIBERS] [SECONDS] [same | new]
 *
 * same: each fiber goes on in a thread of its own; new: each turn begins a thread. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "db/migrate.h"
#include "store/migrations.h"
#include "store/turns.h"

struct bench {
    struct db *db;
    struct db_options options;
    unsigned fibers, seconds;
    bool new_threads;
    int64_t end_us, max_us;
    uint64_t turns;
};

static char answer[256], events[3600];

static void fail(const char *what, const struct err *err) {
    fprintf(stderr, "%s: %s\n", what, err->msg);
    exit(1);
}

static struct turn_accepted begin(struct bench *b, struct str thread, struct str turn) {
    struct turn_accepted accepted;
    struct id message = id_new();
    struct err err;
    struct turn_accept a = {
        .user_id = STR("user-0001"),
        .thread_id = thread,
        .turn_id = turn,
        .message_id = id_str(&message),
        .message_json = STR("{\"role\":\"user\",\"content\":\"Tell me, how is the weather?\"}"),
        .plain = true,
        .input = STR("{\"allow_operator_llm\":true}"),
        .owner = STR("bench"),
        .must_be_new_thread = b->new_threads,
    };
    if (turn_accept(b->db, &a, &accepted, &err) < 0) {
        fail("accept", &err);
    }
    return accepted;
}

static void end(struct bench *b, struct str thread, struct str turn,
                const struct turn_accepted *accepted) {
    static const struct turn_usage usage = {.provider = {"anthropic", 9},
                                            .model = {"claude", 6},
                                            .key_owner = {"operator", 8},
                                            .input_tokens = 100,
                                            .output_tokens = 32};
    struct id id = id_new();
    struct err err;
    bool cancel;
    struct turn_message m = {.seq = accepted->message_seq + 1,
                             .id = id_str(&id),
                             .role = STR("assistant"),
                             .plain = true,
                             .json = {answer, sizeof answer}};
    struct turn_step s = {.key = {STR("user-0001"), turn},
                          .thread_id = thread,
                          .position = accepted->position,
                          .step = 1,
                          .messages = &m,
                          .n_messages = 1,
                          .node = STR("finish"),
                          .state = STR("{\"calls\":1}"),
                          .message_seq = m.seq,
                          .usage = &usage,
                          .events = {events, sizeof events},
                          .events_last_seq = 36,
                          .end = true,
                          .end_state = TURN_DONE};
    if (turn_step_store(b->db, &s, &cancel, &err) < 0) {
        fail("step", &err);
    }
}

static void worker(void *arg) {
    struct bench *b = arg;
    struct id thread = id_new();
    while (clock_mono_us() < b->end_us) {
        int64_t begun_us = clock_mono_us();
        struct id turn = id_new();
        if (b->new_threads) {
            thread = id_new();
        }
        struct turn_accepted accepted = begin(b, id_str(&thread), id_str(&turn));
        end(b, id_str(&thread), id_str(&turn), &accepted);
        b->max_us = MAX(b->max_us, clock_mono_us() - begun_us);
        b->turns++;
    }
}

static int64_t cpu_us(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (int64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + u.ru_utime.tv_usec +
           u.ru_stime.tv_usec;
}

static void open_db(struct bench *b) {
    struct err err;
    int applied;
    size_t n;
    const struct migration *migrations = store_migrations(&n);
    if (db_migrate(&b->options, migrations, n, &applied, &err) < 0) {
        fail("migrate", &err);
    }
    b->options.role = b->options.url ? STORE_GATEWAY_ROLE : NULL;
    if (db_open(&b->options, &b->db, &err) < 0) {
        fail("open", &err);
    }
}

static void run(void *arg) {
    struct bench *b = arg;
    struct fiber_scope scope;
    struct err err;
    open_db(b);
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
    double n = (double)b->turns;
    struct db_stats stats = db_stats(b->db);
    printf("%-8s %3u fibers, %s thread: %6.0f turns/s, %5.1f us CPU each, %4.1f a commit, "
           "%.1f ms each, at most %.0f\n",
           b->options.url ? "postgres" : "sqlite", b->fibers, b->new_threads ? "new " : "same",
           n / seconds, (double)(cpu_us() - cpu) / n, 2 * n / (double)stats.commits,
           1e3 * seconds * b->fibers / n, (double)b->max_us / 1e3);
    db_close(b->db);
}

int main(int argc, char **argv) {
    struct bench bench = {.fibers = argc > 3 ? (unsigned)atoi(argv[3]) : 64,
                          .seconds = argc > 4 ? (unsigned)atoi(argv[4]) : 3,
                          .new_threads = argc > 5 && strcmp(argv[5], "new") == 0};
    struct fiber_options options = {0};
    struct fiber_scope scope;
    struct err err;
    char path[512];
    uv_loop_t loop;

    if (argc < 3) {
        fprintf(stderr, "usage: %s sqlite DIR | postgres URL [FIBERS] [SECONDS] [same | new]\n",
                argv[0]);
        return 64;
    }
    memset(answer, 'a', sizeof answer);
    memset(events, 'e', sizeof events);
    snprintf(path, sizeof path, "%s/bench.db", argv[2]);
    if (strcmp(argv[1], "postgres") == 0) {
        bench.options.url = argv[2];
    } else {
        bench.options.sqlite_path = path;
    }
    uv_loop_init(&loop);
    fiber_runtime_start(&loop, &options);
    fiber_scope_init(&scope);
    if (fiber_spawn(&scope, "bench", run, &bench, NULL, &err) < 0) {
        fail("spawn", &err);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    fiber_runtime_stop();
    uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop);
}
