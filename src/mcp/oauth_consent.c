/* The way to the user's consent and back. */
#include "base/crypto.h"
#include "mcp/oauth_internal.h"

/* ---- PKCE ---- */

static void base64url(const void *data, size_t n, char ret[OAUTH_VERIFIER_LEN + 1]) {
    struct strbuf text cleanup(secret_strbuf_done) = STRBUF(64);
    crypto_base64url(&text, (struct str){data, n});
    memcpy(ret, strbuf_z(&text), OAUTH_VERIFIER_LEN + 1);
}

void oauth_pkce_challenge(struct str verifier, char ret[OAUTH_VERIFIER_LEN + 1]) {
    uint8_t digest[SHA256_BYTES];
    crypto_sha256(verifier, digest);
    base64url(digest, sizeof digest, ret);
}

void oauth_pkce_make(struct oauth_pkce *ret) {
    uint8_t random[32];
    crypto_random(random, sizeof random);
    base64url(random, sizeof random, ret->verifier);
    secret_wipe(random, sizeof random);
    oauth_pkce_challenge(str_z(ret->verifier), ret->challenge);
}

/* ---- scopes ---- */

bool oauth_scope_contains(struct str scope, struct str word) {
    while (scope.n) {
        if (str_eq(str_cut(&scope, ' '), word)) {
            return true;
        }
    }
    return false;
}

static void add_words(struct strbuf *out, struct str words) {
    while (words.n) {
        struct str word = str_cut(&words, ' ');
        if (word.n && !oauth_scope_contains(strbuf_str(out), word)) {
            strbuf_addz(out, out->n ? " " : "");
            strbuf_add(out, word);
        }
    }
}

struct str oauth_scope_union(struct str a, struct str b, struct arena *arena) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(OAUTH_MAX_SCOPE_BYTES);
    add_words(&out, a);
    struct str first = arena_str(arena, strbuf_str(&out));
    add_words(&out, b);
    return out.failed ? first : arena_str(arena, strbuf_str(&out));
}

struct str oauth_scope_select(const struct oauth_server *server, struct str challenged,
                              struct str before, struct arena *arena) {
    struct str scope = challenged.n                  ? challenged
                       : server->has_resource_scopes ? server->resource_scopes
                                                     : STR_EMPTY;
    if (scope.n == 0) {
        return before;
    }
    if (server->offline_access) {
        scope = oauth_scope_union(scope, STR("offline_access"), arena);
    }
    return oauth_scope_union(before, scope, arena);
}

/* ---- there ---- */

int oauth_authorization_url(const struct oauth_server *server, const struct oauth_authorization *a,
                            struct strbuf *ret, struct err *err) {
    struct str endpoint = server->authorization_endpoint;
    if (endpoint.n == 0) {
        return err_set(err, ERR_PROTOCOL, "the authorization server has no place for users");
    }
    strbuf_reset(ret);
    strbuf_add(ret, endpoint);
    if (str_find_char(endpoint, '?') == SIZE_MAX) {
        strbuf_addc(ret, '?');
    }
    oauth_form_add(ret, "response_type", STR("code"));
    oauth_form_add(ret, "client_id", a->client_id);
    oauth_form_add(ret, "redirect_uri", a->redirect_uri);
    oauth_form_add(ret, "state", a->state);
    oauth_form_add(ret, "code_challenge", a->code_challenge);
    oauth_form_add(ret, "code_challenge_method", STR("S256"));
    if (a->scope.n) {
        oauth_form_add(ret, "scope", a->scope);
    }
    if (oauth_scope_contains(a->scope, STR("offline_access"))) {
        oauth_form_add(ret, "prompt", STR("consent")); /* OpenID Connect wants it for that scope */
    }
    if (server->resource.n) {
        oauth_form_add(ret, "resource", server->resource);
    }
    return strbuf_check(ret, "the authorization address", err);
}

/* ---- and back ---- */

int oauth_response_check(struct str issuer, bool iss_supported, struct str iss, struct err *err) {
    if (iss.n == 0 && iss_supported) {
        return err_set(err, ERR_INVALID, "the answer does not say which server it comes from");
    }
    if (iss.n && !str_eq(iss, issuer)) {
        return err_set(err, ERR_INVALID, "the answer comes from another authorization server");
    }
    return 0;
}
