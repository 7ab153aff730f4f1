/* The user's way to an authorization server and back. Nothing is kept meanwhile but the client's
 * registration: all that the callback needs comes back in the sealed state, to any process. */
#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "mcp/authorizer_internal.h"
#include "mcp/oauth_internal.h"
#include "net/http_client.h"

enum { MAX_STATE_BYTES = 6 * 1024, PROBE_TIMEOUT_MS = 15 * 1000 };

static const char state_purpose[] = "mcp authorization";

/* ---- what the server asks for ---- */

/* Any request will do: whoever guards a server does so before looking at what is asked. */
static int probe(const struct defined *server, struct arena *arena, struct oauth_challenge *ret,
                 bool *ret_refused, struct err *err) {
    static const struct http_client_field fields[] = {
        {"Content-Type", STR("application/json")},
        {"Accept", STR("application/json, text/event-stream")},
    };
    const struct http_call call = {
        .method = "POST",
        .url = arena_z(arena, server->url),
        .fields = fields,
        .n_fields = ARRAY_LEN(fields),
        .body = STR("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{}}"),
        .idle_timeout_ms = PROBE_TIMEOUT_MS,
        .total_timeout_ms = PROBE_TIMEOUT_MS,
    };
    struct http_reply *reply cleanup(http_reply_close_p) = NULL;
    if (http_call_open(&call, &reply, err) < 0) {
        return err_prefix(err, "%.*s", STR_ARG(server->name));
    }
    *ret_refused = http_reply_status(reply) == 401;
    struct str field = *ret_refused ? http_reply_header(reply, "WWW-Authenticate") : STR_EMPTY;
    oauth_challenge_parse(field, arena, ret);
    return 0;
}

static int discover(struct grant *g, const struct defined *server, struct arena *arena,
                    struct oauth_challenge *ret_challenge, struct oauth_server *ret,
                    struct err *err) {
    bool refused = false;
    if (probe(server, arena, ret_challenge, &refused, err) < 0) {
        return -(int)err->code;
    }
    if (!refused && g->challenge.bearer) {
        *ret_challenge = (struct oauth_challenge){
            .bearer = true,
            .resource_metadata = arena_str(arena, g->challenge.resource_metadata),
            .scope = arena_str(arena, g->challenge.scope)};
        refused = true;
    }
    if (oauth_discover(server->url, ret_challenge, arena, ret, err) < 0) {
        return err_prefix(err, "%.*s", STR_ARG(server->name));
    }
    if (!refused && ret->resource.n == 0) {
        return err_set(err, ERR_CONFLICT, "%.*s asks for no authorization", STR_ARG(server->name));
    }
    return 0;
}

/* ---- who we are there ---- */

static int make_client(const struct authorizers *a, const struct defined *server,
                       const struct oauth_server *found, struct arena *arena,
                       struct oauth_client *ret, struct err *err) {
    if (server->client_id.n) {
        *ret = (struct oauth_client){.id = server->client_id,
                                     .method =
                                         oauth_method_choose(found, server->client_secret != NULL)};
        return 0;
    }
    const struct oauth_identity me = {.name = STR("Adjutant"),
                                      .redirect_uri = str_z(a->redirect_uri),
                                      .document_url = str_z(a->document_url)};
    return oauth_register(found, &me, arena, ret, err) < 0
               ? err_prefix(err, "%.*s", STR_ARG(server->name))
               : 0;
}

/* The id of a client that can ask for consent now. */
static int find_client(struct grant *g, const struct defined *server,
                       const struct oauth_server *found, struct arena *arena, struct str *ret_id,
                       struct err *err) {
    struct str redirect = str_z(g->owner->redirect_uri);
    struct oauth_client made cleanup(oauth_client_done) = {0},
                             known cleanup(oauth_client_done) = {0};
    if (server->client_id.n && server->issuer.n && !str_eq(server->issuer, found->issuer)) {
        return err_set(err, ERR_PROTOCOL,
                       "%.*s names an authorization server that its client id is not for",
                       STR_ARG(server->name));
    }
    const struct record_client *c = record_find_client(&g->record, found->issuer, redirect);
    bool wanted = c && (!server->client_id.n || str_eq(c->client.id, server->client_id));
    if (wanted && grant_client(g, found->issuer, c->client.id, &known)) {
        *ret_id = arena_str(arena, c->client.id);
        return 0;
    }
    if (make_client(g->owner, server, found, arena, &made, err) < 0) {
        return -(int)err->code;
    }
    *ret_id = made.id;
    record_put_client(&g->record, found->issuer, redirect, &made);
    return grant_save(g, STR_EMPTY, err);
}

