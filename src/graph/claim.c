/* Turns that somebody left: adopted from dead owners, and taken from the queue. */
#include "base/clock.h"
#include "base/log.h"
#include "event/event.h"
#include "graph/internal.h"

enum {
    CLAIM_BATCH = 64,
    OWNED_BATCH = TURN_MAX_RUNNING + 1000,
    MIN_SCAN_MS = 250,
    CLAIM_TRIES = 3,
    CLAIM_PAUSE_MS = 200,
    /* A transaction given up as lost can still be committed for so long. */
    DOUBT_US = 120 * 1000 * 1000,
};

/* What clients have seen of a dead owner's run is replaced by what is stored. */
static int announce(struct turn *t, struct err *err) {
    struct patience patience = {0};
    int rc;
    event_run_started(turn_event(t), t->thread_id, t->turn_id);
    turn_emit(t);
    do {
        rc = event_thread_snapshot(turn_event(t), t->engine->options.db, t->user_id, t->thread_id,
                                   err);
    } while (rc < 0 && patience_left(t, &patience, err));
    if (rc == 0) {
        turn_emit(t);
    }
    return rc;
}

/* Goes back to where the checkpoint stands; without one the turn begins at its beginning. */
static int restore(struct turn *t, struct str input, struct err *err) {
    struct turn_checkpoint checkpoint;
    struct turn_key key = {t->user_id, t->turn_id};
    struct patience patience = {0};
    int rc;
    if (turn_input_read(t, input, err) < 0) {
        return -(int)err->code;
    }
    do {
        rc = turn_checkpoint_get(t->engine->options.db, key, t->thread_id, &t->arena, &checkpoint,
                                 err);
    } while (rc < 0 && patience_left(t, &patience, err));
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
    if (t->epoch - t->stored_epoch > TURN_MAX_ADOPTIONS) {
        return err_set(err, ERR_INTERNAL,
                       "The turn was interrupted %d times at the same place and was given up.",
                       TURN_MAX_ADOPTIONS);
    }
    return 0;
}

/* The turn is ours in the store: walks it in this fiber. */
static void begin(struct turn *t, const struct turn_row *row) {
    struct err err;
    t->thread_id = arena_str(&t->arena, row->thread_id);
    t->has_followers = true; /* maybe: whoever waits came before us */
    t->position = row->position;
    t->epoch = row->epoch;
    t->step = row->step;
    t->message_seq = row->message_seq;
    t->cancel_requested = t->cancel_requested || row->cancel_requested;
    t->run = run_open(t->engine->options.runs, t->user_id, t->thread_id, t->turn_id, t->epoch);
    turn_enter(t);
    turn_publish(t, TURN_RUNNING);
    if (announce(t, &err) < 0 || restore(t, row->input, &err) < 0) {
        turn_fail(t, &err);
        return;
    }
    turn_walk_main(t);
}

/* After a connection broke, asking again tells whether the turn is ours. */
static int claim(struct turn *t, struct turn_row *ret, struct err *err) {
    struct turn_engine *e = t->engine;
    struct turn_key key = {t->user_id, t->turn_id};
    /* Told apart from other claims of this process by its time. */
    int64_t now_us = e->last_claim_us = MAX(clock_now_us(), e->last_claim_us + 1);
    int rc;
    fiber_shield_enter();
    for (int i = 1;; i++) {
        rc = (t->lost ? turn_claim_own : turn_claim)(e->options.db, key, e->process_id, now_us,
                                                     &t->arena, ret, err);
        if (rc == 0 || !outcome_unknown(err->code) || i == CLAIM_TRIES || e->stopping) {
            break;
        }
        (void)fiber_sleep(CLAIM_PAUSE_MS);
    }
    fiber_shield_leave();
    if (rc < 0 && outcome_unknown(err->code)) {
        engine_doubt(e);
    }
    return rc;
}

static void claim_main(void *arg) {
    struct turn *t = arg;
    struct turn_row row;
    struct err err;
    if (t->engine->stopping) {
        turn_free(t);
    } else if (claim(t, &row, &err) == 0) {
        if (row.step > 0) {
            log_info("graph", "turn %.*s goes on here", STR_ARG(t->turn_id));
            t->engine->stats.adopted++;
        }
        begin(t, &row);
    } else {
        if (err.code != ERR_CONFLICT) {
            log_warn("graph", "turn %.*s could not be taken: %s", STR_ARG(t->turn_id), err.msg);
        }
        turn_free(t);
    }
}

