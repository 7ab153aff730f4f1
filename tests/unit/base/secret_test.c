#include "base/secret.h"

#include "base/json.h"
#include "test.h"

TEST(a_secret_keeps_its_value_and_copies_it) {
    struct secret *a = secret_new(STR("value")), *b = secret_dup(a);
    CHECK_STR(secret_reveal(a), "value");
    CHECK(secret_reveal(a).p != secret_reveal(b).p);
    secret_free(a);
    CHECK_STR(secret_reveal(b), "value");
    secret_free(b);
    secret_free(NULL);
    CHECK(secret_dup(NULL) == NULL && secret_reveal(NULL).n == 0);
}

/* Whatever place it gets, nothing of what was there before is in it. */
TEST(memory_that_is_used_again_is_empty) {
    enum { ROUNDS = 300 };
    static const size_t sizes[] = {0, 1, 47, 48, 55, 56, 64, 1000, 4096, 16 * 1024, 70000};
    struct secret *all[ROUNDS];
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        for (int i = 0; i < ROUNDS; i++) {
            char *bytes;
            all[i] = secret_alloc(sizes[s], &bytes);
            for (size_t k = 0; k < sizes[s]; k++) {
                if (bytes[k] != 0) {
                    CHECK(!"empty");
                    return;
                }
            }
            memset(bytes, 'x', sizes[s]);
            CHECK_INT(secret_reveal(all[i]).n, sizes[s]);
            if (i % 3 == 0) {
                secret_free(all[i]);
                all[i] = NULL;
            }
        }
        for (int i = 0; i < ROUNDS; i++) {
            secret_free(all[i]);
        }
    }
}

TEST(a_buffer_is_wiped_whole) {
    struct strbuf b = STRBUF(100);
    strbuf_room(&b, 100);
    strbuf_addz(&b, "secret");
    secret_strbuf_done(&b);
    CHECK(b.p == NULL && b.n == 0);
    secret_strbuf_done(&b);
}
