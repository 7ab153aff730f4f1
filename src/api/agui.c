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

/* Nothing asks the user anything yet, so there is never an open interrupt to answer. */
static int check_resume(const json_t *body, struct err *err) {
    const json_t *resume = json_object_get(body, "resume");
    if (resume && !json_is_null(resume) && !json_is_array(resume)) {
        return err_set(err, ERR_INVALID, "resume: must be an array");
    }
    return json_array_size(resume)
               ? err_set(err, ERR_CONFLICT, "resume: nothing of this thread is interrupted")
               : 0;
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
        read_required_id(body, "runId", &s.turn_id, err) < 0 || check_resume(body, err) < 0 ||
        read_user_message(body, &content, &s.content_json, err) < 0) {
        return -(int)err->code;
    }
    *ret_old_client = !str_starts(json_str(body, "protocolVersion"), STR("1."));
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
