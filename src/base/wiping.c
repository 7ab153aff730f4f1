#include "base/wiping.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"

void *wiping_malloc(size_t size) {
    return malloc(size);
}

void *wiping_calloc(size_t n, size_t size) {
    return calloc(n, size);
}

void wiping_free(void *p) {
    if (p) {
        secret_wipe(p, malloc_usable_size(p));
        free(p);
    }
}

void *wiping_realloc(void *p, size_t size) {
    size_t before = p ? malloc_usable_size(p) : 0;
    if (p && size > 0 && size <= before && size >= before / 2) {
        return p;
    }
    void *q = malloc(size);
    if (q && p) {
        memcpy(q, p, size < before ? size : before);
        wiping_free(p);
    }
    return q;
}

char *wiping_strdup(const char *z) {
    size_t size = strlen(z) + 1;
    char *copy = malloc(size);
    return copy ? memcpy(copy, z, size) : NULL;
}
