/* api_keys and sessions: read before the user is known, so without a user and without row-level
 * security. All may yield. */
#pragma once
#include "base/arena.h"
#include "db/db.h"

struct key_row {
    struct str key_hash, user_id, profile_name, label;
    int64_t created_us, last_used_us;
    bool is_revoked, allow_operator_llm;
};

may_yield int key_insert(struct db *db, const struct key_row *row, struct err *err)
    must_check; /* makes the user's row too */
may_yield int key_get(struct db *db, struct str key_hash, struct arena *arena, struct key_row *ret,
                      struct err *err) must_check;
may_yield int key_list(struct db *db, struct arena *arena, struct key_row **ret, size_t *ret_n,
                       struct err *err) must_check;
/* By whole hash or a prefix of at least 8 characters that names one key. ERR_NOT_FOUND,
 * ERR_CONFLICT (several). */
may_yield int key_revoke(struct db *db, struct str hash_prefix, struct arena *arena,
                         struct key_row *ret, struct err *err) must_check;
may_yield int key_set_operator_llm(struct db *db, struct str hash_prefix, bool allow,
                                   struct err *err) must_check;
may_yield int key_touch(struct db *db, struct str key_hash, int64_t now_us, struct err *err)
    must_check;
may_yield int key_count(struct db *db, int64_t *ret, struct err *err) must_check;

/* A key has at most 100 sessions; the oldest go first. */
may_yield int session_insert(struct db *db, struct str token_hash, struct str key_hash,
                             int64_t now_us, int64_t expires_us, struct err *err) must_check;
/* The session's key, when the session has not expired and the key is not revoked. A key without a
 * row (the shared one) gives its hash and an empty user. ERR_NOT_FOUND. */
may_yield int session_get(struct db *db, struct str token_hash, int64_t now_us, struct arena *arena,
                          struct key_row *ret, struct err *err) must_check;
may_yield int session_delete(struct db *db, struct str token_hash, struct err *err) must_check;
may_yield int sessions_sweep(struct db *db, int64_t now_us, struct err *err) must_check;
