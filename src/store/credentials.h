/* user_credentials: rows as they stand, encrypted. All may yield; those of one user name the user.
 * What looks across users sees whose rows stand under which key, and nothing else. */
#pragma once
#include "base/arena.h"
#include "db/db.h"
#include "store/audit.h"

enum { CREDENTIALS_MAX_KEYS = 8 };

struct credential_row {
    struct str service, key_id, nonce, ciphertext, scopes;
    int64_t expires_us, created_us, updated_us; /* expires_us 0: never */
};

/* ERR_NOT_FOUND. */
may_yield int credential_get(struct db *db, struct str user_id, struct str service,
                             struct arena *arena, struct credential_row *ret, struct err *err)
    must_check;

struct credential_put {
    struct str user_id;
    struct credential_row row; /* updated_us is now; created_us counts for a new row only */
    /* A row under any other key is left alone: ERR_CONFLICT. */
    const struct str *key_ids;
    size_t n_key_ids, max_services; /* ERR_LIMIT */
    struct audit_entry *audit;      /* written with it; NULL: none */
};
may_yield int credential_put(struct db *db, const struct credential_put *put, struct err *err)
    must_check;
/* ERR_NOT_FOUND: nothing is written, also not to the audit trail. */
may_yield int credential_delete(struct db *db, struct str user_id, struct str service,
                                struct audit_entry *audit, struct err *err) must_check;
/* By service, without nonce and ciphertext. */
may_yield int credential_list(struct db *db, struct str user_id, struct arena *arena,
                              struct credential_row **ret, size_t *ret_n, struct err *err)
    must_check;

/* The same value under another key, unless the row has changed since `old_nonce` was read: then
 * *ret_done is false. Whoever encrypts draws a new nonce, so it stands for the row's version. */
may_yield int credential_rekey(struct db *db, struct str user_id, struct str old_nonce,
                               const struct credential_row *row, bool *ret_done, struct err *err)
    must_check;

/* ---- across users ---- */

struct credential_name {
    struct str user_id, service;
};
/* Rows that stand under another key than key_id, behind `after`, in order. */
may_yield int credentials_under_other_keys(struct db *db, struct str key_id,
                                           const struct credential_name *after, size_t max,
                                           struct arena *arena, struct credential_name **ret,
                                           size_t *ret_n, struct err *err) must_check;

struct credential_count {
    struct str key_id;
    int64_t rows, users;
};
may_yield int credentials_by_key(struct db *db, struct arena *arena, struct credential_count **ret,
                                 size_t *ret_n, struct err *err) must_check;
