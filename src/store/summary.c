#include "store/summary.h"

#include "base/clock.h"

static const struct db_sql sql_set =
    DB_SQL("summary_set", "UPDATE threads SET summary = $3, summary_seq = $4, "
                          "total_input_tokens = total_input_tokens + $5, "
                          "total_output_tokens = total_output_tokens + $6 "
                          "WHERE user_id = $1 AND id = $2 AND summary_seq < $4");
static const struct db_sql sql_was_set =
    DB_SQL("summary_was_set", "SELECT adjutant_require(EXISTS (SELECT 1 FROM threads WHERE "
                              "user_id = $1 AND id = $2 AND summary_seq = $3), 'summary')");
int summary_set(struct db *db, const struct thread_summary *s, struct err *err) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, s->user_id, DB_WRITE);
    const struct turn_usage *u = &s->usage;
    db_tx_add(tx, &sql_set, db_text(s->user_id), db_text(s->thread_id), db_text(s->text),
              db_int(s->up_to_seq), db_int(u->input_tokens), db_int(u->output_tokens));
    db_tx_add(tx, &sql_was_set, db_text(s->user_id), db_text(s->thread_id), db_int(s->up_to_seq));
    struct usage_record record = {.user_id = s->user_id,
                                  .turn_id = s->turn_id,
                                  .thread_id = s->thread_id,
                                  .step = USAGE_STEP_SUMMARY,
                                  .now_us = clock_now_us(),
                                  .usage = u};
    usage_add(tx, &record);
    return db_tx_run(tx, err);
}
