/* Turns of one process, from their submission to each of their ends. */
#include "house.h"

/* ---- the walk ---- */

BOTH_BACKENDS(a_plain_turn_is_answered_and_stored) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct heard heard;
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    talk(&a, "t", "r1", "[say hello]", &heard);
    CHECK_STR(str_z(heard.types), "RUN_STARTED TEXT_MESSAGE_START TEXT_MESSAGE_CONTENT "
                                  "TEXT_MESSAGE_END RUN_FINISHED ");
    CHECK_STR(str_z(heard.text), "hello|");
    CHECK_STR(messages(&h, "t"), "user:[say hello] assistant:hello ");
    CHECK_STR(state_of(&h, "r1"), "done 0");
    talk(&a, "t", "r2", "[echo-messages]", &heard);
    CHECK_STR(str_head(str_z(heard.text), 10), "3 messages");
    CHECK_INT(turn_engine_stats(a.engine).done, 2);
    CHECK_INT(turn_engine_stats(a.engine).running, 0);
}

BOTH_BACKENDS(tools_are_called_and_told) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct heard heard;
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    talk(&a, "t", "r", "[tool look {}] [tool act {}] [then] [tool act {}] [then] [say done]",
         &heard);
    CHECK_STR(str_z(heard.results), "seen|acted|acted|");
    CHECK_STR(effects_of(&h, "r"), "done done done ");
    CHECK(str_ends(messages(&h, "t"),
                   STR(" assistant:+2 tool:seen tool:acted assistant:+1 tool:acted "
                       "assistant:done ")));
    CHECK_INT(h.calls[TOOL_LOOK], 1);
    CHECK_INT(h.calls[TOOL_ACT], 2);
    CHECK_STR(state_of(&h, "r"), "done 0");
}

BOTH_BACKENDS(calls_run_side_by_side_and_are_told_in_their_order) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct heard heard = {0};
    struct turn_ticket ticket;
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    REQUIRE_OK(
        say(&a, "t", "r", "[tool wait_act {}] [tool look {}] [then] [say done]", &ticket, &h.f.err),
        &h.f.err);
    CHECK(hear_until(ticket.reader, "TOOL_CALL_RESULT", &heard));
    CHECK_STR(str_z(heard.results), "seen|");
    house_open_gate(&h);
    hear(ticket.reader, &heard);
    check_whole(&heard);
    CHECK_STR(str_z(heard.results), "seen|acted late|");
    CHECK(str_ends(messages(&h, "t"), STR(" tool:acted late tool:seen assistant:done ")));
}

BOTH_BACKENDS(calls_that_cannot_be_made_are_told_to_the_model) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct heard heard;
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    talk(&a, "t", "unknown", "[tool nothing {}] [then] [say done]", &heard);
    CHECK_STR(str_z(heard.results), "There is no tool of this name.|");
    CHECK_STR(effects_of(&h, "unknown"), "");
    talk(&a, "t", "invalid", "[bad-args] [tool act {}] [then] [say done]", &heard);
    CHECK(strstr(heard.results, "The call failed: the arguments"));
    CHECK_STR(effects_of(&h, "invalid"), "failed ");
    talk(&a, "t", "array", "[tool act [1]] [then] [say done]", &heard);
    CHECK(strstr(heard.results, "must be a JSON object"));
    CHECK_INT(h.calls[TOOL_ACT], 0);
    talk(&a, "t", "refused", "[tool refuse {}] [tool fail {}] [then] [say done]", &heard);
    CHECK(strstr(heard.results, "no|"));
    CHECK(strstr(heard.results, "The call failed: the weather is away|"));
    CHECK_STR(effects_of(&h, "refused"), "done failed ");
    CHECK_STR(state_of(&h, "refused"), "done 0");
}

