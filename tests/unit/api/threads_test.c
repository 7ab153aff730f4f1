#include "played.h"
#include "test.h"

#define KEY "Host: localhost\r\nX-API-Key: " PLAYED_USER_KEY "\r\n"

static json_t *get(const char *path, int status) {
    struct wire_response r;
    struct err err;
    json_t *tree = NULL;
    CHECK_INT(played_get(path, &r), status);
    if (r.status == 200) {
        CHECK_OK(json_read(strbuf_str(&r.body), &tree, &err), &err);
    }
    wire_response_done(&r);
    return tree;
}

TEST_FIBER(pages_of_the_list_join) {
    REQUIRE(played_start());
    json_auto_t *first = get("/api/threads?limit=2", 200);
    const json_t *threads = json_object_get(first, "threads");
    REQUIRE(json_array_size(threads) == 2);
    CHECK_STR(json_str(json_array_get(threads, 1), "id"), "b");
    CHECK_STR(json_str(first, "next_cursor"), "20.b");
    json_auto_t *second = get("/api/threads?limit=2&cursor=20.b", 200);
    threads = json_object_get(second, "threads");
    REQUIRE(json_array_size(threads) == 1);
    CHECK_STR(json_str(json_array_get(threads, 0), "id"), "a");
    CHECK(!json_object_get(second, "next_cursor"));
    CHECK_STR(strbuf_str(&played.text), "b");
    played_stop();
}

TEST_FIBER(a_search_shows_what_matched_and_where_it_goes_on) {
    REQUIRE(played_start());
    json_auto_t *first = get("/api/search?q=a%20b%26&limit=2", 200);
    const json_t *hits = json_object_get(first, "hits");
    REQUIRE(json_array_size(hits) == 2);
    CHECK_STR(strbuf_str(&played.text), "a b&");
    const json_t *snippet = json_object_get(json_array_get(hits, 0), "snippet");
    REQUIRE(json_array_size(snippet) == 3);
    CHECK_STR(json_str(json_array_get(snippet, 1), "text"), "two");
    CHECK(json_bool(json_array_get(snippet, 1), "match", false));
    CHECK(!json_bool(json_array_get(snippet, 2), "match", true));
    CHECK_STR(json_str(first, "next_cursor"), "1000000.9.t.1");
    json_auto_t *second = get("/api/search?q=a&cursor=1000000.9.t.1", 200);
    hits = json_object_get(second, "hits");
    CHECK_INT(json_int(json_array_get(hits, 0), "seq", 0), 9);
    CHECK(!json_object_get(second, "next_cursor"));
    get("/api/search?q=a&cursor=1.t", 400);
    get("/api/search?q=a&cursor=0.1.t", 400);
    get("/api/search?q=a&limit=51", 400);
    played_stop();
}

static void check_messages(const char *path, int64_t first, int64_t last, bool has_more) {
    json_auto_t *tree = get(path, 200);
    const json_t *messages = json_object_get(tree, "messages");
    size_t n = json_array_size(messages);
    CHECK_INT(n, last - first + 1);
    CHECK_INT(json_int(json_array_get(messages, 0), "seq", 0), first);
    CHECK_INT(json_int(json_array_get(messages, n - 1), "seq", 0), last);
    CHECK_STR(json_str(json_array_get(messages, 0), "content"), "hi");
    CHECK_STR(json_str(json_array_get(messages, 0), "role"), "user");
    CHECK(json_bool(tree, "has_more", !has_more) == has_more);
}

TEST_FIBER(messages_come_in_order_and_in_pages) {
    REQUIRE(played_start());
    played.thread = "t";
    played.thread_messages = 120;
    check_messages("/api/threads/t", 71, 120, true);
    check_messages("/api/threads/t?before=71&limit=200", 1, 70, false);
    check_messages("/api/threads/t?limit=200", 1, 120, false);
    check_messages("/api/threads/t?limit=120", 1, 120, false);
    check_messages("/api/threads/t?limit=1", 120, 120, true);
    played.thread_messages = 0;
    json_auto_t *tree = get("/api/threads/t", 200);
    CHECK_INT(json_array_size(json_object_get(tree, "messages")), 0);
    CHECK(!json_bool(tree, "has_more", true));
    get("/api/threads/other", 404);
    get("/api/threads/a%20b", 404);
    played_stop();
}

