/* What changed, told to a socket that asked for it ("watch"). A socket that does not take what it
 * has, or whose key must be looked at first, is told later: a few frames are kept for it, and when
 * more come, "all". */
#include "api/ws_session.h"

enum {
    ENOUGH_UNSENT_BYTES = 64 * 1024,
    MAX_HELD_BYTES = 4096,
};

#define ALL "{\"type\":\"changed\",\"what\":\"all\"}\n"

static bool may_be_told(const struct ws_session *s) {
    return ws_watch_is_current(s) && websocket_unsent(s->ws) <= ENOUGH_UNSENT_BYTES;
}

static void hold(struct ws_session *s, struct str json) {
    struct gateway *g = s->gateway;
    if (s->held.n == 0) {
        g->n_ws_held++;
        fiber_signal(&g->ws_look);
    }
    if (str_eq(strbuf_str(&s->held), STR(ALL))) {
        return;
    }
    strbuf_add(&s->held, json);
    strbuf_addc(&s->held, '\n');
    if (s->held.failed) {
        strbuf_reset(&s->held);
        strbuf_addz(&s->held, ALL);
    }
}

static void on_change(struct str json, void *session) {
    struct ws_session *s = session;
    if (!s->ws) {
        return;
    }
    if (s->held.n == 0 && may_be_told(s)) {
        websocket_send(s->ws, &json, 1);
    } else {
        hold(s, json);
    }
}

void ws_feed_release(struct ws_session *s) {
    struct strbuf held cleanup(strbuf_done) = STRBUF(MAX_HELD_BYTES);
    if (s->held.n == 0 || !s->ws || !may_be_told(s)) {
        return;
    }
    strbuf_add(&held, strbuf_str(&s->held));
    ws_feed_forget(s);
    struct str lines = strbuf_str(&held);
    ws_session_ref(s); /* it may be closed for being too slow */
    while (lines.n && s->ws) {
        struct str json = str_cut(&lines, '\n');
        websocket_send(s->ws, &json, 1);
    }
    ws_session_unref(s);
}

void ws_feed_forget(struct ws_session *s) {
    s->gateway->n_ws_held -= s->held.n > 0;
    strbuf_done(&s->held);
    s->held = STRBUF(MAX_HELD_BYTES);
}

void ws_feed_begin(struct ws_session *s) {
    struct feed *feed = s->gateway->feed;
    if (s->watcher.user || !feed) {
        return;
    }
    s->held = STRBUF(MAX_HELD_BYTES);
    s->watcher.on_change = on_change;
    s->watcher.arg = s;
    feed_watch(feed, s->user_id, &s->watcher);
    if (!s->ws) {
        feed_unwatch(feed, &s->watcher);
    }
}

void ws_feed_end(struct ws_session *s) {
    if (s->gateway->feed) {
        feed_unwatch(s->gateway->feed, &s->watcher);
        ws_feed_forget(s);
    }
}
