/* Anthropic Messages: POST /v1/messages, version 2023-06-01. */
#include "base/json.h"
#include "fake.h"

static int check_fields(struct http_request *r, struct str key, struct fake_problem *p) {
    struct str given = http_header(r, "x-api-key");
    if (key.n > 0 && given.n == 0) {
        return fake_problem(p, 401, "authentication_error", "x-api-key header is required");
    }
    if (key.n > 0 && !fake_key_fits(given, key)) {
        return fake_problem(p, 401, "authentication_error", "invalid x-api-key");
    }
    if (http_header(r, "anthropic-version").n == 0) {
        return fake_problem(p, 400, "invalid_request_error",
                            "anthropic-version: header is required");
    }
    return 0;
}

/* ---- errors ---- */

static const char *type_of(int status) {
    switch (status) {
    case 400:
        return "invalid_request_error";
    case 401:
        return "authentication_error";
    case 403:
        return "permission_error";
    case 404:
        return "not_found_error";
    case 413:
        return "request_too_large";
    case 429:
        return "rate_limit_error";
    case 529:
        return "overloaded_error";
    default:
        return "api_error";
    }
}

static void write_error(struct strbuf *out, const struct fake_problem *p) {
    struct jsonw w = jsonw_begin(out);
    jsonw_object(&w);
    jsonw_kstrz(&w, "type", "error");
    jsonw_key(&w, "error");
    jsonw_object(&w);
    jsonw_kstrz(&w, "type", p->type ? p->type : type_of(p->status));
    jsonw_kstrz(&w, "message", p->message);
    jsonw_end_object(&w);
    jsonw_kstrz(&w, "request_id", "req_011CSHoEeqs5C35K2UUqR7Fy");
    jsonw_end_object(&w);
}

/* ---- streaming ---- */

static struct jsonw event(struct fake_writer *w, const char *type) {
    strbuf_addf(&w->out, "event: %s\ndata: ", type);
    struct jsonw j = jsonw_begin(&w->out);
    jsonw_object(&j);
    jsonw_kstrz(&j, "type", type);
    return j;
}

static void end_event(struct fake_writer *w, struct jsonw *j) {
    jsonw_end_object(j);
    strbuf_addz(&w->out, "\n\n");
}

static void usage(struct jsonw *j, const struct fake_writer *w, int64_t output_tokens) {
    const struct fake_conversation *c = w->conversation;
    jsonw_key(j, "usage");
    jsonw_object(j);
    jsonw_kint(j, "input_tokens", c->input_tokens - c->cached_tokens - c->cache_write_tokens);
    jsonw_kint(j, "cache_creation_input_tokens", c->cache_write_tokens);
    jsonw_kint(j, "cache_read_input_tokens", c->cached_tokens);
    jsonw_kint(j, "output_tokens", output_tokens);
    jsonw_kstrz(j, "service_tier", "standard");
    jsonw_end_object(j);
}

static void message_head(struct jsonw *j, const struct fake_writer *w) {
    jsonw_kstr(j, "id", arena_printf(w->conversation->arena, "msg_%.*s", STR_ARG(w->id)));
    jsonw_kstrz(j, "type", "message");
    jsonw_kstrz(j, "role", "assistant");
    jsonw_kstr(j, "model", w->model);
}

static void begin(struct fake_writer *w) {
    struct jsonw j = event(w, "message_start");
    jsonw_key(&j, "message");
    jsonw_object(&j);
    message_head(&j, w);
    jsonw_key(&j, "content");
    jsonw_raw(&j, STR("[]"));
    jsonw_key(&j, "stop_reason");
    jsonw_null(&j);
    jsonw_key(&j, "stop_sequence");
    jsonw_null(&j);
    usage(&j, w, 1);
    jsonw_end_object(&j);
    end_event(w, &j);
    strbuf_addz(&w->out, "event: ping\ndata: {\"type\": \"ping\"}\n\n");
}

static void block_start(struct fake_writer *w, struct str block) {
    struct jsonw j = event(w, "content_block_start");
    jsonw_kint(&j, "index", w->index);
    jsonw_kraw(&j, "content_block", block);
    end_event(w, &j);
    w->open = true;
}

static void block_stop(struct fake_writer *w) {
    if (w->open) {
        struct jsonw j = event(w, "content_block_stop");
        jsonw_kint(&j, "index", w->index++);
        end_event(w, &j);
        w->open = false;
    }
}

static void delta(struct fake_writer *w, const char *type, const char *key, struct str value) {
    struct jsonw j = event(w, "content_block_delta");
    jsonw_kint(&j, "index", w->index);
    jsonw_key(&j, "delta");
    jsonw_object(&j);
    jsonw_kstrz(&j, "type", type);
    jsonw_kstr(&j, key, value);
    jsonw_end_object(&j);
    end_event(w, &j);
}

static void reasoning(struct fake_writer *w, struct str piece) {
    if (!w->open) {
        block_start(w, STR("{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}"));
    }
    delta(w, "thinking_delta", "thinking", piece);
}

static void reasoning_end(struct fake_writer *w, const struct fake_answer *a) {
    struct strbuf signature cleanup(strbuf_done) = STRBUF(256);
    fake_signature(&signature, a->redacted ? STR("redacted") : a->reasoning);
    if (a->redacted) {
        block_start(w, arena_printf(w->conversation->arena,
                                    "{\"type\":\"redacted_thinking\",\"data\":\"%s\"}",
                                    strbuf_z(&signature)));
    } else {
        delta(w, "signature_delta", "signature", strbuf_str(&signature));
    }
    block_stop(w);
}