/* ---- the state ---- */

struct state {
    struct str user, server, url, verifier, client_id, redirect_uri, scope;
    struct oauth_server found; /* of it: resource, issuer, token_endpoint, iss_supported */
};

static void write_state(const struct state *s, struct strbuf *out) {
    struct jsonw w = jsonw_begin(out);
    jsonw_object(&w);
    jsonw_kstr(&w, "user", s->user);
    jsonw_kstr(&w, "server", s->server);
    jsonw_kstr(&w, "url", s->url);
    jsonw_kstr(&w, "verifier", s->verifier);
    jsonw_kstr(&w, "client_id", s->client_id);
    jsonw_kstr(&w, "redirect_uri", s->redirect_uri);
    jsonw_kstr(&w, "scope", s->scope);
    jsonw_kstr(&w, "resource", s->found.resource);
    jsonw_kstr(&w, "issuer", s->found.issuer);
    jsonw_kstr(&w, "token_endpoint", s->found.token_endpoint);
    jsonw_kbool(&w, "iss", s->found.iss_supported);
    jsonw_end_object(&w);
}

static struct str text(struct arena *arena, const json_t *object, const char *key) {
    return arena_str(arena, json_str(object, key));
}

static int read_state(const struct authorizers *a, struct str sealed, struct arena *arena,
                      struct state *ret, struct err *err) {
    struct strbuf plain cleanup(secret_strbuf_done) = STRBUF(MAX_STATE_BYTES);
    json_auto_t *object = NULL;
    (void)strbuf_room(&plain, MAX_STATE_BYTES);
    if (vault_unseal(a->vault, state_purpose, sealed, AUTHORIZER_STATE_AGE_S, &plain, err) < 0 ||
        json_read(strbuf_str(&plain), &object, err) < 0) {
        return err_set(err, ERR_INVALID,
                       "this answer belongs to no request of ours, or comes too "
                       "late");
    }
    *ret = (struct state){
        .user = text(arena, object, "user"),
        .server = text(arena, object, "server"),
        .url = text(arena, object, "url"),
        .verifier = text(arena, object, "verifier"),
        .client_id = text(arena, object, "client_id"),
        .redirect_uri = text(arena, object, "redirect_uri"),
        .scope = text(arena, object, "scope"),
        .found = {.resource = text(arena, object, "resource"),
                  .issuer = text(arena, object, "issuer"),
                  .token_endpoint = text(arena, object, "token_endpoint"),
                  .iss_supported = json_bool(object, "iss", false)},
    };
    return 0;
}

/* ---- there ---- */

static int write_url(struct grant *g, const struct defined *server,
                     const struct oauth_server *found, const struct oauth_challenge *challenge,
                     struct str client_id, struct arena *arena, struct strbuf *ret,
                     struct err *err) {
    const struct authorizers *a = g->owner;
    struct strbuf plain cleanup(secret_strbuf_done) = STRBUF(MAX_STATE_BYTES);
    struct strbuf sealed cleanup(strbuf_done) = STRBUF(AUTHORIZER_MAX_URL_BYTES);
    struct oauth_pkce pkce;
    oauth_pkce_make(&pkce);
    struct str before = oauth_scope_union(g->record.scope, g->record.wanted, arena);
    struct str asked = server->scope.n ? server->scope : challenge->scope;
    struct str scope = oauth_scope_select(found, asked, before, arena);
    const struct state state = {.user = str_z(g->user_id),
                                .server = server->name,
                                .url = server->url,
                                .verifier = str_z(pkce.verifier),
                                .client_id = client_id,
                                .redirect_uri = str_z(a->redirect_uri),
                                .scope = scope,
                                .found = *found};
    (void)strbuf_room(&plain, MAX_STATE_BYTES);
    write_state(&state, &plain);
    secret_wipe(pkce.verifier, sizeof pkce.verifier);
    if (strbuf_check(&plain, "the authorization's state", err) < 0 ||
        vault_seal(a->vault, state_purpose, strbuf_str(&plain), &sealed, err) < 0) {
        return -(int)err->code;
    }
    const struct oauth_authorization authorization = {.client_id = client_id,
                                                      .redirect_uri = str_z(a->redirect_uri),
                                                      .scope = scope,
                                                      .state = strbuf_str(&sealed),
                                                      .code_challenge = str_z(pkce.challenge)};
    return oauth_authorization_url(found, &authorization, ret, err);
}

