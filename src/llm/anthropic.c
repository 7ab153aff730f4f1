/* Anthropic's Messages API: POST /v1/messages, server-sent events.
 * https://platform.claude.com/docs/en/api/messages, .../build-with-claude/streaming, .../thinking,
 * .../prompt-caching, .../preserved-thinking */
#include "base/json.h"
#include "base/scan.h"
#include "llm/conversation.h"
#include "llm/provider.h"

#define BINDING_BETA "thinking-binding-controls-2026-08-01"
#define CACHE_MARK ",\"cache_control\":{\"type\":\"ephemeral\"}"

/* ---- writing: content ---- */

struct writer {
    struct jsonw w;
    struct strbuf *out;
    size_t mark_at; /* where the last block's members end, for the cache mark; 0: nowhere */
    /* the last message, when it went out as it was */
    struct str plain_literal;
    size_t plain_start;
    bool plain_comma;
    bool any, assistant_last;
};

static void end_block(struct writer *m) {
    jsonw_end_object(&m->w);
    m->mark_at = m->out->n - 1;
}

static void write_text(struct writer *m, struct str text) {
    if (!llm_is_blank(text)) { /* refused by the API */
        jsonw_object(&m->w);
        jsonw_kstrz(&m->w, "type", "text");
        jsonw_kstr(&m->w, "text", text);
        end_block(m);
    }
}

static void write_image(struct writer *m, const json_t *block) {
    struct str data = json_str(block, "data"), url = json_str(block, "url");
    if (data.n == 0 && url.n == 0) {
        return;
    }
    jsonw_object(&m->w);
    jsonw_kstrz(&m->w, "type", "image");
    jsonw_key(&m->w, "source");
    jsonw_object(&m->w);
    jsonw_kstrz(&m->w, "type", data.n ? "base64" : "url");
    if (data.n) {
        jsonw_kstr(&m->w, "media_type", json_str(block, "media_type"));
        jsonw_kstr(&m->w, "data", data);
    } else {
        jsonw_kstr(&m->w, "url", url);
    }
    jsonw_end_object(&m->w);
    end_block(m);
}

/* Only what carries Anthropic's own proof goes back, and unchanged. */
static void write_thinking(struct writer *m, const json_t *block) {
    struct str signature = json_str(block, "signature"), redacted = json_str(block, "redacted");
    if (!str_eq(json_str(block, "provider"), STR("anthropic")) ||
        (signature.n == 0 && redacted.n == 0)) {
        return;
    }
    jsonw_object(&m->w);
    if (redacted.n) {
        jsonw_kstrz(&m->w, "type", "redacted_thinking");
        jsonw_kstr(&m->w, "data", redacted);
    } else {
        jsonw_kstrz(&m->w, "type", "thinking");
        jsonw_kstr(&m->w, "thinking", json_str(block, "text"));
        jsonw_kstr(&m->w, "signature", signature);
    }
    end_block(m);
}

static void write_tool_use(struct writer *m, const struct llm_sent_call *call) {
    jsonw_object(&m->w);
    jsonw_kstrz(&m->w, "type", "tool_use");
    jsonw_kstr(&m->w, "id", call->id);
    jsonw_kstr(&m->w, "name", call->name);
    jsonw_kraw(&m->w, "input", call->arguments);
    end_block(m);
}

static void write_blocks(struct writer *m, const struct llm_sent_message *message) {
    const struct llm_sent_call *call = message->calls, *end = call + message->n_calls;
    size_t i;
    json_t *block;
    if (json_is_string(message->content)) {
        write_text(m, json_value_str(message->content));
    }
    json_array_foreach (message->content, i, block) {
        struct str type = llm_block_type(block);
        if (str_eq(type, STR("text"))) {
            write_text(m, json_str(block, "text"));
        } else if (str_eq(type, STR("image")) && !message->assistant) {
            write_image(m, block);
        } else if (str_eq(type, STR("reasoning")) && message->assistant) {
            write_thinking(m, block);
        } else if (call < end && call->block == block) {
            write_tool_use(m, call++);
        }
    }
}

