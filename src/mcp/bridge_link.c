/* One user's connection to one server: opened in the background, its list of tools read, closed,
 * opened anew with another credential; and the breaker before it. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "mcp/bridge_internal.h"
#include "mcp/credentials.h"

enum {
    BACKOFF_FIRST_MS = 1000,
    BACKOFF_MAX_MS = 5 * 60 * 1000,
    BACKOFF_REFUSED_MS = 15 * 1000, /* it was reached and says no: trying soon changes nothing */
    MAX_TIMEOUTS = 3,               /* of calls in a row, until nobody waits for it any more */
    MAX_VALUES = SERVERS_MAX_ENV + 1,
};

/* That it is being tried is not worth a look. */
static void publish(struct link *l) {
    if (l->state != l->told && l->state != BRIDGE_CONNECTING) {
        l->told = l->state;
        feed_settings(l->user->owner->options.feed, l->user->id, FEED_CONNECTIONS);
    }
}

void link_changed(struct link *l) {
    l->user->version++;
    publish(l);
    fiber_broadcast(&l->user->changed);
}

/* ---- connections ---- */

struct connection *connection_ref(struct connection *c) {
    c->refs++;
    return c;
}

static void close_now(void *arg) {
    struct connection *c = arg;
    struct bridges *b = c->owner;
    fiber_shield_enter(); /* what it ends with is bounded, and should not be cut short */
    mcp_client_free(c->client);
    fiber_shield_leave();
    authorizer_free(c->authorizer);
    b->stats.connections--;
    b->stats.processes -= c->is_process;
    mem_free(c);
}

void connection_unref(struct connection *c) {
    struct err err;
    if (!c || --c->refs > 0) {
        return;
    }
    if (fiber_spawn(&c->owner->closing, "mcp close", close_now, c, NULL, &err) < 0) {
        list_push(&c->owner->dead, &c->in_dead); /* no fiber is to be had: later */
    }
}

void connections_tick(struct bridges *b) {
    struct list *node;
    while ((node = list_pop(&b->dead))) {
        struct connection *c = list_entry(node, struct connection, in_dead);
        struct err err;
        if (fiber_spawn(&b->closing, "mcp close", close_now, c, NULL, &err) < 0) {
            list_push(&b->dead, &c->in_dead);
            return;
        }
    }
}

void link_close(struct link *l) {
    struct connection *c = take(l->connection);
    if (!c) {
        return;
    }
    c->link = NULL;
    if (c->worker) {
        fiber_cancel(c->worker);
    }
    connection_unref(c);
    if (l->state == BRIDGE_READY || l->state == BRIDGE_CONNECTING) {
        l->state = BRIDGE_IDLE;
    }
    link_changed(l);
}

static void on_tools_changed(void *arg) {
    struct connection *c = arg;
    if (c->link) {
        c->link->list_stale = true;
        fiber_signal(&c->owner->wake);
    }
}

/* ---- making the client ---- */

/* The user's credential, if there is one. Nothing but its absence lets a server be used without:
 * the server would act with the operator's rights. */
static int fetch_credential(struct connection *c, const struct server *server, struct str user_id,
                            struct secret **ret, struct err *err) {
    struct arena arena cleanup(arena_done) = {0};
    struct secret *entry cleanup(secret_free_p) = NULL;
    const struct server_credential *wanted = &server->credential;
    struct vault *vault = c->owner->options.vault;
    struct vault_entry facts = {0};
    *ret = NULL;
    if (wanted->service.n == 0 || !vault) {
        return 0;
    }
    int rc = vault_get(vault, user_id, wanted->service, &entry, &facts, &arena, err);
    if (rc == -ERR_NOT_FOUND) {
        return 0;
    }
    if (rc == -ERR_FORBIDDEN) {
        return err_set(err, ERR_UNAUTHORIZED,
                       "the stored credential \"%.*s\" cannot be decrypted; store it again",
                       STR_ARG(wanted->service));
    }
    if (rc < 0) {
        return err_prefix(err, "the credential \"%.*s\"", STR_ARG(wanted->service));
    }
    c->credential_us = facts.updated_us;
    if (credential_render(wanted->template, secret_reveal(entry), ret, err) < 0) {
        err->code = ERR_UNAUTHORIZED;
        return err_prefix(err, "the stored credential \"%.*s\" does not fit; store it again",
                          STR_ARG(wanted->service));
    }
    return 0;
}

