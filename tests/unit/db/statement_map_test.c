#include "db/statement_map.h"

#include "test.h"

static unsigned dropped;

static void drop(void *prepared) {
    (void)prepared;
    dropped++;
}

TEST(statements_are_found_again_while_the_map_grows) {
    enum { N = 500 };
    static struct db_sql sql[N];
    struct statement_map map = {0};
    for (size_t i = 0; i < N; i++) {
        struct statement_entry *entry = statement_map_at(&map, &sql[i]);
        CHECK(entry->prepared == NULL && entry->sql == &sql[i]);
        entry->prepared = i % 2 ? &sql[i] : NULL;
    }
    CHECK_INT(map.count, N);
    for (size_t i = 0; i < N; i++) {
        CHECK(statement_map_at(&map, &sql[i])->prepared == (i % 2 ? &sql[i] : NULL));
    }
    CHECK_INT(map.count, N);
    dropped = 0;
    statement_map_done(&map, drop);
    CHECK_INT(dropped, N / 2);
    statement_map_done(&map, drop);
    CHECK_INT(dropped, N / 2);
}
