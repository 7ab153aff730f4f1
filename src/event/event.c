#include "event/event.h"

#include "base/clock.h"

/* {"type":T,"timestamp":ms, with the object left open. */
static struct jsonw begin(struct strbuf *out, const char *type) {
    struct jsonw w = jsonw_begin(out);
    jsonw_object(&w);
    jsonw_kstrz(&w, "type", type);
    jsonw_kint(&w, "timestamp", clock_now_us() / 1000);
    return w;
}

static void with_message(struct strbuf *out, const char *type, struct str message_id) {
    struct jsonw w = begin(out, type);
    jsonw_kstr(&w, "messageId", message_id);
    jsonw_end_object(&w);
}

static void with_delta(struct strbuf *out, const char *type, const char *id_key, struct str id,
                       struct str delta) {
    struct jsonw w = begin(out, type);
    jsonw_kstr(&w, id_key, id);
    jsonw_kstr(&w, "delta", delta);
    jsonw_end_object(&w);
}

void event_run_started(struct strbuf *out, struct str thread_id, struct str run_id) {
    struct jsonw w = begin(out, "RUN_STARTED");
    jsonw_kstr(&w, "threadId", thread_id);
    jsonw_kstr(&w, "runId", run_id);
    jsonw_end_object(&w);
}

static void write_usage(struct jsonw *w, const struct llm_usage *u, struct str provider,
                        struct str model) {
    jsonw_key(w, "usage");
    jsonw_array(w);
    jsonw_object(w);
    jsonw_kstr(w, "provider", provider);
    jsonw_kstr(w, "model", model);
    jsonw_kint(w, "inputTokens", u->input_tokens);
    jsonw_kint(w, "outputTokens", u->output_tokens);
    jsonw_kint(w, "totalTokens", u->input_tokens + u->output_tokens);
    jsonw_kint(w, "reasoningTokens", u->reasoning_tokens);
    jsonw_kint(w, "cachedInputTokens", u->cached_input_tokens);
    jsonw_kint(w, "cacheWriteInputTokens", u->cache_write_tokens);
    jsonw_end_object(w);
    jsonw_end_array(w);
}

/* The outcome is left open. */
static struct jsonw begin_outcome(struct strbuf *out, struct str thread_id, struct str run_id,
                                  const char *outcome) {
    struct jsonw w = begin(out, "RUN_FINISHED");
    jsonw_kstr(&w, "threadId", thread_id);
    jsonw_kstr(&w, "runId", run_id);
    jsonw_key(&w, "outcome");
    jsonw_object(&w);
    jsonw_kstrz(&w, "type", outcome);
    return w;
}

static struct jsonw begin_finished(struct strbuf *out, struct str thread_id, struct str run_id,
                                   const char *outcome) {
    struct jsonw w = begin_outcome(out, thread_id, run_id, outcome);
    jsonw_end_object(&w);
    return w;
}

void event_run_finished(struct strbuf *out, struct str thread_id, struct str run_id,
                        const struct llm_usage *usage, struct str provider, struct str model) {
    struct jsonw w = begin_finished(out, thread_id, run_id, "success");
    if (usage->input_tokens || usage->output_tokens) {
        write_usage(&w, usage, provider, model);
    }
    jsonw_end_object(&w);
}

void event_run_cancelled(struct strbuf *out, struct str thread_id, struct str run_id) {
    struct jsonw w = begin_finished(out, thread_id, run_id, "cancelled");
    jsonw_end_object(&w);
}

void event_run_interrupted(struct strbuf *out, struct str thread_id, struct str run_id,
                           const struct llm_usage *usage, struct str provider, struct str model,
                           const struct interrupt *interrupts, size_t n) {
    struct jsonw w = begin_outcome(out, thread_id, run_id, "interrupt");
    jsonw_key(&w, "interrupts");
    jsonw_array(&w);
    for (size_t i = 0; i < n; i++) {
        event_interrupt(&w, &interrupts[i]);
    }
    jsonw_end_array(&w);
    jsonw_end_object(&w);
    if (usage->input_tokens || usage->output_tokens) {
        write_usage(&w, usage, provider, model);
    }
    jsonw_end_object(&w);
}

