#include "store/audit.h"

#include "base/clock.h"
#include "store/rows.h"

#define END_OF_TIME_US INT64_C(253402300799000000) /* 9999-12-31T23:59:59Z */

struct str audit_actor(struct arena *arena, struct str user_id, struct str key_hash) {
    if (key_hash.n == 0) {
        return arena_str(arena, user_id);
    }
    struct str prefix = str_head(key_hash, AUDIT_KEY_PREFIX);
    return arena_printf(arena, "%.*s key:%.*s", STR_ARG(user_id), STR_ARG(prefix));
}

/* ---- adding ---- */

static const struct db_sql sql_add =
    DB_SQL("audit_add", "INSERT INTO audit (user_id, id, created_at, actor, action, subject, "
                        "detail) VALUES ($1, $2, $3, $4, $5, $6, $7) "
                        "ON CONFLICT (user_id, id) DO NOTHING");

void audit_add(struct db_tx *tx, struct audit_entry *e) {
    if (!e->id.z[0]) {
        e->id = id_new();
    }
    if (e->created_us == 0) {
        e->created_us = clock_now_us();
    }
    db_tx_add(tx, &sql_add, db_text(e->user_id), db_text(id_str(&e->id)), db_time(e->created_us),
              db_text(e->actor), db_text(e->action), db_text_or_null(e->subject),
              db_text(e->detail.n ? e->detail : STR("{}")));
}

/* ---- reading ---- */

static const struct db_sql sql_list =
    DB_SQL("audit_list", "SELECT user_id, id, created_at, actor, action, subject, detail FROM "
                         "audit WHERE user_id = $1 AND (created_at, id) < ($2, $3) "
                         "ORDER BY created_at DESC, id DESC LIMIT $4");

void audit_rows_of(const struct db_tx *tx, size_t q, struct arena *arena, struct audit_row **ret,
                   size_t *ret_n) {
    size_t n = db_rows(tx, q);
    struct audit_row *rows = arena_alloc(arena, n * sizeof *rows);
    for (size_t i = 0; i < n; i++) {
        rows[i] = (struct audit_row){.user_id = row_text(arena, tx, q, i, 0),
                                     .id = row_text(arena, tx, q, i, 1),
                                     .created_us = db_get_time(tx, q, i, 2),
                                     .actor = row_text(arena, tx, q, i, 3),
                                     .action = row_text(arena, tx, q, i, 4),
                                     .subject = row_text(arena, tx, q, i, 5),
                                     .detail = row_text(arena, tx, q, i, 6)};
    }
    *ret = rows;
    *ret_n = n;
}

int audit_list(struct db *db, struct str user_id, int64_t before_us, struct str before_id,
               size_t max, struct arena *arena, struct audit_row **ret, size_t *ret_n,
               struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user_id, DB_READ);
    size_t q =
        db_tx_add(tx, &sql_list, db_text(user_id), db_time(before_us ? before_us : END_OF_TIME_US),
                  db_text(before_id), db_int((int64_t)MIN(max, (size_t)AUDIT_MAX_PAGE + 1)));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    audit_rows_of(tx, q, arena, ret, ret_n);
    return 0;
}
