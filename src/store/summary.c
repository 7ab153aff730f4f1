#include "store/summary.h"

#include "base/clock.h"

/* Not a step of the turn: the steps of turns are counted from 1. */
enum { STEP_OF_SUMMARY = 0 };

static const struct db_sql sql_set =
    DB_SQL("summary_set", "UPDATE threads SET summary = $3, summary_seq = $4, "
                          "total_input_tokens = total_input_tokens + $5, "
                          "total_output_tokens = total_output_tokens + $6 "
                          "WHERE user_id = $1 AND id = $2 AND summary_seq < $4");
static const struct db_sql sql_was_set =
    DB_SQL("summary_was_set", "SELECT adjutant_require(EXISTS (SELECT 1 FROM threads WHERE "
                              "user_id = $1 AND id = $2 AND summary_seq = $3), 'summary')");
static const struct db_sql sql_usage =
    DB_SQL("summary_usage",
           "INSERT INTO usage (user_id, created_at, turn_id, step, thread_id, provider, model, "
           "key_owner, input_tokens, output_tokens, cached_input_tokens, cache_write_tokens, "
           "reasoning_tokens, cost_microusd) "
           "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)");

int summary_set(struct db *db, const struct thread_summary *s, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, s->user_id, DB_WRITE);
    const struct turn_usage *u = &s->usage;
    db_tx_add(tx, &sql_set, db_text(s->user_id), db_text(s->thread_id), db_text(s->text),
              db_int(s->up_to_seq), db_int(u->input_tokens), db_int(u->output_tokens));
    db_tx_add(tx, &sql_was_set, db_text(s->user_id), db_text(s->thread_id), db_int(s->up_to_seq));
    db_tx_add(tx, &sql_usage, db_text(s->user_id), db_time(clock_now_us()), db_text(s->turn_id),
              db_int(STEP_OF_SUMMARY), db_text(s->thread_id), db_text(u->provider),
              db_text(u->model), db_text(u->key_owner), db_int(u->input_tokens),
              db_int(u->output_tokens), db_int(u->cached_input_tokens),
              db_int(u->cache_write_tokens), db_int(u->reasoning_tokens), db_int(u->cost_microusd));
    return db_tx_run(tx, err);
}