/* The blocks of the only message shown. */
static const json_t *blocks_of(const json_t *tree) {
    return json_object_get(json_array_get(json_object_get(tree, "messages"), 0), "content");
}

TEST_FIBER(images_may_come_as_addresses) {
    REQUIRE(played_start());
    played.thread = "t";
    played.thread_messages = played.image_at = 1;
    json_auto_t *whole = get("/api/threads/t", 200);
    CHECK_STR(json_str(json_array_get(blocks_of(whole), 1), "data"), "iVBORw==");
    json_auto_t *linked = get("/api/threads/t?images=link", 200);
    const json_t *blocks = blocks_of(linked);
    REQUIRE(json_array_size(blocks) == 4);
    CHECK_STR(json_str(json_array_get(blocks, 0), "text"), "\"type\"");
    const json_t *image = json_array_get(blocks, 1);
    CHECK_STR(json_str(image, "media_type"), "image/png");
    CHECK_STR(json_str(image, "href"), "/api/threads/t/messages/m%251/images/0");
    CHECK(!json_object_get(image, "data"));
    CHECK_STR(json_str(json_array_get(blocks, 2), "url"), "https://a.example/b.png");
    CHECK_STR(json_str(json_array_get(blocks, 3), "href"),
              "/api/threads/t/messages/m%251/images/1");
    get("/api/threads/t?images=none", 400);
    played_stop();
}

TEST_FIBER(an_image_is_only_ever_an_image) {
    struct wire_response r;
    REQUIRE(played_start());
    played.thread = "t";
    played.thread_messages = played.image_at = 1;
    CHECK_INT(played_get("/api/threads/t/messages/m%251/images/0", &r), 200);
    CHECK_STR(strbuf_str(&r.body), "\x89PNG");
    CHECK_STR(wire_field(&r, "content-type"), "image/png");
    CHECK_STR(wire_field(&r, "content-security-policy"), "default-src 'none'; sandbox");
    CHECK_STR(wire_field(&r, "x-content-type-options"), "nosniff");
    CHECK_STR(wire_field(&r, "cache-control"), "private, max-age=31536000, immutable");
    CHECK_STR(wire_field(&r, "content-disposition"), "");
    wire_response_done(&r);
    CHECK_INT(played_get("/api/threads/t/messages/m%251/images/1", &r), 200);
    CHECK_STR(wire_field(&r, "content-type"), "application/octet-stream");
    CHECK_STR(wire_field(&r, "content-disposition"), "attachment");
    wire_response_done(&r);
    get("/api/threads/t/messages/m%251/images/2", 404);
    get("/api/threads/t/messages/m%251/images/-1", 404);
    get("/api/threads/t/messages/m%251/images/x", 404);
    get("/api/threads/t/messages/other/images/0", 404);
    get("/api/threads/other/messages/m%251/images/0", 404);
    played.image_at = 0;
    get("/api/threads/t/messages/m%251/images/0", 404);
    played_stop();
}

TEST_FIBER(what_waits_is_shown_with_the_thread) {
    REQUIRE(played_start());
    played.thread = "t";
    json_auto_t *idle = get("/api/threads/t", 200);
    CHECK_INT(json_array_size(json_object_get(idle, "queued")), 0);
    played.open_turn = "r";
    json_auto_t *busy = get("/api/threads/t", 200);
    const json_t *queued = json_object_get(busy, "queued");
    REQUIRE(json_array_size(queued) == 1);
    CHECK_STR(json_str(json_array_get(queued, 0), "turn_id"), "q");
    CHECK_STR(json_str(json_array_get(queued, 0), "id"), "q-u");
    CHECK_STR(json_str(json_array_get(queued, 0), "content"), "hi");
    played_stop();
}

