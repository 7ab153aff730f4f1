#include "event/event.h"
#include "graph/internal.h"

/* The end is told once it is durable: the run is held until the step is stored. */
static int run(struct turn *t, const struct node **ret_next, struct err *err) {
    (void)err;
    turn_hold(t);
    event_run_finished(turn_event(t), t->thread_id, t->turn_id, &t->used, t->used_provider,
                       t->used_model);
    turn_emit(t);
    t->changes.end = true;
    t->changes.end_state = TURN_DONE;
    *ret_next = NULL;
    return 0;
}

const struct node node_finish = {.name = "finish", .run = run, .joins_previous_step = true};
