/* What the files of the client know of each other.
 *
 *   client.c           a client's life: new, connect (one attempt for all who wait), free
 *   era.c              which era the server speaks; the legacy handshake
 *   exchange.c         one request of ours in flight: waiting, timeouts, cancelling
 *   deliver.c          where a message of the server goes
 *   server_requests.c  what the server asks us
 *   http_transport.c, http_stream.c, stdio_transport.c, stdio_process.c
 *   listen.c           the server's word that a list has changed
 *   request.c          a request until it has its answer, over lost sessions and connections
 *   list.c, call.c, headers.c
 *
 * A client is held by its owner and by every fiber inside one of its functions; who is last frees
 * the memory. After mcp_client_free it is `closing`: nothing new begins. */
#pragma once
#include "base/list.h"
#include "mcp/client.h"
#include "mcp/headers.h"
#include "mcp/revision.h"
#include "mcp/rpc.h"

enum {
    CLIENT_MAX_ERROR_BODY = 64 * 1024,
    CLIENT_MAX_REQUEST_BYTES = 8 * 1024 * 1024,
    CLIENT_MAX_STREAM_BYTES = 64 * 1024 * 1024, /* all that one request's answer may stream */
    CLIENT_MAX_INBOX = 8,                       /* requests of the server that wait for a call */
    CLIENT_MAX_ANSWERS = 32, /* to requests of the server, on their way beside the calls */
    CLIENT_MAX_SESSION_ID = 1024,
    CLIENT_MAX_CHALLENGES = 3,
};

#define CLIENT_META "io.modelcontextprotocol/"
#define CLIENT_INFO "{\"name\":\"adjutant\",\"version\":\"" ADJUTANT_VERSION "\"}"
#define CLIENT_IDEMPOTENCY_KEY "adjutant/idempotencyKey"

struct mcp_exchange;
struct stdio_process;

/* How messages travel. */
struct mcp_channel {
    /* Ready to send, before the handshake. */
    int (*start)(struct mcp_client *c, struct err *err) may_yield;
    /* Makes a fresh start where a probe may have left the server in disorder. */
    int (*restart)(struct mcp_client *c, struct err *err) may_yield;
    /* Sends x's request. What comes back goes through client_deliver and ends in exchange_finish or
     * exchange_fail, now or later. */
    int (*send)(struct mcp_exchange *x, struct err *err) may_yield;
    /* A notification, or a response to the server. */
    int (*post)(struct mcp_client *c, struct str message, struct err *err) may_yield;
    /* Ends the session politely, within a few seconds. */
    void (*stop)(struct mcp_client *c) may_yield;
};
extern const struct mcp_channel http_channel, stdio_channel;

enum client_state { CLIENT_IDLE, CLIENT_CONNECTING, CLIENT_CONNECTED };

struct mcp_client {
    struct mcp_client_options o; /* its views and pointers belong to `arena` and the arrays below */
    struct arena arena;
    struct mcp_header *headers;
    struct secret **env;
    struct mcp_authorizer authorizer;
    bool has_authorizer;
    const struct mcp_channel *channel;
    unsigned refs;
    bool closing;

    enum client_state state;
    uint64_t generation; /* of the connection: grows when one is made or lost */
    struct fiber_cond changed;
    struct err connect_err;        /* of the last attempt, when it failed */
    struct fiber_scope scope;      /* the attempt, listeners, notifications on their way */
    unsigned n_posts, n_answering; /* fibers of client_post_later; of requests beside the calls */

    enum mcp_era era; /* of this connection */
    enum mcp_revision revision;
    struct mcp_server_info info;
    bool info_known, tools_list_changed;
    struct arena info_arena;

    int64_t last_id;
    struct list exchanges;

