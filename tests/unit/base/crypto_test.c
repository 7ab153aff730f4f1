#include "base/crypto.h"

#include "base/secret.h"
#include "test.h"

TEST(sha256_of_the_standard) {
    char hex[SHA256_HEX + 1];
    crypto_sha256_hex(STR("abc"), hex);
    CHECK_STR(str_z(hex), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(hmac_of_rfc_4231) {
    uint8_t mac[SHA256_BYTES];
    struct strbuf hex cleanup(strbuf_done) = STRBUF(100);
    crypto_hmac_sha256(STR("Jefe"), STR("what do ya want for nothing?"), mac);
    crypto_hex(&hex, mac, sizeof mac);
    CHECK_STR(strbuf_str(&hex), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(base64_of_rfc_4648) {
    static const char *const pairs[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        struct strbuf text cleanup(strbuf_done) = STRBUF(100),
                           back cleanup(strbuf_done) = STRBUF(100);
        struct err err;
        crypto_base64(&text, str_z(pairs[i][0]));
        CHECK_STR(strbuf_str(&text), pairs[i][1]);
        CHECK_OK(crypto_base64_decode(&back, strbuf_str(&text), &err), &err);
        CHECK_STR(strbuf_str(&back), pairs[i][0]);
    }
}

TEST(base64_refuses_what_it_is_not) {
    static const char *const wrong[] = {"Zg", "Zg=", "Z===", "Zm9v!", "Zm 9v", "Zm9v\n", "=Zg="};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct strbuf back cleanup(strbuf_done) = STRBUF(100);
        struct err err;
        CHECK_FAILS(crypto_base64_decode(&back, str_z(wrong[i]), &err), &err, ERR_INVALID);
    }
}

TEST(base64url_has_no_padding_and_no_slash) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(100);
    strbuf_addz(&text, "k=");
    crypto_base64url(&text, (struct str){"\xFB\xFF\xFE\x00", 4});
    CHECK_STR(strbuf_str(&text), "k=-__-AA");
}

TEST(secrets_are_copies) {
    char value[] = "hush";
    struct secret *s = secret_new(str_z(value));
    value[0] = 'x';
    CHECK_STR(secret_reveal(s), "hush");
    struct secret *twin = secret_dup(s);
    secret_free(s);
    CHECK_STR(secret_reveal(twin), "hush");
    secret_free(twin);
    CHECK(secret_reveal(NULL).n == 0);
}

TEST(base64url_is_read_in_one_way_only) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(100);
    struct err err;
    CHECK_OK(crypto_base64url_decode(&out, STR("-_8gMA"), &err), &err);
    CHECK_STR(strbuf_str(&out), "\xfb\xff 0");
    strbuf_reset(&out);
    CHECK_OK(crypto_base64url_decode(&out, STR("-_8gMA=="), &err), &err);
    CHECK_STR(strbuf_str(&out), "\xfb\xff 0");
    static const char *const bad[] = {"A", "AAAAA", "+/8gMA", "-_8gMB", "AA A", "AA\nA", "A==="};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        strbuf_reset(&out);
        CHECK_FAILS(crypto_base64url_decode(&out, str_z(bad[i]), &err), &err, ERR_INVALID);
    }
}

TEST(hexadecimal_is_read_in_either_case) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(4);
    struct err err;
    CHECK_OK(crypto_hex_decode(&out, STR("00fFaB"), &err), &err);
    CHECK(str_eq(strbuf_str(&out), STR("\x00\xff\xab")));
    CHECK_FAILS(crypto_hex_decode(&out, STR("0"), &err), &err, ERR_INVALID);
    CHECK_FAILS(crypto_hex_decode(&out, STR("0g"), &err), &err, ERR_INVALID);
    CHECK_FAILS(crypto_hex_decode(&out, STR("@0"), &err), &err, ERR_INVALID);
    strbuf_reset(&out);
    CHECK_FAILS(crypto_hex_decode(&out, STR("0102030405"), &err), &err, ERR_LIMIT);
}
