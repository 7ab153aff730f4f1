/* What is read of turns and threads, events, usage, keys and sessions. */
#include "store/notifications.h"
#include "store/search.h"
#include "store_fixture.h"

static const char *const nine = "123456789"; /* a message of it has 37 bytes */

static size_t history(struct fixture *f, int64_t up_to, size_t max, size_t bytes, int64_t *ret_low,
                      int64_t *ret_high) {
    struct turn_message *messages = NULL;
    size_t n = 0;
    CHECK_OK(turn_history(f->db, ME, STR("t"), STR_EMPTY, up_to, max, bytes, &f->arena, &messages,
                          &n, &f->err),
             &f->err);
    *ret_low = n ? messages[0].seq : 0;
    *ret_high = n ? messages[n - 1].seq : 0;
    return n;
}

BOTH_BACKENDS(history_keeps_to_its_budget) {
    struct fixture f cleanup(fixture_close) = {0};
    struct turn_accepted a;
    int64_t low, high;
    REQUIRE(fixture_open(&f, backend));
    for (int i = 1; i <= 5; i++) {
        char id[8];
        snprintf(id, sizeof id, "r%d", i);
        REQUIRE_OK(accept_turn(&f, "t", id, nine, &a), &f.err);
        REQUIRE_OK(end_turn(&f, "t", id, i, 0, 1, 2 * i), &f.err); /* 36 bytes */
    }
    CHECK_INT(history(&f, 100, 100, 10000, &low, &high), 10);
    CHECK(low == 1 && high == 10);
    CHECK_INT(history(&f, 7, 3, 10000, &low, &high), 3);
    CHECK(low == 5 && high == 7);
    CHECK_INT(history(&f, 10, 100, 36 + 37, &low, &high), 2);
    CHECK(low == 9 && high == 10);
    CHECK_INT(history(&f, 10, 100, 36 + 37 - 1, &low, &high), 1);
    CHECK_INT(history(&f, 10, 100, 35, &low, &high), 0);
    CHECK_INT(history(&f, 0, 100, 1000, &low, &high), 0);
    CHECK_INT(history(&f, 10, 100, SIZE_MAX, &low, &high), 10);
}

/* ---- events ---- */

static void add_events(struct fixture *f, int64_t step, const char *lines, int64_t last) {
    struct turn_step s = step_of("t", "r1", step);
    bool cancel;
    s.events = str_z(lines);
    s.events_last_seq = last;
    CHECK_OK(turn_step_store(f->db, &s, &cancel, &f->err), &f->err);
}

static void check_events(struct fixture *f, int64_t since, size_t max, const char *want) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(max);
    CHECK_OK(turn_events(f->db, turn("r1"), since, &out, &f->err), &f->err);
    CHECK_STR(strbuf_str(&out), want);
}

BOTH_BACKENDS(events_come_back_after_a_number) {
    struct fixture f cleanup(fixture_close) = {0};
    struct turn_accepted a;
    REQUIRE(fixture_open(&f, backend));
    REQUIRE_OK(accept_turn(&f, "t", "r1", "one", &a), &f.err);
    add_events(&f, 1, "1 {a}\n2 {b}\n", 2);
    add_events(&f, 2, "5 {c}\n", 5);
    add_events(&f, 3, "6 {d}\n7 {e}", 7);
    check_events(&f, 0, 1000, "1 {a}\n2 {b}\n5 {c}\n6 {d}\n7 {e}\n");
    check_events(&f, 1, 1000, "2 {b}\n5 {c}\n6 {d}\n7 {e}\n");
    check_events(&f, 6, 1000, "7 {e}\n");
    check_events(&f, 7, 1000, "");
    check_events(&f, 0, 13, "1 {a}\n2 {b}\n"); /* whole lines only */
    struct strbuf out cleanup(strbuf_done) = STRBUF(3);
    CHECK_FAILS(turn_events(f.db, turn("r1"), 0, &out, &f.err), &f.err, ERR_LIMIT);
    for (int64_t i = 0; i < 70; i++) { /* more rows than are fetched at once */
        char line[16];
        snprintf(line, sizeof line, "%d x\n", (int)(100 + i));
        add_events(&f, 4 + i, line, 100 + i);
    }
    struct strbuf all cleanup(strbuf_done) = STRBUF(10000);
    CHECK_OK(turn_events(f.db, turn("r1"), 99, &all, &f.err), &f.err);
    CHECK_INT(all.n, 70 * 6);
}

