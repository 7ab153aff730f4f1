/* The gateway's HTTP face: what the server calls, and what its handlers may use. Whoever wires the
 * program fills in the public members, calls gateway_init, gives the four functions below to
 * http_server_start with the gateway as the context, and sets `server`. */
#pragma once
#include "auth/auth.h"
#include "auth/vault.h"
#include "event/feed.h"
#include "event/run.h"
#include "graph/turn.h"
#include "mcp/bridge.h"
#include "net/http_server.h"
#include "profile/profile.h"

struct asset;
struct metrics;
struct mcp_face;

struct gateway {
    const struct profile *profile;
    struct db *db;
    struct auth *auth;
    struct user_epochs *epochs;
    struct vault *vault;
    struct user_profiles *user_profiles;
    struct authorizers *authorizers;
    struct bridges *bridges;
    struct runs *runs;
    struct feed *feed; /* NULL: nobody is told what changes */
    struct turn_engine *engine;
    const struct tool_registry *tools; /* the built-in ones */
    struct toolbox *toolbox;
    struct mcp_face *mcp;             /* made after gateway_init: mcp_face_new */
    const char *version;              /* "0.1.0" */
    const struct asset *web_files;    /* the web app, under "/static/" */
    size_t n_web_files;               /* 0: built without it */
    const struct http_server *server; /* for statistics; NULL until it was started */

    /* gateway_init makes the rest. */
    int64_t started_us; /* monotonic */
    struct metrics *metrics;
    struct fiber_scope sockets; /* what WebSocket sessions do */
    struct list ws_sessions;    /* the open ones; see ws_watch.c */
    size_t n_ws_sessions;
    struct fiber *ws_watcher;      /* NULL: none runs */
    struct fiber_cond ws_look;     /* it has something to do at once */
    size_t n_ws_held;              /* sockets for which frames are held back */
    const char **allowed_origins;  /* of the profile, NULL-terminated */
    int64_t pinged_us, latency_us; /* health's look at the database, and its result */
    bool db_healthy;
};

void gateway_init(struct gateway *g);
/* After http_server_stop, before the engine is stopped: ends what WebSockets still do. */
may_yield void gateway_stop(struct gateway *g);
void gateway_done(struct gateway *g);

/* http_server_options.handler, .on_done and .write_error. */
may_yield void api_handle(struct http_request *request, void *gateway);
void api_on_done(const struct http_request *request, int status, uint64_t bytes_sent,
                 int64_t duration_us, void *gateway);
void api_write_error(const struct http_request *request, int status, struct str detail,
                     struct strbuf *ret_body, const char **ret_content_type);
