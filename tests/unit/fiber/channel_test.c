#include "fiber/channel.h"

#include "test.h"

static void produce(void *arg) {
    struct channel *c = arg;
    static int items[50];
    for (size_t i = 0; i < ARRAY_LEN(items); i++) {
        items[i] = (int)i;
        if (channel_send(c, &items[i], 1000) < 0) {
            return;
        }
    }
    channel_close(c);
}

TEST_FIBER(items_come_in_order_through_a_small_channel) {
    struct channel c;
    struct fiber_scope scope;
    struct err err;
    void *item;
    int n = 0;
    channel_init(&c, 3);
    fiber_scope_init(&scope);
    REQUIRE_OK(fiber_spawn(&scope, "producer", produce, &c, NULL, &err), &err);
    while (channel_recv(&c, &item, 1000) == 0) {
        CHECK_INT(*(int *)item, n++);
    }
    CHECK_INT(n, 50);
    fiber_scope_done(&scope);
    channel_done(&c);
}

TEST_FIBER(full_and_empty_channels_time_out) {
    struct channel c;
    void *item = &c;
    channel_init(&c, 1);
    CHECK_INT(channel_recv(&c, &item, 2), -ERR_TIMEOUT);
    CHECK_INT(channel_send(&c, &c, 2), 0);
    CHECK_INT(channel_send(&c, &c, 2), -ERR_TIMEOUT);
    channel_close(&c);
    CHECK_INT(channel_send(&c, &c, 2), -ERR_UNAVAILABLE);
    CHECK_INT(channel_recv(&c, &item, 2), 0);
    CHECK_INT(channel_recv(&c, &item, 2), -ERR_UNAVAILABLE);
    channel_done(&c);
}
