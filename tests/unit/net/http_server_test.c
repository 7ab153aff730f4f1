#include "net/http_server.h"

#include "base/clock.h"
#include "test.h"
#include "wire.h"

struct seen {
    int handled, done, cancelled;
    int last_status;
    uint64_t last_bytes;
    struct strbuf text; /* what the handler noted */
    struct http_server_options options;
    struct http_server *server;
};

static void answer(struct http_request *r, int status, struct str body) {
    struct http_response response = {.status = status, .content_type = "text/plain", .body = body};
    (void)http_respond(r, &response);
}

static void echo(struct http_request *r) {
    struct strbuf body cleanup(strbuf_done) = STRBUF(1 << 20);
    struct err err;
    if (http_read_body(r, 1000, &body, &err) < 0) {
        answer(r,
               err.code == ERR_LIMIT     ? 413
               : err.code == ERR_TIMEOUT ? 408
                                         : 400,
               str_z(err.msg));
        return;
    }
    answer(r, 200, strbuf_str(&body));
}

static void stream(struct http_request *r) {
    struct http_response response = {.status = 200, .content_type = "text/event-stream"};
    (void)http_stream_begin(r, &response);
    (void)http_stream_write(r, STR("one "));
    (void)fiber_sleep(5);
    (void)http_stream_write(r, STR("two"));
    (void)http_stream_end(r);
}

static void flood(struct http_request *r, struct seen *seen) {
    static char block[32 * 1024];
    struct http_response response = {.status = 200};
    memset(block, 'x', sizeof block);
    int rc = http_stream_begin(r, &response);
    for (int i = 0; i < 4096 && rc == 0; i++) {
        rc = http_stream_write(r, (struct str){block, sizeof block});
    }
    if (rc == 0) {
        rc = http_stream_end(r);
    }
    seen->cancelled += rc == -ERR_CANCELLED;
}

/* What the query and the cookies say of a, b, c. */
static void ask(struct http_request *r) {
    struct strbuf value cleanup(strbuf_done) = STRBUF(1000);
    struct strbuf out cleanup(strbuf_done) = STRBUF(1000);
    static const char *const names[] = {"a", "b", "c"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct str cookie = STR("-");
        bool there = http_query_param(r, names[i], &value);
        http_cookie(r, names[i], &cookie);
        strbuf_addf(&out, "%s=%s,%.*s;", names[i], there ? strbuf_z(&value) : "-", STR_ARG(cookie));
    }
    answer(r, 200, strbuf_str(&out));
}

static void handle(struct http_request *r, void *context) {
    struct seen *seen = context;
    struct str path = http_path(r);
    seen->handled++;
    http_set_user(r, seen);
    if (str_eq(path, STR("/echo"))) {
        echo(r);
    } else if (str_eq(path, STR("/stream"))) {
        stream(r);
    } else if (str_eq(path, STR("/half"))) {
        struct http_response response = {.status = 200};
        (void)http_stream_begin(r, &response);
        (void)http_stream_write(r, STR("never ended"));
    } else if (str_eq(path, STR("/flood"))) {
        flood(r, seen);
    } else if (str_eq(path, STR("/big"))) {
        struct strbuf big cleanup(strbuf_done) = STRBUF(16 << 20);
        memset(strbuf_room(&big, 8 << 20), 'b', 8 << 20);
        strbuf_claim(&big, 8 << 20);
        answer(r, 200, strbuf_str(&big));
    } else if (str_eq(path, STR("/wait"))) {
        seen->cancelled += fiber_sleep(20000) == -ERR_CANCELLED;
        answer(r, 200, STR("waited"));
    } else if (str_eq(path, STR("/slow"))) {
        (void)fiber_sleep(20);
        answer(r, 200, STR("slow"));
    } else if (str_eq(path, STR("/ask"))) {
        ask(r);
    } else if (str_eq(path, STR("/inject-stream"))) {
        struct http_field field = {"X A", STR("a")};
        CHECK(!http_responded(r));
        (void)http_stream_begin(
            r, &(struct http_response){.status = 200, .fields = &field, .n_fields = 1});
        CHECK(http_responded(r));
    } else if (str_eq(path, STR("/long-head"))) {
        static char long_value[40000];
        struct http_field field = {"X-A", {long_value, sizeof long_value}};
        memset(long_value, 'l', sizeof long_value);
        (void)http_respond(r,
                           &(struct http_response){.status = 200, .fields = &field, .n_fields = 1});
    } else if (str_eq(path, STR("/silent"))) {
        return;
    } else if (str_eq(path, STR("/inject"))) {
        struct http_field field = {"X-A", STR("a\r\nX-B: b")};
        (void)http_respond(r,
                           &(struct http_response){.status = 200, .fields = &field, .n_fields = 1});
    } else {
        struct str x = http_header(r, "x-test");
        strbuf_reset(&seen->text);
        strbuf_addf(&seen->text, "%.*s %.*s?%.*s x=%.*s peer=%.*s", STR_ARG(http_method(r)),
                    STR_ARG(path), STR_ARG(http_query(r)), (int)x.n, x.p ? x.p : "",
                    STR_ARG(http_peer(r)));
        answer(r, 200, strbuf_str(&seen->text));
    }
}

