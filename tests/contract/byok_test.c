/* Whose key pays: endpoints over a real vault, on both databases. */
#include "auth/vault.h"
#include "graph/endpoints.h"
#include "store_fixture.h"

#define NO_KEY "No LLM key configured. Provide your own key or request operator access."

struct till {
    struct fixture f;
    struct profile profile;
    struct user_epochs *epochs;
    struct vault *vault;
    struct endpoints e;
};

static void till_close(struct till *t) {
    endpoints_done(&t->e);
    vault_close(t->vault);
    user_epochs_free(t->epochs);
    secret_free(t->profile.credentials_key);
    secret_free(t->profile.anthropic_key);
    secret_free(t->profile.openai_key);
    fixture_close(&t->f);
}

static bool till_open(struct till *t, struct test_backend *backend) {
    if (!fixture_open(&t->f, backend)) {
        return false;
    }
    t->epochs = user_epochs_new(t->f.db);
    t->profile = (struct profile){
        .credentials_key = secret_new(STR("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")),
        .credentials_key_path = STR("/nonexistent/key"),
        .llm = {.provider = STR("anthropic"), .model = STR("house-model")},
        .anthropic_key = secret_new(STR("operator-a")),
        .openai_key = secret_new(STR("operator-o")),
    };
    return CHECK_OK(vault_open(&t->profile, t->f.db, t->epochs, &t->vault, &t->f.err), &t->f.err);
}

static void give(struct till *t, struct str user, const char *service, const char *value) {
    struct vault_entry entry = {.service = str_z(service)};
    CHECK_OK(vault_put(t->vault, user, &entry, str_z(value), &t->f.err), &t->f.err);
}

static int resolve(struct till *t, struct str user, const char *model, bool operator_pays) {
    const struct endpoints_request q = {.profile = &t->profile,
                                        .vault = t->vault,
                                        .user_id = user,
                                        .model = str_z(model),
                                        .allow_operator_llm = operator_pays};
    endpoints_done(&t->e);
    return endpoints_resolve(&q, &t->e, &t->f.err);
}

/* "provider model key who" for each endpoint, or the error. */
static struct str asked(struct till *t, struct str user, const char *model, bool operator_pays) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(4096);
    if (resolve(t, user, model, operator_pays) < 0) {
        return arena_str(&t->f.arena, str_z(t->f.err.msg));
    }
    for (size_t i = 0; i < t->e.n; i++) {
        const struct llm_endpoint *e = &t->e.list[i];
        strbuf_addf(&out, "%s%s %.*s %.*s %s", i ? ", " : "", llm_provider_name(e->provider),
                    STR_ARG(e->model), STR_ARG(secret_reveal(e->key)),
                    e->user_key ? "user" : "operator");
    }
    return arena_str(&t->f.arena, strbuf_str(&out));
}

BOTH_BACKENDS(the_users_key_comes_first_then_the_operators_then_none) {
    struct till t cleanup(till_close) = {0};
    REQUIRE(till_open(&t, backend));
    CHECK_STR(asked(&t, ME, "", true), "anthropic house-model operator-a operator");
    CHECK_STR(asked(&t, ME, "", false), NO_KEY);
    CHECK_INT(t.f.err.code, ERR_FORBIDDEN);
    give(&t, ME, "llm_anthropic", "{\"api_key\":\"mine-a\"}");
    CHECK_STR(asked(&t, ME, "", true), "anthropic house-model mine-a user");
    CHECK_STR(asked(&t, ME, "", false), "anthropic house-model mine-a user");
    CHECK_STR(asked(&t, OTHER, "", false), NO_KEY);
    CHECK_STR(asked(&t, ME, "openai:gpt-x", true), "openai gpt-x operator-o operator");
    CHECK_STR(asked(&t, ME, "openai:gpt-x", false), NO_KEY);
    give(&t, OTHER, "llm_anthropic", "{\"api_key\":\"other-a\"}");
    CHECK_STR(asked(&t, OTHER, "", true), "anthropic house-model other-a user");
    CHECK_STR(asked(&t, ME, "", true), "anthropic house-model mine-a user");
    CHECK_OK(vault_delete(t.vault, ME, STR("llm_anthropic"), STR_EMPTY, &t.f.err), &t.f.err);
    CHECK_STR(asked(&t, ME, "", false), NO_KEY);
    CHECK_STR(asked(&t, ME, "", true), "anthropic house-model operator-a operator");
}

