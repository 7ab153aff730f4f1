#include "auth/vault.h"

#include <inttypes.h>

#include "auth/vault_internal.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"

enum { MAX_SCOPES_BYTES = 4096, MAX_AAD_BYTES = 1024, MAX_USER_BYTES = 512 };

/* ---- opening and closing ---- */

/* A wrong key is told at once, not by the first user who needs it. */
static void tell_unreadable(struct vault *v) {
    struct arena arena cleanup(arena_done) = {0};
    struct credential_count *counts;
    struct err err;
    size_t n;
    if (credentials_by_key(v->db, &arena, &counts, &n, &err) < 0) {
        log_warn("vault", "looking at what is stored failed: %s", err.msg);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (!vault_key_find(&v->keys, counts[i].key_id)) {
            log_error("vault",
                      "stored credentials cannot be read: their key is not set "
                      "(CREDENTIALS_ENCRYPTION_KEY, CREDENTIALS_ENCRYPTION_KEY_OLD) "
                      "key=%.*s credentials=%" PRId64 " users=%" PRId64,
                      STR_ARG(counts[i].key_id), counts[i].rows, counts[i].users);
        }
    }
}

int vault_open(const struct profile *profile, struct db *db, struct user_epochs *epochs,
               struct vault **ret, struct err *err) {
    struct vault *v = mem_alloc(sizeof *v);
    bool made = false;
    if (vault_keys_load(profile, profile->credentials_key_path.p, &v->keys, &made, err) < 0) {
        mem_free(v);
        return -(int)err->code;
    }
    v->db = db;
    v->epochs = epochs;
    v->known = known_users_new();
    if (made) {
        log_info("vault", "made a key for stored credentials: keep it, or they are lost file=%.*s",
                 STR_ARG(profile->credentials_key_path));
    }
    tell_unreadable(v);
    *ret = v;
    return 0;
}

void vault_close(struct vault *v) {
    if (v) {
        known_users_free(v->known);
        vault_keys_done(&v->keys);
        mem_free(v);
    }
}

/* ---- one row ---- */

static void add_part(struct strbuf *out, struct str part) {
    for (int shift = 24; shift >= 0; shift -= 8) {
        strbuf_addc(out, (char)(part.n >> shift));
    }
    strbuf_add(out, part);
}

/* What a row is bound to; the lengths keep apart what could be cut elsewhere. */
static void bind_row(struct strbuf *out, struct str user_id, struct str service) {
    strbuf_addz(out, "adjutant credential 1");
    add_part(out, user_id);
    add_part(out, service);
}

bool vault_row_is_current(const struct vault *v, const struct credential_row *row) {
    return str_eq(row->key_id, str_z(v->keys.keys[0].id));
}

int vault_open_row(const struct vault *v, struct str user_id, const struct credential_row *row,
                   struct secret **ret, struct err *err) {
    struct strbuf aad cleanup(strbuf_done) = STRBUF(MAX_AAD_BYTES);
    const struct vault_key *key = vault_key_find(&v->keys, row->key_id);
    char *plain;
    if (!key || row->nonce.n != AEAD_NONCE_BYTES) {
        return err_set(err, ERR_FORBIDDEN,
                       "the credential \"%.*s\" was stored under another encryption key (%.*s), "
                       "which is not set here",
                       STR_ARG(row->service), STR_ARG(row->key_id));
    }
    bind_row(&aad, user_id, row->service);
    struct secret *value cleanup(secret_free_p) =
        secret_alloc(aead_plain_bytes(row->ciphertext.n), &plain);
    if (strbuf_check(&aad, "a user's name", err) < 0 ||
        aead_open(vault_key_for_rows(key), (const uint8_t *)row->nonce.p, strbuf_str(&aad),
                  row->ciphertext, plain, err) < 0) {
        return err_set(err, ERR_FORBIDDEN,
                       "the credential \"%.*s\" does not decrypt: it was damaged, or is not this "
                       "user's",
                       STR_ARG(row->service));
    }
    *ret = take(value);
    return 0;
}

