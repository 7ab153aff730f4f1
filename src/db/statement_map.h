/* The prepared statements of one connection: from a statement's address to what the driver keeps
 * for it. Grows with the number of distinct statements in the program; nothing is ever removed. */
#pragma once
#include "base/attr.h"
#include "db/db.h"

struct statement_entry {
    const struct db_sql *sql;
    void *prepared;
};

struct statement_map {
    struct statement_entry *slots; /* a power of two of them */
    size_t count, capacity;
};

/* The place for `sql`, made when missing (prepared is NULL then). Valid until the next call. */
struct statement_entry *statement_map_at(struct statement_map *map, const struct db_sql *sql);
/* Frees the map; `drop` is called for each entry that has something prepared. */
void statement_map_done(struct statement_map *map, void (*drop)(void *prepared));
