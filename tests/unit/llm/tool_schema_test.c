/* Schemas that servers send and providers refuse. */
#include "llm/tool_schema.h"

#include "test.h"

struct bench {
    struct arena arena;
    struct llm_tool tool;
    struct llm_tool_facts facts;
    struct err err;
};

static void bench_done(struct bench *b) {
    arena_done(&b->arena);
}

static int adapt(struct bench *b, struct str schema) {
    b->tool = (struct llm_tool){
        .name = STR("t"), .description = STR("does it"), .schema = arena_str(&b->arena, schema)};
    return llm_tool_adapt(&b->tool, &b->arena, &b->facts, &b->err);
}

static struct str schema_for(const struct bench *b, enum llm_dialect d) {
    struct str s = b->tool.forms[d].schema;
    return s.n ? s : b->tool.schema;
}

/* Adapts, and compares what OpenAI gets. */
static void becomes(const char *from, const char *to, int line) {
    struct bench b cleanup(bench_done) = {0};
    int rc = adapt(&b, str_z(from));
    if (!test_check_ok(rc, &b.err, __FILE__, line, from)) {
        return;
    }
    test_check_str(schema_for(&b, LLM_DIALECT_OPENAI), to, __FILE__, line, from);
}
#define BECOMES(from, to) becomes(from, to, __LINE__)
#define STAYS(schema) becomes(schema, schema, __LINE__)

static void refused(const char *schema, const char *why, int line) {
    struct bench b cleanup(bench_done) = {0};
    int rc = adapt(&b, str_z(schema));
    test_check(rc < 0 && strstr(b.err.msg, why), __FILE__, line, rc < 0 ? b.err.msg : schema);
}
#define REFUSED(schema, why) refused(schema, why, __LINE__)

TEST(what_needs_no_change_stays_byte_for_byte) {
    STAYS("{\"type\":\"object\",\"properties\":{}}");
    STAYS("{ \"$schema\" : \"http://json-schema.org/draft-07/schema#\",\n \"type\":\"object\","
          "\"properties\":{\"a\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},"
          "\"b\":{\"anyOf\":[{\"type\":\"null\"},{\"enum\":[1, 2.50]}]}},\"required\":[\"a\"],"
          "\"additionalProperties\":false,\"x-anything\":[true]}");
    STAYS("{\"type\":\"object\",\"properties\":{},\"$defs\":{\"unused\":{\"type\":\"string\"}}}");
}

TEST(a_root_is_an_object_with_properties) {
    BECOMES("{}", "{\"type\":\"object\",\"properties\":{}}");
    BECOMES("{\"type\":\"object\"}", "{\"type\":\"object\",\"properties\":{}}");
    BECOMES("{\"type\":[\"object\",\"null\"],\"properties\":{}}",
            "{\"type\":\"object\",\"properties\":{}}");
    BECOMES("{\"type\":\"object\",\"properties\":[],\"required\":{}}",
            "{\"type\":\"object\",\"properties\":{}}");
    BECOMES("{\"properties\":{\"a\":{}},\"enum\":[1],\"not\":{},\"const\":3}",
            "{\"properties\":{\"a\":{}},\"type\":\"object\"}");
    REFUSED("{\"type\":\"string\"}", "of type \"string\"");
    REFUSED("{\"type\":[\"array\",\"null\"]}", "no object");
    REFUSED("true", "no JSON object");
    REFUSED("[]", "no JSON object");
    REFUSED("", "not readable");
    REFUSED("{\"type\":\"object\",", "not readable");
    REFUSED("{\"type\":\"object\",\"type\":\"object\"}", "not readable");
}

TEST(keywords_get_the_shape_of_the_draft) {
    BECOMES("{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"int\",\"required\":true,"
            "\"minimum\":\"0\",\"exclusiveMinimum\":true,\"description\":null,\"enum\":[],"
            "\"maxLength\":-1,\"default\":null}}}",
            "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\",\"default\":null}}}");
    BECOMES("{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"any\"},\"b\":true,\"c\":false,"
            "\"d\":\"string\"},\"required\":[\"a\",\"a\",1]}",
            "{\"type\":\"object\",\"properties\":{\"a\":{},\"b\":{},\"d\":{}},"
            "\"required\":[\"a\"]}");
    BECOMES(
        "{\"type\":\"object\",\"properties\":{\"a\":{\"anyOf\":[true,false,{\"type\":\"str\"}]},"
        "\"b\":{\"anyOf\":[]},\"c\":{\"oneOf\":[false]}}}",
        "{\"type\":\"object\",\"properties\":{\"a\":{\"anyOf\":[{},{\"type\":\"string\"}]},"
        "\"b\":{},\"c\":{}}}");
}

