#include "mcp/authorizer.h"

#include <assert.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/mem.h"
#include "mcp/authorizer_internal.h"

enum {
    EXPIRES_SOON_US = 30 * 1000000, /* a token is renewed this long before its end */
    LOCK_TIMEOUT_MS = 60 * 1000,
    SAVES = 3,
    SAVE_AGAIN_MS = 250,
    MAX_PLAIN_SERVICE = VAULT_MAX_SERVICE_BYTES - 8,
};

/* ---- the servers ---- */

/* The vault's names are narrower than those of servers. */
static struct str service_of(struct str server, struct arena *arena) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz0123456789_.-";
    char hex[SHA256_HEX + 1], safe[33];
    bool fits = server.n <= MAX_PLAIN_SERVICE;
    for (size_t i = 0; i < server.n; i++) {
        fits &= server.p[i] && strchr(plain, server.p[i]);
    }
    if (fits) {
        return arena_printf(arena, "mcp:%.*s", STR_ARG(server));
    }
    size_t n = MIN(server.n, sizeof safe - 1);
    for (size_t i = 0; i < n; i++) {
        char c =
            server.p[i] >= 'A' && server.p[i] <= 'Z' ? (char)(server.p[i] | 0x20) : server.p[i];
        safe[i] = c && strchr(plain, c) ? c : '_';
    }
    safe[n] = '\0';
    crypto_sha256_hex(server, hex);
    return arena_printf(arena, "mcp:%s:%.16s", safe, hex);
}

static void free_defined(struct defined *d) {
    if (d) {
        secret_free(take(d->client_secret));
        arena_done(&d->arena);
        mem_free(d);
    }
}

void authorizers_define(struct authorizers *a, const struct authorizer_server *server) {
    struct defined *d = mem_alloc(sizeof *d);
    d->name = arena_str(&d->arena, server->name);
    d->url = arena_str(&d->arena, server->url);
    d->client_id = arena_str(&d->arena, server->client_id);
    d->issuer = arena_str(&d->arena, server->issuer);
    d->scope = arena_str(&d->arena, server->scope);
    d->service = service_of(server->name, &d->arena);
    d->client_secret = secret_dup(server->client_secret);
    free_defined(map_remove(&a->servers, server->name));
    map_put(&a->servers, server->name, d);
}

const struct defined *authorizers_server(const struct authorizers *a, struct str name) {
    return map_get(&a->servers, name);
}

bool authorizers_knows(const struct authorizers *a, struct str server) {
    return authorizers_server(a, server) != NULL;
}

static char *print_z(const char *base, const char *path) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(AUTHORIZER_MAX_URL_BYTES);
    strbuf_addz(&out, base);
    strbuf_addz(&out, path);
    return str_dup_z(strbuf_str(&out));
}

struct authorizers *authorizers_new(const struct authorizers_options *options) {
    struct authorizers *a = mem_alloc(sizeof *a);
    struct str url = options->public_url;
    while (url.n && url.p[url.n - 1] == '/') {
        url.n--;
    }
    a->vault = options->vault;
    a->feed = options->feed;
    a->epochs = options->epochs;
    a->db = options->db;
    a->public_url = str_dup_z(url);
    a->redirect_uri = print_z(a->public_url, "/oauth/callback");
    bool https = str_eq_nocase(str_head(url, 8), STR("https://"));
    a->document_url =
        https ? print_z(a->public_url, "/oauth/client-metadata.json") : str_dup_z(STR_EMPTY);
    fiber_scope_init(&a->refreshes);
    return a;
}

static void free_server(struct str key, void *value, void *arg) {
    (void)key;
    (void)arg;
    free_defined(value);
}

void authorizers_free(struct authorizers *a) {
    if (!a) {
        return;
    }
    fiber_scope_done(&a->refreshes);
    assert(map_count(&a->grants) == 0);
    map_each(&a->servers, free_server, NULL);
    map_done(&a->servers);
    map_done(&a->grants);
    mem_free(a->public_url);
    mem_free(a->redirect_uri);
    mem_free(a->document_url);
    mem_free(a);
}

/* ---- grants ---- */

struct grant *grant_ref(struct authorizers *a, struct str user_id, struct str server) {
    struct strbuf key cleanup(strbuf_done) = STRBUF(8192);
    strbuf_addf(&key, "%zu:%.*s%.*s", user_id.n, STR_ARG(user_id), STR_ARG(server));
    assert(!key.failed);
    struct grant *g = map_get(&a->grants, strbuf_str(&key));
    if (!g) {
        g = mem_alloc(sizeof *g);
        g->owner = a;
        g->user_id = str_dup_z(user_id);
        g->server = str_dup_z(server);
        g->key = str_dup_z(strbuf_str(&key));
        fiber_cond_init(&g->unlocked);
        map_put(&a->grants, str_z(g->key), g);
    }
    g->refs++;
    return g;
}

