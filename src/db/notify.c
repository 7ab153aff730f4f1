#include <assert.h>
#include <ctype.h>
#include <string.h>

#include "base/mem.h"
#include "db/driver.h"

enum { MAX_CHANNEL_BYTES = 63, MAX_QUEUED_MESSAGES = 8192 };

struct db_message {
    struct list node;
    const struct db_listener *listener;
    size_t n;
    char payload[];
};

static void tell_lost(struct db *db) {
    list_each (node, &db->listeners) {
        const struct db_listener *l = list_entry(node, struct db_listener, node);
        if (l->on_lost) {
            l->on_lost(l->arg);
        }
    }
}

static void deliver_one(struct db *db) {
    struct db_message *m = list_entry(list_pop(&db->messages), struct db_message, node);
    db->n_messages--;
    if (m->listener->on_notify) {
        m->listener->on_notify((struct str){m->payload, m->n}, m->listener->arg);
    }
    mem_free(m);
}

static void delivery_fiber(void *arg) {
    struct db *db = arg;
    for (;;) {
        if (db->messages_lost) {
            db->messages_lost = false;
            tell_lost(db);
        } else if (!list_empty(&db->messages)) {
            deliver_one(db);
        } else if (fiber_wait(&db->message_added, FIBER_FOREVER) < 0) {
            return; /* cancelled by db_close */
        }
    }
}

static void enqueue(struct db *db, const struct db_listener *listener, struct str payload) {
    if (db->n_messages == MAX_QUEUED_MESSAGES) {
        db->messages_lost = true;
        return;
    }
    struct db_message *m = mem_alloc(sizeof *m + payload.n + 1);
    m->listener = listener;
    m->n = payload.n;
    if (payload.n > 0) {
        memcpy(m->payload, payload.p, payload.n);
    }
    list_push(&db->messages, &m->node);
    db->n_messages++;
}

void db_deliver(struct db *db, const char *channel, struct str payload) {
    list_each (node, &db->listeners) {
        const struct db_listener *l = list_entry(node, struct db_listener, node);
        if (strcmp(l->channel, channel) == 0) {
            enqueue(db, l, payload);
        }
    }
    fiber_signal(&db->message_added);
}

void db_deliver_lost(struct db *db) {
    db->messages_lost = true;
    fiber_signal(&db->message_added);
}

void db_delivery_done(struct db *db) {
    while (!list_empty(&db->messages)) {
        mem_free(list_entry(list_pop(&db->messages), struct db_message, node));
    }
    while (!list_empty(&db->listeners)) {
        struct db_listener *l = list_entry(list_pop(&db->listeners), struct db_listener, node);
        mem_free(l->channel);
        mem_free(l);
    }
}

static bool channel_ok(const char *channel) {
    size_t n = strlen(channel);
    return n > 0 && n <= MAX_CHANNEL_BYTES &&
           strspn(channel, "abcdefghijklmnopqrstuvwxyz0123456789_") == n &&
           !isdigit((unsigned char)channel[0]);
}

int db_listen(struct db *db, const char *channel, void (*on_notify)(struct str payload, void *arg),
              void (*on_lost)(void *arg), void *arg, struct err *err) {
    assert(channel_ok(channel));
    if (!db->delivering) {
        if (fiber_spawn(&db->scope, "db delivery", delivery_fiber, db, NULL, err) < 0) {
            return -(int)err->code;
        }
        db->delivering = true;
    }
    struct db_listener *l = mem_alloc(sizeof *l);
    l->channel = str_dup_z(str_z(channel));
    l->on_notify = on_notify;
    l->on_lost = on_lost;
    l->arg = arg;
    list_push(&db->listeners, &l->node);
    return db->driver->listen(db, err);
}

/* The channel stays subscribed: a process stops listening when it ends. */
void db_unlisten(struct db *db, void *arg) {
    list_each (node, &db->listeners) {
        struct db_listener *l = list_entry(node, struct db_listener, node);
        if (l->arg == arg) {
            l->on_notify = NULL;
            l->on_lost = NULL;
        }
    }
}

int db_notify(struct db *db, const char *channel, struct str payload, struct err *err) {
    fiber_point();
    assert(channel_ok(channel));
    if (payload.n > DB_NOTIFY_MAX_BYTES) {
        return err_set(err, ERR_LIMIT, "a notification is larger than %d bytes",
                       DB_NOTIFY_MAX_BYTES);
    }
    return db->driver->notify(db, channel, payload, err);
}
