#include "cli/chat_session.h"

#include <poll.h>
#include <stdio.h>

#include "base/clock.h"

enum {
    SILENCE_MS = 90 * 1000, /* the server pings every 30 s */
    TICK_MS = 1000,
    RETRY_FIRST_MS = 250,
    RETRY_MAX_MS = 5000,
    RETRY_TOTAL_MS = 60 * 1000,
    MAX_FRAME_BYTES = 512 * 1024,
    MAX_PATH_BYTES = 512,
};

int chat_session_connect(struct chat_session *s, struct err *err) {
    ws_client_free(s->ws);
    s->ws = NULL;
    s->lost = false;
    return ws_client_open(&s->target, &s->ws, err);
}

void chat_session_done(struct chat_session *s) {
    ws_client_free(s->ws);
    s->ws = NULL;
}

int chat_session_fd(const struct chat_session *s) {
    return s->ws ? ws_client_fd(s->ws) : -1;
}

/* ---- what the server says ---- */

static bool is_ours(const struct chat_session *s, const json_t *frame) {
    return str_eq(json_str(frame, "runId"), str_z(s->run_id));
}

static void on_accepted(struct chat_session *s, const json_t *frame) {
    struct str thread = json_str(frame, "threadId");
    s->accepted = true;
    snprintf(s->thread_id, sizeof s->thread_id, "%.*s", STR_ARG(thread));
    if (json_bool(frame, "queued", false)) {
        chat_view_note(s->view, "an earlier message of this thread is being answered; waiting");
    }
}

static void on_agui(struct chat_session *s, const json_t *frame) {
    int64_t seq = json_int(frame, "seq", 0);
    if (seq > s->seq) { /* what was shown already may come again */
        s->seq = seq;
        chat_view_event(s->view, json_object_get(frame, "event"));
    }
}

/* A subscription that broke is found again; a frame that was refused ends the turn for us. */
static void on_refusal(struct chat_session *s, const json_t *frame) {
    const json_t *problem = json_object_get(frame, "problem");
    int status = (int)json_int(problem, "status", 0);
    if (str_eq(json_str(frame, "ref"), STR("cancel"))) {
        return; /* it ended meanwhile */
    }
    if (s->accepted && status == 503) {
        s->lost = true;
    } else {
        ws_problem(problem, status, &s->failure);
    }
}

static void on_text(void *arg, struct str message) {
    struct chat_session *s = arg;
    json_auto_t *frame = NULL;
    struct err err;
    if (json_read(message, &frame, &err) < 0) {
        ws_problem(NULL, 0, &s->failure);
        return;
    }
    struct str type = json_str(frame, "type");
    if (str_eq(type, STR("error"))) {
        on_refusal(s, frame);
    } else if (!is_ours(s, frame)) {
        return;
    } else if (str_eq(type, STR("accepted"))) {
        on_accepted(s, frame);
    } else if (str_eq(type, STR("agui"))) {
        on_agui(s, frame);
    } else if (str_eq(type, STR("end"))) {
        s->ended = true;
    }
}

/* ---- what we say ---- */

static int send_frame(struct chat_session *s, const char *type, struct str message,
                      struct err *err) {
    struct strbuf frame cleanup(strbuf_done) = STRBUF(MAX_FRAME_BYTES);
    struct jsonw w = jsonw_begin(&frame);
    jsonw_object(&w);
    jsonw_kstrz(&w, "type", type);
    jsonw_kstrz(&w, "ref", type);
    jsonw_kstrz(&w, "runId", s->run_id);
    if (message.n > 0) {
        jsonw_kstr(&w, "message", message);
        if (s->thread_id[0]) {
            jsonw_kstrz(&w, "threadId", s->thread_id);
        }
    }
    if (strcmp(type, "subscribe") == 0) {
        jsonw_kint(&w, "since", s->seq);
    }
    jsonw_end_object(&w);
    if (strbuf_check(&frame, "the message", err) < 0) {
        return -(int)err->code;
    }
    return ws_client_send(s->ws, strbuf_str(&frame), err);
}

/* The question, again under the same id as long as it is not known to be accepted: the server
 * processes an id once. */
static int take_up(struct chat_session *s, struct str question, struct err *err) {
    return s->accepted ? send_frame(s, "subscribe", STR_EMPTY, err)
                       : send_frame(s, "chat", question, err);
}

/* ---- waiting ---- */

static int nap(struct chat_session *s, int64_t ms, struct err *err) {
    sig_atomic_t before = *s->interrupts;
    int64_t end_us = clock_mono_us() + ms * 1000;
    for (int64_t left = ms; left > 0; left = (end_us - clock_mono_us()) / 1000) {
        (void)poll(NULL, 0, (int)left);
        if (*s->interrupts != before) {
            return err_set(err, ERR_CANCELLED, "interrupted");
        }
    }
    return 0;
}

/* Whether coming back later can help. */
static bool is_passing(enum err_code code) {
    return code == ERR_UNAVAILABLE || code == ERR_TIMEOUT || code == ERR_BUSY;
}

