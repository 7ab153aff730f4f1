/* Switching stacks, in three functions, so that another mechanism can take ucontext's place. Only
 * fiber.c includes this. Tells AddressSanitizer and valgrind what happens. */
#pragma once
#include <stddef.h>
#include <ucontext.h>

struct context {
    ucontext_t machine;
    const void *stack_bottom; /* of the stack this context runs on */
    size_t stack_size;
    void *fake_stack; /* AddressSanitizer's, while the context is suspended */
};

/* The context of the stack that calls this, once it switches away. */
void context_init_current(struct context *c);
/* entry(arg) runs at the first switch to it and must never return. */
void context_init(struct context *c, void *stack, size_t size, void (*entry)(void *), void *arg);
/* dying: `from` will never be switched to again. */
void context_switch(struct context *from, struct context *to, _Bool dying);
/* First thing that runs on a new context. */
void context_entered(struct context *came_from);
