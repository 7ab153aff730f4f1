#include "base/str.h"

#include "test.h"

TEST(str_to_i64_takes_the_whole_range) {
    int64_t v = 7;
    CHECK(str_to_i64(STR("-9223372036854775808"), &v) && v == INT64_MIN);
    CHECK(str_to_i64(STR("9223372036854775807"), &v) && v == INT64_MAX);
    CHECK(!str_to_i64(STR("9223372036854775808"), &v));
    CHECK(!str_to_i64(STR("-9223372036854775809"), &v));
    CHECK(!str_to_i64(STR(""), &v) && !str_to_i64(STR("-"), &v) && !str_to_i64(STR("1 "), &v));
    CHECK(v == INT64_MAX);
}

TEST(str_cut_splits_at_the_first) {
    struct str rest = STR("a=b=c");
    CHECK_STR(str_cut(&rest, '='), "a");
    CHECK_STR(rest, "b=c");
    CHECK_STR(str_cut(&rest, ';'), "b=c");
    CHECK_STR(rest, "");
}

TEST(str_utf8_head_never_cuts_a_character) {
    struct str s = STR("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80");
    size_t whole[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10};
    for (size_t max = 0; max <= 10; max++) {
        CHECK_INT(str_utf8_head(s, max).n, whole[max]);
    }
}

TEST(str_is_utf8_refuses_what_the_standard_refuses) {
    CHECK(str_is_utf8(STR("plain ascii, longer than eight bytes")));
    CHECK(str_is_utf8(STR("\xF4\x8F\xBF\xBF")));
    CHECK(!str_is_utf8(STR("\xC0\x80")));         /* overlong */
    CHECK(!str_is_utf8(STR("\xED\xA0\x80")));     /* surrogate */
    CHECK(!str_is_utf8(STR("\xF4\x90\x80\x80"))); /* beyond U+10FFFF */
    CHECK(!str_is_utf8(STR("eight by\xE2\x82"))); /* cut */
    CHECK(!str_is_utf8(STR("\x80")));
}
