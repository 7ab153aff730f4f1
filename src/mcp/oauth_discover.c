/* Finding the authorization server: documents at well-known places, each believed only as far as it
 * speaks of whom we asked for. */
#include "mcp/oauth_internal.h"
#include "net/http_client.h"

/* ---- fetching ---- */

int oauth_fetch(struct str url, const char *content_type, struct str body,
                const struct secret *authorization, int *ret_status, struct strbuf *ret_body,
                struct err *err) {
    struct arena arena cleanup(arena_done) = {0};
    struct http_client_field fields[3] = {{"Accept", STR("application/json")}};
    size_t n = 1;
    if (content_type) {
        fields[n++] = (struct http_client_field){"Content-Type", str_z(content_type)};
    }
    if (authorization) {
        fields[n++] = (struct http_client_field){"Authorization", secret_reveal(authorization)};
    }
    const struct http_call call = {
        .method = content_type ? "POST" : "GET",
        .url = arena_z(&arena, url),
        .fields = fields,
        .n_fields = n,
        .body = body,
        .idle_timeout_ms = OAUTH_TIMEOUT_MS,
        .total_timeout_ms = OAUTH_TIMEOUT_MS,
        .follow_redirects = !content_type, /* what is posted is for this address alone */
    };
    return http_fetch(&call, OAUTH_MAX_DOCUMENT_BYTES, ret_status, ret_body, err);
}

/* *ret NULL: there is no such document. What a place answers to anything that is not there differs
 * widely: only what is plainly a failure of now is an error. */
static int fetch_json(struct str url, struct strbuf *body, bool *ret_found, struct err *err) {
    int status;
    strbuf_reset(body);
    if (oauth_fetch(url, NULL, STR_EMPTY, NULL, &status, body, err) < 0) {
        return -(int)err->code;
    }
    if (status >= 500 || status == 429) {
        return err_set(err, ERR_UNAVAILABLE, "%.*s answers %d", STR_ARG(str_head(url, 120)),
                       status);
    }
    struct str text = str_trim(strbuf_str(body));
    *ret_found = status == 200 && text.n && text.p[0] == '{';
    return 0;
}

/* ---- places ---- */

static struct str place(struct arena *arena, struct str origin, const char *well_known,
                        struct str path) {
    return arena_printf(arena, "%.*s/.well-known/%s%.*s", STR_ARG(origin), well_known,
                        STR_ARG(path));
}

static struct str without_last_slash(struct str path) {
    return path.n && path.p[path.n - 1] == '/' ? str_head(path, path.n - 1) : path;
}

void oauth_resource_places(struct str server_url, struct arena *arena,
                           struct str ret[OAUTH_RESOURCE_PLACES], size_t *ret_n) {
    struct oauth_uri u;
    *ret_n = 0;
    if (!oauth_uri_parse(server_url, &u)) {
        return;
    }
    struct str origin = oauth_uri_origin(&u, arena), path = without_last_slash(u.path);
    if (path.n) {
        ret[(*ret_n)++] = place(arena, origin, "oauth-protected-resource", path);
    }
    ret[(*ret_n)++] = place(arena, origin, "oauth-protected-resource", STR_EMPTY);
}

/* RFC 8414, then OpenID Connect with the path inserted, then with it in front. */
void oauth_metadata_places(struct str issuer, struct arena *arena,
                           struct str ret[OAUTH_METADATA_PLACES], size_t *ret_n) {
    struct oauth_uri u;
    *ret_n = 0;
    if (!oauth_uri_parse(issuer, &u)) {
        return;
    }
    struct str origin = oauth_uri_origin(&u, arena), path = without_last_slash(u.path);
    ret[(*ret_n)++] = place(arena, origin, "oauth-authorization-server", path);
    ret[(*ret_n)++] = place(arena, origin, "openid-configuration", path);
    if (path.n) {
        ret[(*ret_n)++] = arena_printf(arena, "%.*s%.*s/.well-known/openid-configuration",
                                       STR_ARG(origin), STR_ARG(path));
    }
}

/* ---- the documents ---- */

