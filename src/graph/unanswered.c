/* Calls of earlier turns that their user was asked about and that were never made: the model is
 * told so, as it would take a call without a result for one whose outcome is not known. */
#include "graph/internal.h"

static bool is_role(const struct turn_message *m, const char *role) {
    return str_eq(m->role, str_z(role));
}

/* Quotes inside texts are escaped. */
static size_t count_calls(struct str json) {
    static const struct str mark = STR("\"type\":\"tool_call\"");
    size_t n = 0;
    for (size_t at; (at = str_find(json, mark)) != SIZE_MAX; n++) {
        json = str_skip(json, at + mark.n);
    }
    return n;
}

/* Where the results end that belong to the message before. */
static size_t end_of_exchange(const struct turn_message *m, size_t n, size_t i) {
    while (i < n && !is_role(&m[i], "assistant")) {
        i++;
    }
    return i;
}

static bool lacks_results(const struct turn_message *m, size_t n, size_t i) {
    size_t calls = is_role(&m[i], "assistant") && !m[i].plain ? count_calls(m[i].json) : 0;
    size_t end = end_of_exchange(m, n, i + 1);
    for (size_t k = i + 1; calls > 0 && k < end; k++) {
        calls -= is_role(&m[k], "tool");
    }
    return calls > 0;
}

static bool has_result(const struct turn_message *m, size_t from, size_t end, struct str call_id) {
    for (size_t i = from; i < end; i++) {
        json_auto_t *tree = NULL;
        struct err err;
        if (is_role(&m[i], "tool") && json_read(m[i].json, &tree, &err) == 0 &&
            str_eq(json_str(tree, "tool_call_id"), call_id)) {
            return true;
        }
    }
    return false;
}

/* The newest: a call that goes on may ask again. */
static const struct interrupt_left *find_asked(const struct unanswered *u, struct str call_id) {
    for (size_t i = 0; i < u->n; i++) {
        if (str_eq(u->list[i].call_id, call_id)) {
            return &u->list[i];
        }
    }
    return NULL;
}

/* The turn is about to make the calls itself. */
static bool is_at_work(const struct turn *t, const struct turn_message *m, size_t n, size_t i) {
    while (i + 1 < n && is_role(&m[i + 1], "tool")) {
        i++;
    }
    return (t->resumes.n || t->resume_at) && i + 1 == n;
}

static struct str text_of(const struct interrupt_left *left) {
    if (left->elicitation) {
        return STR("Not completed: the call asked the user something, and got no answer.");
    }
    if (!left->elsewhere && str_eq(left->state, STR("denied"))) {
        return STR("The user declined this call.");
    }
    if (!left->elsewhere && str_eq(left->state, STR("approved"))) {
        return STR("Not called: the user allowed this call, but the conversation went on before it "
                   "was made.");
    }
    return STR("Not called: the user was asked about this call, and wrote something else instead "
               "of answering.");
}

static void tell(struct turn *t, const json_t *call, const struct interrupt_left *left) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(64 * 1024);
    struct jsonw w = jsonw_begin(&out);
    jsonw_object(&w);
    jsonw_kstrz(&w, "role", "tool");
    jsonw_kstr(&w, "tool_call_id", json_str(call, "id"));
    jsonw_kstr(&w, "name", json_str(call, "name"));
    jsonw_kstr(&w, "content", text_of(left));
    jsonw_kbool(&w, "is_error", true);
    jsonw_end_object(&w);
    if (!out.failed) {
        turn_add_message(t, arena_str(&t->arena, strbuf_str(&out)), false);
    }
}

int unanswered_look(struct turn *t, const struct turn_message *m, size_t n, struct unanswered *ret,
                    struct err *err) {
    struct patience patience = {0};
    int rc = 0;
    *ret = (struct unanswered){0};
    for (size_t i = 0; i < n; i++) {
        if (lacks_results(m, n, i)) {
            do {
                rc = interrupts_left(t->engine->options.db, t->user_id, t->thread_id, t->resumes,
                                     &t->arena, &ret->list, &ret->n, err);
            } while (rc < 0 && patience_left(t, &patience, err));
            break;
        }
    }
    return rc;
}

void unanswered_tell(struct turn *t, const struct unanswered *u, const struct turn_message *m,
                     size_t n, size_t i) {
    json_auto_t *message = NULL;
    struct err err;
    size_t k;
    json_t *block;
    if (u->n == 0 || is_at_work(t, m, n, i) || !lacks_results(m, n, i) ||
        json_read(m[i].json, &message, &err) < 0) {
        return;
    }
    json_array_foreach (json_object_get(message, "content"), k, block) {
        struct str id = json_str(block, "id");
        const struct interrupt_left *left = find_asked(u, id);
        if (left && str_eq(json_str(block, "type"), STR("tool_call")) &&
            !has_result(m, i + 1, end_of_exchange(m, n, i + 1), id)) {
            tell(t, block, left);
        }
    }
}
