/* The client and servers that keep to the rules, over HTTP. */
#include "server_script.h"

/* ---- eras ---- */

static void answer_legacy(struct script *s, struct raw_connection *c,
                          const struct script_request *r) {
    if (script_legacy(c, r)) {
        return;
    }
    snprintf(s->kept, sizeof s->kept, "%.*s|%.*s|%d",
             STR_ARG(script_field(r->head, "MCP-Protocol-Version")),
             STR_ARG(script_field(r->head, "Mcp-Session-Id")),
             script_field(r->head, "Mcp-Method").p != NULL);
    script_result(c, r, "{\"tools\":[ {\"name\" : \"a\"} ,{}]}");
}

TEST_FIBER(client_falls_back_to_initialize) {
    struct arena arena cleanup(arena_done) = {0};
    struct err err;
    struct mcp_list list;
    script_begin(answer_legacy);
    struct mcp_client *c = script_client();
    CHECK(!mcp_client_server(c) && !mcp_client_connected(c));
    REQUIRE_OK(mcp_client_list(c, "tools/list", &arena, &list, &err), &err);
    CHECK_INT(list.n, 2);
    CHECK_STR(list.items[0], "{\"name\" : \"a\"}");
    CHECK_INT(list.ttl_ms, -1);
    CHECK_STR(list.warning, "");
    CHECK_STR(str_z(script.kept), "2025-06-18|s1|0");
    const struct mcp_server_info *info = mcp_client_server(c);
    CHECK_INT(info->era, MCP_ERA_LEGACY);
    CHECK_STR(info->version, "2025-06-18");
    CHECK_STR(info->name, "old");
    CHECK(info->tools && !info->prompts);
    CHECK_OK(mcp_client_list(c, "prompts/list", &arena, &list, &err), &err);
    CHECK_INT(list.n, 0);
    CHECK_INT(script_count("prompts/list"), 0);
    mcp_client_free(c);
    CHECK_INT(script_count("DELETE"), 1);
    script_end();
}

TEST_FIBER(client_remembers_the_era_of_an_address) {
    struct err err;
    script_begin(answer_legacy);
    struct mcp_client_options o = script_options();
    for (int i = 0; i < 3; i++) {
        struct mcp_client *c = mcp_client_new(&o);
        CHECK_OK(mcp_client_connect(c, &err), &err);
        mcp_client_free(c);
    }
    CHECK_INT(script_count("server/discover"), 1);
    CHECK_INT(script_count("initialize"), 3);
    script_end();
}

static void answer_modern(struct script *s, struct raw_connection *c,
                          const struct script_request *r) {
    if (script_modern(c, r)) {
        return;
    }
    snprintf(s->kept, sizeof s->kept, "%.*s|%.*s|%.*s|%.*s",
             STR_ARG(script_field(r->head, "MCP-Protocol-Version")),
             STR_ARG(script_field(r->head, "Mcp-Method")),
             STR_ARG(script_field(r->head, "Mcp-Name")),
             STR_ARG(script_field(r->head, "Mcp-Param-Region")));
    script_result(c, r, "{\"resultType\":\"complete\",\"content\":[]}");
}

TEST_FIBER(client_speaks_modern_where_it_is_understood) {
    struct arena arena cleanup(arena_done) = {0};
    struct err err;
    struct mcp_call_result result;
    script_begin(answer_modern);
    struct mcp_client *c = script_client();
    struct mcp_call call = {
        .tool = STR("t\xc3\xbc"),
        .arguments = STR("{\"where\":{\"region\":\"x\"}}"),
        .input_schema = STR(
            "{\"type\":\"object\",\"properties\":{\"where\":{\"type\":\"object\","
            "\"properties\":{\"region\":{\"type\":\"string\",\"x-mcp-header\":\"Region\"}}}}}")};
    REQUIRE_OK(mcp_client_call(c, &call, &arena, &result, &err), &err);
    CHECK_STR(result.json, "{\"resultType\":\"complete\",\"content\":[]}");
    CHECK(!result.is_error && !result.input_required);
    CHECK_STR(str_z(script.kept), "2026-07-28|tools/call|=?base64?dMO8?=|x");
    CHECK_STR(mcp_client_server(c)->name, "new");
    CHECK_STR(mcp_client_server(c)->instructions, "be kind");
    CHECK_INT(script_count("initialize"), 0);
    mcp_client_free(c);
    script_end();
}

