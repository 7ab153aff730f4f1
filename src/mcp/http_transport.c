/* Streamable HTTP: each message is a POST, answered by JSON or by a stream of messages. */
#include "base/log.h"
#include "base/mem.h"
#include "mcp/client_internal.h"
#include "net/http_client.h"

enum {
    MAX_FIELDS = MCP_MAX_HEADERS + MCP_MAX_MIRRORED + 12,
    DELETE_TIMEOUT_MS = 2000,
    POST_TIMEOUT_MS = 10 * 1000,
    LONG_TIMEOUT_MS = 24 * 3600 * 1000,
    MAX_CHALLENGE_BYTES = 4096,
    MAX_BEARER_BYTES = 32 * 1024,
};

/* ---- one request ---- */

struct fields {
    struct http_client_field v[MAX_FIELDS];
    size_t n;
};

static void add(struct fields *f, const char *name, struct str value) {
    if (f->n < ARRAY_LEN(f->v)) {
        f->v[f->n++] = (struct http_client_field){name, value};
    }
}

static void add_modern(struct fields *f, const struct mcp_exchange *x, struct arena *arena) {
    add(f, "Mcp-Method", str_z(x->method));
    if (x->name.p) {
        add(f, "Mcp-Name", mcp_header_value(arena, x->name));
    }
    for (size_t i = 0; x->mirror && i < x->mirror->n; i++) {
        add(f, x->mirror->fields[i].name, x->mirror->fields[i].value);
    }
}

/* What the protocol itself sets: a configured one beside it would make the message ambiguous. */
static bool is_ours(const char *name) {
    static const char *const ours[] = {"Accept", "Content-Type", "Last-Event-ID",
                                       "MCP-Protocol-Version", "Mcp-Session-Id"};
    for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
        if (str_eq_nocase(str_z(name), str_z(ours[i]))) {
            return true;
        }
    }
    return false;
}

static void add_fields(struct fields *f, struct mcp_client *c, const struct http_send *send,
                       const struct secret *bearer, struct arena *arena) {
    for (size_t i = 0; i < c->o.n_headers; i++) {
        if (!is_ours(c->headers[i].name)) {
            add(f, c->headers[i].name, secret_reveal(c->headers[i].value));
        }
    }
    if (bearer) {
        add(f, "Authorization", secret_reveal(bearer));
    }
    if (send->body.n) {
        add(f, "Content-Type", STR("application/json"));
    }
    bool is_get = strcmp(send->method, "GET") == 0;
    add(f, "Accept",
        is_get ? STR("text/event-stream") : STR("application/json, text/event-stream"));
    if (c->era != MCP_ERA_UNKNOWN && !(send->x && send->x->uncancellable)) {
        add(f, "MCP-Protocol-Version", str_z(mcp_revision_name(c->revision)));
    }
    if (c->session) {
        add(f, "Mcp-Session-Id", secret_reveal(c->session));
    }
    if (send->last_event_id.n) {
        add(f, "Last-Event-ID", send->last_event_id);
    }
    if (c->era == MCP_ERA_MODERN && send->x) {
        add_modern(f, send->x, arena);
    }
}

static struct secret *bearer_value(const struct secret *token) {
    struct strbuf value = STRBUF(MAX_BEARER_BYTES);
    strbuf_room(&value, MAX_BEARER_BYTES); /* so that no copy is left behind when it grows */
    strbuf_addz(&value, "Bearer ");
    strbuf_add(&value, secret_reveal(token));
    struct secret *bearer = secret_new(strbuf_str(&value));
    secret_wipe(value.p, value.n);
    strbuf_done(&value);
    return bearer;
}

static int send_once(struct mcp_client *c, const struct http_send *send, struct secret **ret_token,
                     struct http_reply **ret, struct err *err) {
    struct secret *bearer cleanup(secret_free_p) = NULL;
    struct arena arena cleanup(arena_done) = {0};
    struct fields fields = {.n = 0};
    if (c->has_authorizer && c->authorizer.token(c->authorizer.arg, ret_token, err) < 0) {
        return -(int)err->code;
    }
    bearer = *ret_token ? bearer_value(*ret_token) : NULL;
    add_fields(&fields, c, send, bearer, &arena);
    struct http_call call = {
        .method = send->method,
        .url = c->o.url.p,
        .fields = fields.v,
        .n_fields = fields.n,
        .body = send->body,
        .idle_timeout_ms = send->total_timeout_ms,
        .total_timeout_ms = send->total_timeout_ms,
        .follow_redirects = true,
        .sent = send->x ? send->x->sent : NULL,
        .once = true, /* what may be sent again is decided above, by what it does */
    };
    if (http_call_open(&call, ret, err) < 0) {
        return err_prefix(err, "MCP server %.*s", STR_ARG(str_head(c->o.name, 64)));
    }
    return 0;
}

