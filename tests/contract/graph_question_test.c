/* What can come between a question and its answer: failures, other words, other questions, time. */
#include "base/clock.h"
#include "house.h"
#include "store/interrupts.h"
#include "store/policies.h"
#include "store/threads.h"

static void set_policy(struct house *h, const char *tool, const char *policy) {
    struct audit_entry audit = {.user_id = ME, .actor = STR("test"), .action = STR("policy.put")};
    struct policy_row row = {.server = STR_EMPTY, .tool = str_z(tool), .policy = str_z(policy)};
    CHECK_OK(policy_put(h->f.db, ME, &row, 100, &audit, &h->f.err), &h->f.err);
    user_epoch_changed(h->epochs, ME);
}

static struct interrupt_row *asked(struct house *h, size_t want) {
    struct interrupt_row *rows = NULL;
    size_t n = 0;
    CHECK_OK(interrupts_open(h->f.db, ME, STR_EMPTY, clock_now_us(), 20, &h->f.arena, &rows, &n,
                             &h->f.err),
             &h->f.err);
    CHECK_INT(n, want);
    return n == want ? rows : NULL;
}

static int answer(struct process *p, struct str id, bool approved, const char *turn,
                  struct turn_ticket *ret, size_t *ret_open, struct err *err) {
    struct interrupt_answer a = {.interrupt_id = id, .approved = approved};
    struct turn_resumption r = {.user_id = ME,
                                .allow_operator_llm = true,
                                .turn_id = str_z(turn),
                                .answers = &a,
                                .n_answers = 1};
    *ret = (struct turn_ticket){0};
    return turn_resume(p->engine, &r, ret, ret_open, err);
}

static void answer_and_hear(struct process *p, struct str id, bool approved, const char *turn,
                            struct heard *ret) {
    struct err err;
    struct turn_ticket ticket;
    size_t open;
    *ret = (struct heard){0};
    if (CHECK_OK(answer(p, id, approved, turn, &ticket, &open, &err), &err) && CHECK_INT(open, 0)) {
        hear(ticket.reader, ret);
        check_whole(ret);
    }
}

static void change(struct house *h, const struct db_sql *sql, struct str value) {
    struct db_tx *tx = db_tx_new(h->f.db, ME, DB_WRITE);
    db_tx_add(tx, sql, db_text(ME), db_text(value));
    CHECK_OK(db_tx_run(tx, &h->f.err), &h->f.err);
    db_tx_free(tx);
}

/* ---- what is asked ---- */

/* Models like to write their arguments on several lines. */
BOTH_BACKENDS(arguments_of_several_lines_stay_one_event) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct heard heard;
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    set_policy(&h, "act", "ask");
    talk(&a, "t", "r1", "[tool act {\n  \"x\": 1\n}] [then] [say done]", &heard);
    talk(&a, "t", "r1", "again, as it is stored", &heard);
    CHECK(str_ends(str_z(heard.types), STR("STATE_SNAPSHOT MESSAGES_SNAPSHOT RUN_FINISHED ")));
    struct interrupt_row *rows = asked(&h, 1);
    REQUIRE(rows);
    answer_and_hear(&a, rows[0].is.id, true, "r2", &heard);
    CHECK_STR(str_z(heard.results), "acted|");
}

/* All that a step can store at once. */
BOTH_BACKENDS(as_many_questions_as_there_is_room_for) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct turn_ticket ticket;
    struct strbuf text cleanup(strbuf_done) = STRBUF(4096);
    struct heard heard = {0};
    size_t open;
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    set_policy(&h, "act", "ask");
    for (int i = 0; i < TURN_STEP_MAX + 4; i++) {
        strbuf_addf(&text, "[tool act {\"i\":%d}] ", i);
    }
    strbuf_addz(&text, "[then] [echo-results]");
    talk(&a, "t", "r1", strbuf_z(&text), &heard);
    CHECK_STR(state_of(&h, "r1"), "interrupted 0");
    struct interrupt_row *rows = asked(&h, TURN_STEP_MAX);
    REQUIRE(rows);
    struct interrupt_answer answers[TURN_STEP_MAX];
    for (size_t i = 0; i < TURN_STEP_MAX; i++) {
        answers[i] = (struct interrupt_answer){.interrupt_id = rows[i].is.id, .approved = true};
    }
    struct turn_resumption r = {.user_id = ME,
                                .allow_operator_llm = true,
                                .turn_id = STR("r2"),
                                .all = true,
                                .answers = answers,
                                .n_answers = TURN_STEP_MAX};
    REQUIRE_OK(turn_resume(a.engine, &r, &ticket, &open, &h.f.err), &h.f.err);
    heard = (struct heard){0};
    hear(ticket.reader, &heard);
    check_whole(&heard);
    CHECK_INT(h.calls[TOOL_ACT], TURN_STEP_MAX);
    struct str all = messages(&h, "t");
    CHECK(str_find(all, STR("too many tool calls in one answer")) != SIZE_MAX);
    CHECK(!strstr(heard.text, "interrupted"));
}

