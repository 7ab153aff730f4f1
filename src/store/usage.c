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

#define AMOUNTS                                                                                    \
    "COUNT(*), SUM(input_tokens), SUM(output_tokens), SUM(cached_input_tokens), "                  \
    "SUM(cache_write_tokens), SUM(reasoning_tokens), SUM(cost_microusd) FROM usage "               \
    "WHERE user_id = $1 AND created_at >= $2 AND created_at < $3 "
static const struct db_sql sql_sum =
    DB_SQL("usage_sum",
           "SELECT provider, model, key_owner, " AMOUNTS "GROUP BY provider, model, key_owner "
           "ORDER BY provider, model, key_owner");

static struct usage_row amounts_at(const struct db_tx *tx, size_t q, size_t row, size_t first) {
    return (struct usage_row){.provider = STR_EMPTY,
                              .model = STR_EMPTY,
                              .key_owner = STR_EMPTY,
                              .calls = db_get_int(tx, q, row, first),
                              .input_tokens = db_get_int(tx, q, row, first + 1),
                              .output_tokens = db_get_int(tx, q, row, first + 2),
                              .cached_input_tokens = db_get_int(tx, q, row, first + 3),
                              .cache_write_tokens = db_get_int(tx, q, row, first + 4),
                              .reasoning_tokens = db_get_int(tx, q, row, first + 5),
                              .cost_microusd = db_get_int(tx, q, row, first + 6)};
}

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
        rows[i] = amounts_at(tx, q, i, 3);
        rows[i].provider = row_text(arena, tx, q, i, 0);
        rows[i].model = row_text(arena, tx, q, i, 1);
        rows[i].key_owner = row_text(arena, tx, q, i, 2);
    }
    *ret = rows;
    *ret_n = n;
    return 0;
}

static const struct db_sql sql_sum_span = DB_SQL("usage_sum_span", "SELECT " AMOUNTS);

int usage_sum_spans(struct db *db, struct str user_id, const int64_t *bounds_us, size_t n,
                    struct usage_row *ret, struct err *err) {
    for (size_t done = 0; done < n;) {
        struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user_id, DB_READ);
        size_t some = MIN(n - done, (size_t)DB_MAX_STATEMENTS);
        for (size_t i = done; i < done + some; i++) {
            db_tx_add(tx, &sql_sum_span, db_text(user_id), db_time(bounds_us[i]),
                      db_time(bounds_us[i + 1]));
        }
        if (db_tx_run(tx, err) < 0) {
            return -(int)err->code;
        }
        for (size_t i = 0; i < some; i++) {
            ret[done + i] = amounts_at(tx, i, 0, 0);
        }
        done += some;
    }
    return 0;
}
