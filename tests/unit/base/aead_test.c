#include "base/aead.h"

#include "base/crypto.h"
#include "test.h"

static struct str unhex(struct strbuf *out, const char *hex) {
    struct err err;
    strbuf_reset(out);
    CHECK_OK(crypto_hex_decode(out, str_z(hex), &err), &err);
    return strbuf_str(out);
}

/* The GCM specification's test cases 13 to 16 (AES-256), as NIST's SP 800-38D has them. */
static const struct {
    const char *key, *nonce, *aad, *plain, *sealed;
} vectors[] = {
    {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000",
     "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
    {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000",
     "", "00000000000000000000000000000000",
     "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"},
    {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
     "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
     "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
     "b094dac5d93471bdec1a502270e3cc6c"},
    {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
     "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
     "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
     "76fc6ece0f4e1768cddf8853bb2d551b"},
};

struct sealing {
    struct strbuf key, nonce, aad, plain, sealed;
};

static void sealing_done(struct sealing *s) {
    strbuf_done(&s->key);
    strbuf_done(&s->nonce);
    strbuf_done(&s->aad);
    strbuf_done(&s->plain);
    strbuf_done(&s->sealed);
}

static void sealing_of(struct sealing *s, size_t vector) {
    *s = (struct sealing){STRBUF(256), STRBUF(256), STRBUF(256), STRBUF(256), STRBUF(256)};
    unhex(&s->key, vectors[vector].key);
    unhex(&s->nonce, vectors[vector].nonce);
    unhex(&s->aad, vectors[vector].aad);
    unhex(&s->plain, vectors[vector].plain);
    unhex(&s->sealed, vectors[vector].sealed);
}

static int open_it(const struct sealing *s, char ret[256], struct err *err) {
    return aead_open((const uint8_t *)s->key.p, (const uint8_t *)s->nonce.p, strbuf_str(&s->aad),
                     strbuf_str(&s->sealed), ret, err);
}

TEST(the_specifications_vectors) {
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        struct sealing s cleanup(sealing_done);
        struct strbuf out cleanup(strbuf_done) = STRBUF(256);
        struct err err;
        char plain[256];
        sealing_of(&s, i);
        aead_seal((const uint8_t *)s.key.p, (const uint8_t *)s.nonce.p, strbuf_str(&s.aad),
                  strbuf_str(&s.plain), &out);
        CHECK(str_eq(strbuf_str(&out), strbuf_str(&s.sealed)));
        CHECK_OK(open_it(&s, plain, &err), &err);
        CHECK_INT(aead_plain_bytes(s.sealed.n), s.plain.n);
        CHECK(str_eq((struct str){plain, s.plain.n}, strbuf_str(&s.plain)));
    }
}

/* Each bit of each part, one after the other. */
TEST(nothing_that_was_changed_opens) {
    struct sealing s cleanup(sealing_done);
    struct err err;
    char plain[256];
    sealing_of(&s, ARRAY_LEN(vectors) - 1);
    struct strbuf *const parts[] = {&s.key, &s.nonce, &s.aad, &s.sealed};
    for (size_t part = 0; part < ARRAY_LEN(parts); part++) {
        for (size_t bit = 0; bit < 8 * parts[part]->n; bit++) {
            parts[part]->p[bit / 8] ^= (char)(1 << bit % 8);
            memset(plain, 'x', sizeof plain);
            CHECK_FAILS(open_it(&s, plain, &err), &err, ERR_INVALID);
            CHECK(plain[0] == 0 && plain[s.plain.n - 1] == 0 && plain[s.plain.n] == 'x');
            parts[part]->p[bit / 8] ^= (char)(1 << bit % 8);
        }
    }
    CHECK_OK(open_it(&s, plain, &err), &err);
}

TEST(nothing_that_was_cut_opens) {
    struct sealing s cleanup(sealing_done);
    struct err err;
    char plain[256];
    sealing_of(&s, ARRAY_LEN(vectors) - 1);
    while (s.sealed.n > 0) {
        strbuf_truncate(&s.sealed, s.sealed.n - 1);
        CHECK_FAILS(open_it(&s, plain, &err), &err, ERR_INVALID);
    }
}

TEST(a_full_buffer_is_no_seal) {
    static const uint8_t key[AEAD_KEY_BYTES], nonce[AEAD_NONCE_BYTES];
    struct strbuf out cleanup(strbuf_done) = STRBUF(AEAD_TAG_BYTES + 2);
    aead_seal(key, nonce, STR_EMPTY, STR("abc"), &out);
    CHECK(out.failed && out.n == 0);
}
