#include "base/json.h"

#include "base/mem.h"
#include "test.h"

TEST(reading_is_strict) {
    static const char *const wrong[] = {"",      "{",           "{\"a\":1,\"a\":2}",
                                        "[1,]",  "\"\\u0000\"", "nul",
                                        "{} {}", "\"\xFF\"",    "'a'",
                                        "[1 2]", "{\"a\"}"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        json_auto_t *tree = NULL;
        struct err err;
        CHECK_FAILS(json_read(str_z(wrong[i]), &tree, &err), &err, ERR_INVALID);
    }
}

TEST(errors_do_not_quote_the_input) {
    json_auto_t *tree = NULL;
    struct err err;
    CHECK_FAILS(json_read(STR("{\"key\": hunter2}"), &tree, &err), &err, ERR_INVALID);
    CHECK(str_find(str_z(err.msg), STR("hunter2")) == SIZE_MAX);
    CHECK(str_find(str_z(err.msg), STR("line 1")) != SIZE_MAX);
}

TEST(depth_is_bounded) {
    char *deep = mem_alloc(2 * 100001);
    struct err err;
    json_auto_t *tree = NULL;
    memset(deep, '[', 100000);
    CHECK_FAILS(json_read(str_z(deep), &tree, &err), &err, ERR_INVALID);
    CHECK(json_depth_ok(STR("[[\"[[[[\\\"[[\"]]"), 2));
    CHECK(!json_depth_ok(STR("[[[]]]"), 2));
    mem_free(deep);
}

TEST(members_of_the_wrong_type_are_told_apart) {
    json_auto_t *tree = NULL;
    struct err err;
    struct str s = STR("kept");
    int64_t n = 7;
    bool b = true;
    REQUIRE_OK(json_read(STR("{\"s\":\"x\",\"n\":3,\"b\":false,\"z\":null}"), &tree, &err), &err);
    CHECK_OK(json_want_str(tree, "missing", 10, &s, &err), &err);
    CHECK_STR(s, "kept");
    CHECK_FAILS(json_want_str(tree, "n", 10, &s, &err), &err, ERR_INVALID);
    CHECK_FAILS(json_want_str(tree, "z", 10, &s, &err), &err, ERR_INVALID);
    CHECK_FAILS(json_want_str(tree, "s", 0, &s, &err), &err, ERR_INVALID);
    CHECK_OK(json_want_str(tree, "s", 1, &s, &err), &err);
    CHECK_STR(s, "x");
    CHECK_FAILS(json_want_int(tree, "n", 4, 9, &n, &err), &err, ERR_INVALID);
    CHECK_OK(json_want_int(tree, "n", 3, 9, &n, &err), &err);
    CHECK_INT(n, 3);
    CHECK_OK(json_want_bool(tree, "b", &b, &err), &err);
    CHECK(!b);
    CHECK_FAILS(json_want_bool(tree, "s", &b, &err), &err, ERR_INVALID);
}

TEST(writer_places_commas_and_escapes) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(1000);
    struct jsonw w = jsonw_begin(&out);
    jsonw_object(&w);
    jsonw_kstr(&w, "s", STR("a\"b\\c\n\x01\x7F\xC3\xA9\xFFz"));
    jsonw_key(&w, "list");
    jsonw_array(&w);
    jsonw_int(&w, -1);
    jsonw_null(&w);
    jsonw_object(&w);
    jsonw_end_object(&w);
    jsonw_double(&w, 1.0 / 0.0);
    jsonw_end_array(&w);
    jsonw_kraw(&w, "raw", STR("[1,2]"));
    jsonw_kbool(&w, "b", true);
    jsonw_end_object(&w);
    CHECK_STR(
        strbuf_str(&out),
        "{\"s\":\"a\\\"b\\\\c\\n\\u0001\x7F\xC3\xA9\xEF\xBF\xBDz\",\"list\":[-1,null,{},null],"
        "\"raw\":[1,2],\"b\":true}");
    json_auto_t *back = NULL;
    struct err err;
    CHECK_OK(json_read(strbuf_str(&out), &back, &err), &err);
}

TEST(writer_stops_at_the_maximum) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(10);
    struct jsonw w = jsonw_begin(&out);
    jsonw_str(&w, STR("longer than ten bytes"));
    CHECK(out.failed);
}

TEST(check_takes_what_rfc_8259_takes) {
    static const char *const good[] = {"0",
                                       "-0.5e+10",
                                       " [ ] ",
                                       "{\"a\":{},\"a\":[1,2,{\"b\":[]}]}",
                                       "\"\\u0000\\ud800\\n\"",
                                       "true",
                                       "[null,false,\"ü\"]"};
    static const char *const bad[] = {
        "",      "-",       "01",         "1.",       ".5",     "1e",        "[1,]",
        "[,1]",  "{\"a\"}", "{a:1}",      "[1 2]",    "[1}",    "{\"a\":1]", "tru",
        "nullx", "\"a",     "\"\\u12\"",  "\"\\q\"",  "\"\t\"", "1 2",       "[",
        "{",     "]",       "{\"a\":1,}", "\"\xc3\"", "+1",     "{\"a\":}",  "{\"a\" 1}"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        test_check(json_check(str_z(good[i]), 10), __FILE__, __LINE__, good[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        test_check(!json_check(str_z(bad[i]), 10), __FILE__, __LINE__, bad[i]);
    }
    CHECK(json_check(STR("[[[1]]]"), 3));
    CHECK(!json_check(STR("[[[1]]]"), 2));
    CHECK(!json_check(STR("[[[]]]"), 2));
    CHECK(json_check(STR("1"), 0));
    CHECK(!json_check(STR("[]"), 0));
}