/* Strings of an array, space-separated; false when it is absent. */
static bool words(const json_t *document, const char *key, struct arena *arena, struct str *ret) {
    const json_t *array = json_object_get(document, key), *value;
    struct strbuf out cleanup(strbuf_done) = STRBUF(OAUTH_MAX_SCOPE_BYTES);
    size_t i;
    *ret = STR_EMPTY;
    if (!json_is_array(array)) {
        return false;
    }
    json_array_foreach ((json_t *)array, i, value) {
        struct str word = json_value_str(value);
        if (word.n && str_find_char(word, ' ') == SIZE_MAX) {
            strbuf_addz(&out, out.n ? " " : "");
            strbuf_add(&out, word);
        }
    }
    *ret = out.failed ? STR_EMPTY : arena_str(arena, strbuf_str(&out));
    return !out.failed;
}

/* The resource is the server's address, or a place above it. */
static bool resource_matches(struct str resource, struct str server_url) {
    struct oauth_uri r, s;
    if (!oauth_uri_parse(resource, &r) || !oauth_uri_parse(server_url, &s) ||
        !oauth_uri_same_origin(&r, &s)) {
        return false;
    }
    struct str path = without_last_slash(r.path);
    bool above = str_starts(s.path, path) && (s.path.n == path.n || s.path.p[path.n] == '/');
    return above && (r.query.n == 0 || str_eq(r.query, s.query));
}

int oauth_resource_read(struct str json, struct str server_url, struct arena *arena,
                        struct oauth_server *ret, struct err *err) {
    json_auto_t *document = NULL;
    if (json_read(json, &document, err) < 0) {
        err->code = ERR_PROTOCOL;
        return err_prefix(err, "the server's protected resource metadata");
    }
    struct str resource = json_str(document, "resource");
    if (!resource_matches(resource, server_url)) {
        return err_set(err, ERR_PROTOCOL,
                       "the server's protected resource metadata is for another resource: %.*s",
                       STR_ARG(str_head(resource, 80)));
    }
    const json_t *servers = json_object_get(document, "authorization_servers");
    struct str issuer = json_value_str(json_array_get(servers, 0));
    struct oauth_uri u;
    if (issuer.n == 0 && oauth_uri_parse(server_url, &u)) {
        issuer = oauth_uri_origin(&u, arena);
    }
    if (!oauth_url_valid(issuer, oauth_url_is_loopback(server_url))) {
        return err_set(err, ERR_PROTOCOL,
                       "the server names an authorization server that is not https");
    }
    ret->resource = arena_str(arena, resource);
    ret->issuer = arena_str(arena, issuer);
    ret->has_resource_scopes = words(document, "scopes_supported", arena, &ret->resource_scopes);
    return 0;
}

static unsigned read_methods(const json_t *document) {
    const json_t *array = json_object_get(document, "token_endpoint_auth_methods_supported"), *m;
    unsigned methods = 0;
    enum oauth_method method;
    size_t i;
    if (!json_is_array(array)) {
        return 1u << OAUTH_CLIENT_SECRET_BASIC; /* RFC 8414's default */
    }
    json_array_foreach ((json_t *)array, i, m) {
        if (oauth_method_parse(json_value_str(m), &method)) {
            methods |= 1u << method;
        }
    }
    return methods;
}

static bool has_word(const json_t *document, const char *key, const char *word) {
    const json_t *array = json_object_get(document, key), *value;
    size_t i;
    json_array_foreach ((json_t *)array, i, value) {
        if (str_eq(json_value_str(value), str_z(word))) {
            return true;
        }
    }
    return false;
}

int oauth_metadata_read(struct str json, struct str expected_issuer, bool loopback,
                        struct arena *arena, struct oauth_server *ret, struct err *err) {
    json_auto_t *document = NULL;
    if (json_read(json, &document, err) < 0) {
        err->code = ERR_PROTOCOL;
        return err_prefix(err, "the authorization server's metadata");
    }
    if (!str_eq(json_str(document, "issuer"), expected_issuer)) {
        return err_set(err, ERR_PROTOCOL,
                       "the authorization server's metadata is another issuer's than %.*s",
                       STR_ARG(str_head(expected_issuer, 100)));
    }
    struct str authorize = json_str(document, "authorization_endpoint"),
               token = json_str(document, "token_endpoint"),
               registration = json_str(document, "registration_endpoint");
    if (!oauth_url_valid(token, loopback) ||
        (authorize.n && !oauth_url_valid(authorize, loopback))) {
        return err_set(err, ERR_PROTOCOL, "the authorization server has endpoints without https");
    }
    if (authorize.n && !has_word(document, "code_challenge_methods_supported", "S256")) {
        return err_set(err, ERR_PROTOCOL, "the authorization server does not offer PKCE with S256");
    }
    ret->issuer = arena_str(arena, expected_issuer);
    ret->authorization_endpoint = arena_str(arena, authorize);
    ret->token_endpoint = arena_str(arena, token);
    ret->registration_endpoint =
        oauth_url_valid(registration, loopback) ? arena_str(arena, registration) : STR_EMPTY;
    ret->offline_access = has_word(document, "scopes_supported", "offline_access");
    ret->iss_supported =
        json_bool(document, "authorization_response_iss_parameter_supported", false);
    ret->metadata_document_supported =
        json_bool(document, "client_id_metadata_document_supported", false);
    ret->methods = read_methods(document);
    return 0;
}

