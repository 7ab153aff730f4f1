/* Which process runs a turn: leases, claims, cancelling; and what is swept up behind ended turns.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/rows.h"
#include "store/turns.h"

enum {
    LEASES_KEPT_US = 24 * 3600 * 1000 * INT64_C(1000),
    SWEEP_TURNS = 16,      /* in a statement */
    SWEEP_STATEMENTS = 32, /* in a transaction */
};

/* ---- leases ---- */

static const struct db_sql sql_lease_renew =
    DB_SQL("lease_renew", "INSERT INTO leases (owner, lease_until) VALUES ($1, $2) "
                          "ON CONFLICT (owner) DO UPDATE SET lease_until = excluded.lease_until");
static const struct db_sql sql_lease_forget =
    DB_SQL("lease_forget", "DELETE FROM leases WHERE lease_until < $1");
static const struct db_sql sql_lease_drop =
    DB_SQL("lease_drop", "DELETE FROM leases WHERE owner = $1");

int lease_renew(struct db *db, struct str owner, int64_t until_us, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, STR_EMPTY, DB_WRITE);
    db_tx_add(tx, &sql_lease_renew, db_text(owner), db_time(until_us));
    db_tx_add(tx, &sql_lease_forget, db_time(until_us - LEASES_KEPT_US));
    return db_tx_run(tx, err);
}

int lease_drop(struct db *db, struct str owner, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, STR_EMPTY, DB_WRITE);
    db_tx_add(tx, &sql_lease_drop, db_text(owner));
    return db_tx_run(tx, err);
}

/* ---- looking for turns ---- */

static const struct db_sql sql_claimable =
    DB_SQL("turns_claimable",
           "SELECT o.user_id, o.turn_id FROM open_turns o WHERE "
           "(o.state = 'running' AND (o.lease_until IS NULL OR o.lease_until < $1)) OR "
           "(o.state = 'queued' AND NOT EXISTS (SELECT 1 FROM open_turns b WHERE "
           "b.user_id = o.user_id AND b.thread_id = o.thread_id AND b.position < o.position)) "
           "LIMIT $2");

static struct turn_key *read_keys(const struct db_tx *tx, size_t q, struct arena *arena,
                                  size_t *ret_n) {
    size_t n = db_rows(tx, q);
    struct turn_key *keys = arena_alloc(arena, n * sizeof *keys);
    for (size_t i = 0; i < n; i++) {
        keys[i] = (struct turn_key){.user_id = row_text(arena, tx, q, i, 0),
                                    .turn_id = row_text(arena, tx, q, i, 1)};
    }
    *ret_n = n;
    return keys;
}

int turns_claimable(struct db *db, int64_t now_us, size_t max, struct arena *arena,
                    struct turn_key **ret, size_t *ret_n, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, STR_EMPTY, DB_READ);
    size_t q = db_tx_add(tx, &sql_claimable, db_time(now_us), db_int((int64_t)max));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    *ret = read_keys(tx, q, arena, ret_n);
    return 0;
}

static const struct db_sql sql_owned =
    DB_SQL("turns_owned", "SELECT user_id, turn_id FROM open_turns WHERE state = 'running' AND "
                          "lease_owner = $1 LIMIT $2");

int turns_owned(struct db *db, struct str owner, size_t max, struct arena *arena,
                struct turn_key **ret, size_t *ret_n, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, STR_EMPTY, DB_READ);
    size_t q = db_tx_add(tx, &sql_owned, db_text(owner), db_int((int64_t)max));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    *ret = read_keys(tx, q, arena, ret_n);
    return 0;
}

/* "state IN" is what the partial index turns_open says. */
static const struct db_sql sql_next_queued =
    DB_SQL("turn_next_queued",
           "SELECT id FROM turns WHERE user_id = $1 AND thread_id = $2 AND "
           "state IN ('queued', 'running') AND state = 'queued' ORDER BY position LIMIT 1");

int turn_next_queued(struct db *db, struct str user_id, struct str thread_id, struct arena *arena,
                     struct str *ret_turn_id, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user_id, DB_READ);
    size_t q = db_tx_add(tx, &sql_next_queued, db_text(user_id), db_text(thread_id));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    if (db_rows(tx, q) == 0) {
        return err_set(err, ERR_NOT_FOUND, "no turn waits");
    }
    *ret_turn_id = row_text(arena, tx, q, 0, 0);
    return 0;
}

