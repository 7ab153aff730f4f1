/* The readers against a store that is played here, so that a turn can be made to live, move, die
 * and be swept at will. */
#include "event/run.h"

#include "base/mem.h"
#include "store/threads.h"
#include "test.h"

/* ---- the store as the tests set it ---- */

static struct {
    struct turn_row row;
    const char *events; /* lines */
    bool missing;
    int looks;
} played;

enum db_backend db_backend(const struct db *db) {
    (void)db;
    return DB_SQLITE;
}

int db_listen(struct db *db, const char *channel, void (*on_notify)(struct str payload, void *arg),
              void (*on_lost)(void *arg), void *arg, struct err *err) {
    (void)db, (void)channel, (void)on_notify, (void)on_lost, (void)arg, (void)err;
    return 0;
}

void db_unlisten(struct db *db, void *arg) {
    (void)db, (void)arg;
}

int db_notify(struct db *db, const char *channel, struct str payload, struct err *err) {
    (void)db, (void)channel, (void)payload, (void)err;
    return 0;
}

int turn_get(struct db *db, struct turn_key key, struct arena *arena, struct turn_row *ret,
             struct err *err) {
    (void)db, (void)key, (void)arena;
    played.looks++;
    if (played.missing) {
        return err_set(err, ERR_NOT_FOUND, "no such turn");
    }
    *ret = played.row;
    return 0;
}

int turn_events(struct db *db, struct turn_key key, int64_t since, struct strbuf *out,
                struct err *err) {
    (void)db, (void)key, (void)err;
    struct str lines = str_z(played.events);
    while (lines.n) {
        struct str line = str_cut(&lines, '\n'), rest = line;
        int64_t seq = 0;
        CHECK(str_to_i64(str_cut(&rest, ' '), &seq));
        if (seq > since) {
            strbuf_add(out, line);
            strbuf_addc(out, '\n');
        }
    }
    return 0;
}

int thread_messages(struct db *db, struct str user_id, struct str id, int64_t before_seq,
                    size_t max, struct arena *arena, struct thread_message **ret, size_t *ret_n,
                    struct err *err) {
    (void)db, (void)user_id, (void)id, (void)before_seq, (void)max, (void)err;
    *ret = arena_alloc(arena, sizeof **ret);
    (*ret)[0] = (struct thread_message){.id = STR("m1"),
                                        .role = STR("user"),
                                        .json = STR("{\"role\":\"user\",\"content\":\"hi\"}")};
    *ret_n = 1;
    return 0;
}

/* ---- helpers ---- */

static struct runs *begin(void) {
    memset(&played, 0, sizeof played);
    played.row.thread_id = STR("th");
    played.row.lease_owner = STR("p1");
    return runs_new(NULL, STR("p1"));
}

static void end(struct runs *runs) {
    runs_stop(runs);
    runs_free(runs);
}

static struct run *open_run(struct runs *runs, int64_t epoch) {
    return run_open(runs, STR("u"), STR("th"), STR("t"), epoch);
}

/* All that one read gives, as "seq:json " items; "." for the end, "-" for a timeout. */
static struct str read_all(struct run_reader *r, struct strbuf *out) {
    const struct run_event *events;
    size_t n;
    struct err err;
    strbuf_reset(out);
    int rc = run_read(r, 20, &events, &n, &err);
    if (rc == -ERR_TIMEOUT) {
        strbuf_addc(out, '-');
    } else if (CHECK_OK(rc, &err) && n == 0) {
        strbuf_addc(out, '.');
    }
    for (size_t i = 0; rc == 0 && i < n; i++) {
        strbuf_addf(out, "%lld:%.*s ", (long long)events[i].seq, STR_ARG(events[i].json));
    }
    return strbuf_str(out);
}

/* ---- tests ---- */

