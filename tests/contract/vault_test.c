/* The vault over both databases: what goes in comes out, for nobody else; keys change under it. */
#include "auth/vault.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/vault_internal.h"
#include "store_fixture.h"

#define KEY_1 "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
#define KEY_2 "3031323334353637383961626364656630313233343536373839616263646500"
#define KEY_3 "correct-horse-battery-staple"

struct safe {
    struct fixture f;
    struct profile profile;
    struct user_epochs *epochs;
    struct vault *vault;
};

static void lock(struct safe *s) {
    vault_close(s->vault);
    s->vault = NULL;
    secret_free(s->profile.credentials_key);
    secret_free(s->profile.credentials_key_old);
    s->profile.credentials_key = s->profile.credentials_key_old = NULL;
}

static void safe_close(struct safe *s) {
    lock(s);
    user_epochs_free(s->epochs);
    fixture_close(&s->f);
}

static struct secret *secret_of(const char *z) {
    return z ? secret_new(str_z(z)) : NULL;
}

/* Opens the vault (again) with these keys. */
static int unlock(struct safe *s, const char *key, const char *old) {
    lock(s);
    s->profile.credentials_key = secret_of(key);
    s->profile.credentials_key_old = secret_of(old);
    return vault_open(&s->profile, s->f.db, s->epochs, &s->vault, &s->f.err);
}

static bool safe_open(struct safe *s, struct test_backend *backend) {
    if (!fixture_open(&s->f, backend)) {
        return false;
    }
    s->epochs = user_epochs_new(s->f.db);
    s->profile.credentials_key_path = STR("/nonexistent/credentials.key");
    s->profile.system_db_url =
        backend->kind == DB_POSTGRES ? STR("postgres://somewhere") : STR_EMPTY;
    return CHECK_OK(unlock(s, KEY_1, NULL), &s->f.err);
}

static int put(struct safe *s, struct str user, const char *service, const char *value) {
    struct vault_entry entry = {.service = str_z(service), .scopes = STR("a b")};
    return vault_put(s->vault, user, &entry, str_z(value), &s->f.err);
}

/* The value, or the name of the error. */
static const char *get(struct safe *s, struct str user, const char *service) {
    struct secret *value;
    struct vault_entry entry;
    int rc = vault_get(s->vault, user, str_z(service), &value, &entry, &s->f.arena, &s->f.err);
    if (rc < 0) {
        return err_name(s->f.err.code);
    }
    CHECK_STR(entry.service, service);
    CHECK_STR(entry.scopes, "a b");
    const char *z = arena_z(&s->f.arena, secret_reveal(value));
    secret_free(value);
    return z;
}

#define CHECK_GET(s, user, service, want) CHECK_STR(str_z(get(s, user, service)), want)

BOTH_BACKENDS(what_is_put_comes_out_for_its_user_only) {
    struct safe s cleanup(safe_close) = {0};
    struct vault_entry *entries;
    size_t n;
    REQUIRE(safe_open(&s, backend));
    uint64_t epoch = user_epoch(s.epochs, ME), others = user_epoch(s.epochs, OTHER);
    CHECK_OK(put(&s, ME, "google", "{\"access_token\":\"one\"}"), &s.f.err);
    CHECK(user_epoch(s.epochs, ME) != epoch);
    CHECK_INT(user_epoch(s.epochs, OTHER), others);
    CHECK_GET(&s, ME, "google", "{\"access_token\":\"one\"}");
    CHECK_GET(&s, OTHER, "google", "not_found");
    CHECK_GET(&s, ME, "garmin", "not_found");
    epoch = user_epoch(s.epochs, ME);
    CHECK_OK(put(&s, ME, "google", "{\"access_token\":\"two\"}"), &s.f.err);
    CHECK_OK(put(&s, ME, "mcp:a.b-c_9", "{}"), &s.f.err);
    CHECK_GET(&s, ME, "google", "{\"access_token\":\"two\"}");
    CHECK_OK(vault_list(s.vault, ME, &s.f.arena, &entries, &n, &s.f.err), &s.f.err);
    if (CHECK_INT(n, 2)) {
        CHECK_STR(entries[0].service, "google");
        CHECK_STR(entries[0].scopes, "a b");
        CHECK(entries[0].created_us > 0 && entries[0].created_us < entries[0].updated_us);
        CHECK_STR(entries[1].service, "mcp:a.b-c_9");
    }
    CHECK_OK(vault_delete(s.vault, ME, STR("google"), STR_EMPTY, &s.f.err), &s.f.err);
    CHECK(user_epoch(s.epochs, ME) != epoch);
    CHECK_GET(&s, ME, "google", "not_found");
    CHECK_FAILS(vault_delete(s.vault, ME, STR("google"), STR_EMPTY, &s.f.err), &s.f.err,
                ERR_NOT_FOUND);
}

