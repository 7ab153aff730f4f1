/* Turns whose owner dies, loses its lease or its database in mid-turn: the journal's rule, and the
 * thread and the client's stream that must come out whole. */
#include <stdlib.h>

#include "house.h"

#define TOOLS_THEN_DONE "[tool look {}] [tool act {}] [then] [say done]"

/* ---- another process takes the turn ---- */

/* To its end, in the eyes of a client of the former owner. */
static void check_taken(struct house *h, struct turn_ticket *ticket, const char *id,
                        const char *messages_end) {
    struct heard heard = {0};
    hear(ticket->reader, &heard);
    check_whole(&heard);
    CHECK_STR(state_of(h, id), "done 1");
    CHECK(str_ends(messages(h, id), str_z(messages_end)));
}

/* Its first call waits at the gate, its second is done and stored. */
static bool begin_to_act(struct house *h, struct process *p, struct turn_ticket *ret) {
    int rc = say(p, "r", "r", "[tool wait_act {}] [tool act {}] [then] [say done]", ret, &h->f.err);
    if (!CHECK_OK(rc, &h->f.err) || !CHECK(house_called(h, TOOL_WAIT_ACT, 1))) {
        return false;
    }
    while (!str_eq(effects_of(h, "r"), STR("intent done ")) && h->calls[TOOL_ACT] < 2) {
        (void)fiber_sleep(5);
    }
    return true;
}

static void check_lost(struct house *h, struct process *p) {
    while (turn_engine_stats(p->engine).running) {
        (void)fiber_sleep(5);
    }
    CHECK_INT(turn_engine_stats(p->engine).lost_leases, 1);
    CHECK_STR(effects_of(h, "r"), "unknown done ");
    CHECK_INT(h->calls[TOOL_WAIT_ACT], 1);
    CHECK_INT(h->calls[TOOL_ACT], 1);
}

BOTH_BACKENDS(what_cannot_be_repeated_becomes_unknown) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct process b cleanup(process_close) = {0};
    struct turn_ticket ticket;
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    REQUIRE(begin_to_act(&h, &a, &ticket));
    process_lose_lease(&a);
    process_start(&h, "b", &b);
    CHECK(ended(&h, "r"));
    CHECK_STR(effects_of(&h, "r"), "unknown done ");
    CHECK(str_find(messages(&h, "r"), STR("tool:Outcome unknown: ")) != SIZE_MAX);
    house_open_gate(&h); /* what the former owner hears too late goes nowhere */
    check_taken(&h, &ticket, "r", " tool:acted assistant:done ");
    check_lost(&h, &a);
}

/* Its turn waits for a tool and would notice nothing for long, nor would its client. */
BOTH_BACKENDS(an_owner_that_stood_still_lets_go_of_what_was_taken) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct process b cleanup(process_close) = {0};
    struct turn_ticket ticket;
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    REQUIRE(begin_to_act(&h, &a, &ticket));
    process_lose_lease(&a);
    process_start(&h, "b", &b);
    CHECK(ended(&h, "r"));
    process_wake(&a);
    check_taken(&h, &ticket, "r", " tool:acted assistant:done ");
    check_lost(&h, &a);
    CHECK_INT(h.gave_up, 0);
}

/* Nobody took anything: its turns go on as if nothing had been. */
BOTH_BACKENDS(an_owner_that_stood_still_keeps_what_is_its_own) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct turn_ticket ticket;
    struct heard heard = {0};
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    REQUIRE(begin_to_act(&h, &a, &ticket));
    process_lose_lease(&a);
    process_wake(&a);
    uint64_t before = db_stats(h.f.db).transactions;
    while (db_stats(h.f.db).transactions < before + 8) { /* of its housekeeping */
        (void)fiber_sleep(5);
    }
    house_open_gate(&h);
    hear(ticket.reader, &heard);
    check_whole(&heard);
    CHECK_STR(state_of(&h, "r"), "done 0");
    CHECK_STR(effects_of(&h, "r"), "done done ");
}

