/* A small table for the tests of the database floor, and short ways to use it. */
#pragma once
#include "backends.h"
#include "db/migrate.h"

extern const struct db_sql sql_insert; /* id, n */
extern const struct db_sql sql_update; /* id, n */
extern const struct db_sql sql_count;
extern const struct db_sql sql_get;     /* id: n */
extern const struct db_sql sql_require; /* id, n: ends with "wrong_n" unless the thing has this n */
extern const struct db_sql sql_add;     /* id, by */
extern const struct db_sql sql_forever; /* runs for minutes */

/* Migrates and opens; NULL after reporting a failure. */
may_yield struct db *things_open(struct test_backend *backend);

/* One statement as a transaction; ret_first (may be NULL) gets its first column, -1 without rows.
 */
may_yield int things_run(struct db *db, enum db_mode mode, const struct db_sql *sql,
                         const struct db_value *values, size_t n, int64_t *ret_first,
                         struct err *err);
#define RUN(db, mode, sql, ret_first, err, ...)                                                    \
    things_run((db), (mode), (sql), (const struct db_value[]){__VA_ARGS__},                        \
               sizeof((const struct db_value[]){__VA_ARGS__}) / sizeof(struct db_value),           \
               (ret_first), (err))
may_yield int64_t things_count(struct db *db); /* -1 when it fails */
