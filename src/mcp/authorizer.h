/* OAuth for the MCP servers that ask for it, each user's own. Tokens and registrations stand in the
 * vault (service "mcp:<server>"); this process keeps a copy while somebody uses them, and drops it
 * when the user's epoch changes. However many calls need a new token at once, it is asked for once.
 *
 * serve makes one `authorizers` and gives it to the bridges (bridges_options.authorizers), which
 * define the servers; the API makes links and takes callbacks. An `authorizer` is what one user's
 * client of one server gets. A refresh is no change of who the user is at the server, though it
 * counts the user's epoch up like every write to the vault: whoever drops connections when
 * credentials change compares authorizer_state.grant, which a refresh leaves as it is. */
#pragma once
#include "auth/vault.h"
#include "base/id.h"
#include "event/feed.h"
#include "mcp/client.h"

enum {
    AUTHORIZER_MAX_URL_BYTES = 8 * 1024,
    AUTHORIZER_STATE_AGE_S = 600,      /* of a state that comes back */
    AUTHORIZER_LINK_AGE_S = 24 * 3600, /* of the link in a message */
};

struct authorizers;

struct authorizers_options {
    struct vault *vault;
    struct user_epochs *epochs;
    struct feed *feed;     /* NULL: nobody is told what changes */
    struct db *db;         /* for notifications */
    struct str public_url; /* where browsers reach us: "https://host[:port]", without a path */
};
struct authorizers *authorizers_new(const struct authorizers_options *options); /* copies */
may_yield void
authorizers_free(struct authorizers *a); /* accepts NULL; all authorizers are freed */

/* A server over HTTP that has no Authorization header of its own. A definition of the same name is
 * replaced. */
struct authorizer_server {
    struct str name, url;
    /* Of a client that the operator registered; empty: we register ourselves. */
    struct str client_id;
    const struct secret *client_secret; /* NULL: a public client */
    struct str issuer; /* the authorization server that knows client_id; empty: whichever the
                          server names */
    struct str scope;  /* empty: what the server asks for */
};
void authorizers_define(struct authorizers *a, const struct authorizer_server *server);
bool authorizers_knows(const struct authorizers *a, struct str server);

/* ---- for the bridges ---- */

struct authorizer;
/* The server must be defined. Does not look into the vault yet. */
struct authorizer *authorizer_new(struct authorizers *a, struct str user_id, struct str server);
void authorizer_free(struct authorizer *a); /* accepts NULL; its client is freed */
/* What mcp_client_options.authorizer takes; valid as long as the authorizer. The message of
 * ERR_UNAUTHORIZED has a link for the user. */
struct mcp_authorizer authorizer_hooks(struct authorizer *a);

struct authorizer_state {
    bool connected; /* there are tokens that are not known to be dead */
    bool expired;   /* there were, and only the user can renew them */
    /* Names the user's consent: another one means another connection, since it may be another
     * account. Empty: none. */
    struct id grant;
};
may_yield int authorizer_look(struct authorizer *a, struct authorizer_state *ret, struct err *err)
    must_check;

/* ---- for the API ---- */

/* The address at which the user consents; good for AUTHORIZER_STATE_AGE_S. ERR_NOT_FOUND: no such
 * server; ERR_CONFLICT: it asks for no authorization; ERR_UNAVAILABLE, ERR_PROTOCOL, ERR_TIMEOUT:
 * what is wrong with it or its authorization server. */
may_yield int authorizers_url(struct authorizers *a, struct str user_id, struct str server,
                              struct strbuf *ret_url, struct err *err) must_check;

/* What the link in a message leads to. ERR_INVALID: not ours, or too old. */
struct authorizer_visit {
    struct str user_id, server;
};
int authorizers_open_link(const struct authorizers *a, struct str link, struct arena *arena,
                          struct authorizer_visit *ret, struct err *err) must_check;

/* The callback's parameters; empty when absent. What it says beyond the code of an error is not
 * passed on: anybody can have written it. */
struct authorizer_callback {
    struct str code, state, iss, error;
};
/* Exchanges the code and stores what it gives. *ret is set as soon as the state is known to be
 * ours, also on failure; before that it is empty. ERR_INVALID: the state is not ours, too old, or
 * for another issuer; ERR_FORBIDDEN: the user or the server declined. */
may_yield int authorizers_finish(struct authorizers *a, const struct authorizer_callback *callback,
                                 struct arena *arena, struct authorizer_visit *ret, struct err *err)
    must_check;

/* The client id metadata document. */
void authorizers_client_metadata(const struct authorizers *a, struct strbuf *out);
