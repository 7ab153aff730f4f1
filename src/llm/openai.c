/* OpenAI's Chat Completions and the servers that speak it: POST {base}/chat/completions,
 * server-sent events. https://developers.openai.com/api/reference/chat-completions; the liberties
 * that other servers take (reasoning_content, calls without number or id, no [DONE]) are accepted.
 */
#include "base/json.h"
#include "base/scan.h"
#include "llm/conversation.h"
#include "llm/provider.h"

/* ---- writing: messages ---- */

static bool is_openai_itself(const struct llm_endpoint *e) {
    return str_find(e->base_url, STR("://api.openai.com")) != SIZE_MAX;
}

static void write_text_part(struct jsonw *w, struct str text) {
    jsonw_object(w);
    jsonw_kstrz(w, "type", "text");
    jsonw_kstr(w, "text", text);
    jsonw_end_object(w);
}

static void write_image_part(struct jsonw *w, const json_t *block) {
    struct str data = json_str(block, "data"), url = json_str(block, "url");
    if (data.n == 0 && url.n == 0) {
        return;
    }
    jsonw_object(w);
    jsonw_kstrz(w, "type", "image_url");
    jsonw_key(w, "image_url");
    jsonw_object(w);
    if (data.n) { /* both are ASCII without anything to escape, or the request is refused anyway */
        struct strbuf whole cleanup(strbuf_done) = STRBUF(data.n + 256);
        strbuf_add(&whole, STR("data:"));
        strbuf_add(&whole, str_head(json_str(block, "media_type"), 100));
        strbuf_add(&whole, STR(";base64,"));
        strbuf_add(&whole, data);
        jsonw_kstr(w, "url", strbuf_str(&whole));
    } else {
        jsonw_kstr(w, "url", url);
    }
    jsonw_end_object(w);
    jsonw_end_object(w);
}

static void write_user_parts(struct jsonw *w, const json_t *content) {
    size_t i;
    json_t *block;
    jsonw_array(w);
    json_array_foreach (content, i, block) {
        struct str text = json_str(block, "text");
        if (str_eq(llm_block_type(block), STR("text")) && !llm_is_blank(text)) {
            write_text_part(w, text);
        } else if (str_eq(llm_block_type(block), STR("image"))) {
            write_image_part(w, block);
        }
    }
    jsonw_end_array(w);
}

static void write_content_text(struct jsonw *w, const json_t *content, const char *if_empty) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(w->out->max);
    llm_content_text(content, &text);
    jsonw_key(w, "content");
    if (text.n) {
        jsonw_str(w, strbuf_str(&text));
    } else if (if_empty) {
        jsonw_strz(w, if_empty);
    } else {
        jsonw_null(w);
    }
}

/* In the exchange that goes on, models that reason between tool calls want their reasoning back
 * (DeepSeek refuses the request without it); OpenAI itself knows no such member. */
static void write_reasoning(struct jsonw *w, const json_t *content) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(w->out->max);
    size_t i;
    json_t *block;
    json_array_foreach (content, i, block) {
        if (str_eq(llm_block_type(block), STR("reasoning")) &&
            str_eq(json_str(block, "provider"), STR("openai"))) {
            strbuf_add(&text, json_str(block, "text"));
        }
    }
    if (text.n) {
        jsonw_kstr(w, "reasoning_content", strbuf_str(&text));
    }
}

static void write_assistant(struct jsonw *w, const struct llm_sent_message *message,
                            bool with_reasoning) {
    jsonw_object(w);
    jsonw_kstrz(w, "role", "assistant");
    write_content_text(w, message->content, message->n_calls ? NULL : "");
    if (with_reasoning && message->running && message->n_calls) {
        write_reasoning(w, message->content);
    }
    if (message->n_calls) {
        jsonw_key(w, "tool_calls");
        jsonw_array(w);
        for (size_t i = 0; i < message->n_calls; i++) {
            jsonw_object(w);
            jsonw_kstr(w, "id", message->calls[i].id);
            jsonw_kstrz(w, "type", "function");
            jsonw_key(w, "function");
            jsonw_object(w);
            jsonw_kstr(w, "name", message->calls[i].name);
            jsonw_kstr(w, "arguments", message->calls[i].arguments);
            jsonw_end_object(w);
            jsonw_end_object(w);
        }
        jsonw_end_array(w);
    }
    jsonw_end_object(w);
}

