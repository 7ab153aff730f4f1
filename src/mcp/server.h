/* MCP servers: a table of tools, resources and prompts with C functions, served to any client,
 * dual-era (2026-07-28 stateless; 2024-11-05 to 2025-11-25 with sessions), over streamable HTTP
 * (mcp_endpoint_handle, called by whoever routes and authenticates) and stdio.
 *
 *     static int add(struct mcp_request *r, const json_t *args, struct err *err) {
 *         mcp_result_textf(r, "%" PRId64, json_int(args, "a", 0) + json_int(args, "b", 0));
 *         return 0;
 *     }
 *     static const struct mcp_server_tool tools[] = {
 *         {.name = "add", .description = "Adds two numbers.", .read_only = true, .run = add,
 *          .input_schema = "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},"
 *                          "\"b\":{\"type\":\"integer\"}},\"required\":[\"a\",\"b\"]}"},
 *     };
 *
 * A function runs on a fiber of its own, which is cancelled when the client cancels the request
 * (or, in the modern era, goes away). Arguments were validated against the input schema as far as
 * mcp/json_schema.h goes. The table belongs to its maker and must outlive the endpoint; it may be
 * changed between yields, then mcp_endpoint_changed tells the clients. */
#pragma once
#include "base/json.h"
#include "base/secret.h"
#include "fiber/fiber.h"
#include "mcp/revision.h"
#include "net/http_server.h"

struct mcp_request;

enum {
    MCP_SERVER_MAX_STATE_BYTES = 64 * 1024, /* of requestState */
    MCP_SERVER_MAX_ASKS = 16,               /* questions of one request at a time */
};

/* ---- the table ---- */

struct mcp_server_tool {
    const char *name; /* [A-Za-z0-9_.-], at most 64 */
    const char *title, *description;
    const char *input_schema;  /* JSON text, passed on as it is; NULL: an object of no members */
    const char *output_schema; /* NULL: none */
    bool read_only;
    bool additive;     /* not destructive */
    bool idempotent;   /* again with the same arguments changes nothing more */
    bool closed_world; /* touches nothing outside */
    /* 0, or a negative code: then the result is an error that the model reads, with err's message
     * (or the text written so far, when there is some). For errors of the protocol mcp_request_fail
     * comes first. */
    int (*run)(struct mcp_request *r, const json_t *arguments, struct err *err) may_yield;
    void *arg;
};

/* uri is exact; uri_template has {name} places that match within one path segment and are read with
 * mcp_request_variable. read: mcp_contents_text or _blob, and 0; ERR_NOT_FOUND tells that there is
 * no such resource. */
struct mcp_server_resource {
    const char *uri;
    const char *name, *title, *description, *mime_type;
    int (*read)(struct mcp_request *r, struct str uri, struct err *err) may_yield;
    void *arg;
};
struct mcp_server_template {
    const char *uri_template;
    const char *name, *title, *description, *mime_type;
    int (*read)(struct mcp_request *r, struct str uri, struct err *err) may_yield;
    void *arg;
};

struct mcp_server_argument {
    const char *name, *description;
    bool required;
};
struct mcp_server_prompt {
    const char *name, *title, *description;
    const struct mcp_server_argument *arguments;
    size_t n_arguments;
    /* mcp_result_role, then content; missing required arguments were refused. */
    int (*get)(struct mcp_request *r, const json_t *arguments, struct err *err) may_yield;
    void *arg;
};

/* What completion/complete asks for: the value so far of an argument of a prompt or a template. */
struct mcp_completion {
    struct str prompt, uri_template; /* one of them is empty */
    struct str argument, value;
    const json_t *others; /* values already known by name; NULL: none */
};

struct mcp_server {
    const char *name, *title, *version;
    const char *instructions; /* for the model; NULL: none */
    const struct mcp_server_tool *tools;
    size_t n_tools;
    const struct mcp_server_resource *resources;
    size_t n_resources;
    const struct mcp_server_template *templates;
    size_t n_templates;
    const struct mcp_server_prompt *prompts;
    size_t n_prompts;
    /* Suggests with mcp_completion_add. NULL: none are offered. */
    int (*complete)(struct mcp_request *r, const struct mcp_completion *c, struct err *err)
        may_yield;
    /* Whether this user sees the tool at all; NULL: all do. Must not yield. */
    bool (*shows)(const struct mcp_request *r, const struct mcp_server_tool *tool);
    bool logging;       /* declares log messages */
    bool subscriptions; /* resources can be subscribed to */
    bool changes;       /* lists may change: mcp_endpoint_changed */
    bool public_lists;  /* the same for all users, so caches may share them */
    int64_t ttl_ms;     /* how long lists and resources may be cached; 0: not at all */
};

