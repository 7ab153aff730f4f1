/* Who users say they are, on both databases: each user's own, remembered by epoch. */
#include "auth/user_profiles.h"

#include "store_fixture.h"

struct hall {
    struct fixture f;
    struct user_epochs *epochs;
    struct user_profiles *profiles;
};

static void hall_done(struct hall *h) {
    user_profiles_free(h->profiles);
    user_epochs_free(h->epochs);
    fixture_close(&h->f);
}

static bool hall_open(struct hall *h, struct test_backend *backend) {
    if (!fixture_open(&h->f, backend)) {
        return false;
    }
    h->epochs = user_epochs_new(h->f.db);
    h->profiles = user_profiles_new(h->f.db, h->epochs);
    return true;
}

static int say(struct hall *h, struct str user, const char *name, const char *zone,
               const char *about) {
    struct user_profile p = {.name = str_z(name), .time_zone = str_z(zone), .about = str_z(about)};
    return user_profiles_put(h->profiles, user, &p, &h->f.err);
}

/* "name|zone|about", or the error. */
static struct str told(struct hall *h, struct str user) {
    struct user_profile p;
    if (user_profiles_find(h->profiles, user, &h->f.arena, &p, &h->f.err) < 0) {
        return arena_str(&h->f.arena, str_z(h->f.err.msg));
    }
    return arena_printf(&h->f.arena, "%.*s|%.*s|%.*s", STR_ARG(p.name), STR_ARG(p.time_zone),
                        STR_ARG(p.about));
}

BOTH_BACKENDS(each_user_has_their_own) {
    struct hall h cleanup(hall_done) = {0};
    REQUIRE(hall_open(&h, backend));
    CHECK_STR(told(&h, ME), "||");
    CHECK_OK(say(&h, ME, " Ann ", "Europe/Vienna", "bees\n"), &h.f.err);
    CHECK_STR(told(&h, ME), "Ann|Europe/Vienna|bees");
    CHECK_STR(told(&h, OTHER), "||");
    CHECK_OK(say(&h, OTHER, "Bob", "", ""), &h.f.err);
    CHECK_OK(say(&h, ME, "", "", "wasps"), &h.f.err);
    CHECK_STR(told(&h, ME), "||wasps");
    CHECK_STR(told(&h, OTHER), "Bob||");
}

BOTH_BACKENDS(what_is_known_costs_no_query_until_the_epoch_counts_up) {
    struct hall h cleanup(hall_done) = {0};
    struct user_profile behind = {.name = STR("Behind"), .updated_us = 1};
    REQUIRE(hall_open(&h, backend));
    CHECK_OK(say(&h, ME, "Ann", "", ""), &h.f.err);
    CHECK_STR(told(&h, ME), "Ann||");
    uint64_t before = db_stats(h.f.db).transactions;
    CHECK_STR(told(&h, ME), "Ann||");
    CHECK_INT(db_stats(h.f.db).transactions, before);
    CHECK_OK(user_profile_put(h.f.db, ME, &behind, &h.f.err), &h.f.err);
    CHECK_STR(told(&h, ME), "Ann||");
    user_epoch_changed(h.epochs, ME);
    CHECK_STR(told(&h, ME), "Behind||");
}

BOTH_BACKENDS(what_failed_is_not_remembered) {
    struct hall h cleanup(hall_done) = {0};
    REQUIRE(hall_open(&h, backend));
    CHECK_OK(say(&h, ME, "Ann", "", ""), &h.f.err);
    db_fail_at(h.f.db, 1, ERR_UNAVAILABLE, false);
    struct user_profile p;
    CHECK_FAILS(user_profiles_find(h.profiles, ME, &h.f.arena, &p, &h.f.err), &h.f.err,
                ERR_UNAVAILABLE);
    CHECK_STR(told(&h, ME), "Ann||");
    db_fail_at(h.f.db, 1, ERR_UNAVAILABLE, false);
    CHECK_FAILS(say(&h, ME, "Eve", "", ""), &h.f.err, ERR_UNAVAILABLE);
    CHECK_STR(told(&h, ME), "Ann||");
}

BOTH_BACKENDS(more_users_than_are_remembered_are_still_served) {
    static char about[USER_PROFILE_MAX_ABOUT_BYTES + 1];
    struct hall h cleanup(hall_done) = {0};
    REQUIRE(hall_open(&h, backend));
    memset(about, 'x', USER_PROFILE_MAX_ABOUT_BYTES);
    for (int i = 0; i < 1100; i++) { /* 17 MiB */
        char name[16];
        snprintf(name, sizeof name, "u%d", i);
        struct user_profile p = {.name = str_z(name), .about = str_z(about), .updated_us = 1};
        struct arena arena cleanup(arena_done) = {0};
        CHECK_OK(user_profile_put(h.f.db, str_z(name), &p, &h.f.err), &h.f.err);
        CHECK_OK(user_profiles_find(h.profiles, str_z(name), &arena, &p, &h.f.err), &h.f.err);
        CHECK_INT(p.about.n, USER_PROFILE_MAX_ABOUT_BYTES);
    }
}

BOTH_BACKENDS(what_is_wrong_is_refused_by_name) {
    static char long_one[USER_PROFILE_MAX_ABOUT_BYTES + 2];
    struct hall h cleanup(hall_done) = {0};
    struct err *err = &h.f.err;
    REQUIRE(hall_open(&h, backend));
    memset(long_one, 'x', USER_PROFILE_MAX_ABOUT_BYTES + 1);
    CHECK_FAILS(say(&h, ME, "", "Mars/Olympus", ""), err, ERR_INVALID);
    CHECK(strstr(err->msg, "time_zone") != NULL);
    CHECK_FAILS(say(&h, ME, "two\nlines", "", ""), err, ERR_INVALID);
    CHECK(strstr(err->msg, "name") != NULL);
    CHECK_FAILS(say(&h, ME, "", "", long_one), err, ERR_INVALID);
    CHECK(strstr(err->msg, "about") != NULL);
    CHECK_STR(told(&h, ME), "||");
}
