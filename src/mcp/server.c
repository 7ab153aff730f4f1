/* The endpoint's life, and its users. */
#include "mcp/server.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/mem.h"
#include "mcp/server_internal.h"

static void fill_defaults(struct mcp_endpoint_options *o) {
#define DEFAULT(field, value) o->field = o->field ? o->field : (value)
    DEFAULT(max_sessions, 2000);
    DEFAULT(max_sessions_per_user, 100);
    DEFAULT(max_calls_per_user, 64);
    DEFAULT(max_calls, 2000);
    DEFAULT(max_listeners_per_user, 32);
    DEFAULT(max_requests_per_minute, 1200);
    DEFAULT(max_body_bytes, (size_t)4 << 20);
    DEFAULT(max_result_bytes, (size_t)8 << 20);
    DEFAULT(max_replay_bytes, (size_t)32 << 20);
    DEFAULT(session_idle_ms, 30 * 60 * 1000);
    DEFAULT(call_timeout_ms, 10 * 60 * 1000);
    DEFAULT(ask_timeout_ms, 5 * 60 * 1000);
    DEFAULT(state_ttl_ms, 60 * 60 * 1000);
    DEFAULT(heartbeat_ms, 15 * 1000);
    DEFAULT(page_size, 250);
#undef DEFAULT
}

int mcp_endpoint_new(const struct mcp_endpoint_options *options, struct mcp_endpoint **ret,
                     struct err *err) {
    int rc = mcp_table_check(options->server, err);
    if (rc < 0) {
        return rc;
    }
    struct mcp_endpoint *e = mem_alloc(sizeof *e);
    e->options = *options;
    fill_defaults(&e->options);
    list_init(&e->idle_order);
    list_init(&e->listeners);
    list_init(&e->finished);
    fiber_scope_init(&e->scope);
    fiber_cond_init(&e->stop);
    crypto_random(e->random_key, sizeof e->random_key);
    *ret = e;
    return 0;
}

void mcp_endpoint_stop(struct mcp_endpoint *e) {
    e->stopping = true;
    fiber_broadcast(&e->stop);
    fiber_yield(); /* listeners say goodbye */
    fiber_scope_done(&e->scope);
    while (!list_empty(&e->idle_order)) {
        mcp_session_close(list_entry(e->idle_order.next, struct mcp_session, in_idle_order));
    }
}

static void free_user(struct str key, void *value, void *arg) {
    (void)key;
    (void)arg;
    mem_free(value);
}

void mcp_endpoint_free(struct mcp_endpoint *e) {
    if (!e) {
        return;
    }
    map_each(&e->users, free_user, NULL);
    map_done(&e->users);
    map_done(&e->sessions);
    secret_wipe(e->random_key, sizeof e->random_key);
    mem_free(e);
}

struct mcp_endpoint_stats mcp_endpoint_stats(const struct mcp_endpoint *e) {
    return e->stats;
}

/* ---- users ---- */

static void forget_idle(struct str key, void *value, void *arg) {
    struct mcp_endpoint *e = arg;
    struct mcp_user *u = value;
    int64_t minute_ago = clock_mono_us() - 60 * INT64_C(1000000);
    if (u->sessions == 0 && u->calls == 0 && u->listeners == 0 && u->attached == 0 &&
        u->tokens_at_us < minute_ago) {
        map_remove(&e->users, key);
        mem_free(u);
    }
}

struct mcp_user *mcp_user_get(struct mcp_endpoint *e, struct str id) {
    struct mcp_user *u = map_get(&e->users, id);
    if (u) {
        return u;
    }
    if (map_count(&e->users) >= MCP_MAX_USERS_KEPT) {
        map_each(&e->users, forget_idle, e);
    }
    u = mem_alloc(sizeof *u + id.n);
    u->tokens = e->options.max_requests_per_minute;
    u->tokens_at_us = clock_mono_us();
    u->id_n = id.n;
    memcpy(u->id, id.p, id.n);
    map_put(&e->users, id, u);
    return u;
}

bool mcp_user_may_request(struct mcp_endpoint *e, struct mcp_user *u) {
    double most = e->options.max_requests_per_minute;
    int64_t now = clock_mono_us();
    u->tokens = MIN(most, u->tokens + (double)(now - u->tokens_at_us) * most / 60e6);
    u->tokens_at_us = now;
    if (u->tokens < 1) {
        return false;
    }
    u->tokens -= 1;
    return true;
}
