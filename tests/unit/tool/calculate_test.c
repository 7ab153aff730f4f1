#include "base/mem.h"
#include "test.h"
#include "tool/builtins.h"

static const struct {
    const char *expression;
    double value;
} right[] = {
    {"2+2", 4},        {"2 + 3 * 4", 14},   {"(2 + 3) * 4", 20},
    {"-2^2", -4},      {"2^-1", 0.5},       {"2^3^2", 512},
    {"10 / 4", 2.5},   {"10 % 4", 2},       {"2 ** 10", 1024},
    {"--3", 3},        {"5!", 120},         {"3!!", 720},
    {"sqrt(16)", 4},   {"max(1, 7, 3)", 7}, {"round(2.345, 2)", 2.35},
    {"log(8, 2)", 3},  {"log(1000)", 3},    {"1e3 + .5", 1000.5},
    {"pi - pi", 0},    {"min(4)", 4},       {"abs(-3) * e / e", 3},
    {" 1 \t+\n1 ", 2},
};

TEST(calculate_gives_the_value) {
    for (size_t i = 0; i < ARRAY_LEN(right); i++) {
        double v = 0;
        struct err err;
        if (CHECK_OK(calculate(str_z(right[i].expression), &v, &err), &err)) {
            CHECK(v > right[i].value - 1e-9 && v < right[i].value + 1e-9);
        }
    }
}

TEST(calculate_says_where_it_goes_wrong) {
    static const char *const wrong[] = {"",      "2e",   "2 +",       "(1",    "1)",      "1 / 0",
                                        "1 % 0", "foo",  "sqrt 4",    "min()", "1..2",    "2 3",
                                        "(-1)!", "171!", "sqrt(1,2)", "ln(0)", "sqrt(-1)"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        double v;
        struct err err;
        CHECK_FAILS(calculate(str_z(wrong[i]), &v, &err), &err, ERR_INVALID);
    }
}

TEST(calculate_bounds_nesting) {
    char *deep = mem_alloc(2001);
    struct err err;
    double v;
    memset(deep, '(', 2000);
    CHECK_FAILS(calculate(str_z(deep), &v, &err), &err, ERR_INVALID);
    memset(deep, '-', 2000);
    CHECK_FAILS(calculate(str_z(deep), &v, &err), &err, ERR_INVALID);
    mem_free(deep);
}
