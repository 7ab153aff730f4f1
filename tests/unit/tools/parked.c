/* A program with two fibers parked in functions of telling names, for gdb_fibers_test. */
#include "fiber/fiber.h"

void everybody_is_parked(void);
void wait_in_the_inner_room(struct fiber_cond *door);

/* Behind a call: keeps it from being the function's last act, which needs no frame. */
#define NOT_LAST() __asm__ volatile("" ::: "memory")

__attribute__((noinline)) void everybody_is_parked(void) {
    NOT_LAST();
}

__attribute__((noinline)) void wait_in_the_inner_room(struct fiber_cond *door) {
    fiber_wait(door, 60000);
    NOT_LAST();
}

static void guest(void *door) {
    wait_in_the_inner_room(door);
    NOT_LAST();
}

static void host(void *door) {
    struct fiber_scope guests;
    struct err err;
    fiber_scope_init(&guests);
    for (int i = 0; i < 2; i++) {
        if (fiber_spawn(&guests, "guest", guest, door, NULL, &err) < 0) {
            return;
        }
    }
    fiber_sleep(1);
    everybody_is_parked();
    fiber_scope_done(&guests);
}

int main(void) {
    uv_loop_t loop;
    struct fiber_scope scope;
    struct fiber_cond door;
    struct err err;
    uv_loop_init(&loop);
    fiber_runtime_start(&loop, &(struct fiber_options){0});
    fiber_cond_init(&door);
    fiber_scope_init(&scope);
    if (fiber_spawn(&scope, "host", host, &door, NULL, &err) < 0) {
        return 1;
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    fiber_runtime_stop();
    uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop);
}
