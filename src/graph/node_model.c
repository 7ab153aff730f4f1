#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "event/event.h"
#include "graph/internal.h"

enum { MAX_MESSAGE_BYTES = 8 * 1024 * 1024, TELL_SILENCE_AFTER_US = 8 * 1000 * 1000 };

/* What the answer at hand has opened in the client's view. */
struct answer {
    struct turn *t;
    struct str message_id, reasoning_id;
    bool text_open, reasoning_open;
    struct str tool_ids[TURN_MAX_TOOL_CALLS];
    bool tool_open[TURN_MAX_TOOL_CALLS];
};

/* ---- the stream, as events ---- */

static void close_text(struct answer *a) {
    if (a->text_open) {
        a->text_open = false;
        event_text_end(turn_event(a->t), a->message_id);
        turn_emit(a->t);
    }
}

static void close_reasoning(struct answer *a) {
    if (a->reasoning_open) {
        a->reasoning_open = false;
        event_reasoning_message_end(turn_event(a->t), a->reasoning_id);
        turn_emit(a->t);
        event_reasoning_end(turn_event(a->t), a->reasoning_id);
        turn_emit(a->t);
    }
}

static void close_tool(struct answer *a, unsigned index) {
    if (index < TURN_MAX_TOOL_CALLS && a->tool_open[index]) {
        a->tool_open[index] = false;
        event_tool_end(turn_event(a->t), a->tool_ids[index]);
        turn_emit(a->t);
    }
}

static void close_all(struct answer *a) {
    close_reasoning(a);
    close_text(a);
    for (unsigned i = 0; i < TURN_MAX_TOOL_CALLS; i++) {
        close_tool(a, i);
    }
}

static void on_text(struct answer *a, struct str text) {
    close_reasoning(a);
    if (!a->text_open) {
        a->text_open = true;
        event_text_start(turn_event(a->t), a->message_id);
        turn_emit(a->t);
    }
    event_text_content(turn_event(a->t), a->message_id, text);
    turn_emit(a->t);
}

static void on_reasoning(struct answer *a, struct str text) {
    close_text(a);
    if (!a->reasoning_open) {
        a->reasoning_open = true;
        event_reasoning_start(turn_event(a->t), a->reasoning_id);
        turn_emit(a->t);
        event_reasoning_message_start(turn_event(a->t), a->reasoning_id);
        turn_emit(a->t);
    }
    event_reasoning_content(turn_event(a->t), a->reasoning_id, text);
    turn_emit(a->t);
}

static void on_tool_start(struct answer *a, const struct llm_delta *d) {
    close_reasoning(a);
    close_text(a);
    if (d->index < TURN_MAX_TOOL_CALLS) {
        a->tool_open[d->index] = true;
        a->tool_ids[d->index] = arena_str(&a->t->arena, d->id);
        event_tool_start(turn_event(a->t), d->id, d->name, a->message_id);
        turn_emit(a->t);
    }
}

static void on_tool_arguments(struct answer *a, const struct llm_delta *d) {
    if (d->index < TURN_MAX_TOOL_CALLS && a->tool_open[d->index]) {
        event_tool_args(turn_event(a->t), a->tool_ids[d->index], d->text);
        turn_emit(a->t);
    }
}

static int on_delta(const struct llm_delta *d, void *arg, struct err *err) {
    struct answer *a = arg;
    a->t->silent_since_us = 0;
    switch (d->type) {
    case LLM_TEXT:
        on_text(a, d->text);
        break;
    case LLM_REASONING:
        on_reasoning(a, d->text);
        break;
    case LLM_REASONING_END:
        close_reasoning(a);
        break;
    case LLM_TOOL_START:
        on_tool_start(a, d);
        break;
    case LLM_TOOL_ARGUMENTS:
        on_tool_arguments(a, d);
        break;
    case LLM_TOOL_END:
        close_tool(a, d->index);
        break;
    }
    title_consider(a->t, true);
    if (run_unstored_bytes(a->t->run) > RUN_MAX_UNSTORED_BYTES) {
        return turn_commit(a->t, a->t->node, err);
    }
    return 0;
}

