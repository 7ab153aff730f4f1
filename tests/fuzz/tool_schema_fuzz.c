/* Any schema is refused, or becomes one that providers take and that needs no further change. */
#include <assert.h>

#include "llm/tool_schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_root(struct str schema) {
    static const char *const refused[] = {"anyOf", "oneOf", "allOf", "enum", "not", "$ref"};
    json_auto_t *tree = NULL;
    struct err err;
    assert(schema.n <= LLM_TOOL_SCHEMA_MAX_BYTES);
    assert(json_read(schema, &tree, &err) == 0);
    assert(str_eq(json_str(tree, "type"), STR("object")));
    assert(json_is_object(json_object_get(tree, "properties")));
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        assert(!json_object_get(tree, refused[i]));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena cleanup(arena_done) = {0};
    struct llm_tool_facts facts;
    struct err err;
    struct llm_tool tool = {
        .name = STR("t"), .description = STR("d"), .schema = {(const char *)data, size}};
    if (llm_tool_adapt(&tool, &arena, &facts, &err) < 0) {
        assert(err.msg[0]);
        return 0;
    }
    for (size_t i = 0; i < LLM_DIALECTS; i++) {
        check_root(tool.forms[i].schema.n ? tool.forms[i].schema : tool.schema);
    }
    struct llm_tool again = {.name = tool.name, .description = tool.description};
    again.schema = tool.forms[LLM_DIALECT_OLLAMA].schema.n ? tool.forms[LLM_DIALECT_OLLAMA].schema
                                                           : tool.schema;
    assert(llm_tool_adapt(&again, &arena, &facts, &err) == 0);
    assert(again.forms[LLM_DIALECT_OLLAMA].schema.n == 0);
    llm_tool_own_arguments(&facts, tool.schema, &arena);
    return 0;
}