/* ---- writing: messages ---- */

static void begin_message(struct writer *m, const char *role) {
    jsonw_object(&m->w);
    jsonw_kstrz(&m->w, "role", role);
    jsonw_key(&m->w, "content");
    jsonw_array(&m->w);
    m->plain_literal = (struct str){0};
    m->any = true;
    m->assistant_last = role[0] == 'a';
}

static void end_message(struct writer *m) {
    jsonw_end_array(&m->w);
    jsonw_end_object(&m->w);
}

static void write_note(struct writer *m, const char *text) {
    begin_message(m, "user");
    write_text(m, str_z(text));
    end_message(m);
}

static void write_result_content(struct writer *m, const json_t *content) {
    size_t i;
    json_t *block;
    jsonw_array(&m->w);
    if (json_is_string(content)) {
        write_text(m, json_value_str(content));
    }
    json_array_foreach (content, i, block) {
        if (str_eq(llm_block_type(block), STR("text"))) {
            write_text(m, json_str(block, "text"));
        } else if (str_eq(llm_block_type(block), STR("image"))) {
            write_image(m, block);
        }
    }
    jsonw_end_array(&m->w);
}

/* All results of one assistant message stand in the one user message that follows it. */
static void write_results(struct writer *m, const struct llm_sent_message *message) {
    begin_message(m, "user");
    for (size_t i = 0; i < message->n_calls; i++) {
        const json_t *result = message->calls[i].result;
        jsonw_object(&m->w);
        jsonw_kstrz(&m->w, "type", "tool_result");
        jsonw_kstr(&m->w, "tool_use_id", message->calls[i].id);
        jsonw_key(&m->w, "content");
        if (result) {
            write_result_content(m, json_object_get(result, "content"));
        } else {
            jsonw_strz(&m->w, LLM_NO_RESULT);
        }
        if (!result || json_bool(result, "is_error", false)) {
            jsonw_kbool(&m->w, "is_error", true);
        }
        end_block(m);
    }
    end_message(m);
}

static void write_message(struct writer *m, const struct llm_sent_message *message) {
    if (!m->any && message->assistant) {
        write_note(m, "(The conversation begins with your message.)"); /* a user comes first */
    }
    if (message->plain.p) {
        m->plain_literal = message->literal;
        m->plain_start = m->out->n;
        m->plain_comma = m->w.comma;
        jsonw_raw(&m->w, message->plain);
        m->any = true;
        m->assistant_last = message->assistant;
        return;
    }
    begin_message(m, message->assistant ? "assistant" : "user");
    write_blocks(m, message);
    end_message(m);
    if (message->n_calls) {
        write_results(m, message);
    }
}

/* So that the next request finds the conversation up to here in the cache. */
static void mark_last(struct writer *m) {
    if (m->plain_literal.p) {
        struct strbuf literal cleanup(strbuf_done) = STRBUF(m->out->max);
        strbuf_add(&literal, m->plain_literal);
        strbuf_truncate(m->out, m->plain_start);
        m->w.comma = m->plain_comma;
        jsonw_object(&m->w);
        jsonw_kstrz(&m->w, "role", m->assistant_last ? "assistant" : "user");
        jsonw_key(&m->w, "content");
        jsonw_array(&m->w);
        jsonw_object(&m->w);
        jsonw_kstrz(&m->w, "type", "text");
        jsonw_kraw(&m->w, "text", strbuf_str(&literal));
        end_block(m);
        end_message(m);
    }
    char *room = m->mark_at ? strbuf_room(m->out, sizeof CACHE_MARK - 1) : NULL;
    if (room) {
        char *at = m->out->p + m->mark_at;
        memmove(at + sizeof CACHE_MARK - 1, at, m->out->n - m->mark_at);
        memcpy(at, CACHE_MARK, sizeof CACHE_MARK - 1);
        strbuf_claim(m->out, sizeof CACHE_MARK - 1);
    }
}

