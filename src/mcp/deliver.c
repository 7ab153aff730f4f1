/* Where a message of the server goes. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/scan.h"
#include "mcp/client_internal.h"

static struct mcp_exchange *find_exchange(const struct mcp_client *c, struct str id) {
    list_each (node, (struct list *)&c->exchanges) {
        struct mcp_exchange *x = list_entry(node, struct mcp_exchange, node);
        if (!x->done && rpc_id_is(id, x->id)) {
            return x;
        }
    }
    return NULL;
}

static void finish(struct mcp_exchange *x, struct str text, struct err *err) {
    struct strbuf copy cleanup(strbuf_done) = STRBUF(text.n);
    struct arena arena cleanup(arena_done) = {0};
    struct rpc_message m;
    strbuf_add(&copy, text);
    if (rpc_read(strbuf_str(&copy), &arena, &m, err) == 0) {
        exchange_finish(x, &copy, &arena, &m);
    }
}

/* An error without an id belongs to the request on whose stream it came. */
static int take_response(struct mcp_client *c, struct mcp_exchange *via, struct str text,
                         const struct rpc_message *m, struct err *err) {
    struct mcp_exchange *x = NULL;
    if (!via) {
        x = find_exchange(c, m->id);
    } else if (rpc_id_is(m->id, via->id) || (m->is_error && str_eq(m->id, STR("null")))) {
        x = via;
    }
    if (!x) {
        log_debug("mcp", "server %.*s: an answer to no request of ours, id=%.*s",
                  STR_ARG(c->o.name), STR_ARG(str_head(m->id, 64)));
        return 0;
    }
    struct err ignored;
    finish(x, text, err ? err : &ignored);
    return 0;
}

static double number(struct str json) {
    json_auto_t *value = NULL;
    struct err err;
    return json.p && json_read(json, &value, &err) == 0 ? json_number_value(value) : 0;
}

static void take_progress(struct mcp_client *c, const struct rpc_message *m, struct arena *arena) {
    struct mcp_exchange *x = find_exchange(c, scan_get(m->params, "progressToken"));
    if (!x) {
        return;
    }
    x->active_us = clock_mono_us();
    if (x->on_progress) {
        struct mcp_progress p = {.progress = number(scan_get(m->params, "progress")),
                                 .total = number(scan_get(m->params, "total"))};
        struct str message = scan_get(m->params, "message");
        if (message.p) {
            (void)scan_text(arena, message, &p.message);
        }
        x->on_progress(x->on_progress_arg, &p);
    }
}

static void take_notification(struct mcp_client *c, const struct rpc_message *m,
                              struct arena *arena) {
    if (str_eq(m->method, STR("notifications/progress"))) {
        take_progress(c, m, arena);
    } else if (str_eq(m->method, STR("notifications/tools/list_changed"))) {
        listen_changed(c);
    }
}

/* ---- requests of the server ---- */

/* Which call a request belongs to is only known on a call's own stream; elsewhere the newest that
 * can answer takes it. */
static struct mcp_exchange *find_answerer(struct mcp_client *c, struct mcp_exchange *via) {
    if (via) {
        return via;
    }
    for (struct list *node = c->exchanges.prev; node != &c->exchanges; node = node->prev) {
        struct mcp_exchange *x = list_entry(node, struct mcp_exchange, node);
        if (!x->done && x->requests->handle) {
            return x;
        }
    }
    return NULL;
}

struct background_answer {
    struct mcp_client *client;
    struct server_request *request;
};

static void answer_in_background(void *arg) {
    struct background_answer *b = arg;
    server_request_answer(b->client, &b->client->o.requests, b->request);
    b->client->n_answering--;
    server_request_free(b->request);
    mem_free(b);
}

static void answer_beside(struct mcp_client *c, const struct rpc_message *m) {
    struct background_answer *b = mem_alloc(sizeof *b);
    *b = (struct background_answer){c, server_request_new(m)};
    if (!client_spawn(c, "mcp answer", answer_in_background, b)) {
        server_request_free(b->request);
        mem_free(b);
        return;
    }
    c->n_answering++;
}

/* Each is a fiber and a connection, and one message of the server can ask thousands of times: what
 * is too much stays unanswered. */
static void post_answer(struct mcp_client *c, struct str message) {
    if (c->n_posts < CLIENT_MAX_ANSWERS) {
        client_post_later(c, message);
    } else {
        log_debug("mcp", "server %.*s: it asks faster than it takes our answers",
                  STR_ARG(c->o.name));
    }
}

static void refuse(struct mcp_client *c, struct str id, int64_t code, struct str why) {
    struct strbuf message cleanup(strbuf_done) = STRBUF(1024);
    rpc_write_error(&message, id, code, why, STR_EMPTY);
    post_answer(c, strbuf_str(&message));
}

static void take_request(struct mcp_client *c, struct mcp_exchange *via,
                         const struct rpc_message *m) {
    if (str_eq(m->method, STR("ping"))) {
        struct strbuf message cleanup(strbuf_done) = STRBUF(1024);
        rpc_write_result(&message, m->id, STR("{}"));
        post_answer(c, strbuf_str(&message));
        return;
    }
    struct mcp_exchange *x = find_answerer(c, via);
    if (x ? x->n_inbox >= CLIENT_MAX_INBOX : c->n_answering >= CLIENT_MAX_ANSWERS) {
        refuse(c, m->id, RPC_INTERNAL_ERROR, STR("too many requests at once"));
    } else if (x) {
        x->n_inbox++;
        list_push(&x->inbox, &server_request_new(m)->node);
        fiber_broadcast(&x->changed);
    } else if (c->o.requests.handle) {
        answer_beside(c, m);
    } else {
        refuse(c, m->id, RPC_METHOD_NOT_FOUND, STR("method not found"));
    }
}

static int take_message(struct mcp_client *c, struct mcp_exchange *via, struct str text,
                        struct err *err) {
    struct arena arena cleanup(arena_done) = {0};
    struct rpc_message m;
    if (rpc_read(text, &arena, &m, err) < 0) {
        err->code = ERR_PROTOCOL;
        return -(int)err->code;
    }
    switch (m.kind) {
    case RPC_RESPONSE:
        return take_response(c, via, text, &m, err);
    case RPC_NOTIFICATION:
        take_notification(c, &m, &arena);
        return 0;
    case RPC_REQUEST:
        take_request(c, via, &m);
        return 0;
    }
    return 0;
}

int client_deliver(struct mcp_client *c, struct mcp_exchange *via, struct str text,
                   struct err *err) {
    struct scan s = scan_begin(text);
    struct str one;
    bool first = true;
    /* Until 2025-03-26 several messages could come as one array. */
    if (!scan_open(&s, '[')) {
        return take_message(c, via, text, err);
    }
    while (scan_element(&s, &first, &one)) {
        if (take_message(c, via, one, err) < 0) {
            return -(int)err->code;
        }
    }
    return one.p ? err_set(err, ERR_PROTOCOL, "not valid JSON") : 0;
}
