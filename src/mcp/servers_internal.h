/* Between the files that make definitions of servers. */
#pragma once
#include "mcp/servers.h"

/* Fills identity from all that tells one connection from another; call it last. What a change need
 * not reconnect for (pinned) has no part in it. */
void server_identify(struct server *s);
