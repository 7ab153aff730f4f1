/* JSON: reading into jansson trees within limits (their memory is wiped when it is freed), and a
 * writer that never builds a tree. Text that is only passed on stays text (jsonw_raw). */
#pragma once
#include <jansson.h>

#include "base/err.h"
#include "base/strbuf.h"

/* jansson's own definition spells the attribute `cleanup`, which is a macro here. */
#undef json_auto_t
#define json_auto_t json_t cleanup(json_decrefp)

enum { JSON_MAX_DEPTH = 64 };

/* One whole value, UTF-8, at most JSON_MAX_DEPTH deep; duplicate keys and NUL characters are
 * refused. ERR_INVALID tells line and column. The caller bounds the size. The tree is freed with
 * json_decref / json_auto_t. */
int json_read(struct str text, json_t **ret, struct err *err) must_check;

/* True when the text nests no deeper than max; strings are honoured, nothing else is checked. */
bool json_depth_ok(struct str text, size_t max);

/* No more than max values, by the punctuation outside strings: a small text may ask for a large
 * tree.
 */
bool json_is_small(struct str text, size_t max);

/* One whole value as RFC 8259 has it, in strict UTF-8, nested no deeper than max (at most
 * JSON_CHECK_MAX_DEPTH). Builds nothing and does not recurse; keys may be there twice, and escapes
 * may spell NUL or half a surrogate pair, which json_read refuses. */
enum { JSON_CHECK_MAX_DEPTH = 1024 };
bool json_check(struct str text, size_t max);

/* Members of an object; a missing or null member, or one of another type, gives the fallback. Views
 * live as long as the tree. */
struct str json_str(const json_t *object,
                    const char *key); /* fallback: empty view with p == NULL */
int64_t json_int(const json_t *object, const char *key, int64_t fallback);
bool json_bool(const json_t *object, const char *key, bool fallback);
struct str json_value_str(const json_t *value); /* of the value itself */

/* For input from people: ERR_INVALID "<key>: must be ..." when present with another type; a missing
 * one leaves *ret as it is. */
int json_want_str(const json_t *object, const char *key, size_t max_bytes, struct str *ret,
                  struct err *err) must_check;
int json_want_bool(const json_t *object, const char *key, bool *ret, struct err *err) must_check;
int json_want_int(const json_t *object, const char *key, int64_t min, int64_t max, int64_t *ret,
                  struct err *err) must_check;

/* Compact text of a tree. */
void json_write_tree(struct strbuf *out, const json_t *value);

/* The writer places commas and colons. Keys are literals and are not escaped.
 *
 *     struct jsonw w = jsonw_begin(&out);
 *     jsonw_object(&w); jsonw_key(&w, "id"); jsonw_str(&w, id); jsonw_end_object(&w);
 */
struct jsonw {
    struct strbuf *out;
    bool comma; /* the next key or value follows another in the same container */
};

static inline struct jsonw jsonw_begin(struct strbuf *out) {
    return (struct jsonw){.out = out};
}
void jsonw_object(struct jsonw *w);
void jsonw_end_object(struct jsonw *w);
void jsonw_array(struct jsonw *w);
void jsonw_end_array(struct jsonw *w);
void jsonw_key(struct jsonw *w, const char *key);
void jsonw_str_key(struct jsonw *w, struct str key); /* any text, escaped */
void jsonw_str(struct jsonw *w, struct str s);       /* invalid UTF-8 becomes U+FFFD */
void jsonw_strz(struct jsonw *w, const char *z);
void jsonw_int(struct jsonw *w, int64_t v);
void jsonw_double(struct jsonw *w, double v); /* not finite becomes null */
void jsonw_bool(struct jsonw *w, bool v);
void jsonw_null(struct jsonw *w);
void jsonw_raw(struct jsonw *w, struct str json); /* one whole JSON value, as it is */
void jsonw_tree(struct jsonw *w, const json_t *value);

/* Key and value in one call. */
void jsonw_kstr(struct jsonw *w, const char *key, struct str s);
void jsonw_kstrz(struct jsonw *w, const char *key, const char *z);
void jsonw_kint(struct jsonw *w, const char *key, int64_t v);
void jsonw_kbool(struct jsonw *w, const char *key, bool v);
void jsonw_kraw(struct jsonw *w, const char *key, struct str json);

/* Only the escaped characters, without quotes. */
void json_escape(struct strbuf *out, struct str s);