/* ---- taking one ---- */

static const struct db_sql sql_candidate =
    DB_SQL("claim_candidate",
           "SELECT t.thread_id, t.position, t.state, t.epoch, t.step, t.cancel_requested, t.input, "
           "t.lease_owner, t.started_at, t.pending_id, t.pending_plain, t.pending_message, "
           "h.message_seq "
           "FROM turns t JOIN threads h ON h.user_id = t.user_id AND h.id = t.thread_id "
           "WHERE t.user_id = $1 AND t.id = $2");
static const struct db_sql sql_claim_thread =
    DB_SQL("claim_thread", "UPDATE threads SET message_seq = message_seq + $3 "
                           "WHERE user_id = $1 AND id = $2 RETURNING message_seq");
/* Asked under the thread's lock, so that of several claims one sees it true, also within a process.
 */
static const struct db_sql sql_queued_is_next =
    DB_SQL("claim_queued_is_next",
           "SELECT adjutant_require(EXISTS (SELECT 1 FROM turns t WHERE t.user_id = $1 AND "
           "t.id = $2 AND t.epoch = $3 AND t.state = 'queued' AND NOT EXISTS "
           "(SELECT 1 FROM turns b WHERE b.user_id = $1 AND b.thread_id = t.thread_id AND "
           "b.state IN ('queued', 'running') AND b.position < t.position)), 'claim')");
static const struct db_sql sql_running_is_left =
    DB_SQL("claim_running_is_left",
           "SELECT adjutant_require(EXISTS (SELECT 1 FROM turns t WHERE t.user_id = $1 AND "
           "t.id = $2 AND t.epoch = $3 AND t.state = 'running' AND NOT EXISTS "
           "(SELECT 1 FROM leases l WHERE l.owner = t.lease_owner AND l.lease_until >= $4 "
           "AND l.owner <> $5)), 'claim')");
static const struct db_sql sql_claim =
    DB_SQL("claim_turn",
           "UPDATE turns SET state = 'running', epoch = epoch + 1, lease_owner = $3, "
           "started_at = $4, pending_id = NULL, pending_plain = NULL, pending_message = NULL "
           "WHERE user_id = $1 AND id = $2 RETURNING epoch, step, cancel_requested");
static const struct db_sql sql_claim_message =
    DB_SQL("claim_message",
           "INSERT INTO messages (user_id, thread_id, seq, id, turn_id, role, plain, bytes, "
           "created_at, content) "
           "SELECT $1, $2, message_seq, $3, $4, 'user', $5, $6, $7, $8 "
           "FROM threads WHERE user_id = $1 AND id = $2");

struct candidate {
    struct turn_row row;
    int64_t started_us;
    struct str pending_id, pending_message;
    bool pending_plain;
};

static int read_candidate(struct db *db, struct turn_key key, struct arena *arena,
                          struct candidate *ret, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, key.user_id, DB_READ);
    size_t q = db_tx_add(tx, &sql_candidate, db_text(key.user_id), db_text(key.turn_id));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    if (db_rows(tx, q) == 0) {
        return err_set(err, ERR_CONFLICT, "the turn is gone");
    }
    *ret = (struct candidate){
        .row = {.thread_id = row_text(arena, tx, q, 0, 0),
                .position = db_get_int(tx, q, 0, 1),
                .state = turn_state_parse(db_get_text(tx, q, 0, 2)),
                .epoch = db_get_int(tx, q, 0, 3),
                .step = db_get_int(tx, q, 0, 4),
                .cancel_requested = db_get_bool(tx, q, 0, 5),
                .input = row_text(arena, tx, q, 0, 6),
                .lease_owner = row_text(arena, tx, q, 0, 7),
                .message_seq = db_get_int(tx, q, 0, 12)},
        .started_us = db_get_time(tx, q, 0, 8),
        .pending_id = row_text(arena, tx, q, 0, 9),
        .pending_plain = db_get_bool(tx, q, 0, 10),
        .pending_message = row_text(arena, tx, q, 0, 11),
    };
    return 0;
}

