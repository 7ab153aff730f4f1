/* Sockets whose key or session has ended. A socket asks for nothing while it is idle, so nobody
 * would notice: those of a user are looked at when this process ended a key of theirs, within
 * seconds when another process tells of it, and all of them every minute. What is held back for a
 * socket until its key was looked at, or until it took what it had, is sent from here. */
#include "api/ws_session.h"

#include "base/clock.h"

enum {
    LOOK_EVERY_MS = 5 * 1000,
    HELD_LOOK_MS = 250,
    AT_ONCE = 64, /* looked at before others may run */
    WS_POLICY_VIOLATION = 1008,
};
#define LOOK_AT_ALL_EVERY_US (60 * INT64_C(1000000))
#define LOOK_AGAIN_US INT64_C(1000000) /* where it is not known */

static uint64_t epoch_of(const struct ws_session *s) {
    struct user_epochs *epochs = s->gateway->epochs;
    return epochs ? user_epoch(epochs, s->user_id) : 0;
}

/* Anything but a clear no leaves the socket alone: the database may be away, or the request that
 * ended the key, whose peer is gone with the answer. Such a socket is looked at again soon. */
static void look_at(struct ws_session *s) {
    struct arena arena cleanup(arena_done) = {0};
    struct principal principal;
    struct err err;
    s->seen_epoch = epoch_of(s);
    s->seen_us = clock_mono_us();
    s->looking++;
    s->in_doubt = false;
    int rc = auth_recheck(s->gateway->auth, secret_reveal(s->key), secret_reveal(s->cookie), &arena,
                          &principal, &err);
    s->looking--;
    s->in_doubt |= rc < 0 && rc != -ERR_UNAUTHORIZED;
    bool other = rc == 0 && !str_eq(principal.user_id, s->user_id);
    if ((rc == -ERR_UNAUTHORIZED || other) && s->ws) {
        websocket_close(s->ws, WS_POLICY_VIOLATION, STR("the key is not valid any more"));
        ws_feed_forget(s);
    }
}

bool ws_watch_is_current(const struct ws_session *s) {
    return !s->looking && !s->in_doubt && s->seen_epoch == epoch_of(s);
}

/* The list turns by one with each socket, as any look may let sockets come and go. */
static void look_at_those(struct gateway *g, bool (*is_due)(struct ws_session *s, const void *arg),
                          const void *arg) {
    size_t n = g->n_ws_sessions;
    for (size_t i = 0; i < n; i++) {
        struct list *node = list_pop(&g->ws_sessions);
        if (!node) {
            return;
        }
        struct ws_session *s = list_entry(node, struct ws_session, in_gateway);
        list_push(&g->ws_sessions, node);
        if (is_due(s, arg)) {
            ws_session_ref(s);
            look_at(s);
            ws_session_unref(s);
        }
        if (i % AT_ONCE == AT_ONCE - 1) {
            fiber_yield();
        }
    }
}

static bool is_of_user(struct ws_session *s, const void *arg) {
    const struct str *user = arg;
    return user->n == 0 || str_eq(s->user_id, *user);
}

void ws_watch_look(struct gateway *g, struct str user_id) {
    look_at_those(g, is_of_user, &user_id);
}

/* ---- the watcher: lives while there are sockets ---- */

static bool is_due(struct ws_session *s, const void *arg) {
    const int64_t *now_us = arg;
    int64_t enough_us = s->in_doubt ? LOOK_AGAIN_US : LOOK_AT_ALL_EVERY_US;
    return s->seen_epoch != epoch_of(s) || *now_us - s->seen_us >= enough_us;
}

static void watch(void *arg) {
    struct gateway *g = arg;
    while (g->n_ws_sessions > 0 &&
           fiber_wait(&g->ws_look, g->n_ws_held ? HELD_LOOK_MS : LOOK_EVERY_MS) != -ERR_CANCELLED) {
        int64_t now_us = clock_mono_us();
        look_at_those(g, is_due, &now_us);
        list_each (node, &g->ws_sessions) {
            if (g->n_ws_held > 0) {
                ws_feed_release(list_entry(node, struct ws_session, in_gateway));
            }
        }
    }
    g->ws_watcher = NULL;
}

int ws_watch_add(struct ws_session *s, struct err *err) {
    struct gateway *g = s->gateway;
    if (!g->ws_watcher && fiber_spawn(&g->sockets, "ws watch", watch, g, &g->ws_watcher, err) < 0) {
        return -(int)err->code;
    }
    s->seen_epoch = epoch_of(s);
    s->seen_us = clock_mono_us();
    list_push(&g->ws_sessions, &s->in_gateway);
    g->n_ws_sessions++;
    return 0;
}

void ws_watch_remove(struct ws_session *s) {
    list_remove(&s->in_gateway);
    s->gateway->n_ws_sessions--;
}
