/* What the HTTP server does at its limits, at its deadlines, and at its end. */
#include <stdlib.h>

#include "net/http_server.h"
#include "test.h"
#include "wire.h"

struct seen {
    struct http_server_options options;
    struct http_server *server;
    size_t body_max;
    int handled, done, cancelled, last_status;
    enum err_code body_error;
    bool reading;
};

static void answer(struct http_request *r, int status, struct str body) {
    (void)http_respond(r, &(struct http_response){.status = status, .body = body});
}

static void read_and_echo(struct http_request *r, struct seen *seen) {
    struct strbuf body cleanup(strbuf_done) = STRBUF(1 << 20);
    struct err err;
    seen->reading = true;
    int rc = http_read_body(r, seen->body_max, &body, &err);
    seen->body_error = (enum err_code) - rc;
    answer(r,
           rc == 0                ? 200
           : rc == -ERR_LIMIT     ? 413
           : rc == -ERR_TIMEOUT   ? 408
           : rc == -ERR_BUSY      ? 429
           : rc == -ERR_CANCELLED ? 503
                                  : 400,
           strbuf_str(&body));
}

static void stream_for_ever(struct http_request *r, struct seen *seen) {
    static const char block[10000];
    int rc = http_stream_begin(r, &(struct http_response){.status = 200});
    while (rc == 0) {
        rc = http_stream_write(r, (struct str){block, sizeof block});
    }
    seen->cancelled += rc == -ERR_CANCELLED;
}

static void handle(struct http_request *r, void *context) {
    struct seen *seen = context;
    struct str path = http_path(r);
    seen->handled++;
    if (str_eq(path, STR("/read"))) {
        read_and_echo(r, seen);
    } else if (str_eq(path, STR("/flood"))) {
        stream_for_ever(r, seen);
    } else if (str_eq(path, STR("/wait"))) {
        seen->cancelled += fiber_sleep(30000) == -ERR_CANCELLED;
        answer(r, 200, STR("waited"));
    } else if (str_eq(path, STR("/slow"))) {
        (void)fiber_sleep(30);
        answer(r, 200, STR("slow"));
    } else if (str_eq(path, STR("/stream"))) {
        (void)http_stream_begin(r, &(struct http_response){.status = 200});
        (void)http_stream_write(r, STR("one "));
        (void)http_stream_write(r, STR("two"));
        (void)http_stream_end(r);
    } else if (str_eq(path, STR("/kilobyte"))) {
        static char kilobyte[1000];
        memset(kilobyte, 'k', sizeof kilobyte);
        answer(r, 200, (struct str){kilobyte, sizeof kilobyte});
    } else {
        answer(r, 200, STR("ok"));
    }
}

static void on_done(const struct http_request *r, int status, uint64_t bytes, int64_t us,
                    void *context) {
    struct seen *seen = context;
    (void)r, (void)bytes, (void)us;
    seen->done++;
    seen->last_status = status;
}

static bool serve(struct seen *seen) {
    struct err err;
    seen->options.address = "127.0.0.1:0";
    seen->options.handler = handle;
    seen->options.on_done = on_done;
    seen->options.context = seen;
    seen->body_max = seen->body_max ? seen->body_max : 100000;
    return CHECK_OK(http_server_start(&seen->options, &seen->server, &err), &err);
}

static void finish(struct seen *seen) {
    http_server_stop(seen->server, 1000);
    CHECK_INT(http_server_stats(seen->server).connections, 0);
    http_server_free(seen->server);
}

static void open_to(struct wire *w, const struct seen *seen) {
    wire_open(w, http_server_address(seen->server));
}

static void add_bytes(struct strbuf *out, size_t n) {
    char *room = strbuf_room(out, n);
    memset(room, 'z', n);
    strbuf_claim(out, n);
}

/* The status of the answer, after which the connection must end, but not by a reset: that could
 * destroy the answer on its way. */
