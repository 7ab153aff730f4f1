/* Ollama's own chat: POST {base}/api/chat, one JSON object a line.
 * https://docs.ollama.com/api/chat */
#include "base/json.h"
#include "base/scan.h"
#include "llm/conversation.h"
#include "llm/provider.h"

/* ---- writing ---- */

/* Images stand beside the text, as base64; Ollama fetches no URLs. */
static void write_images(struct jsonw *w, const json_t *content, bool *open) {
    size_t i;
    json_t *block;
    json_array_foreach (content, i, block) {
        struct str data = json_str(block, "data");
        if (!str_eq(llm_block_type(block), STR("image")) || data.n == 0) {
            continue;
        }
        if (!*open) {
            *open = true;
            jsonw_key(w, "images");
            jsonw_array(w);
        }
        jsonw_str(w, data);
    }
}

static void end_images(struct jsonw *w, bool open) {
    if (open) {
        jsonw_end_array(w);
    }
}

static void add_image_urls(const json_t *content, struct strbuf *text) {
    size_t i;
    json_t *block;
    json_array_foreach (content, i, block) {
        struct str url = json_str(block, "url");
        if (str_eq(llm_block_type(block), STR("image")) && url.n && !json_str(block, "data").n) {
            strbuf_addz(text, text->n ? "\n" : "");
            strbuf_addf(text, "(an image that cannot be shown here: %.*s)", STR_ARG(url));
        }
    }
}

static void write_content(struct jsonw *w, const json_t *content, bool blind) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(w->out->max);
    llm_content_text(content, &text);
    if (blind) {
        llm_describe_images(content, &text);
    } else {
        add_image_urls(content, &text);
    }
    jsonw_kstr(w, "content", strbuf_str(&text));
}

static void write_user(struct jsonw *w, const struct llm_sent_message *message) {
    bool open = false;
    jsonw_object(w);
    jsonw_kstrz(w, "role", "user");
    write_content(w, message->content, false);
    write_images(w, message->content, &open);
    end_images(w, open);
    jsonw_end_object(w);
}

/* Models that think between tool calls are given their thoughts back while the exchange goes on. */
static void write_thinking(struct jsonw *w, const json_t *content) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(w->out->max);
    size_t i;
    json_t *block;
    json_array_foreach (content, i, block) {
        if (str_eq(llm_block_type(block), STR("reasoning")) &&
            str_eq(json_str(block, "provider"), STR("ollama"))) {
            strbuf_add(&text, json_str(block, "text"));
        }
    }
    if (text.n) {
        jsonw_kstr(w, "thinking", strbuf_str(&text));
    }
}

static void write_assistant(struct jsonw *w, const struct llm_sent_message *message) {
    jsonw_object(w);
    jsonw_kstrz(w, "role", "assistant");
    write_content(w, message->content, false);
    if (message->running) {
        write_thinking(w, message->content);
    }
    if (message->n_calls) {
        jsonw_key(w, "tool_calls");
        jsonw_array(w);
        for (size_t i = 0; i < message->n_calls; i++) {
            jsonw_object(w);
            jsonw_kstr(w, "id", message->calls[i].id);
            jsonw_key(w, "function");
            jsonw_object(w);
            jsonw_kstr(w, "name", message->calls[i].name);
            jsonw_kraw(w, "arguments", message->calls[i].arguments);
            jsonw_end_object(w);
            jsonw_end_object(w);
        }
        jsonw_end_array(w);
    }
    jsonw_end_object(w);
}

static void write_result_images(struct jsonw *w, const struct llm_sent_message *message) {
    struct strbuf body cleanup(strbuf_done) = STRBUF(w->out->max);
    struct jsonw images = jsonw_begin(&body);
    bool open = false;
    for (size_t i = 0; i < message->n_calls; i++) {
        write_images(&images, json_object_get(message->calls[i].result, "content"), &open);
    }
    if (open) {
        end_images(&images, open);
        jsonw_object(w);
        jsonw_kstrz(w, "role", "user");
        jsonw_kstrz(w, "content", "Images that belong to the tool results above:");
        strbuf_addc(w->out, ',');
        strbuf_add(w->out, strbuf_str(&body)); /* "images":[...] */
        jsonw_end_object(w);
    }
}

static void write_results(struct jsonw *w, const struct llm_sent_message *message, bool blind) {
    for (size_t i = 0; i < message->n_calls; i++) {
        const json_t *result = message->calls[i].result;
        jsonw_object(w);
        jsonw_kstrz(w, "role", "tool");
        jsonw_kstr(w, "tool_name", message->calls[i].name);
        jsonw_kstr(w, "tool_call_id", message->calls[i].id);
        if (result) {
            write_content(w, json_object_get(result, "content"), blind);
        } else {
            jsonw_kstrz(w, "content", LLM_NO_RESULT);
        }
        jsonw_end_object(w);
    }
    if (!blind) {
        write_result_images(w, message);
    }
}