BOTH_BACKENDS(what_can_be_repeated_is) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct process b cleanup(process_close) = {0};
    struct turn_ticket ticket;
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    REQUIRE_OK(say(&a, "r", "r", "[tool wait_look {}] [then] [say done]", &ticket, &h.f.err),
               &h.f.err);
    CHECK(house_called(&h, TOOL_WAIT_LOOK, 1));
    turn_engine_stop(a.engine, 0);
    h.gate_open = true;
    process_start(&h, "b", &b);
    check_taken(&h, &ticket, "r", " tool:seen late assistant:done ");
    CHECK_INT(h.calls[TOOL_WAIT_LOOK], 2);
}

BOTH_BACKENDS(an_answer_that_was_cut_is_asked_for_again) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct turn_ticket ticket;
    struct heard heard = {0};
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    REQUIRE_OK(say(&a, "r", "r", "[tokens 30] [delay 20]", &ticket, &h.f.err), &h.f.err);
    CHECK(hear_until(ticket.reader, "TEXT_MESSAGE_CONTENT", &heard));
    struct process b cleanup(process_close) = {0};
    process_lose_lease(&a);
    process_start(&h, "b", &b);
    hear(ticket.reader, &heard);
    check_whole(&heard);
    CHECK(strstr(heard.types, "TEXT_MESSAGE_END MESSAGES_SNAPSHOT TEXT_MESSAGE_START"));
    CHECK(str_ends(messages(&h, "r"), STR(" again  ")));
    CHECK(!strstr(messages(&h, "r").p,
                  "assistant:the quick brown fox jumps over the lazy dog again "
                  "the quick brown fox jumps over the lazy dog again the "
                  "quick brown fox jumps over the lazy dog again the"));
}

/* The lease is lost a little later each time. */
BOTH_BACKENDS(a_lease_lost_at_any_moment_loses_and_repeats_nothing) {
    struct house h cleanup(house_close) = {0};
    REQUIRE(house_open(&h, backend));
    for (int i = 0; i < 24; i++) {
        struct process a cleanup(process_close) = {0};
        struct process b cleanup(process_close) = {0};
        struct turn_ticket ticket;
        struct heard heard = {0};
        char id[8];
        snprintf(id, sizeof id, "r%d", i);
        h.calls[TOOL_ACT] = h.calls[TOOL_LOOK] = 0;
        process_open(&h, "a", &a);
        REQUIRE_OK(say(&a, id, id, TOOLS_THEN_DONE, &ticket, &h.f.err), &h.f.err);
        for (int pause = 0; pause < i * 4; pause++) {
            fiber_yield();
        }
        process_lose_lease(&a);
        process_start(&h, "b", &b);
        hear(ticket.reader, &heard);
        check_whole(&heard);
        CHECK(ended(&h, id));
        CHECK(str_starts(state_of(&h, id), STR("done")));
        CHECK(h.calls[TOOL_ACT] <= 1);
        CHECK(h.calls[TOOL_LOOK] >= 1 && h.calls[TOOL_LOOK] <= 2);
        struct str all = messages(&h, id);
        CHECK(str_starts(all, STR("user:" TOOLS_THEN_DONE " assistant:+2 tool:seen tool:")));
        CHECK(str_ends(all, STR(" assistant:done ")));
    }
}

BOTH_BACKENDS(a_cancel_that_its_owner_did_not_live_to_see_counts) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct process b cleanup(process_close) = {0};
    struct turn_ticket ticket;
    struct heard heard = {0};
    enum turn_state state;
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    REQUIRE_OK(say(&a, "r", "r", "[tool wait_look {}] [tool wait_act {}]", &ticket, &h.f.err),
               &h.f.err);
    CHECK(house_called(&h, TOOL_WAIT_ACT, 1));
    turn_engine_stop(a.engine, 0);
    CHECK_OK(turn_request_cancel(h.f.db, turn("r"), &state, &h.f.err), &h.f.err);
    process_start(&h, "b", &b);
    hear(ticket.reader, &heard);
    check_whole(&heard);
    CHECK_STR(state_of(&h, "r"), "cancelled 1");
    CHECK_STR(effects_of(&h, "r"), "failed unknown ");
    CHECK_INT(h.calls[TOOL_WAIT_LOOK], 1);
}

