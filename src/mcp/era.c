/* Which era a server speaks. server/discover is asked first; only an answer that shows what the
 * server is counts, never a failure that may pass. What was found is remembered by definition (an
 * address or a command line), for all users: it says nothing about any of them. */
#include "base/log.h"
#include "base/map.h"
#include "base/scan.h"
#include "mcp/client_internal.h"

enum {
    MAX_REMEMBERED = 512,
    MAX_NAME_BYTES = 256,
    MAX_INSTRUCTIONS_BYTES = 64 * 1024,
    MAX_INFO_BYTES = 1024 * 1024, /* of all connections of a client */
};

/* ---- what is remembered ---- */

static struct map remembered; /* values: an enum mcp_era */

static void definition(const struct mcp_client *c, struct strbuf *out) {
    *out = STRBUF(64 * 1024);
    if (c->o.transport == MCP_HTTP) {
        strbuf_add(out, c->o.url);
        return;
    }
    strbuf_add(out, c->o.command);
    for (size_t i = 0; i < c->o.n_args; i++) {
        strbuf_addc(out, '\0');
        strbuf_add(out, c->o.args[i]);
    }
}

static enum mcp_era recall(const struct mcp_client *c) {
    struct strbuf key cleanup(strbuf_done) = {0};
    definition(c, &key);
    return (enum mcp_era)(uintptr_t)map_get(&remembered, strbuf_str(&key));
}

static void remember(const struct mcp_client *c, enum mcp_era era) {
    struct strbuf key cleanup(strbuf_done) = {0};
    definition(c, &key);
    if (era == MCP_ERA_UNKNOWN) {
        map_remove(&remembered, strbuf_str(&key));
        return;
    }
    if (map_count(&remembered) >= MAX_REMEMBERED) {
        map_done(&remembered);
        remembered = (struct map){0};
    }
    map_put(&remembered, strbuf_str(&key), (void *)(uintptr_t)era);
}

/* ---- what the server says of itself ---- */

static void take_text(struct mcp_client *c, struct str *place, struct str json, size_t max) {
    struct arena arena cleanup(arena_done) = {0};
    struct str text = STR_EMPTY;
    if (!json.p || !scan_text(&arena, json, &text)) {
        text = STR_EMPTY;
    }
    text = str_utf8_head(text, max);
    if (place->p && (str_eq(*place, text) || c->info_arena.total_bytes > MAX_INFO_BYTES)) {
        return;
    }
    *place = arena_str(&c->info_arena, text);
}

static void take_info(struct mcp_client *c, struct str result) {
    struct str about = scan_get(result, "serverInfo"),
               capabilities = scan_get(result, "capabilities");
    if (!about.p) {
        about = scan_get(scan_get(result, "_meta"), CLIENT_META "serverInfo");
    }
    take_text(c, &c->info.name, scan_get(about, "name"), MAX_NAME_BYTES);
    take_text(c, &c->info.title, scan_get(about, "title"), MAX_NAME_BYTES);
    take_text(c, &c->info.server_version, scan_get(about, "version"), MAX_NAME_BYTES);
    take_text(c, &c->info.instructions, scan_get(result, "instructions"), MAX_INSTRUCTIONS_BYTES);
    struct str tools = scan_get(capabilities, "tools");
    c->info.tools = tools.p;
    c->info.resources = scan_get(capabilities, "resources").p;
    c->info.prompts = scan_get(capabilities, "prompts").p;
    c->tools_list_changed = str_eq(scan_get(tools, "listChanged"), STR("true"));
}

static void settle(struct mcp_client *c, enum mcp_era era, enum mcp_revision revision) {
    c->era = era;
    c->revision = revision;
    c->info.era = era;
    c->info.version = str_z(mcp_revision_name(revision));
    c->info_known = true;
}

/* ---- legacy: initialize ---- */

