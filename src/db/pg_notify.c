/* LISTEN on a connection of its own, NOTIFY through the pool. */
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "db/pg.h"

enum {
    EXEC_TIMEOUT_MS = 10 * 1000,
    /* A silent connection is asked so often whether it still lives. */
    LIVENESS_INTERVAL_MS = 60 * 1000,
};

/* ---- listening ---- */

static int64_t in_ms(int64_t ms) {
    return clock_mono_us() + ms * 1000;
}

static const struct db_listener *listener_at(const struct db *db, size_t n) {
    const struct list *node = db->listeners.next;
    while (node != &db->listeners && n-- > 0) {
        node = node->next;
    }
    return node == &db->listeners ? NULL : list_entry((void *)node, struct db_listener, node);
}

/* LISTEN for the channels from the n-th listener on; twice for the same channel is harmless. */
static int listen_from(struct pg *pg, struct pg_conn *c, size_t *n, struct err *err) {
    const struct db_listener *l;
    while ((l = listener_at(pg->db, *n))) {
        char sql[96];
        snprintf(sql, sizeof sql, "LISTEN %s", l->channel);
        if (pg_conn_exec(c, sql, in_ms(EXEC_TIMEOUT_MS), NULL, NULL, err) < 0) {
            return -(int)err->code;
        }
        ++*n;
    }
    return 0;
}

static void pass_on(struct pg *pg, struct pg_conn *c) {
    PGnotify *note;
    while ((note = PQnotifies(c->handle))) {
        db_deliver(pg->db, note->relname, str_z(note->extra));
        PQfreemem(note);
    }
}

/* Wakes the listening fiber by way of the connection it waits on. */
static void wake(struct pg *pg) {
    fiber_signal(&pg->listen_changed);
}

static void on_input(struct pg_conn *c, void *arg) {
    pg_conn_consume(c);
    if (c->dead) {
        uv_poll_stop(c->poll);
        c->armed = 0;
    }
    wake(arg);
}

/* Until the connection ends. */
static int serve(struct pg *pg, struct pg_conn *c, struct err *err) {
    size_t listened = 0;
    if (listen_from(pg, c, &listened, err) < 0) {
        return -(int)err->code;
    }
    db_deliver_lost(pg->db);
    c->on_idle = on_input;
    c->on_idle_arg = pg;
    for (;;) {
        if (listen_from(pg, c, &listened, err) < 0) {
            return -(int)err->code;
        }
        pg_conn_watch(c);
        pass_on(pg, c);
        int rc = c->dead ? 0 : fiber_wait(&pg->listen_changed, LIVENESS_INTERVAL_MS);
        if (rc == -ERR_CANCELLED) {
            return err_set(err, ERR_CANCELLED, "cancelled");
        }
        if (c->dead) {
            return pg_lost(c, err);
        }
        if (rc == -ERR_TIMEOUT &&
            pg_conn_exec(c, "SELECT 1", in_ms(EXEC_TIMEOUT_MS), NULL, NULL, err) < 0) {
            return -(int)err->code;
        }
    }
}

static void listen_fiber(void *arg) {
    struct pg *pg = arg;
    struct err err;
    unsigned failures = 0;
    struct pg_settings settings = {.role = pg->db->role, .statement_timeout_ms = EXEC_TIMEOUT_MS};
    for (;;) {
        struct pg_conn *c = NULL;
        int rc = pg_conn_open(pg->target, &settings, in_ms(pg->db->connect_timeout_ms), &c, &err);
        if (rc == 0) {
            failures = 0;
            rc = serve(pg, c, &err);
            pg_conn_close(c);
        }
        if (rc == -ERR_CANCELLED) {
            return;
        }
        log_warn("db", "listening was interrupted: %s", err.msg);
        if (fiber_sleep(pg_backoff_ms(failures++)) < 0) {
            return;
        }
    }
}

int pg_listen(struct db *db, struct err *err) {
    struct pg *pg = db->impl;
    if (pg->listening) {
        wake(pg);
        return 0;
    }
    if (fiber_spawn(&db->scope, "db listen", listen_fiber, pg, NULL, err) < 0) {
        return -(int)err->code;
    }
    pg->listening = true;
    return 0;
}

/* ---- notifying ---- */

struct note {
    struct list node;
    const char *channel;
    struct str payload;
    bool done;
    int rc;
    struct err err;
    struct fiber_cond changed; /* done, or it is this one's turn to send */
};

/* A notification alone has nothing to make durable, and committing it is not worth an fsync. */
static const struct db_sql sql_async_commit =
    DB_SQL("async_commit", "SELECT set_config('synchronous_commit', 'off', true)");
static const struct db_sql sql_notify = DB_SQL("notify", "SELECT pg_notify($1, $2)");

/* Sends what is queued, this fiber's own first, as one transaction. */
static void send_notes(struct db *db) {
    struct pg *pg = db->impl;
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, STR_EMPTY, DB_WRITE);
    struct list batch;
    struct err err;

    list_init(&batch);
    db_tx_add_values(tx, &sql_async_commit, NULL, 0);
    while (tx->n_statements < DB_MAX_STATEMENTS && !list_empty(&pg->notes)) {
        struct note *note = list_entry(list_pop(&pg->notes), struct note, node);
        list_push(&batch, &note->node);
        db_tx_add(tx, &sql_notify, db_textz(note->channel), db_text(note->payload));
    }
    int rc = pg_run(tx, &err);
    while (!list_empty(&batch)) {
        struct note *note = list_entry(list_pop(&batch), struct note, node);
        note->done = true;
        note->rc = rc;
        if (rc < 0) {
            note->err = err;
        }
        fiber_signal(&note->changed);
    }
}

static void lead(struct db *db) {
    struct pg *pg = db->impl;
    pg->sending_notes = true;
    send_notes(db);
    pg->sending_notes = false;
    if (!list_empty(&pg->notes)) {
        fiber_signal(&list_entry(pg->notes.next, struct note, node)->changed);
    }
}

int pg_notify(struct db *db, const char *channel, struct str payload, struct err *err) {
    struct pg *pg = db->impl;
    struct note note = {.channel = channel, .payload = payload};

    fiber_cond_init(&note.changed);
    list_push(&pg->notes, &note.node);
    /* One fiber sends for all that came meanwhile, so being cancelled must not fail the others;
     * acquiring and answering have their time limits. */
    fiber_shield_enter();
    while (!note.done) {
        if (!pg->sending_notes) {
            lead(db);
        } else {
            (void)!fiber_wait(&note.changed, FIBER_FOREVER);
        }
    }
    fiber_shield_leave();
    if (note.rc < 0) {
        *err = note.err;
    }
    return note.rc;
}