void grant_unref(struct grant *g) {
    if (!g || --g->refs > 0) {
        return;
    }
    map_remove(&g->owner->grants, str_z(g->key));
    record_done(&g->record);
    arena_done(&g->challenge_arena);
    mem_free(g->user_id);
    mem_free(g->server);
    mem_free(g->key);
    mem_free(g);
}

void grant_unref_p(struct grant **g) {
    grant_unref(*g);
}

int grant_lock(struct grant *g, struct err *err) {
    int64_t end_us = clock_mono_us() + LOCK_TIMEOUT_MS * INT64_C(1000);
    fiber_point();
    while (g->locked) {
        int rc = fiber_wait(&g->unlocked, MAX(end_us - clock_mono_us(), 1) / 1000 + 1);
        if (rc < 0) {
            return err_set(err, (enum err_code) - rc, "waiting for the tokens of %s", g->server);
        }
    }
    g->locked = true;
    return 0;
}

void grant_unlock(struct grant *g) {
    g->locked = false;
    fiber_broadcast(&g->unlocked);
}

void grant_unlock_p(struct grant **g) {
    if (*g) {
        grant_unlock(*g);
    }
}

const struct defined *grant_server(const struct grant *g) {
    return authorizers_server(g->owner, str_z(g->server));
}

bool grant_is_fresh(const struct grant *g) {
    return g->loaded && g->epoch == user_epoch(g->owner->epochs, str_z(g->user_id));
}

bool grant_has_token(const struct grant *g) {
    return g->record.access && !g->record.dead && str_eq(g->record.url, grant_server(g)->url);
}

void grant_keep(struct grant *g, struct str actor) {
    struct err err;
    if (grant_save(g, actor, &err) < 0) {
        log_error("mcp", "tokens are not stored server=%s: %s", g->server, err.msg);
    }
}

int grant_load(struct grant *g, bool even_if_fresh, struct err *err) {
    struct authorizers *a = g->owner;
    struct arena arena cleanup(arena_done) = {0};
    struct secret *value cleanup(secret_free_p) = NULL;
    struct vault_entry entry;
    if (g->unsaved) {
        grant_keep(g, STR_EMPTY); /* till then memory is what counts */
        return 0;
    }
    if (grant_is_fresh(g) && !even_if_fresh) {
        return 0;
    }
    uint64_t epoch = user_epoch(a->epochs, str_z(g->user_id));
    int rc = vault_get(a->vault, str_z(g->user_id), grant_server(g)->service, &value, &entry,
                       &arena, err);
    if (rc < 0 && err->code != ERR_NOT_FOUND) {
        return err_prefix(err, "the tokens of %s", g->server);
    }
    record_done(&g->record);
    if (rc == 0) {
        record_read(secret_reveal(value), &g->record);
    }
    g->loaded = true;
    g->epoch = epoch;
    return 0;
}

int grant_save(struct grant *g, struct str actor, struct err *err) {
    struct authorizers *a = g->owner;
    struct strbuf json cleanup(secret_strbuf_done) = STRBUF(RECORD_MAX_BYTES);
    const struct vault_entry entry = {
        .service = grant_server(g)->service,
        .scopes = g->record.scope,
        .expires_us = g->record.refresh ? 0 : g->record.expires_us,
        .actor = actor,
    };
    (void)strbuf_room(&json, RECORD_MAX_BYTES);
    record_write(&g->record, &json);
    g->unsaved = true;
    if (strbuf_check(&json, "the tokens", err) < 0) {
        g->unsaved = false;
        return -(int)err->code;
    }
    for (int i = 0;; i++) {
        if (vault_put(a->vault, str_z(g->user_id), &entry, strbuf_str(&json), err) == 0) {
            g->unsaved = false;
            feed_settings(a->feed, str_z(g->user_id), FEED_CONNECTIONS);
            return 0;
        }
        if (i + 1 == SAVES || fiber_sleep(SAVE_AGAIN_MS) < 0) {
            return -(int)err->code;
        }
    }
}

bool grant_client(const struct grant *g, struct str issuer, struct str client_id,
                  struct oauth_client *ret) {
    const struct defined *server = grant_server(g);
    const struct record_client *c = record_client_of(&g->record, issuer, client_id);
    if (!c) {
        return false;
    }
    /* The operator's secret stands in the definition alone; users may not have it. */
    bool own = str_eq(client_id, server->client_id) &&
               (!server->issuer.n || str_eq(server->issuer, issuer));
    *ret = c->client;
    ret->secret = secret_dup(own ? server->client_secret : c->client.secret);
    return ret->secret || ret->method == OAUTH_NONE;
}

/* ---- what a client asks ---- */

struct authorizer {
    struct grant *grant;
};

