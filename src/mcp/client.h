/* A connection to one MCP server on behalf of one user: dual-era (2026-07-28 stateless; 2024-11-05
 * to 2025-11-25 with sessions), over streamable HTTP or stdio. It finds out the era itself,
 * connects anew after a loss, and holds nothing of any other user. Calls run on their caller's
 * fiber, many side by side; a cancelled fiber cancels its call at the server.
 *
 * Errors: ERR_UNAVAILABLE (not reached, died), ERR_TIMEOUT, ERR_PROTOCOL (what it said is no MCP),
 * ERR_LIMIT, ERR_UNAUTHORIZED (the message says what the user can do), ERR_CANCELLED, ERR_INVALID
 * (the server refused the request: its own words). Messages name the server, never a secret. */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"
#include "base/secret.h"
#include "fiber/fiber.h"

struct mcp_client;

enum mcp_transport { MCP_HTTP, MCP_STDIO };
enum mcp_era { MCP_ERA_UNKNOWN, MCP_ERA_LEGACY, MCP_ERA_MODERN };

enum {
    MCP_MAX_HEADERS = 16,
    MCP_MAX_RESULT_BYTES = 8 * 1024 * 1024, /* of one message of a server */
    MCP_MAX_LIST_BYTES = 16 * 1024 * 1024,  /* of all pages of a list */
    MCP_MAX_LIST_PAGES = 200,
    MCP_MAX_TOOLS = 2000, /* of one server; more are left out, and said so */
};

/* Where tokens come from, for servers that ask for OAuth. Servers with an Authorization header of
 * their own never have one. */
struct mcp_authorizer {
    /* For the next request; *ret NULL: none yet. The caller frees it. */
    int (*token)(void *arg, struct secret **ret, struct err *err) may_yield;
    /* 401, or 403 with insufficient_scope, to a request that was sent with `used` (NULL: with no
     * token): so that of many calls that were refused together one asks for a new token. 0: there
     * is another token now, try again (the client does so at most 3 times a request);
     * -ERR_UNAUTHORIZED: only the user can help; err says how. */
    int (*challenged)(void *arg, const struct secret *used, int status, struct str www_authenticate,
                      struct err *err) may_yield;
    void *arg;
};

struct mcp_header {
    const char *name;
    const struct secret *value;
};

/* Requests that servers make while a call of ours runs. result: written as one JSON value. An error
 * answers the server with a JSON-RPC error. */
struct mcp_requests {
    /* elicitation/create, and sampling/createMessage, roots/list when declared. */
    int (*handle)(void *arg, struct str method, const json_t *params, struct strbuf *result,
                  struct err *err) may_yield;
    void *arg;
    bool elicitation_form, elicitation_url, sampling, roots; /* what is declared */
};

struct mcp_client_options {
    struct str name; /* of the server, for messages */
    enum mcp_transport transport;
    enum mcp_era pinned_era; /* MCP_ERA_UNKNOWN: find out */
    /* HTTP */
    struct str url;
    const struct mcp_header *headers; /* copied */
    size_t n_headers;
    const struct mcp_authorizer *authorizer; /* NULL: none; copied */
    /* stdio: environment is PATH, HOME, LANG and these "NAME=value" secrets; copied */
    struct str command;
    const struct str *args;
    size_t n_args;
    const struct secret *const *env;
    size_t n_env;
    /* both */
    struct mcp_requests requests;
    /* The server said so, or its list's time is up; debounced. On the loop's stack: it only notes
     * it and wakes whoever lists again. */
    void (*on_tools_changed)(void *arg);
    void *on_tools_changed_arg;
    int64_t connect_timeout_ms;  /* [10,000] until the era is known and a session stands */
    int64_t idle_timeout_ms;     /* [60,000] of a call, started anew by progress */
    int64_t absolute_timeout_ms; /* [300,000] of a call */
};

/* Does not connect yet. */
struct mcp_client *mcp_client_new(const struct mcp_client_options *options);
/* Ends sessions (DELETE) and processes; running calls fail. Bounded to some seconds. */
may_yield void mcp_client_free(struct mcp_client *c); /* accepts NULL */

/* Connects if it is not connected; others wait for the same attempt. */
may_yield int mcp_client_connect(struct mcp_client *c, struct err *err) must_check;
bool mcp_client_connected(const struct mcp_client *c);
/* Whether the server's word of changes is waited for [yes], which takes a stream. Whoever listens
 * again may have missed one. */
void mcp_client_listen(struct mcp_client *c, bool on);

struct mcp_server_info {
    enum mcp_era era;
    struct str version, name, title, server_version, instructions; /* live as the client does */
    bool tools, resources, prompts;
};
const struct mcp_server_info *mcp_client_server(const struct mcp_client *c); /* NULL: unknown yet */

/* ---- lists: the JSON texts of the entries, byte-faithful, in the server's order ---- */

struct mcp_list {
    struct str *items; /* one JSON object each */
    size_t n;
    int64_t ttl_ms;     /* -1: none was given */
    struct str warning; /* why something is missing (limits, repeated cursor); empty: nothing is */
};
/* method: "tools/list", "resources/list", "resources/templates/list", "prompts/list". */
may_yield int mcp_client_list(struct mcp_client *c, const char *method, struct arena *arena,
                              struct mcp_list *ret, struct err *err) must_check;

/* ---- calls ---- */

struct mcp_progress {
    double progress, total; /* total: 0 when unknown */
    struct str message;
};

struct mcp_call {
    struct str tool;
    struct str arguments;       /* JSON object */
    struct str input_schema;    /* of the tool, for mirrored headers; empty: none */
    struct str idempotency_key; /* goes into _meta; empty: none */
    bool repeatable;            /* may be sent again after a loss without an answer */
    /* Until the call returns, on a fiber that reads for it: must not yield. */
    void (*on_progress)(void *arg, const struct mcp_progress *p);
    void *on_progress_arg;
    const struct mcp_requests *requests; /* instead of the client's own for this call; or NULL */
    /* Going on after input_required (modern): as the earlier result had them. */
    struct str request_state, input_responses; /* JSON; empty: none */
    /* Answer input_required through `requests` and go on, at most 10 rounds. Else it is the result.
     */
    bool answer_inputs;
    bool *sent; /* set as soon as the server may have got the call; NULL: not asked for */
    int64_t idle_timeout_ms, absolute_timeout_ms; /* 0: the client's */
};

struct mcp_call_result {
    struct str json; /* the result object as it came */
    bool is_error;   /* isError, or a JSON-RPC error: then `json` has its message as text content */
    bool input_required;
    struct str input_requests, request_state; /* JSON texts */
};
may_yield int mcp_client_call(struct mcp_client *c, const struct mcp_call *call,
                              struct arena *arena, struct mcp_call_result *ret, struct err *err)
    must_check;

/* Any other request: resources/read, prompts/get, completion/complete. params: JSON object. */
may_yield int mcp_client_request(struct mcp_client *c, const char *method, struct str params,
                                 struct arena *arena, struct str *ret_result, struct err *err)
    must_check;
