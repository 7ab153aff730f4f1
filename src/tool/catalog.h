/* The tools of a set of servers, under the names that models know: what depends on no user. Shared
 * by all turns whose servers have the same lists; immutable, held by count. Only tool/ includes
 * this. */
#pragma once
#include "base/map.h"
#include "tool/search.h"
#include "tool/toolset.h"

enum { CATALOG_MAX_TOOLS = 5000 }; /* of all servers together; the last ones are left out */

struct catalog_tool {
    struct toolset_tool tool; /* with the default policy */
    struct llm_tool spec;
    size_t spec_bytes;
    bool pinned;
    size_t source;         /* of its server; SIZE_MAX: built-in */
    struct str quarantine; /* why it is not offered; it has no name then. Empty: it is */
};

/* One server of the set. */
struct catalog_source {
    struct str server;
    struct mcp_tools *tools; /* adapted */
    const struct str *pinned;
    size_t n_pinned;
};

struct catalog {
    unsigned refs;
    struct arena arena;
    struct catalog_tool *tools; /* built-in ones first, then by source, in their lists' order */
    size_t n, n_builtin;
    struct map by_name;             /* -> struct catalog_tool */
    struct catalog_source *sources; /* their lists are held */
    size_t n_sources;
    size_t bytes;               /* about what it keeps in memory, its lists included */
    struct search_index *index; /* of all tools, by their place; NULL: nobody searched yet */
};

struct catalog *catalog_new(const struct tool_registry *registry,
                            const struct catalog_source *sources, size_t n_sources);
void catalog_unref(struct catalog *c); /* accepts NULL */
/* Made at first use. */
may_yield const struct search_index *catalog_index(struct catalog *c);

/* The tool of a toolset that finds others; its name is nobody else's. */
#define CATALOG_SEARCH_TOOL "search_tools"