static void write_result_images(struct jsonw *w, const struct llm_sent_message *message) {
    bool open = false;
    for (size_t k = 0; k < message->n_calls; k++) {
        size_t i;
        json_t *block;
        json_array_foreach (json_object_get(message->calls[k].result, "content"), i, block) {
            if (!str_eq(llm_block_type(block), STR("image"))) {
                continue;
            }
            if (!open) {
                open = true;
                jsonw_object(w);
                jsonw_kstrz(w, "role", "user");
                jsonw_key(w, "content");
                jsonw_array(w);
                write_text_part(w, STR("Images that belong to the tool results above:"));
            }
            write_image_part(w, block);
        }
    }
    if (open) {
        jsonw_end_array(w);
        jsonw_end_object(w);
    }
}

static void write_result_text(struct jsonw *w, const json_t *content, bool blind) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(w->out->max);
    llm_content_text(content, &text);
    if (blind) {
        llm_describe_images(content, &text);
    }
    jsonw_kstr(w, "content", text.n ? strbuf_str(&text) : STR("(no text)"));
}

/* Results are text only; their images follow in a message of the user. */
static void write_results(struct jsonw *w, const struct llm_sent_message *message, bool blind) {
    for (size_t i = 0; i < message->n_calls; i++) {
        const json_t *result = message->calls[i].result;
        jsonw_object(w);
        jsonw_kstrz(w, "role", "tool");
        jsonw_kstr(w, "tool_call_id", message->calls[i].id);
        if (result) {
            write_result_text(w, json_object_get(result, "content"), blind);
        } else {
            jsonw_kstrz(w, "content", LLM_NO_RESULT);
        }
        jsonw_end_object(w);
    }
    if (!blind) {
        write_result_images(w, message);
    }
}

static void write_message(struct jsonw *w, const struct llm_sent_message *message,
                          bool with_reasoning, bool blind) {
    if (message->plain.p) {
        jsonw_raw(w, message->plain);
    } else if (message->assistant) {
        write_assistant(w, message, with_reasoning);
        write_results(w, message, blind);
    } else {
        jsonw_object(w);
        jsonw_kstrz(w, "role", "user");
        jsonw_key(w, "content");
        if (json_is_string(message->content)) {
            jsonw_str(w, json_value_str(message->content));
        } else {
            write_user_parts(w, message->content);
        }
        jsonw_end_object(w);
    }
}

static void write_messages(struct jsonw *w, const struct llm_endpoint *e,
                           const struct llm_request *r) {
    struct llm_conversation c cleanup(llm_conversation_done);
    struct llm_sent_message message;
    bool with_reasoning = !is_openai_itself(e);
    bool blind = llm_model_find(e->provider, e->model)->traits & LLM_BLIND;
    jsonw_key(w, "messages");
    jsonw_array(w);
    llm_system_message(w, r);
    llm_conversation_begin(&c, r);
    while (llm_conversation_next(&c, &message)) {
        write_message(w, &message, with_reasoning, blind);
    }
    jsonw_end_array(w);
}

/* ---- writing: the rest ---- */

/* OpenAI's newer models take tools here only without reasoning. */
static void write_effort(struct jsonw *w, const struct llm_request *r, unsigned traits) {
    if (r->n_tools && traits & LLM_NO_EFFORT_WITH_TOOLS) {
        jsonw_kstrz(w, "reasoning_effort", "none");
    } else if (r->reasoning && traits & LLM_TAKES_EFFORT) {
        jsonw_kstrz(w, "reasoning_effort", "medium");
    }
}

static int write_body(const struct llm_endpoint *e, const struct llm_request *r, struct strbuf *out,
                      struct err *err) {
    struct jsonw w = jsonw_begin(out);
    unsigned traits = llm_model_find(e->provider, e->model)->traits;
    jsonw_object(&w);
    jsonw_kstr(&w, "model", e->model);
    jsonw_kbool(&w, "stream", true);
    jsonw_kraw(&w, "stream_options", STR("{\"include_usage\":true}"));
    if (r->max_output_tokens > 0) {
        jsonw_kint(&w, is_openai_itself(e) ? "max_completion_tokens" : "max_tokens",
                   r->max_output_tokens);
    }
    if (r->temperature >= 0 && !(traits & LLM_NO_SAMPLING)) {
        jsonw_key(&w, "temperature");
        jsonw_double(&w, r->temperature);
    }
    write_effort(&w, r, traits);
    llm_function_tools(&w, r, LLM_DIALECT_OPENAI);
    write_messages(&w, e, r);
    jsonw_end_object(&w);
    return strbuf_check(out, "the request", err);
}

