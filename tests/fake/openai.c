/* OpenAI Chat Completions: POST /v1/chat/completions, and the list of models. */
#include <stdio.h>

#include "base/json.h"
#include "fake.h"

#define INVALID(p, ...) fake_problem((p), 400, "invalid_request_error", __VA_ARGS__)

static int check_fields(struct http_request *r, struct str key, struct fake_problem *p) {
    struct str given = http_header(r, "authorization");
    if (key.n == 0) {
        return 0;
    }
    if (!str_starts(given, STR("Bearer "))) {
        return fake_problem(p, 401, "invalid_request_error",
                            "You didn't provide an API key. You need to provide your API key in an "
                            "Authorization header using Bearer auth");
    }
    if (!fake_key_fits(str_skip(given, 7), key)) {
        fake_problem(p, 401, "invalid_request_error",
                     "Incorrect API key provided: sk-f****. You can find your API key at "
                     "https://platform.openai.com/account/api-keys.");
        p->code = "invalid_api_key";
        return -1;
    }
    return 0;
}

/* ---- reading ---- */

enum { MAX_IDS = 1024 };

struct walk {
    struct fake_conversation *c;
    struct fake_problem *p;
    size_t index;
    struct str open[MAX_IDS], names[MAX_IDS]; /* calls waiting for their tool messages */
    size_t n_open, n_answered;
    size_t n_images; /* of the message */
    struct strbuf text;
};

static int read_image(struct walk *w, struct str url) {
    struct strbuf bytes cleanup(strbuf_done) = STRBUF(FAKE_MAX_BODY_BYTES);
    struct str kind = str_cut(&url, ',');
    struct err err;
    if (!str_starts(kind, STR("https://")) &&
        (!str_starts(kind, STR("data:image/")) || !str_ends(kind, STR(";base64")) || url.n == 0 ||
         crypto_base64_decode(&bytes, url, &err) < 0)) {
        return INVALID(w->p,
                       "Invalid image_url at messages[%zu]: expected a base64-encoded data "
                       "URL with an image MIME type, or an https URL.",
                       w->index);
    }
    strbuf_addz(&w->text, "<image>");
    w->n_images++;
    return 0;
}

static int read_part(struct walk *w, const json_t *part, size_t i, bool images) {
    struct str type = json_str(part, "type");
    if (str_eq(type, STR("text")) && json_str(part, "text").p) {
        strbuf_add(&w->text, json_str(part, "text"));
        return 0;
    }
    if (images && str_eq(type, STR("image_url"))) {
        return read_image(w, json_str(json_object_get(part, "image_url"), "url"));
    }
    return INVALID(w->p, "Invalid value: '%.*s' at messages[%zu].content[%zu].type.", STR_ARG(type),
                   w->index, i);
}

static int read_content(struct walk *w, const json_t *content, bool images, struct str *ret) {
    size_t i;
    json_t *part;
    *ret = json_value_str(content);
    if (ret->p) {
        return 0;
    }
    if (json_array_size(content) == 0) {
        return INVALID(w->p,
                       "Invalid type for 'messages[%zu].content': expected one of a string "
                       "or array of objects, but got %s instead.",
                       w->index, !content || json_is_null(content) ? "null" : "another type");
    }
    json_array_foreach (content, i, part) {
        if (read_part(w, part, i, images) < 0) {
            return -1;
        }
    }
    *ret = arena_str(w->c->arena, strbuf_str(&w->text));
    strbuf_reset(&w->text);
    return 0;
}

static int read_call(struct walk *w, const json_t *call, size_t i) {
    const json_t *function = json_object_get(call, "function");
    struct str id = json_str(call, "id"), name = json_str(function, "name");
    struct str arguments = json_str(function, "arguments");
    if (id.n == 0 || id.n > 40) {
        return INVALID(w->p,
                       "Invalid 'messages[%zu].tool_calls[%zu].id': string too long or "
                       "missing. Expected a string with maximum length 40.",
                       w->index, i);
    }
    if (!str_eq(json_str(call, "type"), STR("function"))) {
        return INVALID(w->p, "Missing required parameter: 'messages[%zu].tool_calls[%zu].type'.",
                       w->index, i);
    }
    if (!fake_is_name(name, 64)) {
        return INVALID(w->p,
                       "Invalid 'messages[%zu].tool_calls[%zu].function.name': string does "
                       "not match pattern. Expected a string that matches the pattern "
                       "'^[a-zA-Z0-9_-]+$'.",
                       w->index, i);
    }
    if (!arguments.p) {
        return INVALID(w->p,
                       "Missing required parameter: "
                       "'messages[%zu].tool_calls[%zu].function.arguments'.",
                       w->index, i);
    }
    if (w->n_open == MAX_IDS) {
        return INVALID(w->p, "too many calls");
    }
    w->names[w->n_open] = name;
    w->open[w->n_open++] = id;
    fake_saw_call(w->c, id, name, arguments);
    return 0;
}

