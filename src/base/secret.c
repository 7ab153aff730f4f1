#include "base/secret.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"

/* Secrets live in pages of their own, cut into pieces of powers of two: what is freed is wiped and
 * used again, the pages themselves are kept. Large ones get pages alone. A sanitizer sees more in
 * memory that is allocated one by one. */
enum {
    SMALLEST_SHIFT = 6,
    N_SIZES = 9, /* 64 bytes to 16 KiB */
    CHUNK_BYTES = 64 * 1024,
};

struct secret {
    size_t n;
    char bytes[];
};

#if defined(__SANITIZE_ADDRESS__)
static void *room_take(size_t size) {
    return mem_alloc(size);
}
static void room_give(void *p, size_t size) {
    (void)size;
    mem_free(p);
}
#else
struct piece {
    struct piece *next;
};

static struct piece *free_pieces[N_SIZES];

static void *take_pages(size_t size) {
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        fprintf(stderr, "adjutant: out of memory\n");
        abort();
    }
    (void)madvise(p, size, MADV_DONTDUMP);
    (void)mlock(p, size); /* best effort: RLIMIT_MEMLOCK may be small */
    return p;
}

static size_t size_class(size_t size) {
    size_t c = 0;
    while (c < N_SIZES && ((size_t)1 << (SMALLEST_SHIFT + c)) < size) {
        c++;
    }
    return c;
}

static void *room_take(size_t size) {
    size_t c = size_class(size);
    if (c == N_SIZES) {
        return take_pages(size);
    }
    if (!free_pieces[c]) {
        size_t piece = (size_t)1 << (SMALLEST_SHIFT + c);
        char *chunk = take_pages(CHUNK_BYTES);
        for (size_t at = 0; at < CHUNK_BYTES; at += piece) {
            struct piece *p = (struct piece *)(void *)(chunk + at);
            p->next = free_pieces[c];
            free_pieces[c] = p;
        }
    }
    struct piece *p = free_pieces[c];
    free_pieces[c] = p->next;
    p->next = NULL;
    return p;
}

static void room_give(void *p, size_t size) {
    size_t c = size_class(size);
    if (c == N_SIZES) {
        munmap(p, size);
        return;
    }
    ((struct piece *)p)->next = free_pieces[c];
    free_pieces[c] = p;
}
#endif

struct secret *secret_alloc(size_t n, char **ret_bytes) {
    struct secret *s = room_take(sizeof *s + n + 1);
    s->n = n;
    *ret_bytes = s->bytes;
    return s;
}

struct secret *secret_new(struct str value) {
    char *bytes;
    struct secret *s = secret_alloc(value.n, &bytes);
    if (value.n) {
        memcpy(bytes, value.p, value.n);
    }
    return s;
}

struct secret *secret_dup(const struct secret *s) {
    return s ? secret_new(secret_reveal(s)) : NULL;
}

void secret_free(struct secret *s) {
    if (s) {
        size_t size = sizeof *s + s->n + 1;
        secret_wipe(s, size);
        room_give(s, size);
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

void secret_strbuf_done(struct strbuf *b) {
    if (b->p) {
        secret_wipe(b->p, b->cap);
    }
    strbuf_done(b);
}
