#include "api/mcp.h"

#include "api/access.h"
#include "api/handlers.h"
#include "base/log.h"
#include "base/mem.h"

enum { MAX_TOOLS = 16 + TOOL_MAX_COUNT };

/* One row of the table beside what MCP's own has. */
struct face_tool {
    int (*run)(struct mcp_request *r, const json_t *args, struct err *err) may_yield;
    const struct tool *builtin; /* of the registry, else NULL */
};

struct mcp_face {
    struct gateway *gateway;
    struct mcp_endpoint *endpoint;
    bool stopping;
    struct mcp_server server;
    struct mcp_server_tool tools[MAX_TOOLS];
    struct face_tool more[MAX_TOOLS];
};

bool mcp_face_stopping(const struct mcp_face *f) {
    return f->stopping;
}

/* ---- built-in tools, from the registry ---- */

static int write_result(struct mcp_request *r, const struct tool_result *result) {
    mcp_result_text(r, result->content);
    if (result->is_error) {
        mcp_result_error(r);
    }
    return 0;
}

static int run_builtin(struct mcp_request *r, const json_t *args, struct err *err) {
    const struct tool *tool = ((const struct face_tool *)mcp_request_arg(r))->builtin;
    const struct mcp_caller *caller = mcp_caller_of(r);
    struct arena arena cleanup(arena_done) = {0};
    struct user_profile user;
    struct id id = id_new();
    if (user_profiles_find(caller->gateway->user_profiles, caller->user_id, &arena, &user, err) <
        0) {
        return -(int)err->code;
    }
    const struct tool_call call = {.user_id = caller->user_id,
                                   .thread_id = STR_EMPTY,
                                   .turn_id = STR_EMPTY,
                                   .call_id = id_str(&id),
                                   .idempotency_key = id_str(&id),
                                   .time_zone = user.time_zone,
                                   .arguments = args};
    struct tool_result result = {0};
    struct fiber_timeout timeout;
    fiber_timeout_start(&timeout, tool->timeout_ms);
    int rc = tool->run(&call, &arena, &result, tool->context, err);
    fiber_timeout_stop(&timeout);
    return rc < 0 ? rc : write_result(r, &result);
}

/* ---- the table ---- */

#define NAME_SCHEMA(description)                                                                   \
    "{\"type\":\"string\",\"minLength\":1,\"maxLength\":128,\"description\":\"" description "\"}"

static const char chat_input[] =
    "{\"type\":\"object\",\"properties\":{"
    "\"message\":{\"type\":\"string\",\"description\":\"What the user says.\"},"
    "\"thread_id\":" NAME_SCHEMA(
        "The conversation to continue; absent: a new one.") ","
                                                            "\"model\":{\"type\":\"string\","
                                                            "\"maxLength\":200,\"description\":"
                                                            "\"provider:model; absent: "
                                                            "the usual one.\"},"
                                                            "\"turn_id\":" NAME_SCHEMA(
                                                                "A name of one's own for this "
                                                                "message. Calling again with the "
                                                                "same "
                                                                "one does not say it again, but "
                                                                "waits for its answer: for calls "
                                                                "that were cut off.") "},"
                                                                                      "\"required\""
                                                                                      ":["
                                                                                      "\"message\"]"
                                                                                      "}";

static const char chat_output[] =
    "{\"type\":\"object\",\"properties\":{\"thread_id\":{\"type\":\"string\"},"
    "\"turn_id\":{\"type\":\"string\"},\"state\":{\"type\":\"string\",\"enum\":[\"done\","
    "\"running\",\"interrupted\",\"failed\",\"cancelled\"]},\"answer\":{\"type\":\"string\"},"
    "\"interrupts\":{\"type\":\"array\",\"items\":{"
    "\"type\":\"object\"},\"description\":\"What must be approved or answered first.\"}},"
    "\"required\":[\"thread_id\",\"turn_id\",\"state\",\"answer\"]}";

static const char approvals_input[] =
    "{\"type\":\"object\",\"properties\":{"
    "\"thread_id\":" NAME_SCHEMA("Of this conversation only.") "}}";

