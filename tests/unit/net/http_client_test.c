/* Requests that go well, and what must not be sent. */
#include <unistd.h>

#include "client_fixture.h"

/* ---- replies ---- */

static void answer_with_length(struct raw_connection *c) {
    struct str head, body;
    while (raw_read_request(c, &head, &body)) {
        raw_writez(c, "HTTP/1.1 103 Early Hints\r\nX-One: early\r\n\r\n"
                      "HTTP/1.1 418 Short And Stout\r\nContent-Length: 5\r\nX-One:  first \r\n"
                      "X-Two:\r\ncontent-type: text/plain\r\n\r\nhello");
    }
}

TEST_FIBER(client_reads_status_and_fields) {
    struct raw_server s;
    struct err err;
    struct http_reply *reply = NULL;
    struct str piece;
    begin(&s, answer_with_length);
    struct http_call call = {.url = s.url};
    REQUIRE_OK(http_call_open(&call, &reply, &err), &err);
    CHECK_INT(http_reply_status(reply), 418);
    CHECK_STR(http_reply_header(reply, "x-one"), "first");
    CHECK_STR(http_reply_header(reply, "Content-Type"), "text/plain");
    CHECK_STR(http_reply_header(reply, "X-Two"), "");
    CHECK(http_reply_header(reply, "X-Two").p != NULL);
    CHECK(http_reply_header(reply, "X-Three").p == NULL);
    CHECK_OK(http_reply_read(reply, &piece, &err), &err);
    CHECK_STR(piece, "hello");
    for (int i = 0; i < 3; i++) {
        CHECK_OK(http_reply_read(reply, &piece, &err), &err);
        CHECK_INT(piece.n, 0);
    }
    CHECK_STR(http_reply_header(reply, "X-One"), "first");
    http_reply_close(reply);
    http_reply_close(NULL);
    end(&s);
}

TEST_FIBER(client_reuses_a_connection) {
    struct raw_server s;
    struct got got cleanup(got_done) = {0};
    begin(&s, answer_with_length);
    for (int i = 0; i < 5; i++) {
        CHECK_OK(fetch_path(&s, "/", &got), &got.err);
        CHECK_STR(strbuf_str(&got.body), "hello");
    }
    CHECK_INT(s.accepted, 1);
    CHECK_INT(s.requests, 5);
    end(&s);
}

