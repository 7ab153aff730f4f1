/* Servers that keep to no rules, over HTTP: each costs its own call, with a clear error. */
#include "server_script.h"

static int call_tool(struct mcp_client *c, const struct mcp_call *call, struct err *err) {
    struct arena arena cleanup(arena_done) = {0};
    struct mcp_call_result result;
    return mcp_client_call(c, call, &arena, &result, err);
}

static void wait_for_count(const char *method, unsigned n) {
    for (int i = 0; i < 500 && script_count(method) < n; i++) {
        fiber_sleep(10);
    }
    CHECK_INT(script_count(method), n);
}

/* ---- silence ---- */

static void answer_never(struct script *s, struct raw_connection *c,
                         const struct script_request *r) {
    bool known = s->counter ? script_modern(c, r) : script_legacy(c, r);
    if (!known) {
        raw_wait_hang_up(c);
    }
}

TEST_FIBER(silence_ends_at_the_idle_time_and_the_server_is_told) {
    for (unsigned modern = 0; modern < 2; modern++) {
        struct err err;
        script_begin(answer_never);
        script.counter = modern;
        struct mcp_client *c = script_client();
        struct mcp_call call = {.tool = STR("t"), .idle_timeout_ms = 100};
        CHECK_FAILS(call_tool(c, &call, &err), &err, ERR_TIMEOUT);
        wait_for_count("notifications/cancelled", modern ? 0 : 1);
        for (int i = 0; i < 500 && script.server.hung_up == 0; i++) {
            fiber_sleep(10);
        }
        CHECK(script.server.hung_up > 0);
        mcp_client_free(c);
        script_end();
    }
}

struct caller {
    struct mcp_client *client;
    enum err_code code;
    bool done;
};

static void call_on(void *arg) {
    struct caller *k = arg;
    struct mcp_call call = {.tool = STR("t")};
    struct err err;
    k->code = (enum err_code) - call_tool(k->client, &call, &err);
    k->done = true;
}

TEST_FIBER(a_cancelled_caller_cancels_its_call) {
    struct fiber_scope scope;
    struct err err;
    script_begin(answer_never);
    struct mcp_client *c = script_client();
    struct caller k = {.client = c};
    fiber_scope_init(&scope);
    CHECK_OK(fiber_spawn(&scope, "caller", call_on, &k, NULL, &err), &err);
    wait_for_count("tools/call", 1);
    fiber_scope_done(&scope);
    CHECK_INT(k.code, ERR_CANCELLED);
    wait_for_count("notifications/cancelled", 1);
    CHECK(mcp_client_connected(c));
    mcp_client_free(c);
    script_end();
}

TEST_FIBER(running_calls_fail_when_a_client_is_freed) {
    struct fiber_scope scope;
    struct err err;
    script_begin(answer_never);
    struct mcp_client *c = script_client();
    struct caller k[3];
    fiber_scope_init(&scope);
    for (size_t i = 0; i < ARRAY_LEN(k); i++) {
        k[i] = (struct caller){.client = c};
        CHECK_OK(fiber_spawn(&scope, "caller", call_on, &k[i], NULL, &err), &err);
    }
    wait_for_count("tools/call", 3);
    mcp_client_free(c);
    fiber_scope_join(&scope);
    for (size_t i = 0; i < ARRAY_LEN(k); i++) {
        CHECK_INT(k[i].code, ERR_UNAVAILABLE);
    }
    script_end();
}

static void answer_progress_for_ever(struct script *s, struct raw_connection *c,
                                     const struct script_request *r) {
    char text[256];
    (void)s;
    if (script_modern(c, r)) {
        return;
    }
    raw_writez(c, STREAM_HEAD);
    snprintf(text, sizeof text,
             "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{"
             "\"progressToken\":%.*s,\"progress\":1}}\n\n",
             STR_ARG(r->id));
    while (raw_writez(c, text)) {
        fiber_sleep(20);
    }
}

TEST_FIBER(progress_prolongs_the_idle_time_but_not_the_absolute_one) {
    struct err err;
    script_begin(answer_progress_for_ever);
    struct mcp_client *c = script_client();
    struct mcp_call call = {.tool = STR("t"), .idle_timeout_ms = 300, .absolute_timeout_ms = 1000};
    CHECK_FAILS(call_tool(c, &call, &err), &err, ERR_TIMEOUT);
    CHECK(str_find(str_z(err.msg), STR("in all")) != SIZE_MAX);
    mcp_client_free(c);
    script_end();
}

