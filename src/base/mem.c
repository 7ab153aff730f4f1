#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void out_of_memory(size_t size) {
    fprintf(stderr, "adjutant: out of memory (%zu bytes); restart, nothing acknowledged is lost\n",
            size);
    abort();
}

void *mem_alloc(size_t size) {
    void *p = calloc(1, size ? size : 1);
    if (!p) {
        out_of_memory(size);
    }
    return p;
}

void *mem_resize(void *p, size_t size) {
    void *q = realloc(p, size ? size : 1);
    if (!q) {
        out_of_memory(size);
    }
    return q;
}

void *mem_dup(const void *p, size_t size) {
    void *q = mem_alloc(size);
    if (size) {
        memcpy(q, p, size);
    }
    return q;
}

void mem_free(void *p) {
    free(p);
}

void mem_free_p(void *pointer_to_pointer) {
    free(*(void **)pointer_to_pointer);
}
