/* Turns: how they begin, go on, end, and change their owner. */
#include "store_fixture.h"

#define SECOND INT64_C(1000000)

BOTH_BACKENDS(migrations_are_applied_once) {
    struct fixture f cleanup(fixture_close) = {0};
    size_t n;
    int applied = -1;
    REQUIRE(fixture_open(&f, backend));
    const struct migration *migrations = store_migrations(&n);
    CHECK_OK(db_migrate(&backend->options, migrations, n, &applied, &f.err), &f.err);
    CHECK_INT(applied, 0);
}

/* ---- accepting ---- */

BOTH_BACKENDS(a_turn_in_a_free_thread_runs) {
    struct fixture f cleanup(fixture_close) = {0};
    struct turn_accepted a;
    struct turn_row row;
    struct turn_message *history;
    size_t n = 0;
    REQUIRE(fixture_open(&f, backend));
    REQUIRE_OK(accept_turn(&f, "t", "r1", "hello", &a), &f.err);
    CHECK(a.running);
    CHECK_INT(a.position, 1);
    CHECK_INT(a.message_seq, 1);
    REQUIRE_OK(turn_get(f.db, turn("r1"), &f.arena, &row, &f.err), &f.err);
    CHECK_STR(row.thread_id, "t");
    CHECK_STR(row.lease_owner, "p1");
    CHECK_STR(row.input, "{\"model\":\"\"}");
    CHECK_INT(row.state, TURN_RUNNING);
    CHECK_INT(row.epoch, 0);
    CHECK_INT(row.step, 0);
    CHECK_INT(row.message_seq, 1);
    CHECK(!row.cancel_requested);
    REQUIRE_OK(
        turn_history(f.db, ME, STR("t"), STR_EMPTY, 9, 9, 999, &f.arena, &history, &n, &f.err),
        &f.err);
    REQUIRE(n == 1);
    CHECK_STR(history[0].json, "{\"role\":\"user\",\"content\":\"hello\"}");
    CHECK_STR(history[0].id, "m-r1");
    CHECK_STR(history[0].role, "user");
    CHECK(history[0].plain);
}

BOTH_BACKENDS(a_turn_behind_another_waits_and_then_gets_its_place) {
    struct fixture f cleanup(fixture_close) = {0};
    struct turn_accepted a;
    struct turn_row row;
    struct str next;
    struct turn_message *history;
    size_t n = 0;
    REQUIRE(fixture_open(&f, backend));
    REQUIRE_OK(accept_turn(&f, "t", "r1", "one", &a), &f.err);
    REQUIRE_OK(accept_turn(&f, "t", "r2", "two", &a), &f.err);
    CHECK(!a.running);
    CHECK_INT(a.position, 2);
    CHECK_INT(a.message_seq, 1);
    REQUIRE_OK(accept_turn(&f, "t", "r3", "three", &a), &f.err);
    CHECK_INT(a.position, 3);
    REQUIRE_OK(turn_get(f.db, turn("r2"), &f.arena, &row, &f.err), &f.err);
    CHECK_INT(row.state, TURN_QUEUED);
    CHECK_INT(row.lease_owner.n, 0);
    /* nobody may overtake */
    CHECK_FAILS(turn_claim(f.db, turn("r2"), STR("p1"), 1, &f.arena, &row, &f.err), &f.err,
                ERR_CONFLICT);
    REQUIRE_OK(end_turn(&f, "t", "r1", 1, 0, 1, 2), &f.err);
    CHECK_FAILS(turn_claim(f.db, turn("r3"), STR("p1"), 1, &f.arena, &row, &f.err), &f.err,
                ERR_CONFLICT);
    /* between the end of one and the claim of the next, the thread is not free for others */
    REQUIRE_OK(accept_turn(&f, "t", "r4", "four", &a), &f.err);
    CHECK(!a.running);
    REQUIRE_OK(turn_next_queued(f.db, ME, STR("t"), &f.arena, &next, &f.err), &f.err);
    CHECK_STR(next, "r2");
    REQUIRE_OK(turn_claim(f.db, turn("r2"), STR("p2"), clock_now_us(), &f.arena, &row, &f.err),
               &f.err);
    CHECK_INT(row.epoch, 1);
    CHECK_INT(row.message_seq, 3);
    CHECK_INT(row.position, 2);
    CHECK_INT(row.state, TURN_RUNNING);
    CHECK_STR(row.lease_owner, "p2");
    CHECK_STR(row.input, "{\"model\":\"\"}");
    REQUIRE_OK(
        turn_history(f.db, ME, STR("t"), STR_EMPTY, 9, 9, 999, &f.arena, &history, &n, &f.err),
        &f.err);
    REQUIRE(n == 3);
    CHECK_STR(history[1].id, "a-r1");
    CHECK_STR(history[2].id, "m-r2");
    CHECK(history[2].plain);
    CHECK_STR(history[2].json, "{\"role\":\"user\",\"content\":\"two\"}");
}