/* ---- nonsense ---- */

static struct nonsense {
    const char *status, *fields, *body;
    enum err_code code;
} nonsense[] = {
    {"200 OK", JSON_TYPE, "", ERR_PROTOCOL},
    {"200 OK", JSON_TYPE, "{", ERR_PROTOCOL},
    {"200 OK", JSON_TYPE, "[]", ERR_PROTOCOL},
    {"200 OK", JSON_TYPE, "[{}]", ERR_PROTOCOL},
    {"200 OK", JSON_TYPE, "\xff\xfe", ERR_PROTOCOL},
    {"200 OK", JSON_TYPE, "{\"jsonrpc\":\"2.0\",\"id\":99999,\"result\":{}}", ERR_PROTOCOL},
    {"200 OK", JSON_TYPE, "{\"jsonrpc\":\"2.0\",\"id\":null,\"result\":{}}", ERR_PROTOCOL},
    {"200 OK", JSON_TYPE, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}", ERR_PROTOCOL},
    {"200 OK", "Content-Type: text/html\r\n", "<html>Log in</html>", ERR_PROTOCOL},
    {"202 Accepted", "", "", ERR_PROTOCOL},
    {"200 OK", "Content-Type: text/event-stream\r\n", "data: {}\n\n", ERR_PROTOCOL},
    {"200 OK", "Content-Type: text/event-stream\r\n", "", ERR_UNAVAILABLE},
    {"301 Moved", "", "", ERR_PROTOCOL},
    {"400 Bad", "", "what?", ERR_PROTOCOL},
    {"404 Not Found", JSON_TYPE, "{\"jsonrpc\":\"2.0\",\"id\":99999,\"error\":{}}", ERR_PROTOCOL},
    {"401 Unauthorized", "", "", ERR_UNAUTHORIZED},
    {"403 Forbidden", "", "", ERR_UNAUTHORIZED},
    {"500 Oops", JSON_TYPE, "{\"error\":\"x\"}", ERR_UNAVAILABLE},
    {"503 Busy", "", "", ERR_UNAVAILABLE},
};

static void answer_nonsense(struct script *s, struct raw_connection *c,
                            const struct script_request *r) {
    if (!script_modern(c, r)) {
        const struct nonsense *n = &nonsense[s->counter];
        script_http(c, n->status, n->fields, str_z(n->body));
    }
}

TEST_FIBER(nonsense_fails_the_call_at_once) {
    struct err err;
    script_begin(answer_nonsense);
    struct mcp_client *c = script_client();
    for (unsigned i = 0; i < ARRAY_LEN(nonsense); i++) {
        script.counter = i;
        struct mcp_call call = {.tool = STR("t")};
        if (!CHECK_FAILS(call_tool(c, &call, &err), &err, nonsense[i].code)) {
            printf("    %s %s\n", nonsense[i].status, nonsense[i].body);
        }
        CHECK(str_find(str_z(err.msg), STR("MCP server test")) == 0);
    }
    CHECK_INT(script_count("tools/call"), ARRAY_LEN(nonsense));
    mcp_client_free(c);
    script_end();
}

static const char *const results[] = {"7",
                                      "null",
                                      "[]",
                                      "\"x\"",
                                      "{\"resultType\":\"dance\",\"content\":[]}",
                                      "{\"resultType\":\"input_required\"}"};

static void answer_strange_result(struct script *s, struct raw_connection *c,
                                  const struct script_request *r) {
    if (!script_modern(c, r)) {
        script_result(c, r, results[s->counter]);
    }
}

TEST_FIBER(results_that_are_none_are_errors) {
    struct err err;
    script_begin(answer_strange_result);
    struct mcp_client *c = script_client();
    for (unsigned i = 0; i < ARRAY_LEN(results); i++) {
        script.counter = i;
        struct mcp_call call = {.tool = STR("t")};
        CHECK_FAILS(call_tool(c, &call, &err), &err, ERR_PROTOCOL);
    }
    mcp_client_free(c);
    script_end();
}

static struct {
    const char *fields, *result;
} handshakes[] = {
    {"", "{\"protocolVersion\":\"2031-01-01\",\"capabilities\":{}}"},
    {"", "{\"protocolVersion\":\"2026-07-28\",\"capabilities\":{}}"},
    {"", "{\"capabilities\":{}}"},
    {"", "7"},
    {"Mcp-Session-Id: a b\r\n", "{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{}}"},
};

