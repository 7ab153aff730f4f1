/* What the files of the server library share.
 *
 * A message to the client goes into a stream; a stream is read by the fiber of the HTTP request
 * that it answers, by that of a GET that resumes it, or by the writer of stdio. A request runs on a
 * fiber of the endpoint's scope. Requests, sessions and streams are held by count, as each may
 * outlive the others' interest: a legacy request goes on when its connection is lost. */
#pragma once
#include <inttypes.h>

#include "base/arena.h"
#include "base/map.h"
#include "mcp/rpc.h"
#include "mcp/server.h"

#define MCP_META "io.modelcontextprotocol/"

enum {
    MCP_SESSION_ID_BYTES = 24,
    MCP_SESSION_ID_LEN = 32,           /* base64url */
    MCP_MAX_SUBSCRIPTIONS = 64,        /* resources of one session or listener */
    MCP_MAX_SESSION_STREAMS = 16,      /* finished ones that are kept for Last-Event-ID */
    MCP_MAX_STREAM_BYTES = 512 * 1024, /* waiting in one stream; notifications beyond are dropped */
    MCP_MAX_STREAM_MESSAGES = 512,
    MCP_MAX_NEWS_KEPT = 16,
    MCP_MAX_USERS_KEPT = 4096,
    MCP_MAX_VARIABLES = 8,
    MCP_MAX_URI_BYTES = 2048,      /* of a subscription */
    MCP_MAX_LOG_BYTES = 64 * 1024, /* of one message to the client */
    MCP_MAX_COMPLETIONS = 100,
};

struct mcp_user {
    unsigned sessions, calls, listeners;
    unsigned attached; /* HTTP requests that are served now */
    double tokens;     /* of the rate limit */
    int64_t tokens_at_us;
    size_t id_n;
    char id[];
};

struct mcp_endpoint {
    struct mcp_endpoint_options options; /* defaults filled in */
    struct map users, sessions;
    struct list idle_order; /* all sessions, the one used longest ago first */
    struct list listeners;  /* of subscriptions/listen */
    struct list finished;   /* streams kept for replay, oldest first */
    struct fiber_scope scope;
    struct fiber_cond stop;
    uint8_t random_key[32];
    struct mcp_endpoint_stats stats;
    bool stopping;
};

struct mcp_user *mcp_user_get(struct mcp_endpoint *e, struct str id);
/* Takes one request off the user's rate; false: too many. */
bool mcp_user_may_request(struct mcp_endpoint *e, struct mcp_user *u);
static inline struct str mcp_user_id(const struct mcp_user *u) {
    return (struct str){u->id, u->id_n};
}

/* ---- streams ---- */

struct mcp_message {
    struct list in_stream;
    uint64_t seq;
    bool droppable; /* a notification */
    size_t n;
    char text[];
};

struct mcp_session;

struct mcp_stream {
    unsigned refs;
    struct mcp_endpoint *endpoint;
    struct mcp_session *session; /* it can be resumed in; NULL: in none. Not counted */
    uint64_t number;             /* within the session */
    struct list in_session, in_finished;
    struct list messages; /* not sent yet, or kept for replay */
    size_t bytes, n_messages;
    uint64_t last_seq, sent_seq;
    bool finished; /* nothing more comes */
    bool shared;   /* of stdio: requests do not finish it */
    bool release;  /* the reader is to close the connection now, telling retry_ms */
    int64_t retry_ms;
    uint64_t reader; /* the newest reader; an older one ends */
    struct fiber_cond changed;
};

struct mcp_stream *mcp_stream_new(struct mcp_endpoint *e, struct mcp_session *session);
struct mcp_stream *mcp_stream_ref(struct mcp_stream *s);
void mcp_stream_unref(struct mcp_stream *s); /* accepts NULL */
/* False: dropped, since it is full or finished. */
bool mcp_stream_push(struct mcp_stream *s, struct str text, bool droppable);
void mcp_stream_finish(struct mcp_stream *s);
/* The first message behind seq, or NULL. */
struct mcp_message *mcp_stream_after(const struct mcp_stream *s, uint64_t seq);
/* Everything up to seq was handed to the connection; what need not be kept is dropped. */
void mcp_stream_sent(struct mcp_stream *s, uint64_t seq);
void mcp_stream_forget(struct mcp_stream *s); /* out of its session; nothing is kept any more */

