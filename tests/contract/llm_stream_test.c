/* What the streams of the three providers mean: each recorded shape is read whole, and cut in two
 * at every byte, and byte by byte, and must say the same each time. */
#include <stdio.h>

#include "base/arena.h"
#include "llm/provider.h"
#include "test.h"

enum { MAX_ANSWER = 1 << 20 };

/* ---- a stream's story ---- */

/* Deltas as one line: T(text) R(reasoning) R. S0(id,name) A0(arguments) E0; pieces of one thing are
 * joined, so that it does not matter how they were cut. */
struct story {
    struct strbuf line;
    enum llm_delta_type last;
    unsigned last_index;
    bool any;
    unsigned n_deltas;
};

static void tell_piece(struct story *s, const struct llm_delta *d, const char *head) {
    bool same = s->any && s->last == d->type && s->last_index == d->index;
    if (same) {
        strbuf_truncate(&s->line, s->line.n - 2);
    } else {
        strbuf_addz(&s->line, head);
        if (d->type == LLM_TOOL_ARGUMENTS) {
            strbuf_add_i64(&s->line, d->index);
        }
        strbuf_addc(&s->line, '(');
    }
    strbuf_add(&s->line, d->text);
    strbuf_addz(&s->line, ") ");
}

/* Ids that were made here are random. */
static struct str known_id(struct str id) {
    return id.n == 37 && str_starts(id, STR("call_")) ? STR("made") : id;
}

static int tell(const struct llm_delta *d, void *arg, struct err *err) {
    struct story *s = arg;
    struct str id = known_id(d->id);
    (void)err;
    s->n_deltas++;
    switch (d->type) {
    case LLM_TEXT:
        tell_piece(s, d, "T");
        break;
    case LLM_REASONING:
        tell_piece(s, d, "R");
        break;
    case LLM_REASONING_END:
        strbuf_addz(&s->line, "R. ");
        break;
    case LLM_TOOL_START:
        strbuf_addf(&s->line, "S%u(%.*s,%.*s) ", d->index, STR_ARG(id), STR_ARG(d->name));
        break;
    case LLM_TOOL_ARGUMENTS:
        tell_piece(s, d, "A");
        break;
    case LLM_TOOL_END:
        strbuf_addf(&s->line, "E%u ", d->index);
        break;
    }
    s->any = true;
    s->last = d->type;
    s->last_index = d->index;
    return 0;
}

struct reading {
    struct story story;
    struct arena arena;
    struct llm_result result;
    int rc;
    struct err err;
};

static void reading_done(struct reading *r) {
    strbuf_done(&r->story.line);
    arena_done(&r->arena);
}

/* Feeds `stream` in pieces: up to `cut`, then `step` bytes at a time. */
static void read_cut(const struct llm_provider *p, struct str stream, size_t cut, size_t step,
                     struct reading *r) {
    *r = (struct reading){.story.line = STRBUF(1 << 20)};
    struct llm_sink sink = {.on_delta = tell, .arg = &r->story};
    struct llm_build *b cleanup(llm_build_free_p) = llm_build_new(p, &sink, MAX_ANSWER);
    r->rc = llm_build_feed(b, str_head(stream, cut), &r->err);
    for (size_t at = cut; at < stream.n && r->rc == 0; at += step) {
        r->rc = llm_build_feed(b, str_head(str_skip(stream, at), step), &r->err);
    }
    if (r->rc == 0) {
        r->rc = llm_build_finish(b, &r->err);
    }
    llm_build_result(b, r->rc == 0, &r->arena, &r->result);
}

/* ---- the recorded shapes ---- */

static bool load(const char *name, struct strbuf *out) {
    char path[512], buf[4096];
    snprintf(path, sizeof path, "%s/%s", TEST_DATA, name);
    FILE *f = fopen(path, "rb");
    if (!CHECK(f != NULL)) {
        printf("    %s\n", path);
        return false;
    }
    for (size_t n; (n = fread(buf, 1, sizeof buf, f)) > 0;) {
        strbuf_add(out, (struct str){buf, n});
    }
    fclose(f);
    return true;
}

struct shape {
    const struct llm_provider *provider;
    const char *file, *story, *message;
    enum err_code code;
    enum llm_stop stop;
    int64_t input, output, cached, written, reasoning;
};

