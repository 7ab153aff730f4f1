/* The revisions of the Model Context Protocol that are spoken here, oldest first. */
#pragma once
#include <stdbool.h>

#include "base/str.h"

enum mcp_revision {
    MCP_2024_11_05,
    MCP_2025_03_26,
    MCP_2025_06_18,
    MCP_2025_11_25, /* the newest with initialize and sessions */
    MCP_2026_07_28, /* stateless */
    MCP_REVISIONS
};

const char *mcp_revision_name(enum mcp_revision r); /* "2025-11-25" */
bool mcp_revision_parse(struct str name, enum mcp_revision *ret);