BOTH_BACKENDS(a_tool_that_takes_too_long_costs_only_its_call) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct heard heard;
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    talk(&a, "t", "r", "[tool slow_look {}] [tool slow_act {}] [then] [say done]", &heard);
    CHECK_STR(effects_of(&h, "r"), "failed unknown ");
    CHECK_STR(state_of(&h, "r"), "done 0");
    /* nobody knows whether the second took effect, and the model is told so */
    CHECK(strstr(heard.results, "The call failed: it took too long|"));
    CHECK(strstr(heard.results, "utcome unknown"));
}

BOTH_BACKENDS(a_result_that_grows_when_it_is_written_stays_whole) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct heard heard;
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    talk(&a, "t", "r", "[tool loud {}] [then] [say done]", &heard);
    CHECK_STR(state_of(&h, "r"), "done 0");
    CHECK_INT(messages(&h, "t").n > TOOL_RESULT_MAX_BYTES, 1);
}

/* ---- limits ---- */

BOTH_BACKENDS(steps_tokens_and_time_are_limited) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct heard heard;
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    talk(&a, "t", "steps", "[loop]", &heard);
    CHECK_STR(str_z(heard.error), "limit");
    CHECK_STR(state_of(&h, "steps"), "failed 0");
    CHECK_INT(h.calls[TOOL_LOOK], 8);
    h.profile.turn_max_tokens = 10;
    talk(&a, "u", "tokens", "[loop]", &heard);
    CHECK_STR(str_z(heard.error), "limit");
    CHECK_INT(h.calls[TOOL_LOOK], 9);
    h.profile.turn_max_tokens = 400000;
    h.profile.turn_max_seconds = 1;
    talk(&a, "v", "time", "[stall 2]", &heard);
    CHECK_STR(str_z(heard.error), "timeout");
    CHECK(str_ends(messages(&h, "v"), STR("assistant:the quick  ")));
    talk(&a, "w", "tool-time", "[tool wait_look {}] [tool wait_act {}] [then] [say done]", &heard);
    CHECK_STR(str_z(heard.error), "timeout");
    CHECK_STR(effects_of(&h, "tool-time"), "failed unknown ");
    CHECK(strstr(messages(&h, "w").p, "assistant:+2 tool:"));
}

/* ---- a failing upstream ---- */

BOTH_BACKENDS(a_failing_model_leaves_what_it_said) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct heard heard;
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    talk(&a, "t", "r", "[cut 3]", &heard);
    CHECK(heard.error[0]);
    CHECK_STR(messages(&h, "t"), "user:[cut 3] assistant:the quick brown  ");
    CHECK_STR(state_of(&h, "r"), "failed 0");
    talk(&a, "t", "refused", "[status 401]", &heard);
    CHECK_STR(str_z(heard.error), "unauthorized");
    CHECK(str_ends(messages(&h, "t"), STR("user:[status 401] ")));
    talk(&a, "t", "again", "[say fine]", &heard);
    CHECK_STR(str_z(heard.text), "fine|");
}

/* ---- the queue ---- */

BOTH_BACKENDS(turns_of_a_thread_run_in_their_order) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct turn_ticket tickets[4];
    struct heard heard[4] = {0};
    const char *ids[] = {"r1", "r2", "r3", "r4"};
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    for (size_t i = 0; i < 4; i++) {
        const char *text = i ? "[say more]" : "[tool wait_look {}] [then] [say first]";
        REQUIRE_OK(say(&a, "t", ids[i], text, &tickets[i], &h.f.err), &h.f.err);
        CHECK_INT(tickets[i].queued, i > 0);
    }
    house_open_gate(&h);
    for (size_t i = 0; i < 4; i++) {
        hear(tickets[i].reader, &heard[i]);
        check_whole(&heard[i]);
    }
    CHECK(str_ends(messages(&h, "t"),
                   STR("tool:seen late assistant:first user:[say more] assistant:more "
                       "user:[say more] assistant:more user:[say more] assistant:more ")));
}