BOTH_BACKENDS(a_made_title_is_taken_only_where_there_is_none) {
    struct fixture f cleanup(fixture_close) = {0};
    struct turn_accepted a;
    struct thread_row row;
    bool set = false;
    static const struct db_sql recorded =
        DB_SQL("recorded", "SELECT COUNT(*) FROM usage WHERE step = -1 AND output_tokens = 4");
    struct thread_title t = {
        .user_id = ME,
        .thread_id = STR("t"),
        .turn_id = STR("r1"),
        .title = STR("Made"),
        .used = true,
        .usage = {STR("openai"), STR("m"), STR("user"), 30, 4, 0, 0, 0, 0},
    };
    REQUIRE(fixture_open(&f, backend));
    REQUIRE_OK(accept_turn(&f, "t", "r1", "one", &a), &f.err);
    REQUIRE_OK(thread_title_set(f.db, &t, &set, &f.err), &f.err);
    CHECK(set);
    REQUIRE_OK(thread_rename(f.db, ME, STR("t"), STR("Mine"), &f.err), &f.err);
    REQUIRE_OK(thread_title_set(f.db, &t, &set, &f.err), &f.err);
    CHECK(!set);
    REQUIRE_OK(thread_get(f.db, ME, STR("t"), &f.arena, &row, &f.err), &f.err);
    CHECK_STR(row.title, "Mine");
    CHECK_INT(row.total_output_tokens, 8);
    CHECK_INT(number_of(&f, &recorded), 2);
    t.user_id = OTHER;
    t.used = false;
    REQUIRE_OK(thread_title_set(f.db, &t, &set, &f.err), &f.err);
    CHECK(!set);
}

/* Says something in a thread and gets "an answer" back. */
static void converse(struct fixture *f, const char *thread, const char *turn_id, const char *text) {
    struct turn_accepted a;
    REQUIRE_OK(accept_turn(f, thread, turn_id, text, &a), &f->err);
    REQUIRE_OK(end_turn(f, thread, turn_id, a.position, 0, 1, a.message_seq + 1), &f->err);
}

static size_t find(struct fixture *f, struct str user, const char *text, struct search_hit **ret) {
    bool complete = false;
    size_t n = 99;
    CHECK_OK(search_update(f->db, user, 10 * 1000, &complete, &f->err), &f->err);
    CHECK(complete);
    CHECK_OK(search_messages(f->db, user, str_z(text), NULL, 200, &f->arena, ret, &n, &f->err),
             &f->err);
    return n;
}

BOTH_BACKENDS(messages_are_found_by_their_words) {
    struct fixture f cleanup(fixture_close) = {0};
    struct search_hit *hits;
    REQUIRE(fixture_open(&f, backend));
    converse(&f, "t", "r1", "Where is the lighthouse?");
    REQUIRE(find(&f, ME, "where LIGHT", &hits) == 1);
    CHECK_STR(hits[0].place.thread_id, "t");
    CHECK_STR(hits[0].role, "user");
    CHECK_STR(hits[0].snippet, "\x02Where\x03 is the \x02lighthouse\x03?");
    converse(&f, "t", "r2", "The lighthouse again");
    REQUIRE(find(&f, ME, "lighthouse", &hits) == 2);
    CHECK_INT(hits[0].place.seq, 3);
    CHECK_INT(find(&f, ME, "light where", &hits), 0);
    CHECK_INT(find(&f, ME, "\"')(*&|!:<->", &hits), 0);
    CHECK_INT(find(&f, ME, "\xf0\x9f\x98\x80", &hits), 0);
    REQUIRE_OK(thread_delete(f.db, ME, STR("t"), &f.err), &f.err);
    CHECK_INT(find(&f, ME, "lighthouse", &hits), 0);
}

