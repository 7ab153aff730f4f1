/* The program with two more tools, whose effects can be counted: each call is a POST to
 * $EFFECT_URL with the call's idempotency key. It is linked with --wrap=tool_register_builtins. */
#include <stdlib.h>

#include "net/http_client.h"
#include "tool/tool.h"

void __real_tool_register_builtins(struct tool_registry *r);
void __wrap_tool_register_builtins(struct tool_registry *r);

enum { MAX_ANSWER_BYTES = 4096 };

/* {"ms": N}: works on for that long after it took effect. */
static int run(const struct tool_call *call, struct arena *arena, struct tool_result *ret,
               void *context, struct err *err) {
    struct strbuf answer cleanup(strbuf_done) = STRBUF(MAX_ANSWER_BYTES);
    const struct http_client_field field = {"idempotency-key", call->idempotency_key};
    const struct http_call post = {
        .url = getenv("EFFECT_URL"), .fields = &field, .n_fields = 1, .body = STR("{}")};
    int status;
    (void)context;
    if (http_fetch(&post, MAX_ANSWER_BYTES, &status, &answer, err) < 0) {
        return -(int)err->code;
    }
    if (fiber_sleep(json_int(call->arguments, "ms", 0)) < 0) {
        return err_set(err, ERR_CANCELLED, "cancelled");
    }
    ret->content = arena_printf(arena, "number %.*s", STR_ARG(strbuf_str(&answer)));
    return 0;
}

static const struct tool side_effect = {
    .name = "side_effect",
    .description = "Does something that must not be done twice.",
    .schema = "{\"type\":\"object\"}",
    .repeatable = false,
    .timeout_ms = 1500,
    .run = run,
};

static const struct tool safe_effect = {
    .name = "safe_effect",
    .description = "Does something that may be done again.",
    .schema = "{\"type\":\"object\"}",
    .repeatable = true,
    .run = run,
};

void __wrap_tool_register_builtins(struct tool_registry *r) {
    __real_tool_register_builtins(r);
    tool_register(r, &side_effect);
    tool_register(r, &safe_effect);
}
