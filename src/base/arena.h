/* Memory that goes all at once: a turn's, a request's, a parser's. Nothing in it is freed alone. */
#pragma once
#include "base/str.h"

struct arena_block;

struct arena {
    struct arena_block *head;
    size_t total_bytes;
};

void arena_done(struct arena *a);
void *arena_alloc(struct arena *a, size_t size)
    __attribute__((returns_nonnull));                /* zeroed, aligned for anything */
struct str arena_str(struct arena *a, struct str s); /* a copy, followed by a NUL */
char *arena_z(struct arena *a, struct str s);        /* the same as a C string */
struct str arena_printf(struct arena *a, const char *fmt, ...) printf_like(2, 3);
