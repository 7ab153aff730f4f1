/* The scheduler: who is ready runs, on the loop's turn; scopes; cancellation. */
#include "fiber/fiber.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "fiber/internal.h"

enum {
    STACK_BYTES = 128 * 1024,
    STACK_BYTES_ASAN = 512 * 1024, /* red zones around every variable */
    MAX_FIBERS = 20000,
    SLOW_SLICE_US = 50 * 1000,
};

struct fiber_runtime fiber_runtime;
static struct fiber_runtime *const rt = &fiber_runtime;

/* ---- running ---- */

static void fiber_main(void *arg) {
    struct fiber *f = arg;
    context_entered(&rt->loop_context);
    f->fn(f->arg);
    f->done = true;
    context_switch(&f->context, &rt->loop_context, true);
    abort();
}

static void note_slice(const struct fiber *f, int64_t us) {
    rt->stats.longest_slice_us = MAX(rt->stats.longest_slice_us, us);
    if (us > SLOW_SLICE_US) {
        rt->stats.slow_slices++;
        log_warn("fiber", "%s kept the loop for %lld ms", f->name, (long long)us / 1000);
    }
}

static void finished(struct fiber *f) {
    struct fiber_scope *scope = f->scope;
    assert(!f->timeout && f->shields == 0);
    list_remove(&f->in_scope);
    list_remove(&f->in_all);
    rt->live--;
    fiber_object_give(f);
    fiber_broadcast(&scope->ended);
}

static void run(struct fiber *f) {
    int64_t begun = clock_mono_us();
    do {
        if (f->loop_call) {
            void (*call)(void *) = take(f->loop_call);
            call(f->loop_arg);
        }
        rt->running = f;
        rt->stats.switches++;
        context_switch(&rt->loop_context, &f->context, false);
        rt->running = NULL;
    } while (f->loop_call);
    note_slice(f, clock_mono_us() - begun);
    if (f->done) {
        finished(f);
    }
}

static uint64_t next_random(void) { /* xorshift64 */
    rt->random ^= rt->random << 13;
    rt->random ^= rt->random >> 7;
    rt->random ^= rt->random << 17;
    return rt->random;
}

static struct list *pop_random(struct list *head) {
    size_t n = 0;
    list_each (node, head) {
        n++;
    }
    size_t skip = n ? next_random() % n : 0;
    struct list *chosen = head->next;
    while (skip-- > 0) {
        chosen = chosen->next;
    }
    if (chosen == head) {
        return NULL;
    }
    list_remove(chosen);
    return chosen;
}

/* Who becomes ready meanwhile runs in the next round, so that the loop gets to poll in between. */
void fiber_drain(void) {
    assert(!rt->running);
    struct list batch;
    list_init(&batch);
    for (struct list *node; (node = list_pop(&rt->ready));) {
        list_push(&batch, node);
    }
    for (struct list *node;
         (node = rt->options.chaos_seed ? pop_random(&batch) : list_pop(&batch));) {
        run(list_entry(node, struct fiber, in_ready));
    }
}

static void on_idle(uv_idle_t *handle) {
    (void)handle;
}

/* While somebody is ready the loop must not sleep in poll: an active idle handle sees to that. */
static void arm_loop(void) {
    if (!list_empty(&rt->ready)) {
        uv_idle_start(&rt->idle, on_idle);
    } else {
        uv_idle_stop(&rt->idle);
    }
}

static void on_prepare(uv_prepare_t *handle) {
    (void)handle;
    fiber_drain();
    arm_loop();
}

static void on_check(uv_check_t *handle) {
    (void)handle;
    fiber_drain();
    arm_loop();
}

void fiber_make_ready(struct fiber *f, int code) {
    assert(f->waiting && !list_linked(&f->in_ready));
    f->waiting = false;
    f->wake_code = code;
    list_remove(&f->in_cond);
    uv_timer_stop(&f->timer);
    list_push(&rt->ready, &f->in_ready);
    if (!rt->running) {
        uv_idle_start(&rt->idle, on_idle);
    }
}

int fiber_park(bool cancellable) {
    struct fiber *f = rt->running;
    assert(f);
    f->waiting = true;
    f->waiting_cancellable = cancellable;
    context_switch(&f->context, &rt->loop_context, false);
    return f->wake_code;
}

/* ---- life ---- */