static int come_back(struct chat_session *s, struct str question, struct err *err) {
    int64_t end_us = clock_mono_us() + RETRY_TOTAL_MS * INT64_C(1000), delay_ms = RETRY_FIRST_MS;
    chat_view_note(s->view, "the connection was lost; coming back");
    for (;;) {
        if (nap(s, delay_ms, err) < 0) {
            return -(int)err->code;
        }
        delay_ms = MIN(2 * delay_ms, RETRY_MAX_MS);
        if (chat_session_connect(s, err) == 0 && take_up(s, question, err) == 0 &&
            (!s->cancel_sent || send_frame(s, "cancel", STR_EMPTY, err) == 0)) {
            return 0;
        }
        if (!is_passing(err->code) || clock_mono_us() > end_us) {
            return -(int)err->code;
        }
    }
}

/* The first Ctrl-C asks the server to cancel, the second leaves. */
static int heed_interrupts(struct chat_session *s, sig_atomic_t before, struct err *err) {
    sig_atomic_t n = *s->interrupts - before;
    if (n > 1 || (n == 1 && !s->accepted)) {
        return err_set(err, ERR_CANCELLED, "interrupted");
    }
    if (n == 1 && !s->cancel_sent) {
        s->cancel_sent = true;
        chat_view_note(s->view, "cancelling; Ctrl-C again leaves");
        s->lost |= send_frame(s, "cancel", STR_EMPTY, err) < 0;
    }
    return 0;
}

/* Waits for the next bytes and shows what they say; sets `lost` when there is nobody any more. */
static void listen(struct chat_session *s, int64_t *heard_us) {
    struct pollfd p = {.fd = ws_client_fd(s->ws), .events = POLLIN};
    struct err err;
    size_t bytes = 0;
    if (poll(&p, 1, TICK_MS) > 0) {
        s->lost |= ws_client_receive(s->ws, on_text, s, &bytes, &err) < 0;
    }
    int64_t now_us = clock_mono_us();
    *heard_us = bytes > 0 ? now_us : *heard_us;
    s->lost |= now_us - *heard_us > SILENCE_MS * INT64_C(1000);
}

/* The stream ended without the turn's last event: it is too old to be replayed. Its messages tell
 * what was said. */
static int restore(struct chat_session *s, struct err *err) {
    char path[MAX_PATH_BYTES];
    json_auto_t *turn = NULL, *thread = NULL;
    snprintf(path, sizeof path, "/api/turns/%s", s->run_id);
    if (ws_target_get(&s->target, path, &turn, err) < 0) {
        return -(int)err->code;
    }
    struct str id = json_str(turn, "thread_id"), state = json_str(turn, "state");
    snprintf(path, sizeof path, "/api/threads/%.*s", STR_ARG(id));
    if (ws_target_get(&s->target, path, &thread, err) < 0) {
        return -(int)err->code;
    }
    json_auto_t *mine = json_array();
    const json_t *message;
    size_t i;
    json_array_foreach (json_object_get(thread, "messages"), i, message) {
        if (str_eq(json_str(message, "turn_id"), str_z(s->run_id))) {
            json_array_append(mine, (json_t *)(uintptr_t)message);
        }
    }
    chat_view_restore(s->view, mine,
                      str_eq(state, STR("done"))        ? CHAT_DONE
                      : str_eq(state, STR("cancelled")) ? CHAT_CANCELLED
                                                        : CHAT_FAILED);
    return 0;
}

static int to_the_end(struct chat_session *s, struct str question, struct err *err) {
    sig_atomic_t before = *s->interrupts;
    int64_t heard_us = clock_mono_us();
    if (!s->ws || take_up(s, question, err) < 0) {
        s->lost = true;
    }
    while (!s->ended && s->failure.code == ERR_NONE) {
        if (s->lost) {
            if (come_back(s, question, err) < 0) {
                return -(int)err->code;
            }
            heard_us = clock_mono_us();
        }
        listen(s, &heard_us);
        if (heed_interrupts(s, before, err) < 0) {
            return -(int)err->code;
        }
    }
    if (s->failure.code != ERR_NONE) {
        *err = s->failure;
        return -(int)err->code;
    }
    return s->view->end == CHAT_OPEN ? restore(s, err) : 0;
}

static int run_turn(struct chat_session *s, struct str question, struct err *err) {
    chat_view_begin(s->view);
    int rc = to_the_end(s, question, err);
    chat_view_finish(s->view);
    return rc;
}

static void begin_turn(struct chat_session *s) {
    s->seq = 0;
    s->accepted = s->ended = s->cancel_sent = false;
    s->failure.code = ERR_NONE;
}

int chat_session_ask(struct chat_session *s, struct str question, struct err *err) {
    struct id id = id_new();
    begin_turn(s);
    snprintf(s->run_id, sizeof s->run_id, "%s", id.z);
    return run_turn(s, question, err);
}

int chat_session_follow(struct chat_session *s, struct str run_id, struct err *err) {
    begin_turn(s);
    snprintf(s->run_id, sizeof s->run_id, "%.*s", STR_ARG(run_id));
    s->accepted = true;
    return run_turn(s, STR_EMPTY, err);
}

void chat_session_idle(struct chat_session *s) {
    struct err err;
    size_t bytes;
    if (s->ws && ws_client_receive(s->ws, on_text, s, &bytes, &err) < 0) {
        ws_client_free(s->ws);
        s->ws = NULL;
    }
}
