/* One request of ours in flight. Its caller's fiber waits here, answers what the server asks in the
 * meantime, and keeps the times; the channel's fibers bring the answer. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/scan.h"
#include "mcp/client_internal.h"

enum {
    MAX_CANCEL_BYTES = 512,
    EARLY_MS = 20,
    MAX_ANSWER_MS = 5 * 60 * 1000, /* of whoever answers the server */
};

void exchange_init(struct mcp_exchange *x, struct mcp_client *c, const char *method) {
    *x = (struct mcp_exchange){
        .client = c,
        .generation = c->generation,
        .id = ++c->last_id,
        .method = method,
        .body = STRBUF(CLIENT_MAX_REQUEST_BYTES),
        .requests = &c->o.requests,
        .idle_timeout_ms = c->o.idle_timeout_ms,
        .absolute_timeout_ms = c->o.absolute_timeout_ms,
    };
    client_ref(c);
    list_init(&x->inbox);
    fiber_cond_init(&x->changed);
    fiber_scope_init(&x->scope);
}

void exchange_done(struct mcp_exchange *x) {
    list_remove(&x->node);
    fiber_scope_done(&x->scope);
    for (struct list *node; (node = list_pop(&x->inbox));) {
        server_request_free(list_entry(node, struct server_request, node));
    }
    strbuf_done(&x->body);
    strbuf_done(&x->text);
    arena_done(&x->arena);
    client_unref(x->client);
}

/* ---- the request ---- */

static void write_meta(struct mcp_exchange *x, struct jsonw *w, struct str theirs,
                       struct str idempotency_key, bool with_progress) {
    struct mcp_client *c = x->client;
    jsonw_key(w, "_meta");
    jsonw_object(w);
    if (c->era == MCP_ERA_MODERN) {
        jsonw_kstrz(w, CLIENT_META "protocolVersion", mcp_revision_name(c->revision));
        jsonw_key(w, CLIENT_META "clientInfo");
        jsonw_raw(w, STR(CLIENT_INFO));
        struct strbuf declared cleanup(strbuf_done) = STRBUF(1024);
        server_request_capabilities(x->requests, &declared);
        jsonw_kraw(w, CLIENT_META "clientCapabilities", strbuf_str(&declared));
    }
    if (with_progress) {
        jsonw_kint(w, "progressToken", x->id);
    }
    if (idempotency_key.n) {
        jsonw_kstr(w, CLIENT_IDEMPOTENCY_KEY, idempotency_key);
    }
    struct str inside = str_trim(theirs);
    if (inside.n > 2) { /* what stands between the braces */
        inside = str_trim((struct str){inside.p + 1, inside.n - 2});
    }
    if (inside.n && inside.p[0] == '"') {
        strbuf_addz(w->out, w->comma ? "," : "");
        strbuf_add(w->out, inside);
    }
    jsonw_end_object(w);
}

void exchange_write(struct mcp_exchange *x, struct str params, struct str idempotency_key,
                    bool with_progress) {
    struct scan s = scan_begin(params);
    struct str key, value, their_meta = {0};
    bool first = true;
    struct jsonw w = jsonw_begin(&x->body);
    jsonw_object(&w);
    jsonw_kstrz(&w, "jsonrpc", "2.0");
    jsonw_kint(&w, "id", x->id);
    jsonw_kstrz(&w, "method", x->method);
    jsonw_key(&w, "params");
    jsonw_object(&w);
    if (params.n && scan_open(&s, '{')) {
        while (scan_member_value(&s, &first, &key, &value)) {
            if (scan_is(key, "_meta")) {
                their_meta = value;
                continue;
            }
            strbuf_addz(&x->body, w.comma ? ",\"" : "\"");
            strbuf_add(&x->body, key);
            strbuf_addz(&x->body, "\":");
            strbuf_add(&x->body, value);
            w.comma = true;
        }
    }
    if (x->client->era == MCP_ERA_MODERN || with_progress || idempotency_key.n || their_meta.n) {
        write_meta(x, &w, their_meta, idempotency_key, with_progress);
    }
    jsonw_end_object(&w);
    jsonw_end_object(&w);
}

/* ---- its end ---- */

static void end(struct mcp_exchange *x, int rc) {
    x->rc = rc;
    x->done = true;
    fiber_broadcast(&x->changed);
}

void exchange_finish(struct mcp_exchange *x, struct strbuf *text, struct arena *arena,
                     const struct rpc_message *response) {
    if (x->done) {
        return;
    }
    x->text = *text;
    x->arena = *arena;
    x->response = *response;
    *text = (struct strbuf){0};
    *arena = (struct arena){0};
    end(x, 0);
}

void exchange_fail(struct mcp_exchange *x, const struct err *err) {
    if (!x->done) {
        x->err = *err;
        end(x, -(int)err->code);
    }
}

