/* Both eras over HTTP: what is answered, and how. */
#include "served.h"

static void post(struct served *s, const char *fields, const char *body, int status,
                 const char *want) {
    struct wire_response r;
    served_request(s, "POST", fields, str_z(body), &r);
    CHECK_INT(r.status, status);
    CHECK(has(&r, want));
    wire_response_done(&r);
}

static void legacy(struct served *s, const char *session, const char *body, int status,
                   const char *want) {
    struct wire_response r;
    served_legacy(s, "ann", session, body, &r);
    CHECK_INT(r.status, status);
    CHECK(has(&r, want));
    wire_response_done(&r);
}

static void modern(struct served *s, const char *method, const char *name, const char *params,
                   int status, const char *want) {
    struct wire_response r;
    served_modern(s, "ann", method, name, params, "{}", &r);
    CHECK_INT(r.status, status);
    CHECK(has(&r, want));
    CHECK(has(&r, "\"id\":\"m\""));
    wire_response_done(&r);
}

TEST_FIBER(legacy_initialize_agrees_on_a_revision) {
    static const char *const offers[][2] = {
        {"2024-11-05", "2024-11-05"}, {"2025-03-26", "2025-03-26"}, {"2025-06-18", "2025-06-18"},
        {"2025-11-25", "2025-11-25"}, {"2026-07-28", "2025-11-25"}, {"1999-01-01", "2025-11-25"},
        {"", "2025-11-25"},
    };
    struct served s = {0};
    served_start(&s);
    for (size_t i = 0; i < ARRAY_LEN(offers); i++) {
        char body[300], want[60];
        snprintf(body, sizeof body,
                 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{"
                 "\"protocolVersion\":\"%s\",\"capabilities\":{}}}",
                 offers[i][0]);
        snprintf(want, sizeof want, "\"protocolVersion\":\"%s\"", offers[i][1]);
        post(&s, "", body, 200, want);
    }
    post(&s, "", "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\"}", 400, "-32602");
    CHECK_INT(mcp_endpoint_stats(s.endpoint).sessions, ARRAY_LEN(offers));
    served_stop(&s);
}

TEST_FIBER(legacy_ids_come_back_as_they_were) {
    static const char *const ids[] = {"7",      "\"7\"",           "\"\"", "-1", "9007199254740993",
                                      "1.5e+2", "\"a\\/\\u00e9\"", "0"};
    struct served s = {0};
    struct strbuf id cleanup(strbuf_done) = STRBUF(100);
    served_start(&s);
    served_session(&s, "ann", "2025-06-18", "{}", &id);
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        char body[200], want[100];
        snprintf(body, sizeof body, "{\"method\":\"ping\", \"id\" : %s ,\"jsonrpc\":\"2.0\"}",
                 ids[i]);
        snprintf(want, sizeof want, "\"id\":%s,\"result\":{}", ids[i]);
        legacy(&s, strbuf_z(&id), body, 200, want);
        snprintf(body, sizeof body, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"no/such\"}",
                 ids[i]);
        snprintf(want, sizeof want, "\"id\":%s,\"error\":{\"code\":-32601", ids[i]);
        legacy(&s, strbuf_z(&id), body, 200, want);
    }
    served_stop(&s);
}

