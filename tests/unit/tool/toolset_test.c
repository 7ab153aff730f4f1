/* Toolsets without a database and with bridges of the test's own. */
#include "tool/toolset.h"

#include "test.h"

/* In place of src/auth/user_epoch.c: the test says when something changed. */
static uint64_t epoch_now;

uint64_t user_epoch(const struct user_epochs *e, struct str user_id) {
    (void)e;
    (void)user_id;
    return epoch_now;
}

struct house {
    struct tool_registry *registry;
    struct toolbox *box;
    struct toolset *set;
    struct err err;
};

static void house_done(struct house *h) {
    toolset_close(h->set);
    toolbox_free(h->box);
    tool_registry_free(h->registry);
}

static int house_open(struct house *h) {
    struct toolset_options options = {.user_id = STR("me"), .skill = STR_EMPTY};
    h->registry = tool_registry_new();
    tool_register_builtins(h->registry);
    h->box = toolbox_new(&(struct toolbox_options){.registry = h->registry});
    return toolset_open(h->box, &options, &h->set, &h->err);
}

TEST_FIBER(without_servers_there_are_the_built_in_tools) {
    struct house h cleanup(house_done) = {0};
    const struct llm_tool *specs;
    REQUIRE_OK(house_open(&h), &h.err);
    REQUIRE(toolset_specs(h.set, &specs) == 2);
    CHECK_STR(specs[0].name, "current_time");
    CHECK_STR(specs[1].name, "calculate");
    const struct toolset_tool *t = toolset_find(h.set, STR("calculate"));
    REQUIRE(t);
    CHECK_INT(t->policy, POLICY_ALLOW);
    CHECK(t->builtin && !t->mcp && t->repeatable && t->timeout_ms > 0);
    CHECK_STR(t->server, "");
    CHECK(!toolset_find(h.set, STR("search_tools")));
    CHECK(!toolset_find(h.set, STR_EMPTY));
}

TEST_FIBER(an_unchanged_set_is_the_same_memory) {
    struct house h cleanup(house_done) = {0};
    const struct llm_tool *before, *after;
    REQUIRE_OK(house_open(&h), &h.err);
    toolset_specs(h.set, &before);
    REQUIRE_OK(toolset_refresh(h.set, &h.err), &h.err);
    CHECK_INT(toolset_specs(h.set, &after), 2);
    CHECK(before == after);
}

TEST_FIBER(found_names_go_into_a_checkpoint_and_back) {
    struct house h cleanup(house_done) = {0};
    struct strbuf out cleanup(strbuf_done) = STRBUF(1 << 16);
    const struct llm_tool *specs;
    REQUIRE_OK(house_open(&h), &h.err);
    toolset_found_read(h.set, STR("one two  three one"));
    toolset_found_write(h.set, &out);
    CHECK_STR(strbuf_str(&out), "two three one");
    CHECK_INT(toolset_specs(h.set, &specs), 2);
}