static void write_messages(struct jsonw *w, const struct llm_request *request) {
    struct llm_conversation c cleanup(llm_conversation_done);
    struct llm_sent_message message;
    struct writer m = {.w = *w, .out = w->out};
    jsonw_key(&m.w, "messages");
    jsonw_array(&m.w);
    llm_conversation_begin(&c, request);
    while (llm_conversation_next(&c, &message)) {
        write_message(&m, &message);
    }
    if (!m.any || m.assistant_last) {
        write_note(&m, "Continue."); /* an answer cannot be begun for newer models */
    }
    mark_last(&m);
    jsonw_end_array(&m.w);
    *w = m.w;
}

/* ---- writing: the rest ---- */

static void write_cache_mark(struct jsonw *w) {
    jsonw_kraw(w, "cache_control", STR("{\"type\":\"ephemeral\"}"));
}

static void write_system(struct jsonw *w, const struct llm_request *r) {
    const struct str texts[] = {r->system_stable, r->system_changing};
    if (llm_is_blank(texts[0]) && llm_is_blank(texts[1])) {
        return;
    }
    jsonw_key(w, "system");
    jsonw_array(w);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (llm_is_blank(texts[i])) {
            continue;
        }
        jsonw_object(w);
        jsonw_kstrz(w, "type", "text");
        jsonw_kstr(w, "text", texts[i]);
        if (i == 0) {
            write_cache_mark(w);
        }
        jsonw_end_object(w);
    }
    jsonw_end_array(w);
}

static void write_tools(struct jsonw *w, const struct llm_request *r) {
    if (r->n_tools == 0) {
        return;
    }
    jsonw_key(w, "tools");
    jsonw_array(w);
    for (size_t i = 0; i < r->n_tools; i++) {
        struct llm_tool_form form = llm_tool_form(&r->tools[i], LLM_DIALECT_ANTHROPIC);
        jsonw_object(w);
        jsonw_kstr(w, "name", r->tools[i].name);
        jsonw_kstr(w, "description", form.description);
        jsonw_kraw(w, "input_schema", form.schema);
        if (i + 1 == r->n_tools) {
            write_cache_mark(w);
        }
        jsonw_end_object(w);
    }
    jsonw_end_array(w);
}

/* Models that check thinking blocks against what stood before them would refuse a conversation
 * whose system prompt changed (a new day is enough): they are asked to drop such blocks instead. */
static void write_adaptive(struct jsonw *w, const struct llm_request *r, unsigned traits) {
    if (r->reasoning || traits & LLM_BINDS_THINKING) {
        jsonw_key(w, "thinking");
        jsonw_object(w);
        jsonw_kstrz(w, "type", "adaptive");
        if (r->reasoning) {
            jsonw_kstrz(w, "display", "summarized");
        }
        if (traits & LLM_BINDS_THINKING) {
            jsonw_kraw(w, "block_binding", STR("{\"prefix_mismatch_behavior\":\"drop_block\"}"));
        }
        jsonw_end_object(w);
    }
    if (!r->reasoning && traits & LLM_THINKS_ALWAYS) {
        jsonw_kraw(w, "output_config", STR("{\"effort\":\"low\"}"));
    }
}

static void write_thinking_wish(struct jsonw *w, const struct llm_request *r, unsigned traits,
                                int64_t max_tokens) {
    enum { LEAST_BUDGET = 1024, BUDGET = 8000 };
    if (traits & LLM_THINKS_ADAPTIVELY) {
        write_adaptive(w, r, traits);
    } else if (r->reasoning && traits & LLM_THINKS_BY_BUDGET && max_tokens > LEAST_BUDGET) {
        jsonw_key(w, "thinking");
        jsonw_object(w);
        jsonw_kstrz(w, "type", "enabled");
        jsonw_kint(w, "budget_tokens",
                   MIN(MAX(max_tokens / 2, (int64_t)LEAST_BUDGET), (int64_t)BUDGET));
        jsonw_end_object(w);
    }
}

