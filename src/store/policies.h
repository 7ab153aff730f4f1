/* What a user decided for good about tools. All may yield and name the user. A change and its row
 * of the audit trail are one transaction. */
#pragma once
#include "store/audit.h"

struct policy_row {
    struct str server; /* empty: the built-in tools */
    struct str tool;   /* "*": all of the server */
    struct str policy; /* "allow", "ask", "deny" */
    int64_t updated_us;
};

/* By server and tool. */
may_yield int policy_list(struct db *db, struct str user_id, struct arena *arena,
                          struct policy_row **ret, size_t *ret_n, struct err *err) must_check;
/* Makes or replaces. ERR_LIMIT when it would be the user's row number max + 1; ERR_INVALID when
 * policy is none of the three. */
may_yield int policy_put(struct db *db, struct str user_id, const struct policy_row *row,
                         size_t max, struct audit_entry *audit, struct err *err) must_check;
/* ERR_NOT_FOUND */
may_yield int policy_delete(struct db *db, struct str user_id, struct str server, struct str tool,
                            struct audit_entry *audit, struct err *err) must_check;
