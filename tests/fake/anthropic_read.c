/* Reading a request of Anthropic Messages, with its rules about what may follow what. */
#include <stdio.h>

#include "base/json.h"
#include "fake.h"

#define INVALID(p, ...) fake_problem((p), 400, "invalid_request_error", __VA_ARGS__)

enum { MAX_IDS = 1024 };

/* What is known while the messages are walked through. */
struct walk {
    struct fake_conversation *c;
    struct fake_problem *p;
    bool thinking_enabled;
    unsigned cache_marks;
    size_t index; /* of the message */
    size_t last_assistant;
    bool assistant_before;    /* the message before was the assistant's */
    bool other_came;          /* a block that is no result, in the user's turn at hand */
    struct str open[MAX_IDS]; /* calls of the message before, waiting for results */
    struct str names[MAX_IDS];
    size_t n_open;
    struct map seen;    /* ids of all calls */
    struct strbuf text; /* of the message */
};

static int check_keys(const json_t *object, const char *const *keys, const char *where,
                      struct fake_problem *p) {
    const char *odd;
    return fake_only_keys(object, keys, &odd)
               ? 0
               : INVALID(p, "%s%s: Extra inputs are not permitted", where, odd);
}

static int check_cache_mark(struct walk *w, const json_t *block, const char *where) {
    const json_t *mark = json_object_get(block, "cache_control");
    if (!mark) {
        return 0;
    }
    struct str ttl = json_str(mark, "ttl");
    if (!str_eq(json_str(mark, "type"), STR("ephemeral")) ||
        (ttl.p && !str_eq(ttl, STR("5m")) && !str_eq(ttl, STR("1h")))) {
        return INVALID(w->p, "%scache_control: Input should be a valid cache control", where);
    }
    if (++w->cache_marks > 4) {
        return INVALID(w->p, "A maximum of 4 blocks with cache_control may be provided. Found %u.",
                       w->cache_marks);
    }
    return 0;
}

static bool is_blank(struct str s) {
    return str_trim(s).n == 0;
}

static int read_text_block(struct walk *w, const json_t *block, const char *where) {
    static const char *const keys[] = {"type", "text", "cache_control", "citations", NULL};
    struct str text = json_str(block, "text");
    if (check_keys(block, keys, where, w->p) < 0 || check_cache_mark(w, block, where) < 0) {
        return -1;
    }
    if (!text.p) {
        return INVALID(w->p, "%stext: Field required", where);
    }
    if (text.n == 0) {
        return INVALID(w->p, "messages: text content blocks must be non-empty");
    }
    if (is_blank(text)) {
        return INVALID(w->p, "messages: text content blocks must contain non-whitespace text");
    }
    strbuf_add(&w->text, text);
    return 0;
}

static int read_image_block(struct walk *w, const json_t *block, const char *where) {
    static const char *const keys[] = {"type", "source", "cache_control", NULL};
    const json_t *source = json_object_get(block, "source");
    struct str type = json_str(source, "type"), media = json_str(source, "media_type");
    struct strbuf bytes cleanup(strbuf_done) = STRBUF(FAKE_MAX_BODY_BYTES);
    struct err err;
    if (check_keys(block, keys, where, w->p) < 0 || check_cache_mark(w, block, where) < 0) {
        return -1;
    }
    if (str_eq(type, STR("url"))) {
        return json_str(source, "url").n > 0 ? 0
                                             : INVALID(w->p, "%ssource.url: Field required", where);
    }
    if (!str_eq(type, STR("base64"))) {
        return INVALID(w->p, "%ssource: Input tag found using 'type' does not match", where);
    }
    if (!str_eq(media, STR("image/png")) && !str_eq(media, STR("image/jpeg")) &&
        !str_eq(media, STR("image/gif")) && !str_eq(media, STR("image/webp"))) {
        return INVALID(w->p,
                       "%ssource.base64.media_type: Input should be 'image/jpeg', "
                       "'image/png', 'image/gif' or 'image/webp'",
                       where);
    }
    if (json_str(source, "data").n == 0 ||
        crypto_base64_decode(&bytes, json_str(source, "data"), &err) < 0) {
        return INVALID(w->p, "%ssource.base64: invalid base64 data", where);
    }
    strbuf_addz(&w->text, "<image>");
    return 0;
}

