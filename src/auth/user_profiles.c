#include "auth/user_profiles.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/time_zone.h"

enum {
    KNOWN_USERS = 4096,
    KNOWN_BYTES = 16 * 1024 * 1024,
    KNOWN_SECONDS = 60, /* who changed something may have died before it could tell */
};

struct known {
    struct list by_age; /* the front one goes first */
    uint64_t epoch;
    int64_t until_us;
    struct arena arena;
    struct str user_id;
    struct user_profile profile;
};

struct user_profiles {
    struct db *db;
    struct user_epochs *epochs;
    struct map by_user;
    struct list by_age;
    size_t bytes;
};

/* ---- what is remembered ---- */

struct user_profiles *user_profiles_new(struct db *db, struct user_epochs *epochs) {
    struct user_profiles *p = mem_alloc(sizeof *p);
    p->db = db;
    p->epochs = epochs;
    list_init(&p->by_age);
    return p;
}

static size_t bytes_of(const struct user_profile *profile) {
    return profile->name.n + profile->time_zone.n + profile->about.n;
}

static void forget(struct user_profiles *p, struct known *k) {
    p->bytes -= bytes_of(&k->profile);
    map_remove(&p->by_user, k->user_id);
    list_remove(&k->by_age);
    arena_done(&k->arena);
    mem_free(k);
}

void user_profiles_free(struct user_profiles *p) {
    if (p) {
        list_each (node, &p->by_age) {
            forget(p, list_entry(node, struct known, by_age));
        }
        map_done(&p->by_user);
        mem_free(p);
    }
}

static struct user_profile copy(const struct user_profile *from, struct arena *arena) {
    return (struct user_profile){.name = arena_str(arena, from->name),
                                 .time_zone = arena_str(arena, from->time_zone),
                                 .about = arena_str(arena, from->about),
                                 .updated_us = from->updated_us};
}

static void make_room(struct user_profiles *p, size_t bytes) {
    while (!list_empty(&p->by_age) &&
           (map_count(&p->by_user) >= KNOWN_USERS || p->bytes + bytes > KNOWN_BYTES)) {
        forget(p, list_entry(p->by_age.next, struct known, by_age));
    }
}

static void remember(struct user_profiles *p, struct str user_id, uint64_t epoch,
                     const struct user_profile *profile) {
    struct known *k = map_get(&p->by_user, user_id);
    if (k) {
        forget(p, k);
    }
    make_room(p, bytes_of(profile));
    k = mem_alloc(sizeof *k);
    k->epoch = epoch;
    k->until_us = clock_mono_us() + KNOWN_SECONDS * INT64_C(1000000);
    k->user_id = arena_str(&k->arena, user_id);
    k->profile = copy(profile, &k->arena);
    p->bytes += bytes_of(profile);
    map_put(&p->by_user, user_id, k);
    list_push(&p->by_age, &k->by_age);
}

/* The epoch is read before the row is: a change that comes between makes it stale at once. */
int user_profiles_find(struct user_profiles *p, struct str user_id, struct arena *arena,
                       struct user_profile *ret, struct err *err) {
    fiber_point();
    uint64_t epoch = user_epoch(p->epochs, user_id);
    const struct known *k = map_get(&p->by_user, user_id);
    if (k && k->epoch == epoch && clock_mono_us() < k->until_us) {
        *ret = copy(&k->profile, arena);
        return 0;
    }
    if (user_profile_get(p->db, user_id, arena, ret, err) < 0) {
        return -(int)err->code;
    }
    remember(p, user_id, epoch, ret);
    return 0;
}

/* ---- changes ---- */

static bool is_one_line(struct str s) {
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

static int check(const struct user_profile *profile, struct err *err) {
    if (profile->name.n > USER_PROFILE_MAX_NAME_BYTES || !is_one_line(profile->name)) {
        return err_set(err, ERR_INVALID, "name: must be one line of at most %d bytes",
                       USER_PROFILE_MAX_NAME_BYTES);
    }
    if (profile->about.n > USER_PROFILE_MAX_ABOUT_BYTES) {
        return err_set(err, ERR_INVALID, "about: must have at most %d bytes",
                       USER_PROFILE_MAX_ABOUT_BYTES);
    }
    if (profile->time_zone.n && !time_zone_exists(profile->time_zone)) {
        return err_set(err, ERR_INVALID,
                       "time_zone: \"%.*s\" is no zone known here; use a name such as "
                       "\"Europe/Vienna\"",
                       STR_ARG(str_utf8_head(profile->time_zone, TIME_ZONE_MAX_BYTES)));
    }
    return 0;
}

int user_profiles_put(struct user_profiles *p, struct str user_id, struct user_profile *profile,
                      struct err *err) {
    fiber_point();
    profile->name = str_trim(profile->name);
    profile->about = str_trim(profile->about);
    if (check(profile, err) < 0) {
        return -(int)err->code;
    }
    profile->updated_us = clock_now_us();
    if (user_profile_put(p->db, user_id, profile, err) < 0) {
        return -(int)err->code;
    }
    user_epoch_changed(p->epochs, user_id);
    return 0;
}
