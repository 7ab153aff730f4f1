/* POST /api/chat: a message in; its turn's events, its answer, or a receipt out. */
#include "api/event_stream.h"
#include "api/handlers.h"
#include "api/input.h"
#include "api/reply.h"

static bool wants_stream(const struct call *c) {
    return str_find(http_header(c->request, "Accept"), STR("text/event-stream")) != SIZE_MAX;
}

/* The request's memory is given back before its turn is followed, which may take long. */
static int submit(struct call *c, struct turn_ticket *ret, bool *ret_wait, struct err *err) {
    json_auto_t *body = NULL;
    struct input_content content cleanup(input_content_done);
    struct turn_submission s = {.user_id = c->principal.user_id,
                                .allow_operator_llm = c->principal.allow_operator_llm};
    input_content_begin(&content);
    if (call_read_json(c, false, &body, err) < 0 ||
        json_want_bool(body, "wait", ret_wait, err) < 0 ||
        input_read_chat(body, &input_names_rest, &content, &s, err) < 0) {
        return -(int)err->code;
    }
    return turn_submit(c->gateway->engine, &s, ret, err);
}

static int respond_receipt(struct call *c, const struct turn_ticket *t, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(2048);
    struct http_field fields[2];
    size_t n = event_stream_fields(fields, str_z(t->thread_id), str_z(t->turn_id));
    struct jsonw w = jsonw_begin(&out);
    jsonw_object(&w);
    jsonw_kstrz(&w, "thread_id", t->thread_id);
    jsonw_kstrz(&w, "turn_id", t->turn_id);
    jsonw_kbool(&w, "queued", t->queued);
    jsonw_kbool(&w, "existed", t->existed);
    jsonw_end_object(&w);
    return call_respond_with(c, 202, &out, fields, n, err);
}

static void write_message(struct jsonw *w, const struct reply *r) {
    jsonw_key(w, "message");
    if (!r->message_id[0]) {
        jsonw_null(w);
        return;
    }
    jsonw_object(w);
    jsonw_kstrz(w, "id", r->message_id);
    jsonw_kstrz(w, "role", "assistant");
    jsonw_kstr(w, "content", reply_last(r));
    jsonw_end_object(w);
}

static void write_answer(struct strbuf *out, const struct turn_ticket *t, const struct reply *r) {
    struct jsonw w = jsonw_begin(out);
    jsonw_object(&w);
    jsonw_kstrz(&w, "thread_id", t->thread_id);
    jsonw_kstrz(&w, "turn_id", t->turn_id);
    jsonw_kstrz(&w, "state", turn_state_name(r->state));
    write_message(&w, r);
    jsonw_key(&w, "usage");
    jsonw_object(&w);
    jsonw_kint(&w, "input_tokens", r->usage.input_tokens);
    jsonw_kint(&w, "output_tokens", r->usage.output_tokens);
    jsonw_kint(&w, "cached_input_tokens", r->usage.cached_input_tokens);
    jsonw_kint(&w, "reasoning_tokens", r->usage.reasoning_tokens);
    jsonw_end_object(&w);
    if (r->state == TURN_INTERRUPTED) {
        jsonw_kraw(&w, "interrupts", strbuf_str(&r->interrupts));
    }
    if (r->state == TURN_FAILED) {
        jsonw_key(&w, "error");
        jsonw_object(&w);
        jsonw_kstrz(&w, "code", r->error_code);
        jsonw_kstr(&w, "message", strbuf_str(&r->error_message));
        jsonw_end_object(&w);
    }
    jsonw_end_object(&w);
}

static int respond_answer(struct call *c, const struct turn_ticket *t, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(2 * REPLY_MAX_BYTES);
    struct reply reply cleanup(reply_done);
    struct http_field fields[2];
    reply_init(&reply);
    if (reply_follow(&reply, t->reader, err) < 0) {
        return -(int)err->code;
    }
    write_answer(&out, t, &reply);
    size_t n = event_stream_fields(fields, str_z(t->thread_id), str_z(t->turn_id));
    return call_respond_with(c, 200, &out, fields, n, err);
}

int handle_chat(struct call *c, struct err *err) {
    struct turn_ticket ticket;
    bool wait = true;
    if (submit(c, &ticket, &wait, err) < 0) {
        return -(int)err->code;
    }
    if (wait && wants_stream(c)) {
        struct event_stream s = {.reader = ticket.reader,
                                 .thread_id = str_z(ticket.thread_id),
                                 .turn_id = str_z(ticket.turn_id)};
        return event_stream_run(c, &s, err);
    }
    int rc = wait ? respond_answer(c, &ticket, err) : respond_receipt(c, &ticket, err);
    run_reader_close(ticket.reader);
    return rc;
}