static int read_tool_use(struct walk *w, const json_t *block, const char *where) {
    static const char *const keys[] = {"type", "id", "name", "input", "cache_control", NULL};
    struct str id = json_str(block, "id"), name = json_str(block, "name");
    struct strbuf arguments = STRBUF(FAKE_MAX_BODY_BYTES);
    if (check_keys(block, keys, where, w->p) < 0 || check_cache_mark(w, block, where) < 0) {
        return -1;
    }
    if (!fake_is_name(id, 256)) {
        return INVALID(w->p, "%sid: String should match pattern '^[a-zA-Z0-9_-]+$'", where);
    }
    if (!fake_is_name(name, 128)) {
        return INVALID(w->p, "%sname: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'", where);
    }
    if (!json_is_object(json_object_get(block, "input"))) {
        return INVALID(w->p, "%sinput: Input should be a valid dictionary", where);
    }
    if (map_get(&w->seen, id)) {
        return INVALID(w->p, "messages: `tool_use` ids must be unique");
    }
    if (w->n_open == MAX_IDS) {
        return INVALID(w->p, "messages: too many calls");
    }
    map_put(&w->seen, id, w);
    w->names[w->n_open] = name;
    w->open[w->n_open++] = id;
    json_write_tree(&arguments, json_object_get(block, "input"));
    fake_saw_call(w->c, id, name, strbuf_str(&arguments));
    strbuf_done(&arguments);
    return 0;
}

static int check_thinking(struct walk *w, const json_t *block, const char *where) {
    struct strbuf right cleanup(strbuf_done) = STRBUF(256);
    if (str_eq(json_str(block, "type"), STR("redacted_thinking"))) {
        fake_signature(&right, STR("redacted"));
        return str_eq(json_str(block, "data"), strbuf_str(&right))
                   ? 0
                   : INVALID(w->p, "%sInvalid `data` in `redacted_thinking` block", where);
    }
    fake_signature(&right, json_str(block, "thinking"));
    return str_eq(json_str(block, "signature"), strbuf_str(&right))
               ? 0
               : INVALID(w->p, "%sInvalid `signature` in `thinking` block", where);
}

static bool is_thinking(const json_t *block) {
    struct str type = json_str(block, "type");
    return str_eq(type, STR("thinking")) || str_eq(type, STR("redacted_thinking"));
}

static int read_assistant_block(struct walk *w, const json_t *block, const char *where) {
    struct str type = json_str(block, "type");
    if (str_eq(type, STR("text"))) {
        return read_text_block(w, block, where);
    }
    if (str_eq(type, STR("tool_use"))) {
        return read_tool_use(w, block, where);
    }
    if (is_thinking(block)) {
        return check_thinking(w, block, where);
    }
    return INVALID(w->p, "%sInput tag '%.*s' found using 'type' does not match", where,
                   STR_ARG(type));
}

/* What reasoned before it called must be sent again with its reasoning in front. */
static int check_reasoning_kept(struct walk *w, const json_t *content, bool is_last) {
    bool starts_with_thinking = is_thinking(json_array_get(content, 0));
    size_t i;
    json_t *block;
    json_array_foreach (content, i, block) {
        bool is_call = str_eq(json_str(block, "type"), STR("tool_use"));
        bool reasoned = is_call && fake_call_id_reasoned(json_str(block, "id"));
        if (is_call && is_last && !starts_with_thinking && (w->thinking_enabled || reasoned)) {
            return INVALID(w->p,
                           "messages.%zu.content.0.type: Expected `thinking` or "
                           "`redacted_thinking`, but found `%.*s`. When `thinking` is "
                           "enabled, a final `assistant` message must start with a thinking "
                           "block",
                           w->index, STR_ARG(json_str(json_array_get(content, 0), "type")));
        }
    }
    return 0;
}

static int read_assistant(struct walk *w, const json_t *content, bool is_last) {
    char where[80];
    size_t i;
    json_t *block;
    json_array_foreach (content, i, block) {
        snprintf(where, sizeof where, "messages.%zu.content.%zu.", w->index, i);
        if (read_assistant_block(w, block, where) < 0) {
            return -1;
        }
    }
    return check_reasoning_kept(w, content, is_last);
}

static int result_text(struct walk *w, const json_t *content, const char *where, struct str *ret) {
    size_t from = w->text.n, i;
    json_t *block;
    *ret = json_value_str(content);
    if (!content || json_is_string(content)) {
        return 0;
    }
    if (!json_is_array(content)) {
        return INVALID(w->p, "%scontent: Input should be a valid string or list", where);
    }
    json_array_foreach (content, i, block) {
        bool image = str_eq(json_str(block, "type"), STR("image"));
        if (!image && !str_eq(json_str(block, "type"), STR("text"))) {
            return INVALID(w->p, "%scontent.%zu: Input tag found using 'type' does not match",
                           where, i);
        }
        if ((image ? read_image_block : read_text_block)(w, block, where) < 0) {
            return -1;
        }
    }
    *ret = arena_str(w->c->arena, str_skip(strbuf_str(&w->text), from));
    strbuf_truncate(&w->text, from);
    return 0;
}

