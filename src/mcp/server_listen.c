/* News for clients: subscriptions/listen (modern), and notifications on a session's own stream
 * (legacy). */
#include "base/mem.h"
#include "mcp/server_internal.h"

struct listener {
    struct list in_endpoint;
    struct mcp_request *request;
    bool changes[3]; /* by enum mcp_change */
    const json_t *uris;
};

static const struct {
    const char *filter, *method;
} kinds[] = {
    [MCP_CHANGE_TOOLS] = {"toolsListChanged", "notifications/tools/list_changed"},
    [MCP_CHANGE_RESOURCES] = {"resourcesListChanged", "notifications/resources/list_changed"},
    [MCP_CHANGE_PROMPTS] = {"promptsListChanged", "notifications/prompts/list_changed"},
};

static void write_subscription(const struct listener *l, struct jsonw *w) {
    jsonw_key(w, "_meta");
    jsonw_object(w);
    jsonw_kraw(w, MCP_META "subscriptionId", l->request->id);
    jsonw_end_object(w);
}

/* ---- listening ---- */

static bool offers(const struct mcp_server *s, enum mcp_change what) {
    return s->changes && (what == MCP_CHANGE_TOOLS       ? s->tools != NULL
                          : what == MCP_CHANGE_RESOURCES ? s->resources || s->templates
                                                         : s->prompts != NULL);
}

/* What of the filter is honoured here. */
static int read_filter(struct listener *l, struct err *err) {
    struct mcp_request *r = l->request;
    const struct mcp_server *s = r->endpoint->options.server;
    const json_t *filter = json_object_get(r->params, "notifications");
    const json_t *uris = json_object_get(filter, "resourceSubscriptions");
    if (!json_is_object(filter)) {
        return mcp_request_refuse(r, 400, RPC_INVALID_PARAMS, err,
                                  "params.notifications: must be an object");
    }
    if (json_array_size(uris) > MCP_MAX_SUBSCRIPTIONS) {
        return mcp_request_refuse(r, 400, RPC_INVALID_PARAMS, err, "more than %d subscriptions",
                                  MCP_MAX_SUBSCRIPTIONS);
    }
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        l->changes[i] = json_bool(filter, kinds[i].filter, false) && offers(s, (enum mcp_change)i);
    }
    l->uris = s->subscriptions && json_is_array(uris) ? uris : NULL;
    return 0;
}

static void acknowledge(struct listener *l) {
    struct strbuf params cleanup(strbuf_done) = STRBUF(MCP_MAX_STREAM_BYTES);
    struct jsonw w = jsonw_begin(&params);
    jsonw_object(&w);
    write_subscription(l, &w);
    jsonw_key(&w, "notifications");
    jsonw_object(&w);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (l->changes[i]) {
            jsonw_kbool(&w, kinds[i].filter, true);
        }
    }
    if (l->uris) {
        jsonw_key(&w, "resourceSubscriptions");
        jsonw_tree(&w, l->uris);
    }
    jsonw_end_object(&w);
    jsonw_end_object(&w);
    mcp_request_notify(l->request, "notifications/subscriptions/acknowledged", strbuf_str(&params));
}

int mcp_listen(struct mcp_request *r, struct jsonw *w, struct err *err) {
    struct mcp_endpoint *e = r->endpoint;
    struct listener l = {.request = r};
    int rc = read_filter(&l, err);
    (void)w;
    if (rc < 0) {
        return rc;
    }
    if (r->one_answer) {
        return mcp_request_refuse(r, 406, RPC_INVALID_REQUEST, err,
                                  "the client must accept text/event-stream");
    }
    if (r->user->listeners >= e->options.max_listeners_per_user) {
        return mcp_request_refuse(r, 429, RPC_INVALID_REQUEST, err, "more than %u listeners",
                                  e->options.max_listeners_per_user);
    }
    acknowledge(&l);
    r->user->listeners++;
    e->stats.listeners++;
    list_push(&e->listeners, &l.in_endpoint);
    while (!e->stopping && rc == 0) {
        rc = fiber_wait(&e->stop, FIBER_FOREVER); /* until the client goes, or the endpoint does */
    }
    list_remove(&l.in_endpoint);
    e->stats.listeners--;
    r->user->listeners--;
    return rc < 0 && !e->stopping ? err_set(err, ERR_CANCELLED, "cancelled") : 0;
}

