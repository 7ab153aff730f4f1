#include "played.h"
#include "test.h"

static bool has(const struct wire_response *r, const char *text) {
    return str_find(strbuf_str(&r->body), str_z(text)) != SIZE_MAX;
}

TEST_FIBER(connections_with_all_there_is_to_say) {
    struct wire_response r;
    json_auto_t *tree = NULL;
    struct err err;
    REQUIRE(played_start());
    CHECK_INT(played_get("/api/connections?wait_ms=10", &r), 200);
    REQUIRE_OK(json_read(strbuf_str(&r.body), &tree, &err), &err);
    const json_t *all = json_object_get(tree, "connections");
    CHECK_INT(json_array_size(all), 2);
    const json_t *notes = json_array_get(all, 0), *away = json_array_get(all, 1);
    CHECK_STR(json_str(notes, "state"), "ready");
    CHECK_STR(json_str(notes, "transport"), "http");
    CHECK_STR(json_str(notes, "era"), "modern");
    CHECK_STR(json_str(notes, "version"), "2026-07-28");
    CHECK_STR(json_str(json_object_get(notes, "server"), "name"), "notes");
    CHECK_INT(json_int(notes, "tools", -1), 1);
    CHECK(json_bool(json_object_get(notes, "credential"), "stored", false));
    CHECK(json_is_null(json_object_get(notes, "error")));
    const json_t *bad = json_array_get(json_object_get(notes, "quarantined"), 0);
    CHECK_STR(json_str(bad, "name"), "bad");
    CHECK_STR(json_str(bad, "reason"), "it has no inputSchema");
    CHECK_STR(json_str(away, "error"), "no route");
    CHECK_STR(json_str(away, "transport"), "stdio");
    CHECK_INT(json_str(away, "retry_at").n, 27);
    CHECK(json_is_null(json_object_get(away, "tools")));
    CHECK(json_is_null(json_object_get(away, "server")));
    CHECK(json_is_null(json_object_get(away, "credential")));
    wire_response_done(&r);
    CHECK_INT(played_get("/api/connections?wait_ms=10001", &r), 400);
    wire_response_done(&r);
    played_stop();
}

TEST_FIBER(tools_as_their_server_wrote_them) {
    struct wire_response r;
    REQUIRE(played_start());
    CHECK_INT(played_get("/api/connections/notes/tools", &r), 200);
    CHECK(has(&r, "\"input_schema\":{\"type\":\"object\"}"));
    CHECK(has(&r, "\"quarantine\":\"it has no inputSchema\""));
    wire_response_done(&r);
    CHECK_INT(played_get("/api/connections/away/tools", &r), 200);
    CHECK(has(&r, "\"tools\":[]"));
    wire_response_done(&r);
    CHECK_INT(played_get("/api/connections/none/tools", &r), 404);
    wire_response_done(&r);
    played_stop();
}

TEST_FIBER(a_server_is_tried_again_when_asked) {
    struct wire_response r;
    REQUIRE(played_start());
    played_reconnects = 0;
    CHECK_INT(played_post("/api/connections/notes/reconnect", "{}", &r), 200);
    CHECK(has(&r, "\"name\":\"notes\""));
    CHECK_INT(played_reconnects, 1);
    wire_response_done(&r);
    CHECK_INT(played_post("/api/connections/none/reconnect", "{}", &r), 404);
    wire_response_done(&r);
    played_stop();
}

TEST_FIBER(nobody_else_may_look) {
    struct wire_response r;
    REQUIRE(played_start());
    r = played_ask("GET /api/connections HTTP/1.1\r\nHost: localhost\r\n\r\n");
    CHECK_INT(r.status, 401);
    wire_response_done(&r);
    played_stop();
}

TEST_FIBER(who_asks_for_themselves_will_need_their_servers) {
    struct wire_response r;
    REQUIRE(played_start());
    played_touches = 0;
    CHECK_INT(played_get("/api/me", &r), 200);
    CHECK_INT(played_touches, 1);
    wire_response_done(&r);
    played_stop();
}