static int read_tool_result(struct walk *w, const json_t *block, const char *where) {
    static const char *const keys[] = {"type",     "tool_use_id",   "content",
                                       "is_error", "cache_control", NULL};
    struct str id = json_str(block, "tool_use_id"), text;
    const json_t *is_error = json_object_get(block, "is_error");
    size_t i = 0;
    if (check_keys(block, keys, where, w->p) < 0 || check_cache_mark(w, block, where) < 0) {
        return -1;
    }
    while (i < w->n_open && !str_eq(w->open[i], id)) {
        i++;
    }
    if (i == w->n_open || id.n == 0) {
        return INVALID(w->p,
                       "%s: unexpected `tool_use_id` found in `tool_result` blocks: %.*s. "
                       "Each `tool_result` block must have a corresponding `tool_use` block "
                       "in the previous message.",
                       where, STR_ARG(id));
    }
    if (is_error && !json_is_boolean(is_error)) {
        return INVALID(w->p, "%sis_error: Input should be a valid boolean", where);
    }
    if (result_text(w, json_object_get(block, "content"), where, &text) < 0) {
        return -1;
    }
    fake_saw_result(w->c, id, w->names[i], text);
    w->open[i] = STR_EMPTY;
    return 0;
}

static int check_all_answered(struct walk *w) {
    for (size_t i = 0; i < w->n_open; i++) {
        if (w->open[i].n > 0) {
            return INVALID(w->p,
                           "messages.%zu: `tool_use` ids were found without `tool_result` "
                           "blocks immediately after: %.*s. Each `tool_use` block must have "
                           "a corresponding `tool_result` block in the next message.",
                           w->index - 1, STR_ARG(w->open[i]));
        }
    }
    w->n_open = 0;
    return 0;
}

static int read_user(struct walk *w, const json_t *content) {
    char where[80];
    size_t i;
    json_t *block;
    json_array_foreach (content, i, block) {
        struct str type = json_str(block, "type");
        snprintf(where, sizeof where, "messages.%zu.content.%zu.", w->index, i);
        int rc;
        if (str_eq(type, STR("tool_result"))) {
            rc = w->other_came
                     ? INVALID(w->p, "%stype: `tool_result` blocks must come first", where)
                     : read_tool_result(w, block, where);
        } else if (str_eq(type, STR("text")) || str_eq(type, STR("image"))) {
            w->other_came = true;
            rc = (type.n == 4 ? read_text_block : read_image_block)(w, block, where);
        } else {
            rc = INVALID(w->p, "%sInput tag '%.*s' found using 'type' does not match", where,
                         STR_ARG(type));
        }
        if (rc < 0) {
            return -1;
        }
    }
    return 0;
}

static void saw(struct walk *w, bool assistant) {
    struct str text = arena_str(w->c->arena, strbuf_str(&w->text));
    if (assistant) {
        fake_saw_assistant(w->c, text);
    } else if (text.n > 0) {
        fake_saw_user(w->c, text);
    }
    strbuf_reset(&w->text);
}

/* Messages of one role in a row are one turn; calls are answered by the user's turn behind them. */
static int begin_turn(struct walk *w, bool assistant) {
    w->assistant_before = assistant;
    w->other_came = false;
    return assistant ? check_all_answered(w) : 0;
}

static int read_message(struct walk *w, const json_t *message, size_t n) {
    static const char *const keys[] = {"role", "content", NULL};
    struct str role = json_str(message, "role");
    const json_t *content = json_object_get(message, "content");
    struct str plain = json_value_str(content);
    char where[40];
    bool assistant = str_eq(role, STR("assistant"));
    snprintf(where, sizeof where, "messages.%zu.", w->index);
    if (!json_is_object(message) || check_keys(message, keys, where, w->p) < 0) {
        return json_is_object(message) ? -1 : INVALID(w->p, "%s: Input should be an object", where);
    }
    if (!assistant && !str_eq(role, STR("user"))) {
        return INVALID(w->p, "messages: Unexpected role \"%.*s\"", STR_ARG(role));
    }
    if (assistant && w->index == 0) {
        return INVALID(w->p, "messages: first message must use the \"user\" role");
    }
    if (assistant && w->index == n - 1) {
        return INVALID(w->p, "This model does not support assistant message prefill. The "
                             "conversation must end with a user message.");
    }
    if (plain.p ? is_blank(plain) : json_array_size(content) == 0) {
        return INVALID(w->p, "messages.%zu: all messages must have non-empty content", w->index);
    }
    if (assistant != w->assistant_before && begin_turn(w, assistant) < 0) {
        return -1;
    }
    if (plain.p) {
        strbuf_add(&w->text, plain);
        w->other_came = true;
    }
    bool is_last = w->index == w->last_assistant;
    if ((assistant ? read_assistant(w, content, is_last) : read_user(w, content)) < 0) {
        return -1;
    }
    saw(w, assistant);
    w->c->n_messages++;
    return 0;
}