static struct secret *assignment(struct str name, const struct secret *value) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(256 * 1024);
    struct str v = secret_reveal(value);
    (void)strbuf_room(&text, name.n + v.n + 2);
    strbuf_add(&text, name);
    strbuf_addc(&text, '=');
    strbuf_add(&text, v);
    struct secret *s = secret_new(strbuf_str(&text));
    if (text.p) {
        secret_wipe(text.p, text.cap);
    }
    return s;
}

/* What is declared is answered for one call at a time, by whoever makes it; outside of calls there
 * is nobody to ask. */
static int decline(void *arg, struct str method, const json_t *params, struct strbuf *result,
                   struct err *err) {
    (void)arg, (void)params;
    if (!str_eq(method, STR("elicitation/create"))) {
        return err_set(err, ERR_NOT_FOUND, "%.*s is not supported",
                       STR_ARG(str_utf8_head(method, 64)));
    }
    strbuf_addz(result, "{\"action\":\"cancel\"}");
    return 0;
}

/* The headers, or the variables of a command: the definition's own, then the user's, which
 * replaces one of the same name. */
static void make_client(struct connection *c, const struct server *server,
                        const struct secret *credential) {
    struct mcp_header headers[MAX_VALUES];
    struct secret *env[MAX_VALUES];
    struct mcp_authorizer hooks;
    size_t n = 0;
    bool http = server->transport == MCP_HTTP;
    for (size_t i = 0; i < server->n_values; i++) {
        const struct server_value *v = &server->values[i];
        bool replaced = credential && (http ? str_eq_nocase(v->name, server->credential.carrier)
                                            : str_eq(v->name, server->credential.carrier));
        if (!replaced) {
            headers[n] = (struct mcp_header){v->name.p, v->value};
            env[n++] = http ? NULL : assignment(v->name, v->value);
        }
    }
    if (credential) {
        headers[n] = (struct mcp_header){server->credential.carrier.p, credential};
        env[n++] = http ? NULL : assignment(server->credential.carrier, credential);
    }
    if (c->authorizer) {
        hooks = authorizer_hooks(c->authorizer);
    }
    c->client = mcp_client_new(&(struct mcp_client_options){
        .name = server->name,
        .transport = server->transport,
        .pinned_era = server->pinned_era,
        .url = server->url,
        .headers = headers,
        .n_headers = http ? n : 0,
        .authorizer = c->authorizer ? &hooks : NULL,
        .command = server->command,
        .args = server->args,
        .n_args = server->n_args,
        .env = (const struct secret *const *)env,
        .n_env = http ? 0 : n,
        .requests = {.handle = decline, .elicitation_form = true, .elicitation_url = true},
        .on_tools_changed = on_tools_changed,
        .on_tools_changed_arg = c,
        .idle_timeout_ms = server->timeout_ms,
        .absolute_timeout_ms = server->timeout_ms,
    });
    for (size_t i = 0; i < n; i++) {
        secret_free(env[i]);
    }
}

/* ---- what a server says of itself ---- */

static struct str put(char **at, struct str s) {
    struct str copy = {*at, s.n};
    if (s.n) {
        memcpy(*at, s.p, s.n);
    }
    (*at)[s.n] = '\0';
    *at += s.n + 1;
    return copy;
}

static struct mcp_server_info *copy_info(const struct mcp_server_info *from) {
    struct str instructions = str_utf8_head(from->instructions, BRIDGE_MAX_INSTRUCTIONS_BYTES);
    struct mcp_server_info *info =
        mem_alloc(sizeof *info + from->version.n + from->name.n + from->title.n +
                  from->server_version.n + instructions.n + 5);
    char *at = (char *)(info + 1);
    *info = *from;
    info->version = put(&at, from->version);
    info->name = put(&at, from->name);
    info->title = put(&at, from->title);
    info->server_version = put(&at, from->server_version);
    info->instructions = put(&at, instructions);
    return info;
}

