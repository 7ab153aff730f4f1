#include "api/ws_session.h"
#include "base/json.h"
#include "played.h"
#include "test.h"

#define SAYS "{\"type\":\"TEXT_MESSAGE_CONTENT\",\"messageId\":\"m1\",\"delta\":\"Hello\"}"
#define FINISHED "{\"type\":\"RUN_FINISHED\",\"outcome\":{\"type\":\"success\"}}"

static void expect(struct wire *w, const char *frame) {
    CHECK_STR(played_ws_frame(w), frame);
}

/* A client past the greeting. */
static bool connect_ws(struct wire *w) {
    return played_ws(w) && CHECK(str_starts(played_ws_frame(w), STR("{\"type\":\"hello\",")));
}

static void expect_error(struct wire *w, const char *head, const char *code) {
    char wanted[64];
    struct str frame = played_ws_frame(w);
    snprintf(wanted, sizeof wanted, "\"code\":\"%s\"", code);
    if (!CHECK(str_starts(frame, str_z(head))) ||
        !CHECK(str_find(frame, str_z(wanted)) != SIZE_MAX)) {
        printf("%.*s\n", STR_ARG(frame));
    }
}

TEST_FIBER(a_chat_is_accepted_followed_and_ended) {
    struct wire w;
    REQUIRE(played_start());
    REQUIRE(connect_ws(&w));
    played_event(SAYS);
    played_event(FINISHED);
    played_ws_send(&w, "{\"type\":\"chat\",\"ref\":\"7\",\"threadId\":\"th\",\"message\":\"hi\"}");
    expect(&w, "{\"type\":\"accepted\",\"ref\":\"7\",\"threadId\":\"th\",\"runId\":\"t1\","
               "\"queued\":false,\"existed\":false}");
    expect(&w,
           "{\"type\":\"agui\",\"threadId\":\"th\",\"runId\":\"t1\",\"seq\":1,\"event\":" SAYS "}");
    expect(&w, "{\"type\":\"agui\",\"threadId\":\"th\",\"runId\":\"t1\",\"seq\":2,\"event\":"
               "" FINISHED "}");
    expect(&w, "{\"type\":\"end\",\"runId\":\"t1\"}");
    CHECK_STR(strbuf_str(&played.text), "hi");
    CHECK_STR(strbuf_str(&played.user), "me");
    wire_done(&w);
    played_stop();
}

TEST_FIBER(frames_are_answered_in_order) {
    struct wire w;
    REQUIRE(played_start());
    REQUIRE(connect_ws(&w));
    played.live = true;
    played_ws_send(&w, "{\"type\":\"subscribe\",\"ref\":\"a\",\"runId\":\"t1\"}");
    played_ws_send(&w, "{\"type\":\"ping\"}");
    played_ws_send(&w, "{\"type\":\"cancel\",\"ref\":\"b\",\"runId\":\"t1\"}");
    played_ws_send(&w, "{\"type\":\"unsubscribe\",\"ref\":\"c\",\"runId\":\"t1\"}");
    expect(&w, "{\"type\":\"ok\",\"ref\":\"a\"}");
    expect(&w, "{\"type\":\"pong\"}");
    expect(&w, "{\"type\":\"ok\",\"ref\":\"b\"}");
    expect(&w, "{\"type\":\"ok\",\"ref\":\"c\"}");
    CHECK_INT(played.cancelled, 1);
    wire_done(&w);
    played_stop();
}

TEST_FIBER(a_subscription_begins_where_it_is_told) {
    struct wire w;
    REQUIRE(played_start());
    REQUIRE(connect_ws(&w));
    played_event(SAYS);
    played_event(FINISHED);
    played_ws_send(&w, "{\"type\":\"subscribe\",\"runId\":\"t1\",\"since\":1}");
    expect(&w, "{\"type\":\"ok\"}");
    expect(&w, "{\"type\":\"agui\",\"threadId\":\"thread\",\"runId\":\"t1\",\"seq\":2,\"event\":"
               "" FINISHED "}");
    expect(&w, "{\"type\":\"end\",\"runId\":\"t1\"}");
    wire_done(&w);
    played_stop();
}

TEST_FIBER(a_second_subscription_replaces_the_first) {
    struct wire w;
    REQUIRE(played_start());
    REQUIRE(connect_ws(&w));
    played.live = true;
    for (int i = 0; i < 3; i++) {
        played_ws_send(&w, "{\"type\":\"subscribe\",\"runId\":\"t1\"}");
        expect(&w, "{\"type\":\"ok\"}");
    }
    for (int i = 0; i < 100 && played.readers > 1; i++) {
        CHECK_INT(fiber_sleep(5), 0);
    }
    CHECK_INT(played.readers, 1);
    played_event(SAYS);
    expect(&w, "{\"type\":\"agui\",\"threadId\":\"thread\",\"runId\":\"t1\",\"seq\":1,\"event\":"
               "" SAYS "}");
    played_ws_send(&w, "{\"type\":\"ping\"}");
    expect(&w, "{\"type\":\"pong\"}"); /* and not the event once more */
    wire_done(&w);
    played_stop();
}

