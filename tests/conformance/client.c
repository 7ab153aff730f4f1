/* mcp_conformance_client URL: plays the scenario that the environment names, against the suite's
 * server. Exit status 0: everything went well. */
#include <stdio.h>
#include <stdlib.h>

#include "base/scan.h"
#include "client.h"
#include "mcp/headers.h"
#include "net/http_client.h"

enum { TIMEOUT_MS = 25 * 1000 };

/* ---- steps ---- */

/* A user who accepts every form, with nothing of his own but a confirmation where it is asked
 * for. */
static int accept_form(void *arg, struct str method, const json_t *params, struct strbuf *result,
                       struct err *err) {
    (void)arg;
    if (!str_eq(method, STR("elicitation/create"))) {
        return err_set(err, ERR_INVALID, "%.*s is not played", STR_ARG(method));
    }
    const json_t *asked = json_object_get(json_object_get(params, "requestedSchema"), "properties");
    bool confirms = json_object_get(asked, "confirmed") != NULL;
    strbuf_addz(result, confirms ? "{\"action\":\"accept\",\"content\":{\"confirmed\":true}}"
                                 : "{\"action\":\"accept\",\"content\":{}}");
    return 0;
}

struct mcp_client *scenario_client(const struct scenario_run *run, enum mcp_era pinned,
                                   const struct mcp_authorizer *authorizer) {
    struct mcp_client_options options = {
        .name = STR("conformance"),
        .transport = MCP_HTTP,
        .pinned_era = pinned,
        .url = str_z(run->url),
        .authorizer = authorizer,
        .requests = {.handle = accept_form,
                     .elicitation_form = true,
                     .sampling = run->modern,
                     .roots = run->modern},
    };
    return mcp_client_new(&options);
}

static int call_tool(struct mcp_client *c, struct str tool, struct str name, struct str arguments,
                     struct arena *arena, struct mcp_call_result *ret, struct err *err) {
    struct str schema = scan_get(tool, "inputSchema");
    struct mcp_call call = {.tool = name,
                            .arguments = arguments,
                            .input_schema = schema.p ? schema : STR_EMPTY,
                            .answer_inputs = true};
    return mcp_client_call(c, &call, arena, ret, err);
}

/* The name of a tool that may be offered. */
static bool usable(struct str tool, struct arena *arena, struct str *ret_name) {
    struct err err;
    struct str schema = scan_get(tool, "inputSchema"), name = scan_get(tool, "name");
    return name.p && scan_text(arena, name, ret_name) &&
           (!schema.p || mcp_headers_check(schema, &err) == 0);
}

int scenario_call_tools(struct mcp_client *c, const char *wanted, const char *arguments,
                        struct err *err) {
    struct arena arena cleanup(arena_done) = {0};
    struct mcp_list tools;
    if (mcp_client_list(c, "tools/list", &arena, &tools, err) < 0) {
        return -(int)err->code;
    }
    for (size_t i = 0; i < tools.n; i++) {
        struct str name;
        struct mcp_call_result result;
        if (!usable(tools.items[i], &arena, &name) || (wanted && !str_eq(name, str_z(wanted)))) {
            continue;
        }
        if (call_tool(c, tools.items[i], name, str_z(arguments), &arena, &result, err) < 0) {
            return -(int)err->code;
        }
        printf("%.*s: %.*s\n", STR_ARG(name), STR_ARG(result.json));
    }
    return 0;
}

/* ---- scenarios ---- */

static int list_tools(const struct scenario_run *run, struct err *err) {
    struct mcp_client *c = scenario_client(run, MCP_ERA_UNKNOWN, NULL);
    int rc = scenario_call_tools(c, "", "{}", err);
    mcp_client_free(c);
    return rc;
}

static int call_all(const struct scenario_run *run, enum mcp_era pinned, const char *wanted,
                    const char *arguments, struct err *err) {
    struct mcp_client *c = scenario_client(run, pinned, NULL);
    int rc = scenario_call_tools(c, wanted, arguments, err);
    mcp_client_free(c);
    return rc;
}

