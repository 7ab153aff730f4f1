/* A provider's list of models (the first byte chooses whose): what comes out of it is bounded,
 * printable and from the list. */
#include <assert.h>

#include "llm/provider.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct llm_provider *const all[] = {&llm_anthropic, &llm_openai, &llm_ollama};
    struct arena arena cleanup(arena_done) = {0};
    struct llm_listed *list;
    size_t n;
    if (size == 0) {
        return 0;
    }
    struct str body = {(const char *)data + 1, size - 1};
    if (!llm_list_read(all[data[0] % ARRAY_LEN(all)], body, &arena, &list, &n)) {
        return 0;
    }
    assert(n <= LLM_MAX_LISTED);
    for (size_t i = 0; i < n; i++) {
        assert(list[i].id.n > 0 && list[i].id.n <= 200 && list[i].name.n <= 200);
        for (size_t j = 0; j < list[i].id.n; j++) {
            assert(list[i].id.p[j] > ' ' && list[i].id.p[j] <= '~');
        }
        assert(str_is_utf8(list[i].name));
    }
    return 0;
}
