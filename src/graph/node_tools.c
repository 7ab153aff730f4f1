#include <inttypes.h>

#include "base/log.h"
#include "event/event.h"
#include "graph/internal.h"

enum {
    DEFAULT_TIMEOUT_MS = 30 * 1000,
    /* A character may take six when it is written; names and ids come from the model's answer. */
    MAX_OUTCOME_BYTES = 6 * TOOL_RESULT_MAX_BYTES + 16 * 1024 * 1024,
};

static const char unknown_outcome[] =
    "Outcome unknown: the assistant was interrupted between making this call and hearing back. It "
    "may or may not have taken effect, and was not repeated. Check before trying again, and tell "
    "the user.";

/* One call under way, in a fiber of its own. */
struct running_call {
    struct turn *t;
    struct pending_call *call;
    struct fiber_cond *finished;
};

/* ---- results as the model reads them ---- */

static void finish_call(struct turn *t, struct pending_call *c, struct str content, bool is_blocks,
                        bool is_error, const char *effect_state) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(MAX_OUTCOME_BYTES);
    struct jsonw w = jsonw_begin(&out);
    jsonw_object(&w);
    jsonw_kstrz(&w, "role", "tool");
    jsonw_kstr(&w, "tool_call_id", c->id);
    jsonw_kstr(&w, "name", c->name);
    jsonw_key(&w, "content");
    is_blocks ? jsonw_raw(&w, content) : jsonw_str(&w, content);
    jsonw_kbool(&w, "is_error", is_error);
    jsonw_end_object(&w);
    c->content = content;
    c->outcome = arena_str(&t->arena, strbuf_str(&out));
    c->effect_state = effect_state;
    c->finished = true;
}

static void finish_with_error(struct turn *t, struct pending_call *c, const char *effect_state,
                              const char *text) {
    finish_call(t, c, arena_str(&t->arena, str_z(text)), false, true, effect_state);
}

void pending_call_prepare(struct turn *t, struct pending_call *c, size_t index) {
    c->key = arena_printf(&t->arena, "%" PRId64 "-%zu", t->model_calls, index);
    c->idempotency_key = arena_printf(&t->arena, "%.*s/%.*s", STR_ARG(t->turn_id), STR_ARG(c->key));
    c->tool = tool_find(t->engine->options.tools, c->name);
    if (index >= TURN_MAX_TOOL_CALLS) {
        c->tool = NULL;
        finish_with_error(t, c, NULL,
                          "Not called: too many tool calls in one answer. Call it again.");
    } else if (!c->tool) {
        finish_with_error(t, c, NULL, "There is no tool of this name.");
    }
}

/* ---- calling ---- */

static int call_tool(struct turn *t, struct pending_call *c, struct tool_result *ret,
                     struct err *err) {
    json_auto_t *arguments = NULL;
    if (json_read(c->arguments, &arguments, err) < 0) {
        return err_prefix(err, "the arguments");
    }
    if (!json_is_object(arguments)) {
        return err_set(err, ERR_INVALID, "the arguments must be a JSON object");
    }
    struct tool_call call = {.user_id = t->user_id,
                             .thread_id = t->thread_id,
                             .turn_id = t->turn_id,
                             .call_id = c->id,
                             .idempotency_key = c->idempotency_key,
                             .arguments = arguments};
    struct fiber_timeout limit;
    fiber_timeout_start(&limit, c->tool->timeout_ms ? c->tool->timeout_ms : DEFAULT_TIMEOUT_MS);
    int rc = c->tool->run(&call, &t->arena, ret, c->tool->context, err);
    fiber_timeout_stop(&limit);
    if (rc == 0 && ret->content.n > TOOL_RESULT_MAX_BYTES) {
        ret->content = str_utf8_head(ret->content, TOOL_RESULT_MAX_BYTES);
        return ret->is_blocks ? err_set(err, ERR_LIMIT, "the result is larger than %d bytes",
                                        TOOL_RESULT_MAX_BYTES)
                              : 0;
    }
    return rc;
}