void event_state_snapshot(struct strbuf *out, struct str state_json) {
    struct jsonw w = begin(out, "STATE_SNAPSHOT");
    jsonw_kraw(&w, "snapshot", state_json);
    jsonw_end_object(&w);
}

void event_run_error(struct strbuf *out, struct str message, struct str code) {
    struct jsonw w = begin(out, "RUN_ERROR");
    jsonw_kstr(&w, "message", message);
    jsonw_kstr(&w, "code", code);
    jsonw_end_object(&w);
}

void event_text_start(struct strbuf *out, struct str message_id) {
    struct jsonw w = begin(out, "TEXT_MESSAGE_START");
    jsonw_kstr(&w, "messageId", message_id);
    jsonw_kstrz(&w, "role", "assistant");
    jsonw_end_object(&w);
}

void event_text_content(struct strbuf *out, struct str message_id, struct str delta) {
    with_delta(out, "TEXT_MESSAGE_CONTENT", "messageId", message_id, delta);
}

void event_text_end(struct strbuf *out, struct str message_id) {
    with_message(out, "TEXT_MESSAGE_END", message_id);
}

void event_reasoning_start(struct strbuf *out, struct str message_id) {
    with_message(out, "REASONING_START", message_id);
}

void event_reasoning_message_start(struct strbuf *out, struct str message_id) {
    struct jsonw w = begin(out, "REASONING_MESSAGE_START");
    jsonw_kstr(&w, "messageId", message_id);
    jsonw_kstrz(&w, "role", "reasoning");
    jsonw_end_object(&w);
}

void event_reasoning_content(struct strbuf *out, struct str message_id, struct str delta) {
    with_delta(out, "REASONING_MESSAGE_CONTENT", "messageId", message_id, delta);
}

void event_reasoning_message_end(struct strbuf *out, struct str message_id) {
    with_message(out, "REASONING_MESSAGE_END", message_id);
}

void event_reasoning_end(struct strbuf *out, struct str message_id) {
    with_message(out, "REASONING_END", message_id);
}

void event_tool_start(struct strbuf *out, struct str call_id, struct str name,
                      struct str parent_message_id) {
    struct jsonw w = begin(out, "TOOL_CALL_START");
    jsonw_kstr(&w, "toolCallId", call_id);
    jsonw_kstr(&w, "toolCallName", name);
    jsonw_kstr(&w, "parentMessageId", parent_message_id);
    jsonw_end_object(&w);
}

void event_tool_args(struct strbuf *out, struct str call_id, struct str delta) {
    with_delta(out, "TOOL_CALL_ARGS", "toolCallId", call_id, delta);
}

void event_tool_end(struct strbuf *out, struct str call_id) {
    struct jsonw w = begin(out, "TOOL_CALL_END");
    jsonw_kstr(&w, "toolCallId", call_id);
    jsonw_end_object(&w);
}

/* AG-UI has no word for a failed call: that stands in the metadata, as what the content is. */
static void write_result_metadata(struct jsonw *w, const struct event_result *result) {
    if (!result->is_error && !result->is_blocks) {
        return;
    }
    jsonw_key(w, "metadata");
    jsonw_object(w);
    if (result->is_error) {
        jsonw_kbool(w, "isError", true);
    }
    if (result->is_blocks) {
        jsonw_kbool(w, "blocks", true);
    }
    jsonw_end_object(w);
}

void event_tool_result(struct strbuf *out, struct str message_id, struct str call_id,
                       const struct event_result *result) {
    struct jsonw w = begin(out, "TOOL_CALL_RESULT");
    jsonw_kstr(&w, "messageId", message_id);
    jsonw_kstr(&w, "toolCallId", call_id);
    jsonw_kstr(&w, "content", result->content);
    jsonw_kstrz(&w, "role", "tool");
    write_result_metadata(&w, result);
    jsonw_end_object(&w);
}

void event_messages_snapshot(struct strbuf *out, struct str messages_json) {
    struct jsonw w = begin(out, "MESSAGES_SNAPSHOT");
    jsonw_kraw(&w, "messages", messages_json);
    jsonw_end_object(&w);
}

void event_custom(struct strbuf *out, struct str name, struct str value_json) {
    struct jsonw w = begin(out, "CUSTOM");
    jsonw_kstr(&w, "name", name);
    jsonw_kraw(&w, "value", value_json);
    jsonw_end_object(&w);
}