/* Whether every model provider takes the tools: legal and unique names, input schemas whose root is
 * an object without combinators, no $ref, items on arrays. ERR_INVALID names the tool. For the
 * tests of our servers; an endpoint itself only insists on names and JSON. */
int mcp_server_check(const struct mcp_server *server, struct err *err) must_check;

/* ---- the request, as functions of the table see it; views live as long as it does ---- */

struct str mcp_request_user(const struct mcp_request *r); /* as mcp_endpoint_handle got it */
void *mcp_request_context(const struct mcp_request *r);   /* likewise */
void *mcp_request_arg(const struct mcp_request *r); /* of the tool, resource, template, prompt */
enum mcp_revision mcp_request_revision(const struct mcp_request *r);
struct str mcp_request_client_name(const struct mcp_request *r); /* self-reported; may be empty */
const json_t *mcp_request_meta(const struct mcp_request *r);     /* params._meta, or NULL */
struct str mcp_request_variable(const struct mcp_request *r, const char *name); /* of a template */

/* Only if the client asked for it; a value that does not grow is dropped. total 0: unknown. */
void mcp_request_progress(struct mcp_request *r, double progress, double total, struct str message);

enum mcp_log_level {
    MCP_LOG_DEBUG,
    MCP_LOG_INFO,
    MCP_LOG_NOTICE,
    MCP_LOG_WARNING,
    MCP_LOG_ERROR,
    MCP_LOG_CRITICAL,
    MCP_LOG_ALERT,
    MCP_LOG_EMERGENCY,
};
/* To the client, if it wants this level. logger: NULL for none. */
void mcp_request_log(struct mcp_request *r, enum mcp_log_level level, const char *logger,
                     struct str message);

/* Tells what the client will see instead of a result: a JSON-RPC error. data: JSON, empty: none.
 * The function then returns the value of this one. */
int mcp_request_fail(struct mcp_request *r, int code, struct str message, struct str data,
                     struct err *err);

/* ---- asking the client ---- */

enum mcp_ability {
    MCP_CAN_ELICIT,     /* forms */
    MCP_CAN_ELICIT_URL, /* links to visit */
    MCP_CAN_SAMPLE,
    MCP_CAN_LIST_ROOTS,
};
bool mcp_request_can(const struct mcp_request *r, enum mcp_ability ability);

struct mcp_ask {
    const char *key; /* of the answer, unique within the request */
    enum mcp_ability ability;
    struct str params; /* JSON object: of elicitation/create, sampling/createMessage, roots/list */
};
/* Asks and waits (legacy), or has the client come back with the answers (modern): then the result
 * is negative and the function returns it at once; it runs again from its beginning, and finds all
 * answers of earlier rounds here. So it asks before it does anything that must not be done twice.
 * ret_answers: one result object a question, in the order of asks, as long as the request lives;
 * they have been looked at for their shape only. A client that does not have the ability is told
 * so.
 */
may_yield int mcp_request_ask(struct mcp_request *r, const struct mcp_ask *asks, size_t n,
                              const json_t **ret_answers, struct err *err) must_check;
/* One form; schema: JSON. *ret_content: the accepted content, or NULL when declined or cancelled.
 */
may_yield int mcp_request_elicit(struct mcp_request *r, const char *key, struct str message,
                                 struct str schema, const json_t **ret_content, struct err *err)
    must_check;

/* What the function kept from its last round (modern; empty: nothing), and what is kept for the
 * next one. Sealed against change, bound to user and request, expires; readable by the client. */
struct str mcp_request_state(const struct mcp_request *r);
void mcp_request_keep(struct mcp_request *r, struct str state);

/* Legacy, revision 2025-11-25: closes the response's stream while the request goes on; the client
 * comes back for the rest after retry_ms. Else nothing happens. */
void mcp_request_release_stream(struct mcp_request *r, int64_t retry_ms);

/* ---- writing results ---- */

void mcp_result_text(struct mcp_request *r, struct str text);
void mcp_result_textf(struct mcp_request *r, const char *fmt, ...) printf_like(2, 3);
void mcp_result_image(struct mcp_request *r, const char *mime_type, struct str bytes);
void mcp_result_audio(struct mcp_request *r, const char *mime_type, struct str bytes);
void mcp_result_resource_text(struct mcp_request *r, struct str uri, const char *mime_type,
                              struct str text);
void mcp_result_resource_blob(struct mcp_request *r, struct str uri, const char *mime_type,
                              struct str bytes);
void mcp_result_link(struct mcp_request *r, struct str uri, struct str name, const char *mime_type);
/* A content block of any other shape. */
void mcp_result_block(struct mcp_request *r, struct str json);
/* structuredContent; where no content was written, its text becomes the content. */
void mcp_result_structured(struct mcp_request *r, struct str json);
void mcp_result_structured_tree(struct mcp_request *r, const json_t *value);
void mcp_result_error(struct mcp_request *r); /* isError */

