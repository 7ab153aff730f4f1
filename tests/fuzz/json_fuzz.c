/* What json_read takes, json_write_tree writes, and json_read takes again as the same value. */
#include <assert.h>

#include "base/json.h"

enum { MAX_TEXT_BYTES = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    json_auto_t *tree = NULL, *again = NULL;
    struct err err;
    if (json_read((struct str){(const char *)data, size}, &tree, &err) < 0) {
        return 0;
    }
    struct strbuf text cleanup(strbuf_done) = STRBUF(MAX_TEXT_BYTES);
    json_write_tree(&text, tree);
    if (!text.failed) {
        assert(json_read(strbuf_str(&text), &again, &err) == 0);
        assert(json_equal(tree, again));
    }
    return 0;
}
