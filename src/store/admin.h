/* What admins see across users: counts, amounts and the audit trail, never what users say. All
 * may yield. Only for callers who were found to be admins. */
#pragma once
#include "store/audit.h"
#include "store/usage.h"

struct user_row {
    struct str user_id;
    int64_t created_us, last_activity_us; /* 0: unknown, none */
    int64_t valid_keys, threads, input_tokens, output_tokens;
};
/* By name, at most `max` behind after_id (empty: from the beginning). */
may_yield int admin_users(struct db *db, struct str after_id, size_t max, struct arena *arena,
                          struct user_row **ret, size_t *ret_n, struct err *err) must_check;

enum admin_usage_by { ADMIN_USAGE_BY_USER, ADMIN_USAGE_BY_MODEL };
struct admin_usage_row {
    struct str user_id;     /* by user: no provider, no model; by model: no user */
    struct usage_row usage; /* sums per key owner */
};
/* Over [from_us, to_us); the greatest users of tokens first, at most `max`. */
may_yield int admin_usage(struct db *db, enum admin_usage_by by, int64_t from_us, int64_t to_us,
                          size_t max, struct arena *arena, struct admin_usage_row **ret,
                          size_t *ret_n, struct err *err) must_check;

struct admin_audit_page {
    struct str user_id; /* empty: everybody's */
    int64_t before_us;
    struct str before_id;
    size_t max;
};
/* As audit_list. */
may_yield int admin_audit(struct db *db, const struct admin_audit_page *page, struct arena *arena,
                          struct audit_row **ret, size_t *ret_n, struct err *err) must_check;