static int refused_with(const struct seen *seen, struct str request) {
    struct wire w;
    open_to(&w, seen);
    int status = wire_status(&w, request);
    CHECK(wire_await_end(&w));
    CHECK(!w.reset);
    wire_done(&w);
    return status;
}

TEST_FIBER(each_limit_has_its_status) {
    struct seen seen = {
        .options = {.max_header_bytes = 2000, .max_fields = 3, .max_body_bytes = 1000}};
    struct strbuf in cleanup(strbuf_done) = STRBUF(1 << 20);
    REQUIRE(serve(&seen));
    CHECK_INT(refused_with(&seen, STR("BAD\r\n\r\n")), 400);
    CHECK_INT(seen.last_status, 400);
    strbuf_addz(&in, "GET /");
    add_bytes(&in, 100000); /* much more than is read before the refusal */
    CHECK_INT(refused_with(&seen, strbuf_str(&in)), 414);
    strbuf_reset(&in);
    strbuf_addz(&in, "GET / HTTP/1.1\r\nHost: x\r\nX: ");
    add_bytes(&in, 100000);
    CHECK_INT(refused_with(&seen, strbuf_str(&in)), 431);
    CHECK_INT(refused_with(&seen, STR("GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n")),
              431);
    strbuf_reset(&in);
    strbuf_addz(&in, "POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
    add_bytes(&in, 100000);
    CHECK_INT(refused_with(&seen, strbuf_str(&in)), 413);
    CHECK_INT(seen.handled, 0);
    CHECK_INT(seen.done, 5);
    CHECK_INT(http_server_stats(seen.server).refused_total, 5);
    finish(&seen);
}

TEST_FIBER(a_handler_may_take_less_of_a_body) {
    struct seen seen = {.body_max = 10};
    struct wire w;
    REQUIRE(serve(&seen));
    open_to(&w, &seen);
    CHECK_INT(wire_status(&w, STR("POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"
                                  "0123456789")),
              200);
    CHECK_INT(wire_status(&w, STR("POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n"
                                  "0123456789A")),
              413);
    CHECK_INT(wire_status(&w, STR("POST /read HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
                                  "\r\n6\r\n012345\r\n6\r\n678901\r\n0\r\n\r\n")),
              413);
    CHECK_INT(seen.body_error, ERR_LIMIT);
    CHECK_INT(wire_status(&w, STR("GET / HTTP/1.1\r\nHost: x\r\n\r\n")), 200);
    wire_done(&w);
    finish(&seen);
}

static void await_reading(struct seen *seen) {
    for (int i = 0; i < 5000 && !seen->reading; i++) {
        fiber_sleep(1);
    }
    CHECK(seen->reading);
    fiber_sleep(1);
    seen->reading = false;
}

TEST_FIBER(a_body_may_turn_out_too_large_while_it_is_read) {
    struct seen seen = {.body_max = 10};
    struct wire w;
    REQUIRE(serve(&seen));
    open_to(&w, &seen);
    wire_send(&w, STR("POST /read HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"));
    await_reading(&seen);
    wire_send(&w, STR("6\r\n012345\r\n"));
    fiber_sleep(2);
    CHECK_INT(wire_status(&w, STR("5\r\n67890\r\n")), 413);
    CHECK_INT(seen.body_error, ERR_LIMIT);
    /* The rest is drained, and the connection goes on. */
    CHECK_INT(wire_status(&w, STR("3\r\nabc\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")), 200);
    wire_send(&w, STR("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"));
    CHECK_INT(wire_status(&w, STR("1\r\n")), 200);
    wire_send(&w, STR("no chunk"));
    CHECK(wire_await_end(&w));
    wire_done(&w);
    finish(&seen);
}

/* Sends the fields of a large request and `n` bytes of its body. */
static void send_part_of_body(struct wire *w, struct seen *seen, size_t n) {
    static char part[150000];
    memset(part, 'x', sizeof part);
    open_to(w, seen);
    wire_send(w, STR("POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 150000\r\n\r\n"));
    await_reading(seen);
    wire_send(w, (struct str){part, n});
}

/* However many send large bodies slowly: what is held of them is bounded in all. */
TEST_FIBER(unfinished_bodies_share_a_maximum) {
    struct seen seen = {.body_max = 1 << 20, .options = {.max_incoming_bytes = 200000}};
    struct wire slow, other, small;
    struct wire_response got;
    REQUIRE(serve(&seen));
    send_part_of_body(&slow, &seen, 140000);
    fiber_sleep(50);
    send_part_of_body(&other, &seen, 140000);
    wire_read_response(&other, false, &got);
    CHECK_INT(got.status, 429);
    CHECK_INT(seen.body_error, ERR_BUSY);
    wire_response_done(&got);
    wire_done(&other);
    open_to(&small, &seen);
    CHECK_INT(wire_status(&small, STR("POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"
                                      "abc")),
              200);
    wire_done(&small);
    wire_done(&slow);
    fiber_sleep(50);
    seen.reading = false;
    send_part_of_body(&other, &seen, 150000);
    wire_read_response(&other, false, &got);
    CHECK_INT(got.status, 200);
    wire_response_done(&got);
    wire_done(&other);
    finish(&seen);
}

TEST_FIBER(a_peer_may_go_away_in_the_middle_of_its_body) {
    struct seen seen = {0};
    struct wire w;
    REQUIRE(serve(&seen));
    open_to(&w, &seen);
    wire_send(&w, STR("POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234"));
    await_reading(&seen);
    wire_done(&w);
    for (int i = 0; i < 5000 && seen.done == 0; i++) {
        fiber_sleep(1);
    }
    CHECK_INT(seen.body_error, ERR_CANCELLED);
    CHECK_INT(seen.last_status, 0);
    finish(&seen);
}

TEST_FIBER(a_malformed_chunk_fails_the_body_and_the_connection) {
    struct seen seen = {0};
    REQUIRE(serve(&seen));
    CHECK_INT(
        refused_with(&seen, STR("POST /read HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
                                "\r\nzz\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")),
        400);
    CHECK_INT(seen.body_error, ERR_PROTOCOL);
    CHECK_INT(seen.handled, 1);
    finish(&seen);
}

TEST_FIBER(a_body_nobody_reads_is_drained_when_it_is_small) {
    struct seen seen = {0};
    struct wire w;
    struct strbuf in cleanup(strbuf_done) = STRBUF(4 << 20);
    REQUIRE(serve(&seen));
    open_to(&w, &seen);
    strbuf_addz(&in, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n");
    add_bytes(&in, 200000);
    CHECK_INT(wire_status(&w, strbuf_str(&in)), 200);
    CHECK_INT(wire_status(&w, STR("GET / HTTP/1.1\r\nHost: x\r\n\r\n")), 200);
    wire_done(&w);
    strbuf_reset(&in);
    strbuf_addz(&in, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n");
    add_bytes(&in, 2000000);
    CHECK_INT(refused_with(&seen, strbuf_str(&in)), 200);
    finish(&seen);
}

TEST_FIBER(a_body_nobody_reads_yet_is_left_to_the_peer) {
    struct seen seen = {.options = {.max_body_bytes = 64 << 20}};
    struct wire w;
    struct strbuf in cleanup(strbuf_done) = STRBUF(64 << 20);
    REQUIRE(serve(&seen));
    open_to(&w, &seen);
    strbuf_addz(&in, "POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n");
    add_bytes(&in, 50000000);
    CHECK(wire_send_until_stuck(&w, strbuf_str(&in)) < 40000000); /* what sockets hold */
    CHECK_INT(seen.handled, 1);
    wire_done(&w);
    http_server_stop(seen.server, 10);
    CHECK_INT(seen.cancelled, 1);
    http_server_free(seen.server);
}

TEST_FIBER(expect_continue) {
    struct seen seen = {.body_max = 10};
    struct wire w;
    struct str head = STR("POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
                          "Expect: 100-continue\r\n\r\n");
    REQUIRE(serve(&seen));
    open_to(&w, &seen);
    CHECK_INT(wire_status(&w, head), 100);
    CHECK_INT(wire_status(&w, STR("12345")), 200);
    CHECK_INT(wire_status(&w, STR("POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
                                  "Expect: 100-continue\r\n\r\n12345")),
              200); /* the body came without being asked for */
    wire_done(&w);
    /* Refused before the body: the client must not send it, so the connection ends. */
    CHECK_INT(refused_with(&seen, STR("POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n"
                                      "Expect: 100-continue\r\n\r\n")),
              413);
    finish(&seen);
}

TEST_FIBER(slow_requests_are_cut) {
    struct seen seen = {
        .options = {.header_timeout_ms = 60, .keepalive_timeout_ms = 60, .body_timeout_ms = 60}};
    struct wire w;
    REQUIRE(serve(&seen));
    CHECK_INT(refused_with(&seen, STR("GET / HTTP/1.1\r\nHos")), 408);
    CHECK_INT(refused_with(&seen, STR("\r\n")), 0);
    CHECK_INT(refused_with(&seen, STR("")), 0);
    CHECK_INT(refused_with(&seen, STR("POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
                                      "123")),
              408);
    CHECK_INT(seen.body_error, ERR_TIMEOUT);
    /* A byte now and then does not help. */
    open_to(&w, &seen);
    for (int i = 0; i < 500 && !w.ended; i++) {
        wire_send(&w, i ? STR("a") : STR("GET /"));
        fiber_sleep(2);
        if (str_find(strbuf_str(&w.in), STR("408")) != SIZE_MAX) {
            break;
        }
        wire_await(&w, i < 60 ? 0 : 1);
    }
    CHECK_INT(wire_status(&w, STR("")), 408);
    wire_done(&w);
    finish(&seen);
}

TEST_FIBER(a_body_has_a_total_deadline_too) {
    struct seen seen = {.options = {.body_total_timeout_ms = 60}};
    struct wire w;
    REQUIRE(serve(&seen));
    open_to(&w, &seen);
    wire_send(&w, STR("POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n"));
    while (seen.done == 0) {
        wire_send(&w, STR("x"));
        fiber_sleep(2);
    }
    CHECK_INT(seen.last_status, 408);
    wire_done(&w);
    finish(&seen);
}

TEST_FIBER(a_peer_that_reads_nothing_is_cut) {
    struct seen seen = {.options = {.body_timeout_ms = 60, .max_write_queue_bytes = 20000}};
    struct wire w;
    REQUIRE(serve(&seen));
    open_to(&w, &seen);
    wire_send(&w, STR("GET /flood HTTP/1.1\r\nHost: x\r\n\r\n"));
    for (int i = 0; i < 5000 && seen.done == 0; i++) {
        fiber_sleep(1);
    }
    CHECK_INT(seen.done, 1);
    CHECK_INT(seen.cancelled, 1);
    wire_done(&w);
    finish(&seen);
}

TEST_FIBER(pipelined_requests_wait_within_bounds) {
    struct seen seen = {.options = {.max_write_queue_bytes = 10000}};
    struct wire w;
    struct strbuf in cleanup(strbuf_done) = STRBUF(4 << 20);
    enum { REQUESTS = 12000 };
    REQUIRE(serve(&seen));
    open_to(&w, &seen);
    strbuf_addz(&in, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int i = 1; i < REQUESTS; i++) {
        strbuf_addz(&in, "GET /kilobyte HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    wire_send(&w, strbuf_str(&in)); /* all of them before the first answer is read */
    for (int before = -1; before != seen.handled || seen.handled < 2;) {
        before = seen.handled;
        fiber_sleep(40);
    }
    CHECK(seen.handled < REQUESTS);
    for (int i = 0; i < REQUESTS; i++) {
        struct wire_response r;
        wire_read_response(&w, false, &r);
        if (!CHECK(r.status == 200 && r.body.n == (i ? 1000 : 4))) {
            i = REQUESTS;
        }
        wire_response_done(&r);
    }
    CHECK_INT(seen.handled, REQUESTS);
    wire_done(&w);
    finish(&seen);
}

TEST_FIBER(connections_above_the_maximum_are_told_503) {
    struct seen seen = {.options = {.max_connections = 2}};
    struct wire a, b;
    REQUIRE(serve(&seen));
    open_to(&a, &seen);
    open_to(&b, &seen);
    CHECK_INT(wire_status(&a, STR("GET / HTTP/1.1\r\nHost: x\r\n\r\n")), 200);
    CHECK_INT(wire_status(&b, STR("GET / HTTP/1.1\r\nHost: x\r\n\r\n")), 200);
    CHECK_INT(refused_with(&seen, STR("GET / HTTP/1.1\r\nHost: x\r\n\r\n")), 503);
    wire_done(&b);
    for (int i = 0; i < 5000 && http_server_stats(seen.server).connections > 1; i++) {
        fiber_sleep(1);
    }
    open_to(&b, &seen);
    CHECK_INT(wire_status(&b, STR("GET / HTTP/1.1\r\nHost: x\r\n\r\n")), 200);
    wire_done(&a);
    wire_done(&b);
    finish(&seen);
}

TEST_FIBER(http_1_0) {
    struct seen seen = {0};
    struct wire w;
    struct wire_response r;
    REQUIRE(serve(&seen));
    CHECK_INT(refused_with(&seen, STR("GET / HTTP/1.0\r\n\r\n")), 200);
    open_to(&w, &seen);
    wire_send(&w, STR("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    wire_read_response(&w, false, &r);
    CHECK_STR(wire_field(&r, "Connection"), "keep-alive");
    wire_response_done(&r);
    wire_send(&w, STR("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    wire_read_response(&w, false, &r);
    CHECK_STR(wire_field(&r, "Transfer-Encoding"), "");
    CHECK_STR(wire_field(&r, "Connection"), "close");
    CHECK_STR(strbuf_str(&r.body), "one two");
    CHECK(w.ended);
    wire_response_done(&r);
    wire_done(&w);
    finish(&seen);
}

TEST_FIBER(a_stream_asked_for_by_head_has_no_body) {
    struct seen seen = {0};
    struct wire w;
    struct wire_response r;
    REQUIRE(serve(&seen));
    open_to(&w, &seen);
    wire_send(&w, STR("HEAD /stream HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"));
    wire_read_response(&w, true, &r);
    CHECK_STR(wire_field(&r, "Transfer-Encoding"), "chunked");
    CHECK_STR(wire_field(&r, "Cache-Control"), "no-store");
    wire_response_done(&r);
    wire_read_response(&w, false, &r);
    CHECK_STR(strbuf_str(&r.body), "ok");
    wire_response_done(&r);
    wire_done(&w);
    finish(&seen);
}

TEST_FIBER(who_only_closed_its_side_still_gets_the_answer) {
    struct seen seen = {0};
    struct wire w;
    REQUIRE(serve(&seen));
    open_to(&w, &seen);
    wire_send(&w, STR("GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n"));
    wire_half_close(&w);
    CHECK_INT(wire_status(&w, STR("")), 200);
    CHECK_INT(wire_status(&w, STR("")), 200);
    CHECK(wire_await_end(&w));
    wire_done(&w);
    finish(&seen);
}

/* ---- the end ---- */

struct stop {
    struct seen *seen;
    int64_t grace_ms;
    bool done;
};

static void stop_server(void *arg) {
    struct stop *stop = arg;
    http_server_stop(stop->seen->server, stop->grace_ms);
    stop->done = true;
}

static void await_handled(struct seen *seen, int n) {
    for (int i = 0; i < 5000 && seen->handled < n; i++) {
        fiber_sleep(1);
    }
}

TEST_FIBER(stop_lets_running_requests_finish) {
    struct seen seen = {0};
    struct stop stop = {&seen, 5000, false};
    struct fiber_scope scope;
    struct wire idle, busy, late;
    struct wire_response r;
    struct err err;
    REQUIRE(serve(&seen));
    fiber_scope_init(&scope);
    open_to(&idle, &seen);
    CHECK_INT(wire_status(&idle, STR("GET / HTTP/1.1\r\nHost: x\r\n\r\n")), 200);
    open_to(&busy, &seen);
    wire_send(&busy, STR("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"));
    await_handled(&seen, 2);
    REQUIRE_OK(fiber_spawn(&scope, "stop", stop_server, &stop, NULL, &err), &err);
    CHECK(wire_await_end(&idle));
    open_to(&late, &seen);
    CHECK(late.ended);
    wire_read_response(&busy, false, &r);
    CHECK_STR(strbuf_str(&r.body), "slow");
    CHECK_STR(wire_field(&r, "Connection"), "close");
    wire_response_done(&r);
    fiber_scope_join(&scope);
    CHECK(stop.done);
    wire_done(&idle);
    wire_done(&busy);
    wire_done(&late);
    http_server_free(seen.server);
}

TEST_FIBER(stop_cuts_what_does_not_end_in_time) {
    struct seen seen = {0};
    struct wire w;
    REQUIRE(serve(&seen));
    open_to(&w, &seen);
    wire_send(&w, STR("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"));
    await_handled(&seen, 1);
    http_server_stop(seen.server, 20);
    CHECK_INT(seen.cancelled, 1);
    CHECK_INT(seen.done, 1);
    CHECK(wire_await_end(&w));
    wire_done(&w);
    http_server_free(seen.server);
}

/* ---- more requests than fibers ---- */

static void run_out_of_fibers(void *arg) {
    struct seen seen = {0};
    struct wire a, b;
    (void)arg;
    REQUIRE(serve(&seen));
    open_to(&a, &seen);
    wire_send(&a, STR("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"));
    await_handled(&seen, 1);
    open_to(&b, &seen);
    CHECK_INT(wire_status(&b, STR("GET / HTTP/1.1\r\nHost: x\r\n\r\n")), 503);
    CHECK_INT(seen.last_status, 503);
    wire_done(&a);
    wire_done(&b);
    finish(&seen);
}

TEST(requests_beyond_the_fibers_are_told_503) {
    uv_loop_t loop;
    struct fiber_scope scope;
    struct fiber_options options = {.max_fibers = 2};
    struct err err;
    uv_loop_init(&loop);
    fiber_runtime_start(&loop, &options);
    fiber_scope_init(&scope);
    if (CHECK_OK(fiber_spawn(&scope, "test", run_out_of_fibers, NULL, NULL, &err), &err)) {
        uv_run(&loop, UV_RUN_DEFAULT);
    }
    fiber_runtime_stop();
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&loop), 0);
}

TEST_FIBER(addresses_that_cannot_be_listened_on) {
    static const char *const bad[] = {
        "",        "127.0.0.1",    "127.0.0.1:",    "127.0.0.1:65536", "x:80", "127.0.0.1:-1",
        "[::1:80", "1.2.3.4.5:80", "[127.0.0.1]:80"};
    struct seen seen = {0};
    struct http_server *second = NULL;
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct http_server_options options = {.address = bad[i], .handler = handle};
        CHECK_FAILS(http_server_start(&options, &second, &err), &err, ERR_INVALID);
    }
    REQUIRE(serve(&seen));
    struct http_server_options options = {.address = http_server_address(seen.server),
                                          .handler = handle};
    CHECK_FAILS(http_server_start(&options, &second, &err), &err, ERR_CONFLICT);
    finish(&seen);
}
