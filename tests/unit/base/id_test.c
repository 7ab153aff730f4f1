#include "base/id.h"

#include <stdlib.h>

#include "base/clock.h"
#include "test.h"

TEST(ids_are_version_7_and_strictly_increasing) {
    struct id last = id_new();
    for (int i = 0; i < 10000; i++) {
        struct id next = id_new(), parsed;
        REQUIRE(strcmp(last.z, next.z) < 0);
        REQUIRE(next.z[14] == '7' && strchr("89ab", next.z[19]));
        REQUIRE(id_parse(id_str(&next), &parsed));
        last = next;
    }
}

TEST(an_id_tells_its_time) {
    int64_t before_ms = clock_now_us() / 1000;
    struct id id = id_new();
    char hex[13] = {0};
    memcpy(hex, id.z, 8);
    memcpy(hex + 8, id.z + 9, 4);
    int64_t ms = (int64_t)strtoll(hex, NULL, 16);
    CHECK(ms >= before_ms && ms <= before_ms + 1000);
}

TEST(other_texts_are_refused) {
    struct id id = {0};
    CHECK(id_parse(STR("0199ABCD-0000-7000-8000-00000000000F"), &id));
    CHECK_STR(id_str(&id), "0199abcd-0000-7000-8000-00000000000f");
    CHECK(!id_parse(STR("0199abcd-0000-7000-8000-00000000000"), &id));
    CHECK(!id_parse(STR("0199abcd00000-7000-8000-00000000000f"), &id));
    CHECK(!id_parse(STR("0199abcg-0000-7000-8000-00000000000f"), &id));
}
