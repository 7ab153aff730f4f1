/* Calls that wait for their user's word: asked, answered once, for exactly that call, whatever
 * happens in between. */
#include "base/clock.h"
#include "house.h"
#include "store/interrupts.h"
#include "store/policies.h"

/* ---- what the tests do ---- */

static void set_policy(struct house *h, const char *tool, const char *policy) {
    struct audit_entry audit = {.user_id = ME, .actor = STR("test"), .action = STR("policy.put")};
    struct policy_row row = {.server = STR_EMPTY, .tool = str_z(tool), .policy = str_z(policy)};
    CHECK_OK(policy_put(h->f.db, ME, &row, 100, &audit, &h->f.err), &h->f.err);
    user_epoch_changed(h->epochs, ME);
}

static struct interrupt_row *asked(struct house *h, size_t want) {
    struct interrupt_row *rows = NULL;
    size_t n = 0;
    CHECK_OK(interrupts_open(h->f.db, ME, STR_EMPTY, clock_now_us(), 10, &h->f.arena, &rows, &n,
                             &h->f.err),
             &h->f.err);
    CHECK_INT(n, want);
    return n == want ? rows : NULL;
}

static int answer(struct process *p, struct str id, bool approved, const char *arguments,
                  const char *turn, struct turn_ticket *ret, size_t *ret_open, struct err *err) {
    struct interrupt_answer a = {
        .interrupt_id = id, .approved = approved, .arguments = str_z(arguments)};
    struct turn_resumption r = {.user_id = ME,
                                .allow_operator_llm = true,
                                .turn_id = str_z(turn),
                                .answers = &a,
                                .n_answers = 1};
    *ret = (struct turn_ticket){0};
    return turn_resume(p->engine, &r, ret, ret_open, err);
}

/* Answers the one question there is, and hears what comes of it. */
static void answer_and_hear(struct process *p, bool approved, const char *arguments,
                            const char *turn, struct heard *ret) {
    struct house *h = p->house;
    struct interrupt_row *rows = asked(h, 1);
    struct turn_ticket ticket;
    size_t open;
    *ret = (struct heard){0};
    if (rows &&
        CHECK_OK(answer(p, rows[0].is.id, approved, arguments, turn, &ticket, &open, &h->f.err),
                 &h->f.err)) {
        CHECK_INT(open, 0);
        hear(ticket.reader, ret);
        check_whole(ret);
    }
}

static void ask_for(struct process *p, const char *turn, const char *text) {
    struct heard heard;
    talk(p, "t", turn, text, &heard);
    CHECK(str_ends(str_z(heard.types), STR("STATE_SNAPSHOT MESSAGES_SNAPSHOT RUN_FINISHED ")));
    CHECK_STR(state_of(p->house, turn), "interrupted 0");
}

/* ---- the road ---- */

BOTH_BACKENDS(what_is_approved_is_done_once) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0}, b cleanup(process_close) = {0};
    struct heard heard;
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    set_policy(&h, "act", "ask");
    ask_for(&a, "r1", "[tool look {}] [tool act {\"x\":1}] [then] [say done]");
    CHECK_INT(h.calls[TOOL_LOOK], 1);
    CHECK_INT(h.calls[TOOL_ACT], 0);
    CHECK_STR(effects_of(&h, "r1"), "done ");
    process_close(&a);
    a = (struct process){0};
    process_open(&h, "b", &b);
    answer_and_hear(&b, true, "", "r2", &heard);
    CHECK_STR(str_z(heard.types), "RUN_STARTED TOOL_CALL_RESULT TEXT_MESSAGE_START "
                                  "TEXT_MESSAGE_CONTENT TEXT_MESSAGE_END RUN_FINISHED ");
    CHECK_STR(str_z(heard.results), "acted|");
    CHECK_INT(h.calls[TOOL_ACT], 1);
    CHECK_STR(effects_of(&h, "r2"), "done ");
    CHECK(str_ends(messages(&h, "t"), STR(" assistant:+2 tool:seen tool:acted assistant:done ")));
    asked(&h, 0);
}

