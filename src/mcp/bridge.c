/* The manager: what the rest of the program calls, and the fiber that looks after everything. */
#include "mcp/bridge.h"

#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "mcp/bridge_internal.h"

enum {
    TICK_MS = 1000,
    FILE_MS = 3000, /* between two looks at mcp.json */
    RECONNECT_WAIT_MS = 20 * 1000,
};

const char *bridge_state_name(enum bridge_state s) {
    static const char *const names[] = {
        [BRIDGE_IDLE] = "idle",
        [BRIDGE_CONNECTING] = "connecting",
        [BRIDGE_READY] = "ready",
        [BRIDGE_UNREACHABLE] = "unreachable",
        [BRIDGE_UNAUTHORIZED] = "unauthorized",
        [BRIDGE_FAILED] = "failed",
    };
    return names[s];
}

/* ---- definitions ---- */

/* Another mark: the file may be another one. */
static void mark_of(const struct profile *p, int64_t ret[4]) {
    struct stat st;
    memset(ret, 0, 4 * sizeof *ret);
    if (stat(p->mcp_config.p, &st) == 0) {
        ret[0] = st.st_mtim.tv_sec;
        ret[1] = st.st_mtim.tv_nsec;
        ret[2] = st.st_size;
        ret[3] = (int64_t)st.st_ino;
    }
}

static void define_oauth(struct bridges *b) {
    for (size_t i = 0; b->options.authorizers && i < b->servers->n; i++) {
        const struct server *s = &b->servers->servers[i];
        if (s->may_oauth) {
            authorizers_define(b->options.authorizers,
                               &(struct authorizer_server){.name = s->name,
                                                           .url = s->url,
                                                           .client_id = s->oauth.client_id,
                                                           .client_secret = s->oauth.client_secret,
                                                           .issuer = s->oauth.issuer,
                                                           .scope = s->oauth.scopes});
        }
    }
}

static int load(struct bridges *b, struct err *err) {
    struct servers *servers;
    mark_of(b->options.profile, b->file_mark);
    if (servers_load(b->options.profile, &servers, err) < 0) {
        return -(int)err->code;
    }
    watches_renew(b, servers);
    define_oauth(b);
    b->generation++;
    return 0;
}

/* Users take the change over when they are next looked at; what is equal in both stays open. */
static void look_at_file(struct bridges *b, int64_t now_us) {
    int64_t mark[4];
    struct err err;
    if (now_us - b->file_looked_us < FILE_MS * INT64_C(1000)) {
        return;
    }
    b->file_looked_us = now_us;
    mark_of(b->options.profile, mark);
    if (memcmp(mark, b->file_mark, sizeof mark) == 0) {
        return;
    }
    if (load(b, &err) < 0) {
        log_error("mcp", "the servers stay as they were: %s", err.msg);
    } else {
        log_info("mcp", "the servers were read anew n=%zu", b->servers->n);
    }
}

struct servers *bridges_servers(const struct bridges *b) {
    return b->servers;
}

bool bridges_skill_uses(const struct bridges *b, struct str skill, struct str server) {
    return servers_skill_may_use(b->servers, skill, server);
}

/* ---- life ---- */

int bridges_new(const struct bridges_options *options, struct bridges **ret, struct err *err) {
    struct bridges *b = mem_alloc(sizeof *b);
    b->options = *options;
    list_init(&b->users);
    list_init(&b->dead);
    fiber_scope_init(&b->scope);
    fiber_scope_init(&b->closing);
    fiber_cond_init(&b->wake);
    if (load(b, err) < 0) {
        mem_free(b);
        return -(int)err->code;
    }
    b->lists = tool_lists_new();
    *ret = b;
    return 0;
}

static void look_after(void *arg) {
    struct bridges *b = arg;
    int rc = 0;
    while (rc != -ERR_CANCELLED) {
        int64_t now_us = clock_mono_us();
        look_at_file(b, now_us);
        watches_tick(b, now_us);
        users_tick(b, now_us);
        connections_tick(b);
        rc = fiber_wait(&b->wake, TICK_MS);
    }
}

int bridges_start(struct bridges *b, struct err *err) {
    fiber_point();
    return fiber_spawn(&b->scope, "mcp bridges", look_after, b, NULL, err);
}

void bridges_stop(struct bridges *b) {
    b->stopping = true;
    fiber_scope_cancel(&b->scope);
    fiber_scope_join(&b->scope);
    list_each (node, &b->users) {
        user_free(list_entry(node, struct user, in_users));
    }
    connections_tick(b);
    fiber_scope_join(&b->closing);
}

void bridges_free(struct bridges *b) {
    if (b) {
        watches_free(b);
        servers_unref(b->servers);
        tool_lists_free(b->lists);
        map_done(&b->by_id);
        mem_free(b);
    }
}

