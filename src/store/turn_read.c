/* Turns and what they left behind, read. */
#include "store/rows.h"
#include "store/turns.h"

enum { EVENT_ROWS = 32 }; /* fetched at once */

static const char *const state_names[] = {
    [TURN_QUEUED] = "queued", [TURN_RUNNING] = "running", [TURN_INTERRUPTED] = "interrupted",
    [TURN_DONE] = "done",     [TURN_FAILED] = "failed",   [TURN_CANCELLED] = "cancelled",
};

const char *turn_state_name(enum turn_state s) {
    return state_names[s];
}

enum turn_state turn_state_parse(struct str name) {
    for (size_t i = 0; i < ARRAY_LEN(state_names); i++) {
        if (str_eq(name, str_z(state_names[i]))) {
            return (enum turn_state)i;
        }
    }
    return TURN_FAILED; /* the table permits no other names */
}

/* ---- a turn ---- */

static const struct db_sql sql_get = DB_SQL(
    "turn_get", "SELECT t.thread_id, t.input, t.error_code, t.error, t.lease_owner, "
                "t.state, t.position, t.epoch, t.step, h.message_seq, t.cancel_requested "
                "FROM turns t JOIN threads h ON h.user_id = t.user_id AND h.id = t.thread_id "
                "WHERE t.user_id = $1 AND t.id = $2");

int turn_get(struct db *db, struct turn_key key, struct arena *arena, struct turn_row *ret,
             struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, key.user_id, DB_READ);
    size_t q = db_tx_add(tx, &sql_get, db_text(key.user_id), db_text(key.turn_id));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    if (db_rows(tx, q) == 0) {
        return err_set(err, ERR_NOT_FOUND, "no such turn");
    }
    *ret = (struct turn_row){
        .thread_id = row_text(arena, tx, q, 0, 0),
        .input = row_text(arena, tx, q, 0, 1),
        .error_code = row_text(arena, tx, q, 0, 2),
        .error = row_text(arena, tx, q, 0, 3),
        .lease_owner = row_text(arena, tx, q, 0, 4),
        .state = turn_state_parse(db_get_text(tx, q, 0, 5)),
        .position = db_get_int(tx, q, 0, 6),
        .epoch = db_get_int(tx, q, 0, 7),
        .step = db_get_int(tx, q, 0, 8),
        .message_seq = db_get_int(tx, q, 0, 9),
        .cancel_requested = db_get_bool(tx, q, 0, 10),
    };
    return 0;
}

/* ---- history ---- */

/* The sizes are summed up first, over an index range and without the contents. What a summary
 * covers stays out; the summary comes in its place. */
#define AFTER_SUMMARY "seq > (SELECT summary_seq FROM threads WHERE user_id = $1 AND id = $2) "
/* What a turn answers, which may be turns before it when it goes on with one. Not yet stored, it
 * has nothing. */
#define OF_TURN                                                                                    \
    "(turn_id = $6 OR (seq >= (SELECT MAX(seq) FROM messages WHERE user_id = $1 AND "              \
    "thread_id = $2 AND seq <= $3 AND role = 'user') AND "                                         \
    "EXISTS (SELECT 1 FROM turns WHERE user_id = $1 AND id = $6)))"
static const struct db_sql sql_history = DB_SQL(
    "turn_history",
    "SELECT summary_seq, '', 'summary', FALSE, summary FROM threads WHERE user_id = $1 "
    "AND id = $2 AND summary IS NOT NULL AND summary_seq <= $3 UNION ALL "
    "SELECT seq, id, role, plain, content FROM messages WHERE user_id = $1 AND thread_id = $2 "
    "AND seq <= $3 AND " AFTER_SUMMARY "AND seq >= (SELECT MIN(seq) FROM "
    "(SELECT seq, turn_id, SUM(bytes) OVER (ORDER BY seq DESC) AS total FROM "
    "(SELECT seq, turn_id, bytes FROM messages WHERE user_id = $1 AND thread_id = $2 AND seq <= $3 "
    "AND " AFTER_SUMMARY "ORDER BY seq DESC LIMIT $4) newest) sums WHERE total <= $5 OR " OF_TURN
    ") ORDER BY 1");