BOTH_BACKENDS(a_turn_without_a_message_takes_no_place) {
    struct fixture f cleanup(fixture_close) = {0};
    struct turn_accepted a;
    struct turn_row row;
    struct turn_accept again = {.user_id = ME,
                                .thread_id = STR("t"),
                                .turn_id = STR("r2"),
                                .input = STR("{}"),
                                .owner = STR("p1")};
    REQUIRE(fixture_open(&f, backend));
    REQUIRE_OK(accept_turn(&f, "t", "r1", "one", &a), &f.err);
    REQUIRE_OK(turn_accept(f.db, &again, &a, &f.err), &f.err);
    CHECK(!a.running);
    REQUIRE_OK(end_turn(&f, "t", "r1", 1, 0, 1, 2), &f.err);
    REQUIRE_OK(turn_claim(f.db, turn("r2"), STR("p1"), 1, &f.arena, &row, &f.err), &f.err);
    CHECK_INT(row.message_seq, 2);
    REQUIRE_OK(end_turn(&f, "t", "r2", 2, 1, 1, 3), &f.err);
    again.turn_id = STR("r3");
    REQUIRE_OK(turn_accept(f.db, &again, &a, &f.err), &f.err);
    CHECK(a.running);
    CHECK_INT(a.message_seq, 3);
}

BOTH_BACKENDS(a_turn_id_is_accepted_once) {
    struct fixture f cleanup(fixture_close) = {0};
    struct turn_accepted a;
    REQUIRE(fixture_open(&f, backend));
    REQUIRE_OK(accept_turn(&f, "t", "r1", "one", &a), &f.err);
    CHECK_FAILS(accept_turn(&f, "t", "r1", "one", &a), &f.err, ERR_CONFLICT);
    CHECK_FAILS(accept_turn(&f, "elsewhere", "r1", "one", &a), &f.err, ERR_CONFLICT);
    /* another user's ids are another user's */
    struct turn_accept theirs = {.user_id = OTHER,
                                 .thread_id = STR("t"),
                                 .turn_id = STR("r1"),
                                 .message_id = STR("m"),
                                 .message_json = STR("{}"),
                                 .input = STR("{}"),
                                 .owner = STR("p1")};
    REQUIRE_OK(turn_accept(f.db, &theirs, &a, &f.err), &f.err);
    CHECK(a.running);
    CHECK_INT(a.position, 1);
}

BOTH_BACKENDS(a_new_thread_can_be_demanded) {
    struct fixture f cleanup(fixture_close) = {0};
    struct turn_accepted a = {0};
    struct turn_accept first = {.user_id = ME,
                                .thread_id = STR("t"),
                                .turn_id = STR("r1"),
                                .message_id = STR("m1"),
                                .message_json = STR("{\"role\":\"user\"}"),
                                .input = STR("{}"),
                                .owner = STR("p1"),
                                .must_be_new_thread = true};
    REQUIRE(fixture_open(&f, backend));
    REQUIRE_OK(turn_accept(f.db, &first, &a, &f.err), &f.err);
    CHECK(a.running);
    CHECK_INT(a.position, 1);
    CHECK_INT(a.message_seq, 1);
    CHECK_FAILS(turn_accept(f.db, &first, &a, &f.err), &f.err, ERR_CONFLICT);
    first.turn_id = STR("r2");
    CHECK_FAILS(turn_accept(f.db, &first, &a, &f.err), &f.err, ERR_PRECONDITION);
}

BOTH_BACKENDS(the_queue_of_a_thread_is_bounded) {
    struct fixture f cleanup(fixture_close) = {0};
    struct turn_accepted a;
    REQUIRE(fixture_open(&f, backend));
    for (int i = 1; i <= TURN_MAX_QUEUED; i++) {
        char id[16];
        snprintf(id, sizeof id, "r%d", i);
        REQUIRE_OK(accept_turn(&f, "t", id, "x", &a), &f.err);
    }
    CHECK_FAILS(accept_turn(&f, "t", "more", "x", &a), &f.err, ERR_BUSY);
    CHECK_FAILS(accept_turn(&f, "t", "r3", "x", &a), &f.err, ERR_CONFLICT); /* it is known */
    REQUIRE_OK(accept_turn(&f, "t2", "more", "x", &a), &f.err);
    REQUIRE_OK(end_turn(&f, "t", "r1", 1, 0, 1, 2), &f.err);
    REQUIRE_OK(accept_turn(&f, "t", "again", "x", &a), &f.err);
    CHECK_INT(a.position, TURN_MAX_QUEUED + 1);
}

struct racer {
    struct fixture *f;
    unsigned number;
    struct turn_accepted accepted;
    bool ok;
};

