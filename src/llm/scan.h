/* A pull reader over one JSON text, for the shapes that make up nearly all of a stream. It builds
 * nothing and copies nothing; whoever meets something unexpected reads the text again with
 * json_read. Values that are skipped are not checked beyond their brackets and quotes. */
#pragma once
#include "base/strbuf.h"

struct scan {
    const char *p, *end;
};

static inline struct scan scan_begin(struct str text) {
    return (struct scan){text.p, text.p + text.n};
}
bool scan_open(struct scan *s, char bracket); /* the next character that counts is this one */
/* The next member of the object just opened: its key and the place of its value. False at the end
 * of the object (*ret_key is then the empty view with p == NULL) and on anything unexpected. */
bool scan_member(struct scan *s, bool *first, struct str *ret_key);
bool scan_string(struct scan *s, struct str *ret_raw); /* between the quotes, still escaped */
bool scan_null(struct scan *s);
bool scan_false(struct scan *s);
bool scan_skip(struct scan *s);   /* one value of any kind, at most 64 deep */
bool scan_at_end(struct scan *s); /* nothing but white space is left */
bool scan_is(struct str raw, const char *literal);

/* Appends what the raw string means. False when it is no JSON string or no UTF-8, or holds a NUL:
 * `out` then has some of it. */
bool scan_unescape(struct strbuf *out, struct str raw);
