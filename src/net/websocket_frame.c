#include "net/websocket_frame.h"

#include "base/crypto.h"
#include "net/websocket_deflate.h"

enum { MAX_CONTROL_BYTES = 125, FIN = 0x80, RSV1 = 0x40, RSV23 = 0x30, MASKED = 0x80 };

void websocket_reader_init(struct websocket_reader *r, size_t max_message_bytes) {
    *r = (struct websocket_reader){.max_message_bytes = max_message_bytes,
                                   .message = STRBUF(max_message_bytes),
                                   .control = STRBUF(MAX_CONTROL_BYTES)};
}

void websocket_reader_done(struct websocket_reader *r) {
    strbuf_done(&r->message);
    strbuf_done(&r->control);
}

bool websocket_code_is_valid(unsigned code) {
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

size_t websocket_frame_head(enum websocket_opcode opcode, bool deflated, size_t n, char ret[10]) {
    unsigned char *h = (unsigned char *)ret;
    h[0] = (unsigned char)(FIN | (deflated ? RSV1 : 0) | opcode);
    if (n < 126) {
        h[1] = (unsigned char)n;
        return 2;
    }
    size_t bytes = n <= 0xffff ? 2 : 8;
    h[1] = bytes == 2 ? 126 : 127;
    for (size_t i = 0; i < bytes; i++) {
        h[2 + i] = (unsigned char)((uint64_t)n >> 8 * (bytes - 1 - i));
    }
    return 2 + bytes;
}

/* Masking and unmasking are the same. */
static void apply_mask(char *p, size_t n, const uint8_t mask[4], uint64_t offset) {
    uint8_t turned[8];
    uint64_t wide, word;
    size_t i = 0;
    for (size_t k = 0; k < sizeof turned; k++) {
        turned[k] = mask[(offset + k) & 3];
    }
    memcpy(&wide, turned, sizeof wide);
    for (; i + sizeof word <= n; i += sizeof word) {
        memcpy(&word, p + i, sizeof word);
        word ^= wide;
        memcpy(p + i, &word, sizeof word);
    }
    for (; i < n; i++) {
        p[i] = (char)(p[i] ^ turned[i & 7]);
    }
}

void websocket_frame_masked(struct strbuf *out, enum websocket_opcode opcode, struct str payload) {
    char head[10];
    uint8_t mask[4];
    size_t n = websocket_frame_head(opcode, false, payload.n, head);
    head[1] = (char)((unsigned char)head[1] | MASKED);
    crypto_random(mask, sizeof mask);
    strbuf_add(out, (struct str){head, n});
    strbuf_add(out, (struct str){(const char *)mask, sizeof mask});
    strbuf_add(out, payload);
    if (!out->failed) {
        apply_mask(out->p + out->n - payload.n, payload.n, mask, 0);
    }
}

/* ---- reading ---- */

static enum websocket_opcode frame_opcode(const struct websocket_reader *r) {
    return (enum websocket_opcode)(r->head[0] & 0x0f);
}

static bool is_control(enum websocket_opcode opcode) {
    return opcode >= WEBSOCKET_CLOSE;
}

static size_t head_size(const struct websocket_reader *r) {
    if (r->head_n < 2) {
        return 2;
    }
    unsigned length = r->head[1] & 0x7f;
    return 2 + (length == 126 ? 2u : length == 127 ? 8u : 0u) + (r->from_server ? 0u : 4u);
}

static const uint8_t *mask_of(const struct websocket_reader *r) {
    return r->head + head_size(r) - 4;
}

/* What the first two bytes alone must satisfy. */
static unsigned check_first_bytes(const struct websocket_reader *r) {
    enum websocket_opcode opcode = frame_opcode(r);
    bool fin = r->head[0] & FIN, deflated = r->head[0] & RSV1;
    bool masked = r->head[1] & MASKED;
    if ((r->head[0] & RSV23) || masked == r->from_server || (deflated && !r->deflate)) {
        return WEBSOCKET_PROTOCOL_ERROR;
    }
    switch (opcode) {
    case WEBSOCKET_CLOSE:
    case WEBSOCKET_PING:
    case WEBSOCKET_PONG:
        return fin && !deflated && (r->head[1] & 0x7f) <= MAX_CONTROL_BYTES
                   ? 0
                   : WEBSOCKET_PROTOCOL_ERROR;
    case WEBSOCKET_CONTINUATION:
        return r->message_opcode && !deflated ? 0 : WEBSOCKET_PROTOCOL_ERROR;
    case WEBSOCKET_TEXT:
    case WEBSOCKET_BINARY:
        if (r->message_opcode) {
            return WEBSOCKET_PROTOCOL_ERROR;
        }
        return opcode == WEBSOCKET_BINARY && !r->binary ? WEBSOCKET_UNSUPPORTED_DATA : 0;
    }
    return WEBSOCKET_PROTOCOL_ERROR;
}

static unsigned begin_payload(struct websocket_reader *r) {
    uint64_t length = r->head[1] & 0x7f;
    size_t bytes = length == 126 ? 2 : length == 127 ? 8 : 0;
    if (bytes > 0) {
        length = 0;
        for (size_t i = 0; i < bytes; i++) {
            length = length << 8 | r->head[2 + i];
        }
        /* The shortest form is required, and the highest bit must be 0. */
        if (length < (bytes == 2 ? 126 : 65536) || length >> 63) {
            return WEBSOCKET_PROTOCOL_ERROR;
        }
    }
    if (!is_control(frame_opcode(r)) && length > r->max_message_bytes - r->message.n) {
        return WEBSOCKET_TOO_BIG;
    }
    r->length = length;
    r->got = 0;
    r->in_payload = true;
    return 0;
}

/* Takes bytes of the frame's head; how many. */
static unsigned feed_head(struct websocket_reader *r, const char *p, size_t n, size_t *ret_used) {
    size_t i = 0;
    while (i < n && !r->in_payload) {
        r->head[r->head_n++] = (uint8_t)p[i++];
        unsigned code = r->head_n == 2 ? check_first_bytes(r) : 0;
        if (code == 0 && r->head_n >= 2 && r->head_n == head_size(r)) {
            code = begin_payload(r);
        }
        if (code != 0) {
            return code;
        }
    }
    *ret_used = i;
    return 0;
}

static unsigned deliver(enum websocket_opcode opcode, struct str payload,
                        const struct websocket_reader_sink *sink, bool *ret_go_on) {
    if (opcode == WEBSOCKET_TEXT && !str_is_utf8(payload)) {
        return WEBSOCKET_INVALID_PAYLOAD;
    }
    *ret_go_on = sink->on_item(sink->context, opcode, payload);
    return 0;
}

static unsigned deliver_message(struct websocket_reader *r, struct str payload,
                                const struct websocket_reader_sink *sink, bool *ret_go_on) {
    enum websocket_opcode opcode = (enum websocket_opcode)r->message_opcode;
    r->message_opcode = 0;
    if (r->message_deflated) {
        unsigned code = websocket_inflate(payload, r->max_message_bytes, &payload);
        if (code != 0) {
            return code;
        }
    }
    return deliver(opcode, payload, sink, ret_go_on);
}

/* The frame is whole; `payload` is a view of it if it came in one piece. */
static unsigned end_frame(struct websocket_reader *r, struct str payload,
                          const struct websocket_reader_sink *sink, bool *ret_go_on) {
    enum websocket_opcode opcode = frame_opcode(r);
    bool fin = r->head[0] & FIN;
    unsigned code = 0;
    r->head_n = 0;
    r->in_payload = false;
    if (is_control(opcode)) {
        code = deliver(opcode, r->control.n ? strbuf_str(&r->control) : payload, sink, ret_go_on);
        strbuf_done(&r->control);
    } else if (fin) {
        code =
            deliver_message(r, r->message.n ? strbuf_str(&r->message) : payload, sink, ret_go_on);
        strbuf_done(&r->message); /* an idle socket holds no buffer */
    }
    return code;
}

static unsigned feed_payload(struct websocket_reader *r, char *p, size_t n, size_t *ret_used,
                             const struct websocket_reader_sink *sink, bool *ret_go_on) {
    enum websocket_opcode opcode = frame_opcode(r);
    size_t k = MIN(r->length - r->got, n);
    struct str piece = {p, k};
    if (!r->from_server) {
        apply_mask(p, k, mask_of(r), r->got);
    }
    if (r->got == 0 && (opcode == WEBSOCKET_TEXT || opcode == WEBSOCKET_BINARY)) {
        r->message_opcode = (uint8_t)opcode;
        r->message_deflated = r->head[0] & RSV1;
    }
    r->got += k;
    *ret_used = k;
    struct strbuf *held = is_control(opcode) ? &r->control : &r->message;
    bool last = is_control(opcode) || (r->head[0] & FIN);
    /* What is whole in the bytes at hand is not copied. */
    if (held->n > 0 || r->got < r->length || !last) {
        strbuf_add(held, piece);
    }
    return r->got == r->length ? end_frame(r, piece, sink, ret_go_on) : 0;
}

unsigned websocket_reader_feed(struct websocket_reader *r, char *p, size_t n,
                               const struct websocket_reader_sink *sink) {
    bool go_on = true;
    size_t i = 0;
    while (go_on && (i < n || (r->in_payload && r->got == r->length))) {
        size_t used = 0;
        unsigned code = r->in_payload ? feed_payload(r, p + i, n - i, &used, sink, &go_on)
                                      : feed_head(r, p + i, n - i, &used);
        if (code != 0) {
            return code;
        }
        i += used;
    }
    return 0;
}
