/* What was used and whose key paid. May yield, names the user. */
#pragma once
#include "base/arena.h"
#include "db/db.h"

struct usage_row {
    struct str provider, model, key_owner;
    int64_t calls, input_tokens, output_tokens, cached_input_tokens, cache_write_tokens,
        reasoning_tokens, cost_microusd;
};
/* Sums per provider, model and key owner over [from_us, to_us). */
may_yield int usage_sum(struct db *db, struct str user_id, int64_t from_us, int64_t to_us,
                        struct arena *arena, struct usage_row **ret, size_t *ret_n, struct err *err)
    must_check;
