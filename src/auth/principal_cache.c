#include "auth/principal_cache.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"

struct entry {
    struct list by_age; /* the front one goes first */
    int64_t until_us;
    uint64_t epoch;
    struct arena arena;
    struct str hash;
    struct principal principal;
};

struct principal_cache {
    struct map by_hash;
    struct list by_age;
};

struct principal_cache *principal_cache_new(void) {
    struct principal_cache *c = mem_alloc(sizeof *c);
    list_init(&c->by_age);
    return c;
}

static void forget(struct principal_cache *c, struct entry *e) {
    map_remove(&c->by_hash, e->hash);
    list_remove(&e->by_age);
    arena_done(&e->arena);
    mem_free(e);
}

void principal_cache_free(struct principal_cache *c) {
    list_each (node, &c->by_age) {
        forget(c, list_entry(node, struct entry, by_age));
    }
    map_done(&c->by_hash);
    mem_free(c);
}

static void copy(const struct principal *from, struct arena *arena, struct principal *ret) {
    *ret = *from;
    ret->user_id = arena_str(arena, from->user_id);
    ret->key_hash = arena_str(arena, from->key_hash);
}

void principal_cache_forget(struct principal_cache *c, struct str hash) {
    struct entry *e = map_get(&c->by_hash, hash);
    if (e) {
        forget(c, e);
    }
}

void principal_cache_forget_key(struct principal_cache *c, struct str key_hash) {
    list_each (node, &c->by_age) {
        struct entry *e = list_entry(node, struct entry, by_age);
        if (str_eq(e->principal.key_hash, key_hash)) {
            forget(c, e);
        }
    }
}

bool principal_cache_get(struct principal_cache *c, struct str hash, struct arena *arena,
                         struct principal *ret, uint64_t *ret_epoch) {
    struct entry *e = map_get(&c->by_hash, hash);
    if (e && clock_mono_us() >= e->until_us) {
        forget(c, e);
        e = NULL;
    }
    if (e) {
        copy(&e->principal, arena, ret);
        *ret_epoch = e->epoch;
    }
    return e != NULL;
}

void principal_cache_put(struct principal_cache *c, struct str hash, const struct principal *p,
                         uint64_t epoch) {
    principal_cache_forget(c, hash);
    if (map_count(&c->by_hash) >= PRINCIPAL_CACHE_MAX) {
        forget(c, list_entry(c->by_age.next, struct entry, by_age));
    }
    struct entry *e = mem_alloc(sizeof *e);
    e->until_us = clock_mono_us() + PRINCIPAL_CACHE_SECONDS * INT64_C(1000000);
    e->epoch = epoch;
    e->hash = arena_str(&e->arena, hash);
    copy(p, &e->arena, &e->principal);
    map_put(&c->by_hash, e->hash, e);
    list_push(&c->by_age, &e->by_age);
}