#define TEXT "Grüße aus Zürich 😀\nEr sagte: \"ja\" \\  fertig"
#define TEXT_JSON "Grüße aus Zürich 😀\\nEr sagte: \\\"ja\\\" \\\\  fertig"
#define PLAIN(text) "{\"role\":\"assistant\",\"content\":\"" text "\"}"
#define BLOCKS(...) "{\"role\":\"assistant\",\"content\":[" __VA_ARGS__ "]}"
#define TEXT_BLOCK(text) "{\"type\":\"text\",\"text\":\"" text "\"}"
#define CALL(id, name, arguments)                                                                  \
    "{\"type\":\"tool_call\",\"id\":\"" id "\",\"name\":\"" name "\",\"arguments\":\"" arguments   \
    "\"}"
#define REASONING(provider, text, more)                                                            \
    "{\"type\":\"reasoning\",\"text\":\"" text "\",\"provider\":\"" provider "\"" more "}"

#define WEATHER "{\\\"city\\\": \\\"Zürich\\\", \\\"unit\\\": \\\"c\\\"}"
#define BERN "{\\\"city\\\":\\\"Bern\\\"}"
#define SUM "{\\\"expression\\\":\\\"6*7\\\"}"

static const struct shape shapes[] = {
    {&llm_anthropic, "anthropic_text.txt", "T(" TEXT ") ", PLAIN(TEXT_JSON), 0, LLM_STOP_END, 2360,
     25, 2048, 300, 0},
    {&llm_anthropic, "anthropic_escaped.txt", "T(" TEXT ") ", PLAIN(TEXT_JSON), 0, LLM_STOP_END,
     2360, 25, 2048, 300, 0},
    {&llm_anthropic, "anthropic_tools.txt",
     "T(I look at both.) S0(toolu_01A,get_weather) A0({\"city\": \"Zürich\", \"unit\": \"c\"}) "
     "E0 "
     "S1(toolu_01B,current_time) E1 ",
     BLOCKS(TEXT_BLOCK("I look at both.") "," CALL("toolu_01A", "get_weather", WEATHER) "," CALL(
         "toolu_01B", "current_time", "{}")),
     0, LLM_STOP_TOOLS, 2360, 89, 2048, 300, 0},
    {&llm_anthropic, "anthropic_reasoning.txt",
     "R(The user wants 6*7.) R. T(42) S0(toolu_01C,calculate) A0({\"expression\":\"6*7\"}) E0 ",
     BLOCKS(REASONING("anthropic", "The user wants 6*7.", ",\"signature\":\"EqQBCgIYAhIM1gbcDa9GJwZA2b3h==\"") "," REASONING(
         "anthropic", "",
         ",\"redacted\":\"EmwKAhgBEgy3va3pzix/LafPsn4a\"") "," REASONING("anthropic", "",
                                                                         ",\"signature"
                                                                         "\":"
                                                                         "\"EuYBOmitted"
                                                                         "\"") "," TEXT_BLOCK("42") "," CALL("toolu_01C",
                                                                                                             "calculate",
                                                                                                             SUM)),
     0, LLM_STOP_TOOLS, 2360, 60, 2048, 300, 41},
    {&llm_anthropic, "anthropic_refusal.txt", "T(I can) ", PLAIN("I can"), 0, LLM_STOP_REFUSAL,
     2360, 3, 2048, 300, 0},
    {&llm_anthropic, "anthropic_pause.txt", "T(Searching) ", PLAIN("Searching"), 0, LLM_STOP_OTHER,
     2360, 9, 2048, 300, 0},
    {&llm_anthropic, "anthropic_error.txt", "T(Half an ans) ", PLAIN("Half an ans"),
     ERR_UNAVAILABLE, LLM_STOP_END, 2360, 1, 2048, 300, 0},
    {&llm_anthropic, "anthropic_broken.txt", "T(Cut here) S0(toolu_01D,calculate) A0({\"expr) ",
     BLOCKS(TEXT_BLOCK("Cut here")), ERR_PROTOCOL, LLM_STOP_END, 2360, 1, 2048, 300, 0},

    {&llm_openai, "openai_text.txt", "T(" TEXT ") ", PLAIN(TEXT_JSON), 0, LLM_STOP_END, 2360, 25,
     2048, 0, 7},
    {&llm_openai, "openai_escaped.txt", "T(" TEXT ") ", PLAIN(TEXT_JSON), 0, LLM_STOP_END, 2360, 25,
     2048, 0, 7},
    {&llm_openai, "openai_tools.txt",
     "T(I look at both.) S0(call_A1,get_weather) A0({\"city\": \"Zürich\", \"unit\": \"c\"}) "
     "S1(call_B2,current_time) A1({}) E0 E1 ",
     BLOCKS(TEXT_BLOCK("I look at both.") "," CALL("call_A1", "get_weather", WEATHER) "," CALL(
         "call_B2", "current_time", "{}")),
     0, LLM_STOP_TOOLS, 2360, 25, 2048, 0, 7},
    {&llm_openai, "openai_interleaved.txt",
     "S0(call_A1,get_weather) S1(call_B2,current_time) A1({\"zone\") A0({\"city\":) "
     "A1(:\"UTC\"}) "
     "A0(\"Bern\"}) E0 E1 ",
     BLOCKS(CALL("call_A1", "get_weather", BERN) "," CALL("call_B2", "current_time",
                                                          "{\\\"zone\\\":\\\"UTC\\\"}")),
     0, LLM_STOP_TOOLS, 2360, 25, 2048, 0, 7},
    {&llm_openai, "openai_sloppy.txt",
     "S0(made,get_weather) A0({\"city\":\"Bern\"}) S1(made,current_time) "
     "A1({\"zone\":\"UTC\"}) "
     "E0 E1 ",
     NULL, 0, LLM_STOP_TOOLS, 9, 4, 0, 0, 0},
    {&llm_openai, "openai_same_index.txt",
     "S0(fn-1,get_weather) A0({\"city\":\"Bern\"}) S1(fn-2,get_weather) "
     "A1({\"city\":\"Basel\"}) E0 E1 ",
     BLOCKS(CALL("fn-1", "get_weather", BERN) "," CALL("fn-2", "get_weather",
                                                       "{\\\"city\\\":\\\"Basel\\\"}")),
     0, LLM_STOP_TOOLS, 0, 0, 0, 0, 0},
    {&llm_openai, "openai_new_ids.txt",
     "S0(chatcmpl-tool-1,get_weather) A0({\"city\":\"Bern\"}) E0 ",
     BLOCKS(CALL("chatcmpl-tool-1", "get_weather", BERN)), 0, LLM_STOP_TOOLS, 0, 0, 0, 0, 0},
    {&llm_openai, "openai_unnumbered.txt",
     "S0(same,get_weather) A0({\"city\":\"Bern\"}) S1(made,current_time) A1({}) E0 E1 ", NULL, 0,
     LLM_STOP_TOOLS, 0, 0, 0, 0, 0},
    {&llm_openai, "openai_reasoning.txt",
     "R(The user wants 6*7.) R. T(42) S0(call_C3,calculate) A0({\"expression\":\"6*7\"}) E0 ",
     BLOCKS(REASONING("openai", "The user wants 6*7.",
                      "") "," TEXT_BLOCK("42") "," CALL("call_C3", "calculate", SUM)),
     0, LLM_STOP_TOOLS, 30, 20, 10, 0, 12},
    {&llm_openai, "openai_reasoning_alias.txt", "R(Let me see.) R. T(42) ",
     BLOCKS(REASONING("openai", "Let me see.", "") "," TEXT_BLOCK("42")), 0, LLM_STOP_END, 0, 0, 0,
     0, 0},
    {&llm_openai, "openai_parts.txt", "R(Hm.) R. T(42) ",
     BLOCKS(REASONING("openai", "Hm.", "") "," TEXT_BLOCK("42")), 0, LLM_STOP_LENGTH, 0, 0, 0, 0,
     0},
    {&llm_openai, "openai_refusal.txt", "T(I cannot.) ", PLAIN("I cannot."), 0, LLM_STOP_REFUSAL,
     2360, 25, 2048, 0, 7},
    {&llm_openai, "openai_filter.txt", "T(I can) ", PLAIN("I can"), 0, LLM_STOP_REFUSAL, 0, 0, 0, 0,
     0},
    {&llm_openai, "openai_error.txt", "T(Half an ans) ", PLAIN("Half an ans"), ERR_UNAVAILABLE,
     LLM_STOP_END, 0, 0, 0, 0, 0},
    {&llm_openai, "openai_error_code.txt", "", "", ERR_BUSY, LLM_STOP_END, 0, 0, 0, 0, 0},
    {&llm_openai, "openai_broken.txt", "T(Cut here) S0(call_D4,calculate) A0({\"expr) ",
     BLOCKS(TEXT_BLOCK("Cut here")), ERR_PROTOCOL, LLM_STOP_END, 0, 0, 0, 0, 0},

    {&llm_ollama, "ollama_text.txt", "T(" TEXT ") ", PLAIN(TEXT_JSON), 0, LLM_STOP_END, 2360, 25, 0,
     0, 0},
    {&llm_ollama, "ollama_escaped.txt", "T(" TEXT ") ", PLAIN(TEXT_JSON), 0, LLM_STOP_END, 2360, 25,
     0, 0, 0},
    {&llm_ollama, "ollama_tools.txt",
     "T(I look at both.) S0(made,get_weather) A0({\"city\":\"Zürich\",\"unit\":\"c\"}) E0 "
     "S1(call_ab12cd34,current_time) A1({}) E1 ",
     NULL, 0, LLM_STOP_TOOLS, 2360, 25, 0, 0, 0},
    {&llm_ollama, "ollama_reasoning.txt",
     "R(The user wants 6*7.) R. T(42) S0(call_x,calculate) A0({\"expression\":\"6*7\"}) E0 ",
     BLOCKS(REASONING("ollama", "The user wants 6*7.",
                      "") "," TEXT_BLOCK("42") "," CALL("call_x", "calculate", SUM)),
     0, LLM_STOP_TOOLS, 2360, 25, 0, 0, 0},
    {&llm_ollama, "ollama_length.txt", "T(I can) ", PLAIN("I can"), 0, LLM_STOP_LENGTH, 2360, 25, 0,
     0, 0},
    {&llm_ollama, "ollama_error.txt", "T(Half an ans) ", PLAIN("Half an ans"), ERR_UNAVAILABLE,
     LLM_STOP_END, 0, 0, 0, 0, 0},
    {&llm_ollama, "ollama_broken.txt", "T(Cut here) ", PLAIN("Cut here"), ERR_PROTOCOL,
     LLM_STOP_END, 0, 0, 0, 0, 0},
    {&llm_ollama, "ollama_no_newline.txt", "T(All there) ", PLAIN("All there"), 0, LLM_STOP_END,
     2360, 25, 0, 0, 0},
};