static const char answer_input[] =
    "{\"type\":\"object\",\"properties\":{"
    "\"id\":" NAME_SCHEMA(
        "Of the interrupt.") ","
                             "\"approved\":{\"type\":\"boolean\"},"
                             "\"arguments\":{\"type\":\"object\",\"description\":\"Call the tool "
                             "with these instead.\"},"
                             "\"always\":{\"type\":\"boolean\",\"description\":\"Allow this tool "
                             "from now on.\"},"
                             "\"reason\":{\"type\":\"string\",\"description\":\"Of a refusal, for "
                             "the assistant.\"},"
                             "\"action\":{\"type\":\"string\",\"enum\":[\"accept\",\"decline\","
                             "\"cancel\"],"
                             "\"description\":\"Of a question of a server, instead of approved.\"},"
                             "\"content\":{\"type\":\"object\",\"description\":\"What such a "
                             "question asks for.\"},"
                             "\"turn_id\":" NAME_SCHEMA("A name of one's own for the turn that "
                                                        "goes on, as for chat.") "},\"required\":["
                                                                                 "\"id\"]}";

static const char list_input[] =
    "{\"type\":\"object\",\"properties\":{"
    "\"limit\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":100},"
    "\"archived\":{\"type\":\"boolean\",\"description\":\"The archived ones instead.\"},"
    "\"cursor\":{\"type\":\"string\",\"description\":\"next_cursor of the page before.\"}}}";

static const char thread_input[] =
    "{\"type\":\"object\",\"properties\":{"
    "\"thread_id\":" NAME_SCHEMA(
        "As list_threads and chat tell it.") ","
                                             "\"limit\":{\"type\":\"integer\",\"minimum\":1,"
                                             "\"maximum\":50},"
                                             "\"before\":{\"type\":\"integer\",\"minimum\":1,"
                                             "\"description\":\"Messages below this seq.\"}},"
                                             "\"required\":[\"thread_id\"]}";

static const struct {
    struct mcp_server_tool tool;
    struct face_tool more;
} own_tools[] = {
    {{.name = "chat",
      .title = "Talk to the assistant",
      .description =
          "Says something to the user's personal assistant and waits for its answer. The assistant "
          "has its own tools and remembers the conversation: give thread_id to continue one. What "
          "it has said so far comes as progress.",
      .additive = true, /* what destroys is asked about */
      .input_schema = chat_input,
      .output_schema = chat_output},
     {.run = mcp_tool_chat}},
    {{.name = "list_threads",
      .title = "List conversations",
      .description = "The user's conversations with the assistant, newest first.",
      .input_schema = list_input,
      .read_only = true,
      .closed_world = true},
     {.run = mcp_tool_list_threads}},
    {{.name = "get_thread",
      .title = "Read a conversation",
      .description = "A conversation's newest messages, in order.",
      .input_schema = thread_input,
      .read_only = true,
      .closed_world = true},
     {.run = mcp_tool_get_thread}},
    {{.name = "list_approvals",
      .title = "What waits for approval",
      .description = "What the assistant wants to do, or to know, and waits for the user's word.",
      .input_schema = approvals_input,
      .read_only = true,
      .closed_world = true},
     {.run = mcp_tool_list_approvals}},
    {{.name = "answer_approval",
      .title = "Approve or deny",
      .description = "Tells the assistant what the user decided about something it asked, then "
                     "waits for its answer as chat does. Only what the user has said: ask first.",
      .input_schema = answer_input,
      .output_schema = NULL},
     {.run = mcp_tool_answer_approval}},
};

static const struct mcp_server_template templates[] = {
    {.uri_template = "adjutant://threads/{thread_id}",
     .name = "thread",
     .title = "A conversation",
     .description = "The newest messages of a conversation, as get_thread gives them.",
     .mime_type = "application/json",
     .read = mcp_read_thread},
};

/* What went wrong inside is for the log, as everywhere at the gateway's face. */
static int run_tool(struct mcp_request *r, const json_t *args, struct err *err) {
    const struct face_tool *t = mcp_request_arg(r);
    int rc = t->run(r, args, err);
    if (rc == 0 || rc == -ERR_CANCELLED) {
        return rc;
    }
    const struct problem *p = problem_of(err->code);
    if (p->status >= 500) {
        log_warn("api", "a tool of /mcp failed: %s code=%s", err->msg, err_name(err->code));
        return err_set(err, err->code, "%.*s", STR_ARG(problem_detail(p, err)));
    }
    return rc;
}

static void add_tool(struct mcp_face *f, const struct mcp_server_tool *tool,
                     struct face_tool more) {
    size_t i = f->server.n_tools++;
    f->more[i] = more;
    f->tools[i] = *tool;
    f->tools[i].run = run_tool;
    f->tools[i].arg = &f->more[i];
}

/* Only those that change nothing: a client of /mcp asks nobody for approval, and no journal keeps
 * its calls. */
