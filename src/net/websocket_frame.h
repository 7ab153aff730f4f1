/* Frames of RFC 6455, section 5: a reader that is fed with bytes cut anywhere and gives whole
 * messages and control frames, and the writer of frame heads. Knows no sockets. */
#pragma once
#include "base/strbuf.h"

enum websocket_opcode {
    WEBSOCKET_CONTINUATION = 0x0,
    WEBSOCKET_TEXT = 0x1,
    WEBSOCKET_BINARY = 0x2,
    WEBSOCKET_CLOSE = 0x8,
    WEBSOCKET_PING = 0x9,
    WEBSOCKET_PONG = 0xa,
};

enum websocket_code {
    WEBSOCKET_NORMAL = 1000,
    WEBSOCKET_GOING_AWAY = 1001,
    WEBSOCKET_PROTOCOL_ERROR = 1002,
    WEBSOCKET_UNSUPPORTED_DATA = 1003,
    WEBSOCKET_NO_STATUS = 1005, /* never on the wire */
    WEBSOCKET_ABNORMAL = 1006,  /* never on the wire */
    WEBSOCKET_INVALID_PAYLOAD = 1007,
    WEBSOCKET_TOO_BIG = 1009,
    WEBSOCKET_TRY_AGAIN_LATER = 1013,
};

struct websocket_reader {
    size_t max_message_bytes;
    bool deflate, binary; /* what may come */
    bool from_server;     /* a server's frames are not masked, a client's must be */
    uint8_t head[14], head_n;
    uint8_t message_opcode; /* of a message that is not yet whole; 0: none */
    bool message_deflated;
    bool in_payload;
    uint64_t length, got;  /* of the frame's payload */
    struct strbuf message; /* of a message that did not come in one piece */
    struct strbuf control;
};

struct websocket_reader_sink {
    /* Whole messages, inflated and checked for UTF-8, and control frames. False ends the feed. */
    bool (*on_item)(void *context, enum websocket_opcode opcode, struct str payload);
    void *context;
};

void websocket_reader_init(struct websocket_reader *r, size_t max_message_bytes);
void websocket_reader_done(struct websocket_reader *r);
/* A client's bytes are unmasked in place. 0, or the close code to fail the connection with. */
unsigned websocket_reader_feed(struct websocket_reader *r, char *p, size_t n,
                               const struct websocket_reader_sink *sink);

/* The head of an unmasked, final frame; its length. */
size_t websocket_frame_head(enum websocket_opcode opcode, bool deflated, size_t payload_bytes,
                            char ret[10]);
/* A whole, final frame as a client sends it, under a fresh random mask. */
void websocket_frame_masked(struct strbuf *out, enum websocket_opcode opcode, struct str payload);
/* False for codes that must not stand in a close frame. */
bool websocket_code_is_valid(unsigned code);
