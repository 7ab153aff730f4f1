/* The calls of the model's answer: made side by side, each result stored before it is shown. What
 * must be asked first is asked when everything else is done. */
#include "graph/internal.h"

/* One call under way, in a fiber of its own. */
struct running_call {
    struct turn *t;
    struct pending_call *call;
    struct fiber_cond *rested;
};

static void call_main(void *arg) {
    struct running_call *rc = arg;
    pending_call_run(rc->t, rc->call);
    fiber_broadcast(rc->rested);
}

/* Of calls that were allowed after their message was stored. */
static int store_intents(struct turn *t, struct err *err) {
    for (size_t i = 0; i < t->n_calls; i++) {
        if (pending_call_wants_intent(&t->calls[i])) {
            pending_call_note_intent(t, &t->calls[i]);
        }
    }
    return t->changes.n_intents ? turn_commit(t, &node_tools, err) : 0;
}

static int start_calls(struct turn *t, struct fiber_scope *scope, struct fiber_cond *rested,
                       struct err *err) {
    for (size_t i = 0; i < t->n_calls; i++) {
        struct pending_call *c = &t->calls[i];
        if (pending_call_rests(c)) {
            continue;
        }
        struct running_call *rc = arena_alloc(&t->arena, sizeof *rc);
        *rc = (struct running_call){.t = t, .call = c, .rested = rested};
        if (fiber_spawn(scope, "tool call", call_main, rc, NULL, err) < 0) {
            return -(int)err->code;
        }
    }
    return 0;
}

static int collect(struct turn *t, struct fiber_cond *rested, struct err *err) {
    for (;;) {
        turn_hold(t);
        pending_calls_note_outcomes(t);
        if (pending_calls_rest(t)) {
            return 0;
        }
        if (t->changes.n_outcomes && turn_commit(t, &node_tools, err) < 0) {
            return -(int)err->code;
        }
        turn_release(t);
        if (!pending_calls_rest(t)) {
            int rc = fiber_wait(rested, FIBER_FOREVER); /* every call has its own deadline */
            if (rc < 0) {
                return err_set(err, (enum err_code) - rc, "waiting for tools");
            }
        }
    }
}

static int make_calls(struct turn *t, struct err *err) {
    struct fiber_scope scope;
    struct fiber_cond rested;
    fiber_scope_init(&scope);
    fiber_cond_init(&rested);
    int rc = start_calls(t, &scope, &rested, err);
    if (rc == 0) {
        rc = collect(t, &rested, err);
    }
    fiber_scope_done(&scope);
    return rc;
}

static int run(struct turn *t, const struct node **ret_next, struct err *err) {
    if (!t->calls && pending_calls_recover(t, err) < 0) {
        return -(int)err->code;
    }
    if (t->cancel_requested) {
        return err_set(err, ERR_CANCELLED, "cancelled by the user");
    }
    if (store_intents(t, err) < 0 || make_calls(t, err) < 0) {
        return -(int)err->code;
    }
    while (pending_calls_add_results(t)) {
        if (turn_commit(t, &node_tools, err) < 0) {
            return -(int)err->code;
        }
    }
    if (pending_calls_ask(t)) {
        *ret_next = &node_interrupt;
        return 0;
    }
    t->calls = NULL;
    t->n_calls = 0;
    *ret_next = &node_model;
    return 0;
}

const struct node node_tools = {.name = "tools", .run = run};