BOTH_BACKENDS(both_keys_live_side_by_side_and_name_their_models) {
    struct till t cleanup(till_close) = {0};
    REQUIRE(till_open(&t, backend));
    give(&t, ME, "llm_openai",
         "{\"api_key\":\"mine-o\",\"preferred_model\":\"gpt-mine\",\"base_url\":\"https://o/v1\"}");
    /* Nothing named, and no key for the profile's provider. */
    CHECK_STR(asked(&t, ME, "", false), "openai gpt-mine mine-o user");
    CHECK_STR(t.e.list[0].base_url, "https://o/v1");
    CHECK_STR(asked(&t, ME, "gpt-bare", false), "openai gpt-bare mine-o user");
    CHECK_STR(asked(&t, ME, "anthropic:claude-x", false), NO_KEY);
    CHECK_STR(asked(&t, ME, "ollama:llama3", false), NO_KEY);
    /* The operator's key would do for the profile's. */
    CHECK_STR(asked(&t, ME, "", true), "anthropic house-model operator-a operator");
    give(&t, ME, "llm_anthropic", "{\"api_key\":\"mine-a\",\"preferred_model\":\"claude-mine\"}");
    CHECK_STR(asked(&t, ME, "", true), "anthropic claude-mine mine-a user");
    CHECK_STR(asked(&t, ME, "claude-bare", true), "anthropic claude-bare mine-a user");
    CHECK_STR(asked(&t, ME, "claude:claude-x", true), "anthropic claude-x mine-a user");
    CHECK_STR(asked(&t, ME, "openai:gpt-x", true), "openai gpt-x mine-o user");
}

BOTH_BACKENDS(fallbacks_are_what_the_same_caller_may_pay_for) {
    struct till t cleanup(till_close) = {0};
    REQUIRE(till_open(&t, backend));
    t.profile.fallbacks[0] = (struct profile_llm){STR("openai"), STR("gpt-f")};
    t.profile.fallbacks[1] = (struct profile_llm){STR("ollama"), STR("o-f")};
    t.profile.n_fallbacks = 2;
    CHECK_STR(asked(&t, ME, "", true),
              "anthropic house-model operator-a operator, openai gpt-f operator-o operator, "
              "ollama o-f  operator");
    give(&t, ME, "llm_anthropic", "{\"api_key\":\"mine-a\"}");
    CHECK_STR(asked(&t, ME, "", true), "anthropic house-model mine-a user");
    CHECK_STR(asked(&t, ME, "", false), "anthropic house-model mine-a user");
    give(&t, ME, "llm_openai", "{\"api_key\":\"mine-o\",\"preferred_model\":\"gpt-mine\"}");
    CHECK_STR(asked(&t, ME, "", true),
              "anthropic house-model mine-a user, openai gpt-f mine-o user");
    CHECK_OK(vault_delete(t.vault, ME, STR("llm_anthropic"), STR_EMPTY, &t.f.err), &t.f.err);
    CHECK_STR(asked(&t, ME, "", true),
              "anthropic house-model operator-a operator, openai gpt-f mine-o user, "
              "ollama o-f  operator");
}

BOTH_BACKENDS(a_server_of_ones_own_needs_no_key_and_is_never_the_operators) {
    struct till t cleanup(till_close) = {0};
    REQUIRE(till_open(&t, backend));
    t.profile.ollama_base_url = STR("http://house:11434");
    give(&t, ME, "llm_ollama", "{\"base_url\":\"http://mine:11434\",\"preferred_model\":\"m\"}");
    CHECK_STR(asked(&t, ME, "", false), "ollama m  user");
    CHECK_STR(t.e.list[0].base_url, "http://mine:11434");
    CHECK_STR(asked(&t, ME, "ollama:x", true), "ollama x  user");
    CHECK_STR(t.e.list[0].base_url, "http://mine:11434");
    CHECK_STR(asked(&t, OTHER, "ollama:x", false), NO_KEY);
    CHECK_STR(asked(&t, OTHER, "ollama:x", true), "ollama x  operator");
    CHECK_STR(t.e.list[0].base_url, "http://house:11434");
    give(&t, ME, "llm_openai", "{\"base_url\":\"http://mine/v1\"}");
    CHECK_STR(asked(&t, ME, "openai:x", true), "openai x  user");
    CHECK_STR(t.e.list[0].base_url, "http://mine/v1");
    /* An entry without its address must not become the house's server. */
    give(&t, ME, "llm_ollama", "{\"api_key\":\"k\"}");
    CHECK_FAILS(resolve(&t, ME, "ollama:x", true), &t.f.err, ERR_FORBIDDEN);
    CHECK(strstr(t.f.err.msg, "base_url") != NULL);
    give(&t, ME, "llm_openai", "{\"preferred_model\":\"x\"}");
    CHECK_FAILS(resolve(&t, ME, "openai:x", true), &t.f.err, ERR_FORBIDDEN);
}

