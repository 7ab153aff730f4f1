#include "store/interrupts.h"

#include "base/crypto.h"
#include "store/rows.h"

enum { MAX_DIGESTED_BYTES = 64 * 1024 * 1024 };

void interrupt_digest(struct str server, struct str tool, struct str written, struct str arguments,
                      char ret[INTERRUPT_DIGEST_HEX + 1]) {
    struct strbuf all cleanup(strbuf_done) = STRBUF(MAX_DIGESTED_BYTES);
    const struct str parts[] = {server, tool, written, arguments};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        strbuf_addf(&all, "%zu:", parts[i].n);
        strbuf_add(&all, parts[i]);
    }
    crypto_sha256_hex(strbuf_str(&all), ret);
}

/* ---- reading ---- */

#define COLUMNS                                                                                    \
    "SELECT i.id, i.code, i.kind, i.call_id, i.server, i.tool, i.name, i.digest, i.arguments, "    \
    "i.request, i.expires_at, i.thread_id, i.turn_id, i.state, i.answer, i.created_at, "           \
    "i.answered_at, CASE WHEN h.turn_seq = i.position THEN 0 ELSE 1 END FROM interrupts i "        \
    "JOIN threads h ON h.user_id = i.user_id AND h.id = i.thread_id "
#define OPEN "i.state = 'open' AND h.turn_seq = i.position "

static const struct db_sql sql_get =
    DB_SQL("interrupt_get", COLUMNS "WHERE i.user_id = $1 AND i.id = $2");
static const struct db_sql sql_find =
    DB_SQL("interrupt_find", COLUMNS "WHERE i.user_id = $1 AND i.code = $2 AND i.expires_at > $3 "
                                     "ORDER BY CASE WHEN " OPEN "THEN 0 ELSE 1 END, "
                                     "i.created_at DESC LIMIT 2");
static const struct db_sql sql_open =
    DB_SQL("interrupts_open", COLUMNS "WHERE i.user_id = $1 AND " OPEN
                                      "AND i.expires_at > $2 ORDER BY i.created_at, i.id LIMIT $3");
static const struct db_sql sql_open_of_thread =
    DB_SQL("interrupts_open_of_thread",
           COLUMNS "WHERE i.user_id = $1 AND " OPEN "AND i.expires_at > $2 AND i.thread_id = $4 "
                   "ORDER BY i.created_at, i.id LIMIT $3");
static const struct db_sql sql_of_turn = DB_SQL(
    "interrupts_of_turn", COLUMNS "WHERE i.user_id = $1 AND i.turn_id = $2 ORDER BY i.created_at, "
                                  "i.id");

static struct interrupt_row read_row(const struct db_tx *tx, size_t q, size_t i,
                                     struct arena *arena) {
    return (struct interrupt_row){
        .is = {.id = row_text(arena, tx, q, i, 0),
               .code = row_text(arena, tx, q, i, 1),
               .kind = row_text(arena, tx, q, i, 2),
               .call_id = row_text(arena, tx, q, i, 3),
               .server = row_text(arena, tx, q, i, 4),
               .tool = row_text(arena, tx, q, i, 5),
               .name = row_text(arena, tx, q, i, 6),
               .digest = row_text(arena, tx, q, i, 7),
               .arguments = row_text(arena, tx, q, i, 8),
               .request = row_text(arena, tx, q, i, 9),
               .expires_us = db_get_time(tx, q, i, 10)},
        .thread_id = row_text(arena, tx, q, i, 11),
        .turn_id = row_text(arena, tx, q, i, 12),
        .state = row_text(arena, tx, q, i, 13),
        .answer = row_text(arena, tx, q, i, 14),
        .created_us = db_get_time(tx, q, i, 15),
        .answered_us = db_get_time(tx, q, i, 16),
        .superseded = db_get_int(tx, q, i, 17) != 0,
    };
}

static struct interrupt_row *read_rows(const struct db_tx *tx, size_t q, struct arena *arena,
                                       size_t *ret_n) {
    size_t n = db_rows(tx, q);
    struct interrupt_row *rows = arena_alloc(arena, n * sizeof *rows);
    for (size_t i = 0; i < n; i++) {
        rows[i] = read_row(tx, q, i, arena);
    }
    *ret_n = n;
    return rows;
}

static int run_for_one(struct db_tx *tx, size_t q, struct arena *arena, struct interrupt_row *ret,
                       struct err *err) {
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    if (db_rows(tx, q) == 0) {
        return err_set(err, ERR_NOT_FOUND, "no such approval");
    }
    *ret = read_row(tx, q, 0, arena);
    return 0;
}

int interrupt_get(struct db *db, struct str user_id, struct str id, struct arena *arena,
                  struct interrupt_row *ret, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user_id, DB_READ);
    size_t q = db_tx_add(tx, &sql_get, db_text(user_id), db_text(id));
    return run_for_one(tx, q, arena, ret, err);
}

