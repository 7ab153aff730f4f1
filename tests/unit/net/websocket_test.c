#include "net/websocket.h"

#include <stdlib.h>

#include "net/websocket_frame.h"
#include "test.h"
#include "wire.h"

struct seen {
    struct websocket *ws;
    struct websocket_options accept;
    int handled, closed;
    unsigned code;
    int64_t delay_ms; /* before the handler accepts */
    struct err refused;
    struct strbuf text;
    struct http_server *server;
};

static void on_text(struct websocket *ws, struct str message, void *context) {
    struct seen *seen = context;
    struct str parts[] = {STR("echo "), message};
    CHECK(websocket_context(ws) == seen);
    strbuf_add(&seen->text, message);
    if (str_eq(message, STR("close me"))) {
        websocket_close(ws, 3001, STR("as you wish"));
        CHECK(!websocket_send(ws, parts, 2));
        return;
    }
    CHECK(websocket_send(ws, parts, 2));
}

static void on_binary(struct websocket *ws, struct str message, void *context) {
    (void)context;
    CHECK(websocket_send(ws, &message, 1));
}

static void on_close(struct websocket *ws, unsigned code, void *context) {
    struct seen *seen = context;
    CHECK(ws == seen->ws);
    seen->ws = NULL;
    seen->closed++;
    seen->code = code;
}

static void handle(struct http_request *r, void *context) {
    struct seen *seen = context;
    struct err err;
    seen->handled++;
    (void)fiber_sleep(seen->delay_ms);
    int rc = websocket_accept(r, &seen->accept, &seen->ws, &err);
    if (rc < 0) {
        int status = rc == -ERR_FORBIDDEN     ? 403
                     : rc == -ERR_PROTOCOL    ? 426
                     : rc == -ERR_UNAVAILABLE ? 503
                                              : 400;
        seen->refused = err;
        (void)http_respond(r, &(struct http_response){.status = status});
    }
}

static bool serve(struct seen *seen) {
    struct http_server_options options = {
        .address = "127.0.0.1:0", .handler = handle, .context = seen, .body_timeout_ms = 2000};
    struct err err;
    seen->text = STRBUF(1 << 20);
    seen->accept.callbacks.on_text = on_text;
    seen->accept.callbacks.on_close = on_close;
    seen->accept.context = seen;
    return CHECK_OK(http_server_start(&options, &seen->server, &err), &err);
}

static void finish(struct seen *seen) {
    http_server_stop(seen->server, 1000);
    CHECK_INT(http_server_stats(seen->server).websockets, 0);
    CHECK(!seen->ws);
    http_server_free(seen->server);
    strbuf_done(&seen->text);
}

#define HANDSHAKE                                                                                  \
    "GET /ws HTTP/1.1\r\nHost: me:80\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"

static bool shake(struct wire *w, struct seen *seen, const char *more) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(4096);
    struct wire_response r;
    strbuf_addf(&text, "%s%s\r\n", HANDSHAKE, more);
    wire_open(w, http_server_address(seen->server));
    wire_send(w, strbuf_str(&text));
    wire_read_response(w, true, &r);
    bool ok = CHECK_INT(r.status, 101);
    CHECK_STR(wire_field(&r, "Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    wire_response_done(&r);
    return ok;
}

static void send_frame(struct wire *w, unsigned first, struct str payload) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(1 << 20);
    char head[10];
    size_t n = websocket_frame_head(WEBSOCKET_TEXT, false, payload.n, head);
    head[0] = (char)first;
    head[1] = (char)(head[1] | 0x80);
    strbuf_add(&out, (struct str){head, n});
    strbuf_add(&out, STR("\0\0\0\0"));
    strbuf_add(&out, payload);
    wire_send(w, strbuf_str(&out));
}

/* The next short frame: "first:payload", with close codes in decimals. */
static void check_frame(struct wire *w, unsigned first, const char *want) {
    REQUIRE(wire_await(w, 2));
    size_t n = (unsigned char)w->in.p[1];
    CHECK_INT((unsigned char)w->in.p[0], first);
    REQUIRE(wire_await(w, 2 + n));
    CHECK_STR(((struct str){w->in.p + 2, n}), want);
    strbuf_consume(&w->in, 2 + n);
}

static void await_closed(struct seen *seen, int times) {
    for (int i = 0; i < 5000 && seen->closed < times; i++) {
        fiber_sleep(1);
    }
    CHECK_INT(seen->closed, times);
}