static void text(struct fake_writer *w, struct str piece) {
    if (!w->open) {
        block_start(w, STR("{\"type\":\"text\",\"text\":\"\"}"));
    }
    delta(w, "text_delta", "text", piece);
}

static void call(struct fake_writer *w, const struct fake_call *c) {
    struct str id = fake_call_id(w, "toolu_"), rest = c->arguments;
    block_stop(w);
    block_start(w, arena_printf(w->conversation->arena,
                                "{\"type\":\"tool_use\",\"id\":\"%.*s\",\"name\":\"%.*s\","
                                "\"input\":{}}",
                                STR_ARG(id), STR_ARG(c->name)));
    delta(w, "input_json_delta", "partial_json", STR_EMPTY);
    while (rest.n > 0 && !str_eq(c->arguments, STR("{}"))) {
        delta(w, "input_json_delta", "partial_json", fake_next_piece(&rest, 11));
    }
    block_stop(w);
}

static const char *stop_reason(const struct fake_answer *a) {
    static const char *const names[] = {"end_turn", "tool_use", "max_tokens", "refusal"};
    return names[a->stop];
}

static void end(struct fake_writer *w, const struct fake_answer *a) {
    block_stop(w);
    struct jsonw j = event(w, "message_delta");
    jsonw_key(&j, "delta");
    jsonw_object(&j);
    jsonw_kstrz(&j, "stop_reason", stop_reason(a));
    jsonw_key(&j, "stop_sequence");
    jsonw_null(&j);
    jsonw_end_object(&j);
    usage(&j, w, w->output_tokens);
    end_event(w, &j);
    j = event(w, "message_stop");
    end_event(w, &j);
}

static void error_event(struct fake_writer *w, const struct fake_problem *p) {
    strbuf_addz(&w->out, "event: error\ndata: ");
    write_error(&w->out, p);
    strbuf_addz(&w->out, "\n\n");
}

/* ---- one object ---- */

static void whole_reasoning(struct jsonw *j, const struct fake_answer *a) {
    struct strbuf signature cleanup(strbuf_done) = STRBUF(256);
    fake_signature(&signature, a->redacted ? STR("redacted") : a->reasoning);
    jsonw_object(j);
    jsonw_kstrz(j, "type", a->redacted ? "redacted_thinking" : "thinking");
    if (a->redacted) {
        jsonw_kstr(j, "data", strbuf_str(&signature));
    } else {
        jsonw_kstr(j, "thinking", a->reasoning);
        jsonw_kstr(j, "signature", strbuf_str(&signature));
    }
    jsonw_end_object(j);
}

static void whole(struct fake_writer *w, const struct fake_answer *a) {
    struct jsonw j = jsonw_begin(&w->out);
    jsonw_object(&j);
    message_head(&j, w);
    jsonw_key(&j, "content");
    jsonw_array(&j);
    if (a->reasoning.n > 0) {
        whole_reasoning(&j, a);
    }
    if (a->text.n > 0) {
        jsonw_object(&j);
        jsonw_kstrz(&j, "type", "text");
        jsonw_kstr(&j, "text", a->text);
        jsonw_end_object(&j);
    }
    for (size_t i = 0; i < a->n_calls; i++) {
        jsonw_object(&j);
        jsonw_kstrz(&j, "type", "tool_use");
        jsonw_kstr(&j, "id", fake_call_id(w, "toolu_"));
        jsonw_kstr(&j, "name", a->calls[i].name);
        jsonw_kraw(&j, "input", a->calls[i].arguments);
        jsonw_end_object(&j);
    }
    jsonw_end_array(&j);
    jsonw_kstrz(&j, "stop_reason", stop_reason(a));
    jsonw_key(&j, "stop_sequence");
    jsonw_null(&j);
    usage(&j, w, w->output_tokens);
    jsonw_end_object(&j);
}

static void models(struct strbuf *out, const char *const *names, size_t n) {
    struct jsonw j = jsonw_begin(out);
    jsonw_object(&j);
    jsonw_key(&j, "data");
    jsonw_array(&j);
    for (size_t i = 0; i < n; i++) {
        jsonw_object(&j);
        jsonw_kstrz(&j, "type", "model");
        jsonw_kstrz(&j, "id", names[i]);
        jsonw_kstrz(&j, "display_name", names[i]);
        jsonw_kstrz(&j, "created_at", "2026-01-01T00:00:00Z");
        jsonw_end_object(&j);
    }
    jsonw_end_array(&j);
    jsonw_kbool(&j, "has_more", false);
    jsonw_end_object(&j);
}

const struct fake_wire fake_anthropic = {
    .name = "anthropic",
    .path = "/v1/messages",
    .stream_type = "text/event-stream; charset=utf-8",
    .whole_type = "application/json",
    .check_fields = check_fields,
    .read = fake_anthropic_read,
    .error = write_error,
    .begin = begin,
    .reasoning = reasoning,
    .reasoning_end = reasoning_end,
    .text = text,
    .call = call,
    .end = end,
    .error_event = error_event,
    .whole = whole,
    .models_path = NULL,
    .models = models,
};
