/* What one node changed, in one transaction, fenced by the turn's epoch and step. */
#include <assert.h>

#include "base/clock.h"
#include "store/interrupts.h"

enum {
    MAX_TRIES = 3,
    CHECKPOINTS_KEPT = 200,
    PRUNE_EVERY = 16, /* turns of a thread: a range at once is cheaper than a row at each end */
};

static const struct db_sql sql_thread = DB_SQL(
    "step_thread", "UPDATE threads SET message_seq = message_seq + $3, "
                   "total_input_tokens = total_input_tokens + $4, "
                   "total_output_tokens = total_output_tokens + $5, "
                   "model_provider = COALESCE($6, model_provider), open_turns = open_turns - $7 "
                   "WHERE user_id = $1 AND id = $2");

/* The fence: RETURNING sees the row as updated, so a turn of another epoch, or one whose step is
 * not the one before, ends the transaction. A turn that is not there at all is found by the
 * checkpoint's foreign key. */
static const struct db_sql sql_go_on = DB_SQL(
    "step_go_on", "UPDATE turns SET step = step + 1 WHERE user_id = $1 AND id = $2 "
                  "RETURNING adjutant_require(epoch = $3 AND step = $4 AND thread_id = $5 AND "
                  "state = 'running', 'lease'), cancel_requested");
static const struct db_sql sql_end = DB_SQL(
    "step_end", "UPDATE turns SET step = step + 1, state = $6, lease_owner = NULL, ended_at = $7, "
                "error_code = $8, error = $9 WHERE user_id = $1 AND id = $2 "
                "RETURNING adjutant_require(epoch = $3 AND step = $4 AND thread_id = $5, 'lease'), "
                "cancel_requested");

static const struct db_sql sql_message =
    DB_SQL("step_message",
           "INSERT INTO messages (user_id, thread_id, seq, id, turn_id, role, plain, bytes, "
           "created_at, content) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)");
static const struct db_sql sql_intent =
    DB_SQL("step_intent",
           "INSERT INTO effects (user_id, turn_id, call_id, idempotency_key, tool, repeatable, "
           "state, created_at, arguments) VALUES ($1, $2, $3, $4, $5, $6, 'intent', $7, $8)");
static const struct db_sql sql_outcome =
    DB_SQL("step_outcome", "UPDATE effects SET state = $4, outcome = $5, ended_at = $6 "
                           "WHERE user_id = $1 AND turn_id = $2 AND call_id = $3");
static const struct db_sql sql_checkpoint =
    DB_SQL("step_checkpoint",
           "INSERT INTO checkpoints (user_id, turn_id, node, message_seq, created_at, state) "
           "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (user_id, turn_id) DO UPDATE SET "
           "node = excluded.node, message_seq = excluded.message_seq, "
           "created_at = excluded.created_at, state = excluded.state");
static const struct db_sql sql_events =
    DB_SQL("step_events", "INSERT INTO events (user_id, turn_id, last_seq, created_at, payload) "
                          "VALUES ($1, $2, $3, $4, $5)");
static const struct db_sql sql_interrupt = DB_SQL(
    "step_interrupt",
    "INSERT INTO interrupts (user_id, id, thread_id, turn_id, position, code, kind, state, "
    "created_at, expires_at, call_id, server, tool, name, digest, arguments, request) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7, 'open', $8, $9, $10, $11, $12, $13, $14, $15, $16)");
/* The bounds keep it from looking at every turn the thread ever had. */
static const struct db_sql sql_prune = DB_SQL(
    "step_prune", "DELETE FROM checkpoints WHERE user_id = $1 AND turn_id IN (SELECT id FROM turns "
                  "WHERE user_id = $1 AND thread_id = $2 AND position > $3 AND position <= $4)");
static const struct db_sql sql_committed =
    DB_SQL("step_committed",
           "SELECT epoch, step, cancel_requested FROM turns WHERE user_id = $1 AND id = $2");

static void add_thread(struct db_tx *tx, const struct turn_step *s) {
    static const struct turn_usage none;
    const struct turn_usage *usage = s->usage ? s->usage : &none;
    if (s->n_messages == 0 && !s->usage && !s->end) {
        return;
    }
    db_tx_add(tx, &sql_thread, db_text(s->key.user_id), db_text(s->thread_id),
              db_int((int64_t)s->n_messages), db_int(usage->input_tokens),
              db_int(usage->output_tokens), db_text_or_null(usage->provider), db_int(s->end));
}

static size_t add_fence(struct db_tx *tx, const struct turn_step *s, int64_t now_us) {
    struct db_value user = db_text(s->key.user_id), turn = db_text(s->key.turn_id);
    struct db_value thread = db_text(s->thread_id);
    if (!s->end) {
        return db_tx_add(tx, &sql_go_on, user, turn, db_int(s->epoch), db_int(s->step), thread);
    }
    return db_tx_add(tx, &sql_end, user, turn, db_int(s->epoch), db_int(s->step), thread,
                     db_textz(turn_state_name(s->end_state)), db_time(now_us),
                     db_text_or_null(s->error_code), db_text_or_null(s->error));
}

static void add_messages(struct db_tx *tx, const struct turn_step *s, int64_t now_us) {
    for (size_t i = 0; i < s->n_messages; i++) {
        const struct turn_message *m = &s->messages[i];
        assert(m->seq == s->messages[0].seq + (int64_t)i);
        db_tx_add(tx, &sql_message, db_text(s->key.user_id), db_text(s->thread_id), db_int(m->seq),
                  db_text(m->id), db_text(s->key.turn_id), db_text(m->role), db_bool(m->plain),
                  db_int((int64_t)m->json.n), db_time(now_us), db_text(m->json));
    }
}

