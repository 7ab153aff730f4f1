/* A socket: handshake, messages out, pings, and the closing handshake. Runs on the loop's stack
 * and on callers' fibers, and never waits. */
#include "net/websocket.h"

#include <assert.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/mem.h"
#include "net/http_head.h"
#include "net/websocket_deflate.h"
#include "net/websocket_frame.h"

enum { CLOSE_WAIT_MS = 5000, MAX_REASON_BYTES = 123, MAX_HANDSHAKE_BYTES = 1024, MAX_PARTS = 16 };

struct websocket {
    struct http_connection *connection;
    struct websocket_callbacks callbacks;
    void *context;
    struct websocket_reader reader;
    size_t max_unsent_bytes;
    int64_t ping_interval_us;
    int64_t heard_at_us;
    int64_t pinged_at_us; /* 0: no ping is unanswered */
    int64_t close_by_us;  /* when closing: no longer than until then */
    unsigned code;        /* for on_close */
    bool deflate;
    bool closing; /* our close frame is sent */
};

/* ---- out ---- */

static void start_closing(struct websocket *ws, unsigned code) {
    ws->closing = true;
    ws->code = code;
    ws->close_by_us = clock_mono_us() + CLOSE_WAIT_MS * 1000;
}

static void send_control(struct websocket *ws, enum websocket_opcode opcode, struct str payload) {
    char head[10];
    struct str parts[2] = {{head, websocket_frame_head(opcode, false, payload.n, head)}, payload};
    http_connection_write(ws->connection, parts, 2);
}

static void send_close(struct websocket *ws, unsigned code, struct str reason) {
    char payload[2 + MAX_REASON_BYTES];
    size_t n = 0;
    if (code != WEBSOCKET_NO_STATUS) {
        reason = str_utf8_head(reason, MAX_REASON_BYTES);
        payload[0] = (char)(code >> 8);
        payload[1] = (char)code;
        memcpy(payload + 2, reason.p ? reason.p : "", reason.n);
        n = 2 + reason.n;
    }
    send_control(ws, WEBSOCKET_CLOSE, (struct str){payload, n});
}

void websocket_close(struct websocket *ws, unsigned code, struct str reason) {
    assert(websocket_code_is_valid(code));
    if (!ws->closing) {
        start_closing(ws, code);
        send_close(ws, code, reason);
    }
}

/* What the peer did cannot be gone on with: nothing of it is read any more. */
static void fail(struct websocket *ws, unsigned code, struct str reason) {
    websocket_close(ws, code, reason);
    http_connection_close(ws->connection, true);
}

static bool is_too_slow(struct websocket *ws) {
    if (websocket_unsent(ws) < ws->max_unsent_bytes) {
        return false;
    }
    fail(ws, WEBSOCKET_TRY_AGAIN_LATER, STR("reading too slowly"));
    return true;
}

bool websocket_send(struct websocket *ws, const struct str *parts, size_t n_parts) {
    struct str all[MAX_PARTS + 1];
    struct str deflated;
    char head[10];
    size_t total = 0;
    assert(n_parts <= MAX_PARTS);
    if (ws->closing || is_too_slow(ws)) {
        return false;
    }
    bool pays = ws->deflate && websocket_deflate(parts, n_parts, &deflated);
    if (pays) {
        parts = &deflated;
        n_parts = 1;
    }
    for (size_t i = 0; i < n_parts; i++) {
        all[i + 1] = parts[i];
        total += parts[i].n;
    }
    all[0] = (struct str){head, websocket_frame_head(WEBSOCKET_TEXT, pays, total, head)};
    http_connection_write(ws->connection, all, n_parts + 1);
    return true;
}

size_t websocket_unsent(const struct websocket *ws) {
    return http_connection_unsent(ws->connection);
}

void *websocket_context(const struct websocket *ws) {
    return ws->context;
}

/* ---- in ---- */