BOTH_BACKENDS(a_turn_is_taken_once_however_often_it_is_sent) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct turn_ticket first, second;
    struct heard heard[2] = {0};
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    REQUIRE_OK(say(&a, "t", "r", "[tool wait_act {}] [then] [say done]", &first, &h.f.err),
               &h.f.err);
    REQUIRE_OK(say(&a, "t", "r", "[tool wait_act {}] [then] [say done]", &second, &h.f.err),
               &h.f.err);
    CHECK(!first.existed);
    CHECK(second.existed);
    house_open_gate(&h);
    hear(first.reader, &heard[0]);
    hear(second.reader, &heard[1]);
    CHECK_STR(str_z(heard[0].types), heard[1].types);
    REQUIRE_OK(say(&a, "t", "r", "[say again]", &second, &h.f.err), &h.f.err);
    CHECK(second.existed);
    hear(second.reader, &heard[1]);
    CHECK_INT(h.calls[TOOL_WAIT_ACT], 1);
    CHECK(str_ends(messages(&h, "t"), STR("assistant:done ")));
}

struct sender {
    struct process *p;
    struct turn_ticket ticket;
    const char *thread, *turn, *text;
    int rc;
    struct err err;
};

static void send_main(void *arg) {
    struct sender *s = arg;
    s->rc = say(s->p, s->thread, s->turn, s->text, &s->ticket, &s->err);
}

BOTH_BACKENDS(many_at_once_in_one_thread_and_with_one_name) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct sender senders[12];
    struct fiber_scope scope;
    char ids[6][8];
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    fiber_scope_init(&scope);
    for (size_t i = 0; i < ARRAY_LEN(senders); i++) {
        snprintf(ids[i / 2], sizeof ids[0], "r%zu", i / 2);
        senders[i] = (struct sender){
            .p = &a, .thread = "t", .turn = ids[i / 2], .text = "[tool act {}] [then] [say x]"};
        CHECK_OK(fiber_spawn(&scope, "sender", send_main, &senders[i], NULL, &h.f.err), &h.f.err);
    }
    fiber_scope_join(&scope);
    for (size_t i = 0; i < ARRAY_LEN(senders); i++) {
        struct heard heard = {0};
        if (CHECK_OK(senders[i].rc, &senders[i].err)) {
            hear(senders[i].ticket.reader, &heard);
            check_whole(&heard);
        }
    }
    for (size_t i = 0; i < 6; i++) {
        CHECK(str_starts(state_of(&h, ids[i]), STR("done")));
    }
    CHECK_INT(h.calls[TOOL_ACT], 6);
}

/* Its transaction number k is committed and fails, and while its submitter asks again, the turn
 * before it ends. Nobody looks for turns that were left. */
static void check_end_in_between(struct house *h, struct process *p, unsigned k) {
    struct turn_ticket first;
    struct heard heard[2] = {0};
    struct fiber_scope scope;
    char ids[2][8];
    struct sender second = {.p = p, .thread = "t", .turn = ids[1], .text = "[say more]", .rc = 1};
    snprintf(ids[0], sizeof ids[0], "r%u", k);
    snprintf(ids[1], sizeof ids[1], "r%u-2", k);
    h->gate_open = false;
    h->calls[TOOL_WAIT_LOOK] = 0;
    REQUIRE_OK(say(p, "t", ids[0], "[tool wait_look {}] [then] [say first]", &first, &second.err),
               &second.err);
    CHECK(house_called(h, TOOL_WAIT_LOOK, 1));
    uint64_t errors = db_stats(h->f.db).errors;
    db_fail_at(h->f.db, k, ERR_UNAVAILABLE, true);
    fiber_scope_init(&scope);
    CHECK_OK(fiber_spawn(&scope, "sender", send_main, &second, NULL, &h->f.err), &h->f.err);
    while (second.rc == 1 && db_stats(h->f.db).errors == errors) {
        (void)fiber_sleep(1);
    }
    db_fail_at(h->f.db, 0, ERR_NONE, false);
    house_open_gate(h);
    hear(first.reader, &heard[0]);
    fiber_scope_join(&scope);
    if (second.rc == -ERR_UNAVAILABLE) { /* what was read first; the client tries again */
        send_main(&second);
    }
    if (CHECK_OK(second.rc, &second.err)) {
        hear(second.ticket.reader, &heard[1]);
        check_whole(&heard[1]);
        CHECK_STR(str_z(heard[1].text), "more|");
    }
}

