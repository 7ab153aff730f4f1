#include "graph/endpoints.h"

#include "test.h"

static struct profile profile_of(const char *provider, const char *model) {
    return (struct profile){.llm = {.provider = str_z(provider), .model = str_z(model)},
                            .openai_base_url = STR("http://127.0.0.1:1/v1")};
}

TEST(the_chosen_model_comes_first_and_the_fallbacks_follow) {
    struct profile p = profile_of("openai", "m-1");
    struct llm_endpoint e[TURN_MAX_ENDPOINTS];
    struct err err;
    size_t n;
    p.fallbacks[0] = (struct profile_llm){STR("anthropic"), STR("c-1")}; /* without a key */
    p.fallbacks[1] = (struct profile_llm){STR("ollama"), STR("o-1")};
    p.fallbacks[2] = (struct profile_llm){STR("nobody"), STR("x")};
    p.n_fallbacks = 3;
    REQUIRE_OK(endpoints_resolve(&p, STR_EMPTY, true, e, &n, &err), &err);
    REQUIRE(n == 2);
    CHECK(e[0].provider == &llm_openai);
    CHECK_STR(e[0].model, "m-1");
    CHECK_STR(e[0].base_url, "http://127.0.0.1:1/v1");
    CHECK(e[1].provider == &llm_ollama);
    CHECK_STR(e[1].model, "o-1");
}

TEST(a_model_may_name_its_provider) {
    struct profile p = profile_of("openai", "m-1");
    struct llm_endpoint e[TURN_MAX_ENDPOINTS];
    struct err err;
    size_t n;
    REQUIRE_OK(endpoints_resolve(&p, STR("ollama:llama3:8b"), true, e, &n, &err), &err);
    CHECK(e[0].provider == &llm_ollama);
    CHECK_STR(e[0].model, "llama3:8b");
    REQUIRE_OK(endpoints_resolve(&p, STR("llama3:8b"), true, e, &n, &err), &err);
    CHECK(e[0].provider == &llm_openai);
    CHECK_STR(e[0].model, "llama3:8b");
}

TEST(without_a_key_or_leave_nobody_is_asked) {
    struct profile p = profile_of("anthropic", "");
    struct llm_endpoint e[TURN_MAX_ENDPOINTS];
    struct err err;
    size_t n;
    CHECK_FAILS(endpoints_resolve(&p, STR_EMPTY, true, e, &n, &err), &err, ERR_FORBIDDEN);
    p = profile_of("openai", "m-1");
    CHECK_FAILS(endpoints_resolve(&p, STR_EMPTY, false, e, &n, &err), &err, ERR_FORBIDDEN);
    p = profile_of("", "");
    CHECK_FAILS(endpoints_resolve(&p, STR_EMPTY, true, e, &n, &err), &err, ERR_FORBIDDEN);
}