static void on_retry(const struct llm_endpoint *endpoint, int attempt, int64_t delay_ms,
                     const struct err *why, void *arg) {
    struct answer *a = arg;
    struct strbuf value cleanup(strbuf_done) = STRBUF(4096);
    struct jsonw w = jsonw_begin(&value);
    jsonw_object(&w);
    jsonw_kstrz(&w, "provider", llm_provider_name(endpoint->provider));
    jsonw_kstr(&w, "model", endpoint->model);
    jsonw_kint(&w, "attempt", attempt);
    jsonw_kint(&w, "delayMs", delay_ms);
    jsonw_kstrz(&w, "reason", why->msg);
    jsonw_end_object(&w);
    event_custom(turn_event(a->t), STR("model_retry"), strbuf_str(&value));
    turn_emit(a->t);
    log_info("graph", "turn %.*s: try %d of the model failed: %s", STR_ARG(a->t->turn_id), attempt,
             why->msg);
}

void turn_tell_silence(struct turn *t) {
    const struct llm_endpoint *e = &t->endpoints.list[0];
    struct strbuf value cleanup(strbuf_done) = STRBUF(4096);
    struct jsonw w = jsonw_begin(&value);
    jsonw_object(&w);
    jsonw_kstrz(&w, "provider", llm_provider_name(e->provider));
    jsonw_kstr(&w, "model", e->model);
    jsonw_kint(&w, "seconds", (clock_mono_us() - t->silent_since_us) / 1000000);
    jsonw_end_object(&w);
    event_custom(turn_event(t), STR("model_silent"), strbuf_str(&value));
    turn_emit(t);
}

/* ---- what came of it ---- */

struct turn_usage turn_usage_of(const struct llm_endpoint *e, const struct llm_result *r,
                                struct arena *arena) {
    const struct llm_usage *u = &r->usage;
    struct str model = arena_str(arena, r->model.n ? r->model : e->model);
    return (struct turn_usage){
        .provider = str_z(llm_provider_name(e->provider)),
        .model = model,
        .key_owner = e->user_key ? STR("user") : STR("operator"),
        .input_tokens = u->input_tokens,
        .output_tokens = u->output_tokens,
        .cached_input_tokens = u->cached_input_tokens,
        .cache_write_tokens = u->cache_write_tokens,
        .reasoning_tokens = u->reasoning_tokens,
        .cost_microusd = MAX(llm_model_cost(e->provider, model, u), INT64_C(0)),
    };
}

static void settle_usage(struct turn *t, const struct llm_result *r) {
    const struct llm_usage *u = &r->usage;
    t->changes.usage = turn_usage_of(&t->endpoints.list[r->endpoint_index], r, &t->arena);
    t->changes.has_usage = u->input_tokens || u->output_tokens;
    t->used.input_tokens += u->input_tokens;
    t->used.output_tokens += u->output_tokens;
    t->used.cached_input_tokens += u->cached_input_tokens;
    t->used.cache_write_tokens += u->cache_write_tokens;
    t->used.reasoning_tokens += u->reasoning_tokens;
    t->engine->stats.input_tokens += (uint64_t)u->input_tokens;
    t->engine->stats.output_tokens += (uint64_t)u->output_tokens;
    t->used_provider = t->changes.usage.provider;
    t->used_model = t->changes.usage.model;
}

/* An answer that broke off: its text stays, calls that were not made do not. Empty when there is no
 * text. */
static struct str without_tool_calls(struct turn *t, struct str json) {
    json_auto_t *message = NULL;
    struct err err;
    struct strbuf out cleanup(strbuf_done) = STRBUF(MAX_MESSAGE_BYTES);
    if (json_read(json, &message, &err) < 0) {
        return STR_EMPTY;
    }
    json_t *content = json_object_get(message, "content");
    for (size_t i = json_array_size(content); i-- > 0;) {
        if (str_eq(json_str(json_array_get(content, i), "type"), STR("tool_call"))) {
            json_array_remove(content, i);
        }
    }
    if (json_is_array(content) && json_array_size(content) == 0) {
        return STR_EMPTY;
    }
    json_write_tree(&out, message);
    return arena_str(&t->arena, strbuf_str(&out));
}

static void keep_partial(struct answer *a, const struct llm_result *r) {
    if (!r->has_text) {
        return;
    }
    struct str json = r->plain ? r->message : without_tool_calls(a->t, r->message);
    if (json.n) {
        turn_store_message(a->t, a->message_id, STR("assistant"), json, r->plain);
    }
}