static bool is_challenge(const struct http_reply *reply) {
    int status = http_reply_status(reply);
    struct str how = http_reply_header(reply, "WWW-Authenticate");
    return status == 401 ||
           (status == 403 && how.p && str_find(how, STR("insufficient_scope")) != SIZE_MAX);
}

static int refused(const struct mcp_client *c, int status, struct err *err) {
    return client_err(c, err, ERR_UNAUTHORIZED,
                      status == 401 ? "it does not accept the credential (HTTP 401)"
                                    : "the credential does not allow this (HTTP %d)",
                      status);
}

int http_send(struct mcp_client *c, const struct http_send *send, struct http_reply **ret,
              struct err *err) {
    for (int challenges = 0;; challenges++) {
        struct http_reply *reply cleanup(http_reply_close_p) = NULL;
        struct secret *token cleanup(secret_free_p) = NULL;
        if (send_once(c, send, &token, &reply, err) < 0) {
            return -(int)err->code;
        }
        if (!is_challenge(reply)) {
            *ret = take(reply);
            return 0;
        }
        int status = http_reply_status(reply);
        if (!c->has_authorizer || challenges == CLIENT_MAX_CHALLENGES) {
            return refused(c, status, err);
        }
        struct arena arena cleanup(arena_done) = {0};
        struct str how = http_reply_header(reply, "WWW-Authenticate");
        how = arena_str(&arena, str_head(how.p ? how : STR_EMPTY, MAX_CHALLENGE_BYTES));
        http_reply_close(take(reply));
        if (c->authorizer.challenged(c->authorizer.arg, token, status, how, err) < 0) {
            return -(int)err->code;
        }
    }
}

/* ---- its answer ---- */

static bool has_type(const struct http_reply *reply, struct str wanted) {
    struct str type = http_reply_header(reply, "Content-Type");
    return type.p && str_eq_nocase(str_trim(str_cut(&type, ';')), wanted);
}

bool http_is_stream(const struct http_reply *reply) {
    return http_reply_status(reply) / 100 == 2 && has_type(reply, STR("text/event-stream"));
}

static int read_body(struct mcp_client *c, struct http_reply *reply, size_t max, struct strbuf *out,
                     struct err *err) {
    *out = STRBUF(max);
    for (struct str piece;;) {
        if (http_reply_read(reply, &piece, err) < 0) {
            return err_prefix(err, "MCP server %.*s", STR_ARG(str_head(c->o.name, 64)));
        }
        if (piece.n == 0) {
            return 0;
        }
        strbuf_add(out, piece);
        if (out->failed) {
            return client_err(c, err, ERR_LIMIT, "its answer is larger than %zu bytes", max);
        }
    }
}

static bool mentions_session(struct str text) {
    for (size_t i = 0; i + 7 <= text.n; i++) {
        if (str_eq_nocase((struct str){text.p + i, 7}, STR("session"))) {
            return true;
        }
    }
    return false;
}

static int status_error(const struct mcp_client *c, int status, struct err *err) {
    if (status >= 500 || status == 429 || status == 408) {
        return client_err(c, err, ERR_UNAVAILABLE, "it answers HTTP %d", status);
    }
    if (status == 403) {
        return refused(c, status, err);
    }
    return client_err(c, err, ERR_PROTOCOL, "it answers HTTP %d", status);
}

/* Neither 2xx nor a challenge. Servers that know MCP say in a JSON-RPC error what is wrong. */
static int read_refusal(struct mcp_exchange *x, struct http_reply *reply, struct err *err) {
    struct mcp_client *c = x->client;
    struct strbuf body cleanup(strbuf_done) = STRBUF(0);
    int status = http_reply_status(reply);
    if (read_body(c, reply, CLIENT_MAX_ERROR_BODY, &body, err) < 0) {
        return err->code == ERR_LIMIT ? status_error(c, status, err) : -(int)err->code;
    }
    bool in_session = c->session && c->generation == x->generation;
    if (in_session && (status == 404 || (status == 400 && mentions_session(strbuf_str(&body))))) {
        x->session_lost = true;
        return client_err(c, err, ERR_UNAVAILABLE, "it does not know our session any more");
    }
    struct err ignored;
    if (body.n == 0 || client_deliver(c, x, strbuf_str(&body), &ignored) < 0 || !x->done) {
        return status_error(c, status, err);
    }
    return 0;
}

