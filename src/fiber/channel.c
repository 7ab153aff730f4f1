#include "fiber/channel.h"

#include <assert.h>

#include "base/mem.h"

void channel_init(struct channel *c, size_t capacity) {
    assert(capacity > 0);
    *c = (struct channel){.items = mem_alloc(capacity * sizeof *c->items), .capacity = capacity};
    fiber_cond_init(&c->readable);
    fiber_cond_init(&c->writable);
}

void channel_done(struct channel *c) {
    assert(c->count == 0);
    mem_free(take(c->items));
}

bool channel_try_send(struct channel *c, void *item) {
    if (c->closed || c->count == c->capacity) {
        return false;
    }
    c->items[(c->head + c->count++) % c->capacity] = item;
    fiber_signal(&c->readable);
    return true;
}

int channel_send(struct channel *c, void *item, int64_t timeout_ms) {
    fiber_point();
    while (!channel_try_send(c, item)) {
        if (c->closed) {
            return -ERR_UNAVAILABLE;
        }
        int rc = fiber_wait(&c->writable, timeout_ms);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

void *channel_try_recv(struct channel *c) {
    if (c->count == 0) {
        return NULL;
    }
    void *item = c->items[c->head];
    c->head = (c->head + 1) % c->capacity;
    c->count--;
    fiber_signal(&c->writable);
    return item;
}

int channel_recv(struct channel *c, void **ret_item, int64_t timeout_ms) {
    fiber_point();
    while (c->count == 0) {
        if (c->closed) {
            return -ERR_UNAVAILABLE;
        }
        int rc = fiber_wait(&c->readable, timeout_ms);
        if (rc < 0) {
            return rc;
        }
    }
    *ret_item = channel_try_recv(c);
    return 0;
}

void channel_close(struct channel *c) {
    c->closed = true;
    fiber_broadcast(&c->readable);
    fiber_broadcast(&c->writable);
}
