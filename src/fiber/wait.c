/* Waiting with deadlines. */
#include <assert.h>

#include "base/clock.h"
#include "fiber/internal.h"

void fiber_cond_init(struct fiber_cond *c) {
    list_init(&c->waiters);
}

static bool is_cancelled(const struct fiber *f) {
    return f->cancelled && f->shields == 0;
}

/* The enclosing timeout that ends first, or NULL. A shielded stretch is not cut by them either. */
static struct fiber_timeout *nearest_timeout(const struct fiber *f) {
    struct fiber_timeout *nearest = NULL;
    for (struct fiber_timeout *t = f->shields ? NULL : f->timeout; t; t = t->outer) {
        if (!nearest || t->at_us < nearest->at_us) {
            nearest = t;
        }
    }
    return nearest;
}

static void on_timer(uv_timer_t *timer) {
    fiber_make_ready(timer->data, -ERR_TIMEOUT);
}

static void start_timer(struct fiber *f, int64_t ms) {
    uv_update_time(fiber_runtime.loop);
    uv_timer_start(&f->timer, on_timer, (uint64_t)ms, 0);
}

/* Parks with a time limit: the caller has put the fiber where its wake-up will look for it. */
static int park_limited(struct fiber *f, int64_t timeout_ms) {
    struct fiber_timeout *outer = nearest_timeout(f);
    if (outer) {
        int64_t left_ms = MAX((outer->at_us - clock_mono_us() + 999) / 1000, (int64_t)0);
        if (timeout_ms >= 0 && timeout_ms <= left_ms) {
            outer = NULL;
        } else {
            timeout_ms = left_ms;
        }
    }
    if (timeout_ms >= 0) {
        start_timer(f, timeout_ms);
    }
    int code = fiber_park(true);
    if (code == -ERR_TIMEOUT && outer) {
        outer->expired = true;
    }
    return code;
}

void fiber_point(void) {
    assert(fiber_runtime.running);
    if (fiber_runtime.options.chaos_seed) {
        fiber_yield();
    }
}

int fiber_wait(struct fiber_cond *c, int64_t timeout_ms) {
    struct fiber *f = fiber_runtime.running;
    assert(f);
    if (is_cancelled(f)) {
        return -ERR_CANCELLED;
    }
    list_push(&c->waiters, &f->in_cond);
    return park_limited(f, timeout_ms);
}

void fiber_signal(struct fiber_cond *c) {
    if (!list_empty(&c->waiters)) {
        fiber_make_ready(list_entry(c->waiters.next, struct fiber, in_cond), 0);
    }
}

void fiber_broadcast(struct fiber_cond *c) {
    while (!list_empty(&c->waiters)) {
        fiber_signal(c);
    }
}

int fiber_sleep(int64_t ms) {
    struct fiber_cond never;
    fiber_cond_init(&never);
    struct fiber_timeout *outer = fiber_runtime.running->timeout;
    int code = fiber_wait(&never, ms);
    for (struct fiber_timeout *t = outer; t; t = t->outer) {
        if (t->expired) {
            return -ERR_TIMEOUT;
        }
    }
    return code == -ERR_TIMEOUT ? 0 : code;
}

void fiber_yield(void) {
    struct fiber *f = fiber_runtime.running;
    assert(f);
    f->waiting = true;
    f->waiting_cancellable = false;
    fiber_make_ready(f, 0);
    context_switch(&f->context, &fiber_runtime.loop_context, false);
}

void fiber_timeout_start(struct fiber_timeout *t, int64_t timeout_ms) {
    struct fiber *f = fiber_runtime.running;
    *t = (struct fiber_timeout){
        .fiber = f, .outer = f->timeout, .at_us = clock_mono_us() + timeout_ms * 1000};
    f->timeout = t;
}

void fiber_timeout_stop(struct fiber_timeout *t) {
    assert(t->fiber == fiber_runtime.running && t->fiber->timeout == t);
    t->fiber->timeout = t->outer;
}
