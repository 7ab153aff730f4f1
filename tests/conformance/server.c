/* The conformance suite's server under test, over HTTP on loopback without authentication, or over
 * stdio. The header X-Test-User, where it is sent, says whose request it is: tests of isolation
 * have no other way to be two users. */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "server_fixture.h"

static const struct mcp_server server = {
    .name = "adjutant-conformance",
    .title = "Conformance fixture",
    .version = "1.0.0",
    .instructions = "Everything here is for testing.",
    .complete = fixture_complete,
    .logging = true,
    .subscriptions = true,
    .changes = true,
};

struct fixture {
    struct mcp_server server;
    struct mcp_endpoint_options options;
    const char *address; /* NULL: stdio */
    struct mcp_endpoint *endpoint;
    int status;
};

static void handle(struct http_request *request, void *context) {
    struct fixture *f = context;
    struct str user = http_header(request, "x-test-user");
    if (!str_eq(http_path(request), STR("/mcp"))) {
        const struct http_response response = {.status = 404};
        http_respond(request, &response);
        return;
    }
    mcp_endpoint_handle(f->endpoint, request, user.p ? user : STR("tester"), NULL);
}

static volatile sig_atomic_t stopped;

static void on_signal(int number) {
    (void)number;
    stopped = 1;
}

static may_yield int serve_http(struct fixture *f, struct err *err) {
    const struct http_server_options options = {
        .address = f->address, .handler = handle, .context = f};
    struct http_server *http;
    int rc = http_server_start(&options, &http, err);
    if (rc < 0) {
        return rc;
    }
    printf("listening on http://%s/mcp\n", http_server_address(http));
    fflush(stdout);
    while (!stopped) {
        fiber_sleep(50);
    }
    mcp_endpoint_stop(f->endpoint);
    http_server_stop(http, 1000);
    http_server_free(http);
    return 0;
}

static may_yield int serve_stdio(struct fixture *f, struct err *err) {
    int rc = mcp_endpoint_stdio(f->endpoint, STDIN_FILENO, STDOUT_FILENO, STR("tester"), NULL, err);
    mcp_endpoint_stop(f->endpoint);
    return rc;
}

static void run(void *arg) {
    struct fixture *f = arg;
    struct err err;
    int rc = mcp_endpoint_new(&f->options, &f->endpoint, &err);
    if (rc == 0) {
        rc = f->address ? serve_http(f, &err) : serve_stdio(f, &err);
    }
    if (rc < 0) {
        log_error("test", "%s", err.msg);
        f->status = 1;
    }
    mcp_endpoint_free(f->endpoint);
}

static int usage(void) {
    fprintf(stderr, "usage: mcp_conformance_server --listen ADDRESS | --stdio\n"
                    "  [--sessions-per-user N] [--calls-per-user N] [--heartbeat-ms N]\n");
    return 2;
}

static bool read_option(struct fixture *f, const char *name, const char *value) {
    if (str_eq(str_z(name), STR("--listen"))) {
        f->address = value;
    } else if (str_eq(str_z(name), STR("--sessions-per-user"))) {
        f->options.max_sessions_per_user = (unsigned)strtoul(value, NULL, 10);
    } else if (str_eq(str_z(name), STR("--calls-per-user"))) {
        f->options.max_calls_per_user = (unsigned)strtoul(value, NULL, 10);
    } else if (str_eq(str_z(name), STR("--heartbeat-ms"))) {
        f->options.heartbeat_ms = strtol(value, NULL, 10);
    } else {
        return false;
    }
    return true;
}

int main(int argc, char **argv) {
    struct fixture f = {.server = server};
    bool stdio = false;
    uv_loop_t loop;
    struct fiber_scope scope;
    struct err err;
    for (int i = 1; i < argc; i++) {
        if (str_eq(str_z(argv[i]), STR("--stdio"))) {
            stdio = true;
        } else if (i + 1 == argc || !read_option(&f, argv[i], argv[i + 1])) {
            return usage();
        } else {
            i++;
        }
    }
    if (stdio == (f.address != NULL)) {
        return usage();
    }
    f.server.tools = fixture_tools;
    f.server.n_tools = fixture_n_tools;
    f.server.resources = fixture_resources;
    f.server.n_resources = fixture_n_resources;
    f.server.templates = fixture_templates;
    f.server.n_templates = fixture_n_templates;
    f.server.prompts = fixture_prompts;
    f.server.n_prompts = fixture_n_prompts;
    f.options.server = &f.server;
    f.options.max_requests_per_minute = 1000000;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    uv_loop_init(&loop);
    fiber_runtime_start(&loop, &(struct fiber_options){0});
    fiber_scope_init(&scope);
    if (fiber_spawn(&scope, "main", run, &f, NULL, &err) < 0) {
        return 1;
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    fiber_runtime_stop();
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    return f.status;
}
