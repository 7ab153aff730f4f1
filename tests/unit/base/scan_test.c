#include "base/scan.h"

#include "test.h"

static bool unescapes(const char *raw, const char *want) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(1000);
    return scan_unescape(&out, str_z(raw)) && CHECK_STR(strbuf_str(&out), want);
}

TEST(escapes_mean_what_json_says) {
    CHECK(unescapes("", ""));
    CHECK(unescapes("plain ü", "plain ü"));
    CHECK(unescapes("\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t"));
    CHECK(unescapes("a\\u00fcb\\u20AC\\ud83d\\ude00c", "aüb€😀c"));
    CHECK(unescapes("\\u007f\\u0080\\u07ff\\u0800\\uffff", "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80"
                                                           "\xef\xbf\xbf"));
}

TEST(what_is_no_json_string_is_refused) {
    static const char *const bad[] = {
        "\\",      "\\x",          "\\u",
        "\\u12",   "\\u12g4",      "\\u0000",
        "\\ud83d", "\\ud83dx....", "\\ud83d\\u0041",
        "\\ude00", "a\xff",        "\\ud83d\\ud83d",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (!CHECK(!unescapes(bad[i], ""))) {
            printf("    %s\n", bad[i]);
        }
    }
}

static bool skips(const char *text, const char *rest) {
    struct scan s = scan_begin(str_z(text));
    return scan_skip(&s) && CHECK_STR(((struct str){s.p, (size_t)(s.end - s.p)}), rest);
}

TEST(any_value_can_be_skipped) {
    CHECK(skips(" 12.5e-3,x", ",x"));
    CHECK(skips("true}", "}"));
    CHECK(skips("\"a\\\"b\" ,", " ,"));
    CHECK(skips("{\"a\":[1,{\"b\":\"]}\"}],\"c\":null} ]", " ]"));
    CHECK(skips("[]]", "]"));
    CHECK(skips("[1]]", "]"));
    CHECK(skips("[1E5,null]", ""));
}

TEST(what_is_no_value_is_not_skipped) {
    static const char *const bad[] = {"",          " ",     "\"a", "\"a\\", "[1",
                                      "{\"a\":1]", "[\"a]", ",",   "}",     "\"a\nb\""};
    char deep[200];
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct scan s = scan_begin(str_z(bad[i]));
        CHECK(!scan_skip(&s));
    }
    memset(deep, '[', sizeof deep);
    memset(deep + 100, ']', 100);
    struct scan s = scan_begin((struct str){deep, sizeof deep});
    CHECK(!scan_skip(&s));
}

TEST(members_come_in_order) {
    struct scan s = scan_begin(STR(" { \"a\" : 1 , \"b\":\"x\\n\" } "));
    struct str key, value;
    bool first = true;
    REQUIRE(scan_open(&s, '{'));
    CHECK(scan_member(&s, &first, &key) && scan_is(key, "a") && scan_skip(&s));
    CHECK(scan_member(&s, &first, &key) && scan_is(key, "b") && scan_string(&s, &value));
    CHECK_STR(value, "x\\n");
    CHECK(!scan_member(&s, &first, &key) && !key.p);
    CHECK(scan_at_end(&s));
}

TEST(members_that_are_broken_are_told_from_the_end) {
    static const char *const bad[] = {"{\"a\" 1}", "{a:1}", "{\"a\":1 \"b\":2}", "{\"a\":1"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct scan s = scan_begin(str_z(bad[i]));
        struct str key;
        bool first = true;
        CHECK(scan_open(&s, '{'));
        while (scan_member(&s, &first, &key)) {
            CHECK(scan_skip(&s));
        }
        CHECK(key.p != NULL);
    }
}

TEST(members_are_found_by_name) {
    struct str object = STR("{ \"a\": [1, {\"b\":2}] ,\"c\\u0064\":\"x\",\"a\":3}");
    CHECK_STR(scan_get(object, "a"), "[1, {\"b\":2}]");
    CHECK_STR(scan_get(object, "cd"), "\"x\"");
    CHECK(!scan_get(object, "b").p);
    CHECK(!scan_get(STR("[1]"), "a").p);
    CHECK(!scan_get(STR("{\"a\":"), "a").p);
    CHECK(!scan_get(STR_EMPTY, "a").p);
}

TEST(elements_come_in_order) {
    struct scan s = scan_begin(STR("[ 1, [2 ,3],\"x\" ]"));
    struct str e;
    bool first = true;
    REQUIRE(scan_open(&s, '['));
    CHECK(scan_element(&s, &first, &e));
    CHECK_STR(e, "1");
    CHECK(scan_element(&s, &first, &e));
    CHECK_STR(e, "[2 ,3]");
    CHECK(scan_element(&s, &first, &e));
    CHECK_STR(e, "\"x\"");
    CHECK(!scan_element(&s, &first, &e));
    CHECK(!e.p && scan_at_end(&s));
    s = scan_begin(STR("1 2]"));
    first = true;
    CHECK(scan_element(&s, &first, &e));
    CHECK(!scan_element(&s, &first, &e));
    CHECK(e.p != NULL);
}

TEST(texts_are_unescaped_into_the_arena) {
    struct arena arena cleanup(arena_done) = {0};
    struct str meant;
    CHECK(scan_text(&arena, STR(" \"a\\nb\" "), &meant));
    CHECK_STR(meant, "a\nb");
    CHECK(scan_text(&arena, STR("\"\""), &meant));
    CHECK_STR(meant, "");
    CHECK(!scan_text(&arena, STR("7"), &meant));
    CHECK(!scan_text(&arena, STR("\"a\" 1"), &meant));
    CHECK(!scan_text(&arena, STR("\"\\ud800\""), &meant));
}

/* A special byte at each place of a long string, and what is none but nearly so. */
TEST(strings_end_where_their_quote_is) {
    static const struct {
        char byte;
        bool ends, refused;
    } cases[] = {{'"', true, false},     {'\x1f', false, true},  {'\n', false, true},
                 {'\0', false, true},    {' ', false, false},    {'!', false, false},
                 {'#', false, false},    {'[', false, false},    {']', false, false},
                 {'\x7f', false, false}, {'\x80', false, false}, {'\xa2', false, false},
                 {'\xdc', false, false}, {'\xff', false, false}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (size_t at = 0; at < 40; at++) {
            char text[48];
            memset(text, 'x', sizeof text);
            text[0] = text[41] = '"';
            text[1 + at] = cases[i].byte;
            struct scan s = scan_begin((struct str){text, 42});
            struct str raw = STR_EMPTY;
            CHECK(scan_string(&s, &raw) == !cases[i].refused);
            CHECK_INT(raw.n, cases[i].refused ? 0 : cases[i].ends ? at : 40);
        }
    }
    char escaped[] = "\"xxxxxxx\\\"xxxxxxxxxxxx\\\\\"yyyyyyyyyyyy";
    struct scan s = scan_begin(str_z(escaped));
    struct str raw;
    REQUIRE(scan_string(&s, &raw));
    CHECK_STR(raw, "xxxxxxx\\\"xxxxxxxxxxxx\\\\");
}