/* ---- opening, on a fiber of the connection's own ---- */

static void take_list(struct link *l, struct mcp_tools *tools, const struct mcp_list *list) {
    int64_t now_us = clock_mono_us();
    int64_t age_ms = list->ttl_ms < 0 ? BRIDGE_LIST_AGE_MS : MAX(list->ttl_ms, BRIDGE_MIN_TTL_MS);
    if (l->tools != tools) {
        feed_settings(l->user->owner->options.feed, l->user->id, FEED_CONNECTIONS);
    }
    mcp_tools_unref(l->tools);
    l->tools = tools;
    mem_free((void *)(uintptr_t)l->list_warning.p);
    l->list_warning =
        list->warning.n ? (struct str){str_dup_z(list->warning), list->warning.n} : (struct str){0};
    l->listed_us = now_us;
    l->list_due_us = now_us + age_ms * 1000;
}

static int read_list(struct connection *c, struct err *err) {
    struct arena arena cleanup(arena_done) = {0};
    struct mcp_list list = {.ttl_ms = -1, .warning = STR_EMPTY};
    struct mcp_tools *tools = NULL;
    const struct mcp_server_info *info = mcp_client_server(c->client);
    if (c->link) {
        c->link->list_stale = false; /* what changes from here on makes it stale again */
    }
    if ((!info || info->tools) &&
        mcp_client_list(c->client, "tools/list", &arena, &list, err) < 0) {
        return -(int)err->code;
    }
    if (tool_list_make(c->owner->lists, list.items, list.n, &tools, err) < 0) {
        return -(int)err->code;
    }
    if (c->link) {
        take_list(c->link, tools, &list);
    } else {
        mcp_tools_unref(tools);
    }
    return 0;
}

static int open_connection(struct connection *c, const struct server *server, struct str user_id,
                           struct err *err) {
    struct secret *credential cleanup(secret_free_p) = NULL;
    if (!c->client) {
        if (fetch_credential(c, server, user_id, &credential, err) < 0) {
            return -(int)err->code;
        }
        make_client(c, server, credential);
    }
    if (mcp_client_connect(c->client, err) < 0) {
        return -(int)err->code;
    }
    struct link *l = c->link;
    c->connected = true;
    if (l) {
        const struct mcp_server_info *info = mcp_client_server(c->client);
        mem_free(take(l->info));
        l->info = info ? copy_info(info) : NULL;
        link_changed(l); /* calls need not wait for the list */
    }
    return read_list(c, err);
}

static enum bridge_state state_of(enum err_code code) {
    switch (code) {
    case ERR_UNAUTHORIZED:
        return BRIDGE_UNAUTHORIZED;
    case ERR_UNAVAILABLE:
    case ERR_TIMEOUT:
    case ERR_BUSY:
        return BRIDGE_UNREACHABLE;
    default:
        return BRIDGE_FAILED;
    }
}

static void fail(struct link *l, const struct err *err) {
    struct watch *w = watch_of(l->user->owner, l->server);
    bool refused = state_of(err->code) != BRIDGE_UNREACHABLE;
    l->state = state_of(err->code);
    l->error = *err;
    l->oauth |= l->state == BRIDGE_UNAUTHORIZED && l->authorizer != NULL;
    backoff_fail(&l->backoff, refused ? BACKOFF_REFUSED_MS : BACKOFF_FIRST_MS, BACKOFF_MAX_MS);
    if (l->connection) {
        l->connection->connected = false;
    }
    if (w && (err->code == ERR_UNAVAILABLE || err->code == ERR_TIMEOUT)) {
        watch_suspect(w);
    }
    link_changed(l);
}

static void succeed(struct link *l) {
    struct watch *w = watch_of(l->user->owner, l->server);
    l->state = BRIDGE_READY;
    l->error = (struct err){0};
    l->timeouts = 0;
    backoff_reset(&l->backoff);
    if (w) {
        watch_reached(w);
    }
    link_changed(l);
}

