/* What leaves the house and comes back: sealed text, in base64url:
 *   1 byte version, 8 bytes key id, 12 bytes nonce, then ciphertext and tag of
 *   8 bytes seconds since 1970 (big endian) and the text; bound to its purpose. */
#include <assert.h>

#include "auth/vault_internal.h"
#include "base/clock.h"
#include "base/crypto.h"

enum {
    VERSION = 1,
    ID_BYTES = VAULT_KEY_ID_LEN / 2,
    HEAD_BYTES = 1 + ID_BYTES + AEAD_NONCE_BYTES,
    TIME_BYTES = 8,
    MAX_SEALED_BYTES = 64 * 1024,
    CLOCKS_APART_S = 60, /* of processes on several machines */
};

static void bind_seal(struct strbuf *out, const char *purpose) {
    strbuf_addz(out, "adjutant seal 1 ");
    strbuf_addz(out, purpose);
    assert(!out->failed);
}

int vault_seal(const struct vault *v, const char *purpose, struct str plain, struct strbuf *ret,
               struct err *err) {
    struct strbuf aad cleanup(strbuf_done) = STRBUF(256);
    struct strbuf text cleanup(secret_strbuf_done) = STRBUF(MAX_SEALED_BYTES);
    struct strbuf raw cleanup(strbuf_done) = STRBUF(MAX_SEALED_BYTES + 256);
    const struct vault_key *key = &v->keys.keys[0];
    uint8_t nonce[AEAD_NONCE_BYTES];
    uint64_t now_s = (uint64_t)(clock_now_us() / 1000000);
    strbuf_room(&text, MIN(TIME_BYTES + plain.n, (size_t)MAX_SEALED_BYTES));
    for (int shift = 56; shift >= 0; shift -= 8) {
        strbuf_addc(&text, (char)(now_s >> shift));
    }
    strbuf_add(&text, plain);
    bind_seal(&aad, purpose);
    crypto_random(nonce, sizeof nonce);
    strbuf_addc(&raw, VERSION);
    if (crypto_hex_decode(&raw, str_z(key->id), err) < 0 ||
        strbuf_check(&text, "what is to be sealed", err) < 0) {
        return -(int)err->code;
    }
    strbuf_add(&raw, (struct str){(const char *)nonce, sizeof nonce});
    aead_seal(vault_key_for_seals(key), nonce, strbuf_str(&aad), strbuf_str(&text), &raw);
    crypto_base64url(ret, strbuf_str(&raw));
    return strbuf_check(ret, "sealed text", err);
}

static int not_ours(struct err *err) {
    return err_set(err, ERR_INVALID, "the sealed text is not ours, was changed, or has expired");
}

static int check_age(struct str text, int64_t max_age_s, struct err *err) {
    uint64_t then_s = 0;
    for (size_t i = 0; i < TIME_BYTES; i++) {
        then_s = then_s << 8 | (uint8_t)text.p[i];
    }
    int64_t age_s = clock_now_us() / 1000000 - (int64_t)then_s;
    return age_s <= max_age_s && age_s >= -CLOCKS_APART_S ? 0 : not_ours(err);
}

static int open_raw(const struct vault *v, const char *purpose, struct str raw, int64_t max_age_s,
                    struct strbuf *ret, struct err *err) {
    struct strbuf aad cleanup(strbuf_done) = STRBUF(256);
    struct strbuf id cleanup(strbuf_done) = STRBUF(VAULT_KEY_ID_LEN);
    if (raw.n < HEAD_BYTES + TIME_BYTES + AEAD_TAG_BYTES || raw.p[0] != VERSION) {
        return not_ours(err);
    }
    crypto_hex(&id, raw.p + 1, ID_BYTES);
    const struct vault_key *key = vault_key_find(&v->keys, strbuf_str(&id));
    struct str sealed = str_skip(raw, HEAD_BYTES);
    char *plain;
    struct secret *text cleanup(secret_free_p) = secret_alloc(aead_plain_bytes(sealed.n), &plain);
    bind_seal(&aad, purpose);
    if (!key || aead_open(vault_key_for_seals(key), (const uint8_t *)raw.p + 1 + ID_BYTES,
                          strbuf_str(&aad), sealed, plain, err) < 0) {
        return not_ours(err);
    }
    if (check_age(secret_reveal(text), max_age_s, err) < 0) {
        return -(int)err->code;
    }
    strbuf_add(ret, str_skip(secret_reveal(text), TIME_BYTES));
    return strbuf_check(ret, "unsealed text", err);
}

int vault_unseal(const struct vault *v, const char *purpose, struct str sealed, int64_t max_age_s,
                 struct strbuf *ret, struct err *err) {
    struct strbuf raw cleanup(strbuf_done) = STRBUF(MAX_SEALED_BYTES + 256);
    if (sealed.n > 2 * MAX_SEALED_BYTES || crypto_base64url_decode(&raw, sealed, err) < 0) {
        return not_ours(err);
    }
    return open_raw(v, purpose, strbuf_str(&raw), max_age_s, ret, err);
}
