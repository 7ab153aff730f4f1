/* Any result of a server is refused, or becomes bounded text or blocks. */
#include <assert.h>

#include "tool/toolset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena cleanup(arena_done) = {0};
    struct tool_result result;
    struct err err;
    json_auto_t *blocks = NULL;
    if (tool_result_from_mcp((struct str){(const char *)data, size}, false, &arena, &result, &err) <
        0) {
        assert(err.code == ERR_PROTOCOL);
        return 0;
    }
    assert(result.content.n > 0 && str_is_utf8(result.content));
    if (result.is_blocks) {
        assert(result.content.n <= TOOL_RESULT_MAX_BLOCKS_BYTES);
        assert(json_read(result.content, &blocks, &err) == 0 && json_array_size(blocks) > 0);
    } else {
        assert(result.content.n <= TOOL_RESULT_MAX_BYTES);
    }
    return 0;
}
