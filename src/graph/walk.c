/* A turn's fiber: from node to node, and the ends that a turn can have. */
#include <assert.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "event/event.h"
#include "graph/internal.h"

static const struct node *const nodes[] = {&node_route, &node_prepare,   &node_model,
                                           &node_tools, &node_interrupt, &node_finish};

const struct node *node_find(struct str name) {
    for (size_t i = 0; i < ARRAY_LEN(nodes); i++) {
        if (str_eq(str_z(nodes[i]->name), name)) {
            return nodes[i];
        }
    }
    return NULL;
}

static bool changed_anything(const struct turn *t) {
    const struct turn_changes *c = &t->changes;
    return c->end || c->n_messages || c->n_intents || c->n_outcomes || c->has_usage;
}

/* A dead owner's calls are answered before the turn ends: the node that knows of them comes first.
 */
static bool leads_to_open_calls(const struct turn *t) {
    bool open = t->resume_at == &node_tools || t->resume_at == &node_interrupt || t->resumes.n > 0;
    return open && t->node != &node_model;
}

static int walk(struct turn *t, struct err *err) {
    while (t->node) {
        const struct node *next = NULL;
        int rc = t->node->run(t, &next, err);
        if (rc < 0) {
            return rc;
        }
        t->node = next;
        if (next && next->joins_previous_step) {
            continue;
        }
        if (changed_anything(t) && turn_commit(t, next, err) < 0) {
            return -(int)err->code;
        }
        turn_release(t);
        if (next && t->cancel_requested && !leads_to_open_calls(t)) {
            return err_set(err, ERR_CANCELLED, "cancelled by the user");
        }
    }
    return 0;
}

/* ---- ends that are not the good one ---- */

/* The turn stays open in the store, for another process or for later. */
static void leave_open(struct turn *t) {
    run_abandon(take(t->run));
}

static void emit_end(struct turn *t, enum turn_state state, const struct err *why) {
    if (state == TURN_CANCELLED) {
        event_run_cancelled(turn_event(t), t->thread_id, t->turn_id);
    } else {
        event_run_error(turn_event(t), str_z(why->msg), str_z(err_name(why->code)));
        t->changes.error_code = str_z(err_name(why->code));
        t->changes.error = arena_str(&t->arena, str_z(why->msg));
    }
    turn_emit(t);
    t->changes.end = true;
    t->changes.end_state = state;
}

static int commit_end(struct turn *t, struct err *err) {
    fiber_shield_enter();
    int rc = turn_commit(t, NULL, err);
    fiber_shield_leave();
    return rc;
}

/* What the store refused would be refused again. */
static void forget_changes(struct turn *t) {
    if (t->holding) {
        run_retract(t->run, t->held_after);
    }
    t->changes = (struct turn_changes){0};
}

/* Stores the end with what is there (a partial answer, outcomes). When even that fails, the turn
 * stays open in the store and is taken up again when the database is back. */
static void end_as(struct turn *t, enum turn_state state, const struct err *why) {
    struct err err;
    if (t->changes.end) { /* a good end that the store would not have */
        forget_changes(t);
    }
    t->changes.n_interrupts = 0; /* whoever did not end with questions has none */
    turn_hold(t);
    pending_calls_settle(t, state == TURN_CANCELLED ? "Cancelled by the user" : "The turn failed");
    emit_end(t, state, why);
    int rc = commit_end(t, &err);
    if (rc < 0 && !t->in_doubt && rc != -ERR_PRECONDITION) {
        log_error("graph", "turn %.*s ends without its last step: %s", STR_ARG(t->turn_id),
                  err.msg);
        forget_changes(t);
        emit_end(t, state, why);
        rc = commit_end(t, &err);
    }
    if (rc < 0) {
        log_error("graph", "turn %.*s could not be ended: %s", STR_ARG(t->turn_id), err.msg);
        engine_doubt(t->engine);
        leave_open(t);
        return;
    }
    title_consider(t, false);
    run_close(take(t->run));
    state == TURN_CANCELLED ? t->engine->stats.cancelled++ : t->engine->stats.failed++;
}

