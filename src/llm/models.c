/* Known models: sizes, list prices, and what their wire format takes. The row with the longest
 * fitting prefix counts; a vendor's name before a slash does not, and '.' is the same as '-', as
 * routers write "anthropic/claude-opus-5.5". */
#include "llm/provider.h"

#define ADAPTIVE (LLM_THINKS_ADAPTIVELY | LLM_NO_SAMPLING)
#define BOUND (ADAPTIVE | LLM_THINKS_ALWAYS | LLM_BINDS_THINKING)
#define EFFORT (LLM_TAKES_EFFORT | LLM_NO_SAMPLING)
#define EFFORT_OR_TOOLS (EFFORT | LLM_NO_EFFORT_WITH_TOOLS)

/* provider, prefix, context, output, prices: input, cached, cache write, output; long prompts */
static const struct llm_model models[] = {
    /* one that is newer than this table is likely to be like the newest in it */
    {"anthropic", "claude", 200000, 64000, -1, -1, -1, -1, .traits = BOUND},
    {"anthropic", "claude-fable-5-1", 1000000, 128000, 100000, 2500, 125000, 500000,
     .traits = BOUND},
    {"anthropic", "claude-fable-5", 1000000, 128000, 100000, 10000, 125000, 500000,
     .traits = ADAPTIVE | LLM_THINKS_ALWAYS},
    {"anthropic", "claude-opus-5-5", 1000000, 128000, 40000, 2000, 50000, 200000, .traits = BOUND},
    {"anthropic", "claude-opus-5", 1000000, 128000, 50000, 5000, 62500, 250000,
     .traits = ADAPTIVE | LLM_THINKS_ALWAYS},
    {"anthropic", "claude-opus-4-8", 1000000, 128000, 50000, 5000, 62500, 250000,
     .traits = ADAPTIVE},
    {"anthropic", "claude-opus-4-7", 1000000, 128000, 50000, 5000, 62500, 250000,
     .traits = ADAPTIVE},
    {"anthropic", "claude-opus-4-6", 1000000, 128000, 50000, 5000, 62500, 250000,
     .traits = LLM_THINKS_ADAPTIVELY},
    {"anthropic", "claude-opus-4-5", 200000, 64000, 50000, 5000, 62500, 250000,
     .traits = LLM_THINKS_BY_BUDGET},
    {"anthropic", "claude-opus-4", 200000, 32000, 150000, 15000, 187500, 750000,
     .traits = LLM_THINKS_BY_BUDGET},
    {"anthropic", "claude-sonnet-5-5", 1000000, 128000, 20000, 1000, 25000, 100000,
     .traits = BOUND},
    {"anthropic", "claude-sonnet-5", 1000000, 128000, 20000, 2000, 25000, 100000,
     .traits = ADAPTIVE | LLM_THINKS_ALWAYS},
    {"anthropic", "claude-sonnet-4-6", 1000000, 64000, 30000, 3000, 37500, 150000,
     .traits = LLM_THINKS_ADAPTIVELY},
    {"anthropic", "claude-sonnet-4", 200000, 64000, 30000, 3000, 37500, 150000,
     .traits = LLM_THINKS_BY_BUDGET},
    {"anthropic", "claude-haiku-5-5", 1000000, 128000, 1000, 100, 1250, 5000, 100000, 500, 500,
     BOUND},
    {"anthropic", "claude-haiku-4-5", 200000, 64000, 10000, 1000, 12500, 50000,
     .traits = LLM_THINKS_BY_BUDGET},
    {"anthropic", "claude-3-7", 200000, 64000, 30000, 3000, 37500, 150000,
     .traits = LLM_THINKS_BY_BUDGET},
    {"anthropic", "claude-3-5-haiku", 200000, 8192, 8000, 800, 10000, 40000},
    {"anthropic", "claude-3-5", 200000, 8192, 30000, 3000, 37500, 150000},
    {"anthropic", "claude-3", 200000, 4096, -1, -1, -1, -1},

    {"openai", "gpt-6-2-sol", 1050000, 128000, 20000, 1000, 25000, 100000, 272000, 200, 150,
     EFFORT_OR_TOOLS},
    {"openai", "gpt-6-1-sol", 1050000, 128000, 20000, 1000, 25000, 100000, 272000, 200, 150,
     EFFORT_OR_TOOLS},
    {"openai", "gpt-6-1-terra", 1050000, 128000, 10000, 500, 12500, 50000, 272000, 200, 150,
     EFFORT_OR_TOOLS},
    {"openai", "gpt-6-astra", 1050000, 128000, 100000, 10000, 125000, 500000, 272000, 200, 150,
     EFFORT_OR_TOOLS},
    {"openai", "gpt-6-sol", 1050000, 128000, 20000, 2000, 25000, 100000, 272000, 200, 150,
     EFFORT_OR_TOOLS},
    {"openai", "gpt-6-luna", 1050000, 128000, 1000, 100, 1250, 5000, 272000, 200, 150,
     EFFORT_OR_TOOLS},
    {"openai", "gpt-6", 1050000, 128000, -1, -1, -1, -1, .traits = EFFORT_OR_TOOLS},
    {"openai", "gpt-5-6-terra", 1050000, 128000, 20000, 2000, 25000, 120000, 272000, 200, 150,
     EFFORT_OR_TOOLS},
    {"openai", "gpt-5-6-luna", 1050000, 128000, 2000, 200, 2500, 12000, 272000, 200, 150,
     EFFORT_OR_TOOLS},
    {"openai", "gpt-5-6", 1050000, 128000, 50000, 5000, 62500, 300000, 272000, 200, 150,
     EFFORT_OR_TOOLS},
    {"openai", "gpt-5-5", 1050000, 128000, 50000, 5000, 50000, 300000, 272000, 200, 150,
     EFFORT_OR_TOOLS},
    {"openai", "gpt-5-4-mini", 400000, 128000, 7500, 750, 7500, 45000, .traits = EFFORT_OR_TOOLS},
    {"openai", "gpt-5-4-nano", 400000, 128000, 2000, 200, 2000, 12500, .traits = EFFORT_OR_TOOLS},
    {"openai", "gpt-5-4", 1050000, 128000, 25000, 2500, 25000, 150000, 272000, 200, 150,
     EFFORT_OR_TOOLS},
    {"openai", "gpt-5-2", 400000, 128000, 17500, 1750, 17500, 140000, .traits = EFFORT},
    {"openai", "gpt-5-mini", 400000, 128000, 2500, 250, 2500, 20000, .traits = EFFORT},
    {"openai", "gpt-5-nano", 400000, 128000, 500, 50, 500, 4000, .traits = EFFORT},
    {"openai", "gpt-5-chat", 128000, 16384, 12500, 1250, 12500, 100000},
    {"openai", "gpt-5", 400000, 128000, 12500, 1250, 12500, 100000, .traits = EFFORT},
    {"openai", "gpt-4-1-mini", 1047576, 32768, 4000, 1000, 4000, 16000},
    {"openai", "gpt-4-1-nano", 1047576, 32768, 1000, 250, 1000, 4000},
    {"openai", "gpt-4-1", 1047576, 32768, 20000, 5000, 20000, 80000},
    {"openai", "gpt-4o-mini", 128000, 16384, 1500, 750, 1500, 6000},
    {"openai", "gpt-4o", 128000, 16384, 25000, 12500, 25000, 100000},
    {"openai", "o3", 200000, 100000, 20000, 5000, 20000, 80000, .traits = EFFORT},
    {"openai", "o4-mini", 200000, 100000, 11000, 2750, 11000, 44000, .traits = EFFORT},

    {"openai", "gpt-3-5", 16385, 4096, 5000, 5000, 5000, 15000, .traits = LLM_BLIND},
    {"openai", "o3-mini", 200000, 100000, 11000, 5500, 11000, 44000, .traits = EFFORT | LLM_BLIND},
    {"openai", "gpt-oss", 131072, 32768, -1, -1, -1, -1, .traits = LLM_BLIND},
    {"openai", "deepseek", 128000, 16384, -1, -1, -1, -1, .traits = LLM_BLIND},

    {"ollama", "gpt-oss", 131072, 32768, .traits = LLM_TAKES_THINK | LLM_BLIND},
    {"ollama", "qwen3-coder", 32768, 16384, .traits = LLM_BLIND},
    {"ollama", "qwen3-vl", 32768, 16384, .traits = LLM_TAKES_THINK},
    {"ollama", "qwen3", 32768, 16384, .traits = LLM_TAKES_THINK | LLM_BLIND},
    {"ollama", "deepseek", 32768, 8192, .traits = LLM_BLIND},
    {"ollama", "deepseek-r1", 32768, 16384, .traits = LLM_TAKES_THINK | LLM_BLIND},
    {"ollama", "deepseek-v3-1", 32768, 16384, .traits = LLM_TAKES_THINK | LLM_BLIND},
    {"ollama", "magistral", 32768, 16384, .traits = LLM_TAKES_THINK},
    {"ollama", "llama3", 32768, 8192, .traits = LLM_BLIND},
    {"ollama", "llama3-1", 32768, 8192, .traits = LLM_BLIND},
    {"ollama", "llama3-2", 32768, 8192, .traits = LLM_BLIND},
    {"ollama", "llama3-2-vision", 32768, 8192},
    {"ollama", "llama3-3", 32768, 8192, .traits = LLM_BLIND},
    {"ollama", "qwen2-5-coder", 32768, 8192, .traits = LLM_BLIND},
};