BOTH_BACKENDS(a_turn_is_taken_though_the_one_before_it_ended_while_it_was_stored) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct heard heard;
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    talk(&a, "t", "r", "[say hi]", &heard);
    for (unsigned k = 1; k <= 4; k++) {
        check_end_in_between(&h, &a, k);
    }
}

/* ---- cancelling ---- */

BOTH_BACKENDS(a_turn_is_cancelled_wherever_it_is) {
    static const struct {
        const char *text, *until, *messages, *effects;
    } cases[] = {
        {"[hang]", "RUN_STARTED", "user:[hang] ", ""},
        {"[stall 2]", "TEXT_MESSAGE_CONTENT", "user:[stall 2] assistant:the quick  ", ""},
        {"[tool wait_look {}] [tool wait_act {}]", "TOOL_CALL_END",
         "user:[tool wait_look {}] [tool wait_act {}] assistant:+2 tool:Cancelled by the user. "
         "tool:Cancelled by the user while it ran: outcome unknown. ",
         "failed unknown "},
    };
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct heard heard = {0};
        struct turn_ticket ticket;
        char id[8];
        snprintf(id, sizeof id, "r%zu", i);
        REQUIRE_OK(say(&a, id, id, cases[i].text, &ticket, &h.f.err), &h.f.err);
        CHECK(hear_until(ticket.reader, cases[i].until, &heard));
        if (i == 2) {
            CHECK(house_called(&h, TOOL_WAIT_ACT, 1));
        }
        CHECK_OK(turn_cancel(a.engine, ME, str_z(id), &h.f.err), &h.f.err);
        hear(ticket.reader, &heard);
        check_whole(&heard);
        CHECK_STR(messages(&h, id), cases[i].messages);
        CHECK_STR(effects_of(&h, id), cases[i].effects);
        CHECK_STR(state_of(&h, id), "cancelled 0");
    }
    CHECK_FAILS(turn_cancel(a.engine, ME, STR("none"), &h.f.err), &h.f.err, ERR_NOT_FOUND);
    CHECK_FAILS(turn_cancel(a.engine, OTHER, STR("r0"), &h.f.err), &h.f.err, ERR_NOT_FOUND);
    CHECK_OK(turn_cancel(a.engine, ME, STR("r0"), &h.f.err), &h.f.err);
    CHECK_INT(turn_engine_stats(a.engine).cancelled, 3);
}

/* Between the model's answer and its tool calls, and everywhere else. */
/* Nobody looks for turns that were left. */
BOTH_BACKENDS(behind_a_cancelled_turn_the_next_is_taken_at_once) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct turn_ticket tickets[2];
    struct heard heard[2] = {0};
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    REQUIRE_OK(say(&a, "t", "r1", "[tool wait_look {}]", &tickets[0], &h.f.err), &h.f.err);
    CHECK(house_called(&h, TOOL_WAIT_LOOK, 1));
    REQUIRE_OK(say(&a, "t", "r2", "[say more]", &tickets[1], &h.f.err), &h.f.err);
    CHECK(tickets[1].queued);
    REQUIRE_OK(turn_cancel(a.engine, ME, STR("r1"), &h.f.err), &h.f.err);
    for (size_t i = 0; i < 2; i++) {
        hear(tickets[i].reader, &heard[i]);
        check_whole(&heard[i]);
    }
    CHECK_STR(state_of(&h, "r1"), "cancelled 0");
    CHECK_STR(str_z(heard[1].text), "more|");
}