static int read_assistant(struct walk *w, const json_t *message) {
    const json_t *calls = json_object_get(message, "tool_calls"), *call;
    const json_t *content = json_object_get(message, "content");
    struct str text = STR_EMPTY;
    size_t i;
    w->n_open = 0;
    w->n_answered = 0;
    if (calls && json_array_size(calls) == 0) {
        return INVALID(w->p,
                       "Invalid 'messages[%zu].tool_calls': empty array. Expected an array "
                       "with minimum length 1, but got an empty array instead.",
                       w->index);
    }
    if (!(calls && (!content || json_is_null(content))) &&
        read_content(w, content, false, &text) < 0) {
        return -1;
    }
    json_array_foreach (calls, i, call) {
        if (read_call(w, call, i) < 0) {
            return -1;
        }
    }
    fake_saw_assistant(w->c, text);
    return 0;
}

static int read_tool(struct walk *w, const json_t *message) {
    struct str id = json_str(message, "tool_call_id"), text;
    size_t i = 0;
    if (w->n_open == 0) {
        return INVALID(w->p, "Invalid parameter: messages with role 'tool' must be a response to a "
                             "preceeding message with 'tool_calls'.");
    }
    while (i < w->n_open && !str_eq(w->open[i], id)) {
        i++;
    }
    if (i == w->n_open || id.n == 0) {
        return INVALID(w->p,
                       "Invalid parameter: 'tool_call_id' of '%.*s' not found in 'tool_calls' "
                       "of previous message.",
                       STR_ARG(id));
    }
    if (read_content(w, json_object_get(message, "content"), false, &text) < 0) {
        return -1;
    }
    fake_saw_result(w->c, id, w->names[i], text);
    w->open[i] = STR_EMPTY;
    w->n_answered++;
    return 0;
}

static int check_all_answered(struct walk *w) {
    for (size_t i = 0; w->n_answered < w->n_open && i < w->n_open; i++) {
        if (w->open[i].n > 0) {
            return INVALID(w->p,
                           "An assistant message with 'tool_calls' must be followed by tool "
                           "messages responding to each 'tool_call_id'. The following "
                           "tool_call_ids did not have response messages: %.*s",
                           STR_ARG(w->open[i]));
        }
    }
    return 0;
}

static int read_system(struct walk *w, const json_t *message) {
    struct str text;
    if (read_content(w, json_object_get(message, "content"), false, &text) < 0) {
        return -1;
    }
    w->c->system = w->c->system.n > 0
                       ? arena_printf(w->c->arena, "%.*s%.*s", STR_ARG(w->c->system), STR_ARG(text))
                       : text;
    return 0;
}

static int read_message(struct walk *w, const json_t *message) {
    static const char *const keys[] = {
        "role",    "content",           "name", "tool_calls", "tool_call_id",
        "refusal", "reasoning_content", NULL};
    struct str role = json_str(message, "role"), text;
    const char *odd;
    if (!json_is_object(message) || !role.p) {
        return INVALID(w->p, "Missing required parameter: 'messages[%zu].role'.", w->index);
    }
    if (!fake_only_keys(message, keys, &odd)) {
        return INVALID(w->p, "Unknown parameter: 'messages[%zu].%s'.", w->index, odd);
    }
    if (str_eq(role, STR("tool"))) {
        w->c->n_messages++;
        return read_tool(w, message);
    }
    if (check_all_answered(w) < 0) {
        return -1;
    }
    w->c->n_messages += !str_eq(role, STR("system")) && !str_eq(role, STR("developer"));
    w->n_open = 0;
    w->n_answered = 0;
    w->n_images = 0;
    if (str_eq(role, STR("assistant"))) {
        return read_assistant(w, message);
    }
    if (str_eq(role, STR("system")) || str_eq(role, STR("developer"))) {
        return read_system(w, message);
    }
    if (!str_eq(role, STR("user"))) {
        return INVALID(w->p,
                       "Invalid value: '%.*s'. Supported values are: 'system', 'assistant', "
                       "'user', 'function', 'tool', and 'developer'.",
                       STR_ARG(role));
    }
    if (read_content(w, json_object_get(message, "content"), true, &text) < 0) {
        return -1;
    }
    if (w->n_images == 0 || !fake_saw_result_images(w->c, w->n_images)) {
        fake_saw_user(w->c, text);
    }
    return 0;
}