static void answer_chunked_in_pieces(struct raw_connection *c) {
    static const char reply[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                "5\r\nhello\r\n7;x=y\r\n, world\r\n0\r\nTrailer: 1\r\n\r\n";
    struct str head, body;
    while (raw_read_request(c, &head, &body)) {
        for (size_t i = 0; i + 1 < sizeof reply; i++) {
            raw_write(c, (struct str){reply + i, 1});
            fiber_yield();
        }
    }
}

TEST_FIBER(client_reads_chunked_bodies) {
    struct raw_server s;
    struct got got cleanup(got_done) = {0};
    begin(&s, answer_chunked_in_pieces);
    CHECK_OK(fetch_path(&s, "/", &got), &got.err);
    CHECK_INT(got.status, 200);
    CHECK_STR(strbuf_str(&got.body), "hello, world");
    CHECK_OK(fetch_path(&s, "/", &got), &got.err);
    CHECK_INT(s.accepted, 1);
    end(&s);
}

static void answer_until_close(struct raw_connection *c) {
    struct str head, body;
    if (raw_read_request(c, &head, &body)) {
        raw_writez(c, "HTTP/1.0 200 OK\r\n\r\nall ");
        raw_writez(c, "there is");
    }
}

TEST_FIBER(client_reads_bodies_that_end_with_the_connection) {
    struct raw_server s;
    struct got got cleanup(got_done) = {0};
    begin(&s, answer_until_close);
    CHECK_OK(fetch_path(&s, "/", &got), &got.err);
    CHECK_STR(strbuf_str(&got.body), "all there is");
    end(&s);
}

static void answer_in_step(struct raw_connection *c) {
    struct raw_server *s = raw_server_of(c);
    struct str head, body;
    if (raw_read_request(c, &head, &body)) {
        raw_writez(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (int i = 0; i < 3; i++) {
            CHECK_INT(fiber_wait(&s->changed, PATIENCE_MS), 0);
            raw_writez(c, "2\r\nab\r\n");
        }
        raw_writez(c, "0\r\n\r\n");
        raw_wait_hang_up(c);
    }
}

TEST_FIBER(client_hands_pieces_out_as_they_come) {
    struct raw_server s;
    struct err err;
    struct http_reply *reply = NULL;
    struct str piece;
    begin(&s, answer_in_step);
    REQUIRE_OK(http_call_open(&(struct http_call){.url = s.url}, &reply, &err), &err);
    for (int i = 0; i < 3; i++) {
        fiber_yield();
        while (list_empty(&s.changed.waiters)) {
            fiber_yield();
        }
        fiber_signal(&s.changed);
        CHECK_OK(http_reply_read(reply, &piece, &err), &err);
        CHECK_STR(piece, "ab");
    }
    CHECK_OK(http_reply_read(reply, &piece, &err), &err);
    CHECK_INT(piece.n, 0);
    http_reply_close(reply);
    end(&s);
}

static char large_byte(size_t i) {
    return (char)('a' + i % 23);
}

enum { LARGE_BYTES = 1 << 20 };

static size_t large_taken;

static void answer_large(struct raw_connection *c) {
    struct str head, body;
    if (raw_read_request(c, &head, &body)) {
        char piece[4096], fields[64];
        snprintf(fields, sizeof fields, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n",
                 LARGE_BYTES);
        raw_writez(c, fields);
        for (large_taken = 0; large_taken < LARGE_BYTES; large_taken += sizeof piece) {
            for (size_t i = 0; i < sizeof piece; i++) {
                piece[i] = large_byte(large_taken + i);
            }
            if (!raw_write(c, (struct str){piece, sizeof piece})) {
                return;
            }
        }
        raw_wait_hang_up(c);
    }
}

TEST_FIBER(client_makes_the_peer_wait_for_a_slow_reader) {
    enum { WINDOW = 10000 };
    struct raw_server s;
    struct err err;
    struct http_reply *reply = NULL;
    size_t total = 0, pieces = 0;
    bool same = true;
    begin(&s, answer_large);
    struct http_call call = {.url = s.url, .window_bytes = WINDOW};
    REQUIRE_OK(http_call_open(&call, &reply, &err), &err);
    for (struct str piece;; pieces++) {
        for (int i = 0; i < 20; i++) {
            fiber_yield();
        }
        if (!CHECK_OK(http_reply_read(reply, &piece, &err), &err) || piece.n == 0) {
            break;
        }
        CHECK(piece.n <= WINDOW + 8192);
        for (size_t i = 0; i < piece.n; i++) {
            same &= piece.p[i] == large_byte(total + i);
        }
        total += piece.n;
    }
    CHECK(same);
    CHECK_INT(total, LARGE_BYTES);
    CHECK(pieces > LARGE_BYTES / (WINDOW + 8192));
    http_reply_close(reply);
    end(&s);
}

static void answer_for_ever(struct raw_connection *c) {
    static char piece[4096];
    struct str head, body;
    if (raw_read_request(c, &head, &body)) {
        raw_writez(c, "HTTP/1.1 200 OK\r\n\r\n");
        while (raw_write(c, (struct str){piece, sizeof piece})) {
            large_taken += sizeof piece;
        }
    }
}

static void count_round(uv_check_t *check) {
    ++*(unsigned *)check->data;
}

/* What is read of a peer that floods must leave the loop's other work its turns. */
TEST_FIBER(client_lets_the_loop_go_round_while_a_peer_floods) {
    enum { PIECES = 400 }; /* beyond what the kernel holds */
    static uv_check_t check;
    struct raw_server s;
    struct err err;
    struct http_reply *reply = NULL;
    unsigned rounds = 0, in_row = 0, longest = 0;
    begin(&s, answer_for_ever);
    REQUIRE_OK(http_call_open(&(struct http_call){.url = s.url}, &reply, &err), &err);
    size_t before;
    do {
        before = large_taken;
        CHECK_INT(fiber_sleep(50), 0);
    } while (large_taken > before);
    uv_check_init(fiber_loop(), &check);
    check.data = &rounds;
    uv_check_start(&check, count_round);
    for (int i = 0; i < PIECES; i++) {
        struct str piece;
        unsigned round = rounds;
        CHECK_OK(http_reply_read(reply, &piece, &err), &err);
        in_row = rounds == round ? in_row + 1 : 0;
        longest = MAX(longest, in_row);
    }
    CHECK(longest < 20);
    uv_close((uv_handle_t *)&check, NULL);
    http_reply_close(reply);
    end(&s);
}

TEST_FIBER(client_stops_reading_when_nobody_reads) {
    struct raw_server s;
    struct err err;
    struct http_reply *reply = NULL;
    begin(&s, answer_for_ever);
    large_taken = 0;
    REQUIRE_OK(http_call_open(&(struct http_call){.url = s.url}, &reply, &err), &err);
    size_t before;
    do { /* until the kernel's buffers are full, too */
        before = large_taken;
        CHECK_INT(fiber_sleep(50), 0);
    } while (large_taken > before);
    CHECK(large_taken < 64 << 20);
    struct str piece;
    CHECK_OK(http_reply_read(reply, &piece, &err), &err);
    CHECK(piece.n <= 64 * 1024);
    http_reply_close(reply);
    wait_for_hang_ups(&s, s.hung_up); /* the reset shows as a failed write */
    end(&s);
}

TEST_FIBER(client_fetch_keeps_its_maximum) {
    struct raw_server s;
    struct err err;
    int status = -1;
    struct strbuf body cleanup(strbuf_done) = STRBUF(100);
    begin(&s, answer_with_length);
    struct http_call call = {.url = s.url};
    strbuf_addz(&body, "before ");
    CHECK_FAILS(http_fetch(&call, 4, &status, &body, &err), &err, ERR_LIMIT);
    CHECK_STR(strbuf_str(&body), "before ");
    CHECK_INT(status, -1);
    body.max = 11;
    CHECK_FAILS(http_fetch(&call, 100, &status, &body, &err), &err, ERR_LIMIT);
    body.max = 12;
    CHECK(!body.failed);
    CHECK_OK(http_fetch(&call, 5, &status, &body, &err), &err);
    CHECK_INT(status, 418);
    CHECK_STR(strbuf_str(&body), "before hello");
    end(&s);
}

/* ---- requests ---- */

/* Answers with the request it got. */
static void echo(struct raw_connection *c) {
    struct str head, body;
    while (raw_read_request(c, &head, &body)) {
        bool is_head = str_starts(head, STR("HEAD "));
        struct strbuf reply cleanup(strbuf_done) = STRBUF(MAX_BODY);
        strbuf_addf(&reply, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", head.n + body.n);
        strbuf_add(&reply, is_head ? STR_EMPTY : head);
        strbuf_add(&reply, is_head ? STR_EMPTY : body);
        raw_write(c, strbuf_str(&reply));
    }
}

static bool has(const struct got *got, const char *text) {
    return str_find(strbuf_str(&got->body), str_z(text)) != SIZE_MAX;
}

TEST_FIBER(client_sends_methods_fields_and_bodies) {
    struct raw_server s;
    struct got got cleanup(got_done) = {0};
    struct http_client_field fields[] = {
        {"X-Key", STR("se cret")}, {"X-Empty", STR("")}, {"Content-Type", STR("text/x")}};
    begin(&s, echo);
    struct http_call call = {
        .url = s.url, .fields = fields, .n_fields = ARRAY_LEN(fields), .body = STR("a body")};
    CHECK_OK(fetch(&call, &got), &got.err);
    CHECK(str_starts(strbuf_str(&got.body), STR("POST / HTTP/1.1\r\nHost: 127.0.0.1:")));
    CHECK(has(&got, "\r\nX-Key: se cret\r\n"));
    CHECK(has(&got, "\r\nX-Empty:\r\n"));
    CHECK(has(&got, "\r\nContent-Type: text/x\r\n"));
    CHECK(has(&got, "\r\nContent-Length: 6\r\n"));
    CHECK(has(&got, "\r\n\r\na body"));
    /* The same handle again: nothing of the request before may be left. */
    CHECK_OK(fetch(&(struct http_call){.url = s.url}, &got), &got.err);
    CHECK(str_starts(strbuf_str(&got.body), STR("GET / HTTP/1.1\r\n")));
    CHECK(!has(&got, "X-Key") && !has(&got, "Content-") && !has(&got, "Expect"));
    CHECK_OK(fetch(&(struct http_call){.url = s.url, .method = "DELETE"}, &got), &got.err);
    CHECK(str_starts(strbuf_str(&got.body), STR("DELETE / HTTP/1.1\r\n")));
    CHECK_OK(fetch(&(struct http_call){.url = s.url, .method = "PUT", .body = STR("x")}, &got),
             &got.err);
    CHECK(str_starts(strbuf_str(&got.body), STR("PUT / HTTP/1.1\r\n")));
    CHECK(!has(&got, "Content-Type") && has(&got, "\r\n\r\nx"));
    CHECK_OK(fetch(&(struct http_call){.url = s.url, .method = "POST"}, &got), &got.err);
    CHECK(has(&got, "POST / HTTP/1.1\r\n") && has(&got, "\r\nContent-Length: 0\r\n"));
    CHECK_OK(fetch(&(struct http_call){.url = s.url, .method = "HEAD"}, &got), &got.err);
    CHECK_INT(got.body.n, 0);
    CHECK_OK(fetch(&(struct http_call){.url = s.url}, &got), &got.err);
    CHECK(str_starts(strbuf_str(&got.body), STR("GET / HTTP/1.1\r\n")));
    CHECK_INT(s.accepted, 1);
    end(&s);
}

TEST_FIBER(client_sends_large_bodies) {
    struct raw_server s;
    struct got got cleanup(got_done) = {0};
    struct strbuf large cleanup(strbuf_done) = STRBUF(MAX_BODY);
    begin(&s, echo);
    for (size_t i = 0; i < 2 << 20; i++) {
        strbuf_addc(&large, large_byte(i));
    }
    for (int once = 0; once < 2; once++) {
        struct http_call call = {.url = s.url, .body = strbuf_str(&large), .once = once};
        CHECK_OK(fetch(&call, &got), &got.err);
        size_t at = str_find(strbuf_str(&got.body), STR("\r\n\r\n"));
        CHECK(str_eq(str_skip(strbuf_str(&got.body), at + 4), strbuf_str(&large)));
        CHECK(!has(&got, "Expect:"));
        CHECK(has(&got, "Content-Length: 2097152"));
    }
    end(&s);
}

TEST_FIBER(client_refuses_what_could_smuggle) {
    static const struct http_client_field bad[] = {
        {"X-A", STR("a\r\nX-B: b")},
        {"X-A", STR("a\nb")},
        {"X-A", STR("a\rb")},
        {"X-A", STR("a\0b")},
        {"X A", STR("a")},
        {"X-A:", STR("a")},
        {"", STR("a")},
        {"X\r\nY", STR("a")},
        {"Content-Length", STR("3")},
        {"connection", STR("close")},
        {"Transfer-Encoding", STR("chunked")},
        {NULL, STR("a")},
    };
    static const char *const urls[] = {
        "ftp://127.0.0.1/",      "file:///etc/passwd",       "127.0.0.1",
        "http://u:p@127.0.0.1/", "http://u@127.0.0.1/",      "http://127.0.0.1/ a",
        "http://127.0.0.1/\r\n", "http://127.0.0.1:99999/",  "http://",
        "https://[::1/",         "http://127.0.0.1\x7f.de/", "",
    };
    struct raw_server s;
    struct got got cleanup(got_done) = {0};
    begin(&s, echo);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct http_call call = {.url = s.url, .fields = &bad[i], .n_fields = 1};
        CHECK_FAILS(fetch(&call, &got), &got.err, ERR_INVALID);
        CHECK(str_find(str_z(got.err.msg), STR("X-B: b")) == SIZE_MAX);
    }
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        if (!CHECK_FAILS(fetch(&(struct http_call){.url = urls[i]}, &got), &got.err, ERR_INVALID)) {
            printf("  for %s\n", urls[i]);
        }
    }
    struct http_call call = {.url = s.url, .method = "GET / HTTP/1.1\r\nX: y"};
    CHECK_FAILS(fetch(&call, &got), &got.err, ERR_INVALID);
    CHECK_INT(s.accepted, 0);
    end(&s);
}

TEST_FIBER(client_speaks_over_unix_sockets) {
    struct raw_server s;
    struct err err;
    struct got got cleanup(got_done) = {0};
    char path[64];
    snprintf(path, sizeof path, "/tmp/http-client-test-%d.sock", (int)getpid());
    unlink(path);
    CHECK_OK(http_client_start(&err), &err);
    raw_server_start(&s, path, echo);
    struct http_call call = {.url = "http://some.name/x", .unix_socket = path};
    CHECK_OK(fetch(&call, &got), &got.err);
    CHECK(str_starts(strbuf_str(&got.body), STR("GET /x HTTP/1.1\r\nHost: some.name\r\n")));
    end(&s);
    unlink(path);
}

TEST_FIBER(client_uses_the_proxy_of_the_environment) {
    struct raw_server s;
    struct got got cleanup(got_done) = {0};
    begin(&s, echo);
    setenv("http_proxy", s.url, 1);
    setenv("NO_PROXY", "127.0.0.1", 1);
    CHECK_OK(fetch(&(struct http_call){.url = "http://somewhere.invalid/x"}, &got), &got.err);
    CHECK(str_starts(strbuf_str(&got.body),
                     STR("GET http://somewhere.invalid/x HTTP/1.1\r\nHost: somewhere.invalid")));
    CHECK_OK(fetch(&(struct http_call){.url = s.url}, &got), &got.err);
    CHECK(str_starts(strbuf_str(&got.body), STR("GET / HTTP/1.1\r\n")));
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    CHECK_FAILS(fetch(&(struct http_call){.url = "http://somewhere.invalid/x"}, &got), &got.err,
                ERR_UNAVAILABLE);
    CHECK_STR(str_z(got.err.msg),
              "somewhere.invalid:80 or the proxy before it refused the connection");
    unsetenv("http_proxy");
    end(&s);
}

/* ---- redirects ---- */

static void redirect(struct raw_connection *c) {
    struct str head, body;
    while (raw_read_request(c, &head, &body)) {
        struct str line = head, target = STR_EMPTY;
        struct strbuf reply cleanup(strbuf_done) = STRBUF(MAX_BODY);
        line = str_cut(&line, '\r');
        size_t at = str_find(line, STR("/to/")); /* "/307/to/TARGET" */
        if (str_find(line, STR("/up ")) != SIZE_MAX) {
            strbuf_addz(&reply, "HTTP/1.1 302 R\r\nLocation: ../x\r\nContent-Length: 0\r\n\r\n");
        } else if (at != SIZE_MAX) {
            target = str_skip(line, at + 4);
            target = str_head(target, target.n - strlen(" HTTP/1.1"));
            strbuf_addf(&reply, "HTTP/1.1 %.*s R\r\nLocation: %.*s\r\nContent-Length: 2\r\n\r\nno",
                        STR_ARG(str_head(str_skip(line, at - 3), 3)), STR_ARG(target));
        } else {
            strbuf_addf(&reply, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%.*s+%.*s",
                        line.n + 1 + body.n, STR_ARG(line), STR_ARG(body));
        }
        raw_write(c, strbuf_str(&reply));
    }
}

TEST_FIBER(client_follows_redirects_on_the_same_host) {
    struct raw_server s;
    struct got got cleanup(got_done) = {0};
    char path[128];
    begin(&s, redirect);
    CHECK_OK(fetch_path(&s, "/302/to//next?q=1", &got), &got.err);
    CHECK_STR(strbuf_str(&got.body), "GET /next?q=1 HTTP/1.1+");
    CHECK_INT(got.status, 200);
    snprintf(path, sizeof path, "/301/to/%s/whole", s.url);
    CHECK_OK(fetch_path(&s, path, &got), &got.err);
    CHECK_STR(strbuf_str(&got.body), "GET /whole HTTP/1.1+");
    CHECK_OK(fetch_path(&s, "/a/b/up", &got), &got.err);
    CHECK_STR(strbuf_str(&got.body), "GET /a/x HTTP/1.1+");
    CHECK_INT(s.accepted, 1);
    end(&s);
}

static const char *post_redirected(struct raw_server *s, const char *path, struct got *got) {
    char url[128];
    snprintf(url, sizeof url, "%s%s", s->url, path);
    struct http_call call = {.url = url, .body = STR("data"), .follow_redirects = true};
    CHECK_OK(fetch(&call, got), &got->err);
    return strbuf_z(&got->body);
}

TEST_FIBER(client_keeps_the_method_only_where_it_must) {
    struct raw_server s;
    struct got got cleanup(got_done) = {0};
    begin(&s, redirect);
    CHECK_STR(str_z(post_redirected(&s, "/303/to//n", &got)), "GET /n HTTP/1.1+");
    CHECK_STR(str_z(post_redirected(&s, "/302/to//n", &got)), "GET /n HTTP/1.1+");
    CHECK_STR(str_z(post_redirected(&s, "/307/to//n", &got)), "POST /n HTTP/1.1+data");
    CHECK_STR(str_z(post_redirected(&s, "/308/to//n", &got)), "POST /n HTTP/1.1+data");
    end(&s);
}

TEST_FIBER(client_refuses_redirects_elsewhere) {
    static const char *const targets[] = {
        "http://localhost/",     "http://127.0.0.1:1/",       "http://example.com/",
        "//example.com/",        "ftp://127.0.0.1/",          "file:///etc/passwd",
        "http://u:p@127.0.0.1/", "http://127.0.0.1@evil.de/", "http://[::1",
    };
    struct raw_server s;
    struct got got cleanup(got_done) = {0};
    begin(&s, redirect);
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        char path[128];
        snprintf(path, sizeof path, "/302/to/%s", targets[i]);
        if (!CHECK_FAILS(fetch_path(&s, path, &got), &got.err, ERR_PROTOCOL)) {
            printf("  for %s\n", targets[i]);
        }
    }
    char url[128];
    snprintf(url, sizeof url, "%s/302/to/http://example.com/", s.url);
    CHECK_OK(fetch(&(struct http_call){.url = url}, &got), &got.err);
    CHECK_INT(got.status, 302);
    CHECK_STR(strbuf_str(&got.body), "no");
    end(&s);
}

static void redirect_to_itself(struct raw_connection *c) {
    struct str head, body;
    while (raw_read_request(c, &head, &body)) {
        raw_writez(c, "HTTP/1.1 302 R\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n");
    }
}

TEST_FIBER(client_ends_circles_of_redirects) {
    struct raw_server s;
    struct got got cleanup(got_done) = {0};
    begin(&s, redirect_to_itself);
    CHECK_FAILS(fetch_path(&s, "/", &got), &got.err, ERR_PROTOCOL);
    CHECK_INT(s.requests, 6);
    end(&s);
}
