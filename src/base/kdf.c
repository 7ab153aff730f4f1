#include "base/kdf.h"

#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

enum { SCRYPT_MAX_MEMORY = 128 << 20 };

static OSSL_PARAM octets(const char *name, struct str s) {
    return OSSL_PARAM_construct_octet_string(name, (void *)s.p, s.n);
}

void kdf_hkdf_sha256(struct str key, struct str salt, struct str info, uint8_t *ret, size_t n) {
    static char digest[] = "SHA256";
    OSSL_PARAM params[5], *p = params;
    *p++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0);
    *p++ = octets(OSSL_KDF_PARAM_KEY, key);
    if (salt.n > 0) {
        *p++ = octets(OSSL_KDF_PARAM_SALT, salt);
    }
    *p++ = octets(OSSL_KDF_PARAM_INFO, info);
    *p = OSSL_PARAM_construct_end();
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
    int ok = EVP_KDF_derive(ctx, ret, n, params);
    assert(ok == 1);
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
}

void kdf_scrypt(struct str passphrase, struct str salt, uint64_t n, uint32_t r, uint32_t p,
                uint8_t *ret, size_t ret_n) {
    int ok = EVP_PBE_scrypt(passphrase.p, passphrase.n, (const unsigned char *)salt.p, salt.n, n, r,
                            p, SCRYPT_MAX_MEMORY, ret, ret_n);
    assert(ok == 1);
}
