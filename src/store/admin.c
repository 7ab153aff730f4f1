#include "store/admin.h"

#include "store/rows.h"

#define END_OF_TIME_US INT64_C(253402300799000000) /* 9999-12-31T23:59:59Z */

/* ---- users ---- */

static const struct db_sql sql_users =
    DB_SQL("admin_users", "SELECT user_id, created_at, last_activity_at, valid_keys, threads, "
                          "input_tokens, output_tokens FROM user_overview WHERE user_id > $1 "
                          "ORDER BY user_id LIMIT $2");

int admin_users(struct db *db, struct str after_id, size_t max, struct arena *arena,
                struct user_row **ret, size_t *ret_n, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, STR_EMPTY, DB_READ);
    size_t q = db_tx_add(tx, &sql_users, db_text(after_id), db_int((int64_t)max));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    size_t n = db_rows(tx, q);
    struct user_row *rows = arena_alloc(arena, n * sizeof *rows);
    for (size_t i = 0; i < n; i++) {
        rows[i] = (struct user_row){.user_id = row_text(arena, tx, q, i, 0),
                                    .created_us = db_get_time(tx, q, i, 1),
                                    .last_activity_us = db_get_time(tx, q, i, 2),
                                    .valid_keys = db_get_int(tx, q, i, 3),
                                    .threads = db_get_int(tx, q, i, 4),
                                    .input_tokens = db_get_int(tx, q, i, 5),
                                    .output_tokens = db_get_int(tx, q, i, 6)};
    }
    *ret = rows;
    *ret_n = n;
    return 0;
}

/* ---- usage ---- */

#define SUMS(columns, group)                                                                       \
    "SELECT " columns ", key_owner, COUNT(*), SUM(input_tokens), SUM(output_tokens), "             \
    "SUM(cached_input_tokens), SUM(cache_write_tokens), SUM(reasoning_tokens), "                   \
    "SUM(cost_microusd) FROM usage_amounts WHERE created_at >= $1 AND created_at < $2 "            \
    "GROUP BY " group ", key_owner "                                                               \
    "ORDER BY SUM(input_tokens) + SUM(output_tokens) DESC, " group ", key_owner LIMIT $3"
static const struct db_sql sql_by_user =
    DB_SQL("admin_usage_by_user", SUMS("user_id, '', ''", "user_id"));
static const struct db_sql sql_by_model =
    DB_SQL("admin_usage_by_model", SUMS("'', provider, model", "provider, model"));

static struct admin_usage_row usage_at(struct arena *arena, const struct db_tx *tx, size_t q,
                                       size_t row) {
    return (struct admin_usage_row){
        .user_id = row_text(arena, tx, q, row, 0),
        .usage = {.provider = row_text(arena, tx, q, row, 1),
                  .model = row_text(arena, tx, q, row, 2),
                  .key_owner = row_text(arena, tx, q, row, 3),
                  .calls = db_get_int(tx, q, row, 4),
                  .input_tokens = db_get_int(tx, q, row, 5),
                  .output_tokens = db_get_int(tx, q, row, 6),
                  .cached_input_tokens = db_get_int(tx, q, row, 7),
                  .cache_write_tokens = db_get_int(tx, q, row, 8),
                  .reasoning_tokens = db_get_int(tx, q, row, 9),
                  .cost_microusd = db_get_int(tx, q, row, 10)},
    };
}

int admin_usage(struct db *db, enum admin_usage_by by, int64_t from_us, int64_t to_us, size_t max,
                struct arena *arena, struct admin_usage_row **ret, size_t *ret_n, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, STR_EMPTY, DB_READ);
    size_t q = db_tx_add(tx, by == ADMIN_USAGE_BY_USER ? &sql_by_user : &sql_by_model,
                         db_time(from_us), db_time(to_us), db_int((int64_t)max));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    size_t n = db_rows(tx, q);
    struct admin_usage_row *rows = arena_alloc(arena, n * sizeof *rows);
    for (size_t i = 0; i < n; i++) {
        rows[i] = usage_at(arena, tx, q, i);
    }
    *ret = rows;
    *ret_n = n;
    return 0;
}

/* ---- the audit trail ---- */

#define TRAIL(whose)                                                                               \
    "SELECT user_id, id, created_at, actor, action, subject, detail FROM audit_trail WHERE " whose \
    "(created_at, id) < ($2, $3) ORDER BY created_at DESC, id DESC LIMIT $4"
static const struct db_sql sql_audit = DB_SQL("admin_audit", TRAIL("$1 = '' AND "));
static const struct db_sql sql_audit_of_user =
    DB_SQL("admin_audit_of_user", TRAIL("user_id = $1 AND "));

int admin_audit(struct db *db, const struct admin_audit_page *page, struct arena *arena,
                struct audit_row **ret, size_t *ret_n, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, STR_EMPTY, DB_READ);
    size_t q = db_tx_add(tx, page->user_id.n ? &sql_audit_of_user : &sql_audit,
                         db_text(page->user_id.n ? page->user_id : STR_EMPTY),
                         db_time(page->before_us ? page->before_us : END_OF_TIME_US),
                         db_text(page->before_id), db_int((int64_t)page->max));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    audit_rows_of(tx, q, arena, ret, ret_n);
    return 0;
}
