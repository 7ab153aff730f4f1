#include "base/time_zone.h"

#include <stdlib.h>

#include "test.h"

TEST(zones_of_the_database_exist_and_nothing_else_does) {
    static const char *const zones[] = {"UTC", "Europe/Vienna", "America/Argentina/Buenos_Aires",
                                        "Etc/GMT+5", "Asia/Kathmandu"};
    static const char *const none[] = {"",
                                       "Europe",
                                       "Europe/",
                                       "/UTC",
                                       "/etc/localtime",
                                       ":UTC",
                                       "../zoneinfo/UTC",
                                       "Europe/../UTC",
                                       "./UTC",
                                       "zone.tab",
                                       "tzdata.zi",
                                       "leap-seconds.list",
                                       "Mars/Olympus",
                                       "UTC ",
                                       "UTC\n",
                                       "Europe/Wien\xc3\xa4"};
    for (size_t i = 0; i < ARRAY_LEN(zones); i++) {
        CHECK(time_zone_exists(str_z(zones[i])));
    }
    for (size_t i = 0; i < ARRAY_LEN(none); i++) {
        CHECK(!time_zone_exists(str_z(none[i])));
    }
    CHECK(!time_zone_exists((struct str){"UTC\0x", 5}));
    char long_one[TIME_ZONE_MAX_BYTES + 2];
    memset(long_one, 'a', sizeof long_one);
    CHECK(!time_zone_exists((struct str){long_one, sizeof long_one}));
}

TEST(local_times_are_those_of_the_zone_and_the_own_one_stays) {
    const time_t summer = 1782043200, winter = 1767225600; /* 2026-06-21 12:00, 2026-01-01 0:00 */
    struct tm tm;
    setenv("TZ", "Asia/Kathmandu", 1);
    time_zone_local(STR("Europe/Vienna"), summer, &tm);
    CHECK_INT(tm.tm_hour, 14);
    CHECK_INT(tm.tm_gmtoff, 7200);
    time_zone_local(STR("Europe/Vienna"), winter, &tm);
    CHECK_INT(tm.tm_hour, 1);
    time_zone_local(STR("America/New_York"), winter, &tm);
    CHECK_INT(tm.tm_mday, 31);
    CHECK_STR(str_z(tm.tm_zone), "EST");
    time_zone_local(STR_EMPTY, winter, &tm);
    CHECK_INT(tm.tm_gmtoff, 5 * 3600 + 45 * 60);
    CHECK_STR(str_z(getenv("TZ")), "Asia/Kathmandu");
}

TEST(a_zone_that_the_environment_names_is_kept_at_the_start) {
    setenv("TZ", "UTC", 1);
    time_zone_start();
    CHECK_STR(str_z(getenv("TZ")), "UTC");
    unsetenv("TZ");
    time_zone_start();
    CHECK(getenv("TZ") != NULL);
}

/* Each day of some years begins where its date is seen first, and the days join. */
static void check_days(const char *zone, time_t from, int n) {
    struct str name = str_z(zone);
    time_t start = time_zone_day_start(name, from);
    for (int i = 0; i < n; i++) {
        struct tm first, before, last;
        time_t next = time_zone_day_start(name, start + 36 * 3600);
        time_zone_local(name, start, &first);
        time_zone_local(name, start - 1, &before);
        time_zone_local(name, next - 1, &last);
        bool ok = first.tm_mday != before.tm_mday && last.tm_mday == first.tm_mday &&
                  next - start >= 23 * 3600 && next - start <= 25 * 3600;
        if (!CHECK(ok)) {
            printf("%s %d-%02d-%02d\n", zone, first.tm_year + 1900, first.tm_mon + 1,
                   first.tm_mday);
        }
        start = next;
    }
}

TEST(days_begin_where_their_date_is_seen_first) {
    const time_t y2024 = 1704067200 + 12345;
    CHECK_INT(time_zone_day_start(STR("UTC"), 1782043200 + 5), 1782000000);
    CHECK_INT(time_zone_day_start(STR("Europe/Vienna"), 1782043200), 1782000000 - 7200);
    CHECK_INT(time_zone_day_start(STR("Asia/Kathmandu"), 1782043200), 1782000000 - 20700);
    check_days("Europe/Vienna", y2024, 800);
    check_days("America/Havana", y2024, 800); /* the clock changes at midnight */
    check_days("Asia/Beirut", y2024, 800);
    check_days("Australia/Lord_Howe", y2024, 800); /* half an hour */
    check_days("Atlantic/Azores", y2024, 800);
}