    struct secret *session; /* HTTP, legacy: NULL when the server gave none */
    struct fiber *listener; /* NULL: none runs */
    uint64_t listened_generation;
    bool listen_opening;
    bool quiet; /* nobody wants to hear of changes */
    struct stdio_process *process;
    int64_t process_started_us, respawn_at_us; /* monotonic */
    unsigned quick_deaths;

    struct list_alarm *alarm; /* NULL until the first list */
};

void client_ref(struct mcp_client *c);
void client_unref(struct mcp_client *c);
void client_unref_p(struct mcp_client **c);
/* The connection of that generation is gone; the next call connects anew. */
void client_lost(struct mcp_client *c, uint64_t generation);
/* A fiber of the client's own; false when it is closing or there are too many. */
bool client_spawn(struct mcp_client *c, const char *name, void (*fn)(void *arg), void *arg);
/* Sends in the background: the caller does not wait, and nobody hears of a failure. */
void client_post_later(struct mcp_client *c, struct str message);
/* The fields that go with every HTTP request are the client's; these messages name the server. */
int client_err(const struct mcp_client *c, struct err *err, enum err_code code, const char *fmt,
               ...) printf_like(4, 5);

/* ---- era.c ---- */

/* Makes c->era, c->revision and c->info known, in a session where there are sessions. */
may_yield int era_settle(struct mcp_client *c, struct err *err) must_check;

/* ---- exchange.c ---- */

struct mcp_exchange {
    struct list node; /* in client->exchanges */
    struct mcp_client *client;
    uint64_t generation;
    int64_t id; /* also its progress token */
    const char *method;
    struct strbuf body;              /* the whole request */
    struct str name;                 /* modern: of the tool, prompt or resource; for Mcp-Name */
    const struct mcp_mirror *mirror; /* NULL: none */
    const struct mcp_requests *requests;
    void (*on_progress)(void *arg, const struct mcp_progress *p);
    void *on_progress_arg;
    int64_t idle_timeout_ms, absolute_timeout_ms; /* FIBER_FOREVER: none (subscriptions) */
    bool uncancellable;                           /* initialize */
    bool *sent; /* set when the server may have got it; NULL: not asked for */

    int64_t active_us; /* when the idle time began anew */
    bool done;
    int rc;
    struct err err;
    struct strbuf text; /* of the response; its views below */
    struct arena arena;
    struct rpc_message response; /* rc == 0 */
    int http_status;             /* 0: there was no HTTP answer */
    bool session_lost;           /* nothing was done: the server does not know our session */
    bool unanswered;             /* it was sent, and the connection ended without an answer */

    struct list inbox; /* requests of the server */
    unsigned n_inbox;
    struct fiber_cond changed;
    struct fiber_scope scope; /* HTTP: the fiber that reads the answer */
};

/* An id, timeouts and callbacks for a request of that method; the caller writes the body and runs
 * it. exchange_done is for cleanup(). */
void exchange_init(struct mcp_exchange *x, struct mcp_client *c, const char *method);
may_yield void exchange_done(struct mcp_exchange *x);
/* Until there is an answer: 0 (x->response, which may be an error), or x->rc and *err. On a timeout
 * or a cancelled caller the server is told. */
may_yield int exchange_run(struct mcp_exchange *x, struct err *err) must_check;

/* Called by the channels and by client_deliver. Both do nothing when it is done. */
void exchange_finish(struct mcp_exchange *x, struct strbuf *text, struct arena *arena,
                     const struct rpc_message *response); /* takes text and arena over */
void exchange_fail(struct mcp_exchange *x, const struct err *err);
/* All of that generation. */
void exchange_fail_all(struct mcp_client *c, const struct err *err);

/* Writes `{"jsonrpc", "id", "method", "params"}` with the params' members and our _meta. params: a
 * JSON object, or empty. */
void exchange_write(struct mcp_exchange *x, struct str params, struct str idempotency_key,
                    bool with_progress);

/* ---- request.c ---- */

