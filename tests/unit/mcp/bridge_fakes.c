#include "bridge_fakes.h"

#include <assert.h>

#include "base/mem.h"

struct fakes fakes;

struct mcp_client {
    struct fake_client *record;
    struct fake_server *server;
    struct mcp_server_info info;
    void (*on_tools_changed)(void *arg);
    void *on_tools_changed_arg;
    bool connected;
};

void fakes_reset(void) {
    fakes = (struct fakes){.epoch = 1};
    fiber_cond_init(&fakes.gate);
}

struct fake_server *fake_server(const char *name) {
    for (size_t i = 0; i < ARRAY_LEN(fakes.servers); i++) {
        struct fake_server *s = &fakes.servers[i];
        if (!s->name) {
            s->name = name;
        }
        if (strcmp(s->name, name) == 0) {
            return s;
        }
    }
    assert(false);
}

void fakes_open_gate(void) {
    fakes.gate_open = true;
    fiber_broadcast(&fakes.gate);
}

static int pass(bool waits, enum err_code code, const char *what, struct err *err) {
    fiber_point();
    while (waits && !fakes.gate_open) {
        int rc = fiber_wait(&fakes.gate, 60 * 1000);
        if (rc < 0) {
            return err_set(err, (enum err_code) - rc, "%s was waited for in vain", what);
        }
    }
    return code ? err_set(err, code, "%s fails as it was told", what) : 0;
}

/* ---- clients ---- */

static void note(struct fake_client *record, const char *name, struct str value) {
    size_t n = strlen(record->header);
    snprintf(record->header + n, sizeof record->header - n, "%s%s%.*s;", name, name[0] ? ": " : "",
             STR_ARG(value));
}

struct mcp_client *mcp_client_new(const struct mcp_client_options *o) {
    struct mcp_client *c = mem_alloc(sizeof *c);
    char name[32];
    assert(fakes.n_clients < FAKE_MAX);
    c->record = &fakes.clients[fakes.n_clients++];
    c->record->client = c;
    snprintf(name, sizeof name, "%.*s", STR_ARG(o->name));
    snprintf(c->record->server, sizeof c->record->server, "%s", name);
    for (size_t i = 0; i < ARRAY_LEN(fakes.servers); i++) {
        if (fakes.servers[i].name && strcmp(fakes.servers[i].name, name) == 0) {
            c->server = &fakes.servers[i];
        }
    }
    assert(c->server);
    for (size_t i = 0; i < o->n_headers; i++) {
        note(c->record, o->headers[i].name, secret_reveal(o->headers[i].value));
    }
    for (size_t i = 0; i < o->n_env; i++) {
        note(c->record, "", secret_reveal(o->env[i]));
    }
    c->on_tools_changed = o->on_tools_changed;
    c->on_tools_changed_arg = o->on_tools_changed_arg;
    c->info = (struct mcp_server_info){.era = MCP_ERA_MODERN,
                                       .version = STR("2026-07-28"),
                                       .name = STR("fake"),
                                       .title = STR_EMPTY,
                                       .server_version = STR("1"),
                                       .instructions = STR("be kind"),
                                       .tools = !c->server->without_tools};
    return c;
}

void mcp_client_free(struct mcp_client *c) {
    if (c) {
        fiber_point();
        c->record->freed = true;
        c->record->client = NULL;
        mem_free(c);
    }
}

int mcp_client_connect(struct mcp_client *c, struct err *err) {
    if (c->connected) {
        return 0;
    }
    c->server->connects++;
    if (pass(c->server->connect_waits, c->server->connect_fails, "connecting", err) < 0) {
        return -(int)err->code;
    }
    c->connected = true;
    return 0;
}

bool mcp_client_connected(const struct mcp_client *c) {
    return c->connected;
}

void mcp_client_listen(struct mcp_client *c, bool on) {
    c->record->deaf = !on;
}

const struct mcp_server_info *mcp_client_server(const struct mcp_client *c) {
    return c->connected ? &c->info : NULL;
}

int mcp_client_list(struct mcp_client *c, const char *method, struct arena *arena,
                    struct mcp_list *ret, struct err *err) {
    struct fake_server *s = c->server;
    assert(strcmp(method, "tools/list") == 0);
    s->lists++;
    if (pass(s->list_waits, s->list_fails, "listing", err) < 0) {
        return -(int)err->code;
    }
    *ret = (struct mcp_list){.ttl_ms = s->ttl_ms ? s->ttl_ms : -1, .warning = STR_EMPTY};
    ret->items = arena_alloc(arena, sizeof(struct str) * ARRAY_LEN(s->tools));
    while (ret->n < ARRAY_LEN(s->tools) && s->tools[ret->n]) {
        ret->items[ret->n] = str_z(s->tools[ret->n]);
        ret->n++;
    }
    return 0;
}

