#include "base/map.h"

#include <stdio.h>

#include "test.h"

static void count_and_drop_odd(struct str key, void *value, void *arg) {
    struct map *m = arg;
    if ((uintptr_t)value % 2) {
        map_remove(m, key);
    }
}

TEST(keys_find_their_values) {
    struct map m = {0};
    char key[16];
    for (uintptr_t i = 1; i <= 1000; i++) {
        snprintf(key, sizeof key, "k%zu", (size_t)i);
        map_put(&m, str_z(key), (void *)i);
    }
    CHECK_INT(map_count(&m), 1000);
    CHECK(map_get(&m, STR("k77")) == (void *)77);
    CHECK(map_get(&m, STR("k0")) == NULL);
    map_put(&m, STR("k77"), (void *)78);
    CHECK(map_get(&m, STR("k77")) == (void *)78);
    CHECK(map_remove(&m, STR("k77")) == (void *)78);
    CHECK(map_remove(&m, STR("k77")) == NULL);
    map_each(&m, count_and_drop_odd, &m);
    CHECK_INT(map_count(&m), 500);
    map_done(&m);
    CHECK_INT(map_count(&m), 0);
}

TEST(keys_may_hold_any_bytes) {
    struct map m = {0};
    map_put(&m, (struct str){"a\0b", 3}, &m);
    CHECK(map_get(&m, (struct str){"a\0b", 3}) == &m);
    CHECK(map_get(&m, STR("a")) == NULL);
    map_done(&m);
}
