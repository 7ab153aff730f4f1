/* POST /v1/responses. A response is a turn: its id names the turn, and previous_response_id the
 * thread. */
#include "api/openai_responses.h"

#include "api/handlers.h"
#include "base/clock.h"

#define RESPONSE_PREFIX "resp_"
enum { MAX_NAME = CALL_MAX_ID_BYTES + 16 };

/* ---- pieces ---- */

static void key_name(struct jsonw *w, const char *key, const char *prefix, struct str turn_id) {
    char name[MAX_NAME];
    snprintf(name, sizeof name, "%s%.*s", prefix, STR_ARG(turn_id));
    jsonw_kstrz(w, key, name);
}

static void key_null(struct jsonw *w, const char *key) {
    jsonw_key(w, key);
    jsonw_null(w);
}

static void write_part(struct jsonw *w, struct str text) {
    jsonw_object(w);
    jsonw_kstrz(w, "type", "output_text");
    jsonw_kstr(w, "text", text);
    jsonw_kraw(w, "annotations", STR("[]"));
    jsonw_end_object(w);
}

/* content_done: without it the item has no content yet. */
static void write_item(struct jsonw *w, const struct openai_response *r, const char *status,
                       bool content_done, struct str text) {
    jsonw_object(w);
    key_name(w, "id", "msg_", r->turn_id);
    jsonw_kstrz(w, "type", "message");
    jsonw_kstrz(w, "status", status);
    jsonw_kstrz(w, "role", "assistant");
    jsonw_key(w, "content");
    jsonw_array(w);
    if (content_done) {
        write_part(w, text);
    }
    jsonw_end_array(w);
    jsonw_end_object(w);
}

static void write_usage(struct jsonw *w, const struct llm_usage *u) {
    jsonw_key(w, "usage");
    jsonw_object(w);
    jsonw_kint(w, "input_tokens", u->input_tokens);
    jsonw_key(w, "input_tokens_details");
    jsonw_object(w);
    jsonw_kint(w, "cached_tokens", u->cached_input_tokens);
    jsonw_end_object(w);
    jsonw_kint(w, "output_tokens", u->output_tokens);
    jsonw_key(w, "output_tokens_details");
    jsonw_object(w);
    jsonw_kint(w, "reasoning_tokens", u->reasoning_tokens);
    jsonw_end_object(w);
    jsonw_kint(w, "total_tokens", u->input_tokens + u->output_tokens);
    jsonw_end_object(w);
}

/* reply: NULL while the response is in progress. p: NULL unless it failed. */
static void write_response(struct jsonw *w, const struct openai_response *r, const char *status,
                           const struct reply *reply, const struct problem *p, struct str message) {
    jsonw_object(w);
    key_name(w, "id", RESPONSE_PREFIX, r->turn_id);
    jsonw_kstrz(w, "object", "response");
    jsonw_kint(w, "created_at", r->created_s);
    jsonw_kstrz(w, "status", status);
    jsonw_kstrz(w, "model", r->model);
    jsonw_key(w, "output");
    jsonw_array(w);
    if (reply) {
        write_item(w, r, "completed", true, strbuf_str(&reply->text));
    }
    jsonw_end_array(w);
    jsonw_key(w, "error");
    if (p) {
        jsonw_object(w);
        jsonw_kstrz(w, "code", p->status == 429 ? "rate_limit_exceeded" : "server_error");
        jsonw_kstr(w, "message", message);
        jsonw_end_object(w);
    } else {
        jsonw_null(w);
    }
    key_null(w, "incomplete_details");
    key_null(w, "instructions");
    jsonw_kbool(w, "parallel_tool_calls", true);
    jsonw_kstrz(w, "tool_choice", "auto");
    jsonw_kraw(w, "tools", STR("[]"));
    jsonw_kraw(w, "metadata", STR("{}"));
    if (reply) {
        write_usage(w, &reply->usage);
    } else {
        key_null(w, "usage");
    }
    jsonw_end_object(w);
}

static void shape_whole(struct strbuf *out, const struct reply *reply, void *context) {
    const struct openai_response *r = context;
    struct jsonw w = jsonw_begin(out);
    write_response(&w, r, "completed", reply, NULL, STR_EMPTY);
}

/* ---- as a stream ---- */

static struct jsonw begin_event(struct strbuf *out, struct openai_response *r, const char *type) {
    strbuf_addf(out, "event: %s\ndata: ", type);
    struct jsonw w = jsonw_begin(out);
    jsonw_object(&w);
    jsonw_kstrz(&w, "type", type);
    jsonw_kint(&w, "sequence_number", r->sequence++);
    return w;
}

static void end_event(struct jsonw *w) {
    jsonw_end_object(w);
    strbuf_add(w->out, STR("\n\n"));
}

static void add_response_event(struct strbuf *out, struct openai_response *r, const char *type,
                               const char *status) {
    struct jsonw w = begin_event(out, r, type);
    jsonw_key(&w, "response");
    write_response(&w, r, status, NULL, NULL, STR_EMPTY);
    end_event(&w);
}

static void add_item_event(struct strbuf *out, struct openai_response *r, bool done) {
    struct jsonw w =
        begin_event(out, r, done ? "response.output_item.done" : "response.output_item.added");
    jsonw_kint(&w, "output_index", 0);
    jsonw_key(&w, "item");
    write_item(&w, r, done ? "completed" : "in_progress", done, strbuf_str(&r->text));
    end_event(&w);
}