TEST(arrays_have_items) {
    BECOMES("{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"array\"},"
            "\"b\":{\"type\":[\"null\",\"array\"]},\"c\":{\"type\":\"array\",\"items\":true}}}",
            "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"array\",\"items\":{}},"
            "\"b\":{\"type\":[\"null\",\"array\"],\"items\":{}},"
            "\"c\":{\"type\":\"array\",\"items\":{}}}}");
    BECOMES("{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"array\","
            "\"items\":[{\"type\":\"string\"},true],\"additionalItems\":false}}}",
            "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"array\",\"items\":{},"
            "\"prefixItems\":[{\"type\":\"string\"},{}]}}}");
}

TEST(local_references_are_inlined) {
    BECOMES("{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#/$defs/x\"},"
            "\"b\":{\"$ref\":\"#/definitions/y~1z%20w\",\"description\":\"mine\"},"
            "\"c\":{\"$ref\":\"#here\"}},"
            "\"$defs\":{\"x\":{\"type\":\"integer\"},"
            "\"n\":{\"$anchor\":\"here\",\"type\":\"null\"}},"
            "\"definitions\":{\"y/z w\":{\"description\":\"theirs\",\"$ref\":\"#/$defs/x\"}}}",
            "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},"
            "\"b\":{\"type\":\"integer\",\"description\":\"mine\"},"
            "\"c\":{\"$anchor\":\"here\",\"type\":\"null\"}}}");
    BECOMES("{\"$ref\":\"#/$defs/args\",\"$defs\":{\"args\":{\"type\":\"object\","
            "\"properties\":{\"a\":{\"type\":\"string\"}}}}}",
            "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}}}");
}

TEST(what_cannot_be_inlined_takes_anything) {
    BECOMES("{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"https://example.com/s.json\","
            "\"title\":\"A\"},\"b\":{\"$ref\":\"#/$defs/none\"},\"c\":{\"$ref\":\"#/a~2\"},"
            "\"d\":{\"$ref\":5},\"e\":{\"$ref\":\"#\"},\"f\":{\"$dynamicRef\":\"#x\"}}}",
            "{\"type\":\"object\",\"properties\":{\"a\":{\"title\":\"A\"},\"b\":{},\"c\":{},"
            "\"d\":{},\"e\":{\"type\":\"object\"},\"f\":{}}}");
}

TEST(a_recursive_schema_ends) {
    BECOMES("{\"type\":\"object\",\"properties\":{\"tree\":{\"$ref\":\"#/$defs/node\"}},"
            "\"$defs\":{\"node\":{\"type\":\"object\",\"description\":\"a node\",\"properties\":{"
            "\"kids\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/node\"}}}}}}",
            "{\"type\":\"object\",\"properties\":{\"tree\":{\"type\":\"object\","
            "\"description\":\"a node\",\"properties\":{\"kids\":{\"type\":\"array\","
            "\"items\":{\"type\":\"object\",\"description\":\"a node\"}}}}}}");
    BECOMES("{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#/$defs/a\"}},"
            "\"$defs\":{\"a\":{\"$ref\":\"#/$defs/b\"},\"b\":{\"$ref\":\"#/$defs/a\"}}}",
            "{\"type\":\"object\",\"properties\":{\"a\":{}}}");
}

