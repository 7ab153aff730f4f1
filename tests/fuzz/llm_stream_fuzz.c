/* A provider's stream (the first byte chooses which) means the same whole and cut; what it builds
 * is JSON and has the text that the deltas had. */
#include <assert.h>

#include "base/json.h"
#include "llm/provider.h"

enum { MAX_ANSWER = 1 << 16, MAX_SEEN = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    struct strbuf text, reasoning, arguments;
    unsigned started, ended;
};

static int on_delta(const struct llm_delta *d, void *arg, struct err *err) {
    struct seen *seen = arg;
    (void)err;
    switch (d->type) {
    case LLM_TEXT:
        assert(d->text.n > 0);
        strbuf_add(&seen->text, d->text);
        break;
    case LLM_REASONING:
        assert(d->text.n > 0);
        strbuf_add(&seen->reasoning, d->text);
        break;
    case LLM_REASONING_END:
        break;
    case LLM_TOOL_START:
        assert(d->index == seen->started && d->id.n > 0);
        seen->started++;
        break;
    case LLM_TOOL_ARGUMENTS:
        assert(d->index < seen->started);
        strbuf_add(&seen->arguments, d->text);
        break;
    case LLM_TOOL_END:
        assert(d->index < seen->started);
        seen->ended++;
        break;
    }
    return 0;
}

static void check_message(const struct llm_result *result, bool whole) {
    json_auto_t *tree = NULL;
    struct err err;
    if (result->message.n) {
        assert(json_read(result->message, &tree, &err) == 0);
        assert(str_eq(json_str(tree, "role"), STR("assistant")));
        assert(json_is_string(json_object_get(tree, "content")) == result->plain);
    }
    assert(whole || result->n_tool_calls == 0);
}

static int read_stream(const struct llm_provider *p, struct str stream, size_t step,
                       struct seen *seen) {
    struct llm_sink sink = {.on_delta = on_delta, .arg = seen};
    struct llm_build *b = llm_build_new(p, &sink, MAX_ANSWER);
    struct arena arena = {0};
    struct llm_result result;
    struct err err;
    int rc = 0;
    for (size_t at = 0; at < stream.n && rc == 0; at += step) {
        rc = llm_build_feed(b, str_head(str_skip(stream, at), step), &err);
    }
    if (rc == 0) {
        rc = llm_build_finish(b, &err);
        assert(rc < 0 || seen->started == seen->ended);
    }
    llm_build_result(b, rc == 0, &arena, &result);
    check_message(&result, rc == 0);
    assert(rc < 0 || result.n_tool_calls == seen->started);
    arena_done(&arena);
    llm_build_free(b);
    return rc;
}

static void seen_done(struct seen *seen) {
    strbuf_done(&seen->text);
    strbuf_done(&seen->reasoning);
    strbuf_done(&seen->arguments);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct llm_provider *const providers[] = {&llm_anthropic, &llm_openai,
                                                           &llm_ollama};
    if (size == 0) {
        return 0;
    }
    const struct llm_provider *p = providers[data[0] % ARRAY_LEN(providers)];
    struct str stream = {(const char *)data + 1, size - 1};
    struct seen whole = {STRBUF(MAX_SEEN), STRBUF(MAX_SEEN), STRBUF(MAX_SEEN), 0, 0}, cut = whole;
    int rc = read_stream(p, stream, MAX(stream.n, (size_t)1), &whole);
    assert(read_stream(p, stream, 1, &cut) == rc);
    assert(str_eq(strbuf_str(&whole.text), strbuf_str(&cut.text)));
    assert(str_eq(strbuf_str(&whole.reasoning), strbuf_str(&cut.reasoning)));
    assert(str_eq(strbuf_str(&whole.arguments), strbuf_str(&cut.arguments)));
    assert(whole.started == cut.started && whole.ended == cut.ended);
    seen_done(&whole);
    seen_done(&cut);
    return 0;
}