static size_t write_fields(const struct llm_endpoint *e, struct arena *arena,
                           struct http_client_field *fields) {
    size_t n = 0;
    fields[n++] = (struct http_client_field){"content-type", STR("application/json")};
    fields[n++] = (struct http_client_field){"accept", STR("text/event-stream")};
    if (e->key) {
        struct str key = secret_reveal(e->key);
        fields[n++] = (struct http_client_field){"authorization",
                                                 arena_printf(arena, "Bearer %.*s", STR_ARG(key))};
    }
    return n;
}

/* ---- reading: tool calls ---- */

/* Which calls the server has begun. `index` is its own number, or -1; ours is the place here. */
struct wire_call {
    int64_t index;
    char id[64]; /* as much of it as tells calls apart */
    bool named;  /* begun in llm_build: the name has come */
};

struct state {
    struct wire_call calls[LLM_MAX_TOOL_CALLS];
    unsigned n_calls;
};

static bool id_matches(const struct wire_call *call, struct str id) {
    return str_eq(str_z(call->id), str_head(id, sizeof call->id - 1));
}

/* A new name with a new id is a new call, even where the number says otherwise: some servers number
 * all calls 0. A new id alone is not, as others make one up for every fragment. */
static struct wire_call *find_wire_call(struct state *s, int64_t index, struct str id,
                                        struct str name) {
    for (unsigned i = s->n_calls; i-- > 0;) {
        struct wire_call *call = &s->calls[i];
        if (index >= 0 && call->index == index) {
            bool another = id.n && name.n && call->named && !id_matches(call, id);
            return another ? NULL : call;
        }
        if (index < 0 && id.n && id_matches(call, id)) {
            return call;
        }
    }
    return index < 0 && id.n == 0 && name.n == 0 && s->n_calls ? &s->calls[s->n_calls - 1] : NULL;
}

static int add_arguments(struct llm_build *b, unsigned index, const json_t *arguments,
                         struct err *err) {
    if (json_is_string(arguments)) {
        return llm_build_tool_arguments(b, index, json_value_str(arguments), err);
    }
    if (!json_is_object(arguments)) {
        return 0;
    }
    struct strbuf text cleanup(strbuf_done) = STRBUF(4 << 20);
    json_write_tree(&text, arguments);
    return llm_build_tool_arguments(b, index, strbuf_str(&text), err);
}

static int on_tool_call(struct llm_build *b, const json_t *fragment, struct err *err) {
    struct state *s = llm_build_state(b);
    const json_t *function = json_object_get(fragment, "function");
    struct str id = json_str(fragment, "id"), name = json_str(function, "name");
    int64_t index = json_int(fragment, "index", -1);
    struct wire_call *call = find_wire_call(s, index, id, name);
    if (!call) {
        if (s->n_calls == LLM_MAX_TOOL_CALLS) {
            return err_set(err, ERR_LIMIT, "the answer has more than %d tool calls",
                           LLM_MAX_TOOL_CALLS);
        }
        call = &s->calls[s->n_calls++];
        *call = (struct wire_call){.index = index};
    }
    if (id.n && !call->id[0]) {
        memcpy(call->id, id.p, MIN(id.n, sizeof call->id - 1));
    }
    unsigned ours = (unsigned)(call - s->calls);
    const json_t *arguments = json_object_get(function, "arguments");
    if (!call->named) {
        if (name.n == 0) {
            return json_value_str(arguments).n == 0
                       ? 0
                       : err_set(err, ERR_PROTOCOL, "the answer has a tool call without a name");
        }
        call->named = true;
        int rc = llm_build_tool_start(b, ours, id, name, err);
        if (rc < 0) {
            return rc;
        }
    }
    return add_arguments(b, ours, arguments, err);
}

/* ---- reading: the rest ---- */

/* A string, or an array of parts as Mistral streams them. */
static int on_content(struct llm_build *b, const json_t *content, struct err *err) {
    if (!json_is_array(content)) {
        return llm_build_text(b, json_value_str(content), err);
    }
    size_t i, k;
    json_t *part, *thought;
    int rc = 0;
    json_array_foreach (content, i, part) {
        if (rc == 0) {
            rc = llm_build_text(b, json_str(part, "text"), err);
        }
        json_array_foreach (json_object_get(part, "thinking"), k, thought) {
            if (rc == 0) {
                rc = llm_build_reasoning(b, json_str(thought, "text"), err);
            }
        }
    }
    return rc;
}

