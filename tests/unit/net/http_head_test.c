#include "net/http_head.h"

#include <stdlib.h>

#include "net/http_chunked.h"
#include "test.h"

static const struct http_head_limits limits = {.max_bytes = 1000, .max_fields = 5};

/* Feeds the bytes in pieces of `step`; 1, 0 or the refusal. *ret_used: of all the bytes. */
static int feed(struct http_head *h, struct str bytes, size_t step, size_t *ret_used) {
    int rc = 0;
    *ret_used = 0;
    http_head_init(h, &limits);
    while (bytes.n > 0 && rc == 0) {
        size_t used = 0;
        struct str piece = str_head(bytes, step);
        char *copy = malloc(piece.n); /* exact size, for the sanitizer */
        memcpy(copy, piece.p, piece.n);
        rc = http_head_feed(h, copy, piece.n, &used);
        free(copy);
        *ret_used += used;
        bytes = str_skip(bytes, used);
    }
    return rc;
}

static void check_all_cuts(struct str bytes, int want) {
    for (size_t step = 1; step <= bytes.n; step++) {
        struct http_head h;
        size_t used;
        int rc = feed(&h, bytes, step, &used);
        if (!CHECK_INT(rc, want)) {
            printf("  with step %zu in: %.*s\n", step, STR_ARG(bytes));
        }
        CHECK(rc >= 0 || h.detail);
        http_head_done(&h);
    }
}

#define GET "GET / HTTP/1.1\r\nHost: x\r\n"
#define POST "POST / HTTP/1.1\r\nHost: x\r\n"

TEST(heads_that_are_taken) {
    static const struct str cases[] = {
        STR(GET "\r\n"),
        STR("\r\n\r\n" GET "\r\n"),
        STR("GET / HTTP/1.0\r\n\r\n"),
        STR("GET / HTTP/1.1\r\nhost:x\r\nEmpty:\r\nTabs:\ta\tb\t\r\n\r\n"),
        STR("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"),
        STR("GET http://X:80/p HTTP/1.1\r\nHost: x:80\r\n\r\n"),
        STR("GET https://x HTTP/1.1\r\nHost: x\r\n\r\n"),
        STR("GET http://x?q HTTP/1.1\r\nHost: x\r\n\r\n"),
        STR("GET / HTTP/1.1\r\nHost:\r\n\r\n"),
        STR("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n"),
        STR(POST "Content-Length: 0005\r\n\r\n"),
        STR(POST "Transfer-Encoding: Chunked\r\n\r\n"),
        STR(POST "Content-Length: 1\r\nExpect: 100-Continue\r\n\r\n"),
        STR(GET "X-Latin: \xe4\r\n\r\n"),
        STR("GET /%E2%82%AC/..a/.../a.b HTTP/1.1\r\nHost: x\r\n\r\n"),
        STR("DELETE /?a=../..&b=%zz HTTP/1.1\r\nHost: x\r\n\r\n"),
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        check_all_cuts(cases[i], 1);
    }
}