static int add_numbers(const struct scenario_run *run, struct err *err) {
    return call_all(run, MCP_ERA_UNKNOWN, "add_numbers", "{\"a\":5,\"b\":3}", err);
}

static int accept_defaults(const struct scenario_run *run, struct err *err) {
    return call_all(run, MCP_ERA_UNKNOWN, "test_client_elicitation_defaults", "{}", err);
}

static int reconnect(const struct scenario_run *run, struct err *err) {
    return call_all(run, MCP_ERA_UNKNOWN, "test_reconnection", "{}", err);
}

static int answer_inputs(const struct scenario_run *run, struct err *err) {
    return call_all(run, MCP_ERA_MODERN, NULL, "{}", err);
}

static int call_valid_tools(const struct scenario_run *run, struct err *err) {
    return call_all(run, MCP_ERA_MODERN, NULL, "{\"region\":\"us-west1\"}", err);
}

/* Lists, and asks for the first entry by the member that names it. */
static int take_first(struct mcp_client *c, const char *list_method, const char *method,
                      const char *member, struct err *err) {
    struct arena arena cleanup(arena_done) = {0};
    struct strbuf params cleanup(strbuf_done) = STRBUF(4096);
    struct mcp_list list;
    struct str result;
    if (mcp_client_list(c, list_method, &arena, &list, err) < 0) {
        return -(int)err->code;
    }
    if (list.n == 0) {
        return err_set(err, ERR_PROTOCOL, "%s is empty", list_method);
    }
    strbuf_addf(&params, "{\"%s\":", member);
    strbuf_add(&params, scan_get(list.items[0], member));
    strbuf_addc(&params, '}');
    return mcp_client_request(c, method, strbuf_str(&params), &arena, &result, err);
}

static int standard_headers(const struct scenario_run *run, struct err *err) {
    struct mcp_client *c = scenario_client(run, MCP_ERA_MODERN, NULL);
    int rc = scenario_call_tools(c, NULL, "{}", err);
    rc = rc < 0 ? rc : take_first(c, "resources/list", "resources/read", "uri", err);
    rc = rc < 0 ? rc : take_first(c, "prompts/list", "prompts/get", "name", err);
    mcp_client_free(c);
    return rc;
}

static int play_calls(struct mcp_client *c, const json_t *calls, struct err *err) {
    struct arena arena cleanup(arena_done) = {0};
    struct mcp_list tools;
    if (mcp_client_list(c, "tools/list", &arena, &tools, err) < 0) {
        return -(int)err->code;
    }
    for (size_t k = 0; k < json_array_size(calls); k++) {
        const json_t *wanted = json_array_get(calls, k);
        struct strbuf arguments cleanup(strbuf_done) = STRBUF(65536);
        struct mcp_call_result result;
        json_write_tree(&arguments, json_object_get(wanted, "arguments"));
        for (size_t i = 0; i < tools.n; i++) {
            struct str name;
            if (usable(tools.items[i], &arena, &name) && str_eq(name, json_str(wanted, "name")) &&
                call_tool(c, tools.items[i], name, strbuf_str(&arguments), &arena, &result, err) <
                    0) {
                return -(int)err->code;
            }
        }
    }
    return 0;
}

static int custom_headers(const struct scenario_run *run, struct err *err) {
    struct mcp_client *c = scenario_client(run, MCP_ERA_MODERN, NULL);
    int rc = play_calls(c, json_object_get(run->context, "toolCalls"), err);
    mcp_client_free(c);
    return rc;
}

