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
void http_client_stop(void); /* all streams must be closed */

struct http_client_field {
    const char *name;
    struct str value; /* CR, LF and NUL are refused: ERR_INVALID */
};

struct http_call {
    const char *method; /* NULL: GET, or POST when there is a body */
    const char *url;    /* http and https only; no userinfo */
    const struct http_client_field *fields;
    size_t n_fields;
    struct str body; /* must live until the stream is closed */
    /* 0 takes the default in brackets. */
    int64_t connect_timeout_ms; /* [5,000] name, connection, TLS */
    int64_t idle_timeout_ms;    /* [60,000] without a byte from the peer, the first one included */
    int64_t total_timeout_ms;   /* [600,000] */
    size_t window_bytes;        /* [64 KiB] unread bytes held before the peer is made to wait */
    size_t max_header_bytes;    /* [64 KiB] */
    bool follow_redirects;      /* at most 5, same host only */
    const char *unix_socket;    /* NULL: TCP */
};

struct http_reply;

/* Returns when the response's fields are complete. Errors: ERR_UNAVAILABLE (not reached, reset: the
 * message names the host and the reason), ERR_TIMEOUT, ERR_CANCELLED, ERR_INVALID, ERR_PROTOCOL. A
 * status of 4xx or 5xx is no error here. */
may_yield int http_call_open(const struct http_call *call, struct http_reply **ret, struct err *err)
    must_check;
int http_reply_status(const struct http_reply *s);
struct str http_reply_header(const struct http_reply *s,
                             const char *name); /* p == NULL when absent */
/* The next bytes, valid until the next call on the stream; the empty view at the end. */
may_yield int http_reply_read(struct http_reply *s, struct str *ret, struct err *err) must_check;
void http_reply_close(
    struct http_reply *s); /* accepts NULL; a response not read to its end drops the connection */
void http_reply_close_p(struct http_reply **s);

/* Whole response at once; ERR_LIMIT when the body is larger than max_bytes. */
may_yield int http_fetch(const struct http_call *call, size_t max_bytes, int *ret_status,
                         struct strbuf *ret_body, struct err *err) must_check;
