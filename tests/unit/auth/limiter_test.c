#include "auth/limiter.h"

#include <stdio.h>

#include "test.h"

static void fail_often(struct limiter *l, struct str address, int n) {
    for (int i = 0; i < n; i++) {
        limiter_failed(l, address);
    }
}

TEST(ten_failures_block_an_address_and_no_other) {
    struct limiter *l = limiter_new();
    CHECK(!limiter_blocked(l, STR("10.0.0.1")));
    fail_often(l, STR("10.0.0.1"), LIMITER_MAX_FAILURES - 1);
    CHECK(!limiter_blocked(l, STR("10.0.0.1")));
    limiter_failed(l, STR("10.0.0.1"));
    CHECK(limiter_blocked(l, STR("10.0.0.1")));
    CHECK(!limiter_blocked(l, STR("10.0.0.2")));
    CHECK(!limiter_blocked(l, STR("")));
    limiter_free(l);
}

TEST(an_ipv6_network_counts_as_one) {
    struct limiter *l = limiter_new();
    for (int i = 0; i < LIMITER_MAX_FAILURES; i++) {
        char address[64];
        snprintf(address, sizeof address, "2001:db8:1:2:%x::%x", i, i * 7);
        limiter_failed(l, str_z(address));
    }
    CHECK(limiter_blocked(l, STR("2001:db8:1:2::1")));
    CHECK(limiter_blocked(l, STR("2001:0DB8:1:2:ffff::")));
    CHECK(!limiter_blocked(l, STR("2001:db8:1:3::1")));
    fail_often(l, STR("::ffff:10.0.0.1"), LIMITER_MAX_FAILURES);
    CHECK(limiter_blocked(l, STR("::ffff:10.0.0.1")));
    CHECK(!limiter_blocked(l, STR("::ffff:10.0.0.2")));
    limiter_free(l);
}

TEST(the_table_is_bounded_and_forgets_the_oldest) {
    struct limiter *l = limiter_new();
    char address[64];
    fail_often(l, STR("first"), LIMITER_MAX_FAILURES);
    fail_often(l, STR("second"), LIMITER_MAX_FAILURES);
    for (int i = 0; i < LIMITER_ADDRESSES - 2; i++) {
        snprintf(address, sizeof address, "10.1.%d.%d", i / 256, i % 256);
        limiter_failed(l, str_z(address));
    }
    CHECK(limiter_blocked(l, STR("first")));
    limiter_failed(l, STR("first")); /* failing again keeps it remembered */
    limiter_failed(l, STR("one more"));
    CHECK(limiter_blocked(l, STR("first")));
    CHECK(!limiter_blocked(l, STR("second")));
    limiter_free(l);
}

TEST(an_address_may_be_any_bytes) {
    struct limiter *l = limiter_new();
    char long_address[300];
    memset(long_address, 'a', sizeof long_address);
    fail_often(l, (struct str){long_address, sizeof long_address}, LIMITER_MAX_FAILURES);
    CHECK(limiter_blocked(l, (struct str){long_address, sizeof long_address}));
    fail_often(l, STR("\0x"), LIMITER_MAX_FAILURES);
    CHECK(limiter_blocked(l, STR("\0x")) && !limiter_blocked(l, STR("\0y")));
    limiter_free(l);
}