TEST_FIBER(legacy_methods) {
    struct served s = {0};
    struct strbuf id cleanup(strbuf_done) = STRBUF(100);
    served_start(&s);
    served_session(&s, "ann", "2025-11-25", "{}", &id);
    const char *session = strbuf_z(&id);
    legacy(&s, session, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}", 202, "");
    legacy(&s, session, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}", 200,
           "{\"name\":\"say\",\"title\":\"Say\",\"description\":\"Says a text.\"");
    legacy(&s, session,
           "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"say\","
           "\"arguments\":{\"text\":\"hello\"}}}",
           200, "\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"ann says hello\"}]}");
    legacy(&s, session,
           "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"say\","
           "\"arguments\":{\"text\":\"fail\"}}}",
           200, "\"text\":\"the cellar is dark\"}],\"isError\":true");
    legacy(&s, session,
           "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"resources/read\",\"params\":{\"uri\":"
           "\"test://x1/b\"}}",
           200,
           "\"contents\":[{\"uri\":\"test://x1/b\",\"mimeType\":\"text/plain\",\"text\":\"x1\"");
    legacy(&s, session,
           "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"resources/read\",\"params\":{\"uri\":"
           "\"test://x/y/b\"}}",
           200, "\"code\":-32002,\"message\":\"resource not found\",\"data\":{\"uri\":");
    legacy(&s, session,
           "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"prompts/get\",\"params\":{\"name\":"
           "\"greet\",\"arguments\":{\"name\":\"Bob\"}}}",
           200, "{\"role\":\"assistant\",\"content\":{\"type\":\"text\",\"text\":\"Hello\"}}");
    legacy(&s, session,
           "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"prompts/get\",\"params\":{\"name\":"
           "\"greet\"}}",
           200, "\\\"name\\\" is required");
    legacy(&s, session, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"completion/complete\"}", 200,
           "-32601");
    served_stop(&s);
}

TEST_FIBER(what_older_revisions_do_not_know_is_left_out) {
    struct served s = {0};
    struct strbuf id cleanup(strbuf_done) = STRBUF(100);
    struct wire_response r;
    served_start(&s);
    served_session(&s, "ann", "2024-11-05", "{}", &id);
    served_legacy(&s, "ann", strbuf_z(&id),
                  "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}", &r);
    CHECK(str_find(strbuf_str(&r.body), STR("annotations")) == SIZE_MAX);
    CHECK(str_find(strbuf_str(&r.body), STR("\"title\"")) == SIZE_MAX);
    wire_response_done(&r);
    served_legacy(&s, "ann", strbuf_z(&id),
                  "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":"
                  "\"touch\",\"arguments\":{\"a\":1}}}",
                  &r);
    CHECK(has(&r, "{\"content\":[{\"type\":\"text\",\"text\":\"{\\\"a\\\":1}\"}]}"));
    wire_response_done(&r);
    served_stop(&s);
}

TEST_FIBER(bad_arguments_are_told_to_the_model) {
    struct served s = {0};
    served_start(&s);
    modern(&s, "tools/call", "touch", "\"name\":\"touch\",\"arguments\":[1]", 200,
           "arguments: must be of type object\"}],\"isError\":true");
    modern(&s, "tools/call", "wait", "\"name\":\"wait\",\"arguments\":{\"ms\":-1}", 200,
           "arguments.ms: must be at least 0");
    modern(&s, "tools/call", "progress", "\"name\":\"progress\",\"arguments\":{\"x\":1}", 200,
           "there is no \\\"x\\\"");
    modern(&s, "tools/call", "no", "\"name\":\"no\"", 200, "\"code\":-32602");
    CHECK_INT(s.ran, 0);
    modern(&s, "tools/call", "touch", "\"name\":\"touch\",\"arguments\":{\"a\":[1]}", 200,
           "\"structuredContent\":{\"a\":[1]}");
    modern(&s, "tools/call", "touch", "\"name\":\"touch\",\"arguments\":null", 200, "\"complete\"");
    CHECK_INT(s.ran, 2);
    served_stop(&s);
}

TEST_FIBER(modern_results) {
    struct served s = {0};
    served_start(&s);
    modern(&s, "server/discover", NULL, "", 200,
           "\"supportedVersions\":[\"2026-07-28\",\"2025-11-25\"");
    modern(
        &s, "server/discover", NULL, "", 200,
        "\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"test\",\"version\":\"1\"}}");
    modern(&s, "tools/list", NULL, "", 200, "\"ttlMs\":0,\"cacheScope\":\"private\"");
    modern(&s, "resources/read", "test://a", "\"uri\":\"test://a\"", 200,
           "\"cacheScope\":\"private\"");
    modern(
        &s, "resources/read", "test://gone/b", "\"uri\":\"test://gone/b\"", 200,
        "\"code\":-32602,\"message\":\"resource not found\",\"data\":{\"uri\":\"test://gone/b\"}");
    modern(&s, "tools/call", "say", "\"name\":\"say\",\"arguments\":{\"text\":\"hello\"}", 200,
           "\"resultType\":\"complete\"");
    served_stop(&s);
}

