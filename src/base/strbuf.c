#include "base/strbuf.h"

#include <stdio.h>

#include "base/mem.h"

enum { FIRST_CAPACITY = 64 };

void strbuf_done(struct strbuf *b) {
    mem_free(b->p);
    *b = STRBUF(b->max);
}

char *strbuf_room(struct strbuf *b, size_t n) {
    if (b->failed || n > b->max || b->n > b->max - n) {
        b->failed = true;
        return NULL;
    }
    size_t need = b->n + n + 1;
    if (need > b->cap) {
        size_t cap = MAX(need, MIN(b->cap ? b->cap * 2 : FIRST_CAPACITY, b->max + 1));
        b->p = mem_resize(b->p, cap);
        b->cap = cap;
    }
    return b->p + b->n;
}

void strbuf_claim(struct strbuf *b, size_t n) {
    b->n += n;
    b->p[b->n] = '\0';
}

void strbuf_add(struct strbuf *b, struct str s) {
    char *room = strbuf_room(b, s.n);
    if (room) {
        if (s.n) {
            memcpy(room, s.p, s.n);
        }
        strbuf_claim(b, s.n);
    }
}

void strbuf_addz(struct strbuf *b, const char *z) {
    strbuf_add(b, str_z(z));
}

void strbuf_addc(struct strbuf *b, char c) {
    strbuf_add(b, (struct str){&c, 1});
}

void strbuf_addfv(struct strbuf *b, const char *fmt, va_list ap) {
    char small[256];
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(small, sizeof small, fmt, ap);
    if (n >= 0 && (size_t)n < sizeof small) {
        strbuf_add(b, (struct str){small, (size_t)n});
    } else if (n >= 0) {
        char *room = strbuf_room(b, (size_t)n);
        if (room) {
            vsnprintf(room, (size_t)n + 1, fmt, again);
            strbuf_claim(b, (size_t)n);
        }
    }
    va_end(again);
}

void strbuf_addf(struct strbuf *b, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    strbuf_addfv(b, fmt, ap);
    va_end(ap);
}

void strbuf_add_i64(struct strbuf *b, int64_t v) {
    char digits[24], *p = digits + sizeof digits;
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    do {
        *--p = (char)('0' + u % 10);
        u /= 10;
    } while (u);
    if (v < 0) {
        *--p = '-';
    }
    strbuf_add(b, (struct str){p, (size_t)(digits + sizeof digits - p)});
}

void strbuf_consume(struct strbuf *b, size_t n) {
    if (n >= b->n) {
        strbuf_truncate(b, 0);
    } else if (n) {
        memmove(b->p, b->p + n, b->n - n + 1);
        b->n -= n;
    }
}

void strbuf_reset(struct strbuf *b) {
    b->failed = false;
    strbuf_truncate(b, 0);
}

void strbuf_truncate(struct strbuf *b, size_t n) {
    if (b->p && n <= b->n) {
        b->n = n;
        b->p[n] = '\0';
    }
}

int strbuf_check(const struct strbuf *b, const char *what, struct err *err) {
    return b->failed ? err_set(err, ERR_LIMIT, "%s is larger than %zu bytes", what, b->max) : 0;
}
