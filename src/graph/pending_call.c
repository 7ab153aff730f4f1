/* What becomes of a tool call: decided, journaled, answered. Making it is call_run.c's. */
#include <inttypes.h>

#include "event/event.h"
#include "graph/internal.h"

enum {
    /* A character may take six when it is written; names and ids come from the model's answer. */
    MAX_OUTCOME_BYTES = 6 * TOOL_RESULT_MAX_BYTES + 16 * 1024 * 1024,
};

/* ---- before ---- */

static bool arguments_are_sound(struct str arguments) {
    json_auto_t *tree = NULL;
    struct err err;
    return json_read(arguments, &tree, &err) == 0 && json_is_object(tree);
}

void pending_call_prepare(struct turn *t, struct pending_call *c, size_t index) {
    c->key = arena_printf(&t->arena, "%" PRId64 "-%zu", t->model_calls, index);
    c->idempotency_key = arena_printf(&t->arena, "%.*s/%.*s", STR_ARG(t->turn_id), STR_ARG(c->key));
    c->tool = toolset_find(t->tools, c->name);
    if (index >= TURN_MAX_TOOL_CALLS) {
        c->tool = NULL;
        pending_call_fail(t, c, NULL,
                          "Not called: too many tool calls in one answer. Call it again.");
    } else if (!c->tool) {
        pending_call_fail(t, c, NULL, "There is no tool of this name.");
    } else if (c->tool->policy == POLICY_DENY) {
        pending_call_fail(t, c, NULL, "Not called: the user does not allow this tool.");
    } else if (c->tool->policy == POLICY_ASK && arguments_are_sound(c->arguments)) {
        c->question = CALL_APPROVAL; /* without sound arguments there is nothing to approve */
    }
}

bool pending_call_wants_intent(const struct pending_call *c) {
    return c->tool && !c->intent && !c->finished && c->question == CALL_NO_QUESTION;
}

void pending_call_note_intent(struct turn *t, struct pending_call *c) {
    c->intent = true;
    t->changes.intents[t->changes.n_intents++] =
        (struct turn_effect){.call_id = c->key,
                             .idempotency_key = c->idempotency_key,
                             .tool = c->name,
                             .arguments = c->exact.n ? c->exact : c->arguments,
                             .repeatable = c->tool->repeatable};
}

/* Names of arguments may have been changed for the model's provider. */
struct str pending_call_exact(struct turn *t, const struct pending_call *c) {
    return c->exact.n ? c->exact : toolset_arguments(c->tool, c->arguments, &t->arena);
}

bool pending_call_rests(const struct pending_call *c) {
    return c->finished || c->question != CALL_NO_QUESTION;
}

bool pending_calls_rest(const struct turn *t) {
    for (size_t i = 0; i < t->n_calls; i++) {
        if (!pending_call_rests(&t->calls[i])) {
            return false;
        }
    }
    return true;
}

bool pending_calls_ask(const struct turn *t) {
    for (size_t i = 0; i < t->n_calls; i++) {
        if (t->calls[i].question != CALL_NO_QUESTION) {
            return true;
        }
    }
    return false;
}

/* ---- results as the model reads them ---- */

/* The model reads what was really called. */
static struct str edited_note(struct turn *t, const struct pending_call *c) {
    return c->edited ? arena_printf(&t->arena,
                                    "The user changed the arguments to %.*s before approving.\n",
                                    STR_ARG(c->exact))
                     : STR_EMPTY;
}

static void write_content(struct jsonw *w, struct str note, struct str content, bool is_blocks) {
    if (!is_blocks) {
        jsonw_str(w, content);
    } else if (note.n == 0) {
        jsonw_raw(w, content);
    } else { /* an array of blocks: one more before the others */
        struct str rest = str_trim(str_skip(str_trim(content), 1));
        jsonw_array(w);
        jsonw_object(w);
        jsonw_kstrz(w, "type", "text");
        jsonw_kstr(w, "text", note);
        jsonw_end_object(w);
        if (!str_eq(rest, STR("]"))) {
            jsonw_raw(w, str_head(rest, rest.n - 1));
        }
        jsonw_end_array(w);
    }
}

