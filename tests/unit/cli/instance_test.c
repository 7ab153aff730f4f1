#include "cli/instance.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test.h"

struct home {
    char path[64];
};

static struct home home_make(void) {
    struct home h = {"/tmp/adjutant-instance-XXXXXX"};
    CHECK(mkdtemp(h.path) != NULL);
    return h;
}

static void home_remove(struct home *h) {
    char path[128];
    for (int i = 1; i <= 3; i++) {
        snprintf(path, sizeof path, i == 1 ? "%s/instance" : "%s/instance.%d", h->path, i);
        unlink(path);
    }
    CHECK_INT(rmdir(h->path), 0);
}

/* As when the process dies: the lock goes, the id stays. */
static void die(struct instance *i) {
    close(i->fd);
}

TEST(one_server_alone_keeps_the_second_out) {
    struct home home = home_make();
    struct instance first, second;
    struct err err;
    REQUIRE_OK(instance_open(&first, str_z(home.path), true, &err), &err);
    CHECK_FAILS(instance_open(&second, str_z(home.path), true, &err), &err, ERR_CONFLICT);
    CHECK(str_find(str_z(err.msg), str_z(home.path)) != SIZE_MAX);
    instance_close(&first);
    REQUIRE_OK(instance_open(&second, str_z(home.path), true, &err), &err);
    instance_close(&second);
    home_remove(&home);
}

TEST(a_dead_process_leaves_its_id_and_an_orderly_one_does_not) {
    struct home home = home_make();
    struct instance dead, next, last;
    struct err err;
    REQUIRE_OK(instance_open(&dead, str_z(home.path), true, &err), &err);
    CHECK(dead.previous.z[0] == '\0');
    die(&dead);
    REQUIRE_OK(instance_open(&next, str_z(home.path), true, &err), &err);
    CHECK_STR(id_str(&next.previous), dead.id.z);
    CHECK(!str_eq(id_str(&next.id), id_str(&dead.id)));
    instance_close(&next);
    REQUIRE_OK(instance_open(&last, str_z(home.path), true, &err), &err);
    CHECK(last.previous.z[0] == '\0');
    instance_close(&last);
    home_remove(&home);
}

TEST(several_servers_have_a_place_each) {
    struct home home = home_make();
    struct instance one, two, again;
    struct err err;
    REQUIRE_OK(instance_open(&one, str_z(home.path), false, &err), &err);
    REQUIRE_OK(instance_open(&two, str_z(home.path), false, &err), &err);
    CHECK(two.previous.z[0] == '\0');
    die(&one);
    REQUIRE_OK(instance_open(&again, str_z(home.path), false, &err), &err);
    CHECK_STR(id_str(&again.previous), one.id.z); /* of the place it took, not of the living one */
    instance_close(&again);
    instance_close(&two);
    home_remove(&home);
}

TEST(rubbish_in_the_file_is_no_id) {
    struct home home = home_make();
    struct instance i;
    struct err err;
    char path[128];
    snprintf(path, sizeof path, "%s/instance", home.path);
    FILE *f = fopen(path, "w");
    REQUIRE(f != NULL);
    fputs("this is not the id of any process at all", f);
    fclose(f);
    REQUIRE_OK(instance_open(&i, str_z(home.path), true, &err), &err);
    CHECK(i.previous.z[0] == '\0');
    instance_close(&i);
    struct stat st;
    CHECK_INT(stat(path, &st), 0);
    CHECK_INT(st.st_size, 0);
    home_remove(&home);
}

TEST(a_home_that_is_not_there_is_an_error) {
    struct instance i;
    struct err err;
    CHECK_FAILS(instance_open(&i, STR("/nowhere/at/all"), true, &err), &err, ERR_IO);
}
