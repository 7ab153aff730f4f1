/* What is kept between turns: users' rules by epoch, catalogues by the lists they are made of, and
 * with each its offers by skill and rules. Bounded in number, and in bytes, as a server may change
 * its list for ever and what is kept holds the lists. Only tool/ includes this. */
#pragma once
#include "tool/cache.h"
#include "tool/offer.h"

enum {
    TOOLBOX_USERS = 4096,
    TOOLBOX_CATALOGS = 256,
    TOOLBOX_CATALOG_BYTES = 64 * 1024 * 1024, /* of all that no turn uses */
    TOOLBOX_OFFERS = 64,                      /* of one catalogue */
    TOOLBOX_MAX_SERVERS = 64,                 /* of one user; more are left out */
};

/* A user's rules as they were at an epoch. */
struct user_rules {
    unsigned refs;
    uint64_t epoch;
    struct arena arena;
    struct policies policies;
    struct str digest; /* equal rules, equal digests */
};

/* A catalogue and its offers. */
struct shelf {
    struct toolbox *box;
    struct catalog *catalog;
    struct cache offers; /* skill, rules -> struct offer */
};

struct toolbox {
    struct toolbox_options options;
    struct cache rules;   /* user -> struct user_rules */
    struct cache shelves; /* servers and digests -> struct shelf */
    size_t bytes;         /* of the catalogues on the shelves */
};

/* What the user may be offered now. Held for the caller: offer_unref. */
may_yield int toolbox_offer(struct toolbox *b, struct str user_id, struct str skill,
                            int64_t wait_ms, struct offer **ret, struct err *err) must_check;
