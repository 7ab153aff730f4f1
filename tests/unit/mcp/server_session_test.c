/* Sessions of the legacy revisions, and streams that break. */
#include "base/clock.h"
#include "served.h"

#define CALL(id, tool, arguments)                                                                  \
    "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"tools/call\",\"params\":{\"name\":\"" tool    \
    "\",\"arguments\":" arguments ",\"_meta\":{\"progressToken\":1}}}"
#define PING "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}"

static int status_of(struct served *s, const char *user, const char *session, const char *message) {
    struct wire_response r;
    served_legacy(s, user, session, message, &r);
    int status = r.status;
    wire_response_done(&r);
    return status;
}

static int bare(struct served *s, const char *method, const char *fields) {
    struct wire_response r;
    served_request(s, method, fields, STR_EMPTY, &r);
    int status = r.status;
    wire_response_done(&r);
    return status;
}

/* Waits until the endpoint has so many calls. */
static void await_calls(struct served *s, unsigned n) {
    for (int i = 0; i < 2000 && mcp_endpoint_stats(s->endpoint).calls != n; i++) {
        fiber_sleep(1);
    }
    CHECK_INT(mcp_endpoint_stats(s->endpoint).calls, n);
}

/* Sends a message in a session and leaves the response to come. */
static void begin(struct served *s, struct wire *w, const char *user, const char *session,
                  const char *message) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(1 << 20);
    char fields[300];
    snprintf(fields, sizeof fields, "X-User: %s\r\nMcp-Session-Id: %s\r\n", user, session);
    wire_open(w, http_server_address(s->http));
    wire_send(w, served_head(s, &text, "POST", fields, str_z(message)));
}

static void begin_get(struct served *s, struct wire *w, const char *session, const char *after) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(1 << 20);
    char fields[300];
    snprintf(fields, sizeof fields, "Mcp-Session-Id: %s\r\n%s%s%s", session,
             after ? "Last-Event-ID: " : "", after ? after : "", after ? "\r\n" : "");
    wire_open(w, http_server_address(s->http));
    wire_send(w, served_head(s, &text, "GET", fields, STR_EMPTY));
}

TEST_FIBER(a_session_is_needed_and_ends) {
    struct served s = {0};
    struct strbuf id cleanup(strbuf_done) = STRBUF(100);
    char fields[200];
    served_start(&s);
    CHECK_INT(bare(&s, "POST", ""), 400);
    served_session(&s, "ann", "2025-11-25", "{}", &id);
    CHECK_INT(status_of(&s, "ann", strbuf_z(&id), PING), 200);
    CHECK_INT(status_of(&s, "ann", "nosuchsession0000000000000000000", PING), 404);
    snprintf(fields, sizeof fields, "Mcp-Session-Id: %s\r\nMCP-Protocol-Version: 1999-01-01\r\n",
             strbuf_z(&id));
    CHECK_INT(bare(&s, "GET", fields), 400);
    CHECK_INT(bare(&s, "GET", ""), 400);
    CHECK_INT(bare(&s, "GET", "MCP-Protocol-Version: 2026-07-28\r\n"), 405);
    CHECK_INT(bare(&s, "DELETE", "MCP-Protocol-Version: 2026-07-28\r\n"), 405);
    CHECK_INT(bare(&s, "PUT", ""), 405);
    snprintf(fields, sizeof fields, "Mcp-Session-Id: %s\r\n", strbuf_z(&id));
    CHECK_INT(bare(&s, "GET", "Accept: application/json\r\n"), 406);
    CHECK_INT(bare(&s, "DELETE", fields), 204);
    CHECK_INT(bare(&s, "DELETE", fields), 404);
    CHECK_INT(status_of(&s, "ann", strbuf_z(&id), PING), 404);
    served_stop(&s);
}

TEST_FIBER(a_session_is_its_users_own) {
    struct served s = {0};
    struct strbuf id cleanup(strbuf_done) = STRBUF(100);
    char fields[200];
    served_start(&s);
    served_session(&s, "ann", "2025-11-25", "{}", &id);
    CHECK_INT(status_of(&s, "bob", strbuf_z(&id), PING), 404);
    snprintf(fields, sizeof fields, "X-User: bob\r\nMcp-Session-Id: %s\r\n", strbuf_z(&id));
    CHECK_INT(bare(&s, "GET", fields), 404);
    CHECK_INT(bare(&s, "DELETE", fields), 404);
    CHECK_INT(status_of(&s, "ann", strbuf_z(&id), PING), 200);
    served_stop(&s);
}

