/* What the files of the HTTP server share. A connection is fed by libuv on the loop's stack; its
 * running request belongs to a fiber. Each may outlive the other's interest, so a connection is
 * freed when its handle is closed and its fiber has ended, whichever comes last. */
#pragma once
#include "net/http_chunked.h"
#include "net/http_head.h"
#include "net/http_server.h"

enum {
    HTTP_SLAB_BYTES = 64 * 1024,   /* what one read of any connection may bring */
    HTTP_WINDOW_BYTES = 64 * 1024, /* of a body nobody reads yet, and of pipelined requests */
    HTTP_DRAIN_BYTES = 256 * 1024, /* of an unread body, to keep the connection */
    HTTP_LINGER_MS = 2000,         /* for the peer to take the last response and close */
    HTTP_SPARE_CONNECTIONS = 64,   /* above the maximum, to be told 503 */
    HTTP_RESPONSE_HEAD_BYTES = 32 * 1024,
    HTTP_PEER_LEN = 46,
};

enum http_phase {
    PHASE_IDLE,     /* between requests */
    PHASE_HEAD,     /* a request's head is coming */
    PHASE_RUNNING,  /* the handler's fiber has it */
    PHASE_DRAIN,    /* answered; the rest of the body is thrown away */
    PHASE_UPGRADED, /* the bytes are the sink's */
    PHASE_FLUSH,    /* closes when everything is sent */
    PHASE_LINGER,   /* our side is closed; waits for the peer's */
    PHASE_CLOSED,   /* uv_close was called */
};

struct http_write;

struct http_connection {
    uv_tcp_t tcp;
    struct http_server *server;
    struct list in_server, in_pump;
    struct http_request *request; /* the one being received or run */
    struct http_upgrade_sink sink;
    struct strbuf stash; /* bytes that came before their time */
    struct strbuf out;   /* bytes written while `writing` is under way */
    struct http_write *writing;
    int64_t deadline_us;    /* of the phase */
    int64_t progress_at_us; /* of what is unsent */
    size_t seen_unsent;
    uint8_t phase;
    bool reading, handle_closed, linger, upgraded;
    char peer[HTTP_PEER_LEN];
    size_t incoming_bytes; /* its part of the server's */
};

struct http_request {
    struct http_connection *connection;
    struct http_server *server;
    struct http_head head;
    struct fiber *fiber; /* NULL before and after it runs */
    struct fiber_cond changed;
    char id[40];
    void *user;
    int64_t begun_us;

    /* the body */
    struct http_chunked chunked;
    uint64_t body_left;    /* with Content-Length */
    uint64_t body_bytes;   /* received so far */
    int64_t body_at_us;    /* when the last of them came */
    struct strbuf early;   /* came before the handler asked */
    struct strbuf *reader; /* where the handler wants it */
    size_t reader_max;
    bool body_complete, body_bad, body_over, body_refused, continue_sent;

    /* the response */
    int status;
    uint64_t bytes_sent;
    bool responded, streaming, ended, keep, gone;
};

struct http_server {
    struct http_server_options options;
    struct http_head_limits head_limits;
    uv_tcp_t listener;
    uv_timer_t tick;
    uv_idle_t pump;
    unsigned open_handles;
    struct list connections;
    struct list pumped; /* connections whose stash can be fed now */
    struct fiber_scope scope;
    struct fiber_cond changed; /* a connection or handle went */
    struct http_server_stats stats;
    size_t incoming_bytes; /* of unfinished bodies and messages, of all connections */
    bool stopping, stopped;
    struct strbuf scratch; /* for response heads; never across a yield */
    int64_t date_second;
    char date[32];
    char address[64];
    char slab[HTTP_SLAB_BYTES];
};

/* ---- http_server.c ---- */

/* Has http_connection_pump called soon, on the loop's stack. */
void http_server_pump_later(struct http_connection *c);

/* ---- http_connection.c ---- */

void http_connection_accept(struct http_server *s);
void http_connection_tick(struct http_connection *c, int64_t now_us);
void http_connection_stop(struct http_connection *c); /* the server stops: close what is idle */
void http_connection_end(struct http_connection *c);  /* at once */
/* Feeds the stash. On the loop's stack. */
void http_connection_pump(struct http_connection *c);
void http_connection_resume(struct http_connection *c); /* starts reading again */
/* The request's fiber is about to end. */
void http_connection_request_done(struct http_connection *c);
/* Sends what the kernel takes now; the number of bytes. Only when nothing is unsent. */
size_t http_connection_try_write(struct http_connection *c, const struct str *parts, size_t n);

/* ---- http_request.c ---- */

struct http_request *http_request_new(struct http_connection *c);
void http_request_free(struct http_request *r);
/* The head is complete: 0, or a negative HTTP status. */
int http_request_begin_body(struct http_request *r);
/* Takes bytes of the body; how many. */
size_t http_request_feed_body(struct http_request *r, const char *p, size_t n);
/* True when what is unread of the body may be drained to keep the connection. */
bool http_request_body_is_cheap(const struct http_request *r);
void http_request_gone(struct http_request *r); /* the connection is lost */
void http_request_report(struct http_request *r);

/* ---- http_response.c ---- */

/* On the loop's stack: answers a request the server refuses; the connection is to be closed. */
void http_refuse(struct http_request *r, int status, const char *detail);
extern const char http_overload_response[];
