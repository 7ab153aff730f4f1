/* What the vault's files share. */
#pragma once
#include "auth/vault.h"
#include "auth/vault_keys.h"
#include "store/credentials.h"

enum { VAULT_KNOWN_USERS = 4096 };

/* vault_find.c */
struct known_users;
struct known_users *known_users_new(void);
void known_users_free(struct known_users *k);

struct vault {
    struct db *db;
    struct user_epochs *epochs;
    struct vault_keys keys;
    struct known_users *known;
};

/* The row's value. ERR_FORBIDDEN: its key is not set here, or it does not belong to this user and
 * service. */
int vault_open_row(const struct vault *v, struct str user_id, const struct credential_row *row,
                   struct secret **ret, struct err *err) must_check;
/* Under the newest key, when it stands under an older one; *ret_done is false when somebody
 * changed it meanwhile. */
may_yield int vault_rekey_row(struct vault *v, struct str user_id, const struct credential_row *row,
                              const struct secret *value, bool *ret_done, struct err *err)
    must_check;
bool vault_row_is_current(const struct vault *v, const struct credential_row *row);