static void add_builtins(struct mcp_face *f, const struct tool_registry *registry) {
    for (size_t i = 0; registry && i < tool_count(registry); i++) {
        const struct tool *t = tool_at(registry, i);
        if (t->repeatable && f->server.n_tools < MAX_TOOLS) {
            struct mcp_server_tool tool = {.name = t->name,
                                           .description = t->description,
                                           .input_schema = t->schema,
                                           .read_only = true,
                                           .closed_world = true};
            add_tool(f, &tool, (struct face_tool){.run = run_builtin, .builtin = t});
        }
    }
}

static void *copy_caller(void *context) {
    const struct mcp_caller *from = context;
    struct mcp_caller *caller = mem_alloc(sizeof *caller + from->user_id.n);
    char *user = (char *)(caller + 1);
    *caller = *from;
    memcpy(user, from->user_id.p, from->user_id.n);
    caller->user_id.p = user;
    return caller;
}

static void release_caller(void *context) {
    mem_free(context);
}

int mcp_face_new(struct gateway *g, struct mcp_face **ret, struct err *err) {
    static const char *const any[] = {"*", NULL}; /* handle_mcp has looked at them */
    struct mcp_face *f = mem_alloc(sizeof *f);
    f->gateway = g;
    f->server = (struct mcp_server){
        .name = "adjutant",
        .title = "Adjutant",
        .version = g->version,
        .instructions = "A personal assistant. Say things to it with `chat`, and go on in the "
                        "same conversation by giving the thread_id it answered with.",
        .tools = f->tools,
        .templates = templates,
        .n_templates = ARRAY_LEN(templates),
        .public_lists = true,
        .ttl_ms = 5 * 60 * 1000};
    for (size_t i = 0; i < ARRAY_LEN(own_tools); i++) {
        add_tool(f, &own_tools[i].tool, own_tools[i].more);
    }
    add_builtins(f, g->tools);
    const struct mcp_endpoint_options options = {.server = &f->server,
                                                 .max_body_bytes = MCP_FACE_MAX_BODY_BYTES,
                                                 .allowed_hosts = any,
                                                 .allowed_origins = any,
                                                 .context_copy = copy_caller,
                                                 .context_release = release_caller};
    if (mcp_endpoint_new(&options, &f->endpoint, err) < 0) {
        mem_free(f);
        return -(int)err->code;
    }
    *ret = f;
    return 0;
}

void mcp_face_stop(struct mcp_face *f) {
    if (f) {
        f->stopping = true;
        mcp_endpoint_stop(f->endpoint);
    }
}

void mcp_face_free(struct mcp_face *f) {
    if (f) {
        mcp_endpoint_free(f->endpoint);
        mem_free(f);
    }
}

/* ---- letting callers in ---- */

/* A page of another site may use the gateway only where a key is needed and stands in the request:
 * pages on this machine, our own, and those of ADJUTANT_ALLOWED_ORIGINS. */
static int check_origin(struct call *c, struct err *err) {
    struct str origin = http_header(c->request, "Origin");
    size_t scheme = str_find(origin, STR("://"));
    bool local = scheme != SIZE_MAX && access_host_is_loopback(str_skip(origin, scheme + 3));
    if (!origin.n || (local && auth_mode(c->gateway->auth) != AUTH_OPEN)) {
        return 0;
    }
    return access_check_origin(c, false, err);
}

/* A cookie does not count: pages send it without being asked, and MCP clients have keys. */
static int refuse_unknown(struct call *c) {
    struct str key, cookie;
    access_credentials(c, &key, &cookie);
    (void)!mcp_endpoint_challenge(c->gateway->mcp->endpoint, c->request, 401,
                                  key.n ? "invalid_token" : NULL);
    return 0;
}

int handle_mcp(struct call *c, struct err *err) {
    struct mcp_endpoint *e = c->gateway->mcp->endpoint;
    if (check_origin(c, err) < 0) {
        return -(int)err->code;
    }
    if (str_eq(http_method(c->request), STR("OPTIONS"))) { /* browsers ask it without the key */
        (void)!mcp_endpoint_handle(e, c->request, STR("-"), NULL);
        return 0;
    }
    int rc = access_check(c, ACCESS_USER, err);
    if (rc == -ERR_UNAUTHORIZED || (rc == 0 && c->principal.from_cookie)) {
        return refuse_unknown(c);
    }
    if (rc < 0) {
        return rc;
    }
    struct mcp_caller caller = {.gateway = c->gateway,
                                .user_id = c->principal.user_id,
                                .allow_operator_llm = c->principal.allow_operator_llm};
    (void)!mcp_endpoint_handle(e, c->request, c->principal.user_id, &caller);
    return 0;
}