static struct jsonw begin_content_event(struct strbuf *out, struct openai_response *r,
                                        const char *type) {
    struct jsonw w = begin_event(out, r, type);
    key_name(&w, "item_id", "msg_", r->turn_id);
    jsonw_kint(&w, "output_index", 0);
    jsonw_kint(&w, "content_index", 0);
    return w;
}

static void shape_begin(struct strbuf *out, void *context) {
    struct openai_response *r = context;
    add_response_event(out, r, "response.created", "in_progress");
    add_response_event(out, r, "response.in_progress", "in_progress");
    add_item_event(out, r, false);
    struct jsonw w = begin_content_event(out, r, "response.content_part.added");
    jsonw_key(&w, "part");
    write_part(&w, STR_EMPTY);
    end_event(&w);
}

static void shape_text(struct strbuf *out, struct str delta, void *context) {
    struct openai_response *r = context;
    strbuf_add(&r->text, delta);
    struct jsonw w = begin_content_event(out, r, "response.output_text.delta");
    jsonw_kstr(&w, "delta", delta);
    jsonw_kraw(&w, "logprobs", STR("[]"));
    end_event(&w);
}

static void shape_end(struct strbuf *out, const struct reply *reply, void *context) {
    struct openai_response *r = context;
    struct jsonw w = begin_content_event(out, r, "response.output_text.done");
    jsonw_kstr(&w, "text", strbuf_str(&r->text));
    jsonw_kraw(&w, "logprobs", STR("[]"));
    end_event(&w);
    w = begin_content_event(out, r, "response.content_part.done");
    jsonw_key(&w, "part");
    write_part(&w, strbuf_str(&r->text));
    end_event(&w);
    add_item_event(out, r, true);
    w = begin_event(out, r, "response.completed");
    jsonw_key(&w, "response");
    write_response(&w, r, "completed", reply, NULL, STR_EMPTY);
    end_event(&w);
}

static void shape_fail(struct strbuf *out, const struct problem *p, struct str message,
                       void *context) {
    struct openai_response *r = context;
    struct jsonw w = begin_event(out, r, "response.failed");
    jsonw_key(&w, "response");
    write_response(&w, r, "failed", NULL, p, message);
    end_event(&w);
}

const struct openai_shape openai_responses_shape = {.begin = shape_begin,
                                                    .text = shape_text,
                                                    .end = shape_end,
                                                    .fail = shape_fail,
                                                    .whole = shape_whole};

/* ---- the request ---- */

static int read_previous(struct call *c, const json_t *body, struct str *thread_id,
                         struct err *err) {
    struct str previous = json_str(body, "previous_response_id");
    struct turn_row turn;
    if (thread_id->n || !previous.n) {
        return 0;
    }
    struct str turn_id = str_skip(previous, sizeof RESPONSE_PREFIX - 1);
    if (!str_starts(previous, STR(RESPONSE_PREFIX)) || !call_id_valid(turn_id)) {
        return err_set(err, ERR_NOT_FOUND, "previous_response_id: there is no such response");
    }
    if (turn_get(c->gateway->db, (struct turn_key){c->principal.user_id, turn_id}, &c->arena, &turn,
                 err) < 0) {
        return err_prefix(err, "previous_response_id");
    }
    *thread_id = turn.thread_id;
    return 0;
}

/* `input` as the list it stands for. */
static json_t *messages_of(const json_t *body) {
    json_t *input = json_object_get(body, "input");
    return json_is_string(input) ? json_pack("[{s:s, s:O}]", "role", "user", "content", input)
                                 : json_incref(input);
}

static int submit(struct call *c, struct openai_options *ret_options, struct turn_ticket *ret,
                  struct err *err) {
    json_auto_t *body = NULL;
    json_auto_t *messages = NULL;
    struct input_content content cleanup(input_content_done);
    struct turn_submission s = {.user_id = c->principal.user_id,
                                .allow_operator_llm = c->principal.allow_operator_llm};
    input_content_begin(&content);
    if (call_read_json(c, false, &body, err) < 0 ||
        openai_read_options(c, body, ret_options, &s, err) < 0 ||
        openai_read_thread(c, body, &s.thread_id, err) < 0 ||
        read_previous(c, body, &s.thread_id, err) < 0) {
        return -(int)err->code;
    }
    messages = messages_of(body);
    if (openai_read_messages(c, s.thread_id, json_str(body, "instructions"), messages, &content,
                             &s.content_json, err) < 0) {
        return -(int)err->code;
    }
    s.words = openai_last_words(messages);
    return openai_submit(c, &s, ret, err);
}

int handle_openai_responses(struct call *c, struct err *err) {
    struct openai_options options;
    struct turn_ticket ticket;
    if (submit(c, &options, &ticket, err) < 0) {
        return -(int)err->code;
    }
    struct openai_response r = {.turn_id = str_z(ticket.turn_id),
                                .model = options.model,
                                .created_s = clock_now_us() / 1000000,
                                .text = STRBUF(REPLY_MAX_BYTES)};
    int rc = openai_tell(c, &ticket, options.stream, &openai_responses_shape, &r, err);
    strbuf_done(&r.text);
    return rc;
}