TEST_FIBER(events_are_numbered_and_held_back_until_released) {
    struct runs *runs = begin();
    struct strbuf got cleanup(strbuf_done) = STRBUF(10000);
    struct run *run = open_run(runs, 0);
    struct run_reader *r = run_reader_open_live(run);
    run_hold(run);
    CHECK_INT(run_emit(run, STR("{\"type\":\"A\"}")), 1);
    CHECK_STR(read_all(r, &got), "-");
    run_release(run);
    CHECK_INT(run_emit(run, STR("{\"type\":\"B\"}")), 2);
    CHECK_STR(read_all(r, &got), "1:{\"type\":\"A\"} 2:{\"type\":\"B\"} ");
    run_close(run);
    CHECK_STR(read_all(r, &got), ".");
    run_reader_close(r);
    end(runs);
}

TEST_FIBER(closing_makes_the_last_events_visible_first) {
    struct runs *runs = begin();
    struct strbuf got cleanup(strbuf_done) = STRBUF(10000);
    struct run *run = open_run(runs, 0);
    struct run_reader *r = run_reader_open_live(run);
    run_hold(run);
    run_emit(run, STR("{\"type\":\"RUN_FINISHED\"}"));
    run_close(run);
    CHECK_STR(read_all(r, &got), "1:{\"type\":\"RUN_FINISHED\"} ");
    CHECK_STR(read_all(r, &got), ".");
    run_reader_close(r);
    end(runs);
}

TEST_FIBER(unstored_lines_are_those_since_the_last_store) {
    struct runs *runs = begin();
    struct strbuf lines cleanup(strbuf_done) = STRBUF(10000);
    struct run *run = open_run(runs, 1);
    int64_t last;
    run_emit(run, STR("{\"type\":\"A\"}"));
    run_unstored(run, &lines, &last);
    CHECK_STR(strbuf_str(&lines), "16777217 {\"type\":\"A\"}\n");
    CHECK_INT(last, RUN_EPOCH_SEQS + 1);
    run_stored(run, last);
    strbuf_reset(&lines);
    run_unstored(run, &lines, &last);
    CHECK_STR(strbuf_str(&lines), "");
    CHECK_INT(last, 0);
    run_close(run);
    end(runs);
}

TEST_FIBER(memory_is_bounded_and_a_late_reader_gets_the_rest_from_the_store) {
    struct runs *runs = begin();
    struct strbuf big cleanup(strbuf_done) = STRBUF(100000),
                      got cleanup(strbuf_done) = STRBUF(1000000);
    struct run *run = open_run(runs, 0);
    struct err err;
    strbuf_addz(&big, "{\"type\":\"X\",\"p\":\"");
    for (int i = 0; i < 60000; i++) {
        strbuf_addc(&big, 'x');
    }
    strbuf_addz(&big, "\"}");
    for (int i = 0; i < 20; i++) {
        run_stored(run, run_emit(run, strbuf_str(&big)));
    }
    CHECK(runs_stats(runs).bytes <= 300 * 1024);
    played.events = "1 {\"type\":\"FIRST\"}\n2 {\"type\":\"SECOND\"}\n";
    struct run_reader *r;
    REQUIRE_OK(run_reader_open(runs, STR("u"), STR("t"), 0, &r, &err), &err);
    CHECK_STR(read_all(r, &got), "1:{\"type\":\"FIRST\"} 2:{\"type\":\"SECOND\"} ");
    run_reader_close(r);
    run_close(run);
    CHECK_INT(runs_stats(runs).bytes, 0);
    end(runs);
}

TEST_FIBER(a_new_owner_follows_the_dead_one_without_a_break) {
    struct runs *runs = begin();
    struct strbuf got cleanup(strbuf_done) = STRBUF(10000);
    struct run *run = open_run(runs, 0);
    struct run_reader *r = run_reader_open_live(run);
    run_emit(run, STR("{\"type\":\"RUN_STARTED\"}"));
    run_emit(run, STR("{\"type\":\"TEXT_MESSAGE_START\",\"messageId\":\"m\\\"1\"}"));
    read_all(r, &got);
    run_abandon(run);
    run = open_run(runs, 1);
    run_emit(run, STR("{\"type\":\"RUN_STARTED\"}"));
    run_emit(run, STR("{\"type\":\"MESSAGES_SNAPSHOT\"}"));
    CHECK_STR(read_all(r, &got), "0:{\"type\":\"TEXT_MESSAGE_END\",\"messageId\":\"m\\\"1\"} "
                                 "16777218:{\"type\":\"MESSAGES_SNAPSHOT\"} ");
    run_close(run);
    CHECK_STR(read_all(r, &got), ".");
    run_reader_close(r);
    end(runs);
}