static int take_candidate(struct db *db, struct turn_key key, struct str owner, int64_t now_us,
                          bool own, struct candidate *c, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, key.user_id, DB_WRITE);
    struct db_value user = db_text(key.user_id), turn = db_text(key.turn_id);
    struct db_value thread = db_text(c->row.thread_id);
    bool queued = c->row.state == TURN_QUEUED;
    bool places = queued && c->pending_message.n > 0;

    size_t placed = db_tx_add(tx, &sql_claim_thread, user, thread, db_int(places));
    if (queued) {
        db_tx_add(tx, &sql_queued_is_next, user, turn, db_int(c->row.epoch));
    } else {
        db_tx_add(tx, &sql_running_is_left, user, turn, db_int(c->row.epoch), db_time(now_us),
                  db_text(own ? owner : STR_EMPTY));
    }
    size_t claimed = db_tx_add(tx, &sql_claim, user, turn, db_text(owner), db_time(now_us));
    if (places) {
        db_tx_add(tx, &sql_claim_message, user, thread, db_text(c->pending_id), turn,
                  db_bool(c->pending_plain), db_int((int64_t)c->pending_message.n), db_time(now_us),
                  db_text(c->pending_message));
    }
    if (db_tx_run(tx, err) < 0) {
        return err->code == ERR_PRECONDITION
                   ? err_set(err, ERR_CONFLICT, "the turn has been taken by another process")
                   : -(int)err->code;
    }
    c->row.state = TURN_RUNNING;
    c->row.message_seq = db_get_int(tx, placed, 0, 0);
    c->row.epoch = db_get_int(tx, claimed, 0, 0);
    c->row.step = db_get_int(tx, claimed, 0, 1); /* its last owner may have come further */
    c->row.cancel_requested = db_get_bool(tx, claimed, 0, 2);
    return 0;
}

static int claim(struct db *db, struct turn_key key, struct str owner, int64_t now_us, bool own,
                 struct arena *arena, struct turn_row *ret, struct err *err) {
    struct candidate c = {0};
    if (read_candidate(db, key, arena, &c, err) < 0) {
        return -(int)err->code;
    }
    if (!turn_state_open(c.row.state)) {
        return err_set(err, ERR_CONFLICT, "the turn has ended");
    }
    bool ours_already = c.row.state == TURN_RUNNING && c.row.epoch > 0 &&
                        str_eq(c.row.lease_owner, owner) && c.started_us == now_us;
    if (!ours_already && take_candidate(db, key, owner, now_us, own, &c, err) < 0) {
        return -(int)err->code;
    }
    c.row.lease_owner = arena_str(arena, owner);
    *ret = c.row;
    return 0;
}

int turn_claim(struct db *db, struct turn_key key, struct str owner, int64_t now_us,
               struct arena *arena, struct turn_row *ret, struct err *err) {
    return claim(db, key, owner, now_us, false, arena, ret, err);
}

int turn_claim_own(struct db *db, struct turn_key key, struct str owner, int64_t now_us,
                   struct arena *arena, struct turn_row *ret, struct err *err) {
    return claim(db, key, owner, now_us, true, arena, ret, err);
}

/* ---- cancelling ---- */

static const struct db_sql sql_cancel_lock =
    DB_SQL("cancel_lock", "UPDATE threads SET turn_seq = turn_seq WHERE user_id = $1 AND id = "
                          "(SELECT thread_id FROM turns WHERE user_id = $1 AND id = $2)");
static const struct db_sql sql_cancel =
    DB_SQL("cancel_turn", "UPDATE turns SET cancel_requested = TRUE, "
                          "ended_at = CASE WHEN state = 'queued' THEN $3 ELSE ended_at END, "
                          "state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END "
                          "WHERE user_id = $1 AND id = $2 AND state IN ('queued', 'running')");
static const struct db_sql sql_cancel_count =
    DB_SQL("cancel_count",
           "UPDATE threads SET open_turns = (SELECT COUNT(*) FROM turns t WHERE t.user_id = $1 "
           "AND t.thread_id = threads.id AND t.state IN ('queued', 'running')) "
           "WHERE user_id = $1 AND id = "
           "(SELECT thread_id FROM turns WHERE user_id = $1 AND id = $2)");
static const struct db_sql sql_state =
    DB_SQL("cancel_state", "SELECT state FROM turns WHERE user_id = $1 AND id = $2");

