/* What clients say on a WebSocket. */
#include "api/call.h"
#include "api/input.h"
#include "api/json_input.h"
#include "api/ws_frames.h"
#include "api/ws_session.h"

enum { MAX_FRAME_BYTES = 4096 };

struct command {
    struct ws_session *session;
    struct principal principal;
    struct arena arena;
    const json_t *frame;
    struct str ref; /* p == NULL: none */
};

static int respond_ok(struct command *c) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(MAX_FRAME_BYTES);
    ws_frame_ok(&out, c->ref);
    ws_session_send(c->session, &out);
    return 0;
}

/* ---- chat ---- */

static int submit(struct command *c, struct turn_ticket *ret, struct err *err) {
    struct input_content content cleanup(input_content_done);
    struct turn_submission s = {.user_id = c->principal.user_id,
                                .allow_operator_llm = c->principal.allow_operator_llm};
    input_content_begin(&content);
    if (input_read_chat(c->frame, &input_names_ag_ui, &content, &s, err) < 0) {
        return -(int)err->code;
    }
    return turn_submit(c->session->gateway->engine, &s, ret, err);
}

static int accept_and_follow(struct command *c, const struct turn_ticket *ticket, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(MAX_FRAME_BYTES);
    struct ws_session *s = c->session;
    struct str run_id = str_z(ticket->turn_id);
    ws_frame_accepted(&out, c->ref, ticket);
    ws_session_send(s, &out);
    if (!s->ws || (ticket->existed && ws_is_following(s, run_id))) {
        run_reader_close(ticket->reader);
        return 0;
    }
    return ws_follow(s, str_z(ticket->thread_id), run_id, ticket->reader, err);
}

static int on_chat(struct command *c, struct err *err) {
    struct ws_session *s = c->session;
    struct turn_ticket ticket;
    struct str run_id = json_str(c->frame, "runId");
    if (s->n_subscriptions >= WS_MAX_SUBSCRIPTIONS && !ws_is_following(s, run_id)) {
        return err_set(err, ERR_BUSY, "at most %d subscriptions a socket", WS_MAX_SUBSCRIPTIONS);
    }
    if (submit(c, &ticket, err) < 0) {
        return -(int)err->code;
    }
    return accept_and_follow(c, &ticket, err);
}

/* ---- the others ---- */

static int read_run_id(struct command *c, struct str *ret, struct err *err) {
    struct str id = {0};
    if (input_read_id(c->frame, "runId", &id, err) < 0) {
        return -(int)err->code;
    }
    if (!id.p) {
        return err_set(err, ERR_INVALID, "runId: is needed");
    }
    *ret = id;
    return 0;
}

static int on_cancel(struct command *c, struct err *err) {
    struct turn_engine *engine = c->session->gateway->engine;
    struct str run_id = {0}, thread_id = {0}, user = c->principal.user_id;
    if (input_read_id(c->frame, "runId", &run_id, err) < 0 ||
        input_read_id(c->frame, "threadId", &thread_id, err) < 0) {
        return -(int)err->code;
    }
    if (!run_id.p && !thread_id.p) {
        return err_set(err, ERR_INVALID, "runId or threadId is needed");
    }
    int rc = run_id.p ? turn_cancel(engine, user, run_id, err)
                      : turn_cancel_thread(engine, user, thread_id, err);
    return rc < 0 ? rc : respond_ok(c);
}

/* What is asked is told of by its id; the run that goes on is followed like one that was begun
 * here. */