static void call_main(void *arg) {
    struct running_call *rc = arg;
    struct pending_call *c = rc->call;
    struct tool_result result = {0};
    struct err err;
    c->began = true;
    if (call_tool(rc->t, c, &result, &err) == 0) {
        finish_call(rc->t, c, result.content, result.is_blocks, result.is_error, "done");
    } else if (err.code == ERR_CANCELLED && fiber_cancelled()) {
        /* stays an intent: whoever goes on decides by what the tool is */
    } else {
        char text[sizeof err.msg + 160];
        /* After a timeout nobody knows whether it took effect, whatever the tool calls it. */
        bool cut_short = err.code == ERR_TIMEOUT || err.code == ERR_CANCELLED;
        bool unknown = cut_short && !c->tool->repeatable;
        snprintf(text, sizeof text, "The call failed: %s%s", err.msg,
                 unknown ? ". Outcome unknown: it may or may not have taken effect. Check before "
                           "trying again, and tell the user."
                         : "");
        finish_with_error(rc->t, c, unknown ? "unknown" : "failed", text);
    }
    fiber_broadcast(rc->finished);
}

/* ---- after a crash ---- */

static const struct turn_effect *find_effect(const struct turn_effect *effects, size_t n,
                                             struct str key) {
    for (size_t i = 0; i < n; i++) {
        if (str_eq(effects[i].call_id, key)) {
            return &effects[i];
        }
    }
    return NULL;
}

static struct str outcome_content(struct turn *t, struct str outcome) {
    json_auto_t *message = NULL;
    struct strbuf text cleanup(strbuf_done) = STRBUF(MAX_OUTCOME_BYTES);
    struct err err;
    if (json_read(outcome, &message, &err) < 0) {
        return STR_EMPTY;
    }
    const json_t *content = json_object_get(message, "content");
    if (json_is_string(content)) {
        strbuf_add(&text, json_value_str(content));
    } else {
        json_write_tree(&text, content);
    }
    return arena_str(&t->arena, strbuf_str(&text));
}

/* The journal's rule: what has an outcome is not called again; what has only an intent is, if that
 * is safe. */
static void apply_journal(struct turn *t, struct pending_call *c, const struct turn_effect *e) {
    if (!e || c->finished) {
        return;
    }
    if (!str_eq(e->state, STR("intent"))) {
        c->outcome = e->outcome;
        c->content = outcome_content(t, e->outcome);
        c->effect_state = "done";
        c->finished = c->outcome_stored = true;
    } else if (!e->repeatable) {
        finish_with_error(t, c, "unknown", unknown_outcome);
    }
}

/* The calls of the thread's last message, with what the journal knows of them. */
static int recover_calls(struct turn *t, struct err *err) {
    json_auto_t *message = NULL;
    struct turn_effect *effects;
    size_t n_effects, i;
    json_t *block;
    struct turn_key key = {t->user_id, t->turn_id};
    if (t->n_messages == 0 || json_read(t->messages[t->n_messages - 1].json, &message, err) < 0) {
        return err_set(err, ERR_INTERNAL, "the message that asked for tool calls is missing");
    }
    struct patience patience = {0};
    int rc;
    do {
        rc = turn_effects(t->engine->options.db, key, &t->arena, &effects, &n_effects, err);
    } while (rc < 0 && patience_left(t, &patience, err));
    if (rc < 0) {
        return err_prefix(err, "reading the journal of tool calls");
    }
    const json_t *content = json_object_get(message, "content");
    t->calls = arena_alloc(&t->arena, (json_array_size(content) + 1) * sizeof *t->calls);
    t->n_calls = 0;
    json_array_foreach (content, i, block) {
        if (!str_eq(json_str(block, "type"), STR("tool_call"))) {
            continue;
        }
        struct pending_call *c = &t->calls[t->n_calls];
        c->id = arena_str(&t->arena, json_str(block, "id"));
        c->name = arena_str(&t->arena, json_str(block, "name"));
        c->arguments = arena_str(&t->arena, json_str(block, "arguments"));
        pending_call_prepare(t, c, t->n_calls++);
        apply_journal(t, c, find_effect(effects, n_effects, c->key));
    }
    return 0;
}

/* ---- the node ---- */

/* Outcomes that are not in the journal yet, and their events, which show once they are. Those that
 * a dead owner stored are told again: the snapshot that replaced the client's view lacks them. */