static void answer_strange_handshake(struct script *s, struct raw_connection *c,
                                     const struct script_request *r) {
    char member[256], fields[256];
    if (script_is(r, "initialize")) {
        snprintf(member, sizeof member, "\"result\":%s", handshakes[s->counter].result);
        snprintf(fields, sizeof fields, JSON_TYPE "%s", handshakes[s->counter].fields);
        script_json(c, "200 OK", fields, r->id, member);
    } else {
        script_legacy(c, r);
    }
}

TEST_FIBER(handshakes_that_are_none_are_errors) {
    struct err err;
    script_begin(answer_strange_handshake);
    for (unsigned i = 0; i < ARRAY_LEN(handshakes); i++) {
        script.counter = i;
        struct mcp_client *c = script_client();
        CHECK_FAILS(mcp_client_connect(c, &err), &err, ERR_PROTOCOL);
        CHECK(!mcp_client_connected(c));
        mcp_client_free(c);
    }
    script_end();
}

/* ---- too much ---- */

static void answer_too_much(struct script *s, struct raw_connection *c,
                            const struct script_request *r) {
    static char piece[65536];
    if (script_modern(c, r)) {
        return;
    }
    memset(piece, s->counter == 2 ? '\n' : 'x', sizeof piece);
    if (s->counter == 2) {
        memcpy(piece, "data: {}\n\n", 10);
    }
    raw_writez(c, s->counter == 0 ? "HTTP/1.1 200 OK\r\n" JSON_TYPE
                                    "Content-Length: 1073741824\r\n\r\n{\"jsonrpc\":\"2.0\","
                  : s->counter == 1 ? STREAM_HEAD "data: "
                                    : STREAM_HEAD);
    while (raw_write(c, (struct str){piece, sizeof piece})) {
    }
}

TEST_FIBER(a_gigabyte_costs_a_few_megabytes) {
    for (unsigned kind = 0; kind < 3; kind++) {
        struct err err;
        script_begin(answer_too_much);
        script.counter = kind;
        struct mcp_client *c = script_client();
        struct mcp_call call = {.tool = STR("t")};
        CHECK_FAILS(call_tool(c, &call, &err), &err, ERR_LIMIT);
        mcp_client_free(c);
        script_end();
    }
}

/* ---- elsewhere, and gone ---- */

static void answer_redirect(struct script *s, struct raw_connection *c,
                            const struct script_request *r) {
    char fields[128];
    (void)r;
    snprintf(fields, sizeof fields, "Location: http://localhost:%d/mcp\r\n", s->server.port);
    script_http(c, "307 Temporary Redirect", fields, STR_EMPTY);
}

TEST_FIBER(other_hosts_are_not_gone_to) {
    struct err err;
    script_begin(answer_redirect);
    struct mcp_client_options o = script_options();
    struct secret *key = secret_new(STR("planted"));
    struct mcp_header header = {"X-Key", key};
    o.headers = &header;
    o.n_headers = 1;
    struct mcp_client *c = mcp_client_new(&o);
    CHECK_FAILS(mcp_client_connect(c, &err), &err, ERR_PROTOCOL);
    CHECK(str_find(str_z(err.msg), STR("redirect")) != SIZE_MAX);
    CHECK(str_find(str_z(err.msg), STR("planted")) == SIZE_MAX);
    CHECK_INT(script.n, 1);
    mcp_client_free(c);
    secret_free(key);
    script_end();
}

static void answer_and_die(struct script *s, struct raw_connection *c,
                           const struct script_request *r) {
    if (!script_modern(c, r)) {
        raw_writez(c, STREAM_HEAD "data: {\"jsonrpc\":\"2.0\",");
        s->hang_up = true;
    }
}

TEST_FIBER(only_what_may_be_repeated_is_sent_again) {
    struct err err;
    script_begin(answer_and_die);
    struct mcp_client *c = script_client();
    struct mcp_call call = {.tool = STR("t")};
    CHECK(call_tool(c, &call, &err) < 0);
    CHECK_INT(script_count("tools/call"), 1);
    call.repeatable = true;
    CHECK(call_tool(c, &call, &err) < 0);
    CHECK_INT(script_count("tools/call"), 3);
    mcp_client_free(c);
    script_end();
}

