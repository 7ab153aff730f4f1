/* Connections are opened by fibers of the pool, as many as somebody waits for, and handed to the
 * waiters in order. While the server cannot be reached one of them goes on trying. */
#include <assert.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "db/pg.h"

enum {
    IDLE_LIMIT_MS = 3 * 60 * 1000,
    REAP_INTERVAL_MS = 30 * 1000,
    FIRST_BACKOFF_MS = 100,
    MAX_BACKOFF_MS = 2000,
    AWAY_WAIT_MS = 1000,
};

struct waiter {
    struct list node;
    struct pg_conn *conn; /* handed over */
    struct fiber_cond served;
};

int64_t pg_backoff_ms(unsigned n) {
    int64_t ms = n < 6 ? (int64_t)FIRST_BACKOFF_MS << n : MAX_BACKOFF_MS;
    uint32_t random;
    crypto_random(&random, sizeof random);
    ms = MIN(ms, (int64_t)MAX_BACKOFF_MS);
    return ms / 2 + (int64_t)(random % (uint32_t)(ms / 2 + 1));
}

/* ---- opening ---- */

static void pool_grow(struct pg *pg);

static void drop(struct pg *pg, struct pg_conn *c) {
    pg_conn_close(c);
    pg->n_open--;
}

/* Something came while nobody waited: a notice, or the end. */
static void on_idle_input(struct pg_conn *c, void *arg) {
    struct pg *pg = arg;
    if (pg_conn_consume(c)) {
        pg_conn_watch(c);
    } else {
        list_remove(&c->node);
        drop(pg, c);
    }
}

static void hand_out(struct pg *pg, struct pg_conn *c) {
    if (list_empty(&pg->waiters)) {
        c->idle_since_us = clock_mono_us();
        pg_conn_watch(c);
        list_push(&pg->idle, &c->node);
        return;
    }
    struct waiter *w = list_entry(list_pop(&pg->waiters), struct waiter, node);
    w->conn = c;
    pg->n_busy++;
    fiber_signal(&w->served);
}

static int open_one(struct pg *pg, struct pg_conn **ret, struct err *err) {
    struct pg_settings settings = {.role = pg->db->role,
                                   .statement_timeout_ms = pg->db->statement_timeout_ms,
                                   .pipeline = true};
    int64_t limit_us = clock_mono_us() + pg->db->connect_timeout_ms * 1000;
    if (pg_conn_open(pg->target, &settings, limit_us, ret, err) < 0) {
        return -(int)err->code;
    }
    (*ret)->on_idle = on_idle_input;
    (*ret)->on_idle_arg = pg;
    return 0;
}

static void note_reachable(struct pg *pg) {
    if (pg->away) {
        log_info("db", "the database can be reached again");
    }
    pg->away = false;
    pg->failed_attempts = 0;
}

static void note_away(struct pg *pg, const struct err *err) {
    if (!pg->away) {
        log_warn("db", "the database cannot be reached: %s", err->msg);
    }
    pg->away = true;
    pg->away_err = *err;
    pg->retry_at_us = clock_mono_us() + pg_backoff_ms(pg->failed_attempts++) * 1000;
}

/* Tries until there is a connection, or nobody waits for one, or somebody else tries as well. */
static void opener(void *arg) {
    struct pg *pg = arg;
    struct pg_conn *c;
    struct err err;
    int rc = 0;
    do {
        int64_t pause_us = pg->away ? pg->retry_at_us - clock_mono_us() : 0;
        if (pause_us > 0 && fiber_sleep(pause_us / 1000 + 1) < 0) {
            break;
        }
        rc = open_one(pg, &c, &err);
        if (rc == 0) {
            pg->n_opening--;
            pg->n_open++;
            note_reachable(pg);
            hand_out(pg, c);
            pool_grow(pg);
            return;
        }
        if (rc == -ERR_CANCELLED) {
            break;
        }
        note_away(pg, &err);
    } while (!list_empty(&pg->waiters) && pg->n_opening == 1);
    pg->n_opening--;
}

static void pool_grow(struct pg *pg) {
    struct err err;
    while (pg->n_opening < pg->n_waiting && pg->n_open + pg->n_opening < pg->db->pool_size &&
           (!pg->away || pg->n_opening == 0)) {
        pg->n_opening++;
        if (fiber_spawn(&pg->db->scope, "db connect", opener, pg, NULL, &err) < 0) {
            pg->n_opening--;
            return; /* the waiters run into their time limit */
        }
    }
}

