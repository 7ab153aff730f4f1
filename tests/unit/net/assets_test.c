#include "net/assets.h"

#include "test.h"
#include "wire.h"

static const struct asset items[] = {
    {"/app.js", "text/javascript", "abc", STR("identity"), STR("gzip!"), STR("br!"), false},
    {"/app-1f.js", "text/javascript", "def", STR("hashed"), {0}, {0}, true},
};
static const struct http_field policy = {"Content-Security-Policy", STR("default-src 'self'")};
static const struct assets assets = {items, ARRAY_LEN(items), &policy, 1};

static void handle(struct http_request *r, void *context) {
    const struct asset *asset = assets_find(&assets, http_path(r));
    (void)context;
    if (asset) {
        asset_respond(&assets, asset, r);
    } else {
        (void)http_respond(r, &(struct http_response){.status = 404});
    }
}

struct bench {
    struct http_server *server;
    struct wire wire;
};

static bool begin(struct bench *b) {
    struct http_server_options options = {.address = "127.0.0.1:0", .handler = handle};
    struct err err;
    if (!CHECK_OK(http_server_start(&options, &b->server, &err), &err)) {
        return false;
    }
    wire_open(&b->wire, http_server_address(b->server));
    return true;
}

static void end(struct bench *b) {
    wire_done(&b->wire);
    http_server_stop(b->server, 100);
    http_server_free(b->server);
}

static void ask(struct bench *b, const char *line, const char *fields, struct wire_response *ret) {
    struct strbuf request cleanup(strbuf_done) = STRBUF(4096);
    strbuf_addf(&request, "%s HTTP/1.1\r\nHost: x\r\n%s\r\n", line, fields);
    wire_send(&b->wire, strbuf_str(&request));
    wire_read_response(&b->wire, str_starts(str_z(line), STR("HEAD")), ret);
}

TEST_FIBER(the_encoding_is_negotiated) {
    static const struct {
        const char *accepts, *body, *coding, *tag;
    } cases[] = {
        {"", "identity", "", "\"abc\""},
        {"Accept-Encoding: gzip, deflate\r\n", "gzip!", "gzip", "\"abc-gz\""},
        {"Accept-Encoding: gzip, deflate, br\r\n", "br!", "br", "\"abc-br\""},
        {"Accept-Encoding: br;q=0, gzip;q=0.5\r\n", "gzip!", "gzip", "\"abc-gz\""},
        {"Accept-Encoding: br;q=0.4, gzip;q=0.5\r\n", "gzip!", "gzip", "\"abc-gz\""},
        {"Accept-Encoding: gzip;q=0.000\r\n", "identity", "", "\"abc\""},
        {"Accept-Encoding: gzip;q=0.5, identity\r\n", "identity", "", "\"abc\""},
        {"Accept-Encoding: *\r\n", "br!", "br", "\"abc-br\""},
        {"Accept-Encoding: *;q=0.1, br;q=0\r\n", "gzip!", "gzip", "\"abc-gz\""},
        {"Accept-Encoding: gzip;q=x\r\n", "identity", "", "\"abc\""},
        {"Accept-Encoding: gzipped\r\n", "identity", "", "\"abc\""},
        {"Accept-Encoding: GZIP\r\n", "gzip!", "gzip", "\"abc-gz\""},
    };
    struct bench b;
    REQUIRE(begin(&b));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct wire_response r;
        ask(&b, "GET /app.js", cases[i].accepts, &r);
        CHECK_INT(r.status, 200);
        CHECK_STR(strbuf_str(&r.body), cases[i].body);
        CHECK_STR(wire_field(&r, "Content-Encoding"), cases[i].coding);
        CHECK_STR(wire_field(&r, "ETag"), cases[i].tag);
        CHECK_STR(wire_field(&r, "Vary"), "Accept-Encoding");
        CHECK_STR(wire_field(&r, "Cache-Control"), "no-cache");
        CHECK_STR(wire_field(&r, "Content-Security-Policy"), "default-src 'self'");
        wire_response_done(&r);
    }
    end(&b);
}

TEST_FIBER(what_the_client_has_is_not_sent_again) {
    static const struct {
        const char *fields;
        int status;
    } cases[] = {
        {"If-None-Match: \"abc\"\r\n", 304},
        {"If-None-Match: W/\"abc\"\r\n", 304},
        {"If-None-Match: \"x\", \"abc\"\r\n", 304},
        {"If-None-Match: *\r\n", 304},
        {"If-None-Match: \"abc\"\r\nAccept-Encoding: gzip\r\n", 200},
        {"If-None-Match: \"abc-gz\"\r\nAccept-Encoding: gzip\r\n", 304},
        {"If-None-Match: abc\r\n", 200},
    };
    struct bench b;
    REQUIRE(begin(&b));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct wire_response r;
        ask(&b, "GET /app.js", cases[i].fields, &r);
        CHECK_INT(r.status, cases[i].status);
        CHECK(wire_field(&r, "ETag").n > 0);
        CHECK((r.body.n == 0) == (cases[i].status == 304));
        wire_response_done(&r);
    }
    end(&b);
}

TEST_FIBER(methods_and_caching) {
    struct bench b;
    struct wire_response r;
    REQUIRE(begin(&b));
    ask(&b, "HEAD /app-1f.js", "Accept-Encoding: gzip\r\n", &r);
    CHECK_INT(r.status, 200);
    CHECK_STR(wire_field(&r, "Content-Length"), "6");
    CHECK_STR(wire_field(&r, "Cache-Control"), "public, max-age=31536000, immutable");
    wire_response_done(&r);
    ask(&b, "DELETE /app.js", "", &r);
    CHECK_INT(r.status, 405);
    CHECK_STR(wire_field(&r, "Allow"), "GET, HEAD");
    wire_response_done(&r);
    ask(&b, "GET /app", "", &r);
    CHECK_INT(r.status, 404);
    wire_response_done(&r);
    end(&b);
}