TEST_FIBER(messages_are_exchanged_and_closed_by_the_peer) {
    struct seen seen = {0};
    struct wire w;
    REQUIRE(serve(&seen));
    REQUIRE(shake(&w, &seen, ""));
    send_frame(&w, 0x81, STR("hello"));
    check_frame(&w, 0x81, "echo hello");
    send_frame(&w, 0x89, STR("are you there"));
    check_frame(&w, 0x8a, "are you there");
    send_frame(&w, 0x88, STR("\x03\xe9gone"));
    check_frame(&w, 0x88, "\x03\xe9");
    CHECK(wire_await_end(&w));
    wire_done(&w);
    await_closed(&seen, 1);
    CHECK_INT(seen.code, 1001);
    finish(&seen);
}

TEST_FIBER(frames_sent_with_the_handshake_are_not_lost) {
    struct seen seen = {0};
    struct wire w;
    REQUIRE(serve(&seen));
    wire_open(&w, http_server_address(seen.server));
    wire_send(&w, STR(HANDSHAKE "\r\n\x81\x85\0\0\0\0hello"));
    size_t at = wire_await_mark(&w, STR("\r\n\r\n"));
    strbuf_consume(&w.in, at);
    check_frame(&w, 0x81, "echo hello");
    wire_done(&w);
    await_closed(&seen, 1);
    CHECK_INT(seen.code, 1006);
    finish(&seen);
}

TEST_FIBER(failures_are_told_by_their_code) {
    static const struct {
        unsigned first;
        struct str payload;
        const char *want;
        unsigned code;
    } cases[] = {
        {0x83, STR(""), "\x03\xeaprotocol error", 1002},
        {0x82, STR("bin"), "\x03\xebonly text is taken", 1003},
        {0x81, STR("\xff"), "\x03\xefinvalid payload", 1007},
        {0x81, STR("123456789012345678901"), "\x03\xf1message too big", 1009},
        {0x88, STR("x"), "\x03\xeamalformed close frame", 1002},
        {0x88, STR("\x03\xed"), "\x03\xeainvalid close code", 1002},
        {0x88, STR("\x03\xe8\xff"), "\x03\xefinvalid UTF-8", 1007},
        {0x88, STR(""), "", 1005},
        {0x81, STR("close me"),
         "\x0b\xb9"
         "as you wish",
         3001},
    };
    struct seen seen = {.accept.max_message_bytes = 20};
    REQUIRE(serve(&seen));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct wire w;
        REQUIRE(shake(&w, &seen, ""));
        send_frame(&w, cases[i].first, cases[i].payload);
        check_frame(&w, 0x88, cases[i].want);
        send_frame(&w, 0x88, STR(""));
        CHECK(wire_await_end(&w));
        wire_done(&w);
        await_closed(&seen, (int)i + 1);
        CHECK_INT(seen.code, cases[i].code);
    }
    finish(&seen);
}

TEST_FIBER(handshakes_that_are_refused) {
    static const struct {
        const char *request;
        int status;
    } cases[] = {
        {"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", 400},
        {"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 8\r\n\r\n",
         426},
        {"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Key: c2hvcnQ=\r\nSec-WebSocket-Version: 13\r\n\r\n",
         400},
        {"POST /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
         400},
        {HANDSHAKE "Content-Length: 1\r\n\r\nx", 400},
        {HANDSHAKE "Origin: http://evil.example\r\n\r\n", 403},
        {HANDSHAKE "Origin: http://me:8080\r\n\r\n", 403},
        {HANDSHAKE "Origin: null\r\n\r\n", 403},
        {HANDSHAKE "Origin: http://me:80.evil.example\r\n\r\n", 403},
        {HANDSHAKE "Origin: me:80\r\n\r\n", 403},
    };
    struct seen seen = {0};
    REQUIRE(serve(&seen));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct wire w;
        wire_open(&w, http_server_address(seen.server));
        CHECK_INT(wire_status(&w, str_z(cases[i].request)), cases[i].status);
        wire_done(&w);
    }
    CHECK_INT(seen.closed, 0);
    finish(&seen);
}

TEST_FIBER(origins_that_are_allowed) {
    static const char *const friends[] = {"https://friend.example", NULL};
    static const char *const origins[] = {"Origin: http://ME:80\r\n", "Origin: https://me:80\r\n",
                                          "Origin: https://friend.example\r\n"};
    struct seen seen = {.accept.allowed_origins = friends};
    REQUIRE(serve(&seen));
    for (size_t i = 0; i < ARRAY_LEN(origins); i++) {
        struct wire w;
        REQUIRE(shake(&w, &seen, origins[i]));
        wire_done(&w);
        await_closed(&seen, (int)i + 1);
    }
    finish(&seen);
}

