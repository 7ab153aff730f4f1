/* HTTP client on libcurl's multi interface: pooled connections, streaming, TLS verified, proxies
 * from the usual variables. One pool a process. Used by fibers; a cancelled fiber closes its
 * request at once. */
#pragma once
#include "base/err.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "fiber/fiber.h"

/* Ignores SIGPIPE from then on. ERR_INVALID: SSL_CERT_FILE or CURL_CA_BUNDLE names a file that
 * cannot be read. */
int http_client_start(struct err *err) must_check;
/* All streams must be closed. Does nothing when it was not started. */
void http_client_stop(void);

struct http_client_field {
    const char *name; /* ERR_INVALID for fields that frame the message: Content-Length and such */
    struct str value; /* CR, LF and NUL are refused: ERR_INVALID */
};

struct http_call {
    const char *method; /* NULL: GET, or POST when there is a body */
    const char *url;    /* http and https only; no userinfo */
    const struct http_client_field *fields;
    size_t n_fields;
    struct str body; /* must live until the reply is closed */
    /* 0 takes the default in brackets. */
    int64_t connect_timeout_ms; /* [5,000] name, connection, TLS */
    int64_t idle_timeout_ms;    /* [60,000] of waiting without a byte from the peer, the first one
                                   included, and without one of the body taken by it */
    int64_t total_timeout_ms;   /* [600,000] */
    size_t window_bytes;        /* [64 KiB] unread bytes held before the peer is made to wait */
    size_t max_header_bytes;    /* [64 KiB] */
    bool follow_redirects; /* at most 5, to the same origin or from http to https on the same host;
                              others are ERR_PROTOCOL. After 307 and 308 the method stays, else it
                              becomes GET without the body. */
    bool once;  /* what began to leave is not sent again, not even when a pooled connection was lost
                   without an answer: ERR_UNAVAILABLE, and it may have been processed */
    bool *sent; /* set when some of the request left; NULL: not asked for */
    const char *unix_socket; /* NULL: TCP */
};

struct http_reply;

/* Returns when the response's fields are complete. Errors: ERR_UNAVAILABLE (not reached, not
 * trusted, reset: the message names the host and the reason), ERR_TIMEOUT, ERR_CANCELLED,
 * ERR_INVALID, ERR_PROTOCOL, ERR_LIMIT (max_header_bytes), ERR_BUSY (4,096 requests run). A status
 * of 4xx or 5xx is no error here. A request that a pooled connection lost before any byte of the
 * answer came is sent again on a new one. */
may_yield int http_call_open(const struct http_call *call, struct http_reply **ret, struct err *err)
    must_check;
int http_reply_status(const struct http_reply *s);
/* The first field of that name, until the reply is closed; p == NULL when absent. */
struct str http_reply_header(const struct http_reply *s, const char *name);
/* The next bytes, valid until the next call on the reply; the empty view at the end. */
may_yield int http_reply_read(struct http_reply *s, struct str *ret, struct err *err) must_check;
void http_reply_close(
    struct http_reply *s); /* accepts NULL; a response not read to its end drops the connection */
void http_reply_close_p(struct http_reply **s);

/* Whole response at once, its body appended to ret_body; ERR_LIMIT when the body is larger than
 * max_bytes or than ret_body may become. */
may_yield int http_fetch(const struct http_call *call, size_t max_bytes, int *ret_status,
                         struct strbuf *ret_body, struct err *err) must_check;
