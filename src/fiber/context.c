#include "fiber/context.h"

#include <stdint.h>

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif

#ifdef WITH_ASAN
#include <sanitizer/common_interface_defs.h>

static void leaving(struct context *from, struct context *to, _Bool dying) {
    __sanitizer_start_switch_fiber(dying ? NULL : &from->fake_stack, to->stack_bottom,
                                   to->stack_size);
}

/* The sanitizer tells the bounds of the stack that was left: the only way to learn the loop's. */
static void arrived(struct context *on, struct context *came_from) {
    const void *bottom;
    size_t size;
    __sanitizer_finish_switch_fiber(on ? on->fake_stack : NULL, &bottom, &size);
    if (came_from) {
        came_from->stack_bottom = bottom;
        came_from->stack_size = size;
    }
}
#else
static void leaving(struct context *from, struct context *to, _Bool dying) {
    (void)from, (void)to, (void)dying;
}

static void arrived(struct context *on, struct context *came_from) {
    (void)on, (void)came_from;
}
#endif

/* makecontext passes ints only. */
static void trampoline(unsigned entry_low, unsigned entry_high, unsigned arg_low,
                       unsigned arg_high) {
    void (*entry)(void *) = (void (*)(void *))((uintptr_t)entry_high << 32 | entry_low);
    entry((void *)((uintptr_t)arg_high << 32 | arg_low));
}

void context_init_current(struct context *c) {
    *c = (struct context){0};
}

void context_init(struct context *c, void *stack, size_t size, void (*entry)(void *), void *arg) {
    getcontext(&c->machine);
    c->machine.uc_stack.ss_sp = stack;
    c->machine.uc_stack.ss_size = size;
    c->machine.uc_link = NULL;
    c->stack_bottom = stack;
    c->stack_size = size;
    c->fake_stack = NULL;
    uintptr_t e = (uintptr_t)entry, a = (uintptr_t)arg;
    makecontext(&c->machine, (void (*)(void))trampoline, 4, (unsigned)e, (unsigned)(e >> 32),
                (unsigned)a, (unsigned)(a >> 32));
}

void context_switch(struct context *from, struct context *to, _Bool dying) {
    leaving(from, to, dying);
    swapcontext(&from->machine, &to->machine);
    arrived(from, NULL);
}

void context_entered(struct context *came_from) {
    arrived(NULL, came_from);
}
