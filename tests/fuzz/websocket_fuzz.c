/* Frames mean the same however the bytes are cut, messages keep their limit and are UTF-8, and
 * offers of extensions are read without harm. */
#include <assert.h>
#include <stdlib.h>

#include "net/websocket_deflate.h"
#include "net/websocket_frame.h"

enum { MAX_MESSAGE_BYTES = 2000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool on_item(void *context, enum websocket_opcode opcode, struct str payload) {
    struct strbuf *log = context;
    assert(payload.n <= (opcode < WEBSOCKET_CLOSE ? MAX_MESSAGE_BYTES : 125));
    assert(opcode != WEBSOCKET_CONTINUATION);
    assert(opcode != WEBSOCKET_TEXT || str_is_utf8(payload));
    strbuf_addf(log, "%x %zu:", (unsigned)opcode, payload.n);
    strbuf_add(log, payload);
    return true;
}

/* The bits of the first byte choose what the reader takes. */
static void feed(struct str bytes, size_t step, uint8_t mode, struct strbuf *log) {
    const struct websocket_reader_sink sink = {on_item, log};
    struct websocket_reader r;
    unsigned code = 0;
    websocket_reader_init(&r, MAX_MESSAGE_BYTES);
    r.deflate = mode & 0x80;
    r.binary = mode & 0x40;
    r.from_server = mode & 0x20;
    while (bytes.n > 0 && code == 0) {
        size_t n = MIN(step, bytes.n);
        char *piece = malloc(n);
        memcpy(piece, bytes.p, n);
        code = websocket_reader_feed(&r, piece, n, &sink);
        free(piece);
        bytes = str_skip(bytes, n);
    }
    strbuf_addf(log, "%u", code);
    websocket_reader_done(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) {
        return 0;
    }
    struct str bytes = {(const char *)data + 1, size - 1};
    struct strbuf whole cleanup(strbuf_done) = STRBUF(1 << 22);
    struct strbuf cut cleanup(strbuf_done) = STRBUF(1 << 22);
    feed(bytes, bytes.n, data[0], &whole);
    feed(bytes, data[0] % 32 + 1u, data[0], &cut);
    assert(str_eq(strbuf_str(&whole), strbuf_str(&cut)));

    struct strbuf answer cleanup(strbuf_done) = STRBUF(1000);
    if (websocket_deflate_negotiate(bytes, &answer)) {
        assert(str_starts(strbuf_str(&answer), STR("permessage-deflate")));
    }
    return 0;
}
