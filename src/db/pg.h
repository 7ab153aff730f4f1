/* Between pg*.c. A connection belongs to one fiber at a time, or lies idle in the pool. */
#pragma once
#include <libpq-fe.h>

#include "base/strbuf.h"
#include "db/driver.h"
#include "db/statement_map.h"

/* ---- pg_target.c: where to connect ---- */

struct pg_target;

int pg_target_parse(const char *url, struct pg_target **ret, struct err *err) must_check;
void pg_target_free(struct pg_target *target); /* accepts NULL */
void pg_target_free_p(struct pg_target **target);

enum { PG_MAX_PARAMS = 64 };

/* What PQconnectStartParams takes: names and values, both NULL-terminated. */
struct pg_params {
    const char *names[PG_MAX_PARAMS], *values[PG_MAX_PARAMS];
    unsigned n;
    struct arena arena;
};

/* With host names resolved, as libpq itself would block over them. */
may_yield int pg_target_resolve(const struct pg_target *target, int64_t limit_us,
                                struct pg_params *ret, struct err *err) must_check;
void pg_params_done(struct pg_params *params);

/* ---- pg_conn.c: one connection ---- */

enum { PG_MAX_VALUE_BYTES = 256 * 1024 * 1024 }; /* of one transaction */

struct pg_prepared {
    char name[64]; /* the server's */
    enum { PG_UNPREPARED, PG_PREPARING, PG_PREPARED } state;
};

struct pg_conn {
    PGconn *handle;
    uv_poll_t *poll; /* outlives the connection until libuv has closed it */
    int armed;       /* events the poll handle looks for */
    int arrived;     /* events since the wait began */
    bool waiting;    /* a fiber is in pg_conn_wait */
    bool dead;
    struct fiber_cond ready;
    /* Called on the loop's stack when bytes or an end arrive while nobody waits. */
    void (*on_idle)(struct pg_conn *c, void *arg);
    void *on_idle_arg;
    struct statement_map prepared; /* to struct pg_prepared */
    struct strbuf scratch;         /* parameters as libpq wants them */
    struct list node;
    int64_t idle_since_us;
};

struct pg_settings {
    const char *role; /* NULL: none */
    int64_t statement_timeout_ms;
    bool pipeline;
};

/* limit_us is monotonic time, here and below. */
may_yield int pg_conn_open(const struct pg_target *target, const struct pg_settings *settings,
                           int64_t limit_us, struct pg_conn **ret, struct err *err) must_check;
void pg_conn_close(struct pg_conn *c); /* accepts NULL */
/* 0 when one of the events came (c->arrived), -ERR_TIMEOUT, -ERR_CANCELLED. */
may_yield int pg_conn_wait(struct pg_conn *c, int events, int64_t limit_us);
/* Watches an idle connection. */
void pg_conn_watch(struct pg_conn *c);
/* False when the connection has ended; it is marked dead then. */
bool pg_conn_consume(struct pg_conn *c);
/* The rest fail with ERR_UNAVAILABLE, ERR_TIMEOUT or ERR_CANCELLED and mark the connection dead. */
may_yield int pg_conn_flush(struct pg_conn *c, int64_t limit_us, struct err *err) must_check;
may_yield int pg_conn_result(struct pg_conn *c, int64_t limit_us, PGresult **ret, struct err *err)
    must_check;
/* A script by the simple protocol, outside pipeline mode. on_rows may be NULL. A refusal of the
 * server is told like any statement's and leaves the connection alive. */
may_yield int pg_conn_exec(struct pg_conn *c, const char *sql, int64_t limit_us,
                           void (*on_rows)(const PGresult *rows, void *arg), void *arg,
                           struct err *err) must_check;

/* ---- pg_error.c ---- */

/* Maps a server's refusal. No values of parameters get into the message. */
int pg_error(const PGresult *result, const char *what, struct err *err);
/* The connection is of no more use: the server goes away, or forgot what was prepared. */
bool pg_error_is_fatal(const PGresult *result);
/* libpq's own message on one line. */
int pg_lost(const struct pg_conn *c, struct err *err);

/* ---- pg_pool.c ---- */

struct pg {
    struct db *db;
    struct pg_target *target;
    struct list idle;    /* of pg_conn, the longest idle first */
    struct list waiters; /* of struct waiter, first come first served */
    unsigned n_open, n_opening, n_busy, n_waiting;
    bool away; /* the last attempt to connect failed */
    unsigned failed_attempts;
    int64_t retry_at_us;
    struct err away_err;
    uint64_t commits;

    struct fiber_cond listen_changed;
    bool listening;
    struct list notes; /* of struct note, to be sent */
    bool sending_notes;
};

may_yield int pg_pool_open(struct pg *pg, struct err *err) must_check;
void pg_pool_close(struct pg *pg); /* after its fibers have ended */
may_yield int pg_acquire(struct pg *pg, int64_t timeout_ms, struct pg_conn **ret, struct err *err)
    must_check;
void pg_release(struct pg *pg, struct pg_conn *c);
/* How long to wait before attempt number n: doubling, with jitter, at most some seconds. */
int64_t pg_backoff_ms(unsigned n);

/* ---- pg_run.c ---- */

may_yield int pg_run(struct db_tx *tx, struct err *err);
void pg_drop_result(struct db_result *result);
struct db_value pg_cell(const struct db_tx *tx, const struct db_result *result, size_t row,
                        size_t column);

/* ---- pg_notify.c ---- */

int pg_listen(struct db *db, struct err *err);
may_yield int pg_notify(struct db *db, const char *channel, struct str payload, struct err *err);
