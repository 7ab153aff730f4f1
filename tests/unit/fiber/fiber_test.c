#include "fiber/fiber.h"

#include "base/clock.h"
#include "test.h"

struct counter {
    struct fiber_cond cond;
    int woken, code;
};

static void wait_forever(void *arg) {
    struct counter *c = arg;
    c->code = fiber_wait(&c->cond, 60000);
    c->woken++;
}

TEST_FIBER(scope_cancels_and_joins) {
    struct counter c = {0};
    struct fiber_scope scope;
    struct err err;
    fiber_cond_init(&c.cond);
    fiber_scope_init(&scope);
    for (int i = 0; i < 3; i++) {
        REQUIRE_OK(fiber_spawn(&scope, "waiter", wait_forever, &c, NULL, &err), &err);
    }
    fiber_sleep(2);
    fiber_scope_done(&scope);
    CHECK_INT(c.woken, 3);
    CHECK_INT(c.code, -ERR_CANCELLED);
}

TEST_FIBER(signal_wakes_one_broadcast_all) {
    struct counter c = {0};
    struct fiber_scope scope;
    struct err err;
    fiber_cond_init(&c.cond);
    fiber_scope_init(&scope);
    for (int i = 0; i < 3; i++) {
        REQUIRE_OK(fiber_spawn(&scope, "waiter", wait_forever, &c, NULL, &err), &err);
    }
    fiber_sleep(2);
    fiber_signal(&c.cond);
    fiber_sleep(2);
    CHECK_INT(c.woken, 1);
    fiber_broadcast(&c.cond);
    fiber_scope_join(&scope);
    CHECK_INT(c.woken, 3);
    CHECK_INT(c.code, 0);
}

TEST_FIBER(wait_times_out) {
    struct fiber_cond never;
    fiber_cond_init(&never);
    CHECK_INT(fiber_wait(&never, 5), -ERR_TIMEOUT);
    CHECK(list_empty(&never.waiters));
}

TEST_FIBER(outer_timeout_ends_every_wait_until_it_is_stopped) {
    struct fiber_timeout outer, inner;
    fiber_timeout_start(&outer, 5);
    fiber_timeout_start(&inner, 60000);
    CHECK_INT(fiber_sleep(60000), -ERR_TIMEOUT);
    CHECK(outer.expired && !inner.expired);
    CHECK_INT(fiber_sleep(60000), -ERR_TIMEOUT);
    fiber_timeout_stop(&inner);
    fiber_timeout_stop(&outer);
    CHECK_INT(fiber_sleep(1), 0);
}

struct shielded {
    bool seen_inside, seen_after;
    int before, inside, after;
};

static void finish_what_was_begun(void *arg) {
    struct shielded *s = arg;
    fiber_shield_enter();
    s->inside = fiber_sleep(20);
    s->seen_inside = fiber_cancelled();
    fiber_shield_leave();
    s->seen_after = fiber_cancelled();
    s->after = fiber_sleep(60000);
}

TEST_FIBER(shield_defers_cancellation) {
    struct shielded s = {.before = 1, .inside = 1, .after = 1};
    struct fiber_scope scope;
    struct err err;
    fiber_scope_init(&scope);
    REQUIRE_OK(fiber_spawn(&scope, "shielded", finish_what_was_begun, &s, NULL, &err), &err);
    fiber_sleep(2);
    fiber_scope_done(&scope);
    CHECK_INT(s.inside, 0);
    CHECK(!s.seen_inside && s.seen_after);
    CHECK_INT(s.after, -ERR_CANCELLED);
}

static void square(void *arg) {
    *(int *)arg *= *(int *)arg;
}

TEST_FIBER(offload_and_loop_stack_run_and_return) {
    int v = 7;
    fiber_offload(square, &v);
    CHECK_INT(v, 49);
    fiber_on_loop_stack(square, &v);
    CHECK_INT(v, 2401);
}

static void count_and_sleep(void *arg) {
    volatile char frame[4096];
    frame[0] = 1;
    for (int i = 0; i < 3; i++) {
        fiber_sleep(1);
    }
    *(int *)arg += frame[0];
}

TEST_FIBER(two_thousand_fibers_sleep_side_by_side) {
    int done = 0;
    struct fiber_scope scope;
    struct err err;
    fiber_scope_init(&scope);
    for (int i = 0; i < 2000; i++) {
        REQUIRE_OK(fiber_spawn(&scope, "sleeper", count_and_sleep, &done, NULL, &err), &err);
    }
    fiber_scope_join(&scope);
    CHECK_INT(done, 2000);
}
