/* Streamable HTTP: POST carries one message; its response is one JSON text, or a stream of events
 * when there is more to tell than the response. GET is a legacy session's own stream, or the rest
 * of a broken one. */
#include "base/log.h"
#include "mcp/server_internal.h"

enum { GATHER_BYTES = 64 * 1024, MAX_FIELDS = 6, RPC_HTTP_ERROR = -32000 };

static const char session_header[] = "Mcp-Session-Id";

struct exchange {
    struct mcp_endpoint *e;
    struct http_request *request;
    struct mcp_user *user;
    void *user_context;
    struct mcp_accepts accepts;
    struct http_field fields[MAX_FIELDS];
    size_t n_fields;
};

static void add_field(struct exchange *x, const char *name, struct str value) {
    x->fields[x->n_fields++] = (struct http_field){name, value};
}

static int respond(struct exchange *x, int status, const char *content_type, struct str body) {
    const struct http_response response = {.status = status,
                                           .content_type = content_type,
                                           .fields = x->fields,
                                           .n_fields = x->n_fields,
                                           .body = body};
    return http_respond(x->request, &response);
}

static int refuse_id(struct exchange *x, int status, int code, struct str id, struct str message) {
    struct strbuf body cleanup(strbuf_done) = STRBUF(64 * 1024);
    rpc_write_error(&body, id, code, message, STR_EMPTY);
    return respond(x, status, "application/json", strbuf_str(&body));
}

static int refuse(struct exchange *x, int status, const char *message) {
    return refuse_id(x, status, RPC_HTTP_ERROR, (struct str){0}, str_z(message));
}

/* ---- events ---- */

static void add_frame(struct strbuf *out, const struct mcp_stream *s, const struct mcp_message *m) {
    if (s->session) {
        strbuf_addf(out, "id: %" PRIu64 "-%" PRIu64 "\n", s->number, m->seq);
    }
    strbuf_add(out, STR("data: "));
    strbuf_add(out, (struct str){m->text, m->n});
    strbuf_add(out, STR("\n\n"));
}

/* What is there behind *cursor, in one write. */
static int send_pending(struct exchange *x, struct mcp_stream *s, uint64_t *cursor) {
    struct mcp_message *m = mcp_stream_after(s, *cursor);
    while (m) {
        struct strbuf frames cleanup(strbuf_done) = STRBUF(m->n + GATHER_BYTES);
        do {
            add_frame(&frames, s, m);
            *cursor = m->seq;
            m = mcp_stream_after(s, *cursor);
        } while (m && frames.n + m->n + 100 < GATHER_BYTES);
        mcp_stream_sent(s, *cursor);
        int rc = http_stream_write(x->request, strbuf_str(&frames));
        if (rc < 0) {
            return rc;
        }
        m = mcp_stream_after(s, *cursor);
    }
    return 0;
}

/* The first event of a stream that can be resumed says where it begins (since 2025-11-25; clients
 * of earlier revisions take an event without data for a broken message). */
static int send_priming(struct exchange *x, const struct mcp_stream *s) {
    char event[80];
    if (!s->session || s->session->revision < MCP_2025_11_25) {
        return 0;
    }
    snprintf(event, sizeof event, "id: %" PRIu64 "-0\ndata: \n\n", s->number);
    return http_stream_write(x->request, str_z(event));
}

static int send_retry(struct exchange *x, struct mcp_stream *s) {
    char event[48];
    snprintf(event, sizeof event, "retry: %" PRId64 "\n\n", s->retry_ms);
    s->release = false;
    int rc = http_stream_write(x->request, str_z(event));
    return rc == 0 ? http_stream_end(x->request) : rc;
}

