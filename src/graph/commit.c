/* Storing a step. */
#include <assert.h>

#include "base/clock.h"
#include "base/log.h"
#include "graph/internal.h"

enum {
    DATABASE_PATIENCE_MS = 120 * 1000, /* a turn waits this long for a database that is away */
    FIRST_DELAY_MS = 50,
    MAX_DELAY_MS = 2000,
    MAX_EVENT_LINES_BYTES = 64 * 1024 * 1024,
};

struct strbuf *turn_event(struct turn *t) {
    strbuf_reset(&t->event);
    return &t->event;
}

void turn_emit(struct turn *t) {
    run_emit(t->run, strbuf_str(&t->event));
}

void turn_hold(struct turn *t) {
    if (!t->holding) {
        t->holding = true;
        t->held_after = run_last_seq(t->run);
        run_hold(t->run);
    }
}

void turn_release(struct turn *t) {
    t->holding = false;
    if (t->accepted == ACCEPT_DONE) {
        run_release(t->run);
    }
}

void turn_add_message(struct turn *t, struct str json, bool plain) {
    if (t->n_messages == t->messages_cap) {
        size_t cap = t->messages_cap ? t->messages_cap * 2 : 32;
        struct llm_message *grown = arena_alloc(&t->arena, cap * sizeof *grown);
        if (t->n_messages) {
            memcpy(grown, t->messages, t->n_messages * sizeof *grown);
        }
        t->messages = grown;
        t->messages_cap = cap;
    }
    t->history_bytes += json.n;
    t->messages[t->n_messages++] = (struct llm_message){.json = json, .plain = plain};
}

void turn_store_message(struct turn *t, struct str id, struct str role, struct str json,
                        bool plain) {
    assert(t->changes.n_messages < TURN_STEP_MAX);
    turn_add_message(t, json, plain);
    /* Its number in the thread is set when it is stored: the accepting transaction may still be
     * under way. */
    t->changes.messages[t->changes.n_messages++] =
        (struct turn_message){.id = id, .role = role, .json = json, .plain = plain};
}

/* A submitted turn begins while its message is being stored; what it stores itself must come after.
 */
static int wait_until_accepted(struct turn *t, struct err *err) {
    while (t->accepted == ACCEPT_PENDING) {
        int rc = fiber_wait(&t->accepted_changed, FIBER_FOREVER); /* its submitter sees to it */
        if (rc < 0) {
            return err_set(err, (enum err_code) - rc, "waiting for the message to be stored");
        }
    }
    return t->accepted == ACCEPT_DONE ? 0
                                      : err_set(err, ERR_CANCELLED, "the turn was not accepted");
}

bool patience_left(const struct turn *t, struct patience *p, struct err *err) {
    int64_t now_us = clock_mono_us();
    if (!p->give_up_us) {
        *p = (struct patience){now_us + DATABASE_PATIENCE_MS * 1000, FIRST_DELAY_MS};
    }
    bool worth_waiting = outcome_unknown(err->code) || err->code == ERR_BUSY;
    if (!worth_waiting || now_us > p->give_up_us || t->engine->stopping) {
        return false;
    }
    log_warn("graph", "turn %.*s waits for the database: %s", STR_ARG(t->turn_id), err->msg);
    int rc = fiber_sleep(p->delay_ms);
    if (rc < 0) {
        err_set(err, (enum err_code) - rc, "waiting for the database");
    }
    p->delay_ms = MIN(p->delay_ms * 2, (int64_t)MAX_DELAY_MS);
    return rc == 0;
}

static int store_patiently(struct turn *t, const struct turn_step *step, struct err *err) {
    struct patience patience = {0};
    bool cancel = false;
    int rc;
    fiber_shield_enter();
    do {
        rc = turn_step_store(t->engine->options.db, step, &cancel, err);
        t->in_doubt = t->in_doubt || (rc < 0 && outcome_unknown(err->code));
    } while (rc < 0 && patience_left(t, &patience, err));
    fiber_shield_leave();
    if (rc == 0) {
        t->in_doubt = false;
        t->cancel_requested = t->cancel_requested || cancel;
    }
    return rc;
}

void turn_publish(struct turn *t, enum turn_state state) {
    struct feed *feed = t->engine->options.feed;
    feed_turn(feed, t->user_id, t->thread_id, t->turn_id, state);
    feed_thread(feed, t->user_id, t->thread_id);
}

static void publish_step(struct turn *t, const struct turn_step *step) {
    struct feed *feed = t->engine->options.feed;
    if (step->end) {
        turn_publish(t, step->end_state);
    } else if (step->n_messages) {
        feed_thread(feed, t->user_id, t->thread_id);
    }
    if (step->n_interrupts) {
        feed_interrupt(feed, t->user_id, t->thread_id, t->turn_id);
    }
}

int turn_commit(struct turn *t, const struct node *next, struct err *err) {
    struct strbuf lines cleanup(strbuf_done) = STRBUF(MAX_EVENT_LINES_BYTES);
    struct turn_changes *c = &t->changes;
    if (wait_until_accepted(t, err) < 0) {
        return -(int)err->code;
    }
    for (size_t i = 0; i < c->n_messages; i++) {
        c->messages[i].seq = t->message_seq + 1 + (int64_t)i;
    }
    struct turn_step step = {
        .key = {t->user_id, t->turn_id},
        .thread_id = t->thread_id,
        .position = t->position,
        .epoch = t->epoch,
        .step = t->step + 1,
        .messages = c->messages,
        .n_messages = c->n_messages,
        .intents = c->intents,
        .n_intents = c->n_intents,
        .outcomes = c->outcomes,
        .n_outcomes = c->n_outcomes,
        .interrupts = c->interrupts,
        .n_interrupts = c->n_interrupts,
        .node = next ? str_z(next->name) : STR("end"),
        .state = turn_state_write(t),
        .message_seq = t->message_seq + (int64_t)c->n_messages,
        .usage = c->has_usage ? &c->usage : NULL,
        .end = c->end,
        .end_state = c->end_state,
        .error_code = c->error_code,
        .error = c->error,
    };
    run_unstored(t->run, &lines, &step.events_last_seq);
    step.events = strbuf_str(&lines);
    if (strbuf_check(&lines, "the turn's events", err) < 0 || store_patiently(t, &step, err) < 0) {
        return -(int)err->code;
    }
    run_stored(t->run, step.events_last_seq);
    t->step = step.step;
    t->stored_epoch = t->epoch;
    t->message_seq = step.message_seq;
    publish_step(t, &step);
    *c = (struct turn_changes){0};
    return 0;
}
