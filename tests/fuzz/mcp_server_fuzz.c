/* An MCP endpoint that is sent the input as lines of its standard input, after an initialize when
 * the first byte is even. Whatever comes, it ends, what it says is a message a line, and nothing
 * is left. */
#include <assert.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"
#include "mcp/rpc.h"
#include "mcp/server.h"

enum { MOST_BYTES = 30000, MAX_TURNS = 1000000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uv_loop_t loop;
static struct fiber_scope scope;
static struct mcp_endpoint *endpoint;

static int say(struct mcp_request *r, const json_t *arguments, struct err *err) {
    (void)err;
    mcp_request_progress(r, json_int(arguments, "n", 1), 2, json_str(arguments, "text"));
    mcp_request_log(r, MCP_LOG_ERROR, NULL, json_str(arguments, "text"));
    mcp_result_text(r, json_str(arguments, "text"));
    mcp_result_structured_tree(r, arguments);
    mcp_endpoint_changed(mcp_request_endpoint(r), MCP_CHANGE_TOOLS, STR_EMPTY);
    return 0;
}

static int ask(struct mcp_request *r, const json_t *arguments, struct err *err) {
    const json_t *content;
    (void)arguments;
    mcp_request_keep(r, mcp_request_state(r));
    int rc = mcp_request_elicit(r, "k", STR("?"), STR("{}"), &content, err);
    if (rc == 0) {
        mcp_result_text(r, json_str(content, "x"));
    }
    return rc;
}

static int read_uri(struct mcp_request *r, struct str uri, struct err *err) {
    (void)err;
    mcp_contents_text(r, uri, "text/plain", mcp_request_variable(r, "id"));
    return 0;
}

static int greet(struct mcp_request *r, const json_t *arguments, struct err *err) {
    (void)err;
    mcp_result_text(r, json_str(arguments, "name"));
    return 0;
}

static int complete(struct mcp_request *r, const struct mcp_completion *c, struct err *err) {
    (void)err;
    mcp_completion_add(r, c->value);
    return 0;
}

static const struct mcp_server_tool tools[] = {
    {.name = "say",
     .run = say,
     .input_schema =
         "{\"type\":\"object\",\"properties\":{\"text\":{\"type\":\"string\",\"maxLength\":9},"
         "\"n\":{\"type\":\"number\",\"minimum\":0,\"multipleOf\":0.5},\"l\":{\"type\":\"array\","
         "\"items\":{\"$ref\":\"#/properties/n\"},\"uniqueItems\":true},\"e\":{\"enum\":[1,\"a\"]},"
         "\"o\":{\"oneOf\":[{\"type\":\"null\"},{\"$ref\":\"#\"}]}}}"},
    {.name = "ask", .run = ask, .input_schema = "{\"type\":\"object\"}"},
};
static const struct mcp_server_resource resources[] = {
    {.uri = "t://a", .name = "a", .read = read_uri}};
static const struct mcp_server_template templates[] = {
    {.uri_template = "t://{id}/b-{x}", .name = "b", .read = read_uri}};
static const struct mcp_server_argument arguments[] = {{"name", NULL, true}};
static const struct mcp_server_prompt prompts[] = {
    {.name = "greet", .arguments = arguments, .n_arguments = 1, .get = greet}};
static const struct mcp_server server = {
    .name = "fuzz",
    .version = "1",
    .tools = tools,
    .n_tools = ARRAY_LEN(tools),
    .resources = resources,
    .n_resources = ARRAY_LEN(resources),
    .templates = templates,
    .n_templates = ARRAY_LEN(templates),
    .prompts = prompts,
    .n_prompts = ARRAY_LEN(prompts),
    .complete = complete,
    .logging = true,
    .subscriptions = true,
    .changes = true,
};

static const char greeting[] =
    "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{\"protocolVersion\":"
    "\"2025-06-18\",\"capabilities\":{\"elicitation\":{}},\"clientInfo\":{\"name\":\"f\","
    "\"version\":\"1\"}}}\n";

static void start_once(void) {
    const struct mcp_endpoint_options options = {
        .server = &server, .max_body_bytes = 8000, .page_size = 1, .ask_timeout_ms = 1};
    struct fiber_options fibers = {0};
    struct err err;
    if (endpoint) {
        return;
    }
    log_set_level(LOG_ERROR + 1);
    uv_loop_init(&loop);
    fiber_runtime_start(&loop, &fibers);
    fiber_scope_init(&scope);
    int rc = mcp_endpoint_new(&options, &endpoint, &err);
    assert(rc == 0);
}

struct conversation {
    int in, out;
    bool ended;
};

static void serve(void *arg) {
    struct conversation *c = arg;
    struct err err;
    int rc = mcp_endpoint_stdio(endpoint, c->in, c->out, STR("fuzz"), NULL, &err);
    assert(rc == 0);
    c->ended = true;
}

static void check_lines(struct str said) {
    while (said.n) {
        struct str line = str_cut(&said, '\n');
        struct arena arena cleanup(arena_done) = {0};
        struct rpc_message m;
        struct err err;
        int rc = rpc_read(line, &arena, &m, &err);
        assert(rc == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct conversation c = {0};
    struct strbuf said cleanup(strbuf_done) = STRBUF((size_t)256 << 20);
    char buf[65536];
    int to[2], from[2];
    struct err err;
    if (size < 1 || size > MOST_BYTES) {
        return 0;
    }
    start_once();
    int rc = pipe(to) | pipe(from);
    assert(rc == 0);
    if (data[0] % 2 == 0) {
        (void)!write(to[1], greeting, sizeof greeting - 1);
    }
    (void)!write(to[1], data + 1, size - 1);
    close(to[1]);
    fcntl(from[0], F_SETFL, O_NONBLOCK);
    c = (struct conversation){.in = to[0], .out = from[1]};
    rc = fiber_spawn(&scope, "serve", serve, &c, NULL, &err);
    assert(rc == 0);
    for (int i = 0; !c.ended || mcp_endpoint_stats(endpoint).calls > 0; i++) {
        uv_run(&loop, UV_RUN_NOWAIT);
        ssize_t n = read(from[0], buf, sizeof buf);
        if (n > 0) {
            strbuf_add(&said, (struct str){buf, (size_t)n});
        }
        assert(i < MAX_TURNS);
    }
    for (ssize_t n; (n = read(from[0], buf, sizeof buf)) > 0;) {
        strbuf_add(&said, (struct str){buf, (size_t)n});
    }
    close(to[0]);
    close(from[0]);
    close(from[1]);
    check_lines(strbuf_str(&said));
    assert(mcp_endpoint_stats(endpoint).listeners == 0);
    return 0;
}
