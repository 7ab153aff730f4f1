/* Each user's own connections to the configured MCP servers. A bridge is built when its user is
 * first seen, closed when idle, and shares nothing with other users' bridges: connections,
 * sessions, tokens and caches are keyed by user, server and credential epoch, even where
 * credentials are equal. Only the text of equal tool lists is kept once. Servers that are down cost
 * nobody time: they are tried in the background, with backoff and a circuit breaker. */
#pragma once
#include "event/feed.h"
#include "mcp/authorizer.h"
#include "mcp/client.h"
#include "mcp/servers.h"

struct authorizers;
struct bridges;

struct bridges_options {
    const struct profile *profile;
    struct db *db;
    struct vault *vault;
    struct user_epochs *epochs;
    struct feed *feed;               /* is told of changed states; NULL: nobody */
    struct authorizers *authorizers; /* for the servers that ask for OAuth; lives longer */
};

/* Reads the server definitions (mcp.json of the home folder, else the five of requirements.md).
 * ERR_INVALID names the entry and says what it may be. */
int bridges_new(const struct bridges_options *options, struct bridges **ret, struct err *err)
    must_check;
may_yield int bridges_start(struct bridges *b, struct err *err) must_check;
may_yield void bridges_stop(struct bridges *b); /* closes all connections */
void bridges_free(struct bridges *b);           /* accepts NULL */

/* The definitions as they are now; servers_ref to keep them. */
struct servers *bridges_servers(const struct bridges *b);

/* The user will probably need tools soon: begins to connect, waits for nothing. */
void bridges_touch(struct bridges *b, struct str user_id);

/* ---- tools ---- */

/* One server's list, parsed once, immutable, shared by all that listed the same bytes. Views hold
 * it, and so does whoever keeps a pointer into it for longer. */
struct mcp_tool {
    struct str name, title, description;
    struct str input_schema;                             /* as the server wrote it */
    struct str output_schema;                            /* empty: none */
    bool read_only, destructive, idempotent, open_world; /* with the specification's defaults */
    struct str quarantine;                               /* why it is not offered; empty: it is */
};
struct mcp_tools {
    struct mcp_tool *tools;
    size_t n;
    struct str digest; /* of the whole list, hexadecimal */
    void *adapted;     /* for tool/: what it made of the list; freed with free_adapted */
    void (*free_adapted)(void *adapted);
    unsigned refs;                     /* who holds it */
    void (*free)(struct mcp_tools *t); /* at the last unref; frees adapted too */
};
static inline struct mcp_tools *mcp_tools_ref(struct mcp_tools *t) {
    t->refs++;
    return t;
}
static inline void mcp_tools_unref(struct mcp_tools *t) { /* accepts NULL */
    if (t && --t->refs == 0) {
        t->free(t);
    }
}

enum bridge_state {
    BRIDGE_IDLE, /* not tried yet, or closed since nobody needed it */
    BRIDGE_CONNECTING,
    BRIDGE_READY,
    BRIDGE_UNREACHABLE,  /* tried again later */
    BRIDGE_UNAUTHORIZED, /* needs the user: a credential, or a visit to authorize_url */
    BRIDGE_FAILED,       /* reached, but it does not speak MCP as it must */
};
const char *bridge_state_name(enum bridge_state s);

struct bridge_server {
    struct str name;
    enum bridge_state state;
    struct str error;              /* empty: none */
    struct str credential_service; /* of the vault; empty: none */
    bool has_credential;
    bool oauth;              /* the server asks for OAuth */
    struct mcp_tools *tools; /* NULL: not known yet; last known while it is down */
    struct str list_warning;
    const struct str *pinned; /* mcp.json "pinned": tools that a model is always shown */
    size_t n_pinned;
    const struct mcp_server_info *info; /* NULL: not known yet */
    int64_t retry_at_us;                /* monotonic; 0: not waiting */
    enum mcp_transport transport;
};
/* What is known of the user's servers now, in the order of the definitions. Waits at most wait_ms,
 * and only for servers that are being tried for the first time. Texts live as long as the view. */
struct bridge_view {
    struct bridge_server *servers;
    size_t n;
    struct arena arena;
    struct list refs;
    uint64_t version; /* another one: something changed */
};
may_yield int bridge_view_open(struct bridges *b, struct str user_id, int64_t wait_ms,
                               struct bridge_view *ret, struct err *err) must_check;
void bridge_view_done(struct bridge_view *v); /* a zero-filled one is fine */

/* mcp.json "skillServers": whether a skill may use a server. Empty, "cos" and skills that are not
 * listed: all. */
bool bridges_skill_uses(const struct bridges *b, struct str skill, struct str server);

/* ---- calls ---- */

/* Connects if needed. The breaker answers at once for a server that is known to be down.
 * ERR_NOT_FOUND: there is no such server. Others as mcp_client_call. */
may_yield int bridge_call(struct bridges *b, struct str user_id, struct str server,
                          const struct mcp_call *call, struct arena *arena,
                          struct mcp_call_result *ret, struct err *err) must_check;

/* Tries a server again now, whatever the breaker says. ERR_NOT_FOUND. */
may_yield int bridge_reconnect(struct bridges *b, struct str user_id, struct str server,
                               struct err *err) must_check;

struct bridges_stats {
    unsigned bridges, connections, processes;
    uint64_t calls, failures;
    size_t list_bytes; /* of tool lists in memory */
};
struct bridges_stats bridges_stats(const struct bridges *b);
