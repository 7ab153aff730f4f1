/* What the authorizers stand on, made up: a vault that is an array, and on a real socket an MCP
 * server that wants a token with its authorization server. */
#pragma once
#include "mcp/authorizer.h"

struct fake_as {
    /* how it behaves */
    const char *refuses; /* the token endpoint's error; NULL: it gives tokens */
    int status;          /* of the token endpoint when it fails without a word; 0: it does not */
    bool waits;          /* until the gate is opened */
    bool without_refresh, without_registration, keeps_refresh;
    int64_t expires_in;  /* 0: not said */
    const char *granted; /* scope; NULL: not said */

    /* what it saw */
    unsigned tokens, refreshes, registrations; /* tokens: all requests to the token endpoint */
    int n;                                     /* of the last tokens: "access-<n>", "refresh-<n>" */
    char form[4096];                           /* of the last token request */
};

struct fake_row {
    char user[32], service[80];
    char *value; /* NULL: no row */
    struct vault_entry entry;
};

struct oauth_fakes {
    struct fake_as as;
    struct fake_row vault[16];
    uint64_t epoch;
    enum err_code put_fails;
    unsigned puts, gets;
    int64_t seals_older_s; /* how old all seals look */
    char notified[4][512]; /* "user id: message" */
    unsigned n_notified;
    struct fiber_cond gate;
    char url[64]; /* of the MCP server */
    char issuer[64];
    struct http_server *server;
};
extern struct oauth_fakes fakes;

bool oauth_fakes_start(void);
void oauth_fakes_stop(void);
void oauth_fakes_open_gate(void);
/* As another process would: the value without our knowing but by the epoch. NULL: deletes. */
void oauth_fakes_put(const char *user, const char *service, const char *value);
const char *oauth_fakes_get(const char *user, const char *service); /* "" when there is no row */
/* A parameter of a URL's query or a form, decoded; valid until the next call. */
const char *oauth_fakes_parameter(const char *text, const char *name);