/* A user's key that cannot be used is an error of its own: nobody else pays instead. */
BOTH_BACKENDS(a_key_that_does_not_decrypt_is_not_replaced) {
    struct till t cleanup(till_close) = {0};
    REQUIRE(till_open(&t, backend));
    give(&t, ME, "llm_anthropic", "{\"no_key\":1}");
    CHECK_FAILS(resolve(&t, ME, "", true), &t.f.err, ERR_FORBIDDEN);
    CHECK(strstr(t.f.err.msg, "api_key") != NULL);
    vault_close(t.vault);
    t.vault = NULL;
    secret_free(t.profile.credentials_key);
    t.profile.credentials_key = secret_new(STR("another-passphrase-of-the-vault"));
    REQUIRE_OK(vault_open(&t.profile, t.f.db, t.epochs, &t.vault, &t.f.err), &t.f.err);
    CHECK_FAILS(resolve(&t, ME, "", true), &t.f.err, ERR_FORBIDDEN);
    CHECK(strstr(t.f.err.msg, "encryption key") != NULL);
    CHECK_INT(t.e.n, 0);
}

BOTH_BACKENDS(who_has_no_key_costs_no_query) {
    struct till t cleanup(till_close) = {0};
    REQUIRE(till_open(&t, backend));
    CHECK_OK(resolve(&t, ME, "", true), &t.f.err);
    uint64_t before = db_stats(t.f.db).transactions;
    for (int i = 0; i < 10; i++) {
        CHECK_OK(resolve(&t, ME, "", true), &t.f.err);
    }
    CHECK_INT(db_stats(t.f.db).transactions, before);
    user_epoch_changed(t.epochs, ME);
    CHECK_OK(resolve(&t, ME, "", true), &t.f.err);
    CHECK(db_stats(t.f.db).transactions > before);
    /* What failed is not remembered as absence. */
    user_epoch_changed(t.epochs, ME);
    db_fail_at(t.f.db, 1, ERR_UNAVAILABLE, false);
    CHECK_FAILS(resolve(&t, ME, "", true), &t.f.err, ERR_UNAVAILABLE);
    give(&t, ME, "llm_anthropic", "{\"api_key\":\"mine-a\"}");
    CHECK_STR(asked(&t, ME, "", true), "anthropic house-model mine-a user");
}

/* Two processes on one database. */
TEST_FIBER(a_change_elsewhere_counts_here) {
    struct test_backend backend;
    struct till t cleanup(till_close) = {0};
    REQUIRE(test_backend_open(DB_POSTGRES, &backend));
    if (till_open(&t, &backend)) {
        struct user_epochs *elsewhere = user_epochs_new(t.f.db);
        CHECK_OK(user_epochs_start(t.epochs, &t.f.err), &t.f.err);
        uint64_t begun = user_epoch(t.epochs, ME);
        for (int i = 0; i < 500 && user_epoch(t.epochs, ME) == begun; i++) {
            (void)fiber_sleep(10); /* until it listens, as it tells itself */
        }
        CHECK_STR(asked(&t, ME, "", false), NO_KEY);
        uint64_t epoch = user_epoch(t.epochs, ME);
        user_epoch_changed(elsewhere, ME);
        for (int i = 0; i < 500 && user_epoch(t.epochs, ME) == epoch; i++) {
            (void)fiber_sleep(10);
        }
        CHECK_INT(user_epoch(t.epochs, ME), epoch + 1);
        user_epochs_free(elsewhere);
    }
    till_close(&t);
    t = (struct till){0};
    test_backend_close(&backend);
}
