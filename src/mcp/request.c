/* A request until it has its answer, over lost sessions and lost connections. */
#include "mcp/client_internal.h"

void request_result_done(struct request_result *r) {
    strbuf_done(&r->text);
    arena_done(&r->arena);
}

static int ask_once(struct mcp_client *c, const struct request_spec *spec,
                    struct request_result *ret, bool *ret_session_lost, bool *ret_unanswered,
                    struct err *err) {
    struct mcp_exchange x cleanup(exchange_done);
    exchange_init(&x, c, spec->method);
    x.name = spec->name;
    x.mirror = spec->mirror;
    x.requests = spec->requests ? spec->requests : x.requests;
    x.sent = spec->sent;
    x.on_progress = spec->on_progress;
    x.on_progress_arg = spec->on_progress_arg;
    x.idle_timeout_ms = spec->idle_timeout_ms ? spec->idle_timeout_ms : x.idle_timeout_ms;
    x.absolute_timeout_ms =
        spec->absolute_timeout_ms ? spec->absolute_timeout_ms : x.absolute_timeout_ms;
    exchange_write(&x, spec->params, spec->idempotency_key, spec->with_progress);
    int rc = exchange_run(&x, err);
    if (x.session_lost) {
        client_lost(c, x.generation);
    }
    *ret_session_lost = x.session_lost;
    *ret_unanswered = x.unanswered;
    if (rc == 0) {
        *ret = (struct request_result){x.response, x.text, x.arena};
        x.text = (struct strbuf){0};
        x.arena = (struct arena){0};
    }
    return rc;
}

int client_request(struct mcp_client *c, const struct request_spec *spec,
                   struct request_result *ret, struct err *err) {
    for (int sessions = 0, losses = 0;;) {
        bool session_lost, unanswered;
        if (mcp_client_connect(c, err) < 0) {
            return -(int)err->code;
        }
        int rc = ask_once(c, spec, ret, &session_lost, &unanswered, err);
        if (rc == 0 || c->closing) {
            return rc;
        }
        /* Without a session nothing was done, so the request may always be sent again. */
        if (session_lost && sessions++ == 0) {
            if (spec->sent) {
                *spec->sent = false;
            }
            continue;
        }
        if (unanswered && spec->repeatable && losses++ == 0) {
            continue;
        }
        return rc;
    }
}

int request_refused(const struct mcp_client *c, const struct rpc_message *m, struct err *err) {
    enum err_code code = m->error_code == RPC_INTERNAL_ERROR ? ERR_PROTOCOL : ERR_INVALID;
    return client_err(c, err, code, "%.*s (%lld)", STR_ARG(str_utf8_head(m->error_message, 150)),
                      (long long)m->error_code);
}