static void write_initialize(struct mcp_exchange *x) {
    struct strbuf params cleanup(strbuf_done) = STRBUF(4096);
    struct strbuf declared cleanup(strbuf_done) = STRBUF(1024);
    server_request_capabilities(x->requests, &declared);
    struct jsonw w = jsonw_begin(&params);
    jsonw_object(&w);
    jsonw_kstrz(&w, "protocolVersion", mcp_revision_name(MCP_2025_11_25));
    jsonw_kraw(&w, "capabilities", strbuf_str(&declared));
    jsonw_kraw(&w, "clientInfo", STR(CLIENT_INFO));
    jsonw_end_object(&w);
    exchange_write(x, strbuf_str(&params), STR_EMPTY, false);
}

static int take_version(struct mcp_client *c, struct str result, enum mcp_revision *ret,
                        struct err *err) {
    struct arena arena cleanup(arena_done) = {0};
    struct str version = STR_EMPTY, json = scan_get(result, "protocolVersion");
    if (!json.p || !scan_text(&arena, json, &version)) {
        return client_err(c, err, ERR_PROTOCOL, "its answer to initialize has no version");
    }
    if (!mcp_revision_parse(version, ret) || *ret > MCP_2025_11_25) {
        return client_err(c, err, ERR_PROTOCOL, "it speaks revision %.*s, which is not known here",
                          STR_ARG(str_head(version, 32)));
    }
    return 0;
}

static int say_initialized(struct mcp_client *c, struct err *err) {
    struct strbuf message cleanup(strbuf_done) = STRBUF(256);
    rpc_write_notification(&message, "notifications/initialized", STR_EMPTY);
    return c->channel->post(c, strbuf_str(&message), err);
}

/* *ret_answered: the server said something that shows whether it knows initialize. */
static int initialize(struct mcp_client *c, bool *ret_answered, struct err *err) {
    struct mcp_exchange x cleanup(exchange_done);
    enum mcp_revision revision;
    c->era = MCP_ERA_LEGACY;
    c->revision = MCP_2025_11_25;
    exchange_init(&x, c, "initialize");
    x.uncancellable = true;
    write_initialize(&x);
    int rc = exchange_run(&x, err);
    *ret_answered = rc == 0 || x.http_status / 100 == 4;
    if (rc < 0) {
        return rc;
    }
    if (x.response.is_error) {
        return request_refused(c, &x.response, err);
    }
    if (take_version(c, x.response.result, &revision, err) < 0) {
        return -(int)err->code;
    }
    take_info(c, x.response.result);
    settle(c, MCP_ERA_LEGACY, revision);
    return say_initialized(c, err);
}

/* ---- modern: server/discover ---- */

enum verdict {
    VERDICT_MODERN,
    VERDICT_LEGACY,
    VERDICT_AGAIN, /* modern, but it refused our first version */
    VERDICT_NONE,  /* *err says why nothing can be said */
};

static bool lists(struct str versions, enum mcp_revision from, enum mcp_revision to) {
    struct scan s = scan_begin(versions);
    struct str one;
    bool first = true;
    if (!scan_open(&s, '[')) {
        return false;
    }
    while (scan_element(&s, &first, &one)) {
        struct arena arena cleanup(arena_done) = {0};
        struct str name;
        enum mcp_revision r;
        if (scan_text(&arena, one, &name) && mcp_revision_parse(name, &r) && r >= from && r <= to) {
            return true;
        }
    }
    return false;
}

static enum verdict by_versions(struct mcp_client *c, struct str versions, enum verdict modern,
                                struct err *err) {
    if (lists(versions, MCP_2026_07_28, MCP_2026_07_28)) {
        return modern;
    }
    if (lists(versions, MCP_2024_11_05, MCP_2025_11_25)) {
        return VERDICT_LEGACY;
    }
    client_err(c, err, ERR_PROTOCOL, "it speaks no revision that is known here");
    return VERDICT_NONE;
}

