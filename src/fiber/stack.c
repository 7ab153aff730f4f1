/* Fiber objects with their stacks and timers: made once, reused often. */
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "fiber/internal.h"

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(low, high) 0
#define VALGRIND_STACK_DEREGISTER(id) (void)(id)
#endif

enum { MAX_POOLED = 128 };

static bool map_stack(struct fiber *f) {
    size_t guard = (size_t)sysconf(_SC_PAGESIZE);
    f->stack_map_bytes = fiber_runtime.options.stack_bytes + guard;
    f->stack_map = mmap(NULL, f->stack_map_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (f->stack_map == MAP_FAILED) {
        return false;
    }
    if (mprotect(f->stack_map, guard, PROT_NONE) != 0) {
        munmap(f->stack_map, f->stack_map_bytes);
        return false;
    }
    f->valgrind_id =
        VALGRIND_STACK_REGISTER(f->stack_map + guard, f->stack_map + f->stack_map_bytes);
    return true;
}

struct fiber *fiber_object_take(void) {
    struct list *node = list_pop(&fiber_runtime.pool);
    if (node) {
        fiber_runtime.pooled--;
        return list_entry(node, struct fiber, in_all);
    }
    struct fiber *f = mem_alloc(sizeof *f);
    if (!map_stack(f)) {
        mem_free(f);
        return NULL;
    }
    uv_timer_init(fiber_runtime.loop, &f->timer);
    f->timer.data = f;
    return f;
}

static void on_timer_closed(uv_handle_t *handle) {
    mem_free(handle->data);
}

static void destroy(struct fiber *f) {
    VALGRIND_STACK_DEREGISTER(f->valgrind_id);
    munmap(f->stack_map, f->stack_map_bytes);
    uv_close((uv_handle_t *)&f->timer, on_timer_closed);
}

void fiber_object_give(struct fiber *f) {
    if (fiber_runtime.pooled >= MAX_POOLED) {
        destroy(f);
        return;
    }
    list_push(&fiber_runtime.pool, &f->in_all);
    fiber_runtime.pooled++;
}

void fiber_object_pool_clear(void) {
    for (struct list *node; (node = list_pop(&fiber_runtime.pool));) {
        destroy(list_entry(node, struct fiber, in_all));
    }
    fiber_runtime.pooled = 0;
}