/* ---- lists ---- */

static void answer_pages(struct script *s, struct raw_connection *c,
                         const struct script_request *r) {
    struct str cursor = scan_get(r->params, "cursor");
    if (script_modern(c, r)) {
        return;
    }
    unsigned page = script_count("tools/list");
    const char *next = "";
    switch (s->counter) {
    case 0: /* the empty one is a cursor */
        next = page == 1 ? ",\"nextCursor\":\"\"" : page == 2 ? ",\"nextCursor\":\"\\u0041\"" : "";
        CHECK_STR(cursor, page == 1 ? "" : page == 2 ? "\"\"" : "\"\\u0041\"");
        break;
    case 1:
        next = ",\"nextCursor\":\"same\"";
        break;
    case 2:
        next = page % 2 ? ",\"nextCursor\":\"a\"" : ",\"nextCursor\":\"b\"";
        break;
    default:
        next = ",\"nextCursor\":null";
    }
    char result[512];
    snprintf(result, sizeof result,
             "{\"resultType\":\"complete\",\"tools\":[{\"name\":\"t%u\"}%s],\"ttlMs\":%u%s}", page,
             s->counter == 3 ? ",7,null" : "", page * 100, next);
    script_result(c, r, result);
}

TEST_FIBER(lists_end_whatever_the_server_says) {
    static const struct {
        size_t n;
        const char *warning;
    } want[] = {{3, ""}, {2, "same cursor"}, {3, "same cursor"}, {1, "no object"}};
    for (unsigned kind = 0; kind < ARRAY_LEN(want); kind++) {
        struct arena arena cleanup(arena_done) = {0};
        struct err err;
        struct mcp_list list;
        script_begin(answer_pages);
        script.counter = kind;
        struct mcp_client *c = script_client();
        REQUIRE_OK(mcp_client_list(c, "tools/list", &arena, &list, &err), &err);
        CHECK_INT(list.n, want[kind].n);
        CHECK_INT(list.ttl_ms, 100);
        CHECK(want[kind].warning[0] ? str_find(list.warning, str_z(want[kind].warning)) != SIZE_MAX
                                    : list.warning.n == 0);
        mcp_client_free(c);
        script_end();
    }
}

static void answer_many(struct script *s, struct raw_connection *c,
                        const struct script_request *r) {
    if (script_modern(c, r)) {
        return;
    }
    struct strbuf result cleanup(strbuf_done) = STRBUF(4 << 20);
    strbuf_addz(&result, "{\"resultType\":\"complete\",\"tools\":[");
    unsigned n = s->counter ? 10000 : 1;
    for (unsigned i = 0; i < n; i++) {
        strbuf_addf(&result, "%s{\"name\":\"tool_%u\"}", i ? "," : "", i);
    }
    strbuf_addf(&result, "],\"nextCursor\":\"%u\"}", s->n);
    script_result(c, r, strbuf_z(&result));
}

TEST_FIBER(tools_and_pages_are_bounded) {
    for (unsigned many = 0; many < 2; many++) {
        struct arena arena cleanup(arena_done) = {0};
        struct err err;
        struct mcp_list list;
        script_begin(answer_many);
        script.counter = many;
        struct mcp_client *c = script_client();
        REQUIRE_OK(mcp_client_list(c, "tools/list", &arena, &list, &err), &err);
        CHECK_INT(list.n, many ? MCP_MAX_TOOLS : MCP_MAX_LIST_PAGES);
        CHECK(list.warning.n > 0);
        mcp_client_free(c);
        script_end();
    }
}

static void answer_no_list(struct script *s, struct raw_connection *c,
                           const struct script_request *r) {
    (void)s;
    if (!script_modern(c, r)) {
        script_result(c, r, "{\"resultType\":\"complete\",\"tools\":{}}");
    }
}

TEST_FIBER(a_list_that_is_none_is_an_error) {
    struct arena arena cleanup(arena_done) = {0};
    struct err err;
    struct mcp_list list;
    script_begin(answer_no_list);
    struct mcp_client *c = script_client();
    CHECK_FAILS(mcp_client_list(c, "tools/list", &arena, &list, &err), &err, ERR_PROTOCOL);
    CHECK_FAILS(mcp_client_list(c, "dances/list", &arena, &list, &err), &err, ERR_INVALID);
    mcp_client_free(c);
    script_end();
}
