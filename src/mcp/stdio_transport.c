#include "mcp/client_internal.h"

static int stdio_start(struct mcp_client *c, struct err *err) {
    return client_err(c, err, ERR_UNAVAILABLE, "stdio servers cannot be started");
}

const struct mcp_channel stdio_channel = {.start = stdio_start};
