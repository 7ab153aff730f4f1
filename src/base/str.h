/* Views of bytes. A view owns nothing and need not end in NUL; whoever makes it says how long the
 * bytes live. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/attr.h"

struct str {
    const char *p;
    size_t n;
};

#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
#define STR_EMPTY ((struct str){"", 0})
/* For "%.*s". */
#define STR_ARG(s) (int)(s).n, (s).p

static inline struct str str_z(const char *z) {
    return z ? (struct str){z, strlen(z)} : STR_EMPTY;
}

static inline bool str_eq(struct str a, struct str b) {
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool str_eq_nocase(struct str a, struct str b); /* ASCII */
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
/* Position of the first occurrence, or SIZE_MAX. */
size_t str_find(struct str s, struct str needle);
size_t str_find_char(struct str s, char c);
/* ASCII white space off both ends. */
struct str str_trim(struct str s);
struct str str_skip(struct str s, size_t n); /* n beyond the end gives the empty view */
struct str str_head(struct str s, size_t n);

/* Splits at the first `c`: *rest becomes what is behind it (empty when there is none) and what
 * stood before is returned. */
struct str str_cut(struct str *rest, char c);

/* Whole view, decimal, optional sign; false (and *ret untouched) on anything else or on overflow.
 */
bool str_to_i64(struct str s, int64_t *ret);

/* A NUL-terminated copy on the heap. */
char *str_dup_z(struct str s);

/* Strict UTF-8 (RFC 3629): no surrogates, no overlong forms, nothing above U+10FFFF. */
bool str_is_utf8(struct str s);
/* The longest prefix of at most max bytes that does not cut a character in two. */
struct str str_utf8_head(struct str s, size_t max);