static void on_done(const struct http_request *r, int status, uint64_t bytes, int64_t us,
                    void *context) {
    struct seen *seen = context;
    CHECK(http_user(r) == seen);
    seen->done += us >= 0;
    seen->last_status = status;
    seen->last_bytes = bytes;
}

static void write_error(const struct http_request *request, int status, struct str detail,
                        struct strbuf *body, const char **type) {
    (void)request;
    strbuf_addf(body, "error %d: %.*s", status, STR_ARG(detail));
    *type = "text/plain";
}

static bool serve(struct seen *seen) {
    struct err err;
    seen->text = STRBUF(65536);
    seen->options.address = "127.0.0.1:0";
    seen->options.handler = handle;
    seen->options.on_done = on_done;
    seen->options.write_error = write_error;
    seen->options.context = seen;
    return CHECK_OK(http_server_start(&seen->options, &seen->server, &err), &err);
}

static void finish(struct seen *seen) {
    http_server_stop(seen->server, 1000);
    CHECK_INT(http_server_stats(seen->server).connections, 0);
    CHECK_INT(http_server_stats(seen->server).requests_running, 0);
    CHECK_INT(http_server_stats(seen->server).websockets, 0);
    http_server_free(seen->server);
    strbuf_done(&seen->text);
}

TEST_FIBER(requests_on_one_connection_are_answered_in_turn) {
    struct seen seen = {0};
    struct wire w;
    struct wire_response r;
    REQUIRE(serve(&seen));
    wire_open(&w, http_server_address(seen.server));
    wire_send(&w, STR("GET /a%20b/c?q=1%20 HTTP/1.1\r\nHost: x\r\nX-Test: v \r\n\r\n"));
    wire_read_response(&w, false, &r);
    CHECK_INT(r.status, 200);
    CHECK_STR(strbuf_str(&r.body), "GET /a b/c?q=1%20 x=v peer=127.0.0.1");
    CHECK_INT(wire_field(&r, "X-Request-Id").n, 36);
    CHECK_INT(wire_field(&r, "Date").n, 29);
    CHECK_STR(wire_field(&r, "Content-Type"), "text/plain");
    CHECK_STR(wire_field(&r, "Connection"), "");
    wire_response_done(&r);
    wire_send(&w, STR("HEAD /b HTTP/1.1\r\nHost: x\r\n\r\n"));
    wire_read_response(&w, true, &r);
    CHECK_STR(wire_field(&r, "Content-Length"), "26");
    CHECK_INT(w.in.n, 0);
    wire_response_done(&r);
    CHECK_INT(seen.done, 2);
    wire_done(&w);
    finish(&seen);
}

TEST_FIBER(query_parameters_and_cookies) {
    static const struct {
        const char *query, *cookies, *want;
    } cases[] = {
        {"a=1&b=&c=x%20y+z", "a=1; b=\"q\";c=", "a=1,1;b=,q;c=x y z,;"},
        {"c", "c; =x; b=1=2", "a=-,-;b=-,1=2;c=,;"},
        {"%61=%C3%A4&b=%ff&c=%00", "A=1; aa=2", "a=\xc3\xa4,-;b=-,-;c=-,-;"},
        {"a=%&b=%4&c=%zz&a=2", "a=1\r\nCookie: b=2", "a=-,1;b=-,2;c=-,-;"},
        {"&&=&%=1&a=1&a=2", "x", "a=1,-;b=-,-;c=-,-;"},
    };
    struct seen seen = {0};
    struct wire w;
    REQUIRE(serve(&seen));
    wire_open(&w, http_server_address(seen.server));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct strbuf request cleanup(strbuf_done) = STRBUF(1000);
        struct wire_response r;
        strbuf_addf(&request, "GET /ask?%s HTTP/1.1\r\nHost: x\r\nCookie: %s\r\n\r\n",
                    cases[i].query, cases[i].cookies);
        wire_send(&w, strbuf_str(&request));
        wire_read_response(&w, false, &r);
        CHECK_STR(strbuf_str(&r.body), cases[i].want);
        wire_response_done(&r);
    }
    wire_done(&w);
    finish(&seen);
}

TEST_FIBER(several_servers_may_share_one_address) {
    struct seen a = {.options.reuse_port = true}, b = {.options.reuse_port = true};
    char address[64];
    struct err err;
    REQUIRE(serve(&a));
    snprintf(address, sizeof address, "%s", http_server_address(a.server));
    b.options.address = address;
    b.options.handler = handle;
    if (CHECK_OK(http_server_start(&b.options, &b.server, &err), &err)) {
        CHECK_STR(str_z(http_server_address(b.server)), address);
        finish(&b);
    }
    finish(&a);
}

