#include "base/crypto.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "base/secret.h"

/* Fetched once: EVP_sha256() looks the implementation up again at every use. */
static const EVP_MD *fetched(EVP_MD **cache, const char *name) {
    if (!*cache) {
        *cache = EVP_MD_fetch(NULL, name, NULL);
        assert(*cache);
    }
    return *cache;
}

static void digest(const EVP_MD *md, struct str data, uint8_t *ret) {
    unsigned n;
    int ok = EVP_Digest(data.p, data.n, ret, &n, md, NULL);
    assert(ok == 1);
}

static const EVP_MD *sha256(void) {
    static EVP_MD *cache;
    return fetched(&cache, "SHA256");
}

void crypto_random(void *buf, size_t n) {
    int ok = RAND_bytes(buf, (int)n);
    assert(ok == 1);
}

void crypto_sha256(struct str data, uint8_t ret[SHA256_BYTES]) {
    digest(sha256(), data, ret);
}

static void hex_into(char *out, const uint8_t *p, size_t n) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
}

void crypto_sha256_hex(struct str data, char ret[SHA256_HEX + 1]) {
    uint8_t sum[SHA256_BYTES];
    crypto_sha256(data, sum);
    hex_into(ret, sum, sizeof sum);
    ret[SHA256_HEX] = '\0';
}

void crypto_hmac_sha256(struct str key, struct str data, uint8_t ret[SHA256_BYTES]) {
    unsigned n;
    const void *ok =
        HMAC(sha256(), key.p, (int)key.n, (const unsigned char *)data.p, data.n, ret, &n);
    assert(ok);
}

void crypto_sha1(struct str data, uint8_t ret[20]) {
    static EVP_MD *cache;
    digest(fetched(&cache, "SHA1"), data, ret);
}

bool crypto_equal(struct str a, struct str b) {
    return a.n == b.n && CRYPTO_memcmp(a.p, b.p, a.n) == 0;
}

void crypto_hex(struct strbuf *out, const void *data, size_t n) {
    char *room = strbuf_room(out, 2 * n);
    if (room) {
        hex_into(room, data, n);
        strbuf_claim(out, 2 * n);
    }
}

void crypto_base64(struct strbuf *out, struct str data) {
    size_t n = (data.n + 2) / 3 * 4;
    char *room = strbuf_room(out, n);
    if (room) {
        EVP_EncodeBlock((unsigned char *)room, (const unsigned char *)data.p, (int)data.n);
        strbuf_claim(out, n);
    }
}

void crypto_base64url(struct strbuf *out, struct str data) {
    size_t start = out->n;
    crypto_base64(out, data);
    if (out->failed) {
        return;
    }
    size_t end = out->n;
    while (end > start && out->p[end - 1] == '=') {
        end--;
    }
    strbuf_truncate(out, end);
    for (size_t i = start; i < end; i++) {
        out->p[i] = out->p[i] == '+' ? '-' : out->p[i] == '/' ? '_' : out->p[i];
    }
}

int crypto_base64_decode(struct strbuf *out, struct str text, struct err *err) {
    size_t padding = 0;
    while (padding < 2 && padding < text.n && text.p[text.n - 1 - padding] == '=') {
        padding++;
    }
    for (size_t i = 0; i + padding < text.n; i++) {
        char c = text.p[i];
        bool known = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                     c == '+' || c == '/';
        if (!known) {
            return err_set(err, ERR_INVALID, "not base64: bad character at position %zu", i);
        }
    }
    if (text.n % 4 != 0) {
        return err_set(err, ERR_INVALID, "not base64: the length is no multiple of four");
    }
    char *room = strbuf_room(out, text.n / 4 * 3);
    if (!room) {
        return strbuf_check(out, "decoded base64", err);
    }
    int n = EVP_DecodeBlock((unsigned char *)room, (const unsigned char *)text.p, (int)text.n);
    if (n < 0) {
        return err_set(err, ERR_INVALID, "not base64");
    }
    strbuf_claim(out, (size_t)n - padding);
    return 0;
}

static char plain_alphabet(char c) {
    return c == '-' ? '+' : c == '_' ? '/' : (c == '+' || c == '/') ? '!' : c;
}

/* One text for the same bytes: the bits left over in the last character are zero. */
static bool is_canonical(struct str bytes, struct str text) {
    struct strbuf again cleanup(secret_strbuf_done) = STRBUF(text.n + 4);
    strbuf_room(&again, text.n + 4);
    crypto_base64url(&again, bytes);
    return str_eq(strbuf_str(&again), text);
}

int crypto_base64url_decode(struct strbuf *out, struct str text, struct err *err) {
    while (text.n > 0 && text.p[text.n - 1] == '=') {
        text.n--;
    }
    struct strbuf padded cleanup(secret_strbuf_done) = STRBUF(text.n + 4);
    strbuf_room(&padded, text.n + 4);
    for (size_t i = 0; i < text.n; i++) {
        strbuf_addc(&padded, plain_alphabet(text.p[i]));
    }
    while (padded.n % 4 != 0) {
        strbuf_addc(&padded, '=');
    }
    if (text.n % 4 == 1) {
        return err_set(err, ERR_INVALID, "not base64url: the length is impossible");
    }
    size_t start = out->n;
    if (crypto_base64_decode(out, strbuf_str(&padded), err) < 0) {
        return -(int)err->code;
    }
    return is_canonical(str_skip(strbuf_str(out), start), text)
               ? 0
               : err_set(err, ERR_INVALID, "not base64url: bits are set behind the end");
}

static int digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 87 : -1;
}

int crypto_hex_decode(struct strbuf *out, struct str text, struct err *err) {
    if (text.n % 2 != 0) {
        return err_set(err, ERR_INVALID, "not hexadecimal: an odd number of digits");
    }
    for (size_t i = 0; i < text.n; i += 2) {
        int high = digit(text.p[i]), low = digit(text.p[i + 1]);
        if (high < 0 || low < 0) {
            return err_set(err, ERR_INVALID, "not hexadecimal: bad character at position %zu", i);
        }
        strbuf_addc(out, (char)(high << 4 | low));
    }
    return strbuf_check(out, "decoded hexadecimal", err);
}
