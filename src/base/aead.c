#include "base/aead.h"

#include <assert.h>
#include <openssl/evp.h>

#include "base/secret.h"

enum { MAX_TEXT_BYTES = 1 << 30 }; /* EVP counts in int */

static const EVP_CIPHER *aes_256_gcm(void) {
    static EVP_CIPHER *cache;
    if (!cache) {
        cache = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
        assert(cache);
    }
    return cache;
}

static EVP_CIPHER_CTX *begin(const uint8_t *key, const uint8_t *nonce, struct str aad,
                             bool encrypt) {
    int n;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int ok = ctx && EVP_CipherInit_ex2(ctx, aes_256_gcm(), key, nonce, encrypt, NULL) == 1 &&
             EVP_CipherUpdate(ctx, NULL, &n, (const unsigned char *)aad.p, (int)aad.n) == 1;
    assert(ok);
    return ctx;
}

void aead_seal(const uint8_t key[AEAD_KEY_BYTES], const uint8_t nonce[AEAD_NONCE_BYTES],
               struct str aad, struct str plain, struct strbuf *out) {
    int n, rest;
    assert(plain.n < MAX_TEXT_BYTES && aad.n < MAX_TEXT_BYTES);
    unsigned char *room = (unsigned char *)strbuf_room(out, plain.n + AEAD_TAG_BYTES);
    if (!room) {
        return;
    }
    EVP_CIPHER_CTX *ctx = begin(key, nonce, aad, true);
    int ok = EVP_EncryptUpdate(ctx, room, &n, (const unsigned char *)plain.p, (int)plain.n) == 1 &&
             EVP_EncryptFinal_ex(ctx, room + n, &rest) == 1 &&
             EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_BYTES, room + plain.n) == 1;
    assert(ok && (size_t)(n + rest) == plain.n);
    EVP_CIPHER_CTX_free(ctx);
    strbuf_claim(out, plain.n + AEAD_TAG_BYTES);
}

int aead_open(const uint8_t key[AEAD_KEY_BYTES], const uint8_t nonce[AEAD_NONCE_BYTES],
              struct str aad, struct str sealed, void *ret, struct err *err) {
    unsigned char tag[AEAD_TAG_BYTES], *plain = ret;
    int n, rest;
    if (sealed.n < AEAD_TAG_BYTES || sealed.n >= MAX_TEXT_BYTES || aad.n >= MAX_TEXT_BYTES) {
        return err_set(err, ERR_INVALID, "the sealed text is not whole");
    }
    size_t size = sealed.n - AEAD_TAG_BYTES;
    memcpy(tag, sealed.p + size, sizeof tag);
    EVP_CIPHER_CTX *ctx = begin(key, nonce, aad, false);
    bool ok = EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_BYTES, tag) == 1 &&
              EVP_DecryptUpdate(ctx, plain, &n, (const unsigned char *)sealed.p, (int)size) == 1 &&
              EVP_DecryptFinal_ex(ctx, plain + n, &rest) == 1;
    EVP_CIPHER_CTX_free(ctx);
    if (!ok) {
        secret_wipe(ret, size);
        return err_set(err, ERR_INVALID, "the sealed text was changed, or belongs elsewhere");
    }
    return 0;
}
