/* What the files of authorizer.h share: authorizer.c (who has tokens), authorizer_renew.c (one
 * refresh for all), authorizer_consent.c (the user's way to the server and back),
 * authorizer_record.c (what stands in the vault). */
#pragma once
#include "base/map.h"
#include "mcp/authorizer.h"
#include "mcp/oauth.h"

/* ---- what stands in the vault ---- */

enum { RECORD_MAX_CLIENTS = 3, RECORD_MAX_BYTES = VAULT_MAX_VALUE_BYTES };

/* A client id is known to one authorization server only. */
struct record_client {
    struct str issuer, redirect_uri;
    struct oauth_client client;
};

struct record {
    struct arena arena; /* of all views */
    struct record_client clients[RECORD_MAX_CLIENTS];
    size_t n_clients;
    struct id grant;      /* of the tokens; empty: the user never consented */
    struct str url;       /* of the server that the tokens are for */
    struct str client_id; /* which one the tokens were given to */
    struct str issuer, token_endpoint, resource;
    struct str scope;  /* granted, as far as it is known */
    struct str wanted; /* what the server asked for beyond it */
    int64_t step_ups;  /* consents in a row that did not suffice */
    bool dead;         /* only the user can renew it */
    struct secret *access, *refresh;
    int64_t expires_us;
    char finished[17]; /* of the last callback's state: a page that is loaded again; or "" */
};

void record_done(struct record *r); /* a zero-filled one is fine */
/* What is not readable counts as absent: the user can consent again. */
void record_read(struct str json, struct record *ret);
void record_write(const struct record *r, struct strbuf *out);
/* One that can be used for a new consent. */
const struct record_client *record_find_client(const struct record *r, struct str issuer,
                                               struct str redirect_uri);
const struct record_client *record_client_of(const struct record *r, struct str issuer,
                                             struct str client_id);
/* Takes over client->secret. Replaces what is there for the same issuer and redirect URI, else the
 * oldest; never that of the tokens, which are worth nothing without it. */
void record_put_client(struct record *r, struct str issuer, struct str redirect_uri,
                       struct oauth_client *client);
void record_drop_client(struct record *r, struct str issuer, struct str client_id);
/* Takes over the tokens. What a refresh leaves out stays. */
void record_put_tokens(struct record *r, struct oauth_tokens *tokens);
void record_drop_tokens(struct record *r);
void record_set(struct record *r, struct str *field, struct str value); /* copies */

/* ---- what is in memory ---- */

struct defined {
    struct str name, url, client_id, issuer, scope, service; /* service: of the vault */
    struct secret *client_secret;
    struct arena arena;
};

/* One user's tokens for one server, while somebody uses them. */
struct grant {
    struct authorizers *owner;
    char *user_id, *server, *key;
    unsigned refs;
    /* Whoever has the lock may change the record and yield meanwhile; others read it as it is. */
    bool locked;
    struct fiber_cond unlocked;
    bool loaded, unsaved; /* unsaved: newer than what the vault has */
    uint64_t epoch;       /* of the user, when it was loaded */
    struct record record;
    uint64_t round; /* refreshes that ended, */
    bool ended_well;
    struct err ended;                 /* and why the last one did not end well */
    struct oauth_challenge challenge; /* the last one, */
    struct arena challenge_arena;     /* and its texts */
};

struct authorizers {
    struct vault *vault;
    struct feed *feed;
    struct user_epochs *epochs;
    struct db *db;
    char *public_url, *redirect_uri, *document_url; /* document_url: "" when it is not https */
    struct map servers;                             /* name -> struct defined */
    struct map grants;                              /* user and server -> struct grant */
    struct fiber_scope refreshes;
};

const struct defined *authorizers_server(const struct authorizers *a, struct str name);
struct grant *grant_ref(struct authorizers *a, struct str user_id, struct str server);
void grant_unref(struct grant *g);
void grant_unref_p(struct grant **g);
may_yield int grant_lock(struct grant *g, struct err *err) must_check;
void grant_unlock(struct grant *g);
void grant_unlock_p(struct grant **g); /* NULL: not locked */
/* With the lock: as the vault has it now; and back. actor: for the audit trail; empty: a change
 * that nobody made, as renewing is. */
may_yield int grant_load(struct grant *g, bool even_if_fresh, struct err *err) must_check;
may_yield int grant_save(struct grant *g, struct str actor, struct err *err) must_check;
/* A client of ours at an authorization server; false: it is not known any more. */
bool grant_client(const struct grant *g, struct str issuer, struct str client_id,
                  struct oauth_client *ret);

/* ---- one grant, further ---- */

const struct defined *grant_server(const struct grant *g);
/* Loaded, and nothing of the user has changed since. */
bool grant_is_fresh(const struct grant *g);
/* Tokens for what the server was before it was defined anew are no tokens for it. */
bool grant_has_token(const struct grant *g);
/* Saves as soon as it can be: till then memory is what counts. */
may_yield void grant_keep(struct grant *g, struct str actor);

/* ERR_UNAUTHORIZED, always: "<server> <what>: open <link>". */
int grant_ask_user(const struct grant *g, struct err *err, const char *what);
int grant_ask_to_connect(const struct grant *g, struct err *err);
/* 0: there is another token than `used`. Called without the lock; round: g->round when the caller
 * began, so that it shares in a failure of a refresh that it waited for. */
may_yield int grant_renew(struct grant *g, const struct secret *used, uint64_t round,
                          struct err *err) must_check;
