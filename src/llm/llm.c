/* The table of providers, what all calls to them have, and the call that checks one. */
#include "llm/llm.h"

#include "llm/provider.h"

static const struct llm_provider *const providers[] = {&llm_anthropic, &llm_openai, &llm_ollama};

const struct llm_provider *llm_provider_find(struct str name) {
    if (str_eq_nocase(name, STR("claude"))) {
        return &llm_anthropic;
    }
    for (size_t i = 0; i < ARRAY_LEN(providers); i++) {
        if (str_eq_nocase(name, str_z(providers[i]->name))) {
            return providers[i];
        }
    }
    return NULL;
}

const char *llm_provider_name(const struct llm_provider *p) {
    return p->name;
}

const char *llm_provider_label(const struct llm_provider *p) {
    return p->label;
}

const char *llm_provider_default_url(const struct llm_provider *p) {
    return p->default_url;
}

const char *llm_provider_default_model(const struct llm_provider *p) {
    return p->default_model;
}

bool llm_provider_needs_key(const struct llm_provider *p, struct str base_url) {
    return p != &llm_ollama && str_eq_nocase(str_head(base_url, 8), STR("https://"));
}

char *llm_url(const struct llm_endpoint *e, const char *path, struct arena *arena) {
    struct str base = e->base_url;
    while (base.n && base.p[base.n - 1] == '/') {
        base.n--;
    }
    if (str_ends(base, STR("/v1")) && str_starts(str_z(path), STR("/v1/"))) {
        path += 3;
    }
    return arena_z(arena, arena_printf(arena, "%.*s%s", STR_ARG(base), path));
}

/* The copies of the key, that is. A field's value may be a literal, and may have the key's
 * characters by chance when the key is short. */
void llm_wipe_key(const struct llm_endpoint *e, const struct http_client_field *fields, size_t n) {
    struct str key = secret_reveal(e->key);
    for (size_t i = 0; i < n && key.n; i++) {
        struct str value = fields[i].value;
        if (str_starts(value, STR("Bearer ")) && str_eq(str_skip(value, 7), key)) {
            secret_wipe((void *)(uintptr_t)value.p, value.n);
        }
    }
}

int llm_check(const struct llm_endpoint *endpoint, struct err *err) {
    struct arena arena cleanup(arena_done) = {0};
    struct llm_message message = {.json = STR("{\"role\":\"user\",\"content\":\"Say OK.\"}"),
                                  .plain = true};
    struct llm_request request = {.system_stable = STR_EMPTY,
                                  .system_changing = STR_EMPTY,
                                  .messages = &message,
                                  .n_messages = 1,
                                  .max_output_tokens = 16,
                                  .temperature = -1};
    struct llm_limits limits = {.first_byte_timeout_ms = 20000,
                                .idle_timeout_ms = 20000,
                                .total_timeout_ms = 30000,
                                .max_attempts = 1,
                                .max_answer_bytes = 64 * 1024};
    struct llm_sink sink = {0};
    struct llm_result result;
    return llm_run(endpoint, 1, &request, &limits, &sink, &arena, &result, err);
}
