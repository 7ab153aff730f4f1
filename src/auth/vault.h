/* The vault: each user's credentials, AES-256-GCM under CREDENTIALS_ENCRYPTION_KEY, a random nonce
 * a row, user and service bound as associated data: a row copied to another user or service does
 * not decrypt. All may yield and name the user. What comes out is a secret: reveal it only into the
 * request it is for. */
#pragma once
#include "auth/user_epoch.h"
#include "base/arena.h"
#include "base/secret.h"
#include "base/strbuf.h"
#include "db/db.h"
#include "profile/profile.h"

enum { VAULT_MAX_VALUE_BYTES = 64 * 1024, VAULT_MAX_SERVICE_BYTES = 64, VAULT_MAX_SERVICES = 100 };

struct vault;

/* The key: CREDENTIALS_ENCRYPTION_KEY (and CREDENTIALS_ENCRYPTION_KEY_OLD, comma-separated, for
 * what is not re-encrypted yet); without it on SQLite a file in the home folder, made once; without
 * it on PostgreSQL ERR_INVALID, which says how to make one. */
may_yield int vault_open(const struct profile *profile, struct db *db, struct user_epochs *epochs,
                         struct vault **ret, struct err *err) must_check;
void vault_close(struct vault *v); /* accepts NULL */

struct vault_entry {
    struct str service, scopes; /* scopes: space-separated, may be empty */
    int64_t expires_us;         /* of the credential itself; 0: never */
    int64_t created_us, updated_us;
    struct str actor; /* who changes it, for the audit trail (audit_actor); empty: no row there */
};

/* The value is a JSON object. ERR_NOT_FOUND; ERR_FORBIDDEN: no key that is set decrypts the row.
 * ret_entry may be NULL; its strings are in the arena. A row under an older key is brought under
 * the newest one. */
may_yield int vault_get(struct vault *v, struct str user_id, struct str service,
                        struct secret **ret, struct vault_entry *ret_entry, struct arena *arena,
                        struct err *err) must_check;
/* vault_get for what is asked for often and seldom there: that a user does not have it is known
 * without asking the database, until the user's epoch counts up. */
may_yield int vault_find(struct vault *v, struct str user_id, struct str service,
                         struct secret **ret, struct err *err) must_check;
/* Makes or replaces; value: a JSON object. ERR_INVALID for names that are not [a-z0-9_:.-]+,
 * ERR_LIMIT; ERR_CONFLICT: what is there stands under a key that is not set, and is left alone. The
 * user's epoch counts up. entry's times of creation and change are not read. */
may_yield int vault_put(struct vault *v, struct str user_id, const struct vault_entry *entry,
                        struct str value, struct err *err) must_check;
/* ERR_NOT_FOUND. actor as in vault_entry. */
may_yield int vault_delete(struct vault *v, struct str user_id, struct str service,
                           struct str actor, struct err *err) must_check;
may_yield int vault_list(struct vault *v, struct str user_id, struct arena *arena,
                         struct vault_entry **ret, size_t *ret_n, struct err *err) must_check;

/* ---- all users' ---- */

struct vault_tally {
    int64_t seen, rotated, unreadable; /* unreadable: under no key that is set; logged, each */
};
/* Brings all rows under the newest key while others read and write. What somebody puts at the same
 * time stays. After an error it may be called again. */
may_yield int vault_rotate(struct vault *v, struct vault_tally *ret, struct err *err) must_check;
/* Decrypts all rows. */
may_yield int vault_check(struct vault *v, struct vault_tally *ret, struct err *err) must_check;

struct vault_key_use {
    struct str key_id;
    bool is_current, is_set;
    int64_t credentials, users;
};
/* The keys that are set, the newest one first, then those that stored rows want besides. */
may_yield int vault_keys_in_use(struct vault *v, struct arena *arena, struct vault_key_use **ret,
                                size_t *ret_n, struct err *err) must_check;

/* For what leaves the house and comes back (state parameters): sealed text under the vault's key,
 * base64url. `purpose` is bound to it; unseal gives ERR_INVALID for anything we did not seal for
 * it, or that is older than max_age_s. */
int vault_seal(const struct vault *v, const char *purpose, struct str plain, struct strbuf *ret,
               struct err *err) must_check;
int vault_unseal(const struct vault *v, const char *purpose, struct str sealed, int64_t max_age_s,
                 struct strbuf *ret, struct err *err) must_check;