TEST_FIBER(modern_refusals) {
    static const char *const removed[] = {
        "initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe",
        "x"};
    struct served s = {0};
    served_start(&s);
    for (size_t i = 0; i < ARRAY_LEN(removed); i++) {
        modern(&s, removed[i], NULL, "", 404, "\"code\":-32601");
    }
    post(&s, "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/list\r\n",
         "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"tools/list\"}", 400, "\"code\":-32602");
    post(&s, "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/list\r\n",
         "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"tools/list\",\"params\":{\"_meta\":{"
         "\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"}}}",
         400, "\"code\":-32602");
    post(&s, "",
         "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"tools/list\",\"params\":{\"_meta\":{"
         "\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\","
         "\"io.modelcontextprotocol/clientCapabilities\":{}}}}",
         400, "\"code\":-32020");
    post(&s, "MCP-Protocol-Version: 2025-11-25\r\nMcp-Method: tools/list\r\n",
         "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"tools/list\",\"params\":{\"_meta\":{"
         "\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\","
         "\"io.modelcontextprotocol/clientCapabilities\":{}}}}",
         400, "\"code\":-32020");
    post(&s, "MCP-Protocol-Version: 2031-01-01\r\nMcp-Method: tools/list\r\n",
         "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"tools/list\",\"params\":{\"_meta\":{"
         "\"io.modelcontextprotocol/protocolVersion\":\"2031-01-01\","
         "\"io.modelcontextprotocol/clientCapabilities\":{}}}}",
         400, "\"code\":-32022,\"message\":");
    modern(&s, "tools/call", NULL, "\"name\":\"touch\"", 400, "Mcp-Name is missing");
    modern(&s, "tools/call", "wait", "\"name\":\"touch\"", 400, "\"code\":-32020");
    modern(&s, "tools/call", "say", "\"name\":\"say\",\"arguments\":{\"text\":\"other\"}", 400,
           "Mcp-Param-Text is not what the message says");
    modern(&s, "tools/call", "=?base64?dG91Y2g=?=", "\"name\":\"touch\"", 200, "complete");
    modern(&s, "tools/call", "=?base64?dG91Y2?=", "\"name\":\"touch\"", 400, "-32020");
    served_stop(&s);
}

TEST_FIBER(what_is_no_message) {
    struct served s = {0};
    served_start(&s);
    post(&s, "", "{", 400, "\"id\":null,\"error\":{\"code\":-32700");
    post(&s, "", "", 400, "\"code\":-32700");
    post(&s, "", "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]", 400, "\"code\":-32600");
    post(&s, "", "{\"id\":1,\"method\":\"ping\"}", 400, "\"code\":-32600");
    post(&s, "", "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":[1]}", 400,
         "\"id\":1,\"error\":{\"code\":-32602");
    post(&s, "Content-Type: text/plain\r\n", "{}", 415, "application/json");
    post(&s, "Accept: image/png\r\n", "{}", 406, "must accept");
    post(&s, "Accept: */*\r\n", "{", 400, "-32700");
    post(&s, "Origin: https://evil.example\r\n", "{}", 403, "not served");
    post(&s, "Origin: http://localhost:5173\r\n", "{", 400, "-32700");
    post(&s, "Host: evil.example\r\n", "{}", 403, "not served");
    post(&s, "Host: [::1]:80\r\n", "{", 400, "-32700");
    served_stop(&s);
}

TEST_FIBER(bodies_have_a_limit) {
    struct served s = {.options = {.max_body_bytes = 10000}};
    struct strbuf body cleanup(strbuf_done) = STRBUF(1 << 20);
    served_start(&s);
    for (int i = 0; i < 2000; i++) {
        strbuf_addz(&body, "          ");
    }
    post(&s, "", strbuf_z(&body), 413, "larger");
    served_stop(&s);
}