BOTH_BACKENDS(a_cancel_at_any_moment_leaves_a_whole_thread) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    for (int i = 0; i < 40; i++) {
        struct heard heard = {0};
        struct turn_ticket ticket;
        char id[8];
        snprintf(id, sizeof id, "r%d", i);
        REQUIRE_OK(
            say(&a, id, id, "[tool look {}] [tool act {}] [then] [say done]", &ticket, &h.f.err),
            &h.f.err);
        for (int pause = 0; pause < i * 3; pause++) {
            fiber_yield();
        }
        CHECK_OK(turn_cancel_thread(a.engine, ME, str_z(id), &h.f.err), &h.f.err);
        hear(ticket.reader, &heard);
        check_whole(&heard);
        struct str all = messages(&h, id);
        CHECK(!str_ends(all, STR("+2 ")));
    }
}

BOTH_BACKENDS(a_cancelled_thread_has_nothing_open) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct turn_ticket tickets[3];
    const char *ids[] = {"r1", "r2", "r3"};
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    for (size_t i = 0; i < 3; i++) {
        REQUIRE_OK(say(&a, "t", ids[i], "[hang]", &tickets[i], &h.f.err), &h.f.err);
    }
    CHECK_OK(turn_cancel_thread(a.engine, ME, STR("t"), &h.f.err), &h.f.err);
    for (size_t i = 0; i < 3; i++) {
        struct heard heard = {0};
        hear(tickets[i].reader, &heard);
        check_whole(&heard);
        CHECK(str_starts(state_of(&h, ids[i]), STR("cancelled")));
    }
    CHECK_STR(messages(&h, "t"), "user:[hang] ");
}

/* A click on "stop" right after "send", before the message is stored. */
BOTH_BACKENDS(a_cancel_before_the_message_is_stored_counts) {
    struct house h cleanup(house_close) = {0};
    struct process a cleanup(process_close) = {0};
    struct fiber_scope scope;
    struct heard heard;
    REQUIRE(house_open(&h, backend));
    process_open(&h, "a", &a);
    talk(&a, "t", "r0", "[say hello]", &heard);
    struct sender sender = {.p = &a, .thread = "t", .turn = "r1", .text = "[hang]"};
    fiber_scope_init(&scope);
    CHECK_OK(fiber_spawn(&scope, "sender", send_main, &sender, NULL, &h.f.err), &h.f.err);
    while (turn_engine_stats(a.engine).running == 0) {
        fiber_yield();
    }
    CHECK_OK(turn_cancel_thread(a.engine, ME, STR("t"), &h.f.err), &h.f.err);
    fiber_scope_join(&scope);
    heard = (struct heard){0};
    if (CHECK_OK(sender.rc, &sender.err)) {
        hear(sender.ticket.reader, &heard);
        check_whole(&heard);
    }
    CHECK_STR(state_of(&h, "r1"), "cancelled 0");
}

/* ---- stopping ---- */

/* The submission is under way when the process stops. */
BOTH_BACKENDS(a_process_may_stop_while_a_message_is_being_stored) {
    struct house h cleanup(house_close) = {0};
    REQUIRE(house_open(&h, backend));
    for (int i = 0; i < 12; i++) {
        struct process a = {0};
        struct fiber_scope scope;
        char id[8];
        snprintf(id, sizeof id, "r%d", i);
        process_open(&h, "a", &a);
        struct sender sender = {.p = &a, .thread = id, .turn = id, .text = "[say hello]"};
        fiber_scope_init(&scope);
        CHECK_OK(fiber_spawn(&scope, "sender", send_main, &sender, NULL, &h.f.err), &h.f.err);
        for (int pause = 0; pause < i; pause++) {
            fiber_yield();
        }
        turn_engine_stop(a.engine, 0);
        fiber_scope_join(&scope);
        run_reader_close(sender.ticket.reader);
        process_close(&a);
    }
}
