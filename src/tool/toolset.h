/* The tools of one turn: the built-in ones, and those of its user's MCP servers as far as the skill
 * may use them, under names that every provider takes. With more than TOOLSET_DIRECT tools the
 * model sees the pinned ones and search_tools; what it finds joins the turn.
 *
 * Names: the tool's own where it is legal and no other server has it, else "<server>_<tool>",
 * sanitised, cut with a hash; the same set gives the same names in any order. Schemas are adapted
 * to each provider on copies, once a list. */
#pragma once
#include "auth/user_epoch.h"
#include "llm/tool_schema.h"
#include "mcp/bridge.h"
#include "tool/policy.h"
#include "tool/tool.h"

enum { TOOLSET_DIRECT = 40, TOOLSET_MAX_FOUND = 60 };

/* One a process: what is kept between turns (policies by user, adapted lists). */
struct toolbox;
struct toolbox_options {
    const struct tool_registry *registry;
    struct bridges *bridges;    /* NULL: built-in tools only */
    struct db *db;              /* NULL: nobody has rules of their own */
    struct user_epochs *epochs; /* NULL: rules are read anew each time */
};
struct toolbox *toolbox_new(const struct toolbox_options *options);
void toolbox_free(struct toolbox *b);

/* The user's own rule for a tool, or "*" for all of a server; counts from the next refresh on.
 * actor: as in store/audit.h. Errors as in store/policies.h. */
may_yield int toolbox_policy_set(struct toolbox *b, struct str user_id, struct str actor,
                                 const struct policy_rule *rule, struct err *err) must_check;
may_yield int toolbox_policy_reset(struct toolbox *b, struct str user_id, struct str actor,
                                   struct str server, struct str tool, struct err *err) must_check;

/* A tool as the model knows it. Lives as long as its toolset. */
struct toolset_tool {
    struct str name;               /* for the model */
    struct str server, tool;       /* whose it is, under its own name; server empty: built-in */
    struct str title, description; /* for people; the title is never empty */
    enum policy policy;            /* what is to be done when the model calls it */
    bool repeatable;               /* read-only or idempotent */
    bool read_only, destructive;
    int64_t timeout_ms;                 /* 0: of an MCP server, by its definition */
    const struct llm_tool_facts *facts; /* NULL: built-in */
    const struct tool *builtin;         /* NULL: of an MCP server */
    const struct mcp_tool *mcp;         /* NULL: built-in */
};

struct toolset;
struct toolset_options {
    struct str user_id;
    struct str skill; /* empty: the COS itself, which may use all servers */
    int64_t wait_ms;  /* for servers tried for the first time */
};
/* Costs no query while nothing of the user changed. Errors as db_tx_run, when rules had to be read;
 * servers that cannot be reached are no errors. */
may_yield int toolset_open(struct toolbox *b, const struct toolset_options *options,
                           struct toolset **ret, struct err *err) must_check;
void toolset_close(struct toolset *s); /* accepts NULL */

/* Before each call of the model: takes in servers that joined meanwhile, rules that changed, and
 * what search_tools found. Errors as toolset_open; the set stays as it was then. */
may_yield int toolset_refresh(struct toolset *s, struct err *err) must_check;
/* What the model is shown now; valid until the next refresh. */
size_t toolset_specs(struct toolset *s, const struct llm_tool **ret);
/* By the model's name; also tools that are not shown, denied ones among them. NULL: none. */
const struct toolset_tool *toolset_find(const struct toolset *s, struct str name);
/* The arguments as the tool knows them: a provider may have been shown other names for some. */
struct str toolset_arguments(const struct toolset_tool *t, struct str arguments,
                             struct arena *arena);
/* All tools of the user for people to see, whatever the skill: built-in ones first. */
struct toolset_listed {
    const struct toolset_tool *tool; /* its name is empty when it is quarantined */
    const struct policy_rule *rule;  /* which decided the policy; NULL: the default */
    bool usable;                     /* by the skill */
    bool shown;                      /* directly; else, if usable and not denied, by search */
    struct str quarantine;           /* why it is not offered; empty: it is */
};
size_t toolset_count(const struct toolset *s);
struct toolset_listed toolset_at(const struct toolset *s, size_t i);

/* The names that were found, for the checkpoint, and back. Space-separated. */
void toolset_found_write(const struct toolset *s, struct strbuf *out);
void toolset_found_read(struct toolset *s, struct str names);

/* An MCP result as the model and the user read it: text, images of kinds and sizes that models see;
 * all else described; structured content as text where there is no other; cut at
 * TOOL_RESULT_MAX_BYTES (of text) with a word about it. ERR_PROTOCOL: it is no result. */
int tool_result_from_mcp(struct str result_json, bool is_error, struct arena *arena,
                         struct tool_result *ret, struct err *err) must_check;
