/* Who we are at an authorization server: the client id metadata document, or RFC 7591. */
#include "mcp/oauth_internal.h"

enum { MAX_CLIENT_ID_BYTES = 2048, MAX_CLIENT_SECRET_BYTES = 8192, MAX_BODY_BYTES = 8192 };

static const char *const method_names[OAUTH_METHODS] = {
    [OAUTH_NONE] = "none",
    [OAUTH_CLIENT_SECRET_BASIC] = "client_secret_basic",
    [OAUTH_CLIENT_SECRET_POST] = "client_secret_post",
    [OAUTH_PRIVATE_KEY_JWT] = "private_key_jwt",
};

const char *oauth_method_name(enum oauth_method m) {
    return method_names[m];
}

bool oauth_method_parse(struct str name, enum oauth_method *ret) {
    for (int i = 0; i < OAUTH_METHODS; i++) {
        if (str_eq(name, str_z(method_names[i]))) {
            *ret = (enum oauth_method)i;
            return true;
        }
    }
    return false;
}

enum oauth_method oauth_method_choose(const struct oauth_server *server, bool has_secret) {
    if (!has_secret) {
        return OAUTH_NONE;
    }
    return !(server->methods & 1u << OAUTH_CLIENT_SECRET_BASIC) &&
                   server->methods & 1u << OAUTH_CLIENT_SECRET_POST
               ? OAUTH_CLIENT_SECRET_POST
               : OAUTH_CLIENT_SECRET_BASIC;
}

void oauth_client_done(struct oauth_client *c) {
    secret_free(take(c->secret));
}

/* ---- what we say of ourselves ---- */

static void write_metadata(struct jsonw *w, const struct oauth_identity *me,
                           enum oauth_method method) {
    jsonw_kstr(w, "client_name", me->name);
    jsonw_key(w, "redirect_uris");
    jsonw_array(w);
    jsonw_str(w, me->redirect_uri);
    jsonw_end_array(w);
    jsonw_kraw(w, "grant_types", STR("[\"authorization_code\",\"refresh_token\"]"));
    jsonw_kraw(w, "response_types", STR("[\"code\"]"));
    jsonw_kstrz(w, "token_endpoint_auth_method", oauth_method_name(method));
    jsonw_kstrz(w, "application_type", oauth_url_is_loopback(me->redirect_uri) ? "native" : "web");
}

void oauth_write_document(const struct oauth_identity *me, struct strbuf *out) {
    struct jsonw w = jsonw_begin(out);
    jsonw_object(&w);
    jsonw_kstr(&w, "client_id", me->document_url);
    write_metadata(&w, me, OAUTH_NONE);
    jsonw_end_object(&w);
}

/* ---- dynamic registration ---- */

static enum oauth_method method_to_ask_for(const struct oauth_server *server) {
    return server->methods & (1u << OAUTH_CLIENT_SECRET_BASIC | 1u << OAUTH_CLIENT_SECRET_POST)
               ? oauth_method_choose(server, true)
               : OAUTH_NONE;
}

static int read_registration(struct str text, const struct oauth_server *server,
                             enum oauth_method asked, struct arena *arena, struct oauth_client *ret,
                             struct err *err) {
    json_auto_t *answer = NULL;
    if (json_read(text, &answer, err) < 0) {
        err->code = ERR_PROTOCOL;
        return err_prefix(err, "the registration's answer");
    }
    struct str id = json_str(answer, "client_id"), secret = json_str(answer, "client_secret"),
               name = json_str(answer, "token_endpoint_auth_method");
    if (id.n == 0 || id.n > MAX_CLIENT_ID_BYTES || secret.n > MAX_CLIENT_SECRET_BYTES) {
        return err_set(err, ERR_PROTOCOL, "the registration gave no client id");
    }
    enum oauth_method method = asked;
    if (name.n) {
        bool known = oauth_method_parse(name, &method);
        if (!known || method == OAUTH_PRIVATE_KEY_JWT) {
            return err_set(err, ERR_PROTOCOL, "the registration wants %.*s, which is not offered",
                           STR_ARG(str_head(name, 40)));
        }
    }
    if (secret.n == 0) {
        method = OAUTH_NONE;
    } else if (method == OAUTH_NONE && !name.n && !(server->methods & 1u << OAUTH_NONE)) {
        method = oauth_method_choose(server, true);
    }
    int64_t expires_s = json_int(answer, "client_secret_expires_at", 0);
    *ret = (struct oauth_client){
        .id = arena_str(arena, id),
        .secret = secret.n ? secret_new(secret) : NULL,
        .method = method,
        .secret_expires_us =
            expires_s > 0 && expires_s < INT64_MAX / 1000000 ? expires_s * 1000000 : 0,
    };
    return 0;
}

static int register_dynamically(const struct oauth_server *server, const struct oauth_identity *me,
                                struct arena *arena, struct oauth_client *ret, struct err *err) {
    struct strbuf body cleanup(strbuf_done) = STRBUF(MAX_BODY_BYTES);
    struct strbuf answer cleanup(secret_strbuf_done) = STRBUF(OAUTH_MAX_DOCUMENT_BYTES);
    enum oauth_method asked = method_to_ask_for(server);
    struct jsonw w = jsonw_begin(&body);
    int status;
    jsonw_object(&w);
    write_metadata(&w, me, asked);
    jsonw_end_object(&w);
    if (strbuf_check(&body, "the registration", err) < 0 ||
        oauth_fetch(server->registration_endpoint, "application/json", strbuf_str(&body), NULL,
                    &status, &answer, err) < 0) {
        return err_prefix(err, "registering");
    }
    if (status == 429 || status >= 500) {
        return err_set(err, ERR_UNAVAILABLE, "registering: the authorization server answers %d",
                       status);
    }
    if (status != 200 && status != 201) {
        return err_set(err, ERR_CONFLICT,
                       "the authorization server refused to register us (%d): a client id must be "
                       "set for this server",
                       status);
    }
    return read_registration(strbuf_str(&answer), server, asked, arena, ret, err);
}

int oauth_register(const struct oauth_server *server, const struct oauth_identity *me,
                   struct arena *arena, struct oauth_client *ret, struct err *err) {
    if (server->metadata_document_supported && me->document_url.n) {
        *ret =
            (struct oauth_client){.id = arena_str(arena, me->document_url), .method = OAUTH_NONE};
        return 0;
    }
    if (server->registration_endpoint.n == 0) {
        return err_set(err, ERR_CONFLICT,
                       "the authorization server takes no unknown clients: a client id must be set "
                       "for this server");
    }
    return register_dynamically(server, me, arena, ret, err);
}
