/* Stackful fibers on one libuv loop: straight code that waits without blocking. Knows nothing of
 * what runs on it.
 *
 * Everything runs on the loop's thread, so there are no locks; shared state changes only where a
 * function is marked may_yield. Callbacks of libuv and of libraries run on the loop's own stack and
 * only wake fibers (fiber_signal); the scheduler runs them right after the callback
 * returned to the loop.
 *
 * A fiber is spawned into a scope, which cancels and joins what it holds: no fiber outlives its
 * scope. Cancelling sticks: from then on every wait of the fiber returns -ERR_CANCELLED, so that it
 * unwinds by the ordinary error path; what must still be finished stands between
 * fiber_shield_enter and _leave. All waits have deadlines; FIBER_FOREVER is for waits whose end
 * somebody else guarantees (a server's accept loop). */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/list.h"

struct fiber;

struct fiber_options {
    size_t stack_bytes;  /* 0: 128 KiB, 256 KiB under AddressSanitizer */
    unsigned max_fibers; /* 0: 20,000; spawning beyond it fails with ERR_BUSY */
    uint64_t chaos_seed; /* not 0: every may_yield call yields, and ready fibers run in seeded
                            random order */
};

/* One runtime a process. */
void fiber_runtime_start(uv_loop_t *loop, const struct fiber_options *options);
/* All fibers must have ended. The caller runs the loop once more to let handles close. */
void fiber_runtime_stop(void);
uv_loop_t *fiber_loop(void);

#define FIBER_FOREVER (-1)

/* What fibers wait on. Zero-filled is not valid: fiber_cond_init. It must outlive its waiters. */
struct fiber_cond {
    struct list waiters;
};

/* ---- scopes ---- */

struct fiber_scope {
    struct list fibers;
    struct fiber_cond ended; /* signalled whenever one ends */
};

void fiber_scope_init(struct fiber_scope *scope);
void fiber_scope_cancel(struct fiber_scope *scope);
/* Waits until no fiber is left. Not cancellable: the children hold pointers to the caller's stack.
 */
may_yield void fiber_scope_join(struct fiber_scope *scope);
may_yield void fiber_scope_done(struct fiber_scope *scope); /* cancel, then join; for cleanup() */

/* Starts `fn(arg)` at the next turn of the scheduler. `name` is a literal, for logs and the
 * debugger. The handle is valid until fn returns; ret may be NULL. */
int fiber_spawn(struct fiber_scope *scope, const char *name, void (*fn)(void *arg), void *arg,
                struct fiber **ret, struct err *err) must_check;

/* ---- the running fiber ---- */

struct fiber *fiber_self(void); /* NULL on the loop's stack */
const char *fiber_name(const struct fiber *f);
void fiber_cancel(struct fiber *f);
bool fiber_cancelled(void); /* the next wait would return -ERR_CANCELLED: false within a shield */
/* Until the matching leave, cancellation stays pending instead of ending waits: for what must be
 * finished once begun. Nests. */
void fiber_shield_enter(void);
void fiber_shield_leave(void);

/* ---- waiting ---- */

void fiber_cond_init(struct fiber_cond *c);
/* 0 after a signal, else -ERR_TIMEOUT or -ERR_CANCELLED. As with any condition, test the predicate
 * again. */
may_yield int fiber_wait(struct fiber_cond *c, int64_t timeout_ms);
void fiber_signal(struct fiber_cond *c);    /* wakes the longest waiting one */
void fiber_broadcast(struct fiber_cond *c); /* wakes all */

may_yield int fiber_sleep(int64_t ms); /* 0, or -ERR_CANCELLED */
may_yield void fiber_yield(void);      /* lets the others run first */

/* Ends a stretch of the running fiber at a total deadline: when it passes, waits return
 * -ERR_TIMEOUT until fiber_timeout_stop. Nests; lives on the fiber's stack. */
struct fiber_timeout {
    struct fiber *fiber;
    struct fiber_timeout *outer;
    int64_t at_us; /* monotonic */
    bool expired;
};
void fiber_timeout_start(struct fiber_timeout *t, int64_t timeout_ms);
void fiber_timeout_stop(struct fiber_timeout *t);

/* ---- leaving the fiber's stack ---- */

/* Runs fn on a worker thread; not cancellable, as arg usually lives on the fiber's stack. Keep the
 * work bounded. */
may_yield void fiber_offload(void (*fn)(void *arg), void *arg);
/* Runs fn on the loop's 8 MiB stack, for code that recurses deeply. fn must not wait. */
may_yield void fiber_on_loop_stack(void (*fn)(void *arg), void *arg);

/* Marks the entry of a function that may yield: asserts that a fiber runs, and yields in chaos
 * mode. */
may_yield void fiber_point(void);

/* ---- seeing what goes on ---- */

struct fiber_stats {
    uint64_t switches, spawned;
    unsigned live, pooled_stacks;
    uint64_t slow_slices; /* slices above 50 ms, each logged */
    int64_t longest_slice_us;
};
struct fiber_stats fiber_stats(void);

/* Runs ready fibers now. Called by code that hands bytes to the loop in a batch and wants their
 * effects before the loop polls again; only from the loop's stack and never from inside a library's
 * callback. */
void fiber_drain(void);