TEST_FIBER(results_have_a_limit) {
    struct served s = {.options = {.max_result_bytes = 5000}};
    served_start(&s);
    modern(&s, "tools/call", "big", "\"name\":\"big\",\"arguments\":{\"kib\":4}", 200, "0000");
    modern(&s, "tools/call", "big", "\"name\":\"big\",\"arguments\":{\"kib\":5}", 200,
           "the result is larger than 5000 bytes\"}],\"isError\":true");
    served_stop(&s);
}

TEST_FIBER(lists_have_pages) {
    struct served s = {.options = {.page_size = 3}};
    struct strbuf keep cleanup(strbuf_done) = STRBUF(4096);
    struct wire_response r;
    served_start(&s);
    served_modern(&s, "ann", "tools/list", NULL, "", "{}", &r);
    CHECK_STR(member(&r, "result.tools.2.name", &keep), "progress");
    CHECK_STR(member(&r, "result.tools.3", &keep), "");
    CHECK_STR(member(&r, "result.nextCursor", &keep), "3");
    wire_response_done(&r);
    served_modern(&s, "ann", "tools/list", NULL, "\"cursor\":\"6\"", "{}", &r);
    CHECK_STR(member(&r, "result.tools.0.name", &keep), "big");
    CHECK_STR(member(&r, "result.nextCursor", &keep), "");
    wire_response_done(&r);
    modern(&s, "tools/list", NULL, "\"cursor\":\"99\"", 200, "-32602");
    modern(&s, "tools/list", NULL, "\"cursor\":\"-1\"", 200, "-32602");
    modern(&s, "tools/list", NULL, "\"cursor\":7", 200, "-32602");
    served_stop(&s);
}

static bool only_bob_touches(const struct mcp_request *r, const struct mcp_server_tool *tool) {
    return !str_eq(str_z(tool->name), STR("touch")) || str_eq(mcp_request_user(r), STR("bob"));
}

TEST_FIBER(a_tool_that_is_not_shown_is_not_there) {
    struct served s = {.server.shows = only_bob_touches};
    struct wire_response r;
    served_start(&s);
    modern(&s, "tools/call", "touch", "\"name\":\"touch\"", 200, "unknown tool");
    served_modern(&s, "ann", "tools/list", NULL, "", "{}", &r);
    CHECK(str_find(strbuf_str(&r.body), STR("\"touch\"")) == SIZE_MAX);
    wire_response_done(&r);
    served_modern(&s, "bob", "tools/call", "touch", "\"name\":\"touch\"", "{}", &r);
    CHECK(has(&r, "complete"));
    wire_response_done(&r);
    CHECK_INT(s.ran, 1);
    served_stop(&s);
}

TEST_FIBER(progress_grows_and_logs_are_asked_for) {
    struct served s = {0};
    struct strbuf id cleanup(strbuf_done) = STRBUF(100);
    struct wire_response r;
    served_start(&s);
    served_modern(&s, "ann", "tools/call", "progress", "\"name\":\"progress\"", "{}", &r);
    CHECK_STR(wire_field(&r, "content-type"), "text/event-stream");
    CHECK(has(&r, "\"progressToken\":7,\"progress\":1,\"total\":3,\"message\":\"one\""));
    CHECK(has(&r, "2.5"));
    CHECK(str_find(strbuf_str(&r.body), STR("again")) == SIZE_MAX);
    CHECK(str_find(strbuf_str(&r.body), STR("back")) == SIZE_MAX);
    CHECK(str_find(strbuf_str(&r.body), STR("id: ")) == SIZE_MAX); /* cannot be resumed */
    wire_response_done(&r);
    modern(&s, "tools/call", "notes", "\"name\":\"notes\"", 200, "noted");
    served_modern(&s, "ann", "tools/call", "notes", "\"name\":\"notes\"", "{}", &r);
    CHECK(str_find(strbuf_str(&r.body), STR("warning")) == SIZE_MAX);
    wire_response_done(&r);
    served_session(&s, "ann", "2025-11-25", "{}", &id);
    legacy(&s, strbuf_z(&id),
           "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"logging/setLevel\",\"params\":{\"level\":"
           "\"debug\"}}",
           200, "{}");
    legacy(&s, strbuf_z(&id),
           "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"logging/setLevel\",\"params\":{\"level\":"
           "\"loud\"}}",
           200, "-32602");
    served_legacy(&s, "ann", strbuf_z(&id),
                  "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":"
                  "\"notes\"}}",
                  &r);
    CHECK(has(&r, "\"level\":\"debug\",\"data\":\"a detail\""));
    CHECK(has(&r, "\"level\":\"warning\",\"logger\":\"cellar\",\"data\":\"a warning\""));
    wire_response_done(&r);
    served_stop(&s);
}

