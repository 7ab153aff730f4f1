#include "auth/auth.h"

#include "auth/limiter.h"
#include "auth/principal_cache.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/keys.h"

enum {
    SESSION_DAYS = 30,
    TOKEN_BYTES = 32,
    KEY_BYTES = 32,
    GENERATED_KEY_LEN = 47, /* the prefix, and 32 bytes in base64url */
    MAX_KEY_BYTES = 512,
};
#define KEY_PREFIX "adj_"
#define TOUCH_EVERY_US (60 * INT64_C(1000000))
#define COUNT_EVERY_US (5 * INT64_C(1000000))

struct auth {
    const struct profile *profile;
    struct db *db;
    bool has_keys; /* api_keys has rows, as of counted_us */
    int64_t counted_us;
    char shared_hash[SHA256_HEX + 1]; /* empty: there is no shared key */
    struct limiter *limiter;
    struct principal_cache *cache;
    struct user_epochs *epochs; /* NULL: there are no other processes */
    uint64_t changes;           /* of keys, made here: what was read before one is not remembered */
};

/* ---- roles and keys ---- */

static const char *const role_names[] = {
    [ROLE_PERSONAL] = "personal", [ROLE_ADMIN] = "admin", [ROLE_COS_INTERNAL] = "cos_internal"};

const char *role_name(enum role role) {
    return role_names[role];
}

bool role_parse(struct str name, enum role *ret) {
    for (size_t i = 0; i < ARRAY_LEN(role_names); i++) {
        if (str_eq(name, str_z(role_names[i]))) {
            *ret = (enum role)i;
            return true;
        }
    }
    return false;
}

static struct secret *random_secret(const char *prefix, size_t n_bytes) {
    uint8_t bytes[64];
    struct strbuf text = STRBUF(256);
    crypto_random(bytes, n_bytes);
    strbuf_addz(&text, prefix);
    crypto_base64url(&text, (struct str){(char *)bytes, n_bytes});
    struct secret *s = secret_new(strbuf_str(&text));
    secret_wipe(bytes, sizeof bytes);
    secret_wipe(text.p, text.n);
    strbuf_done(&text);
    return s;
}

struct secret *auth_key_new(void) {
    return random_secret(KEY_PREFIX, KEY_BYTES);
}

bool auth_name_valid(struct str name) {
    for (size_t i = 0; i < name.n; i++) {
        if ((unsigned char)name.p[i] < ' ' || name.p[i] == 0x7f) {
            return false;
        }
    }
    return name.n > 0 && name.n <= AUTH_MAX_NAME_BYTES && str_is_utf8(name);
}

static void hash_of(struct str secret, char ret[SHA256_HEX + 1]) {
    crypto_sha256_hex(secret, ret);
}

/* ---- the mode ---- */

static bool on_postgres(const struct auth *a) {
    return a->profile->system_db_url.n > 0;
}

/* Hashes are compared, as their lengths tell nothing. The shared key counts only where there is no
 * SYSTEM_DB_URL. */
static bool is_shared_key(const struct auth *a, struct str hash) {
    return a->shared_hash[0] && crypto_equal(hash, str_z(a->shared_hash));
}

enum auth_mode auth_mode(const struct auth *a) {
    if (on_postgres(a)) {
        return AUTH_TABLE;
    }
    if (a->profile->api_key) {
        return AUTH_SHARED;
    }
    return a->has_keys ? AUTH_TABLE : AUTH_OPEN;
}

/* Keys can be made beside a running server; the first one closes an open instance within seconds.
 */
static int look_for_keys(struct auth *a, struct err *err) {
    int64_t count, now_us = clock_mono_us();
    if (a->has_keys || (a->counted_us && now_us - a->counted_us < COUNT_EVERY_US)) {
        return 0;
    }
    if (key_count(a->db, &count, err) < 0) {
        return -(int)err->code;
    }
    a->has_keys = count > 0;
    a->counted_us = now_us;
    return 0;
}

int auth_new(const struct profile *profile, struct db *db, struct auth **ret, struct err *err) {
    (void)err;
    struct auth *a = mem_alloc(sizeof *a);
    a->profile = profile;
    a->db = db;
    if (profile->api_key && !on_postgres(a)) {
        hash_of(secret_reveal(profile->api_key), a->shared_hash);
    }
    a->limiter = limiter_new();
    a->cache = principal_cache_new();
    *ret = a;
    return 0;
}

void auth_free(struct auth *a) {
    if (a) {
        limiter_free(a->limiter);
        principal_cache_free(a->cache);
        mem_free(a);
    }
}

void auth_use_epochs(struct auth *a, struct user_epochs *epochs) {
    a->epochs = epochs;
}

struct str auth_shared_hash(const struct auth *a) {
    return auth_mode(a) == AUTH_SHARED ? str_z(a->shared_hash) : STR_EMPTY;
}

