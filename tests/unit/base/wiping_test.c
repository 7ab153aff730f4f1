#include "base/wiping.h"

#include <string.h>

#include "test.h"

TEST(it_allocates_as_the_libraries_expect) {
    wiping_free(NULL);
    char *z = wiping_strdup("text");
    CHECK_STR(str_z(z), "text");
    z = wiping_realloc(z, 4000);
    CHECK_STR(str_z(z), "text");
    memset(z + 5, 'x', 4000 - 5);
    z = wiping_realloc(z, 100000);
    CHECK(memcmp(z, "text", 5) == 0 && z[3999] == 'x');
    z = wiping_realloc(z, 10);
    CHECK_STR(str_z(z), "text");
    wiping_free(z);
    char *zeroed = wiping_calloc(10, 100);
    for (int i = 0; i < 1000; i++) {
        CHECK(zeroed[i] == 0);
    }
    wiping_free(zeroed);
    z = wiping_realloc(NULL, 5);
    memcpy(z, "1234", 5);
    wiping_free(z);
}
