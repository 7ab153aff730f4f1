/* Work that must not run on a fiber's small stack or on the loop's thread. */
#include <assert.h>

#include "fiber/internal.h"

struct job {
    uv_work_t work;
    struct fiber *fiber;
    void (*fn)(void *);
    void *arg;
};

static void on_worker(uv_work_t *work) {
    struct job *job = container_of(work, struct job, work);
    job->fn(job->arg);
}

static void on_done(uv_work_t *work, int status) {
    (void)status; /* never cancelled */
    fiber_make_ready(container_of(work, struct job, work)->fiber, 0);
}

void fiber_offload(void (*fn)(void *arg), void *arg) {
    struct job job = {.fiber = fiber_self(), .fn = fn, .arg = arg};
    assert(job.fiber);
    int rc = uv_queue_work(fiber_loop(), &job.work, on_worker, on_done);
    assert(rc == 0); /* fails only without a function to run */
    fiber_park(false);
}

void fiber_on_loop_stack(void (*fn)(void *arg), void *arg) {
    struct fiber *f = fiber_self();
    if (!f) {
        fn(arg);
        return;
    }
    f->loop_call = fn;
    f->loop_arg = arg;
    context_switch(&f->context, &fiber_runtime.loop_context, false);
}
