#include "store/transcript.h"

#include "store/rows.h"

/* The sizes are summed up first, over an index range and without the contents. */
#define PIECE(name, beyond, until, direction, end)                                                 \
    DB_SQL(name, "SELECT seq, created_at, id, turn_id, role, content FROM messages "               \
                 "WHERE user_id = $1 AND thread_id = $2 AND seq " beyond " $3 AND seq " until      \
                 " (SELECT " end "(seq) FROM "                                                     \
                 "(SELECT seq, SUM(bytes) OVER (ORDER BY seq " direction ") - bytes AS before_it " \
                 "FROM (SELECT seq, bytes FROM messages WHERE user_id = $1 AND thread_id = $2 "    \
                 "AND seq " beyond " $3 ORDER BY seq " direction " LIMIT $4) nearest) sums "       \
                 "WHERE before_it < $5) ORDER BY seq " direction)
static const struct db_sql sql_newest_first = PIECE("transcript_newest", "<", ">=", "DESC", "MIN");
static const struct db_sql sql_oldest_first = PIECE("transcript_oldest", ">", "<=", "ASC", "MAX");

static void take_rows(const struct db_tx *tx, size_t q, struct arena *arena,
                      struct thread_message **ret, size_t *ret_n) {
    size_t n = db_rows(tx, q);
    struct thread_message *messages = arena_alloc(arena, n * sizeof *messages);
    for (size_t i = 0; i < n; i++) {
        messages[i] = (struct thread_message){.seq = db_get_int(tx, q, i, 0),
                                              .created_us = db_get_time(tx, q, i, 1),
                                              .id = row_text(arena, tx, q, i, 2),
                                              .turn_id = row_text(arena, tx, q, i, 3),
                                              .role = row_text(arena, tx, q, i, 4),
                                              .json = row_text(arena, tx, q, i, 5)};
    }
    *ret = messages;
    *ret_n = n;
}

int transcript_read(struct db *db, struct str user_id, struct str thread_id,
                    const struct transcript_piece *piece, struct arena *arena,
                    struct thread_message **ret, size_t *ret_n, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user_id, DB_READ);
    bool newest = piece->order == TRANSCRIPT_NEWEST_FIRST;
    int64_t beyond = newest && piece->beyond_seq == 0 ? INT64_MAX : piece->beyond_seq;
    size_t q = db_tx_add(tx, newest ? &sql_newest_first : &sql_oldest_first, db_text(user_id),
                         db_text(thread_id), db_int(beyond), db_int((int64_t)piece->max_messages),
                         db_int((int64_t)piece->max_bytes));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    take_rows(tx, q, arena, ret, ret_n);
    return 0;
}

/* "state IN" is what the partial index turns_open says. */
static const struct db_sql sql_queued =
    DB_SQL("transcript_queued",
           "SELECT position, created_at, pending_id, id, 'user', pending_message FROM turns "
           "WHERE user_id = $1 AND thread_id = $2 AND state IN ('queued', 'running') "
           "AND state = 'queued' AND pending_message IS NOT NULL AND position > $3 "
           "ORDER BY position LIMIT $4");

int transcript_queued(struct db *db, struct str user_id, struct str thread_id,
                      int64_t beyond_position, size_t max_messages, struct arena *arena,
                      struct thread_message **ret, size_t *ret_n, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user_id, DB_READ);
    size_t q = db_tx_add(tx, &sql_queued, db_text(user_id), db_text(thread_id),
                         db_int(beyond_position), db_int((int64_t)max_messages));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    take_rows(tx, q, arena, ret, ret_n);
    return 0;
}

/* By their ids alone: a fork has messages of turns that ran in the thread it comes from. */
static const struct db_sql sql_ends =
    DB_SQL("transcript_ends",
           "SELECT id, state, error_code, error FROM turns WHERE user_id = $1 "
           "AND id IN (SELECT turn_id FROM messages WHERE user_id = $1 AND thread_id = $2 "
           "AND seq BETWEEN $3 AND $4) AND state IN ('failed', 'cancelled')");

int transcript_ends(struct db *db, struct str user_id, struct str thread_id, int64_t first_seq,
                    int64_t last_seq, struct arena *arena, struct transcript_end **ret,
                    size_t *ret_n, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user_id, DB_READ);
    size_t q = db_tx_add(tx, &sql_ends, db_text(user_id), db_text(thread_id), db_int(first_seq),
                         db_int(last_seq));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    size_t n = db_rows(tx, q);
    struct transcript_end *ends = arena_alloc(arena, n * sizeof *ends);
    for (size_t i = 0; i < n; i++) {
        ends[i] = (struct transcript_end){.turn_id = row_text(arena, tx, q, i, 0),
                                          .state = row_text(arena, tx, q, i, 1),
                                          .error_code = row_text(arena, tx, q, i, 2),
                                          .error = row_text(arena, tx, q, i, 3)};
    }
    *ret = ends;
    *ret_n = n;
    return 0;
}

static const struct db_sql sql_message =
    DB_SQL("transcript_message", "SELECT content FROM messages WHERE user_id = $1 "
                                 "AND thread_id = $2 AND id = $3 LIMIT 1");
static const struct db_sql sql_queued_message =
    DB_SQL("transcript_queued_message",
           "SELECT pending_message FROM turns WHERE user_id = $1 AND thread_id = $2 "
           "AND state IN ('queued', 'running') AND pending_id = $3 LIMIT 1");

int transcript_message(struct db *db, struct str user_id, struct str thread_id,
                       struct str message_id, struct arena *arena, struct str *ret,
                       struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user_id, DB_READ);
    size_t stored =
        db_tx_add(tx, &sql_message, db_text(user_id), db_text(thread_id), db_text(message_id));
    size_t queued = db_tx_add(tx, &sql_queued_message, db_text(user_id), db_text(thread_id),
                              db_text(message_id));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    size_t q = db_rows(tx, stored) ? stored : queued;
    if (db_rows(tx, q) == 0) {
        return err_set(err, ERR_NOT_FOUND, "the thread has no such message");
    }
    *ret = row_text(arena, tx, q, 0, 0);
    return 0;
}