static void on_peer_close(struct websocket *ws, struct str payload) {
    unsigned code = WEBSOCKET_NO_STATUS;
    if (payload.n == 1) {
        fail(ws, WEBSOCKET_PROTOCOL_ERROR, STR("malformed close frame"));
        return;
    }
    if (payload.n >= 2) {
        code = (unsigned)(unsigned char)payload.p[0] << 8 | (unsigned char)payload.p[1];
        if (!websocket_code_is_valid(code)) {
            fail(ws, WEBSOCKET_PROTOCOL_ERROR, STR("invalid close code"));
            return;
        }
        if (!str_is_utf8(str_skip(payload, 2))) {
            fail(ws, WEBSOCKET_INVALID_PAYLOAD, STR("invalid UTF-8"));
            return;
        }
    }
    if (!ws->closing) {
        start_closing(ws, code);
        send_close(ws, code, STR_EMPTY);
    }
    http_connection_close(ws->connection, true);
}

static bool on_item(void *context, enum websocket_opcode opcode, struct str payload) {
    struct websocket *ws = context;
    switch (opcode) {
    case WEBSOCKET_TEXT:
        if (!ws->closing) {
            ws->callbacks.on_text(ws, payload, ws->context);
        }
        return true;
    case WEBSOCKET_BINARY:
        if (!ws->closing) {
            ws->callbacks.on_binary(ws, payload, ws->context);
        }
        return true;
    case WEBSOCKET_PING:
        if (ws->closing || is_too_slow(ws)) {
            return true;
        }
        send_control(ws, WEBSOCKET_PONG, payload);
        return true;
    case WEBSOCKET_CLOSE:
        on_peer_close(ws, payload);
        return false;
    case WEBSOCKET_PONG:
    case WEBSOCKET_CONTINUATION:
        return true;
    }
    return true;
}

static struct str failure_reason(unsigned code) {
    switch (code) {
    case WEBSOCKET_UNSUPPORTED_DATA:
        return STR("only text is taken");
    case WEBSOCKET_INVALID_PAYLOAD:
        return STR("invalid payload");
    case WEBSOCKET_TOO_BIG:
        return STR("message too big");
    default:
        return STR("protocol error");
    }
}

static void on_bytes(void *context, char *bytes, size_t n) {
    struct websocket *ws = context;
    if (!bytes) {
        ws->callbacks.on_close(ws, ws->code, ws->context);
        websocket_reader_done(&ws->reader);
        mem_free(ws);
        return;
    }
    const struct websocket_reader_sink sink = {.on_item = on_item, .context = ws};
    ws->heard_at_us = clock_mono_us();
    ws->pinged_at_us = 0;
    unsigned code = websocket_reader_feed(&ws->reader, bytes, n, &sink);
    if (code != 0) {
        fail(ws, code, failure_reason(code));
    } else if (!http_connection_hold(ws->connection, ws->reader.message.n)) {
        fail(ws, WEBSOCKET_TRY_AGAIN_LATER, STR("too much is being sent here at once"));
    }
}

static void on_tick(void *context) {
    struct websocket *ws = context;
    int64_t now_us = clock_mono_us();
    if (ws->closing) {
        if (now_us > ws->close_by_us) {
            http_connection_close(ws->connection, false);
        }
    } else if (ws->pinged_at_us) {
        if (now_us - ws->pinged_at_us > ws->ping_interval_us) {
            http_connection_close(ws->connection, false);
        }
    } else if (now_us - ws->heard_at_us > ws->ping_interval_us) {
        ws->pinged_at_us = now_us;
        send_control(ws, WEBSOCKET_PING, STR_EMPTY);
    }
}

static void on_shutdown(void *context) {
    websocket_close(context, WEBSOCKET_GOING_AWAY, STR("the server stops"));
}

/* ---- the handshake ---- */

static bool origin_is_allowed(const struct http_request *r, const char *const *allowed) {
    struct str origin = http_header(r, "origin");
    struct str host = http_header(r, "host");
    if (!origin.p) {
        return true;
    }
    for (size_t i = 0; allowed && allowed[i]; i++) {
        if (str_eq_nocase(origin, str_z(allowed[i]))) {
            return true;
        }
    }
    struct str scheme = str_head(origin, 8);
    size_t skip = str_eq_nocase(scheme, STR("https://"))               ? 8
                  : str_eq_nocase(str_head(scheme, 7), STR("http://")) ? 7
                                                                       : 0;
    return skip && host.n > 0 && str_eq_nocase(str_skip(origin, skip), host);
}

