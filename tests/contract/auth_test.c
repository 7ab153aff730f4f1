/* Who may call, in each of the three modes. */
#include "auth/auth.h"

#include "store_fixture.h"

/* A fixture with an instance's authentication. On PostgreSQL its profile has a SYSTEM_DB_URL. */
struct instance {
    struct fixture f;
    struct profile profile;
    struct auth *auth;
};

static void instance_done(struct instance *i) {
    auth_free(i->auth);
    secret_free(i->profile.api_key);
    fixture_close(&i->f);
}

/* Starts it (again); key may be NULL. */
static int start(struct instance *i, const char *key, bool loopback) {
    auth_free(i->auth);
    secret_free(i->profile.api_key);
    i->auth = NULL;
    i->profile = (struct profile){
        .default_user = STR("me"),
        .listen = STR("address:1"),
        .loopback_only = loopback,
        .api_key = key ? secret_new(str_z(key)) : NULL,
        .system_db_url =
            i->f.backend->kind == DB_POSTGRES ? STR("postgres://somewhere") : STR_EMPTY,
    };
    int rc = auth_new(&i->profile, i->f.db, &i->auth, &i->f.err);
    return rc < 0 ? rc : auth_seed(i->auth, &i->f.err);
}

static int check(struct instance *i, struct str key, struct str cookie, const char *peer,
                 struct principal *ret) {
    *ret = (struct principal){0};
    return auth_check(i->auth, key, cookie, str_z(peer), &i->f.arena, ret, &i->f.err);
}

static struct str add_key(struct instance *i, const char *user, const char *role) {
    struct secret *key cleanup(secret_free_p) = auth_key_new();
    char hash[SHA256_HEX + 1];
    crypto_sha256_hex(secret_reveal(key), hash);
    struct key_row row = {.key_hash = str_z(hash),
                          .user_id = str_z(user),
                          .profile_name = str_z(role),
                          .created_us = clock_now_us()};
    CHECK_OK(key_insert(i->f.db, &row, STR("cli"), &i->f.err), &i->f.err);
    return arena_str(&i->f.arena, secret_reveal(key));
}

/* Past the instance, as another process would. */
static int revoke_one(struct instance *i, struct str hash, struct key_row *ret) {
    struct key_order order = {.hash_prefix = hash, .actor = STR("cli")};
    return key_revoke(i->f.db, &order, false, &i->f.arena, ret, &i->f.err);
}

TEST(roles_have_the_names_of_the_table) {
    enum role role = ROLE_PERSONAL;
    CHECK(role_parse(STR("cos_internal"), &role) && role == ROLE_COS_INTERNAL);
    CHECK(role_parse(STR("admin"), &role) && role == ROLE_ADMIN);
    CHECK(!role_parse(STR("root"), &role) && role == ROLE_ADMIN);
    CHECK_STR(str_z(role_name(ROLE_PERSONAL)), "personal");
}

TEST(generated_keys_are_long_and_differ) {
    struct secret *a = auth_key_new(), *b = auth_key_new();
    CHECK_INT(secret_reveal(a).n, 47);
    CHECK(str_starts(secret_reveal(a), STR("adj_")));
    CHECK(!str_eq(secret_reveal(a), secret_reveal(b)));
    secret_free(a);
    secret_free(b);
}

