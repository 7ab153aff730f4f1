/* What was used and whose key paid. May yield, names the user. */
#pragma once
#include "base/arena.h"
#include "db/db.h"

/* Of one model call. */
struct turn_usage {
    struct str provider, model, key_owner;
    int64_t input_tokens, output_tokens, cached_input_tokens, cache_write_tokens, reasoning_tokens,
        cost_microusd;
};
/* What a record is of, where it is not a step of the turn: those are counted from 1. */
enum { USAGE_STEP_SUMMARY = 0, USAGE_STEP_TITLE = -1 };
struct usage_record {
    struct str user_id, turn_id, thread_id;
    int64_t step, now_us;
    const struct turn_usage *usage;
};
/* Adds the record to a transaction; what it points to must live until that was run. */
void usage_add(struct db_tx *tx, const struct usage_record *r);

struct usage_row {
    struct str provider, model, key_owner;
    int64_t calls, input_tokens, output_tokens, cached_input_tokens, cache_write_tokens,
        reasoning_tokens, cost_microusd;
};
/* Sums over [bounds_us[i], bounds_us[i + 1]) for each i below n, whatever the model; provider,
 * model and key_owner stay empty. */
may_yield int usage_sum_spans(struct db *db, struct str user_id, const int64_t *bounds_us, size_t n,
                              struct usage_row *ret, struct err *err) must_check;
/* Sums per provider, model and key owner over [from_us, to_us). */
may_yield int usage_sum(struct db *db, struct str user_id, int64_t from_us, int64_t to_us,
                        struct arena *arena, struct usage_row **ret, size_t *ret_n, struct err *err)
    must_check;
