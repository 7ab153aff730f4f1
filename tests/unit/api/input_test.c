#include "api/input.h"

#include "api/json_input.h"
#include "test.h"

/* The canonical content of {"content": ...}, or "error: <message>". */
static const char *content_of(const char *json) {
    static char result[4096];
    json_auto_t *tree = NULL;
    struct err err;
    struct str canonical;
    struct input_content content cleanup(input_content_done);
    input_content_begin(&content);
    if (json_read(str_z(json), &tree, &err) < 0 || input_content_value(&content, tree, &err) < 0 ||
        input_content_end(&content, &canonical, &err) < 0) {
        snprintf(result, sizeof result, "error: %s", err.msg);
    } else {
        snprintf(result, sizeof result, "%.*s", STR_ARG(canonical));
    }
    return result;
}

TEST(every_dialect_becomes_canonical) {
    static const struct {
        const char *given, *canonical;
    } cases[] = {
        {"\"hi\"", "[{\"type\":\"text\",\"text\":\"hi\"}]"},
        {"[{\"type\":\"text\",\"text\":\"a\\\"\"},{\"type\":\"input_text\",\"text\":\"b\"}]",
         "[{\"type\":\"text\",\"text\":\"a\\\"\"},{\"type\":\"text\",\"text\":\"b\"}]"},
        {"[{\"type\":\"image\",\"media_type\":\"image/png\",\"data\":\"QUJD\"}]",
         "[{\"type\":\"image\",\"media_type\":\"image/png\",\"data\":\"QUJD\"}]"},
        {"[{\"type\":\"image\",\"url\":\"https://x.example/a.png\"}]",
         "[{\"type\":\"image\",\"url\":\"https://x.example/a.png\"}]"},
        {"[{\"type\":\"image\",\"source\":{\"type\":\"data\",\"value\":\"QUI=\",\"mimeType\":"
         "\"image/gif\"}}]",
         "[{\"type\":\"image\",\"media_type\":\"image/gif\",\"data\":\"QUI=\"}]"},
        {"[{\"type\":\"image\",\"source\":{\"type\":\"url\",\"value\":\"https://x.example/\"}}]",
         "[{\"type\":\"image\",\"url\":\"https://x.example/\"}]"},
        {"[{\"type\":\"binary\",\"mimeType\":\"image/webp\",\"data\":\"QQ==\"}]",
         "[{\"type\":\"image\",\"media_type\":\"image/webp\",\"data\":\"QQ==\"}]"},
        {"[{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/jpeg;base64,QUJD\"}}]",
         "[{\"type\":\"image\",\"media_type\":\"image/jpeg\",\"data\":\"QUJD\"}]"},
        {"[{\"type\":\"input_image\",\"image_url\":\"https://x.example/\"}]",
         "[{\"type\":\"image\",\"url\":\"https://x.example/\"}]"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_STR(str_z(content_of(cases[i].given)), cases[i].canonical);
    }
}

TEST(what_is_wrong_is_refused) {
    static const char *const cases[] = {
        "7",
        "{}",
        "[]",
        "\"  \\n\"",
        "[\"text\"]",
        "[{\"text\":\"no type\"}]",
        "[{\"type\":\"text\"}]",
        "[{\"type\":\"text\",\"text\":5}]",
        "[{\"type\":\"video\",\"url\":\"https://x.example/\"}]",
        "[{\"type\":\"image\"}]",
        "[{\"type\":\"image\",\"media_type\":\"image/svg+xml\",\"data\":\"QUJD\"}]",
        "[{\"type\":\"image\",\"media_type\":\"image/png\",\"data\":\"QUJ\"}]",
        "[{\"type\":\"image\",\"media_type\":\"image/png\",\"data\":\"Q=JD\"}]",
        "[{\"type\":\"image\",\"media_type\":\"image/png\",\"data\":\"QU*D\"}]",
        "[{\"type\":\"image\",\"media_type\":\"image/png\",\"data\":\"\"}]",
        "[{\"type\":\"image\",\"url\":\"http://x.example/\"}]",
        "[{\"type\":\"image\",\"url\":\"https://\"}]",
        "[{\"type\":\"image\",\"url\":\"https://x /\"}]",
        "[{\"type\":\"image\",\"url\":\"file:///etc/passwd\"}]",
        "[{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png,abc\"}}]",
        "[{\"type\":\"image_url\",\"image_url\":7}]",
        "[{\"type\":\"image\",\"source\":{\"type\":\"file\",\"value\":\"f-1\"}}]",
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (!CHECK(str_starts(str_z(content_of(cases[i])), STR("error: ")))) {
            printf("%s\n", cases[i]);
        }
    }
}

TEST(blocks_have_a_maximum) {
    struct err err;
    struct input_content content cleanup(input_content_done);
    input_content_begin(&content);
    for (int i = 0; i < INPUT_MAX_BLOCKS; i++) {
        CHECK_OK(input_content_text(&content, STR("x"), &err), &err);
    }
    CHECK_FAILS(input_content_text(&content, STR("x"), &err), &err, ERR_INVALID);
}

TEST(text_has_a_maximum) {
    struct err err;
    struct str canonical;
    struct strbuf text cleanup(strbuf_done) = STRBUF(TURN_MAX_TEXT_BYTES + 1);
    struct input_content content cleanup(input_content_done);
    while (text.n <= TURN_MAX_TEXT_BYTES) {
        strbuf_addc(&text, 'x');
    }
    input_content_begin(&content);
    CHECK_OK(input_content_text(&content, strbuf_str(&text), &err), &err);
    CHECK_FAILS(input_content_end(&content, &canonical, &err), &err, ERR_LIMIT);
}

static int read_chat(const char *json, struct turn_submission *s, struct err *err) {
    static json_t *tree;
    static struct input_content content;
    json_decref(tree);
    tree = NULL;
    input_content_done(&content);
    input_content_begin(&content);
    *s = (struct turn_submission){0};
    if (!json) {
        input_content_done(&content);
        return 0;
    }
    int rc = json_read(str_z(json), &tree, err);
    return rc < 0 ? rc : input_read_chat(tree, &input_names_rest, &content, s, err);
}

TEST(a_submission_is_read) {
    struct turn_submission s;
    struct err err;
    CHECK_OK(read_chat("{\"message\":\"hi\",\"thread_id\":\"a@b|c\",\"turn_id\":\"t\",\"model\":"
                       "\"openai:x\",\"agent\":\"cos\"}",
                       &s, &err),
             &err);
    CHECK_STR(s.text, "hi");
    CHECK_STR(s.thread_id, "a@b|c");
    CHECK_STR(s.turn_id, "t");
    CHECK_STR(s.model, "openai:x");
    CHECK_INT(s.content_json.n, 0);
    CHECK_OK(read_chat("{\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]}", &s, &err), &err);
    CHECK_STR(s.content_json, "[{\"type\":\"text\",\"text\":\"hi\"}]");
    CHECK_INT(s.thread_id.n, 0);
    CHECK_OK(read_chat(NULL, &s, &err), &err);
}

TEST(a_bad_submission_is_refused) {
    static const char *const cases[] = {
        "{}",
        "{\"message\":7}",
        "{\"message\":null}",
        "{\"message\":\" \"}",
        "{\"message\":\"a\",\"content\":[]}",
        "{\"content\":\"text\"}",
        "{\"content\":{}}",
        "{\"message\":\"a\",\"thread_id\":7}",
        "{\"message\":\"a\",\"thread_id\":\"\"}",
        "{\"message\":\"a\",\"thread_id\":\"a b\"}",
        "{\"message\":\"a\",\"thread_id\":\"a/b\"}",
        "{\"message\":\"a\",\"turn_id\":\"\\u00e4\"}",
        "{\"message\":\"a\",\"model\":[]}",
        "{\"message\":\"a\",\"agent\":true}",
    };
    struct turn_submission s;
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (!CHECK_FAILS(read_chat(cases[i], &s, &err), &err, ERR_INVALID)) {
            printf("%s\n", cases[i]);
        }
        CHECK_INT(s.text.n, 0);
    }
    CHECK_OK(read_chat(NULL, &s, &err), &err);
}