static int on_delta(struct llm_build *b, const json_t *delta, struct err *err) {
    struct str reasoning = json_str(delta, "reasoning_content"),
               refusal = json_str(delta, "refusal");
    size_t i;
    json_t *call;
    if (reasoning.n == 0) {
        reasoning = json_str(delta, "reasoning");
    }
    int rc = llm_build_reasoning(b, reasoning, err);
    if (rc == 0) {
        rc = on_content(b, json_object_get(delta, "content"), err);
    }
    if (rc == 0 && refusal.n) {
        llm_build_stop(b, LLM_STOP_REFUSAL);
        rc = llm_build_text(b, refusal, err);
    }
    json_array_foreach (json_object_get(delta, "tool_calls"), i, call) {
        if (rc == 0) {
            rc = on_tool_call(b, call, err);
        }
    }
    return rc;
}

static void read_usage(struct llm_build *b, const json_t *usage) {
    struct llm_usage *u = llm_build_usage(b);
    if (!json_is_object(usage)) {
        return;
    }
    const json_t *in = json_object_get(usage, "prompt_tokens_details");
    u->input_tokens = json_int(usage, "prompt_tokens", u->input_tokens);
    u->output_tokens = json_int(usage, "completion_tokens", u->output_tokens);
    u->cached_input_tokens = json_int(
        in, "cached_tokens", json_int(usage, "prompt_cache_hit_tokens", u->cached_input_tokens));
    u->cache_write_tokens = json_int(in, "cache_write_tokens", u->cache_write_tokens);
    u->reasoning_tokens = json_int(json_object_get(usage, "completion_tokens_details"),
                                   "reasoning_tokens", u->reasoning_tokens);
}

static int on_finish(struct llm_build *b, struct str reason, struct err *err) {
    static const struct {
        const char *word;
        enum llm_stop stop;
    } stops[] = {
        {"stop", LLM_STOP_END},
        {"tool_calls", LLM_STOP_TOOLS},
        {"function_call", LLM_STOP_TOOLS},
        {"length", LLM_STOP_LENGTH},
        {"content_filter", LLM_STOP_REFUSAL},
        {"eos", LLM_STOP_END},
    };
    if (str_eq(reason, STR("error"))) {
        return llm_build_failed(b, ERR_UNAVAILABLE, STR("the answer ended with an error"), err);
    }
    llm_build_may_end(b);
    if (llm_build_stopped(b) == LLM_STOP_REFUSAL) {
        return 0;
    }
    enum llm_stop stop = LLM_STOP_OTHER;
    for (size_t i = 0; i < ARRAY_LEN(stops); i++) {
        stop = str_eq(reason, str_z(stops[i].word)) ? stops[i].stop : stop;
    }
    llm_build_stop(b, stop);
    return 0;
}

/* In a stream an error has the status, if any, in its code. */
static int on_error(struct llm_build *b, struct str data, const json_t *error, struct err *err) {
    struct strbuf message cleanup(strbuf_done) = STRBUF(8192),
                          kind cleanup(strbuf_done) = STRBUF(1024);
    llm_error_text(data, &message, &kind);
    int64_t status = json_int(error, "code", json_int(error, "status", 0));
    enum err_code code = status >= 400 && status < 600 ? llm_status_code((int)status) : ERR_NONE;
    struct str words = strbuf_str(&kind);
    if (llm_says_too_long(strbuf_str(&message), words)) {
        code = ERR_LIMIT;
    } else if (code == ERR_NONE) {
        code = str_find(words, STR("rate_limit")) != SIZE_MAX        ? ERR_BUSY
               : str_find(words, STR("invalid_request")) != SIZE_MAX ? ERR_INVALID
                                                                     : ERR_UNAVAILABLE;
    }
    return llm_build_failed(b, code, strbuf_str(&message), err);
}

static int on_chunk(struct llm_build *b, struct str data, const json_t *chunk, struct err *err) {
    const json_t *error = json_object_get(chunk, "error");
    if (error && !json_is_null(error)) {
        return on_error(b, data, error, err);
    }
    const json_t *choice = json_array_get(json_object_get(chunk, "choices"), 0);
    llm_build_model(b, json_str(chunk, "model"));
    read_usage(b, json_object_get(chunk, "usage"));
    int rc = on_delta(b, json_object_get(choice, "delta"), err);
    struct str reason = json_str(choice, "finish_reason");
    return rc == 0 && reason.n ? on_finish(b, reason, err) : rc;
}

/* ---- reading: the common chunk, without a tree ---- */

struct quick {
    struct str text, reasoning;
};