static void open_until_there_is_a_key(struct test_backend *backend) {
    struct instance i cleanup(instance_done) = {0};
    struct principal p;
    struct str token;
    int64_t expires;
    REQUIRE(fixture_open(&i.f, backend));
    CHECK_FAILS(start(&i, NULL, false), &i.f.err, ERR_INVALID);
    CHECK(strstr(i.f.err.msg, "ASSISTANT_API_KEY") != NULL);
    REQUIRE_OK(start(&i, NULL, true), &i.f.err);
    CHECK_INT(auth_mode(i.auth), AUTH_OPEN);
    REQUIRE_OK(check(&i, STR_EMPTY, STR_EMPTY, "127.0.0.1", &p), &i.f.err);
    CHECK_STR(p.user_id, "me");
    CHECK_INT(p.role, ROLE_ADMIN);
    CHECK(p.allow_operator_llm && !p.from_cookie);
    CHECK_FAILS(auth_login(i.auth, STR("x"), STR("p"), &i.f.arena, &token, &expires, &i.f.err),
                &i.f.err, ERR_CONFLICT);

    struct str key = add_key(&i, "ann", "personal");
    REQUIRE_OK(start(&i, NULL, false), &i.f.err); /* no longer open: any address will do */
    CHECK_INT(auth_mode(i.auth), AUTH_TABLE);
    CHECK_FAILS(check(&i, STR_EMPTY, STR_EMPTY, "p", &p), &i.f.err, ERR_UNAUTHORIZED);
    REQUIRE_OK(check(&i, key, STR_EMPTY, "p", &p), &i.f.err);
    CHECK_STR(p.user_id, "ann");
    CHECK_INT(p.role, ROLE_PERSONAL);
    struct key_row row;
    char hash[SHA256_HEX + 1];
    crypto_sha256_hex(key, hash);
    REQUIRE_OK(revoke_one(&i, str_z(hash), &row), &i.f.err);
    REQUIRE_OK(start(&i, NULL, true), &i.f.err); /* a revoked key is no open door */
    CHECK_INT(auth_mode(i.auth), AUTH_TABLE);
    CHECK_FAILS(check(&i, key, STR_EMPTY, "p", &p), &i.f.err, ERR_UNAUTHORIZED);
}

TEST_FIBER(without_any_key_it_is_open_on_loopback_only) {
    test_on_backend(DB_SQLITE, open_until_there_is_a_key);
}

static void shared(struct test_backend *backend) {
    struct instance i cleanup(instance_done) = {0};
    struct principal p;
    struct str token;
    int64_t expires, count;
    REQUIRE(fixture_open(&i.f, backend));
    REQUIRE_OK(start(&i, "the shared key", false), &i.f.err);
    CHECK_INT(auth_mode(i.auth), AUTH_SHARED);
    REQUIRE_OK(key_count(i.f.db, &count, &i.f.err), &i.f.err);
    CHECK_INT(count, 0); /* it is not copied: changing the variable changes the key */
    CHECK_FAILS(check(&i, STR_EMPTY, STR_EMPTY, "p", &p), &i.f.err, ERR_UNAUTHORIZED);
    CHECK_FAILS(check(&i, STR("the shared kez"), STR_EMPTY, "p", &p), &i.f.err, ERR_UNAUTHORIZED);
    CHECK_FAILS(check(&i, STR("the shared key "), STR_EMPTY, "p", &p), &i.f.err, ERR_UNAUTHORIZED);
    REQUIRE_OK(check(&i, STR("the shared key"), STR_EMPTY, "p", &p), &i.f.err);
    CHECK_STR(p.user_id, "me");
    CHECK_INT(p.role, ROLE_ADMIN);
    CHECK(p.allow_operator_llm);
    REQUIRE_OK(
        auth_login(i.auth, STR("the shared key"), STR("p"), &i.f.arena, &token, &expires, &i.f.err),
        &i.f.err);
    REQUIRE_OK(check(&i, STR_EMPTY, token, "p", &p), &i.f.err);
    CHECK_STR(p.user_id, "me");
    CHECK(p.from_cookie);
    struct str key = add_key(&i, "ann", "cos_internal"); /* keys beside the shared one */
    REQUIRE_OK(check(&i, key, STR_EMPTY, "p", &p), &i.f.err);
    CHECK_STR(p.user_id, "ann");
    CHECK_INT(p.role, ROLE_COS_INTERNAL);
    CHECK(!p.allow_operator_llm);
    REQUIRE_OK(start(&i, "another key", false), &i.f.err);
    CHECK_FAILS(check(&i, STR("the shared key"), STR_EMPTY, "p", &p), &i.f.err, ERR_UNAUTHORIZED);
    CHECK_FAILS(check(&i, STR_EMPTY, token, "p", &p), &i.f.err, ERR_UNAUTHORIZED);
}

TEST_FIBER(the_shared_key_is_good_while_it_is_set) {
    test_on_backend(DB_SQLITE, shared);
}

