#include "mcp/revision.h"

#include "base/attr.h"

static const char *const names[MCP_REVISIONS] = {
    [MCP_2024_11_05] = "2024-11-05", [MCP_2025_03_26] = "2025-03-26",
    [MCP_2025_06_18] = "2025-06-18", [MCP_2025_11_25] = "2025-11-25",
    [MCP_2026_07_28] = "2026-07-28",
};

const char *mcp_revision_name(enum mcp_revision r) {
    return names[r];
}

bool mcp_revision_parse(struct str name, enum mcp_revision *ret) {
    for (int i = 0; i < MCP_REVISIONS; i++) {
        if (str_eq(name, str_z(names[i]))) {
            *ret = (enum mcp_revision)i;
            return true;
        }
    }
    return false;
}