TEST(references_cannot_blow_a_schema_up) {
    struct bench b cleanup(bench_done) = {0};
    struct strbuf s cleanup(strbuf_done) = STRBUF(1 << 20);
    strbuf_addz(&s, "{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#/$defs/d0\"}},"
                    "\"$defs\":{");
    for (int i = 0; i < 15; i++) {
        strbuf_addf(&s, "%s\"d%d\":{\"type\":\"object\",\"properties\":{", i ? "," : "", i);
        for (int k = 0; k < 10; k++) {
            strbuf_addf(&s, "%s\"p%d\":{\"$ref\":\"#/$defs/d%d\"}", k ? "," : "", k, i + 1);
        }
        strbuf_addz(&s, "}}");
    }
    strbuf_addz(&s, ",\"d15\":{\"type\":\"string\"}}}");
    REQUIRE_OK(adapt(&b, strbuf_str(&s)), &b.err);
    CHECK(schema_for(&b, LLM_DIALECT_OPENAI).n < LLM_TOOL_SCHEMA_MAX_BYTES);
    CHECK(str_find(schema_for(&b, LLM_DIALECT_OPENAI), STR("$ref")) == SIZE_MAX);
    CHECK(str_find(schema_for(&b, LLM_DIALECT_OPENAI), STR("\"p9\"")) != SIZE_MAX);
}

TEST(size_and_depth_are_bounded) {
    struct bench b cleanup(bench_done) = {0};
    struct strbuf s cleanup(strbuf_done) = STRBUF(1 << 20);
    strbuf_addz(&s, "{\"type\":\"object\",\"properties\":{");
    for (int i = 0; i < 10000; i++) {
        strbuf_addf(&s, "%s\"p%d\":{}", i ? "," : "", i);
    }
    strbuf_addz(&s, "}}");
    CHECK_FAILS(adapt(&b, strbuf_str(&s)), &b.err, ERR_LIMIT);
    strbuf_reset(&s);
    for (int i = 0; i < 30; i++) {
        strbuf_addz(&s, "{\"type\":\"object\",\"properties\":{\"a\":");
    }
    strbuf_addz(&s, "{}");
    for (int i = 0; i < 30; i++) {
        strbuf_addz(&s, "}}");
    }
    CHECK_OK(adapt(&b, strbuf_str(&s)), &b.err);
    strbuf_reset(&s);
    for (int i = 0; i < 40000; i++) {
        strbuf_addz(&s, "{\"a\":");
    }
    CHECK_FAILS(adapt(&b, strbuf_str(&s)), &b.err, ERR_INVALID);
    struct str large = {arena_alloc(&b.arena, 300000), 300000};
    CHECK_FAILS(adapt(&b, large), &b.err, ERR_LIMIT);
}

TEST(parts_of_the_root_are_folded_into_it) {
    BECOMES("{\"allOf\":[{\"type\":\"object\",\"properties\":{\"a\":{}},\"required\":[\"a\"]},"
            "{\"properties\":{\"b\":{}},\"required\":[\"b\",\"a\"]}],"
            "\"properties\":{\"c\":{}}}",
            "{\"properties\":{\"c\":{},\"a\":{},\"b\":{}},\"required\":[\"a\",\"b\"],"
            "\"type\":\"object\"}");
    BECOMES("{\"type\":\"object\",\"properties\":{\"k\":{\"type\":\"string\"}},\"anyOf\":["
            "{\"required\":[\"k\",\"a\"],\"properties\":{\"a\":{\"type\":\"string\"}}},"
            "{\"required\":[\"k\",\"b\"],\"properties\":{\"a\":{\"type\":\"integer\"},"
            "\"b\":{}}}]}",
            "{\"type\":\"object\",\"properties\":{\"k\":{\"type\":\"string\"},"
            "\"a\":{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"integer\"}]},\"b\":{}},"
            "\"required\":[\"k\"]}");
    BECOMES("{\"oneOf\":[{\"type\":\"string\"},{\"type\":\"object\",\"properties\":{\"a\":{}},"
            "\"additionalProperties\":false}]}",
            "{\"properties\":{\"a\":{}},\"type\":\"object\"}");
}

TEST(what_the_root_cannot_say_goes_into_the_description) {
    struct bench b cleanup(bench_done) = {0};
    REQUIRE_OK(adapt(&b, STR("{\"type\":\"object\",\"properties\":{\"a\":{},\"b\":{},\"c\":{}},"
                             "\"oneOf\":[{\"required\":[\"a\"]},{\"required\":[\"b\",\"c\"]}]}")),
               &b.err);
    for (size_t i = 0; i < LLM_DIALECTS; i++) {
        CHECK_STR(b.tool.forms[i].description,
                  "does it\n\nGive exactly one of these sets of parameters: {a} | {b, c}.");
        CHECK_STR(b.tool.forms[i].schema,
                  "{\"type\":\"object\",\"properties\":{\"a\":{},\"b\":{},\"c\":{}}}");
    }
    CHECK_STR(b.tool.description, "does it");
}