static int seed_first_key(struct auth *a, struct err *err) {
    char hash[SHA256_HEX + 1];
    hash_of(secret_reveal(a->profile->api_key), hash);
    struct key_row row = {.key_hash = str_z(hash),
                          .user_id = a->profile->default_user,
                          .profile_name = STR("admin"),
                          .label = STR("ASSISTANT_API_KEY"),
                          .created_us = clock_now_us(),
                          .allow_operator_llm = true};
    if (key_insert(a->db, &row, STR("system"), err) < 0 && err->code != ERR_CONFLICT) {
        return err_prefix(err, "making the first API key");
    }
    log_info("auth", "made the first API key from ASSISTANT_API_KEY for user %.*s",
             STR_ARG(row.user_id));
    a->has_keys = true;
    return 0;
}

int auth_seed(struct auth *a, struct err *err) {
    if (look_for_keys(a, err) < 0) {
        return err_prefix(err, "reading the API keys");
    }
    if (on_postgres(a) && !a->has_keys && a->profile->api_key) {
        return seed_first_key(a, err);
    }
    if (auth_mode(a) == AUTH_OPEN && !a->profile->loopback_only) {
        return err_set(
            err, ERR_INVALID,
            "listening on %.*s would let everybody in: set ASSISTANT_API_KEY, make a key "
            "with \"adjutant keys create\", or listen on 127.0.0.1",
            STR_ARG(a->profile->listen));
    }
    return 0;
}

/* ---- what is remembered ---- */

static uint64_t epoch_of(const struct auth *a, struct str user_id) {
    return a->epochs ? user_epoch(a->epochs, user_id) : 0;
}

static bool recall(struct auth *a, struct str hash, bool cookie, struct arena *arena,
                   struct principal *ret) {
    struct principal found;
    uint64_t epoch;
    if (!principal_cache_get(a->cache, hash, arena, &found, &epoch) ||
        epoch != epoch_of(a, found.user_id) || found.from_cookie != cookie) {
        return false; /* keys and sessions share the cache: the one is not the other */
    }
    *ret = found;
    return true;
}

/* `changes` as it was before the principal was read. */
static void remember(struct auth *a, struct str hash, const struct principal *p, uint64_t changes) {
    if (a->changes == changes) {
        principal_cache_put(a->cache, hash, p, epoch_of(a, p->user_id));
    }
}

void auth_key_changed(struct auth *a, struct str user_id, struct str key_hash) {
    a->changes++;
    a->has_keys = true;
    principal_cache_forget_key(a->cache, key_hash);
    if (a->epochs) {
        user_epoch_changed(a->epochs, user_id);
    }
}

void auth_session_ended(struct auth *a, struct str user_id, struct str token_hash) {
    a->changes++;
    principal_cache_forget(a->cache, token_hash);
    if (a->epochs) {
        user_epoch_changed(a->epochs, user_id);
    }
}

/* ---- checking ---- */

static void default_principal(const struct auth *a, struct principal *ret) {
    *ret = (struct principal){
        .user_id = a->profile->default_user, .role = ROLE_ADMIN, .allow_operator_llm = true};
}

static int blocked(struct err *err) {
    return err_set(err, ERR_BUSY, "too many failed attempts; try again in a minute");
}

/* Without a peer it was let in before: its failures are no guesses. */
static bool is_blocked(struct auth *a, struct str peer) {
    return peer.n > 0 && limiter_blocked(a->limiter, peer);
}

static int unauthorized(struct auth *a, struct str peer, struct err *err) {
    if (is_blocked(a, peer)) {
        return blocked(err);
    }
    if (peer.n > 0) {
        limiter_failed(a->limiter, peer);
    }
    return err_set(err, ERR_UNAUTHORIZED, "the API key is not valid");
}

/* Made by auth_key_new: nobody finds one by trying. Such keys, like sessions, are looked up from a
 * blocked address too, so that one who guesses cannot lock out those behind the same proxy. */
static bool is_unguessable(struct str key) {
    return key.n == GENERATED_KEY_LEN && str_starts(key, STR(KEY_PREFIX));
}

static int principal_of_row(const struct key_row *row, struct arena *arena, struct principal *ret,
                            struct err *err) {
    enum role role;
    if (!role_parse(row->profile_name, &role)) {
        return err_set(err, ERR_FORBIDDEN, "the key's role \"%.*s\" is not known here",
                       STR_ARG(row->profile_name));
    }
    *ret = (struct principal){.user_id = arena_str(arena, row->user_id),
                              .role = role,
                              .key_hash = arena_str(arena, row->key_hash),
                              .allow_operator_llm = row->allow_operator_llm};
    return 0;
}

/* Best effort: an unwritten time of last use is no reason to refuse anybody. */
static void touch(struct auth *a, const struct key_row *row) {
    struct err err;
    int64_t now_us = clock_now_us();
    if (now_us - row->last_used_us > TOUCH_EVERY_US &&
        key_touch(a->db, row->key_hash, now_us, &err) < 0) {
        log_warn("auth", "noting a key's use failed: %s", err.msg);
    }
}