static void answer_502(struct script *s, struct raw_connection *c, const struct script_request *r) {
    (void)s;
    (void)r;
    script_http(c, "502 Bad Gateway", "", STR("down"));
}

TEST_FIBER(a_server_that_is_down_shows_no_era) {
    struct err err;
    script_begin(answer_502);
    struct mcp_client *c = script_client();
    CHECK_FAILS(mcp_client_connect(c, &err), &err, ERR_UNAVAILABLE);
    CHECK(str_find(str_z(err.msg), STR("502")) != SIZE_MAX);
    CHECK_INT(script_count("initialize"), 0);
    mcp_client_free(c);
    script_end();
}

/* ---- attempts ---- */

static void connect_too(void *arg) {
    struct err err;
    CHECK_OK(mcp_client_connect(arg, &err), &err);
    script.counter++;
}

TEST_FIBER(those_who_wait_share_one_attempt) {
    struct fiber_scope scope;
    struct err err;
    script_begin(answer_legacy);
    struct mcp_client *c = script_client();
    fiber_scope_init(&scope);
    for (int i = 0; i < 5; i++) {
        CHECK_OK(fiber_spawn(&scope, "waiter", connect_too, c, NULL, &err), &err);
    }
    fiber_scope_join(&scope);
    CHECK_INT(script.counter, 5);
    CHECK_INT(script_count("initialize"), 1);
    mcp_client_free(c);
    script_end();
}

static void connect_cancelled(void *arg) {
    struct err err;
    CHECK_FAILS(mcp_client_connect(arg, &err), &err, ERR_CANCELLED);
}

TEST_FIBER(one_who_gives_up_does_not_end_the_attempt) {
    struct fiber_scope scope;
    struct err err;
    script_begin(answer_legacy);
    struct mcp_client *c = script_client();
    fiber_scope_init(&scope);
    CHECK_OK(fiber_spawn(&scope, "waiter", connect_cancelled, c, NULL, &err), &err);
    fiber_yield();
    fiber_scope_done(&scope);
    CHECK_OK(mcp_client_connect(c, &err), &err);
    CHECK_INT(script_count("initialize"), 1);
    mcp_client_free(c);
    script_end();
}

/* ---- sessions ---- */

static void answer_and_forget(struct script *s, struct raw_connection *c,
                              const struct script_request *r) {
    if (script_legacy(c, r)) {
        return;
    }
    if (str_eq(script_field(r->head, "Mcp-Session-Id"), STR("s1"))) {
        script_http(c, s->counter ? "400 Bad Request" : "404 Not Found", "",
                    s->counter ? STR("Invalid Session") : STR("?"));
        return;
    }
    script_result(c, r, "{\"content\":[]}");
}

TEST_FIBER(a_forgotten_session_is_made_anew_once) {
    for (unsigned status = 0; status < 2; status++) {
        struct arena arena cleanup(arena_done) = {0};
        struct err err;
        struct mcp_call_result result;
        script_begin(answer_and_forget);
        script.counter = status;
        struct mcp_client *c = script_client();
        struct mcp_call call = {.tool = STR("t")};
        CHECK_OK(mcp_client_call(c, &call, &arena, &result, &err), &err);
        CHECK_INT(script_count("initialize"), 2);
        CHECK_INT(script_count("tools/call"), 2);
        CHECK_INT(script_count("server/discover"), 1);
        mcp_client_free(c);
        script_end();
    }
}

static void answer_404(struct script *s, struct raw_connection *c, const struct script_request *r) {
    (void)s;
    if (!script_legacy(c, r)) {
        script_http(c, "404 Not Found", "", STR_EMPTY);
    }
}

