/* The endpoint on two pipes. */
#include <fcntl.h>
#include <unistd.h>

#include "served.h"

struct piped {
    struct served served;
    int to[2], from[2]; /* pipes: to the server, from it */
    struct fiber_scope scope;
    struct wire out; /* what it says */
    bool ended;
    int rc;
};

static void serve(void *arg) {
    struct piped *p = arg;
    struct err err;
    p->rc =
        mcp_endpoint_stdio(p->served.endpoint, p->to[0], p->from[1], STR("ann"), &p->served, &err);
    p->ended = true;
    close(p->from[1]);
}

static void piped_start(struct piped *p) {
    struct err err;
    served_start(&p->served);
    REQUIRE(pipe(p->to) == 0 && pipe(p->from) == 0);
    fcntl(p->from[0], F_SETFL, O_NONBLOCK);
    p->out = (struct wire){.fd = p->from[0], .in = STRBUF((size_t)64 << 20)};
    fiber_scope_init(&p->scope);
    REQUIRE_OK(fiber_spawn(&p->scope, "stdio", serve, p, NULL, &err), &err);
}

static void say(struct piped *p, const char *line) {
    CHECK_INT(write(p->to[1], line, strlen(line)), strlen(line));
    CHECK_INT(write(p->to[1], "\n", 1), 1);
}

static ssize_t listen_once(struct piped *p) {
    char buf[32768];
    ssize_t n = read(p->out.fd, buf, sizeof buf);
    if (n > 0) {
        strbuf_add(&p->out.in, (struct str){buf, (size_t)n});
    }
    return n;
}

/* Waits for the text among what the server says. */
static bool hears(struct piped *p, const char *text) {
    for (int i = 0; i < 5000; i++) {
        ssize_t n = listen_once(p);
        if (str_find(strbuf_str(&p->out.in), str_z(text)) != SIZE_MAX) {
            return true;
        }
        if (n == 0) {
            break;
        }
        fiber_sleep(1);
    }
    printf("  not said: %s, but: %.*s\n", text, STR_ARG(str_head(strbuf_str(&p->out.in), 2000)));
    return false;
}

/* Everything it ever said is a JSON text a line. */
static void check_lines(struct piped *p) {
    struct str rest = strbuf_str(&p->out.in);
    while (rest.n) {
        struct str line = str_cut(&rest, '\n');
        json_auto_t *tree = NULL;
        struct err err;
        CHECK_OK(json_read(line, &tree, &err), &err);
    }
}

static void piped_stop(struct piped *p) {
    close(p->to[1]);
    for (int i = 0; i < 6000 && !p->ended; i++) {
        listen_once(p);
        fiber_sleep(1);
    }
    while (listen_once(p) > 0) {
    }
    CHECK(p->ended);
    CHECK_INT(p->rc, 0);
    fiber_scope_done(&p->scope);
    check_lines(p);
    close(p->to[0]);
    close(p->from[0]);
    strbuf_done(&p->out.in);
    served_stop(&p->served);
}

#define INITIALIZE                                                                                 \
    "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{\"protocolVersion\":"     \
    "\"2025-06-18\",\"capabilities\":{\"elicitation\":{}},\"clientInfo\":{\"name\":\"u\","         \
    "\"version\":\"1\"}}}"
#define MODERN_META                                                                                \
    "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\","                       \
    "\"io.modelcontextprotocol/clientCapabilities\":{}}"

TEST_FIBER(stdio_speaks_both_eras) {
    struct piped p = {0};
    piped_start(&p);
    say(&p, "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"tools/list\"}");
    CHECK(hears(&p, "\"id\":\"a\",\"error\":{\"code\":-32600")); /* not initialized */
    say(&p, INITIALIZE);
    CHECK(hears(&p, "\"id\":0,\"result\":{\"protocolVersion\":\"2025-06-18\""));
    say(&p, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}");
    say(&p, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}");
    CHECK(hears(&p, "\"id\":1,\"result\":{\"tools\":["));
    say(&p, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"server/discover\",\"params\":{" MODERN_META
            "}}");
    CHECK(hears(&p, "\"id\":2,\"result\":{\"supportedVersions\""));
    say(&p, "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"server/discover\"}");
    CHECK(hears(&p, "\"id\":3,\"error\":{\"code\":-32602"));
    say(&p, "{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"ping\",\"params\":{" MODERN_META "}}");
    CHECK(hears(&p, "\"id\":4,\"error\":{\"code\":-32601"));
    piped_stop(&p);
}

