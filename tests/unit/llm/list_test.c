#include "llm/provider.h"
#include "test.h"

/* "id id(name) ...", or "none". */
static struct str best(const struct llm_provider *p, const char *body, struct arena *arena) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(1 << 20);
    struct llm_listed *list;
    size_t n;
    if (!llm_list_read(p, str_z(body), arena, &list, &n)) {
        return STR("none");
    }
    for (size_t i = 0; i < n; i++) {
        strbuf_addf(&out, "%s%.*s", i ? " " : "", STR_ARG(list[i].id));
        if (list[i].name.n) {
            strbuf_addf(&out, "(%.*s)", STR_ARG(list[i].name));
        }
    }
    return arena_str(arena, strbuf_str(&out));
}

TEST(each_shape_is_read) {
    struct arena arena cleanup(arena_done) = {0};
    CHECK_STR(
        best(&llm_anthropic,
             "{\"data\":[{\"type\":\"model\",\"id\":\"claude-x\",\"display_name\":\"Claude X\"}]}",
             &arena),
        "claude-x(Claude X)");
    CHECK_STR(best(&llm_ollama, "{\"models\":[{\"name\":\"llama3:8b\",\"model\":\"llama3:8b\"}]}",
                   &arena),
              "llama3:8b");
    CHECK_STR(best(&llm_openai, "[{\"id\":\"a/b\"},{\"id\":\"a b\"},{\"id\":\"\"},7,null]", &arena),
              "a/b");
    CHECK_STR(best(&llm_openai, "{\"data\":[]}", &arena), "");
    static const char *const wrong[] = {"", "{", "{}", "7", "\"data\"", "{\"data\":{}}", "null"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        CHECK_STR(best(&llm_openai, wrong[i], &arena), "none");
    }
}

TEST(the_usual_model_then_the_known_the_newest_first_dated_copies_last) {
    struct arena arena cleanup(arena_done) = {0};
    CHECK_STR(best(&llm_openai,
                   "[{\"id\":\"gpt-5-2025-08-07\",\"created\":9},{\"id\":\"other\",\"created\":8},"
                   "{\"id\":\"gpt-5\",\"created\":2},{\"id\":\"gpt-5-mini\",\"created\":3},"
                   "{\"id\":\"gpt-6-sol\",\"created\":1}]",
                   &arena),
              "gpt-6-sol gpt-5-mini gpt-5 other gpt-5-2025-08-07");
    CHECK_STR(best(&llm_ollama, "{\"models\":[{\"name\":\"llama3\"},{\"name\":\"qwen3:latest\"}]}",
                   &arena),
              "qwen3:latest llama3");
}

TEST(what_is_for_something_else_comes_only_when_there_is_nothing_else) {
    struct arena arena cleanup(arena_done) = {0};
    CHECK_STR(best(&llm_openai,
                   "[{\"id\":\"whisper-1\"},{\"id\":\"llama-3-8b-instruct\"},{\"id\":\"tts-1\"}]",
                   &arena),
              "llama-3-8b-instruct");
    CHECK_STR(best(&llm_ollama, "{\"models\":[{\"name\":\"nomic-embed-text:v1.5\"}]}", &arena),
              "nomic-embed-text:v1.5");
}