void bridges_touch(struct bridges *b, struct str user_id) {
    struct user *u;
    struct err err;
    if (!b->stopping && user_pin(b, user_id, &u, &err) == 0) {
        user_touch(u);
        user_unpin(u);
    }
}

/* ---- views ---- */

struct view_ref {
    struct list in_refs;
    struct mcp_tools *tools;
};

static const struct mcp_server_info *copy_info(struct arena *arena,
                                               const struct mcp_server_info *from) {
    struct mcp_server_info *info = arena_alloc(arena, sizeof *info);
    *info = *from;
    info->version = arena_str(arena, from->version);
    info->name = arena_str(arena, from->name);
    info->title = arena_str(arena, from->title);
    info->server_version = arena_str(arena, from->server_version);
    info->instructions = arena_str(arena, from->instructions);
    return info;
}

static void fill_tools(struct bridge_view *v, const struct link *l, struct bridge_server *ret) {
    if (!l->tools) {
        return;
    }
    struct view_ref *ref = arena_alloc(&v->arena, sizeof *ref);
    ref->tools = mcp_tools_ref(l->tools);
    list_push(&v->refs, &ref->in_refs);
    ret->tools = l->tools;
}

static void fill_server(struct bridge_view *v, const struct link *l, struct bridge_server *ret) {
    const struct server *s = l->server;
    struct str *pinned = arena_alloc(&v->arena, (s->n_pinned + 1) * sizeof *pinned);
    for (size_t i = 0; i < s->n_pinned; i++) {
        pinned[i] = arena_str(&v->arena, s->pinned[i]);
    }
    *ret = (struct bridge_server){
        .name = arena_str(&v->arena, s->name),
        .state = l->state,
        .error = arena_str(&v->arena, str_z(l->error.msg)),
        .credential_service = arena_str(&v->arena, s->credential.service),
        .has_credential = l->credential_us > 0,
        .oauth = l->oauth,
        .list_warning = arena_str(&v->arena, l->list_warning),
        .pinned = pinned,
        .n_pinned = s->n_pinned,
        .info = l->info ? copy_info(&v->arena, l->info) : NULL,
        .retry_at_us =
            l->state == BRIDGE_READY || l->state == BRIDGE_CONNECTING ? 0 : l->backoff.retry_at_us,
        .transport = s->transport,
    };
    fill_tools(v, l, ret);
}

/* What cannot be used as long as the vault cannot be read is not shown as ready. */
static void mark_locked(struct bridge_view *v, const struct err *err) {
    for (size_t i = 0; i < v->n; i++) {
        v->servers[i].state = BRIDGE_UNREACHABLE;
        v->servers[i].error = arena_str(&v->arena, str_z(err->msg));
    }
}

static void fill_view(const struct user *u, struct bridge_view *ret) {
    size_t n = u->servers ? u->servers->n : 0;
    *ret = (struct bridge_view){.version = u->version};
    list_init(&ret->refs);
    ret->servers = arena_alloc(&ret->arena, (n + 1) * sizeof *ret->servers);
    for (size_t i = 0; i < n; i++) {
        fill_server(ret, u->links[i], &ret->servers[i]);
    }
    ret->n = n;
}

static bool is_first_try(const struct link *l) {
    const struct watch *w = watch_of(l->user->owner, l->server);
    return !l->tried && !l->waited && link_busy(l) && !(w && w->slow);
}

static void waited_in_vain(struct link *l) {
    struct watch *w = watch_of(l->user->owner, l->server);
    l->waited = true;
    if (w) {
        w->slow = true;
    }
}

static bool any_first_try(const struct user *u) {
    for (size_t i = 0; u->servers && i < u->servers->n; i++) {
        if (is_first_try(u->links[i])) {
            return true;
        }
    }
    return false;
}

/* Once a server: who was waited for in vain is not waited for again, by nobody, until it was
 * reached. */
static int wait_for_first(struct user *u, int64_t wait_ms) {
    int64_t end_us = clock_mono_us() + wait_ms * 1000;
    while (any_first_try(u)) {
        int64_t left_ms = (end_us - clock_mono_us() + 999) / 1000;
        int rc = left_ms > 0 ? fiber_wait(&u->changed, left_ms) : -ERR_TIMEOUT;
        if (rc == -ERR_CANCELLED) {
            return rc;
        }
        if (rc < 0) {
            break;
        }
    }
    for (size_t i = 0; wait_ms > 0 && u->servers && i < u->servers->n; i++) {
        if (is_first_try(u->links[i])) {
            waited_in_vain(u->links[i]);
        }
    }
    return 0;
}