static int make_url(struct grant *g, struct strbuf *ret, struct err *err) {
    struct arena arena cleanup(arena_done) = {0};
    const struct defined *server = authorizers_server(g->owner, str_z(g->server));
    struct str client_id = STR_EMPTY;
    struct oauth_challenge challenge;
    struct oauth_server found;
    if (!oauth_url_valid(str_z(g->owner->redirect_uri), true)) {
        return err_set(err, ERR_CONFLICT,
                       "ADJUTANT_PUBLIC_URL must be set to the https address of this instance");
    }
    if (grant_load(g, false, err) < 0 || discover(g, server, &arena, &challenge, &found, err) < 0 ||
        find_client(g, server, &found, &arena, &client_id, err) < 0) {
        return -(int)err->code;
    }
    return write_url(g, server, &found, &challenge, client_id, &arena, ret, err);
}

int authorizers_url(struct authorizers *a, struct str user_id, struct str server,
                    struct strbuf *ret_url, struct err *err) {
    if (!authorizers_knows(a, server)) {
        return err_set(err, ERR_NOT_FOUND, "there is no such server, or it needs no authorization");
    }
    struct grant *g cleanup(grant_unref_p) = grant_ref(a, user_id, server);
    if (grant_lock(g, err) < 0) {
        return -(int)err->code;
    }
    struct grant *locked cleanup(grant_unlock_p) = g;
    return make_url(locked, ret_url, err);
}

int authorizers_open_link(const struct authorizers *a, struct str link, struct arena *arena,
                          struct authorizer_visit *ret, struct err *err) {
    struct strbuf plain cleanup(strbuf_done) = STRBUF(4096);
    if (vault_unseal(a->vault, "mcp link", link, AUTHORIZER_LINK_AGE_S, &plain, err) < 0) {
        return err_set(err, ERR_INVALID, "the link is not ours, or is older than a day");
    }
    struct str rest = arena_str(arena, strbuf_str(&plain));
    int64_t n = -1;
    if (!str_to_i64(str_cut(&rest, ':'), &n) || n <= 0 || (size_t)n >= rest.n) {
        return err_set(err, ERR_INVALID, "the link is not ours");
    }
    ret->user_id = str_head(rest, (size_t)n);
    ret->server = str_skip(rest, (size_t)n);
    return authorizers_knows(a, ret->server)
               ? 0
               : err_set(err, ERR_NOT_FOUND, "there is no such server any more");
}

/* ---- and back ---- */

static int declined(struct str error, struct err *err) {
    if (str_eq(error, STR("access_denied"))) {
        return err_set(err, ERR_FORBIDDEN, "the permission was not given");
    }
    return err_set(err, ERR_FORBIDDEN, "the authorization server refused");
}

