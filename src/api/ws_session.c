#include "api/ws_session.h"

#include "api/access.h"
#include "api/handlers.h"
#include "api/ws_frames.h"
#include "base/mem.h"

enum {
    MAX_MESSAGE_BYTES = 8 * 1024 * 1024,
    MAX_INBOX = 64,
    MAX_INBOX_BYTES = 16 * 1024 * 1024,
    MAX_FRAME_BYTES = 8 * 1024,
    WS_POLICY_VIOLATION = 1008,
};

struct inbox_frame {
    struct list in_inbox;
    size_t n;
    char text[];
};

static struct str own_copy(struct str s) {
    return (struct str){str_dup_z(s), s.n};
}

static void drop_inbox(struct ws_session *s) {
    struct list *node;
    while ((node = list_pop(&s->inbox))) {
        mem_free(list_entry(node, struct inbox_frame, in_inbox));
    }
    s->n_inbox = 0;
    s->inbox_bytes = 0;
}

void ws_session_ref(struct ws_session *s) {
    s->refs++;
}

void ws_session_unref(struct ws_session *s) {
    if (--s->refs > 0) {
        return;
    }
    drop_inbox(s);
    secret_free(s->key);
    secret_free(s->cookie);
    mem_free((void *)(uintptr_t)s->user_id.p);
    mem_free((void *)(uintptr_t)s->peer.p);
    mem_free(s);
}

void ws_session_send(struct ws_session *s, const struct strbuf *frame) {
    struct str part = strbuf_str(frame);
    if (s->ws && !frame->failed) {
        websocket_send(s->ws, &part, 1);
    }
}

void ws_session_send_error(struct ws_session *s, struct str ref, struct str run_id,
                           const struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(MAX_FRAME_BYTES);
    ws_frame_error(&out, ref, run_id, err);
    ws_session_send(s, &out);
}

/* ---- frames are processed one after the other ---- */

static void work(void *arg) {
    struct ws_session *s = arg;
    struct list *node;
    while (s->ws && (node = list_pop(&s->inbox))) {
        struct inbox_frame *frame = list_entry(node, struct inbox_frame, in_inbox);
        struct err err;
        int rc = ws_process(s, (struct str){frame->text, frame->n}, &err);
        if (s->ws) { /* else the inbox was dropped and counts from nothing */
            s->n_inbox--;
            s->inbox_bytes -= frame->n;
        }
        mem_free(frame);
        if (rc == -ERR_UNAUTHORIZED && s->ws) {
            websocket_close(s->ws, WS_POLICY_VIOLATION, STR("the key is not valid any more"));
            break;
        }
    }
    s->worker = NULL;
    ws_session_unref(s);
}

static int start_worker(struct ws_session *s, struct err *err) {
    if (s->worker) {
        return 0;
    }
    ws_session_ref(s);
    if (fiber_spawn(&s->gateway->sockets, "ws frames", work, s, &s->worker, err) < 0) {
        ws_session_unref(s);
        return -(int)err->code;
    }
    return 0;
}

static int enqueue(struct ws_session *s, struct str message, struct err *err) {
    if (s->n_inbox >= MAX_INBOX || s->inbox_bytes + message.n > MAX_INBOX_BYTES) {
        return err_set(err, ERR_BUSY, "more frames at once than can be processed");
    }
    if (start_worker(s, err) < 0) {
        return -(int)err->code;
    }
    struct inbox_frame *frame = mem_alloc(sizeof *frame + message.n);
    frame->n = message.n;
    memcpy(frame->text, message.p, message.n);
    list_push(&s->inbox, &frame->in_inbox);
    s->n_inbox++;
    s->inbox_bytes += message.n;
    return 0;
}

static void on_text(struct websocket *ws, struct str message, void *context) {
    struct ws_session *s = context;
    struct err err;
    (void)ws;
    if (enqueue(s, message.n ? message : STR_EMPTY, &err) < 0) {
        ws_session_send_error(s, (struct str){0}, (struct str){0}, &err);
    }
}

static void on_close(struct websocket *ws, unsigned code, void *context) {
    struct ws_session *s = context;
    (void)ws;
    (void)code;
    s->ws = NULL;
    ws_watch_remove(s);
    ws_feed_end(s);
    drop_inbox(s);
    ws_unfollow_all(s);
    if (s->worker) {
        fiber_cancel(s->worker);
    }
    ws_session_unref(s);
}

/* ---- the beginning ---- */

static struct secret *secret_of(struct str value) {
    return value.n ? secret_new(value) : NULL;
}

static struct ws_session *session_new(struct call *c) {
    struct ws_session *s = mem_alloc(sizeof *s);
    struct str key, cookie;
    access_credentials(c, &key, &cookie);
    s->gateway = c->gateway;
    s->refs = 1;
    s->user_id = own_copy(c->principal.user_id);
    s->peer = own_copy(access_peer(c->request));
    s->key = secret_of(key);
    s->cookie = secret_of(cookie);
    list_init(&s->subscriptions);
    list_init(&s->inbox);
    return s;
}

int handle_ws(struct call *c, struct err *err) {
    struct ws_session *s = session_new(c);
    struct websocket_options options = {.callbacks = {.on_text = on_text, .on_close = on_close},
                                        .context = s,
                                        .max_message_bytes = MAX_MESSAGE_BYTES,
                                        .deflate = true,
                                        .allowed_origins = c->gateway->allowed_origins};
    struct strbuf hello cleanup(strbuf_done) = STRBUF(MAX_FRAME_BYTES);
    if (ws_watch_add(s, err) < 0) {
        ws_session_unref(s);
        return -(int)err->code;
    }
    if (websocket_accept(c->request, &options, &s->ws, err) < 0) {
        ws_watch_remove(s);
        ws_session_unref(s);
        c->problem = err->code == ERR_PROTOCOL ? &problem_upgrade_required : NULL;
        return -(int)err->code;
    }
    bridges_touch(c->gateway->bridges, s->user_id);
    ws_frame_hello(&hello, c->gateway->version, s->user_id);
    ws_session_send(s, &hello);
    return 0;
}
