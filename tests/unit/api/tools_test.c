#include "played.h"
#include "test.h"

static const json_t *find(const json_t *tools, const char *tool) {
    size_t i;
    json_t *t;
    json_array_foreach (tools, i, t) {
        if (str_eq(json_str(t, "tool"), str_z(tool))) {
            return t;
        }
    }
    return NULL;
}

TEST_FIBER(tools_with_all_there_is_to_say) {
    struct wire_response r;
    json_auto_t *tree = NULL;
    struct err err;
    REQUIRE(played_start());
    CHECK_INT(played_get("/api/tools", &r), 200);
    REQUIRE_OK(json_read(strbuf_str(&r.body), &tree, &err), &err);
    const json_t *all = json_object_get(tree, "tools"), *t;
    CHECK_INT(json_array_size(all), 4);
    t = find(all, "calculate");
    CHECK_STR(json_str(t, "shown"), "direct");
    CHECK_STR(json_str(t, "policy_source"), "default");
    CHECK_STR(json_str(t, "server"), "");
    CHECK(json_is_null(json_object_get(t, "quarantined")));
    t = find(all, "look");
    CHECK_STR(json_str(t, "name"), "look");
    CHECK_STR(json_str(t, "title"), "Look");
    CHECK_STR(json_str(t, "shown"), "search");
    CHECK_STR(json_str(t, "policy_source"), "tool");
    CHECK(json_bool(t, "read_only", false));
    t = find(all, "burn");
    CHECK_STR(json_str(t, "shown"), "never");
    CHECK_STR(json_str(t, "policy"), "deny");
    CHECK_STR(json_str(t, "policy_source"), "server");
    CHECK(json_bool(t, "destructive", false));
    t = find(all, "bad");
    CHECK(json_is_null(json_object_get(t, "name")));
    CHECK_STR(json_str(t, "shown"), "never");
    CHECK_STR(json_str(t, "quarantined"), "it has no inputSchema");
    wire_response_done(&r);
    CHECK_INT(played_get("/api/tools?server=", &r), 200);
    CHECK(str_find(strbuf_str(&r.body), STR("notes")) == SIZE_MAX);
    wire_response_done(&r);
    err_set(&played.fails, ERR_UNAVAILABLE, "away");
    CHECK_INT(played_get("/api/tools", &r), 503);
    wire_response_done(&r);
    played_stop();
}

TEST_FIBER(policies_are_set_listed_and_reset) {
    extern struct str played_policy;
    struct wire_response r;
    REQUIRE(played_start());
    CHECK_INT(played_get("/api/policies", &r), 200);
    CHECK_STR(strbuf_str(&r.body),
              "{\"policies\":[{\"server\":\"notes\",\"tool\":\"look\",\"policy\":\"allow\","
              "\"updated_at\":\"1970-01-01T00:00:01.000000Z\"}]}");
    wire_response_done(&r);
    r = played_ask("PUT /api/policies HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " PLAYED_USER_KEY
                   "\r\nContent-Type: application/json\r\nContent-Length: 52\r\n\r\n"
                   "{\"server\":\"notes\",\"tool\":\"burn it\",\"policy\":\"deny\" }");
    CHECK_INT(r.status, 200);
    CHECK_STR(strbuf_str(&r.body),
              "{\"server\":\"notes\",\"tool\":\"burn it\",\"policy\":\"deny\"}");
    CHECK(str_starts(played_policy, STR("notes/burn it=deny by ")));
    wire_response_done(&r);
    r = played_ask("DELETE /api/policies?server=notes&tool=burn%20it HTTP/1.1\r\nHost: x\r\n"
                   "Authorization: Bearer " PLAYED_USER_KEY "\r\n\r\n");
    CHECK_INT(r.status, 204);
    CHECK(str_starts(played_policy, STR("notes/burn it by ")));
    wire_response_done(&r);
    r = played_ask("DELETE /api/policies?tool=x HTTP/1.1\r\nHost: x\r\n"
                   "Authorization: Bearer " PLAYED_USER_KEY "\r\n\r\n");
    CHECK_INT(r.status, 404);
    wire_response_done(&r);
    played_stop();
}

TEST_FIBER(a_policy_that_makes_no_sense_is_refused) {
    static const char *const bodies[] = {
        "{}",
        "{\"tool\":\"x\"}",
        "{\"tool\":\"x\",\"policy\":\"maybe\"}",
        "{\"tool\":5,\"policy\":\"ask\"}",
        "{\"tool\":\"\",\"policy\":\"ask\"}",
        "{\"tool\":\"a\\nb\",\"policy\":\"ask\"}",
        "{\"server\":\"\\u007f\",\"tool\":\"a\",\"policy\":\"ask\"}",
    };
    REQUIRE(played_start());
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        char request[500];
        snprintf(request, sizeof request,
                 "PUT /api/policies HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " PLAYED_USER_KEY
                 "\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                 strlen(bodies[i]), bodies[i]);
        struct wire_response r = played_ask(request);
        test_check_int(r.status, 400, __FILE__, __LINE__, bodies[i]);
        wire_response_done(&r);
    }
    played_stop();
}