BOTH_BACKENDS(what_may_not_be_put_is_refused) {
    struct safe s cleanup(safe_close) = {0};
    static char large[VAULT_MAX_VALUE_BYTES + 2];
    REQUIRE(safe_open(&s, backend));
    static const char *const names[] = {
        "",         "Google",
        "a b",      "a/b",
        "\xc3\xa4", "0123456789012345678901234567890123456789012345678901234567890123456789"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        CHECK_FAILS(put(&s, ME, names[i], "{}"), &s.f.err, ERR_INVALID);
    }
    static const char *const values[] = {"", "x", "[]", "\"a\"", "{\"a\":1", "{\"a\":1,\"a\":2}"};
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        CHECK_FAILS(put(&s, ME, "x", values[i]), &s.f.err, ERR_INVALID);
    }
    memset(large, 'a', sizeof large - 1);
    CHECK_FAILS(put(&s, ME, "x", large), &s.f.err, ERR_LIMIT);
    for (int i = 0; i < VAULT_MAX_SERVICES; i++) {
        CHECK_OK(put(&s, ME, arena_printf(&s.f.arena, "s%d", i).p, "{}"), &s.f.err);
    }
    CHECK_FAILS(put(&s, ME, "one-more", "{}"), &s.f.err, ERR_LIMIT);
    CHECK_OK(put(&s, ME, "s5", "{\"again\":1}"), &s.f.err);
    CHECK_OK(put(&s, OTHER, "one-more", "{}"), &s.f.err);
}

/* ---- rows that are not what they were ---- */

static void alter(struct safe *s, const struct db_sql *sql, struct str user) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(s->f.db, user, DB_WRITE);
    size_t q = db_tx_add(tx, sql, db_text(user));
    CHECK_OK(db_tx_run(tx, &s->f.err), &s->f.err);
    CHECK_INT(db_rows_affected(tx, q), 1);
}

/* The row as it stands, put under another name. */
static void copy_row(struct safe *s, struct str from, const char *service, struct str to,
                     const char *as) {
    struct credential_row row;
    CHECK_OK(credential_get(s->f.db, from, str_z(service), &s->f.arena, &row, &s->f.err),
             &s->f.err);
    row.service = str_z(as);
    struct credential_put p = {
        .user_id = to, .row = row, .key_ids = &row.key_id, .n_key_ids = 1, .max_services = 9};
    CHECK_OK(credential_put(s->f.db, &p, &s->f.err), &s->f.err);
}

BOTH_BACKENDS(a_row_in_another_place_does_not_decrypt) {
    struct safe s cleanup(safe_close) = {0};
    REQUIRE(safe_open(&s, backend));
    CHECK_OK(put(&s, ME, "a", "{\"k\":\"mine\"}"), &s.f.err);
    copy_row(&s, ME, "a", OTHER, "a");
    copy_row(&s, ME, "a", ME, "b");
    CHECK_GET(&s, OTHER, "a", "forbidden");
    CHECK_GET(&s, ME, "b", "forbidden");
    CHECK_GET(&s, ME, "a", "{\"k\":\"mine\"}");
    /* The border between user and service is bound, too. */
    CHECK_OK(put(&s, STR("mea"), "b", "{}"), &s.f.err);
    copy_row(&s, STR("mea"), "b", ME, "ab");
    CHECK_GET(&s, ME, "ab", "forbidden");
}