static int on_answer(struct command *c, struct err *err) {
    struct ws_session *s = c->session;
    struct interrupt_answer answer;
    struct turn_ticket ticket;
    struct str id = {0}, run_id = {0};
    size_t open;
    if (input_read_id(c->frame, "interruptId", &id, err) < 0 ||
        input_read_id(c->frame, "runId", &run_id, err) < 0 ||
        input_read_answer(json_object_get(c->frame, "answer"), &c->arena, &answer, err) < 0) {
        return -(int)err->code;
    }
    if (!id.p) {
        return err_set(err, ERR_INVALID, "interruptId: is needed");
    }
    if (s->n_subscriptions >= WS_MAX_SUBSCRIPTIONS) {
        return err_set(err, ERR_BUSY, "at most %d subscriptions a socket", WS_MAX_SUBSCRIPTIONS);
    }
    answer.interrupt_id = id;
    struct turn_resumption r = {.user_id = c->principal.user_id,
                                .allow_operator_llm = c->principal.allow_operator_llm,
                                .turn_id = run_id.p ? run_id : STR_EMPTY,
                                .answers = &answer,
                                .n_answers = 1};
    if (turn_resume(s->gateway->engine, &r, &ticket, &open, err) < 0) {
        return -(int)err->code;
    }
    if (open > 0) {
        return respond_ok(c);
    }
    return accept_and_follow(c, &ticket, err);
}

static int on_subscribe(struct command *c, struct err *err) {
    struct ws_session *s = c->session;
    struct run_reader *reader;
    struct turn_row turn;
    struct str run_id, user = c->principal.user_id;
    int64_t since = 0;
    if (read_run_id(c, &run_id, err) < 0 ||
        json_want_int(c->frame, "since", 0, INT64_MAX, &since, err) < 0 ||
        turn_get(s->gateway->db, (struct turn_key){user, run_id}, &c->arena, &turn, err) < 0 ||
        run_reader_open(s->gateway->runs, user, run_id, since, &reader, err) < 0) {
        return -(int)err->code;
    }
    if (!s->ws) {
        run_reader_close(reader);
        return 0;
    }
    if (ws_follow(s, turn.thread_id, run_id, reader, err) < 0) {
        return -(int)err->code;
    }
    return respond_ok(c); /* the subscription's fiber has not begun */
}

static int on_unsubscribe(struct command *c, struct err *err) {
    struct str run_id;
    if (read_run_id(c, &run_id, err) < 0) {
        return -(int)err->code;
    }
    ws_unfollow(c->session, run_id);
    return respond_ok(c);
}

/* From now on the socket is told of changes; what came before it must read itself. */
static int on_watch(struct command *c, struct err *err) {
    (void)err;
    ws_feed_begin(c->session);
    return respond_ok(c);
}

static int on_ping(struct command *c, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(MAX_FRAME_BYTES);
    (void)err;
    ws_frame_pong(&out);
    ws_session_send(c->session, &out);
    return 0;
}

/* ---- dispatch ---- */

static int dispatch(struct command *c, struct err *err) {
    static const struct {
        const char *type;
        int (*run)(struct command *c, struct err *err) may_yield;
    } commands[] = {
        {"chat", on_chat},           {"cancel", on_cancel},           {"answer", on_answer},
        {"subscribe", on_subscribe}, {"unsubscribe", on_unsubscribe}, {"watch", on_watch},
        {"ping", on_ping},
    };
    struct str type = json_str(c->frame, "type"), ref = {0};
    if (!json_is_object(c->frame)) {
        return err_set(err, ERR_INVALID, "a frame must be a JSON object");
    }
    if (json_want_str(c->frame, "ref", WS_MAX_REF_BYTES, &ref, err) < 0) {
        return -(int)err->code;
    }
    c->ref = ref;
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (type.p && str_eq(type, str_z(commands[i].type))) {
            return commands[i].run(c, err);
        }
    }
    return err_set(err, ERR_INVALID,
                   "type: must be chat, cancel, answer, subscribe, unsubscribe, watch or ping");
}

int ws_process(struct ws_session *s, struct str frame, struct err *err) {
    json_t *tree = NULL;
    struct command c = {.session = s};
    int rc = auth_check(s->gateway->auth, secret_reveal(s->key), secret_reveal(s->cookie), s->peer,
                        &c.arena, &c.principal, err);
    bool refused = rc == -ERR_UNAUTHORIZED;
    if (rc == 0) {
        rc = json_input_read(frame, &tree, err);
    }
    if (rc == 0) {
        c.frame = tree;
        rc = dispatch(&c, err);
    }
    if (rc < 0 && rc != -ERR_CANCELLED && !refused) {
        ws_session_send_error(s, c.ref, (struct str){0}, err);
    }
    json_decref(tree);
    arena_done(&c.arena);
    return refused ? rc : 0;
}