TEST_FIBER(a_session_that_is_lost_again_is_an_error) {
    struct arena arena cleanup(arena_done) = {0};
    struct err err;
    struct mcp_call_result result;
    script_begin(answer_404);
    struct mcp_client *c = script_client();
    struct mcp_call call = {.tool = STR("t"), .repeatable = true};
    CHECK_FAILS(mcp_client_call(c, &call, &arena, &result, &err), &err, ERR_UNAVAILABLE);
    CHECK_INT(script_count("tools/call"), 2);
    mcp_client_free(c);
    script_end();
}

/* ---- streams ---- */

static void on_progress(void *arg, const struct mcp_progress *p) {
    double *sum = arg;
    *sum += p->progress;
    CHECK_STR(p->message, "so \"far\"");
    CHECK(p->total == 2.5);
}

static void answer_streamed(struct script *s, struct raw_connection *c,
                            const struct script_request *r) {
    char text[512];
    if (script_legacy(c, r)) {
        return;
    }
    raw_writez(c, STREAM_HEAD "id: 1\ndata:\n\n: comment\n\n");
    for (int i = 1; i <= 3; i++) {
        snprintf(text, sizeof text,
                 "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{"
                 "\"progressToken\":%s%.*s%s,\"progress\":%d.5,\"total\":2.5,"
                 "\"message\":\"so \\\"far\\\"\"}}",
                 i == 3 ? "\"" : "", STR_ARG(r->id), i == 3 ? "\"" : "", i);
        script_event(c, text);
    }
    script_event(c, "no JSON at all");
    script_event(c, "{\"jsonrpc\":\"2.0\",\"id\":999,\"result\":{\"wrong\":1}}");
    snprintf(text, sizeof text,
             "data: {\"jsonrpc\":\"2.0\",\"id\":\"%.*s\",\ndata: \"result\":{\"x\":1}}",
             STR_ARG(r->id));
    raw_writez(c, text); /* the blank line at the end is missing */
    s->hang_up = true;
}

static void answer_and_continue(struct script *s, struct raw_connection *c,
                                const struct script_request *r) {
    char text[256];
    if (str_eq(r->verb, STR("GET")) && script_field(r->head, "Last-Event-ID").p) {
        snprintf(s->kept + strlen(s->kept), 64, "<%.*s>",
                 STR_ARG(script_field(r->head, "Last-Event-ID")));
        if (s->counter++ == 0) {
            raw_writez(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                          "Content-Length: 15\r\n\r\nid: b\ndata: x\n\n");
            return;
        }
        unsigned id = (unsigned)atoi(strchr(s->kept, '#') + 1);
        snprintf(text, sizeof text, "{\"jsonrpc\":\"2.0\",\"id\":%u,\"result\":{\"late\":true}}",
                 id);
        raw_writez(c, STREAM_HEAD);
        script_event(c, text);
        return;
    }
    if (script_legacy(c, r)) {
        return;
    }
    snprintf(s->kept, sizeof s->kept, "#%.*s ", STR_ARG(r->id));
    raw_writez(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 22\r\n\r\n"
                  "id: a\nretry: 1\ndata:\n\n");
}

TEST_FIBER(a_legacy_stream_is_gone_on_with) {
    struct arena arena cleanup(arena_done) = {0};
    struct err err;
    struct mcp_call_result result;
    script_begin(answer_and_continue);
    struct mcp_client *c = script_client();
    struct mcp_call call = {.tool = STR("t")};
    REQUIRE_OK(mcp_client_call(c, &call, &arena, &result, &err), &err);
    CHECK_STR(result.json, "{\"late\":true}");
    CHECK(strstr(script.kept, "<a><b>") != NULL);
    CHECK_INT(script_count("tools/call"), 1);
    mcp_client_free(c);
    script_end();
}

TEST_FIBER(progress_is_told_and_wrong_messages_are_skipped) {
    struct arena arena cleanup(arena_done) = {0};
    struct err err;
    struct mcp_call_result result;
    double sum = 0;
    script_begin(answer_streamed);
    struct mcp_client *c = script_client();
    struct mcp_call call = {.tool = STR("t"), .on_progress = on_progress, .on_progress_arg = &sum};
    REQUIRE_OK(mcp_client_call(c, &call, &arena, &result, &err), &err);
    CHECK_STR(result.json, "{\"x\":1}");
    CHECK(sum == 1.5 + 2.5 + 3.5);
    mcp_client_free(c);
    script_end();
}

