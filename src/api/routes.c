#include "api/handlers.h"
#include "api/mcp.h"
#include "api/route.h"

enum { SMALL = 64 * 1024, LARGE = 8 * 1024 * 1024 };

#define TO(name) .handler = handle_##name
#define PUBLIC .access = ACCESS_PUBLIC
#define USER .access = ACCESS_USER
#define ADMIN .access = ACCESS_ADMIN
#define WEB_PAGE(pattern)                                                                          \
    {                                                                                              \
        "GET", pattern, TO(web_page), PUBLIC, .tag = "web", .summary = "The web app",              \
                                              .response = "Page", .status = 200                    \
    }
#define WEB_ROOT_FILE(pattern)                                                                     \
    {                                                                                              \
        "GET", pattern, TO(web_root_file), PUBLIC,                                                 \
            .tag = "web", .summary = "A file of the web app that has its place at the root",       \
            .response = "Page", .status = 200                                                      \
    }

static const struct route table[] = {
    /* chat and turns */
    {"POST", "/api/chat", TO(chat), USER, .max_body_bytes = LARGE, .tag = "chat",
     .summary = "Say something: an answer, a stream of events, or a receipt",
     .request = "ChatRequest", .response = "ChatAnswer", .status = 200},
    {"GET", "/api/turns/{id}", TO(turn_get), USER, .tag = "chat", .summary = "The state of a turn",
     .response = "Turn", .status = 200},
    {"GET", "/api/turns/{id}/events", TO(turn_events), USER, .tag = "chat",
     .summary = "The AG-UI events of a turn, live or stored", .query = "since",
     .response = "EventStream", .status = 200},
    {"POST", "/api/turns/{id}/cancel", TO(turn_cancel), USER, .max_body_bytes = SMALL,
     .tag = "chat", .summary = "Stop a turn", .response = "TurnState", .status = 202},
    {"GET", "/api/interrupts", TO(interrupt_list), USER, .tag = "chat",
     .summary = "What the assistant asks and nobody has answered", .query = "thread_id",
     .response = "InterruptList", .status = 200},
    {"GET", "/api/interrupts/{id}", TO(interrupt_get), USER, .tag = "chat",
     .summary = "One of these questions, also an answered one", .response = "InterruptRow",
     .status = 200},
    {"POST", "/api/interrupts/{id}", TO(interrupt_answer), USER, .max_body_bytes = 512 * 1024,
     .tag = "chat", .summary = "Approve, edit or deny; the turn goes on with the last answer",
     .request = "InterruptAnswer", .response = "InterruptReceipt", .status = 202},

    /* threads */
    {"GET", "/api/threads", TO(thread_list), USER, .tag = "threads",
     .summary = "The user's threads, newest first", .query = "limit cursor archived",
     .response = "ThreadList", .status = 200},
    {"POST", "/api/threads", TO(thread_create), USER, .max_body_bytes = SMALL, .tag = "threads",
     .summary = "Make an empty thread", .request = "NewThread", .response = "Thread",
     .status = 201},
    {"GET", "/api/threads/{id}", TO(thread_get), USER, .tag = "threads",
     .summary = "A thread with its newest messages", .query = "before limit images",
     .response = "ThreadWithMessages", .status = 200},
    {"GET", "/api/threads/{id}/messages/{message_id}/images/{index}", TO(message_image), USER,
     .tag = "threads", .summary = "The bytes of an image in a message", .response = "Image",
     .status = 200},
    {"PATCH", "/api/threads/{id}", TO(thread_patch), USER, .max_body_bytes = SMALL,
     .tag = "threads", .summary = "Rename or archive a thread", .request = "ThreadChange",
     .response = "Thread", .status = 200},
    {"DELETE", "/api/threads/{id}", TO(thread_delete), USER, .max_body_bytes = SMALL,
     .tag = "threads", .summary = "Delete a thread and all that belongs to it", .status = 204},
    {"POST", "/api/threads/{id}/cancel", TO(thread_cancel), USER, .max_body_bytes = SMALL,
     .tag = "threads", .summary = "Stop the running turn of a thread and those that wait",
     .response = "ThreadName", .status = 202},
    {"GET", "/api/threads/{id}/checkpoints", TO(thread_checkpoints), USER, .tag = "threads",
     .summary = "The points a thread can be forked from", .query = "limit",
     .response = "CheckpointList", .status = 200},
    {"POST", "/api/threads/{id}/fork", TO(thread_fork), USER, .max_body_bytes = SMALL,
     .tag = "threads", .summary = "A new thread with the messages up to a turn", .request = "Fork",
     .response = "Thread", .status = 201},

    {"GET", "/api/threads/{id}/export", TO(thread_export), USER, .tag = "threads",
     .summary = "A thread to take along, as JSON or Markdown", .query = "format",
     .response = "ThreadExport", .status = 200},
    {"GET", "/api/export", TO(export), USER, .tag = "threads",
     .summary = "All of the user's threads with all messages", .response = "Export", .status = 200},

    {"GET", "/api/search", TO(search), USER, .tag = "threads",
     .summary = "Messages with all of these words, newest first", .query = "q limit cursor",
     .response = "SearchResult", .status = 200},

    /* accounts and models */
    {"POST", "/api/login", TO(login), PUBLIC, .max_body_bytes = 4096, .tag = "account",
     .summary = "Exchange a key for a session cookie", .request = "Login", .response = "Session",
     .status = 200},
    {"POST", "/api/logout", TO(logout), PUBLIC, .max_body_bytes = 4096, .tag = "account",
     .summary = "End the cookie's session", .status = 204},
    {"GET", "/api/me", TO(me), USER, .tag = "account",
     .summary = "Who the key belongs to, and what is set up for them", .response = "Me",
     .status = 200},
    {"GET", "/api/me/profile", TO(profile_get), USER, .tag = "account",
     .summary = "Who one says one is", .response = "Profile", .status = 200},
    {"PUT", "/api/me/profile", TO(profile_put), USER, .max_body_bytes = 2 * SMALL, .tag = "account",
     .summary = "Say who one is; every turn is told", .request = "NewProfile",
     .response = "Profile", .status = 200},
    {"GET", "/api/models", TO(models), USER, .tag = "account",
     .summary = "The models this instance is set up for", .response = "ModelList", .status = 200},
    {"POST", "/api/models/discover", TO(models_discover), USER, .max_body_bytes = SMALL,
     .tag = "account", .summary = "The models that a provider has now, to choose from",
     .request = "Discovery", .response = "DiscoveredModels", .status = 200},
    {"GET", "/api/usage", TO(usage), USER, .tag = "account",
     .summary = "Tokens per provider, model and owner of the key, or per day",
     .query = "from to by tz", .response = "Usage", .status = 200},

    {"GET", "/api/keys", TO(key_list), USER, .tag = "account", .summary = "One's own keys",
     .query = "limit cursor", .response = "KeyList", .status = 200},
    {"POST", "/api/keys", TO(key_create), USER, .max_body_bytes = SMALL, .tag = "account",
     .summary = "A further key of one's own, with the same rights", .request = "OwnKey",
     .response = "NewKey", .status = 201},
    {"DELETE", "/api/keys/{hash}", TO(key_revoke), USER, .max_body_bytes = SMALL, .tag = "account",
     .summary = "Revoke a key of one's own", .status = 204},
    {"GET", "/api/sessions", TO(session_list), USER, .tag = "account",
     .summary = "Where one is logged in", .response = "SessionList", .status = 200},
    {"DELETE", "/api/sessions/{id}", TO(session_end), USER, .max_body_bytes = SMALL,
     .tag = "account", .summary = "End a session of one's own", .status = 204},

    {"GET", "/api/credentials", TO(credential_list), USER, .tag = "account",
     .summary = "One's own credentials: which, never what they say", .response = "CredentialList",
     .status = 200},
    {"PUT", "/api/credentials/{service}", TO(credential_put), USER, .max_body_bytes = 2 * SMALL,
     .tag = "account", .summary = "Store a credential; a model key is tried first",
     .request = "NewCredential", .response = "StoredCredential", .status = 200},
    {"DELETE", "/api/credentials/{service}", TO(credential_delete), USER, .max_body_bytes = SMALL,
     .tag = "account", .summary = "Forget a credential", .status = 204},

    /* administration */
    {"GET", "/api/admin/keys", TO(admin_key_list), ADMIN, .tag = "admin",
     .summary = "Everybody's keys, newest first", .query = "user limit cursor",
     .response = "KeyList", .status = 200},
    {"POST", "/api/admin/keys", TO(admin_key_create), ADMIN, .max_body_bytes = SMALL,
     .tag = "admin", .summary = "Make a key; the answer is the only one that has it",
     .request = "KeyRequest", .response = "NewKey", .status = 201},
    {"PATCH", "/api/admin/keys/{hash}", TO(admin_key_change), ADMIN, .max_body_bytes = SMALL,
     .tag = "admin", .summary = "Allow or forbid the operator's model keys, or label a key",
     .request = "KeyChange", .response = "Key", .status = 200},
    {"POST", "/api/admin/keys/{hash}/revoke", TO(admin_key_revoke), ADMIN, .max_body_bytes = SMALL,
     .tag = "admin", .summary = "Make a key worthless, and end its sessions", .response = "Key",
     .status = 200},
    {"GET", "/api/admin/users", TO(admin_users), ADMIN, .tag = "admin",
     .summary = "Who is here, with counts", .query = "limit cursor", .response = "UserList",
     .status = 200},
    {"GET", "/api/admin/usage", TO(admin_usage), ADMIN, .tag = "admin",
     .summary = "Tokens across users, per user or model and owner of the key",
     .query = "from to by", .response = "AdminUsage", .status = 200},
    {"GET", "/api/admin/audit", TO(admin_audit), ADMIN, .tag = "admin",
     .summary = "Who changed what, newest first", .query = "user limit cursor",
     .response = "AuditList", .status = 200},

    /* MCP servers */
    {"GET", "/api/connections", TO(connection_list), USER, .tag = "connections",
     .summary = "The user's connections to MCP servers", .query = "wait_ms",
     .response = "ConnectionList", .status = 200},
    {"GET", "/api/connections/{server}/tools", TO(connection_tools), USER, .tag = "connections",
     .summary = "The tools of a server, those that are not offered too", .query = "wait_ms",
     .response = "ConnectionTools", .status = 200},
    {"POST", "/api/connections/{server}/reconnect", TO(connection_reconnect), USER,
     .max_body_bytes = SMALL, .tag = "connections", .summary = "Try a server again now",
     .response = "Connection", .status = 200},

    /* servers that ask for authorization */
    {"POST", "/api/connections/{server}/authorize", TO(oauth_authorize), USER,
     .max_body_bytes = SMALL, .tag = "connections",
     .summary = "The address at which the user permits the use of a server",
     .response = "AuthorizationLink", .status = 200},
    {"GET", "/oauth/start", TO(oauth_start), PUBLIC, .tag = "connections",
     .summary = "A page that leads to a server's authorization", .query = "link",
     .response = "Page", .status = 200},
    {"GET", "/oauth/callback", TO(oauth_callback), PUBLIC, .tag = "connections",
     .summary = "Where authorization servers send the user back", .query = "code state iss error",
     .response = "Page", .status = 200},
    {"GET", "/oauth/client-metadata.json", TO(oauth_client_metadata), PUBLIC, .tag = "connections",
     .summary = "This instance as an OAuth client", .response = "Any", .status = 200},

    /* tools */
    {"GET", "/api/tools", TO(tools), USER, .tag = "tools",
     .summary = "The tools of the user's assistant, and what happens when it calls them",
     .query = "skill server", .response = "ToolList", .status = 200},
    {"GET", "/api/policies", TO(policy_list), USER, .tag = "tools",
     .summary = "What the user decided about tools", .response = "PolicyList", .status = 200},
    {"PUT", "/api/policies", TO(policy_put), USER, .max_body_bytes = SMALL, .tag = "tools",
     .summary = "Allow, ask or deny a tool or all of a server", .request = "NewPolicy",
     .response = "NewPolicy", .status = 200},
    {"DELETE", "/api/policies", TO(policy_delete), USER, .max_body_bytes = SMALL, .tag = "tools",
     .summary = "Go back to the default", .query = "server tool", .status = 204},

    /* notifications */
    {"GET", "/api/notifications", TO(notification_list), USER, .tag = "notifications",
     .summary = "What the user is told, unread first, newest first", .query = "limit cursor unread",
     .response = "NotificationList", .status = 200},
    {"POST", "/api/notifications/{id}/read", TO(notification_read), USER, .max_body_bytes = SMALL,
     .tag = "notifications", .summary = "Mark a notification as read", .status = 204},

    /* operation */
    {"GET", "/api/health", TO(health), PUBLIC, .tag = "operation",
     .summary = "Liveness and readiness", .query = "live", .response = "Health", .status = 200},
    {"GET", "/metrics", TO(metrics), ADMIN, .tag = "operation", .summary = "Prometheus metrics",
     .response = "Metrics", .status = 200},
    {"GET", "/api/openapi.json", TO(openapi), USER, .tag = "operation",
     .summary = "This description", .response = "Any", .status = 200},

    /* the web app; it reads its routes from the address itself */
    WEB_PAGE("/"),
    WEB_PAGE("/t/{id}"),
    WEB_PAGE("/settings"),
    WEB_PAGE("/settings/{page}"),
    WEB_PAGE("/admin"),
    WEB_PAGE("/admin/{page}"),
    WEB_PAGE("/welcome"),
    WEB_PAGE("/login"),
    WEB_ROOT_FILE("/sw.js"),
    WEB_ROOT_FILE("/manifest.webmanifest"),
    WEB_ROOT_FILE("/favicon.ico"),
    WEB_ROOT_FILE("/apple-touch-icon.png"),
    {"GET", "/static/{path...}", TO(web_file), PUBLIC, .tag = "web",
     .summary = "Files of the web app", .response = "Page", .status = 200},

    /* other protocols */
    {"GET", "/ws", TO(ws), USER, .tag = "protocols",
     .summary = "WebSocket: chat, cancel, subscribe", .status = 101},
    {"POST", "/agui", TO(agui), USER, .max_body_bytes = LARGE, .tag = "protocols",
     .summary = "AG-UI 1.0: RunAgentInput in, events out", .request = "RunAgentInput",
     .response = "EventStream", .status = 200},
    {"POST", "/mcp", TO(mcp), PUBLIC, .max_body_bytes = MCP_FACE_MAX_BODY_BYTES, .tag = "protocols",
     .summary = "MCP over streamable HTTP: the assistant as tools; needs a key", .request = "Any",
     .response = "Any", .status = 200},
    {"GET", "/mcp", TO(mcp), PUBLIC, .tag = "protocols",
     .summary = "MCP: the stream of a session of an earlier revision", .response = "EventStream",
     .status = 200},
    {"DELETE", "/mcp", TO(mcp), PUBLIC, .max_body_bytes = SMALL, .tag = "protocols",
     .summary = "MCP: the end of a session of an earlier revision", .status = 204},
    {"OPTIONS", "/mcp", TO(mcp), PUBLIC, .max_body_bytes = SMALL, .tag = "protocols",
     .summary = "MCP: what pages elsewhere may send", .status = 204},
    {"GET", "/v1/models", TO(openai_models), USER, .tag = "openai",
     .summary = "The assistant as a list of models", .response = "Any", .status = 200},
    {"GET", "/v1/models/{id}", TO(openai_model), USER, .tag = "openai",
     .summary = "One of these models", .response = "Any", .status = 200},
    {"POST", "/v1/chat/completions", TO(openai_chat), USER, .max_body_bytes = LARGE,
     .tag = "openai", .summary = "OpenAI's Chat Completions", .request = "Any", .response = "Any",
     .status = 200},
    {"POST", "/v1/responses", TO(openai_responses), USER, .max_body_bytes = LARGE, .tag = "openai",
     .summary = "OpenAI's Responses", .request = "Any", .response = "Any", .status = 200},
};

const struct route *routes(size_t *ret_n) {
    *ret_n = ARRAY_LEN(table);
    return table;
}
