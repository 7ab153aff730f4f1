#include "mcp/tool_list.h"

#include "base/mem.h"
#include "test.h"

#define PLAIN "\"inputSchema\":{\"type\":\"object\"}"

static void free_lists(struct tool_lists **t) {
    tool_lists_free(*t);
}

static void unref(struct mcp_tools **t) {
    mcp_tools_unref(*t);
}

/* The reason begins with this; NULL: the tool is offered. */
static void reads_as(struct str item, const char *reason) {
    struct arena arena cleanup(arena_done) = {0};
    struct mcp_tool tool;
    tool_list_read(item, &arena, &tool);
    if (!reason) {
        CHECK_STR(tool.quarantine, "");
    } else if (!CHECK(tool.quarantine.n > 0 && str_starts(tool.quarantine, str_z(reason)))) {
        printf("  reason: %.*s\n", STR_ARG(tool.quarantine));
    }
}

TEST(a_tool_in_full) {
    struct arena arena cleanup(arena_done) = {0};
    struct mcp_tool t;
    tool_list_read(
        STR("{\"name\":\"get_x\",\"title\":\"Get X\",\"description\":\"it \\u00e9\",\"inputSchema\""
            ":  {\"type\": \"object\", \"b\":1.0e2, \"a\":\"\\u0041\"} ,\"outputSchema\":{},"
            "\"annotations\":{\"readOnlyHint\":true,\"title\":\"no\",\"openWorldHint\":false}}"),
        &arena, &t);
    CHECK_STR(t.quarantine, "");
    CHECK_STR(t.name, "get_x");
    CHECK_STR(t.title, "Get X");
    CHECK_STR(t.description, "it \xc3\xa9");
    CHECK_STR(t.input_schema, "{\"type\": \"object\", \"b\":1.0e2, \"a\":\"\\u0041\"}");
    CHECK_STR(t.output_schema, "{}");
    CHECK(t.read_only && !t.destructive && !t.idempotent && !t.open_world);
}

TEST(hints_have_the_defaults_of_the_specification) {
    struct arena arena cleanup(arena_done) = {0};
    struct mcp_tool t;
    tool_list_read(
        STR("{\"name\":\"x\",\"annotations\":{\"title\":\"T\",\"readOnlyHint\":\"yes\"}," PLAIN
            "}"),
        &arena, &t);
    CHECK(!t.read_only && t.destructive && !t.idempotent && t.open_world);
    CHECK_STR(t.title, "T");
    CHECK_STR(t.output_schema, "");
}

TEST(bad_tools_have_a_reason) {
    struct strbuf deep cleanup(strbuf_done) = STRBUF(1 << 20);
    struct strbuf large cleanup(strbuf_done) = STRBUF(1 << 22);
    reads_as(STR("{\"name\":\"x\"," PLAIN "}"), NULL);
    reads_as(STR(""), "not valid JSON");
    reads_as(STR("{\"name\":\"x\""), "not valid JSON");
    reads_as(STR("{\"name\":\"x\",\"name\":\"y\"," PLAIN "}"), "not valid JSON");
    reads_as(STR("{\"name\":\"\xff\"," PLAIN "}"), "not valid JSON");
    reads_as(STR("[]"), "it is no object");
    reads_as(STR("{" PLAIN "}"), "it has no name");
    reads_as(STR("{\"name\":\"\"," PLAIN "}"), "it has no name");
    reads_as(STR("{\"name\":7," PLAIN "}"), "it has no name");
    reads_as(STR("{\"name\":\"a\\nb\"," PLAIN "}"), "its name has control");
    reads_as(STR("{\"name\":\"x\"}"), "it has no inputSchema");
    reads_as(STR("{\"name\":\"x\",\"inputSchema\":null}"), "its inputSchema is no object");
    reads_as(STR("{\"name\":\"x\",\"inputSchema\":\"{}\"}"), "its inputSchema is no object");
    reads_as(STR("{\"name\":\"x\",\"inputSchema\":{\"type\":\"array\"}}"),
             "its inputSchema is not of type object");
    reads_as(STR("{\"name\":\"x\",\"inputSchema\":{\"type\":[\"object\"]}}"),
             "its inputSchema is not of type object");
    reads_as(STR("{\"name\":\"x\",\"inputSchema\":{}}"), NULL);

    reads_as(STR("{\"name\":\"x\",\"inputSchema\":{\"type\":\"object\",\"properties\":{\"r\":{"
                 "\"type\":\"string\",\"x-mcp-header\":\"Region\"}}}}"),
             NULL);
    reads_as(STR("{\"name\":\"x\",\"inputSchema\":{\"type\":\"object\",\"properties\":{\"r\":{"
                 "\"type\":\"object\",\"x-mcp-header\":\"Region\"}}}}"),
             "");

    strbuf_addz(&large, "{\"name\":\"");
    for (int i = 0; i < 129; i++) {
        strbuf_addc(&large, 'n');
    }
    strbuf_addz(&large, "\"," PLAIN "}");
    reads_as(strbuf_str(&large), "its name is longer than 128");

    strbuf_addz(&deep, "{\"name\":\"x\",\"inputSchema\":");
    for (int i = 0; i < 5000; i++) {
        strbuf_addz(&deep, "{\"a\":");
    }
    reads_as(strbuf_str(&deep), "the JSON is nested deeper");

    strbuf_reset(&large);
    strbuf_addz(&large, "{\"name\":\"x\",\"inputSchema\":{\"type\":\"object\",\"title\":\"");
    for (int i = 0; i < TOOL_LIST_MAX_SCHEMA_BYTES; i++) {
        strbuf_addc(&large, 's');
    }
    strbuf_addz(&large, "\"}}");
    reads_as(strbuf_str(&large), "its inputSchema has more than");

    strbuf_reset(&large);
    for (int i = 0; i <= TOOL_LIST_MAX_ITEM_BYTES; i++) {
        strbuf_addc(&large, ' ');
    }
    reads_as(strbuf_str(&large), "it has more than");
}