static int read_tools(struct walk *w, const json_t *tools) {
    size_t i;
    json_t *tool;
    if (tools && json_array_size(tools) == 0) {
        return INVALID(w->p, "Invalid 'tools': empty array. Expected an array with minimum length "
                             "1, but got an empty array instead.");
    }
    if (json_array_size(tools) > 128) {
        return INVALID(w->p,
                       "Invalid 'tools': array too long. Expected an array with maximum "
                       "length 128, but got an array with length %zu instead.",
                       json_array_size(tools));
    }
    json_array_foreach (tools, i, tool) {
        const json_t *function = json_object_get(tool, "function");
        if (!str_eq(json_str(tool, "type"), STR("function"))) {
            return INVALID(w->p, "Invalid value for 'tools[%zu].type'.", i);
        }
        if (fake_tool(w->c, json_str(function, "name"), 64, json_object_get(function, "parameters"),
                      true, w->p) < 0) {
            return -1;
        }
    }
    return 0;
}

static int check_top(const json_t *body, struct walk *w) {
    static const char *const keys[] = {"model",
                                       "messages",
                                       "stream",
                                       "stream_options",
                                       "tools",
                                       "tool_choice",
                                       "temperature",
                                       "top_p",
                                       "max_tokens",
                                       "max_completion_tokens",
                                       "parallel_tool_calls",
                                       "stop",
                                       "n",
                                       "user",
                                       "seed",
                                       "presence_penalty",
                                       "frequency_penalty",
                                       "logit_bias",
                                       "logprobs",
                                       "top_logprobs",
                                       "response_format",
                                       "reasoning_effort",
                                       "metadata",
                                       "store",
                                       "service_tier",
                                       "modalities",
                                       "prompt_cache_key",
                                       "safety_identifier",
                                       "verbosity",
                                       NULL};
    const char *odd;
    if (!fake_only_keys(body, keys, &odd)) {
        return INVALID(w->p, "Unrecognized request argument supplied: %s", odd);
    }
    if (json_str(body, "model").n == 0) {
        return INVALID(w->p, "you must provide a model parameter");
    }
    if (json_object_get(body, "stream_options") && !w->c->stream) {
        return INVALID(w->p, "The 'stream_options' parameter is only allowed when 'stream' is "
                             "enabled.");
    }
    if (json_object_get(body, "max_tokens") && json_object_get(body, "max_completion_tokens")) {
        return INVALID(w->p, "Setting 'max_tokens' and 'max_completion_tokens' at the same time is "
                             "not supported.");
    }
    if (json_array_size(json_object_get(body, "messages")) == 0) {
        return INVALID(w->p, "Invalid 'messages': empty array. Expected an array with minimum "
                             "length 1, but got an empty array instead.");
    }
    return read_tools(w, json_object_get(body, "tools"));
}

static int read_body(json_t *body, struct fake_conversation *c, struct fake_problem *p) {
    struct walk *w = arena_alloc(c->arena, sizeof *w);
    json_t *messages = json_object_get(body, "messages"), *message;
    int rc;
    w->c = c;
    w->p = p;
    w->text = STRBUF(FAKE_MAX_BODY_BYTES);
    c->model = json_str(body, "model");
    c->stream = json_bool(body, "stream", false);
    c->include_usage = json_bool(json_object_get(body, "stream_options"), "include_usage", false);
    rc = check_top(body, w);
    json_array_foreach (messages, w->index, message) {
        rc = rc < 0 ? rc : read_message(w, message);
    }
    rc = rc < 0 ? rc : check_all_answered(w);
    c->cache_key = c->system;
    strbuf_done(&w->text);
    return rc;
}

/* ---- errors ---- */

static const char *type_of(int status) {
    switch (status) {
    case 429:
        return "rate_limit_exceeded";
    case 400:
    case 401:
    case 403:
    case 404:
        return "invalid_request_error";
    default:
        return "server_error";
    }
}

