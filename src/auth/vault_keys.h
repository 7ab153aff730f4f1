/* The keys of the vault: one to write with, older ones to read with. A key's id is derived from it,
 * so that a row tells which key it needs and a changed key is another id. Only the vault includes
 * this. */
#pragma once
#include "base/aead.h"
#include "base/secret.h"
#include "profile/profile.h"

enum { VAULT_MAX_KEYS = 8, VAULT_KEY_ID_LEN = 16 };

struct vault_key {
    char id[VAULT_KEY_ID_LEN + 1]; /* hexadecimal */
    struct secret *material;       /* for rows, then for what is sealed */
};

struct vault_keys {
    struct vault_key keys[VAULT_MAX_KEYS]; /* the first one writes */
    size_t n;
};

/* From CREDENTIALS_ENCRYPTION_KEY, ..._OLD and, without a database server, the key file at
 * key_path; it is made when there is no other key. ERR_INVALID says what is wrong with which;
 * `made` tells that the file is new. */
may_yield int vault_keys_load(const struct profile *profile, const char *key_path,
                              struct vault_keys *ret, bool *ret_made, struct err *err) must_check;
void vault_keys_done(struct vault_keys *k);

/* NULL: not set here. */
const struct vault_key *vault_key_find(const struct vault_keys *k, struct str id);
const uint8_t *vault_key_for_rows(const struct vault_key *key);
const uint8_t *vault_key_for_seals(const struct vault_key *key);