BOTH_BACKENDS(many_messages_are_indexed_in_several_batches) {
    struct fixture f cleanup(fixture_close) = {0};
    struct search_hit *hits;
    bool complete = true;
    REQUIRE(fixture_open(&f, backend));
    for (int i = 0; i < 60; i++) {
        char thread[8], id[8];
        snprintf(thread, sizeof thread, "t%d", i % 20);
        snprintf(id, sizeof id, "r%d", i);
        converse(&f, thread, id, "a lighthouse");
    }
    REQUIRE_OK(search_update(f.db, ME, 0, &complete, &f.err), &f.err);
    CHECK(!complete);
    CHECK_INT(find(&f, ME, "lighthouse", &hits), 60);
}

BOTH_BACKENDS(nobody_finds_what_others_said) {
    struct fixture f cleanup(fixture_close) = {0};
    struct search_hit *hits;
    REQUIRE(fixture_open(&f, backend));
    converse(&f, "t", "r1", "my lighthouse");
    CHECK_INT(find(&f, OTHER, "lighthouse", &hits), 0);
    CHECK_INT(find(&f, ME, "lighthouse", &hits), 1);
    CHECK_INT(find(&f, OTHER, "lighthouse", &hits), 0);
    CHECK_INT(find(&f, STR("o'\\' | 'me"), "lighthouse", &hits), 0);
}

BOTH_BACKENDS(a_fork_from_before_a_message) {
    struct fixture f cleanup(fixture_close) = {0};
    struct thread_message said, *shown;
    struct thread_row row;
    size_t n;
    REQUIRE(fixture_open(&f, backend));
    converse(&f, "t", "r1", "one");
    converse(&f, "t", "r2", "two");
    REQUIRE_OK(thread_rename(f.db, ME, STR("t"), STR("Title"), &f.err), &f.err);
    REQUIRE_OK(thread_said(f.db, ME, STR("t"), STR_EMPTY, STR("r2"), &f.arena, &said, &f.err),
               &f.err);
    CHECK_INT(said.seq, 3);
    REQUIRE_OK(thread_fork_before(f.db, ME, STR("t"), 3, STR("f"), &f.err), &f.err);
    REQUIRE_OK(thread_get(f.db, ME, STR("f"), &f.arena, &row, &f.err), &f.err);
    CHECK_STR(row.title, "Title");
    CHECK_STR(row.forked_from, "t");
    CHECK_INT(row.message_seq, 2);
    REQUIRE_OK(thread_messages(f.db, ME, STR("f"), 0, 9, &f.arena, &shown, &n, &f.err), &f.err);
    CHECK_INT(n, 2);
    REQUIRE_OK(thread_said(f.db, ME, STR("f"), shown[0].id, STR_EMPTY, &f.arena, &said, &f.err),
               &f.err);
    CHECK_INT(said.seq, 1);
    CHECK_FAILS(thread_said(f.db, ME, STR("f"), shown[1].id, STR_EMPTY, &f.arena, &said, &f.err),
                &f.err, ERR_NOT_FOUND);
    CHECK_FAILS(thread_said(f.db, OTHER, STR("t"), STR_EMPTY, STR("r2"), &f.arena, &said, &f.err),
                &f.err, ERR_NOT_FOUND);
    CHECK_FAILS(thread_fork_before(f.db, OTHER, STR("t"), 3, STR("g"), &f.err), &f.err,
                ERR_NOT_FOUND);
    CHECK_FAILS(thread_fork_before(f.db, ME, STR("t"), 3, STR("f"), &f.err), &f.err, ERR_CONFLICT);
    REQUIRE_OK(thread_fork_before(f.db, ME, STR("t"), 1, STR("e"), &f.err), &f.err);
    CHECK_FAILS(thread_fork_before(f.db, ME, STR("t"), 9, STR("h"), &f.err), &f.err, ERR_NOT_FOUND);
}