static enum verdict judge_answer(struct mcp_client *c, const struct rpc_message *m,
                                 struct err *err) {
    if (!m->is_error) {
        struct str versions = scan_get(m->result, "supportedVersions");
        return versions.p ? by_versions(c, versions, VERDICT_MODERN, err) : VERDICT_LEGACY;
    }
    switch (m->error_code) {
    case RPC_UNSUPPORTED_VERSION:
        return by_versions(c, scan_get(m->error_data, "supported"), VERDICT_AGAIN, err);
    case RPC_HEADER_MISMATCH:
    case RPC_MISSING_CAPABILITY:
        request_refused(c, m, err);
        return VERDICT_NONE;
    default:
        return VERDICT_LEGACY;
    }
}

static enum verdict judge_failure(const struct mcp_client *c, const struct mcp_exchange *x,
                                  const struct err *err) {
    if (err->code == ERR_CANCELLED || c->closing) {
        return VERDICT_NONE;
    }
    if (c->o.transport == MCP_STDIO) {
        return VERDICT_LEGACY; /* silent, dead, or no MCP: initialize will show */
    }
    bool refused = x->http_status / 100 == 4 && x->http_status != 401 && x->http_status != 403 &&
                   x->http_status != 408 && x->http_status != 429;
    return refused ? VERDICT_LEGACY : VERDICT_NONE;
}

static enum verdict discover(struct mcp_client *c, struct err *err) {
    struct mcp_exchange x cleanup(exchange_done);
    c->era = MCP_ERA_MODERN;
    c->revision = MCP_2026_07_28;
    exchange_init(&x, c, "server/discover");
    x.absolute_timeout_ms = MIN(x.absolute_timeout_ms, c->o.connect_timeout_ms);
    exchange_write(&x, STR_EMPTY, STR_EMPTY, false);
    int rc = exchange_run(&x, err);
    enum verdict v = rc < 0 ? judge_failure(c, &x, err) : judge_answer(c, &x.response, err);
    if (v == VERDICT_MODERN) {
        take_info(c, x.response.result);
        settle(c, MCP_ERA_MODERN, MCP_2026_07_28);
    }
    return v;
}

/* ---- both ---- */

static void assume_modern(struct mcp_client *c) {
    c->info.tools = c->info.resources = c->info.prompts = true;
    take_info(c, STR("{\"capabilities\":{\"tools\":{},\"resources\":{},\"prompts\":{}}}"));
    settle(c, MCP_ERA_MODERN, MCP_2026_07_28);
}

static int probe(struct mcp_client *c, struct err *err) {
    enum verdict v = discover(c, err);
    if (v == VERDICT_AGAIN) {
        v = discover(c, err);
    }
    bool answered;
    switch (v) {
    case VERDICT_MODERN:
        remember(c, MCP_ERA_MODERN);
        return 0;
    case VERDICT_LEGACY:
        break;
    case VERDICT_AGAIN:
        return client_err(c, err, ERR_PROTOCOL, "it refuses the revision that it lists");
    case VERDICT_NONE:
        return -(int)err->code;
    }
    if (c->channel->restart(c, err) < 0 || initialize(c, &answered, err) < 0) {
        return -(int)err->code;
    }
    remember(c, MCP_ERA_LEGACY);
    return 0;
}

int era_settle(struct mcp_client *c, struct err *err) {
    bool answered;
    if (c->o.pinned_era == MCP_ERA_MODERN) {
        assume_modern(c);
        return 0;
    }
    if (c->o.pinned_era == MCP_ERA_LEGACY) {
        return initialize(c, &answered, err);
    }
    if (recall(c) == MCP_ERA_LEGACY) {
        if (initialize(c, &answered, err) == 0) {
            return 0;
        }
        if (!answered || c->closing) {
            return -(int)err->code;
        }
        remember(c, MCP_ERA_UNKNOWN); /* it has changed */
        if (c->channel->restart(c, err) < 0) {
            return -(int)err->code;
        }
    }
    return probe(c, err);
}
