/* Servers that are processes: shell scripts here. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "mcp/client.h"
#include "test.h"

/* Answers a line with `id` and what the case says. */
#define READ_ID                                                                                    \
    "while IFS= read -r line; do id=$(printf '%s' \"$line\" | sed "                                \
    "'s/.*\"id\":\\([0-9]*\\).*/\\1/'); "
#define RESULT(json) "printf '{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":%s}\\n' \"$id\" '" json "'"
#define LEGACY_START                                                                               \
    RESULT("{\"protocolVersion\":\"2024-11-05\",\"capabilities\":{\"tools\":{}},"                  \
           "\"serverInfo\":{\"name\":\"sh\",\"version\":\"1\"}}")

#define LEGACY(call)                                                                               \
    READ_ID "case $line in "                                                                       \
            "*server/discover*) printf "                                                           \
            "'{\"jsonrpc\":\"2.0\",\"id\":%s,\"error\":{\"code\":-32601,\"message\":\"?\"}}\\n' "  \
            "\"$id\";; "                                                                           \
            "*'\"initialize\"'*) " LEGACY_START ";; "                                              \
            "*tools/call*) " call ";; esac; done"

static struct mcp_client_options script_options(const char *script, struct str args[2]) {
    args[0] = STR("-c");
    args[1] = str_z(script);
    return (struct mcp_client_options){.name = STR("test"),
                                       .transport = MCP_STDIO,
                                       .command = STR("/bin/sh"),
                                       .args = args,
                                       .n_args = 2,
                                       .connect_timeout_ms = 10 * 1000};
}

static struct mcp_client *client(const char *script) {
    struct str args[2];
    struct mcp_client_options o = script_options(script, args);
    return mcp_client_new(&o);
}

TEST_FIBER(a_legacy_process_is_asked_and_started_anew) {
    struct arena arena cleanup(arena_done) = {0};
    struct err err;
    struct mcp_call_result result;
    struct mcp_client *c = client("echo 'hello, I am no JSON'; echo '{\"broken\":'; "
                                  "echo some noise >&2; " LEGACY(RESULT("{\"pid\":'$$'}")));
    struct mcp_call call = {.tool = STR("t"), .arguments = STR("{\n\"a\":\n1}")};
    REQUIRE_OK(mcp_client_call(c, &call, &arena, &result, &err), &err);
    CHECK(str_starts(result.json, STR("{\"pid\":")));
    CHECK_STR(mcp_client_server(c)->name, "sh");
    CHECK_STR(mcp_client_server(c)->version, "2024-11-05");
    int64_t pid = 0;
    CHECK(str_to_i64(str_head(str_skip(result.json, 7), result.json.n - 8), &pid));
    CHECK_INT(kill((pid_t)pid, 0), 0);
    mcp_client_free(c);
    CHECK(kill((pid_t)pid, 0) < 0);
}

TEST_FIBER(a_modern_process_is_not_started_anew) {
    struct arena arena cleanup(arena_done) = {0};
    struct err err;
    struct mcp_list list;
    struct mcp_client *c = client(READ_ID "case $line in *server/discover*) " RESULT(
        "{\"resultType\":\"complete\",\"supportedVersions\":[\"2026-07-28\"],"
        "\"capabilities\":{\"tools\":{}}}") ";; *tools/list*) " RESULT("{\"tools\":["
                                                                       "{\"name\":\"'$$'\"}"
                                                                       "]}") ";; esac; done");
    REQUIRE_OK(mcp_client_list(c, "tools/list", &arena, &list, &err), &err);
    CHECK_INT(list.n, 1);
    CHECK_INT(mcp_client_server(c)->era, MCP_ERA_MODERN);
    mcp_client_free(c);
}

TEST_FIBER(a_process_that_dies_of_the_probe_is_started_anew) {
    struct err err;
    struct mcp_client *c =
        client(READ_ID "case $line in *server/discover*) exit 3;; *'\"initialize\"'*) " LEGACY_START
                       ";; esac; done; : dies");
    REQUIRE_OK(mcp_client_connect(c, &err), &err);
    CHECK_INT(mcp_client_server(c)->era, MCP_ERA_LEGACY);
    mcp_client_free(c);
}