static void add_effects(struct db_tx *tx, const struct turn_step *s, int64_t now_us) {
    struct db_value user = db_text(s->key.user_id), turn = db_text(s->key.turn_id);
    for (size_t i = 0; i < s->n_intents; i++) {
        const struct turn_effect *e = &s->intents[i];
        db_tx_add(tx, &sql_intent, user, turn, db_text(e->call_id), db_text(e->idempotency_key),
                  db_text(e->tool), db_bool(e->repeatable), db_time(now_us), db_text(e->arguments));
    }
    for (size_t i = 0; i < s->n_outcomes; i++) {
        const struct turn_effect *e = &s->outcomes[i];
        db_tx_add(tx, &sql_outcome, user, turn, db_text(e->call_id), db_text(e->state),
                  db_text(e->outcome), db_time(now_us));
    }
}

static void add_interrupts(struct db_tx *tx, const struct turn_step *s, int64_t now_us) {
    for (size_t i = 0; i < s->n_interrupts; i++) {
        const struct interrupt *a = &s->interrupts[i];
        db_tx_add(tx, &sql_interrupt, db_text(s->key.user_id), db_text(a->id),
                  db_text(s->thread_id), db_text(s->key.turn_id), db_int(s->position),
                  db_text(a->code), db_text(a->kind), db_time(now_us), db_time(a->expires_us),
                  db_text(a->call_id), db_text(a->server), db_text(a->tool), db_text(a->name),
                  db_text(a->digest), db_text(a->arguments), db_text(a->request));
    }
}

static void add_usage(struct db_tx *tx, const struct turn_step *s, int64_t now_us) {
    if (s->usage) {
        struct usage_record record = {.user_id = s->key.user_id,
                                      .turn_id = s->key.turn_id,
                                      .thread_id = s->thread_id,
                                      .step = s->step,
                                      .now_us = now_us,
                                      .usage = s->usage};
        usage_add(tx, &record);
    }
}

static void add_checkpoint(struct db_tx *tx, const struct turn_step *s, int64_t now_us) {
    struct db_value user = db_text(s->key.user_id);
    db_tx_add(tx, &sql_checkpoint, user, db_text(s->key.turn_id), db_text(s->node),
              db_int(s->message_seq), db_time(now_us), db_text(s->state));
    if (s->end && s->position > CHECKPOINTS_KEPT && s->position % PRUNE_EVERY == 0) {
        int64_t last = s->position - CHECKPOINTS_KEPT;
        db_tx_add(tx, &sql_prune, user, db_text(s->thread_id), db_int(last - 2 * PRUNE_EVERY),
                  db_int(last));
    }
}

static int store(struct db *db, const struct turn_step *s, bool *ret_cancel, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, s->key.user_id, DB_WRITE);
    int64_t now_us = clock_now_us();

    add_thread(tx, s);
    size_t fence = add_fence(tx, s, now_us);
    add_messages(tx, s, now_us);
    add_effects(tx, s, now_us);
    add_interrupts(tx, s, now_us);
    add_checkpoint(tx, s, now_us);
    add_usage(tx, s, now_us);
    if (s->events.n > 0) {
        db_tx_add(tx, &sql_events, db_text(s->key.user_id), db_text(s->key.turn_id),
                  db_int(s->events_last_seq), db_time(now_us), db_text(s->events));
    }
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    *ret_cancel = db_get_bool(tx, fence, 0, 1);
    return 0;
}

/* After a refused step: 0 when this very step had been committed before; ERR_PRECONDITION when the
 * turn is not this owner's; *ret_transient when it could still be done. */
static int explain(struct db *db, const struct turn_step *s, bool *ret_cancel, bool *ret_transient,
                   struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, s->key.user_id, DB_READ);
    size_t row = db_tx_add(tx, &sql_committed, db_text(s->key.user_id), db_text(s->key.turn_id));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    if (db_rows(tx, row) == 0) {
        return err_set(err, ERR_PRECONDITION, "the turn is gone");
    }
    int64_t step = db_get_int(tx, row, 0, 1);
    if (db_get_int(tx, row, 0, 0) != s->epoch || (step != s->step && step != s->step - 1)) {
        return err_set(err, ERR_PRECONDITION, "the turn has another owner");
    }
    *ret_transient = step != s->step;
    if (!*ret_transient) {
        *ret_cancel = db_get_bool(tx, row, 0, 2);
    }
    return 0;
}

int turn_step_store(struct db *db, const struct turn_step *s, bool *ret_cancel, struct err *err) {
    assert(s->n_messages <= TURN_STEP_MAX && s->n_intents <= TURN_STEP_MAX &&
           s->n_outcomes <= TURN_STEP_MAX && s->n_interrupts <= TURN_STEP_MAX);
    for (int tries = 1;; tries++) {
        int rc = store(db, s, ret_cancel, err);
        /* On SQLite an end that was committed before is refused first by a CHECK on open_turns.
         */
        if (rc != -ERR_PRECONDITION && rc != -ERR_CONFLICT && rc != -ERR_INVALID) {
            return rc;
        }
        struct err refused = *err;
        bool transient = false;
        rc = explain(db, s, ret_cancel, &transient, err);
        if (rc < 0 || !transient) {
            return rc;
        }
        if (tries == MAX_TRIES || refused.code != ERR_CONFLICT) {
            *err = refused;
            return -(int)err->code;
        }
    }
}