int turn_history(struct db *db, struct str user_id, struct str thread_id, struct str turn_id,
                 int64_t up_to_seq, size_t max_messages, size_t max_bytes, struct arena *arena,
                 struct turn_message **ret, size_t *ret_n, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user_id, DB_READ);
    size_t q = db_tx_add(tx, &sql_history, db_text(user_id), db_text(thread_id), db_int(up_to_seq),
                         db_int((int64_t)MIN(max_messages, (size_t)INT32_MAX)),
                         db_int((int64_t)MIN(max_bytes, (size_t)INT64_MAX)), db_text(turn_id));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    size_t n = db_rows(tx, q);
    struct turn_message *messages = arena_alloc(arena, n * sizeof *messages);
    for (size_t i = 0; i < n; i++) {
        messages[i] = (struct turn_message){.seq = db_get_int(tx, q, i, 0),
                                            .id = row_text(arena, tx, q, i, 1),
                                            .role = row_text(arena, tx, q, i, 2),
                                            .plain = db_get_bool(tx, q, i, 3),
                                            .json = row_text(arena, tx, q, i, 4)};
    }
    *ret = messages;
    *ret_n = n;
    return 0;
}

/* ---- checkpoint and effects ---- */

static const struct db_sql sql_checkpoint = DB_SQL(
    "turn_checkpoint", "SELECT c.node, c.state, c.message_seq FROM turns t JOIN checkpoints c "
                       "ON c.user_id = t.user_id AND c.turn_id = t.id "
                       "WHERE t.user_id = $1 AND t.id = $2 AND t.thread_id = $3");

int turn_checkpoint_get(struct db *db, struct turn_key key, struct str thread_id,
                        struct arena *arena, struct turn_checkpoint *ret, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, key.user_id, DB_READ);
    size_t q = db_tx_add(tx, &sql_checkpoint, db_text(key.user_id), db_text(key.turn_id),
                         db_text(thread_id));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    if (db_rows(tx, q) == 0) {
        return err_set(err, ERR_NOT_FOUND, "the turn has no checkpoint");
    }
    *ret = (struct turn_checkpoint){.node = row_text(arena, tx, q, 0, 0),
                                    .state = row_text(arena, tx, q, 0, 1),
                                    .message_seq = db_get_int(tx, q, 0, 2)};
    return 0;
}

static const struct db_sql sql_effects =
    DB_SQL("turn_effects",
           "SELECT call_id, idempotency_key, tool, arguments, outcome, repeatable, state "
           "FROM effects WHERE user_id = $1 AND turn_id = $2 ORDER BY created_at, call_id");

int turn_effects(struct db *db, struct turn_key key, struct arena *arena, struct turn_effect **ret,
                 size_t *ret_n, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, key.user_id, DB_READ);
    size_t q = db_tx_add(tx, &sql_effects, db_text(key.user_id), db_text(key.turn_id));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    size_t n = db_rows(tx, q);
    struct turn_effect *effects = arena_alloc(arena, n * sizeof *effects);
    for (size_t i = 0; i < n; i++) {
        effects[i] = (struct turn_effect){.call_id = row_text(arena, tx, q, i, 0),
                                          .idempotency_key = row_text(arena, tx, q, i, 1),
                                          .tool = row_text(arena, tx, q, i, 2),
                                          .arguments = row_text(arena, tx, q, i, 3),
                                          .outcome = row_text(arena, tx, q, i, 4),
                                          .repeatable = db_get_bool(tx, q, i, 5),
                                          .state = row_text(arena, tx, q, i, 6)};
    }
    *ret = effects;
    *ret_n = n;
    return 0;
}

/* ---- events ---- */

static const struct db_sql sql_events =
    DB_SQL("turn_events", "SELECT last_seq, payload FROM events WHERE user_id = $1 AND "
                          "turn_id = $2 AND last_seq > $3 ORDER BY last_seq LIMIT $4");

/* Appends a row's lines with a number above *since, which follows. False when out is full. */
static bool add_lines(struct strbuf *out, struct str payload, int64_t *since) {
    while (payload.n > 0) {
        struct str line = str_cut(&payload, '\n');
        int64_t seq;
        if (!str_to_i64(str_head(line, str_find_char(line, ' ')), &seq) || seq <= *since) {
            continue;
        }
        if (out->n + line.n + 1 > out->max) {
            return false;
        }
        strbuf_add(out, line);
        strbuf_addc(out, '\n');
        *since = seq;
    }
    return true;
}

int turn_events(struct db *db, struct turn_key key, int64_t since, struct strbuf *out,
                struct err *err) {
    size_t before = out->n;
    for (;;) {
        struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, key.user_id, DB_READ);
        size_t q = db_tx_add(tx, &sql_events, db_text(key.user_id), db_text(key.turn_id),
                             db_int(since), db_int(EVENT_ROWS));
        if (db_tx_run(tx, err) < 0) {
            return -(int)err->code;
        }
        size_t n = db_rows(tx, q);
        for (size_t i = 0; i < n; i++) {
            if (!add_lines(out, db_get_text(tx, q, i, 1), &since)) {
                return out->n > before ? 0 : err_set(err, ERR_LIMIT, "an event is too large");
            }
            since = MAX(since, db_get_int(tx, q, i, 0));
        }
        if (n < EVENT_ROWS) {
            return 0;
        }
    }
}
