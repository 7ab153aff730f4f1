/* How a turn begins. Everything that belongs to a thread is ordered by the thread's row, which each
 * of these transactions writes first: open_turns and message_seq read there are exact. */
#include "base/clock.h"
#include "store/turns.h"

enum { MAX_TRIES = 3 };

#define QUEUE_FULL "queue" /* the tag of the requirement */

static struct db_value agent_of(const struct turn_accept *a) {
    return db_text(a->agent.n ? a->agent : STR("cos"));
}

static const struct db_sql sql_thread_new =
    DB_SQL("accept_thread_new",
           "INSERT INTO threads (user_id, id, agent, turn_seq, open_turns, message_seq, "
           "created_at, updated_at) VALUES ($1, $2, $3, 1, 1, $4, $5, $5)");
static const struct db_sql sql_turn_new =
    DB_SQL("accept_turn_new",
           "INSERT INTO turns (user_id, id, thread_id, position, state, lease_owner, "
           "created_at, started_at, input) VALUES ($1, $2, $3, 1, 'running', $4, $5, $5, $6)");
static const struct db_sql sql_message_new =
    DB_SQL("accept_message_new",
           "INSERT INTO messages (user_id, thread_id, seq, id, turn_id, role, plain, bytes, "
           "created_at, content) VALUES ($1, $2, 1, $3, $4, 'user', $5, $6, $7, $8)");

/* The message takes its place only when no turn is open, that is when this one will run. Whether
 * the queue is full is decided here: a look at it afterwards may find it otherwise. */
static const struct db_sql sql_thread = DB_SQL(
    "accept_thread", "INSERT INTO threads (user_id, id, agent, turn_seq, open_turns, message_seq, "
                     "created_at, updated_at) VALUES ($1, $2, $3, 1, 1, $4, $5, $5) "
                     "ON CONFLICT (user_id, id) DO UPDATE SET turn_seq = threads.turn_seq + 1, "
                     "open_turns = threads.open_turns + 1, updated_at = excluded.updated_at, "
                     "message_seq = threads.message_seq + "
                     "CASE WHEN threads.open_turns = 0 THEN excluded.message_seq ELSE 0 END "
                     "RETURNING turn_seq, open_turns, message_seq, "
                     "adjutant_require(open_turns <= $6, '" QUEUE_FULL "')");
static const struct db_sql sql_turn =
    DB_SQL("accept_turn",
           "INSERT INTO turns (user_id, id, thread_id, position, state, lease_owner, created_at, "
           "started_at, input, pending_id, pending_plain, pending_message) "
           "SELECT $1, $2, $3, turn_seq, "
           "CASE WHEN open_turns = 1 THEN 'running' ELSE 'queued' END, "
           "CASE WHEN open_turns = 1 THEN $4 END, updated_at, "
           "CASE WHEN open_turns = 1 THEN updated_at END, $5, "
           "CASE WHEN open_turns > 1 THEN $6 END, $7, CASE WHEN open_turns > 1 THEN $8 END "
           "FROM threads WHERE user_id = $1 AND id = $3");
static const struct db_sql sql_message =
    DB_SQL("accept_message",
           "INSERT INTO messages (user_id, thread_id, seq, id, turn_id, role, plain, bytes, "
           "created_at, content) "
           "SELECT $1, $2, message_seq, $3, $4, 'user', $5, $6, updated_at, $7 "
           "FROM threads WHERE user_id = $1 AND id = $2 AND open_turns = 1");

static const struct db_sql sql_known_turn =
    DB_SQL("accept_known_turn",
           "SELECT t.created_at, t.state, t.position, h.message_seq, t.epoch, t.lease_owner "
           "FROM turns t JOIN threads h ON h.user_id = t.user_id AND h.id = t.thread_id "
           "WHERE t.user_id = $1 AND t.id = $2");
static const struct db_sql sql_known_thread =
    DB_SQL("accept_known_thread", "SELECT id FROM threads WHERE user_id = $1 AND id = $2");

/* ---- going on with an interrupted turn ---- */

static const struct db_sql sql_resumes = DB_SQL(
    "accept_resumes",
    "SELECT adjutant_require(EXISTS (SELECT 1 FROM threads h JOIN turns o ON o.user_id = "
    "h.user_id AND o.id = $3 WHERE h.user_id = $1 AND h.id = $2 AND h.open_turns = 1 AND "
    "o.thread_id = h.id AND o.state = 'interrupted' AND o.position = h.turn_seq - 1), 'newest')");
static const struct db_sql sql_answer =
    DB_SQL("accept_answer",
           "UPDATE interrupts SET state = $4, answer = $5, answered_at = $6, answered_by_turn = $7 "
           "WHERE user_id = $1 AND id = $2 AND turn_id = $3 AND state = 'open' AND "
           "(expires_at > $6 OR $4 = 'denied')");
/* What has expired meanwhile keeps nothing else from going on. */
static const struct db_sql sql_answered =
    DB_SQL("accept_answered",
           "SELECT adjutant_require(COUNT(CASE WHEN state = 'open' AND expires_at > $6 THEN 1 END) "
           "= 0 AND COUNT(CASE WHEN answered_by_turn = $4 THEN 1 END) = $5, 'answered') "
           "FROM interrupts WHERE user_id = $1 AND thread_id = $2 AND turn_id = $3");