void exchange_fail_all(struct mcp_client *c, const struct err *err) {
    list_each (node, &c->exchanges) {
        struct mcp_exchange *x = list_entry(node, struct mcp_exchange, node);
        x->unanswered = !x->done;
        exchange_fail(x, err);
    }
}

/* ---- waiting ---- */

static void cancel_remotely(const struct mcp_exchange *x, const char *reason) {
    struct mcp_client *c = x->client;
    bool stream_is_enough = c->o.transport == MCP_HTTP && c->era == MCP_ERA_MODERN;
    if (x->uncancellable || stream_is_enough || c->closing || c->generation != x->generation) {
        return;
    }
    struct strbuf params cleanup(strbuf_done) = STRBUF(MAX_CANCEL_BYTES);
    struct strbuf message cleanup(strbuf_done) = STRBUF(MAX_CANCEL_BYTES);
    struct jsonw w = jsonw_begin(&params);
    jsonw_object(&w);
    jsonw_kint(&w, "requestId", x->id);
    jsonw_kstrz(&w, "reason", reason);
    jsonw_end_object(&w);
    rpc_write_notification(&message, "notifications/cancelled", strbuf_str(&params));
    client_post_later(c, strbuf_str(&message));
}

static int64_t left_ms(int64_t since_us, int64_t timeout_ms) {
    int64_t left = since_us + timeout_ms * 1000 - clock_mono_us();
    return left <= 0 ? 0 : left / 1000 + 1;
}

/* Milliseconds until the nearer of the two ends; 0: it has come, and *ret_idle says which. */
static int64_t patience(const struct mcp_exchange *x, int64_t began_us, bool *ret_idle) {
    if (x->absolute_timeout_ms == FIBER_FOREVER) {
        return FIBER_FOREVER;
    }
    int64_t absolute = left_ms(began_us, x->absolute_timeout_ms);
    int64_t idle = left_ms(x->active_us, x->idle_timeout_ms);
    *ret_idle = idle < absolute;
    return MIN(idle, absolute);
}

/* While a person is asked the server is not to blame for the time: it does not count. */
static void answer_one(struct mcp_exchange *x, int64_t *began_us) {
    struct server_request *r = list_entry(list_pop(&x->inbox), struct server_request, node);
    struct fiber_timeout timeout;
    int64_t asked_us = clock_mono_us();
    x->n_inbox--;
    fiber_timeout_start(&timeout, MAX_ANSWER_MS);
    server_request_answer(x->client, x->requests, r);
    fiber_timeout_stop(&timeout);
    server_request_free(r);
    x->active_us = clock_mono_us();
    *began_us += x->active_us - asked_us;
}

static int stop_waiting(struct mcp_exchange *x, int rc, bool idle, struct err *err) {
    struct mcp_client *c = x->client;
    struct err why;
    if (rc == -ERR_CANCELLED) {
        client_err(c, &why, ERR_CANCELLED, "%s was cancelled", x->method);
    } else if (rc == 0) {
        client_err(c, &why, ERR_TIMEOUT, "%s: no answer within %lld s%s", x->method,
                   (long long)((idle ? x->idle_timeout_ms : x->absolute_timeout_ms) / 1000),
                   idle ? "" : " in all");
    } else {
        client_err(c, &why, ERR_TIMEOUT, "%s: no answer in time", x->method);
    }
    cancel_remotely(x, rc == -ERR_CANCELLED ? "cancelled" : "timeout");
    exchange_fail(x, &why);
    *err = x->err;
    return x->rc;
}

static int wait_for_answer(struct mcp_exchange *x, struct err *err) {
    int64_t began_us = x->active_us;
    bool idle = false;
    for (;;) {
        if (x->done) {
            *err = x->err;
            return x->rc;
        }
        if (!list_empty(&x->inbox)) {
            answer_one(x, &began_us);
            continue;
        }
        int64_t ms = patience(x, began_us, &idle), wait_began_us = clock_mono_us();
        int rc = ms == 0 ? 0 : fiber_wait(&x->changed, ms);
        /* A timer may be a little early; a wait that ended long before was ended from outside. */
        bool from_outside =
            rc == -ERR_TIMEOUT && (ms == FIBER_FOREVER || left_ms(wait_began_us, ms) > EARLY_MS);
        if (ms == 0 || ((rc == -ERR_CANCELLED || from_outside) && !x->done)) {
            return stop_waiting(x, rc, idle, err);
        }
    }
}

int exchange_run(struct mcp_exchange *x, struct err *err) {
    struct mcp_client *c = x->client;
    if (strbuf_check(&x->body, "the request", err) < 0) {
        return -(int)err->code;
    }
    if (c->closing) {
        return client_err(c, err, ERR_UNAVAILABLE, "the connection was closed");
    }
    list_push(&c->exchanges, &x->node);
    x->active_us = clock_mono_us();
    int rc = c->channel->send(x, err);
    rc = rc < 0 ? rc : wait_for_answer(x, err);
    list_remove(&x->node);
    fiber_scope_done(&x->scope);
    return rc;
}
