/* The calls of an answer that was stored by somebody else: a dead owner of this turn, whose journal
 * tells how far it came, or the turn before this one, which asked the user. */
#include "graph/internal.h"

static const char unknown_outcome[] =
    "Outcome unknown: the assistant was interrupted between making this call and hearing back. It "
    "may or may not have taken effect, and was not repeated. Check before trying again, and tell "
    "the user.";

enum { MAX_CONTENT_BYTES = 16 * 1024 * 1024 };

/* What is known from the store. */
struct known {
    struct turn_effect *effects; /* of this turn */
    size_t n_effects;
    struct interrupt_row *asked; /* by the turn this one goes on with */
    size_t n_asked;
};

/* ---- the journal's rule: what has an outcome is not called again; what has only an intent is, if
 * that is safe ---- */

static const struct turn_effect *find_effect(const struct known *k, struct str key) {
    for (size_t i = 0; i < k->n_effects; i++) {
        if (str_eq(k->effects[i].call_id, key)) {
            return &k->effects[i];
        }
    }
    return NULL;
}

static struct str text_of(struct turn *t, const json_t *value) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(MAX_CONTENT_BYTES);
    if (json_is_string(value)) {
        strbuf_add(&text, json_value_str(value));
    } else if (value) {
        json_write_tree(&text, value);
    }
    return arena_str(&t->arena, strbuf_str(&text));
}

/* The outcome is the tool's message, or what the call asked. */
static void apply_outcome(struct turn *t, struct pending_call *c, struct str outcome) {
    json_auto_t *tree = NULL;
    struct err err;
    if (json_read(outcome, &tree, &err) < 0) {
        tree = NULL; /* our own writing */
    }
    c->outcome_stored = true;
    if (json_object_get(tree, "asked")) {
        c->question = CALL_ELICITATION;
        c->request = text_of(t, json_object_get(tree, "asked"));
    } else {
        c->outcome = outcome;
        c->content = text_of(t, json_object_get(tree, "content"));
        c->is_blocks = json_is_array(json_object_get(tree, "content"));
        c->is_error = json_bool(tree, "is_error", false);
        c->effect_state = "done";
        c->finished = true;
    }
}

static void apply_effect(struct turn *t, struct pending_call *c, const struct turn_effect *e) {
    c->intent = true;
    c->question = CALL_NO_QUESTION; /* it was allowed when it was begun */
    if (!str_eq(e->state, STR("intent"))) {
        apply_outcome(t, c, e->outcome);
    } else if (!e->repeatable) {
        pending_call_fail(t, c, "unknown", unknown_outcome);
    }
}

/* ---- the user's answers ---- */

static const struct interrupt_row *find_asked(const struct known *k, struct str call_id) {
    for (size_t i = 0; i < k->n_asked; i++) {
        if (str_eq(k->asked[i].is.call_id, call_id)) {
            return &k->asked[i];
        }
    }
    return NULL;
}

/* The tool as the user was asked about it. Its server need not be connected yet to be called. */
static const struct toolset_tool *asked_tool(struct turn *t, const struct pending_call *c,
                                             const struct interrupt *asked) {
    if (c->tool && str_eq(c->tool->server, asked->server) && str_eq(c->tool->tool, asked->tool)) {
        return c->tool;
    }
    if (asked->server.n == 0) {
        return NULL;
    }
    struct toolset_tool *tool = arena_alloc(&t->arena, sizeof *tool);
    *tool = (struct toolset_tool){.name = c->name,
                                  .server = asked->server,
                                  .tool = asked->tool,
                                  .title = asked->tool,
                                  .policy = POLICY_ASK};
    return tool;
}

/* The call as the model made it and as the user was shown it are those of when it was asked. */
static bool is_what_was_asked(const struct pending_call *c, const struct interrupt *asked) {
    char digest[INTERRUPT_DIGEST_HEX + 1];
    interrupt_digest(asked->server, asked->tool, c->arguments, asked->arguments, digest);
    return str_eq(asked->digest, str_z(digest));
}

static void refuse(struct turn *t, struct pending_call *c, const struct interrupt_row *row,
                   struct str reason) {
    struct str text = STR("The user declined this call.");
    if (str_eq(row->state, STR("open"))) {
        text = STR("Not called: the user was asked, and did not answer in time.");
    } else if (reason.n) {
        text = arena_printf(&t->arena, "The user declined this call: %.*s", STR_ARG(reason));
    }
    pending_call_finish(t, c, text, false, true, NULL);
}