static void seeded(struct test_backend *backend) {
    struct instance i cleanup(instance_done) = {0};
    struct principal p;
    struct key_row *rows;
    size_t n = 0;
    REQUIRE(fixture_open(&i.f, backend));
    REQUIRE_OK(start(&i, NULL, false), &i.f.err); /* nobody can call, which is safe anywhere */
    CHECK_FAILS(check(&i, STR_EMPTY, STR_EMPTY, "p", &p), &i.f.err, ERR_UNAUTHORIZED);
    REQUIRE_OK(start(&i, "first", false), &i.f.err);
    REQUIRE_OK(key_list(i.f.db, &i.f.arena, &rows, &n, &i.f.err), &i.f.err);
    REQUIRE(n == 1);
    CHECK_STR(rows[0].user_id, "me");
    CHECK_STR(rows[0].profile_name, "admin");
    CHECK(rows[0].allow_operator_llm);
    REQUIRE_OK(check(&i, STR("first"), STR_EMPTY, "p", &p), &i.f.err);
    CHECK(str_eq(p.key_hash, rows[0].key_hash));
    REQUIRE_OK(start(&i, "second", false), &i.f.err); /* seeding happens once */
    CHECK_FAILS(check(&i, STR("second"), STR_EMPTY, "p", &p), &i.f.err, ERR_UNAUTHORIZED);
    REQUIRE_OK(check(&i, STR("first"), STR_EMPTY, "p", &p), &i.f.err);
}

TEST_FIBER(the_first_key_is_seeded_from_the_environment) {
    test_on_backend(DB_POSTGRES, seeded);
}

/* Both modes that have keys. */
static void begin_with_key(struct instance *i, struct str *ret_key) {
    CHECK_OK(start(i, "boss", false), &i->f.err);
    *ret_key = add_key(i, "ann", "personal");
}

BOTH_BACKENDS(a_session_goes_with_its_logout_and_its_key) {
    struct instance i cleanup(instance_done) = {0};
    struct principal p;
    struct str key, first, second;
    struct key_row row;
    char hash[SHA256_HEX + 1];
    int64_t expires = 0, now = clock_now_us();
    REQUIRE(fixture_open(&i.f, backend));
    begin_with_key(&i, &key);
    CHECK_FAILS(auth_login(i.auth, STR("wrong"), STR("p"), &i.f.arena, &first, &expires, &i.f.err),
                &i.f.err, ERR_UNAUTHORIZED);
    REQUIRE_OK(auth_login(i.auth, key, STR("p"), &i.f.arena, &first, &expires, &i.f.err), &i.f.err);
    REQUIRE_OK(auth_login(i.auth, key, STR("p"), &i.f.arena, &second, &expires, &i.f.err),
               &i.f.err);
    CHECK_INT(first.n, 43);
    CHECK(!str_eq(first, second));
    CHECK((expires - now) / 1000000 / 86400 == 30);
    crypto_sha256_hex(first, hash); /* stored hashed */
    CHECK_FAILS(session_get(i.f.db, first, now, &i.f.arena, &row, &i.f.err), &i.f.err,
                ERR_NOT_FOUND);
    CHECK_OK(session_get(i.f.db, str_z(hash), now, &i.f.arena, &row, &i.f.err), &i.f.err);
    REQUIRE_OK(check(&i, STR_EMPTY, first, "p", &p), &i.f.err);
    CHECK_STR(p.user_id, "ann");
    CHECK(p.from_cookie);
    REQUIRE_OK(check(&i, STR_EMPTY, first, "p", &p), &i.f.err); /* now from the cache */
    CHECK(p.from_cookie);
    REQUIRE_OK(check(&i, key, first, "p", &p), &i.f.err); /* a key wins */
    CHECK(!p.from_cookie);
    CHECK_FAILS(check(&i, STR("wrong"), first, "p", &p), &i.f.err, ERR_UNAUTHORIZED);
    /* both are cached, each as what it is */
    CHECK_FAILS(check(&i, first, STR_EMPTY, "p", &p), &i.f.err, ERR_UNAUTHORIZED);
    CHECK_FAILS(check(&i, STR_EMPTY, key, "p", &p), &i.f.err, ERR_UNAUTHORIZED);
    REQUIRE_OK(auth_logout(i.auth, first, &i.f.err), &i.f.err);
    CHECK_FAILS(check(&i, STR_EMPTY, first, "p", &p), &i.f.err, ERR_UNAUTHORIZED);
    crypto_sha256_hex(key, hash);
    REQUIRE_OK(revoke_one(&i, str_z(hash), &row), &i.f.err);
    CHECK_FAILS(check(&i, STR_EMPTY, second, "p", &p), &i.f.err, ERR_UNAUTHORIZED);
    CHECK_FAILS(check(&i, STR_EMPTY, str_z(hash), "p", &p), &i.f.err, ERR_UNAUTHORIZED);
}

