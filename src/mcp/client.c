/* A client's life. */
#include "mcp/client_internal.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"

enum {
    CONNECT_TIMEOUT_MS = 10 * 1000,
    IDLE_TIMEOUT_MS = 60 * 1000,
    ABSOLUTE_TIMEOUT_MS = 300 * 1000,
    POST_TIMEOUT_MS = 5 * 1000,
    /* A stdio server that keeps silent is asked twice, and started three times at most. */
    STDIO_PATIENCE = 3,
};

int client_err(const struct mcp_client *c, struct err *err, enum err_code code, const char *fmt,
               ...) {
    char why[sizeof err->msg];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    return err_set(err, code, "MCP server %.*s: %s", STR_ARG(str_head(c->o.name, 64)), why);
}

/* ---- made and freed ---- */

static void copy_headers(struct mcp_client *c, const struct mcp_client_options *o) {
    c->headers = mem_alloc(MCP_MAX_HEADERS * sizeof *c->headers);
    c->o.n_headers = MIN(o->n_headers, (size_t)MCP_MAX_HEADERS);
    bool own_authorization = false;
    for (size_t i = 0; i < c->o.n_headers; i++) {
        struct str name = str_z(o->headers[i].name);
        c->headers[i] =
            (struct mcp_header){arena_z(&c->arena, name), secret_dup(o->headers[i].value)};
        own_authorization |= str_eq_nocase(name, STR("Authorization"));
    }
    c->o.headers = c->headers;
    if (o->authorizer && !own_authorization) {
        c->authorizer = *o->authorizer;
        c->has_authorizer = true;
    }
}

static void copy_process(struct mcp_client *c, const struct mcp_client_options *o) {
    struct str *args = arena_alloc(&c->arena, (o->n_args + 1) * sizeof *args);
    for (size_t i = 0; i < o->n_args; i++) {
        args[i] = arena_str(&c->arena, o->args[i]);
    }
    c->o.args = args;
    c->o.command = arena_str(&c->arena, o->command);
    c->env = mem_alloc((o->n_env + 1) * sizeof *c->env);
    for (size_t i = 0; i < o->n_env; i++) {
        c->env[i] = secret_dup(o->env[i]);
    }
    c->o.env = (const struct secret *const *)c->env;
}

struct mcp_client *mcp_client_new(const struct mcp_client_options *o) {
    struct mcp_client *c = mem_alloc(sizeof *c);
    c->o = *o;
    c->refs = 1;
    c->o.name = arena_str(&c->arena, o->name);
    c->o.url = arena_str(&c->arena, o->url);
    copy_headers(c, o);
    copy_process(c, o);
    c->o.connect_timeout_ms = o->connect_timeout_ms ? o->connect_timeout_ms : CONNECT_TIMEOUT_MS;
    c->o.idle_timeout_ms = o->idle_timeout_ms ? o->idle_timeout_ms : IDLE_TIMEOUT_MS;
    c->o.absolute_timeout_ms =
        o->absolute_timeout_ms ? o->absolute_timeout_ms : ABSOLUTE_TIMEOUT_MS;
    c->channel = o->transport == MCP_STDIO ? &stdio_channel : &http_channel;
    list_init(&c->exchanges);
    fiber_cond_init(&c->changed);
    fiber_scope_init(&c->scope);
    return c;
}

static void free_memory(struct mcp_client *c) {
    for (size_t i = 0; i < c->o.n_headers; i++) {
        secret_free((struct secret *)c->headers[i].value);
    }
    for (size_t i = 0; i < c->o.n_env; i++) {
        secret_free(c->env[i]);
    }
    secret_free(c->session);
    mem_free(c->headers);
    mem_free(c->env);
    arena_done(&c->info_arena);
    arena_done(&c->arena);
    mem_free(c);
}

void client_ref(struct mcp_client *c) {
    c->refs++;
}

void client_unref(struct mcp_client *c) {
    if (--c->refs == 0) {
        free_memory(c);
    }
}

void client_unref_p(struct mcp_client **c) {
    client_unref(*c);
}

void mcp_client_free(struct mcp_client *c) {
    if (!c) {
        return;
    }
    struct err closed;
    fiber_point();
    fiber_shield_enter();
    c->closing = true;
    c->generation++;
    client_err(c, &closed, ERR_UNAVAILABLE, "the connection was closed");
    exchange_fail_all(c, &closed);
    fiber_broadcast(&c->changed);
    listen_stop(c);
    fiber_scope_done(&c->scope);
    c->channel->stop(c);
    /* What a stop leaves to fibers of their own. */
    fiber_scope_join(&c->scope);
    c->state = CLIENT_IDLE;
    fiber_shield_leave();
    client_unref(c);
}