/* A question that is not the turn's end is none. */
BOTH_BACKENDS(a_turn_that_fails_while_it_asks_leaves_no_questions) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    unsigned failed = 0;
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    set_policy(&h, "act", "ask");
    struct heard heard;
    talk(&a, "r", "r", "[say the rules are read]", &heard);
    for (uint64_t k = 1; k <= 10; k++) {
        struct turn_ticket ticket;
        heard = (struct heard){0};
        struct err err;
        char id[16];
        snprintf(id, sizeof id, "r%d", (int)k);
        db_fail_at(h.f.db, k, ERR_INTERNAL, false);
        int rc = say(&a, id, id, "[tool act {}] [then] [say done]", &ticket, &err);
        if (rc == 0) {
            hear(ticket.reader, &heard);
        }
        db_fail_at(h.f.db, 0, ERR_NONE, false);
        if (rc == 0 && str_starts(state_of(&h, id), STR("failed"))) {
            struct interrupt_row *rows;
            size_t n;
            failed++;
            CHECK_OK(interrupts_of_turn(h.f.db, turn(id), &h.f.arena, &rows, &n, &h.f.err),
                     &h.f.err);
            CHECK_INT(n, 0);
        }
    }
    CHECK(failed > 0);
}

/* Whoever adopts it asks what was left to ask, and not about what was done. */
BOTH_BACKENDS(what_was_done_before_is_not_asked_about) {
    struct house h cleanup(house_close) = {0};
    REQUIRE(house_open(&h, backend));
    for (int i = 0; i < 30; i++) {
        struct process a cleanup(process_close) = {0};
        struct process b cleanup(process_close) = {0};
        struct turn_ticket ticket;
        struct interrupt_row *rows;
        struct heard heard = {0};
        size_t n, act = 0;
        char id[8];
        snprintf(id, sizeof id, "r%d", i);
        process_open(&h, "a", &a);
        set_policy(&h, "look", "allow");
        set_policy(&h, "act", "ask");
        REQUIRE_OK(
            say(&a, id, id, "[tool look {}] [tool act {}] [then] [say done]", &ticket, &h.f.err),
            &h.f.err);
        for (int pause = 0; pause < i * 4; pause++) {
            fiber_yield();
        }
        process_lose_lease(&a);
        set_policy(&h, "look", "ask");
        process_start(&h, "b", &b);
        hear(ticket.reader, &heard);
        check_whole(&heard);
        CHECK(ended(&h, id));
        CHECK_OK(interrupts_of_turn(h.f.db, turn(id), &h.f.arena, &rows, &n, &h.f.err), &h.f.err);
        bool seen = str_find(messages(&h, id), STR("tool:seen")) != SIZE_MAX;
        for (size_t k = 0; k < n; k++) {
            act += str_eq(rows[k].is.tool, STR("act"));
            CHECK(!seen || !str_eq(rows[k].is.tool, STR("look")));
        }
        CHECK_INT(act, 1);
    }
}

/* ---- what is read when it goes on ---- */

/* The question stands behind more than the model's budget of history. */
BOTH_BACKENDS(what_the_answer_belongs_to_is_read_however_large_it_is) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct heard heard;
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    set_policy(&h, "act", "ask");
    talk(&a, "t", "r1",
         "[tool act {}] [tool loud {}] [tool loud {}] [then] [tool act {}] [then] [say done]",
         &heard);
    for (int i = 2; i <= 3; i++) {
        char id[8];
        struct interrupt_row *rows = asked(&h, 1);
        REQUIRE(rows);
        snprintf(id, sizeof id, "r%d", i);
        answer_and_hear(&a, rows[0].is.id, true, id, &heard);
        CHECK_STR(str_z(heard.error), "");
        CHECK_INT(h.calls[TOOL_ACT], i - 1);
    }
    CHECK_STR(state_of(&h, "r3"), "done 0");
    CHECK_STR(str_z(heard.text), "done|");
}