/* {"role":"assistant","content":"..."}: nothing but text or reasoning */
static bool scan_delta(struct scan *s, struct quick *ret) {
    bool first = true;
    struct str key, role;
    if (!scan_open(s, '{')) {
        return false;
    }
    while (scan_member(s, &first, &key)) {
        struct str *into = scan_is(key, "content")             ? &ret->text
                           : scan_is(key, "reasoning_content") ? &ret->reasoning
                           : scan_is(key, "reasoning")         ? &ret->reasoning
                                                               : NULL;
        if (scan_null(s)) {
            continue;
        }
        bool ok =
            into ? !into->p && scan_string(s, into) : scan_is(key, "role") && scan_string(s, &role);
        if (!ok) {
            return false;
        }
    }
    return !key.p;
}

/* [{"index":0,"delta":{...},"finish_reason":null}] */
static bool scan_choices(struct scan *s, struct quick *ret) {
    bool first = true, delta = false;
    struct str key;
    if (!scan_open(s, '[') || !scan_open(s, '{')) {
        return false;
    }
    while (scan_member(s, &first, &key)) {
        bool ok;
        if (scan_is(key, "delta")) {
            ok = !delta && scan_delta(s, ret);
            delta = true;
        } else {
            ok = scan_is(key, "finish_reason") ? scan_null(s) : scan_skip(s);
        }
        if (!ok) {
            return false;
        }
    }
    return !key.p && scan_open(s, ']');
}

static bool scan_chunk(struct str data, struct quick *ret) {
    struct scan s = scan_begin(data);
    bool first = true, choices = false;
    struct str key;
    if (!scan_open(&s, '{')) {
        return false;
    }
    while (scan_member(&s, &first, &key)) {
        bool ok;
        if (scan_is(key, "choices")) {
            ok = !choices && scan_choices(&s, ret);
            choices = true;
        } else if (scan_is(key, "usage") || scan_is(key, "error")) {
            ok = scan_null(&s);
        } else {
            ok = scan_skip(&s);
        }
        if (!ok) {
            return false;
        }
    }
    return !key.p && choices && scan_at_end(&s);
}

static bool on_quick(struct llm_build *b, struct str data, int *ret_rc, struct err *err) {
    struct quick quick = {0};
    if (!llm_build_started(b) || !scan_chunk(data, &quick)) {
        return false; /* the first chunk names the model */
    }
    if (quick.text.n && quick.reasoning.n) {
        return false;
    }
    return quick.reasoning.n ? llm_build_raw_text(b, LLM_REASONING, quick.reasoning, ret_rc, err)
                             : llm_build_raw_text(b, LLM_TEXT, quick.text, ret_rc, err);
}

static int on_event(struct llm_build *b, struct str type, struct str data, struct err *err) {
    int rc;
    if (on_quick(b, data, &rc, err)) {
        return rc;
    }
    if (str_eq(str_trim(data), STR("[DONE]"))) {
        llm_build_complete(b);
        return 0;
    }
    json_t *chunk;
    if (json_read(data, &chunk, err) < 0) {
        return str_eq(type, STR("error"))
                   ? llm_build_failed(b, ERR_UNAVAILABLE, data, err)
                   : err_set(err, ERR_PROTOCOL, "the answer has a chunk that is no JSON");
    }
    rc = on_chunk(b, data, chunk, err);
    json_decref(chunk);
    return rc;
}

static enum err_code read_error(int status, struct str body, struct strbuf *ret_message) {
    struct strbuf kind cleanup(strbuf_done) = STRBUF(1024);
    llm_error_text(body, ret_message, &kind);
    struct str words = strbuf_str(&kind), message = strbuf_str(ret_message);
    if (status == 429 && (str_find(words, STR("insufficient_quota")) != SIZE_MAX ||
                          str_find(words, STR("billing")) != SIZE_MAX)) {
        return ERR_FORBIDDEN; /* waiting does not help */
    }
    if (status == 400 && str_find(words, STR("model_not_found")) != SIZE_MAX) {
        return ERR_NOT_FOUND;
    }
    return status == 400 && llm_says_too_long(message, words) ? ERR_LIMIT : ERR_NONE;
}

const struct llm_provider llm_openai = {
    .name = "openai",
    .label = "OpenAI",
    .default_url = "https://api.openai.com/v1",
    .default_model = "gpt-6-sol",
    .path = "/chat/completions",
    .list_path = "/models",
    .framing = LLM_SSE,
    .dialect = LLM_DIALECT_OPENAI,
    .state_bytes = sizeof(struct state),
    .write_body = write_body,
    .write_fields = write_fields,
    .on_event = on_event,
    .read_error = read_error,
};
