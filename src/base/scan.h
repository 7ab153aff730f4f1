/* A pull reader over one JSON text, for the shapes that make up nearly all of a stream. It builds
 * nothing and copies nothing; whoever meets something unexpected reads the text again with
 * json_read. Values that are skipped are not checked beyond their brackets and quotes. */
#pragma once
#include "base/arena.h"
#include "base/strbuf.h"

struct scan {
    const char *p, *end;
};

/* A member that is not there (p == NULL) is like an empty text. */
static inline struct scan scan_begin(struct str text) {
    return (struct scan){text.p, text.n ? text.p + text.n : text.p};
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

/* The text of a member's value, as it stands; p == NULL when it is missing, or what was read until
 * then is no object. Of a key that is there twice the first counts. Keys are compared unescaped. */
struct str scan_get(struct str object, const char *key);
/* As scan_member, with the text of the member's value, of any depth that json_check takes. */
bool scan_member_value(struct scan *s, bool *first, struct str *ret_key, struct str *ret_value);
/* The next element of the array just opened. False at its end (*ret is then the empty view with
 * p == NULL) and on anything unexpected. */
bool scan_element(struct scan *s, bool *first, struct str *ret);
/* What a string's text with its quotes means, copied to the arena; false when it is none. */
bool scan_text(struct arena *arena, struct str json, struct str *ret);