/* ---- several questions, and time ---- */

static const struct db_sql sql_expire = DB_SQL(
    "expire", "UPDATE interrupts SET expires_at = created_at WHERE user_id = $1 AND id = $2");

BOTH_BACKENDS(a_question_that_expired_keeps_the_others_from_nothing) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct heard heard;
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    set_policy(&h, "act", "ask");
    set_policy(&h, "refuse", "ask");
    talk(&a, "t", "r1", "[tool act {}] [tool refuse {}] [then] [say done]", &heard);
    struct interrupt_row *rows = asked(&h, 2);
    REQUIRE(rows);
    change(&h, &sql_expire, rows[1].is.id);
    answer_and_hear(&a, rows[0].is.id, true, "r2", &heard);
    CHECK(strstr(heard.results, "acted|"));
    CHECK(strstr(heard.results, "did not answer in time|") ||
          strstr(heard.results, "did not answer in time.|"));
    CHECK_INT(h.calls[TOOL_REFUSE], 0);
}

BOTH_BACKENDS(what_expired_last_can_be_denied) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct turn_ticket ticket;
    struct heard heard;
    size_t open;
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    set_policy(&h, "act", "ask");
    set_policy(&h, "refuse", "ask");
    talk(&a, "t", "r1", "[tool act {}] [tool refuse {}] [then] [say done]", &heard);
    struct interrupt_row *rows = asked(&h, 2);
    REQUIRE(rows);
    REQUIRE_OK(answer(&a, rows[0].is.id, true, "", &ticket, &open, &h.f.err), &h.f.err);
    CHECK_INT(open, 1);
    change(&h, &sql_expire, rows[1].is.id);
    CHECK_FAILS(answer(&a, rows[1].is.id, true, "", &ticket, &open, &h.f.err), &h.f.err,
                ERR_CONFLICT);
    answer_and_hear(&a, rows[1].is.id, false, "r2", &heard);
    CHECK(strstr(heard.results, "acted|"));
    CHECK(strstr(heard.results, "declined"));
}

/* ---- words ---- */

static int say_words(struct process *p, const char *verb, struct str code, const char *end,
                     struct turn_ticket *ret, struct err *err) {
    char words[64];
    snprintf(words, sizeof words, "%s %.*s%s", verb, STR_ARG(code), end);
    return say(p, "t", "", words, ret, err);
}

/* Programs repeat what was answered with a conflict. */
BOTH_BACKENDS(the_same_words_again_are_no_message) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct turn_ticket ticket;
    struct heard heard = {0};
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    set_policy(&h, "act", "ask");
    set_policy(&h, "refuse", "ask");
    talk(&a, "t", "r1", "[tool act {}] [tool refuse {}] [then] [say done]", &heard);
    struct interrupt_row *rows = asked(&h, 2);
    REQUIRE(rows);
    for (int i = 0; i < 3; i++) {
        CHECK_FAILS(say_words(&a, "approve", rows[0].is.code, "", &ticket, &h.f.err), &h.f.err,
                    ERR_CONFLICT);
        CHECK(strstr(h.f.err.msg, rows[1].is.code.p));
    }
    CHECK_FAILS(say_words(&a, "deny", rows[0].is.code, "", &ticket, &h.f.err), &h.f.err,
                ERR_CONFLICT);
    REQUIRE_OK(say_words(&a, "\"Deny", rows[1].is.code, "\".", &ticket, &h.f.err), &h.f.err);
    heard = (struct heard){0};
    hear(ticket.reader, &heard);
    check_whole(&heard);
    CHECK(strstr(heard.results, "acted|"));
    CHECK_FAILS(say_words(&a, "deny", rows[1].is.code, "", &ticket, &h.f.err), &h.f.err,
                ERR_CONFLICT);
    CHECK(str_ends(messages(&h, "t"), STR(" assistant:done ")));
}

BOTH_BACKENDS(a_code_that_two_questions_have_answers_none) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct turn_ticket ticket;
    struct heard heard;
    static const struct db_sql same =
        DB_SQL("same_code", "UPDATE interrupts SET code = $2 WHERE user_id = $1");
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    set_policy(&h, "act", "ask");
    talk(&a, "t1", "r1", "[tool act {\"to\":\"one\"}] [then] [say done]", &heard);
    talk(&a, "t2", "r2", "[tool act {\"to\":\"all\"}] [then] [say done]", &heard);
    change(&h, &same, STR("SAME"));
    CHECK_FAILS(say_words(&a, "approve", STR("SAME"), "", &ticket, &h.f.err), &h.f.err,
                ERR_CONFLICT);
    asked(&h, 2);
    CHECK_INT(h.calls[TOOL_ACT], 0);
}

