/* The bridges' own: how a manager (bridge.c) holds users (bridge_user.c), a user holds links to
 * servers (bridge_link.c), and what the process knows of servers without anybody's credentials
 * (bridge_watch.c).
 *
 * Lifetimes. A user is pinned by whoever waits on its behalf and goes only when nobody does. A link
 * goes with its user, or when its server's definition changes. A connection is held by its link,
 * by the fiber that opens it and by the calls that run on it; one that its link let go of (`link`
 * is NULL then) serves those to their end and is closed by a fiber of its own. So after a yield: a
 * pinned user and a held connection are still there, a link must be looked up again. */
#pragma once
#include "base/map.h"
#include "mcp/bridge.h"
#include "mcp/tool_list.h"

enum {
    BRIDGES_MAX_USERS = 20000,
    BRIDGES_MAX_PROCESSES = 64,    /* of servers that are commands, in all */
    BRIDGE_CONNECT_MS = 60 * 1000, /* connecting and listing together */
    BRIDGE_WAIT_MS = 30 * 1000,    /* of a call for its server */
    BRIDGE_LIST_AGE_MS = 15 * 60 * 1000,
    BRIDGE_MIN_TTL_MS = 10 * 1000,
    BRIDGE_ACTIVE_MS = 60 * 1000, /* so long after its last use a user is worth a stream or a try */
    BRIDGE_MAX_INSTRUCTIONS_BYTES = 8 * 1024,
};

/* ---- backoff ---- */

/* A breaker in three numbers: how often it failed in a row, and until when nobody tries. */
struct backoff {
    unsigned failures;
    int64_t retry_at_us; /* monotonic; 0: at any time */
};
/* first_ms doubled for each failure, at most max_ms, and of that a random part of at least half. */
void backoff_fail(struct backoff *b, int64_t first_ms, int64_t max_ms);
static inline void backoff_reset(struct backoff *b) {
    *b = (struct backoff){0};
}
static inline bool backoff_waits(const struct backoff *b, int64_t now_us) {
    return now_us < b->retry_at_us;
}

/* ---- a server, as the process knows it ---- */

struct watch {
    struct bridges *owner;
    struct servers *servers; /* holds server */
    const struct server *server;
    bool away;   /* it cannot be reached, or was not found yet */
    bool wanted; /* somebody could not reach it: look again */
    bool slow;   /* somebody has waited for it in vain: nobody else needs to */
    bool probing;
    struct backoff backoff;
    struct err error;
};

/* Begins probes that are due. */
void watches_tick(struct bridges *b, int64_t now_us);
/* Somebody could not reach it, or did. */
void watch_suspect(struct watch *w);
void watch_reached(struct watch *w);
/* For a new set of definitions; what is known of equal ones is taken over. */
void watches_renew(struct bridges *b, struct servers *servers);
void watches_free(struct bridges *b);
struct watch *watch_of(struct bridges *b, const struct server *server);

/* ---- a connection ---- */

struct connection {
    struct bridges *owner;
    struct link *link;         /* NULL: let go */
    struct mcp_client *client; /* NULL: not made yet */
    struct authorizer *authorizer;
    struct fiber *worker;  /* opens it, or reads its list; NULL: none */
    int64_t credential_us; /* when what it was made with was stored; 0: made without */
    unsigned refs;
    bool connected, is_process;
    bool quiet; /* its user does nothing: changes of its list are not waited for */
    struct list in_dead;
};
struct connection *connection_ref(struct connection *c);
void connection_unref(struct connection *c); /* accepts NULL; the last one has it closed */
void connections_tick(struct bridges *b);

/* ---- one user's server ---- */

struct link {
    struct user *user;
    const struct server *server; /* of user->servers */
    enum bridge_state state;
    enum bridge_state told; /* what the user's clients were told it is */
    struct err error;       /* why it is not ready */
    struct backoff backoff;
    unsigned timeouts;             /* of calls, in a row */
    bool tried, waited;            /* an attempt ended; somebody has waited for the first one */
    bool needed;                   /* by a call, which waits */
    int64_t credential_us;         /* of the user's vault; 0: there is none */
    struct authorizer *authorizer; /* NULL: it cannot ask for OAuth */
    struct id grant;
    bool oauth;
    struct connection *connection; /* NULL: none */
    struct mcp_tools *tools;
    struct str list_warning; /* on the heap */
    int64_t listed_us, list_due_us;
    bool list_stale;
    struct mcp_server_info *info; /* on the heap, with its texts behind it */
};

struct link *link_new(struct user *u, const struct server *server);
void link_free(struct link *l);
/* Lets the connection go. Its tools are kept. */
void link_close(struct link *l);
/* While the user does nothing, a connection has no stream open; the first use listens again, and
 * asks what has changed. */
void link_rest(struct link *l);
void link_rouse(struct link *l);
/* Begins what there is to do, if anything: to connect, to list anew. force: whatever the breaker
 * says. needed: somebody calls, so that a command is started even though its tools are known. */
enum link_need { LINK_WANTED, LINK_NEEDED, LINK_FORCED };
void link_begin(struct link *l, enum link_need need);
bool link_busy(const struct link *l);
bool link_due(const struct link *l);
/* What the user's vault has now; drops what was made with something else. */
void link_credential(struct link *l, int64_t credential_us, struct id grant, bool oauth);
/* Whether the breaker holds calls off; err says why. */
bool link_held_off(const struct link *l, struct err *err);
/* A call on its connection has ended so. */
void link_note_call(struct link *l, int rc, const struct err *err);
void link_changed(struct link *l);

/* ---- a user ---- */

struct user {
    struct bridges *owner;
    struct list in_users;
    struct str id; /* on the heap */
    struct servers *servers;
    struct link **links;        /* one for each of servers */
    uint64_t generation, epoch; /* of what is here */
    bool synced, syncing, touching;
    unsigned pins;
    int64_t used_us;
    uint64_t version;
    struct fiber_cond changed;
};

/* Made when missing, and pinned. ERR_BUSY: too many are in use. */
int user_pin(struct bridges *b, struct str id, struct user **ret, struct err *err) must_check;
void user_unpin(struct user *u);
/* Makes it what the definitions and the vault say now; costs nothing when nothing changed. On
 * failure nothing may be called on the user's behalf. */
may_yield int user_sync(struct user *u, struct err *err) must_check;
void user_begin_all(struct user *u);
struct link *user_link(struct user *u, struct str server); /* NULL: none */
void user_close(struct user *u); /* closes all connections; what they told is kept */
void user_free(struct user *u);
/* In the background: what user_sync and user_begin_all do. */
void user_touch(struct user *u);
void users_tick(struct bridges *b, int64_t now_us);

/* ---- all of it ---- */

struct bridges {
    struct bridges_options options;
    struct servers *servers;
    uint64_t generation; /* of the definitions */
    struct watch *watches[SERVERS_MAX];
    struct tool_lists *lists;
    struct map by_id;
    struct list users;
    struct fiber_scope scope;   /* what runs for users and watches */
    struct fiber_scope closing; /* connections that are being closed */
    struct list dead;           /* those that wait for a fiber to close them */
    struct fiber_cond wake;
    bool stopping;
    int64_t file_looked_us;
    int64_t file_mark[4]; /* of mcp.json: what changes with it */
    struct bridges_stats stats;
};