BOTH_BACKENDS(what_is_denied_is_told_to_the_model) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct heard heard;
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    set_policy(&h, "act", "ask");
    ask_for(&a, "r1", "[tool act {}] [then] [say done]");
    answer_and_hear(&a, false, "", "r2", &heard);
    CHECK_STR(str_z(heard.results), "The user declined this call.|");
    CHECK_STR(state_of(&h, "r2"), "done 0");
    CHECK_INT(h.calls[TOOL_ACT], 0);
    CHECK_STR(effects_of(&h, "r2"), "");
}

BOTH_BACKENDS(edited_arguments_are_what_is_called) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct heard heard;
    struct turn_effect *effects;
    size_t n;
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    set_policy(&h, "act", "ask");
    ask_for(&a, "r1", "[tool act {\"to\":\"all\"}] [then] [say done]");
    answer_and_hear(&a, true, "{\"to\":\"one\"}", "r2", &heard);
    CHECK(strstr(heard.results, "The user changed the arguments to {\"to\":\"one\"}"));
    CHECK_INT(h.calls[TOOL_ACT], 1);
    struct turn_key key = {ME, STR("r2")};
    REQUIRE_OK(turn_effects(h.f.db, key, &h.f.arena, &effects, &n, &h.f.err), &h.f.err);
    REQUIRE(n == 1);
    CHECK_STR(effects[0].arguments, "{\"to\":\"one\"}");
}

BOTH_BACKENDS(an_answer_counts_once) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct heard heard;
    struct turn_ticket ticket;
    size_t open;
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    set_policy(&h, "act", "ask");
    ask_for(&a, "r1", "[tool act {}] [then] [say done]");
    struct interrupt_row *rows = asked(&h, 1);
    REQUIRE(rows);
    answer_and_hear(&a, true, "", "r2", &heard);
    CHECK_FAILS(answer(&a, rows[0].is.id, true, "", "", &ticket, &open, &h.f.err), &h.f.err,
                ERR_CONFLICT);
    CHECK_FAILS(answer(&a, rows[0].is.id, false, "", "", &ticket, &open, &h.f.err), &h.f.err,
                ERR_CONFLICT);
    /* the same answer under the same name is the same turn */
    REQUIRE_OK(answer(&a, rows[0].is.id, true, "", "r2", &ticket, &open, &h.f.err), &h.f.err);
    CHECK(ticket.existed);
    run_reader_close(ticket.reader);
    CHECK_FAILS(answer(&a, STR("nothing"), true, "", "", &ticket, &open, &h.f.err), &h.f.err,
                ERR_NOT_FOUND);
    CHECK_INT(h.calls[TOOL_ACT], 1);
}

struct racer {
    struct process *p;
    struct str id;
    unsigned *won;
};

static void race(void *arg) {
    struct racer *r = arg;
    struct turn_ticket ticket;
    struct err err;
    size_t open;
    if (answer(r->p, r->id, true, "", "", &ticket, &open, &err) == 0) {
        struct heard heard = {0};
        ++*r->won;
        hear(ticket.reader, &heard);
    } else {
        CHECK_INT(err.code, ERR_CONFLICT);
    }
}

BOTH_BACKENDS(of_answers_given_at_once_one_counts) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0}, b cleanup(process_close) = {0};
    struct fiber_scope scope;
    unsigned won = 0;
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    process_open(&h, "b", &b);
    set_policy(&h, "act", "ask");
    ask_for(&a, "r1", "[tool act {}] [then] [say done]");
    struct interrupt_row *rows = asked(&h, 1);
    REQUIRE(rows);
    struct racer racers[6];
    fiber_scope_init(&scope);
    for (size_t i = 0; i < ARRAY_LEN(racers); i++) {
        racers[i] = (struct racer){i % 2 ? &b : &a, rows[0].is.id, &won};
        CHECK_OK(fiber_spawn(&scope, "race", race, &racers[i], NULL, &h.f.err), &h.f.err);
    }
    fiber_scope_join(&scope);
    CHECK_INT(won, 1);
    CHECK_INT(h.calls[TOOL_ACT], 1);
}

struct repeat {
    struct process *p;
    struct str id;
    struct turn_ticket ticket;
    int rc;
    struct err err;
};

static void repeat_main(void *arg) {
    struct repeat *r = arg;
    size_t open;
    r->rc = answer(r->p, r->id, true, "", "r2", &r->ticket, &open, &r->err);
}

