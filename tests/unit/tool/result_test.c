/* What comes of results of MCP servers, sound and hostile ones. */
#include "base/crypto.h"
#include "test.h"
#include "tool/toolset.h"

#define PNG                                                                                        \
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+"                                \
    "M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

struct bench {
    struct arena arena;
    struct tool_result result;
    struct err err;
};

static void bench_done(struct bench *b) {
    arena_done(&b->arena);
}

static void reads(const char *json, const char *want, bool blocks, int line) {
    struct bench b cleanup(bench_done) = {0};
    int rc = tool_result_from_mcp(str_z(json), false, &b.arena, &b.result, &b.err);
    if (test_check_ok(rc, &b.err, __FILE__, line, json)) {
        test_check_str(b.result.content, want, __FILE__, line, json);
        test_check(b.result.is_blocks == blocks, __FILE__, line, "is_blocks");
    }
}
#define READS(json, want) reads(json, want, false, __LINE__)
#define READS_BLOCKS(json, want) reads(json, want, true, __LINE__)

TEST(text_is_text) {
    READS("{\"content\":[{\"type\":\"text\",\"text\":\"gr\\u00fc\\u00dfe \\ud83d\\ude00\\n\"}]}",
          "gr\xc3\xbc\xc3\x9f"
          "e \xf0\x9f\x98\x80\n");
    READS("{\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}],"
          "\"structuredContent\":{\"a\":1}}",
          "a\nb");
    READS("{\"content\":[{\"type\":\"text\",\"text\":\"a\\u0000b\\ud800c\\udc00\"}]}",
          "a\xef\xbf\xbd"
          "b\xef\xbf\xbd"
          "c\xef\xbf\xbd");
}

TEST(structured_content_is_shown_where_there_is_no_other) {
    READS("{\"content\":[],\"structuredContent\":{\"a\": [1,{}]}}", "{\"a\": [1,{}]}");
    READS("{\"structuredContent\":[1]}", "[1]");
    READS("{\"structuredContent\":null}", "null");
    READS("{\"content\":[]}", "[The tool gave no result.]");
    READS("{}", "[The tool gave no result.]");
    READS("{\"content\":[{\"type\":\"text\",\"text\":\"\"}]}", "[The tool gave no result.]");
}

TEST(images_are_blocks) {
    READS_BLOCKS("{\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":"
                 "\"b\"},{\"type\":\"image\",\"mimeType\":\"image/jpeg\",\"data\":\"" PNG "\"},"
                 "{\"type\":\"text\",\"text\":\"c\"}]}",
                 "[{\"type\":\"text\",\"text\":\"a\\nb\"},{\"type\":\"image\",\"media_type\":"
                 "\"image/png\",\"data\":\"" PNG "\"},{\"type\":\"text\",\"text\":\"c\"}]");
    READS_BLOCKS("{\"content\":[{\"type\":\"resource\",\"resource\":{\"uri\":\"x:y\",\"mimeType\":"
                 "\"image/png\",\"blob\":\"" PNG "\\n\"}}]}",
                 "[{\"type\":\"image\",\"media_type\":\"image/png\",\"data\":\"" PNG "\"}]");
}

TEST(images_that_no_model_sees_are_described) {
    READS(
        "{\"content\":[{\"type\":\"image\",\"mimeType\":\"image/svg+xml\",\"data\":\"PHN2Zz4=\"}]}",
        "[An image (image/svg+xml, about 1 KB): it is of a kind that cannot be shown.]");
    READS("{\"content\":[{\"type\":\"image\",\"mimeType\":\"image/png\",\"data\":\"iVBO*\"}]}",
          "[An image (image/png, about 1 KB): its data is no valid base64.]");
    READS("{\"content\":[{\"type\":\"image\",\"data\":5}]}",
          "[An image (unknown type, about 0 KB): it is of a kind that cannot be shown.]");
    READS("{\"content\":[{\"type\":\"image\",\"mimeType\":\"image/png\",\"data\":"
          "\"iVBORw0KGgoAAAANSUhEUgAAgAAAAAABCAYAAAAfFcSJAAAADUlEQVR42g==\"}]}",
          "[An image (image/png, about 1 KB): it has too many pixels to be shown.]");
}

TEST(images_are_bounded_in_size_and_number) {
    struct bench b cleanup(bench_done) = {0};
    struct strbuf json cleanup(strbuf_done) = STRBUF(16 << 20);
    strbuf_addz(&json, "{\"content\":[");
    for (int i = 0; i < 6; i++) {
        strbuf_addz(&json, "{\"type\":\"image\",\"mimeType\":\"image/png\",\"data\":\"" PNG "\"},");
    }
    strbuf_addz(&json, "{\"type\":\"image\",\"mimeType\":\"image/png\",\"data\":\"");
    for (int i = 0; i < 400000; i++) {
        strbuf_addz(&json, "AAAA");
    }
    strbuf_addz(&json, "\"}]}");
    REQUIRE_OK(tool_result_from_mcp(strbuf_str(&json), false, &b.arena, &b.result, &b.err), &b.err);
    json_auto_t *blocks = NULL;
    REQUIRE_OK(json_read(b.result.content, &blocks, &b.err), &b.err);
    CHECK_INT(json_array_size(blocks), TOOL_RESULT_MAX_IMAGES + 1);
    struct str text = json_str(json_array_get(blocks, TOOL_RESULT_MAX_IMAGES), "text");
    CHECK(str_find(text, STR("too many images")) != SIZE_MAX);
    CHECK(str_find(text, STR("about 1172 KB): it is too large to be shown")) != SIZE_MAX);
}