TEST(values_are_counted_outside_strings) {
    CHECK(json_is_small(STR("[1,2,3]"), 4));
    CHECK(!json_is_small(STR("[1,2,3]"), 3));
    CHECK(json_is_small(STR("\"[,,,\\\",,,{{\""), 1));
    CHECK(!json_is_small(STR("[[[["), 4));
    CHECK(json_is_small(STR(""), 1));
}

TEST_FIBER(large_json_is_parsed_elsewhere) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(1 << 20);
    json_auto_t *tree = NULL;
    struct err err;
    strbuf_addz(&text, "{\"a\":\"");
    while (text.n < 600000) {
        strbuf_addz(&text, "xxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    }
    CHECK_FAILS(json_input_read(strbuf_str(&text), &tree, &err), &err, ERR_INVALID);
    strbuf_addz(&text, "\"}");
    REQUIRE_OK(json_input_read(strbuf_str(&text), &tree, &err), &err);
    CHECK(json_str(tree, "a").n > 590000);
}

TEST_FIBER(too_many_values_are_refused) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(1 << 20);
    json_t *tree = NULL;
    struct err err;
    strbuf_addc(&text, '[');
    for (int i = 0; i < JSON_INPUT_MAX_VALUES; i++) {
        strbuf_addz(&text, "1,");
    }
    strbuf_addz(&text, "1]");
    CHECK_FAILS(json_input_read(strbuf_str(&text), &tree, &err), &err, ERR_INVALID);
}