static int write_body(const struct llm_endpoint *e, const struct llm_request *r, struct strbuf *out,
                      struct err *err) {
    struct jsonw w = jsonw_begin(out);
    unsigned traits = llm_model_find(e->provider, e->model)->traits;
    int64_t max_tokens = r->max_output_tokens > 0 ? r->max_output_tokens
                                                  : llm_model_max_output(e->provider, e->model);
    bool thinks = r->reasoning && traits & (LLM_THINKS_ADAPTIVELY | LLM_THINKS_BY_BUDGET);
    jsonw_object(&w);
    jsonw_kstr(&w, "model", e->model);
    jsonw_kint(&w, "max_tokens", max_tokens);
    jsonw_kbool(&w, "stream", true);
    if (r->temperature >= 0 && !thinks && !(traits & LLM_NO_SAMPLING)) {
        jsonw_key(&w, "temperature");
        jsonw_double(&w, MIN(r->temperature, 1.0));
    }
    write_thinking_wish(&w, r, traits, max_tokens);
    write_system(&w, r);
    write_tools(&w, r);
    write_messages(&w, r);
    jsonw_end_object(&w);
    return strbuf_check(out, "the request", err);
}

static size_t write_fields(const struct llm_endpoint *e, struct arena *arena,
                           struct http_client_field *fields) {
    size_t n = 0;
    (void)arena;
    fields[n++] = (struct http_client_field){"content-type", STR("application/json")};
    fields[n++] = (struct http_client_field){"accept", STR("text/event-stream")};
    fields[n++] = (struct http_client_field){"anthropic-version", STR("2023-06-01")};
    if (llm_model_find(e->provider, e->model)->traits & LLM_BINDS_THINKING) {
        fields[n++] = (struct http_client_field){"anthropic-beta", STR(BINDING_BETA)};
    }
    if (e->key) {
        fields[n++] = (struct http_client_field){"x-api-key", secret_reveal(e->key)};
    }
    return n;
}

/* ---- reading ---- */

enum { MAX_CONTENT_BLOCKS = 1024 };

struct state {
    char kinds[MAX_CONTENT_BLOCKS]; /* by index: 't'ext, 'r'easoning, 'c'all, 0: other */
};

static char *kind_of(struct llm_build *b, int64_t index) {
    struct state *s = llm_build_state(b);
    return index >= 0 && index < MAX_CONTENT_BLOCKS ? &s->kinds[index] : NULL;
}

static int on_block_start(struct llm_build *b, const json_t *event, struct err *err) {
    int64_t index = json_int(event, "index", 0);
    const json_t *block = json_object_get(event, "content_block");
    struct str type = json_str(block, "type");
    char *kind = kind_of(b, index);
    if (!kind) {
        return err_set(err, ERR_LIMIT, "the answer has too many parts");
    }
    *kind = 0;
    strbuf_reset(llm_build_scratch(b));
    if (str_eq(type, STR("text"))) {
        *kind = 't';
        return llm_build_text(b, json_str(block, "text"), err);
    }
    if (str_eq(type, STR("thinking"))) {
        *kind = 'r';
        strbuf_add(llm_build_scratch(b), json_str(block, "signature"));
        return llm_build_reasoning(b, json_str(block, "thinking"), err);
    }
    if (str_eq(type, STR("redacted_thinking"))) {
        return llm_build_reasoning_end(b, STR_EMPTY, json_str(block, "data"), err);
    }
    if (!str_eq(type, STR("tool_use"))) {
        return 0;
    }
    *kind = 'c';
    int rc = llm_build_tool_start(b, (unsigned)index, json_str(block, "id"),
                                  json_str(block, "name"), err);
    const json_t *input = json_object_get(block, "input");
    if (rc == 0 && json_object_size(input) > 0) {
        struct strbuf text cleanup(strbuf_done) = STRBUF(1 << 20);
        json_write_tree(&text, input);
        rc = llm_build_tool_arguments(b, (unsigned)index, strbuf_str(&text), err);
    }
    return rc;
}

