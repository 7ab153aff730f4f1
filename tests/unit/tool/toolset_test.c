/* Toolsets without a database, with bridges of the test's own. */
#include "tool/toolset.h"

#include <stdio.h>

#include "base/mem.h"
#include "test.h"

/* ---- in place of auth/user_epoch.c and mcp/bridge.c ---- */

static uint64_t epoch_now;

uint64_t user_epoch(const struct user_epochs *e, struct str user_id) {
    (void)e;
    (void)user_id;
    return epoch_now;
}

void user_epoch_changed(struct user_epochs *e, struct str user_id) {
    (void)e;
    (void)user_id;
    epoch_now++;
}

enum { MAX_SERVERS = 4 };

static struct {
    struct bridge_server servers[MAX_SERVERS];
    size_t n;
    enum err_code fails;
} world;

int bridge_view_open(struct bridges *b, struct str user_id, int64_t wait_ms,
                     struct bridge_view *ret, struct err *err) {
    (void)b;
    (void)user_id;
    (void)wait_ms;
    if (world.fails) {
        return err_set(err, world.fails, "the test says so");
    }
    *ret = (struct bridge_view){.n = world.n};
    ret->servers = arena_alloc(&ret->arena, world.n * sizeof *ret->servers);
    memcpy(ret->servers, world.servers, world.n * sizeof *ret->servers);
    return 0;
}

void bridge_view_done(struct bridge_view *v) {
    arena_done(&v->arena);
}

bool bridges_skill_uses(const struct bridges *b, struct str skill, struct str server) {
    (void)b;
    return skill.n == 0 || str_eq(server, skill); /* a skill uses the server of its name */
}

/* ---- lists ---- */

static unsigned lists_alive;

struct list_of_tools {
    struct mcp_tools tools;
    struct arena arena;
};

static void free_list(struct mcp_tools *t) {
    struct list_of_tools *l = container_of(t, struct list_of_tools, tools);
    if (t->free_adapted) {
        t->free_adapted(t->adapted);
    }
    arena_done(&l->arena);
    mem_free(l);
    lists_alive--;
}

/* A list of n tools called "<prefix><i>". */
static struct mcp_tools *list_new(const char *prefix, size_t n) {
    struct list_of_tools *l = mem_alloc(sizeof *l);
    lists_alive++;
    l->tools = (struct mcp_tools){.n = n, .refs = 1, .free = free_list};
    l->tools.tools = arena_alloc(&l->arena, n * sizeof *l->tools.tools);
    l->tools.digest = arena_printf(&l->arena, "%s%zu", prefix, n);
    for (size_t i = 0; i < n; i++) {
        l->tools.tools[i] = (struct mcp_tool){
            .name = arena_printf(&l->arena, "%s%zu", prefix, i),
            .title = STR_EMPTY,
            .description = arena_printf(&l->arena, "Number %zu.\nMore of it.", i),
            .input_schema = STR("{\"type\":\"object\",\"properties\":{}}"),
            .read_only = i % 2 == 0,
        };
    }
    return &l->tools;
}

static struct mcp_tools *add_server(const char *name, struct mcp_tools *tools) {
    world.servers[world.n++] = (struct bridge_server){.name = str_z(name), .tools = tools};
    return tools;
}

/* ---- a house ---- */

struct house {
    struct tool_registry *registry;
    struct toolbox *box;
    struct toolset *set;
    struct arena arena;
    struct err err;
};

static void house_done(struct house *h) {
    toolset_close(h->set);
    toolbox_free(h->box);
    tool_registry_free(h->registry);
    arena_done(&h->arena);
    for (size_t i = 0; i < world.n; i++) {
        mcp_tools_unref(world.servers[i].tools);
    }
    memset(&world, 0, sizeof world);
    CHECK_INT(lists_alive, 0);
}

static int house_open(struct house *h, const char *skill) {
    static char some_bridges;
    struct toolset_options options = {.user_id = STR("me"), .skill = str_z(skill)};
    if (!h->box) {
        h->registry = tool_registry_new();
        tool_register_builtins(h->registry);
        h->box = toolbox_new(&(struct toolbox_options){
            .registry = h->registry, .bridges = world.n ? (void *)&some_bridges : NULL});
    }
    toolset_close(h->set);
    h->set = NULL;
    return toolset_open(h->box, &options, &h->set, &h->err);
}

static bool shows(const struct house *h, const char *name) {
    const struct llm_tool *specs;
    size_t n = toolset_specs(h->set, &specs);
    for (size_t i = 0; i < n; i++) {
        if (str_eq(specs[i].name, str_z(name))) {
            return true;
        }
    }
    return false;
}

