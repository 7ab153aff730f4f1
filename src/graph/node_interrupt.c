/* The turn ends with questions to its user. They stand in the store; their answers begin another
 * turn, minutes or days later, anywhere. */
#include "base/clock.h"
#include "base/crypto.h"
#include "event/event.h"
#include "graph/internal.h"

enum {
    CODE_LEN = 4,
    HELD_S = 5 * 60, /* a server waits no longer with a call open */
    MAX_STATE_BYTES = 1024,
};

/* Short, to be typed on a phone: no letters that look alike. */
static struct str new_code(struct turn *t) {
    static const char letters[] = "ABCDEFGHJKMNPQRSTUVWXYZ23456789";
    uint8_t random[CODE_LEN];
    char code[CODE_LEN];
    crypto_random(random, sizeof random);
    for (size_t i = 0; i < CODE_LEN; i++) {
        code[i] = letters[random[i] % (sizeof letters - 1)];
    }
    return arena_str(&t->arena, (struct str){code, CODE_LEN});
}

static struct interrupt interrupt_of(struct turn *t, const struct pending_call *c,
                                     int64_t expires_us) {
    struct id id = id_new();
    char digest[INTERRUPT_DIGEST_HEX + 1];
    struct str exact = pending_call_exact(t, c);
    interrupt_digest(c->tool->server, c->tool->tool, c->arguments, exact, digest);
    return (struct interrupt){
        .id = arena_str(&t->arena, id_str(&id)),
        .code = new_code(t),
        .kind = c->question == CALL_ELICITATION ? STR("elicitation") : STR("approval"),
        .call_id = c->id,
        .server = c->tool->server,
        .tool = c->tool->tool,
        .name = c->name,
        .digest = arena_str(&t->arena, str_z(digest)),
        .arguments = exact,
        .request = c->request.n ? c->request : STR("{}"),
        .expires_us = expires_us,
    };
}

static void note_interrupts(struct turn *t) {
    int64_t ttl_us = t->engine->options.profile->approval_ttl_s * INT64_C(1000000);
    struct interrupt *list = arena_alloc(&t->arena, TURN_STEP_MAX * sizeof *list);
    size_t n = 0;
    for (size_t i = 0; i < t->n_calls && i < TURN_STEP_MAX; i++) {
        if (t->calls[i].question != CALL_NO_QUESTION) {
            int64_t held_us = HELD_S * INT64_C(1000000);
            int64_t open_us = t->calls[i].held.n ? MIN(held_us, ttl_us) : ttl_us;
            list[n++] = interrupt_of(t, &t->calls[i], clock_now_us() + open_us);
        }
    }
    t->changes.interrupts = list;
    t->changes.n_interrupts = n;
}

/* Clients get the whole state before the run ends, as AG-UI wants it. */
static int tell_state(struct turn *t, struct err *err) {
    struct strbuf state cleanup(strbuf_done) = STRBUF(MAX_STATE_BYTES);
    struct jsonw w = jsonw_begin(&state);
    struct patience patience = {0};
    int rc;
    jsonw_object(&w);
    jsonw_kint(&w, "openInterrupts", (int64_t)t->changes.n_interrupts);
    jsonw_end_object(&w);
    event_state_snapshot(turn_event(t), strbuf_str(&state));
    turn_emit(t);
    do {
        rc = event_thread_snapshot(turn_event(t), t->engine->options.db, t->user_id, t->thread_id,
                                   err);
    } while (rc < 0 && patience_left(t, &patience, err));
    if (rc == 0) {
        turn_emit(t);
    }
    return rc;
}

static int run(struct turn *t, const struct node **ret_next, struct err *err) {
    if (!t->calls && pending_calls_recover(t, err) < 0) {
        return -(int)err->code;
    }
    if (t->cancel_requested) {
        return err_set(err, ERR_CANCELLED, "cancelled by the user");
    }
    if (!pending_calls_ask(t)) { /* a policy changed since a dead owner came here */
        *ret_next = &node_tools;
        return 0;
    }
    note_interrupts(t);
    turn_hold(t);
    if (tell_state(t, err) < 0) {
        return -(int)err->code;
    }
    event_run_interrupted(turn_event(t), t->thread_id, t->turn_id, &t->used, t->used_provider,
                          t->used_model, t->changes.interrupts, t->changes.n_interrupts);
    if (strbuf_check(&t->event, "what is asked", err) < 0) {
        return -(int)err->code;
    }
    turn_emit(t);
    t->changes.end = true;
    t->changes.end_state = TURN_INTERRUPTED;
    *ret_next = NULL;
    return 0;
}

const struct node node_interrupt = {.name = "interrupt", .run = run};