static int load_quickly(struct grant *g, struct err *err) {
    if (grant_is_fresh(g) && !g->unsaved) {
        return 0;
    }
    if (grant_lock(g, err) < 0) {
        return -(int)err->code;
    }
    int rc = grant_load(g, false, err);
    grant_unlock(g);
    return rc;
}

static bool expires_before(const struct grant *g, int64_t at_us) {
    return g->record.expires_us && g->record.expires_us <= at_us;
}

static int hook_token(void *arg, struct secret **ret, struct err *err) {
    struct grant *g = ((struct authorizer *)arg)->grant;
    uint64_t round = g->round;
    if (load_quickly(g, err) < 0) {
        return -(int)err->code;
    }
    if (grant_has_token(g) && g->record.refresh &&
        expires_before(g, clock_now_us() + EXPIRES_SOON_US)) {
        struct secret *used cleanup(secret_free_p) = secret_dup(g->record.access);
        if (grant_renew(g, used, round, err) < 0 && err->code != ERR_UNAUTHORIZED &&
            expires_before(g, clock_now_us())) {
            return -(int)err->code;
        }
    }
    *ret = grant_has_token(g) ? secret_dup(g->record.access) : NULL;
    return 0;
}

/* 403: the token is good, but not for this. */
static int want_more(struct grant *g, const struct oauth_challenge *challenge, struct err *err) {
    struct record *r = &g->record;
    struct arena arena cleanup(arena_done) = {0};
    struct str wanted = oauth_scope_union(r->wanted, challenge->scope, &arena);
    struct str granted = oauth_scope_union(r->scope, challenge->scope, &arena);
    bool had_it = str_eq(granted, oauth_scope_union(r->scope, STR_EMPTY, &arena));
    if (had_it && r->step_ups >= OAUTH_MAX_STEP_UPS) {
        return err_set(err, ERR_UNAUTHORIZED,
                       "%s wants more permissions, also after they were given %d times", g->server,
                       OAUTH_MAX_STEP_UPS);
    }
    if (!str_eq(wanted, r->wanted) || (!had_it && r->step_ups)) {
        record_set(r, &r->wanted, wanted);
        r->step_ups = had_it ? r->step_ups : 0;
        grant_keep(g, STR_EMPTY); /* without it, the server is asked again after the consent */
    }
    return grant_ask_user(g, err, "needs further permissions");
}

static void remember(struct grant *g, const struct oauth_challenge *challenge) {
    arena_done(&g->challenge_arena);
    g->challenge = (struct oauth_challenge){
        .bearer = challenge->bearer,
        .resource_metadata = arena_str(&g->challenge_arena, challenge->resource_metadata),
        .scope = arena_str(&g->challenge_arena, challenge->scope),
        .error = STR_EMPTY,
    };
}

static int hook_challenged(void *arg, const struct secret *used, int status,
                           struct str www_authenticate, struct err *err) {
    struct grant *g = ((struct authorizer *)arg)->grant;
    struct arena arena cleanup(arena_done) = {0};
    struct oauth_challenge challenge;
    uint64_t round = g->round;
    oauth_challenge_parse(www_authenticate, &arena, &challenge);
    remember(g, &challenge);
    if (load_quickly(g, err) < 0) {
        return -(int)err->code;
    }
    if (!grant_has_token(g)) {
        return grant_ask_to_connect(g, err);
    }
    if (!used || !str_eq(secret_reveal(used), secret_reveal(g->record.access))) {
        return 0;
    }
    if (status != 403) {
        return grant_renew(g, used, round, err);
    }
    if (!str_eq(challenge.error, STR("insufficient_scope"))) {
        return err_set(err, ERR_UNAUTHORIZED, "%s does not permit this", g->server);
    }
    if (grant_lock(g, err) < 0) {
        return -(int)err->code;
    }
    int rc = want_more(g, &challenge, err);
    grant_unlock(g);
    return rc;
}

struct authorizer *authorizer_new(struct authorizers *a, struct str user_id, struct str server) {
    assert(authorizers_knows(a, server));
    struct authorizer *authorizer = mem_alloc(sizeof *authorizer);
    authorizer->grant = grant_ref(a, user_id, server);
    return authorizer;
}

void authorizer_free(struct authorizer *a) {
    if (a) {
        grant_unref(a->grant);
        mem_free(a);
    }
}

struct mcp_authorizer authorizer_hooks(struct authorizer *a) {
    return (struct mcp_authorizer){.token = hook_token, .challenged = hook_challenged, .arg = a};
}

int authorizer_look(struct authorizer *a, struct authorizer_state *ret, struct err *err) {
    struct grant *g = a->grant;
    if (load_quickly(g, err) < 0) {
        return -(int)err->code;
    }
    *ret = (struct authorizer_state){.connected = grant_has_token(g), .expired = g->record.dead};
    if (ret->connected) {
        ret->grant = g->record.grant;
    }
    return 0;
}
