/* HTTP/1.1 server (RFC 9110, 9112) on libuv and llhttp. Each request runs in a fiber of its own,
 * which calls the one handler the server was given; routing is the caller's. Knows nothing of what
 * is served.
 *
 * Strict where smuggling begins: bare LF, obs-fold, white space before a colon, Content-Length
 * beside Transfer-Encoding, and duplicate Content-Length or Host are refused. Every limit below has
 * its own status: 400, 408, 413, 414, 431, 503. A request belongs to its handler's fiber; when the
 * peer goes away that fiber is cancelled. */
#pragma once
#include <stdbool.h>

#include "base/err.h"
#include "base/secret.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "fiber/fiber.h"

struct http_server;
struct http_request;

struct http_server_options {
    const char *address; /* "127.0.0.1:8080", "[::1]:0": port 0 picks one */
    bool reuse_port;     /* SO_REUSEPORT: several processes on one address */
    void (*handler)(struct http_request *request, void *context) may_yield;
    void *context;
    /* Called once a request, after its response (or the lack of one: status 0). For the access log
     * and metrics. May be NULL. */
    void (*on_done)(const struct http_request *request, int status, uint64_t bytes_sent,
                    int64_t duration_us, void *context);
    /* Writes a whole error body for a failure the server itself answers (limits, bad syntax); sets
     * the content type. Of the request only as much is known as was read. May be NULL. */
    void (*write_error)(const struct http_request *request, int status, struct str detail,
                        struct strbuf *ret_body, const char **ret_content_type);

    /* 0 takes the default in brackets. */
    size_t max_header_bytes;      /* [16 KiB] request line and all fields */
    unsigned max_fields;          /* [100] */
    size_t max_body_bytes;        /* [8 MiB] a handler may ask for less */
    size_t max_incoming_bytes;    /* [256 MiB] held of bodies and messages that are not whole yet;
                                   * above it larger ones than 64 KiB are refused */
    size_t max_write_queue_bytes; /* [256 KiB] above it writers wait */
    unsigned max_connections;     /* [12,000] */
    int64_t header_timeout_ms;    /* [10,000] from the first byte to the end of the fields */
    int64_t
        body_timeout_ms; /* [30,000] without progress, while a body is read or a response written */
    int64_t body_total_timeout_ms; /* [120,000] for one whole body */
    int64_t keepalive_timeout_ms;  /* [75,000] between requests */
};

/* SIGPIPE is ignored from then on, process-wide: peers may go away at any time. */
int http_server_start(const struct http_server_options *options, struct http_server **ret,
                      struct err *err) must_check;
/* The address it listens on, with the real port. */
const char *http_server_address(const struct http_server *server);
/* No new connections; idle ones are closed, WebSockets get 1001, running requests may finish for
 * grace_ms, then they are cut. */
may_yield void http_server_stop(struct http_server *server, int64_t grace_ms);
void http_server_free(struct http_server *server); /* after stop; accepts NULL */

struct http_server_stats {
    unsigned connections, requests_running, websockets;
    uint64_t requests_total, refused_total;
};
struct http_server_stats http_server_stats(const struct http_server *server);

/* ---- the request; views live as long as the handler runs ---- */

struct str http_method(const struct http_request *r); /* "GET" */
struct str http_path(const struct http_request *r); /* percent-decoded, no dot segments, UTF-8; else
                                                       the server answered 400 */
struct str http_query(const struct http_request *r); /* raw, without '?' */
/* Percent-decoded value of a query parameter into out (reset first); false when absent or
 * malformed. */
bool http_query_param(const struct http_request *r, const char *name, struct strbuf *out);
struct str
http_header(const struct http_request *r,
            const char *name); /* p == NULL when absent; list fields are joined by ", " */
bool http_cookie(const struct http_request *r, const char *name, struct str *ret);
struct str http_peer(const struct http_request *r);        /* address without port */
const char *http_request_id(const struct http_request *r); /* made here; goes out as X-Request-Id */
/* A place for the handler's own data, seen again in on_done. */
void http_set_user(struct http_request *r, void *user);
void *http_user(const struct http_request *r);

/* Reads the rest of the body to its end, at most max bytes: ERR_LIMIT (the peer gets 413 from the
 * handler), ERR_TIMEOUT, ERR_CANCELLED. Answers Expect: 100-continue. */
may_yield int http_read_body(struct http_request *r, size_t max_bytes, struct strbuf *ret,
                             struct err *err) must_check;

/* ---- the response: one http_respond, or begin, write..., end ---- */

struct http_field {
    const char *name;
    struct str value; /* CR, LF and NUL are refused */
};

struct http_response {
    int status;
    const char *content_type; /* NULL: none */
    const struct http_field *fields;
    size_t n_fields;
    struct str body; /* not sent for HEAD, 204, 304; Content-Length tells its size */
    bool close;
};

/* 0, or -ERR_CANCELLED when the peer is gone: the handler then just returns. */
may_yield int http_respond(struct http_request *r, const struct http_response *response);
/* Chunked (or until close for HTTP/1.0); `response->body` must be empty. Sends Cache-Control:
 * no-store and X-Accel-Buffering: no. */
may_yield int http_stream_begin(struct http_request *r, const struct http_response *response);
/* Waits while more than max_write_queue_bytes are unsent; a peer that takes nothing for
 * body_timeout_ms is cut. */
may_yield int http_stream_write(struct http_request *r, struct str bytes);
may_yield int http_stream_end(struct http_request *r);
bool http_responded(const struct http_request *r);

/* ---- for websocket.c: takes the connection over ---- */
struct http_upgrade_sink {
    /* Bytes from the peer; NULL and 0 when the connection ended, after which it is freed. On the
     * loop's stack. The buffer may be changed in place. */
    void (*on_bytes)(void *context, char *bytes, size_t n);
    void (*on_tick)(void *context);     /* about once a second */
    void (*on_shutdown)(void *context); /* the server stops */
    void *context;
};
struct http_connection;
/* Sends `head` (a whole 101 response) and hands over the connection; afterwards the request only
 * serves for reading its fields. -ERR_CANCELLED: the peer is gone; -ERR_UNAVAILABLE: the server
 * stops, and nothing was sent. */
int http_upgrade(struct http_request *r, struct str head, const struct http_upgrade_sink *sink,
                 struct http_connection **ret) must_check;
void http_connection_write(struct http_connection *c, const struct str *parts,
                           size_t n_parts); /* gathered; never waits */
size_t http_connection_unsent(const struct http_connection *c);
/* So many bytes of a body or message that is not whole yet are held now. False: too many in all,
 * and the count stays as it was. */
bool http_connection_hold(struct http_connection *c, size_t n);
void http_connection_close(struct http_connection *c,
                           bool after_flush); /* on_bytes(NULL, 0) follows */