static void write_messages(struct jsonw *w, const struct llm_endpoint *e,
                           const struct llm_request *r) {
    struct llm_conversation c cleanup(llm_conversation_done);
    struct llm_sent_message message;
    bool blind = llm_model_find(e->provider, e->model)->traits & LLM_BLIND;
    jsonw_key(w, "messages");
    jsonw_array(w);
    llm_system_message(w, r);
    llm_conversation_begin(&c, r);
    while (llm_conversation_next(&c, &message)) {
        if (message.plain.p) {
            jsonw_raw(w, message.plain);
        } else if (message.assistant) {
            write_assistant(w, &message);
            write_results(w, &message, blind);
        } else {
            write_user(w, &message);
        }
    }
    jsonw_end_array(w);
}

/* Ollama cuts a prompt to its context silently, and its own default is often 4,096 tokens. Asked
 * for in few steps, as every change loads the model anew. */
static int64_t context_for(const struct llm_endpoint *e, const struct llm_request *r,
                           size_t body_bytes) {
    enum { LEAST = 16384, BYTES_PER_TOKEN = 3 };
    int64_t output = r->max_output_tokens > 0 ? r->max_output_tokens : 4096;
    int64_t want = (int64_t)(body_bytes / BYTES_PER_TOKEN) + output, context = LEAST;
    int64_t most = llm_model_context(e->provider, e->model);
    while (context < want && context < most) {
        context *= 2;
    }
    return MIN(context, most);
}

/* Models that cannot think refuse the word; so do a thinking model's "instruct" variants. */
static bool takes_think(const struct llm_endpoint *e) {
    return llm_model_find(e->provider, e->model)->traits & LLM_TAKES_THINK &&
           str_find(e->model, STR("instruct")) == SIZE_MAX;
}

static int write_body(const struct llm_endpoint *e, const struct llm_request *r, struct strbuf *out,
                      struct err *err) {
    struct jsonw w = jsonw_begin(out);
    jsonw_object(&w);
    jsonw_kstr(&w, "model", e->model);
    jsonw_kbool(&w, "stream", true);
    if (takes_think(e)) {
        jsonw_kbool(&w, "think", r->reasoning);
    }
    llm_function_tools(&w, r, LLM_DIALECT_OLLAMA);
    write_messages(&w, e, r);
    jsonw_key(&w, "options");
    jsonw_object(&w);
    jsonw_kint(&w, "num_ctx", context_for(e, r, out->n));
    if (r->max_output_tokens > 0) {
        jsonw_kint(&w, "num_predict", r->max_output_tokens);
    }
    if (r->temperature >= 0) {
        jsonw_key(&w, "temperature");
        jsonw_double(&w, r->temperature);
    }
    jsonw_end_object(&w);
    jsonw_end_object(&w);
    return strbuf_check(out, "the request", err);
}

static size_t write_fields(const struct llm_endpoint *e, struct arena *arena,
                           struct http_client_field *fields) {
    size_t n = 0;
    fields[n++] = (struct http_client_field){"content-type", STR("application/json")};
    fields[n++] = (struct http_client_field){"accept", STR("application/x-ndjson")};
    if (e->key) { /* a proxy in front of it, or Ollama's cloud */
        struct str key = secret_reveal(e->key);
        fields[n++] = (struct http_client_field){"authorization",
                                                 arena_printf(arena, "Bearer %.*s", STR_ARG(key))};
    }
    return n;
}

/* ---- reading ---- */

struct state {
    unsigned n_calls;
};

/* Calls come whole, their arguments as an object. */
static int on_tool_call(struct llm_build *b, const json_t *call, struct err *err) {
    struct state *s = llm_build_state(b);
    const json_t *function = json_object_get(call, "function");
    const json_t *arguments = json_object_get(function, "arguments");
    struct strbuf text cleanup(strbuf_done) = STRBUF(4 << 20);
    unsigned index = s->n_calls++;
    if (json_str(function, "name").n == 0) {
        return err_set(err, ERR_PROTOCOL, "the answer has a tool call without a name");
    }
    if (json_is_object(arguments)) {
        json_write_tree(&text, arguments);
    } else {
        strbuf_add(&text, json_value_str(arguments));
    }
    int rc = llm_build_tool_start(b, index, json_str(call, "id"), json_str(function, "name"), err);
    if (rc == 0) {
        rc = llm_build_tool_arguments(b, index, strbuf_str(&text), err);
    }
    return rc < 0 ? rc : llm_build_tool_end(b, index, err);
}