/* The rows of the journal, written in the same transaction as the message that asks for the calls.
 */
static void note_calls(struct turn *t, const struct llm_result *r) {
    t->n_calls = r->n_tool_calls;
    t->calls = arena_alloc(&t->arena, MAX(t->n_calls, (size_t)1) * sizeof *t->calls);
    for (size_t i = 0; i < t->n_calls; i++) {
        struct pending_call *c = &t->calls[i];
        c->id = r->tool_calls[i].id;
        c->name = r->tool_calls[i].name;
        c->arguments = r->tool_calls[i].arguments;
        pending_call_prepare(t, c, i);
        if (pending_call_wants_intent(c)) {
            pending_call_note_intent(t, c);
        }
    }
}

static int within_limits(const struct turn *t, struct err *err) {
    const struct profile *p = t->engine->options.profile;
    if (t->model_calls >= p->turn_max_steps) {
        return err_set(err, ERR_LIMIT,
                       "The turn was stopped after %" PRId64
                       " model calls (ADJUTANT_TURN_MAX_STEPS). "
                       "Say \"go on\" to continue.",
                       t->model_calls);
    }
    if (t->used.input_tokens + t->used.output_tokens >= p->turn_max_tokens) {
        return err_set(err, ERR_LIMIT,
                       "The turn was stopped after %" PRId64
                       " tokens (ADJUTANT_TURN_MAX_TOKENS). Say "
                       "\"go on\" to continue.",
                       t->used.input_tokens + t->used.output_tokens);
    }
    return 0;
}

/* Without the rules in force the model must not be shown the tools of before. */
static int refresh_tools(struct turn *t, struct err *err) {
    struct patience patience = {0};
    int rc;
    do {
        rc = toolset_refresh(t->tools, err);
    } while (rc < 0 && patience_left(t, &patience, err));
    return rc < 0 ? err_prefix(err, "looking for tools") : 0;
}

static int ask(struct answer *a, struct llm_result *ret, struct err *err) {
    struct turn *t = a->t;
    if (refresh_tools(t, err) < 0) {
        return -(int)err->code;
    }
    struct llm_request request = {
        .system_stable = t->system_stable,
        .system_changing = t->system_changing,
        .messages = t->messages,
        .n_messages = t->n_messages,
        .temperature = -1,
        .reasoning = false,
    };
    request.n_tools = toolset_specs(t->tools, &request.tools);
    struct llm_limits limits = {.idle_timeout_ms = t->engine->options.profile->llm_idle_timeout_ms,
                                .first_byte_timeout_ms =
                                    t->engine->options.profile->llm_idle_timeout_ms};
    struct llm_sink sink = {.on_delta = on_delta, .on_retry = on_retry, .arg = a};
    t->silent_since_us = clock_mono_us();
    t->tell_silence_at_us = t->silent_since_us + TELL_SILENCE_AFTER_US;
    int rc =
        llm_run(t->endpoints.list, t->endpoints.n, &request, &limits, &sink, &t->arena, ret, err);
    t->silent_since_us = 0;
    return rc;
}

static int run(struct turn *t, const struct node **ret_next, struct err *err) {
    if (within_limits(t, err) < 0) {
        return -(int)err->code;
    }
    /* A call made again by an adopter gets other ids: what the dead one showed is replaced, not
     * continued. */
    struct answer a = {.t = t};
    a.message_id = arena_printf(&t->arena, "%.*s-a%" PRId64 ".%" PRId64, STR_ARG(t->turn_id),
                                t->epoch, t->model_calls + 1);
    a.reasoning_id = arena_printf(&t->arena, "%.*s-r", STR_ARG(a.message_id));
    struct llm_result r = {0};
    int rc = ask(&a, &r, err);
    close_all(&a);
    settle_usage(t, &r);
    t->model_calls++;
    if (rc < 0) {
        keep_partial(&a, &r);
        return rc;
    }
    if (r.message.n) {
        turn_store_message(t, a.message_id, STR("assistant"), r.message, r.plain);
    }
    note_calls(t, &r);
    *ret_next = t->n_calls ? &node_tools : &node_finish;
    return 0;
}

const struct node node_model = {.name = "model", .run = run};