TEST_FIBER(an_ended_turn_is_replayed_from_the_store) {
    struct runs *runs = begin();
    struct strbuf got cleanup(strbuf_done) = STRBUF(10000);
    struct run_reader *r;
    struct err err;
    played.row.state = TURN_DONE;
    played.events = "1 {\"type\":\"RUN_STARTED\"}\n2 {\"type\":\"RUN_FINISHED\"}\n";
    REQUIRE_OK(run_reader_open(runs, STR("u"), STR("t"), 1, &r, &err), &err);
    CHECK_STR(read_all(r, &got), "2:{\"type\":\"RUN_FINISHED\"} ");
    CHECK_STR(read_all(r, &got), ".");
    run_reader_close(r);
    end(runs);
}

TEST_FIBER(a_swept_turn_is_told_by_a_snapshot) {
    struct runs *runs = begin();
    struct strbuf got cleanup(strbuf_done) = STRBUF(10000);
    struct run_reader *r;
    struct err err;
    played.row.state = TURN_FAILED;
    played.row.error = STR("it broke");
    played.row.error_code = STR("timeout");
    played.events = "";
    REQUIRE_OK(run_reader_open(runs, STR("u"), STR("t"), 0, &r, &err), &err);
    struct str all = read_all(r, &got);
    size_t started = str_find(all, STR("RUN_STARTED")),
           snapshot = str_find(all, STR("\"content\":\"hi\"")),
           error = str_find(all, STR("\"message\":\"it broke\",\"code\":\"timeout\""));
    CHECK(started < snapshot && snapshot < error && error != SIZE_MAX);
    CHECK_STR(read_all(r, &got), ".");
    run_reader_close(r);
    end(runs);
}

TEST_FIBER(an_unknown_turn_is_not_found) {
    struct runs *runs = begin();
    struct run_reader *r;
    struct err err;
    played.missing = true;
    CHECK_FAILS(run_reader_open(runs, STR("u"), STR("t"), 0, &r, &err), &err, ERR_NOT_FOUND);
    end(runs);
}

TEST_FIBER(one_users_turn_is_not_anothers) {
    struct runs *runs = begin();
    struct run_reader *r;
    struct err err;
    struct run *run = open_run(runs, 0);
    played.missing = true;
    CHECK_FAILS(run_reader_open(runs, STR("other"), STR("t"), 0, &r, &err), &err, ERR_NOT_FOUND);
    run_close(run);
    end(runs);
}

static void emit_many(void *arg) {
    struct run *run = arg;
    for (int i = 0; i < 1000; i++) {
        run_emit(run, STR("{\"type\":\"X\"}"));
        if (i % 7 == 0) {
            fiber_yield();
        }
    }
    run_close(run);
}

TEST_FIBER(every_reader_sees_every_event_once_and_in_order) {
    struct runs *runs = begin();
    struct fiber_scope scope;
    struct err err;
    struct run *run = open_run(runs, 0);
    struct run_reader *r = run_reader_open_live(run);
    const struct run_event *events;
    size_t n;
    int64_t next = 1;
    fiber_scope_init(&scope);
    REQUIRE_OK(fiber_spawn(&scope, "emit", emit_many, run, NULL, &err), &err);
    while (CHECK_OK(run_read(r, 1000, &events, &n, &err), &err) && n > 0) {
        for (size_t i = 0; i < n; i++) {
            CHECK_INT(events[i].seq, next++);
        }
    }
    CHECK_INT(next, 1001);
    run_reader_close(r);
    fiber_scope_done(&scope);
    end(runs);
}
