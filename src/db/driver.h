/* What the two drivers (pg*.c, sqlite*.c) share with db.c; nobody else includes this. A driver runs
 * whole transactions and keeps their results in its own form, which the accessors read through
 * `cell`. */
#pragma once
#include "base/arena.h"
#include "base/list.h"
#include "db/db.h"

struct db_statement {
    const struct db_sql *sql;
    unsigned first_value, n_values;
};

/* One statement's rows. `data` is the driver's: a PGresult, or an array of SQLite cells. */
struct db_result {
    void *data;
    size_t rows, columns;
    int64_t affected;
};

struct db_tx {
    struct db *db;                  /* may be closed once the transaction was run, */
    const struct db_driver *driver; /* while results are still read and freed */
    struct str user_id;
    enum db_mode mode;
    bool done; /* results are there */
    int64_t acquire_timeout_ms, statement_timeout_ms;
    int64_t answer_timeout_ms; /* for the whole of it, when the server is silent */
    struct db_statement *statements;
    struct db_result *results; /* as many as there are statements */
    unsigned n_statements, cap_statements;
    struct db_value *values;
    unsigned n_values, cap_values;
    struct arena *arena; /* what results and conversions live in */
    struct arena arena_memory;
};

struct db_driver {
    enum db_backend backend;
    may_yield int (*open)(struct db *db, struct err *err);
    may_yield void (*close)(struct db *db);
    /* Fills tx->results; on failure they are dropped by the caller. */
    may_yield int (*run)(struct db_tx *tx, struct err *err);
    void (*drop_result)(struct db_result *result);
    /* DB_NULL, DB_TEXT, DB_INT, DB_DOUBLE, DB_BYTES or DB_TIME. */
    struct db_value (*cell)(const struct db_tx *tx, const struct db_result *result, size_t row,
                            size_t column);
    /* A channel was added to db->listeners. */
    int (*listen)(struct db *db, struct err *err);
    may_yield int (*notify)(struct db *db, const char *channel, struct str payload,
                            struct err *err);
    void (*stats)(const struct db *db, struct db_stats *ret);
};

extern const struct db_driver db_driver_pg, db_driver_sqlite;

/* The k-th transaction fails, or the process is killed at it: see db_fail_at. */
struct db_fault {
    uint64_t countdown; /* 0: off */
    enum err_code code;
    bool after_commit;
    bool kill; /* counts writes, and ends the process as a power cut would */
};

struct db {
    const struct db_driver *driver;
    void *impl;
    char *url, *sqlite_path, *role;
    unsigned pool_size;
    int64_t connect_timeout_ms, acquire_timeout_ms, statement_timeout_ms;
    struct fiber_scope scope; /* the fibers of driver and delivery */
    struct db_fault fault;
    uint64_t transactions, errors;

    struct list listeners; /* of db_listener; only ever grows */
    struct list messages;  /* of db_message, waiting for the delivery fiber */
    unsigned n_messages;
    bool delivering, messages_lost;
    struct fiber_cond message_added;
};

struct db_listener {
    struct list node;
    char *channel;
    void (*on_notify)(struct str payload, void *arg);
    void (*on_lost)(void *arg);
    void *arg;
};

/* notify.c: hands a message to the listeners of its channel, by way of the delivery fiber. */
void db_deliver(struct db *db, const char *channel, struct str payload);
void db_deliver_lost(struct db *db);
void db_delivery_done(struct db *db); /* after the scope has ended */

/* ---- a single connection for migrations, used by one fiber ---- */

struct db_session;

struct db_table {
    size_t rows, columns;
    struct str *cells; /* row by row, in the arena; p == NULL for NULL */
};

may_yield int db_session_open(const struct db_options *options, struct db_session **ret,
                              struct err *err) must_check;
may_yield void db_session_close(struct db_session *session); /* accepts NULL */
enum db_backend db_session_backend(const struct db_session *session);
/* Runs a script of any number of statements, at most timeout_ms; ret_table (may be NULL) gets the
 * rows of the last statement that had any. The text must not hold values from outside. */
may_yield int db_session_exec(struct db_session *session, const char *sql, int64_t timeout_ms,
                              struct arena *arena, struct db_table *ret_table, struct err *err)
    must_check;

struct db_session_driver {
    enum db_backend backend;
    may_yield int (*open)(const struct db_options *options, void **ret, struct err *err);
    may_yield void (*close)(void *session);
    may_yield int (*exec)(void *session, const char *sql, int64_t timeout_ms, struct arena *arena,
                          struct db_table *ret_table, struct err *err);
};

extern const struct db_session_driver db_session_driver_pg, db_session_driver_sqlite;
