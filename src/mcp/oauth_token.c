/* The token endpoint. What comes out is secret, and so is every buffer on the way. */
#include "base/clock.h"
#include "base/crypto.h"
#include "mcp/oauth_internal.h"

enum { MAX_FORM_BYTES = 64 * 1024, MAX_EXPIRES_S = 10 * 365 * 86400 };

#define FORM_TYPE "application/x-www-form-urlencoded"
#define JWT_BEARER STR("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")

void oauth_tokens_done(struct oauth_tokens *t) {
    secret_free(take(t->access));
    secret_free(take(t->refresh));
}

/* ---- asking ---- */

static struct secret *basic(const struct oauth_client *c) {
    struct strbuf pair cleanup(secret_strbuf_done) = STRBUF(MAX_FORM_BYTES);
    struct strbuf field cleanup(secret_strbuf_done) = STRBUF(2 * MAX_FORM_BYTES);
    (void)strbuf_room(&pair, 4096); /* growing would leave copies behind */
    (void)strbuf_room(&field, 8192);
    oauth_form_encode(&pair, c->id); /* RFC 6749, 2.3.1 */
    strbuf_addc(&pair, ':');
    oauth_form_encode(&pair, secret_reveal(c->secret));
    strbuf_addz(&field, "Basic ");
    crypto_base64(&field, strbuf_str(&pair));
    return secret_new(strbuf_str(&field));
}

/* Adds what proves who the client is, to the form or as a header. */
static int authenticate(const struct oauth_grant *g, struct strbuf *form, struct secret **ret_basic,
                        struct err *err) {
    const struct oauth_client *c = g->client;
    switch (c->method) {
    case OAUTH_CLIENT_SECRET_BASIC:
        *ret_basic = basic(c);
        return 0;
    case OAUTH_CLIENT_SECRET_POST:
        oauth_form_add(form, "client_id", c->id);
        oauth_form_add(form, "client_secret", secret_reveal(c->secret));
        return 0;
    case OAUTH_PRIVATE_KEY_JWT: {
        struct strbuf jwt cleanup(secret_strbuf_done) = STRBUF(OAUTH_MAX_TOKEN_BYTES);
        if (oauth_jwt_sign(secret_reveal(c->secret), c->id, g->issuer, &jwt, err) < 0) {
            return -(int)err->code;
        }
        oauth_form_add(form, "client_assertion_type", JWT_BEARER);
        oauth_form_add(form, "client_assertion", strbuf_str(&jwt));
        return 0;
    }
    case OAUTH_NONE:
    case OAUTH_METHODS:
        break;
    }
    oauth_form_add(form, "client_id", c->id);
    return 0;
}

/* RFC 6749, 5.2. Of the words of the answer only the code is passed on: descriptions may repeat
 * what was sent. */
static int refused(int status, const json_t *answer, struct err *err) {
    struct str code = json_str(answer, "error");
    for (size_t i = 0; i < code.n; i++) {
        if (!(code.p[i] >= 'a' && code.p[i] <= 'z') && code.p[i] != '_') {
            code = STR_EMPTY;
        }
    }
    code = str_head(code, 40);
    if (str_eq(code, STR("invalid_grant"))) {
        return err_set(err, ERR_UNAUTHORIZED, "the authorization is not valid (any more)");
    }
    if (str_eq(code, STR("invalid_client")) || str_eq(code, STR("unauthorized_client"))) {
        return err_set(err, ERR_FORBIDDEN, "the authorization server does not know us (%.*s)",
                       STR_ARG(code));
    }
    if (status == 429 || status >= 500 || str_eq(code, STR("temporarily_unavailable"))) {
        return err_set(err, ERR_UNAVAILABLE, "the authorization server answers %d", status);
    }
    return err_set(err, ERR_PROTOCOL, "the authorization server refused: %d %.*s", status,
                   STR_ARG(code));
}

static bool token_ok(struct str token) {
    for (size_t i = 0; i < token.n; i++) {
        if (token.p[i] <= ' ' || token.p[i] > '~') {
            return false; /* it becomes a header's value */
        }
    }
    return token.n > 0 && token.n <= OAUTH_MAX_TOKEN_BYTES;
}