/* Fills in key_id, nonce and ciphertext, which lives in `ciphertext`. `nonce` has
 * AEAD_NONCE_BYTES. */
static void close_row(const struct vault *v, struct str user_id, struct str value,
                      struct strbuf *ciphertext, uint8_t *nonce, struct credential_row *row) {
    struct strbuf aad cleanup(strbuf_done) = STRBUF(MAX_AAD_BYTES);
    const struct vault_key *key = &v->keys.keys[0];
    bind_row(&aad, user_id, row->service);
    crypto_random(nonce, AEAD_NONCE_BYTES);
    aead_seal(vault_key_for_rows(key), nonce, strbuf_str(&aad), value, ciphertext);
    row->key_id = str_z(key->id);
    row->nonce = (struct str){(const char *)nonce, AEAD_NONCE_BYTES};
    row->ciphertext = strbuf_str(ciphertext);
}

int vault_rekey_row(struct vault *v, struct str user_id, const struct credential_row *row,
                    const struct secret *value, bool *ret_done, struct err *err) {
    struct strbuf ciphertext cleanup(strbuf_done) = STRBUF(VAULT_MAX_VALUE_BYTES + AEAD_TAG_BYTES);
    uint8_t nonce[AEAD_NONCE_BYTES];
    struct credential_row new = *row;
    close_row(v, user_id, secret_reveal(value), &ciphertext, nonce, &new);
    if (strbuf_check(&ciphertext, "a credential", err) < 0) {
        return -(int)err->code;
    }
    return credential_rekey(v->db, user_id, row->nonce, &new, ret_done, err);
}

/* ---- get ---- */

static void entry_of(struct arena *arena, const struct credential_row *row,
                     struct vault_entry *ret) {
    *ret = (struct vault_entry){.service = arena_str(arena, row->service),
                                .scopes = arena_str(arena, row->scopes),
                                .expires_us = row->expires_us,
                                .created_us = row->created_us,
                                .updated_us = row->updated_us};
}

/* Beside the point of the call: it stays as it is when this fails. */
static void rekey_lazily(struct vault *v, struct str user_id, const struct credential_row *row,
                         const struct secret *value) {
    struct err err;
    bool done;
    if (vault_rekey_row(v, user_id, row, value, &done, &err) < 0 && err.code != ERR_CANCELLED) {
        log_warn("vault", "bringing a credential under the new key failed: %s", err.msg);
    }
}

int vault_get(struct vault *v, struct str user_id, struct str service, struct secret **ret,
              struct vault_entry *ret_entry, struct arena *arena, struct err *err) {
    struct arena own cleanup(arena_done) = {0};
    struct credential_row row;
    struct secret *value;
    if (credential_get(v->db, user_id, service, &own, &row, err) < 0 ||
        vault_open_row(v, user_id, &row, &value, err) < 0) {
        return -(int)err->code;
    }
    if (!vault_row_is_current(v, &row)) {
        rekey_lazily(v, user_id, &row, value);
    }
    if (ret_entry) {
        entry_of(arena, &row, ret_entry);
    }
    *ret = value;
    return 0;
}

/* ---- put, delete, list ---- */

static bool service_ok(struct str s) {
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == ':' ||
              c == '.' || c == '-')) {
            return false;
        }
    }
    return s.n > 0 && s.n <= VAULT_MAX_SERVICE_BYTES;
}

static bool is_json_object(struct str value) {
    json_t *tree;
    struct err err;
    if (json_read(value, &tree, &err) < 0) {
        return false;
    }
    bool ok = json_is_object(tree);
    json_decref(tree);
    return ok;
}

static int check_put(struct str user_id, const struct vault_entry *entry, struct str value,
                     struct err *err) {
    if (!service_ok(entry->service)) {
        return err_set(err, ERR_INVALID,
                       "service: must be 1 to %d of the characters a-z 0-9 _ : . -",
                       VAULT_MAX_SERVICE_BYTES);
    }
    if (value.n > VAULT_MAX_VALUE_BYTES) {
        return err_set(err, ERR_LIMIT, "value: must have at most %d bytes", VAULT_MAX_VALUE_BYTES);
    }
    if (!is_json_object(value)) {
        return err_set(err, ERR_INVALID, "value: must be a JSON object");
    }
    if (entry->scopes.n > MAX_SCOPES_BYTES || !str_is_utf8(entry->scopes)) {
        return err_set(err, ERR_LIMIT, "scopes: must have at most %d bytes", MAX_SCOPES_BYTES);
    }
    return user_id.n > 0 && user_id.n <= MAX_USER_BYTES
               ? 0
               : err_set(err, ERR_INVALID, "the user's name is empty or too long");
}