/* Of models that no row fits: others than Claude are served in Anthropic's format too. */
static const struct llm_model unknown[] = {
    {"anthropic", "", 128000, 16384, -1, -1, -1, -1},
    {"openai", "", 128000, 16384, -1, -1, -1, -1},
    {"ollama", "", 32768, 8192},
};

static char folded(char c) {
    return c == '.' ? '-' : c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* "gpt-5" fits gpt-5 and gpt-5-mini, not gpt-50. */
static bool fits(struct str model, struct str prefix) {
    if (model.n < prefix.n) {
        return false;
    }
    for (size_t i = 0; i < prefix.n; i++) {
        if (folded(model.p[i]) != prefix.p[i]) {
            return false;
        }
    }
    char next = model.n == prefix.n ? '-' : folded(model.p[prefix.n]);
    return !((next >= '0' && next <= '9') || (next >= 'a' && next <= 'z'));
}

const struct llm_model *llm_model_find(const struct llm_provider *p, struct str model) {
    const struct llm_model *best = &unknown[0];
    struct str provider = str_z(p->name);
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
        if (str_eq(str_z(unknown[i].provider), provider)) {
            best = &unknown[i];
        }
    }
    for (size_t slash; (slash = str_find_char(model, '/')) != SIZE_MAX;) {
        model = str_skip(model, slash + 1);
    }
    for (size_t i = 0; i < ARRAY_LEN(models); i++) {
        struct str prefix = str_z(models[i].prefix);
        if (prefix.n > strlen(best->prefix) && str_eq(str_z(models[i].provider), provider) &&
            fits(model, prefix)) {
            best = &models[i];
        }
    }
    return best;
}

int64_t llm_model_context(const struct llm_provider *p, struct str model) {
    return llm_model_find(p, model)->context;
}

int64_t llm_model_max_output(const struct llm_provider *p, struct str model) {
    return MIN(llm_model_find(p, model)->max_output, (int32_t)LLM_DEFAULT_OUTPUT_TOKENS);
}

int64_t llm_model_cost(const struct llm_provider *p, struct str model,
                       const struct llm_usage *usage) {
    const struct llm_model *m = llm_model_find(p, model);
    if (m->input_price < 0) {
        return -1;
    }
    int64_t cached = usage->cached_input_tokens, written = usage->cache_write_tokens;
    int64_t fresh = MAX(usage->input_tokens - cached - written, (int64_t)0);
    int64_t in = fresh * m->input_price + cached * m->cached_price + written * m->cache_write_price;
    int64_t out = usage->output_tokens * m->output_price;
    if (m->long_above && usage->input_tokens > m->long_above) {
        in = in * m->long_input_percent / 100;
        out = out * m->long_output_percent / 100;
    }
    return (in + out + 5000) / 10000;
}