TEST_FIBER(stdio_survives_garbage) {
    struct piped p = {.served.options.max_body_bytes = 2000};
    struct strbuf lot cleanup(strbuf_done) = STRBUF(1 << 20);
    piped_start(&p);
    say(&p, "hello");
    CHECK(hears(&p, "\"code\":-32700"));
    say(&p, "[]\n\r\n\n{\"jsonrpc\":\"1.0\"}\n\xff\xfe{");
    for (int i = 0; i < 3000; i++) {
        strbuf_addz(&lot, "xy");
    }
    say(&p, strbuf_z(&lot));
    CHECK(hears(&p, "too large"));
    say(&p, INITIALIZE);
    CHECK(hears(&p, "\"id\":0,\"result\""));
    piped_stop(&p);
}

TEST_FIBER(stdio_calls_run_beside_each_other_and_are_cancelled) {
    struct piped p = {0};
    piped_start(&p);
    say(&p, INITIALIZE);
    say(&p,
        "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"tools/call\",\"params\":{\"name\":\"wait\"}}");
    say(&p,
        "{\"jsonrpc\":\"2.0\",\"id\":6,\"method\":\"tools/call\",\"params\":{\"name\":\"touch\"}}");
    CHECK(hears(&p, "\"id\":6,\"result\""));
    say(&p, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":"
            "5}}");
    say(&p, "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\"}");
    CHECK(hears(&p, "\"id\":7,\"result\":{}"));
    for (int i = 0; i < 1000 && p.served.cancelled == 0; i++) {
        fiber_sleep(1);
    }
    CHECK_INT(p.served.cancelled, 1);
    CHECK(str_find(strbuf_str(&p.out.in), STR("\"id\":5")) == SIZE_MAX);
    piped_stop(&p);
}

TEST_FIBER(stdio_asks_and_tells) {
    struct piped p = {0};
    piped_start(&p);
    say(&p, INITIALIZE);
    say(&p,
        "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"tools/call\",\"params\":{\"name\":\"ask\"}}");
    CHECK(hears(&p, "\"id\":\"ask-1\",\"method\":\"elicitation/create\""));
    say(&p, "{\"jsonrpc\":\"2.0\",\"id\":\"ask-1\",\"result\":{\"action\":\"accept\",\"content\":{"
            "\"x\":\"red\"}}}");
    CHECK(hears(&p, "\"red/\""));
    mcp_endpoint_changed(p.served.endpoint, MCP_CHANGE_TOOLS, STR_EMPTY);
    CHECK(hears(&p, "\"method\":\"notifications/tools/list_changed\"}"));
    say(&p, "{\"jsonrpc\":\"2.0\",\"id\":\"L\",\"method\":\"subscriptions/listen\",\"params\":{"
            "\"notifications\":{\"promptsListChanged\":true}," MODERN_META "}}");
    CHECK(hears(&p, "acknowledged"));
    mcp_endpoint_changed(p.served.endpoint, MCP_CHANGE_PROMPTS, STR_EMPTY);
    CHECK(hears(&p, "prompts/list_changed\",\"params\":{\"_meta\":{\"io.modelcontextprotocol/"
                    "subscriptionId\":\"L\"}}"));
    piped_stop(&p);
}

TEST_FIBER(stdio_answers_what_came_before_the_end) {
    struct piped p = {0};
    piped_start(&p);
    say(&p, INITIALIZE);
    say(&p,
        "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"tools/call\",\"params\":{\"name\":\"touch\"}}");
    say(&p,
        "{\"jsonrpc\":\"2.0\",\"id\":6,\"method\":\"tools/call\",\"params\":{\"name\":\"wait\"}}");
    close(p.to[1]);
    p.to[1] = open("/dev/null", O_WRONLY);
    CHECK(hears(&p, "\"id\":5,\"result\""));
    piped_stop(&p);
    CHECK_INT(p.served.cancelled, 1);
}

/* A client that does not read makes the server wait, not grow; all of it arrives in the end. */
TEST_FIBER(stdio_waits_for_a_slow_reader) {
    struct piped p = {0};
    piped_start(&p);
    say(&p, INITIALIZE);
    for (int i = 0; i < 20; i++) {
        say(&p,
            "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"tools/call\",\"params\":{\"name\":\"big\","
            "\"arguments\":{\"kib\":500}}}");
        fiber_sleep(2);
    }
    say(&p, "{\"jsonrpc\":\"2.0\",\"id\":\"last\",\"method\":\"ping\"}");
    CHECK(hears(&p, "\"id\":\"last\""));
    piped_stop(&p);
    CHECK(p.served.copied >= 2);
}

TEST_FIBER(stdio_ends_when_nobody_reads) {
    struct piped p = {0};
    piped_start(&p);
    say(&p, INITIALIZE);
    CHECK(hears(&p, "\"id\":0"));
    close(p.from[0]);
    p.from[0] = p.out.fd = open("/dev/null", O_RDONLY);
    say(&p, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}");
    for (int i = 0; i < 5000 && !p.ended; i++) {
        fiber_sleep(1);
    }
    CHECK(p.ended);
    piped_stop(&p);
}