/* A client that sends its answer again before it heard of the first. */
BOTH_BACKENDS(an_answer_sent_several_times_at_once_is_one) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct repeat repeats[4];
    struct fiber_scope scope;
    struct interrupt_row *rows;
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    set_policy(&h, "act", "ask");
    ask_for(&a, "r1", "[tool act {}] [then] [say done]");
    REQUIRE((rows = asked(&h, 1)) != NULL);
    fiber_scope_init(&scope);
    for (size_t i = 0; i < ARRAY_LEN(repeats); i++) {
        repeats[i] = (struct repeat){.p = &a, .id = rows[0].is.id};
        CHECK_OK(fiber_spawn(&scope, "repeat", repeat_main, &repeats[i], NULL, &h.f.err), &h.f.err);
    }
    fiber_scope_join(&scope);
    for (size_t i = 0; i < ARRAY_LEN(repeats); i++) {
        struct heard heard = {0};
        if (CHECK_OK(repeats[i].rc, &repeats[i].err)) {
            hear(repeats[i].ticket.reader, &heard);
            check_whole(&heard);
        }
    }
    CHECK_STR(state_of(&h, "r2"), "done 0");
    CHECK_INT(h.calls[TOOL_ACT], 1);
}

BOTH_BACKENDS(several_questions_are_answered_one_by_one) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct turn_ticket ticket;
    struct heard heard = {0};
    size_t open;
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    set_policy(&h, "act", "ask");
    set_policy(&h, "refuse", "ask");
    ask_for(&a, "r1", "[tool act {}] [tool look {}] [tool refuse {}] [then] [say done]");
    struct interrupt_row *rows = asked(&h, 2);
    REQUIRE(rows);
    struct str second = rows[1].is.id;
    CHECK_STR(rows[1].is.tool, "refuse");
    REQUIRE_OK(answer(&a, second, false, "", "", &ticket, &open, &h.f.err), &h.f.err);
    CHECK_INT(open, 1);
    CHECK(!ticket.reader);
    CHECK_FAILS(answer(&a, second, true, "", "", &ticket, &open, &h.f.err), &h.f.err, ERR_CONFLICT);
    rows = asked(&h, 1);
    REQUIRE(rows);
    REQUIRE_OK(answer(&a, rows[0].is.id, true, "", "r2", &ticket, &open, &h.f.err), &h.f.err);
    hear(ticket.reader, &heard);
    check_whole(&heard);
    CHECK(strstr(heard.results, "acted|"));
    CHECK(strstr(heard.results, "The user declined this call.|"));
    CHECK_INT(h.calls[TOOL_REFUSE], 0);
    CHECK_INT(h.calls[TOOL_LOOK], 1);
    CHECK(str_ends(messages(&h, "t"), STR(" assistant:done ")));
}

BOTH_BACKENDS(who_goes_on_has_not_answered) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct turn_ticket ticket;
    struct heard heard;
    size_t open;
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    set_policy(&h, "act", "ask");
    ask_for(&a, "r1", "[tool act {}] [then] [say done]");
    struct interrupt_row *rows = asked(&h, 1);
    REQUIRE(rows);
    talk(&a, "t", "r2", "[say something else]", &heard);
    CHECK_STR(str_z(heard.text), "something else|");
    asked(&h, 0);
    CHECK_FAILS(answer(&a, rows[0].is.id, true, "", "", &ticket, &open, &h.f.err), &h.f.err,
                ERR_CONFLICT);
    CHECK_INT(h.calls[TOOL_ACT], 0);
}

BOTH_BACKENDS(questions_expire) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct turn_ticket ticket;
    size_t open;
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    set_policy(&h, "act", "ask");
    h.profile.approval_ttl_s = 1;
    ask_for(&a, "r1", "[tool act {}] [then] [say done]");
    struct interrupt_row *rows = asked(&h, 1);
    REQUIRE(rows);
    (void)fiber_sleep(1100);
    asked(&h, 0);
    CHECK_FAILS(answer(&a, rows[0].is.id, true, "", "", &ticket, &open, &h.f.err), &h.f.err,
                ERR_CONFLICT);
    CHECK(strstr(h.f.err.msg, "expired"));
    CHECK_INT(h.calls[TOOL_ACT], 0);
}

