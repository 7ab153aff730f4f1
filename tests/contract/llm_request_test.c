/* What the three providers are asked: one conversation with all that can be in it, and all that
 * must be repaired, compared with the requests that each format wants. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "llm/provider.h"
#include "test.h"

static const char *const provider_names[] = {"anthropic", "openai", "ollama"};

#define NULL_JSON "" /* no such member */
#define LLM_NO_RESULT_START "The call was interrupted"

/* ---- help ---- */

static json_t *load_json(const char *name) {
    char path[512];
    json_error_t why;
    snprintf(path, sizeof path, "%s/%s", TEST_DATA, name);
    json_t *tree = json_load_file(path, 0, &why);
    if (!CHECK(tree != NULL)) {
        printf("    %s: %s\n", path, why.text);
    }
    return tree;
}

struct asking {
    struct llm_endpoint endpoint;
    struct llm_request request;
    struct llm_message messages[64];
    char *texts[64];
    struct strbuf body;
    json_t *tree;
};

static void asking_done(struct asking *a) {
    for (size_t i = 0; i < ARRAY_LEN(a->texts); i++) {
        mem_free(a->texts[i]);
    }
    strbuf_done(&a->body);
    json_decref(a->tree);
}

static void begin_asking(struct asking *a, const char *provider, const char *base_url,
                         const char *model) {
    const struct llm_provider *p = llm_provider_find(str_z(provider));
    *a = (struct asking){
        .endpoint = {.provider = p, .base_url = str_z(base_url), .model = str_z(model)},
        .request = {.system_stable = STR_EMPTY,
                    .system_changing = STR_EMPTY,
                    .messages = a->messages,
                    .temperature = -1},
        .body = STRBUF(1 << 20)};
}

/* As the store would give it: role first, content second, compact. */
static void add_message(struct asking *a, const json_t *message) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(1 << 20);
    size_t i = a->request.n_messages++;
    json_write_tree(&text, message);
    a->texts[i] = str_dup_z(strbuf_str(&text));
    a->messages[i].json = str_z(a->texts[i]);
    a->messages[i].plain = json_is_string(json_object_get(message, "content")) &&
                           !str_eq(json_str(message, "role"), STR("tool"));
}

static void add_text(struct asking *a, const char *json) {
    struct err err;
    json_t *message;
    REQUIRE_OK(json_read(str_z(json), &message, &err), &err);
    add_message(a, message);
    json_decref(message);
}

static bool ask(struct asking *a) {
    struct err err;
    json_decref(a->tree);
    a->tree = NULL;
    strbuf_reset(&a->body);
    return CHECK_OK(a->endpoint.provider->write_body(&a->endpoint, &a->request, &a->body, &err),
                    &err) &&
           CHECK_OK(json_read(strbuf_str(&a->body), &a->tree, &err), &err);
}