struct request_spec {
    const char *method;
    struct str params; /* JSON object, or empty */
    struct str name;   /* for Mcp-Name; p == NULL: none */
    const struct mcp_mirror *mirror;
    const struct mcp_requests *requests; /* NULL: the client's own */
    struct str idempotency_key;
    bool repeatable, with_progress;
    void (*on_progress)(void *arg, const struct mcp_progress *p);
    void *on_progress_arg;
    int64_t idle_timeout_ms, absolute_timeout_ms; /* 0: the client's */
    bool *sent; /* set when the server may have got it; NULL: not asked for */
};

/* The answer: views of `text`. */
struct request_result {
    struct rpc_message message;
    struct strbuf text;
    struct arena arena;
};
void request_result_done(struct request_result *r);

/* Connects if needed; connects anew once when the server has forgotten the session, and asks once
 * more where an answer was lost and nothing can be done twice. 0 for JSON-RPC errors too. */
may_yield int client_request(struct mcp_client *c, const struct request_spec *spec,
                             struct request_result *ret, struct err *err) must_check;
/* The error for a JSON-RPC error where a result was needed. */
int request_refused(const struct mcp_client *c, const struct rpc_message *m, struct err *err);

/* ---- deliver.c ---- */

/* One message of the server. via: the exchange on whose stream it came, or NULL (stdio, GET). The
 * text is copied where it is kept. ERR_PROTOCOL when it is no message. */
may_yield int client_deliver(struct mcp_client *c, struct mcp_exchange *via, struct str text,
                             struct err *err) must_check;

/* ---- server_requests.c ---- */

struct server_request {
    struct list node;
    struct str id, method, params; /* JSON texts, and the method's name */
    struct arena arena;            /* holds them */
};
struct server_request *server_request_new(const struct rpc_message *m);
void server_request_free(struct server_request *r);
/* Asks `requests` and posts the answer. */
may_yield void server_request_answer(struct mcp_client *c, const struct mcp_requests *requests,
                                     const struct server_request *r);
/* Asks `requests`: what it says, with the defaults of a form filled in. -ERR_NOT_FOUND: the method
 * was not declared. */
may_yield int server_request_ask(const struct mcp_requests *requests, struct str method,
                                 struct str params, struct strbuf *result, struct err *err)
    must_check;
/* What is declared: a ClientCapabilities object. */
void server_request_capabilities(const struct mcp_requests *requests, struct strbuf *out);

/* ---- listen.c ---- */

/* Begins to listen for changes where the server offers it and the owner wants it; for_requests: and
 * for what a legacy server asks beside the streams of calls. Once a connection. */
void listen_start(struct mcp_client *c, bool for_requests);
/* Until the stream stands or there is none, a second at most: what a server asks before is lost. */
may_yield void listen_wait(struct mcp_client *c);
/* Tools have changed, as the server says: tells the owner a little later, once. */
void listen_changed(struct mcp_client *c);
/* A tools list is good for so long. */
void listen_ttl(struct mcp_client *c, int64_t ttl_ms);
void listen_stop(struct mcp_client *c); /* with the connection; for good when it is closing */

/* ---- http_transport.c, http_stream.c ---- */

struct http_reply;
/* One HTTP request with the client's fields, tokens and challenges. method: "POST", "GET",
 * "DELETE". x: NULL unless its headers are to go along. */
struct http_send {
    const char *method;
    struct str body, last_event_id;
    const struct mcp_exchange *x;
    int64_t total_timeout_ms;
};
may_yield int http_send(struct mcp_client *c, const struct http_send *send, struct http_reply **ret,
                        struct err *err) must_check;
bool http_is_stream(const struct http_reply *reply);
/* Reads server-sent messages until x (or, when it is NULL, the stream) ends, and resumes where a
 * legacy server allows it. Takes the reply over. */
may_yield int http_stream_read(struct mcp_client *c, struct mcp_exchange *x,
                               struct http_reply *reply, struct err *err) must_check;