static void race(void *arg) {
    struct racer *r = arg;
    struct err err;
    char id[16];
    snprintf(id, sizeof id, "r%u", r->number);
    struct turn_accept a = {.user_id = ME,
                            .thread_id = STR("t"),
                            .turn_id = str_z(id),
                            .message_id = str_z(id),
                            .message_json = STR("{}"),
                            .input = STR("{}"),
                            .owner = STR("p1")};
    r->ok = CHECK_OK(turn_accept(r->f->db, &a, &r->accepted, &err), &err);
}

BOTH_BACKENDS(of_turns_that_race_for_a_thread_one_runs) {
    enum { N = 24 };
    struct fixture f cleanup(fixture_close) = {0};
    struct racer racers[N];
    struct fiber_scope scope;
    bool seen[N + 1] = {false};
    unsigned running = 0;
    REQUIRE(fixture_open(&f, backend));
    fiber_scope_init(&scope);
    for (unsigned i = 0; i < N; i++) {
        racers[i] = (struct racer){.f = &f, .number = i};
        CHECK_OK(fiber_spawn(&scope, "racer", race, &racers[i], NULL, &f.err), &f.err);
    }
    fiber_scope_join(&scope);
    for (unsigned i = 0; i < N; i++) {
        int64_t position = racers[i].accepted.position;
        REQUIRE(racers[i].ok && position >= 1 && position <= N);
        CHECK(!seen[position]);
        seen[position] = true;
        running += racers[i].accepted.running;
        CHECK_INT(racers[i].accepted.running, position == 1);
    }
    CHECK_INT(running, 1);
}

static struct turn_accept timed(int64_t now_us) {
    return (struct turn_accept){.user_id = ME,
                                .thread_id = STR("t"),
                                .turn_id = STR("r1"),
                                .message_id = STR("m1"),
                                .message_json = STR("{\"role\":\"user\"}"),
                                .input = STR("{}"),
                                .owner = STR("p1"),
                                .now_us = now_us};
}

BOTH_BACKENDS(accepting_again_after_an_unknown_outcome_is_safe) {
    struct fixture f cleanup(fixture_close) = {0};
    struct turn_accepted a = {0};
    struct turn_accept t = timed(clock_now_us());
    REQUIRE(fixture_open(&f, backend));
    db_fail_at(f.db, 1, ERR_UNAVAILABLE, true);
    CHECK_FAILS(turn_accept(f.db, &t, &a, &f.err), &f.err, ERR_UNAVAILABLE);
    REQUIRE_OK(turn_accept(f.db, &t, &a, &f.err), &f.err);
    CHECK(a.running);
    CHECK_INT(a.position, 1);
    CHECK_INT(a.message_seq, 1);
    t.now_us++; /* somebody else's */
    CHECK_FAILS(turn_accept(f.db, &t, &a, &f.err), &f.err, ERR_CONFLICT);
}

/* ---- steps ---- */

