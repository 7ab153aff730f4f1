/* Strings to pointers. Keys are copied; values belong to the caller. */
#pragma once
#include <stdbool.h>

#include "base/str.h"

struct map_entry;

struct map {
    struct map_entry *entries;
};

void *map_get(const struct map *m, struct str key);       /* NULL when absent */
void map_put(struct map *m, struct str key, void *value); /* replaces */
void *map_remove(struct map *m, struct str key);          /* what was there, or NULL */
size_t map_count(const struct map *m);
void map_done(struct map *m); /* frees keys; values are the caller's */

/* Calls visit for each; visit may remove the entry it was given, and no other. */
void map_each(struct map *m, void (*visit)(struct str key, void *value, void *arg), void *arg);
