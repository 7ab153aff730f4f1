/* Methods by name, and the one way from a request to its response. */
#include "base/log.h"
#include "mcp/server_internal.h"

/* ---- methods of the protocol itself ---- */

static enum mcp_revision agree(struct str wanted) {
    enum mcp_revision revision;
    return mcp_revision_parse(wanted, &revision) && revision <= MCP_2025_11_25 ? revision
                                                                               : MCP_2025_11_25;
}

static void write_instructions(const struct mcp_request *r, struct jsonw *w) {
    const char *instructions = r->endpoint->options.server->instructions;
    if (instructions) {
        jsonw_kstrz(w, "instructions", instructions);
    }
}

static int initialize(struct mcp_request *r, struct jsonw *w, struct err *err) {
    struct mcp_session *s = r->session;
    struct str wanted = json_str(r->params, "protocolVersion");
    if (!wanted.p) {
        return mcp_request_refuse(r, 400, RPC_INVALID_PARAMS, err,
                                  "params.protocolVersion: must be a string");
    }
    if (s->initialized) {
        return mcp_request_refuse(r, 400, RPC_INVALID_REQUEST, err, "already initialized");
    }
    s->initialized = true;
    s->revision = r->revision = agree(wanted);
    s->capabilities = json_incref(json_object_get(r->params, "capabilities"));
    s->client_info = json_incref(json_object_get(r->params, "clientInfo"));
    jsonw_kstrz(w, "protocolVersion", mcp_revision_name(s->revision));
    mcp_write_capabilities(r, w);
    mcp_write_server_info(r, w, "serverInfo");
    write_instructions(r, w);
    return 0;
}

static int discover(struct mcp_request *r, struct jsonw *w, struct err *err) {
    (void)err;
    jsonw_key(w, "supportedVersions");
    jsonw_array(w);
    for (int i = MCP_REVISIONS - 1; i >= 0; i--) {
        jsonw_strz(w, mcp_revision_name((enum mcp_revision)i));
    }
    jsonw_end_array(w);
    mcp_write_capabilities(r, w);
    write_instructions(r, w);
    mcp_write_caching(r, w, r->endpoint->options.server->public_lists);
    return 0;
}

static int ping(struct mcp_request *r, struct jsonw *w, struct err *err) {
    (void)r;
    (void)w;
    (void)err;
    return 0;
}

static int set_level(struct mcp_request *r, struct jsonw *w, struct err *err) {
    (void)w;
    if (!mcp_log_level_parse(json_str(r->params, "level"), &r->session->log_level)) {
        return mcp_request_refuse(r, 0, RPC_INVALID_PARAMS, err,
                                  "params.level: must be debug, info, notice, warning, error, "
                                  "critical, alert or emergency");
    }
    return 0;
}

static int subscribe(struct mcp_request *r, struct jsonw *w, struct err *err) {
    struct str uri = json_str(r->params, "uri");
    (void)w;
    if (uri.n == 0 || uri.n > MCP_MAX_URI_BYTES) {
        return mcp_request_refuse(r, 0, RPC_INVALID_PARAMS, err,
                                  "params.uri: must be a string of 1 to %d bytes",
                                  MCP_MAX_URI_BYTES);
    }
    if (str_eq(r->method, STR("resources/unsubscribe"))) {
        mcp_session_unsubscribe(r->session, uri);
    } else if (!mcp_session_subscribe(r->session, uri)) {
        return mcp_request_refuse(r, 0, RPC_INVALID_PARAMS, err, "more than %d subscriptions",
                                  MCP_MAX_SUBSCRIPTIONS);
    }
    return 0;
}

/* ---- the table ---- */

enum { LEGACY = 1, MODERN = 2, BOTH = 3 };

enum needs {
    NEEDS_NOTHING,
    NEEDS_TOOLS,
    NEEDS_RESOURCES,
    NEEDS_PROMPTS,
    NEEDS_COMPLETE,
    NEEDS_LOGGING,
    NEEDS_SUBSCRIPTIONS,
    NEEDS_NEWS,
};

struct method {
    const char *name;
    int eras;
    enum needs needs;
    bool yields;
    int (*run)(struct mcp_request *r, struct jsonw *w, struct err *err) may_yield;
};

static const struct method methods[] = {
    {"initialize", LEGACY, NEEDS_NOTHING, false, initialize},
    {"ping", LEGACY, NEEDS_NOTHING, false, ping},
    {"logging/setLevel", LEGACY, NEEDS_LOGGING, false, set_level},
    {"resources/subscribe", LEGACY, NEEDS_SUBSCRIPTIONS, false, subscribe},
    {"resources/unsubscribe", LEGACY, NEEDS_SUBSCRIPTIONS, false, subscribe},
    {"server/discover", MODERN, NEEDS_NOTHING, false, discover},
    {"subscriptions/listen", MODERN, NEEDS_NEWS, true, mcp_listen},
    {"tools/list", BOTH, NEEDS_TOOLS, false, mcp_list_tools},
    {"tools/call", BOTH, NEEDS_TOOLS, true, mcp_call_tool},
    {"resources/list", BOTH, NEEDS_RESOURCES, false, mcp_list_resources},
    {"resources/templates/list", BOTH, NEEDS_RESOURCES, false, mcp_list_templates},
    {"resources/read", BOTH, NEEDS_RESOURCES, true, mcp_read_resource},
    {"prompts/list", BOTH, NEEDS_PROMPTS, false, mcp_list_prompts},
    {"prompts/get", BOTH, NEEDS_PROMPTS, true, mcp_get_prompt},
    {"completion/complete", BOTH, NEEDS_COMPLETE, true, mcp_complete},
};