/* ---- errors and input ---- */

static void answer_error(struct script *s, struct raw_connection *c,
                         const struct script_request *r) {
    if (script_modern(c, r)) {
        return;
    }
    if (script_is(r, "tools/call") && s->counter) {
        script_json(c, "200 OK", JSON_TYPE, r->id,
                    "\"error\":{\"code\":-32042,\"message\":\"visit\",\"data\":{\"elicitations\":["
                    "{\"mode\":\"url\",\"url\":\"https:\\/\\/a.example\"},{}]}}");
    } else if (script_is(r, "tools/call")) {
        script_json(c, "400 Bad Request", JSON_TYPE, r->id,
                    "\"error\":{\"code\":-32602,\"message\":\"no tool \\\"x\\\"\"}");
    } else {
        script_json(c, "404 Not Found", JSON_TYPE, STR("null"),
                    "\"error\":{\"code\":-32601,\"message\":\"unknown\"}");
    }
}

TEST_FIBER(errors_of_calls_are_results_and_others_are_errors) {
    struct arena arena cleanup(arena_done) = {0};
    struct err err;
    struct mcp_call_result result;
    struct str text;
    script_begin(answer_error);
    struct mcp_client *c = script_client();
    struct mcp_call call = {.tool = STR("t")};
    REQUIRE_OK(mcp_client_call(c, &call, &arena, &result, &err), &err);
    CHECK(result.is_error);
    CHECK_STR(result.json, "{\"content\":[{\"type\":\"text\",\"text\":\"no tool \\\"x\\\"\"}],"
                           "\"isError\":true}");
    CHECK_FAILS(
        mcp_client_request(c, "resources/read", STR("{\"uri\":\"a:b\"}"), &arena, &text, &err),
        &err, ERR_INVALID);
    CHECK(str_find(str_z(err.msg), STR("unknown")) != SIZE_MAX);
    mcp_client_free(c);
    script_end();
}

static int fill_in(void *arg, struct str method, const json_t *params, struct strbuf *result,
                   struct err *err) {
    unsigned *n = arg;
    (void)err;
    (void)params;
    ++*n;
    CHECK_STR(method, "elicitation/create");
    strbuf_addz(result, "{\"action\":\"accept\",\"content\":{\"a\":1}}");
    return 0;
}

#define FORM                                                                                       \
    "{\"method\":\"elicitation/create\",\"params\":{\"message\":\"?\",\"requestedSchema\":{"       \
    "\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\",\"default\":9},"              \
    "\"b\":{\"type\":\"string\",\"default\":\"d\"}}}}}"

static void answer_wanting(struct script *s, struct raw_connection *c,
                           const struct script_request *r) {
    if (script_modern(c, r)) {
        return;
    }
    struct str state = scan_get(r->params, "requestState");
    struct str responses = scan_get(r->params, "inputResponses");
    if (s->counter++ < 2) {
        CHECK_INT(responses.p != NULL, s->counter == 2);
        script_result(c, r,
                      s->counter == 1 ? "{\"resultType\":\"input_required\",\"inputRequests\":{"
                                        "\"k\\u00e9y\":" FORM "},\"requestState\":\"\\u0041/\\/\"}"
                                      : "{\"resultType\":\"input_required\",\"inputRequests\":{"
                                        "\"k\":" FORM "}}");
        if (s->counter == 2) {
            CHECK_STR(state, "\"\\u0041/\\/\"");
            CHECK_STR(responses,
                      "{\"k\\u00e9y\":{\"action\":\"accept\",\"content\":{\"a\":1,\"b\":\"d\"}}}");
        }
        return;
    }
    CHECK(!state.p && responses.p);
    script_result(c, r, "{\"resultType\":\"complete\",\"content\":[]}");
}