BOTH_BACKENDS(a_step_stores_all_or_nothing) {
    struct fixture f cleanup(fixture_close) = {0};
    struct turn_accepted a;
    struct turn_checkpoint checkpoint;
    struct turn_effect *effects;
    struct thread_row thread;
    size_t n = 0;
    bool cancel = true;
    struct turn_message call = {.seq = 2,
                                .id = STR("a1"),
                                .role = STR("assistant"),
                                .json = STR("{\"role\":\"assistant\"}")};
    struct turn_effect intents[] = {
        {.call_id = STR("c1"),
         .idempotency_key = STR("k1"),
         .tool = STR("add"),
         .arguments = STR("{}"),
         .repeatable = true},
        {.call_id = STR("c2"),
         .idempotency_key = STR("k2"),
         .tool = STR("send"),
         .arguments = STR("{\"x\":1}")},
    };
    struct turn_usage usage = {.provider = STR("openai"),
                               .model = STR("g"),
                               .key_owner = STR("user"),
                               .input_tokens = 5,
                               .output_tokens = 2};
    REQUIRE(fixture_open(&f, backend));
    REQUIRE_OK(accept_turn(&f, "t", "r1", "one", &a), &f.err);
    CHECK_FAILS(turn_checkpoint_get(f.db, turn("r1"), STR("t"), &f.arena, &checkpoint, &f.err),
                &f.err, ERR_NOT_FOUND);
    struct turn_step s = step_of("t", "r1", 1);
    s.messages = &call;
    s.n_messages = 1;
    s.intents = intents;
    s.n_intents = 2;
    s.usage = &usage;
    s.node = STR("tools");
    s.state = STR("{\"calls\":2}");
    s.message_seq = 2;
    REQUIRE_OK(turn_step_store(f.db, &s, &cancel, &f.err), &f.err);
    CHECK(!cancel);

    struct turn_effect outcome = {
        .call_id = STR("c2"), .state = STR("done"), .outcome = STR("{\"role\":\"tool\"}")};
    s = step_of("t", "r1", 2);
    s.outcomes = &outcome;
    s.n_outcomes = 1;
    s.message_seq = 2;
    REQUIRE_OK(turn_step_store(f.db, &s, &cancel, &f.err), &f.err);
    REQUIRE_OK(turn_effects(f.db, turn("r1"), &f.arena, &effects, &n, &f.err), &f.err);
    REQUIRE(n == 2);
    CHECK_STR(effects[0].state, "intent");
    CHECK(effects[0].repeatable && !effects[1].repeatable);
    CHECK_STR(effects[0].idempotency_key, "k1");
    CHECK_STR(effects[1].state, "done");
    CHECK_STR(effects[1].outcome, "{\"role\":\"tool\"}");
    CHECK_STR(effects[1].arguments, "{\"x\":1}");
    REQUIRE_OK(turn_checkpoint_get(f.db, turn("r1"), STR("t"), &f.arena, &checkpoint, &f.err),
               &f.err);
    CHECK_STR(checkpoint.node, "model");
    CHECK_STR(checkpoint.state, "{}");
    CHECK_INT(checkpoint.message_seq, 2);

    /* one bad part takes the whole step back */
    call.seq = 3;
    s = step_of("t", "r1", 3);
    s.messages = &call;
    s.n_messages = 1;
    s.intents = intents;
    s.n_intents = 1; /* its call is there already */
    s.usage = &usage;
    CHECK_FAILS(turn_step_store(f.db, &s, &cancel, &f.err), &f.err, ERR_CONFLICT);
    REQUIRE_OK(thread_get(f.db, ME, STR("t"), &f.arena, &thread, &f.err), &f.err);
    CHECK_INT(thread.message_seq, 2);
    CHECK_INT(thread.total_input_tokens, 5);
    CHECK_INT(thread.total_output_tokens, 2);
    CHECK_STR(thread.model_provider, "openai");
    CHECK_STR(thread.open_turn_id, "r1");
    CHECK_STR(thread.open_turn_state, "running");
    s.n_intents = 0;
    REQUIRE_OK(turn_step_store(f.db, &s, &cancel, &f.err), &f.err);
}

static int step_fails(struct fixture *f, struct turn_step s) {
    bool cancel;
    return turn_step_store(f->db, &s, &cancel, &f->err);
}

BOTH_BACKENDS(a_step_is_its_owners_only) {
    struct fixture f cleanup(fixture_close) = {0};
    struct turn_accepted a;
    struct turn_row row;
    REQUIRE(fixture_open(&f, backend));
    REQUIRE_OK(accept_turn(&f, "t", "r1", "one", &a), &f.err);
    struct turn_step s = step_of("t", "r1", 1);
    s.epoch = 1;
    CHECK_FAILS(step_fails(&f, s), &f.err, ERR_PRECONDITION);
    s = step_of("t", "r1", 2);
    CHECK_FAILS(step_fails(&f, s), &f.err, ERR_PRECONDITION);
    s.end = true;
    s.end_state = TURN_FAILED;
    CHECK_FAILS(step_fails(&f, s), &f.err, ERR_PRECONDITION);
    s = step_of("t", "r1", 1);
    s.key.user_id = OTHER;
    CHECK_FAILS(step_fails(&f, s), &f.err, ERR_PRECONDITION);
    s = step_of("t", "nobody", 1);
    CHECK(step_fails(&f, s) < 0);
    s = step_of("nowhere", "r1", 1);
    CHECK(step_fails(&f, s) < 0);
    REQUIRE_OK(turn_get(f.db, turn("r1"), &f.arena, &row, &f.err), &f.err);
    CHECK_INT(row.step, 0);
    CHECK_INT(row.state, TURN_RUNNING);
    REQUIRE_OK(end_turn(&f, "t", "r1", 1, 0, 1, 2), &f.err);
    s = step_of("t", "r1", 2);
    CHECK_FAILS(step_fails(&f, s), &f.err, ERR_PRECONDITION);
}

BOTH_BACKENDS(a_step_repeated_after_an_unknown_outcome_counts_once) {
    struct fixture f cleanup(fixture_close) = {0};
    struct turn_accepted a;
    struct thread_row thread;
    REQUIRE(fixture_open(&f, backend));
    REQUIRE_OK(accept_turn(&f, "t", "r1", "one", &a), &f.err);
    db_fail_at(f.db, 1, ERR_UNAVAILABLE, false);
    CHECK_FAILS(end_turn(&f, "t", "r1", 1, 0, 1, 2), &f.err, ERR_UNAVAILABLE);
    db_fail_at(f.db, 1, ERR_UNAVAILABLE, true);
    CHECK_FAILS(end_turn(&f, "t", "r1", 1, 0, 1, 2), &f.err, ERR_UNAVAILABLE);
    REQUIRE_OK(end_turn(&f, "t", "r1", 1, 0, 1, 2), &f.err);
    REQUIRE_OK(thread_get(f.db, ME, STR("t"), &f.arena, &thread, &f.err), &f.err);
    CHECK_INT(thread.message_seq, 2);
    CHECK_INT(thread.total_input_tokens, 10);
    CHECK_INT(thread.open_turn_id.n, 0);
}