TEST_FIBER(a_client_without_streams_gets_only_the_response) {
    struct served s = {0};
    struct wire_response r;
    served_start(&s);
    served_request(&s, "POST",
                   "Accept: application/json\r\nMCP-Protocol-Version: 2026-07-28\r\n"
                   "Mcp-Method: tools/call\r\nMcp-Name: progress\r\n",
                   STR("{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"tools/call\",\"params\":{"
                       "\"name\":\"progress\",\"_meta\":{\"progressToken\":1,"
                       "\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\","
                       "\"io.modelcontextprotocol/clientCapabilities\":{}}}}"),
                   &r);
    CHECK_STR(wire_field(&r, "content-type"), "application/json");
    CHECK(has(&r, "\"there\""));
    wire_response_done(&r);
    served_request(&s, "POST", "Accept: text/event-stream\r\n", STR("{"), &r);
    CHECK_INT(r.status, 400);
    wire_response_done(&r);
    served_stop(&s);
}

TEST_FIBER(challenges_say_where_to_ask) {
    struct served s = {.options = {.resource_metadata = "https://a.example/meta", .scope = "x y"},
                       .challenge = "invalid_token"};
    struct wire_response r;
    served_start(&s);
    served_request(&s, "POST", "Origin: http://localhost\r\n", STR("{}"), &r);
    CHECK_INT(r.status, 401);
    CHECK_STR(wire_field(&r, "www-authenticate"), "Bearer error=\"invalid_token\", scope=\"x y\", "
                                                  "resource_metadata=\"https://a.example/meta\"");
    CHECK_STR(wire_field(&r, "access-control-allow-origin"), "http://localhost");
    wire_response_done(&r);
    served_stop(&s);
}

static int nothing(struct mcp_request *r, const json_t *arguments, struct err *err) {
    (void)r, (void)arguments, (void)err;
    return 0;
}

static void check_tool(const char *name, const char *schema, const char *want, bool served_anyway) {
    struct mcp_server_tool tool = {
        .name = name, .description = "d", .input_schema = schema, .run = nothing};
    struct mcp_server server = {.name = "n", .version = "1", .tools = &tool, .n_tools = 1};
    struct mcp_endpoint_options options = {.server = &server};
    struct mcp_endpoint *e = NULL;
    struct err err = {0};
    if (want) {
        CHECK_FAILS(mcp_server_check(&server, &err), &err, ERR_INVALID);
        CHECK(strstr(err.msg, want) != NULL);
    } else {
        CHECK_OK(mcp_server_check(&server, &err), &err);
    }
    CHECK_INT(mcp_endpoint_new(&options, &e, &err) == 0, served_anyway);
    mcp_endpoint_free(e);
}

TEST(tables_are_checked) {
    check_tool("ok-1_A", NULL, NULL, true);
    check_tool("has space", NULL, "legal name", false);
    check_tool("", NULL, "legal name", false);
    check_tool("a.b", NULL, "dot", true);
    check_tool("a", "{", "input schema", false);
    check_tool("a", "{\"type\":\"string\"}", "root", false);
    check_tool("a", "{\"type\":\"object\",\"anyOf\":[]}", "anyOf", true);
    check_tool("a", "{\"type\":\"object\",\"properties\":{\"x\":{\"$ref\":\"#\"}}}", "$ref", true);
    check_tool("a", "{\"type\":\"object\",\"properties\":{\"x\":{\"type\":\"array\"}}}", "items",
               true);
}