static bool has(const struct mcp_server *s, enum needs needs) {
    switch (needs) {
    case NEEDS_NOTHING:
        return true;
    case NEEDS_TOOLS:
        return s->tools != NULL;
    case NEEDS_RESOURCES:
        return s->resources || s->templates;
    case NEEDS_PROMPTS:
        return s->prompts != NULL;
    case NEEDS_COMPLETE:
        return s->complete != NULL;
    case NEEDS_LOGGING:
        return s->logging;
    case NEEDS_SUBSCRIPTIONS:
        return s->subscriptions;
    case NEEDS_NEWS:
        return s->changes || s->subscriptions;
    }
    return false;
}

static const struct method *find_method(const struct mcp_request *r) {
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        const struct method *m = &methods[i];
        if (str_eq(str_z(m->name), r->method)) {
            return (m->eras & (r->modern ? MODERN : LEGACY)) &&
                           has(r->endpoint->options.server, m->needs)
                       ? m
                       : NULL;
        }
    }
    return NULL;
}

bool mcp_dispatch_yields(const struct mcp_request *r) {
    const struct method *m = find_method(r);
    return m && m->yields;
}

/* ---- responses ---- */

void mcp_respond_failure(struct mcp_request *r, const struct err *err) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(1 << 20);
    struct str message = r->fail_code ? r->fail_message : str_z(err->msg);
    rpc_write_error(&text, r->id, r->fail_code ? r->fail_code : RPC_INTERNAL_ERROR, message,
                    r->fail_data);
    mcp_stream_push(r->stream, strbuf_str(&text), false);
    mcp_stream_finish(r->stream);
}

static void write_meta(const struct mcp_request *r, struct jsonw *w) {
    jsonw_kstrz(w, "resultType", r->input_required ? "input_required" : "complete");
    jsonw_key(w, "_meta");
    jsonw_object(w);
    mcp_write_server_info(r, w, MCP_META "serverInfo");
    if (str_eq(r->method, STR("subscriptions/listen"))) {
        jsonw_kraw(w, MCP_META "subscriptionId", r->id);
    }
    jsonw_end_object(w);
}

static int run(struct mcp_request *r, struct jsonw *w, struct err *err) {
    const struct method *m = find_method(r);
    if (!m) {
        return mcp_request_refuse(r, r->modern ? 404 : 0, RPC_METHOD_NOT_FOUND, err,
                                  "there is no method %.*s",
                                  STR_ARG(str_utf8_head(r->method, 100)));
    }
    if (r->session && !r->modern && !r->session->initialized && m->run != initialize &&
        m->run != ping) {
        return mcp_request_refuse(r, 400, RPC_INVALID_REQUEST, err, "not initialized yet");
    }
    return m->run(r, w, err);
}

void mcp_dispatch(struct mcp_request *r) {
    struct err err;
    struct strbuf result cleanup(strbuf_done) =
        STRBUF(3 * r->endpoint->options.max_result_bytes + 64 * 1024);
    struct jsonw w = jsonw_begin(&result);
    jsonw_object(&w);
    int rc = run(r, &w, &err);
    if (rc == 0 && r->modern) {
        write_meta(r, &w);
    }
    jsonw_end_object(&w);
    if (r->silent) {
        mcp_stream_finish(r->stream);
        return;
    }
    if (rc == 0) {
        rc = strbuf_check(&result, "the result", &err);
    }
    if (rc < 0) {
        mcp_respond_failure(r, &err);
    } else {
        struct strbuf text cleanup(strbuf_done) = STRBUF(result.n + 1024);
        rpc_write_result(&text, r->id, strbuf_str(&result));
        mcp_stream_push(r->stream, strbuf_str(&text), false);
    }
    mcp_stream_finish(r->stream);
}

static void run_request(void *arg) {
    struct mcp_request *r = arg;
    struct fiber_timeout timeout;
    bool bounded = !str_eq(r->method, STR("subscriptions/listen"));
    if (bounded) {
        fiber_timeout_start(&timeout, r->endpoint->options.call_timeout_ms);
    }
    mcp_dispatch(r);
    if (bounded) {
        fiber_timeout_stop(&timeout);
    }
    r->fiber = NULL;
    list_remove(&r->in_session);
    mcp_request_unref(r);
}

void mcp_dispatch_begin(struct mcp_request *r) {
    struct err err;
    if (fiber_spawn(&r->endpoint->scope, "mcp request", run_request, r, &r->fiber, &err) < 0) {
        r->http_status = 503;
        mcp_respond_failure(r, &err);
        mcp_request_unref(r);
    }
}

void mcp_dispatch_cancel(struct mcp_request *r) {
    r->silent = true;
    if (r->fiber) {
        fiber_cancel(r->fiber);
    }
}

/* ---- notifications ---- */

void mcp_dispatch_notification(struct mcp_session *s, const struct rpc_message *m) {
    json_auto_t *params = NULL;
    struct err err;
    if (!str_eq(m->method, STR("notifications/cancelled")) || !m->params.p ||
        json_read(m->params, &params, &err) < 0) {
        return; /* initialized, progress, roots/list_changed: nothing depends on them */
    }
    struct strbuf id cleanup(strbuf_done) = STRBUF(4096);
    json_write_tree(&id, json_object_get(params, "requestId"));
    struct mcp_request *r = mcp_session_request(s, strbuf_str(&id));
    if (r) {
        log_debug("mcp", "the client cancelled method=%.*s", STR_ARG(r->method));
        mcp_dispatch_cancel(r);
    }
}
