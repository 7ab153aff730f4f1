/* Questions to the client, in both eras, and the state that must not be changed. */
#include "base/clock.h"
#include "served.h"

#define CAN "{\"elicitation\":{}}"
#define ANSWER(key, x) "\"" key "\":{\"action\":\"accept\",\"content\":{\"x\":\"" x "\"}}"

struct round {
    struct wire_response r;
    struct strbuf state, keep;
};

static void round_done(struct round *r) {
    strbuf_done(&r->state);
    strbuf_done(&r->keep);
}

/* Calls the tool with these answers and the state of the round before, and keeps the new one. */
static void call(struct served *s, struct round *round, const char *user, const char *tool,
                 const char *arguments, const char *answers) {
    struct strbuf params cleanup(strbuf_done) = STRBUF(1 << 20);
    round->state.max = round->keep.max = 1 << 20;
    strbuf_addf(&params, "\"name\":\"%s\",\"arguments\":%s", tool, arguments);
    if (answers) {
        strbuf_addf(&params, ",\"inputResponses\":{%s}", answers);
    }
    if (round->state.n) {
        strbuf_addf(&params, ",\"requestState\":\"%s\"", strbuf_z(&round->state));
    }
    served_modern(s, user, "tools/call", tool, strbuf_z(&params), CAN, &round->r);
    struct str state = member(&round->r, "result.requestState", &round->keep);
    if (state.n) {
        strbuf_reset(&round->state);
        strbuf_add(&round->state, state);
    }
}

static void expect(struct round *round, const char *path, const char *want) {
    CHECK_STR(member(&round->r, path, &round->keep), want);
}

static void refused(struct served *s, struct round *round, const char *user, const char *arguments,
                    const char *message) {
    call(s, round, user, "ask", arguments, ANSWER("first", "red"));
    expect(round, "error.code", "-32602");
    CHECK(has(&round->r, message));
    wire_response_done(&round->r);
}

TEST_FIBER(modern_questions_come_back_with_answers) {
    struct served s = {0};
    struct round round cleanup(round_done) = {0};
    served_start(&s);
    call(&s, &round, "ann", "ask", "{}", NULL);
    expect(&round, "result.resultType", "input_required");
    expect(&round, "result.inputRequests.first.method", "elicitation/create");
    expect(&round, "result.inputRequests.first.params.message", "Which?");
    CHECK(round.state.n > 0);
    CHECK_INT(s.ran, 0);
    wire_response_done(&round.r);
    call(&s, &round, "ann", "ask", "{}", ANSWER("first", "red"));
    expect(&round, "result.content.0.text", "red/kept \"this\"");
    CHECK_INT(s.ran, 1);
    wire_response_done(&round.r);
    served_stop(&s);
}

TEST_FIBER(answers_of_earlier_rounds_are_kept) {
    struct served s = {0};
    struct round round cleanup(round_done) = {0};
    served_start(&s);
    call(&s, &round, "ann", "ask_twice", "{}", NULL);
    wire_response_done(&round.r);
    call(&s, &round, "ann", "ask_twice", "{}", ANSWER("first", "red"));
    expect(&round, "result.resultType", "input_required");
    expect(&round, "result.inputRequests.first", "");
    expect(&round, "result.inputRequests.second.params.message", "And which?");
    wire_response_done(&round.r);
    call(&s, &round, "ann", "ask_twice", "{}", ANSWER("second", "blue"));
    expect(&round, "result.content.0.text", "red, blue");
    wire_response_done(&round.r);
    served_stop(&s);
}

TEST_FIBER(a_changed_state_is_refused) {
    struct served s = {0};
    struct round round cleanup(round_done) = {0};
    struct strbuf good cleanup(strbuf_done) = STRBUF(1 << 20);
    served_start(&s);
    call(&s, &round, "ann", "ask", "{\"a\":1}", NULL);
    wire_response_done(&round.r);
    strbuf_add(&good, strbuf_str(&round.state));
    for (size_t i = 0; i < good.n; i += 7) { /* any character */
        char was = round.state.p[i];
        round.state.p[i] = was == 'A' ? 'B' : 'A';
        refused(&s, &round, "ann", "{\"a\":1}", "requestState");
        round.state.p[i] = was;
    }
    strbuf_addz(&round.state, "-more");
    refused(&s, &round, "ann", "{\"a\":1}", "requestState");
    strbuf_truncate(&round.state, good.n / 2);
    refused(&s, &round, "ann", "{\"a\":1}", "requestState");
    strbuf_reset(&round.state);
    strbuf_addz(&round.state, ".");
    refused(&s, &round, "ann", "{\"a\":1}", "requestState");
    CHECK_INT(s.ran, 0);
    served_stop(&s);
}

