/* However a stream is cut, both readers say the same: the input is fed whole and in pieces. The
 * first byte chooses the pieces' size, the second the maximum. */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int write_event(const struct sse_event *e, void *arg, struct err *err) {
    struct strbuf *out = arg;
    (void)err;
    strbuf_add(out, e->type);
    strbuf_addc(out, '|');
    strbuf_add(out, e->data);
    strbuf_addc(out, '|');
    strbuf_add(out, e->id);
    strbuf_addf(out, "|%lld\n", (long long)e->retry_ms);
    return 0;
}

static int write_line(struct str line, void *arg, struct err *err) {
    struct strbuf *out = arg;
    (void)err;
    assert(line.n > 0);
    strbuf_add(out, line);
    strbuf_addc(out, '\n');
    return 0;
}

/* Pieces are copied, so that a sanitizer sees when a reader looks beyond or behind them. */
static int run_sse(struct str input, size_t piece_bytes, size_t max, struct strbuf *out) {
    struct sse_reader r;
    struct err err;
    int rc = 0;
    sse_reader_init(&r, max);
    for (; rc == 0 && input.n > 0; input = str_skip(input, piece_bytes)) {
        struct str piece = str_head(input, piece_bytes);
        char *copy = mem_dup(piece.p, piece.n);
        rc = sse_reader_feed(&r, (struct str){copy, piece.n}, write_event, out, &err);
        mem_free(copy);
    }
    sse_reader_done(&r);
    return rc;
}

static int run_lines(struct str input, size_t piece_bytes, size_t max, struct strbuf *out) {
    struct line_reader r;
    struct err err;
    int rc = 0;
    line_reader_init(&r, max);
    for (; rc == 0 && input.n > 0; input = str_skip(input, piece_bytes)) {
        struct str piece = str_head(input, piece_bytes);
        char *copy = mem_dup(piece.p, piece.n);
        rc = line_reader_feed(&r, (struct str){copy, piece.n}, write_line, out, &err);
        mem_free(copy);
    }
    if (rc == 0) {
        rc = line_reader_finish(&r, write_line, out, &err);
    }
    line_reader_done(&r);
    return rc;
}

static void compare(int (*run)(struct str, size_t, size_t, struct strbuf *), struct str input,
                    size_t piece_bytes, size_t max) {
    struct strbuf whole cleanup(strbuf_done) = STRBUF(64 << 20);
    struct strbuf cut cleanup(strbuf_done) = STRBUF(64 << 20);
    int rc = run(input, input.n, max, &whole);
    assert(run(input, piece_bytes, max, &cut) == rc);
    assert(str_eq(strbuf_str(&whole), strbuf_str(&cut)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 3) {
        return 0;
    }
    size_t piece_bytes = (size_t)data[0] % 32 + 1, max = data[1];
    struct str input = {(const char *)data + 2, size - 2};
    compare(run_sse, input, piece_bytes, max);
    compare(run_lines, input, piece_bytes, max);
    return 0;
}