static bool check_result(const struct shape *shape, const struct reading *r) {
    const struct llm_usage *u = &r->result.usage;
    bool ok = CHECK_STR(strbuf_str(&r->story.line), shape->story);
    if (shape->message) {
        ok &= CHECK_STR(r->result.message, shape->message);
    }
    ok &= CHECK_INT(-r->rc, shape->code);
    ok &= CHECK_INT(r->result.stop, shape->stop);
    ok &= CHECK_INT(u->input_tokens, shape->input);
    ok &= CHECK_INT(u->output_tokens, shape->output);
    ok &= CHECK_INT(u->cached_input_tokens, shape->cached);
    ok &= CHECK_INT(u->cache_write_tokens, shape->written);
    ok &= CHECK_INT(u->reasoning_tokens, shape->reasoning);
    bool plain = shape->message && str_starts(str_z(shape->message), STR("{\"role\":\"assistant\","
                                                                         "\"content\":\""));
    ok &= CHECK_INT(r->result.plain, plain);
    return ok;
}

static bool check_cut(const struct shape *shape, struct str stream, size_t cut, size_t step) {
    struct reading r cleanup(reading_done);
    read_cut(shape->provider, stream, cut, step, &r);
    bool ok = check_result(shape, &r);
    if (!ok) {
        printf("    %s cut at %zu of %zu, then every %zu\n", shape->file, cut, stream.n, step);
    }
    return ok;
}

