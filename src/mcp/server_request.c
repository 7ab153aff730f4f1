/* A request's life, and what the functions of the table may ask and tell while they run. */
#include <math.h>

#include "base/mem.h"
#include "mcp/server_internal.h"

static const char *const log_levels[] = {
    [MCP_LOG_DEBUG] = "debug",   [MCP_LOG_INFO] = "info",
    [MCP_LOG_NOTICE] = "notice", [MCP_LOG_WARNING] = "warning",
    [MCP_LOG_ERROR] = "error",   [MCP_LOG_CRITICAL] = "critical",
    [MCP_LOG_ALERT] = "alert",   [MCP_LOG_EMERGENCY] = "emergency",
};

bool mcp_log_level_parse(struct str name, enum mcp_log_level *ret) {
    for (size_t i = 0; i < ARRAY_LEN(log_levels); i++) {
        if (str_eq(name, str_z(log_levels[i]))) {
            *ret = (enum mcp_log_level)i;
            return true;
        }
    }
    return false;
}

struct mcp_request *mcp_request_new(struct mcp_endpoint *e, struct mcp_user *u, void *user_context,
                                    struct mcp_session *session, struct mcp_stream *stream,
                                    const struct rpc_message *m, json_t *params) {
    struct mcp_request *r = mem_alloc(sizeof *r);
    size_t max = e->options.max_result_bytes;
    r->refs = 1;
    r->endpoint = e;
    r->user = u;
    r->context = e->options.context_copy ? e->options.context_copy(user_context) : user_context;
    r->session = session;
    r->stream = stream;
    r->id = arena_str(&r->arena, m->id);
    r->method = arena_str(&r->arena, m->method);
    r->params = params;
    r->meta = json_object_get(params, "_meta");
    r->revision = session ? session->revision : MCP_2026_07_28;
    r->capabilities = session ? session->capabilities : NULL;
    r->content = STRBUF(max);
    r->structured = STRBUF(max);
    r->state_out = STRBUF(MCP_SERVER_MAX_STATE_BYTES);
    r->input_requests = STRBUF(max);
    r->role = "user";
    u->calls++;
    e->stats.calls++;
    if (session) {
        list_push(&session->requests, &r->in_session);
    }
    return r;
}

struct mcp_request *mcp_request_ref(struct mcp_request *r) {
    r->refs++;
    return r;
}

void mcp_request_unref(struct mcp_request *r) {
    if (!r || --r->refs > 0) {
        return;
    }
    if (r->endpoint->options.context_release) {
        r->endpoint->options.context_release(r->context);
    }
    list_remove(&r->in_session);
    r->user->calls--;
    r->endpoint->stats.calls--;
    mcp_stream_unref(r->stream);
    mcp_session_unref(r->session);
    json_decref(r->params);
    json_decref(r->answers);
    strbuf_done(&r->content);
    strbuf_done(&r->structured);
    strbuf_done(&r->state_out);
    strbuf_done(&r->input_requests);
    arena_done(&r->arena);
    mem_free(r);
}

/* ---- what it is about ---- */

struct str mcp_request_user(const struct mcp_request *r) {
    return mcp_user_id(r->user);
}

void *mcp_request_context(const struct mcp_request *r) {
    return r->context;
}

void *mcp_request_arg(const struct mcp_request *r) {
    return r->item_arg;
}

enum mcp_revision mcp_request_revision(const struct mcp_request *r) {
    return r->revision;
}

const json_t *mcp_request_meta(const struct mcp_request *r) {
    return r->meta;
}

struct mcp_endpoint *mcp_request_endpoint(const struct mcp_request *r) {
    return r->endpoint;
}

struct str mcp_request_client_name(const struct mcp_request *r) {
    const json_t *info = r->modern    ? json_object_get(r->meta, MCP_META "clientInfo")
                         : r->session ? r->session->client_info
                                      : NULL;
    struct str name = json_str(info, "name");
    return name.p ? name : STR_EMPTY;
}

struct str mcp_request_variable(const struct mcp_request *r, const char *name) {
    for (size_t i = 0; i < r->n_variables; i++) {
        if (str_eq(str_z(r->variables[i].name), str_z(name))) {
            return r->variables[i].value;
        }
    }
    return STR_EMPTY;
}

static bool has(const json_t *capabilities, const char *name, const char *part) {
    const json_t *c = json_object_get(capabilities, name);
    return json_is_object(c) && (!part || json_is_object(json_object_get(c, part)));
}

bool mcp_request_can(const struct mcp_request *r, enum mcp_ability ability) {
    const json_t *c = r->capabilities;
    switch (ability) {
    case MCP_CAN_ELICIT: /* what says neither form nor url means forms */
        return has(c, "elicitation", "form") ||
               (has(c, "elicitation", NULL) && !has(c, "elicitation", "url"));
    case MCP_CAN_ELICIT_URL:
        return has(c, "elicitation", "url") && r->revision >= MCP_2025_11_25;
    case MCP_CAN_SAMPLE:
        return has(c, "sampling", NULL);
    case MCP_CAN_LIST_ROOTS:
        return has(c, "roots", NULL);
    }
    return false;
}