BOTH_BACKENDS(guessing_is_slowed_down_and_locks_nobody_else_out) {
    struct instance i cleanup(instance_done) = {0};
    struct principal p;
    struct str key, token;
    int64_t expires;
    REQUIRE(fixture_open(&i.f, backend));
    begin_with_key(&i, &key);
    REQUIRE_OK(auth_login(i.auth, key, STR("home"), &i.f.arena, &token, &expires, &i.f.err),
               &i.f.err);
    for (int n = 0; n < 10; n++) {
        CHECK_FAILS(check(&i, STR("guess"), STR_EMPTY, "evil", &p), &i.f.err, ERR_UNAUTHORIZED);
    }
    CHECK_FAILS(check(&i, STR("guess"), STR_EMPTY, "evil", &p), &i.f.err, ERR_BUSY);
    CHECK_FAILS(check(&i, STR("boss"), STR_EMPTY, "evil", &p), &i.f.err, ERR_BUSY);
    CHECK_FAILS(
        auth_login(i.auth, STR("boss"), STR("evil"), &i.f.arena, &token, &expires, &i.f.err),
        &i.f.err, ERR_BUSY);
    CHECK_OK(check(&i, STR("boss"), STR_EMPTY, "home", &p), &i.f.err);
    CHECK_FAILS(check(&i, STR("boss"), STR_EMPTY, "evil", &p), &i.f.err, ERR_BUSY);
    /* behind the same proxy: nobody finds these by trying */
    CHECK_OK(check(&i, key, STR_EMPTY, "evil", &p), &i.f.err);
    CHECK_OK(check(&i, STR_EMPTY, token, "evil", &p), &i.f.err);
    CHECK_FAILS(
        check(&i, STR("adj_0123456789012345678901234567890123456789012"), STR_EMPTY, "evil", &p),
        &i.f.err, ERR_BUSY);
}

BOTH_BACKENDS(odd_keys_are_refused) {
    struct instance i cleanup(instance_done) = {0};
    struct principal p;
    struct str key;
    char long_key[5000];
    memset(long_key, 'k', sizeof long_key);
    REQUIRE(fixture_open(&i.f, backend));
    begin_with_key(&i, &key);
    CHECK_FAILS(check(&i, (struct str){long_key, sizeof long_key}, STR_EMPTY, "p", &p), &i.f.err,
                ERR_UNAUTHORIZED);
    CHECK_FAILS(check(&i, STR_EMPTY, (struct str){long_key, sizeof long_key}, "p", &p), &i.f.err,
                ERR_UNAUTHORIZED);
    CHECK_FAILS(check(&i, STR("\xff\0'"), STR_EMPTY, "p", &p), &i.f.err, ERR_UNAUTHORIZED);
    key = add_key(&i, "eve", "emperor");
    CHECK_FAILS(check(&i, key, STR_EMPTY, "p", &p), &i.f.err, ERR_FORBIDDEN);
}

BOTH_BACKENDS(use_is_noted_and_the_cache_bridges_an_outage) {
    struct instance i cleanup(instance_done) = {0};
    struct principal p;
    struct str key;
    struct key_row row;
    char hash[SHA256_HEX + 1];
    REQUIRE(fixture_open(&i.f, backend));
    begin_with_key(&i, &key);
    crypto_sha256_hex(key, hash);
    db_fail_at(i.f.db, 1, ERR_UNAVAILABLE, false);
    CHECK_FAILS(check(&i, key, STR_EMPTY, "p", &p), &i.f.err, ERR_UNAVAILABLE);
    REQUIRE_OK(check(&i, key, STR_EMPTY, "p", &p), &i.f.err);
    REQUIRE_OK(key_get(i.f.db, str_z(hash), &i.f.arena, &row, &i.f.err), &i.f.err);
    CHECK(row.last_used_us > 0);
    db_fail_at(i.f.db, 1, ERR_UNAVAILABLE, false);
    CHECK_OK(check(&i, key, STR_EMPTY, "p", &p), &i.f.err);
    CHECK_STR(p.user_id, "ann");
    db_fail_at(i.f.db, 0, ERR_UNAVAILABLE, false);
}