static void check_shapes(const struct llm_provider *provider, bool cut) {
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
        const struct shape *shape = &shapes[i];
        struct strbuf stream cleanup(strbuf_done) = STRBUF(1 << 20);
        if (shape->provider != provider || !load(shape->file, &stream)) {
            continue;
        }
        struct str all = strbuf_str(&stream);
        bool ok = check_cut(shape, all, all.n, 1);
        if (cut) {
            for (size_t at = 0; at < all.n && ok; at++) {
                ok = check_cut(shape, all, at, all.n);
            }
            ok = ok && check_cut(shape, all, 0, 1);
        }
    }
}

TEST(anthropic_streams_say_what_they_mean) {
    check_shapes(&llm_anthropic, false);
}

TEST(openai_streams_say_what_they_mean) {
    check_shapes(&llm_openai, false);
}

TEST(ollama_streams_say_what_they_mean) {
    check_shapes(&llm_ollama, false);
}

TEST(anthropic_streams_cut_anywhere_say_the_same) {
    check_shapes(&llm_anthropic, true);
}

TEST(openai_streams_cut_anywhere_say_the_same) {
    check_shapes(&llm_openai, true);
}

TEST(ollama_streams_cut_anywhere_say_the_same) {
    check_shapes(&llm_ollama, true);
}

