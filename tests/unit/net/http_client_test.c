#include "net/http_client.h"

#include <stdlib.h>
#include <unistd.h>

#include "raw_server.h"
#include "test.h"

enum { MAX_BODY = 4 << 20, PATIENCE_MS = 20 * 1000 };

/* ---- helpers ---- */

static void begin(struct raw_server *s, void (*script)(struct raw_connection *c)) {
    struct err err;
    setenv("NO_PROXY", "*", 1);
    CHECK_OK(http_client_start(&err), &err);
    raw_server_start(s, NULL, script);
}

static void end(struct raw_server *s) {
    http_client_stop();
    raw_server_stop(s);
}

struct got {
    int status;
    struct strbuf body;
    struct err err;
};

static int fetch(const struct http_call *call, struct got *got) {
    strbuf_done(&got->body);
    *got = (struct got){.body = STRBUF(MAX_BODY)};
    return http_fetch(call, MAX_BODY, &got->status, &got->body, &got->err);
}

static int fetch_url(const struct raw_server *s, const char *path, struct got *got) {
    char url[128];
    snprintf(url, sizeof url, "%s%s", s->url, path);
    return fetch(&(struct http_call){.url = url}, got);
}

/* ---- plain requests ---- */

static void answer_with_length(struct raw_connection *c) {
    struct str head, body;
    while (raw_read_request(c, &head, &body)) {
        raw_writez(c, "HTTP/1.1 418 Short And Stout\r\nContent-Length: 5\r\nX-One:  first \r\n"
                      "X-Two:\r\ncontent-type: text/plain\r\n\r\nhello");
    }
}

TEST_FIBER(client_reads_status_and_fields) {
    struct raw_server s;
    begin(&s, answer_with_length);
    struct err err;
    struct http_reply *reply = NULL;
    struct http_call call = {.url = s.url};
    REQUIRE_OK(http_call_open(&call, &reply, &err), &err);
    CHECK_INT(http_reply_status(reply), 418);
    CHECK_STR(http_reply_header(reply, "x-one"), "first");
    CHECK_STR(http_reply_header(reply, "Content-Type"), "text/plain");
    CHECK_STR(http_reply_header(reply, "X-Two"), "");
    CHECK(http_reply_header(reply, "X-Two").p != NULL);
    CHECK(http_reply_header(reply, "X-Three").p == NULL);
    struct str piece;
    CHECK_OK(http_reply_read(reply, &piece, &err), &err);
    CHECK_STR(piece, "hello");
    CHECK_OK(http_reply_read(reply, &piece, &err), &err);
    CHECK_INT(piece.n, 0);
    CHECK_OK(http_reply_read(reply, &piece, &err), &err);
    CHECK_INT(piece.n, 0);
    http_reply_close(reply);
    end(&s);
}

TEST_FIBER(client_reuses_a_connection) {
    struct raw_server s;
    struct got got = {0};
    begin(&s, answer_with_length);
    for (int i = 0; i < 5; i++) {
        CHECK_OK(fetch_url(&s, "/", &got), &got.err);
        CHECK_STR(strbuf_str(&got.body), "hello");
    }
    CHECK_INT(s.accepted, 1);
    CHECK_INT(s.requests, 5);
    strbuf_done(&got.body);
    end(&s);
}

static void answer_chunked_in_pieces(struct raw_connection *c) {
    struct str head, body;
    while (raw_read_request(c, &head, &body)) {
        static const char reply[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                    "5\r\nhello\r\n7;x=y\r\n, world\r\n0\r\nTrailer: 1\r\n\r\n";
        for (size_t i = 0; i + 1 < sizeof reply; i++) {
            raw_write(c, (struct str){reply + i, 1});
            fiber_yield();
        }
    }
}

TEST_FIBER(client_reads_chunked_bodies) {
    struct raw_server s;
    struct got got = {0};
    begin(&s, answer_chunked_in_pieces);
    CHECK_OK(fetch_url(&s, "/", &got), &got.err);
    CHECK_INT(got.status, 200);
    CHECK_STR(strbuf_str(&got.body), "hello, world");
    CHECK_OK(fetch_url(&s, "/", &got), &got.err);
    CHECK_INT(s.accepted, 1);
    strbuf_done(&got.body);
    end(&s);
}

static void answer_slowly(struct raw_connection *c) {
    struct str head, body;
    if (raw_read_request(c, &head, &body)) {
        raw_writez(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
        raw_wait_hang_up(c);
    }
}

static void open_and_read(void *arg) {
    struct raw_server *s = arg;
    struct http_reply *reply = NULL;
    struct err err;
    struct str piece;
    struct http_call call = {.url = s->url};
    REQUIRE_OK(http_call_open(&call, &reply, &err), &err);
    CHECK_OK(http_reply_read(reply, &piece, &err), &err);
    CHECK_STR(piece, "hello");
    fiber_broadcast(&s->changed);
    CHECK_FAILS(http_reply_read(reply, &piece, &err), &err, ERR_CANCELLED);
    http_reply_close(reply);
}

static void wait_for_hang_ups(struct raw_server *s, unsigned n) {
    while (s->hung_up < n && fiber_wait(&s->changed, PATIENCE_MS) != -ERR_TIMEOUT) {
    }
    CHECK_INT(s->hung_up, n);
}

TEST_FIBER(client_closes_at_once_when_cancelled_in_mid_body) {
    struct raw_server s;
    struct fiber_scope scope;
    struct err err;
    begin(&s, answer_slowly);
    fiber_scope_init(&scope);
    REQUIRE_OK(fiber_spawn(&scope, "reader", open_and_read, &s, NULL, &err), &err);
    CHECK_INT(fiber_wait(&s.changed, PATIENCE_MS), 0);
    fiber_yield();
    fiber_scope_done(&scope);
    wait_for_hang_ups(&s, 1);
    end(&s);
}
