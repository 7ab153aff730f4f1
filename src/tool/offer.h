/* A catalogue as one skill of users with the same rules sees it: which tools may be called, which
 * of them are shown at once. Immutable, held by count. Only tool/ includes this. */
#pragma once
#include "tool/catalog.h"

enum {
    OFFER_MAX_SPECS = 128,                /* OpenAI takes no more */
    OFFER_DIRECT_BYTES = 256 * 1024,      /* above this, too, tools have to be searched for */
    OFFER_MAX_SPEC_BYTES = 2 * 256 * 1024 /* of all that is shown, found ones included */
};

struct offer_tool {
    struct toolset_tool tool;       /* the policy is the user's */
    const struct policy_rule *rule; /* which decided; NULL: the default */
    bool usable;                    /* the skill may use its server */
    bool shown;                     /* directly, without a search */
};

struct offer {
    unsigned refs;
    struct arena arena;
    struct catalog *catalog;
    struct offer_tool *tools; /* as the catalogue's */
    struct policies rules;
    bool by_search;         /* there is more than is shown: the last spec is search_tools */
    struct llm_tool *specs; /* of what is shown */
    size_t n_specs, spec_bytes;
};

/* usable[i]: the skill may use source i of the catalogue. The catalogue is held, rules are copied.
 */
struct offer *offer_new(struct catalog *catalog, const bool *usable, const struct policies *rules);
void offer_unref(struct offer *o); /* accepts NULL */
/* By the model's name; NULL: there is none, or the skill may not use it. */
const struct offer_tool *offer_find(const struct offer *o, struct str name);
/* By whose it is, under its own name. */
const struct offer_tool *offer_find_own(const struct offer *o, struct str server, struct str tool);
/* May be shown when it is found: neither denied nor unusable. */
bool offer_tool_is_open(const struct offer *o, size_t i);
