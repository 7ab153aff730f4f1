/* Ollama's own chat: POST /api/chat, GET /api/tags. Streams are lines of JSON. */
#include <stdio.h>

#include "base/clock.h"
#include "base/json.h"
#include "fake.h"

/* A server of one's own knows no keys. */
static int check_fields(struct http_request *r, struct str key, struct fake_problem *p) {
    (void)r;
    (void)key;
    (void)p;
    return 0;
}

/* ---- reading ---- */

static int wrong_type(struct fake_problem *p, const char *field, const char *type) {
    return fake_problem(p, 400, NULL,
                        "json: cannot unmarshal into Go struct field ChatRequest.%s of type %s",
                        field, type);
}

static int read_calls(struct fake_conversation *c, const json_t *calls, struct fake_problem *p) {
    size_t i;
    json_t *call;
    json_array_foreach (calls, i, call) {
        const json_t *function = json_object_get(call, "function");
        struct strbuf arguments cleanup(strbuf_done) = STRBUF(FAKE_MAX_BODY_BYTES);
        if (!json_is_object(json_object_get(function, "arguments"))) {
            return wrong_type(p, "messages.tool_calls.function.arguments",
                              "api.ToolCallFunctionArguments");
        }
        if (json_str(function, "name").n == 0) {
            return fake_problem(p, 400, NULL, "tool call without a name");
        }
        json_write_tree(&arguments, json_object_get(function, "arguments"));
        fake_saw_call(c, STR("call"), json_str(function, "name"), strbuf_str(&arguments));
    }
    return 0;
}

static int check_images(const json_t *images, struct fake_problem *p) {
    struct strbuf bytes cleanup(strbuf_done) = STRBUF(FAKE_MAX_BODY_BYTES);
    struct err err;
    size_t i;
    json_t *image;
    json_array_foreach (images, i, image) {
        strbuf_reset(&bytes);
        if (crypto_base64_decode(&bytes, json_value_str(image), &err) < 0) {
            return fake_problem(p, 400, NULL, "illegal base64 data in messages.images");
        }
    }
    return 0;
}

static int read_message(struct fake_conversation *c, const json_t *message,
                        struct fake_problem *p) {
    const json_t *content = json_object_get(message, "content");
    struct str role = json_str(message, "role"), text = json_value_str(content);
    if (!json_is_object(message)) {
        return wrong_type(p, "messages", "api.Message");
    }
    if (content && !json_is_null(content) && !text.p) {
        return wrong_type(p, "messages.content", "string");
    }
    if (check_images(json_object_get(message, "images"), p) < 0) {
        return -1;
    }
    c->n_messages += !str_eq(role, STR("system"));
    if (str_eq(role, STR("system"))) {
        c->system = text;
    } else if (str_eq(role, STR("user"))) {
        size_t n = json_array_size(json_object_get(message, "images"));
        if (n == 0 || !fake_saw_result_images(c, n)) {
            fake_saw_user(c, text);
        }
    } else if (str_eq(role, STR("assistant"))) {
        if (read_calls(c, json_object_get(message, "tool_calls"), p) < 0) {
            return -1;
        }
        fake_saw_assistant(c, text);
    } else if (str_eq(role, STR("tool"))) {
        fake_saw_result(c, STR("call"), json_str(message, "tool_name"), text);
    } else {
        return fake_problem(p, 400, NULL,
                            "invalid role: must be one of 'user', 'assistant', 'system', 'tool'");
    }
    return 0;
}

static int read_tools(struct fake_conversation *c, const json_t *tools, struct fake_problem *p) {
    size_t i;
    json_t *tool;
    json_array_foreach (tools, i, tool) {
        const json_t *function = json_object_get(tool, "function");
        if (!str_eq(json_str(tool, "type"), STR("function")) || json_str(function, "name").n == 0 ||
            !json_is_object(json_object_get(function, "parameters"))) {
            return wrong_type(p, "tools", "api.Tool");
        }
        strbuf_add(&c->tool_names, json_str(function, "name"));
        strbuf_addc(&c->tool_names, ' ');
    }
    return 0;
}

