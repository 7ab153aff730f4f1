/* What the tools of a turn cost: a server with 235 tools (580 KB), whose list is adapted once and
 * then only looked up. Prints microseconds. */
#include "tool/toolset.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"

enum { TOOLS = 235, SCHEMA_BYTES = 2300, ROUNDS = 20000 };

static struct mcp_tools list;
static struct bridge_server server = {.name = {"server", 6}, .tools = &list};

int bridge_view_open(struct bridges *b, struct str user_id, int64_t wait_ms,
                     struct bridge_view *ret, struct err *err) {
    (void)b, (void)user_id, (void)wait_ms, (void)err;
    *ret = (struct bridge_view){.servers = &server, .n = 1};
    return 0;
}

void bridge_view_done(struct bridge_view *v) {
    (void)v;
}

bool bridges_skill_uses(const struct bridges *b, struct str skill, struct str name) {
    (void)b, (void)skill, (void)name;
    return true;
}

static void keep(struct mcp_tools *t) {
    (void)t;
}

static size_t make_list(struct arena *arena) {
    size_t bytes = 0;
    list = (struct mcp_tools){.n = TOOLS, .refs = 1, .free = keep, .digest = STR("digest")};
    list.tools = arena_alloc(arena, TOOLS * sizeof *list.tools);
    for (size_t i = 0; i < TOOLS; i++) {
        struct strbuf s cleanup(strbuf_done) = STRBUF(1 << 20);
        strbuf_addz(&s, "{\"type\":\"object\",\"properties\":{");
        for (size_t k = 0; s.n < SCHEMA_BYTES; k++) {
            strbuf_addf(&s,
                        "%s\"parameter_%zu\":{\"type\":\"string\",\"description\":\"What the "
                        "parameter means, in a sentence of the usual length.\"}",
                        k ? "," : "", k);
        }
        strbuf_addz(&s, "}}");
        list.tools[i] = (struct mcp_tool){
            .name = arena_printf(arena, "tool_number_%zu", i),
            .title = STR_EMPTY,
            .description = arena_printf(arena, "Does number %zu of the things that it can do.", i),
            .input_schema = arena_str(arena, strbuf_str(&s)),
            .read_only = true};
        bytes += s.n + list.tools[i].description.n;
    }
    return bytes;
}

static void open_once(struct toolbox *box) {
    struct toolset_options options = {.user_id = STR("me"), .skill = STR_EMPTY};
    struct toolset *set;
    const struct llm_tool *specs;
    struct err err;
    if (toolset_open(box, &options, &set, &err) < 0 || toolset_refresh(set, &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        return;
    }
    toolset_specs(set, &specs);
    toolset_close(set);
}

static double per_round(struct toolbox *box, int rounds) {
    int64_t begin = clock_mono_us();
    for (int i = 0; i < rounds; i++) {
        open_once(box);
    }
    return (double)(clock_mono_us() - begin) / rounds;
}

static void search_once(struct toolbox *box, struct arena *arena) {
    struct toolset_options options = {.user_id = STR("me"), .skill = STR_EMPTY};
    struct toolset *set;
    struct tool_result result;
    struct err err;
    json_auto_t *arguments = json_pack("{s:s}", "query", "number seventeen of the things");
    if (toolset_open(box, &options, &set, &err) < 0) {
        return;
    }
    const struct toolset_tool *t = toolset_find(set, STR("search_tools"));
    struct tool_call call = {.arguments = arguments};
    for (int i = 0; i < 2; i++) {
        int64_t begin = clock_mono_us();
        if (t->builtin->run(&call, arena, &result, t->builtin->context, &err) == 0) {
            printf("%s search: %lld us\n", i ? "another" : "first",
                   (long long)(clock_mono_us() - begin));
        }
    }
    toolset_close(set);
}

static void bench(void *arg) {
    struct arena arena = {0};
    struct tool_registry *registry = tool_registry_new();
    (void)arg;
    tool_register_builtins(registry);
    struct toolbox *plain = toolbox_new(&(struct toolbox_options){.registry = registry});
    struct toolbox *box =
        toolbox_new(&(struct toolbox_options){.registry = registry, .bridges = (void *)&server});
    printf("list: %d tools, %zu KB\n", TOOLS, make_list(&arena) / 1024);
    printf("built-in tools only, open + refresh + specs: %.2f us\n", per_round(plain, ROUNDS));
    printf("the first time (adapting, naming): %.0f us\n", per_round(box, 1));
    printf("unchanged, open + refresh + specs: %.2f us\n", per_round(box, ROUNDS));
    search_once(box, &arena);
    toolbox_free(box);
    toolbox_free(plain);
    list.free_adapted(list.adapted);
    tool_registry_free(registry);
    arena_done(&arena);
}

int main(void) {
    uv_loop_t *loop = uv_default_loop();
    struct fiber_scope scope;
    struct err err;
    fiber_runtime_start(loop, &(struct fiber_options){0});
    fiber_scope_init(&scope);
    if (fiber_spawn(&scope, "bench", bench, NULL, NULL, &err) < 0) {
        return 1;
    }
    uv_run(loop, UV_RUN_DEFAULT);
    fiber_runtime_stop();
    return 0;
}