static int check_key(struct auth *a, struct str key, struct str peer, struct arena *arena,
                     struct principal *ret, struct err *err) {
    char hash[SHA256_HEX + 1];
    struct key_row row;
    if (!is_unguessable(key) && is_blocked(a, peer)) {
        return blocked(err);
    }
    if (key.n > MAX_KEY_BYTES) {
        return unauthorized(a, peer, err);
    }
    hash_of(key, hash);
    if (is_shared_key(a, str_z(hash))) {
        default_principal(a, ret);
        return 0;
    }
    if (recall(a, str_z(hash), false, arena, ret)) {
        return 0;
    }
    uint64_t changes = a->changes;
    int rc = key_get(a->db, str_z(hash), arena, &row, err);
    if (rc == -ERR_NOT_FOUND || (rc == 0 && row.is_revoked)) {
        return unauthorized(a, peer, err);
    }
    if (rc == 0 && !is_unguessable(key) && is_blocked(a, peer)) {
        return blocked(err); /* it was one of many tried at once */
    }
    if (rc < 0 || principal_of_row(&row, arena, ret, err) < 0) {
        return -(int)err->code;
    }
    if (peer.n > 0) {
        touch(a, &row);
    }
    remember(a, str_z(hash), ret, changes);
    return 0;
}

/* A session of the shared key has no row behind it: it is good as long as that key is the same. */
static int check_shared_session(struct auth *a, const struct key_row *row, struct principal *ret,
                                struct err *err) {
    if (!is_shared_key(a, row->key_hash)) {
        return err_set(err, ERR_UNAUTHORIZED, "the session has ended; log in again");
    }
    default_principal(a, ret);
    return 0;
}

static int check_cookie(struct auth *a, struct str token, struct arena *arena,
                        struct principal *ret, struct err *err) {
    char hash[SHA256_HEX + 1];
    struct key_row row;
    if (token.n > MAX_KEY_BYTES) {
        return err_set(err, ERR_UNAUTHORIZED, "the session has ended; log in again");
    }
    hash_of(token, hash);
    if (!recall(a, str_z(hash), true, arena, ret)) {
        uint64_t changes = a->changes;
        int rc = session_get(a->db, str_z(hash), clock_now_us(), arena, &row, err);
        if (rc == -ERR_NOT_FOUND) {
            return err_set(err, ERR_UNAUTHORIZED, "the session has ended; log in again");
        }
        if (rc == 0) {
            rc = row.user_id.n ? principal_of_row(&row, arena, ret, err)
                               : check_shared_session(a, &row, ret, err);
        }
        if (rc < 0) {
            return rc;
        }
        ret->from_cookie = true;
        remember(a, str_z(hash), ret, changes);
    }
    return 0;
}

int auth_check(struct auth *a, struct str key, struct str cookie, struct str peer,
               struct arena *arena, struct principal *ret, struct err *err) {
    fiber_point();
    if (auth_mode(a) == AUTH_OPEN && look_for_keys(a, err) < 0) {
        return -(int)err->code;
    }
    if (auth_mode(a) == AUTH_OPEN) {
        default_principal(a, ret);
        return 0;
    }
    if (key.n) {
        return check_key(a, key, peer, arena, ret, err);
    }
    if (cookie.n) {
        return check_cookie(a, cookie, arena, ret, err);
    }
    return err_set(err, ERR_UNAUTHORIZED, "an API key is needed");
}

int auth_recheck(struct auth *a, struct str key, struct str cookie, struct arena *arena,
                 struct principal *ret, struct err *err) {
    return auth_check(a, key, cookie, STR_EMPTY, arena, ret, err);
}

/* ---- sessions ---- */

int auth_login(struct auth *a, struct str key, struct str peer, struct arena *arena,
               struct str *ret_token, int64_t *ret_expires_us, struct err *err) {
    struct principal principal;
    char key_hash[SHA256_HEX + 1], token_hash[SHA256_HEX + 1];
    if (auth_mode(a) == AUTH_OPEN) {
        return err_set(err, ERR_CONFLICT, "this instance is open: there is nothing to log in to");
    }
    if (auth_check(a, key, STR_EMPTY, peer, arena, &principal, err) < 0) {
        return -(int)err->code;
    }
    struct secret *token cleanup(secret_free_p) = random_secret("", TOKEN_BYTES);
    int64_t now_us = clock_now_us();
    int64_t expires_us = now_us + SESSION_DAYS * INT64_C(86400000000);
    hash_of(key, key_hash);
    hash_of(secret_reveal(token), token_hash);
    if (sessions_sweep(a->db, now_us, err) < 0 ||
        session_insert(a->db, str_z(token_hash), str_z(key_hash), now_us, expires_us, err) < 0) {
        return err_prefix(err, "storing the session");
    }
    *ret_token = arena_str(arena, secret_reveal(token));
    *ret_expires_us = expires_us;
    return 0;
}

int auth_logout(struct auth *a, struct str token, struct err *err) {
    char hash[SHA256_HEX + 1];
    hash_of(token, hash);
    principal_cache_forget(a->cache, str_z(hash));
    return session_delete(a->db, str_z(hash), err);
}