int mcp_client_call(struct mcp_client *c, const struct mcp_call *call, struct arena *arena,
                    struct mcp_call_result *ret, struct err *err) {
    (void)arena;
    c->server->calls++;
    c->record->calls++;
    if (pass(c->server->call_waits, c->server->call_fails, "calling", err) < 0) {
        return -(int)err->code;
    }
    *ret = (struct mcp_call_result){.json = call->tool};
    return 0;
}

struct fake_client *fake_client(const char *server, const char *header) {
    for (size_t i = fakes.n_clients; i-- > 0;) {
        struct fake_client *c = &fakes.clients[i];
        if (strcmp(c->server, server) == 0 && strstr(c->header, header)) {
            return c;
        }
    }
    return NULL;
}

unsigned fake_clients_open(void) {
    unsigned n = 0;
    for (size_t i = 0; i < fakes.n_clients; i++) {
        n += !fakes.clients[i].freed;
    }
    return n;
}

void fake_tools_changed(const char *server) {
    for (size_t i = 0; i < fakes.n_clients; i++) {
        struct mcp_client *c = fakes.clients[i].client;
        if (c && strcmp(fakes.clients[i].server, server) == 0) {
            c->on_tools_changed(c->on_tools_changed_arg);
        }
    }
}

/* ---- the vault ---- */

void fake_credential(const char *user, const char *service, const char *value) {
    static int64_t now_us = 1000;
    struct fake_credential *free_one = NULL;
    for (size_t i = 0; i < ARRAY_LEN(fakes.vault); i++) {
        struct fake_credential *c = &fakes.vault[i];
        bool same = c->user && strcmp(c->user, user) == 0 && strcmp(c->service, service) == 0;
        if (same || (!c->user && !free_one)) {
            free_one = c;
        }
        if (same) {
            break;
        }
    }
    *free_one = value ? (struct fake_credential){user, service, value, now_us++}
                      : (struct fake_credential){0};
    fakes.epoch++;
}

uint64_t user_epoch(const struct user_epochs *e, struct str user_id) {
    (void)e;
    (void)user_id;
    return fakes.epoch;
}

int vault_list(struct vault *v, struct str user_id, struct arena *arena, struct vault_entry **ret,
               size_t *ret_n, struct err *err) {
    struct vault_entry *all = arena_alloc(arena, sizeof *all * ARRAY_LEN(fakes.vault));
    (void)v;
    fakes.vault_reads++;
    if (pass(false, fakes.vault_fails, "the vault", err) < 0) {
        return -(int)err->code;
    }
    *ret_n = 0;
    for (size_t i = 0; i < ARRAY_LEN(fakes.vault); i++) {
        const struct fake_credential *c = &fakes.vault[i];
        if (c->user && str_eq(str_z(c->user), user_id)) {
            all[(*ret_n)++] =
                (struct vault_entry){.service = str_z(c->service), .updated_us = c->updated_us};
        }
    }
    *ret = all;
    return 0;
}

int vault_get(struct vault *v, struct str user_id, struct str service, struct secret **ret,
              struct vault_entry *ret_entry, struct arena *arena, struct err *err) {
    (void)v;
    (void)arena;
    if (pass(false, fakes.vault_fails, "the vault", err) < 0) {
        return -(int)err->code;
    }
    for (size_t i = 0; i < ARRAY_LEN(fakes.vault); i++) {
        const struct fake_credential *c = &fakes.vault[i];
        if (c->user && str_eq(str_z(c->user), user_id) && str_eq(str_z(c->service), service)) {
            *ret = secret_new(str_z(c->value));
            *ret_entry = (struct vault_entry){.service = service, .updated_us = c->updated_us};
            return 0;
        }
    }
    return err_set(err, ERR_NOT_FOUND, "there is no such credential");
}

/* ---- OAuth: none ---- */

struct authorizer *authorizer_new(struct authorizers *a, struct str user_id, struct str server) {
    (void)a;
    (void)user_id;
    (void)server;
    return NULL;
}

void authorizer_free(struct authorizer *a) {
    (void)a;
}

struct mcp_authorizer authorizer_hooks(struct authorizer *a) {
    (void)a;
    return (struct mcp_authorizer){0};
}

int authorizer_look(struct authorizer *a, struct authorizer_state *ret, struct err *err) {
    (void)a;
    (void)err;
    *ret = (struct authorizer_state){0};
    return 0;
}

void authorizers_define(struct authorizers *a, const struct authorizer_server *server) {
    (void)a;
    (void)server;
}