/* A turn that ends every process that takes it must not do so for ever. */
BOTH_BACKENDS(a_turn_that_never_gets_on_is_given_up) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct turn_ticket ticket;
    struct turn_row row;
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    REQUIRE_OK(say(&a, "r", "r", "[hang]", &ticket, &h.f.err), &h.f.err);
    turn_engine_stop(a.engine, 0);
    run_reader_close(ticket.reader);
    for (int i = 0; i < 5; i++) {
        CHECK_OK(
            turn_claim(h.f.db, turn("r"), STR("c"), clock_now_us(), &h.f.arena, &row, &h.f.err),
            &h.f.err);
    }
    struct process b cleanup(process_close) = {0};
    process_start(&h, "b", &b);
    CHECK(ended(&h, "r"));
    CHECK_STR(state_of(&h, "r"), "failed 6");
}

/* An image may be larger than the whole budget of the prompt. */
BOTH_BACKENDS(a_large_message_is_still_there_when_its_turn_is_taken_from_the_queue) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct turn_ticket first, second;
    struct heard heard = {0};
    struct strbuf text cleanup(strbuf_done) = STRBUF(TURN_MAX_TEXT_BYTES);
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    h.profile.llm.model = STR("gpt-4");
    strbuf_addz(&text, "[say I saw it]");
    while (text.n < TURN_MAX_TEXT_BYTES - 10) {
        strbuf_addz(&text, " and so on");
    }
    REQUIRE_OK(say(&a, "t", "r1", "[tool wait_look {}] [then] [say done]", &first, &h.f.err),
               &h.f.err);
    REQUIRE_OK(say(&a, "t", "r2", text.p, &second, &h.f.err), &h.f.err);
    house_open_gate(&h);
    hear(first.reader, &heard);
    heard = (struct heard){0};
    hear(second.reader, &heard);
    check_whole(&heard);
    CHECK(str_starts(str_z(heard.text), STR("I saw it")));
}

/* ---- the database fails ---- */

/* To the end, or until the database fails its reader, whose client would come again; true when it
 * heard all. Closes the reader. */
static bool hear_bravely(struct run_reader *reader, struct heard *ret) {
    const struct run_event *events;
    struct err err;
    size_t n = 1;
    int rc = 0;
    while (n > 0 && (rc = run_read(reader, 20000, &events, &n, &err)) == 0) {
        heard_note(ret, events, n);
    }
    CHECK(rc == 0 || rc == -ERR_UNAVAILABLE);
    run_reader_close(reader);
    return rc == 0;
}

static void check_fault(struct house *h, struct process *p, uint64_t k, bool after_commit) {
    struct turn_ticket tickets[2] = {0};
    char ids[2][24];
    h->calls[TOOL_ACT] = 0;
    snprintf(ids[0], sizeof ids[0], "f%llu%s", (unsigned long long)k, after_commit ? "c" : "");
    snprintf(ids[1], sizeof ids[1], "%s-2", ids[0]);
    user_epoch_changed(h->epochs, ME); /* so that rules are read once more */
    db_fail_at(h->f.db, k, ERR_UNAVAILABLE, after_commit);
    for (size_t i = 0; i < 2; i++) {
        struct err err;
        int rc = say(p, ids[0], ids[i], TOOLS_THEN_DONE, &tickets[i], &err);
        if (rc == -ERR_UNAVAILABLE) { /* what was read first; the client tries again */
            rc = say(p, ids[0], ids[i], TOOLS_THEN_DONE, &tickets[i], &err);
        }
        CHECK_OK(rc, &err);
    }
    for (size_t i = 0; i < 2; i++) {
        struct heard heard = {0};
        if (tickets[i].reader && hear_bravely(tickets[i].reader, &heard)) {
            check_whole(&heard);
        }
        CHECK(ended(h, ids[i]));
    }
    db_fail_at(h->f.db, 0, ERR_NONE, false);
    for (size_t i = 0; i < 2; i++) {
        CHECK(str_starts(state_of(h, ids[i]), STR("done")));
        CHECK_STR(effects_of(h, ids[i]), "done done ");
    }
    CHECK_INT(h->calls[TOOL_ACT], 2);
    CHECK_STR(messages(h, ids[0]),
              "user:" TOOLS_THEN_DONE " assistant:+2 tool:seen tool:acted assistant:done "
              "user:" TOOLS_THEN_DONE " assistant:+2 tool:seen tool:acted assistant:done ");
}

