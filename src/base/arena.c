#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"

enum { BLOCK_BYTES = 4096 - 64, ALIGNMENT = 16 };

struct arena_block {
    struct arena_block *next;
    size_t used, size;
    _Alignas(ALIGNMENT) char bytes[];
};

void arena_done(struct arena *a) {
    while (a->head) {
        struct arena_block *next = a->head->next;
        mem_free(a->head);
        a->head = next;
    }
    a->total_bytes = 0;
}

void *arena_alloc(struct arena *a, size_t size) {
    size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    struct arena_block *block = a->head;
    if (!block || block->size - block->used < size) {
        size_t capacity = MAX(size, (size_t)BLOCK_BYTES);
        block = mem_alloc(sizeof *block + capacity);
        block->size = capacity;
        a->total_bytes += capacity;
        if (a->head && size > BLOCK_BYTES / 2) { /* keep filling the block that has room */
            block->next = a->head->next;
            a->head->next = block;
        } else {
            block->next = a->head;
            a->head = block;
        }
    }
    void *p = block->bytes + block->used;
    block->used += size;
    return p;
}

char *arena_z(struct arena *a, struct str s) {
    char *z = arena_alloc(a, s.n + 1);
    if (s.n) {
        memcpy(z, s.p, s.n);
    }
    return z;
}

struct str arena_str(struct arena *a, struct str s) {
    return (struct str){arena_z(a, s), s.n};
}

struct str arena_printf(struct arena *a, const char *fmt, ...) {
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *z = arena_alloc(a, (size_t)MAX(n, 0) + 1);
    if (n > 0) {
        vsnprintf(z, (size_t)n + 1, fmt, again);
    }
    va_end(again);
    return (struct str){z, (size_t)MAX(n, 0)};
}
