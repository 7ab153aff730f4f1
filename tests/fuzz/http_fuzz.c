/* Requests on one connection mean the same however the bytes are cut, and what is taken keeps what
 * http_head.h promises. */
#include <assert.h>
#include <stdlib.h>

#include "net/http_chunked.h"
#include "net/http_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Copies into a block of exactly that size, so that the sanitizer sees every step beyond it. */
static char *piece_of(struct str bytes, size_t n) {
    char *copy = malloc(n);
    memcpy(copy, bytes.p, n);
    return copy;
}

static void check_head(const struct http_head *h) {
    assert(h->path.n > 0 && (h->path.p[0] == '/' || str_eq(h->path, STR("*"))));
    assert(str_is_utf8(h->path) && str_find_char(h->path, '\0') == SIZE_MAX);
    assert(str_find(h->path, STR("/../")) == SIZE_MAX && !str_ends(h->path, STR("/..")));
    assert(!(h->chunked && h->content_length));
    assert(h->minor_version == 0 || http_head_value(h, STR("host")).p);
    assert(h->n_fields <= h->limits.max_fields);
}

static void note_head(const struct http_head *h, struct strbuf *log) {
    strbuf_addf(log, "%.*s|%.*s|%.*s|%llu|%d%d%d%u\n", STR_ARG(h->method), STR_ARG(h->path),
                STR_ARG(h->query), (unsigned long long)h->content_length, h->chunked,
                h->expects_continue, h->keep_alive, h->n_fields);
}

/* The rest of the bytes behind one request; NULL at the end or at a refusal. */
static struct str one_request(struct str bytes, size_t step, struct strbuf *log) {
    static const struct http_head_limits limits = {.max_bytes = 600, .max_fields = 8};
    struct http_head h;
    int rc = 0;
    http_head_init(&h, &limits);
    while (rc == 0 && bytes.n > 0) {
        size_t used = 0, n = MIN(step, bytes.n);
        char *piece = piece_of(bytes, n);
        rc = http_head_feed(&h, piece, n, &used);
        free(piece);
        assert(rc < 0 || (used <= n && (rc == 1 || used == n)));
        bytes = str_skip(bytes, used);
    }
    bool chunked = h.chunked;
    size_t length = (size_t)MIN(h.content_length, bytes.n);
    if (rc == 1) {
        check_head(&h);
        note_head(&h, log);
    } else {
        /* Which of several faults is seen first may depend on the cuts. */
        strbuf_addz(log, rc < 0 ? "refused" : "not whole");
        bytes.n = 0;
    }
    http_head_done(&h);
    if (!chunked) {
        return str_skip(bytes, length);
    }
    struct http_chunked c = {0};
    while (bytes.n > 0 && c.state != CHUNKED_END && c.state != CHUNKED_BAD) {
        size_t used = 0, n = MIN(step, bytes.n);
        struct str body;
        char *piece = piece_of(bytes, n);
        http_chunked_feed(&c, piece, n, &used, &body);
        strbuf_add(log, body);
        free(piece);
        assert(used <= n && used > 0);
        bytes = str_skip(bytes, used);
    }
    strbuf_addf(log, "<%d>\n", c.state == CHUNKED_END);
    return c.state == CHUNKED_END ? bytes : STR_EMPTY;
}

static void all_requests(struct str bytes, size_t step, struct strbuf *log) {
    while (bytes.n > 0) {
        bytes = one_request(bytes, step, log);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) {
        return 0;
    }
    struct str bytes = {(const char *)data + 1, size - 1};
    struct strbuf whole cleanup(strbuf_done) = STRBUF(1 << 20);
    struct strbuf cut cleanup(strbuf_done) = STRBUF(1 << 20);
    all_requests(bytes, bytes.n, &whole);
    all_requests(bytes, data[0] % 32 + 1u, &cut);
    assert(str_eq(strbuf_str(&whole), strbuf_str(&cut)));
    return 0;
}
