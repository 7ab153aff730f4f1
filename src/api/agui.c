/* POST /agui: AG-UI 1.0's RunAgentInput in, its events out. The thread as stored is the truth: of
 * the messages a client sends only the last one counts, and only if it is the user's. */
#include "api/event_stream.h"
#include "api/handlers.h"
#include "api/input.h"

static int read_user_message(const json_t *body, struct input_content *content, struct str *ret,
                             struct err *err) {
    const json_t *messages = json_object_get(body, "messages");
    size_t n = json_array_size(messages);
    const json_t *last = n ? json_array_get(messages, n - 1) : NULL;
    if (!json_is_array(messages)) {
        return err_set(err, ERR_INVALID, "messages: must be an array");
    }
    if (!str_eq(json_str(last, "role"), STR("user"))) {
        return err_set(err, ERR_INVALID, "messages: the last one must be the user's");
    }
    if (input_content_value(content, json_object_get(last, "content"), err) < 0) {
        return err_prefix(err, "messages");
    }
    return input_content_end(content, ret, err);
}

static bool has_resume(const json_t *body) {
    const json_t *resume = json_object_get(body, "resume");
    return resume && !json_is_null(resume) &&
           !(json_is_array(resume) && json_array_size(resume) == 0);
}

/* {"interruptId","status":"resolved"|"cancelled","payload"}; the payload of a resolved one says
 * what was decided. */
static int read_resume_entry(struct call *c, const json_t *entry, struct interrupt_answer *ret,
                             struct err *err) {
    const json_t *payload = json_object_get(entry, "payload");
    struct str status = json_str(entry, "status");
    if (str_eq(status, STR("cancelled"))) {
        *ret = (struct interrupt_answer){.action = STR_EMPTY};
    } else if (!str_eq(status, STR("resolved"))) {
        return err_set(err, ERR_INVALID, "status: must be resolved or cancelled");
    } else if (input_read_answer(payload, &c->arena, ret, err) < 0) {
        return err_prefix(err, "payload");
    }
    ret->interrupt_id = json_str(entry, "interruptId");
    return ret->interrupt_id.n ? 0 : err_set(err, ERR_INVALID, "interruptId: is needed");
}

static int resume(struct call *c, const json_t *body, struct str thread_id, struct str turn_id,
                  struct turn_ticket *ret, struct err *err) {
    const json_t *list = json_object_get(body, "resume");
    struct interrupt_answer answers[TURN_STEP_MAX];
    size_t n = json_array_size(list), open;
    if (n == 0 || n > TURN_STEP_MAX) {
        return err_set(err, ERR_INVALID, "resume: must be an array of 1 to %d entries",
                       TURN_STEP_MAX);
    }
    for (size_t i = 0; i < n; i++) {
        if (read_resume_entry(c, json_array_get(list, i), &answers[i], err) < 0) {
            return err_prefix(err, "resume[%zu]", i);
        }
    }
    struct turn_resumption r = {.user_id = c->principal.user_id,
                                .allow_operator_llm = c->principal.allow_operator_llm,
                                .thread_id = thread_id,
                                .turn_id = turn_id,
                                .all = true,
                                .answers = answers,
                                .n_answers = n};
    return turn_resume(c->gateway->engine, &r, ret, &open, err);
}

static int read_required_id(const json_t *body, const char *key, struct str *ret, struct err *err) {
    if (input_read_id(body, key, ret, err) < 0) {
        return -(int)err->code;
    }
    return ret->p ? 0 : err_set(err, ERR_INVALID, "%s: is needed", key);
}

static int submit(struct call *c, struct turn_ticket *ret, bool *ret_old_client, struct err *err) {
    json_auto_t *body = NULL;
    struct input_content content cleanup(input_content_done);
    struct turn_submission s = {.user_id = c->principal.user_id,
                                .allow_operator_llm = c->principal.allow_operator_llm};
    input_content_begin(&content);
    if (call_read_json(c, false, &body, err) < 0 ||
        read_required_id(body, "threadId", &s.thread_id, err) < 0 ||
        read_required_id(body, "runId", &s.turn_id, err) < 0) {
        return -(int)err->code;
    }
    *ret_old_client = !str_starts(json_str(body, "protocolVersion"), STR("1."));
    if (has_resume(body)) {
        return resume(c, body, s.thread_id, s.turn_id, ret, err);
    }
    if (read_user_message(body, &content, &s.content_json, err) < 0) {
        return -(int)err->code;
    }
    return turn_submit(c->gateway->engine, &s, ret, err);
}

int handle_agui(struct call *c, struct err *err) {
    struct turn_ticket ticket;
    bool old_client = true;
    if (submit(c, &ticket, &old_client, err) < 0) {
        return -(int)err->code;
    }
    struct event_stream s = {.reader = ticket.reader,
                             .thread_id = str_z(ticket.thread_id),
                             .turn_id = str_z(ticket.turn_id),
                             .old_client = old_client};
    return event_stream_run(c, &s, err);
}
