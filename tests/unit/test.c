#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "fiber/fiber.h"

static struct test_case *cases, **last = &cases;
static int failed_checks;

void test_register(struct test_case *t) {
    *last = t;
    last = &t->next;
}

static bool report(bool ok, const char *file, int line, const char *what, const char *detail) {
    if (!ok) {
        failed_checks++;
        printf("  %s:%d: %s%s%s\n", file, line, what, detail[0] ? ": " : "", detail);
    }
    return ok;
}

bool test_check(bool ok, const char *file, int line, const char *what) {
    return report(ok, file, line, what, "");
}

bool test_check_int(long long got, long long want, const char *file, int line, const char *what) {
    char detail[96];
    snprintf(detail, sizeof detail, "got %lld, want %lld", got, want);
    return report(got == want, file, line, what, detail);
}

bool test_check_str(struct str got, const char *want, const char *file, int line,
                    const char *what) {
    char detail[2048];
    snprintf(detail, sizeof detail, "got \"%.*s\", want \"%s\"", STR_ARG(str_head(got, 900)), want);
    return report(str_eq(got, str_z(want)), file, line, what, detail);
}

bool test_check_ok(int rc, const struct err *err, const char *file, int line, const char *what) {
    return report(rc == 0, file, line, what, rc == 0 ? "" : err->msg);
}

bool test_check_fails(int rc, const struct err *err, enum err_code code, const char *file, int line,
                      const char *what) {
    char detail[400];
    snprintf(detail, sizeof detail, "got %s (%s), want %s", err_name((enum err_code) - rc),
             rc ? err->msg : "", err_name(code));
    return report(rc == -(int)code, file, line, what, detail);
}

static void run_case(void *arg) {
    ((struct test_case *)arg)->run();
}

static void run_on_fiber(struct test_case *t) {
    uv_loop_t loop;
    struct fiber_scope scope;
    struct err err;
    const char *chaos = getenv("ADJUTANT_CHAOS");
    struct fiber_options options = {.chaos_seed = chaos ? strtoull(chaos, NULL, 10) : 0};

    uv_loop_init(&loop);
    fiber_runtime_start(&loop, &options);
    fiber_scope_init(&scope);
    if (CHECK_OK(fiber_spawn(&scope, t->name, run_case, t, NULL, &err), &err)) {
        uv_run(&loop, UV_RUN_DEFAULT);
        CHECK(list_empty(&scope.fibers));
    }
    fiber_runtime_stop();
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&loop), 0);
}

static bool selected(const struct test_case *t, int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        if (strstr(t->name, argv[i])) {
            return true;
        }
    }
    return argc == 1;
}

int main(int argc, char **argv) {
    int passed = 0, failed = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (struct test_case *t = cases; t; t = t->next) {
        if (!selected(t, argc, argv)) {
            continue;
        }
        failed_checks = 0;
        t->on_fiber ? run_on_fiber(t) : t->run();
        printf("%s %s\n", failed_checks ? "FAIL" : "ok  ", t->name);
        failed_checks ? failed++ : passed++;
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed ? 1 : 0;
}