/* ---- sessions (legacy; also that of stdio) ---- */

struct mcp_question {
    struct list in_session;
    char id[24]; /* of the request we sent, with quotes */
    bool answered;
    json_t *result; /* NULL when answered: an error */
    struct fiber_cond changed;
};

struct mcp_session {
    unsigned refs;
    struct mcp_endpoint *endpoint;
    struct mcp_user *user;
    char id[MCP_SESSION_ID_LEN + 1]; /* "" for stdio */
    struct list in_idle_order;
    int64_t used_us;
    bool closed;
    bool initialized; /* an initialize was answered */
    enum mcp_revision revision;
    json_t *capabilities, *client_info;
    enum mcp_log_level log_level;
    struct list requests, questions, streams;
    unsigned attached; /* HTTP requests that are with it */
    uint64_t streams_begun, questions_asked;
    struct mcp_stream *own; /* of GET, or stdio's output; NULL: none yet */
    char *subscriptions[MCP_MAX_SUBSCRIPTIONS];
    unsigned n_subscriptions;
};

/* Makes room by closing idle ones; NULL: there is none to close. */
struct mcp_session *mcp_session_new(struct mcp_endpoint *e, struct mcp_user *u);
struct mcp_session *mcp_session_stdio(struct mcp_endpoint *e, struct mcp_user *u);
/* NULL: unknown, closed, or another user's. Marks it as used; the caller holds no count. */
struct mcp_session *mcp_session_find(struct mcp_endpoint *e, struct str id, struct str user_id);
struct mcp_session *mcp_session_ref(struct mcp_session *s);
void mcp_session_unref(struct mcp_session *s); /* accepts NULL */
void mcp_session_close(struct mcp_session *s); /* cancels what runs in it */
/* The client's answer to one of our questions. */
void mcp_session_answer(struct mcp_session *s, const struct rpc_message *m);
struct mcp_request *mcp_session_request(const struct mcp_session *s, struct str id);
bool mcp_session_subscribed(const struct mcp_session *s, struct str uri);
bool mcp_session_subscribe(struct mcp_session *s, struct str uri); /* false: too many */
void mcp_session_unsubscribe(struct mcp_session *s, struct str uri);

/* ---- requests ---- */

struct mcp_variable {
    char name[64];
    struct str value;
};

struct mcp_request {
    unsigned refs;
    struct mcp_endpoint *endpoint;
    struct mcp_user *user;
    void *context;
    struct mcp_session *session; /* counted; NULL: modern over HTTP */
    struct mcp_stream *stream;   /* counted */
    struct fiber *fiber;         /* while it runs on its own */
    struct list in_session;
    bool modern;
    bool one_answer; /* the client takes no stream: only the response can be sent */
    bool silent;     /* cancelled by the client: no response */
    enum mcp_revision revision;

    struct arena arena;
    struct str id, method; /* in the arena */
    json_t *params;        /* NULL: none */
    const json_t *meta, *capabilities;

    const void *item; /* the tool, resource, ... */
    void *item_arg;
    struct mcp_variable variables[MCP_MAX_VARIABLES];
    size_t n_variables;

    double progress;
    bool progressed;

    struct strbuf content, structured; /* the inside of the array; a JSON value */
    bool is_error;
    const char *role;
    unsigned n_completions;

    int fail_code;   /* 0: none */
    int http_status; /* of the failure; 0: 200 */
    struct str fail_message, fail_data;

    json_t *answers; /* by key, of this and earlier rounds; NULL: none */
    struct str state_in;
    struct strbuf state_out, input_requests;
    bool input_required;
};

/* Takes over the counts of stream and session, copies the message's texts. */
struct mcp_request *mcp_request_new(struct mcp_endpoint *e, struct mcp_user *u, void *user_context,
                                    struct mcp_session *session, struct mcp_stream *stream,
                                    const struct rpc_message *m, json_t *params);
