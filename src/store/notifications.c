#include "store/notifications.h"

#include "base/clock.h"
#include "store/rows.h"

#define END_OF_TIME_US INT64_C(253402300799000000) /* 9999-12-31T23:59:59Z */

static const struct db_sql sql_add =
    DB_SQL("notification_add",
           "INSERT INTO notifications (user_id, id, from_agent, message, priority, created_at) "
           "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (user_id, id) DO NOTHING");

int notification_add(struct db *db, struct str user_id, const struct notification *n,
                     struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user_id, DB_WRITE);
    db_tx_add(tx, &sql_add, db_text(user_id), db_text(n->id), db_text_or_null(n->from_agent),
              db_text(str_utf8_head(n->message, NOTIFICATION_MAX_MESSAGE_BYTES)),
              db_text(n->priority.n ? n->priority : STR("normal")), db_time(clock_now_us()));
    return db_tx_run(tx, err);
}

/* Two statements, as the unread ones have an index of their own. */
#define LIST(read)                                                                                 \
    "SELECT id, from_agent, message, priority, created_at, delivered_at, read_at "                 \
    "FROM notifications WHERE user_id = $1 AND read_at IS " read                                   \
    " AND (created_at, id) < ($2, $3) ORDER BY created_at DESC, id DESC LIMIT $4"
static const struct db_sql sql_unread = DB_SQL("notification_list_unread", LIST("NULL"));
static const struct db_sql sql_read = DB_SQL("notification_list_read", LIST("NOT NULL"));

int notification_list(struct db *db, struct str user_id, bool read, int64_t before_us,
                      struct str before_id, size_t max, struct arena *arena,
                      struct notification **ret, size_t *ret_n, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user_id, DB_READ);
    size_t q = db_tx_add(tx, read ? &sql_read : &sql_unread, db_text(user_id),
                         db_time(before_us ? before_us : END_OF_TIME_US), db_text(before_id),
                         db_int((int64_t)max));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    size_t n = db_rows(tx, q);
    struct notification *rows = arena_alloc(arena, n * sizeof *rows);
    for (size_t i = 0; i < n; i++) {
        rows[i] = (struct notification){.id = row_text(arena, tx, q, i, 0),
                                        .from_agent = row_text(arena, tx, q, i, 1),
                                        .message = row_text(arena, tx, q, i, 2),
                                        .priority = row_text(arena, tx, q, i, 3),
                                        .created_us = db_get_time(tx, q, i, 4),
                                        .delivered_us = db_get_time(tx, q, i, 5),
                                        .read_us = db_get_time(tx, q, i, 6)};
    }
    *ret = rows;
    *ret_n = n;
    return 0;
}

static const struct db_sql sql_mark =
    DB_SQL("notification_mark", "UPDATE notifications SET read_at = COALESCE(read_at, $3) "
                                "WHERE user_id = $1 AND id = $2");

int notification_read(struct db *db, struct str user_id, struct str id, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user_id, DB_WRITE);
    size_t q = db_tx_add(tx, &sql_mark, db_text(user_id), db_text(id), db_time(clock_now_us()));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    return db_rows_affected(tx, q) ? 0 : err_set(err, ERR_NOT_FOUND, "no such notification");
}