TEST_FIBER(a_state_is_bound_to_user_and_request) {
    struct served s = {0}, other = {0};
    struct round round cleanup(round_done) = {0};
    served_start(&s);
    call(&s, &round, "ann", "ask", "{\"a\":1,\"b\":2}", NULL);
    wire_response_done(&round.r);
    refused(&s, &round, "bob", "{\"a\":1,\"b\":2}", "requestState");
    refused(&s, &round, "ann", "{\"a\":1,\"b\":3}", "requestState");
    call(&s, &round, "ann", "ask_twice", "{\"a\":1,\"b\":2}", ANSWER("first", "red"));
    expect(&round, "error.code", "-32602");
    wire_response_done(&round.r);
    served_start(&other); /* another key */
    refused(&other, &round, "ann", "{\"a\":1,\"b\":2}", "requestState");
    served_stop(&other);
    served_start(&other);
    served_stop(&other);
    for (size_t i = 0; i < s.server.n_tools; i++) {
        ((struct mcp_server_tool *)(uintptr_t)s.server.tools)[i].arg = &s;
    }
    call(&s, &round, "ann", "ask", "{ \"b\": 2, \"a\": 1 }", ANSWER("first", "red"));
    expect(&round, "result.content.0.text", "red/kept \"this\""); /* the order says nothing */
    wire_response_done(&round.r);
    served_stop(&s);
}

TEST_FIBER(a_state_goes_between_processes_with_the_same_key) {
    struct secret *key cleanup(secret_free_p) = secret_new(STR("0123456789abcdef"));
    struct served s = {.options = {.state_key = key}};
    struct round round cleanup(round_done) = {0};
    served_start(&s);
    call(&s, &round, "ann", "ask", "{}", NULL);
    wire_response_done(&round.r);
    served_stop(&s);
    s = (struct served){.options = {.state_key = key}};
    served_start(&s);
    call(&s, &round, "ann", "ask", "{}", ANSWER("first", "red"));
    expect(&round, "result.content.0.text", "red/kept \"this\"");
    wire_response_done(&round.r);
    served_stop(&s);
}

TEST_FIBER(a_state_expires) {
    struct served s = {.options = {.state_ttl_ms = 1}};
    struct round round cleanup(round_done) = {0};
    served_start(&s);
    call(&s, &round, "ann", "ask", "{}", NULL);
    wire_response_done(&round.r);
    fiber_sleep(10);
    refused(&s, &round, "ann", "{}", "expired");
    served_stop(&s);
}

TEST_FIBER(answers_must_be_answers) {
    static const char *const bad[] = {"\"first\":7", "\"first\":null", "\"first\":{}",
                                      "\"first\":{\"action\":\"perhaps\"}"};
    struct served s = {0};
    struct round round cleanup(round_done) = {0};
    served_start(&s);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        call(&s, &round, "ann", "ask", "{}", bad[i]);
        expect(&round, "error.code", "-32602");
        wire_response_done(&round.r);
    }
    call(&s, &round, "ann", "ask", "{}", "\"other\":{}");
    expect(&round, "result.resultType", "input_required");
    wire_response_done(&round.r);
    served_stop(&s);
}

TEST_FIBER(a_client_must_be_able_to_answer) {
    struct served s = {0};
    struct wire_response r;
    struct strbuf id cleanup(strbuf_done) = STRBUF(100);
    served_start(&s);
    served_modern(&s, "ann", "tools/call", "ask", "\"name\":\"ask\"", "{\"sampling\":{}}", &r);
    CHECK_INT(r.status, 400);
    CHECK(has(&r, "\"code\":-32021"));
    CHECK(has(&r, "\"requiredCapabilities\":{\"elicitation\":"));
    wire_response_done(&r);
    served_session(&s, "ann", "2025-11-25", "{}", &id);
    served_legacy(&s, "ann", strbuf_z(&id),
                  "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":"
                  "\"ask\"}}",
                  &r);
    CHECK_INT(r.status, 200);
    CHECK(has(&r, "elicitation/create, and does not\"}],\"isError\":true"));
    wire_response_done(&r);
    served_stop(&s);
}