BOTH_BACKENDS(an_answer_in_words_is_an_answer) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct heard heard;
    char words[64];
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    set_policy(&h, "act", "ask");
    ask_for(&a, "r1", "[tool act {}] [then] [say done]");
    struct interrupt_row *rows = asked(&h, 1);
    REQUIRE(rows);
    snprintf(words, sizeof words, " Always %.*s ", STR_ARG(rows[0].is.code));
    talk(&a, "elsewhere", "r2", words, &heard);
    CHECK_STR(str_z(heard.results), "acted|");
    CHECK_STR(messages(&h, "elsewhere"), "");
    /* and from now on nobody is asked */
    talk(&a, "t", "r3", "[tool act {}] [then] [say done]", &heard);
    CHECK_STR(str_z(heard.results), "acted|");
    /* what names no open question is a message like any other */
    talk(&a, "t", "r4", "approve ZZZZ", &heard);
    CHECK(str_find(messages(&h, "t"), STR("user:approve ZZZZ ")) != SIZE_MAX);
}

BOTH_BACKENDS(another_call_than_the_one_asked_about_is_not_made) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct heard heard;
    static const struct db_sql tamper =
        DB_SQL("tamper", "UPDATE messages SET content = REPLACE(content, 'one', 'all') "
                         "WHERE user_id = $1 AND role = 'assistant'");
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    set_policy(&h, "act", "ask");
    ask_for(&a, "r1", "[tool act {\"to\":\"one\"}] [then] [say done]");
    struct db_tx *tx = db_tx_new(h.f.db, ME, DB_WRITE);
    db_tx_add(tx, &tamper, db_text(ME));
    CHECK_OK(db_tx_run(tx, &h.f.err), &h.f.err);
    db_tx_free(tx);
    answer_and_hear(&a, true, "", "r2", &heard);
    CHECK(strstr(heard.results, "it is not the call that the user was asked about"));
    CHECK_INT(h.calls[TOOL_ACT], 0);
}

BOTH_BACKENDS(denied_by_policy_is_never_called) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct heard heard;
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    set_policy(&h, "refuse", "deny");
    talk(&a, "t", "r1", "[tool refuse {}] [then] [say done]", &heard);
    CHECK_STR(str_z(heard.results), "Not called: the user does not allow this tool.|");
    CHECK_INT(h.calls[TOOL_REFUSE], 0);
    CHECK_STR(state_of(&h, "r1"), "done 0");
}

/* ---- failures ---- */

/* The k-th transaction of answering and going on fails, before or after its commit: the answer
 * counts once, and the call is made at most once. */
static void torture_once(struct house *h, struct process *p, uint64_t k, bool after_commit) {
    struct turn_ticket ticket;
    struct heard heard;
    struct err err;
    size_t open;
    char thread[16], turn[16];
    unsigned calls = h->calls[TOOL_ACT];
    snprintf(thread, sizeof thread, "t%d", (int)k);
    snprintf(turn, sizeof turn, "goes-on%d", (int)k);
    talk(p, thread, thread, "[tool act {}] [then] [say done]", &heard);
    struct interrupt_row *rows = asked(h, 1);
    REQUIRE(rows);
    db_fail_at(h->f.db, k, ERR_UNAVAILABLE, after_commit);
    int rc = answer(p, rows[0].is.id, true, "", turn, &ticket, &open, &err);
    if (rc < 0) { /* the client tries again under the same name */
        db_fail_at(h->f.db, 0, ERR_NONE, false);
        REQUIRE_OK(answer(p, rows[0].is.id, true, "", turn, &ticket, &open, &err), &err);
    }
    heard = (struct heard){0};
    hear(ticket.reader, &heard);
    db_fail_at(h->f.db, 0, ERR_NONE, false);
    CHECK(ended(h, turn));
    CHECK_INT(h->calls[TOOL_ACT] - calls, 1);
    CHECK_STR(effects_of(h, turn), "done ");
    CHECK(str_ends(messages(h, thread), STR(" tool:acted assistant:done ")));
}

static void torture(struct test_backend *backend, bool after_commit) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    set_policy(&h, "act", "ask");
    for (uint64_t k = 1; k <= 9; k++) {
        torture_once(&h, &a, k, after_commit);
    }
}

BOTH_BACKENDS(failures_before_the_commit_lose_no_answer) {
    torture(backend, false);
}

BOTH_BACKENDS(failures_after_the_commit_do_nothing_twice) {
    torture(backend, true);
}