TEST_FIBER(bad_frames_are_refused_and_the_socket_lives) {
    static const struct {
        const char *frame, *code;
    } cases[] = {
        {"", "invalid"},
        {"{", "invalid"},
        {"[]", "invalid"},
        {"7", "invalid"},
        {"{}", "invalid"},
        {"{\"type\":7}", "invalid"},
        {"{\"type\":\"dance\"}", "invalid"},
        {"{\"type\":\"chat\"}", "invalid"},
        {"{\"type\":\"chat\",\"message\":\"x\",\"ref\":5}", "invalid"},
        {"{\"type\":\"chat\",\"message\":\"x\",\"threadId\":\"a b\"}", "invalid"},
        {"{\"type\":\"cancel\"}", "invalid"},
        {"{\"type\":\"cancel\",\"runId\":\"other\"}", "not_found"},
        {"{\"type\":\"subscribe\"}", "invalid"},
        {"{\"type\":\"subscribe\",\"runId\":\"other\"}", "not_found"},
        {"{\"type\":\"subscribe\",\"runId\":\"t1\",\"since\":-1}", "invalid"},
        {"{\"type\":\"subscribe\",\"runId\":\"t1\",\"since\":\"x\"}", "invalid"},
        {"{\"type\":\"unsubscribe\"}", "invalid"},
    };
    struct wire w;
    REQUIRE(played_start());
    REQUIRE(connect_ws(&w));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        played_ws_send(&w, cases[i].frame);
        expect_error(&w, "{\"type\":\"error\",\"problem\":{", cases[i].code);
    }
    err_set(&played.fails, ERR_BUSY, "too many open turns");
    played_ws_send(&w, "{\"type\":\"chat\",\"ref\":\"r\",\"message\":\"x\"}");
    expect_error(&w, "{\"type\":\"error\",\"ref\":\"r\",\"problem\":{", "busy");
    played_ws_send(&w, "{\"type\":\"ping\"}");
    expect(&w, "{\"type\":\"pong\"}");
    wire_done(&w);
    played_stop();
}

TEST_FIBER(a_subscription_that_breaks_says_so) {
    struct wire w;
    REQUIRE(played_start());
    REQUIRE(connect_ws(&w));
    played.live = true;
    played_ws_send(&w, "{\"type\":\"chat\",\"message\":\"hi\"}");
    CHECK(str_starts(played_ws_frame(&w), STR("{\"type\":\"accepted\"")));
    err_set(&played.fails, ERR_UNAVAILABLE, "the database is away");
    played_event(SAYS);
    expect_error(&w, "{\"type\":\"error\",\"runId\":\"t1\",\"problem\":{", "unavailable");
    wire_done(&w);
    played_stop();
}

TEST_FIBER(subscriptions_have_a_maximum) {
    struct wire w;
    REQUIRE(played_start());
    REQUIRE(connect_ws(&w));
    played.live = true;
    for (int i = 0; i < 33; i++) {
        char frame[128];
        snprintf(frame, sizeof frame, "{\"type\":\"chat\",\"runId\":\"r%d\",\"message\":\"x\"}", i);
        played_ws_send(&w, frame);
        if (i < 32) {
            CHECK(str_starts(played_ws_frame(&w), STR("{\"type\":\"accepted\"")));
        } else {
            expect_error(&w, "{\"type\":\"error\"", "busy");
        }
    }
    CHECK_INT(played.submitted, 32);
    wire_done(&w);
    played_stop();
}

TEST_FIBER(a_revoked_key_ends_the_socket) {
    struct wire w;
    REQUIRE(played_start());
    REQUIRE(connect_ws(&w));
    played.keys_revoked = true;
    played_ws_send(&w, "{\"type\":\"ping\"}");
    REQUIRE(wire_await(&w, 4));
    CHECK_INT((unsigned char)w.in.p[0], 0x88); /* close, 1008 */
    CHECK_INT((unsigned char)w.in.p[2] << 8 | (unsigned char)w.in.p[3], 1008);
    wire_done(&w);
    played_stop();
}

TEST_FIBER(an_idle_socket_goes_when_its_user_is_looked_at) {
    struct wire w;
    REQUIRE(played_start());
    REQUIRE(connect_ws(&w));
    ws_watch_look(&played.gateway, STR_EMPTY);
    played_ws_send(&w, "{\"type\":\"ping\"}"); /* the key is good: nothing happened */
    CHECK_STR(played_ws_frame(&w), "{\"type\":\"pong\"}");
    played.keys_revoked = true;
    ws_watch_look(&played.gateway, STR("somebody else"));
    CHECK_INT(played.gateway.n_ws_sessions, 1);
    ws_watch_look(&played.gateway, STR("me"));
    REQUIRE(wire_await(&w, 4));
    CHECK_INT((unsigned char)w.in.p[0], 0x88); /* close, 1008 */
    CHECK_INT((unsigned char)w.in.p[2] << 8 | (unsigned char)w.in.p[3], 1008);
    wire_done(&w);
    played_stop();
    CHECK_INT(played.gateway.n_ws_sessions, 0);
}