BOTH_BACKENDS(an_end_is_recorded) {
    struct fixture f cleanup(fixture_close) = {0};
    struct turn_accepted a;
    struct turn_row row;
    bool cancel;
    REQUIRE(fixture_open(&f, backend));
    REQUIRE_OK(accept_turn(&f, "t", "r1", "one", &a), &f.err);
    struct turn_step s = step_of("t", "r1", 1);
    s.end = true;
    s.end_state = TURN_FAILED;
    s.error_code = STR("unavailable");
    s.error = STR("the model is away");
    REQUIRE_OK(turn_step_store(f.db, &s, &cancel, &f.err), &f.err);
    REQUIRE_OK(turn_get(f.db, turn("r1"), &f.arena, &row, &f.err), &f.err);
    CHECK_INT(row.state, TURN_FAILED);
    CHECK_STR(row.error_code, "unavailable");
    CHECK_STR(row.error, "the model is away");
    CHECK_INT(row.lease_owner.n, 0);
}

BOTH_BACKENDS(checkpoints_of_a_thread_are_bounded) {
    struct fixture f cleanup(fixture_close) = {0};
    struct turn_accepted a;
    struct thread_checkpoint *checkpoints;
    size_t n = 0;
    static const struct db_sql count = DB_SQL("count", "SELECT COUNT(*) FROM checkpoints");
    REQUIRE(fixture_open(&f, backend));
    for (int i = 1; i <= 240; i++) {
        char id[16];
        snprintf(id, sizeof id, "r%d", i);
        REQUIRE_OK(accept_turn(&f, "t", id, "x", &a), &f.err);
        REQUIRE_OK(end_turn(&f, "t", id, i, 0, 1, 2 * i), &f.err);
    }
    int64_t kept = number_of(&f, &count);
    CHECK(kept >= 200 && kept < 220);
    REQUIRE_OK(thread_checkpoints(f.db, ME, STR("t"), 2, &f.arena, &checkpoints, &n, &f.err),
               &f.err);
    REQUIRE(n == 2);
    CHECK_STR(checkpoints[0].turn_id, "r240");
    CHECK_STR(checkpoints[0].turn_state, "done");
    CHECK_INT(checkpoints[0].message_seq, 480);
    CHECK_INT(checkpoints[1].position, 239);
}

/* ---- claiming ---- */

static size_t claimable(struct fixture *f, int64_t now_us, struct turn_key **ret) {
    size_t n = 0;
    CHECK_OK(turns_claimable(f->db, now_us, 10, &f->arena, ret, &n, &f->err), &f->err);
    return n;
}

BOTH_BACKENDS(a_turn_without_a_valid_lease_is_taken_over) {
    struct fixture f cleanup(fixture_close) = {0};
    struct turn_accepted a;
    struct turn_row row;
    struct turn_key *keys;
    int64_t now = clock_now_us();
    REQUIRE(fixture_open(&f, backend));
    REQUIRE_OK(lease_renew(f.db, STR("p1"), now + 10 * SECOND, &f.err), &f.err);
    REQUIRE_OK(accept_turn(&f, "t", "r1", "one", &a), &f.err);
    CHECK_INT(claimable(&f, now, &keys), 0);
    CHECK_FAILS(turn_claim(f.db, turn("r1"), STR("p2"), now, &f.arena, &row, &f.err), &f.err,
                ERR_CONFLICT);
    now += 20 * SECOND;
    REQUIRE(claimable(&f, now, &keys) == 1);
    CHECK_STR(keys[0].user_id, "me");
    CHECK_STR(keys[0].turn_id, "r1");
    REQUIRE_OK(turn_claim(f.db, keys[0], STR("p2"), now, &f.arena, &row, &f.err), &f.err);
    CHECK_INT(row.epoch, 1);
    CHECK_INT(row.message_seq, 1);
    /* the new owner has no lease yet: without one it may be taken again, with one not */
    REQUIRE_OK(lease_renew(f.db, STR("p2"), now + 10 * SECOND, &f.err), &f.err);
    CHECK_FAILS(turn_claim(f.db, keys[0], STR("p3"), now, &f.arena, &row, &f.err), &f.err,
                ERR_CONFLICT);
    CHECK_FAILS(end_turn(&f, "t", "r1", 1, 0, 1, 2), &f.err, ERR_PRECONDITION);
    REQUIRE_OK(end_turn(&f, "t", "r1", 1, 1, 1, 2), &f.err);
    CHECK_INT(claimable(&f, now, &keys), 0);
    CHECK_FAILS(turn_claim(f.db, turn("r1"), STR("p3"), now, &f.arena, &row, &f.err), &f.err,
                ERR_CONFLICT);
    CHECK_FAILS(turn_claim(f.db, turn("nobody"), STR("p3"), now, &f.arena, &row, &f.err), &f.err,
                ERR_CONFLICT);
}

