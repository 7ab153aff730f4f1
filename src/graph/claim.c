/* Turns that somebody left: adopted from dead owners, and taken from the queue. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "event/event.h"
#include "graph/internal.h"

enum { CLAIM_BATCH = 64, MIN_SCAN_MS = 250, CLAIM_TRIES = 60, CLAIM_PAUSE_MS = 1000 };

struct claim {
    struct turn_engine *engine;
    struct arena arena;
    struct str user_id, turn_id;
};

/* What clients have seen of a dead owner's run is replaced by what is stored. */
static int announce(struct turn *t, struct err *err) {
    event_run_started(turn_event(t), t->thread_id, t->turn_id);
    turn_emit(t);
    if (t->epoch > 0) {
        if (event_thread_snapshot(turn_event(t), t->engine->options.db, t->user_id, t->thread_id,
                                  err) < 0) {
            return -(int)err->code;
        }
        turn_emit(t);
    }
    return 0;
}

/* Goes back to where the checkpoint stands; without one the turn begins at its beginning. */
static int restore(struct turn *t, const struct turn_row *row, struct err *err) {
    struct turn_checkpoint checkpoint;
    struct turn_key key = {t->user_id, t->turn_id};
    if (turn_input_read(t, row->input, err) < 0) {
        return -(int)err->code;
    }
    int rc =
        turn_checkpoint_get(t->engine->options.db, key, t->thread_id, &t->arena, &checkpoint, err);
    if (rc < 0 && err->code != ERR_NOT_FOUND) {
        return rc;
    }
    if (rc == 0) {
        t->resume_at = node_find(checkpoint.node);
        turn_state_read(t, checkpoint.state);
        if (!t->resume_at) {
            return err_set(err, ERR_INTERNAL, "the checkpoint names an unknown node \"%.*s\"",
                           STR_ARG(checkpoint.node));
        }
    }
    return announce(t, err);
}

/* The turn is ours in the store: makes the object, and walks it in this fiber. */
static void begin(struct claim *c, const struct turn_row *row) {
    struct err err;
    struct turn *t = turn_new(c->engine, c->user_id, row->thread_id, c->turn_id);
    t->adopted = true;
    t->accepted = ACCEPT_DONE;
    t->position = row->position;
    t->epoch = row->epoch;
    t->step = row->step;
    t->message_seq = row->message_seq;
    t->cancel_requested = row->cancel_requested;
    t->run = run_open(c->engine->options.runs, c->user_id, row->thread_id, c->turn_id, row->epoch);
    t->fiber = fiber_self();
    turn_enter(t);
    if (restore(t, row, &err) < 0) {
        turn_fail(t, &err);
        return;
    }
    turn_walk_main(t);
}

/* A connection that broke says nothing about the commit; asking again with the same time does. A
 * turn that became ours and was not walked would wait for the end of this process. */
static int claim_patiently(struct claim *c, struct turn_row *ret, struct err *err) {
    struct turn_key key = {c->user_id, c->turn_id};
    /* Told apart from other claims of this process by its time. */
    int64_t now_us = c->engine->last_claim_us = MAX(clock_now_us(), c->engine->last_claim_us + 1);
    for (int tries = 1;; tries++) {
        int rc = turn_claim(c->engine->options.db, key, c->engine->process_id, now_us, &c->arena,
                            ret, err);
        if (rc != -ERR_UNAVAILABLE || tries == CLAIM_TRIES || fiber_sleep(CLAIM_PAUSE_MS) < 0) {
            return rc;
        }
    }
}

static void claim_main(void *arg) {
    struct claim *c = arg;
    struct turn_row row;
    struct err err;
    int rc = claim_patiently(c, &row, &err);
    if (rc == 0) {
        if (row.step > 0) {
            log_info("graph", "turn %.*s goes on here", STR_ARG(c->turn_id));
            c->engine->stats.adopted++;
        }
        begin(c, &row);
    } else if (err.code != ERR_CONFLICT && err.code != ERR_CANCELLED) {
        log_warn("graph", "turn %.*s could not be taken: %s", STR_ARG(c->turn_id), err.msg);
    }
    arena_done(&c->arena);
    mem_free(c);
}

void turn_take(struct turn_engine *e, struct str user_id, struct str turn_id) {
    struct err err;
    if (e->stopping || e->stats.running >= TURN_MAX_RUNNING) {
        return;
    }
    struct claim *c = mem_alloc(sizeof *c);
    c->engine = e;
    c->user_id = arena_str(&c->arena, user_id);
    c->turn_id = arena_str(&c->arena, turn_id);
    if (fiber_spawn(&e->turn_scope, "turn", claim_main, c, NULL, &err) < 0) {
        log_warn("graph", "turn %.*s waits: %s", STR_ARG(turn_id), err.msg);
        arena_done(&c->arena);
        mem_free(c);
    }
}

void turn_take_next(struct turn_engine *e, struct str user_id, struct str thread_id) {
    struct arena arena cleanup(arena_done) = {0};
    struct err err;
    struct str turn_id;
    if (turn_next_queued(e->options.db, user_id, thread_id, &arena, &turn_id, &err) == 0) {
        turn_take(e, user_id, turn_id);
    } else if (err.code != ERR_NOT_FOUND && err.code != ERR_CANCELLED) {
        log_warn("graph", "looking for the thread's next turn failed: %s", err.msg);
    }
}

static bool is_live_here(struct turn_engine *e, const struct turn_key *key) {
    list_each (node, &e->turns) {
        const struct turn *t = list_entry(node, struct turn, in_engine);
        if (str_eq(t->turn_id, key->turn_id) && str_eq(t->user_id, key->user_id)) {
            return true;
        }
    }
    return false;
}

static void claim_all(struct turn_engine *e) {
    struct arena arena cleanup(arena_done) = {0};
    struct turn_key *keys;
    struct err err;
    size_t n;
    if (turns_claimable(e->options.db, clock_now_us(), CLAIM_BATCH, &arena, &keys, &n, &err) < 0) {
        if (err.code != ERR_CANCELLED) {
            log_warn("graph", "looking for turns to take failed: %s", err.msg);
        }
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (!is_live_here(e, &keys[i])) {
            turn_take(e, keys[i].user_id, keys[i].turn_id);
        }
    }
}

void turn_claim_loop(void *engine) {
    struct turn_engine *e = engine;
    int64_t pause_ms = MAX(e->options.profile->lease_ms / 8, (int64_t)MIN_SCAN_MS);
    do {
        claim_all(e);
    } while (fiber_sleep(pause_ms) == 0);
}
