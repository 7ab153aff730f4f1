#include "base/time_zone.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

#define DATABASE "/usr/share/zoneinfo/"
#define SYSTEM_ZONE ":/etc/localtime"

void time_zone_start(void) {
    setenv("TZ", SYSTEM_ZONE, 0);
}

static bool is_name(struct str zone) {
    for (size_t i = 0; i < zone.n; i++) {
        char c = zone.p[i];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!letter && !(c >= '0' && c <= '9') && (c == '\0' || !strchr("_+-/", c))) {
            return false;
        }
    }
    return zone.n > 0 && zone.n <= TIME_ZONE_MAX_BYTES && zone.p[0] != '/';
}

/* The folder has lists and indexes beside the zones. */
static bool is_zone_file(const char *path) {
    char magic[4];
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return false;
    }
    bool ok = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
              read(fd, magic, sizeof magic) == sizeof magic && memcmp(magic, "TZif", 4) == 0;
    close(fd);
    return ok;
}

bool time_zone_exists(struct str zone) {
    char path[sizeof DATABASE + TIME_ZONE_MAX_BYTES];
    if (!is_name(zone)) {
        return false;
    }
    snprintf(path, sizeof path, DATABASE "%.*s", STR_ARG(zone));
    return is_zone_file(path);
}

void time_zone_local(struct str zone, time_t t, struct tm *ret) {
    char name[sizeof ":" + TIME_ZONE_MAX_BYTES];
    if (zone.n == 0) {
        localtime_r(&t, ret);
        return;
    }
    const char *before = getenv("TZ");
    char *saved = str_dup_z(str_z(before ? before : SYSTEM_ZONE));
    snprintf(name, sizeof name, ":%.*s", (int)MIN(zone.n, (size_t)TIME_ZONE_MAX_BYTES), zone.p);
    setenv("TZ", name, 1);
    tzset();
    localtime_r(&t, ret);
    setenv("TZ", saved, 1);
    tzset();
    mem_free(saved);
}

static int seconds_of_day(const struct tm *tm) {
    return (tm->tm_hour * 60 + tm->tm_min) * 60 + tm->tm_sec;
}

/* The clock may have been changed between midnight and t, or at midnight itself. */
time_t time_zone_day_start(struct str zone, time_t t) {
    enum { DAY_S = 24 * 3600 };
    struct tm there, found;
    time_zone_local(zone, t, &there);
    time_t start = t - seconds_of_day(&there);
    time_zone_local(zone, start, &found);
    bool same_day = found.tm_mday == there.tm_mday;
    start += (same_day ? 0 : DAY_S) - seconds_of_day(&found);
    time_zone_local(zone, start - 1, &found);
    return found.tm_mday == there.tm_mday ? start - 1 - seconds_of_day(&found) : start;
}
