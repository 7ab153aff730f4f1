/* The audit trail: who changed what, on whose behalf. Rows are only ever added, each of the user it
 * concerns. A change and its row are one transaction. */
#pragma once
#include "base/arena.h"
#include "base/id.h"
#include "db/db.h"

enum { AUDIT_KEY_PREFIX = 12, AUDIT_MAX_PAGE = 200 };

/* Must live until the transaction was run. id and created_us are filled in by audit_add when they
 * are empty, so that a transaction that is run again adds its row once. */
struct audit_entry {
    struct str user_id; /* whom it concerns; the transaction's user */
    struct str actor;   /* audit_actor(), "cli", or "system" */
    struct str action;  /* "key.create", "credential.put": noun, dot, verb */
    struct str subject; /* what it was done to; may be empty */
    struct str detail;  /* a JSON object without secrets; empty: {} */
    struct id id;
    int64_t created_us;
};

/* "USER key:PREFIX" with the first AUDIT_KEY_PREFIX digits of the key's hash, "USER" without one.
 */
struct str audit_actor(struct arena *arena, struct str user_id, struct str key_hash);
/* Appends the row to a transaction of entry->user_id. */
void audit_add(struct db_tx *tx, struct audit_entry *entry);

struct audit_row {
    struct str user_id, id, actor, action, subject, detail;
    int64_t created_us;
};
/* Newest first, at most `max` of a user's rows older than (before_us, before_id); 0 and empty for
 * the first page. */
may_yield int audit_list(struct db *db, struct str user_id, int64_t before_us, struct str before_id,
                         size_t max, struct arena *arena, struct audit_row **ret, size_t *ret_n,
                         struct err *err) must_check;
/* For store/: the rows of a statement that names the columns in the order of struct audit_row, with
 * the time third. */
void audit_rows_of(const struct db_tx *tx, size_t statement, struct arena *arena,
                   struct audit_row **ret, size_t *ret_n);
