/* A bounded map that forgets what was used least recently. Values are dropped with a function. Only
 * tool/ includes this. */
#pragma once
#include "base/list.h"
#include "base/map.h"

struct cache {
    struct map by_key;
    struct list by_age; /* the front one goes first */
    size_t max;
    void (*drop)(void *value);
};

void cache_init(struct cache *c, size_t max, void (*drop)(void *value));
void cache_done(struct cache *c);
void *cache_get(struct cache *c, struct str key); /* NULL: absent */
/* Takes the value; drops the one that was there. */
void cache_put(struct cache *c, struct str key, void *value);
size_t cache_count(const struct cache *c);
void cache_drop_oldest(struct cache *c); /* there is one */
