/* Arguments that a tool wants to see in HTTP header fields too (2026-07-28, "x-mcp-header" in its
 * input schema), so that proxies can route without reading bodies. */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "net/http_client.h"

enum { MCP_MAX_MIRRORED = 32, MCP_MAX_MIRRORED_BYTES = 8 * 1024 /* a value, as it is sent */ };

struct mcp_mirror {
    struct http_client_field fields[MCP_MAX_MIRRORED];
    size_t n;
};

/* ERR_INVALID: the schema's annotations are not allowed (empty or illegal names, the same name
 * twice, types other than string, integer and boolean, places that are not properties of
 * properties); the tool must not be offered. */
int mcp_headers_check(struct str input_schema, struct err *err) must_check;

/* The fields for these arguments. Absent and null ones have none. Views live in the arena. */
int mcp_headers_mirror(struct str input_schema, struct str arguments, struct arena *arena,
                       struct mcp_mirror *ret, struct err *err) must_check;

/* The value as it is sent: itself, or "=?base64?...?=" when it is no plain text of a field. */
struct str mcp_header_value(struct arena *arena, struct str value);