/* ---- what holds for all of them ---- */

static const char *const text_files[][2] = {{"anthropic", "anthropic_text.txt"},
                                            {"openai", "openai_text.txt"},
                                            {"ollama", "ollama_text.txt"}};

TEST(text_that_comes_together_is_one_delta) {
    for (size_t i = 0; i < ARRAY_LEN(text_files); i++) {
        struct strbuf stream cleanup(strbuf_done) = STRBUF(1 << 20);
        struct reading r cleanup(reading_done);
        REQUIRE(load(text_files[i][1], &stream));
        read_cut(llm_provider_find(str_z(text_files[i][0])), strbuf_str(&stream), stream.n, 1, &r);
        CHECK_INT(r.story.n_deltas, 1);
    }
}

static int refuse(const struct llm_delta *d, void *arg, struct err *err) {
    (void)d;
    ++*(int *)arg;
    return err_set(err, ERR_CONFLICT, "no more");
}

TEST(a_sink_that_fails_ends_the_stream_and_is_not_called_again) {
    for (size_t i = 0; i < ARRAY_LEN(text_files); i++) {
        struct strbuf stream cleanup(strbuf_done) = STRBUF(1 << 20);
        struct err err;
        int calls = 0;
        struct llm_sink sink = {.on_delta = refuse, .arg = &calls};
        REQUIRE(load(text_files[i][1], &stream));
        struct llm_build *b cleanup(llm_build_free_p) =
            llm_build_new(llm_provider_find(str_z(text_files[i][0])), &sink, MAX_ANSWER);
        CHECK_FAILS(llm_build_feed(b, strbuf_str(&stream), &err), &err, ERR_CONFLICT);
        CHECK(llm_build_sink_failed(b));
        CHECK_INT(calls, 1);
    }
}

TEST(an_answer_beyond_its_maximum_fails) {
    for (size_t i = 0; i < ARRAY_LEN(text_files); i++) {
        struct strbuf stream cleanup(strbuf_done) = STRBUF(1 << 20);
        struct err err;
        struct llm_sink sink = {0};
        struct arena arena cleanup(arena_done) = {0};
        struct llm_result result;
        REQUIRE(load(text_files[i][1], &stream));
        struct llm_build *b cleanup(llm_build_free_p) =
            llm_build_new(llm_provider_find(str_z(text_files[i][0])), &sink, 20);
        CHECK_FAILS(llm_build_feed(b, strbuf_str(&stream), &err), &err, ERR_LIMIT);
        llm_build_result(b, false, &arena, &result);
        CHECK(result.has_text && result.message.n > 0);
    }
}

TEST(what_is_no_json_is_a_protocol_error) {
    static const char *const broken[] = {"data: {\"choices\":[\n\n", "data: nonsense\n\n",
                                         "{\"message\":{\"content\":\n"};
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        const struct llm_provider *p = i == 0 ? &llm_openai : i == 1 ? &llm_anthropic : &llm_ollama;
        struct reading r cleanup(reading_done);
        read_cut(p, str_z(broken[i]), SIZE_MAX, 1, &r);
        CHECK_INT(-r.rc, ERR_PROTOCOL);
        CHECK_STR(r.result.message, "");
    }
}

TEST(more_tool_calls_than_allowed_fail) {
    struct strbuf stream cleanup(strbuf_done) = STRBUF(1 << 20);
    for (int i = 0; i <= LLM_MAX_TOOL_CALLS; i++) {
        strbuf_addf(&stream,
                    "{\"message\":{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{"
                    "\"function\":{\"name\":\"f\",\"arguments\":{}}}]},\"done\":false}\n");
    }
    struct reading r cleanup(reading_done);
    read_cut(&llm_ollama, strbuf_str(&stream), SIZE_MAX, 1, &r);
    CHECK_INT(-r.rc, ERR_LIMIT);
    CHECK_INT(r.result.n_tool_calls, 0);
}
