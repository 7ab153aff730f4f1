/* WebSocket server side: RFC 6455 whole, permessage-deflate (RFC 7692) without context takeover, on
 * http_server.
 *
 * A socket has no fiber while it is idle. Callbacks run on the loop's stack and must not wait; what
 * has to wait is spawned by the callback's owner. A reader that is too slow is cut: websocket_send
 * fails once max_unsent_bytes are queued, and the connection is closed with 1013. Pings go out when
 * nothing came for a while; no answer ends the connection. */
#pragma once
#include "net/http_server.h"

struct websocket;

struct websocket_callbacks {
    /* A whole text message, valid UTF-8. Binary messages are refused with 1003 unless on_binary is
     * set. */
    void (*on_text)(struct websocket *ws, struct str message, void *context);
    void (*on_binary)(struct websocket *ws, struct str message, void *context);
    /* Exactly once, last; the socket is freed after it returns. */
    void (*on_close)(struct websocket *ws, unsigned code, void *context);
};

struct websocket_options {
    struct websocket_callbacks callbacks; /* on_text and on_close are required */
    void *context;
    size_t max_message_bytes; /* [1 MiB], after inflating */
    size_t max_unsent_bytes;  /* [512 KiB] */
    int64_t ping_interval_ms; /* [30,000] */
    bool deflate;
    /* Origins allowed beside the request's own host ("https://a.example"); NULL-terminated; NULL:
     * only the own host. A request without Origin (no browser) is allowed. */
    const char *const *allowed_origins;
    struct str subprotocol; /* chosen one, or empty */
};

/* Checks the handshake and takes over. On failure nothing was sent: ERR_INVALID (400),
 * ERR_FORBIDDEN (403: Origin), ERR_PROTOCOL (426 with Sec-WebSocket-Version: 13), ERR_UNAVAILABLE
 * (503: the server stops); or ERR_CANCELLED: the peer is gone. */
int websocket_accept(struct http_request *r, const struct websocket_options *options,
                     struct websocket **ret, struct err *err) must_check;

/* One text message from at most 16 parts, gathered. False when the socket is closing or was just
 * cut for being too slow. */
bool websocket_send(struct websocket *ws, const struct str *parts, size_t n_parts);
/* Starts the closing handshake; `reason` at most 123 bytes. */
void websocket_close(struct websocket *ws, unsigned code, struct str reason);
size_t websocket_unsent(const struct websocket *ws);
void *websocket_context(const struct websocket *ws);
