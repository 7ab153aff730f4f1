/* Who users say they are, remembered until their epoch counts up: each turn asks. */
#pragma once
#include "auth/user_epoch.h"
#include "store/user_profiles.h"

enum {
    USER_PROFILE_MAX_NAME_BYTES = 200,
    USER_PROFILE_MAX_ABOUT_BYTES = 16 * 1024,
};

struct user_profiles;

struct user_profiles *user_profiles_new(struct db *db, struct user_epochs *epochs);
void user_profiles_free(struct user_profiles *p); /* accepts NULL */
/* All zero when there is none; strings are in the arena. Without a query when it is known. The
 * database's errors. */
may_yield int user_profiles_find(struct user_profiles *p, struct str user_id, struct arena *arena,
                                 struct user_profile *ret, struct err *err) must_check;
/* Makes or replaces the whole; the user's epoch counts up. ERR_INVALID names the member: a name of
 * one line, a time zone that exists, texts within their limits. updated_us is not read; it is set.
 */
may_yield int user_profiles_put(struct user_profiles *p, struct str user_id,
                                struct user_profile *profile, struct err *err) must_check;