BOTH_BACKENDS(a_revoked_key_is_forgotten_at_once_where_it_is_told) {
    struct instance i cleanup(instance_done) = {0};
    struct principal p;
    struct str key, token;
    struct key_row row;
    char hash[SHA256_HEX + 1];
    int64_t expires;
    REQUIRE(fixture_open(&i.f, backend));
    begin_with_key(&i, &key);
    REQUIRE_OK(auth_login(i.auth, key, STR("p"), &i.f.arena, &token, &expires, &i.f.err), &i.f.err);
    REQUIRE_OK(check(&i, key, STR_EMPTY, "p", &p), &i.f.err);
    REQUIRE_OK(check(&i, STR_EMPTY, token, "p", &p), &i.f.err);
    crypto_sha256_hex(key, hash);
    REQUIRE_OK(revoke_one(&i, str_z(hash), &row), &i.f.err);
    REQUIRE_OK(check(&i, key, STR_EMPTY, "p", &p), &i.f.err); /* nobody told */
    auth_key_changed(i.auth, STR("ann"), str_z(hash));
    CHECK_FAILS(check(&i, key, STR_EMPTY, "p", &p), &i.f.err, ERR_UNAUTHORIZED);
    CHECK_FAILS(check(&i, STR_EMPTY, token, "p", &p), &i.f.err, ERR_UNAUTHORIZED);
}

BOTH_BACKENDS(another_process_hears_of_a_revoked_key) {
    struct instance i cleanup(instance_done) = {0};
    struct principal p;
    struct str key;
    struct key_row row;
    char hash[SHA256_HEX + 1];
    REQUIRE(fixture_open(&i.f, backend));
    begin_with_key(&i, &key);
    struct user_epochs *here = user_epochs_new(i.f.db), *there = user_epochs_new(i.f.db);
    auth_use_epochs(i.auth, here);
    REQUIRE_OK(user_epochs_start(here, &i.f.err), &i.f.err);
    REQUIRE_OK(check(&i, key, STR_EMPTY, "p", &p), &i.f.err);
    crypto_sha256_hex(key, hash);
    REQUIRE_OK(revoke_one(&i, str_z(hash), &row), &i.f.err);
    int rc = 0;
    for (int n = 0; n < 500 && rc == 0; n++) {
        user_epoch_changed(there, STR("ann"));
        fiber_sleep(10);
        rc = check(&i, key, STR_EMPTY, "p", &p);
    }
    CHECK_INT(rc, -ERR_UNAUTHORIZED);
    user_epochs_free(here);
    user_epochs_free(there);
}

BOTH_BACKENDS(looking_again_is_neither_a_guess_nor_a_use) {
    struct instance i cleanup(instance_done) = {0};
    struct principal p;
    struct str key;
    struct key_row row;
    char hash[SHA256_HEX + 1];
    REQUIRE(fixture_open(&i.f, backend));
    begin_with_key(&i, &key);
    crypto_sha256_hex(key, hash);
    REQUIRE_OK(auth_recheck(i.auth, key, STR_EMPTY, &i.f.arena, &p, &i.f.err), &i.f.err);
    REQUIRE_OK(key_get(i.f.db, str_z(hash), &i.f.arena, &row, &i.f.err), &i.f.err);
    CHECK_INT(row.last_used_us, 0);
    for (int n = 0; n < 20; n++) {
        CHECK_FAILS(auth_recheck(i.auth, STR("old"), STR_EMPTY, &i.f.arena, &p, &i.f.err), &i.f.err,
                    ERR_UNAUTHORIZED);
    }
}
