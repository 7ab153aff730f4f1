/* The conformance suite's client under test: what its scenarios share. */
#pragma once
#include "mcp/client.h"

struct scenario_run {
    const char *name, *url;
    bool modern;           /* the suite's revision is 2026-07-28 */
    const json_t *context; /* MCP_CONFORMANCE_CONTEXT, or NULL */
};

struct scenario {
    const char *name; /* one that ends in '/' stands for all that begin with it */
    int (*play)(const struct scenario_run *run, struct err *err) may_yield;
};

/* ---- steps ---- */

struct mcp_client *scenario_client(const struct scenario_run *run, enum mcp_era pinned,
                                   const struct mcp_authorizer *authorizer);
/* Lists the tools and calls those that `wanted` (NULL: all) names, with these arguments. */
may_yield int scenario_call_tools(struct mcp_client *c, const char *wanted, const char *arguments,
                                  struct err *err) must_check;

/* ---- client_auth.c ---- */

may_yield int scenario_auth(const struct scenario_run *run, struct err *err) must_check;
