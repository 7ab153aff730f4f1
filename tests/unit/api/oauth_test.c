/* The link, the pages and the callback of OAuth; notifications in pages. */
#include "played.h"
#include "test.h"

static bool has(const struct wire_response *r, const char *text) {
    return str_find(strbuf_str(&r->body), str_z(text)) != SIZE_MAX;
}

TEST_FIBER(a_link_says_how_long_it_is_good) {
    struct wire_response r;
    struct err err;
    json_auto_t *tree = NULL;
    REQUIRE(played_start());
    CHECK_INT(played_post("/api/connections/wiki/authorize", "{}", &r), 200);
    CHECK_OK(json_read(strbuf_str(&r.body), &tree, &err), &err);
    CHECK(str_starts(json_str(tree, "url"), STR("https://login.example/authorize")));
    CHECK_INT(json_str(tree, "expires_at").n, 27);
    wire_response_done(&r);
    CHECK_INT(played_post("/api/connections/other/authorize", "{}", &r), 404);
    wire_response_done(&r);
    /* The user must hear what is wrong with a server that is not ours. */
    CHECK_INT(played_post("/api/connections/down/authorize", "{}", &r), 502);
    CHECK(has(&r, "connection refused"));
    wire_response_done(&r);
    r = played_ask("POST /api/connections/wiki/authorize HTTP/1.1\r\nHost: localhost\r\n"
                   "Content-Length: 0\r\n\r\n");
    CHECK_INT(r.status, 401);
    wire_response_done(&r);
    played_stop();
}

static void check_page_fields(const struct wire_response *r) {
    CHECK_STR(wire_field(r, "Content-Type"), "text/html; charset=utf-8");
    CHECK_STR(wire_field(r, "Referrer-Policy"), "no-referrer");
    CHECK_STR(wire_field(r, "Cache-Control"), "no-store");
    CHECK(str_starts(wire_field(r, "Content-Security-Policy"), STR("default-src 'none'; ")));
    CHECK(str_find(wire_field(r, "Content-Security-Policy"), STR("unsafe")) == SIZE_MAX);
}

TEST_FIBER(pages_hold_no_foreign_markup) {
    struct wire_response r;
    REQUIRE(played_start());
    r = played_ask("GET /oauth/start?link=sealed:wiki HTTP/1.1\r\nHost: localhost\r\n\r\n");
    CHECK_INT(r.status, 200);
    check_page_fields(&r);
    CHECK(has(&r, "&lt;b&gt;ann&lt;/b&gt;") && !has(&r, "<b>"));
    CHECK(has(&r, "href=\"https://login.example/authorize?state=&quot;&lt;&lt;b&gt;"));
    CHECK(has(&r, "You will be asked at login.example."));
    wire_response_done(&r);
    r = played_ask("GET /oauth/start?link=forged HTTP/1.1\r\nHost: localhost\r\n\r\n");
    CHECK_INT(r.status, 400);
    check_page_fields(&r);
    CHECK(has(&r, "the link is &lt;not&gt; ours") && !has(&r, "href=\"https"));
    wire_response_done(&r);
    r = played_ask("GET /oauth/start?link=sealed:down HTTP/1.1\r\nHost: localhost\r\n\r\n");
    CHECK_INT(r.status, 502);
    CHECK(has(&r, "connection refused"));
    wire_response_done(&r);
    played_stop();
}

static int callback(const char *method, const char *query, const char *more,
                    struct wire_response *ret) {
    struct strbuf request cleanup(strbuf_done) = STRBUF(4096);
    strbuf_addf(&request, "%s /oauth/callback?%s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", method,
                query, more);
    *ret = played_ask(strbuf_z(&request));
    return ret->status;
}

TEST_FIBER(a_callback_ends_in_a_page) {
    struct wire_response r;
    REQUIRE(played_start());
    played_codes = 0;
    CHECK_INT(callback("GET", "code=good&state=s", "", &r), 200);
    check_page_fields(&r);
    CHECK(has(&r, "The assistant of ann can use wiki now."));
    wire_response_done(&r);
    CHECK_INT(played_codes, 1);
    CHECK_INT(callback("GET", "code=spent&state=s", "", &r), 400);
    check_page_fields(&r);
    CHECK(has(&r, "Not connected") && has(&r, "not valid (any more)"));
    wire_response_done(&r);
    CHECK_INT(callback("GET", "error=access_denied&error_description=%3Cscript%3E&state=s", "", &r),
              403);
    CHECK(!has(&r, "<script"));
    wire_response_done(&r);
    played_stop();
}

TEST_FIBER(a_look_ahead_spends_no_code) {
    struct wire_response r;
    REQUIRE(played_start());
    played_codes = 0;
    CHECK_INT(callback("GET", "code=good&state=s", "Sec-Purpose: prefetch\r\n", &r), 204);
    wire_response_done(&r);
    CHECK_INT(played_codes, 0);
    played_stop();
}

/* ---- notifications ---- */

static void check_list(const char *path, const char *want, const char *next) {
    struct strbuf ids cleanup(strbuf_done) = STRBUF(256);
    struct wire_response r;
    json_auto_t *tree = NULL;
    const json_t *n;
    struct err err;
    size_t i;
    CHECK_INT(played_get(path, &r), 200);
    REQUIRE_OK(json_read(strbuf_str(&r.body), &tree, &err), &err);
    wire_response_done(&r);
    json_array_foreach (json_object_get(tree, "notifications"), i, n) {
        strbuf_add(&ids, json_str(n, "id"));
        CHECK(json_is_null(json_object_get(n, "read_at")) == (json_str(n, "id").p[0] == 'u'));
    }
    CHECK_STR(strbuf_str(&ids), want);
    CHECK_STR(json_str(tree, "next_cursor"), next);
}

TEST_FIBER(unread_notifications_come_first) {
    struct wire_response r;
    REQUIRE(played_start());
    check_list("/api/notifications", "u3u2u1r2r1", "");
    check_list("/api/notifications?limit=2", "u3u2", "u2.u2");
    check_list("/api/notifications?limit=2&cursor=u2.u2", "u1r2", "r2.r2");
    check_list("/api/notifications?limit=2&cursor=r2.r2", "r1", "");
    check_list("/api/notifications?limit=3", "u3u2u1", "u1.u1");
    check_list("/api/notifications?limit=3&cursor=u1.u1", "r2r1", "");
    check_list("/api/notifications?unread=1", "u3u2u1", "");
    check_list("/api/notifications?unread=1&limit=2", "u3u2", "u2.u2");
    CHECK_INT(played_get("/api/notifications?cursor=x", &r), 400);
    wire_response_done(&r);
    CHECK_INT(played_get("/api/notifications?cursor=u0.a", &r), 400);
    wire_response_done(&r);
    CHECK_INT(played_post("/api/notifications/u1/read", "{}", &r), 204);
    wire_response_done(&r);
    CHECK_INT(played_post("/api/notifications/u9/read", "{}", &r), 404);
    wire_response_done(&r);
    played_stop();
}
