/* A toolset of four tools, and one rule. */
#include "played.h"
#include "store/policies.h"
#include "tool/toolset.h"

struct str played_policy; /* "server/tool=policy" that was set, "server/tool" that was reset */

static const struct policy_rule rules[] = {{{"notes", 5}, {"*", 1}, POLICY_DENY},
                                           {{"notes", 5}, {"look", 4}, POLICY_ALLOW}};
static const struct toolset_tool tools[] = {
    {.name = {"calculate", 9},
     .tool = {"calculate", 9},
     .title = {"calculate", 9},
     .policy = POLICY_ALLOW,
     .read_only = true},
    {.name = {"look", 4},
     .server = {"notes", 5},
     .tool = {"look", 4},
     .title = {"Look", 4},
     .policy = POLICY_ALLOW,
     .read_only = true},
    {.name = {"burn", 4},
     .server = {"notes", 5},
     .tool = {"burn", 4},
     .title = {"burn", 4},
     .policy = POLICY_DENY,
     .destructive = true},
    {.server = {"notes", 5}, .tool = {"bad", 3}, .title = {"bad", 3}, .policy = POLICY_ASK},
};
static const struct toolset_listed listed[] = {
    {.tool = &tools[0], .usable = true, .shown = true},
    {.tool = &tools[1], .rule = &rules[1], .usable = true},
    {.tool = &tools[2], .rule = &rules[0], .usable = true},
    {.tool = &tools[3], .usable = true, .quarantine = {"it has no inputSchema", 21}},
};

int toolset_open(struct toolbox *b, const struct toolset_options *options, struct toolset **ret,
                 struct err *err) {
    (void)b;
    if (played.fails.code) {
        *err = played.fails;
        return -(int)err->code;
    }
    strbuf_reset(&played.user);
    strbuf_add(&played.user, options->user_id);
    *ret = NULL;
    return 0;
}

void toolset_close(struct toolset *s) {
    (void)s;
}

size_t toolset_count(const struct toolset *s) {
    (void)s;
    return ARRAY_LEN(listed);
}

struct toolset_listed toolset_at(const struct toolset *s, size_t i) {
    (void)s;
    return listed[i];
}

int policy_list(struct db *db, struct str user_id, struct arena *arena, struct policy_row **ret,
                size_t *ret_n, struct err *err) {
    (void)db, (void)user_id, (void)err;
    *ret = arena_alloc(arena, sizeof **ret);
    **ret = (struct policy_row){STR("notes"), STR("look"), STR("allow"), 1000000};
    *ret_n = 1;
    return 0;
}

static char noted[300];

int toolbox_policy_set(struct toolbox *b, struct str user_id, struct str actor,
                       const struct policy_rule *rule, struct err *err) {
    (void)b, (void)user_id, (void)err;
    snprintf(noted, sizeof noted, "%.*s/%.*s=%s by %.*s", STR_ARG(rule->server),
             STR_ARG(rule->tool), policy_name(rule->policy), STR_ARG(actor));
    played_policy = str_z(noted);
    return 0;
}

int toolbox_policy_reset(struct toolbox *b, struct str user_id, struct str actor, struct str server,
                         struct str tool, struct err *err) {
    (void)b, (void)user_id;
    if (!str_eq(server, STR("notes"))) {
        return err_set(err, ERR_NOT_FOUND, "there is no such policy");
    }
    snprintf(noted, sizeof noted, "%.*s/%.*s by %.*s", STR_ARG(server), STR_ARG(tool),
             STR_ARG(actor));
    played_policy = str_z(noted);
    return 0;
}
