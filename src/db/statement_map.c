#include "db/statement_map.h"

#include "base/mem.h"

enum { INITIAL_CAPACITY = 64 };

static size_t slot_of(const struct statement_map *map, const struct db_sql *sql) {
    /* Fibonacci hashing: the upper bits of the product are well mixed. */
    uint64_t hash = (uint64_t)(uintptr_t)sql * UINT64_C(0x9E3779B97F4A7C15);
    size_t i = (size_t)(hash >> 32) & (map->capacity - 1);
    while (map->slots[i].sql && map->slots[i].sql != sql) {
        i = (i + 1) & (map->capacity - 1);
    }
    return i;
}

static void grow(struct statement_map *map) {
    struct statement_map bigger = {.capacity = map->capacity ? map->capacity * 2 : INITIAL_CAPACITY,
                                   .count = map->count};
    bigger.slots = mem_alloc(bigger.capacity * sizeof *bigger.slots);
    for (size_t i = 0; i < map->capacity; i++) {
        if (map->slots[i].sql) {
            bigger.slots[slot_of(&bigger, map->slots[i].sql)] = map->slots[i];
        }
    }
    mem_free(map->slots);
    *map = bigger;
}

struct statement_entry *statement_map_at(struct statement_map *map, const struct db_sql *sql) {
    if (map->count * 2 >= map->capacity) {
        grow(map);
    }
    struct statement_entry *entry = &map->slots[slot_of(map, sql)];
    if (!entry->sql) {
        entry->sql = sql;
        map->count++;
    }
    return entry;
}

void statement_map_done(struct statement_map *map, void (*drop)(void *prepared)) {
    for (size_t i = 0; i < map->capacity; i++) {
        if (map->slots[i].prepared) {
            drop(map->slots[i].prepared);
        }
    }
    mem_free(map->slots);
    *map = (struct statement_map){0};
}
