/* Schema migrations: embedded, numbered, each in a transaction of its own, recorded in
 * schema_migrations with a digest.
 *
 * A migration is one SQL text for both backends; stretches between lines `--@postgresql` or
 * `--@sqlite` and `--@end` are for that backend only. Running again does nothing; a recorded
 * migration whose text changed is an error, a database that is newer than the program too.
 * Concurrent starts wait for each other (advisory lock; SQLite's writer lock). */
#pragma once
#include "db/db.h"

struct migration {
    int number; /* 1, 2, ... without gaps */
    const char *name;
    const char *sql;
};

/* Connects with options->url as its owner (options->role is not used). ret_applied counts what was
 * new. */
may_yield int db_migrate(const struct db_options *options, const struct migration *migrations,
                         size_t n, int *ret_applied, struct err *err) must_check;
/* Highest recorded number; 0 for an empty database. */
may_yield int db_migration_state(const struct db_options *options, int *ret_number, struct err *err)
    must_check;
