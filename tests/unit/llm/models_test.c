#include "llm/provider.h"
#include "test.h"

TEST(providers_are_found_by_their_names) {
    CHECK(llm_provider_find(STR("claude")) == &llm_anthropic);
    CHECK(llm_provider_find(STR("Anthropic")) == &llm_anthropic);
    CHECK(llm_provider_find(STR("openai")) == &llm_openai);
    CHECK(llm_provider_find(STR("ollama")) == &llm_ollama);
    CHECK(llm_provider_find(STR("gemini")) == NULL);
    CHECK(llm_provider_find(STR("")) == NULL);
}

TEST(keys_are_needed_where_the_way_is_public) {
    CHECK(llm_provider_needs_key(&llm_anthropic, STR("https://api.anthropic.com")));
    CHECK(llm_provider_needs_key(&llm_openai, STR("https://openrouter.ai/api/v1")));
    CHECK(!llm_provider_needs_key(&llm_openai, STR("http://127.0.0.1:8000/v1")));
    CHECK(!llm_provider_needs_key(&llm_ollama, STR("https://ollama.example.org")));
}

TEST(defaults_are_known_models) {
    static const struct llm_provider *const all[] = {&llm_anthropic, &llm_openai, &llm_ollama};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct str model = str_z(llm_provider_default_model(all[i]));
        CHECK(llm_model_find(all[i], model)->prefix[0] != '\0');
    }
}

TEST(models_are_found_by_the_longest_prefix) {
    static const struct {
        const struct llm_provider *provider;
        const char *model, *prefix;
    } cases[] = {
        {&llm_anthropic, "claude-opus-5-5", "claude-opus-5-5"},
        {&llm_anthropic, "anthropic/claude-opus-5.5", "claude-opus-5-5"},
        {&llm_anthropic, "claude-opus-5", "claude-opus-5"},
        {&llm_anthropic, "claude-opus-5-9", "claude-opus-5"},
        {&llm_anthropic, "claude-haiku-4-5-20251001", "claude-haiku-4-5"},
        {&llm_anthropic, "claude-opus-51", "claude"},
        {&llm_anthropic, "claudette", ""},
        {&llm_openai, "gpt-5-mini", "gpt-5-mini"},
        {&llm_openai, "GPT-5.6-terra", "gpt-5-6-terra"},
        {&llm_openai, "gpt-50", ""},
        {&llm_openai, "claude-opus-5-5", ""},
        {&llm_ollama, "qwen3:8b", "qwen3"},
        {&llm_ollama, "llama3.2-vision:11b", "llama3-2-vision"},
        {&llm_ollama, "phi4", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct llm_model *m = llm_model_find(cases[i].provider, str_z(cases[i].model));
        CHECK_STR(str_z(m->prefix), cases[i].prefix);
        CHECK_STR(str_z(m->provider), cases[i].provider->name);
        CHECK(m->context >= m->max_output && m->max_output > 0);
    }
}

TEST(sizes_are_bounded) {
    CHECK_INT(llm_model_context(&llm_anthropic, STR("claude-opus-5-5")), 1000000);
    CHECK_INT(llm_model_max_output(&llm_anthropic, STR("claude-opus-5-5")),
              LLM_DEFAULT_OUTPUT_TOKENS);
    CHECK_INT(llm_model_max_output(&llm_anthropic, STR("claude-3-5-haiku-latest")), 8192);
    CHECK(llm_model_context(&llm_openai, STR("whatever")) > 0);
}

TEST(usage_has_its_price) {
    struct llm_usage u = {.input_tokens = 1000000,
                          .output_tokens = 100000,
                          .cached_input_tokens = 500000,
                          .cache_write_tokens = 100000};
    /* 400,000 at $4, 500,000 at $0.20, 100,000 at $5, 100,000 at $20 */
    CHECK_INT(llm_model_cost(&llm_anthropic, STR("claude-opus-5-5"), &u),
              1600000 + 100000 + 500000 + 2000000);
    CHECK_INT(llm_model_cost(&llm_openai, STR("unheard-of"), &u), -1);
    CHECK_INT(llm_model_cost(&llm_ollama, STR("qwen3"), &u), 0);
}

TEST(long_prompts_have_their_own_price) {
    struct llm_usage u = {.input_tokens = 100000, .output_tokens = 1000};
    CHECK_INT(llm_model_cost(&llm_anthropic, STR("claude-haiku-5-5"), &u), 10000 + 500);
    u.input_tokens = 200000;
    CHECK_INT(llm_model_cost(&llm_anthropic, STR("claude-haiku-5-5"), &u), 100000 + 2500);
}