TEST_FIBER(sessions_are_bounded_and_idle_ones_make_room) {
    struct served s = {.options = {.max_sessions = 5, .max_sessions_per_user = 3}};
    struct strbuf first cleanup(strbuf_done) = STRBUF(100), id cleanup(strbuf_done) = STRBUF(100);
    served_start(&s);
    served_session(&s, "ann", "2025-11-25", "{}", &first);
    for (int i = 0; i < 3; i++) {
        served_session(&s, "ann", "2025-11-25", "{}", &id);
    }
    CHECK_INT(mcp_endpoint_stats(s.endpoint).sessions, 3);
    CHECK_INT(status_of(&s, "ann", strbuf_z(&first), PING), 404);
    CHECK_INT(status_of(&s, "ann", strbuf_z(&id), PING), 200);
    for (int i = 0; i < 3; i++) {
        served_session(&s, "bob", "2025-11-25", "{}", &first);
    }
    CHECK_INT(mcp_endpoint_stats(s.endpoint).sessions, 5);
    CHECK_INT(status_of(&s, "ann", strbuf_z(&id), PING), 200);
    served_stop(&s);
}

TEST_FIBER(a_session_at_work_is_not_closed_for_another) {
    struct served s = {.options = {.max_sessions = 2, .max_sessions_per_user = 1}};
    struct strbuf id cleanup(strbuf_done) = STRBUF(100);
    struct wire_response r;
    struct wire w;
    served_start(&s);
    served_session(&s, "ann", "2025-11-25", "{}", &id);
    begin(&s, &w, "ann", strbuf_z(&id), CALL("1", "wait", "{}"));
    await_calls(&s, 1);
    served_request(&s, "POST", "",
                   STR("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{"
                       "\"protocolVersion\":\"2025-11-25\",\"capabilities\":{}}}"),
                   &r);
    CHECK_INT(r.status, 503);
    wire_response_done(&r);
    CHECK_INT(mcp_endpoint_stats(s.endpoint).sessions, 1);
    wire_done(&w);
    served_stop(&s);
    CHECK_INT(s.cancelled, 1);
}

TEST_FIBER(an_idle_session_expires) {
    struct served s = {.options = {.session_idle_ms = 20}};
    struct strbuf id cleanup(strbuf_done) = STRBUF(100);
    served_start(&s);
    served_session(&s, "ann", "2025-11-25", "{}", &id);
    fiber_sleep(40);
    CHECK_INT(status_of(&s, "ann", strbuf_z(&id), PING), 404);
    CHECK_INT(mcp_endpoint_stats(s.endpoint).sessions, 0);
    served_stop(&s);
}