BOTH_BACKENDS(a_dropped_lease_frees_its_turns_at_once) {
    struct fixture f cleanup(fixture_close) = {0};
    struct turn_accepted a;
    struct turn_key *keys;
    int64_t now = clock_now_us();
    REQUIRE(fixture_open(&f, backend));
    REQUIRE_OK(lease_renew(f.db, STR("p1"), now + 10 * SECOND, &f.err), &f.err);
    REQUIRE_OK(accept_turn(&f, "t", "r1", "one", &a), &f.err);
    REQUIRE_OK(accept_turn(&f, "t", "r2", "two", &a), &f.err);
    CHECK_INT(claimable(&f, now, &keys), 0);
    REQUIRE_OK(lease_drop(f.db, STR("p1"), &f.err), &f.err);
    REQUIRE(claimable(&f, now, &keys) == 1);
    CHECK_STR(keys[0].turn_id, "r1");
    REQUIRE_OK(end_turn(&f, "t", "r1", 1, 0, 1, 2), &f.err);
    REQUIRE(claimable(&f, now, &keys) == 1);
    CHECK_STR(keys[0].turn_id, "r2");
}

BOTH_BACKENDS(claiming_again_after_an_unknown_outcome_is_safe) {
    struct fixture f cleanup(fixture_close) = {0};
    struct turn_accepted a;
    struct turn_row row = {0};
    int64_t now = clock_now_us();
    REQUIRE(fixture_open(&f, backend));
    REQUIRE_OK(lease_renew(f.db, STR("p2"), now + 10 * SECOND, &f.err), &f.err);
    REQUIRE_OK(accept_turn(&f, "t", "r1", "one", &a), &f.err);
    db_fail_at(f.db, 2, ERR_UNAVAILABLE, true); /* the first transaction reads */
    CHECK_FAILS(turn_claim(f.db, turn("r1"), STR("p2"), now, &f.arena, &row, &f.err), &f.err,
                ERR_UNAVAILABLE);
    REQUIRE_OK(turn_claim(f.db, turn("r1"), STR("p2"), now, &f.arena, &row, &f.err), &f.err);
    CHECK_INT(row.epoch, 1);
    CHECK_FAILS(turn_claim(f.db, turn("r1"), STR("p2"), now + 1, &f.arena, &row, &f.err), &f.err,
                ERR_CONFLICT);
}

/* Its own lease must not keep a process from what the store says it has. */
BOTH_BACKENDS(an_owner_finds_and_takes_its_own_turns_again) {
    struct fixture f cleanup(fixture_close) = {0};
    struct turn_accepted a;
    struct turn_row row = {0};
    struct turn_key *keys;
    size_t n;
    int64_t now = clock_now_us();
    REQUIRE(fixture_open(&f, backend));
    REQUIRE_OK(lease_renew(f.db, STR("p1"), now + 10 * SECOND, &f.err), &f.err);
    REQUIRE_OK(accept_turn(&f, "t", "r1", "one", &a), &f.err);
    REQUIRE_OK(accept_turn(&f, "t", "r2", "two", &a), &f.err);
    REQUIRE_OK(turns_owned(f.db, STR("p2"), 9, &f.arena, &keys, &n, &f.err), &f.err);
    CHECK_INT(n, 0);
    REQUIRE_OK(turns_owned(f.db, STR("p1"), 9, &f.arena, &keys, &n, &f.err), &f.err);
    REQUIRE(n == 1);
    CHECK_STR(keys[0].turn_id, "r1");
    CHECK_FAILS(turn_claim(f.db, keys[0], STR("p1"), now, &f.arena, &row, &f.err), &f.err,
                ERR_CONFLICT);
    CHECK_FAILS(turn_claim_own(f.db, keys[0], STR("p2"), now, &f.arena, &row, &f.err), &f.err,
                ERR_CONFLICT);
    REQUIRE_OK(turn_claim_own(f.db, keys[0], STR("p1"), now, &f.arena, &row, &f.err), &f.err);
    CHECK_INT(row.epoch, 1);
}

struct claimer {
    struct fixture *f;
    struct turn_key key;
    char owner[8];
    bool won;
};

static void claim(void *arg) {
    struct claimer *c = arg;
    struct arena arena cleanup(arena_done) = {0};
    struct turn_row row;
    struct err err;
    static int64_t now_us;
    int rc = turn_claim(c->f->db, c->key, str_z(c->owner), ++now_us, &arena, &row, &err);
    c->won = rc == 0;
    CHECK(rc == 0 || rc == -ERR_CONFLICT);
}

