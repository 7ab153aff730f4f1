#include "auth/principal_cache.h"

#include <stdio.h>

#include "test.h"

static void put(struct principal_cache *c, const char *hash, const char *user) {
    struct principal p = {.user_id = str_z(user), .role = ROLE_ADMIN, .key_hash = str_z(hash)};
    principal_cache_put(c, str_z(hash), &p, 7);
}

TEST(what_was_put_in_comes_out) {
    struct principal_cache *c = principal_cache_new();
    struct arena arena cleanup(arena_done) = {0};
    struct principal p;
    uint64_t epoch = 0;
    char user[] = "ann";
    put(c, "h1", user);
    user[0] = 'x'; /* it keeps a copy */
    CHECK(!principal_cache_get(c, STR("h2"), &arena, &p, &epoch));
    if (CHECK(principal_cache_get(c, STR("h1"), &arena, &p, &epoch))) {
        CHECK_STR(p.user_id, "ann");
        CHECK_STR(p.key_hash, "h1");
        CHECK_INT(p.role, ROLE_ADMIN);
        CHECK_INT(epoch, 7);
    }
    put(c, "h1", "bob");
    principal_cache_get(c, STR("h1"), &arena, &p, &epoch);
    principal_cache_forget(c, STR("h1"));
    principal_cache_forget(c, STR("never"));
    CHECK_STR(p.user_id, "bob"); /* the caller's copy outlives the entry */
    CHECK(!principal_cache_get(c, STR("h1"), &arena, &p, &epoch));
    principal_cache_free(c);
}

TEST(it_is_bounded) {
    struct principal_cache *c = principal_cache_new();
    struct arena arena cleanup(arena_done) = {0};
    struct principal p;
    uint64_t epoch;
    char hash[16];
    for (int i = 0; i <= PRINCIPAL_CACHE_MAX; i++) {
        snprintf(hash, sizeof hash, "h%d", i);
        put(c, hash, "ann");
    }
    CHECK(!principal_cache_get(c, STR("h0"), &arena, &p, &epoch));
    CHECK(principal_cache_get(c, STR("h1"), &arena, &p, &epoch));
    CHECK(principal_cache_get(c, str_z(hash), &arena, &p, &epoch));
    principal_cache_free(c);
}

TEST(a_key_is_forgotten_with_its_sessions) {
    struct principal_cache *c = principal_cache_new();
    struct arena arena cleanup(arena_done) = {0};
    struct principal p, session = {.user_id = STR("ann"), .key_hash = STR("h1")};
    uint64_t epoch;
    put(c, "h1", "ann");
    put(c, "h2", "ann");
    principal_cache_put(c, STR("token"), &session, 1);
    principal_cache_forget_key(c, STR("h1"));
    principal_cache_forget_key(c, STR("h3"));
    CHECK(!principal_cache_get(c, STR("h1"), &arena, &p, &epoch));
    CHECK(!principal_cache_get(c, STR("token"), &arena, &p, &epoch));
    CHECK(principal_cache_get(c, STR("h2"), &arena, &p, &epoch));
    principal_cache_free(c);
}