static void take_turn(struct turn_engine *e, struct str user_id, struct str turn_id, bool lost) {
    struct err err;
    if (e->stopping || e->stats.running >= TURN_MAX_RUNNING || turn_find(e, user_id, turn_id)) {
        return;
    }
    struct turn *t = turn_new(e, user_id, STR_EMPTY, turn_id);
    t->adopted = true;
    t->accepted = ACCEPT_DONE;
    t->lost = lost;
    if (fiber_spawn(&e->turn_scope, "turn", claim_main, t, &t->fiber, &err) < 0) {
        log_warn("graph", "turn %.*s waits: %s", STR_ARG(turn_id), err.msg);
        turn_free(t);
    }
}

void turn_take(struct turn_engine *e, struct str user_id, struct str turn_id) {
    take_turn(e, user_id, turn_id, false);
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

static void take_all(struct turn_engine *e, const struct turn_key *keys, size_t n, bool lost) {
    for (size_t i = 0; i < n; i++) {
        take_turn(e, keys[i].user_id, keys[i].turn_id, lost);
    }
}

static void claim_all(struct turn_engine *e) {
    struct arena arena cleanup(arena_done) = {0};
    struct turn_key *keys;
    struct err err;
    size_t n;
    if (turns_claimable(e->options.db, clock_now_us(), CLAIM_BATCH, &arena, &keys, &n, &err) == 0) {
        take_all(e, keys, n, false);
    } else if (err.code != ERR_CANCELLED) {
        log_warn("graph", "looking for turns to take failed: %s", err.msg);
    }
}

/* What the store has as ours and nobody here knows of. Our own lease would keep everybody from it
 * for ever. */
static void claim_lost(struct turn_engine *e) {
    struct arena arena cleanup(arena_done) = {0};
    struct turn_key *keys;
    struct err err;
    size_t n;
    int64_t doubt_us = e->doubt_us, begun_us = clock_mono_us();
    if (turns_owned(e->options.db, e->process_id, OWNED_BATCH, &arena, &keys, &n, &err) < 0) {
        return; /* tried again at the next look */
    }
    take_all(e, keys, n, true);
    if (e->doubt_us == doubt_us && begun_us - doubt_us > DOUBT_US) {
        e->doubt_us = 0;
    }
}

/* ---- turns that others took ---- */

/* Its fiber would learn of it by its next step, which can be minutes away, and its readers hear
 * nothing of the new owner until then. */
static void let_go(struct turn_engine *e, struct turn_key key, const struct turn_row *row) {
    struct turn *t = turn_find(e, key.user_id, key.turn_id);
    if (t && t->run && t->fiber && row->epoch > t->epoch) {
        t->taken = true;
        fiber_cancel(t->fiber);
    }
}

static size_t keys_of_running(struct turn_engine *e, struct arena *arena, struct turn_key **ret) {
    struct turn_key *keys = arena_alloc(arena, e->stats.running * sizeof *keys);
    size_t n = 0;
    list_each (node, &e->turns) {
        const struct turn *t = list_entry(node, struct turn, in_engine);
        keys[n++] = (struct turn_key){.user_id = arena_str(arena, t->user_id),
                                      .turn_id = arena_str(arena, t->turn_id)};
    }
    *ret = keys;
    return n;
}

static void let_go_of_taken(struct turn_engine *e) {
    struct arena arena cleanup(arena_done) = {0};
    struct turn_key *keys;
    struct err err;
    size_t n = keys_of_running(e, &arena, &keys);
    e->lapsed = false;
    for (size_t i = 0; i < n; i++) {
        struct arena of_turn cleanup(arena_done) = {0};
        struct turn_row row;
        if (turn_get(e->options.db, keys[i], &of_turn, &row, &err) == 0) {
            let_go(e, keys[i], &row);
        } else if (err.code != ERR_NOT_FOUND) { /* which is one that is being accepted */
            e->lapsed = true;
            return; /* tried again at the next look */
        }
    }
}

void turn_claim_loop(void *engine) {
    struct turn_engine *e = engine;
    int64_t pause_ms = MAX(e->options.profile->lease_ms / 8, (int64_t)MIN_SCAN_MS);
    do {
        claim_all(e);
        if (e->doubt_us) {
            claim_lost(e);
        }
        if (e->lapsed) {
            let_go_of_taken(e);
        }
    } while (fiber_sleep(pause_ms) == 0);
}