void pending_call_finish(struct turn *t, struct pending_call *c, struct str content, bool is_blocks,
                         bool is_error, const char *effect_state) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(MAX_OUTCOME_BYTES);
    struct str note = edited_note(t, c);
    if (note.n && !is_blocks) {
        content = arena_printf(&t->arena, "%.*s%.*s", STR_ARG(note), STR_ARG(content));
    }
    struct jsonw w = jsonw_begin(&out);
    jsonw_object(&w);
    jsonw_kstrz(&w, "role", "tool");
    jsonw_kstr(&w, "tool_call_id", c->id);
    jsonw_kstr(&w, "name", c->name);
    jsonw_key(&w, "content");
    write_content(&w, note, content, is_blocks);
    jsonw_kbool(&w, "is_error", is_error);
    jsonw_end_object(&w);
    c->content = content;
    c->is_blocks = is_blocks;
    c->is_error = is_error;
    c->outcome = arena_str(&t->arena, strbuf_str(&out));
    c->effect_state = effect_state;
    c->finished = true;
}

void pending_call_fail(struct turn *t, struct pending_call *c, const char *effect_state,
                       const char *text) {
    pending_call_finish(t, c, arena_str(&t->arena, str_z(text)), false, true, effect_state);
}

/* ---- results as they are stored and told ---- */

/* A call that ended with a question was made: what it asked is its outcome in the journal, so that
 * nobody makes it again. */
static void note_asked(struct turn *t, struct pending_call *c) {
    if (c->question == CALL_ELICITATION && c->intent && !c->outcome_stored) {
        c->outcome_stored = true;
        t->changes.outcomes[t->changes.n_outcomes++] = (struct turn_effect){
            .call_id = c->key,
            .state = STR("done"),
            .outcome = arena_printf(&t->arena, "{\"asked\":%.*s}", STR_ARG(c->request))};
    }
}

static struct str result_id(struct turn *t, const struct pending_call *c) {
    return arena_printf(&t->arena, "%.*s-t%.*s", STR_ARG(t->turn_id), STR_ARG(c->key));
}

/* Those that a dead owner stored are told again: the snapshot that replaced the client's view lacks
 * them. */
void pending_calls_note_outcomes(struct turn *t) {
    for (size_t i = 0; i < t->n_calls && i < TURN_MAX_TOOL_CALLS; i++) {
        struct pending_call *c = &t->calls[i];
        note_asked(t, c);
        if (!c->finished || c->told) {
            continue;
        }
        c->told = true;
        if (c->intent && !c->outcome_stored) {
            c->outcome_stored = true;
            t->changes.outcomes[t->changes.n_outcomes++] = (struct turn_effect){
                .call_id = c->key, .state = str_z(c->effect_state), .outcome = c->outcome};
        }
        event_tool_result(turn_event(t), result_id(t, c), c->id,
                          &(struct event_result){c->content, c->is_blocks, c->is_error});
        turn_emit(t);
    }
}

bool pending_calls_add_results(struct turn *t) {
    for (size_t i = 0; i < t->n_calls; i++) {
        struct pending_call *c = &t->calls[i];
        if (c->finished && !c->answered) {
            if (t->changes.n_messages == TURN_STEP_MAX) {
                return true;
            }
            c->answered = true;
            turn_store_message(t, result_id(t, c), STR("tool"), c->outcome, false);
        }
    }
    return false;
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
            pending_call_fail(t, c, unknown ? "unknown" : "failed", text);
        }
    }
    pending_calls_note_outcomes(t);
    (void)pending_calls_add_results(t); /* those beyond were never begun, nor shown */
}