TEST_FIBER(binary_messages_and_subprotocols) {
    struct seen seen = {.accept = {.callbacks.on_binary = on_binary, .subprotocol = STR("chat.1")}};
    struct wire w;
    struct wire_response r;
    REQUIRE(serve(&seen));
    wire_open(&w, http_server_address(seen.server));
    wire_send(&w, STR(HANDSHAKE "Sec-WebSocket-Protocol: chat.1, other\r\n\r\n"));
    wire_read_response(&w, true, &r);
    CHECK_STR(wire_field(&r, "Sec-WebSocket-Protocol"), "chat.1");
    wire_response_done(&r);
    send_frame(&w, 0x82, STR("bytes"));
    check_frame(&w, 0x81, "bytes");
    wire_done(&w);
    await_closed(&seen, 1);
    finish(&seen);
}

TEST_FIBER(deflate_is_negotiated_and_used_both_ways) {
    struct seen seen = {.accept.deflate = true};
    struct wire w;
    struct strbuf big cleanup(strbuf_done) = STRBUF(1 << 20);
    REQUIRE(serve(&seen));
    REQUIRE(shake(&w, &seen, "Sec-WebSocket-Extensions: permessage-deflate\r\n"));
    send_frame(&w, 0xc1, STR("\xf2\x48\xcd\xc9\xc9\x07\x00"));
    check_frame(&w, 0x81, "echo Hello"); /* too short to be worth it */
    for (int i = 0; i < 1000; i++) {
        strbuf_addz(&big, "abc ");
    }
    send_frame(&w, 0x81, strbuf_str(&big));
    CHECK(wire_await(&w, 10));
    CHECK_INT((unsigned char)w.in.p[0], 0xc1);
    CHECK((unsigned char)w.in.p[1] < 126);
    wire_done(&w);
    await_closed(&seen, 1);
    finish(&seen);
}

TEST_FIBER(a_reader_that_is_too_slow_is_cut) {
    struct seen seen = {.accept.max_unsent_bytes = 100000};
    struct wire w;
    static char block[50000];
    struct str message = {block, sizeof block};
    memset(block, 'x', sizeof block);
    REQUIRE(serve(&seen));
    REQUIRE(shake(&w, &seen, ""));
    int sent = 0;
    while (sent < 10000 && websocket_send(seen.ws, &message, 1)) {
        sent++;
    }
    CHECK(sent > 1 && sent < 10000);
    CHECK(websocket_unsent(seen.ws) < 100000 + 2 * sizeof block);
    CHECK(!websocket_send(seen.ws, &message, 1));
    CHECK(wire_await_end(&w));
    CHECK(w.in.n > 100 && memmem(w.in.p + w.in.n - 30, 30, "\x03\xf5", 2));
    wire_done(&w);
    await_closed(&seen, 1);
    CHECK_INT(seen.code, 1013);
    finish(&seen);
}

TEST_FIBER(a_silent_peer_is_pinged_and_then_dropped) {
    struct seen seen = {.accept.ping_interval_ms = 20};
    struct wire w;
    REQUIRE(serve(&seen));
    REQUIRE(shake(&w, &seen, ""));
    check_frame(&w, 0x89, "");
    send_frame(&w, 0x8a, STR(""));
    check_frame(&w, 0x89, "");
    CHECK(wire_await_end(&w));
    wire_done(&w);
    await_closed(&seen, 1);
    CHECK_INT(seen.code, 1006);
    finish(&seen);
}

TEST_FIBER(sockets_are_told_that_the_server_stops) {
    struct seen seen = {0};
    struct wire w;
    REQUIRE(serve(&seen));
    REQUIRE(shake(&w, &seen, ""));
    http_server_stop(seen.server, 50); /* the peer does not answer */
    check_frame(&w, 0x88, "\x03\xe9the server stops");
    CHECK(wire_await_end(&w));
    CHECK_INT(seen.closed, 1);
    CHECK_INT(seen.code, 1001);
    wire_done(&w);
    http_server_free(seen.server);
    strbuf_done(&seen.text);
}

static void stop_server(void *arg) {
    struct seen *seen = arg;
    http_server_stop(seen->server, 5000);
}

TEST_FIBER(no_socket_is_accepted_while_the_server_stops) {
    struct seen seen = {.delay_ms = 20};
    struct fiber_scope scope;
    struct wire w;
    struct err err;
    REQUIRE(serve(&seen));
    fiber_scope_init(&scope);
    wire_open(&w, http_server_address(seen.server));
    wire_send(&w, STR(HANDSHAKE "\r\n"));
    for (int i = 0; i < 5000 && !seen.handled; i++) {
        fiber_sleep(1);
    }
    REQUIRE_OK(fiber_spawn(&scope, "stop", stop_server, &seen, NULL, &err), &err);
    CHECK_INT(wire_status(&w, STR("")), 503);
    fiber_scope_join(&scope);
    wire_done(&w);
    http_server_free(seen.server);
    strbuf_done(&seen.text);
}