int turn_request_cancel(struct db *db, struct turn_key key, enum turn_state *ret_state,
                        struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, key.user_id, DB_WRITE);
    struct db_value user = db_text(key.user_id), turn = db_text(key.turn_id);

    db_tx_add(tx, &sql_cancel_lock, user, turn);
    db_tx_add(tx, &sql_cancel, user, turn, db_time(clock_now_us()));
    db_tx_add(tx, &sql_cancel_count, user, turn);
    size_t q = db_tx_add(tx, &sql_state, user, turn);
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    if (db_rows(tx, q) == 0) {
        return err_set(err, ERR_NOT_FOUND, "no such turn");
    }
    *ret_state = turn_state_parse(db_get_text(tx, q, 0, 0));
    return 0;
}

/* ---- sweeping ---- */

static const struct db_sql sql_old_events =
    DB_SQL("events_old", "SELECT user_id, turn_id FROM event_ages WHERE created_at < $1 "
                         "AND ended_at < $1 ORDER BY created_at LIMIT $2");
/* A shorter list repeats its last id. */
static const struct db_sql sql_drop_events =
    DB_SQL("events_drop", "DELETE FROM events WHERE user_id = $1 AND turn_id IN ($2, $3, $4, $5, "
                          "$6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)");

static int compare_keys(const void *a, const void *b) {
    const struct turn_key *x = a, *y = b;
    int by_user = strcmp(x->user_id.p, y->user_id.p); /* the arena's copies end in NUL */
    return by_user ? by_user : strcmp(x->turn_id.p, y->turn_id.p);
}

static size_t without_repeats(struct turn_key *keys, size_t n) {
    size_t kept = 0;
    qsort(keys, n, sizeof *keys, compare_keys);
    for (size_t i = 0; i < n; i++) {
        if (kept == 0 || compare_keys(&keys[kept - 1], &keys[i]) != 0) {
            keys[kept++] = keys[i];
        }
    }
    return kept;
}

static int old_turns(struct db *db, int64_t before_us, size_t max, struct arena *arena,
                     struct turn_key **ret, size_t *ret_n, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, STR_EMPTY, DB_READ);
    size_t q = db_tx_add(tx, &sql_old_events, db_time(before_us), db_int((int64_t)max));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    size_t n;
    *ret = read_keys(tx, q, arena, &n);
    *ret_n = without_repeats(*ret, n);
    return 0;
}

static void add_drop(struct db_tx *tx, const struct turn_key *keys, size_t n) {
    struct db_value values[SWEEP_TURNS + 1] = {db_text(keys[0].user_id)};
    for (size_t i = 0; i < SWEEP_TURNS; i++) {
        values[i + 1] = db_text(keys[MIN(i, n - 1)].turn_id);
    }
    db_tx_add_values(tx, &sql_drop_events, values, ARRAY_LEN(values));
}

/* keys are one user's. */
static int drop_events(struct db *db, const struct turn_key *keys, size_t n, size_t *deleted,
                       struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, keys[0].user_id, DB_WRITE);
    size_t statements = 0;
    for (size_t at = 0; at < n; at += SWEEP_TURNS, statements++) {
        add_drop(tx, keys + at, MIN(n - at, (size_t)SWEEP_TURNS));
    }
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    for (size_t i = 0; i < statements; i++) {
        *deleted += (size_t)db_rows_affected(tx, i);
    }
    return 0;
}

int events_sweep(struct db *db, int64_t before_us, size_t max, size_t *ret_deleted,
                 struct err *err) {
    struct arena arena cleanup(arena_done) = {0};
    struct turn_key *keys = NULL;
    size_t n = 0, deleted = 0;

    if (old_turns(db, before_us, max, &arena, &keys, &n, err) < 0) {
        return -(int)err->code;
    }
    for (size_t at = 0; at < n;) {
        size_t group = 1;
        while (at + group < n && group < SWEEP_TURNS * SWEEP_STATEMENTS &&
               str_eq(keys[at].user_id, keys[at + group].user_id)) {
            group++;
        }
        if (drop_events(db, keys + at, group, &deleted, err) < 0) {
            return -(int)err->code;
        }
        at += group;
    }
    *ret_deleted = deleted;
    return 0;
}