TEST_FIBER(pipelined_requests_are_answered_in_order) {
    struct seen seen = {0};
    struct wire w;
    struct wire_response r;
    REQUIRE(serve(&seen));
    wire_open(&w, http_server_address(seen.server));
    wire_send(&w, STR("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"
                      "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
                      "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                      "3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: t\r\n\r\n"
                      "\r\nGET /stream HTTP/1.1\r\nHost: x\r\n\r\n"
                      "GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
    const char *want[] = {"slow", "body", "abcde", "one two", "GET /last? x= peer=127.0.0.1"};
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        wire_read_response(&w, false, &r);
        CHECK_INT(r.status, 200);
        CHECK_STR(strbuf_str(&r.body), want[i]);
        wire_response_done(&r);
    }
    CHECK(wire_await_end(&w));
    wire_done(&w);
    finish(&seen);
}

TEST_FIBER(bytes_may_come_one_at_a_time) {
    struct seen seen = {0};
    struct wire w;
    struct str request = STR("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                             "3\r\nabc\r\n0\r\n\r\n");
    REQUIRE(serve(&seen));
    wire_open(&w, http_server_address(seen.server));
    for (size_t i = 0; i < request.n; i++) {
        wire_send(&w, (struct str){request.p + i, 1});
        fiber_sleep(0);
        fiber_yield();
    }
    CHECK(wire_await_mark(&w, STR("\r\n\r\nabc")));
    wire_done(&w);
    finish(&seen);
}

TEST_FIBER(large_bodies_arrive_whole_at_a_slow_reader) {
    struct seen seen = {0};
    struct wire w;
    struct wire_response r;
    seen.options.max_write_queue_bytes = 10000;
    REQUIRE(serve(&seen));
    wire_open(&w, http_server_address(seen.server));
    wire_send(&w, STR("GET /big HTTP/1.1\r\nHost: x\r\n\r\n"));
    fiber_sleep(50);
    wire_read_response(&w, false, &r);
    CHECK_INT(r.body.n, 8 << 20);
    CHECK_INT(r.body.p[r.body.n - 1], 'b');
    wire_response_done(&r);
    wire_done(&w);
    finish(&seen);
}

TEST_FIBER(handlers_that_misbehave_give_500_or_a_cut_stream) {
    struct seen seen = {0};
    struct wire w;
    struct wire_response r;
    REQUIRE(serve(&seen));
    wire_open(&w, http_server_address(seen.server));
    wire_send(&w, STR("GET /inject HTTP/1.1\r\nHost: x\r\n\r\n"));
    wire_read_response(&w, false, &r);
    CHECK_INT(r.status, 500);
    CHECK_STR(wire_field(&r, "X-B"), "");
    wire_response_done(&r);
    CHECK_INT(wire_status(&w, STR("GET /inject-stream HTTP/1.1\r\nHost: x\r\n\r\n")), 500);
    CHECK_INT(wire_status(&w, STR("GET /silent HTTP/1.1\r\nHost: x\r\n\r\n")), 500);
    wire_done(&w);
    wire_open(&w, http_server_address(seen.server));
    wire_send(&w, STR("GET /half HTTP/1.1\r\nHost: x\r\n\r\n"));
    wire_read_response(&w, false, &r);
    CHECK_STR(strbuf_str(&r.body), "never ended<cut>");
    wire_response_done(&r);
    wire_done(&w);
    wire_open(&w, http_server_address(seen.server));
    CHECK_INT(wire_status(&w, STR("GET /long-head HTTP/1.1\r\nHost: x\r\n\r\n")), 0);
    CHECK(w.ended);
    wire_done(&w);
    finish(&seen);
}

TEST_FIBER(a_peer_that_goes_away_cancels_the_handler) {
    struct seen seen = {0};
    struct wire w;
    REQUIRE(serve(&seen));
    wire_open(&w, http_server_address(seen.server));
    wire_send(&w, STR("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"));
    while (!seen.handled) {
        fiber_sleep(1);
    }
    wire_done(&w);
    for (int i = 0; i < 5000 && !seen.done; i++) {
        fiber_sleep(1);
    }
    CHECK_INT(seen.cancelled, 1);
    CHECK_INT(seen.done, 1);
    CHECK_INT(seen.last_status, 0);
    wire_open(&w, http_server_address(seen.server));
    wire_send(&w, STR("GET /flood HTTP/1.1\r\nHost: x\r\n\r\n"));
    CHECK(wire_await(&w, 100000));
    wire_done(&w);
    for (int i = 0; i < 5000 && seen.done < 2; i++) {
        fiber_sleep(1);
    }
    CHECK_INT(seen.cancelled, 2);
    finish(&seen);
}