static size_t n_shown(const struct house *h) {
    const struct llm_tool *specs;
    return toolset_specs(h->set, &specs);
}

/* ---- without servers ---- */

TEST_FIBER(without_servers_there_are_the_built_in_tools) {
    struct house h cleanup(house_done) = {0};
    const struct llm_tool *specs;
    REQUIRE_OK(house_open(&h, ""), &h.err);
    REQUIRE(toolset_specs(h.set, &specs) == 2);
    CHECK_STR(specs[0].name, "current_time");
    CHECK_STR(specs[1].name, "calculate");
    const struct toolset_tool *t = toolset_find(h.set, STR("calculate"));
    REQUIRE(t);
    CHECK_INT(t->policy, POLICY_ALLOW);
    CHECK(t->builtin && !t->mcp && t->repeatable && t->timeout_ms > 0);
    CHECK_STR(t->server, "");
    CHECK_STR(toolset_arguments(t, STR("{ }"), &h.arena), "{ }");
    CHECK(!toolset_find(h.set, STR("search_tools")));
    CHECK(!toolset_find(h.set, STR_EMPTY));
}

TEST_FIBER(an_unchanged_set_is_the_same_memory) {
    struct house h cleanup(house_done) = {0};
    const struct llm_tool *before, *after;
    REQUIRE_OK(house_open(&h, ""), &h.err);
    toolset_specs(h.set, &before);
    REQUIRE_OK(toolset_refresh(h.set, &h.err), &h.err);
    CHECK_INT(toolset_specs(h.set, &after), 2);
    CHECK(before == after);
}

TEST_FIBER(found_names_go_into_a_checkpoint_and_back) {
    struct house h cleanup(house_done) = {0};
    struct strbuf out cleanup(strbuf_done) = STRBUF(1 << 16);
    REQUIRE_OK(house_open(&h, ""), &h.err);
    toolset_found_read(h.set, STR("one two  three one"));
    toolset_found_write(h.set, &out);
    CHECK_STR(strbuf_str(&out), "two three one");
    CHECK_INT(n_shown(&h), 2);
    for (int i = 0; i < TOOLSET_MAX_FOUND; i++) {
        char name[16];
        snprintf(name, sizeof name, "t%d", i);
        toolset_found_read(h.set, str_z(name));
    }
    strbuf_reset(&out);
    toolset_found_write(h.set, &out);
    CHECK(str_starts(strbuf_str(&out), STR("t0 t1 ")));
}

/* ---- with servers ---- */

TEST_FIBER(few_tools_are_all_shown) {
    struct house h cleanup(house_done) = {0};
    add_server("alpha", list_new("a", 5));
    add_server("beta", list_new("b", 5));
    REQUIRE_OK(house_open(&h, ""), &h.err);
    CHECK_INT(n_shown(&h), 12);
    CHECK(shows(&h, "a0") && shows(&h, "b4") && !shows(&h, "search_tools"));
    const struct toolset_tool *t = toolset_find(h.set, STR("a1"));
    REQUIRE(t);
    CHECK_STR(t->server, "alpha");
    CHECK_STR(t->tool, "a1");
    CHECK_STR(t->title, "a1");
    CHECK_INT(t->policy, POLICY_ASK);
    CHECK(!t->repeatable && !t->builtin && t->mcp);
    t = toolset_find(h.set, STR("a2"));
    REQUIRE(t);
    CHECK(t->policy == POLICY_ALLOW && t->repeatable && t->read_only);
}

TEST_FIBER(a_skill_uses_its_own_servers_under_the_same_names) {
    struct house h cleanup(house_done) = {0};
    add_server("alpha", list_new("a", 2));
    add_server("beta", list_new("a", 3));
    REQUIRE_OK(house_open(&h, "beta"), &h.err);
    CHECK_INT(n_shown(&h), 5);
    CHECK(shows(&h, "beta_a0") && shows(&h, "a2") && !toolset_find(h.set, STR("alpha_a0")));
    CHECK_INT(toolset_count(h.set), 7);
    CHECK(!toolset_at(h.set, 2).usable && toolset_at(h.set, 4).usable);
    REQUIRE_OK(house_open(&h, ""), &h.err);
    CHECK_INT(n_shown(&h), 7);
    CHECK(shows(&h, "alpha_a0") && shows(&h, "beta_a0"));
}