struct mcp_request *mcp_request_ref(struct mcp_request *r);
void mcp_request_unref(struct mcp_request *r); /* accepts NULL */
void mcp_request_notify(struct mcp_request *r, const char *method, struct str params);
/* Makes it a modern request: what _meta must have is there. 0, or the request has failed. */
int mcp_request_read_meta(struct mcp_request *r, struct err *err) must_check;
/* Likewise: the revision is spoken. */
int mcp_request_check_version(struct mcp_request *r, struct err *err) must_check;
/* A message that was not a request of the legacy eras: _meta names a revision, or only the modern
 * era has the method. */
bool mcp_message_is_modern(const struct rpc_message *m, const json_t *params);
/* The response of a request that failed before it was dispatched, which ends with it. */
void mcp_respond_failure(struct mcp_request *r, const struct err *err);
/* Sets the JSON-RPC error; the negative code of err. */
int mcp_request_refuse(struct mcp_request *r, int http_status, int code, struct err *err,
                       const char *fmt, ...) printf_like(5, 6);

bool mcp_log_level_parse(struct str name, enum mcp_log_level *ret);

/* ---- server_dispatch.c ---- */

/* Whether the method's function may yield, and so needs a fiber of its own. */
bool mcp_dispatch_yields(const struct mcp_request *r);
/* Runs the request and puts its response into the stream. */
may_yield void mcp_dispatch(struct mcp_request *r);
/* Spawns a fiber that dispatches and lets go of the request; when that is not possible the response
 * is an error. */
void mcp_dispatch_begin(struct mcp_request *r);
void mcp_dispatch_cancel(struct mcp_request *r); /* no response any more */
void mcp_dispatch_notification(struct mcp_session *s, const struct rpc_message *m);

/* ---- the methods: write the members of the result, or fail ---- */

int mcp_list_tools(struct mcp_request *r, struct jsonw *w, struct err *err);
int mcp_list_resources(struct mcp_request *r, struct jsonw *w, struct err *err);
int mcp_list_templates(struct mcp_request *r, struct jsonw *w, struct err *err);
int mcp_list_prompts(struct mcp_request *r, struct jsonw *w, struct err *err);
may_yield int mcp_call_tool(struct mcp_request *r, struct jsonw *w, struct err *err);
may_yield int mcp_read_resource(struct mcp_request *r, struct jsonw *w, struct err *err);
may_yield int mcp_get_prompt(struct mcp_request *r, struct jsonw *w, struct err *err);
may_yield int mcp_complete(struct mcp_request *r, struct jsonw *w, struct err *err);
may_yield int mcp_listen(struct mcp_request *r, struct jsonw *w, struct err *err);

const struct mcp_server_tool *mcp_find_tool(const struct mcp_request *r, struct str name);
/* Members of "capabilities" as this server has them for the era. */
void mcp_write_capabilities(const struct mcp_request *r, struct jsonw *w);
void mcp_write_server_info(const struct mcp_request *r, struct jsonw *w, const char *key);
/* ttlMs and cacheScope (modern). */
void mcp_write_caching(const struct mcp_request *r, struct jsonw *w, bool shared);

/* ---- server_ask.c: requestState ---- */

/* Reads inputResponses and requestState of the retried request. */
int mcp_ask_resume(struct mcp_request *r, struct err *err) must_check;
/* The members of an input_required result. */
void mcp_ask_write(struct mcp_request *r, struct jsonw *w);

/* ---- server_check.c ---- */

/* What an endpoint insists on: legal and unique names, JSON that reads. */
int mcp_table_check(const struct mcp_server *server, struct err *err) must_check;

/* ---- server_guard.c: what is looked at before a request is anything to us ---- */

struct mcp_accepts {
    bool json, events;
};
/* Host and Origin. */
bool mcp_guard_host(const struct mcp_endpoint *e, const struct http_request *request);
bool mcp_guard_origin(const struct mcp_endpoint *e, const struct http_request *request);
bool mcp_guard_content_type(const struct http_request *request);
struct mcp_accepts mcp_guard_accept(const struct http_request *request);
/* MCP-Protocol-Version, Mcp-Method, Mcp-Name, Mcp-Param-*: what they mirror. 0, or the request has
 * failed. */
int mcp_guard_mirrors(struct mcp_request *r, const struct http_request *request, struct err *err)
    must_check;