int interrupt_find(struct db *db, struct str user_id, struct str code, int64_t now_us,
                   struct arena *arena, struct interrupt_row *ret, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user_id, DB_READ);
    size_t q = db_tx_add(tx, &sql_find, db_text(user_id), db_text(code), db_time(now_us));
    if (run_for_one(tx, q, arena, ret, err) < 0) {
        return -(int)err->code;
    }
    if (db_rows(tx, q) > 1) {
        struct interrupt_row second = read_row(tx, q, 1, arena);
        if (interrupt_row_open(&second, now_us)) {
            return err_set(err, ERR_CONFLICT,
                           "two questions have this code by chance; answer in the app");
        }
    }
    return 0;
}

int interrupts_open(struct db *db, struct str user_id, struct str thread_id, int64_t now_us,
                    size_t max, struct arena *arena, struct interrupt_row **ret, size_t *ret_n,
                    struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user_id, DB_READ);
    struct db_value user = db_text(user_id), now = db_time(now_us), limit = db_int((int64_t)max);
    size_t q = thread_id.n
                   ? db_tx_add(tx, &sql_open_of_thread, user, now, limit, db_text(thread_id))
                   : db_tx_add(tx, &sql_open, user, now, limit);
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    *ret = read_rows(tx, q, arena, ret_n);
    return 0;
}

int interrupts_of_turn(struct db *db, struct turn_key key, struct arena *arena,
                       struct interrupt_row **ret, size_t *ret_n, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, key.user_id, DB_READ);
    size_t q = db_tx_add(tx, &sql_of_turn, db_text(key.user_id), db_text(key.turn_id));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    *ret = read_rows(tx, q, arena, ret_n);
    return 0;
}

/* ---- what was never begun ---- */

enum { MAX_LEFT = 500 };

/* A fork has the messages, with the turns that they are of, and not the questions. */
static const struct db_sql sql_left = DB_SQL(
    "interrupts_left",
    "SELECT i.turn_id, i.call_id, i.state, i.kind, CASE WHEN i.thread_id = $2 THEN 0 ELSE 1 END "
    "FROM interrupts i WHERE i.user_id = $1 AND i.turn_id <> $3 AND i.turn_id IN "
    "(SELECT m.turn_id FROM messages m WHERE m.user_id = $1 AND m.thread_id = $2 AND "
    "m.role = 'assistant') AND (i.thread_id <> $2 OR i.answered_by_turn IS NULL OR NOT EXISTS "
    "(SELECT 1 FROM effects e WHERE e.user_id = $1 AND e.turn_id = i.answered_by_turn)) "
    "ORDER BY i.created_at DESC LIMIT $4");

int interrupts_left(struct db *db, struct str user_id, struct str thread_id, struct str but_of_turn,
                    struct arena *arena, struct interrupt_left **ret, size_t *ret_n,
                    struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user_id, DB_READ);
    size_t q = db_tx_add(tx, &sql_left, db_text(user_id), db_text(thread_id), db_text(but_of_turn),
                         db_int(MAX_LEFT));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    size_t n = db_rows(tx, q);
    struct interrupt_left *list = arena_alloc(arena, n * sizeof *list);
    for (size_t i = 0; i < n; i++) {
        list[i] = (struct interrupt_left){
            .turn_id = row_text(arena, tx, q, i, 0),
            .call_id = row_text(arena, tx, q, i, 1),
            .state = row_text(arena, tx, q, i, 2),
            .elicitation = str_eq(db_get_text(tx, q, i, 3), STR("elicitation")),
            .elsewhere = db_get_int(tx, q, i, 4) != 0,
        };
    }
    *ret = list;
    *ret_n = n;
    return 0;
}

/* ---- answering one of several ---- */

/* Under the thread's lock, so that of two answers given at once one sees the other. */
static const struct db_sql sql_lock =
    DB_SQL("interrupt_lock", "UPDATE threads SET turn_seq = turn_seq WHERE user_id = $1 AND id = "
                             "(SELECT thread_id FROM interrupts WHERE user_id = $1 AND id = $2)");
static const struct db_sql sql_may = DB_SQL(
    "interrupt_may_answer",
    "SELECT adjutant_require(EXISTS (SELECT 1 FROM interrupts i JOIN threads h ON h.user_id = "
    "i.user_id AND h.id = i.thread_id WHERE i.user_id = $1 AND i.id = $2 AND i.turn_id = $3 AND "
    "(i.expires_at > $4 OR $5 = 'denied') AND " OPEN
    ") AND EXISTS (SELECT 1 FROM interrupts o WHERE o.user_id = $1 "
    "AND o.turn_id = $3 AND o.id <> $2 AND o.state = 'open' AND o.expires_at > $4), 'open')");
static const struct db_sql sql_answer =
    DB_SQL("interrupt_answer", "UPDATE interrupts SET state = $3, answer = $4, answered_at = $5 "
                               "WHERE user_id = $1 AND id = $2");

int interrupt_answer(struct db *db, struct turn_key asked_by, const struct turn_answer *answer,
                     int64_t now_us, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, asked_by.user_id, DB_WRITE);
    struct db_value user = db_text(asked_by.user_id), id = db_text(answer->interrupt_id);
    db_tx_add(tx, &sql_lock, user, id);
    db_tx_add(tx, &sql_may, user, id, db_text(asked_by.turn_id), db_time(now_us),
              db_text(answer->state));
    db_tx_add(tx, &sql_answer, user, id, db_text(answer->state), db_text_or_null(answer->json),
              db_time(now_us));
    return db_tx_run(tx, err);
}