static int send_events(struct exchange *x, struct mcp_stream *s, uint64_t cursor, bool prime) {
    const struct http_response head = {.status = 200,
                                       .content_type = "text/event-stream",
                                       .fields = x->fields,
                                       .n_fields = x->n_fields};
    uint64_t reader = ++s->reader;
    int rc = http_stream_begin(x->request, &head);
    if (rc == 0 && prime) {
        rc = send_priming(x, s);
    }
    fiber_broadcast(&s->changed); /* an older reader ends */
    while (rc == 0) {
        rc = send_pending(x, s, &cursor);
        if (rc == 0 && s->release && s->session) {
            return send_retry(x, s);
        }
        if (rc < 0 || mcp_stream_after(s, cursor)) {
            continue;
        }
        if (s->finished || s->reader != reader || x->e->stopping) {
            return http_stream_end(x->request);
        }
        rc = fiber_wait(&s->changed, x->e->options.heartbeat_ms);
        if (rc == -ERR_TIMEOUT) {
            rc = http_stream_write(x->request, STR(": still here\n\n"));
        }
    }
    return rc;
}

/* ---- the response to a request ---- */

/* Waits until it is known which kind of response it will be. */
static int await_first(struct exchange *x, struct mcp_stream *s) {
    while (!s->finished && list_empty(&s->messages) && !s->release) {
        int rc = fiber_wait(&s->changed, x->e->options.heartbeat_ms);
        if (rc == -ERR_TIMEOUT && x->accepts.events) {
            return 0;
        }
        if (rc == -ERR_CANCELLED) {
            return rc;
        }
    }
    return 0;
}

static int respond_json(struct exchange *x, struct mcp_request *r) {
    struct mcp_message *m = mcp_stream_after(r->stream, 0);
    int status = r->http_status ? r->http_status : 200;
    mcp_stream_forget(r->stream); /* ours is not the only count */
    return m ? respond(x, status, "application/json", (struct str){m->text, m->n})
             : respond(x, 202, NULL, STR_EMPTY);
}

static int serve(struct exchange *x, struct mcp_request *r) {
    struct mcp_stream *s = r->stream;
    int rc = await_first(x, s);
    if (rc == 0) {
        bool single = s->finished && s->n_messages <= 1 && (x->accepts.json || !s->n_messages);
        rc = single ? respond_json(x, r) : send_events(x, s, 0, true);
    }
    if (rc == -ERR_CANCELLED && r->modern) {
        mcp_dispatch_cancel(r); /* closing the stream cancels; in the legacy era it does not */
    }
    return rc;
}

static int run(struct exchange *x, struct mcp_request *r) {
    r->one_answer = !x->accepts.events;
    mcp_request_ref(r);
    if (mcp_dispatch_yields(r)) {
        mcp_dispatch_begin(r);
    } else {
        mcp_dispatch(r);
        list_remove(&r->in_session);
        mcp_request_unref(r);
    }
    int rc = serve(x, r);
    mcp_request_unref(r);
    return rc;
}

/* ---- POST ---- */

static int check_load(struct exchange *x, struct str id) {
    const struct mcp_endpoint_options *o = &x->e->options;
    if (x->user->calls >= o->max_calls_per_user) {
        return refuse_id(x, 429, RPC_HTTP_ERROR, id, STR("too many requests at a time"));
    }
    if (x->e->stats.calls >= o->max_calls) {
        return refuse_id(x, 503, RPC_HTTP_ERROR, id, STR("too many requests at a time"));
    }
    return 0;
}

static int post_modern(struct exchange *x, const struct rpc_message *m, json_t *params) {
    struct err err;
    struct mcp_request *r = mcp_request_new(x->e, x->user, x->user_context, NULL,
                                            mcp_stream_new(x->e, NULL), m, json_incref(params));
    int rc = mcp_request_read_meta(r, &err);
    if (rc == 0) {
        rc = mcp_guard_mirrors(r, x->request, &err);
    }
    if (rc == 0) {
        rc = mcp_request_check_version(r, &err);
    }
    if (rc == 0) {
        return run(x, r);
    }
    mcp_respond_failure(r, &err);
    rc = respond_json(x, r);
    mcp_request_unref(r);
    return rc;
}

