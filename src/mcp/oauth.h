/* OAuth 2.1 as MCP's authorization chapter has it, 2025-03-26 to 2026-07-28: the client's side, in
 * pieces that a caller puts together. Knows neither users nor where tokens are kept: authorizer.h
 * does.
 *
 *     oauth_challenge_parse   what a 401 or 403 said
 *     oauth_discover          protected resource metadata, authorization server metadata
 *     oauth_register          a client id: metadata document, or dynamic registration
 *     oauth_authorization_url where the user consents; oauth_response_check: what came back
 *     oauth_exchange, oauth_refresh, oauth_client_credentials
 *
 * Everything here comes from peers that are not trusted: sizes and times are bounded, URLs are
 * https (http on loopback for a server on loopback), and no message holds a token. Errors:
 * ERR_UNAVAILABLE, ERR_TIMEOUT, ERR_LIMIT, ERR_PROTOCOL (what a peer said is refused),
 * ERR_CANCELLED; others where noted. Views live in the caller's arena. */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"
#include "base/secret.h"
#include "fiber/fiber.h"

enum {
    OAUTH_MAX_CHALLENGE_BYTES = 8 * 1024,
    OAUTH_MAX_DOCUMENT_BYTES = 128 * 1024, /* metadata, registrations */
    OAUTH_MAX_TOKEN_BYTES = 24 * 1024,     /* one token; of the vault's 64 KiB */
    OAUTH_MAX_URL_BYTES = 2048,
    OAUTH_MAX_SCOPE_BYTES = 4096,
    OAUTH_TIMEOUT_MS = 15 * 1000, /* of one request */
    OAUTH_MAX_STEP_UPS = 3,       /* times that a user is asked for more scopes in a row */
};

/* ---- what a 401 or 403 says ---- */

struct oauth_challenge {
    bool bearer;                                /* there is a Bearer challenge */
    struct str resource_metadata, scope, error; /* empty: absent */
};
/* The Bearer challenge of a WWW-Authenticate field (RFC 9110, 11.6.1; RFC 6750; RFC 9728), which
 * may hold others as well. What is malformed is left out; nothing fails. */
void oauth_challenge_parse(struct str field, struct arena *arena, struct oauth_challenge *ret);

/* ---- addresses ---- */

/* https with a host, or http on loopback where `loopback` permits it; no user, no fragment. Without
 * `loopback` neither this machine nor its link: a server elsewhere must not send us there. */
bool oauth_url_valid(struct str url, bool loopback);
bool oauth_url_is_loopback(struct str url);

/* ---- discovery ---- */

enum oauth_method { /* of a client at the token endpoint */
                    OAUTH_NONE,
                    OAUTH_CLIENT_SECRET_BASIC,
                    OAUTH_CLIENT_SECRET_POST,
                    OAUTH_PRIVATE_KEY_JWT,
                    OAUTH_METHODS
};
const char *oauth_method_name(enum oauth_method m); /* "client_secret_basic" */
bool oauth_method_parse(struct str name, enum oauth_method *ret);

struct oauth_server {
    struct str resource;        /* exactly as advertised; empty: it advertises none */
    struct str resource_scopes; /* its scopes_supported, space-separated */
    bool has_resource_scopes;   /* false: undefined there */
    struct str issuer;          /* of the authorization server */
    struct str authorization_endpoint, token_endpoint;
    struct str registration_endpoint; /* empty: none */
    bool offline_access;              /* among the authorization server's scopes_supported */
    bool iss_supported;               /* RFC 9207 */
    bool metadata_document_supported; /* client ids may be URLs */
    unsigned methods;                 /* 1 << enum oauth_method */
};
/* Asks the server's and the authorization server's well-known places, in the order of the
 * specification. Without protected resource metadata it is a server of 2025-03-26: its own origin
 * is the authorization server, with or without metadata. */
may_yield int oauth_discover(struct str server_url, const struct oauth_challenge *challenge,
                             struct arena *arena, struct oauth_server *ret, struct err *err)
    must_check;

/* The two documents, without the network. oauth_resource_read sets resource* and issuer,
 * oauth_metadata_read the rest; expected_issuer is compared byte by byte. */
int oauth_resource_read(struct str json, struct str server_url, struct arena *arena,
                        struct oauth_server *ret, struct err *err) must_check;
int oauth_metadata_read(struct str json, struct str expected_issuer, bool loopback,
                        struct arena *arena, struct oauth_server *ret, struct err *err) must_check;
