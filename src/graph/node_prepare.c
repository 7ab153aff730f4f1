#include "graph/internal.h"

/* For a user's servers that are tried for the first time: what joins later joins the next call of
 * the model. */
enum { TOOLS_WAIT_MS = 250 };

/* Bytes of history for a model with this many tokens of context: half of it, at about three bytes a
 * token. */
static size_t history_bytes(const struct turn *t) {
    const struct llm_endpoint *first = &t->endpoints.list[0];
    int64_t tokens = llm_model_context(first->provider, first->model);
    return (size_t)MIN(tokens * 3 / 2, INT64_C(4) * 1024 * 1024);
}

static bool is_role(const struct turn_message *m, const char *role) {
    return str_eq(m->role, str_z(role));
}

/* The newest messages within the budgets, from a user's message on: an answer without its question,
 * or a tool's result without its call, would be refused or misunderstood. */
static int load_history(struct turn *t, struct err *err) {
    struct turn_message *messages;
    size_t n, first = 0;
    struct unanswered unanswered;
    struct patience patience = {0};
    int rc;
    do {
        rc = turn_history(t->engine->options.db, t->user_id, t->thread_id, t->turn_id, INT64_MAX,
                          TURN_HISTORY_MESSAGES, t->budget_bytes, &t->arena, &messages, &n, err);
    } while (rc < 0 && patience_left(t, &patience, err));
    if (rc < 0) {
        return err_prefix(err, "reading the thread");
    }
    if (n && is_role(&messages[0], "summary")) {
        t->system_changing =
            arena_printf(&t->arena, "%.*s\n\nThe conversation so far, in short:\n%.*s",
                         STR_ARG(t->system_changing), STR_ARG(messages[0].json));
        first++;
    }
    while (first < n && !is_role(&messages[first], "user")) {
        first++;
    }
    if (unanswered_look(t, messages, n, &unanswered, err) < 0) {
        return err_prefix(err, "reading the thread");
    }
    for (size_t i = first; i < n; i++) {
        /* The turn's own message may or may not be committed yet: it is added by the caller. */
        if (t->adopted || !str_eq(messages[i].id, t->message_id)) {
            turn_add_message(t, messages[i].json, messages[i].plain);
            unanswered_tell(t, &unanswered, messages, n, i);
        }
    }
    return 0;
}

/* A turn that begins where it was submitted has them already. */
static int choose_endpoints(struct turn *t, struct err *err) {
    struct endpoints_request q = engine_endpoints(t->engine, t->user_id, t->allow_operator_llm);
    struct patience patience = {0};
    int rc = 0;
    q.model = t->model;
    while (t->endpoints.n == 0) {
        rc = endpoints_resolve(&q, &t->endpoints, err);
        if (rc == 0 || !patience_left(t, &patience, err)) {
            break;
        }
    }
    return rc;
}

static int learn_user(struct turn *t, struct err *err) {
    struct user_profiles *known = t->engine->options.user_profiles;
    struct patience patience = {0};
    int rc = 0;
    do {
        rc = known ? user_profiles_find(known, t->user_id, &t->arena, &t->user, err) : 0;
    } while (rc < 0 && patience_left(t, &patience, err));
    return rc;
}

static int open_tools(struct turn *t, struct err *err) {
    struct toolset_options options = {
        .user_id = t->user_id, .skill = t->skill, .wait_ms = TOOLS_WAIT_MS};
    struct patience patience = {0};
    int rc;
    do {
        rc = toolset_open(t->engine->options.toolbox, &options, &t->tools, err);
    } while (rc < 0 && patience_left(t, &patience, err));
    return rc < 0 ? err_prefix(err, "looking for tools") : 0;
}

static int run(struct turn *t, const struct node **ret_next, struct err *err) {
    if (choose_endpoints(t, err) < 0) {
        return -(int)err->code;
    }
    if (learn_user(t, err) < 0) {
        return err_prefix(err, "reading who the user is");
    }
    t->system_stable = context_system_stable(t->engine->options.profile, &t->user, &t->arena);
    t->system_changing = context_system_changing(&t->user, &t->arena);
    t->budget_bytes = history_bytes(t);
    if (!t->new_thread && load_history(t, err) < 0) {
        return -(int)err->code;
    }
    if (!t->adopted && t->message.n) {
        turn_add_message(t, t->message, t->message_plain);
    }
    if (open_tools(t, err) < 0) {
        return -(int)err->code;
    }
    toolset_found_read(t->tools, t->tools_found);
    const struct node *first = t->resumes.n ? &node_tools : &node_model;
    *ret_next = t->resume_at ? t->resume_at : first;
    return 0;
}

const struct node node_prepare = {.name = "prepare", .run = run};