static struct str audit_detail(const struct vault_entry *entry, struct strbuf *out) {
    char iso[CLOCK_ISO_LEN + 1];
    struct jsonw w = jsonw_begin(out);
    jsonw_object(&w);
    jsonw_kstr(&w, "scopes", entry->scopes);
    if (entry->expires_us) {
        clock_iso(entry->expires_us, iso);
        jsonw_kstrz(&w, "expires_at", iso);
    }
    jsonw_end_object(&w);
    return strbuf_str(out);
}

int vault_put(struct vault *v, struct str user_id, const struct vault_entry *entry,
              struct str value, struct err *err) {
    struct strbuf ciphertext cleanup(strbuf_done) = STRBUF(VAULT_MAX_VALUE_BYTES + AEAD_TAG_BYTES);
    uint8_t nonce[AEAD_NONCE_BYTES];
    struct str ids[VAULT_MAX_KEYS];
    fiber_point();
    if (check_put(user_id, entry, value, err) < 0) {
        return -(int)err->code;
    }
    for (size_t i = 0; i < v->keys.n; i++) {
        ids[i] = str_z(v->keys.keys[i].id);
    }
    int64_t now_us = clock_now_us();
    struct credential_put put = {.user_id = user_id,
                                 .row = {.service = entry->service,
                                         .scopes = entry->scopes,
                                         .expires_us = entry->expires_us,
                                         .created_us = now_us,
                                         .updated_us = now_us},
                                 .key_ids = ids,
                                 .n_key_ids = v->keys.n,
                                 .max_services = VAULT_MAX_SERVICES};
    struct strbuf detail cleanup(strbuf_done) = STRBUF(MAX_SCOPES_BYTES * 6 + 256);
    struct audit_entry audit = {.user_id = user_id,
                                .actor = entry->actor,
                                .action = STR("credential.put"),
                                .subject = entry->service,
                                .detail = audit_detail(entry, &detail)};
    put.audit = entry->actor.n ? &audit : NULL;
    close_row(v, user_id, value, &ciphertext, nonce, &put.row);
    if (credential_put(v->db, &put, err) < 0) {
        return err->code == ERR_CONFLICT
                   ? err_set(err, ERR_CONFLICT,
                             "the credential \"%.*s\" that is stored was encrypted under a key "
                             "which is not set here; delete it first to replace it",
                             STR_ARG(entry->service))
                   : -(int)err->code;
    }
    user_epoch_changed(v->epochs, user_id);
    return 0;
}

int vault_delete(struct vault *v, struct str user_id, struct str service, struct str actor,
                 struct err *err) {
    struct audit_entry audit = {
        .user_id = user_id, .actor = actor, .action = STR("credential.delete"), .subject = service};
    if (credential_delete(v->db, user_id, service, actor.n ? &audit : NULL, err) < 0) {
        return -(int)err->code;
    }
    user_epoch_changed(v->epochs, user_id);
    return 0;
}

int vault_list(struct vault *v, struct str user_id, struct arena *arena, struct vault_entry **ret,
               size_t *ret_n, struct err *err) {
    struct arena own cleanup(arena_done) = {0};
    struct credential_row *rows;
    size_t n;
    if (credential_list(v->db, user_id, &own, &rows, &n, err) < 0) {
        return -(int)err->code;
    }
    struct vault_entry *entries = arena_alloc(arena, n * sizeof *entries);
    for (size_t i = 0; i < n; i++) {
        entry_of(arena, &rows[i], &entries[i]);
    }
    *ret = entries;
    *ret_n = n;
    return 0;
}
