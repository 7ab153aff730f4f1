/* What is kept between turns: users' rules by epoch, catalogues by the lists they are made of,
 * offers by catalogue, skill and rules. Only tool/ includes this. */
#pragma once
#include "tool/cache.h"
#include "tool/offer.h"

enum {
    TOOLBOX_USERS = 4096,
    TOOLBOX_CATALOGS = 64,
    TOOLBOX_OFFERS = 512,
    TOOLBOX_MAX_SERVERS = 64, /* of one user; more are left out */
};

/* A user's rules as they were at an epoch. */
struct user_rules {
    unsigned refs;
    uint64_t epoch;
    struct arena arena;
    struct policies policies;
    struct str digest; /* equal rules, equal digests */
};

struct toolbox {
    struct toolbox_options options;
    struct cache rules;    /* user -> struct user_rules */
    struct cache catalogs; /* servers and digests -> struct catalog */
    struct cache offers;   /* catalogue, skill, rules -> struct offer */
};

/* What the user may be offered now. Held for the caller: offer_unref. */
may_yield int toolbox_offer(struct toolbox *b, struct str user_id, struct str skill,
                            int64_t wait_ms, struct offer **ret, struct err *err) must_check;
