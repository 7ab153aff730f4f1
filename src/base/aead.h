/* Authenticated encryption: AES-256-GCM (NIST SP 800-38D) over OpenSSL's EVP. */
#pragma once
#include <stdint.h>

#include "base/err.h"
#include "base/strbuf.h"

enum { AEAD_KEY_BYTES = 32, AEAD_NONCE_BYTES = 12, AEAD_TAG_BYTES = 16 };

/* Appends ciphertext and tag: plain.n + AEAD_TAG_BYTES bytes. A nonce is used once under a key. */
void aead_seal(const uint8_t key[AEAD_KEY_BYTES], const uint8_t nonce[AEAD_NONCE_BYTES],
               struct str aad, struct str plain, struct strbuf *out);

/* How much aead_open gives for so much ciphertext; 0 when it is too short to be any. */
static inline size_t aead_plain_bytes(size_t sealed_bytes) {
    return sealed_bytes > AEAD_TAG_BYTES ? sealed_bytes - AEAD_TAG_BYTES : 0;
}
/* Writes aead_plain_bytes(sealed.n) bytes. ERR_INVALID, with ret wiped, when key, nonce, aad or
 * any bit of the text is not what it was sealed with. */
int aead_open(const uint8_t key[AEAD_KEY_BYTES], const uint8_t nonce[AEAD_NONCE_BYTES],
              struct str aad, struct str sealed, void *ret, struct err *err) must_check;
