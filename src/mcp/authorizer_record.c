/* One vault entry: a JSON object that is read as leniently as possible, since whoever put it there
 * may have been an older version, or the user by hand. */
#include "base/clock.h"
#include "mcp/authorizer_internal.h"
#include "mcp/oauth_internal.h"

void record_set(struct record *r, struct str *field, struct str value) {
    *field = arena_str(&r->arena, value);
}

void record_done(struct record *r) {
    for (size_t i = 0; i < r->n_clients; i++) {
        oauth_client_done(&r->clients[i].client);
    }
    secret_free(take(r->access));
    secret_free(take(r->refresh));
    arena_done(&r->arena);
    *r = (struct record){0};
}

/* ---- clients ---- */

const struct record_client *record_find_client(const struct record *r, struct str issuer,
                                               struct str redirect_uri) {
    for (size_t i = r->n_clients; i-- > 0;) {
        const struct record_client *c = &r->clients[i];
        bool over = c->client.secret_expires_us && c->client.secret_expires_us <= clock_now_us();
        if (str_eq(c->issuer, issuer) && str_eq(c->redirect_uri, redirect_uri) && !over) {
            return c;
        }
    }
    return NULL;
}

static bool is_client(const struct record_client *c, struct str issuer, struct str client_id) {
    return str_eq(c->issuer, issuer) && str_eq(c->client.id, client_id);
}

const struct record_client *record_client_of(const struct record *r, struct str issuer,
                                             struct str client_id) {
    for (size_t i = 0; i < r->n_clients; i++) {
        if (is_client(&r->clients[i], issuer, client_id)) {
            return &r->clients[i];
        }
    }
    return NULL;
}

static void drop_client_at(struct record *r, size_t i) {
    oauth_client_done(&r->clients[i].client);
    memmove(&r->clients[i], &r->clients[i + 1], (r->n_clients - i - 1) * sizeof r->clients[0]);
    r->n_clients--;
}

void record_drop_client(struct record *r, struct str issuer, struct str client_id) {
    for (size_t i = r->n_clients; i-- > 0;) {
        if (is_client(&r->clients[i], issuer, client_id)) {
            drop_client_at(r, i);
        }
    }
}

void record_put_client(struct record *r, struct str issuer, struct str redirect_uri,
                       struct oauth_client *client) {
    record_drop_client(r, issuer, client->id);
    for (size_t i = r->n_clients; i-- > 0;) {
        const struct record_client *c = &r->clients[i];
        bool same = str_eq(c->issuer, issuer) && str_eq(c->redirect_uri, redirect_uri);
        bool full = r->n_clients == RECORD_MAX_CLIENTS && i <= 1;
        if ((same || full) && !is_client(c, r->issuer, r->client_id)) {
            drop_client_at(r, i);
        }
    }
    r->clients[r->n_clients++] = (struct record_client){
        .issuer = arena_str(&r->arena, issuer),
        .redirect_uri = arena_str(&r->arena, redirect_uri),
        .client = {.id = arena_str(&r->arena, client->id),
                   .secret = take(client->secret),
                   .method = client->method,
                   .secret_expires_us = client->secret_expires_us},
    };
}

/* ---- tokens ---- */

void record_drop_tokens(struct record *r) {
    secret_free(take(r->access));
    secret_free(take(r->refresh));
    r->expires_us = 0;
}

void record_put_tokens(struct record *r, struct oauth_tokens *tokens) {
    record_drop_tokens(r);
    r->access = take(tokens->access);
    r->refresh = take(tokens->refresh);
    r->expires_us = tokens->expires_us;
    if (tokens->scope.n) {
        record_set(r, &r->scope, tokens->scope);
    }
    r->dead = false;
}

/* ---- reading ---- */

static struct str text(struct record *r, const json_t *object, const char *key) {
    struct str value = json_str(object, key);
    return value.n ? arena_str(&r->arena, value) : STR_EMPTY;
}

static struct secret *secret(const json_t *object, const char *key) {
    struct str value = json_str(object, key);
    return value.n ? secret_new(value) : NULL;
}

static void read_client(struct record *r, const json_t *value) {
    struct oauth_client client = {.id = text(r, value, "client_id"),
                                  .secret_expires_us =
                                      json_int(value, "client_secret_expires_us", 0)};
    if (client.id.n && r->n_clients < RECORD_MAX_CLIENTS &&
        oauth_method_parse(json_str(value, "method"), &client.method)) {
        client.secret = secret(value, "client_secret");
        r->clients[r->n_clients++] = (struct record_client){
            .issuer = text(r, value, "issuer"),
            .redirect_uri = text(r, value, "redirect_uri"),
            .client = client,
        };
    }
}

void record_read(struct str json, struct record *ret) {
    json_auto_t *object = NULL;
    const json_t *client;
    struct record r = {0};
    struct err err;
    size_t i;
    if (json_read(json, &object, &err) == 0) {
        (void)id_parse(json_str(object, "grant"), &r.grant);
        r.url = text(&r, object, "url");
        r.client_id = text(&r, object, "client_id");
        r.issuer = text(&r, object, "issuer");
        r.token_endpoint = text(&r, object, "token_endpoint");
        r.resource = text(&r, object, "resource");
        r.scope = text(&r, object, "scope");
        r.wanted = text(&r, object, "wanted_scope");
        r.step_ups = json_int(object, "step_ups", 0);
        r.dead = json_bool(object, "dead", false);
        r.access = secret(object, "access_token");
        r.refresh = secret(object, "refresh_token");
        r.expires_us = json_int(object, "expires_us", 0);
        struct str finished = str_head(json_str(object, "finished"), sizeof r.finished - 1);
        memcpy(r.finished, finished.n ? finished.p : "", finished.n);
        json_array_foreach (json_object_get(object, "clients"), i, client) {
            read_client(&r, client);
        }
    }
    *ret = r;
}

/* ---- writing ---- */

static void put(struct jsonw *w, const char *key, struct str value) {
    if (value.n) {
        jsonw_kstr(w, key, value);
    }
}

static void write_client(struct jsonw *w, const struct record_client *c) {
    jsonw_object(w);
    put(w, "issuer", c->issuer);
    put(w, "redirect_uri", c->redirect_uri);
    put(w, "client_id", c->client.id);
    put(w, "client_secret", secret_reveal(c->client.secret));
    jsonw_kstrz(w, "method", oauth_method_name(c->client.method));
    jsonw_kint(w, "client_secret_expires_us", c->client.secret_expires_us);
    jsonw_end_object(w);
}

void record_write(const struct record *r, struct strbuf *out) {
    struct jsonw w = jsonw_begin(out);
    jsonw_object(&w);
    put(&w, "grant", id_str(&r->grant));
    put(&w, "url", r->url);
    put(&w, "client_id", r->client_id);
    put(&w, "issuer", r->issuer);
    put(&w, "token_endpoint", r->token_endpoint);
    put(&w, "resource", r->resource);
    put(&w, "scope", r->scope);
    put(&w, "wanted_scope", r->wanted);
    jsonw_kint(&w, "step_ups", r->step_ups);
    jsonw_kbool(&w, "dead", r->dead);
    put(&w, "access_token", secret_reveal(r->access));
    put(&w, "refresh_token", secret_reveal(r->refresh));
    jsonw_kint(&w, "expires_us", r->expires_us);
    put(&w, "finished", str_z(r->finished));
    jsonw_key(&w, "clients");
    jsonw_array(&w);
    for (size_t i = 0; i < r->n_clients; i++) {
        write_client(&w, &r->clients[i]);
    }
    jsonw_end_array(&w);
    jsonw_end_object(&w);
}
