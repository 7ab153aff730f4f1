/* Lists of tools as servers give them: each tool is checked alone, and a bad one is kept with the
 * reason why it is not offered. Equal lists are kept once, whoever listed them: what stands in
 * them comes from the server alone. */
#pragma once
#include "mcp/bridge.h"

enum {
    TOOL_LIST_MAX_NAME_BYTES = 128,
    TOOL_LIST_MAX_SCHEMA_BYTES = 64 * 1024,
    TOOL_LIST_MAX_ITEM_BYTES = 1024 * 1024, /* icons stand in it too */
    TOOL_LIST_MAX_DESCRIPTION_BYTES = 16 * 1024,
    TOOL_LIST_MAX_TOTAL_BYTES = 256 * 1024 * 1024, /* of all lists of the process */
};

struct tool_lists;
struct tool_lists *tool_lists_new(void);
void tool_lists_free(struct tool_lists *t); /* accepts NULL; lists that are held stay */
size_t tool_lists_bytes(const struct tool_lists *t);

/* The list of these items (as in struct mcp_list), held for the caller. Yields now and then in
 * long ones. ERR_LIMIT: there is no room for another list; ERR_CANCELLED. */
may_yield int tool_list_make(struct tool_lists *t, const struct str *items, size_t n,
                             struct mcp_tools **ret, struct err *err) must_check;
size_t tool_list_quarantined(const struct mcp_tools *list);

/* One item, without looking at the others: fills the tool, whose texts are copied to the arena. */
void tool_list_read(struct str item, struct arena *arena, struct mcp_tool *ret);
