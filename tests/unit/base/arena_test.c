#include "base/arena.h"

#include "test.h"

TEST(memory_is_zeroed_aligned_and_does_not_overlap) {
    struct arena a cleanup(arena_done) = {0};
    char *last = NULL;
    for (size_t size = 1; size < 10000; size = size * 2 + 1) {
        char *p = arena_alloc(&a, size);
        CHECK((uintptr_t)p % 16 == 0);
        for (size_t i = 0; i < size; i++) {
            REQUIRE(p[i] == 0);
        }
        memset(p, 0xFF, size);
        CHECK(!last || last[0] == (char)0xFF);
        last = p;
    }
    CHECK(a.total_bytes >= 10000);
}

TEST(strings_are_copied_and_terminated) {
    struct arena a cleanup(arena_done) = {0};
    char source[] = "hello";
    struct str copy = arena_str(&a, str_z(source));
    source[0] = 'j';
    CHECK_STR(copy, "hello");
    CHECK_INT(copy.p[copy.n], 0);
    CHECK_STR(arena_printf(&a, "%d-%s", 7, "x"), "7-x");
    CHECK_STR(arena_str(&a, STR_EMPTY), "");
}