static int post_initialize(struct exchange *x, const struct rpc_message *m, json_t *params) {
    struct mcp_session *s = mcp_session_new(x->e, x->user);
    if (!s) {
        return refuse_id(x, 503, RPC_HTTP_ERROR, m->id, STR("too many sessions"));
    }
    struct mcp_request *r = mcp_request_new(x->e, x->user, x->user_context, mcp_session_ref(s),
                                            mcp_stream_new(x->e, NULL), m, json_incref(params));
    s->attached++;
    mcp_dispatch(r);
    list_remove(&r->in_session);
    if (s->initialized) {
        add_field(x, session_header, str_z(s->id));
    } else {
        mcp_session_close(s);
    }
    int rc = serve(x, r);
    s->attached--;
    mcp_request_unref(r);
    return rc;
}

static int post_in_session(struct exchange *x, struct mcp_session *s, const struct rpc_message *m,
                           json_t *params) {
    int rc;
    if (m->kind == RPC_RESPONSE) {
        mcp_session_answer(s, m);
        return respond(x, 202, NULL, STR_EMPTY);
    }
    if (m->kind == RPC_NOTIFICATION) {
        mcp_dispatch_notification(s, m);
        return respond(x, 202, NULL, STR_EMPTY);
    }
    if (mcp_session_request(s, m->id)) {
        return refuse_id(x, 400, RPC_INVALID_REQUEST, m->id,
                         STR("a request of this id is running"));
    }
    rc = check_load(x, m->id);
    if (rc != 0 || http_responded(x->request)) {
        return rc;
    }
    return run(x, mcp_request_new(x->e, x->user, x->user_context, mcp_session_ref(s),
                                  mcp_stream_new(x->e, x->accepts.events ? s : NULL), m,
                                  json_incref(params)));
}

/* NULL: the request was answered; *rc is how that went. */
static struct mcp_session *find_session(struct exchange *x, struct str id, int *rc) {
    struct str session_id = http_header(x->request, session_header);
    struct str version = http_header(x->request, "mcp-protocol-version");
    enum mcp_revision revision;
    if (!session_id.n) {
        *rc = refuse_id(x, 400, RPC_HTTP_ERROR, id, STR("the header Mcp-Session-Id is missing"));
        return NULL;
    }
    if (version.p && (!mcp_revision_parse(version, &revision) || revision > MCP_2025_11_25)) {
        *rc = refuse_id(x, 400, RPC_HTTP_ERROR, id,
                        STR("the revision in MCP-Protocol-Version has no sessions here"));
        return NULL;
    }
    struct mcp_session *s = mcp_session_find(x->e, session_id, mcp_user_id(x->user));
    if (!s) {
        *rc = refuse_id(x, 404, RPC_HTTP_ERROR, id,
                        STR("there is no such session; initialize again"));
    }
    return s;
}

static int post_legacy(struct exchange *x, const struct rpc_message *m, json_t *params) {
    int rc = 0;
    if (m->kind == RPC_REQUEST && str_eq(m->method, STR("initialize"))) {
        rc = check_load(x, m->id);
        return rc != 0 || http_responded(x->request) ? rc : post_initialize(x, m, params);
    }
    struct mcp_session *s = find_session(x, m->kind == RPC_REQUEST ? m->id : (struct str){0}, &rc);
    if (!s) {
        return rc;
    }
    mcp_session_ref(s)->attached++;
    rc = post_in_session(x, s, m, params);
    s->attached--;
    mcp_session_unref(s);
    return rc;
}

/* The header may say that a request is modern whose _meta forgot it. */
static bool is_modern(const struct exchange *x, const struct rpc_message *m, const json_t *params) {
    struct str version = http_header(x->request, "mcp-protocol-version");
    return mcp_message_is_modern(m, params) ||
           str_eq(version, str_z(mcp_revision_name(MCP_2026_07_28)));
}

static int post_message(struct exchange *x, const struct rpc_message *m, json_t *params) {
    if (!is_modern(x, m, params)) {
        return post_legacy(x, m, params);
    }
    if (m->kind == RPC_NOTIFICATION) {
        return respond(x, 202, NULL, STR_EMPTY);
    }
    if (m->kind == RPC_RESPONSE) {
        return refuse(x, 400, "this revision has no requests that could be answered");
    }
    int rc = check_load(x, m->id);
    return rc != 0 || http_responded(x->request) ? rc : post_modern(x, m, params);
}