static bool check_json(const json_t *got, const char *want, const char *what) {
    json_error_t why;
    json_auto_t *expected = json_loads(want, JSON_DECODE_ANY, &why);
    bool same = expected ? json_equal(got, expected) : !got;
    if (!CHECK(same)) {
        char *text = got ? json_dumps(got, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
        printf("    %s\n    got  %s\n    want %s\n", what, text ? text : "nothing", want);
        free(text);
    }
    return same;
}

#define CHECK_MEMBER(a, key, want) check_json(json_object_get((a)->tree, key), want, key)

/* ---- the whole conversation ---- */

static void add_tools(struct asking *a) {
    static const struct llm_tool tools[] = {
        {STR("look"), STR("Looks at \"it\"."),
         STR("{\"type\":\"object\",\"properties\":{\"at\":{\"type\":\"string\"}}}")},
        {STR("current_time"), STR("The time."), STR("{\"type\":\"object\",\"properties\":{}}")},
    };
    a->request.tools = tools;
    a->request.n_tools = ARRAY_LEN(tools);
}

TEST(each_provider_gets_the_conversation_in_its_own_format) {
    json_auto_t *conversation = load_json("conversation.json");
    for (size_t i = 0; i < ARRAY_LEN(provider_names); i++) {
        static const char *const models[] = {"claude-sonnet-5-5", "qwen-vl-max", "llama4"};
        struct asking a cleanup(asking_done);
        char name[64];
        size_t k;
        json_t *message;
        begin_asking(&a, provider_names[i], "http://127.0.0.1:9", models[i]);
        json_array_foreach (conversation, k, message) {
            add_message(&a, message);
        }
        a.request.system_stable = STR("You are an assistant.");
        a.request.system_changing = STR("Today is Sunday.");
        a.request.max_output_tokens = 1000;
        a.request.temperature = 0.5;
        a.request.reasoning = true;
        add_tools(&a);
        REQUIRE(ask(&a));
        snprintf(name, sizeof name, "conversation.%s.json", provider_names[i]);
        json_auto_t *want = load_json(name);
        if (!CHECK(json_equal(a.tree, want))) {
            char *text = json_dumps(a.tree, JSON_INDENT(1));
            printf("    %s\n%s\n", name, text);
            free(text);
        }
    }
}

/* ---- plain messages ---- */

TEST(plain_messages_are_sent_as_they_are) {
    enum { N = 60 };
    for (size_t i = 0; i < ARRAY_LEN(provider_names); i++) {
        struct asking a cleanup(asking_done);
        struct strbuf want cleanup(strbuf_done) = STRBUF(1 << 20);
        begin_asking(&a, provider_names[i], "http://127.0.0.1:9", "m");
        for (int k = 0; k < N; k++) {
            char text[128];
            snprintf(text, sizeof text, "{\"role\":\"%s\",\"content\":\"a \\\"b\\\" \\\\ \\n %d\"}",
                     k % 2 ? "assistant" : "user", k);
            add_text(&a, text);
            strbuf_addf(&want, "%s%s", k ? "," : "", a.texts[k]);
        }
        a.request.n_messages = N - 1;
        strbuf_truncate(&want, want.n - strlen(a.texts[N - 1]) - 1);
        /* the last one carries Anthropic's cache mark */
        struct str sent =
            i ? strbuf_str(&want) : str_head(strbuf_str(&want), want.n - strlen(a.texts[N - 2]));
        REQUIRE(ask(&a));
        CHECK(str_find(strbuf_str(&a.body), sent) != SIZE_MAX);
        CHECK_INT(json_array_size(json_object_get(a.tree, "messages")), N - 1);
    }
}

TEST(anthropic_marks_the_last_message_for_the_cache) {
    struct asking a cleanup(asking_done);
    begin_asking(&a, "anthropic", "http://127.0.0.1:9", "m");
    add_text(&a, "{\"role\":\"user\",\"content\":\"one\"}");
    add_text(&a, "{\"role\":\"assistant\",\"content\":\"two\"}");
    add_text(&a, "{\"role\":\"user\",\"content\":\"th\\\"ree\"}");
    REQUIRE(ask(&a));
    CHECK_MEMBER(&a, "messages",
                 "[{\"role\":\"user\",\"content\":\"one\"},"
                 "{\"role\":\"assistant\",\"content\":\"two\"},"
                 "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"th\\\"ree\","
                 "\"cache_control\":{\"type\":\"ephemeral\"}}]}]");
}

TEST(anthropic_conversations_begin_and_end_with_the_user) {
    struct asking a cleanup(asking_done);
    begin_asking(&a, "anthropic", "http://127.0.0.1:9", "m");
    add_text(&a, "{\"role\":\"assistant\",\"content\":\"Your mail.\"}");
    REQUIRE(ask(&a));
    CHECK_MEMBER(&a, "messages",
                 "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"(The conversation "
                 "begins with your message.)\"}]},"
                 "{\"role\":\"assistant\",\"content\":\"Your mail.\"},"
                 "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"Continue.\","
                 "\"cache_control\":{\"type\":\"ephemeral\"}}]}]");
    CHECK_MEMBER(&a, "system", NULL_JSON);
    CHECK_MEMBER(&a, "tools", NULL_JSON);
}

/* ---- repairs ---- */

TEST(a_result_behind_a_user_message_is_put_to_its_call) {
    for (size_t i = 0; i < ARRAY_LEN(provider_names); i++) {
        struct asking a cleanup(asking_done);
        begin_asking(&a, provider_names[i], "http://127.0.0.1:9", "m");
        add_text(&a, "{\"role\":\"user\",\"content\":\"go\"}");
        add_text(&a, "{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_call\",\"id\":\"c1\","
                     "\"name\":\"look\",\"arguments\":\"{}\"}]}");
        add_text(&a, "{\"role\":\"user\",\"content\":\"quick\"}");
        add_text(&a, "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"name\":\"look\","
                     "\"content\":\"seen\"}");
        REQUIRE(ask(&a));
        const json_t *messages = json_object_get(a.tree, "messages");
        CHECK_INT(json_array_size(messages), 4);
        struct strbuf third cleanup(strbuf_done) = STRBUF(4096);
        json_write_tree(&third, json_array_get(messages, 2));
        CHECK(str_find(strbuf_str(&third), STR("seen")) != SIZE_MAX);
        CHECK(str_find(strbuf_str(&a.body), STR(LLM_NO_RESULT_START)) == SIZE_MAX);
    }
}

TEST(a_broken_message_does_not_cost_the_others) {
    for (size_t i = 0; i < ARRAY_LEN(provider_names); i++) {
        struct asking a cleanup(asking_done);
        begin_asking(&a, provider_names[i], "http://127.0.0.1:9", "m");
        add_text(&a, "{\"role\":\"user\",\"content\":\"one\"}");
        add_text(&a, "{\"role\":\"judge\",\"content\":[{\"type\":\"text\",\"text\":\"x\"}]}");
        add_text(&a, "{\"role\":\"user\",\"content\":\"two\"}");
        a.messages[a.request.n_messages++] = (struct llm_message){.json = STR("{\"role\":\"us")};
        a.messages[a.request.n_messages++] =
            (struct llm_message){.json = STR("{\"role\":\"user\"}"), .plain = true};
        a.messages[a.request.n_messages++] = (struct llm_message){.json = STR("[]")};
        REQUIRE(ask(&a));
        CHECK_INT(json_array_size(json_object_get(a.tree, "messages")), 2);
    }
}

TEST(a_request_beyond_its_maximum_fails) {
    for (size_t i = 0; i < ARRAY_LEN(provider_names); i++) {
        struct asking a cleanup(asking_done);
        struct err err;
        struct strbuf small cleanup(strbuf_done) = STRBUF(100);
        begin_asking(&a, provider_names[i], "http://127.0.0.1:9", "m");
        add_text(&a, "{\"role\":\"user\",\"content\":\"a text that is longer than what is left of "
                     "the hundred bytes\"}");
        CHECK_FAILS(a.endpoint.provider->write_body(&a.endpoint, &a.request, &small, &err), &err,
                    ERR_LIMIT);
    }
}

/* ---- what the models take ---- */

static void ask_model(struct asking *a, const char *provider, const char *url, const char *model,
                      bool reasoning, bool tools) {
    begin_asking(a, provider, url, model);
    add_text(a, "{\"role\":\"user\",\"content\":\"hello\"}");
    a->request.temperature = 0.25;
    a->request.reasoning = reasoning;
    a->request.max_output_tokens = 5000;
    if (tools) {
        add_tools(a);
    }
    ask(a);
}

TEST(anthropic_models_are_asked_for_thinking_in_their_own_way) {
    static const struct {
        const char *model, *thinking, *thinking_unasked, *effort_unasked;
        bool temperature, beta;
    } cases[] = {
        {"claude-opus-5-5",
         "{\"type\":\"adaptive\",\"display\":\"summarized\",\"block_binding\":{\"prefix_mismatch_"
         "behavior\":\"drop_block\"}}",
         "{\"type\":\"adaptive\",\"block_binding\":{\"prefix_mismatch_behavior\":\"drop_block\"}}",
         "{\"effort\":\"low\"}", false, true},
        {"claude-opus-5", "{\"type\":\"adaptive\",\"display\":\"summarized\"}", NULL_JSON,
         "{\"effort\":\"low\"}", false, false},
        {"claude-sonnet-4-6", "{\"type\":\"adaptive\",\"display\":\"summarized\"}", NULL_JSON,
         NULL_JSON, true, false},
        {"claude-haiku-4-5-20251001", "{\"type\":\"enabled\",\"budget_tokens\":2500}", NULL_JSON,
         NULL_JSON, true, false},
        {"claude-3-5-haiku-latest", NULL_JSON, NULL_JSON, NULL_JSON, true, false},
        {"anything-else", NULL_JSON, NULL_JSON, NULL_JSON, true, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct asking a cleanup(asking_done), b cleanup(asking_done);
        struct arena arena cleanup(arena_done) = {0};
        struct http_client_field fields[LLM_MAX_FIELDS];
        bool beta = false;
        ask_model(&a, "anthropic", "http://127.0.0.1:9", cases[i].model, true, true);
        CHECK_MEMBER(&a, "thinking", cases[i].thinking);
        CHECK_MEMBER(&a, "output_config", NULL_JSON);
        CHECK_MEMBER(&a, "max_tokens", "5000");
        ask_model(&b, "anthropic", "http://127.0.0.1:9", cases[i].model, false, true);
        CHECK_MEMBER(&b, "thinking", cases[i].thinking_unasked);
        CHECK_MEMBER(&b, "output_config", cases[i].effort_unasked);
        CHECK_MEMBER(&b, "temperature", cases[i].temperature ? "0.25" : NULL_JSON);
        size_t n = llm_anthropic.write_fields(&a.endpoint, &arena, fields);
        for (size_t k = 0; k < n; k++) {
            beta |= strcmp(fields[k].name, "anthropic-beta") == 0;
        }
        CHECK_INT(beta, cases[i].beta);
    }
}

TEST(openai_models_are_asked_for_effort_where_they_take_it) {
    static const struct {
        const char *url, *model, *with_tools, *without_tools, *limit_key;
        bool temperature;
    } cases[] = {
        {"https://api.openai.com/v1", "gpt-6-sol", "\"none\"", "\"medium\"",
         "max_completion_tokens", false},
        {"https://openrouter.ai/api/v1", "openai/gpt-6-sol", "\"none\"", "\"medium\"", "max_tokens",
         false},
        {"https://api.openai.com/v1", "gpt-5.1", "\"medium\"", "\"medium\"",
         "max_completion_tokens", false},
        {"https://api.openai.com/v1", "gpt-4.1", NULL_JSON, NULL_JSON, "max_completion_tokens",
         true},
        {"http://127.0.0.1:8000/v1", "Qwen/Qwen3-8B", NULL_JSON, NULL_JSON, "max_tokens", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct asking a cleanup(asking_done), b cleanup(asking_done);
        ask_model(&a, "openai", cases[i].url, cases[i].model, true, true);
        CHECK_MEMBER(&a, "reasoning_effort", cases[i].with_tools);
        CHECK_MEMBER(&a, cases[i].limit_key, "5000");
        CHECK_MEMBER(&a, "temperature", cases[i].temperature ? "0.25" : NULL_JSON);
        ask_model(&b, "openai", cases[i].url, cases[i].model, true, false);
        CHECK_MEMBER(&b, "reasoning_effort", cases[i].without_tools);
        CHECK_MEMBER(&b, "tools", NULL_JSON);
    }
}

TEST(ollama_models_are_asked_to_think_where_they_know_the_word) {
    struct asking a cleanup(asking_done), b cleanup(asking_done);
    ask_model(&a, "ollama", "http://127.0.0.1:9", "qwen3:8b", true, false);
    CHECK_MEMBER(&a, "think", "true");
    CHECK_MEMBER(&a, "options", "{\"num_ctx\":16384,\"num_predict\":5000,\"temperature\":0.25}");
    ask_model(&b, "ollama", "http://127.0.0.1:9", "qwen3:8b", false, false);
    CHECK_MEMBER(&b, "think", "false");
    static const char *const others[] = {"llama3.2", "qwen3-coder:30b", "qwen3:4b-instruct"};
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        struct asking c cleanup(asking_done);
        ask_model(&c, "ollama", "http://127.0.0.1:9", others[i], true, false);
        CHECK_MEMBER(&c, "think", NULL_JSON);
    }
}

/* The text of the result with two images, as the model is sent it; the request may have no image.
 */
static void blind_model_reads(const char *provider, const char *model, const char *want) {
    struct asking a cleanup(asking_done);
    begin_asking(&a, provider, "http://127.0.0.1:9", model);
    add_text(&a, "{\"role\":\"user\",\"content\":\"look\"}");
    add_text(&a, "{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_call\",\"id\":\"c1\","
                 "\"name\":\"look\",\"arguments\":\"{}\"}]}");
    add_text(&a, "{\"role\":\"tool\",\"content\":[{\"type\":\"text\",\"text\":\"seen:\"},"
                 "{\"type\":\"image\",\"media_type\":\"image/png\",\"data\":\"AAAA\"},"
                 "{\"type\":\"image\",\"url\":\"https://example.com/a.png\"}],"
                 "\"tool_call_id\":\"c1\",\"name\":\"look\"}");
    REQUIRE(ask(&a));
    const json_t *messages = json_object_get(a.tree, "messages");
    CHECK_STR(json_str(json_array_get(messages, 2), "content"), want);
    CHECK_INT(json_array_size(messages), 3);
    CHECK(str_find(strbuf_str(&a.body), STR("AAAA")) == SIZE_MAX);
}

TEST(images_of_results_are_described_to_models_that_do_not_see) {
    static const char want[] = "seen:\n(2 images, which this model cannot see)";
    blind_model_reads("openai", "deepseek-chat", want);
    blind_model_reads("ollama", "llama3.2:3b", want);
}

TEST(each_provider_gets_its_own_form_of_a_tool) {
    static const char *const places[] = {"input_schema", "parameters", "parameters"};
    for (size_t i = 0; i < ARRAY_LEN(provider_names); i++) {
        struct asking a cleanup(asking_done);
        struct llm_tool tool = {.name = STR("t"), .description = STR("all"), .schema = STR("{}")};
        tool.forms[LLM_DIALECT_ANTHROPIC].schema = STR("{\"for\":\"anthropic\"}");
        tool.forms[LLM_DIALECT_OPENAI].schema = STR("{\"for\":\"openai\"}");
        tool.forms[LLM_DIALECT_OPENAI].description = STR("openai");
        begin_asking(&a, provider_names[i], "http://127.0.0.1:9", "some-model");
        add_text(&a, "{\"role\":\"user\",\"content\":\"x\"}");
        a.request.tools = &tool;
        a.request.n_tools = 1;
        REQUIRE(ask(&a));
        const json_t *sent = json_array_get(json_object_get(a.tree, "tools"), 0);
        sent = i == 0 ? sent : json_object_get(sent, "function");
        CHECK_STR(json_str(sent, "description"), i == 1 ? "openai" : "all");
        struct str who = json_str(json_object_get(sent, places[i]), "for");
        CHECK_STR(who.p ? who : STR_EMPTY, i == 2 ? "" : provider_names[i]);
    }
}

TEST(ollama_is_given_room_for_a_long_conversation) {
    struct asking a cleanup(asking_done);
    struct strbuf text cleanup(strbuf_done) = STRBUF(1 << 20);
    strbuf_addz(&text, "{\"role\":\"user\",\"content\":\"");
    for (int i = 0; i < 50000; i++) {
        strbuf_addc(&text, 'x');
    }
    strbuf_addz(&text, "\"}");
    begin_asking(&a, "ollama", "http://127.0.0.1:9", "llama3.2");
    add_text(&a, strbuf_z(&text));
    REQUIRE(ask(&a));
    CHECK_MEMBER(&a, "options", "{\"num_ctx\":32768}");
}

TEST(the_key_stands_in_the_field_that_the_provider_wants) {
    static const char *const wanted[][2] = {
        {"x-api-key", "sk-1"}, {"authorization", "Bearer sk-1"}, {"authorization", "Bearer sk-1"}};
    struct secret *key = secret_new(STR("sk-1"));
    for (size_t i = 0; i < ARRAY_LEN(provider_names); i++) {
        struct llm_endpoint e = {.provider = llm_provider_find(str_z(provider_names[i])),
                                 .base_url = STR("http://127.0.0.1:9"),
                                 .model = STR("m"),
                                 .key = key};
        struct arena arena cleanup(arena_done) = {0};
        struct http_client_field fields[LLM_MAX_FIELDS];
        size_t n = e.provider->write_fields(&e, &arena, fields), with_key = n;
        bool found = false;
        for (size_t k = 0; k < n; k++) {
            found |= strcmp(fields[k].name, wanted[i][0]) == 0 &&
                     str_eq(fields[k].value, str_z(wanted[i][1]));
        }
        CHECK(found);
        e.key = NULL;
        CHECK_INT(e.provider->write_fields(&e, &arena, fields), with_key - 1);
    }
    secret_free(key);
}