static int apply_elicited(struct turn *t, struct pending_call *c, const struct interrupt_row *row,
                          const json_t *answer, struct err *err) {
    struct strbuf content cleanup(strbuf_done) = STRBUF(MAX_CONTENT_BYTES);
    struct str action = json_str(answer, "action");
    if (json_object_get(answer, "content")) {
        json_write_tree(&content, json_object_get(answer, "content"));
    }
    /* It may have been approved with other arguments before the server asked. */
    c->edited = !str_eq(row->is.arguments, pending_call_exact(t, c));
    c->exact = row->is.arguments;
    return elicit_answer(t, c, row->is.request, action.n ? action : STR("cancel"),
                         strbuf_str(&content), err);
}

static void approve(struct turn *t, struct pending_call *c, const struct interrupt_row *row,
                    const json_t *answer) {
    struct strbuf edited cleanup(strbuf_done) = STRBUF(MAX_CONTENT_BYTES);
    c->exact = row->is.arguments;
    if (json_object_get(answer, "arguments")) {
        json_write_tree(&edited, json_object_get(answer, "arguments"));
        c->exact = arena_str(&t->arena, strbuf_str(&edited));
        c->edited = true;
    }
}

static int apply_answer(struct turn *t, struct pending_call *c, const struct interrupt_row *row,
                        struct err *err) {
    json_auto_t *answer = NULL;
    if (row->answer.n && json_read(row->answer, &answer, err) < 0) {
        return err_prefix(err, "a stored answer");
    }
    const struct toolset_tool *tool = asked_tool(t, c, &row->is);
    c->question = CALL_NO_QUESTION;
    c->finished = false;
    c->tool = tool;
    if (!tool || !is_what_was_asked(c, &row->is)) {
        c->tool = NULL;
        pending_call_fail(t, c, NULL,
                          "Not called: it is not the call that the user was asked about.");
    } else if (str_eq(row->is.kind, STR("elicitation"))) {
        return apply_elicited(t, c, row, answer, err);
    } else if (str_eq(row->state, STR("approved"))) {
        approve(t, c, row, answer);
    } else {
        c->tool = NULL;
        refuse(t, c, row, json_str(answer, "reason"));
    }
    return 0;
}

static int apply_known(struct turn *t, struct pending_call *c, const struct known *k,
                       struct err *err) {
    const struct turn_effect *effect = find_effect(k, c->key);
    const struct interrupt_row *asked = find_asked(k, c->id);
    if (c->answered) {
        c->question = CALL_NO_QUESTION;
        c->finished = c->outcome_stored = c->told = true;
        return 0;
    }
    if (asked && apply_answer(t, c, asked, err) < 0) {
        return -(int)err->code;
    }
    if (effect && !c->finished) {
        apply_effect(t, c, effect);
    }
    return 0;
}

/* ---- the answer itself ---- */

static bool is_result_of(struct str message, struct str call_id) {
    json_auto_t *tree = NULL;
    struct err err;
    return json_read(message, &tree, &err) == 0 && str_eq(json_str(tree, "tool_call_id"), call_id);
}

static bool is_answered(const struct turn *t, size_t message, struct str call_id) {
    for (size_t i = message + 1; i < t->n_messages; i++) {
        if (is_result_of(t->messages[i].json, call_id)) {
            return true;
        }
    }
    return false;
}

/* The last message that is no tool's. */
static int find_answer(const struct turn *t, size_t *ret, struct err *err) {
    for (size_t i = t->n_messages; i-- > 0;) {
        if (!str_starts(t->messages[i].json, STR("{\"role\":\"tool\""))) {
            *ret = i;
            return 0;
        }
    }
    return err_set(err, ERR_INTERNAL, "the message that asked for tool calls is missing");
}

static int read_known(struct turn *t, struct known *k, struct err *err) {
    struct turn_key key = {t->user_id, t->turn_id}, before = {t->user_id, t->resumes};
    struct db *db = t->engine->options.db;
    struct patience patience = {0};
    int rc;
    do {
        rc = turn_effects(db, key, &t->arena, &k->effects, &k->n_effects, err);
        if (rc == 0 && t->resumes.n && t->model_calls == 0) {
            rc = interrupts_of_turn(db, before, &t->arena, &k->asked, &k->n_asked, err);
        }
    } while (rc < 0 && patience_left(t, &patience, err));
    return rc < 0 ? err_prefix(err, "reading the journal of tool calls") : 0;
}

int pending_calls_recover(struct turn *t, struct err *err) {
    json_auto_t *message = NULL;
    struct known known = {0};
    size_t at = 0, i;
    json_t *block;
    if (find_answer(t, &at, err) < 0 || json_read(t->messages[at].json, &message, err) < 0 ||
        read_known(t, &known, err) < 0) {
        return -(int)err->code;
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
        c->answered = is_answered(t, at, c->id);
        pending_call_prepare(t, c, t->n_calls++);
        if (apply_known(t, c, &known, err) < 0) {
            return -(int)err->code;
        }
    }
    return 0;
}
