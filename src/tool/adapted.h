/* What is made of a server's list, once: each tool as providers take it. Kept on the list. Only
 * tool/ includes this. */
#pragma once
#include "llm/tool_schema.h"
#include "mcp/bridge.h"

struct adapted_tool {
    struct llm_tool spec; /* without a name */
    struct llm_tool_facts facts;
    struct str quarantine; /* empty: none */
};
struct adapted_list {
    struct arena arena;
    struct adapted_tool *tools; /* as the list's */
};

/* Yields in long lists. Cheap when it was done before. The caller holds the list. */
may_yield void adapted_list_make(struct mcp_tools *list);
static inline const struct adapted_list *adapted_list_of(const struct mcp_tools *list) {
    return list->adapted;
}
