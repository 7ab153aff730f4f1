#include "store/usage.h"

#include "store/rows.h"

static const struct db_sql sql_add =
    DB_SQL("usage_add",
           "INSERT INTO usage (user_id, created_at, turn_id, step, thread_id, provider, model, "
           "key_owner, input_tokens, output_tokens, cached_input_tokens, cache_write_tokens, "
           "reasoning_tokens, cost_microusd) "
           "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)");

void usage_add(struct db_tx *tx, const struct usage_record *r) {
    const struct turn_usage *u = r->usage;
    db_tx_add(tx, &sql_add, db_text(r->user_id), db_time(r->now_us), db_text(r->turn_id),
              db_int(r->step), db_text(r->thread_id), db_text(u->provider), db_text(u->model),
              db_text(u->key_owner), db_int(u->input_tokens), db_int(u->output_tokens),
              db_int(u->cached_input_tokens), db_int(u->cache_write_tokens),
              db_int(u->reasoning_tokens), db_int(u->cost_microusd));
}

static const struct db_sql sql_sum =
    DB_SQL("usage_sum",
           "SELECT provider, model, key_owner, COUNT(*), SUM(input_tokens), SUM(output_tokens), "
           "SUM(cached_input_tokens), SUM(cache_write_tokens), SUM(reasoning_tokens), "
           "SUM(cost_microusd) FROM usage WHERE user_id = $1 AND created_at >= $2 AND "
           "created_at < $3 GROUP BY provider, model, key_owner "
           "ORDER BY provider, model, key_owner");

int usage_sum(struct db *db, struct str user_id, int64_t from_us, int64_t to_us,
              struct arena *arena, struct usage_row **ret, size_t *ret_n, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user_id, DB_READ);
    size_t q = db_tx_add(tx, &sql_sum, db_text(user_id), db_time(from_us), db_time(to_us));
    if (db_tx_run(tx, err) < 0) {
        return -(int)err->code;
    }
    size_t n = db_rows(tx, q);
    struct usage_row *rows = arena_alloc(arena, n * sizeof *rows);
    for (size_t i = 0; i < n; i++) {
        rows[i] = (struct usage_row){.provider = row_text(arena, tx, q, i, 0),
                                     .model = row_text(arena, tx, q, i, 1),
                                     .key_owner = row_text(arena, tx, q, i, 2),
                                     .calls = db_get_int(tx, q, i, 3),
                                     .input_tokens = db_get_int(tx, q, i, 4),
                                     .output_tokens = db_get_int(tx, q, i, 5),
                                     .cached_input_tokens = db_get_int(tx, q, i, 6),
                                     .cache_write_tokens = db_get_int(tx, q, i, 7),
                                     .reasoning_tokens = db_get_int(tx, q, i, 8),
                                     .cost_microusd = db_get_int(tx, q, i, 9)};
    }
    *ret = rows;
    *ret_n = n;
    return 0;
}