BOTH_BACKENDS(of_those_who_race_for_a_thread_one_wins) {
    enum { N = 12 };
    struct fixture f cleanup(fixture_close) = {0};
    struct turn_accepted a;
    struct claimer claimers[N];
    struct fiber_scope scope;
    unsigned won = 0;
    REQUIRE(fixture_open(&f, backend));
    REQUIRE_OK(accept_turn(&f, "t", "r1", "one", &a), &f.err);
    REQUIRE_OK(accept_turn(&f, "t", "r2", "two", &a), &f.err);
    REQUIRE_OK(accept_turn(&f, "t", "r3", "three", &a), &f.err);
    REQUIRE_OK(end_turn(&f, "t", "r1", 1, 0, 1, 2), &f.err);
    fiber_scope_init(&scope);
    for (unsigned i = 0; i < N; i++) { /* also for the third, whose turn it is not */
        claimers[i] = (struct claimer){.f = &f, .key = turn(i % 3 ? "r2" : "r3")};
        /* two processes, several fibers each */
        snprintf(claimers[i].owner, sizeof claimers[i].owner, "p%u", i % 2);
        CHECK_OK(lease_renew(f.db, str_z(claimers[i].owner), 10 * SECOND, &f.err), &f.err);
        CHECK_OK(fiber_spawn(&scope, "claimer", claim, &claimers[i], NULL, &f.err), &f.err);
    }
    fiber_scope_join(&scope);
    for (unsigned i = 0; i < N; i++) {
        won += claimers[i].won;
        CHECK(!claimers[i].won || i % 3);
    }
    CHECK_INT(won, 1);
}

/* ---- cancelling ---- */

BOTH_BACKENDS(cancelling_marks_the_running_and_ends_the_queued) {
    struct fixture f cleanup(fixture_close) = {0};
    struct turn_accepted a;
    struct turn_row row;
    struct str next;
    enum turn_state state = TURN_DONE;
    bool cancel = false;
    REQUIRE(fixture_open(&f, backend));
    REQUIRE_OK(accept_turn(&f, "t", "r1", "one", &a), &f.err);
    REQUIRE_OK(accept_turn(&f, "t", "r2", "two", &a), &f.err);
    REQUIRE_OK(turn_request_cancel(f.db, turn("r2"), &state, &f.err), &f.err);
    CHECK_INT(state, TURN_CANCELLED);
    CHECK_FAILS(turn_next_queued(f.db, ME, STR("t"), &f.arena, &next, &f.err), &f.err,
                ERR_NOT_FOUND);
    REQUIRE_OK(turn_request_cancel(f.db, turn("r1"), &state, &f.err), &f.err);
    CHECK_INT(state, TURN_RUNNING);
    struct turn_step s = step_of("t", "r1", 1);
    REQUIRE_OK(turn_step_store(f.db, &s, &cancel, &f.err), &f.err);
    CHECK(cancel);
    s = step_of("t", "r1", 2);
    s.end = true;
    s.end_state = TURN_CANCELLED;
    REQUIRE_OK(turn_step_store(f.db, &s, &cancel, &f.err), &f.err);
    REQUIRE_OK(turn_request_cancel(f.db, turn("r1"), &state, &f.err), &f.err);
    CHECK_INT(state, TURN_CANCELLED);
    REQUIRE_OK(turn_get(f.db, turn("r1"), &f.arena, &row, &f.err), &f.err);
    CHECK_INT(row.state, TURN_CANCELLED);
    CHECK_FAILS(turn_request_cancel(f.db, turn("nobody"), &state, &f.err), &f.err, ERR_NOT_FOUND);
    /* the thread is free again, and no place was lost */
    REQUIRE_OK(accept_turn(&f, "t", "r3", "three", &a), &f.err);
    CHECK(a.running);
    CHECK_INT(a.message_seq, 2);
}

/* ---- all at once ---- */

enum { HANDS = 10, ROUNDS = 12, PUSHES = 50 };

struct hand {
    struct fixture *f;
    unsigned number, ended;
};

/* Takes the thread's next turn and ends it; whoever is faster is. */
static void work_off(struct hand *h, struct arena *arena, struct err *err) {
    struct turn_row row;
    struct str id;
    bool cancel;
    int rc = turn_next_queued(h->f->db, ME, STR("t"), arena, &id, err);
    if (rc == 0) {
        rc = turn_claim(h->f->db, (struct turn_key){ME, id}, STR("p1"), clock_now_us(), arena, &row,
                        err);
    }
    if (rc < 0) {
        CHECK(rc == -ERR_NOT_FOUND || rc == -ERR_CONFLICT);
        return;
    }
    struct turn_message m = {
        .seq = row.message_seq + 1, .id = id, .role = STR("assistant"), .json = STR("{}")};
    struct turn_step s = step_of("t", "", 1);
    s.key.turn_id = id;
    s.epoch = row.epoch;
    s.position = row.position;
    s.messages = &m;
    s.n_messages = 1;
    s.message_seq = m.seq;
    s.end = true;
    s.end_state = TURN_DONE;
    h->ended += CHECK_OK(turn_step_store(h->f->db, &s, &cancel, err), err);
}