/* ---- telling ---- */

static bool is_for(const struct mcp_user *u, struct str user_id) {
    return user_id.n == 0 || str_eq(mcp_user_id(u), user_id);
}

/* On a session's own stream, when there is one; what stands there already is not said twice. */
static void tell_session(struct mcp_session *s, const char *method, struct str params) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(MCP_MAX_STREAM_BYTES);
    struct mcp_stream *own = s->own;
    rpc_write_notification(&text, method, params);
    if (!own || text.failed || !s->initialized) {
        return;
    }
    struct mcp_message *m = NULL;
    for (uint64_t seq = own->sent_seq; (m = mcp_stream_after(own, seq)); seq = m->seq) {
        if (str_eq((struct str){m->text, m->n}, strbuf_str(&text))) {
            return;
        }
    }
    mcp_stream_push(own, strbuf_str(&text), true);
}

void mcp_endpoint_changed(struct mcp_endpoint *e, enum mcp_change what, struct str user_id) {
    if (!offers(e->options.server, what)) {
        return;
    }
    list_each (node, &e->listeners) {
        struct listener *l = list_entry(node, struct listener, in_endpoint);
        struct strbuf params cleanup(strbuf_done) = STRBUF(4096);
        struct jsonw w = jsonw_begin(&params);
        if (!l->changes[what] || !is_for(l->request->user, user_id)) {
            continue;
        }
        jsonw_object(&w);
        write_subscription(l, &w);
        jsonw_end_object(&w);
        mcp_request_notify(l->request, kinds[what].method, strbuf_str(&params));
    }
    list_each (node, &e->idle_order) {
        struct mcp_session *s = list_entry(node, struct mcp_session, in_idle_order);
        if (is_for(s->user, user_id)) {
            tell_session(s, kinds[what].method, STR_EMPTY);
        }
    }
}

static bool listens_to(const struct listener *l, struct str uri) {
    for (size_t i = 0; i < json_array_size(l->uris); i++) {
        if (str_eq(json_value_str(json_array_get(l->uris, i)), uri)) {
            return true;
        }
    }
    return false;
}

void mcp_endpoint_resource_updated(struct mcp_endpoint *e, struct str uri, struct str user_id) {
    list_each (node, &e->listeners) {
        struct listener *l = list_entry(node, struct listener, in_endpoint);
        struct strbuf params cleanup(strbuf_done) = STRBUF(MCP_MAX_STREAM_BYTES);
        struct jsonw w = jsonw_begin(&params);
        if (!is_for(l->request->user, user_id) || !listens_to(l, uri)) {
            continue;
        }
        jsonw_object(&w);
        write_subscription(l, &w);
        jsonw_kstr(&w, "uri", uri);
        jsonw_end_object(&w);
        mcp_request_notify(l->request, "notifications/resources/updated", strbuf_str(&params));
    }
    list_each (node, &e->idle_order) {
        struct mcp_session *s = list_entry(node, struct mcp_session, in_idle_order);
        struct strbuf params cleanup(strbuf_done) = STRBUF(MCP_MAX_STREAM_BYTES);
        struct jsonw w = jsonw_begin(&params);
        if (!is_for(s->user, user_id) || !mcp_session_subscribed(s, uri)) {
            continue;
        }
        jsonw_object(&w);
        jsonw_kstr(&w, "uri", uri);
        jsonw_end_object(&w);
        tell_session(s, "notifications/resources/updated", strbuf_str(&params));
    }
}