static int read_tokens(const json_t *answer, struct arena *arena, struct oauth_tokens *ret,
                       struct err *err) {
    struct str access = json_str(answer, "access_token"),
               refresh = json_str(answer, "refresh_token"), type = json_str(answer, "token_type"),
               scope = json_str(answer, "scope");
    if (!token_ok(access) || (refresh.n && !token_ok(refresh))) {
        return err_set(err, ERR_PROTOCOL, "the authorization server gave no usable token");
    }
    if (type.n && !str_eq_nocase(type, STR("Bearer"))) {
        return err_set(err, ERR_PROTOCOL, "the authorization server gave a token of another type");
    }
    /* Some write the number as a string. */
    int64_t expires_s = json_int(answer, "expires_in", 0);
    (void)str_to_i64(json_str(answer, "expires_in"), &expires_s);
    *ret = (struct oauth_tokens){
        .access = secret_new(access),
        .refresh = refresh.n ? secret_new(refresh) : NULL,
        .scope = scope.n <= OAUTH_MAX_SCOPE_BYTES ? arena_str(arena, scope) : STR_EMPTY,
        .expires_us =
            expires_s > 0 && expires_s <= MAX_EXPIRES_S ? clock_now_us() + expires_s * 1000000 : 0,
    };
    return 0;
}

static int ask(const struct oauth_grant *g, struct strbuf *form, struct arena *arena,
               struct oauth_tokens *ret, struct err *err) {
    struct strbuf body cleanup(secret_strbuf_done) = STRBUF(OAUTH_MAX_DOCUMENT_BYTES);
    struct secret *authorization cleanup(secret_free_p) = NULL;
    json_auto_t *answer = NULL;
    struct err unread;
    int status;
    (void)strbuf_room(&body, OAUTH_MAX_DOCUMENT_BYTES - 1); /* growing would leave copies behind */
    if (g->resource.n) {
        oauth_form_add(form, "resource", g->resource);
    }
    if (authenticate(g, form, &authorization, err) < 0 ||
        strbuf_check(form, "the token request", err) < 0) {
        return -(int)err->code;
    }
    if (oauth_fetch(g->token_endpoint, FORM_TYPE, strbuf_str(form), authorization, &status, &body,
                    err) < 0) {
        return err_prefix(err, "asking for a token");
    }
    bool read = json_read(strbuf_str(&body), &answer, &unread) == 0;
    /* Some refuse with 200. */
    if (status != 200 || (read && json_object_get(answer, "error"))) {
        return refused(status, answer, err);
    }
    if (!read) {
        return err_set(err, ERR_PROTOCOL, "the authorization server's answer is no JSON");
    }
    return read_tokens(answer, arena, ret, err);
}

#define FORM STRBUF(MAX_FORM_BYTES)

static void form_begin(struct strbuf *form, struct str grant_type) {
    (void)strbuf_room(form, MAX_FORM_BYTES / 2);
    oauth_form_add(form, "grant_type", grant_type);
}

int oauth_exchange(const struct oauth_grant *g, struct str code, struct str verifier,
                   struct str redirect_uri, struct arena *arena, struct oauth_tokens *ret,
                   struct err *err) {
    struct strbuf form cleanup(secret_strbuf_done) = FORM;
    form_begin(&form, STR("authorization_code"));
    oauth_form_add(&form, "code", code);
    oauth_form_add(&form, "redirect_uri", redirect_uri);
    oauth_form_add(&form, "code_verifier", verifier);
    return ask(g, &form, arena, ret, err);
}

int oauth_refresh(const struct oauth_grant *g, const struct secret *refresh_token,
                  struct arena *arena, struct oauth_tokens *ret, struct err *err) {
    struct strbuf form cleanup(secret_strbuf_done) = FORM;
    form_begin(&form, STR("refresh_token"));
    oauth_form_add(&form, "refresh_token", secret_reveal(refresh_token));
    if (ask(g, &form, arena, ret, err) < 0) {
        return -(int)err->code;
    }
    if (!ret->refresh) {
        ret->refresh = secret_dup(refresh_token);
    }
    return 0;
}

int oauth_client_credentials(const struct oauth_grant *g, struct str scope, struct arena *arena,
                             struct oauth_tokens *ret, struct err *err) {
    struct strbuf form cleanup(secret_strbuf_done) = FORM;
    form_begin(&form, STR("client_credentials"));
    if (scope.n) {
        oauth_form_add(&form, "scope", scope);
    }
    return ask(g, &form, arena, ret, err);
}
