#include "store/policies.h"

#include "store/rows.h"

static const struct db_sql sql_list =
    DB_SQL("policy_list", "SELECT server, tool, policy, updated_at FROM tool_policies "
                          "WHERE user_id = $1 ORDER BY server, tool");
/* Two rows made at the same moment may pass the maximum by one: readers take what there is. */
static const struct db_sql sql_room =
    DB_SQL("policy_room",
           "SELECT adjutant_require((SELECT COUNT(*) FROM tool_policies WHERE user_id = $1 AND "
           "NOT (server = $2 AND tool = $3)) < $4, 'room')");
static const struct db_sql sql_put = DB_SQL(
    "policy_put", "INSERT INTO tool_policies (user_id, server, tool, policy, updated_at) "
                  "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (user_id, server, tool) "
                  "DO UPDATE SET policy = excluded.policy, updated_at = excluded.updated_at");
static const struct db_sql sql_is_there =
    DB_SQL("policy_is_there", "SELECT adjutant_require(EXISTS (SELECT 1 FROM tool_policies WHERE "
                              "user_id = $1 AND server = $2 AND tool = $3), 'policy')");
static const struct db_sql sql_delete = DB_SQL(
    "policy_delete", "DELETE FROM tool_policies WHERE user_id = $1 AND server = $2 AND tool = $3");

int policy_list(struct db *db, struct str user_id, struct arena *arena, struct policy_row **ret,
                size_t *ret_n, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user_id, DB_READ);
    size_t q = db_tx_add(tx, &sql_list, db_text(user_id));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    size_t n = db_rows(tx, q);
    struct policy_row *rows = arena_alloc(arena, n * sizeof *rows);
    for (size_t i = 0; i < n; i++) {
        rows[i] = (struct policy_row){.server = row_text(arena, tx, q, i, 0),
                                      .tool = row_text(arena, tx, q, i, 1),
                                      .policy = row_text(arena, tx, q, i, 2),
                                      .updated_us = db_get_time(tx, q, i, 3)};
    }
    *ret = rows;
    *ret_n = n;
    return 0;
}

int policy_put(struct db *db, struct str user_id, const struct policy_row *row, size_t max,
               struct audit_entry *audit, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user_id, DB_WRITE);
    db_tx_add(tx, &sql_room, db_text(user_id), db_text(row->server), db_text(row->tool),
              db_int((int64_t)max));
    db_tx_add(tx, &sql_put, db_text(user_id), db_text(row->server), db_text(row->tool),
              db_text(row->policy), db_time(row->updated_us));
    audit_add(tx, audit);
    if (db_tx_run(tx, err) < 0) {
        return err->code == ERR_PRECONDITION
                   ? err_set(err, ERR_LIMIT, "there are %zu policies already", max)
                   : -(int)err->code;
    }
    return 0;
}

int policy_delete(struct db *db, struct str user_id, struct str server, struct str tool,
                  struct audit_entry *audit, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user_id, DB_WRITE);
    db_tx_add(tx, &sql_is_there, db_text(user_id), db_text(server), db_text(tool));
    db_tx_add(tx, &sql_delete, db_text(user_id), db_text(server), db_text(tool));
    audit_add(tx, audit);
    if (db_tx_run(tx, err) < 0) {
        return err->code == ERR_PRECONDITION
                   ? err_set(err, ERR_NOT_FOUND, "there is no such policy")
                   : -(int)err->code;
    }
    return 0;
}
