/* Subscriptions of a WebSocket: a fiber each, from the first event asked for to the turn's end. */
#include "api/ws_frames.h"
#include "api/ws_session.h"
#include "base/clock.h"
#include "base/mem.h"

enum {
    LOOK_UP_MS = 60 * 1000,
    HEAD_BYTES = 1024,
    MAX_ID = 132,
    /* Above this a subscription waits; a client that takes nothing for so long is cut. */
    ENOUGH_UNSENT_BYTES = 128 * 1024,
    WAIT_FOR_READER_MS = 10,
    SLOWEST_READER_MS = 30 * 1000,
    WS_TRY_AGAIN_LATER = 1013,
};

struct subscription {
    struct list in_session;
    struct ws_session *session;
    struct run_reader *reader;
    char turn_id[MAX_ID];
    struct fiber *fiber;
    struct strbuf head; /* of the envelope */
    bool dropped;       /* unsubscribed: nothing is sent any more */
};

static struct subscription *find(const struct ws_session *s, struct str turn_id) {
    list_each (node, &s->subscriptions) {
        struct subscription *sub = list_entry(node, struct subscription, in_session);
        if (str_eq(str_z(sub->turn_id), turn_id)) {
            return sub;
        }
    }
    return NULL;
}

bool ws_is_following(const struct ws_session *s, struct str turn_id) {
    return find(s, turn_id) != NULL;
}

static void drop(struct subscription *sub) {
    sub->dropped = true;
    list_remove(&sub->in_session);
    sub->session->n_subscriptions--;
    fiber_cancel(sub->fiber);
}

void ws_unfollow(struct ws_session *s, struct str turn_id) {
    struct subscription *sub = find(s, turn_id);
    if (sub) {
        drop(sub);
    }
}

void ws_unfollow_all(struct ws_session *s) {
    while (!list_empty(&s->subscriptions)) {
        drop(list_entry(s->subscriptions.next, struct subscription, in_session));
    }
}

/* ---- the fiber ---- */

/* The socket's queue is bounded by waiting here, so that a long replay does not overrun it. */
static int wait_for_reader(struct subscription *sub) {
    struct ws_session *s = sub->session;
    int64_t moved_us = clock_mono_us();
    size_t seen = SIZE_MAX;
    while (!sub->dropped && s->ws && websocket_unsent(s->ws) > ENOUGH_UNSENT_BYTES) {
        size_t unsent = websocket_unsent(s->ws);
        int64_t now_us = clock_mono_us();
        if (unsent < seen) {
            seen = unsent;
            moved_us = now_us;
        } else if (now_us - moved_us > SLOWEST_READER_MS * 1000) {
            websocket_close(s->ws, WS_TRY_AGAIN_LATER, STR("reading too slowly"));
            return -ERR_CANCELLED;
        }
        int rc = fiber_sleep(WAIT_FOR_READER_MS);
        if (rc < 0) {
            return rc;
        }
    }
    return sub->dropped || !s->ws ? -ERR_CANCELLED : 0;
}

static bool send_event(struct subscription *sub, const struct run_event *e) {
    char number[24];
    int n = snprintf(number, sizeof number, "%lld", (long long)e->seq);
    const struct str parts[] = {
        strbuf_str(&sub->head), {number, (size_t)n}, STR(",\"event\":"), e->json, STR("}")};
    return websocket_send(sub->session->ws, parts, ARRAY_LEN(parts));
}

static int send_batch(struct subscription *sub, const struct run_event *events, size_t n) {
    for (size_t i = 0; i < n; i++) {
        int rc = wait_for_reader(sub);
        if (rc < 0) {
            return rc;
        }
        if (!send_event(sub, &events[i])) {
            return -ERR_CANCELLED;
        }
    }
    return 0;
}

/* 0 at the turn's end. */
static int send_all(struct subscription *sub, struct err *err) {
    for (;;) {
        const struct run_event *events;
        size_t n;
        int rc = run_read(sub->reader, LOOK_UP_MS, &events, &n, err);
        if (sub->dropped || !sub->session->ws) {
            return -ERR_CANCELLED;
        }
        if (rc == -ERR_TIMEOUT) {
            continue;
        }
        if (rc == 0 && n == 0) {
            return 0;
        }
        rc = rc == 0 ? send_batch(sub, events, n) : rc;
        if (rc < 0) {
            return rc;
        }
    }
}

static void follow(void *arg) {
    struct subscription *sub = arg;
    struct ws_session *s = sub->session;
    struct err err;
    int rc = send_all(sub, &err);
    if (!sub->dropped && rc == 0) {
        struct strbuf out cleanup(strbuf_done) = STRBUF(HEAD_BYTES);
        ws_frame_end(&out, str_z(sub->turn_id));
        ws_session_send(s, &out);
    } else if (!sub->dropped && rc != -ERR_CANCELLED) {
        ws_session_send_error(s, (struct str){0}, str_z(sub->turn_id), &err);
    }
    if (!sub->dropped) {
        list_remove(&sub->in_session);
        s->n_subscriptions--;
    }
    run_reader_close(sub->reader);
    strbuf_done(&sub->head);
    mem_free(sub);
    ws_session_unref(s);
}

int ws_follow(struct ws_session *s, struct str thread_id, struct str turn_id,
              struct run_reader *reader, struct err *err) {
    struct subscription *sub = mem_alloc(sizeof *sub);
    ws_unfollow(s, turn_id);
    sub->session = s;
    sub->reader = reader;
    sub->head = STRBUF(HEAD_BYTES);
    snprintf(sub->turn_id, sizeof sub->turn_id, "%.*s", STR_ARG(turn_id));
    ws_frame_event_head(&sub->head, thread_id, turn_id);
    int rc =
        s->n_subscriptions < WS_MAX_SUBSCRIPTIONS
            ? fiber_spawn(&s->gateway->sockets, "ws follow", follow, sub, &sub->fiber, err)
            : err_set(err, ERR_BUSY, "at most %d subscriptions a socket", WS_MAX_SUBSCRIPTIONS);
    if (rc < 0) {
        run_reader_close(reader);
        strbuf_done(&sub->head);
        mem_free(sub);
        return rc;
    }
    ws_session_ref(s);
    list_push(&s->subscriptions, &sub->in_session);
    s->n_subscriptions++;
    return 0;
}