TEST(a_bad_name_is_shown_without_harm) {
    struct arena arena cleanup(arena_done) = {0};
    struct mcp_tool t;
    tool_list_read(STR("{\"name\":\"a\\u001bb\"," PLAIN "}"), &arena, &t);
    CHECK_STR(t.name, "a?b");
    CHECK(t.quarantine.n > 0);
}

TEST_FIBER(only_the_bad_one_is_left_out) {
    struct tool_lists *lists cleanup(free_lists) = tool_lists_new();
    struct mcp_tools *t cleanup(unref) = NULL;
    struct err err;
    const struct str items[] = {STR("{\"name\":\"a\"," PLAIN "}"), STR("{\"name\":\"b\"}"),
                                STR("{\"name\":\"a\",\"title\":\"again\"," PLAIN "}"),
                                STR("{\"name\":\"c\"," PLAIN "}")};
    REQUIRE_OK(tool_list_make(lists, items, 4, &t, &err), &err);
    CHECK_INT(t->n, 4);
    CHECK_INT(tool_list_quarantined(t), 2);
    CHECK_STR(t->tools[0].quarantine, "");
    CHECK_STR(t->tools[1].quarantine, "it has no inputSchema");
    CHECK_STR(t->tools[2].quarantine, "another tool of the list has this name");
    CHECK_STR(t->tools[3].quarantine, "");
}

TEST_FIBER(equal_lists_are_kept_once) {
    struct tool_lists *lists cleanup(free_lists) = tool_lists_new();
    struct mcp_tools *a = NULL, *b = NULL, *c cleanup(unref) = NULL, *empty cleanup(unref) = NULL;
    struct err err;
    const struct str one[] = {STR("{\"name\":\"a\"," PLAIN "}"), STR("{\"name\":\"b\"}")};
    const struct str other[] = {STR("{\"name\":\"a\"," PLAIN "}{\"name\":\"b\"}")};
    REQUIRE_OK(tool_list_make(lists, one, 2, &a, &err), &err);
    size_t bytes = tool_lists_bytes(lists);
    REQUIRE_OK(tool_list_make(lists, one, 2, &b, &err), &err);
    CHECK(a == b && bytes > 0);
    CHECK_INT(tool_lists_bytes(lists), bytes);
    REQUIRE_OK(tool_list_make(lists, other, 1, &c, &err), &err);
    CHECK(c != a && !str_eq(c->digest, a->digest));
    REQUIRE_OK(tool_list_make(lists, NULL, 0, &empty, &err), &err);
    CHECK_INT(empty->n, 0);
    mcp_tools_unref(a);
    CHECK_STR(b->tools[0].name, "a");
    mcp_tools_unref(b);
    mcp_tools_unref(take(c));
    mcp_tools_unref(take(empty));
    CHECK_INT(tool_lists_bytes(lists), 0);
}

TEST_FIBER(a_list_may_outlive_the_table) {
    struct tool_lists *lists = tool_lists_new();
    struct mcp_tools *t cleanup(unref) = NULL;
    struct err err;
    const struct str items[] = {STR("{\"name\":\"a\"," PLAIN "}")};
    REQUIRE_OK(tool_list_make(lists, items, 1, &t, &err), &err);
    tool_lists_free(lists);
    CHECK_STR(t->tools[0].name, "a");
}

TEST_FIBER(ten_thousand_tools_are_cut) {
    enum { N = 10000 };
    struct tool_lists *lists cleanup(free_lists) = tool_lists_new();
    struct mcp_tools *t cleanup(unref) = NULL;
    struct arena arena cleanup(arena_done) = {0};
    struct str *items = arena_alloc(&arena, N * sizeof *items);
    struct err err;
    for (int i = 0; i < N; i++) {
        items[i] = arena_printf(&arena, "{\"name\":\"tool_%d\"," PLAIN "}", i);
    }
    REQUIRE_OK(tool_list_make(lists, items, N, &t, &err), &err);
    CHECK_INT(t->n, MCP_MAX_TOOLS);
    CHECK_INT(tool_list_quarantined(t), 0);
}

static int frees;
static void free_adapted(void *adapted) {
    CHECK(adapted == &frees);
    frees++;
}

TEST_FIBER(what_was_made_of_a_list_goes_with_it) {
    struct tool_lists *lists cleanup(free_lists) = tool_lists_new();
    struct mcp_tools *t = NULL;
    struct err err;
    const struct str items[] = {STR("{\"name\":\"a\"," PLAIN "}")};
    frees = 0;
    REQUIRE_OK(tool_list_make(lists, items, 1, &t, &err), &err);
    t->adapted = &frees;
    t->free_adapted = free_adapted;
    mcp_tools_unref(t);
    CHECK_INT(frees, 1);
}
