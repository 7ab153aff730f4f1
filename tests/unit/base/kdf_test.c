#include "base/kdf.h"

#include "base/crypto.h"
#include "test.h"

static void check_hex(const uint8_t *bytes, size_t n, const char *want) {
    struct strbuf hex cleanup(strbuf_done) = STRBUF(512);
    crypto_hex(&hex, bytes, n);
    CHECK_STR(strbuf_str(&hex), want);
}

/* RFC 5869, A.1 and A.3. */
TEST(hkdf_gives_what_the_rfc_says) {
    uint8_t out[42];
    char ikm[22];
    memset(ikm, 0x0b, sizeof ikm);
    struct str key = {ikm, sizeof ikm};
    kdf_hkdf_sha256(key, STR("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c"),
                    STR("\xf0\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8\xf9"), out, sizeof out);
    check_hex(
        out, sizeof out,
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
    kdf_hkdf_sha256(key, STR_EMPTY, STR_EMPTY, out, sizeof out);
    check_hex(
        out, sizeof out,
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

/* RFC 7914, 12. */
TEST(scrypt_gives_what_the_rfc_says) {
    uint8_t out[64];
    kdf_scrypt(STR("password"), STR("NaCl"), 1024, 8, 16, out, sizeof out);
    check_hex(out, sizeof out,
              "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
              "2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640");
}