static int read_tools(struct walk *w, const json_t *tools) {
    static const char *const keys[] = {"name",          "description", "input_schema",
                                       "cache_control", "type",        NULL};
    char where[40];
    size_t i;
    json_t *tool;
    json_array_foreach (tools, i, tool) {
        snprintf(where, sizeof where, "tools.%zu.custom.", i);
        if (check_keys(tool, keys, where, w->p) < 0 || check_cache_mark(w, tool, where) < 0 ||
            fake_tool(w->c, json_str(tool, "name"), 128, json_object_get(tool, "input_schema"),
                      false, w->p) < 0) {
            return -1;
        }
    }
    return 0;
}

static int read_system(struct walk *w, const json_t *system) {
    size_t i;
    json_t *block;
    if (!system || json_is_string(system)) {
        strbuf_add(&w->text, json_value_str(system));
    } else if (!json_is_array(system)) {
        return INVALID(w->p, "system: Input should be a valid list");
    }
    json_array_foreach (system, i, block) {
        if (read_text_block(w, block, "system.") < 0) {
            return -1;
        }
    }
    w->c->system = arena_str(w->c->arena, strbuf_str(&w->text));
    strbuf_reset(&w->text);
    return 0;
}

static int check_top(const json_t *body, struct walk *w) {
    static const char *const keys[] = {
        "model",          "max_tokens",  "messages",    "system",       "stream",
        "tools",          "tool_choice", "temperature", "top_p",        "top_k",
        "stop_sequences", "metadata",    "thinking",    "service_tier", "output_config",
        "cache_control",  NULL};
    const json_t *max_tokens = json_object_get(body, "max_tokens");
    const json_t *thinking = json_object_get(body, "thinking");
    const json_t *temperature = json_object_get(body, "temperature");
    struct str how = json_str(thinking, "type");
    if (check_keys(body, keys, "", w->p) < 0) {
        return -1;
    }
    if (json_str(body, "model").n == 0) {
        return INVALID(w->p, "model: Field required");
    }
    if (!json_is_integer(max_tokens) || json_integer_value(max_tokens) < 1) {
        return INVALID(w->p, "max_tokens: %s",
                       max_tokens ? "Input should be greater than or equal to 1"
                                  : "Field required");
    }
    if (temperature &&
        !(json_number_value(temperature) >= 0 && json_number_value(temperature) <= 1)) {
        return INVALID(w->p, "temperature: range: 0..1");
    }
    if (str_eq(how, STR("enabled"))) {
        int64_t budget = json_int(thinking, "budget_tokens", 0);
        w->thinking_enabled = true;
        if (budget < 1024 || budget >= json_integer_value(max_tokens)) {
            return INVALID(w->p,
                           "`max_tokens` must be greater than `thinking.budget_tokens`, which "
                           "must be at least 1024");
        }
        if (temperature && json_number_value(temperature) != 1) {
            return INVALID(w->p, "`temperature` may only be set to 1 when thinking is enabled.");
        }
    } else if (thinking && !str_eq(how, STR("adaptive")) && !str_eq(how, STR("disabled"))) {
        return INVALID(w->p, "thinking: Input tag found using 'type' does not match");
    }
    return 0;
}

static int walk_body(struct walk *w, json_t *body) {
    json_t *messages = json_object_get(body, "messages"), *message;
    struct strbuf prefix cleanup(strbuf_done) = STRBUF(FAKE_MAX_BODY_BYTES);
    size_t n = json_array_size(messages);
    if (check_top(body, w) < 0 || read_tools(w, json_object_get(body, "tools")) < 0 ||
        read_system(w, json_object_get(body, "system")) < 0) {
        return -1;
    }
    if (n == 0) {
        return INVALID(w->p, "messages: at least one message is required");
    }
    if (w->cache_marks > 0) {
        if (json_object_get(body, "tools")) {
            json_write_tree(&prefix, json_object_get(body, "tools"));
        }
        strbuf_add(&prefix, w->c->system);
        w->c->cache_key = arena_str(w->c->arena, strbuf_str(&prefix));
    }
    json_array_foreach (messages, w->index, message) {
        if (str_eq(json_str(message, "role"), STR("assistant"))) {
            w->last_assistant = w->index;
        }
    }
    json_array_foreach (messages, w->index, message) {
        if (read_message(w, message, n) < 0) {
            return -1;
        }
    }
    return check_all_answered(w);
}

int fake_anthropic_read(json_t *body, struct fake_conversation *c, struct fake_problem *p) {
    struct walk *w = arena_alloc(c->arena, sizeof *w);
    w->c = c;
    w->p = p;
    w->text = STRBUF(FAKE_MAX_BODY_BYTES);
    c->model = json_str(body, "model");
    c->stream = json_bool(body, "stream", false);
    int rc = walk_body(w, body);
    map_done(&w->seen);
    strbuf_done(&w->text);
    return rc;
}