bool client_spawn(struct mcp_client *c, const char *name, void (*fn)(void *arg), void *arg) {
    struct err err;
    if (c->closing) {
        return false;
    }
    if (fiber_spawn(&c->scope, name, fn, arg, NULL, &err) < 0) {
        log_warn("mcp", "server %.*s: %s", STR_ARG(c->o.name), err.msg);
        return false;
    }
    return true;
}

/* ---- messages nobody waits for ---- */

struct posted {
    struct mcp_client *client;
    struct strbuf message;
};

static void post_now(void *arg) {
    struct posted *p = arg;
    struct mcp_client *c = p->client;
    struct err err;
    struct fiber_timeout timeout;
    fiber_timeout_start(&timeout, POST_TIMEOUT_MS);
    if (c->channel->post(c, strbuf_str(&p->message), &err) < 0) {
        log_debug("mcp", "%s", err.msg);
    }
    fiber_timeout_stop(&timeout);
    c->n_posts--;
    strbuf_done(&p->message);
    mem_free(p);
}

void client_post_later(struct mcp_client *c, struct str message) {
    struct posted *p = mem_alloc(sizeof *p);
    p->client = c;
    p->message = STRBUF(message.n);
    strbuf_add(&p->message, message);
    if (!client_spawn(c, "mcp post", post_now, p)) {
        strbuf_done(&p->message);
        mem_free(p);
        return;
    }
    c->n_posts++;
}

/* ---- connecting ---- */

void client_lost(struct mcp_client *c, uint64_t generation) {
    if (c->generation != generation || c->state != CLIENT_CONNECTED) {
        return;
    }
    c->generation++;
    c->state = CLIENT_IDLE;
    secret_free(take(c->session));
    listen_stop(c);
    fiber_broadcast(&c->changed);
}

static void attempt(void *arg) {
    struct mcp_client *c = arg;
    struct err err = {0};
    struct fiber_timeout timeout;
    int64_t patience = c->o.transport == MCP_STDIO ? STDIO_PATIENCE : 1;
    fiber_timeout_start(&timeout, c->o.connect_timeout_ms * patience);
    int rc = c->channel->start(c, &err);
    rc = rc < 0 ? rc : era_settle(c, &err);
    fiber_timeout_stop(&timeout);
    if (timeout.expired && rc == -ERR_TIMEOUT) {
        client_err(c, &err, ERR_TIMEOUT, "no connection within %lld s",
                   (long long)(c->o.connect_timeout_ms * patience / 1000));
    }
    c->connect_err = err;
    c->state = rc < 0 ? CLIENT_IDLE : CLIENT_CONNECTED;
    fiber_broadcast(&c->changed);
    if (rc == 0) {
        listen_start(c, false);
    }
}

static int begin_attempt(struct mcp_client *c, struct err *err) {
    c->generation++;
    secret_free(take(c->session));
    c->state = CLIENT_CONNECTING;
    if (!client_spawn(c, "mcp connect", attempt, c)) {
        c->state = CLIENT_IDLE;
        return client_err(c, err, ERR_BUSY, "cannot connect now");
    }
    return 0;
}

int mcp_client_connect(struct mcp_client *c, struct err *err) {
    fiber_point();
    struct mcp_client *held cleanup(client_unref_p) = c;
    client_ref(held);
    if (!c->closing && c->state == CLIENT_CONNECTED) {
        return 0;
    }
    if (!c->closing && c->state == CLIENT_IDLE && begin_attempt(c, err) < 0) {
        return -(int)err->code;
    }
    while (!c->closing && c->state == CLIENT_CONNECTING) {
        int rc = fiber_wait(&c->changed, FIBER_FOREVER); /* the attempt has its deadline */
        if (rc < 0) {
            return client_err(c, err, (enum err_code) - rc, "not connected yet");
        }
    }
    if (c->closing) {
        return client_err(c, err, ERR_UNAVAILABLE, "the connection was closed");
    }
    if (c->state == CLIENT_CONNECTED) {
        return 0;
    }
    if (c->connect_err.code == ERR_NONE) {
        return client_err(c, err, ERR_UNAVAILABLE, "the connection was lost at once");
    }
    *err = c->connect_err;
    return -(int)err->code;
}

bool mcp_client_connected(const struct mcp_client *c) {
    return c->state == CLIENT_CONNECTED;
}

const struct mcp_server_info *mcp_client_server(const struct mcp_client *c) {
    return c->info_known ? &c->info : NULL;
}
