/* Which servers can be reached at all: one look a server for the whole process, with nobody's
 * credentials, so that a server that is away costs its users nothing, and no user can make others
 * believe that it is. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/mem.h"
#include "mcp/bridge_internal.h"
#include "net/http_client.h"

enum {
    FIRST_MS = 1000,
    MAX_MS = 60 * 1000,
    CONNECT_MS = 3000,
    ANSWER_MS = 8000,
    SPREAD_MS = 1000, /* over which users come back to a server that is there again */
};

static uint32_t random_below(uint32_t n) {
    uint32_t r;
    crypto_random(&r, sizeof r);
    return r % n;
}

void backoff_fail(struct backoff *b, int64_t first_ms, int64_t max_ms) {
    int64_t ms = MIN(first_ms << MIN(b->failures, 20U), max_ms);
    b->failures++;
    ms = ms / 2 + random_below((uint32_t)(ms / 2 + 1));
    b->retry_at_us = clock_mono_us() + ms * 1000;
}

/* Whoever waited for this server may try again, not all in the same moment. */
static void tell_users(struct watch *w, int64_t now_us) {
    list_each (node, &w->owner->users) {
        struct user *u = list_entry(node, struct user, in_users);
        struct link *l = user_link(u, w->server->name);
        if (l && l->state == BRIDGE_UNREACHABLE) {
            l->backoff = (struct backoff){.retry_at_us = now_us + random_below(SPREAD_MS) * 1000};
        }
    }
}

void watch_reached(struct watch *w) {
    bool was_away = w->away;
    w->away = w->wanted = w->slow = false;
    w->error = (struct err){0};
    backoff_reset(&w->backoff);
    if (was_away) {
        log_info("mcp", "a server can be reached server=%.*s", STR_ARG(w->server->name));
        tell_users(w, clock_mono_us());
    }
}

static void went_away(struct watch *w, const struct err *err) {
    if (!w->away && !w->server->preconfigured) {
        log_warn("mcp", "a server cannot be reached: %s server=%.*s", err->msg,
                 STR_ARG(w->server->name));
    }
    w->away = true;
    w->error = *err;
    backoff_fail(&w->backoff, FIRST_MS, MAX_MS);
}

/* Any answer will do. One that is late says nothing new: only whoever asks for something real can
 * tell that a server hangs. */
static void probe(void *arg) {
    struct watch *w = arg;
    struct servers *servers = servers_ref(w->servers);
    struct bridges *b = w->owner;
    const struct server *server = w->server;
    const struct http_call call = {.method = "HEAD",
                                   .url = server->url.p,
                                   .connect_timeout_ms = CONNECT_MS,
                                   .idle_timeout_ms = ANSWER_MS,
                                   .total_timeout_ms = ANSWER_MS};
    struct http_reply *reply cleanup(http_reply_close_p) = NULL;
    struct err err;
    int rc = http_call_open(&call, &reply, &err);
    w = watch_of(b, server); /* NULL: the definitions have changed meanwhile */
    if (w) {
        w->probing = false;
    }
    if (w && rc == 0) {
        watch_reached(w);
    } else if (w && (rc == -ERR_UNAVAILABLE || (rc == -ERR_TIMEOUT && w->away))) {
        went_away(w, &err);
    } else if (w && w->away) { /* something of our own: too many requests, or the end */
        backoff_fail(&w->backoff, FIRST_MS, MAX_MS);
    }
    servers_unref(servers);
}

void watch_suspect(struct watch *w) {
    if (w->server->transport == MCP_HTTP && !w->away) {
        w->wanted = true;
        fiber_signal(&w->owner->wake);
    }
}

void watches_tick(struct bridges *b, int64_t now_us) {
    for (size_t i = 0; i < b->servers->n; i++) {
        struct watch *w = b->watches[i];
        struct err err;
        bool due = (w->away || w->wanted) && !backoff_waits(&w->backoff, now_us);
        if (w->probing || !due) {
            continue;
        }
        w->probing = fiber_spawn(&b->scope, "mcp probe", probe, w, NULL, &err) == 0;
        w->wanted = false;
    }
}

struct watch *watch_of(struct bridges *b, const struct server *server) {
    for (size_t i = 0; i < b->servers->n; i++) {
        if (memcmp(b->watches[i]->server->identity, server->identity, sizeof server->identity) ==
            0) {
            return b->watches[i];
        }
    }
    return NULL;
}

/* ---- with the definitions ---- */

static struct watch *watch_new(struct bridges *b, struct servers *servers,
                               const struct server *server, const struct watch *known) {
    struct watch *w = mem_alloc(sizeof *w);
    if (known) {
        *w = *known;
    } else {
        w->owner = b;
        w->away = server->preconfigured;
        if (w->away) {
            err_set(&w->error, ERR_UNAVAILABLE, "it was not found yet");
        }
    }
    w->servers = servers_ref(servers);
    w->server = server;
    return w;
}

void watches_renew(struct bridges *b, struct servers *servers) {
    struct watch *fresh[SERVERS_MAX];
    for (size_t i = 0; i < servers->n; i++) {
        const struct watch *known = b->servers ? watch_of(b, &servers->servers[i]) : NULL;
        fresh[i] = watch_new(b, servers, &servers->servers[i], known);
    }
    watches_free(b);
    memcpy(b->watches, fresh, servers->n * sizeof *fresh);
    servers_unref(b->servers);
    b->servers = servers;
}

void watches_free(struct bridges *b) {
    for (size_t i = 0; b->servers && i < b->servers->n; i++) {
        servers_unref(b->watches[i]->servers);
        mem_free(take(b->watches[i]));
    }
}