BOTH_BACKENDS(only_events_of_ended_turns_are_swept) {
    struct fixture f cleanup(fixture_close) = {0};
    struct turn_accepted a;
    size_t deleted = 0;
    static const struct db_sql count = DB_SQL("count", "SELECT COUNT(*) FROM events");
    REQUIRE(fixture_open(&f, backend));
    REQUIRE_OK(accept_turn(&f, "t", "r1", "one", &a), &f.err);
    add_events(&f, 1, "1 {a}\n", 1);
    for (int i = 0; i < 40; i++) {
        char id[8], thread[8];
        snprintf(id, sizeof id, "e%d", i);
        snprintf(thread, sizeof thread, "t%d", i);
        REQUIRE_OK(accept_turn(&f, thread, id, "x", &a), &f.err);
        REQUIRE_OK(end_turn(&f, thread, id, 1, 0, 1, 2), &f.err);
    }
    struct turn_accept theirs = {.user_id = OTHER,
                                 .thread_id = STR("t"),
                                 .turn_id = STR("e1"),
                                 .input = STR("{}"),
                                 .owner = STR("p")};
    REQUIRE_OK(turn_accept(f.db, &theirs, &a, &f.err), &f.err);
    struct turn_step s = step_of("t", "e1", 1);
    bool cancel;
    s.key.user_id = OTHER;
    s.events = STR("1 {x}\n");
    s.events_last_seq = 1;
    s.message_seq = 0;
    s.end = true;
    s.end_state = TURN_DONE;
    REQUIRE_OK(turn_step_store(f.db, &s, &cancel, &f.err), &f.err);

    CHECK_INT(number_of(&f, &count), 42);
    REQUIRE_OK(events_sweep(f.db, 1000, 100, &deleted, &f.err), &f.err);
    CHECK_INT(deleted, 0);
    int64_t later = clock_now_us() + 1000000;
    REQUIRE_OK(events_sweep(f.db, later, 5, &deleted, &f.err), &f.err);
    CHECK_INT(deleted, 5);
    REQUIRE_OK(events_sweep(f.db, later, 100, &deleted, &f.err), &f.err);
    CHECK_INT(deleted, 36);
    CHECK_INT(number_of(&f, &count), 1);
    check_events(&f, 0, 1000, "1 {a}\n");
}

/* ---- threads ---- */

BOTH_BACKENDS(threads_are_listed_newest_first_in_pages) {
    struct fixture f cleanup(fixture_close) = {0};
    struct thread_row *rows;
    size_t n = 0, seen = 0;
    int64_t before_us = 0;
    struct str before_id = STR_EMPTY;
    REQUIRE(fixture_open(&f, backend));
    for (int i = 0; i < 7; i++) {
        char id[8];
        snprintf(id, sizeof id, "t%d", i);
        REQUIRE_OK(thread_create(f.db, ME, str_z(id), STR("title"), &f.err), &f.err);
    }
    CHECK_FAILS(thread_create(f.db, ME, STR("t3"), STR_EMPTY, &f.err), &f.err, ERR_CONFLICT);
    REQUIRE_OK(thread_archive(f.db, ME, STR("t5"), true, &f.err), &f.err);
    do {
        REQUIRE_OK(
            thread_list(f.db, ME, false, before_us, before_id, 4, &f.arena, &rows, &n, &f.err),
            &f.err);
        for (size_t i = 0; i < n; i++, seen++) {
            static const char *const want[] = {"t6", "t4", "t3", "t2", "t1", "t0"};
            CHECK(seen < 6 && str_eq(rows[i].id, str_z(want[seen])));
            before_us = rows[i].updated_us;
            before_id = rows[i].id;
        }
    } while (n == 4);
    CHECK_INT(seen, 6);
    REQUIRE_OK(thread_list(f.db, ME, true, 0, STR_EMPTY, 9, &f.arena, &rows, &n, &f.err), &f.err);
    REQUIRE(n == 1);
    CHECK_STR(rows[0].id, "t5");
    CHECK(rows[0].archived_us > 0);
    REQUIRE_OK(thread_archive(f.db, ME, STR("t5"), false, &f.err), &f.err);
    REQUIRE_OK(thread_get(f.db, ME, STR("t5"), &f.arena, &rows[0], &f.err), &f.err);
    CHECK_INT(rows[0].archived_us, 0);
    CHECK_STR(rows[0].title, "title");
    CHECK_STR(rows[0].agent, "cos");
}

