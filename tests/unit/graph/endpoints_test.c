#include "graph/endpoints.h"

#include "test.h"

static struct profile profile_of(const char *provider, const char *model) {
    return (struct profile){.llm = {.provider = str_z(provider), .model = str_z(model)},
                            .openai_base_url = STR("http://127.0.0.1:1/v1")};
}

static int resolve(const struct profile *p, const char *model, bool operator_pays,
                   struct endpoints *ret, struct err *err) {
    const struct endpoints_request q = {
        .profile = p, .model = str_z(model), .allow_operator_llm = operator_pays};
    endpoints_done(ret);
    return endpoints_resolve(&q, ret, err);
}

TEST_FIBER(the_chosen_model_comes_first_and_the_fallbacks_follow) {
    struct profile p = profile_of("openai", "m-1");
    struct endpoints e cleanup(endpoints_done) = {0};
    struct err err;
    p.fallbacks[0] = (struct profile_llm){STR("anthropic"), STR("c-1")}; /* without a key */
    p.fallbacks[1] = (struct profile_llm){STR("ollama"), STR("o-1")};
    p.fallbacks[2] = (struct profile_llm){STR("nobody"), STR("x")};
    p.n_fallbacks = 3;
    REQUIRE_OK(resolve(&p, "", true, &e, &err), &err);
    REQUIRE(e.n == 2);
    CHECK(e.list[0].provider == &llm_openai && !e.list[0].user_key);
    CHECK_STR(e.list[0].model, "m-1");
    CHECK_STR(e.list[0].base_url, "http://127.0.0.1:1/v1");
    CHECK(e.list[1].provider == &llm_ollama);
    CHECK_STR(e.list[1].model, "o-1");
}

TEST_FIBER(a_model_may_name_its_provider) {
    struct profile p = profile_of("openai", "m-1");
    struct endpoints e cleanup(endpoints_done) = {0};
    struct err err;
    REQUIRE_OK(resolve(&p, "ollama:llama3:8b", true, &e, &err), &err);
    CHECK(e.list[0].provider == &llm_ollama);
    CHECK_STR(e.list[0].model, "llama3:8b");
    REQUIRE_OK(resolve(&p, "llama3:8b", true, &e, &err), &err);
    CHECK(e.list[0].provider == &llm_openai);
    CHECK_STR(e.list[0].model, "llama3:8b");
}

TEST_FIBER(without_a_key_or_leave_nobody_is_asked) {
    struct profile p = profile_of("anthropic", "");
    struct endpoints e cleanup(endpoints_done) = {0};
    struct err err;
    CHECK_FAILS(resolve(&p, "", true, &e, &err), &err, ERR_FORBIDDEN);
    CHECK_STR(str_z(err.msg), "No LLM key configured. Provide your own key or request operator "
                              "access.");
    p = profile_of("openai", "m-1");
    CHECK_FAILS(resolve(&p, "", false, &e, &err), &err, ERR_FORBIDDEN);
    p = profile_of("", "");
    CHECK_FAILS(resolve(&p, "", true, &e, &err), &err, ERR_FORBIDDEN);
    CHECK_INT(e.n, 0);
}