TEST_FIBER(input_is_given_in_rounds) {
    struct arena arena cleanup(arena_done) = {0};
    struct err err;
    struct mcp_call_result result;
    unsigned asked = 0;
    struct mcp_requests requests = {.handle = fill_in, .arg = &asked, .elicitation_form = true};
    script_begin(answer_wanting);
    struct mcp_client *c = script_client();
    struct mcp_call call = {.tool = STR("t"), .requests = &requests, .answer_inputs = true};
    REQUIRE_OK(mcp_client_call(c, &call, &arena, &result, &err), &err);
    CHECK(!result.input_required);
    CHECK_INT(asked, 2);
    CHECK_INT(script_count("tools/call"), 3);
    /* Or the caller takes it over. */
    script.counter = 0;
    call.answer_inputs = false;
    REQUIRE_OK(mcp_client_call(c, &call, &arena, &result, &err), &err);
    CHECK(result.input_required);
    CHECK_STR(result.input_requests, "{\"k\\u00e9y\":" FORM "}");
    CHECK_STR(result.request_state, "\"\\u0041/\\/\"");
    call.request_state = result.request_state;
    call.input_responses =
        STR("{\"k\\u00e9y\":{\"action\":\"accept\",\"content\":{\"a\":1,\"b\":\"d\"}}}");
    REQUIRE_OK(mcp_client_call(c, &call, &arena, &result, &err), &err);
    CHECK(result.input_required);
    mcp_client_free(c);
    script_end();
}

static void answer_always_wanting(struct script *s, struct raw_connection *c,
                                  const struct script_request *r) {
    (void)s;
    if (!script_modern(c, r)) {
        script_result(c, r,
                      "{\"resultType\":\"input_required\",\"inputRequests\":{\"k\":" FORM "}}");
    }
}

TEST_FIBER(rounds_are_bounded_and_only_what_was_offered_is_answered) {
    struct arena arena cleanup(arena_done) = {0};
    struct err err;
    struct mcp_call_result result;
    unsigned asked = 0;
    struct mcp_requests requests = {.handle = fill_in, .arg = &asked, .elicitation_form = true};
    script_begin(answer_always_wanting);
    struct mcp_client *c = script_client();
    struct mcp_call call = {.tool = STR("t"), .requests = &requests, .answer_inputs = true};
    CHECK_FAILS(mcp_client_call(c, &call, &arena, &result, &err), &err, ERR_PROTOCOL);
    CHECK_INT(script_count("tools/call"), 10);
    requests.elicitation_form = false;
    CHECK_FAILS(mcp_client_call(c, &call, &arena, &result, &err), &err, ERR_PROTOCOL);
    CHECK_INT(script_count("tools/call"), 11);
    mcp_client_free(c);
    script_end();
}

/* ---- headers of calls ---- */

static void answer_mismatch(struct script *s, struct raw_connection *c,
                            const struct script_request *r) {
    (void)s;
    if (script_modern(c, r)) {
        return;
    }
    if (script_is(r, "tools/list")) {
        script_result(c, r,
                      "{\"resultType\":\"complete\",\"tools\":[{\"name\":\"t\",\"inputSchema\":"
                      "{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\","
                      "\"x-mcp-header\":\"N\"}}}}]}");
    } else if (!script_field(r->head, "Mcp-Param-N").p) {
        script_json(c, "400 Bad Request", JSON_TYPE, r->id,
                    "\"error\":{\"code\":-32020,\"message\":\"header mismatch\"}");
    } else {
        CHECK_STR(script_field(r->head, "Mcp-Param-N"), "42");
        script_result(c, r, "{\"resultType\":\"complete\",\"content\":[]}");
    }
}

TEST_FIBER(a_header_mismatch_is_answered_with_the_newest_schema) {
    struct arena arena cleanup(arena_done) = {0};
    struct err err;
    struct mcp_call_result result;
    script_begin(answer_mismatch);
    struct mcp_client *c = script_client();
    struct mcp_call call = {.tool = STR("t"), .arguments = STR("{\"n\":42}")};
    REQUIRE_OK(mcp_client_call(c, &call, &arena, &result, &err), &err);
    CHECK(!result.is_error);
    CHECK_INT(script_count("tools/call"), 2);
    CHECK_INT(script_count("tools/list"), 1);
    call.tool = STR("other");
    REQUIRE_OK(mcp_client_call(c, &call, &arena, &result, &err), &err);
    CHECK(result.is_error);
    mcp_client_free(c);
    script_end();
}

