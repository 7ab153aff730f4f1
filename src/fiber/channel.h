/* A bounded queue of pointers between fibers. The items belong to whoever took them out last. */
#pragma once
#include "fiber/fiber.h"

struct channel {
    void **items;
    size_t capacity, head, count;
    bool closed;
    struct fiber_cond readable, writable;
};

void channel_init(struct channel *c, size_t capacity);
void channel_done(struct channel *c); /* frees the ring; the caller has drained the items */

/* Waits for room. -ERR_CANCELLED, -ERR_TIMEOUT, or -ERR_UNAVAILABLE when closed; the item then
 * stays the caller's. */
may_yield int channel_send(struct channel *c, void *item, int64_t timeout_ms);
bool channel_try_send(struct channel *c, void *item); /* false when full or closed */
/* Waits for an item. -ERR_UNAVAILABLE when closed and empty. */
may_yield int channel_recv(struct channel *c, void **ret_item, int64_t timeout_ms);
void *channel_try_recv(struct channel *c); /* NULL when empty */
void channel_close(struct channel *c); /* wakes everybody; what is inside can still be received */