TEST_FIBER(a_thread_tells_which_turns_did_not_end_well) {
    REQUIRE(played_start());
    played.thread = "t";
    played.thread_messages = 1;
    json_auto_t *thread = get("/api/threads/t", 200);
    const json_t *end = json_array_get(json_object_get(thread, "ends"), 0);
    CHECK_STR(json_str(end, "id"), "bad");
    CHECK_STR(json_str(end, "state"), "failed");
    CHECK_STR(json_str(json_object_get(end, "error"), "code"), "limit");
    CHECK_STR(json_str(json_object_get(end, "error"), "message"), "no");
    played_stop();
}

TEST_FIBER(a_thread_is_made_changed_and_deleted) {
    struct wire_response r;
    REQUIRE(played_start());
    CHECK_INT(played_post("/api/threads", "{\"id\":\"mine\",\"title\":\"Plans\"}", &r), 201);
    CHECK_STR(wire_field(&r, "location"), "/api/threads/mine");
    CHECK_STR(strbuf_str(&played.text), "Plans");
    CHECK_STR(strbuf_str(&played.user), "me");
    wire_response_done(&r);
    CHECK_INT(played_post("/api/threads", "{\"id\":\"mine\"}", &r), 409);
    wire_response_done(&r);
    CHECK_INT(played_post("/api/threads", "{\"id\":\"with space\"}", &r), 400);
    wire_response_done(&r);
    CHECK_INT(played_post("/api/threads", "", &r), 400); /* says JSON, and is none */
    wire_response_done(&r);
    r = played_ask("POST /api/threads HTTP/1.1\r\n" KEY "\r\n");
    CHECK_INT(r.status, 201);
    wire_response_done(&r);
    played.thread = "mine";
    r = played_ask("PATCH /api/threads/mine HTTP/1.1\r\n" KEY
                   "Content-Type: application/json\r\nContent-Length: 34\r\n\r\n"
                   "{\"title\":\"New\", \"archived\": false}");
    CHECK_INT(r.status, 200);
    CHECK_STR(strbuf_str(&played.text), "back");
    wire_response_done(&r);
    r = played_ask(
        "PATCH /api/threads/other HTTP/1.1\r\n" KEY
        "Content-Type: application/json\r\nContent-Length: 15\r\n\r\n{\"title\":\"New\"}");
    CHECK_INT(r.status, 404);
    wire_response_done(&r);
    r = played_ask("DELETE /api/threads/mine HTTP/1.1\r\n" KEY "\r\n");
    CHECK_INT(r.status, 204);
    wire_response_done(&r);
    played_stop();
}

TEST_FIBER(a_thread_is_forked_and_cancelled) {
    struct wire_response r;
    REQUIRE(played_start());
    played.thread = "mine";
    json_auto_t *tree = get("/api/threads/mine/checkpoints", 200);
    CHECK_STR(json_str(json_array_get(json_object_get(tree, "checkpoints"), 0), "turn_id"), "t1");
    CHECK_INT(played_post("/api/threads/mine/cancel", "", &r), 202);
    wire_response_done(&r);
    CHECK_INT(played.cancelled, 1);
    CHECK_INT(played_post("/api/threads/mine/fork", "{}", &r), 400);
    wire_response_done(&r);
    CHECK_INT(played_post("/api/threads/mine/fork", "{\"turn_id\":\"t1\",\"thread_id\":\"f\"}", &r),
              201);
    CHECK_STR(wire_field(&r, "location"), "/api/threads/f");
    wire_response_done(&r);
    CHECK_STR(strbuf_str(&played.turn_id), "t1");
    played_stop();
}

TEST_FIBER(a_turn_is_shown_and_cancelled) {
    struct wire_response r;
    REQUIRE(played_start());
    json_auto_t *tree = get("/api/turns/t1", 200);
    CHECK_STR(json_str(tree, "state"), "running");
    get("/api/turns/other", 404);
    CHECK_INT(played_post("/api/turns/t1/cancel", "", &r), 202);
    CHECK_STR(strbuf_str(&r.body), "{\"turn_id\":\"t1\",\"state\":\"cancelled\"}");
    wire_response_done(&r);
    CHECK_INT(played_post("/api/turns/other/cancel", "", &r), 404);
    wire_response_done(&r);
    played_stop();
}
