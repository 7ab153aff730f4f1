#include "base/strbuf.h"

#include "test.h"

TEST(appends_beyond_the_maximum_fail_the_buffer_and_are_dropped) {
    struct strbuf b cleanup(strbuf_done) = STRBUF(5);
    struct err err;
    strbuf_addz(&b, "abc");
    CHECK_OK(strbuf_check(&b, "text", &err), &err);
    strbuf_addz(&b, "def");
    CHECK(b.failed);
    strbuf_addc(&b, 'g');
    CHECK_STR(strbuf_str(&b), "abc");
    CHECK_FAILS(strbuf_check(&b, "text", &err), &err, ERR_LIMIT);
    CHECK_STR(str_z(err.msg), "text is larger than 5 bytes");
    strbuf_reset(&b);
    strbuf_addz(&b, "12345");
    CHECK(!b.failed);
}

TEST(formatting_works_beyond_the_small_buffer) {
    struct strbuf b cleanup(strbuf_done) = STRBUF(1000);
    strbuf_addf(&b, "%s", "x");
    strbuf_addf(&b, "%0500d", 7);
    CHECK_INT(b.n, 501);
    CHECK_INT(strlen(strbuf_z(&b)), 501);
}

TEST(consume_keeps_the_rest) {
    struct strbuf b cleanup(strbuf_done) = STRBUF(100);
    strbuf_addz(&b, "abcdef");
    strbuf_consume(&b, 2);
    CHECK_STR(strbuf_str(&b), "cdef");
    strbuf_consume(&b, 99);
    CHECK_STR(strbuf_str(&b), "");
}

TEST(integers_of_the_whole_range) {
    struct strbuf b cleanup(strbuf_done) = STRBUF(100);
    strbuf_add_i64(&b, INT64_MIN);
    strbuf_addc(&b, ' ');
    strbuf_add_i64(&b, INT64_MAX);
    strbuf_addc(&b, ' ');
    strbuf_add_i64(&b, 0);
    CHECK_STR(strbuf_str(&b), "-9223372036854775808 9223372036854775807 0");
}