static void add_answers(struct db_tx *tx, const struct turn_accept *a, int64_t now_us) {
    struct db_value user = db_text(a->user_id), resumes = db_text(a->resumes);
    struct db_value turn = db_text(a->turn_id), thread = db_text(a->thread_id);
    if (a->resumes.n == 0) {
        return;
    }
    db_tx_add(tx, &sql_resumes, user, thread, resumes);
    for (size_t i = 0; i < a->n_answers; i++) {
        const struct turn_answer *w = &a->answers[i];
        db_tx_add(tx, &sql_answer, user, db_text(w->interrupt_id), resumes, db_text(w->state),
                  db_text_or_null(w->json), db_time(now_us), turn);
    }
    db_tx_add(tx, &sql_answered, user, thread, resumes, turn, db_int((int64_t)a->n_answers),
              db_time(now_us));
}

static int accept_first(struct db *db, const struct turn_accept *a, int64_t now_us,
                        struct turn_accepted *ret, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, a->user_id, DB_WRITE);
    bool has_message = a->message_json.n > 0;

    db_tx_add(tx, &sql_thread_new, db_text(a->user_id), db_text(a->thread_id), agent_of(a),
              db_int(has_message), db_time(now_us));
    db_tx_add(tx, &sql_turn_new, db_text(a->user_id), db_text(a->turn_id), db_text(a->thread_id),
              db_text(a->owner), db_time(now_us), db_text(a->input));
    if (has_message) {
        db_tx_add(tx, &sql_message_new, db_text(a->user_id), db_text(a->thread_id),
                  db_text(a->message_id), db_text(a->turn_id), db_bool(a->plain),
                  db_int((int64_t)a->message_json.n), db_time(now_us), db_text(a->message_json));
    }
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    *ret = (struct turn_accepted){.running = true, .position = 1, .message_seq = has_message};
    return 0;
}

static int accept_any(struct db *db, const struct turn_accept *a, int64_t now_us,
                      struct turn_accepted *ret, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, a->user_id, DB_WRITE);
    bool has_message = a->message_json.n > 0;

    size_t thread =
        db_tx_add(tx, &sql_thread, db_text(a->user_id), db_text(a->thread_id), agent_of(a),
                  db_int(has_message), db_time(now_us), db_int(TURN_MAX_QUEUED));
    db_tx_add(tx, &sql_turn, db_text(a->user_id), db_text(a->turn_id), db_text(a->thread_id),
              db_text(a->owner), db_text(a->input), db_text_or_null(a->message_id),
              db_bool(a->plain), db_text_or_null(a->message_json));
    if (has_message) {
        db_tx_add(tx, &sql_message, db_text(a->user_id), db_text(a->thread_id),
                  db_text(a->message_id), db_text(a->turn_id), db_bool(a->plain),
                  db_int((int64_t)a->message_json.n), db_text(a->message_json));
    }
    add_answers(tx, a, now_us);
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    *ret = (struct turn_accepted){.running = db_get_int(tx, thread, 0, 1) == 1,
                                  .position = db_get_int(tx, thread, 0, 0),
                                  .message_seq = db_get_int(tx, thread, 0, 2)};
    return 0;
}

/* Why the transaction was refused: 0 when our own earlier try is in the way; an error the caller
 * must know; *ret_transient when nothing is in the way (any more). */
static int explain(struct db *db, const struct turn_accept *a, struct turn_accepted *ret,
                   bool *ret_transient, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, a->user_id, DB_READ);
    size_t turn = db_tx_add(tx, &sql_known_turn, db_text(a->user_id), db_text(a->turn_id));
    size_t thread = db_tx_add(tx, &sql_known_thread, db_text(a->user_id), db_text(a->thread_id));

    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    if (db_rows(tx, turn) > 0) {
        if (!a->now_us || db_get_time(tx, turn, 0, 0) != a->now_us ||
            db_get_int(tx, turn, 0, 4) != 0) {
            return err_set(err, ERR_CONFLICT, "the turn exists already");
        }
        *ret =
            (struct turn_accepted){.running = str_eq(db_get_text(tx, turn, 0, 1), STR("running")),
                                   .position = db_get_int(tx, turn, 0, 2),
                                   .message_seq = db_get_int(tx, turn, 0, 3)};
        return 0;
    }
    if (a->must_be_new_thread && db_rows(tx, thread) > 0) {
        return err_set(err, ERR_PRECONDITION, "the thread exists already");
    }
    *ret_transient = true;
    return 0;
}

static bool queue_was_full(const struct err *err) {
    return err->code == ERR_PRECONDITION && str_eq(str_z(err->msg), STR(QUEUE_FULL));
}

int turn_accept(struct db *db, const struct turn_accept *a, struct turn_accepted *ret,
                struct err *err) {
    int64_t now_us = a->now_us ? a->now_us : clock_now_us();
    for (int tries = 1;; tries++) {
        int rc = a->must_be_new_thread ? accept_first(db, a, now_us, ret, err)
                                       : accept_any(db, a, now_us, ret, err);
        bool full = rc < 0 && queue_was_full(err);
        if (rc != -ERR_CONFLICT && !full) {
            return rc;
        }
        struct err conflict = *err;
        bool transient = false;
        rc = explain(db, a, ret, &transient, err);
        if (rc < 0 || !transient) {
            return rc;
        }
        if (full) {
            return err_set(err, ERR_BUSY,
                           "%d messages wait in this thread already; wait for an answer",
                           TURN_MAX_QUEUED);
        }
        if (tries == MAX_TRIES) {
            *err = conflict;
            return -(int)err->code;
        }
    }
}
