/* The auth/ scenarios: a client without a token, whose user follows every link and agrees. The
 * pieces of src/mcp/oauth.h are put together here as the gateway's authorizer does, only that the
 * user is at hand and nothing is stored. */
#include "client.h"
#include "mcp/oauth.h"
#include "net/http_client.h"

enum { MAX_CONSENTS = 3, MAX_LOCATION_BYTES = 8192 };

#define REDIRECT_URI STR("http://127.0.0.1:8080/oauth/callback")
#define DOCUMENT_URL STR("https://conformance-test.local/client-metadata.json")

struct player {
    const struct scenario_run *run;
    struct arena arena;
    struct oauth_client client;
    struct str issuer; /* which knows the client */
    struct oauth_tokens tokens;
    struct str scope; /* asked for so far */
    int consents;
};

/* ---- the user's browser ---- */

static int hex_digit(char c) {
    return c >= '0' && c <= '9'                     ? c - '0'
           : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                    : -1;
}

static struct str decode(struct str text, struct arena *arena) {
    char *out = arena_alloc(arena, text.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++) {
        bool escaped = text.p[i] == '%' && i + 2 < text.n && hex_digit(text.p[i + 1]) >= 0 &&
                       hex_digit(text.p[i + 2]) >= 0;
        out[n++] =
            escaped ? (char)(hex_digit(text.p[i + 1]) << 4 | hex_digit(text.p[i + 2])) : text.p[i];
        i += escaped ? 2 : 0;
    }
    return (struct str){out, n};
}

static struct str parameter(struct str url, const char *name, struct arena *arena) {
    struct str query = url;
    (void)str_cut(&query, '?');
    while (query.n) {
        struct str value = str_cut(&query, '&');
        struct str key = str_cut(&value, '=');
        if (str_eq(key, str_z(name))) {
            return decode(value, arena);
        }
    }
    return STR_EMPTY;
}

/* Where the authorization server sends the user back to; nobody goes there. */
static int browse(const char *url, struct arena *arena, struct str *ret, struct err *err) {
    const struct http_call call = {.url = url};
    struct http_reply *reply cleanup(http_reply_close_p) = NULL;
    if (http_call_open(&call, &reply, err) < 0) {
        return -(int)err->code;
    }
    struct str location = http_reply_header(reply, "Location");
    if (http_reply_status(reply) / 100 != 3 || !str_starts(location, REDIRECT_URI)) {
        return err_set(err, ERR_PROTOCOL, "the user was not sent back");
    }
    *ret = arena_str(arena, str_head(location, MAX_LOCATION_BYTES));
    return 0;
}

/* ---- tokens ---- */

static int find_client(struct player *p, const struct oauth_server *server, struct err *err) {
    const json_t *context = p->run->context;
    struct str id = json_str(context, "client_id"), secret = json_str(context, "client_secret");
    if (p->issuer.n && str_eq(p->issuer, server->issuer)) {
        return 0;
    }
    oauth_client_done(&p->client);
    p->issuer = server->issuer;
    if (id.n &&
        (!json_str(context, "issuer").n || str_eq(json_str(context, "issuer"), server->issuer))) {
        p->client = (struct oauth_client){.id = id,
                                          .secret = secret.n ? secret_new(secret) : NULL,
                                          .method = oauth_method_choose(server, secret.n > 0)};
        return 0;
    }
    const struct oauth_identity me = {
        .name = STR("Adjutant"), .redirect_uri = REDIRECT_URI, .document_url = DOCUMENT_URL};
    return oauth_register(server, &me, &p->arena, &p->client, err);
}

