#include "base/time_zone.h"
#include "tool/builtins.h"

static int run(const struct tool_call *call, struct arena *arena, struct tool_result *ret,
               void *context, struct err *err) {
    (void)context;
    struct str zone = call->time_zone;
    struct tm tm;
    char date[96], offset[8];
    time_t now = time(NULL);
    if (json_want_str(call->arguments, "time_zone", TIME_ZONE_MAX_BYTES, &zone, err) < 0) {
        return -(int)err->code;
    }
    if (zone.n && !time_zone_exists(zone)) {
        return err_set(err, ERR_INVALID,
                       "time_zone: \"%.*s\" is no zone known here; use a name such as "
                       "\"Europe/Berlin\"",
                       STR_ARG(str_utf8_head(zone, TIME_ZONE_MAX_BYTES)));
    }
    time_zone_local(zone, now, &tm);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm);
    strftime(offset, sizeof offset, "%z", &tm);
    char words[96];
    strftime(words, sizeof words, "%A, week %V", &tm);
    ret->content =
        arena_printf(arena, "%s%.3s:%.2s (%s, %s)", date, offset, offset + 3, words, tm.tm_zone);
    return 0;
}

const struct tool tool_current_time = {
    .name = "current_time",
    .description = "The current date and time, with weekday and UTC offset.",
    .schema =
        "{\"type\":\"object\",\"properties\":{\"time_zone\":{\"type\":\"string\","
        "\"description\":\"IANA time zone such as Europe/Berlin; left out: the user's own\"}},"
        "\"additionalProperties\":false}",
    .repeatable = true,
    .run = run,
};