/* What a front end and this server could read differently, or what no honest client sends. */
TEST(heads_that_are_refused) {
    static const struct {
        struct str bytes;
        int status;
    } cases[] = {
        /* line ends and white space */
        {STR("GET / HTTP/1.1\nHost: x\n\n"), 400},
        {STR("GET / HTTP/1.1\r\nHost: x\n\r\n"), 400},
        {STR(GET "\n"), 400},
        {STR(GET "\rX"), 400},
        {STR(GET "A: b\rC: d\r\n\r\n"), 400},
        {STR(GET "A: b\r\r\n\r\n"), 400},
        {STR("GET / HTTP/1.1\rHost: x\r\n\r\n"), 400},
        {STR("\n" GET "\r\n"), 400},
        {STR(GET "A: b\r\n c\r\n\r\n"), 400},
        {STR(GET "A: b\r\n\tc\r\n\r\n"), 400},
        {STR("GET / HTTP/1.1\r\n Host: x\r\n\r\n"), 400},
        {STR(POST "Content-Length : 5\r\n\r\n"), 400},
        {STR(POST "Content-Length\t: 5\r\n\r\n"), 400},
        {STR(GET "No-colon\r\n\r\n"), 400},
        {STR(GET ": no name\r\n\r\n"), 400},
        {STR(GET "Bad(name: x\r\n\r\n"), 400},
        {STR(GET "B\xc3\xa4h: x\r\n\r\n"), 400},
        {STR(GET "A: nul\0byte\r\n\r\n"), 400},
        {STR(GET "A: bell\a\r\n\r\n"), 400},
        {STR(GET "A: del\x7f\r\n\r\n"), 400},
        /* request line */
        {STR("GET /\r\n\r\n"), 400},
        {STR("GET / HTTP/2.0\r\n\r\n"), 505},
        {STR("GET / HTTP/0.9\r\n\r\n"), 505},
        {STR("GET / HTTP/1.2\r\nHost: x\r\n\r\n"), 400},
        {STR("GET / HTTP/1.1x\r\nHost: x\r\n\r\n"), 400},
        {STR("GET / HTTP/1.1 \r\nHost: x\r\n\r\n"), 400},
        {STR("GET / http/1.1\r\nHost: x\r\n\r\n"), 400},
        {STR("GET / RTSP/1.0\r\nHost: x\r\n\r\n"), 400},
        {STR("GET  / HTTP/1.1\r\nHost: x\r\n\r\n"), 400},
        {STR("GET /  HTTP/1.1\r\nHost: x\r\n\r\n"), 400},
        {STR("GET /a b HTTP/1.1\r\nHost: x\r\n\r\n"), 400},
        {STR(" GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 400},
        {STR("GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n"), 400},
        {STR("get / HTTP/1.1\r\nHost: x\r\n\r\n"), 400},
        {STR("NONSENSE / HTTP/1.1\r\nHost: x\r\n\r\n"), 400},
        {STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505},
        {STR("CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n"), 501},
        {STR("\x16\x03\x01\x02"), 400},
        /* Host */
        {STR("GET / HTTP/1.1\r\n\r\n"), 400},
        {STR(GET "Host: x\r\n\r\n"), 400},
        {STR(GET "hOST: y\r\n\r\n"), 400},
        {STR("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), 400},
        {STR("GET / HTTP/1.1\r\nHost: u@x\r\n\r\n"), 400},
        {STR("GET / HTTP/1.1\r\nHost: x/y\r\n\r\n"), 400},
        {STR("GET / HTTP/1.1\r\nHost: x,y\r\n\r\n"), 400},
        {STR("GET http://y/ HTTP/1.1\r\nHost: x\r\n\r\n"), 400},
        {STR("GET http://x@y/ HTTP/1.1\r\nHost: x\r\n\r\n"), 400},
        /* framing */
        {STR(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"), 400},
        {STR(POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"), 400},
        {STR(POST "Content-Length: 5, 5\r\n\r\n"), 400},
        {STR(POST "Content-Length: +5\r\n\r\n"), 400},
        {STR(POST "Content-Length: -5\r\n\r\n"), 400},
        {STR(POST "Content-Length: 5 5\r\n\r\n"), 400},
        {STR(POST "Content-Length: 0x5\r\n\r\n"), 400},
        {STR(POST "Content-Length: \r\n\r\n"), 400},
        {STR(POST "Content-Length: 99999999999999999999\r\n\r\n"), 400},
        {STR(POST "Content-Length: 1000000000000000000\r\n\r\n"), 400},
        {STR(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"), 400},
        {STR(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"), 400},
        {STR(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), 400},
        {STR(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n"), 400},
        {STR(POST "Transfer-Encoding: gzip, chunked\r\n\r\n"), 501},
        {STR(POST "Transfer-Encoding: chunked, identity\r\n\r\n"), 400},
        {STR(POST "Transfer-Encoding: xchunked\r\n\r\n"), 501},
        {STR(POST "Transfer-Encoding: \x0b chunked\r\n\r\n"), 400},
        {STR(POST "Transfer-Encoding:\r\n\r\n"), 501},
        {STR("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400},
        {STR(POST "Expect: miracles\r\n\r\n"), 417},
        /* target */
        {STR("GET x HTTP/1.1\r\nHost: x\r\n\r\n"), 400},
        {STR("GET * HTTP/1.1\r\nHost: x\r\n\r\n"), 400},
        {STR("GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n"), 400},
        {STR("GET /a/../b HTTP/1.1\r\nHost: x\r\n\r\n"), 400},
        {STR("GET /.. HTTP/1.1\r\nHost: x\r\n\r\n"), 400},
        {STR("GET /./ HTTP/1.1\r\nHost: x\r\n\r\n"), 400},
        {STR("GET /a/%2e%2E HTTP/1.1\r\nHost: x\r\n\r\n"), 400},
        {STR("GET /a%2f..%2fb HTTP/1.1\r\nHost: x\r\n\r\n"), 400},
        {STR("GET http://x/../a HTTP/1.1\r\nHost: x\r\n\r\n"), 400},
        {STR("GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n"), 400},
        {STR("GET /%0d%0aX HTTP/1.1\r\nHost: x\r\n\r\n"), 400},
        {STR("GET /%7f HTTP/1.1\r\nHost: x\r\n\r\n"), 400},
        {STR("GET /%ff HTTP/1.1\r\nHost: x\r\n\r\n"), 400},
        {STR("GET /%c0%ae HTTP/1.1\r\nHost: x\r\n\r\n"), 400},
        {STR("GET /%4 HTTP/1.1\r\nHost: x\r\n\r\n"), 400},
        {STR("GET /% HTTP/1.1\r\nHost: x\r\n\r\n"), 400},
        {STR("GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n"), 400},
        {STR("GET /\xc3\xa4 HTTP/1.1\r\nHost: x\r\n\r\n"), 400},
        {STR("GET /#top HTTP/1.1\r\nHost: x\r\n\r\n"), 400},
        /* limits */
        {STR(GET "A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\n\r\n"), 431},
        {STR(GET "A: 1\r\nA: 2\r\nA: 3\r\nA: 4\r\nA: 5\r\n\r\n"), 431},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        check_all_cuts(cases[i].bytes, -cases[i].status);
    }
}

static void check_long(const char *before, size_t n, const char *after, int want) {
    struct strbuf in cleanup(strbuf_done) = STRBUF(65536);
    struct http_head h;
    size_t used;
    strbuf_addz(&in, before);
    memset(strbuf_room(&in, n), 'a', n);
    strbuf_claim(&in, n);
    strbuf_addz(&in, after);
    for (size_t step = 1; step <= in.n; step += 97) {
        CHECK_INT(feed(&h, strbuf_str(&in), step, &used), want);
        http_head_done(&h);
    }
}

TEST(the_size_of_a_head_is_limited_to_the_byte) {
    size_t fixed = sizeof(GET "X: \r\n\r\n") - 1;
    check_long(GET "X: ", 1000 - fixed, "\r\n\r\n", 1);
    check_long(GET "X: ", 1001 - fixed, "\r\n\r\n", -431);
    check_long(GET, 1000, "", -431);
    check_long("GET /", 990, " HTTP/1.1\r\nHost: x\r\n\r\n", -414);
    check_long("GET /", 2000, "", -414);
}

TEST(what_a_head_says) {
    struct http_head h;
    size_t used;
    struct str bytes = STR("PATCH http://x/a%2Fb%20c?q=%20&r HTTP/1.1\r\nHost: x\r\nList: 1\r\n"
                           "LIST:2 \r\nCookie: a=1\r\ncookie: b=2\r\n\r\nrest");
    for (size_t step = 1; step <= bytes.n; step++) {
        REQUIRE(CHECK_INT(feed(&h, bytes, step, &used), 1));
        CHECK_INT(used, bytes.n - 4);
        CHECK_STR(h.method, "PATCH");
        CHECK_STR(h.path, "/a/b c");
        CHECK_STR(h.query, "q=%20&r");
        CHECK_STR(http_head_value(&h, STR("list")), "1, 2");
        CHECK_STR(http_head_value(&h, STR("COOKIE")), "a=1; b=2");
        CHECK(!http_head_value(&h, STR("lis")).p);
        CHECK(h.keep_alive && h.minor_version == 1 && !h.chunked && h.content_length == 0);
        http_head_done(&h);
    }
}

TEST(many_fields) {
    static const struct http_head_limits many = {.max_bytes = 16384, .max_fields = 100};
    struct strbuf in cleanup(strbuf_done) = STRBUF(65536);
    struct http_head h;
    size_t used;
    strbuf_addz(&in, "GET / HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 99; i++) {
        strbuf_addf(&in, "Field-%d: %d\r\n", i, i);
    }
    strbuf_addz(&in, "\r\n");
    http_head_init(&h, &many);
    CHECK_INT(http_head_feed(&h, in.p, in.n, &used), 1);
    CHECK_STR(http_head_value(&h, STR("field-0")), "0");
    CHECK_STR(http_head_value(&h, STR("field-57")), "57");
    CHECK_STR(http_head_value(&h, STR("field-98")), "98");
    http_head_done(&h);
}

TEST(who_wants_the_connection_kept) {
    static const struct {
        struct str bytes;
        bool keep;
    } cases[] = {
        {STR(GET "\r\n"), true},
        {STR(GET "Connection: close\r\n\r\n"), false},
        {STR(GET "Connection: x, Close\r\n\r\n"), false},
        {STR(GET "Connection: x\r\nConnection: close\r\n\r\n"), false},
        {STR("GET / HTTP/1.0\r\n\r\n"), false},
        {STR("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_head h;
        size_t used;
        CHECK_INT(feed(&h, cases[i].bytes, 1000, &used), 1);
        CHECK_INT(h.keep_alive, cases[i].keep);
        http_head_done(&h);
    }
}

/* ---- chunks ---- */

static enum http_chunked_state decode(struct str bytes, size_t step, struct strbuf *out,
                                      size_t *ret_used) {
    struct http_chunked c = {0};
    *ret_used = 0;
    while (bytes.n > 0 && c.state != CHUNKED_END && c.state != CHUNKED_BAD) {
        struct str data;
        size_t used;
        http_chunked_feed(&c, bytes.p, MIN(step, bytes.n), &used, &data);
        strbuf_add(out, data);
        bytes = str_skip(bytes, used);
        *ret_used += used;
    }
    return c.state;
}

TEST(chunked_bodies) {
    static const struct {
        struct str bytes;
        const char *want; /* NULL: refused */
    } cases[] = {
        {STR("0\r\n\r\n"), ""},
        {STR("3\r\nabc\r\n0\r\n\r\n"), "abc"},
        {STR("000003\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n"), "abc0123456789"},
        {STR("3;a=b;c=\"d\"\r\nabc\r\n0;x\r\nTrailer: t\r\nOther: u\r\n\r\n"), "abc"},
        {STR("1\r\n\r\r\n0\r\n\r\n"), "\r"},
        {STR("3\nabc\r\n0\r\n\r\n"), NULL},
        {STR("3\r\nabc\n0\r\n\r\n"), NULL},
        {STR("3\r\nabcd\r\n0\r\n\r\n"), NULL},
        {STR("3\r\nab\r\n0\r\n\r\n"), NULL},
        {STR("3 \r\nabc\r\n0\r\n\r\n"), NULL},
        {STR(" 3\r\nabc\r\n0\r\n\r\n"), NULL},
        {STR("0x3\r\nabc\r\n0\r\n\r\n"), NULL},
        {STR("-3\r\nabc\r\n0\r\n\r\n"), NULL},
        {STR("\r\nabc\r\n0\r\n\r\n"), NULL},
        {STR(";x\r\nabc\r\n0\r\n\r\n"), NULL},
        {STR("g\r\n"), NULL},
        {STR("1000000000000000\r\n"), NULL},
        {STR("3\r\nabc\r\n0\r\n\rX"), NULL},
        {STR("3\r\nabc\r\n0\r\n\n"), NULL},
        {STR("3;a\nb\r\nabc\r\n0\r\n\r\n"), NULL},
        {STR("0\r\nA: b\r\n c\r\n\r\n"), NULL},
        {STR("0\r\nA: b\n\r\n"), NULL},
        {STR("0\r\n: b\r\n\r\n"), NULL},
        {STR("0\r\nA: \0\r\n\r\n"), NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (size_t step = 1; step <= cases[i].bytes.n; step++) {
            struct strbuf out cleanup(strbuf_done) = STRBUF(1000);
            size_t used;
            enum http_chunked_state state = decode(cases[i].bytes, step, &out, &used);
            if (!CHECK_INT(state, cases[i].want ? CHUNKED_END : CHUNKED_BAD)) {
                printf("  in: %.*s\n", STR_ARG(cases[i].bytes));
            }
            if (cases[i].want) {
                CHECK_STR(strbuf_str(&out), cases[i].want);
                CHECK_INT(used, cases[i].bytes.n);
            }
        }
    }
}

TEST(extensions_and_trailers_of_chunks_are_limited) {
    static const char *const before[] = {"1;", "0\r\nA: "};
    for (size_t i = 0; i < ARRAY_LEN(before); i++) {
        struct strbuf in cleanup(strbuf_done) = STRBUF(65536);
        struct strbuf out cleanup(strbuf_done) = STRBUF(1000);
        size_t used;
        strbuf_addz(&in, before[i]);
        memset(strbuf_room(&in, 9000), 'x', 9000);
        strbuf_claim(&in, 9000);
        CHECK_INT(decode(strbuf_str(&in), 100, &out, &used), CHUNKED_BAD);
    }
}
