/* The head of a request: request line and fields, fed with bytes as they come, cut anywhere.
 * llhttp reads it; before that a gate refuses what llhttp lets pass (bare LF, obs-fold, white space
 * before a colon, control characters), and after it the whole is judged: target, Host, framing.
 * Knows no sockets. The views live until http_head_done. */
#pragma once
#include <llhttp/llhttp.h>

#include "base/strbuf.h"

struct http_head_limits {
    size_t max_bytes;
    unsigned max_fields;
};

struct http_head_field {
    uint32_t hash;                         /* of the name, without case */
    uint32_t name, name_n, value, value_n; /* places in `text` */
};

struct http_head {
    struct http_head_limits limits;
    llhttp_t parser;
    struct strbuf text;
    struct http_head_field *fields;
    unsigned n_fields, cap_fields;
    uint32_t target_n;
    size_t bytes;
    uint64_t line_tail; /* the last eight bytes of the request line */
    uint8_t gate;
    bool parsed;

    /* Valid once http_head_feed returned 1. */
    struct str method, path, query;
    unsigned minor_version; /* of HTTP/1 */
    bool chunked, expects_continue, keep_alive;
    uint64_t content_length; /* 0 when chunked or absent */
    const char *detail;      /* after a failure: what was wrong */
};

void http_head_init(struct http_head *h, const struct http_head_limits *limits);
void http_head_done(struct http_head *h);
/* Takes bytes up to the end of the head. 1: complete, 0: more is needed, or the negative HTTP
 * status of a refusal: -400, -414, -431, -501, -505. */
int http_head_feed(struct http_head *h, const char *p, size_t n, size_t *ret_used);
/* Empty lines before a request do not count as its beginning. */
bool http_head_begun(const struct http_head *h);
/* p == NULL when absent. Repeated fields are one, joined. */
struct str http_head_value(const struct http_head *h, struct str name);
/* True when a comma-separated field holds the token, without case. */
bool http_has_token(struct str list, struct str token);
/* "%41" to "A"; with plus_is_space "+" to " ". False on a bad escape. */
bool http_percent_decode(struct str text, bool plus_is_space, struct strbuf *out);