BOTH_BACKENDS(threads_change_their_names_and_go) {
    struct fixture f cleanup(fixture_close) = {0};
    struct turn_accepted a;
    struct thread_row row;
    static const struct db_sql left =
        DB_SQL("left", "SELECT (SELECT COUNT(*) FROM turns) + (SELECT COUNT(*) FROM messages) + "
                       "(SELECT COUNT(*) FROM checkpoints) + (SELECT COUNT(*) FROM events) + "
                       "(SELECT COUNT(*) FROM effects)");
    static const struct db_sql used = DB_SQL("used", "SELECT COUNT(*) FROM usage");
    REQUIRE(fixture_open(&f, backend));
    REQUIRE_OK(accept_turn(&f, "t", "r1", "one", &a), &f.err);
    REQUIRE_OK(accept_turn(&f, "t", "r2", "two", &a), &f.err);
    REQUIRE_OK(thread_rename(f.db, ME, STR("t"), STR("new"), &f.err), &f.err);
    REQUIRE_OK(thread_get(f.db, ME, STR("t"), &f.arena, &row, &f.err), &f.err);
    CHECK_STR(row.title, "new");
    CHECK_STR(row.open_turn_id, "r1");
    REQUIRE_OK(end_turn(&f, "t", "r1", 1, 0, 1, 2), &f.err);
    REQUIRE_OK(thread_get(f.db, ME, STR("t"), &f.arena, &row, &f.err), &f.err);
    CHECK_STR(row.open_turn_id, "r2");
    CHECK_STR(row.open_turn_state, "queued");
    CHECK_FAILS(thread_delete(f.db, ME, STR("t"), &f.err), &f.err, ERR_CONFLICT);
    enum turn_state state;
    REQUIRE_OK(turn_request_cancel(f.db, turn("r2"), &state, &f.err), &f.err);
    REQUIRE_OK(thread_delete(f.db, ME, STR("t"), &f.err), &f.err);
    CHECK_INT(number_of(&f, &left), 0);
    CHECK_INT(number_of(&f, &used), 1); /* what was used stays used */
    CHECK_FAILS(thread_delete(f.db, ME, STR("t"), &f.err), &f.err, ERR_NOT_FOUND);
    CHECK_FAILS(thread_get(f.db, ME, STR("t"), &f.arena, &row, &f.err), &f.err, ERR_NOT_FOUND);
    CHECK_FAILS(thread_rename(f.db, ME, STR("t"), STR("x"), &f.err), &f.err, ERR_NOT_FOUND);
    CHECK_FAILS(thread_archive(f.db, ME, STR("t"), true, &f.err), &f.err, ERR_NOT_FOUND);
}

BOTH_BACKENDS(messages_are_read_in_pages_from_the_end) {
    struct fixture f cleanup(fixture_close) = {0};
    struct turn_accepted a;
    struct thread_message *m;
    size_t n = 0;
    REQUIRE(fixture_open(&f, backend));
    REQUIRE_OK(accept_turn(&f, "t", "r1", "one", &a), &f.err);
    REQUIRE_OK(end_turn(&f, "t", "r1", 1, 0, 1, 2), &f.err);
    REQUIRE_OK(accept_turn(&f, "t", "r2", "two", &a), &f.err);
    REQUIRE_OK(thread_messages(f.db, ME, STR("t"), 0, 2, &f.arena, &m, &n, &f.err), &f.err);
    REQUIRE(n == 2);
    CHECK_INT(m[0].seq, 2);
    CHECK_STR(m[0].role, "assistant");
    CHECK_STR(m[1].id, "m-r2");
    CHECK_STR(m[1].turn_id, "r2");
    CHECK(m[1].created_us > 0);
    REQUIRE_OK(thread_messages(f.db, ME, STR("t"), 2, 2, &f.arena, &m, &n, &f.err), &f.err);
    REQUIRE(n == 1);
    CHECK_INT(m[0].seq, 1);
}