static int on_block_delta(struct llm_build *b, const json_t *event, struct err *err) {
    int64_t index = json_int(event, "index", 0);
    const json_t *delta = json_object_get(event, "delta");
    struct str type = json_str(delta, "type");
    const char *kind = kind_of(b, index);
    if (str_eq(type, STR("text_delta"))) {
        return llm_build_text(b, json_str(delta, "text"), err);
    }
    if (str_eq(type, STR("thinking_delta"))) {
        return llm_build_reasoning(b, json_str(delta, "thinking"), err);
    }
    if (str_eq(type, STR("signature_delta"))) {
        strbuf_add(llm_build_scratch(b), json_str(delta, "signature"));
        return strbuf_check(llm_build_scratch(b), "the answer", err);
    }
    if (str_eq(type, STR("input_json_delta")) && kind && *kind == 'c') {
        return llm_build_tool_arguments(b, (unsigned)index, json_str(delta, "partial_json"), err);
    }
    return 0;
}

static int on_block_stop(struct llm_build *b, const json_t *event, struct err *err) {
    int64_t index = json_int(event, "index", 0);
    const char *kind = kind_of(b, index);
    if (kind && *kind == 'r') {
        struct strbuf *signature = llm_build_scratch(b);
        int rc = llm_build_reasoning_end(b, strbuf_str(signature), STR_EMPTY, err);
        strbuf_reset(signature);
        return rc;
    }
    return kind && *kind == 'c' ? llm_build_tool_end(b, (unsigned)index, err) : 0;
}

/* input_tokens leaves out what the cache served and stored. Counts are cumulative. */
static void read_usage(struct llm_build *b, const json_t *usage) {
    struct llm_usage *u = llm_build_usage(b);
    if (json_is_integer(json_object_get(usage, "input_tokens"))) {
        u->cached_input_tokens = json_int(usage, "cache_read_input_tokens", u->cached_input_tokens);
        u->cache_write_tokens =
            json_int(usage, "cache_creation_input_tokens", u->cache_write_tokens);
        u->input_tokens =
            json_int(usage, "input_tokens", 0) + u->cached_input_tokens + u->cache_write_tokens;
    }
    u->output_tokens = json_int(usage, "output_tokens", u->output_tokens);
    u->reasoning_tokens = json_int(json_object_get(usage, "output_tokens_details"),
                                   "thinking_tokens", u->reasoning_tokens);
}

static enum llm_stop stop_of(struct str reason) {
    static const struct {
        const char *word;
        enum llm_stop stop;
    } stops[] = {
        {"end_turn", LLM_STOP_END},
        {"stop_sequence", LLM_STOP_END},
        {"tool_use", LLM_STOP_TOOLS},
        {"max_tokens", LLM_STOP_LENGTH},
        {"model_context_window_exceeded", LLM_STOP_LENGTH},
        {"refusal", LLM_STOP_REFUSAL},
    };
    for (size_t i = 0; i < ARRAY_LEN(stops); i++) {
        if (str_eq(reason, str_z(stops[i].word))) {
            return stops[i].stop;
        }
    }
    return LLM_STOP_OTHER; /* pause_turn among others */
}

static enum err_code code_of(struct str type) {
    static const struct {
        const char *word;
        enum err_code code;
    } codes[] = {
        {"overloaded_error", ERR_UNAVAILABLE},  {"api_error", ERR_UNAVAILABLE},
        {"rate_limit_error", ERR_BUSY},         {"timeout_error", ERR_TIMEOUT},
        {"invalid_request_error", ERR_INVALID}, {"authentication_error", ERR_UNAUTHORIZED},
        {"permission_error", ERR_FORBIDDEN},    {"billing_error", ERR_FORBIDDEN},
        {"not_found_error", ERR_NOT_FOUND},     {"request_too_large", ERR_LIMIT},
    };
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        if (str_eq(type, str_z(codes[i].word))) {
            return codes[i].code;
        }
    }
    return ERR_UNAVAILABLE;
}