/* What happened is told once it is known again who listens. */
TEST_FIBER(a_socket_in_doubt_is_told_nothing_until_it_was_looked_at_again) {
    struct wire w;
    REQUIRE(played_start());
    REQUIRE(connect_ws(&w));
    played_ws_send(&w, "{\"type\":\"watch\"}");
    CHECK_STR(played_ws_frame(&w), "{\"type\":\"ok\"}");
    for (int revoked = 0; revoked < 2; revoked++) {
        played.recheck_fails = true;
        ws_watch_look(&played.gateway, STR("me"));
        feed_settings(played.gateway.feed, STR("me"), FEED_KEYS);
        played_ws_send(&w, "{\"type\":\"ping\"}");
        CHECK_INT(fiber_sleep(2 * FEED_COALESCE_MS), 0);
        CHECK_STR(played_ws_frame(&w), "{\"type\":\"pong\"}");
        CHECK_INT(played.gateway.n_ws_held, 1);
        played.recheck_fails = false;
        played.keys_revoked = revoked;
        if (!revoked) {
            expect(&w, "{\"type\":\"changed\",\"what\":\"settings\",\"name\":\"keys\"}");
        }
    }
    REQUIRE(wire_await(&w, 4));
    CHECK_INT((unsigned char)w.in.p[0], 0x88); /* close, 1008 */
    wire_done(&w);
    played_stop();
}

TEST_FIBER(a_flood_of_frames_is_bounded) {
    struct wire w;
    unsigned accepted = 0, busy = 0;
    REQUIRE(played_start());
    REQUIRE(connect_ws(&w));
    struct strbuf all cleanup(strbuf_done) = STRBUF(1 << 20);
    for (int i = 0; i < 400; i++) {
        strbuf_add(&all, (struct str){"\x81\x8f\0\0\0\0{\"type\":\"ping\"}", 21});
    }
    wire_send(&w, strbuf_str(&all));
    for (int i = 0; i < 400; i++) {
        struct str frame = played_ws_frame(&w);
        accepted += str_find(frame, STR("pong")) != SIZE_MAX;
        busy += str_find(frame, STR("\"code\":\"busy\"")) != SIZE_MAX;
    }
    CHECK_INT(accepted + busy, 400);
    CHECK(accepted >= 64);
    wire_done(&w);
    played_stop();
}

TEST_FIBER(what_a_socket_began_ends_with_it) {
    struct wire w;
    REQUIRE(played_start());
    REQUIRE(connect_ws(&w));
    played.live = true;
    played_ws_send(&w, "{\"type\":\"subscribe\",\"runId\":\"t1\"}");
    expect(&w, "{\"type\":\"ok\"}");
    CHECK_INT(played.readers, 1);
    wire_done(&w);
    for (int i = 0; i < 200 && played.readers > 0; i++) {
        CHECK_INT(fiber_sleep(10), 0);
    }
    CHECK_INT(played.readers, 0);
    played_stop();
}

TEST_FIBER(a_stopping_server_ends_sockets_in_mid_turn) {
    struct wire w;
    REQUIRE(played_start());
    REQUIRE(connect_ws(&w));
    played.live = true;
    played_ws_send(&w, "{\"type\":\"subscribe\",\"runId\":\"t1\"}");
    expect(&w, "{\"type\":\"ok\"}");
    played_stop(); /* which looks for readers left behind */
    wire_done(&w);
}

TEST_FIBER(a_foreign_page_may_not_connect) {
    static const char request[] =
        "GET /ws HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\nCookie: "
        "adjutant_session=" PLAYED_COOKIE
        "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: "
        "13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    REQUIRE(played_start());
    struct wire_response r = played_ask(request);
    CHECK_INT(r.status, 403);
    wire_response_done(&r);
    r = played_ask("GET /ws HTTP/1.1\r\nHost: localhost\r\nX-API-Key: " PLAYED_USER_KEY "\r\n\r\n");
    CHECK(r.status == 400 || r.status == 426);
    wire_response_done(&r);
    played_stop();
}

/* Far more than a socket holds unsent: the subscription waits for its reader. */
TEST_FIBER(a_long_replay_does_not_overrun_the_socket) {
    static char large[20 * 1024];
    struct wire w;
    size_t n = (size_t)snprintf(large, sizeof large, "{\"type\":\"CUSTOM\",\"value\":\"");
    memset(large + n, 'x', sizeof large - n - 3);
    memcpy(large + sizeof large - 3, "\"}", 3);
    REQUIRE(played_start());
    REQUIRE(connect_ws(&w));
    for (int i = 0; i < 400; i++) {
        played_event(large);
    }
    played_ws_send(&w, "{\"type\":\"subscribe\",\"runId\":\"t1\"}");
    expect(&w, "{\"type\":\"ok\"}");
    CHECK_INT(fiber_sleep(200), 0); /* nothing is read meanwhile */
    for (int i = 0; i < 400; i++) {
        CHECK(played_ws_frame(&w).n > 20 * 1024);
    }
    expect(&w, "{\"type\":\"end\",\"runId\":\"t1\"}");
    wire_done(&w);
    played_stop();
}
