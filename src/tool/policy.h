/* What may be done without asking. A policy a tool: allow, ask, deny. The user's own row for the
 * tool comes first, then their row for the whole server, then the default: what says that it only
 * reads is allowed, everything else asks. Built-in tools are of the server "" and are allowed. */
#pragma once
#include "base/arena.h"
#include "db/db.h"

enum policy { POLICY_ALLOW, POLICY_ASK, POLICY_DENY };
const char *policy_name(enum policy p); /* "allow", "ask", "deny" */
bool policy_parse(struct str name, enum policy *ret);

struct policy_rule {
    struct str server, tool; /* tool "*": all of the server */
    enum policy policy;
};
struct policies {
    const struct policy_rule *rules;
    size_t n;
};
enum { POLICIES_MAX = 1000 };
/* The rule that decides; NULL: the default does. */
const struct policy_rule *policy_find(const struct policies *p, struct str server, struct str tool);
enum policy policy_decide(const struct policies *p, struct str server, struct str tool,
                          bool read_only);
