/* The server's word that its tools have changed: a GET stream (legacy HTTP), a subscription
 * (modern), or simply a notification (legacy stdio); or its list's time is up. The owner hears of
 * it once, a little later. */
#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/mem.h"
#include "mcp/client_internal.h"
#include "net/http_client.h"

enum {
    DEBOUNCE_MS = 250,
    MIN_TTL_MS = 5 * 60 * 1000, /* lists with less would be asked for all the time */
    MAX_TTL_MS = 24 * 3600 * 1000,
    MIN_BACKOFF_MS = 1000,
    MAX_BACKOFF_MS = 120 * 1000,
    LASTING_US = 30 * 1000 * 1000, /* a stream that lasts so long was no failure */
    GET_TIMEOUT_MS = 24 * 3600 * 1000,
    OPENING_MS = 1000,
};

/* ---- telling the owner ---- */

struct list_alarm {
    uv_timer_t timer;
    struct mcp_client *client;
    bool changed; /* else it waits for the end of a list's time */
};

static void on_alarm(uv_timer_t *timer) {
    struct list_alarm *a = container_of(timer, struct list_alarm, timer);
    a->changed = false;
    a->client->o.on_tools_changed(a->client->o.on_tools_changed_arg);
}

static void set_alarm(struct mcp_client *c, int64_t ms, bool changed) {
    if (!c->o.on_tools_changed || c->closing || (c->alarm && c->alarm->changed)) {
        return;
    }
    if (!c->alarm) {
        c->alarm = mem_alloc(sizeof *c->alarm);
        c->alarm->client = c;
        uv_timer_init(fiber_loop(), &c->alarm->timer);
        uv_unref((uv_handle_t *)&c->alarm->timer);
    }
    c->alarm->changed = changed;
    uv_timer_start(&c->alarm->timer, on_alarm, (uint64_t)ms, 0);
}

void listen_changed(struct mcp_client *c) {
    set_alarm(c, DEBOUNCE_MS, true);
}

void listen_ttl(struct mcp_client *c, int64_t ttl_ms) {
    if (ttl_ms >= 0) {
        set_alarm(c, MIN(MAX(ttl_ms, (int64_t)MIN_TTL_MS), (int64_t)MAX_TTL_MS), false);
    }
}

static void free_alarm(uv_handle_t *handle) {
    mem_free(container_of((uv_timer_t *)handle, struct list_alarm, timer));
}

void listen_stop(struct mcp_client *c) {
    if (c->listener) {
        fiber_cancel(c->listener);
        c->listener = NULL;
    }
    if (c->closing && c->alarm) {
        uv_close((uv_handle_t *)&take(c->alarm)->timer, free_alarm);
    }
}

/* ---- listening ---- */

struct listener {
    struct mcp_client *client;
    uint64_t generation;
    bool refused;
};

static void opened(struct listener *l) {
    if (l->client->generation == l->generation) {
        l->client->listen_opening = false;
        fiber_broadcast(&l->client->changed);
    }
}

/* Until the stream ends. The server may say that it has none. */
static int listen_get(struct listener *l, struct err *err) {
    struct mcp_client *c = l->client;
    struct http_reply *reply cleanup(http_reply_close_p) = NULL;
    struct http_send send = {.method = "GET", .total_timeout_ms = GET_TIMEOUT_MS};
    int rc = http_send(c, &send, &reply, err);
    opened(l);
    if (rc < 0) {
        l->refused = err->code == ERR_UNAUTHORIZED;
        return rc;
    }
    if (!http_is_stream(reply)) {
        l->refused = http_reply_status(reply) < 500;
        return client_err(c, err, ERR_PROTOCOL, "it has no stream of its own");
    }
    return http_stream_read(c, NULL, take(reply), err);
}

static int listen_subscribed(struct listener *l, struct err *err) {
    struct mcp_exchange x cleanup(exchange_done);
    exchange_init(&x, l->client, "subscriptions/listen");
    x.idle_timeout_ms = x.absolute_timeout_ms = FIBER_FOREVER; /* ends with the client */
    exchange_write(&x, STR("{\"notifications\":{\"toolsListChanged\":true}}"), STR_EMPTY, false);
    int rc = exchange_run(&x, err);
    l->refused = (rc == 0 && x.response.is_error) ||
                 (rc < 0 && err->code != ERR_UNAVAILABLE && err->code != ERR_LIMIT);
    return rc;
}

static int64_t jittered(int64_t ms) {
    uint16_t random;
    crypto_random(&random, sizeof random);
    return ms * 3 / 4 + ms / 2 * random / UINT16_MAX;
}

static void listen_on(void *arg) {
    struct listener *l = arg;
    struct mcp_client *c = l->client;
    int64_t backoff_ms = MIN_BACKOFF_MS;
    while (!l->refused && !c->closing && c->generation == l->generation) {
        struct err err = {0};
        int64_t began_us = clock_mono_us();
        int rc = c->era == MCP_ERA_MODERN ? listen_subscribed(l, &err) : listen_get(l, &err);
        if (rc < 0) {
            log_debug("mcp", "%s", err.msg);
        }
        bool lasted = clock_mono_us() - began_us >= LASTING_US;
        backoff_ms = lasted ? (int64_t)MIN_BACKOFF_MS : backoff_ms;
        if (l->refused || fiber_sleep(jittered(backoff_ms)) < 0) {
            break;
        }
        backoff_ms = MIN(backoff_ms * 2, (int64_t)MAX_BACKOFF_MS);
    }
    if (c->listener == fiber_self()) {
        c->listener = NULL;
    }
    mem_free(l);
}

void listen_start(struct mcp_client *c, bool for_requests) {
    bool by_itself = c->o.transport == MCP_STDIO && c->era != MCP_ERA_MODERN;
    bool wanted = (c->tools_list_changed && c->o.on_tools_changed && !c->quiet) ||
                  (for_requests && c->era != MCP_ERA_MODERN && c->session);
    if (by_itself || !wanted || c->listened_generation == c->generation) {
        return;
    }
    listen_stop(c);
    struct listener *l = mem_alloc(sizeof *l);
    *l = (struct listener){.client = c, .generation = c->generation};
    struct err err;
    if (c->closing || fiber_spawn(&c->scope, "mcp listen", listen_on, l, &c->listener, &err) < 0) {
        mem_free(l);
        return;
    }
    c->listened_generation = c->generation;
    c->listen_opening = c->era != MCP_ERA_MODERN;
}

void mcp_client_listen(struct mcp_client *c, bool on) {
    c->quiet = !on;
    if (!on) {
        listen_stop(c);
        c->listened_generation = 0;
        c->listen_opening = false;
    } else if (c->state == CLIENT_CONNECTED) {
        listen_start(c, false);
    }
}

void listen_wait(struct mcp_client *c) {
    int64_t until_us = clock_mono_us() + (int64_t)OPENING_MS * 1000;
    while (c->listen_opening && !c->closing && c->state == CLIENT_CONNECTED) {
        int64_t left_ms = (until_us - clock_mono_us()) / 1000;
        if (left_ms <= 0 || fiber_wait(&c->changed, left_ms) < 0) {
            return;
        }
    }
}