BOTH_BACKENDS(each_transaction_may_fail_once) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    REQUIRE(house_open(&h, backend));
    process_start(&h, "a", &a);
    for (uint64_t k = 1; k <= 24; k++) {
        check_fault(&h, &a, k, false);
        check_fault(&h, &a, k, true);
    }
}

/* The database is away until it is over. */
struct outage {
    struct db *db;
    bool over;
};

static void outage_main(void *arg) {
    struct outage *o = arg;
    while (!o->over) {
        fiber_yield();
        db_fail_at(o->db, 1, ERR_UNAVAILABLE, false);
    }
    db_fail_at(o->db, 0, ERR_NONE, false);
}

/* Says something without a name for the turn while the database is away; the first transaction is
 * committed all the same. Which one that is depends on chance in chaos mode. */
static int say_in_outage(struct process *p, const char *thread, const char *turn,
                         bool first_commits) {
    struct outage outage = {.db = p->house->f.db};
    struct fiber_scope scope;
    struct turn_ticket ticket = {0};
    struct err err;
    struct turn_submission s = {.user_id = ME,
                                .allow_operator_llm = true,
                                .thread_id = str_z(thread),
                                .turn_id = str_z(turn),
                                .text = STR("[say hi]")};
    db_fail_at(outage.db, 1, ERR_UNAVAILABLE, first_commits);
    fiber_scope_init(&scope);
    CHECK_OK(fiber_spawn(&scope, "outage", outage_main, &outage, NULL, &err), &err);
    int rc = turn_submit(p->engine, &s, &ticket, &err);
    outage.over = true;
    fiber_scope_join(&scope);
    CHECK(rc == 0 || rc == -ERR_UNAVAILABLE);
    run_reader_close(ticket.reader);
    return rc;
}

/* The message was stored, and nobody was told: neither the client nor the process itself. */
BOTH_BACKENDS(a_message_stored_unheard_is_answered) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    unsigned unheard = 0;
    REQUIRE(house_open(&h, backend));
    process_start(&h, "a", &a);
    for (int i = 0; i < 3; i++) {
        struct heard heard;
        char id[8];
        snprintf(id, sizeof id, "r%d", i);
        int rc = say_in_outage(&a, id, "", true);
        talk(&a, id, id, "[say more]", &heard);
        bool answered = str_eq(messages(&h, id), STR("user:[say hi] assistant:hi user:[say more] "
                                                     "assistant:more "));
        bool never_stored = str_eq(messages(&h, id), STR("user:[say more] assistant:more "));
        CHECK(answered || (rc < 0 && never_stored));
        unheard += rc < 0 && answered;
    }
    CHECK(unheard > 0 || getenv("ADJUTANT_CHAOS"));
}

/* The same name again while what is left of the failed submission still unwinds. */
BOTH_BACKENDS(a_failed_submission_may_be_repeated_at_once) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct heard heard;
    REQUIRE(house_open(&h, backend));
    process_start(&h, "a", &a);
    (void)say_in_outage(&a, "t", "r", false);
    talk(&a, "t", "r", "[say hi]", &heard);
    CHECK_STR(messages(&h, "t"), "user:[say hi] assistant:hi ");
}