int mcp_request_read_meta(struct mcp_request *r, struct err *err) {
    struct str version = json_str(r->meta, MCP_META "protocolVersion");
    const json_t *capabilities = json_object_get(r->meta, MCP_META "clientCapabilities");
    r->modern = true;
    r->revision = MCP_2026_07_28;
    if (!version.p || !json_is_object(capabilities)) {
        return mcp_request_refuse(r, 400, RPC_INVALID_PARAMS, err,
                                  "params._meta needs " MCP_META "protocolVersion and " MCP_META
                                  "clientCapabilities");
    }
    r->capabilities = capabilities;
    return 0;
}

bool mcp_message_is_modern(const struct rpc_message *m, const json_t *params) {
    return json_object_get(json_object_get(params, "_meta"), MCP_META "protocolVersion") ||
           str_eq(m->method, STR("server/discover")) ||
           str_eq(m->method, STR("subscriptions/listen"));
}

int mcp_request_check_version(struct mcp_request *r, struct err *err) {
    struct str version = json_str(r->meta, MCP_META "protocolVersion");
    if (str_eq(version, str_z(mcp_revision_name(MCP_2026_07_28)))) {
        return 0;
    }
    struct strbuf data cleanup(strbuf_done) = STRBUF(4096);
    struct jsonw w = jsonw_begin(&data);
    jsonw_object(&w);
    jsonw_kstr(&w, "requested", str_utf8_head(version, 100));
    jsonw_key(&w, "supported");
    jsonw_array(&w);
    for (int i = MCP_REVISIONS - 1; i >= 0; i--) {
        jsonw_strz(&w, mcp_revision_name((enum mcp_revision)i));
    }
    jsonw_end_array(&w);
    jsonw_end_object(&w);
    r->http_status = 400;
    return mcp_request_fail(r, RPC_UNSUPPORTED_VERSION,
                            STR("this version of the protocol is not spoken here in this form"),
                            strbuf_str(&data), err);
}

/* ---- failing ---- */

int mcp_request_fail(struct mcp_request *r, int code, struct str message, struct str data,
                     struct err *err) {
    r->fail_code = code;
    r->fail_message = arena_str(&r->arena, message);
    r->fail_data = data.n ? arena_str(&r->arena, data) : STR_EMPTY;
    return err_set(err, ERR_INVALID, "%.*s", STR_ARG(str_head(message, 200)));
}

int mcp_request_refuse(struct mcp_request *r, int http_status, int code, struct err *err,
                       const char *fmt, ...) {
    struct strbuf message cleanup(strbuf_done) = STRBUF(400);
    va_list ap;
    va_start(ap, fmt);
    strbuf_addfv(&message, fmt, ap);
    va_end(ap);
    r->http_status = http_status;
    return mcp_request_fail(r, code, strbuf_str(&message), STR_EMPTY, err);
}

/* ---- telling the client ---- */

void mcp_request_notify(struct mcp_request *r, const char *method, struct str params) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(MCP_MAX_STREAM_BYTES);
    if (r->one_answer || r->silent) {
        return;
    }
    rpc_write_notification(&text, method, params);
    if (!text.failed) {
        mcp_stream_push(r->stream, strbuf_str(&text), true);
    }
}

void mcp_request_progress(struct mcp_request *r, double progress, double total,
                          struct str message) {
    const json_t *token = json_object_get(r->meta, "progressToken");
    struct strbuf params cleanup(strbuf_done) = STRBUF(MCP_MAX_STREAM_BYTES);
    struct jsonw w = jsonw_begin(&params);
    if (!(json_is_string(token) || json_is_number(token)) || !isfinite(progress) ||
        (r->progressed && progress <= r->progress)) {
        return;
    }
    r->progressed = true;
    r->progress = progress;
    jsonw_object(&w);
    jsonw_key(&w, "progressToken");
    jsonw_tree(&w, token);
    jsonw_key(&w, "progress");
    jsonw_double(&w, progress);
    if (total > 0) {
        jsonw_key(&w, "total");
        jsonw_double(&w, total);
    }
    if (message.n && r->revision >= MCP_2025_03_26) {
        jsonw_kstr(&w, "message", str_utf8_head(message, 4096));
    }
    jsonw_end_object(&w);
    mcp_request_notify(r, "notifications/progress", strbuf_str(&params));
}

void mcp_request_log(struct mcp_request *r, enum mcp_log_level level, const char *logger,
                     struct str message) {
    enum mcp_log_level wanted;
    struct strbuf params cleanup(strbuf_done) = STRBUF(MCP_MAX_STREAM_BYTES);
    struct jsonw w = jsonw_begin(&params);
    if (!r->endpoint->options.server->logging) {
        return;
    }
    if (!r->modern) {
        wanted = r->session->log_level;
    } else if (!mcp_log_level_parse(json_str(r->meta, MCP_META "logLevel"), &wanted)) {
        return;
    }
    if (level < wanted) {
        return;
    }
    jsonw_object(&w);
    jsonw_kstrz(&w, "level", log_levels[level]);
    if (logger) {
        jsonw_kstrz(&w, "logger", logger);
    }
    jsonw_kstr(&w, "data", str_utf8_head(message, MCP_MAX_LOG_BYTES));
    jsonw_end_object(&w);
    mcp_request_notify(r, "notifications/message", strbuf_str(&params));
}

void mcp_request_release_stream(struct mcp_request *r, int64_t retry_ms) {
    if (!r->modern && r->revision >= MCP_2025_11_25 && r->stream->session && !r->one_answer) {
        r->stream->release = true;
        r->stream->retry_ms = retry_ms;
        fiber_broadcast(&r->stream->changed);
    }
}
