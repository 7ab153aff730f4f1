#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tool/builtins.h"

enum { MAX_ZONE_BYTES = 64 };

/* A name from the time zone database, and nothing that could lead out of it. */
static bool zone_exists(struct str zone) {
    char path[sizeof "/usr/share/zoneinfo/" + MAX_ZONE_BYTES];
    if (zone.n == 0 || zone.n > MAX_ZONE_BYTES || zone.p[0] == '/' || zone.p[0] == ':' ||
        str_find(zone, STR("..")) != SIZE_MAX) {
        return false;
    }
    snprintf(path, sizeof path, "/usr/share/zoneinfo/%.*s", STR_ARG(zone));
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, R_OK) == 0;
}

/* The C library converts in the zone of its environment only. It is put back before anything else
 * can run. */
static void local_time_in(struct str zone, time_t now, struct tm *ret) {
    char name[MAX_ZONE_BYTES + 2];
    const char *before = getenv("TZ");
    char *saved = before ? str_dup_z(str_z(before)) : NULL;
    snprintf(name, sizeof name, ":%.*s", STR_ARG(zone));
    setenv("TZ", name, 1);
    tzset();
    localtime_r(&now, ret);
    saved ? setenv("TZ", saved, 1) : unsetenv("TZ");
    tzset();
    free(saved);
}

static int run(const struct tool_call *call, struct arena *arena, struct tool_result *ret,
               void *context, struct err *err) {
    (void)context;
    struct str zone = call->time_zone;
    struct tm tm;
    char date[96], offset[8];
    time_t now = time(NULL);
    if (json_want_str(call->arguments, "time_zone", MAX_ZONE_BYTES, &zone, err) < 0) {
        return -(int)err->code;
    }
    if (zone.n && !zone_exists(zone)) {
        return err_set(err, ERR_INVALID,
                       "time_zone: \"%.*s\" is no zone known here; use a name such as "
                       "\"Europe/Berlin\"",
                       STR_ARG(str_utf8_head(zone, MAX_ZONE_BYTES)));
    }
    if (zone.n) {
        local_time_in(zone, now, &tm);
    } else {
        localtime_r(&now, &tm);
    }
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
