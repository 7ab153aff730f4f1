/* What the files of this floor share. */
#pragma once
#include "fiber/context.h"
#include "fiber/fiber.h"

struct fiber {
    struct context context; /* tools/gdb_fibers.py reads it */
    const char *name;
    void (*fn)(void *);
    void *arg;

    struct list in_ready, in_scope, in_cond;
    struct fiber_scope *scope;
    struct list in_all;

    struct fiber_timeout *timeout; /* the innermost one */
    uv_timer_t timer;
    int wake_code;
    unsigned shields;
    bool cancelled, waiting_cancellable, waiting, done;

    void (*loop_call)(void *); /* asked for by fiber_on_loop_stack */
    void *loop_arg;

    char *stack_map; /* guard page first */
    size_t stack_map_bytes;
    unsigned valgrind_id;
};

struct fiber_runtime {
    uv_loop_t *loop;
    struct fiber_options options;
    struct context loop_context;
    struct fiber *running;
    struct list ready, all, pool;
    unsigned live, pooled;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle;
    uint64_t random;
    struct fiber_stats stats;
};
extern struct fiber_runtime fiber_runtime;

/* stack.c */
struct fiber *fiber_object_take(void); /* from the pool or new; NULL: no memory for a stack */
void fiber_object_give(struct fiber *f);
void fiber_object_pool_clear(void);
static inline char *fiber_stack_low(const struct fiber *f, size_t stack_bytes) {
    return f->stack_map + f->stack_map_bytes - stack_bytes;
}

/* fiber.c: suspends the running fiber until fiber_make_ready; gives the code. */
may_yield int fiber_park(bool cancellable);
void fiber_make_ready(struct fiber *f, int code);