TEST_FIBER(a_client_cancels) {
    struct served s = {0};
    struct strbuf id cleanup(strbuf_done) = STRBUF(100);
    struct wire_response r;
    struct wire w;
    served_start(&s);
    served_session(&s, "ann", "2025-11-25", "{}", &id);
    begin(&s, &w, "ann", strbuf_z(&id), CALL("\"x\"", "wait", "{}"));
    await_calls(&s, 1);
    CHECK_INT(status_of(&s, "ann", strbuf_z(&id), CALL("\"x\"", "touch", "{}")), 400); /* in use */
    CHECK_INT(status_of(&s, "ann", strbuf_z(&id),
                        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{"
                        "\"requestId\":\"y\"}}"),
              202);
    CHECK_INT(s.cancelled, 0);
    CHECK_INT(status_of(&s, "ann", strbuf_z(&id),
                        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{"
                        "\"requestId\":\"x\"}}"),
              202);
    wire_read_response(&w, false, &r);
    CHECK_INT(r.body.n, 0);
    CHECK_INT(s.cancelled, 1);
    wire_response_done(&r);
    wire_done(&w);
    await_calls(&s, 0);
    served_stop(&s);
}

TEST_FIBER(a_modern_client_that_goes_away_cancels) {
    struct served s = {0};
    struct strbuf text cleanup(strbuf_done) = STRBUF(1 << 20);
    struct wire w;
    served_start(&s);
    served_modern_text(&s, "ann", "tools/call", "wait", "\"name\":\"wait\"", "{}", &text);
    wire_open(&w, http_server_address(s.http));
    wire_send(&w, strbuf_str(&text));
    await_calls(&s, 1);
    wire_done(&w);
    await_calls(&s, 0);
    CHECK_INT(s.cancelled, 1);
    served_stop(&s);
}

TEST_FIBER(a_legacy_client_that_lost_its_stream_gets_the_rest) {
    struct served s = {.options = {.heartbeat_ms = 5}};
    struct strbuf id cleanup(strbuf_done) = STRBUF(100);
    struct wire w, again;
    served_start(&s);
    served_session(&s, "ann", "2025-11-25", "{}", &id);
    begin(&s, &w, "ann", strbuf_z(&id), CALL("4", "wait", "{\"ms\":100}"));
    CHECK(wire_await_mark(&w, STR("id: 1-0\ndata: \n\n")) > 0);
    CHECK(wire_await_mark(&w, STR(": still here")) > 0);
    wire_done(&w);
    begin_get(&s, &again, strbuf_z(&id), "1-0");
    CHECK(wire_await_mark(&again, STR("id: 1-1\ndata: {\"jsonrpc\":\"2.0\",\"id\":4,\"result\"")) >
          0);
    CHECK(wire_await_mark(&again, STR("\r\n0\r\n\r\n")) > 0); /* and that is all */
    wire_done(&again);
    CHECK_INT(s.cancelled, 0);
    /* What was sent is kept, as it may not have arrived. */
    begin_get(&s, &again, strbuf_z(&id), "1-0");
    CHECK(wire_await_mark(&again, STR("waited")) > 0);
    wire_done(&again);
    served_stop(&s);
}

TEST_FIBER(what_is_kept_for_replay_is_bounded) {
    struct served s = {.options = {.max_replay_bytes = 20000}};
    struct strbuf id cleanup(strbuf_done) = STRBUF(100);
    struct wire_response r;
    served_start(&s);
    served_session(&s, "ann", "2025-06-18", "{}", &id);
    for (int i = 0; i < 60; i++) {
        served_request(&s, "POST", "Accept: text/event-stream\r\n", STR("{"), &r);
        wire_response_done(&r);
        served_legacy(&s, "ann", strbuf_z(&id), CALL("1", "progress", "{}"), &r);
        CHECK(has(&r, "\"there\""));
        wire_response_done(&r);
        CHECK(mcp_endpoint_stats(s.endpoint).replay_bytes <= 20000);
    }
    CHECK(mcp_endpoint_stats(s.endpoint).replay_bytes > 1000);
    served_stop(&s);
}

TEST_FIBER(calls_of_a_user_are_bounded) {
    struct served s = {.options = {.max_calls_per_user = 2}};
    struct strbuf id cleanup(strbuf_done) = STRBUF(100);
    struct wire_response r;
    struct wire w[2];
    served_start(&s);
    served_session(&s, "ann", "2025-11-25", "{}", &id);
    begin(&s, &w[0], "ann", strbuf_z(&id), CALL("1", "wait", "{}"));
    begin(&s, &w[1], "ann", strbuf_z(&id), CALL("2", "wait", "{}"));
    await_calls(&s, 2);
    CHECK_INT(status_of(&s, "ann", strbuf_z(&id), CALL("3", "touch", "{}")), 429);
    served_modern(&s, "ann", "tools/call", "touch", "\"name\":\"touch\"", "{}", &r);
    CHECK_INT(r.status, 429);
    wire_response_done(&r);
    served_modern(&s, "bob", "tools/call", "touch", "\"name\":\"touch\"", "{}", &r);
    CHECK_INT(r.status, 200);
    wire_response_done(&r);
    wire_done(&w[0]);
    wire_done(&w[1]);
    served_stop(&s);
    CHECK_INT(s.cancelled, 2);
}

TEST_FIBER(requests_of_a_user_have_a_rate) {
    struct served s = {.options = {.max_requests_per_minute = 3}};
    struct wire_response r;
    served_start(&s);
    for (int i = 0; i < 5; i++) {
        served_modern(&s, "ann", "tools/list", NULL, "", "{}", &r);
        CHECK_INT(r.status, i < 3 ? 200 : 429);
        wire_response_done(&r);
    }
    served_modern(&s, "bob", "tools/list", NULL, "", "{}", &r);
    CHECK_INT(r.status, 200);
    wire_response_done(&r);
    served_stop(&s);
}

TEST_FIBER(a_call_has_a_deadline) {
    struct served s = {.options = {.call_timeout_ms = 30}};
    struct wire_response r;
    served_start(&s);
    served_modern(&s, "ann", "tools/call", "wait", "\"name\":\"wait\"", "{}", &r);
    CHECK_INT(r.status, 200);
    CHECK_INT(s.cancelled, 1);
    wire_response_done(&r);
    served_stop(&s);
}

/* ---- news ---- */

TEST_FIBER(a_listener_hears_what_it_asked_for) {
    struct served s = {.options = {.max_listeners_per_user = 1}};
    struct strbuf text cleanup(strbuf_done) = STRBUF(1 << 20);
    struct wire_response r;
    struct wire w;
    served_start(&s);
    served_modern_text(&s, "ann", "subscriptions/listen", NULL,
                       "\"notifications\":{\"toolsListChanged\":true,\"resourceSubscriptions\":["
                       "\"test://a\"],\"unknown\":true}",
                       "{}", &text);
    wire_open(&w, http_server_address(s.http));
    wire_send(&w, strbuf_str(&text));
    CHECK(wire_await_mark(
              &w, STR("data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/"
                      "acknowledged\",\"params\":{\"_meta\":{\"io.modelcontextprotocol/"
                      "subscriptionId\":\"m\"},\"notifications\":{\"toolsListChanged\":true,"
                      "\"resourceSubscriptions\":[\"test://a\"]}}}")) > 0);
    served_modern(&s, "ann", "subscriptions/listen", NULL, "\"notifications\":{}", "{}", &r);
    CHECK_INT(r.status, 429);
    wire_response_done(&r);
    mcp_endpoint_changed(s.endpoint, MCP_CHANGE_PROMPTS, STR_EMPTY);
    mcp_endpoint_changed(s.endpoint, MCP_CHANGE_TOOLS, STR("bob"));
    mcp_endpoint_resource_updated(s.endpoint, STR("test://other"), STR_EMPTY);
    mcp_endpoint_resource_updated(s.endpoint, STR("test://a"), STR("ann"));
    CHECK(wire_await_mark(&w, STR("\"uri\":\"test://a\"")) > 0);
    CHECK(str_find(strbuf_str(&w.in), STR("list_changed")) == SIZE_MAX);
    CHECK(str_find(strbuf_str(&w.in), STR("test://other")) == SIZE_MAX);
    mcp_endpoint_changed(s.endpoint, MCP_CHANGE_TOOLS, STR("ann"));
    CHECK(wire_await_mark(&w, STR("tools/list_changed\",\"params\":{\"_meta\":{")) > 0);
    mcp_endpoint_stop(s.endpoint);
    CHECK(wire_await_mark(&w, STR("\"id\":\"m\",\"result\":{\"resultType\":\"complete\"")) > 0);
    wire_done(&w);
    served_stop(&s);
}

TEST_FIBER(a_listener_that_goes_away_is_forgotten) {
    struct served s = {0};
    struct strbuf text cleanup(strbuf_done) = STRBUF(1 << 20);
    struct wire w;
    served_start(&s);
    served_modern_text(&s, "ann", "subscriptions/listen", NULL,
                       "\"notifications\":{\"toolsListChanged\":true}", "{}", &text);
    wire_open(&w, http_server_address(s.http));
    wire_send(&w, strbuf_str(&text));
    CHECK(wire_await_mark(&w, STR("acknowledged")) > 0);
    CHECK_INT(mcp_endpoint_stats(s.endpoint).listeners, 1);
    wire_done(&w);
    await_calls(&s, 0);
    CHECK_INT(mcp_endpoint_stats(s.endpoint).listeners, 0);
    served_stop(&s);
}

TEST_FIBER(a_session_hears_on_its_own_stream) {
    struct served s = {0};
    struct strbuf id cleanup(strbuf_done) = STRBUF(100);
    struct wire w, newer;
    served_start(&s);
    served_session(&s, "ann", "2025-06-18", "{}", &id);
    begin_get(&s, &w, strbuf_z(&id), NULL);
    CHECK(wire_await_mark(&w, STR("\r\n\r\n")) > 0);
    mcp_endpoint_resource_updated(s.endpoint, STR("test://a"), STR_EMPTY); /* not subscribed */
    CHECK_INT(status_of(&s, "ann", strbuf_z(&id),
                        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"resources/subscribe\","
                        "\"params\":{\"uri\":\"test://a\"}}"),
              200);
    mcp_endpoint_changed(s.endpoint, MCP_CHANGE_TOOLS, STR_EMPTY);
    mcp_endpoint_resource_updated(s.endpoint, STR("test://a"), STR_EMPTY);
    CHECK(wire_await_mark(&w, STR("id: 1-2\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/"
                                  "resources/updated\",\"params\":{\"uri\":\"test://a\"}}")) > 0);
    /* A newer stream takes over; what nobody had is there once. */
    begin_get(&s, &newer, strbuf_z(&id), NULL);
    CHECK(wire_await_end(&w) || wire_await_mark(&w, STR("\r\n0\r\n\r\n")) > 0);
    wire_done(&w);
    wire_done(&newer);
    for (int i = 0; i < 1000 && mcp_endpoint_stats(s.endpoint).listeners > 0; i++) {
        fiber_sleep(1);
    }
    for (int i = 0; i < 1000; i++) {
        mcp_endpoint_changed(s.endpoint, MCP_CHANGE_TOOLS, STR_EMPTY);
    }
    begin_get(&s, &w, strbuf_z(&id), NULL);
    CHECK(wire_await_mark(&w, STR("id: 1-3\n")) > 0);
    fiber_sleep(20);
    CHECK(str_find(strbuf_str(&w.in), STR("id: 1-4\n")) == SIZE_MAX);
    wire_done(&w);
    served_stop(&s);
}
