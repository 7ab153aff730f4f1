#include "tool/cache.h"

#include "base/mem.h"

struct entry {
    struct list by_age;
    void *value;
    size_t n;
    char key[];
};

void cache_init(struct cache *c, size_t max, void (*drop)(void *value)) {
    *c = (struct cache){.max = max, .drop = drop};
    list_init(&c->by_age);
}

static void forget(struct cache *c, struct entry *e) {
    map_remove(&c->by_key, (struct str){e->key, e->n});
    list_remove(&e->by_age);
    c->drop(e->value);
    mem_free(e);
}

void cache_done(struct cache *c) {
    list_each (node, &c->by_age) {
        forget(c, list_entry(node, struct entry, by_age));
    }
    map_done(&c->by_key);
}

void *cache_get(struct cache *c, struct str key) {
    struct entry *e = map_get(&c->by_key, key);
    if (!e) {
        return NULL;
    }
    list_remove(&e->by_age);
    list_push(&c->by_age, &e->by_age);
    return e->value;
}

size_t cache_count(const struct cache *c) {
    return map_count(&c->by_key);
}

void cache_drop_oldest(struct cache *c) {
    forget(c, list_entry(c->by_age.next, struct entry, by_age));
}

void cache_put(struct cache *c, struct str key, void *value) {
    struct entry *e = map_get(&c->by_key, key);
    if (e) {
        forget(c, e);
    } else if (cache_count(c) >= c->max) {
        cache_drop_oldest(c);
    }
    e = mem_alloc(sizeof *e + key.n);
    e->value = value;
    e->n = key.n;
    memcpy(e->key, key.p, key.n);
    map_put(&c->by_key, key, e);
    list_push(&c->by_age, &e->by_age);
}