TEST(other_content_is_described) {
    READS("{\"content\":[{\"type\":\"audio\",\"mimeType\":\"audio/wav\",\"data\":\"AAAA\"}]}",
          "[A sound (audio/wav, about 1 KB), which cannot be played here.]");
    READS("{\"content\":[{\"type\":\"resource\",\"resource\":{\"uri\":\"file:///a\",\"text\":\"in "
          "it\"}}]}",
          "[Resource file:///a]\nin it");
    READS("{\"content\":[{\"type\":\"resource\",\"resource\":{\"uri\":\"file:///a\",\"mimeType\":"
          "\"application/zip\",\"blob\":\"AAAA\"}}]}",
          "[Resource file:///a: about 1 KB of application/zip.]");
    READS("{\"content\":[{\"type\":\"resource\",\"resource\":[]}]}",
          "[Resource without an address, which cannot be read.]");
    READS("{\"content\":[{\"type\":\"resource_link\",\"uri\":\"file:///a\",\"name\":\"A\","
          "\"mimeType\":\"text/plain\",\"description\":\"two\\nlines\"}]}",
          "[Link to a resource: file:///a, A (text/plain): two lines]");
    READS("{\"content\":[{\"type\":\"resource_link\"},{\"type\":\"hologram\"},7,null,{}]}",
          "[Link to a resource: without an address]\n"
          "[Content of a kind that is not known here: \"hologram\".]\n"
          "[Content of a kind that is not known here: \"\".]\n"
          "[Content of a kind that is not known here: \"\".]\n"
          "[Content of a kind that is not known here: \"\".]");
    READS("{\"content\":[{\"type\":\"text\"},{\"type\":\"text\",\"text\":[1]}]}",
          "[A text that cannot be read.]\n[A text that cannot be read.]");
}

TEST(long_text_is_cut_between_characters_and_said_so) {
    struct bench b cleanup(bench_done) = {0};
    struct strbuf json cleanup(strbuf_done) = STRBUF(16 << 20);
    strbuf_addz(&json, "{\"content\":[{\"type\":\"text\",\"text\":\"x");
    for (int i = 0; i < 200000; i++) {
        strbuf_addz(&json, "\xc3\xbc");
    }
    strbuf_addz(&json, "\"},{\"type\":\"text\",\"text\":\"more\"}]}");
    REQUIRE_OK(tool_result_from_mcp(strbuf_str(&json), true, &b.arena, &b.result, &b.err), &b.err);
    CHECK(b.result.is_error);
    CHECK(b.result.content.n <= TOOL_RESULT_MAX_BYTES);
    CHECK(b.result.content.n > TOOL_RESULT_MAX_BYTES - 400);
    CHECK(str_is_utf8(b.result.content));
    CHECK(str_ends(b.result.content, STR(" more bytes of text were cut off here.]")));
}

TEST(what_is_no_result_is_an_error) {
    static const char *const texts[] = {"",
                                        "[]",
                                        "null",
                                        "\"x\"",
                                        "{",
                                        "{\"content\":[{]}",
                                        "{\"content\":[1,]}",
                                        "{}x",
                                        "nonsense",
                                        "{\"content\":{}}",
                                        "{\"content\":\"text\"}"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct bench b cleanup(bench_done) = {0};
        CHECK_FAILS(tool_result_from_mcp(str_z(texts[i]), false, &b.arena, &b.result, &b.err),
                    &b.err, ERR_PROTOCOL);
    }
    struct bench b cleanup(bench_done) = {0};
    struct strbuf deep cleanup(strbuf_done) = STRBUF(1 << 20);
    strbuf_addz(&deep, "{\"content\":");
    for (int i = 0; i < 100000; i++) {
        strbuf_addz(&deep, "[");
    }
    CHECK_FAILS(tool_result_from_mcp(strbuf_str(&deep), false, &b.arena, &b.result, &b.err), &b.err,
                ERR_PROTOCOL);
}

TEST(many_parts_are_bounded) {
    struct bench b cleanup(bench_done) = {0};
    struct strbuf json cleanup(strbuf_done) = STRBUF(1 << 20);
    strbuf_addz(&json, "{\"content\":[0");
    for (int i = 0; i < 5000; i++) {
        strbuf_addz(&json, ",{\"type\":\"resource\",\"resource\":{\"uri\":\"u\",\"text\":\"t\"}}");
    }
    strbuf_addz(&json, "]}");
    REQUIRE_OK(tool_result_from_mcp(strbuf_str(&json), false, &b.arena, &b.result, &b.err), &b.err);
    CHECK(str_ends(b.result.content, STR("[4001 more parts were left out.]")));
}