static int post_body(struct exchange *x, struct str body) {
    struct arena arena cleanup(arena_done) = {0};
    struct rpc_message m = {0};
    json_auto_t *params = NULL;
    struct err err;
    int rc = rpc_read(body, &arena, &m, &err);
    if (rc < 0) {
        bool parsed = rc == -ERR_PROTOCOL;
        return refuse_id(x, 400, parsed ? RPC_INVALID_REQUEST : RPC_PARSE_ERROR,
                         parsed ? m.id : (struct str){0}, str_z(err.msg));
    }
    if (m.params.p && json_read(m.params, &params, &err) < 0) {
        return refuse_id(x, 400, RPC_PARSE_ERROR, m.id, str_z(err.msg));
    }
    if (params && !json_is_object(params)) {
        return refuse_id(x, 400, RPC_INVALID_PARAMS, m.id, STR("params: must be an object"));
    }
    return post_message(x, &m, params);
}

static int handle_post(struct exchange *x) {
    struct strbuf body cleanup(strbuf_done) = STRBUF(x->e->options.max_body_bytes);
    struct err err;
    x->accepts = mcp_guard_accept(x->request);
    if (!mcp_guard_content_type(x->request)) {
        return refuse(x, 415, "the content type must be application/json");
    }
    if (!x->accepts.json && !x->accepts.events) {
        return refuse(x, 406, "the client must accept application/json and text/event-stream");
    }
    int rc = http_read_body(x->request, x->e->options.max_body_bytes, &body, &err);
    if (rc < 0) {
        return rc == -ERR_LIMIT     ? refuse(x, 413, err.msg)
               : rc == -ERR_TIMEOUT ? refuse(x, 408, err.msg)
               : rc == -ERR_INVALID ? refuse(x, 400, err.msg)
                                    : rc;
    }
    return post_body(x, strbuf_str(&body));
}

/* ---- GET and DELETE ---- */

/* "stream-seq" of the last event the client has. */
static struct mcp_stream *find_resumed(const struct exchange *x, const struct mcp_session *s,
                                       uint64_t *ret_cursor) {
    struct str rest = http_header(x->request, "last-event-id");
    int64_t number, seq;
    if (!rest.n || !str_to_i64(str_cut(&rest, '-'), &number) || !str_to_i64(rest, &seq) ||
        seq < 0) {
        return NULL;
    }
    list_each (node, &s->streams) {
        struct mcp_stream *stream = list_entry(node, struct mcp_stream, in_session);
        if (stream->number == (uint64_t)number) {
            *ret_cursor = (uint64_t)seq;
            return stream;
        }
    }
    return NULL;
}

static int serve_get(struct exchange *x, struct mcp_session *s) {
    uint64_t cursor = 0;
    struct mcp_stream *stream = find_resumed(x, s, &cursor);
    bool resumed = stream != NULL;
    if (x->user->listeners >= x->e->options.max_listeners_per_user) {
        return refuse(x, 429, "too many streams");
    }
    if (!stream) {
        s->own = s->own ? s->own : mcp_stream_new(x->e, s);
        stream = s->own;
        cursor = stream->sent_seq;
    }
    mcp_stream_ref(stream);
    x->user->listeners++;
    x->e->stats.listeners++;
    int rc = send_events(x, stream, cursor, !resumed);
    x->e->stats.listeners--;
    x->user->listeners--;
    mcp_stream_unref(stream);
    return rc;
}

static bool is_modern_header(const struct exchange *x) {
    return str_eq(http_header(x->request, "mcp-protocol-version"),
                  str_z(mcp_revision_name(MCP_2026_07_28)));
}

static int not_allowed(struct exchange *x, struct str allow) {
    add_field(x, "Allow", allow);
    return refuse(x, 405, "this method is not offered");
}

