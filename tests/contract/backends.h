/* Databases for tests: each test gets an empty one on the backend it asks for and leaves nothing
 * behind. SQLite lives in a temporary directory. PostgreSQL is the server at ADJUTANT_TEST_PG_URL
 * (a superuser's URL), else a private cluster that the process starts at first use and that ends
 * with it. These functions block the loop; they are for the edges of a test.
 *
 *     BOTH_BACKENDS(rows_come_back) { struct db *db = ...db_open(&backend->options)... }
 *
 * defines two tests, rows_come_back_sqlite and rows_come_back_postgres, with one body. */
#pragma once
#include "db/db.h"
#include "test.h"

struct test_backend {
    enum db_backend kind;
    struct db_options options; /* short time limits, so that failing tests end */
    char *url, *directory, *path;
};

/* False, with the reason printed, when there is no such database. */
bool test_backend_open(enum db_backend kind, struct test_backend *ret);
void test_backend_close(struct test_backend *backend);

/* Runs SQL at once on a connection of its own, as superuser; false when it fails. */
bool test_pg_sql(const char *url, const char *sql);
/* The first column of the first row as a number; -1 when it fails. */
long long test_pg_number(const char *url, const char *sql);

/* A private cluster whatever the environment says, for tests that stop and restart the server. */
bool test_private_cluster_open(struct test_backend *ret);
/* "restart", "halt", "resume": see tools/pg-test-cluster. */
bool test_private_cluster(const char *verb);

void test_on_backend(enum db_backend kind, void (*body)(struct test_backend *backend));

#define BOTH_BACKENDS(name)                                                                        \
    static void name(struct test_backend *backend);                                                \
    TEST_FIBER(name##_sqlite) {                                                                    \
        test_on_backend(DB_SQLITE, name);                                                          \
    }                                                                                              \
    TEST_FIBER(name##_postgres) {                                                                  \
        test_on_backend(DB_POSTGRES, name);                                                        \
    }                                                                                              \
    static void name(struct test_backend *backend)
