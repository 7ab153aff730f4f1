/* Sealed text from outside: nothing that we did not seal opens, and what we sealed does. */
#include <assert.h>

#include "auth/vault_internal.h"
#include "base/crypto.h"

static struct vault *vault(void) {
    static struct vault v;
    if (v.keys.n == 0) {
        char *material;
        v.keys.n = 1;
        memcpy(v.keys.keys[0].id, "0123456789abcdef", VAULT_KEY_ID_LEN + 1);
        v.keys.keys[0].material = secret_alloc(2 * AEAD_KEY_BYTES, &material);
    }
    return &v;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str input = {(const char *)data, size};
    struct strbuf sealed cleanup(strbuf_done) = STRBUF(256 * 1024);
    struct strbuf text cleanup(strbuf_done) = STRBUF(256 * 1024);
    struct err err;
    assert(vault_unseal(vault(), "fuzz", input, 60, &text, &err) < 0);
    crypto_base64url(&sealed, input);
    strbuf_reset(&text);
    assert(vault_unseal(vault(), "fuzz", strbuf_str(&sealed), 60, &text, &err) < 0);
    strbuf_reset(&sealed);
    if (vault_seal(vault(), "fuzz", input, &sealed, &err) == 0) {
        strbuf_reset(&text);
        int rc = vault_unseal(vault(), "fuzz", strbuf_str(&sealed), 60, &text, &err);
        assert(rc == 0 && str_eq(strbuf_str(&text), input));
    }
    return 0;
}
