/* A tool that a server lists: whatever it is, what is offered has a name and a schema that is one
 * JSON object, and what is not says why. */
#include <assert.h>

#include "base/json.h"
#include "mcp/tool_list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena cleanup(arena_done) = {0};
    json_auto_t *schema = NULL;
    struct mcp_tool tool;
    struct err err;
    tool_list_read((struct str){(const char *)data, size}, &arena, &tool);
    assert(str_is_utf8(tool.name) && str_is_utf8(tool.title) && str_is_utf8(tool.description));
    assert(str_is_utf8(tool.quarantine) && tool.name.n <= TOOL_LIST_MAX_NAME_BYTES);
    for (size_t i = 0; i < tool.name.n; i++) {
        assert((unsigned char)tool.name.p[i] >= ' ');
    }
    if (tool.quarantine.n == 0) {
        assert(tool.name.n > 0 && tool.input_schema.n <= TOOL_LIST_MAX_SCHEMA_BYTES);
        assert(json_read(tool.input_schema, &schema, &err) == 0 && json_is_object(schema));
    }
    return 0;
}