static void error_object(struct jsonw *j, const struct fake_problem *p) {
    jsonw_object(j);
    jsonw_key(j, "error");
    jsonw_object(j);
    jsonw_kstrz(j, "message", p->message);
    jsonw_kstrz(j, "type", p->type ? p->type : type_of(p->status));
    jsonw_key(j, "param");
    jsonw_null(j);
    jsonw_key(j, "code");
    if (p->code || p->status == 404) {
        jsonw_strz(j, p->code ? p->code : "model_not_found");
    } else {
        jsonw_null(j);
    }
    jsonw_end_object(j);
    jsonw_end_object(j);
}

static void write_error(struct strbuf *out, const struct fake_problem *p) {
    struct jsonw j = jsonw_begin(out);
    error_object(&j, p);
}

/* ---- streaming ---- */

static void head(struct jsonw *j, const struct fake_writer *w, const char *object) {
    jsonw_object(j);
    jsonw_kstr(j, "id", arena_printf(w->conversation->arena, "chatcmpl-%.*s", STR_ARG(w->id)));
    jsonw_kstrz(j, "object", object);
    jsonw_kint(j, "created", w->created_us / 1000000);
    jsonw_kstr(j, "model", w->model);
    jsonw_kstrz(j, "service_tier", "default");
    jsonw_kstrz(j, "system_fingerprint", "fp_5f3a92c1d0");
}

static struct jsonw chunk(struct fake_writer *w) {
    strbuf_addz(&w->out, "data: ");
    struct jsonw j = jsonw_begin(&w->out);
    head(&j, w, "chat.completion.chunk");
    jsonw_key(&j, "choices");
    jsonw_array(&j);
    jsonw_object(&j);
    jsonw_kint(&j, "index", 0);
    jsonw_key(&j, "delta");
    jsonw_object(&j);
    return j;
}

static void end_chunk(struct fake_writer *w, struct jsonw *j, const char *finish_reason) {
    jsonw_end_object(j);
    jsonw_key(j, "logprobs");
    jsonw_null(j);
    jsonw_key(j, "finish_reason");
    if (finish_reason) {
        jsonw_strz(j, finish_reason);
    } else {
        jsonw_null(j);
    }
    jsonw_end_object(j);
    jsonw_end_array(j);
    if (w->conversation->include_usage) {
        jsonw_key(j, "usage");
        jsonw_null(j);
    }
    jsonw_end_object(j);
    strbuf_addz(&w->out, "\n\n");
}

static void begin(struct fake_writer *w) {
    struct jsonw j = chunk(w);
    jsonw_kstrz(&j, "role", "assistant");
    jsonw_kstrz(&j, "content", "");
    jsonw_key(&j, "refusal");
    jsonw_null(&j);
    end_chunk(w, &j, NULL);
}

static void reasoning(struct fake_writer *w, struct str piece) {
    struct jsonw j = chunk(w);
    jsonw_kstr(&j, "reasoning_content", piece);
    end_chunk(w, &j, NULL);
}

static void reasoning_end(struct fake_writer *w, const struct fake_answer *a) {
    (void)w;
    (void)a;
}

static void text(struct fake_writer *w, struct str piece) {
    struct jsonw j = chunk(w);
    jsonw_kstr(&j, "content", piece);
    end_chunk(w, &j, NULL);
}

static void call_chunk(struct fake_writer *w, const struct fake_call *first, struct str arguments) {
    struct jsonw j = chunk(w);
    jsonw_key(&j, "tool_calls");
    jsonw_array(&j);
    jsonw_object(&j);
    jsonw_kint(&j, "index", w->index);
    if (first) {
        jsonw_kstr(&j, "id", fake_call_id(w, "call_"));
        jsonw_kstrz(&j, "type", "function");
    }
    jsonw_key(&j, "function");
    jsonw_object(&j);
    if (first) {
        jsonw_kstr(&j, "name", first->name);
    }
    jsonw_kstr(&j, "arguments", arguments);
    jsonw_end_object(&j);
    jsonw_end_object(&j);
    jsonw_end_array(&j);
    end_chunk(w, &j, NULL);
}

static void call(struct fake_writer *w, const struct fake_call *c) {
    struct str rest = c->arguments;
    call_chunk(w, c, STR_EMPTY);
    while (rest.n > 0) {
        call_chunk(w, NULL, fake_next_piece(&rest, 7));
    }
    w->index++;
}

static const char *finish_reason(const struct fake_answer *a) {
    static const char *const names[] = {"stop", "tool_calls", "length", "content_filter"};
    return names[a->stop];
}