/* The link may have let go of the connection meanwhile: then nobody wants to know. */
static void settle(struct link *l, int rc, bool late, struct err *err) {
    l->tried = true;
    if (rc == 0) {
        succeed(l);
        return;
    }
    if (late) {
        err_set(err, ERR_TIMEOUT, "%.*s was not ready within %d s", STR_ARG(l->server->name),
                BRIDGE_CONNECT_MS / 1000);
    } else if (rc == -ERR_CANCELLED) {
        l->state = BRIDGE_IDLE;
        link_changed(l);
        return;
    }
    log_debug("mcp", "no connection: %s server=%.*s user=%.*s", err->msg, STR_ARG(l->server->name),
              STR_ARG(l->user->id));
    fail(l, err);
}

static void open_for(struct connection *c, const struct link *l) {
    struct servers *servers = servers_ref(l->user->servers);
    struct str user_id = {str_dup_z(l->user->id), l->user->id.n};
    struct fiber_timeout limit;
    struct err err;
    fiber_timeout_start(&limit, BRIDGE_CONNECT_MS);
    int rc = open_connection(c, l->server, user_id, &err);
    fiber_timeout_stop(&limit);
    c->worker = NULL;
    if (c->link) {
        settle(c->link, rc, rc < 0 && limit.expired, &err);
    }
    mem_free((void *)(uintptr_t)user_id.p);
    servers_unref(servers);
}

static void work(void *arg) {
    struct connection *c = arg;
    if (c->link) {
        open_for(c, c->link);
    }
    c->worker = NULL;
    connection_unref(c);
}

/* ---- when ---- */

void link_rest(struct link *l) {
    struct connection *c = l->connection;
    if (c && c->connected && !c->worker && !c->quiet) {
        c->quiet = true;
        mcp_client_listen(c->client, false);
    }
}

void link_rouse(struct link *l) {
    struct connection *c = l->connection;
    if (c && c->client && c->quiet) {
        c->quiet = false;
        mcp_client_listen(c->client, true);
        l->list_stale = true;
    }
}

/* Of all processes the one that was not used for longest makes room. */
static bool room_for_process(struct bridges *b) {
    struct link *oldest = NULL;
    if (b->stats.processes < BRIDGES_MAX_PROCESSES) {
        return true;
    }
    list_each (node, &b->users) {
        struct user *u = list_entry(node, struct user, in_users);
        for (size_t i = 0; u->pins == 0 && i < u->servers->n; i++) {
            struct link *l = u->links[i];
            if (l->connection && l->connection->is_process && !l->connection->worker &&
                (!oldest || u->used_us < oldest->user->used_us)) {
                oldest = l;
            }
        }
    }
    if (oldest) {
        link_close(oldest);
    }
    return oldest != NULL;
}

static int make_connection(struct link *l, struct err *err) {
    struct bridges *b = l->user->owner;
    bool is_process = l->server->transport == MCP_STDIO;
    if (is_process && !room_for_process(b)) {
        return err_set(err, ERR_BUSY, "%d programs run already", BRIDGES_MAX_PROCESSES);
    }
    struct connection *c = mem_alloc(sizeof *c);
    c->owner = b;
    c->link = l;
    c->refs = 1;
    c->is_process = is_process;
    c->authorizer =
        l->authorizer ? authorizer_new(b->options.authorizers, l->user->id, l->server->name) : NULL;
    b->stats.connections++;
    b->stats.processes += is_process;
    l->connection = c;
    return 0;
}

static bool has_nothing_to_do(const struct link *l, enum link_need need) {
    bool known = l->tools && !l->list_stale && clock_mono_us() < l->list_due_us;
    if (l->connection && l->connection->connected) {
        return known;
    }
    /* A program is started for a call, or to learn what it can do. */
    return need == LINK_WANTED && l->server->transport == MCP_STDIO && known;
}

/* A server that is known to be away is not tried on behalf of each user: those who have not met
 * this yet take it over; of the others each tries in its own time, as looking is not trying. */
static bool is_away(struct link *l) {
    const struct watch *w = watch_of(l->user->owner, l->server);
    if (!w || !w->away || (l->tried && !l->server->preconfigured)) {
        return false;
    }
    if (l->state != BRIDGE_UNREACHABLE) {
        l->state = BRIDGE_UNREACHABLE;
        link_changed(l);
    }
    l->error = w->error;
    l->tried = true;
    l->backoff.retry_at_us = w->backoff.retry_at_us;
    return true;
}

