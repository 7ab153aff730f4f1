#include "tool/policy.h"

static const char *const names[] = {
    [POLICY_ALLOW] = "allow", [POLICY_ASK] = "ask", [POLICY_DENY] = "deny"};

const char *policy_name(enum policy p) {
    return names[p];
}

bool policy_parse(struct str name, enum policy *ret) {
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (str_eq(name, str_z(names[i]))) {
            *ret = (enum policy)i;
            return true;
        }
    }
    return false;
}

const struct policy_rule *policy_find(const struct policies *p, struct str server,
                                      struct str tool) {
    const struct policy_rule *of_server = NULL;
    for (size_t i = 0; i < p->n; i++) {
        if (!str_eq(p->rules[i].server, server)) {
            continue;
        }
        if (str_eq(p->rules[i].tool, tool)) {
            return &p->rules[i];
        }
        if (str_eq(p->rules[i].tool, STR("*"))) {
            of_server = &p->rules[i];
        }
    }
    return of_server;
}

enum policy policy_decide(const struct policies *p, struct str server, struct str tool,
                          bool read_only) {
    const struct policy_rule *rule = policy_find(p, server, tool);
    if (rule) {
        return rule->policy;
    }
    return server.n == 0 || read_only ? POLICY_ALLOW : POLICY_ASK;
}