/* ---- what the model is told of calls that were never made ---- */

#define OTHERWISE "asked about this call, and wrote something else"

/* What the model was sent for the turn. */
static struct str prompt_of(struct process *p, const char *thread, const char *turn) {
    struct strbuf log cleanup(strbuf_done) = STRBUF(16 * 1024 * 1024);
    struct heard heard;
    fake_log_clear(p->house->model.log);
    talk(p, thread, turn, "[say well]", &heard);
    CHECK_STR(str_z(heard.text), "well|");
    fake_log_write(p->house->model.log, 10, &log);
    return arena_str(&p->house->f.arena, strbuf_str(&log));
}

BOTH_BACKENDS(who_went_on_has_the_model_know_it) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct turn_ticket ticket;
    struct heard heard;
    size_t open;
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    set_policy(&h, "act", "ask");
    set_policy(&h, "refuse", "ask");
    talk(&a, "t", "r1", "[tool act {}] [tool look {}] [tool refuse {}] [then] [say done]", &heard);
    REQUIRE_OK(thread_fork(h.f.db, ME, STR("t"), STR("r1"), STR("fork"), &h.f.err), &h.f.err);
    struct interrupt_row *rows = asked(&h, 2);
    REQUIRE(rows);
    REQUIRE_OK(answer(&a, rows[1].is.id, false, "", &ticket, &open, &h.f.err), &h.f.err);
    struct str prompt = prompt_of(&a, "t", "r2");
    CHECK(str_find(prompt, STR(OTHERWISE)) != SIZE_MAX);
    CHECK(str_find(prompt, STR("The user declined this call.")) != SIZE_MAX);
    CHECK(str_find(prompt, STR("seen")) != SIZE_MAX);
    CHECK(str_find(prompt, STR("not known")) == SIZE_MAX);
    prompt = prompt_of(&a, "fork", "r3");
    CHECK(str_find(prompt, STR(OTHERWISE)) != SIZE_MAX);
    CHECK(str_find(prompt, STR("declined")) == SIZE_MAX);
    CHECK(str_find(prompt, STR("not known")) == SIZE_MAX);
    CHECK_INT(h.calls[TOOL_ACT], 0);
}

/* Of a call that somebody began nothing is claimed. */
BOTH_BACKENDS(what_was_begun_after_all_stays_unknown) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct heard heard;
    static const struct db_sql lose =
        DB_SQL("lose", "UPDATE messages SET content = REPLACE(content, '\"tool_call_id\":\"', "
                       "'\"tool_call_ix\":\"') WHERE user_id = $1 AND role = $2");
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    set_policy(&h, "act", "ask");
    talk(&a, "t", "r1", "[tool act {}] [then] [say done]", &heard);
    struct interrupt_row *rows = asked(&h, 1);
    REQUIRE(rows);
    answer_and_hear(&a, rows[0].is.id, true, "r2", &heard);
    change(&h, &lose, STR("tool"));
    struct str prompt = prompt_of(&a, "t", "r3");
    CHECK(str_find(prompt, STR("Not called")) == SIZE_MAX);
    CHECK(str_find(prompt, STR("its outcome is not known")) != SIZE_MAX);
}

/* ---- what is approved is what was shown ---- */

BOTH_BACKENDS(a_question_that_was_changed_allows_nothing) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct heard heard;
    static const struct db_sql tamper =
        DB_SQL("tamper_question", "UPDATE interrupts SET arguments = REPLACE(arguments, 'one', $2) "
                                  "WHERE user_id = $1");
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    set_policy(&h, "act", "ask");
    talk(&a, "t", "r1", "[tool act {\"to\":\"one\"}] [then] [say done]", &heard);
    struct interrupt_row *rows = asked(&h, 1);
    REQUIRE(rows);
    change(&h, &tamper, STR("all"));
    answer_and_hear(&a, rows[0].is.id, true, "r2", &heard);
    CHECK(strstr(heard.results, "it is not the call that the user was asked about"));
    CHECK_INT(h.calls[TOOL_ACT], 0);
}
