/* The unit tests' runner. A test file is a program: its tests register themselves, the runner runs
 * each, prints a line for each and closes with "N passed, N failed". Checks record a failure and go
 * on; nothing jumps off a fiber's stack.
 *
 *     TEST(strbuf_keeps_its_maximum) { ... CHECK(b.failed); CHECK_INT(b.n, 3);
 * CHECK_STR(strbuf_str(&b), "abc"); } TEST_FIBER(channel_waits) { ... }        the body runs on a
 * fiber, with a loop that ends when it returns REQUIRE(x) returns from the function when x does not
 * hold.
 *
 * Arguments: none runs all; otherwise substrings of the names to run. ADJUTANT_CHAOS=seed switches
 * the scheduler's chaos on. */
#pragma once
#include <stdbool.h>
#include <stdio.h>

#include "base/err.h"
#include "base/str.h"

struct test_case {
    const char *name;
    void (*run)(void);
    bool on_fiber;
    struct test_case *next;
};

void test_register(struct test_case *t);
bool test_check(bool ok, const char *file, int line, const char *what);
bool test_check_int(long long got, long long want, const char *file, int line, const char *what);
bool test_check_str(struct str got, const char *want, const char *file, int line, const char *what);
/* 0 expected: prints err's message otherwise. */
bool test_check_ok(int rc, const struct err *err, const char *file, int line, const char *what);
/* Expects failure with this code. */
bool test_check_fails(int rc, const struct err *err, enum err_code code, const char *file, int line,
                      const char *what);

#define TEST_DEFINE(name_, fiber_)                                                                 \
    static void test_##name_(void);                                                                \
    static struct test_case test_case_##name_ = {                                                  \
        .name = #name_, .run = test_##name_, .on_fiber = fiber_};                                  \
    __attribute__((constructor)) static void test_register_##name_(void) {                         \
        test_register(&test_case_##name_);                                                         \
    }                                                                                              \
    static void test_##name_(void)

#define TEST(name) TEST_DEFINE(name, false)
#define TEST_FIBER(name) TEST_DEFINE(name, true)

#define CHECK(x) test_check((x), __FILE__, __LINE__, #x)
#define CHECK_INT(got, want)                                                                       \
    test_check_int((long long)(got), (long long)(want), __FILE__, __LINE__, #got)
#define CHECK_STR(got, want) test_check_str((got), (want), __FILE__, __LINE__, #got)
#define CHECK_OK(call, err) test_check_ok((call), (err), __FILE__, __LINE__, #call)
#define CHECK_FAILS(call, err, code)                                                               \
    test_check_fails((call), (err), (code), __FILE__, __LINE__, #call)
#define REQUIRE(x)                                                                                 \
    do {                                                                                           \
        if (!CHECK(x)) {                                                                           \
            return;                                                                                \
        }                                                                                          \
    } while (0)
#define REQUIRE_OK(call, err)                                                                      \
    do {                                                                                           \
        if (!CHECK_OK(call, err)) {                                                                \
            return;                                                                                \
        }                                                                                          \
    } while (0)
