#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/mem.h"
#include "mcp/server_internal.h"

static struct mcp_session *session_alloc(struct mcp_endpoint *e, struct mcp_user *u) {
    struct mcp_session *s = mem_alloc(sizeof *s);
    s->refs = 1;
    s->endpoint = e;
    s->user = u;
    s->revision = MCP_2025_11_25;
    s->log_level = MCP_LOG_INFO;
    s->used_us = clock_mono_us();
    list_init(&s->requests);
    list_init(&s->questions);
    list_init(&s->streams);
    return s;
}

struct mcp_session *mcp_session_stdio(struct mcp_endpoint *e, struct mcp_user *u) {
    struct mcp_session *s = session_alloc(e, u);
    s->own = mcp_stream_new(e, NULL);
    s->own->shared = true;
    list_push(&e->idle_order, &s->in_idle_order);
    return s;
}

static bool is_idle(const struct mcp_session *s) {
    return s->id[0] && s->attached == 0 && list_empty(&s->requests);
}

/* Closes those that nobody used for long, and one more when the user or the endpoint has as many as
 * it may: the one used longest ago. */
static bool make_room(struct mcp_endpoint *e, const struct mcp_user *u) {
    const struct mcp_endpoint_options *o = &e->options;
    int64_t oldest_us = clock_mono_us() - o->session_idle_ms * 1000;
    struct mcp_session *own = NULL, *any = NULL;
    list_each (node, &e->idle_order) {
        struct mcp_session *s = list_entry(node, struct mcp_session, in_idle_order);
        if (!is_idle(s)) {
            continue;
        }
        if (s->used_us < oldest_us) {
            mcp_session_close(s);
            continue;
        }
        any = any ? any : s;
        own = !own && s->user == u ? s : own;
    }
    if (u->sessions >= o->max_sessions_per_user) {
        if (!own) {
            return false;
        }
        any = own == any ? NULL : any;
        mcp_session_close(own);
    }
    if (e->stats.sessions >= o->max_sessions && any) {
        mcp_session_close(any);
    }
    return e->stats.sessions < o->max_sessions;
}

struct mcp_session *mcp_session_new(struct mcp_endpoint *e, struct mcp_user *u) {
    uint8_t random[MCP_SESSION_ID_BYTES];
    struct strbuf id cleanup(strbuf_done) = STRBUF(MCP_SESSION_ID_LEN);
    if (!make_room(e, u)) {
        return NULL;
    }
    struct mcp_session *s = session_alloc(e, u);
    crypto_random(random, sizeof random);
    crypto_base64url(&id, (struct str){(const char *)random, sizeof random});
    snprintf(s->id, sizeof s->id, "%s", strbuf_z(&id));
    map_put(&e->sessions, strbuf_str(&id), s);
    list_push(&e->idle_order, &s->in_idle_order);
    u->sessions++;
    e->stats.sessions++;
    return s;
}

struct mcp_session *mcp_session_find(struct mcp_endpoint *e, struct str id, struct str user_id) {
    struct mcp_session *s = id.n == MCP_SESSION_ID_LEN ? map_get(&e->sessions, id) : NULL;
    if (!s || !str_eq(mcp_user_id(s->user), user_id)) {
        return NULL;
    }
    int64_t now = clock_mono_us();
    if (is_idle(s) && now - s->used_us > e->options.session_idle_ms * 1000) {
        mcp_session_close(s);
        return NULL;
    }
    s->used_us = now;
    list_remove(&s->in_idle_order);
    list_push(&e->idle_order, &s->in_idle_order);
    return s;
}

struct mcp_session *mcp_session_ref(struct mcp_session *s) {
    s->refs++;
    return s;
}

void mcp_session_unref(struct mcp_session *s) {
    if (!s || --s->refs > 0) {
        return;
    }
    for (unsigned i = 0; i < s->n_subscriptions; i++) {
        mem_free(s->subscriptions[i]);
    }
    json_decref(s->capabilities);
    json_decref(s->client_info);
    mem_free(s);
}

void mcp_session_close(struct mcp_session *s) {
    struct mcp_endpoint *e = s->endpoint;
    if (s->closed) {
        return;
    }
    s->closed = true;
    list_each (node, &s->requests) {
        mcp_dispatch_cancel(list_entry(node, struct mcp_request, in_session));
    }
    if (s->own) {
        s->own->shared = false;
        s->own->finished = true;
        fiber_broadcast(&s->own->changed);
        mcp_stream_unref(take(s->own));
    }
    list_each (node, &s->streams) {
        mcp_stream_forget(list_entry(node, struct mcp_stream, in_session));
    }
    if (s->id[0]) {
        map_remove(&e->sessions, str_z(s->id));
        s->user->sessions--;
        e->stats.sessions--;
    }
    list_remove(&s->in_idle_order);
    mcp_session_unref(s);
}

/* ---- questions and requests of a session ---- */

void mcp_session_answer(struct mcp_session *s, const struct rpc_message *m) {
    list_each (node, &s->questions) {
        struct mcp_question *q = list_entry(node, struct mcp_question, in_session);
        if (!q->answered && str_eq(m->id, str_z(q->id))) {
            struct err err;
            q->answered = true;
            if (!m->is_error && json_read(m->result, &q->result, &err) < 0) {
                log_info("mcp", "a client's answer is not usable: %s", err.msg);
            }
            fiber_broadcast(&q->changed);
            return;
        }
    }
}

struct mcp_request *mcp_session_request(const struct mcp_session *s, struct str id) {
    list_each (node, &s->requests) {
        struct mcp_request *r = list_entry(node, struct mcp_request, in_session);
        if (str_eq(r->id, id)) {
            return r;
        }
    }
    return NULL;
}

/* ---- subscriptions to resources ---- */

static unsigned subscription(const struct mcp_session *s, struct str uri) {
    unsigned i = 0;
    while (i < s->n_subscriptions && !str_eq(str_z(s->subscriptions[i]), uri)) {
        i++;
    }
    return i;
}

bool mcp_session_subscribed(const struct mcp_session *s, struct str uri) {
    return subscription(s, uri) < s->n_subscriptions;
}

bool mcp_session_subscribe(struct mcp_session *s, struct str uri) {
    if (mcp_session_subscribed(s, uri)) {
        return true;
    }
    if (s->n_subscriptions == MCP_MAX_SUBSCRIPTIONS) {
        return false;
    }
    s->subscriptions[s->n_subscriptions++] = str_dup_z(uri);
    return true;
}

void mcp_session_unsubscribe(struct mcp_session *s, struct str uri) {
    unsigned i = subscription(s, uri);
    if (i < s->n_subscriptions) {
        mem_free(s->subscriptions[i]);
        s->subscriptions[i] = s->subscriptions[--s->n_subscriptions];
    }
}