static int check_handshake(const struct http_request *r, struct err *err) {
    struct strbuf key cleanup(strbuf_done) = STRBUF(64);
    struct str length = http_header(r, "content-length");
    if (!str_eq(http_method(r), STR("GET")) ||
        !http_has_token(http_header(r, "upgrade"), STR("websocket")) ||
        !http_has_token(http_header(r, "connection"), STR("upgrade"))) {
        return err_set(err, ERR_INVALID, "a WebSocket handshake is expected here");
    }
    if (!str_eq(http_header(r, "sec-websocket-version"), STR("13"))) {
        return err_set(err, ERR_PROTOCOL, "the only WebSocket version is 13");
    }
    if (http_header(r, "transfer-encoding").p || (length.p && !str_eq(length, STR("0")))) {
        return err_set(err, ERR_INVALID, "a WebSocket handshake has no body");
    }
    if (crypto_base64_decode(&key, http_header(r, "sec-websocket-key"), err) < 0 || key.n != 16) {
        return err_set(err, ERR_INVALID, "malformed Sec-WebSocket-Key");
    }
    return 0;
}

static void write_response(const struct http_request *r, const struct websocket_options *options,
                           struct strbuf *out, bool *ret_deflate) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(MAX_HANDSHAKE_BYTES);
    uint8_t digest[20];
    strbuf_add(&text, http_header(r, "sec-websocket-key"));
    strbuf_addz(&text, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    crypto_sha1(strbuf_str(&text), digest);
    strbuf_addz(out, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Accept: ");
    crypto_base64(out, (struct str){(const char *)digest, sizeof digest});
    strbuf_reset(&text);
    *ret_deflate = options->deflate &&
                   websocket_deflate_negotiate(http_header(r, "sec-websocket-extensions"), &text);
    if (*ret_deflate) {
        strbuf_addf(out, "\r\nSec-WebSocket-Extensions: %s", strbuf_z(&text));
    }
    if (options->subprotocol.n) {
        strbuf_addf(out, "\r\nSec-WebSocket-Protocol: %.*s", STR_ARG(options->subprotocol));
    }
    strbuf_addf(out, "\r\nX-Request-Id: %s\r\n\r\n", http_request_id(r));
}

static struct websocket *websocket_new(const struct websocket_options *options, bool deflate) {
    struct websocket *ws = mem_alloc(sizeof *ws);
    int64_t interval_ms = options->ping_interval_ms ? options->ping_interval_ms : 30000;
    ws->callbacks = options->callbacks;
    ws->context = options->context;
    ws->max_unsent_bytes = options->max_unsent_bytes ? options->max_unsent_bytes : 512 * 1024;
    ws->ping_interval_us = interval_ms * 1000;
    ws->heard_at_us = clock_mono_us();
    ws->code = WEBSOCKET_ABNORMAL;
    ws->deflate = deflate;
    websocket_reader_init(&ws->reader,
                          options->max_message_bytes ? options->max_message_bytes : 1 << 20);
    ws->reader.deflate = deflate;
    ws->reader.binary = options->callbacks.on_binary != NULL;
    return ws;
}

int websocket_accept(struct http_request *r, const struct websocket_options *options,
                     struct websocket **ret, struct err *err) {
    struct strbuf head cleanup(strbuf_done) = STRBUF(MAX_HANDSHAKE_BYTES);
    bool deflate = false;
    int rc = check_handshake(r, err);
    if (rc < 0) {
        return rc;
    }
    if (!origin_is_allowed(r, options->allowed_origins)) {
        return err_set(err, ERR_FORBIDDEN, "this origin may not connect");
    }
    write_response(r, options, &head, &deflate);
    rc = strbuf_check(&head, "the handshake", err);
    if (rc < 0) {
        return rc;
    }
    struct websocket *ws = websocket_new(options, deflate);
    const struct http_upgrade_sink sink = {
        .on_bytes = on_bytes, .on_tick = on_tick, .on_shutdown = on_shutdown, .context = ws};
    rc = http_upgrade(r, strbuf_str(&head), &sink, &ws->connection);
    if (rc < 0) {
        mem_free(ws);
        return rc == -ERR_UNAVAILABLE ? err_set(err, ERR_UNAVAILABLE, "the server stops")
                                      : err_set(err, ERR_CANCELLED, "the peer is gone");
    }
    *ret = ws;
    return 0;
}