TEST(keys_that_anthropic_refuses_get_other_names_and_back) {
    struct bench b cleanup(bench_done) = {0};
    REQUIRE_OK(adapt(&b, STR("{\"type\":\"object\",\"properties\":{\"filter[id]\":{},"
                             "\"$top\":{\"type\":\"integer\"},\"filter_id\":{},\"ok.-_\":{}},"
                             "\"required\":[\"$top\",\"filter_id\"]}")),
               &b.err);
    CHECK(!b.tool.forms[LLM_DIALECT_OPENAI].schema.n);
    CHECK_STR(b.facts.parameters, "filter[id]\n$top\nfilter_id\nok.-_");
    CHECK_STR(schema_for(&b, LLM_DIALECT_ANTHROPIC),
              "{\"type\":\"object\",\"properties\":{\"filter_id_665d001d\":{},"
              "\"_top\":{\"type\":\"integer\"},\"filter_id\":{},\"ok.-_\":{}},"
              "\"required\":[\"_top\",\"filter_id\"]}");
    REQUIRE(b.facts.n_renames == 2);
    struct strbuf arguments cleanup(strbuf_done) = STRBUF(1000);
    strbuf_addf(&arguments, "{\"%.*s\":1,\"_top\":[2],\"filter_id\":3}",
                STR_ARG(b.facts.renames[0].sent));
    CHECK_STR(llm_tool_own_arguments(&b.facts, strbuf_str(&arguments), &b.arena),
              "{\"filter[id]\":1,\"$top\":[2],\"filter_id\":3}");
    CHECK_STR(llm_tool_own_arguments(&b.facts, STR("{\"$top\" : 2}"), &b.arena), "{\"$top\" : 2}");
    CHECK_STR(llm_tool_own_arguments(&b.facts, STR("{broken"), &b.arena), "{broken");
    CHECK_STR(llm_tool_own_arguments(&(struct llm_tool_facts){0}, STR("[]"), &b.arena), "[]");
}

TEST(long_descriptions_are_split_for_openai) {
    struct bench b cleanup(bench_done) = {0};
    struct strbuf d cleanup(strbuf_done) = STRBUF(1 << 16);
    for (int i = 0; i < 300; i++) {
        strbuf_addf(&d, "w\xc3\xb6rd%d ", i);
    }
    b.tool = (struct llm_tool){
        .name = STR("t"),
        .description = strbuf_str(&d),
        .schema = STR("{\"type\":\"object\",\"properties\":{},\"description\":\"mine\"}")};
    REQUIRE_OK(llm_tool_adapt(&b.tool, &b.arena, &b.facts, &b.err), &b.err);
    const struct llm_tool_form *form = &b.tool.forms[LLM_DIALECT_OPENAI];
    CHECK(form->description.n <= 1024 && form->description.n > 1000);
    CHECK(str_is_utf8(form->description) && str_is_utf8(form->schema));
    CHECK(str_find(form->schema, STR("rd299 \\n\\nmine")) != SIZE_MAX);
    CHECK(!b.tool.forms[LLM_DIALECT_ANTHROPIC].description.n);
    CHECK(!b.tool.forms[LLM_DIALECT_ANTHROPIC].schema.n);
}

TEST(the_words_of_2020_12_survive) {
    STAYS("{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"type\":\"object\","
          "\"properties\":{\"a\":{\"type\":\"array\",\"prefixItems\":[{\"type\":\"string\"}],"
          "\"items\":{},\"contains\":{\"const\":1},\"minContains\":1,"
          "\"unevaluatedItems\":false},\"b\":{\"type\":\"object\","
          "\"patternProperties\":{\"^x\":{\"type\":\"string\"}},"
          "\"propertyNames\":{\"maxLength\":3},\"dependentRequired\":{\"x\":[\"y\"]},"
          "\"dependentSchemas\":{\"x\":{\"minProperties\":2}},\"unevaluatedProperties\":false,"
          "\"if\":{\"required\":[\"x\"]},\"then\":{},\"else\":false}},"
          "\"if\":{\"required\":[\"a\"]},\"then\":{\"required\":[\"b\"]}}");
}