void link_begin(struct link *l, enum link_need need) {
    struct err err;
    if (link_busy(l) || l->user->owner->stopping) {
        return;
    }
    link_rouse(l);
    if (need != LINK_FORCED &&
        (backoff_waits(&l->backoff, clock_mono_us()) || is_away(l) || has_nothing_to_do(l, need))) {
        return;
    }
    if ((!l->connection && make_connection(l, &err) < 0) ||
        fiber_spawn(&l->user->owner->scope, "mcp connect", work, l->connection,
                    &l->connection->worker, &err) < 0) {
        fail(l, &err);
        return;
    }
    connection_ref(l->connection);
    if (!l->connection->connected) {
        l->state = BRIDGE_CONNECTING;
        link_changed(l);
    }
}

bool link_due(const struct link *l) {
    return !link_busy(l) && !backoff_waits(&l->backoff, clock_mono_us()) &&
           !has_nothing_to_do(l, LINK_WANTED);
}

bool link_busy(const struct link *l) {
    return l->connection && l->connection->worker;
}

/* ---- the breaker ---- */

bool link_held_off(const struct link *l, struct err *err) {
    int64_t now_us = clock_mono_us();
    bool down = l->state == BRIDGE_UNREACHABLE || l->state == BRIDGE_UNAUTHORIZED ||
                l->state == BRIDGE_FAILED;
    if (!down || !backoff_waits(&l->backoff, now_us)) {
        return false;
    }
    *err = l->error;
    if (l->state == BRIDGE_UNREACHABLE) {
        char why[sizeof err->msg];
        snprintf(why, sizeof why, "%s", err->msg);
        err_set(err, ERR_UNAVAILABLE, "%.*s cannot be used now, it is tried again in %lld s: %s",
                STR_ARG(l->server->name),
                (long long)((l->backoff.retry_at_us - now_us + 999999) / 1000000), why);
    }
    return true;
}

void link_note_call(struct link *l, int rc, const struct err *err) {
    if (rc == 0) {
        l->timeouts = 0;
        return;
    }
    switch (err->code) {
    case ERR_TIMEOUT:
        if (++l->timeouts >= MAX_TIMEOUTS) {
            fail(l, err);
        }
        break;
    case ERR_UNAVAILABLE:
    case ERR_UNAUTHORIZED:
        fail(l, err);
        break;
    default:
        break; /* this call's own matter */
    }
}

/* ---- a link's life ---- */

struct link *link_new(struct user *u, const struct server *server) {
    struct link *l = mem_alloc(sizeof *l);
    struct authorizers *authorizers = u->owner->options.authorizers;
    l->user = u;
    l->server = server;
    l->authorizer =
        server->may_oauth && authorizers ? authorizer_new(authorizers, u->id, server->name) : NULL;
    return l;
}

static void forget(struct link *l) {
    mcp_tools_unref(take(l->tools));
    mem_free(take(l->info));
    mem_free((void *)(uintptr_t)l->list_warning.p);
    l->list_warning = (struct str){0};
    l->list_stale = false;
}

void link_credential(struct link *l, int64_t credential_us, struct id grant, bool oauth) {
    bool same = credential_us == l->credential_us && str_eq(id_str(&grant), id_str(&l->grant));
    bool opened_with_other =
        l->connection && l->connection->client && l->connection->credential_us != credential_us;
    l->credential_us = credential_us;
    l->grant = grant;
    l->oauth = oauth;
    if (!same || opened_with_other) {
        link_close(l);
        forget(l);
        l->tried = l->waited = false;
        l->timeouts = 0;
    }
    if (!same || opened_with_other || l->state == BRIDGE_UNAUTHORIZED) {
        l->state = BRIDGE_IDLE;
        l->error = (struct err){0};
        backoff_reset(&l->backoff);
        link_changed(l);
    }
}

void link_free(struct link *l) {
    link_close(l);
    forget(l);
    authorizer_free(l->authorizer);
    mem_free(l);
}