static int read_json(struct mcp_exchange *x, struct http_reply *reply, struct err *err) {
    struct mcp_client *c = x->client;
    struct strbuf body cleanup(strbuf_done) = STRBUF(0);
    if (read_body(c, reply, MCP_MAX_RESULT_BYTES, &body, err) < 0) {
        x->unanswered = err->code == ERR_UNAVAILABLE;
        return -(int)err->code;
    }
    if (body.n == 0) {
        return client_err(c, err, ERR_PROTOCOL, "it answers %s with HTTP %d and nothing else",
                          x->method, http_reply_status(reply));
    }
    if (client_deliver(c, x, strbuf_str(&body), err) < 0) {
        return err_prefix(err, "MCP server %.*s", STR_ARG(str_head(c->o.name, 64)));
    }
    return x->done
               ? 0
               : client_err(c, err, ERR_PROTOCOL, "it answers %s with something else", x->method);
}

static int keep_session(struct mcp_client *c, const struct mcp_exchange *x,
                        const struct http_reply *reply, struct err *err) {
    struct str id = http_reply_header(reply, "Mcp-Session-Id");
    if (!x->uncancellable || !id.p || id.n == 0 || c->generation != x->generation) {
        return 0;
    }
    for (size_t i = 0; i < id.n; i++) {
        if (id.p[i] < 0x21 || id.p[i] > 0x7e) {
            return client_err(c, err, ERR_PROTOCOL, "its session id is not visible ASCII");
        }
    }
    if (id.n > CLIENT_MAX_SESSION_ID) {
        return client_err(c, err, ERR_PROTOCOL, "its session id is too long");
    }
    secret_free(c->session);
    c->session = secret_new(id);
    return 0;
}

static int send_and_read(struct mcp_exchange *x, struct err *err) {
    struct mcp_client *c = x->client;
    struct http_reply *reply cleanup(http_reply_close_p) = NULL;
    struct http_send send = {.method = "POST",
                             .body = strbuf_str(&x->body),
                             .x = x,
                             /* The exchange keeps the times. */
                             .total_timeout_ms = LONG_TIMEOUT_MS};
    if (http_send(c, &send, &reply, err) < 0) {
        return -(int)err->code;
    }
    int status = x->http_status = http_reply_status(reply);
    if (status / 100 != 2) {
        return read_refusal(x, reply, err);
    }
    if (keep_session(c, x, reply, err) < 0) {
        return -(int)err->code;
    }
    return http_is_stream(reply) ? http_stream_read(c, x, take(reply), err)
                                 : read_json(x, reply, err);
}

static void run(void *arg) {
    struct mcp_exchange *x = arg;
    struct err err;
    if (send_and_read(x, &err) < 0) {
        exchange_fail(x, &err);
    }
}

/* ---- the channel ---- */

static int http_start(struct mcp_client *c, struct err *err) {
    return c->o.url.n ? 0 : client_err(c, err, ERR_INVALID, "it has no URL");
}

static int http_restart(struct mcp_client *c, struct err *err) {
    (void)err;
    secret_free(take(c->session));
    return 0;
}

/* A fiber reads, so that the caller can meanwhile wait for its deadlines and answer the server. */
static int http_begin(struct mcp_exchange *x, struct err *err) {
    return fiber_spawn(&x->scope, "mcp exchange", run, x, NULL, err);
}

static int http_post(struct mcp_client *c, struct str message, struct err *err) {
    struct http_reply *reply cleanup(http_reply_close_p) = NULL;
    struct http_send send = {
        .method = "POST", .body = message, .total_timeout_ms = POST_TIMEOUT_MS};
    if (http_send(c, &send, &reply, err) < 0) {
        return -(int)err->code;
    }
    int status = http_reply_status(reply);
    return status / 100 == 2 ? 0 : status_error(c, status, err);
}

/* Servers may not care, or say 405: nothing depends on it. */
static void http_stop(struct mcp_client *c) {
    struct http_reply *reply cleanup(http_reply_close_p) = NULL;
    struct err err;
    struct http_send send = {.method = "DELETE", .total_timeout_ms = DELETE_TIMEOUT_MS};
    if (c->session && http_send(c, &send, &reply, &err) < 0) {
        log_debug("mcp", "%s", err.msg);
    }
}

const struct mcp_channel http_channel = {.start = http_start,
                                         .restart = http_restart,
                                         .send = http_begin,
                                         .post = http_post,
                                         .stop = http_stop};
