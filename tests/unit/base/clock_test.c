#include "base/clock.h"

#include "test.h"

TEST(iso_text_and_back) {
    static const struct {
        int64_t us;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000000Z"},
        {1, "1970-01-01T00:00:00.000001Z"},
        {-1, "1969-12-31T23:59:59.999999Z"},
        {951782400000000, "2000-02-29T00:00:00.000000Z"},
        {1795361004123456, "2026-11-22T15:23:24.123456Z"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[CLOCK_ISO_LEN + 1];
        int64_t us = 42;
        clock_iso(cases[i].us, text);
        CHECK_STR(str_z(text), cases[i].text);
        CHECK(clock_parse(str_z(text), &us));
        CHECK_INT(us, cases[i].us);
    }
}

TEST(other_forms_are_read) {
    int64_t want = 1795361004100000, us = 0;
    CHECK(clock_parse(STR("2026-11-22 15:23:24.1+00"), &us) && us == want);
    CHECK(clock_parse(STR("2026-11-22T16:53:24.1+01:30"), &us) && us == want);
    CHECK(clock_parse(STR("2026-11-22T14:23:24.1-0100"), &us) && us == want);
    CHECK(clock_parse(STR("2026-11-22t15:23:24.100000999z"), &us) && us == want);
    CHECK(clock_parse(STR("2026-11-22T15:23:24"), &us) && us == want - 100000);
}

TEST(what_is_no_time_is_refused) {
    static const char *const wrong[] = {"",
                                        "2026",
                                        "2026-13-01T00:00:00Z",
                                        "2026-02-30T00:00:00Z",
                                        "2026-11-22T24:00:00Z",
                                        "2026-11-22T15:23:24.Z",
                                        "2026-11-22T15:23:24Zx",
                                        "2026-11-22T15:23:24+25:00"};
    int64_t us = 42;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        CHECK(!clock_parse(str_z(wrong[i]), &us));
    }
    CHECK_INT(us, 42);
}