static int on_message(struct llm_build *b, const json_t *message, struct err *err) {
    size_t i;
    json_t *call;
    int rc = llm_build_reasoning(b, json_str(message, "thinking"), err);
    if (rc == 0) {
        rc = llm_build_text(b, json_str(message, "content"), err);
    }
    json_array_foreach (json_object_get(message, "tool_calls"), i, call) {
        if (rc == 0) {
            rc = on_tool_call(b, call, err);
        }
    }
    return rc;
}

static void on_done(struct llm_build *b, const json_t *line) {
    struct llm_usage *u = llm_build_usage(b);
    struct str reason = json_str(line, "done_reason");
    u->input_tokens = json_int(line, "prompt_eval_count", 0);
    u->output_tokens = json_int(line, "eval_count", 0);
    llm_build_stop(b, reason.n == 0 || str_eq(reason, STR("stop")) ? LLM_STOP_END
                      : str_eq(reason, STR("length"))              ? LLM_STOP_LENGTH
                                                                   : LLM_STOP_OTHER);
    llm_build_complete(b);
}

static int on_parsed(struct llm_build *b, struct str data, const json_t *line, struct err *err) {
    if (json_object_get(line, "error")) {
        struct strbuf message cleanup(strbuf_done) = STRBUF(8192),
                              kind cleanup(strbuf_done) = STRBUF(1024);
        llm_error_text(data, &message, &kind);
        return llm_build_failed(b, ERR_UNAVAILABLE, strbuf_str(&message), err);
    }
    llm_build_model(b, json_str(line, "model"));
    int rc = on_message(b, json_object_get(line, "message"), err);
    if (rc == 0 && json_bool(line, "done", false)) {
        on_done(b, line);
    }
    return rc;
}

/* {"role":"assistant","content":"..."} */
static bool scan_message(struct scan *s, struct str *ret_text) {
    bool first = true;
    struct str key, role;
    if (!scan_open(s, '{')) {
        return false;
    }
    while (scan_member(s, &first, &key)) {
        bool ok = scan_is(key, "content") ? !ret_text->p && scan_string(s, ret_text)
                                          : scan_is(key, "role") && scan_string(s, &role);
        if (!ok) {
            return false;
        }
    }
    return !key.p;
}

/* {"model":"...","created_at":"...","message":{...},"done":false} */
static bool scan_line(struct str data, struct str *ret_text) {
    struct scan s = scan_begin(data);
    bool first = true;
    struct str key, ignored;
    if (!scan_open(&s, '{')) {
        return false;
    }
    while (scan_member(&s, &first, &key)) {
        bool ok = scan_is(key, "message")      ? !ret_text->p && scan_message(&s, ret_text)
                  : scan_is(key, "model")      ? scan_string(&s, &ignored)
                  : scan_is(key, "created_at") ? scan_string(&s, &ignored)
                  : scan_is(key, "done")       ? scan_false(&s)
                                               : false;
        if (!ok) {
            return false;
        }
    }
    return !key.p && ret_text->p && scan_at_end(&s);
}

static int on_event(struct llm_build *b, struct str type, struct str data, struct err *err) {
    struct str text = {0};
    json_t *line;
    int rc;
    (void)type;
    if (llm_build_started(b) && scan_line(data, &text) &&
        llm_build_raw_text(b, LLM_TEXT, text, &rc, err)) {
        return rc;
    }
    if (json_read(data, &line, err) < 0) {
        return err_set(err, ERR_PROTOCOL, "the answer has a line that is no JSON");
    }
    rc = on_parsed(b, data, line, err);
    json_decref(line);
    return rc;
}

static enum err_code read_error(int status, struct str body, struct strbuf *ret_message) {
    struct strbuf kind cleanup(strbuf_done) = STRBUF(1024);
    llm_error_text(body, ret_message, &kind);
    struct str message = strbuf_str(ret_message);
    if (status == 404 && str_find(message, STR("not found")) != SIZE_MAX) {
        strbuf_addz(ret_message, "; fetch it with \"ollama pull\"");
    }
    return status == 400 && llm_says_too_long(message, STR_EMPTY) ? ERR_LIMIT : ERR_NONE;
}

const struct llm_provider llm_ollama = {
    .name = "ollama",
    .label = "Ollama",
    .default_url = "http://127.0.0.1:11434",
    .default_model = "qwen3",
    .path = "/api/chat",
    .list_path = "/api/tags",
    .framing = LLM_LINES,
    .dialect = LLM_DIALECT_OLLAMA,
    .state_bytes = sizeof(struct state),
    .write_body = write_body,
    .write_fields = write_fields,
    .on_event = on_event,
    .read_error = read_error,
};