static int on_parsed(struct llm_build *b, const json_t *event, struct err *err) {
    struct str type = json_str(event, "type");
    if (str_eq(type, STR("content_block_delta"))) {
        return on_block_delta(b, event, err);
    }
    if (str_eq(type, STR("content_block_start"))) {
        return on_block_start(b, event, err);
    }
    if (str_eq(type, STR("content_block_stop"))) {
        return on_block_stop(b, event, err);
    }
    if (str_eq(type, STR("message_start"))) {
        const json_t *message = json_object_get(event, "message");
        llm_build_model(b, json_str(message, "model"));
        read_usage(b, json_object_get(message, "usage"));
    } else if (str_eq(type, STR("message_delta"))) {
        struct str reason = json_str(json_object_get(event, "delta"), "stop_reason");
        if (reason.n) {
            llm_build_stop(b, stop_of(reason));
        }
        read_usage(b, json_object_get(event, "usage"));
    } else if (str_eq(type, STR("message_stop"))) {
        llm_build_complete(b);
    } else if (str_eq(type, STR("error"))) {
        const json_t *error = json_object_get(event, "error");
        return llm_build_failed(b, code_of(json_str(error, "type")), json_str(error, "message"),
                                err);
    }
    return 0;
}

/* {"type":"text_delta","text":"..."} */
static bool scan_text_delta(struct scan *s, struct str *ret_text) {
    bool first = true;
    struct str key, type = {0};
    if (!scan_open(s, '{')) {
        return false;
    }
    while (scan_member(s, &first, &key)) {
        struct str *value = scan_is(key, "type") ? &type : scan_is(key, "text") ? ret_text : NULL;
        if (!value || value->p || !scan_string(s, value)) {
            return false;
        }
    }
    return !key.p && scan_is(type, "text_delta") && ret_text->p;
}

/* {"type":"content_block_delta","index":0,"delta":{...}} */
static bool scan_event(struct str data, struct str *ret_text) {
    struct scan s = scan_begin(data);
    bool first = true;
    struct str key, type = {0};
    if (!scan_open(&s, '{')) {
        return false;
    }
    while (scan_member(&s, &first, &key)) {
        bool ok = scan_is(key, "type")    ? !type.p && scan_string(&s, &type)
                  : scan_is(key, "delta") ? !ret_text->p && scan_text_delta(&s, ret_text)
                  : scan_is(key, "index") ? scan_skip(&s)
                                          : false;
        if (!ok) {
            return false;
        }
    }
    return !key.p && scan_at_end(&s) && scan_is(type, "content_block_delta") && ret_text->p;
}

static int on_event(struct llm_build *b, struct str type, struct str data, struct err *err) {
    struct str text = {0};
    int rc;
    (void)type; /* the data says it too */
    if (scan_event(data, &text) && llm_build_raw_text(b, LLM_TEXT, text, &rc, err)) {
        return rc;
    }
    json_t *event;
    if (json_read(data, &event, err) < 0) {
        return err_set(err, ERR_PROTOCOL, "the answer has an event that is no JSON");
    }
    rc = on_parsed(b, event, err);
    json_decref(event);
    return rc;
}

static enum err_code read_error(int status, struct str body, struct strbuf *ret_message) {
    struct strbuf kind cleanup(strbuf_done) = STRBUF(1024);
    llm_error_text(body, ret_message, &kind);
    struct str message = strbuf_str(ret_message);
    if (status == 400 && str_find(message, STR("credit balance")) != SIZE_MAX) {
        return ERR_FORBIDDEN;
    }
    if (status == 429 && str_find(strbuf_str(&kind), STR("spend_limit")) != SIZE_MAX) {
        return ERR_FORBIDDEN; /* waiting does not help */
    }
    return status == 400 && llm_says_too_long(message, strbuf_str(&kind)) ? ERR_LIMIT : ERR_NONE;
}

const struct llm_provider llm_anthropic = {
    .name = "anthropic",
    .label = "Anthropic",
    .default_url = "https://api.anthropic.com",
    .default_model = "claude-sonnet-5-5",
    .path = "/v1/messages",
    .list_path = "/v1/models?limit=1000",
    .framing = LLM_SSE,
    .dialect = LLM_DIALECT_ANTHROPIC,
    .state_bytes = sizeof(struct state),
    .write_body = write_body,
    .write_fields = write_fields,
    .on_event = on_event,
    .read_error = read_error,
};