TEST_FIBER(a_process_that_is_silent_is_taken_for_legacy) {
    struct err err;
    struct str args[2];
    struct mcp_client_options o = script_options(
        READ_ID "case $line in *'\"initialize\"'*) " LEGACY_START ";; esac; done; : silent", args);
    o.connect_timeout_ms = 1000;
    struct mcp_client *c = mcp_client_new(&o);
    REQUIRE_OK(mcp_client_connect(c, &err), &err);
    CHECK_INT(mcp_client_server(c)->era, MCP_ERA_LEGACY);
    mcp_client_free(c);
}

TEST_FIBER(a_process_that_dies_in_a_call_says_why_without_secrets) {
    struct arena arena cleanup(arena_done) = {0};
    struct err err;
    struct mcp_call_result result;
    struct str args[2];
    struct mcp_client_options o =
        script_options(LEGACY("echo \"first\nlast words: $TOKEN\" >&2; exit 7"), args);
    struct secret *token = secret_new(STR("TOKEN=planted-secret"));
    const struct secret *env[] = {token};
    o.env = env;
    o.n_env = 1;
    struct mcp_client *c = mcp_client_new(&o);
    secret_free(token);
    struct mcp_call call = {.tool = STR("t")};
    CHECK_FAILS(mcp_client_call(c, &call, &arena, &result, &err), &err, ERR_UNAVAILABLE);
    CHECK(str_find(str_z(err.msg), STR("status 7")) != SIZE_MAX);
    CHECK(str_find(str_z(err.msg), STR("last words: ****")) != SIZE_MAX);
    CHECK(str_find(str_z(err.msg), STR("planted")) == SIZE_MAX);
    CHECK(!mcp_client_connected(c));
    /* Restarts are spaced out. */
    CHECK_FAILS(mcp_client_call(c, &call, &arena, &result, &err), &err, ERR_UNAVAILABLE);
    CHECK(str_find(str_z(err.msg), STR("in a row")) != SIZE_MAX);
    mcp_client_free(c);
}

TEST_FIBER(a_repeatable_call_is_not_repeated_before_its_time) {
    struct arena arena cleanup(arena_done) = {0};
    struct err err;
    struct mcp_call_result result;
    struct mcp_client *c = client(LEGACY("exit 1; : once"));
    struct mcp_call call = {.tool = STR("t"), .repeatable = true};
    CHECK_FAILS(mcp_client_call(c, &call, &arena, &result, &err), &err, ERR_UNAVAILABLE);
    mcp_client_free(c);
}

TEST_FIBER(the_environment_is_minimal) {
    struct arena arena cleanup(arena_done) = {0};
    struct err err;
    struct mcp_call_result result;
    struct str args[2];
    struct mcp_client_options o = script_options(
        LEGACY(RESULT("{\"env\":\"'\"$(env | cut -d= -f1 | sort | tr '\\n' ' ')\"'\"}")), args);
    struct secret *mine = secret_new(STR("MINE=1")), *path = secret_new(STR("PATH=/usr/bin:/bin"));
    const struct secret *env[] = {mine, path};
    setenv("ASSISTANT_API_KEY", "not for children", 1);
    setenv("LANG", "C", 1);
    setenv("HOME", "/tmp", 1);
    o.env = env;
    o.n_env = 2;
    struct mcp_client *c = mcp_client_new(&o);
    struct mcp_call call = {.tool = STR("t")};
    REQUIRE_OK(mcp_client_call(c, &call, &arena, &result, &err), &err);
    /* The shell adds PWD and, some of them, more of its own. */
    CHECK(str_find(result.json, STR("HOME LANG ")) != SIZE_MAX);
    CHECK(str_find(result.json, STR("MINE ")) != SIZE_MAX);
    CHECK(str_find(result.json, STR("ASSISTANT")) == SIZE_MAX);
    mcp_client_free(c);
    secret_free(mine);
    secret_free(path);
}

TEST_FIBER(a_process_gets_no_descriptor_of_ours) {
    struct arena arena cleanup(arena_done) = {0};
    struct mcp_call_result result;
    struct err err;
    int ours = dup2(STDIN_FILENO, 77); /* unmarked, as a library leaves it */
    struct mcp_client *c = client(
        LEGACY(RESULT("{\"inherited\":'$(test -e /proc/$$/fd/77 && echo true || echo false)'}")));
    struct mcp_call call = {.tool = STR("t"), .arguments = STR("{}")};
    REQUIRE_OK(mcp_client_call(c, &call, &arena, &result, &err), &err);
    CHECK_STR(result.json, "{\"inherited\":false}");
    mcp_client_free(c);
    close(ours);
}

