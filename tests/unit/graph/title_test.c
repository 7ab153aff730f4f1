#include "graph/internal.h"
#include "test.h"

TEST(what_a_model_calls_a_title) {
    struct arena arena cleanup(arena_done) = {0};
    CHECK_STR(title_clean(STR("Plans for Rome"), &arena), "Plans for Rome");
    CHECK_STR(title_clean(STR("  \"Plans for Rome.\"  "), &arena), "Plans for Rome");
    CHECK_STR(title_clean(STR("Title: **Plans for Rome**\nBecause you asked."), &arena),
              "Plans for Rome");
    CHECK_STR(title_clean(STR("# A\tb   c\x01"), &arena), "A b c");
    CHECK_STR(title_clean(STR("\"\""), &arena), "");
    CHECK_STR(title_clean(STR_EMPTY, &arena), "");
}

TEST(a_long_title_ends_between_characters) {
    struct arena arena cleanup(arena_done) = {0};
    struct strbuf text cleanup(strbuf_done) = STRBUF(1000);
    for (int i = 0; i < 100; i++) {
        strbuf_addz(&text, "\u20ac");
    }
    struct str title = title_clean(strbuf_str(&text), &arena);
    CHECK(title.n > 60 && title.n <= 120 && str_is_utf8(title));
}

TEST(the_first_words) {
    struct arena arena cleanup(arena_done) = {0};
    CHECK_STR(title_of_words(STR("Where is\n the  key?"), &arena), "Where is the key?");
    CHECK_STR(title_of_words(STR("one two three four five six seven eight nine ten eleven twelve"),
                             &arena),
              "one two three four five six seven eight nine ten eleven\u2026");
    CHECK_STR(title_of_words(STR_EMPTY, &arena), "");
}

TEST(words_without_spaces_are_cut_between_characters) {
    struct arena arena cleanup(arena_done) = {0};
    struct strbuf text cleanup(strbuf_done) = STRBUF(1000);
    for (int i = 0; i < 100; i++) {
        strbuf_addz(&text, "\u4f60");
    }
    struct str title = title_of_words(strbuf_str(&text), &arena);
    CHECK(title.n > 30 && title.n <= 63 && str_is_utf8(title));
}