static void usage(struct jsonw *j, const struct fake_writer *w) {
    const struct fake_conversation *c = w->conversation;
    jsonw_key(j, "usage");
    jsonw_object(j);
    jsonw_kint(j, "prompt_tokens", c->input_tokens);
    jsonw_kint(j, "completion_tokens", w->output_tokens);
    jsonw_kint(j, "total_tokens", c->input_tokens + w->output_tokens);
    jsonw_key(j, "prompt_tokens_details");
    jsonw_object(j);
    jsonw_kint(j, "cached_tokens", c->cached_tokens);
    jsonw_kint(j, "audio_tokens", 0);
    jsonw_end_object(j);
    jsonw_key(j, "completion_tokens_details");
    jsonw_object(j);
    jsonw_kint(j, "reasoning_tokens", w->reasoning_tokens);
    jsonw_kint(j, "audio_tokens", 0);
    jsonw_end_object(j);
    jsonw_end_object(j);
}

static void end(struct fake_writer *w, const struct fake_answer *a) {
    struct jsonw j = chunk(w);
    end_chunk(w, &j, finish_reason(a));
    if (w->conversation->include_usage) {
        strbuf_addz(&w->out, "data: ");
        j = jsonw_begin(&w->out);
        head(&j, w, "chat.completion.chunk");
        jsonw_kraw(&j, "choices", STR("[]"));
        usage(&j, w);
        jsonw_end_object(&j);
        strbuf_addz(&w->out, "\n\n");
    }
    strbuf_addz(&w->out, "data: [DONE]\n\n");
}

static void error_event(struct fake_writer *w, const struct fake_problem *p) {
    strbuf_addz(&w->out, "data: ");
    write_error(&w->out, p);
    strbuf_addz(&w->out, "\n\n");
}

/* ---- one object ---- */

static void whole_calls(struct jsonw *j, struct fake_writer *w, const struct fake_answer *a) {
    jsonw_key(j, "tool_calls");
    jsonw_array(j);
    for (size_t i = 0; i < a->n_calls; i++) {
        jsonw_object(j);
        jsonw_kstr(j, "id", fake_call_id(w, "call_"));
        jsonw_kstrz(j, "type", "function");
        jsonw_key(j, "function");
        jsonw_object(j);
        jsonw_kstr(j, "name", a->calls[i].name);
        jsonw_kstr(j, "arguments", a->calls[i].arguments);
        jsonw_end_object(j);
        jsonw_end_object(j);
    }
    jsonw_end_array(j);
}

static void whole(struct fake_writer *w, const struct fake_answer *a) {
    struct jsonw j = jsonw_begin(&w->out);
    head(&j, w, "chat.completion");
    jsonw_key(&j, "choices");
    jsonw_array(&j);
    jsonw_object(&j);
    jsonw_kint(&j, "index", 0);
    jsonw_key(&j, "message");
    jsonw_object(&j);
    jsonw_kstrz(&j, "role", "assistant");
    jsonw_kstr(&j, "content", a->text);
    if (a->reasoning.n > 0) {
        jsonw_kstr(&j, "reasoning_content", a->reasoning);
    }
    if (a->n_calls > 0) {
        whole_calls(&j, w, a);
    }
    jsonw_end_object(&j);
    jsonw_kstrz(&j, "finish_reason", finish_reason(a));
    jsonw_end_object(&j);
    jsonw_end_array(&j);
    usage(&j, w);
    jsonw_end_object(&j);
}

static void models(struct strbuf *out, const char *const *names, size_t n) {
    struct jsonw j = jsonw_begin(out);
    jsonw_object(&j);
    jsonw_kstrz(&j, "object", "list");
    jsonw_key(&j, "data");
    jsonw_array(&j);
    for (size_t i = 0; i < n; i++) {
        jsonw_object(&j);
        jsonw_kstrz(&j, "id", names[i]);
        jsonw_kstrz(&j, "object", "model");
        jsonw_kint(&j, "created", 1767225600);
        jsonw_kstrz(&j, "owned_by", "fake");
        jsonw_end_object(&j);
    }
    jsonw_end_array(&j);
    jsonw_end_object(&j);
}

const struct fake_wire fake_openai = {
    .name = "openai",
    .path = "/v1/chat/completions",
    .stream_type = "text/event-stream; charset=utf-8",
    .whole_type = "application/json",
    .check_fields = check_fields,
    .read = read_body,
    .error = write_error,
    .begin = begin,
    .reasoning = reasoning,
    .reasoning_end = reasoning_end,
    .text = text,
    .call = call,
    .end = end,
    .error_event = error_event,
    .whole = whole,
    .models_path = "/v1/models",
    .models = models,
};