static int consent(struct player *p, const struct oauth_server *server, struct str challenged,
                   struct str *ret_code, struct oauth_pkce *ret_pkce, struct err *err) {
    struct strbuf url cleanup(strbuf_done) = STRBUF(8192);
    struct str back;
    if (++p->consents > MAX_CONSENTS) {
        return err_set(err, ERR_UNAUTHORIZED, "the server is never content");
    }
    oauth_pkce_make(ret_pkce);
    p->scope = oauth_scope_select(server, challenged, p->scope, &p->arena);
    const struct oauth_authorization a = {.client_id = p->client.id,
                                          .redirect_uri = REDIRECT_URI,
                                          .scope = p->scope,
                                          .state = str_z(ret_pkce->challenge + 8),
                                          .code_challenge = str_z(ret_pkce->challenge)};
    if (oauth_authorization_url(server, &a, &url, err) < 0 ||
        browse(strbuf_z(&url), &p->arena, &back, err) < 0 ||
        oauth_response_check(server->issuer, server->iss_supported,
                             parameter(back, "iss", &p->arena), err) < 0) {
        return -(int)err->code;
    }
    *ret_code = parameter(back, "code", &p->arena);
    return ret_code->n && str_eq(parameter(back, "state", &p->arena), a.state)
               ? 0
               : err_set(err, ERR_INVALID, "the answer is not for us");
}

static int get_tokens(struct player *p, const struct oauth_challenge *challenge, struct err *err) {
    struct oauth_server server;
    struct oauth_pkce pkce;
    struct str code;
    if (oauth_discover(str_z(p->run->url), challenge, &p->arena, &server, err) < 0 ||
        find_client(p, &server, err) < 0 ||
        consent(p, &server, challenge->scope, &code, &pkce, err) < 0) {
        return -(int)err->code;
    }
    const struct oauth_grant g = {.issuer = server.issuer,
                                  .token_endpoint = server.token_endpoint,
                                  .resource = server.resource,
                                  .client = &p->client};
    oauth_tokens_done(&p->tokens);
    return oauth_exchange(&g, code, str_z(pkce.verifier), REDIRECT_URI, &p->arena, &p->tokens, err);
}

/* The client itself is who has the right. */
static int get_client_credentials(struct player *p, const struct oauth_challenge *challenge,
                                  struct err *err) {
    const json_t *context = p->run->context;
    struct str key = json_str(context, "private_key_pem");
    struct oauth_server server;
    if (oauth_discover(str_z(p->run->url), challenge, &p->arena, &server, err) < 0) {
        return -(int)err->code;
    }
    oauth_client_done(&p->client);
    p->client = (struct oauth_client){
        .id = json_str(context, "client_id"),
        .secret = secret_new(key.n ? key : json_str(context, "client_secret")),
        .method = key.n ? OAUTH_PRIVATE_KEY_JWT : oauth_method_choose(&server, true)};
    const struct oauth_grant g = {.issuer = server.issuer,
                                  .token_endpoint = server.token_endpoint,
                                  .resource = server.resource,
                                  .client = &p->client};
    oauth_tokens_done(&p->tokens);
    struct str scope = oauth_scope_select(&server, challenge->scope, STR_EMPTY, &p->arena);
    return oauth_client_credentials(&g, scope, &p->arena, &p->tokens, err);
}

/* ---- what the MCP client asks ---- */

static int token(void *arg, struct secret **ret, struct err *err) {
    (void)err;
    *ret = secret_dup(((struct player *)arg)->tokens.access);
    return 0;
}

static int challenged(void *arg, const struct secret *used, int status, struct str www_authenticate,
                      struct err *err) {
    struct player *p = arg;
    struct oauth_challenge challenge;
    (void)used;
    oauth_challenge_parse(www_authenticate, &p->arena, &challenge);
    if (status == 403 && !str_eq(challenge.error, STR("insufficient_scope"))) {
        return err_set(err, ERR_UNAUTHORIZED, "forbidden");
    }
    return str_starts(str_z(p->run->name), STR("auth/client-credentials"))
               ? get_client_credentials(p, &challenge, err)
               : get_tokens(p, &challenge, err);
}

int scenario_auth(const struct scenario_run *run, struct err *err) {
    struct player p = {.run = run, .issuer = STR_EMPTY, .scope = STR_EMPTY};
    const struct mcp_authorizer authorizer = {token, challenged, &p};
    struct mcp_client *c = scenario_client(run, MCP_ERA_UNKNOWN, &authorizer);
    int rc = scenario_call_tools(c, "test-tool", "{}", err);
    mcp_client_free(c);
    oauth_client_done(&p.client);
    oauth_tokens_done(&p.tokens);
    arena_done(&p.arena);
    return rc;
}