static void note_outcomes(struct turn *t) {
    for (size_t i = 0; i < t->n_calls; i++) {
        struct pending_call *c = &t->calls[i];
        if (!c->finished || c->told || i >= TURN_MAX_TOOL_CALLS) {
            continue;
        }
        c->told = true;
        if (c->tool && !c->outcome_stored) {
            c->outcome_stored = true;
            t->changes.outcomes[t->changes.n_outcomes++] = (struct turn_effect){
                .call_id = c->key, .state = str_z(c->effect_state), .outcome = c->outcome};
        }
        struct str message_id =
            arena_printf(&t->arena, "%.*s-t%.*s", STR_ARG(t->turn_id), STR_ARG(c->key));
        event_tool_result(turn_event(t), message_id, c->id, c->content);
        turn_emit(t);
    }
}

static bool all_finished(const struct turn *t) {
    for (size_t i = 0; i < t->n_calls; i++) {
        if (!t->calls[i].finished) {
            return false;
        }
    }
    return true;
}

/* In the order of the calls, whichever ended first. */
static void add_result_messages(struct turn *t) {
    for (size_t i = 0; i < t->n_calls && i < TURN_MAX_TOOL_CALLS; i++) {
        const struct pending_call *c = &t->calls[i];
        struct str id = arena_printf(&t->arena, "%.*s-t%.*s", STR_ARG(t->turn_id), STR_ARG(c->key));
        turn_store_message(t, id, STR("tool"), c->outcome, false);
    }
}

static int start_calls(struct turn *t, struct fiber_scope *scope, struct fiber_cond *finished,
                       struct err *err) {
    for (size_t i = 0; i < t->n_calls; i++) {
        struct pending_call *c = &t->calls[i];
        if (c->finished) {
            continue;
        }
        struct running_call *rc = arena_alloc(&t->arena, sizeof *rc);
        *rc = (struct running_call){.t = t, .call = c, .finished = finished};
        if (fiber_spawn(scope, c->tool->name, call_main, rc, NULL, err) < 0) {
            return -(int)err->code;
        }
    }
    return 0;
}

static int collect(struct turn *t, struct fiber_cond *finished, struct err *err) {
    for (;;) {
        turn_hold(t);
        note_outcomes(t);
        if (all_finished(t)) {
            return 0;
        }
        if (t->changes.n_outcomes && turn_commit(t, &node_tools, err) < 0) {
            return -(int)err->code;
        }
        turn_release(t);
        if (!all_finished(t)) {
            int rc = fiber_wait(finished, FIBER_FOREVER); /* every call has its own deadline */
            if (rc < 0) {
                return err_set(err, (enum err_code) - rc, "waiting for tools");
            }
        }
    }
}

/* Calls whose message is not stored itself were never made; its refusal settles them too. */
void pending_calls_settle(struct turn *t, const char *why) {
    if (t->n_calls == 0 || t->changes.n_messages > 0) {
        return;
    }
    for (size_t i = 0; i < t->n_calls; i++) {
        struct pending_call *c = &t->calls[i];
        if (!c->finished) {
            char text[160];
            bool unknown = c->began && !c->tool->repeatable;
            snprintf(text, sizeof text, "%s%s.", why,
                     unknown ? " while it ran: outcome unknown" : "");
            finish_with_error(t, c, unknown ? "unknown" : "failed", text);
        }
    }
    note_outcomes(t);
    add_result_messages(t);
}

static int run(struct turn *t, const struct node **ret_next, struct err *err) {
    struct fiber_scope scope;
    struct fiber_cond finished;
    if (!t->calls && recover_calls(t, err) < 0) {
        return -(int)err->code;
    }
    if (t->cancel_requested) {
        return err_set(err, ERR_CANCELLED, "cancelled by the user");
    }
    fiber_scope_init(&scope);
    fiber_cond_init(&finished);
    int rc = start_calls(t, &scope, &finished, err);
    if (rc == 0) {
        rc = collect(t, &finished, err);
    }
    fiber_scope_done(&scope);
    if (rc < 0) {
        return rc;
    }
    add_result_messages(t);
    t->calls = NULL;
    t->n_calls = 0;
    *ret_next = &node_model;
    return 0;
}

const struct node node_tools = {.name = "tools", .run = run};