int fiber_spawn(struct fiber_scope *scope, const char *name, void (*fn)(void *arg), void *arg,
                struct fiber **ret, struct err *err) {
    if (rt->live >= rt->options.max_fibers) {
        return err_set(err, ERR_BUSY, "too much is going on at once (%u fibers)", rt->live);
    }
    struct fiber *f = fiber_object_take();
    if (!f) {
        return err_set(err, ERR_BUSY, "no memory for another fiber");
    }
    f->name = name;
    f->fn = fn;
    f->arg = arg;
    f->scope = scope;
    f->timeout = NULL;
    f->wake_code = 0;
    f->shields = 0;
    f->cancelled = f->done = false;
    f->loop_call = NULL;
    context_init(&f->context, fiber_stack_low(f, rt->options.stack_bytes), rt->options.stack_bytes,
                 fiber_main, f);
    list_push(&scope->fibers, &f->in_scope);
    list_push(&rt->all, &f->in_all);
    rt->live++;
    rt->stats.spawned++;
    f->waiting = true;
    f->waiting_cancellable = false; /* it begins even when it is cancelled at once */
    fiber_make_ready(f, 0);
    if (ret) {
        *ret = f;
    }
    return 0;
}

struct fiber *fiber_self(void) {
    return rt->running;
}

const char *fiber_name(const struct fiber *f) {
    return f->name;
}

void fiber_cancel(struct fiber *f) {
    f->cancelled = true;
    if (f->waiting && f->waiting_cancellable && f->shields == 0) {
        fiber_make_ready(f, -ERR_CANCELLED);
    }
}

bool fiber_cancelled(void) {
    return rt->running->cancelled && rt->running->shields == 0;
}

void fiber_shield_enter(void) {
    rt->running->shields++;
}

void fiber_shield_leave(void) {
    assert(rt->running->shields > 0);
    rt->running->shields--;
}

void fiber_scope_init(struct fiber_scope *scope) {
    list_init(&scope->fibers);
    fiber_cond_init(&scope->ended);
}

void fiber_scope_cancel(struct fiber_scope *scope) {
    list_each (node, &scope->fibers) {
        fiber_cancel(list_entry(node, struct fiber, in_scope));
    }
}

void fiber_scope_join(struct fiber_scope *scope) {
    fiber_shield_enter();
    while (!list_empty(&scope->fibers)) {
        struct fiber *self = rt->running;
        assert(self->scope != scope);
        list_push(&scope->ended.waiters, &self->in_cond);
        fiber_park(false);
    }
    fiber_shield_leave();
}

void fiber_scope_done(struct fiber_scope *scope) {
    fiber_scope_cancel(scope);
    fiber_scope_join(scope);
}

/* ---- the runtime ---- */

void fiber_runtime_start(uv_loop_t *loop, const struct fiber_options *options) {
    *rt = (struct fiber_runtime){.loop = loop, .options = *options};
    if (rt->options.stack_bytes == 0) {
#ifdef __SANITIZE_ADDRESS__
        rt->options.stack_bytes = STACK_BYTES_ASAN;
#else
        rt->options.stack_bytes = STACK_BYTES;
#endif
    }
    if (rt->options.max_fibers == 0) {
        rt->options.max_fibers = MAX_FIBERS;
    }
    rt->random = rt->options.chaos_seed;
    list_init(&rt->ready);
    list_init(&rt->all);
    list_init(&rt->pool);
    context_init_current(&rt->loop_context);
    uv_prepare_init(loop, &rt->prepare);
    uv_prepare_start(&rt->prepare, on_prepare);
    uv_check_init(loop, &rt->check);
    uv_check_start(&rt->check, on_check);
    uv_idle_init(loop, &rt->idle);
    uv_unref((uv_handle_t *)&rt->prepare);
    uv_unref((uv_handle_t *)&rt->check);
}

void fiber_runtime_stop(void) {
    assert(rt->live == 0);
    fiber_object_pool_clear();
    uv_close((uv_handle_t *)&rt->prepare, NULL);
    uv_close((uv_handle_t *)&rt->check, NULL);
    uv_close((uv_handle_t *)&rt->idle, NULL);
}

uv_loop_t *fiber_loop(void) {
    return rt->loop;
}

struct fiber_stats fiber_stats(void) {
    rt->stats.live = rt->live;
    rt->stats.pooled_stacks = rt->pooled;
    return rt->stats;
}