/* ---- taking and giving ---- */

static int not_served(const struct pg *pg, int rc, int64_t limit_us, struct err *err) {
    enum { TIMER_SLACK_US = 2000 };
    if (rc == -ERR_CANCELLED) {
        return err_set(err, ERR_CANCELLED, "cancelled");
    }
    if (pg->away) {
        *err = pg->away_err;
        err->code = ERR_UNAVAILABLE;
        return err_prefix(err, "the database cannot be reached");
    }
    if (clock_mono_us() + TIMER_SLACK_US < limit_us) {
        return err_set(err, ERR_TIMEOUT, "timed out while waiting for the database");
    }
    if (pg->n_open == 0) {
        return err_set(err, ERR_UNAVAILABLE, "the database could not be reached in time");
    }
    return err_set(err, ERR_BUSY, "all %u connections to the database are in use", pg->n_open);
}

static int wait_for_one(struct pg *pg, int64_t timeout_ms, struct pg_conn **ret, struct err *err) {
    struct waiter waiter = {.conn = NULL};
    /* While the server is known to be away, a request should hear so soon, and a short restart
     * still be bridged. */
    timeout_ms = pg->away ? MIN(timeout_ms, (int64_t)AWAY_WAIT_MS) : timeout_ms;
    int64_t limit_us = clock_mono_us() + timeout_ms * 1000;
    int rc = 0;

    fiber_cond_init(&waiter.served);
    list_push(&pg->waiters, &waiter.node);
    pg->n_waiting++;
    pool_grow(pg);
    while (!waiter.conn && rc == 0) {
        int64_t left_ms = (limit_us - clock_mono_us() + 999) / 1000;
        rc = fiber_wait(&waiter.served, MAX(left_ms, (int64_t)0));
    }
    pg->n_waiting--;
    list_remove(&waiter.node);
    if (!waiter.conn) {
        return not_served(pg, rc, limit_us, err);
    }
    if (rc == -ERR_CANCELLED) {
        pg_release(pg, waiter.conn);
        return err_set(err, ERR_CANCELLED, "cancelled");
    }
    *ret = waiter.conn;
    return 0;
}

int pg_acquire(struct pg *pg, int64_t timeout_ms, struct pg_conn **ret, struct err *err) {
    if (list_empty(&pg->idle) || !list_empty(&pg->waiters)) {
        return wait_for_one(pg, timeout_ms, ret, err);
    }
    /* The one used last: its statements are prepared and its server process is warm. */
    struct list *node = pg->idle.prev;
    list_remove(node);
    pg->n_busy++;
    *ret = list_entry(node, struct pg_conn, node);
    return 0;
}

void pg_release(struct pg *pg, struct pg_conn *c) {
    pg->n_busy--;
    if (c->dead) {
        drop(pg, c);
        pool_grow(pg);
    } else {
        hand_out(pg, c);
    }
}

/* ---- the pool ---- */

static void reaper(void *arg) {
    struct pg *pg = arg;
    while (fiber_sleep(REAP_INTERVAL_MS) == 0) {
        int64_t limit_us = clock_mono_us() - (int64_t)IDLE_LIMIT_MS * 1000;
        /* The newest stays, so that the next one need not wait. */
        while (!list_empty(&pg->idle) && pg->idle.next != pg->idle.prev) {
            struct pg_conn *c = list_entry(pg->idle.next, struct pg_conn, node);
            if (c->idle_since_us > limit_us) {
                break;
            }
            list_remove(&c->node);
            drop(pg, c);
        }
    }
}

int pg_pool_open(struct pg *pg, struct err *err) {
    struct pg_conn *c;
    list_init(&pg->idle);
    list_init(&pg->waiters);
    if (open_one(pg, &c, err) < 0) {
        return -(int)err->code;
    }
    if (fiber_spawn(&pg->db->scope, "db pool", reaper, pg, NULL, err) < 0) {
        pg_conn_close(c);
        return -(int)err->code;
    }
    pg->n_open = 1;
    hand_out(pg, c);
    return 0;
}

void pg_pool_close(struct pg *pg) {
    assert(pg->n_busy == 0 && pg->n_opening == 0 && list_empty(&pg->waiters));
    while (!list_empty(&pg->idle)) {
        drop(pg, list_entry(list_pop(&pg->idle), struct pg_conn, node));
    }
}
