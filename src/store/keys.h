/* api_keys and sessions: read before the user is known, so without a user and without row-level
 * security. Whoever changes a key names an actor for the audit trail (store/audit.h); the row is
 * part of the same transaction. All may yield. */
#pragma once
#include "base/arena.h"
#include "db/db.h"

enum { KEY_MAX_PER_USER = 100, KEY_MIN_PREFIX = 8 };

struct key_row {
    struct str key_hash, user_id, profile_name, label;
    int64_t created_us, last_used_us;
    bool is_revoked, allow_operator_llm;
};

/* Makes the user's row too. ERR_CONFLICT: the key exists, or the user has KEY_MAX_PER_USER. */
may_yield int key_insert(struct db *db, const struct key_row *row, struct str actor,
                         struct err *err) must_check;
may_yield int key_get(struct db *db, struct str key_hash, struct arena *arena, struct key_row *ret,
                      struct err *err) must_check;
/* All of them, oldest first. */
may_yield int key_list(struct db *db, struct arena *arena, struct key_row **ret, size_t *ret_n,
                       struct err *err) must_check;
/* Newest first, at most `max`, older than (before_us, before_hash), which may be the beginning of a
 * hash; 0 and empty for the first page. */
struct key_page {
    struct str user_id; /* empty: everybody's */
    int64_t before_us;
    struct str before_hash;
    size_t max;
};
may_yield int key_list_page(struct db *db, const struct key_page *page, struct arena *arena,
                            struct key_row **ret, size_t *ret_n, struct err *err) must_check;

/* Which key, and who changes it. */
struct key_order {
    struct str hash_prefix; /* a whole hash, or at least KEY_MIN_PREFIX digits that name one key */
    struct str user_id;     /* whose key it must be; empty: anybody's */
    struct str actor;
};
/* Ends its sessions too; a revoked key stays as it is. ERR_NOT_FOUND, ERR_CONFLICT (several, or
 * keep_an_admin and it is the last valid key of an admin), ERR_INVALID (no prefix). */
may_yield int key_revoke(struct db *db, const struct key_order *order, bool keep_an_admin,
                         struct arena *arena, struct key_row *ret, struct err *err) must_check;
struct key_change {
    bool sets_operator_llm, allow_operator_llm;
    struct str label; /* p == NULL: stays; empty: none */
};
may_yield int key_change(struct db *db, const struct key_order *order,
                         const struct key_change *change, struct arena *arena, struct key_row *ret,
                         struct err *err) must_check;
may_yield int key_touch(struct db *db, struct str key_hash, int64_t now_us, struct err *err)
    must_check;
may_yield int key_count(struct db *db, int64_t *ret, struct err *err) must_check;
/* Valid keys of admins. */
may_yield int key_count_admins(struct db *db, int64_t *ret, struct err *err) must_check;

/* A key has at most 100 sessions; the oldest go first. */
may_yield int session_insert(struct db *db, struct str token_hash, struct str key_hash,
                             int64_t now_us, int64_t expires_us, struct err *err) must_check;
/* The session's key, when the session has not expired and the key is not revoked. A key without a
 * row (the shared one) gives its hash and an empty user. ERR_NOT_FOUND. */
may_yield int session_get(struct db *db, struct str token_hash, int64_t now_us, struct arena *arena,
                          struct key_row *ret, struct err *err) must_check;
may_yield int session_delete(struct db *db, struct str token_hash, struct err *err) must_check;
may_yield int sessions_sweep(struct db *db, int64_t now_us, struct err *err) must_check;

/* A user's sessions: those of the keys of the table that are the user's, and those of one more key
 * that has no row (may be empty). */
struct session_owner {
    struct str user_id, key_without_row;
};
struct session_row {
    struct str token_hash, key_hash;
    int64_t created_us, expires_us;
};
/* The valid ones, newest first, at most `max`. */
may_yield int session_list(struct db *db, struct session_owner owner, int64_t now_us, size_t max,
                           struct arena *arena, struct session_row **ret, size_t *ret_n,
                           struct err *err) must_check;
/* By the beginning of its token's hash, KEY_MIN_PREFIX digits at least. ERR_NOT_FOUND,
 * ERR_CONFLICT, ERR_INVALID. */
may_yield int session_end(struct db *db, struct session_owner owner, struct str token_prefix,
                          struct str actor, struct arena *arena, struct session_row *ret,
                          struct err *err) must_check;