static int handle_get(struct exchange *x) {
    int rc = 0;
    if (is_modern_header(x)) {
        return not_allowed(x, STR("POST"));
    }
    if (!mcp_guard_accept(x->request).events) {
        return refuse(x, 406, "the client must accept text/event-stream");
    }
    struct mcp_session *s = find_session(x, (struct str){0}, &rc);
    if (!s) {
        return rc;
    }
    mcp_session_ref(s)->attached++;
    rc = serve_get(x, s);
    s->attached--;
    mcp_session_unref(s);
    return rc;
}

static int handle_delete(struct exchange *x) {
    int rc = 0;
    if (is_modern_header(x)) {
        return not_allowed(x, STR("POST"));
    }
    struct mcp_session *s = find_session(x, (struct str){0}, &rc);
    if (!s) {
        return rc;
    }
    mcp_session_close(s);
    return respond(x, 204, NULL, STR_EMPTY);
}

/* ---- entry ---- */

static void add_cors(struct exchange *x) {
    struct str origin = http_header(x->request, "origin");
    if (origin.p) {
        add_field(x, "Access-Control-Allow-Origin", origin);
        add_field(x, "Access-Control-Expose-Headers", STR("Mcp-Session-Id, WWW-Authenticate"));
        add_field(x, "Vary", STR("Origin"));
    }
}

static int handle_options(struct exchange *x) {
    add_field(x, "Access-Control-Allow-Methods", STR("POST, GET, DELETE"));
    add_field(x, "Access-Control-Allow-Headers",
              http_header(x->request, "access-control-request-headers").p
                  ? http_header(x->request, "access-control-request-headers")
                  : STR("Content-Type"));
    return respond(x, 204, NULL, STR_EMPTY);
}

static int route(struct exchange *x) {
    struct str method = http_method(x->request);
    if (str_eq(method, STR("OPTIONS"))) {
        return handle_options(x);
    }
    if (!mcp_user_may_request(x->e, x->user)) {
        add_field(x, "Retry-After", STR("5"));
        return refuse(x, 429, "too many requests");
    }
    if (str_eq(method, STR("POST"))) {
        return handle_post(x);
    }
    if (str_eq(method, STR("GET"))) {
        return handle_get(x);
    }
    if (str_eq(method, STR("DELETE"))) {
        return handle_delete(x);
    }
    return not_allowed(x, STR("POST, GET, DELETE"));
}

int mcp_endpoint_handle(struct mcp_endpoint *e, struct http_request *request, struct str user_id,
                        void *user_context) {
    struct exchange x = {.e = e, .request = request, .user_context = user_context};
    fiber_point();
    if (!mcp_guard_host(e, request) || !mcp_guard_origin(e, request)) {
        return refuse(&x, 403, "requests for this host, or from this origin, are not served");
    }
    add_cors(&x);
    if (e->stopping) {
        return refuse(&x, 503, "the server stops");
    }
    x.user = mcp_user_get(e, user_id);
    x.user->attached++;
    int rc = route(&x);
    x.user->attached--;
    return rc < 0 ? -ERR_CANCELLED : 0;
}

int mcp_endpoint_challenge(struct mcp_endpoint *e, struct http_request *request, int status,
                           const char *error) {
    struct exchange x = {.e = e, .request = request};
    struct strbuf challenge cleanup(strbuf_done) = STRBUF(4096);
    const char *metadata = e->options.resource_metadata, *scope = e->options.scope;
    const char *comma = " ";
    strbuf_addz(&challenge, "Bearer");
    if (error) {
        strbuf_addf(&challenge, "%serror=\"%s\"", comma, error);
        comma = ", ";
    }
    if (scope) {
        strbuf_addf(&challenge, "%sscope=\"%s\"", comma, scope);
        comma = ", ";
    }
    if (metadata) {
        strbuf_addf(&challenge, "%sresource_metadata=\"%s\"", comma, metadata);
    }
    if (mcp_guard_origin(e, request)) {
        add_cors(&x);
    }
    add_field(&x, "WWW-Authenticate", strbuf_str(&challenge));
    int rc = refuse(&x, status, status == 403 ? "not permitted" : "authentication is needed");
    return rc < 0 ? -ERR_CANCELLED : 0;
}