static int exchange(struct grant *g, const struct defined *server, const struct state *s,
                    struct str code, struct err *err) {
    struct arena arena cleanup(arena_done) = {0};
    struct oauth_client client cleanup(oauth_client_done) = {0};
    struct oauth_tokens tokens cleanup(oauth_tokens_done) = {0};
    struct record *r = &g->record;
    if (!grant_client(g, s->found.issuer, s->client_id, &client)) {
        return err_set(err, ERR_CONFLICT, "the connection was changed meanwhile");
    }
    const struct oauth_grant ask = {.issuer = s->found.issuer,
                                    .token_endpoint = s->found.token_endpoint,
                                    .resource = s->found.resource,
                                    .client = &client};
    if (oauth_exchange(&ask, code, s->verifier, s->redirect_uri, &arena, &tokens, err) < 0) {
        return -(int)err->code;
    }
    struct str scope = tokens.scope.n ? tokens.scope : s->scope;
    r->step_ups = r->wanted.n ? r->step_ups + 1 : 0;
    record_put_tokens(r, &tokens);
    r->grant = id_new();
    record_set(r, &r->scope, scope);
    record_set(r, &r->wanted, STR_EMPTY);
    record_set(r, &r->url, server->url);
    record_set(r, &r->client_id, s->client_id);
    record_set(r, &r->issuer, s->found.issuer);
    record_set(r, &r->token_endpoint, s->found.token_endpoint);
    record_set(r, &r->resource, s->found.resource);
    return 0;
}

/* A page that is loaded again must not spend its code again: servers take the tokens back then. */
static void digest_of(struct str state, char ret[17]) {
    char hex[SHA256_HEX + 1];
    crypto_sha256_hex(state, hex);
    memcpy(ret, hex, 16);
    ret[16] = '\0';
}

static int finish(struct grant *g, const struct defined *server, const struct state *s,
                  const struct authorizer_callback *callback, struct err *err) {
    char digest[sizeof g->record.finished];
    digest_of(callback->state, digest);
    if (grant_load(g, true, err) < 0) {
        return -(int)err->code;
    }
    if (strcmp(g->record.finished, digest) == 0) {
        return 0;
    }
    if (exchange(g, server, s, callback->code, err) < 0) {
        return -(int)err->code;
    }
    memcpy(g->record.finished, digest, sizeof digest);
    log_info("mcp", "a user has connected a server server=%s", g->server);
    return grant_save(g, str_z(g->user_id), err);
}

static int check_callback(const struct state *s, const struct defined *server,
                          const struct authorizer_callback *callback, struct err *err) {
    if (oauth_response_check(s->found.issuer, s->found.iss_supported && !callback->error.n,
                             callback->iss, err) < 0) {
        return -(int)err->code;
    }
    if (callback->error.n) {
        return declined(callback->error, err);
    }
    if (callback->code.n == 0) {
        return err_set(err, ERR_INVALID, "the answer holds no code");
    }
    return str_eq(server->url, s->url)
               ? 0
               : err_set(err, ERR_CONFLICT, "the server's address was changed meanwhile");
}

int authorizers_finish(struct authorizers *a, const struct authorizer_callback *callback,
                       struct arena *arena, struct authorizer_visit *ret, struct err *err) {
    struct state s = {0};
    *ret = (struct authorizer_visit){STR_EMPTY, STR_EMPTY};
    if (read_state(a, callback->state, arena, &s, err) < 0) {
        return -(int)err->code;
    }
    *ret = (struct authorizer_visit){s.user, s.server};
    const struct defined *server = authorizers_server(a, s.server);
    if (!server) {
        return err_set(err, ERR_NOT_FOUND, "there is no such server any more");
    }
    if (check_callback(&s, server, callback, err) < 0) {
        return -(int)err->code;
    }
    struct grant *g cleanup(grant_unref_p) = grant_ref(a, s.user, s.server);
    if (grant_lock(g, err) < 0) {
        return -(int)err->code;
    }
    fiber_shield_enter(); /* a browser that leaves must not cost the code, which counts once */
    int rc = finish(g, server, &s, callback, err);
    fiber_shield_leave();
    grant_unlock(g);
    return rc;
}

void authorizers_client_metadata(const struct authorizers *a, struct strbuf *out) {
    const struct oauth_identity me = {.name = STR("Adjutant"),
                                      .redirect_uri = str_z(a->redirect_uri),
                                      .document_url = str_z(a->document_url)};
    oauth_write_document(&me, out);
}
