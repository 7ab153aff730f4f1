#include <stdlib.h>

#include "test.h"
#include "tool/builtins.h"

static int ask(const char *arguments, struct arena *arena, struct tool_result *ret,
               struct err *err) {
    json_auto_t *tree = NULL;
    *ret = (struct tool_result){0};
    if (!CHECK_OK(json_read(str_z(arguments), &tree, err), err)) {
        return 0;
    }
    struct tool_call call = {.arguments = tree};
    return tool_current_time.run(&call, arena, ret, NULL, err);
}

TEST(the_zone_asked_for_is_told_and_the_own_one_kept) {
    struct arena arena cleanup(arena_done) = {0};
    struct tool_result result;
    struct err err;
    setenv("TZ", "UTC", 1);
    REQUIRE_OK(ask("{\"time_zone\":\"Asia/Kathmandu\"}", &arena, &result, &err), &err);
    CHECK(str_find(result.content, STR("+05:45 (")) != SIZE_MAX);
    CHECK_STR(str_z(getenv("TZ")), "UTC");
    REQUIRE_OK(ask("{}", &arena, &result, &err), &err);
    CHECK(str_find(result.content, STR("+00:00 (")) != SIZE_MAX);
    CHECK(!result.is_error);
}

TEST(what_is_no_zone_is_refused) {
    static const char *const wrong[] = {"{\"time_zone\":\"../../../etc/passwd\"}",
                                        "{\"time_zone\":\"/etc/passwd\"}",
                                        "{\"time_zone\":\":UTC\"}",
                                        "{\"time_zone\":\"Mars/Olympus\"}",
                                        "{\"time_zone\":7}",
                                        "{\"time_zone\":\"Europe\"}"};
    struct arena arena cleanup(arena_done) = {0};
    struct tool_result result;
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        CHECK_FAILS(ask(wrong[i], &arena, &result, &err), &err, ERR_INVALID);
    }
}
