#include "base/secret.h"

#include <openssl/crypto.h>

#include "base/mem.h"

struct secret {
    size_t n;
    char bytes[];
};

struct secret *secret_new(struct str value) {
    struct secret *s = mem_alloc(sizeof *s + value.n + 1);
    s->n = value.n;
    if (value.n) {
        memcpy(s->bytes, value.p, value.n);
    }
    return s;
}

struct secret *secret_dup(const struct secret *s) {
    return s ? secret_new(secret_reveal(s)) : NULL;
}

void secret_free(struct secret *s) {
    if (s) {
        secret_wipe(s->bytes, s->n);
        mem_free(s);
    }
}

void secret_free_p(struct secret **s) {
    secret_free(*s);
}

struct str secret_reveal(const struct secret *s) {
    return s ? (struct str){s->bytes, s->n} : STR_EMPTY;
}

void secret_wipe(void *p, size_t n) {
    OPENSSL_cleanse(p, n);
}