BOTH_BACKENDS(a_fork_has_the_messages_up_to_its_turn) {
    struct fixture f cleanup(fixture_close) = {0};
    struct turn_accepted a;
    struct thread_row row;
    struct thread_message *m;
    size_t n = 0;
    REQUIRE(fixture_open(&f, backend));
    for (int i = 1; i <= 3; i++) {
        char id[8];
        snprintf(id, sizeof id, "r%d", i);
        REQUIRE_OK(accept_turn(&f, "t", id, id, &a), &f.err);
        REQUIRE_OK(end_turn(&f, "t", id, i, 0, 1, 2 * i), &f.err);
    }
    REQUIRE_OK(thread_fork(f.db, ME, STR("t"), STR("r2"), STR("f"), &f.err), &f.err);
    REQUIRE_OK(thread_get(f.db, ME, STR("f"), &f.arena, &row, &f.err), &f.err);
    CHECK_STR(row.forked_from, "t");
    CHECK_INT(row.message_seq, 4);
    CHECK_INT(row.total_input_tokens, 0);
    REQUIRE_OK(thread_messages(f.db, ME, STR("f"), 0, 9, &f.arena, &m, &n, &f.err), &f.err);
    REQUIRE(n == 4);
    CHECK_STR(m[3].id, "a-r2");
    REQUIRE_OK(accept_turn(&f, "f", "g1", "on", &a), &f.err);
    CHECK(a.running);
    CHECK_INT(a.position, 1);
    CHECK_INT(a.message_seq, 5);
    CHECK_FAILS(thread_fork(f.db, ME, STR("t"), STR("r2"), STR("f"), &f.err), &f.err, ERR_CONFLICT);
    CHECK_FAILS(thread_fork(f.db, ME, STR("t"), STR("r9"), STR("f2"), &f.err), &f.err,
                ERR_NOT_FOUND);
    CHECK_FAILS(thread_fork(f.db, ME, STR("f"), STR("r2"), STR("f2"), &f.err), &f.err,
                ERR_NOT_FOUND);
    CHECK_FAILS(thread_fork(f.db, OTHER, STR("t"), STR("r2"), STR("f2"), &f.err), &f.err,
                ERR_NOT_FOUND);
}

TEST(ids_of_clients_are_plain_words) {
    char long_id[130];
    memset(long_id, 'x', sizeof long_id);
    CHECK(thread_id_valid(STR("a-b_c.d:1@~!")));
    CHECK(thread_id_valid((struct str){long_id, 128}));
    CHECK(!thread_id_valid((struct str){long_id, 129}));
    CHECK(!thread_id_valid(STR("")) && !thread_id_valid(STR("a b")) &&
          !thread_id_valid(STR("a/b")));
    CHECK(!thread_id_valid(STR("a\n")) && !thread_id_valid(STR("\xC3\xA9")));
    CHECK(!thread_id_valid(STR("a\0b")));
    CHECK(!thread_id_valid(STR(".")) && !thread_id_valid(STR("..")) && thread_id_valid(STR("...")));
}

/* ---- usage ---- */

BOTH_BACKENDS(usage_is_summed_by_model_and_payer) {
    struct fixture f cleanup(fixture_close) = {0};
    struct turn_accepted a;
    struct usage_row *rows;
    size_t n = 0;
    int64_t from = clock_now_us();
    REQUIRE(fixture_open(&f, backend));
    for (int i = 1; i <= 3; i++) {
        char id[8];
        snprintf(id, sizeof id, "r%d", i);
        REQUIRE_OK(accept_turn(&f, "t", id, id, &a), &f.err);
        REQUIRE_OK(end_turn(&f, "t", id, i, 0, 1, 2 * i), &f.err);
    }
    int64_t to = clock_now_us() + 1;
    REQUIRE_OK(usage_sum(f.db, ME, from, to, &f.arena, &rows, &n, &f.err), &f.err);
    REQUIRE(n == 1);
    CHECK_STR(rows[0].provider, "anthropic");
    CHECK_STR(rows[0].key_owner, "operator");
    CHECK_INT(rows[0].calls, 3);
    CHECK_INT(rows[0].input_tokens, 30);
    CHECK_INT(rows[0].output_tokens, 9);
    CHECK_INT(rows[0].cost_microusd, 21);
    REQUIRE_OK(usage_sum(f.db, ME, to, to + 1, &f.arena, &rows, &n, &f.err), &f.err);
    CHECK_INT(n, 0);
    REQUIRE_OK(usage_sum(f.db, OTHER, from, to, &f.arena, &rows, &n, &f.err), &f.err);
    CHECK_INT(n, 0);
}

/* ---- keys and sessions ---- */