/* Where metadata of an issuer may be, NULL-terminated, in order. */
enum { OAUTH_METADATA_PLACES = 3 };
void oauth_metadata_places(struct str issuer, struct arena *arena,
                           struct str ret[OAUTH_METADATA_PLACES], size_t *ret_n);
/* The same for a server's protected resource metadata. */
enum { OAUTH_RESOURCE_PLACES = 2 };
void oauth_resource_places(struct str server_url, struct arena *arena,
                           struct str ret[OAUTH_RESOURCE_PLACES], size_t *ret_n);

/* ---- clients ---- */

struct oauth_client {
    struct str id;
    struct secret *secret; /* or the private key (PEM, P-256) of OAUTH_PRIVATE_KEY_JWT; NULL */
    enum oauth_method method;
    int64_t secret_expires_us; /* 0: never */
};
void oauth_client_done(struct oauth_client *c); /* a zero-filled one is fine */

struct oauth_identity {
    struct str name; /* as people read it */
    struct str redirect_uri;
    struct str document_url; /* where oauth_write_document is served; empty: nowhere */
};
void oauth_write_document(const struct oauth_identity *me, struct strbuf *out);
/* A client id of our own at this authorization server. ERR_CONFLICT: it takes no unknown clients.
 */
may_yield int oauth_register(const struct oauth_server *server, const struct oauth_identity *me,
                             struct arena *arena, struct oauth_client *ret, struct err *err)
    must_check;
/* What a client with (or without) a secret is to use there. */
enum oauth_method oauth_method_choose(const struct oauth_server *server, bool has_secret);

/* ---- the user's consent ---- */

enum { OAUTH_VERIFIER_LEN = 43 };
struct oauth_pkce { /* RFC 7636 */
    char verifier[OAUTH_VERIFIER_LEN + 1], challenge[OAUTH_VERIFIER_LEN + 1];
};
void oauth_pkce_make(struct oauth_pkce *ret);
void oauth_pkce_challenge(struct str verifier, char ret[OAUTH_VERIFIER_LEN + 1]); /* S256 */

/* All words of both, each once, in order. */
struct str oauth_scope_union(struct str a, struct str b, struct arena *arena);
bool oauth_scope_contains(struct str scope, struct str word);
/* The challenge's, else what the resource supports, else none (empty); with offline_access where
 * the authorization server knows it; and all of `before`, which the user granted already. */
struct str oauth_scope_select(const struct oauth_server *server, struct str challenged,
                              struct str before, struct arena *arena);

struct oauth_authorization {
    struct str client_id, redirect_uri, scope, state, code_challenge;
};
int oauth_authorization_url(const struct oauth_server *server, const struct oauth_authorization *a,
                            struct strbuf *ret, struct err *err) must_check;

/* RFC 9207: an `iss` that came must be the issuer, byte by byte; where it is promised it must come.
 * ERR_INVALID. */
int oauth_response_check(struct str issuer, bool iss_supported, struct str iss, struct err *err)
    must_check;

/* ---- tokens ---- */

struct oauth_tokens {
    struct secret *access, *refresh; /* refresh: NULL when none was given */
    struct str scope;                /* empty: as asked for */
    int64_t expires_us;              /* of the access token; 0: unknown */
};
void oauth_tokens_done(struct oauth_tokens *t); /* a zero-filled one is fine */

struct oauth_grant { /* whom to ask, as whom, for what */
    struct str issuer, token_endpoint, resource;
    const struct oauth_client *client;
};
/* All three: ERR_UNAUTHORIZED: invalid_grant, the code or the refresh token is worth nothing (any
 * more); ERR_FORBIDDEN: the client is not (any longer) known there, or may not do this. */
may_yield int oauth_exchange(const struct oauth_grant *g, struct str code, struct str verifier,
                             struct str redirect_uri, struct arena *arena, struct oauth_tokens *ret,
                             struct err *err) must_check;
/* ret->refresh: the new one, or the old one when the server keeps it. */
may_yield int oauth_refresh(const struct oauth_grant *g, const struct secret *refresh_token,
                            struct arena *arena, struct oauth_tokens *ret, struct err *err)
    must_check;
may_yield int oauth_client_credentials(const struct oauth_grant *g, struct str scope,
                                       struct arena *arena, struct oauth_tokens *ret,
                                       struct err *err) must_check;