static void lend_a_hand(void *arg) {
    struct hand *h = arg;
    struct arena arena cleanup(arena_done) = {0};
    struct err err;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct turn_accepted accepted;
        enum turn_state state;
        struct str id = arena_printf(&arena, "h%u-%u", h->number, i);
        struct turn_accept a = {.user_id = ME,
                                .thread_id = STR("t"),
                                .turn_id = id,
                                .message_id = id,
                                .message_json = STR("{}"),
                                .input = STR("{}"),
                                .owner = STR("p1")};
        int rc = turn_accept(h->f->db, &a, &accepted, &err);
        if (rc != -ERR_BUSY) { /* when too many wait */
            CHECK_OK(rc, &err);
        }
        if (rc == 0 && i % 3 == 0) {
            CHECK_OK(turn_request_cancel(h->f->db, (struct turn_key){ME, id}, &state, &err), &err);
        }
        work_off(h, &arena, &err);
    }
}

BOTH_BACKENDS(many_hands_on_one_thread_keep_it_whole) {
    struct fixture f cleanup(fixture_close) = {0};
    struct turn_accepted a;
    struct hand hands[HANDS];
    struct fiber_scope scope;
    unsigned ended = 0;
    REQUIRE(fixture_open(&f, backend));
    REQUIRE_OK(lease_renew(f.db, STR("p1"), clock_now_us() + 60 * SECOND, &f.err), &f.err);
    REQUIRE_OK(accept_turn(&f, "t", "first", "x", &a), &f.err); /* so that the others queue up */
    REQUIRE_OK(end_turn(&f, "t", "first", 1, 0, 1, 2), &f.err);
    REQUIRE_OK(accept_turn(&f, "t", "second", "x", &a), &f.err);
    REQUIRE_OK(accept_turn(&f, "t", "third", "x", &a), &f.err);
    REQUIRE_OK(end_turn(&f, "t", "second", 2, 0, 1, 4), &f.err);
    fiber_scope_init(&scope);
    for (unsigned i = 0; i < HANDS; i++) {
        hands[i] = (struct hand){.f = &f, .number = i};
        CHECK_OK(fiber_spawn(&scope, "hand", lend_a_hand, &hands[i], NULL, &f.err), &f.err);
    }
    fiber_scope_join(&scope);
    for (unsigned i = 0; i < HANDS; i++) {
        ended += hands[i].ended;
    }
    CHECK(ended > 0);
}

struct pusher {
    struct fixture *f;
    unsigned number, accepted, refused;
};

/* Takes a place in the queue and gives it back at once. */
static void push_in(void *arg) {
    struct pusher *p = arg;
    struct turn_accepted a;
    struct err err;
    for (unsigned i = 0; i < PUSHES; i++) {
        enum turn_state state;
        char id[16];
        snprintf(id, sizeof id, "p%u-%u", p->number, i);
        int rc = accept_turn(p->f, "t", id, "x", &a);
        if (rc == -ERR_BUSY) {
            p->refused++;
        } else if (CHECK_OK(rc, &p->f->err)) {
            p->accepted++;
            CHECK_OK(turn_request_cancel(p->f->db, turn(id), &state, &err), &err);
        }
    }
}

BOTH_BACKENDS(a_place_that_comes_and_goes_is_there_or_it_is_not) {
    struct fixture f cleanup(fixture_close) = {0};
    struct pusher pushers[HANDS];
    struct turn_accepted a;
    struct fiber_scope scope;
    unsigned accepted = 0, refused = 0;
    REQUIRE(fixture_open(&f, backend));
    for (int i = 1; i < TURN_MAX_QUEUED; i++) {
        char id[16];
        snprintf(id, sizeof id, "r%d", i);
        REQUIRE_OK(accept_turn(&f, "t", id, "x", &a), &f.err);
    }
    fiber_scope_init(&scope);
    for (unsigned i = 0; i < HANDS; i++) {
        pushers[i] = (struct pusher){.f = &f, .number = i};
        CHECK_OK(fiber_spawn(&scope, "pusher", push_in, &pushers[i], NULL, &f.err), &f.err);
    }
    fiber_scope_join(&scope);
    for (unsigned i = 0; i < HANDS; i++) {
        accepted += pushers[i].accepted;
        refused += pushers[i].refused;
    }
    CHECK(accepted > 0);
    CHECK(refused > 0);
}
