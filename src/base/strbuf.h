/* A growing byte buffer with a maximum. Appending beyond the maximum marks the buffer as failed and
 * drops the bytes; every later append does nothing. So a chain of appends is checked once, at its
 * end:
 *
 *     struct strbuf out cleanup(strbuf_done) = STRBUF(LIMIT_PROMPT_BYTES);
 *     strbuf_add(&out, name);
 *     strbuf_addf(&out, "=%d", n);
 *     if (strbuf_check(&out, "prompt", err) < 0) return -err->code;
 */
#pragma once
#include <stdarg.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"

struct strbuf {
    char *p; /* NULL until the first append; else p[n] is NUL */
    size_t n, cap, max;
    bool failed;
};

#define STRBUF(max_bytes) ((struct strbuf){.max = (max_bytes)})

void strbuf_done(struct strbuf *b);
void strbuf_add(struct strbuf *b, struct str s);
void strbuf_addz(struct strbuf *b, const char *z);
void strbuf_addc(struct strbuf *b, char c);
void strbuf_addf(struct strbuf *b, const char *fmt, ...) printf_like(2, 3);
void strbuf_addfv(struct strbuf *b, const char *fmt, va_list ap) printf_like(2, 0);
void strbuf_add_i64(struct strbuf *b, int64_t v);
/* Room for n more bytes at p + n, to be claimed with strbuf_claim; NULL (and failed) beyond the
 * maximum. */
char *strbuf_room(struct strbuf *b, size_t n);
void strbuf_claim(struct strbuf *b, size_t n);
void strbuf_consume(struct strbuf *b, size_t n); /* drops the first n bytes */
void strbuf_reset(struct strbuf *b);             /* empty and not failed; keeps the memory */
void strbuf_truncate(struct strbuf *b, size_t n);

static inline struct str strbuf_str(const struct strbuf *b) {
    return b->p ? (struct str){b->p, b->n} : STR_EMPTY;
}
/* NUL-terminated view, "" when nothing was added. */
static inline const char *strbuf_z(const struct strbuf *b) {
    return b->p ? b->p : "";
}

/* ERR_LIMIT with "what is larger than N bytes" when an append failed. */
int strbuf_check(const struct strbuf *b, const char *what, struct err *err) must_check;