/* Whoever submits a turn holds it until it is known what became of the message. */
static void wait_for_submitter(struct turn *t) {
    fiber_shield_enter();
    while (t->accepted == ACCEPT_PENDING) {
        (void)fiber_wait(&t->accepted_changed, FIBER_FOREVER);
    }
    fiber_shield_leave();
}

static void end_badly(struct turn *t, const struct err *why) {
    wait_for_submitter(t);
    bool stopped = t->engine->stopping && !t->cancel_requested && why->code == ERR_CANCELLED;
    if (t->accepted == ACCEPT_DROPPED || stopped) {
        leave_open(t); /* never begun, or left for another process */
        return;
    }
    if (t->in_doubt) {
        log_warn("graph", "turn %.*s is left open: %s", STR_ARG(t->turn_id), why->msg);
        engine_doubt(t->engine);
        leave_open(t);
        return;
    }
    if (why->code == ERR_PRECONDITION || t->taken) {
        log_warn("graph", "turn %.*s was taken over by another process", STR_ARG(t->turn_id));
        t->engine->stats.lost_leases++;
        leave_open(t);
        return;
    }
    bool cancelled = why->code == ERR_CANCELLED && t->cancel_requested;
    if (!cancelled) {
        log_warn("graph", "turn %.*s failed: %s", STR_ARG(t->turn_id), why->msg);
    }
    end_as(t, cancelled ? TURN_CANCELLED : TURN_FAILED, why);
}

void turn_fail(struct turn *t, const struct err *why) {
    end_badly(t, why);
    turn_leave(t);
}

void turn_walk_main(void *arg) {
    struct turn *t = arg;
    struct err err;
    struct fiber_timeout limit;
    int64_t seconds = t->engine->options.profile->turn_max_seconds;
    fiber_timeout_start(&limit, seconds * 1000);
    int rc = walk(t, &err);
    bool too_long = limit.expired;
    fiber_timeout_stop(&limit);
    if (rc == 0) {
        t->engine->stats.done++;
        distill_consider(t);
        title_consider(t, true);
        run_close(take(t->run));
    } else {
        if (too_long && err.code == ERR_TIMEOUT) {
            err_set(&err, ERR_TIMEOUT,
                    "The turn was stopped after %lld seconds (ADJUTANT_TURN_MAX_SECONDS).",
                    (long long)seconds);
        }
        end_badly(t, &err);
    }
    turn_leave(t);
}

/* ---- the object ---- */

struct turn *turn_new(struct turn_engine *e, struct str user_id, struct str thread_id,
                      struct str turn_id) {
    struct turn *t = mem_alloc(sizeof *t);
    t->engine = e;
    t->user_id = arena_str(&t->arena, user_id);
    t->thread_id = arena_str(&t->arena, thread_id);
    t->turn_id = arena_str(&t->arena, turn_id);
    t->event = STRBUF(16 * 1024 * 1024);
    t->node = &node_route;
    fiber_cond_init(&t->accepted_changed);
    struct strbuf key cleanup(strbuf_done) = STRBUF(1024);
    struct str known = engine_key(user_id, turn_id, &key);
    assert(!map_get(&e->known, known));
    map_put(&e->known, known, t);
    return t;
}

struct turn *turn_find(struct turn_engine *e, struct str user_id, struct str turn_id) {
    struct strbuf key cleanup(strbuf_done) = STRBUF(1024);
    return map_get(&e->known, engine_key(user_id, turn_id, &key));
}

void turn_free(struct turn *t) {
    struct strbuf key cleanup(strbuf_done) = STRBUF(1024);
    map_remove(&t->engine->known, engine_key(t->user_id, t->turn_id, &key));
    fiber_broadcast(&t->engine->changed);
    strbuf_done(&t->event);
    endpoints_done(&t->endpoints);
    toolset_close(t->tools);
    arena_done(&t->arena);
    mem_free(t);
}