/* ---- the search ---- */

static int find_resource(struct str server_url, const struct oauth_challenge *challenge,
                         struct arena *arena, struct strbuf *body, struct oauth_server *ret,
                         bool *ret_found, struct err *err) {
    struct str places[OAUTH_RESOURCE_PLACES] = {challenge->resource_metadata};
    size_t n = 1;
    if (places[0].n == 0) {
        oauth_resource_places(server_url, arena, places, &n);
    } else if (!oauth_url_valid(places[0], oauth_url_is_loopback(server_url))) {
        return err_set(err, ERR_PROTOCOL, "the server's resource_metadata is no https address");
    }
    *ret_found = false;
    for (size_t i = 0; i < n && !*ret_found; i++) {
        if (fetch_json(places[i], body, ret_found, err) < 0) {
            return err_prefix(err, "protected resource metadata");
        }
    }
    if (*ret_found) {
        return oauth_resource_read(strbuf_str(body), server_url, arena, ret, err);
    }
    return challenge->resource_metadata.n
               ? err_set(err, ERR_PROTOCOL, "the server's resource_metadata leads nowhere")
               : 0;
}

/* A server of 2025-03-26 without metadata has its endpoints at fixed places. */
static void assume_endpoints(struct arena *arena, struct oauth_server *ret) {
    struct str o = ret->issuer;
    ret->authorization_endpoint = arena_printf(arena, "%.*s/authorize", STR_ARG(o));
    ret->token_endpoint = arena_printf(arena, "%.*s/token", STR_ARG(o));
    ret->registration_endpoint = arena_printf(arena, "%.*s/register", STR_ARG(o));
    ret->methods =
        1u << OAUTH_CLIENT_SECRET_BASIC | 1u << OAUTH_CLIENT_SECRET_POST | 1u << OAUTH_NONE;
}

int oauth_discover(struct str server_url, const struct oauth_challenge *challenge,
                   struct arena *arena, struct oauth_server *ret, struct err *err) {
    struct strbuf body cleanup(strbuf_done) = STRBUF(OAUTH_MAX_DOCUMENT_BYTES);
    struct oauth_server found = {.resource = STR_EMPTY, .resource_scopes = STR_EMPTY};
    struct str places[OAUTH_METADATA_PLACES];
    struct oauth_uri u;
    size_t n;
    bool has_resource, has_metadata = false;
    if (!oauth_uri_parse(server_url, &u)) {
        return err_set(err, ERR_PROTOCOL, "the server's address is no http or https URL");
    }
    if (find_resource(server_url, challenge, arena, &body, &found, &has_resource, err) < 0) {
        return -(int)err->code;
    }
    if (!has_resource) {
        found.issuer = oauth_uri_origin(&u, arena);
    }
    bool loopback = oauth_url_is_loopback(server_url);
    if (!oauth_url_valid(found.issuer, loopback)) {
        return err_set(err, ERR_PROTOCOL, "authorization needs https");
    }
    oauth_metadata_places(found.issuer, arena, places, &n);
    for (size_t i = 0; i < n && !has_metadata; i++) {
        if (fetch_json(places[i], &body, &has_metadata, err) < 0) {
            return err_prefix(err, "authorization server metadata");
        }
    }
    if (has_metadata) {
        if (oauth_metadata_read(strbuf_str(&body), found.issuer, loopback, arena, &found, err) <
            0) {
            return -(int)err->code;
        }
    } else if (has_resource) {
        return err_set(err, ERR_PROTOCOL, "the authorization server %.*s has no metadata",
                       STR_ARG(str_head(found.issuer, 120)));
    } else {
        assume_endpoints(arena, &found);
    }
    *ret = found;
    return 0;
}