TEST_FIBER(one_bad_tool_does_not_cost_the_others) {
    struct house h cleanup(house_done) = {0};
    struct mcp_tools *list = add_server("alpha", list_new("a", 4));
    list->tools[1].input_schema = STR("{\"type\":\"string\"}");
    list->tools[2].quarantine = STR("it has no name");
    list->tools[3].input_schema =
        STR("{\"type\":\"object\",\"anyOf\":[{\"properties\":{\"x\":{}}}]}");
    REQUIRE_OK(house_open(&h, ""), &h.err);
    CHECK_INT(n_shown(&h), 4);
    CHECK(!toolset_find(h.set, STR("a1")) && !toolset_find(h.set, STR("a2")));
    CHECK(str_find(toolset_at(h.set, 3).quarantine, STR("of type \"string\"")) != SIZE_MAX);
    CHECK_STR(toolset_at(h.set, 4).quarantine, "it has no name");
    CHECK_STR(toolset_at(h.set, 4).tool->name, "");
    const struct llm_tool *specs;
    toolset_specs(h.set, &specs);
    CHECK_STR(specs[3].forms[LLM_DIALECT_OPENAI].schema,
              "{\"type\":\"object\",\"properties\":{\"x\":{}}}");
}

TEST_FIBER(servers_join_and_go_and_their_tools_stay_valid) {
    struct house h cleanup(house_done) = {0};
    add_server("alpha", NULL);
    REQUIRE_OK(house_open(&h, ""), &h.err);
    CHECK_INT(n_shown(&h), 2);
    world.servers[0].tools = list_new("a", 3);
    CHECK(!shows(&h, "a0"));
    REQUIRE_OK(toolset_refresh(h.set, &h.err), &h.err);
    CHECK(shows(&h, "a0"));
    const struct toolset_tool *t = toolset_find(h.set, STR("a0"));
    mcp_tools_unref(world.servers[0].tools);
    world.servers[0].tools = NULL;
    REQUIRE_OK(toolset_refresh(h.set, &h.err), &h.err);
    CHECK_INT(n_shown(&h), 2);
    CHECK_STR(t->mcp->name, "a0");
}

TEST_FIBER(bridges_that_fail_cost_their_tools_only) {
    struct house h cleanup(house_done) = {0};
    add_server("alpha", list_new("a", 3));
    world.fails = ERR_UNAVAILABLE;
    REQUIRE_OK(house_open(&h, ""), &h.err);
    CHECK_INT(n_shown(&h), 2);
    world.fails = ERR_CANCELLED;
    CHECK_FAILS(toolset_refresh(h.set, &h.err), &h.err, ERR_CANCELLED);
    world.fails = ERR_NONE;
    REQUIRE_OK(toolset_refresh(h.set, &h.err), &h.err);
    CHECK_INT(n_shown(&h), 5);
}

/* ---- many tools ---- */

static struct str search(struct house *h, const char *arguments, struct err *err) {
    struct tool_result result = {0};
    json_auto_t *tree = json_loads(arguments, 0, NULL);
    struct tool_call call = {.arguments = tree};
    const struct toolset_tool *t = toolset_find(h->set, STR("search_tools"));
    if (!CHECK(t && t->builtin && t->policy == POLICY_ALLOW)) {
        return STR_EMPTY;
    }
    int rc = t->builtin->run(&call, &h->arena, &result, t->builtin->context, err);
    return rc < 0 ? STR_EMPTY : result.content;
}

TEST_FIBER(many_tools_are_searched_for_and_join_the_turn) {
    struct house h cleanup(house_done) = {0};
    struct mcp_tools *list = add_server("alpha", list_new("a", 70));
    const struct str pinned[] = {STR("a9"), STR("nothing")};
    world.servers[0].pinned = pinned;
    world.servers[0].n_pinned = 2;
    list->tools[33].description = STR("Waters the plants. In the garden.\nEvery day.");
    REQUIRE_OK(house_open(&h, ""), &h.err);
    CHECK_INT(n_shown(&h), 4);
    CHECK(shows(&h, "a9") && shows(&h, "search_tools") && shows(&h, "calculate"));
    CHECK(toolset_find(h.set, STR("a33")));
    CHECK_STR(search(&h, "{\"query\":\"watering a plant\",\"limit\":1}", &h.err),
              "1 tool found, to be called under these names:\n"
              "- a33 (alpha): Waters the plants. In the garden.");
    CHECK(!shows(&h, "a33"));
    REQUIRE_OK(toolset_refresh(h.set, &h.err), &h.err);
    CHECK(shows(&h, "a33"));
    CHECK_INT(n_shown(&h), 5);
    CHECK(str_starts(search(&h, "{\"query\":\"zebra\"}", &h.err), STR("No tool fits")));
    CHECK(str_starts(search(&h, "{}", &h.err), STR("No tool fits")));
    search(&h, "{\"query\":5}", &h.err);
    CHECK_INT(h.err.code, ERR_INVALID);
    search(&h, "{\"query\":\"x\",\"limit\":1000}", &h.err);
    CHECK(strstr(h.err.msg, "limit") != NULL);
}