/* ---- what servers ask ---- */

static void take_answer(struct script *s, const struct script_request *r) {
    struct str id = scan_get(r->body, "id");
    if (str_eq(id, STR("\"q\""))) {
        CHECK_STR(scan_get(scan_get(scan_get(r->body, "result"), "content"), "b"), "\"d\"");
    } else if (str_eq(id, STR("2"))) {
        CHECK_STR(scan_get(scan_get(r->body, "error"), "code"), "-32601");
    } else {
        CHECK_STR(scan_get(r->body, "result"), "{}");
    }
    s->counter++;
    fiber_broadcast(&s->server.changed);
}

static void answer_asking(struct script *s, struct raw_connection *c,
                          const struct script_request *r) {
    char text[128];
    if (r->method.n == 0 && str_eq(r->verb, STR("POST"))) {
        take_answer(s, r);
    }
    if (script_legacy(c, r)) {
        return;
    }
    raw_writez(c, STREAM_HEAD);
    script_event(c, "{\"jsonrpc\":\"2.0\",\"id\":\"p\",\"method\":\"ping\"}");
    script_event(c, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"roots/list\"}");
    struct strbuf question cleanup(strbuf_done) = STRBUF(4096);
    strbuf_addz(&question, "{\"jsonrpc\":\"2.0\",\"id\":\"q\",");
    strbuf_addz(&question, FORM + 1);
    script_event(c, strbuf_z(&question));
    while (s->counter < 3 && fiber_wait(&s->server.changed, 5000) == 0) {
    }
    snprintf(text, sizeof text, "{\"jsonrpc\":\"2.0\",\"id\":%.*s,\"result\":{\"ok\":1}}",
             STR_ARG(r->id));
    script_event(c, text);
}

TEST_FIBER(requests_of_a_server_are_answered_during_a_call) {
    struct arena arena cleanup(arena_done) = {0};
    struct err err;
    struct mcp_call_result result;
    unsigned asked = 0;
    script_begin(answer_asking);
    struct mcp_client_options o = script_options();
    o.requests = (struct mcp_requests){.handle = fill_in, .arg = &asked, .elicitation_form = true};
    struct mcp_client *c = mcp_client_new(&o);
    struct mcp_call call = {.tool = STR("t")};
    REQUIRE_OK(mcp_client_call(c, &call, &arena, &result, &err), &err);
    CHECK_STR(result.json, "{\"ok\":1}");
    CHECK_INT(asked, 1);
    CHECK_INT(script.counter, 3);
    mcp_client_free(c);
    script_end();
}

/* ---- credentials ---- */

static int give_token(void *arg, struct secret **ret, struct err *err) {
    unsigned *n = arg;
    (void)err;
    char text[16];
    snprintf(text, sizeof text, "t%u", *n);
    *ret = *n ? secret_new(str_z(text)) : NULL;
    return 0;
}

static int take_challenge(void *arg, const struct secret *used, int status, struct str how,
                          struct err *err) {
    unsigned *n = arg;
    (void)err;
    CHECK_INT(status, 401);
    CHECK_INT(used != NULL, *n > 0);
    CHECK_STR(how, "Bearer scope=\"a\"");
    ++*n;
    return 0;
}

static void answer_challenging(struct script *s, struct raw_connection *c,
                               const struct script_request *r) {
    char wanted[32];
    snprintf(wanted, sizeof wanted, "Bearer t%u", s->counter);
    if (!str_eq(script_field(r->head, "Authorization"), str_z(wanted))) {
        script_http(c, "401 Unauthorized", "WWW-Authenticate: Bearer scope=\"a\"\r\n", STR_EMPTY);
    } else if (!script_modern(c, r)) {
        script_result(c, r, "{\"resultType\":\"complete\",\"tools\":[]}");
    }
}

