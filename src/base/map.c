#include "base/map.h"

#include <uthash.h>

#include "base/mem.h"

struct map_entry {
    UT_hash_handle hh;
    void *value;
    size_t n;
    char key[];
};

static struct map_entry *find(const struct map *m, struct str key) {
    struct map_entry *e = NULL;
    HASH_FIND(hh, m->entries, key.p, key.n, e);
    return e;
}

void *map_get(const struct map *m, struct str key) {
    struct map_entry *e = find(m, key);
    return e ? e->value : NULL;
}

void map_put(struct map *m, struct str key, void *value) {
    struct map_entry *e = find(m, key);
    if (!e) {
        e = mem_alloc(sizeof *e + key.n + 1);
        memcpy(e->key, key.p, key.n);
        e->n = key.n;
        HASH_ADD_KEYPTR(hh, m->entries, e->key, e->n, e);
    }
    e->value = value;
}

void *map_remove(struct map *m, struct str key) {
    struct map_entry *e = find(m, key);
    if (!e) {
        return NULL;
    }
    void *value = e->value;
    HASH_DELETE(hh, m->entries, e);
    mem_free(e);
    return value;
}

size_t map_count(const struct map *m) {
    return HASH_COUNT(m->entries);
}

void map_done(struct map *m) {
    struct map_entry *e, *next;
    HASH_ITER(hh, m->entries, e, next) {
        HASH_DELETE(hh, m->entries, e);
        mem_free(e);
    }
}

void map_each(struct map *m, void (*visit)(struct str key, void *value, void *arg), void *arg) {
    struct map_entry *e, *next;
    HASH_ITER(hh, m->entries, e, next) {
        visit((struct str){e->key, e->n}, e->value, arg);
    }
}