TEST_FIBER(what_was_found_survives_a_checkpoint) {
    struct house h cleanup(house_done) = {0};
    struct strbuf out cleanup(strbuf_done) = STRBUF(1 << 16);
    add_server("alpha", list_new("a", 70));
    REQUIRE_OK(house_open(&h, ""), &h.err);
    search(&h, "{\"query\":\"number\",\"limit\":3}", &h.err);
    toolset_found_write(h.set, &out);
    REQUIRE_OK(house_open(&h, ""), &h.err);
    CHECK_INT(n_shown(&h), 3);
    toolset_found_read(h.set, strbuf_str(&out));
    CHECK_INT(n_shown(&h), 6);
    CHECK(shows(&h, "a0") && shows(&h, "a1") && shows(&h, "a2"));
}

TEST_FIBER(a_name_keeps_its_meaning_when_a_namesake_joins) {
    struct house h cleanup(house_done) = {0};
    struct strbuf out cleanup(strbuf_done) = STRBUF(1 << 16);
    add_server("alpha", list_new("a", 70));
    add_server("beta", NULL);
    REQUIRE_OK(house_open(&h, ""), &h.err);
    search(&h, "{\"query\":\"number 33\",\"limit\":1}", &h.err);
    world.servers[1].tools = list_new("a", 71);
    REQUIRE_OK(toolset_refresh(h.set, &h.err), &h.err);
    CHECK(shows(&h, "alpha_a33"));
    const struct toolset_tool *t = toolset_find(h.set, STR("a33"));
    REQUIRE(t);
    CHECK_STR(t->server, "alpha");
    CHECK_STR(t->name, "alpha_a33");
    CHECK_STR(toolset_find(h.set, STR("beta_a33"))->server, "beta");
    toolset_found_write(h.set, &out);
    CHECK_STR(strbuf_str(&out), "alpha_a33");
    mcp_tools_unref(world.servers[0].tools);
    world.servers[0].tools = NULL;
    REQUIRE_OK(toolset_refresh(h.set, &h.err), &h.err);
    CHECK(!toolset_find(h.set, STR("alpha_a33")));
}

TEST_FIBER(found_tools_are_bounded) {
    struct house h cleanup(house_done) = {0};
    add_server("alpha", list_new("a", 200));
    REQUIRE_OK(house_open(&h, ""), &h.err);
    for (int i = 0; i < 200; i++) {
        char name[16];
        snprintf(name, sizeof name, "a%d", i);
        toolset_found_read(h.set, str_z(name));
    }
    CHECK_INT(n_shown(&h), 3 + TOOLSET_MAX_FOUND);
    CHECK(shows(&h, "a199") && shows(&h, "a140") && !shows(&h, "a139"));
}

TEST_FIBER(large_tools_are_searched_for_too) {
    struct house h cleanup(house_done) = {0};
    struct mcp_tools *list = add_server("alpha", list_new("a", 12));
    static char large[60000];
    memset(large, ' ', sizeof large);
    memcpy(large, "{\"type\":\"object\",\"properties\":{}", 32);
    large[sizeof large - 1] = '}';
    for (size_t i = 0; i < list->n; i++) {
        list->tools[i].input_schema = (struct str){large, sizeof large};
    }
    REQUIRE_OK(house_open(&h, ""), &h.err);
    CHECK(shows(&h, "search_tools") && !shows(&h, "a0"));
    toolset_found_read(h.set, STR("a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 a10 a11"));
    CHECK(shows(&h, "a11") && shows(&h, "a4") && !shows(&h, "a3"));
}

/* ---- bounds ---- */

TEST_FIBER(lists_that_change_for_ever_are_not_kept_for_ever) {
    struct house h cleanup(house_done) = {0};
    static char large[60000];
    memset(large, 'x', sizeof large);
    add_server("alpha", list_new("a", 1));
    REQUIRE_OK(house_open(&h, ""), &h.err);
    for (int i = 0; i < 60; i++) {
        char prefix[16];
        mcp_tools_unref(world.servers[0].tools);
        snprintf(prefix, sizeof prefix, "b%d_", i);
        world.servers[0].tools = list_new(prefix, 100);
        for (size_t k = 0; k < 100; k++) {
            world.servers[0].tools->tools[k].output_schema = (struct str){large, sizeof large};
        }
        REQUIRE_OK(house_open(&h, ""), &h.err);
    }
    CHECK(lists_alive > 1 && lists_alive <= 13); /* 64 MiB of 6 MB each, and the one in use */
}
