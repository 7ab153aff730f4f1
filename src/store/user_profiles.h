/* Who users say they are. All may yield and name the user. */
#pragma once
#include "base/arena.h"
#include "db/db.h"

/* Members that are not set are empty. */
struct user_profile {
    struct str name, time_zone, about; /* time_zone: IANA; about: Markdown */
    int64_t updated_us;                /* 0: nothing was ever stored */
};

/* All zero when there is none; strings are in the arena. */
may_yield int user_profile_get(struct db *db, struct str user_id, struct arena *arena,
                               struct user_profile *ret, struct err *err) must_check;
/* Makes or replaces the whole. */
may_yield int user_profile_put(struct db *db, struct str user_id, const struct user_profile *p,
                               struct err *err) must_check;