/* prompts: content that follows is said by "user" (the default) or "assistant". */
void mcp_result_role(struct mcp_request *r, const char *role);

/* resources/read */
void mcp_contents_text(struct mcp_request *r, struct str uri, const char *mime_type,
                       struct str text);
void mcp_contents_blob(struct mcp_request *r, struct str uri, const char *mime_type,
                       struct str bytes);

void mcp_completion_add(struct mcp_request *r, struct str value); /* at most 100 are sent */

/* ---- endpoints ---- */

struct mcp_endpoint;

struct mcp_endpoint_options {
    const struct mcp_server *server;
    /* NULL-terminated. Hosts without port: NULL takes loopback names only. Origins as browsers send
     * them ("https://chat.example.org"): NULL takes loopback ones only; no Origin is always fine.
     * "*" takes any. */
    const char *const *allowed_hosts, *const *allowed_origins;
    /* For challenges (RFC 9728): the URL of the metadata and the scope to ask for; NULL: none. */
    const char *resource_metadata, *scope;
    /* Seals requestState; the same in all processes that serve the endpoint. NULL: a random one. */
    const struct secret *state_key;
    /* The user_context must live as long as the calls it was given to, which may be longer than the
     * HTTP request: copied for each, and released. NULL: it outlives the endpoint. */
    void *(*context_copy)(void *user_context);
    void (*context_release)(void *user_context);

    /* 0 takes the default in brackets. */
    unsigned max_sessions;            /* [2,000] idle ones make room */
    unsigned max_sessions_per_user;   /* [100] likewise */
    unsigned max_calls_per_user;      /* [64] running at a time; more get 429 */
    unsigned max_calls;               /* [2,000] likewise 503 */
    unsigned max_listeners_per_user;  /* [32] streams of GET and subscriptions/listen */
    unsigned max_requests_per_minute; /* [1,200] of one user; more get 429 */
    size_t max_body_bytes;            /* [4 MiB] */
    size_t max_result_bytes;          /* [8 MiB] */
    size_t max_replay_bytes;          /* [32 MiB] of all streams kept for Last-Event-ID */
    int64_t session_idle_ms;          /* [30 min] */
    int64_t call_timeout_ms;          /* [10 min] */
    int64_t ask_timeout_ms;           /* [5 min] for an answer of a legacy client */
    int64_t state_ttl_ms;             /* [1 h] of requestState */
    int64_t heartbeat_ms;             /* [15,000] comments on silent streams */
    unsigned page_size;               /* [250] of lists */
};

/* ERR_INVALID: the table is wrong, and how. */
int mcp_endpoint_new(const struct mcp_endpoint_options *options, struct mcp_endpoint **ret,
                     struct err *err) must_check;
/* Before the HTTP server stops: ends streams, cancels calls, waits for them. Later requests get
 * 503. */
may_yield void mcp_endpoint_stop(struct mcp_endpoint *e);
void mcp_endpoint_free(struct mcp_endpoint *e); /* after stop; accepts NULL */

/* Answers one HTTP request (POST, GET, DELETE, OPTIONS) of a user who has been authenticated, on
 * its fiber. 0, or -ERR_CANCELLED when the peer went away. Sessions are only known to the user who
 * began them. */
may_yield int mcp_endpoint_handle(struct mcp_endpoint *e, struct http_request *request,
                                  struct str user_id, void *user_context);
/* Answers a request that was not authenticated (401) or not permitted (403), with the challenge of
 * RFC 6750 and RFC 9728. error: "invalid_token", "insufficient_scope"; NULL: none was sent. */
may_yield int mcp_endpoint_challenge(struct mcp_endpoint *e, struct http_request *request,
                                     int status, const char *error);

/* Speaks on two descriptors until the input ends, then cancels what runs and returns 0. What is no
 * JSON is answered and skipped. Nothing else may write to out_fd. */
may_yield int mcp_endpoint_stdio(struct mcp_endpoint *e, int in_fd, int out_fd, struct str user_id,
                                 void *user_context, struct err *err) must_check;

enum mcp_change { MCP_CHANGE_TOOLS, MCP_CHANGE_RESOURCES, MCP_CHANGE_PROMPTS };
/* Tells all that listen, or the one user whose list it is (empty: all). */
void mcp_endpoint_changed(struct mcp_endpoint *e, enum mcp_change what, struct str user_id);
void mcp_endpoint_resource_updated(struct mcp_endpoint *e, struct str uri, struct str user_id);
/* The endpoint that serves the request, for the two above. */
struct mcp_endpoint *mcp_request_endpoint(const struct mcp_request *r);

struct mcp_endpoint_stats {
    unsigned sessions, calls, listeners;
    size_t replay_bytes;
};
struct mcp_endpoint_stats mcp_endpoint_stats(const struct mcp_endpoint *e);