TEST_FIBER(challenges_are_taken_to_the_authorizer) {
    unsigned n = 0;
    struct err err;
    struct mcp_authorizer authorizer = {
        .token = give_token, .challenged = take_challenge, .arg = &n};
    script_begin(answer_challenging);
    script.counter = 3;
    struct mcp_client_options o = script_options();
    o.authorizer = &authorizer;
    struct mcp_client *c = mcp_client_new(&o);
    CHECK_OK(mcp_client_connect(c, &err), &err);
    CHECK_INT(n, 3);
    mcp_client_free(c);
    /* One too many. */
    script.counter = 4;
    n = 0;
    c = mcp_client_new(&o);
    CHECK_FAILS(mcp_client_connect(c, &err), &err, ERR_UNAUTHORIZED);
    CHECK_INT(n, 3);
    mcp_client_free(c);
    /* A server with an Authorization of its own never meets the authorizer. */
    struct secret *key = secret_new(STR("Bearer key"));
    struct mcp_header header = {"authorization", key};
    o.headers = &header;
    o.n_headers = 1;
    n = 0;
    c = mcp_client_new(&o);
    secret_free(key);
    CHECK_FAILS(mcp_client_connect(c, &err), &err, ERR_UNAUTHORIZED);
    CHECK(str_find(str_z(err.msg), STR("key")) == SIZE_MAX);
    CHECK_INT(n, 0);
    mcp_client_free(c);
    script_end();
}

/* ---- changes ---- */

static void count_change(void *arg) {
    (void)arg;
    script.counter++;
    fiber_broadcast(&script.server.changed);
}

static void answer_changing(struct script *s, struct raw_connection *c,
                            const struct script_request *r) {
    (void)s;
    if (script_is(r, "initialize")) {
        script_json(c, "200 OK", JSON_TYPE, r->id,
                    "\"result\":{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"tools\":{"
                    "\"listChanged\":true}}}");
    } else if (str_eq(r->verb, STR("GET"))) {
        raw_writez(c, STREAM_HEAD);
        for (int i = 0; i < 3; i++) {
            script_event(c,
                         "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}");
        }
        raw_wait_hang_up(c);
    } else {
        script_legacy(c, r);
    }
}

TEST_FIBER(changes_are_told_once) {
    struct err err;
    script_begin(answer_changing);
    struct mcp_client_options o = script_options();
    o.on_tools_changed = count_change;
    struct mcp_client *c = mcp_client_new(&o);
    CHECK_OK(mcp_client_connect(c, &err), &err);
    while (script.counter == 0 && fiber_wait(&script.server.changed, 5000) != -ERR_TIMEOUT) {
    }
    fiber_sleep(400);
    CHECK_INT(script.counter, 1);
    mcp_client_free(c);
    script_end();
}

static void answer_subscribed(struct script *s, struct raw_connection *c,
                              const struct script_request *r) {
    if (script_is(r, "server/discover")) {
        script_result(c, r,
                      "{\"resultType\":\"complete\",\"supportedVersions\":[\"2026-07-28\"],"
                      "\"capabilities\":{\"tools\":{\"listChanged\":true}}}");
        return;
    }
    CHECK_STR(r->method, "subscriptions/listen");
    CHECK_STR(scan_get(scan_get(r->params, "notifications"), "toolsListChanged"), "true");
    raw_writez(c, STREAM_HEAD);
    script_event(c, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/acknowledged\","
                    "\"params\":{\"notifications\":{\"toolsListChanged\":true}}}");
    script_event(c, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}");
    if (script_count("subscriptions/listen") == 1) {
        s->hang_up = true; /* it comes again, after a while */
    } else {
        raw_wait_hang_up(c);
    }
}

TEST_FIBER(changes_are_subscribed_to_and_again_when_the_stream_ends) {
    struct err err;
    script_begin(answer_subscribed);
    struct mcp_client_options o = script_options();
    o.on_tools_changed = count_change;
    struct mcp_client *c = mcp_client_new(&o);
    CHECK_OK(mcp_client_connect(c, &err), &err);
    while (script.counter < 2 && fiber_wait(&script.server.changed, 10000) != -ERR_TIMEOUT) {
    }
    CHECK_INT(script.counter, 2);
    CHECK_INT(script_count("subscriptions/listen"), 2);
    CHECK_INT(script_count("GET"), 0);
    mcp_client_free(c);
    script_end();
}