/* ---- legacy ---- */

#define ASK "{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"tools/call\",\"params\":{\"name\":\"ask\"}}"

static void begin_ask(struct served *s, struct wire *w, struct strbuf *id) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(1 << 20);
    char fields[200];
    served_session(s, "ann", "2025-06-18", CAN, id);
    snprintf(fields, sizeof fields, "Mcp-Session-Id: %s\r\n", strbuf_z(id));
    wire_open(w, http_server_address(s->http));
    wire_send(w, served_head(s, &text, "POST", fields, STR(ASK)));
    CHECK(wire_await_mark(w, STR("data: {\"jsonrpc\":\"2.0\",\"id\":\"ask-1\",\"method\":"
                                 "\"elicitation/create\",\"params\":{\"message\":\"Which?\"")) > 0);
}

static void answer(struct served *s, const char *user, struct strbuf *id, const char *message,
                   int status) {
    struct wire_response r;
    served_legacy(s, user, strbuf_z(id), message, &r);
    CHECK_INT(r.status, status);
    wire_response_done(&r);
}

TEST_FIBER(legacy_questions_go_over_the_stream) {
    struct served s = {0};
    struct strbuf id cleanup(strbuf_done) = STRBUF(100);
    struct wire w;
    served_start(&s);
    begin_ask(&s, &w, &id);
    answer(&s, "bob", &id,
           "{\"jsonrpc\":\"2.0\",\"id\":\"ask-1\",\"result\":{\"action\":\"accept\"}}", 404);
    answer(&s, "ann", &id, "{\"jsonrpc\":\"2.0\",\"id\":\"ask-2\",\"result\":{}}", 202);
    CHECK_INT(s.ran, 0);
    answer(&s, "ann", &id,
           "{\"jsonrpc\":\"2.0\",\"id\":\"ask-1\",\"result\":{\"action\":\"accept\",\"content\":{"
           "\"x\":\"red\"}}}",
           202);
    CHECK(wire_await_mark(&w, STR("\"id\":9,\"result\":{\"content\":[{\"type\":\"text\",\"text\":"
                                  "\"red/\"}]}")) > 0);
    wire_done(&w);
    CHECK_INT(s.ran, 1);
    served_stop(&s);
}

TEST_FIBER(legacy_questions_may_fail) {
    static const char *const answers[] = {
        "{\"jsonrpc\":\"2.0\",\"id\":\"ask-1\",\"error\":{\"code\":-1,\"message\":\"no\"}}",
        "{\"jsonrpc\":\"2.0\",\"id\":\"ask-1\",\"result\":7}",
        "{\"jsonrpc\":\"2.0\",\"id\":\"ask-1\",\"result\":{\"action\":\"perhaps\"}}",
    };
    struct served s = {0};
    struct strbuf id cleanup(strbuf_done) = STRBUF(100);
    struct wire w;
    served_start(&s);
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        begin_ask(&s, &w, &id);
        answer(&s, "ann", &id, answers[i], 202);
        CHECK(wire_await_mark(&w, STR("could not answer elicitation/create\"}],\"isError\":true")) >
              0);
        wire_done(&w);
    }
    CHECK_INT(s.ran, 0);
    served_stop(&s);
}

TEST_FIBER(legacy_questions_do_not_wait_forever) {
    struct served s = {.options = {.ask_timeout_ms = 30}};
    struct strbuf id cleanup(strbuf_done) = STRBUF(100);
    struct wire w;
    served_start(&s);
    begin_ask(&s, &w, &id);
    CHECK(wire_await_mark(&w, STR("did not answer elicitation/create in time")) > 0);
    wire_done(&w);
    served_stop(&s);
}

TEST_FIBER(a_session_that_ends_ends_its_questions) {
    struct served s = {0};
    struct strbuf id cleanup(strbuf_done) = STRBUF(100);
    struct wire_response r;
    struct wire w;
    char fields[200];
    served_start(&s);
    begin_ask(&s, &w, &id);
    snprintf(fields, sizeof fields, "Mcp-Session-Id: %s\r\n", strbuf_z(&id));
    served_request(&s, "DELETE", fields, STR_EMPTY, &r);
    CHECK_INT(r.status, 204);
    wire_response_done(&r);
    CHECK(wire_await_mark(&w, STR("\r\n0\r\n\r\n")) > 0);
    wire_done(&w);
    CHECK_INT(s.ran, 0);
    served_stop(&s);
}