TEST_FIBER(what_cannot_be_started_is_an_error) {
    struct err err;
    struct mcp_client_options o = {
        .name = STR("test"), .transport = MCP_STDIO, .command = STR("/nonexistent/server")};
    struct mcp_client *c = mcp_client_new(&o);
    CHECK_FAILS(mcp_client_connect(c, &err), &err, ERR_UNAVAILABLE);
    CHECK(str_find(str_z(err.msg), STR("/nonexistent/server")) != SIZE_MAX);
    mcp_client_free(c);
}

TEST_FIBER(a_process_that_will_not_end_is_killed_with_its_children) {
    struct arena arena cleanup(arena_done) = {0};
    struct err err;
    struct mcp_call_result result;
    struct mcp_client *c = client("trap '' TERM; sleep 1000 & child=$!; " LEGACY(
        RESULT("{\"child\":'$child'}")) "; while :; do sleep 1; done");
    struct mcp_call call = {.tool = STR("t")};
    REQUIRE_OK(mcp_client_call(c, &call, &arena, &result, &err), &err);
    int64_t child = 0;
    CHECK(str_to_i64(str_head(str_skip(result.json, 9), result.json.n - 10), &child));
    CHECK_INT(kill((pid_t)child, 0), 0);
    mcp_client_free(c);
    /* Nobody may be there to reap it. */
    char path[64], state = 'Z';
    snprintf(path, sizeof path, "/proc/%d/stat", (int)child);
    for (int i = 0; i < 100 && kill((pid_t)child, 0) == 0; i++) {
        FILE *f = fopen(path, "r");
        if (f) {
            if (fscanf(f, "%*d %*s %c", &state) != 1) {
                state = 'Z';
            }
            fclose(f);
        }
        if (state == 'Z') {
            break;
        }
        fiber_sleep(20);
    }
    CHECK(kill((pid_t)child, 0) < 0 || state == 'Z');
}

/* ---- hostile ---- */

TEST_FIBER(a_line_without_end_costs_the_process) {
    struct arena arena cleanup(arena_done) = {0};
    struct err err;
    struct mcp_call_result result;
    struct mcp_client *c = client(LEGACY("cat /dev/zero | tr '\\0' x"));
    struct mcp_call call = {.tool = STR("t")};
    CHECK_FAILS(mcp_client_call(c, &call, &arena, &result, &err), &err, ERR_LIMIT);
    mcp_client_free(c);
}

TEST_FIBER(noise_without_end_is_not_waited_out) {
    struct arena arena cleanup(arena_done) = {0};
    struct err err;
    struct mcp_call_result result;
    struct mcp_client *c = client(LEGACY("yes noise & yes err >&2; : noise"));
    struct mcp_call call = {.tool = STR("t")};
    CHECK_FAILS(mcp_client_call(c, &call, &arena, &result, &err), &err, ERR_PROTOCOL);
    mcp_client_free(c);
    c = client(LEGACY("while :; do echo noise; sleep 0.05; done"));
    call.idle_timeout_ms = 300;
    CHECK_FAILS(mcp_client_call(c, &call, &arena, &result, &err), &err, ERR_TIMEOUT);
    mcp_client_free(c);
}

TEST_FIBER(a_process_that_reads_nothing_holds_nobody_up) {
    struct arena arena cleanup(arena_done) = {0};
    struct strbuf arguments cleanup(strbuf_done) = STRBUF(8 << 20);
    struct err err;
    struct mcp_call_result result;
    struct mcp_client *c = client(LEGACY("sleep 1000; : reads nothing"));
    strbuf_addz(&arguments, "{\"a\":\"");
    for (int i = 0; i < 6 << 20; i++) {
        strbuf_addc(&arguments, 'x');
    }
    strbuf_addz(&arguments, "\"}");
    struct mcp_call call = {
        .tool = STR("t"), .arguments = strbuf_str(&arguments), .idle_timeout_ms = 200};
    CHECK_FAILS(mcp_client_call(c, &call, &arena, &result, &err), &err, ERR_TIMEOUT);
    CHECK_FAILS(mcp_client_call(c, &call, &arena, &result, &err), &err, ERR_TIMEOUT);
    CHECK_FAILS(mcp_client_call(c, &call, &arena, &result, &err), &err, ERR_UNAVAILABLE);
    mcp_client_free(c);
}
