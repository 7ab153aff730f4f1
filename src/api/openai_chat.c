/* POST /v1/chat/completions. */
#include "api/openai_chat.h"

#include "api/handlers.h"
#include "base/clock.h"

/* {"id","object","created","model", with the object left open. */
static struct jsonw begin_object(struct strbuf *out, const struct openai_chat *chat,
                                 const char *object) {
    char id[CALL_MAX_ID_BYTES + 16];
    snprintf(id, sizeof id, "chatcmpl-%.*s", STR_ARG(chat->turn_id));
    struct jsonw w = jsonw_begin(out);
    jsonw_object(&w);
    jsonw_kstrz(&w, "id", id);
    jsonw_kstrz(&w, "object", object);
    jsonw_kint(&w, "created", chat->created_s);
    jsonw_kstrz(&w, "model", chat->model);
    return w;
}

static void write_usage(struct jsonw *w, const struct llm_usage *u) {
    jsonw_key(w, "usage");
    jsonw_object(w);
    jsonw_kint(w, "prompt_tokens", u->input_tokens);
    jsonw_kint(w, "completion_tokens", u->output_tokens);
    jsonw_kint(w, "total_tokens", u->input_tokens + u->output_tokens);
    jsonw_key(w, "prompt_tokens_details");
    jsonw_object(w);
    jsonw_kint(w, "cached_tokens", u->cached_input_tokens);
    jsonw_end_object(w);
    jsonw_key(w, "completion_tokens_details");
    jsonw_object(w);
    jsonw_kint(w, "reasoning_tokens", u->reasoning_tokens);
    jsonw_end_object(w);
    jsonw_end_object(w);
}

/* ---- as a stream ---- */

/* One chunk with one choice. Members without a key are left out. */
static void add_chunk(struct strbuf *out, const struct openai_chat *chat, const char *role,
                      const char *key, struct str delta, const char *finish) {
    strbuf_add(out, STR("data: "));
    struct jsonw w = begin_object(out, chat, "chat.completion.chunk");
    jsonw_key(&w, "choices");
    jsonw_array(&w);
    jsonw_object(&w);
    jsonw_kint(&w, "index", 0);
    jsonw_key(&w, "delta");
    jsonw_object(&w);
    if (role) {
        jsonw_kstrz(&w, "role", role);
    }
    if (key) {
        jsonw_kstr(&w, key, delta);
    }
    jsonw_end_object(&w);
    jsonw_key(&w, "finish_reason");
    if (finish) {
        jsonw_strz(&w, finish);
    } else {
        jsonw_null(&w);
    }
    jsonw_end_object(&w);
    jsonw_end_array(&w);
    jsonw_end_object(&w);
    strbuf_add(out, STR("\n\n"));
}

static void shape_begin(struct strbuf *out, void *context) {
    add_chunk(out, context, "assistant", "content", STR_EMPTY, NULL);
}

static void shape_text(struct strbuf *out, struct str delta, void *context) {
    add_chunk(out, context, NULL, "content", delta, NULL);
}

static void shape_reasoning(struct strbuf *out, struct str delta, void *context) {
    add_chunk(out, context, NULL, "reasoning_content", delta, NULL);
}

static void shape_end(struct strbuf *out, const struct reply *reply, void *context) {
    const struct openai_chat *chat = context;
    add_chunk(out, chat, NULL, NULL, STR_EMPTY, "stop");
    if (chat->include_usage) {
        strbuf_add(out, STR("data: "));
        struct jsonw w = begin_object(out, chat, "chat.completion.chunk");
        jsonw_kraw(&w, "choices", STR("[]"));
        write_usage(&w, &reply->usage);
        jsonw_end_object(&w);
        strbuf_add(out, STR("\n\n"));
    }
    strbuf_add(out, STR("data: [DONE]\n\n"));
}

static void shape_fail(struct strbuf *out, const struct problem *p, struct str message,
                       void *context) {
    (void)context;
    strbuf_add(out, STR("data: "));
    problem_write_openai(out, p, message);
    strbuf_add(out, STR("\n\ndata: [DONE]\n\n"));
}

/* ---- as a whole ---- */

static void shape_whole(struct strbuf *out, const struct reply *reply, void *context) {
    const struct openai_chat *chat = context;
    struct jsonw w = begin_object(out, chat, "chat.completion");
    jsonw_key(&w, "choices");
    jsonw_array(&w);
    jsonw_object(&w);
    jsonw_kint(&w, "index", 0);
    jsonw_key(&w, "message");
    jsonw_object(&w);
    jsonw_kstrz(&w, "role", "assistant");
    jsonw_kstr(&w, "content", strbuf_str(&reply->text));
    jsonw_key(&w, "refusal");
    jsonw_null(&w);
    jsonw_end_object(&w);
    jsonw_key(&w, "logprobs");
    jsonw_null(&w);
    jsonw_kstrz(&w, "finish_reason", "stop");
    jsonw_end_object(&w);
    jsonw_end_array(&w);
    write_usage(&w, &reply->usage);
    jsonw_end_object(&w);
}

const struct openai_shape openai_chat_shape = {.begin = shape_begin,
                                               .text = shape_text,
                                               .reasoning = shape_reasoning,
                                               .end = shape_end,
                                               .fail = shape_fail,
                                               .whole = shape_whole};

/* ---- the request ---- */

static int submit(struct call *c, struct openai_options *ret_options, struct turn_ticket *ret,
                  struct err *err) {
    json_auto_t *body = NULL;
    struct input_content content cleanup(input_content_done);
    struct turn_submission s = {.user_id = c->principal.user_id,
                                .allow_operator_llm = c->principal.allow_operator_llm};
    input_content_begin(&content);
    if (call_read_json(c, false, &body, err) < 0 ||
        openai_read_options(c, body, ret_options, &s, err) < 0 ||
        openai_read_thread(c, body, &s.thread_id, err) < 0 ||
        openai_read_messages(c, s.thread_id, STR_EMPTY, json_object_get(body, "messages"), &content,
                             &s.content_json, err) < 0) {
        return -(int)err->code;
    }
    s.words = openai_last_words(json_object_get(body, "messages"));
    return openai_submit(c, &s, ret, err);
}

int handle_openai_chat(struct call *c, struct err *err) {
    struct openai_options options;
    struct turn_ticket ticket;
    if (submit(c, &options, &ticket, err) < 0) {
        return -(int)err->code;
    }
    struct openai_chat chat = {.turn_id = str_z(ticket.turn_id),
                               .model = options.model,
                               .created_s = clock_now_us() / 1000000,
                               .include_usage = options.include_usage};
    return openai_tell(c, &ticket, options.stream, &openai_chat_shape, &chat, err);
}
