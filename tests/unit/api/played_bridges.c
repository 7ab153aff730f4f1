/* Two MCP servers: one that is ready, with a tool that is offered and one that is not, and one that
 * cannot be reached. */
#include "base/clock.h"
#include "mcp/tool_list.h"
#include "played.h"

unsigned played_touches, played_reconnects;

static struct mcp_tool tools[] = {
    {.name = {"look", 4},
     .title = {"Look", 4},
     .description = {"looks", 5},
     .input_schema = {"{\"type\":\"object\"}", 17},
     .read_only = true},
    {.name = {"bad", 3}, .quarantine = {"it has no inputSchema", 21}},
};
static struct mcp_tools list = {.tools = tools, .n = 2, .refs = 1};
static const struct mcp_server_info info = {.era = MCP_ERA_MODERN,
                                            .version = {"2026-07-28", 10},
                                            .name = {"notes", 5},
                                            .server_version = {"1.0", 3}};

void bridges_touch(struct bridges *b, struct str user_id) {
    (void)b, (void)user_id;
    played_touches++;
}

int bridge_view_open(struct bridges *b, struct str user_id, int64_t wait_ms,
                     struct bridge_view *ret, struct err *err) {
    (void)b, (void)user_id, (void)wait_ms;
    if (played.fails.code) {
        *err = played.fails;
        return -(int)err->code;
    }
    *ret = (struct bridge_view){.n = 2};
    ret->servers = arena_alloc(&ret->arena, 2 * sizeof *ret->servers);
    ret->servers[0] = (struct bridge_server){.name = STR("notes"),
                                             .state = BRIDGE_READY,
                                             .tools = &list,
                                             .info = &info,
                                             .credential_service = STR("notes"),
                                             .has_credential = true};
    ret->servers[1] = (struct bridge_server){.name = STR("away"),
                                             .state = BRIDGE_UNREACHABLE,
                                             .error = STR("no route"),
                                             .retry_at_us = clock_mono_us() + 5000000,
                                             .transport = MCP_STDIO};
    return 0;
}

void bridge_view_done(struct bridge_view *v) {
    arena_done(&v->arena);
}

int bridge_reconnect(struct bridges *b, struct str user_id, struct str server, struct err *err) {
    (void)b, (void)user_id;
    if (!str_eq(server, STR("notes"))) {
        return err_set(err, ERR_NOT_FOUND, "there is no such server");
    }
    played_reconnects++;
    return 0;
}

const char *bridge_state_name(enum bridge_state s) {
    return s == BRIDGE_READY ? "ready" : "unreachable";
}

struct bridges_stats bridges_stats(const struct bridges *b) {
    (void)b;
    return (struct bridges_stats){.bridges = 7};
}

struct servers *bridges_servers(const struct bridges *b) {
    static struct servers none;
    (void)b;
    return &none;
}
