/* Who calls: keys and cookies become principals. */
#pragma once
#include "auth/user_epoch.h"
#include "base/arena.h"
#include "base/crypto.h"
#include "db/db.h"
#include "profile/profile.h"

enum role { ROLE_PERSONAL, ROLE_ADMIN, ROLE_COS_INTERNAL };

struct principal {
    struct str user_id; /* in the arena it was made with */
    enum role role;
    struct str key_hash; /* empty in the modes without api_keys */
    bool allow_operator_llm;
    bool from_cookie; /* then state-changing requests must pass the Origin check */
};

/* How this instance knows its callers (requirements.md, Authentication). */
enum auth_mode {
    AUTH_TABLE,  /* SYSTEM_DB_URL set, or api_keys has rows: those keys */
    AUTH_SHARED, /* else ASSISTANT_API_KEY: that key too, the default user, admin */
    AUTH_OPEN,   /* neither: everybody is the default user; loopback only */
};

struct auth;

int auth_new(const struct profile *profile, struct db *db, struct auth **ret, struct err *err)
    must_check;
void auth_free(struct auth *auth);
/* From then on other processes are told of changed keys, and listened to. They live longer. */
void auth_use_epochs(struct auth *auth, struct user_epochs *epochs);
enum auth_mode auth_mode(const struct auth *auth);
/* First start with SYSTEM_DB_URL and api_keys empty: a row from ASSISTANT_API_KEY for the default
 * user, admin, allow_operator_llm. ERR_INVALID, which says what to set, when the instance would be
 * open on an address that is not loopback. */
may_yield int auth_seed(struct auth *auth, struct err *err) must_check;

/* The key from X-API-Key, `Authorization: Bearer`, or the api_key parameter; or the session
 * cookie's token; both may be empty. peer: for the limit on failed attempts (10 a minute an
 * address, then ERR_BUSY until a minute is over; sessions and generated keys that are right still
 * pass). ERR_UNAUTHORIZED otherwise. Recently seen keys are answered from a bounded cache: a
 * revoked one works for 10 s at most where nobody tells of it (auth_key_changed). last_used is
 * written at most once a minute. */
may_yield int auth_check(struct auth *auth, struct str key, struct str cookie, struct str peer,
                         struct arena *arena, struct principal *ret, struct err *err) must_check;

/* The same for one who was let in before and is still there: not counted as a failed attempt, nor
 * as a use of the key. */
may_yield int auth_recheck(struct auth *auth, struct str key, struct str cookie,
                           struct arena *arena, struct principal *ret, struct err *err) must_check;

/* After a row of api_keys was added, changed or revoked: what is remembered of the key and of its
 * sessions goes, here at once and in other processes when they hear of it. */
may_yield void auth_key_changed(struct auth *auth, struct str user_id, struct str key_hash);
/* After a session was ended past auth_logout. */
may_yield void auth_session_ended(struct auth *auth, struct str user_id, struct str token_hash);
/* The hash of ASSISTANT_API_KEY where it counts without a row in api_keys (AUTH_SHARED), and the
 * user is the default user; else empty. */
struct str auth_shared_hash(const struct auth *auth);

/* Exchanges a key for a session token (shown once, stored hashed). */
may_yield int auth_login(struct auth *auth, struct str key, struct str peer, struct arena *arena,
                         struct str *ret_token, int64_t *ret_expires_us, struct err *err)
    must_check;
may_yield int auth_logout(struct auth *auth, struct str token, struct err *err) must_check;

const char *role_name(enum role role); /* as in api_keys.profile_name */
bool role_parse(struct str name, enum role *ret);
/* A new raw key: "adj_" and 43 characters of base64url. */
struct secret *auth_key_new(void);
/* What users and keys may be called: 1 to AUTH_MAX_NAME_BYTES bytes of UTF-8 without control
 * characters. */
enum { AUTH_MAX_NAME_BYTES = 128 };
bool auth_name_valid(struct str name);