int bridge_view_open(struct bridges *b, struct str user_id, int64_t wait_ms,
                     struct bridge_view *ret, struct err *err) {
    struct user *u;
    struct err why;
    fiber_point();
    if (user_pin(b, user_id, &u, err) < 0) {
        return -(int)err->code;
    }
    bool synced = user_sync(u, &why) == 0;
    int rc = !synced && why.code == ERR_CANCELLED ? -ERR_CANCELLED : 0;
    if (synced) {
        user_begin_all(u);
        rc = wait_ms > 0 ? wait_for_first(u, wait_ms) : 0;
    }
    if (rc == 0) {
        fill_view(u, ret);
        if (!synced) {
            mark_locked(ret, &why);
        }
    } else {
        err_set(err, ERR_CANCELLED, "cancelled");
    }
    user_unpin(u);
    return rc;
}

void bridge_view_done(struct bridge_view *v) {
    struct list *node;
    while (v->refs.next && (node = list_pop(&v->refs))) {
        mcp_tools_unref(list_entry(node, struct view_ref, in_refs)->tools);
    }
    arena_done(&v->arena);
    *v = (struct bridge_view){0};
}

/* ---- calls ---- */

/* The connection is held for the caller. */
static int open_for_call(struct user *u, struct str server, struct connection **ret,
                         struct err *err) {
    int64_t end_us = clock_mono_us() + BRIDGE_WAIT_MS * 1000;
    for (;;) {
        struct link *l = user_link(u, server);
        if (!l) {
            return err_set(err, ERR_NOT_FOUND, "there is no server %.*s",
                           STR_ARG(str_head(server, 64)));
        }
        if (link_held_off(l, err)) {
            return -(int)err->code;
        }
        if (l->connection && l->connection->connected) {
            link_rouse(l);
            *ret = connection_ref(l->connection);
            return 0;
        }
        link_begin(l, LINK_NEEDED);
        if (link_held_off(l, err)) {
            return -(int)err->code;
        }
        if (!link_busy(l)) {
            return err_set(err, ERR_UNAVAILABLE, "%.*s cannot be used now", STR_ARG(server));
        }
        int64_t left_ms = (end_us - clock_mono_us()) / 1000;
        int rc = left_ms > 0 ? fiber_wait(&u->changed, left_ms) : -ERR_TIMEOUT;
        if (rc == -ERR_CANCELLED) {
            return err_set(err, ERR_CANCELLED, "cancelled");
        }
        if (rc < 0) {
            return err_set(err, ERR_UNAVAILABLE, "%.*s does not get ready", STR_ARG(server));
        }
    }
}

static int call_pinned(struct user *u, struct str server, const struct mcp_call *call,
                       struct arena *arena, struct mcp_call_result *ret, struct err *err) {
    struct connection *c = NULL;
    if (user_sync(u, err) < 0 || open_for_call(u, server, &c, err) < 0) {
        return -(int)err->code;
    }
    int rc = mcp_client_call(c->client, call, arena, ret, err);
    if (c->link && rc != -ERR_CANCELLED) {
        link_note_call(c->link, rc, err);
    }
    connection_unref(c);
    return rc;
}

int bridge_call(struct bridges *b, struct str user_id, struct str server,
                const struct mcp_call *call, struct arena *arena, struct mcp_call_result *ret,
                struct err *err) {
    struct user *u;
    fiber_point();
    if (user_pin(b, user_id, &u, err) < 0) {
        return -(int)err->code;
    }
    int rc = call_pinned(u, server, call, arena, ret, err);
    user_unpin(u);
    b->stats.calls++;
    b->stats.failures += rc < 0;
    return rc;
}

static int reconnect_pinned(struct user *u, struct str server, struct err *err) {
    int64_t end_us = clock_mono_us() + RECONNECT_WAIT_MS * 1000;
    if (user_sync(u, err) < 0) {
        return -(int)err->code;
    }
    struct link *l = user_link(u, server);
    if (!l) {
        return err_set(err, ERR_NOT_FOUND, "there is no such server");
    }
    link_close(l);
    link_begin(l, LINK_FORCED);
    while ((l = user_link(u, server)) && link_busy(l)) {
        int64_t left_ms = (end_us - clock_mono_us()) / 1000;
        int rc = left_ms > 0 ? fiber_wait(&u->changed, left_ms) : -ERR_TIMEOUT;
        if (rc == -ERR_CANCELLED) {
            return err_set(err, ERR_CANCELLED, "cancelled");
        }
        if (rc < 0) {
            break; /* it goes on in the background */
        }
    }
    return 0;
}

int bridge_reconnect(struct bridges *b, struct str user_id, struct str server, struct err *err) {
    struct user *u;
    fiber_point();
    if (user_pin(b, user_id, &u, err) < 0) {
        return -(int)err->code;
    }
    int rc = reconnect_pinned(u, server, err);
    user_unpin(u);
    return rc;
}

struct bridges_stats bridges_stats(const struct bridges *b) {
    struct bridges_stats s = b->stats;
    s.list_bytes = tool_lists_bytes(b->lists);
    return s;
}
