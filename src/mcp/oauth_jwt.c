/* private_key_jwt: ES256 (RFC 7515, 7518, 7523). */
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/id.h"
#include "mcp/oauth_internal.h"

enum { LIFETIME_S = 300, P256_BYTES = 32, MAX_DER_BYTES = 80, MAX_CLAIMS_BYTES = 8192 };

static void free_key(EVP_PKEY **key) {
    EVP_PKEY_free(*key);
}
static void free_context(EVP_MD_CTX **context) {
    EVP_MD_CTX_free(*context);
}
static void free_signature(ECDSA_SIG **signature) {
    ECDSA_SIG_free(*signature);
}

static EVP_PKEY *read_key(struct str pem) {
    BIO *bio = BIO_new_mem_buf(pem.p, (int)MIN(pem.n, (size_t)INT32_MAX));
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    if (key && (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC || EVP_PKEY_get_bits(key) != 256)) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    return key;
}

/* OpenSSL writes DER, JWS wants r and s side by side. */
static bool sign(EVP_PKEY *key, struct str text, uint8_t ret[2 * P256_BYTES]) {
    EVP_MD_CTX *context cleanup(free_context) = EVP_MD_CTX_new();
    uint8_t der[MAX_DER_BYTES];
    size_t n = sizeof der;
    if (EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) != 1 ||
        EVP_DigestSign(context, der, &n, (const uint8_t *)text.p, text.n) != 1) {
        return false;
    }
    const uint8_t *p = der;
    ECDSA_SIG *signature cleanup(free_signature) = d2i_ECDSA_SIG(NULL, &p, (long)n);
    return signature && BN_bn2binpad(ECDSA_SIG_get0_r(signature), ret, P256_BYTES) > 0 &&
           BN_bn2binpad(ECDSA_SIG_get0_s(signature), ret + P256_BYTES, P256_BYTES) > 0;
}

static void write_claims(struct str client_id, struct str audience, struct strbuf *out) {
    struct jsonw w = jsonw_begin(out);
    struct id jti = id_new();
    int64_t now_s = clock_now_us() / 1000000;
    jsonw_object(&w);
    jsonw_kstr(&w, "iss", client_id);
    jsonw_kstr(&w, "sub", client_id);
    jsonw_kstr(&w, "aud", audience);
    jsonw_kstr(&w, "jti", id_str(&jti));
    jsonw_kint(&w, "iat", now_s);
    jsonw_kint(&w, "exp", now_s + LIFETIME_S);
    jsonw_end_object(&w);
}

int oauth_jwt_sign(struct str key_pem, struct str client_id, struct str audience,
                   struct strbuf *ret, struct err *err) {
    EVP_PKEY *key cleanup(free_key) = read_key(key_pem);
    struct strbuf claims cleanup(strbuf_done) = STRBUF(MAX_CLAIMS_BYTES);
    uint8_t signature[2 * P256_BYTES];
    if (!key) {
        return err_set(err, ERR_INVALID, "the client's key is no P-256 key in PEM");
    }
    write_claims(client_id, audience, &claims);
    if (strbuf_check(&claims, "the client's assertion", err) < 0) {
        return -(int)err->code;
    }
    strbuf_reset(ret);
    crypto_base64url(ret, STR("{\"alg\":\"ES256\",\"typ\":\"JWT\"}"));
    strbuf_addc(ret, '.');
    crypto_base64url(ret, strbuf_str(&claims));
    if (!sign(key, strbuf_str(ret), signature)) {
        return err_set(err, ERR_INTERNAL, "the client's assertion could not be signed");
    }
    strbuf_addc(ret, '.');
    crypto_base64url(ret, (struct str){(const char *)signature, sizeof signature});
    return strbuf_check(ret, "the client's assertion", err);
}