static struct str hash_of(struct fixture *f, const char *prefix) {
    return arena_printf(&f->arena, "%s%.*s", prefix, (int)(64 - strlen(prefix)),
                        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
}

static int add_key(struct fixture *f, struct str hash) {
    struct key_row row = {.key_hash = hash,
                          .user_id = ME,
                          .profile_name = STR("admin"),
                          .label = STR("laptop"),
                          .created_us = 1000000,
                          .allow_operator_llm = true};
    return key_insert(f->db, &row, STR("cli"), &f->err);
}

static int revoke_one(struct fixture *f, struct str prefix, struct key_row *ret) {
    struct key_order order = {.hash_prefix = prefix, .actor = STR("cli")};
    return key_revoke(f->db, &order, false, &f->arena, ret, &f->err);
}

BOTH_BACKENDS(keys_are_kept_by_their_hashes) {
    struct fixture f cleanup(fixture_close) = {0};
    struct key_row row, *rows;
    size_t n = 0;
    int64_t count = -1;
    REQUIRE(fixture_open(&f, backend));
    struct str a = hash_of(&f, "aaaaaaaa1"), b = hash_of(&f, "aaaaaaaa2");
    REQUIRE_OK(key_count(f.db, &count, &f.err), &f.err);
    CHECK_INT(count, 0);
    REQUIRE_OK(add_key(&f, a), &f.err);
    REQUIRE_OK(add_key(&f, b), &f.err);
    CHECK_FAILS(add_key(&f, a), &f.err, ERR_CONFLICT);
    REQUIRE_OK(key_count(f.db, &count, &f.err), &f.err);
    CHECK_INT(count, 2);
    REQUIRE_OK(key_get(f.db, a, &f.arena, &row, &f.err), &f.err);
    CHECK_STR(row.user_id, "me");
    CHECK_STR(row.profile_name, "admin");
    CHECK_STR(row.label, "laptop");
    CHECK(row.allow_operator_llm && !row.is_revoked);
    CHECK_INT(row.last_used_us, 0);
    CHECK_INT(row.created_us, 1000000);
    REQUIRE_OK(key_touch(f.db, a, 5000000, &f.err), &f.err);
    struct key_change no_operator = {.sets_operator_llm = true};
    struct key_order order = {.hash_prefix = a, .actor = STR("cli")};
    REQUIRE_OK(key_change(f.db, &order, &no_operator, &f.arena, &row, &f.err), &f.err);
    REQUIRE_OK(key_get(f.db, a, &f.arena, &row, &f.err), &f.err);
    CHECK_INT(row.last_used_us, 5000000);
    CHECK(!row.allow_operator_llm);
    CHECK_FAILS(key_get(f.db, hash_of(&f, "c"), &f.arena, &row, &f.err), &f.err, ERR_NOT_FOUND);
    CHECK_FAILS(revoke_one(&f, STR("aaaaaaaa"), &row), &f.err, ERR_CONFLICT);
    CHECK_FAILS(revoke_one(&f, STR("aaaaaaa"), &row), &f.err, ERR_INVALID);
    CHECK_FAILS(revoke_one(&f, STR("aaaaaaa%"), &row), &f.err, ERR_INVALID);
    CHECK_FAILS(revoke_one(&f, STR("bbbbbbbb"), &row), &f.err, ERR_NOT_FOUND);
    REQUIRE_OK(revoke_one(&f, STR("aaaaaaaa2"), &row), &f.err);
    CHECK(row.is_revoked && str_eq(row.key_hash, b));
    REQUIRE_OK(key_list(f.db, &f.arena, &rows, &n, &f.err), &f.err);
    REQUIRE(n == 2);
    CHECK(!rows[0].is_revoked && rows[1].is_revoked);
}

BOTH_BACKENDS(sessions_end_by_time_and_with_their_key) {
    struct fixture f cleanup(fixture_close) = {0};
    struct key_row row;
    static const struct db_sql count = DB_SQL("count", "SELECT COUNT(*) FROM sessions");
    REQUIRE(fixture_open(&f, backend));
    struct str key = hash_of(&f, "aaaaaaaa");
    REQUIRE_OK(add_key(&f, key), &f.err);
    REQUIRE_OK(session_insert(f.db, STR("s1"), key, 10, 1000, &f.err), &f.err);
    REQUIRE_OK(session_insert(f.db, STR("s2"), key, 10, 2000, &f.err), &f.err);
    REQUIRE_OK(session_insert(f.db, STR("s3"), STR("no row"), 10, 2000, &f.err), &f.err);
    REQUIRE_OK(session_get(f.db, STR("s1"), 999, &f.arena, &row, &f.err), &f.err);
    CHECK_STR(row.user_id, "me");
    CHECK(str_eq(row.key_hash, key));
    CHECK_FAILS(session_get(f.db, STR("s1"), 1000, &f.arena, &row, &f.err), &f.err, ERR_NOT_FOUND);
    REQUIRE_OK(session_get(f.db, STR("s3"), 999, &f.arena, &row, &f.err), &f.err);
    CHECK_STR(row.key_hash, "no row");
    CHECK_INT(row.user_id.n, 0);
    REQUIRE_OK(sessions_sweep(f.db, 1500, &f.err), &f.err);
    CHECK_INT(number_of(&f, &count), 2);
    REQUIRE_OK(revoke_one(&f, key, &row), &f.err);
    CHECK_FAILS(session_get(f.db, STR("s2"), 20, &f.arena, &row, &f.err), &f.err, ERR_NOT_FOUND);
    REQUIRE_OK(session_insert(f.db, STR("s4"), key, 10, 2000, &f.err), &f.err);
    CHECK_FAILS(session_get(f.db, STR("s4"), 20, &f.arena, &row, &f.err), &f.err, ERR_NOT_FOUND);
    REQUIRE_OK(session_delete(f.db, STR("s3"), &f.err), &f.err);
    CHECK_FAILS(session_get(f.db, STR("s3"), 20, &f.arena, &row, &f.err), &f.err, ERR_NOT_FOUND);
    for (int i = 0; i < 103; i++) {
        struct str token = arena_printf(&f.arena, "many%d", i);
        REQUIRE_OK(session_insert(f.db, token, STR("k"), 10 + i, 2000, &f.err), &f.err);
    }
    CHECK_FAILS(session_get(f.db, STR("many2"), 20, &f.arena, &row, &f.err), &f.err, ERR_NOT_FOUND);
    CHECK_OK(session_get(f.db, STR("many3"), 20, &f.arena, &row, &f.err), &f.err);
}

/* ---- notifications ---- */

static void notify(struct fixture *f, const char *id, const char *message) {
    const struct notification n = {.id = str_z(id), .message = str_z(message)};
    CHECK_OK(notification_add(f->db, ME, &n, &f->err), &f->err);
}

static void check_notifications(struct fixture *f, bool read, size_t max, const char *want) {
    struct strbuf all cleanup(strbuf_done) = STRBUF(256);
    struct notification *rows = NULL;
    struct str before_id = STR_EMPTY;
    int64_t before_us = 0;
    size_t n = 0;
    do {
        CHECK_OK(notification_list(f->db, ME, read, before_us, before_id, max, &f->arena, &rows, &n,
                                   &f->err),
                 &f->err);
        for (size_t i = 0; i < n; i++) {
            strbuf_add(&all, rows[i].message);
            CHECK((rows[i].read_us > 0) == read && rows[i].created_us > 0);
            CHECK_STR(rows[i].priority, "normal");
            before_us = rows[i].created_us;
            before_id = rows[i].id;
        }
    } while (n == max);
    CHECK_STR(strbuf_str(&all), want);
}

BOTH_BACKENDS(notifications_are_told_once_and_read_by_their_user) {
    struct fixture f cleanup(fixture_close) = {0};
    struct notification *rows = NULL;
    size_t n = 1;
    REQUIRE(fixture_open(&f, backend));
    notify(&f, "a", "1");
    notify(&f, "b", "2");
    notify(&f, "a", "again");
    notify(&f, "c", "3");
    check_notifications(&f, false, 2, "321");
    check_notifications(&f, true, 2, "");
    CHECK_OK(notification_read(f.db, ME, STR("b"), &f.err), &f.err);
    CHECK_OK(notification_read(f.db, ME, STR("b"), &f.err), &f.err);
    CHECK_FAILS(notification_read(f.db, ME, STR("x"), &f.err), &f.err, ERR_NOT_FOUND);
    CHECK_FAILS(notification_read(f.db, OTHER, STR("a"), &f.err), &f.err, ERR_NOT_FOUND);
    check_notifications(&f, false, 1, "31");
    check_notifications(&f, true, 1, "2");
    CHECK_OK(notification_list(f.db, OTHER, false, 0, STR_EMPTY, 10, &f.arena, &rows, &n, &f.err),
             &f.err);
    CHECK_INT(n, 0);
}