BOTH_BACKENDS(a_changed_row_does_not_decrypt) {
    static const struct db_sql texts[] = {
        {"short", "UPDATE user_credentials SET ciphertext = nonce WHERE user_id = $1"},
        {"nonce", "UPDATE user_credentials SET nonce = ciphertext WHERE user_id = $1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct safe s cleanup(safe_close) = {0};
        struct test_backend own;
        REQUIRE(test_backend_open(backend->kind, &own));
        if (safe_open(&s, &own)) {
            CHECK_OK(put(&s, ME, "a", "{\"k\":\"mine\"}"), &s.f.err);
            alter(&s, &texts[i], ME);
            CHECK_GET(&s, ME, "a", "forbidden");
            CHECK(strstr(s.f.err.msg, "mine") == NULL);
        }
        safe_close(&s);
        s = (struct safe){0};
        test_backend_close(&own);
    }
}

/* ---- keys ---- */

static struct str key_id_of(struct safe *s, struct str user, const char *service) {
    struct credential_row row = {0};
    CHECK_OK(credential_get(s->f.db, user, str_z(service), &s->f.arena, &row, &s->f.err),
             &s->f.err);
    return row.key_id;
}

BOTH_BACKENDS(a_wrong_key_is_told_and_overwrites_nothing) {
    struct safe s cleanup(safe_close) = {0};
    REQUIRE(safe_open(&s, backend));
    CHECK_OK(put(&s, ME, "a", "{\"k\":\"mine\"}"), &s.f.err);
    REQUIRE_OK(unlock(&s, KEY_2, NULL), &s.f.err);
    CHECK_GET(&s, ME, "a", "forbidden");
    CHECK(strstr(s.f.err.msg, "another encryption key") != NULL);
    CHECK_FAILS(put(&s, ME, "a", "{\"k\":\"new\"}"), &s.f.err, ERR_CONFLICT);
    CHECK_OK(put(&s, ME, "b", "{\"k\":\"b\"}"), &s.f.err);
    REQUIRE_OK(unlock(&s, KEY_1, NULL), &s.f.err);
    CHECK_GET(&s, ME, "a", "{\"k\":\"mine\"}");
    CHECK_GET(&s, ME, "b", "forbidden");
    CHECK_OK(vault_delete(s.vault, ME, STR("b"), STR_EMPTY, &s.f.err), &s.f.err);
    CHECK_OK(put(&s, ME, "b", "{\"k\":\"b\"}"), &s.f.err);
}

BOTH_BACKENDS(reading_brings_a_row_under_the_new_key) {
    struct safe s cleanup(safe_close) = {0};
    REQUIRE(safe_open(&s, backend));
    CHECK_OK(put(&s, ME, "a", "{\"k\":\"mine\"}"), &s.f.err);
    struct str first = key_id_of(&s, ME, "a");
    uint64_t epoch = user_epoch(s.epochs, ME);
    REQUIRE_OK(unlock(&s, KEY_2, KEY_3 "," KEY_1), &s.f.err);
    CHECK_GET(&s, ME, "a", "{\"k\":\"mine\"}");
    struct str second = key_id_of(&s, ME, "a");
    CHECK(!str_eq(first, second));
    CHECK_INT(user_epoch(s.epochs, ME), epoch);
    REQUIRE_OK(unlock(&s, KEY_2, NULL), &s.f.err);
    CHECK_GET(&s, ME, "a", "{\"k\":\"mine\"}");
    CHECK_STR(key_id_of(&s, ME, "a"), second.p);
    REQUIRE_OK(unlock(&s, KEY_1, NULL), &s.f.err);
    CHECK_GET(&s, ME, "a", "forbidden");
}

BOTH_BACKENDS(a_read_survives_that_the_new_key_cannot_be_stored) {
    struct safe s cleanup(safe_close) = {0};
    REQUIRE(safe_open(&s, backend));
    CHECK_OK(put(&s, ME, "a", "{\"k\":\"mine\"}"), &s.f.err);
    REQUIRE_OK(unlock(&s, KEY_3, KEY_1), &s.f.err);
    for (uint64_t k = 1; k <= 3; k++) {
        db_fail_at(s.f.db, k, ERR_UNAVAILABLE, k == 3);
        CHECK_GET(&s, ME, "a", k == 1 ? "unavailable" : "{\"k\":\"mine\"}");
        db_fail_at(s.f.db, 0, ERR_NONE, false);
    }
    CHECK_GET(&s, ME, "a", "{\"k\":\"mine\"}");
}

/* ---- all at once ---- */

enum { USERS = 23, SERVICES = 5 };

static struct str user_of(struct safe *s, int i) {
    return arena_printf(&s->f.arena, "user-%02d", i);
}

static const char *service_of(struct safe *s, int i) {
    return arena_printf(&s->f.arena, "service-%d", i).p;
}

static const char *value_of(struct safe *s, int user, int service, int version) {
    return arena_printf(&s->f.arena, "{\"of\":\"%d %d %d\"}", user, service, version).p;
}

struct filler {
    struct safe *s;
    int user;
};

static void fill_user(void *arg) {
    const struct filler *f = arg;
    for (int i = 0; i < SERVICES; i++) {
        struct err err;
        struct vault_entry entry = {.service = str_z(service_of(f->s, i)), .scopes = STR("a b")};
        struct str value = str_z(value_of(f->s, f->user, i, 0));
        CHECK_OK(vault_put(f->s->vault, user_of(f->s, f->user), &entry, value, &err), &err);
    }
}

/* Side by side, which shares the commits. */
static void fill(struct safe *s) {
    struct filler fillers[USERS];
    struct fiber_scope scope;
    fiber_scope_init(&scope);
    for (int u = 0; u < USERS; u++) {
        fillers[u] = (struct filler){s, u};
        CHECK_OK(fiber_spawn(&scope, "fill", fill_user, &fillers[u], NULL, &s->f.err), &s->f.err);
    }
    fiber_scope_join(&scope);
}

static void check_all(struct safe *s, const int version[USERS][SERVICES]) {
    for (int u = 0; u < USERS; u++) {
        for (int i = 0; i < SERVICES; i++) {
            CHECK_GET(s, user_of(s, u), service_of(s, i),
                      value_of(s, u, i, version ? version[u][i] : 0));
        }
    }
}

BOTH_BACKENDS(all_rows_move_at_once) {
    struct safe s cleanup(safe_close) = {0};
    struct vault_tally tally;
    struct vault_key_use *uses;
    size_t n;
    REQUIRE(safe_open(&s, backend));
    fill(&s);
    REQUIRE_OK(unlock(&s, KEY_2, KEY_1), &s.f.err);
    CHECK_OK(
        vault_put(s.vault, ME, &(struct vault_entry){.service = STR("new")}, STR("{}"), &s.f.err),
        &s.f.err);
    CHECK_OK(vault_keys_in_use(s.vault, &s.f.arena, &uses, &n, &s.f.err), &s.f.err);
    if (CHECK_INT(n, 2)) {
        CHECK(uses[0].is_current && uses[0].credentials == 1 && uses[0].users == 1);
        CHECK(uses[1].is_set && !uses[1].is_current && uses[1].credentials == USERS * SERVICES);
        CHECK_INT(uses[1].users, USERS);
    }
    CHECK_OK(vault_rotate(s.vault, &tally, &s.f.err), &s.f.err);
    CHECK_INT(tally.rotated, USERS * SERVICES);
    CHECK_INT(tally.unreadable, 0);
    CHECK_OK(vault_rotate(s.vault, &tally, &s.f.err), &s.f.err);
    CHECK_INT(tally.seen, 0);
    REQUIRE_OK(unlock(&s, KEY_2, NULL), &s.f.err);
    check_all(&s, NULL);
    CHECK_OK(vault_check(s.vault, &tally, &s.f.err), &s.f.err);
    CHECK(tally.seen == USERS * SERVICES + 1 && tally.unreadable == 0);
}

BOTH_BACKENDS(rows_under_an_unknown_key_stay_and_are_counted) {
    struct safe s cleanup(safe_close) = {0};
    struct vault_tally tally;
    struct vault_key_use *uses;
    size_t n;
    REQUIRE(safe_open(&s, backend));
    fill(&s);
    REQUIRE_OK(unlock(&s, KEY_2, NULL), &s.f.err);
    CHECK_OK(put(&s, ME, "readable", "{}"), &s.f.err);
    REQUIRE_OK(unlock(&s, KEY_3, KEY_2), &s.f.err);
    CHECK_OK(vault_rotate(s.vault, &tally, &s.f.err), &s.f.err);
    CHECK_INT(tally.rotated, 1);
    CHECK_INT(tally.unreadable, USERS * SERVICES);
    CHECK_OK(vault_keys_in_use(s.vault, &s.f.arena, &uses, &n, &s.f.err), &s.f.err);
    if (CHECK_INT(n, 3)) {
        CHECK(!uses[2].is_set && uses[2].credentials == USERS * SERVICES);
    }
    REQUIRE_OK(unlock(&s, KEY_1, NULL), &s.f.err);
    check_all(&s, NULL);
}

/* Somebody who puts and deletes all the time, while all rows move, twice. */
struct busy {
    struct safe *s;
    int version[USERS][SERVICES];
    bool stop;
    unsigned writes;
    struct fiber_cond done;
    bool ended;
};

static void be_busy(void *arg) {
    struct busy *b = arg;
    struct err err;
    for (int n = 1; !b->stop; n++) {
        int u = n * 7 % USERS, i = n * 3 % SERVICES;
        struct vault_entry entry = {.service = str_z(service_of(b->s, i)), .scopes = STR("a b")};
        struct str user = user_of(b->s, u);
        if (n % 5 == 0) {
            CHECK_OK(vault_delete(b->s->vault, user, entry.service, STR_EMPTY, &err), &err);
        }
        CHECK_OK(vault_put(b->s->vault, user, &entry, str_z(value_of(b->s, u, i, n)), &err), &err);
        b->version[u][i] = n;
        b->writes++;
    }
    b->ended = true;
    fiber_broadcast(&b->done);
}

BOTH_BACKENDS(what_is_put_while_rows_move_is_not_lost) {
    struct safe s cleanup(safe_close) = {0};
    struct vault_tally tally;
    struct fiber_scope scope;
    struct busy busy = {.s = &s};
    REQUIRE(safe_open(&s, backend));
    fill(&s);
    REQUIRE_OK(unlock(&s, KEY_2, KEY_1), &s.f.err);
    /* The other process does not have the new key as its first one yet: its rows come back under
     * the old one, and the rotation meets them. */
    struct vault *ours = s.vault;
    struct profile old = s.profile;
    old.credentials_key = secret_new(str_z(KEY_1));
    old.credentials_key_old = secret_new(str_z(KEY_2));
    CHECK_OK(vault_open(&old, s.f.db, s.epochs, &s.vault, &s.f.err), &s.f.err);
    fiber_scope_init(&scope);
    fiber_cond_init(&busy.done);
    CHECK_OK(fiber_spawn(&scope, "busy", be_busy, &busy, NULL, &s.f.err), &s.f.err);
    for (int round = 0; round < 4; round++) {
        CHECK_OK(vault_rotate(ours, &tally, &s.f.err), &s.f.err);
        CHECK_INT(tally.unreadable, 0);
        CHECK(tally.rotated > 0);
    }
    busy.stop = true;
    while (!busy.ended) {
        (void)fiber_wait(&busy.done, 10000);
    }
    fiber_scope_join(&scope);
    CHECK(busy.writes > 20);
    CHECK_OK(vault_rotate(ours, &tally, &s.f.err), &s.f.err);
    vault_close(s.vault);
    s.vault = ours;
    secret_free(old.credentials_key);
    secret_free(old.credentials_key_old);
    REQUIRE_OK(unlock(&s, KEY_2, NULL), &s.f.err);
    check_all(&s, busy.version);
}

/* The database fails at each of the rotation's transactions, before and after the commit. */
BOTH_BACKENDS(a_rotation_that_fails_goes_on_where_it_was) {
    struct safe s cleanup(safe_close) = {0};
    struct vault_tally tally;
    int64_t rotated = 0;
    unsigned failures = 0;
    REQUIRE(safe_open(&s, backend));
    for (int i = 0; i < SERVICES; i++) {
        CHECK_OK(put(&s, ME, service_of(&s, i), value_of(&s, 0, i, 0)), &s.f.err);
    }
    const char *keys[] = {KEY_2, KEY_1};
    for (int committed = 0; committed < 2; committed++) {
        REQUIRE_OK(unlock(&s, keys[committed], keys[!committed]), &s.f.err);
        for (uint64_t k = 1; k < 100; k++) {
            db_fail_at(s.f.db, k, ERR_UNAVAILABLE, committed);
            int rc = vault_rotate(s.vault, &tally, &s.f.err);
            db_fail_at(s.f.db, 0, ERR_NONE, false);
            rotated += tally.rotated;
            failures += rc < 0;
            for (int i = 0; i < SERVICES; i++) {
                struct credential_row row;
                struct secret *value = NULL;
                CHECK_OK(credential_get(s.f.db, ME, str_z(service_of(&s, i)), &s.f.arena, &row,
                                        &s.f.err),
                         &s.f.err);
                CHECK_OK(vault_open_row(s.vault, ME, &row, &value, &s.f.err), &s.f.err);
                CHECK_STR(secret_reveal(value), value_of(&s, 0, i, 0));
                secret_free(value);
            }
            if (rc == 0) {
                break;
            }
        }
    }
    CHECK(failures > 4 && rotated >= SERVICES);
    CHECK_OK(vault_rotate(s.vault, &tally, &s.f.err), &s.f.err);
    CHECK_INT(tally.seen, 0);
}

/* A put, a delete: all or nothing, at every transaction that fails. */
BOTH_BACKENDS(a_change_that_fails_changes_nothing) {
    static const struct db_sql count_audit =
        DB_SQL("count_audit", "SELECT COUNT(*) FROM audit WHERE action LIKE 'credential.%'");
    struct safe s cleanup(safe_close) = {0};
    struct vault_entry entry = {
        .service = STR("a"), .scopes = STR("a b"), .actor = STR("somebody")};
    REQUIRE(safe_open(&s, backend));
    CHECK_OK(vault_put(s.vault, ME, &entry, STR("{\"v\":1}"), &s.f.err), &s.f.err);
    CHECK_INT(number_of(&s.f, &count_audit), 1);
    uint64_t epoch = user_epoch(s.epochs, ME);
    db_fail_at(s.f.db, 1, ERR_UNAVAILABLE, false);
    CHECK_FAILS(vault_put(s.vault, ME, &entry, STR("{\"v\":2}"), &s.f.err), &s.f.err,
                ERR_UNAVAILABLE);
    db_fail_at(s.f.db, 1, ERR_UNAVAILABLE, false);
    CHECK_FAILS(vault_delete(s.vault, ME, STR("a"), STR("somebody"), &s.f.err), &s.f.err,
                ERR_UNAVAILABLE);
    CHECK_GET(&s, ME, "a", "{\"v\":1}");
    CHECK_INT(number_of(&s.f, &count_audit), 1);
    CHECK_FAILS(vault_delete(s.vault, ME, STR("b"), STR("somebody"), &s.f.err), &s.f.err,
                ERR_NOT_FOUND);
    CHECK_INT(number_of(&s.f, &count_audit), 1);
    CHECK_OK(vault_delete(s.vault, ME, STR("a"), STR("somebody"), &s.f.err), &s.f.err);
    CHECK_INT(number_of(&s.f, &count_audit), 2);
    CHECK(user_epoch(s.epochs, ME) > epoch);
}

/* ---- sealed text ---- */

TEST_FIBER(sealed_text_opens_for_its_purpose_only) {
    struct test_backend backend;
    struct safe s cleanup(safe_close) = {0};
    struct strbuf sealed cleanup(strbuf_done) = STRBUF(4096);
    struct strbuf text cleanup(strbuf_done) = STRBUF(4096);
    REQUIRE(test_backend_open(DB_SQLITE, &backend));
    if (safe_open(&s, &backend)) {
        CHECK_OK(vault_seal(s.vault, "oauth", STR("user=me"), &sealed, &s.f.err), &s.f.err);
        CHECK_INT(str_find_char(strbuf_str(&sealed), '='), -1);
        CHECK_OK(vault_unseal(s.vault, "oauth", strbuf_str(&sealed), 60, &text, &s.f.err),
                 &s.f.err);
        CHECK_STR(strbuf_str(&text), "user=me");
        CHECK_FAILS(vault_unseal(s.vault, "other", strbuf_str(&sealed), 60, &text, &s.f.err),
                    &s.f.err, ERR_INVALID);
        CHECK_FAILS(vault_unseal(s.vault, "oauth", strbuf_str(&sealed), -1, &text, &s.f.err),
                    &s.f.err, ERR_INVALID);
        for (size_t i = 0; i < sealed.n; i++) {
            char was = sealed.p[i];
            sealed.p[i] = was == 'A' ? 'B' : 'A';
            CHECK_FAILS(vault_unseal(s.vault, "oauth", strbuf_str(&sealed), 60, &text, &s.f.err),
                        &s.f.err, ERR_INVALID);
            CHECK_FAILS(vault_unseal(s.vault, "oauth", str_head(strbuf_str(&sealed), i), 60, &text,
                                     &s.f.err),
                        &s.f.err, ERR_INVALID);
            sealed.p[i] = was;
        }
        CHECK_OK(unlock(&s, KEY_2, KEY_1), &s.f.err);
        strbuf_reset(&text);
        CHECK_OK(vault_unseal(s.vault, "oauth", strbuf_str(&sealed), 60, &text, &s.f.err),
                 &s.f.err);
        CHECK_OK(unlock(&s, KEY_2, NULL), &s.f.err);
        CHECK_FAILS(vault_unseal(s.vault, "oauth", strbuf_str(&sealed), 60, &text, &s.f.err),
                    &s.f.err, ERR_INVALID);
    }
    safe_close(&s);
    s = (struct safe){0};
    test_backend_close(&backend);
}