static int read_body(json_t *body, struct fake_conversation *c, struct fake_problem *p) {
    json_t *messages = json_object_get(body, "messages"), *message;
    const json_t *options = json_object_get(body, "options"), *think;
    size_t i;
    c->model = json_str(body, "model");
    c->stream = json_bool(body, "stream", true);
    c->include_usage = true;
    think = json_object_get(body, "think");
    if (c->model.n == 0) {
        return fake_problem(p, 400, NULL, "model is required");
    }
    if (messages && !json_is_array(messages)) {
        return wrong_type(p, "messages", "[]api.Message");
    }
    if (options && !json_is_object(options)) {
        return wrong_type(p, "options", "map[string]interface {}");
    }
    if (think && !json_is_boolean(think) && !json_is_string(think)) {
        return fake_problem(p, 400, NULL, "think must be a boolean or string");
    }
    if (read_tools(c, json_object_get(body, "tools"), p) < 0) {
        return -1;
    }
    json_array_foreach (messages, i, message) {
        if (read_message(c, message, p) < 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- writing ---- */

static void write_error(struct strbuf *out, const struct fake_problem *p) {
    struct jsonw j = jsonw_begin(out);
    jsonw_object(&j);
    jsonw_kstrz(&j, "error", p->message);
    jsonw_end_object(&j);
}

static void head(struct jsonw *j, const struct fake_writer *w) {
    char now[CLOCK_ISO_LEN + 1];
    clock_iso(clock_now_us(), now);
    jsonw_object(j);
    jsonw_kstr(j, "model", w->model);
    jsonw_kstrz(j, "created_at", now);
    jsonw_key(j, "message");
    jsonw_object(j);
    jsonw_kstrz(j, "role", "assistant");
}

static void line(struct fake_writer *w, struct str text, const char *key, struct str value) {
    struct jsonw j = jsonw_begin(&w->out);
    head(&j, w);
    jsonw_kstr(&j, "content", text);
    if (key) {
        jsonw_kstr(&j, key, value);
    }
    jsonw_end_object(&j);
    jsonw_kbool(&j, "done", false);
    jsonw_end_object(&j);
    strbuf_addc(&w->out, '\n');
}

static void begin(struct fake_writer *w) {
    (void)w;
}

static void reasoning(struct fake_writer *w, struct str piece) {
    line(w, STR_EMPTY, "thinking", piece);
}

static void reasoning_end(struct fake_writer *w, const struct fake_answer *a) {
    (void)w;
    (void)a;
}

static void text(struct fake_writer *w, struct str piece) {
    line(w, piece, NULL, STR_EMPTY);
}

static void tool_call(struct jsonw *j, unsigned index, const struct fake_call *c) {
    jsonw_object(j);
    jsonw_key(j, "function");
    jsonw_object(j);
    jsonw_kint(j, "index", index);
    jsonw_kstr(j, "name", c->name);
    jsonw_kraw(j, "arguments", c->arguments);
    jsonw_end_object(j);
    jsonw_end_object(j);
}

static void call(struct fake_writer *w, const struct fake_call *c) {
    struct jsonw j = jsonw_begin(&w->out);
    head(&j, w);
    jsonw_kstrz(&j, "content", "");
    jsonw_key(&j, "tool_calls");
    jsonw_array(&j);
    tool_call(&j, w->index++, c);
    jsonw_end_array(&j);
    jsonw_end_object(&j);
    jsonw_kbool(&j, "done", false);
    jsonw_end_object(&j);
    strbuf_addc(&w->out, '\n');
}

static void tail(struct jsonw *j, const struct fake_writer *w, const struct fake_answer *a) {
    int64_t took_ns = (clock_now_us() - w->created_us) * 1000;
    jsonw_kbool(j, "done", true);
    jsonw_kstrz(j, "done_reason", a->stop == FAKE_STOP_LENGTH ? "length" : "stop");
    jsonw_kint(j, "total_duration", took_ns + 1);
    jsonw_kint(j, "load_duration", 1000000);
    jsonw_kint(j, "prompt_eval_count", w->conversation->input_tokens);
    jsonw_kint(j, "prompt_eval_duration", 1000000);
    jsonw_kint(j, "eval_count", w->output_tokens);
    jsonw_kint(j, "eval_duration", took_ns + 1);
    jsonw_end_object(j);
}

static void end(struct fake_writer *w, const struct fake_answer *a) {
    struct jsonw j = jsonw_begin(&w->out);
    head(&j, w);
    jsonw_kstrz(&j, "content", "");
    jsonw_end_object(&j);
    tail(&j, w, a);
    strbuf_addc(&w->out, '\n');
}

static void error_event(struct fake_writer *w, const struct fake_problem *p) {
    write_error(&w->out, p);
    strbuf_addc(&w->out, '\n');
}

static void whole(struct fake_writer *w, const struct fake_answer *a) {
    struct jsonw j = jsonw_begin(&w->out);
    head(&j, w);
    jsonw_kstr(&j, "content", a->text);
    if (a->reasoning.n > 0) {
        jsonw_kstr(&j, "thinking", a->reasoning);
    }
    if (a->n_calls > 0) {
        jsonw_key(&j, "tool_calls");
        jsonw_array(&j);
        for (size_t i = 0; i < a->n_calls; i++) {
            tool_call(&j, (unsigned)i, &a->calls[i]);
        }
        jsonw_end_array(&j);
    }
    jsonw_end_object(&j);
    tail(&j, w, a);
}

static void models(struct strbuf *out, const char *const *names, size_t n) {
    struct jsonw j = jsonw_begin(out);
    jsonw_object(&j);
    jsonw_key(&j, "models");
    jsonw_array(&j);
    for (size_t i = 0; i < n; i++) {
        jsonw_object(&j);
        jsonw_kstrz(&j, "name", names[i]);
        jsonw_kstrz(&j, "model", names[i]);
        jsonw_kstrz(&j, "modified_at", "2026-01-01T00:00:00Z");
        jsonw_kint(&j, "size", 1000000);
        jsonw_kstrz(&j, "digest", "e2f8c2a5");
        jsonw_end_object(&j);
    }
    jsonw_end_array(&j);
    jsonw_end_object(&j);
}

const struct fake_wire fake_ollama = {
    .name = "ollama",
    .path = "/api/chat",
    .stream_type = "application/x-ndjson",
    .whole_type = "application/json; charset=utf-8",
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
    .models_path = "/api/tags",
    .models = models,
};