static int echo_schema(const struct scenario_run *run, struct err *err) {
    struct arena arena cleanup(arena_done) = {0};
    struct mcp_client *c = scenario_client(run, MCP_ERA_UNKNOWN, NULL);
    struct strbuf arguments cleanup(strbuf_done) = STRBUF(1 << 20);
    struct mcp_list tools;
    int rc = mcp_client_list(c, "tools/list", &arena, &tools, err);
    for (size_t i = 0; rc == 0 && i < tools.n; i++) {
        if (str_eq(scan_get(tools.items[i], "name"), STR("\"json_schema_2020_12_tool\""))) {
            strbuf_addz(&arguments, "{\"schema\":");
            strbuf_add(&arguments, scan_get(tools.items[i], "inputSchema"));
            strbuf_addc(&arguments, '}');
        }
    }
    struct mcp_call_result result;
    if (rc == 0) {
        rc = call_tool(c, STR_EMPTY, STR("json_schema_echo"), strbuf_str(&arguments), &arena,
                       &result, err);
    }
    mcp_client_free(c);
    return rc;
}

static const struct scenario scenarios[] = {
    {"initialize", list_tools},
    {"request-metadata", list_tools},
    {"json-schema-ref-no-deref", list_tools},
    {"tools_call", add_numbers},
    {"elicitation-sep1034-client-defaults", accept_defaults},
    {"sse-retry", reconnect},
    {"sep-2322-client-request-state", answer_inputs},
    {"http-standard-headers", standard_headers},
    {"http-custom-headers", custom_headers},
    {"http-invalid-tool-headers", call_valid_tools},
    {"json-schema-2020-12-preservation", echo_schema},
    {"auth/", scenario_auth},
};

/* ---- the program ---- */

static const struct scenario *find_scenario(const char *name) {
    for (size_t i = 0; i < ARRAY_LEN(scenarios); i++) {
        struct str known = str_z(scenarios[i].name);
        bool all = str_ends(known, STR("/"));
        if (all ? str_starts(str_z(name), known) : strcmp(known.p, name) == 0) {
            return &scenarios[i];
        }
    }
    return NULL;
}

struct program {
    struct scenario_run run;
    const struct scenario *scenario;
    int rc;
};

static void play(void *arg) {
    struct program *p = arg;
    struct err err;
    struct fiber_timeout timeout;
    fiber_timeout_start(&timeout, TIMEOUT_MS);
    p->rc = p->scenario->play(&p->run, &err);
    fiber_timeout_stop(&timeout);
    if (p->rc < 0) {
        fprintf(stderr, "%s: %s\n", p->run.name, err.msg);
    }
}

static void run_loop(struct program *p) {
    uv_loop_t *loop = uv_default_loop();
    struct fiber_scope scope;
    struct err err;
    fiber_runtime_start(loop, &(struct fiber_options){0});
    if (http_client_start(&err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        exit(2);
    }
    fiber_scope_init(&scope);
    p->rc = fiber_spawn(&scope, "scenario", play, p, NULL, &err);
    uv_run(loop, UV_RUN_DEFAULT);
    http_client_stop();
    uv_run(loop, UV_RUN_DEFAULT);
    fiber_runtime_stop();
    uv_run(loop, UV_RUN_DEFAULT);
}

int main(int argc, char **argv) {
    const char *name = getenv("MCP_CONFORMANCE_SCENARIO");
    const char *revision = getenv("MCP_CONFORMANCE_PROTOCOL_VERSION");
    const char *context = getenv("MCP_CONFORMANCE_CONTEXT");
    json_auto_t *tree = NULL;
    struct err err;
    if (argc != 2 || !name) {
        fprintf(stderr, "usage: MCP_CONFORMANCE_SCENARIO=name %s URL\n", argv[0]);
        return 2;
    }
    if (context && json_read(str_z(context), &tree, &err) < 0) {
        fprintf(stderr, "MCP_CONFORMANCE_CONTEXT: %s\n", err.msg);
        return 2;
    }
    struct program p = {.run = {.name = name,
                                .url = argv[1],
                                .modern = revision && strcmp(revision, "2026-07-28") == 0,
                                .context = tree},
                        .scenario = find_scenario(name)};
    if (!p.scenario) {
        fprintf(stderr, "%s is not played\n", name);
        return 2;
    }
    run_loop(&p);
    return p.rc < 0;
}
