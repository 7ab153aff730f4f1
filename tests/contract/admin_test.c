/* The audit trail, and what admins see across users. */
#include "store/audit.h"
#include "store_fixture.h"

static const struct db_sql audit_rows = DB_SQL("audit_rows", "SELECT COUNT(*) FROM audit");

static struct audit_entry entry_of(struct str user, const char *action, int64_t created_us) {
    return (struct audit_entry){.user_id = user,
                                .actor = STR("cli"),
                                .action = str_z(action),
                                .subject = STR("s"),
                                .created_us = created_us};
}

BOTH_BACKENDS(an_audit_row_is_added_with_its_change_or_not_at_all) {
    static const struct db_sql user =
        DB_SQL("user", "INSERT INTO users (user_id, created_at) VALUES ($1, $2)");
    struct fixture f cleanup(fixture_close) = {0};
    struct audit_entry e = entry_of(ME, "user.create", 0);
    REQUIRE(fixture_open(&f, backend));
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(f.db, ME, DB_WRITE);
    db_tx_add(tx, &user, db_text(ME), db_time(1));
    audit_add(tx, &e);
    REQUIRE_OK(db_tx_run(tx, &f.err), &f.err);
    CHECK_INT(number_of(&f, &audit_rows), 1);
    e.id = (struct id){0};
    struct db_tx *again cleanup(db_tx_free_p) = db_tx_new(f.db, ME, DB_WRITE);
    audit_add(again, &e);
    db_tx_add(again, &user, db_text(ME), db_time(1));
    CHECK_FAILS(db_tx_run(again, &f.err), &f.err, ERR_CONFLICT);
    CHECK_INT(number_of(&f, &audit_rows), 1);
}

BOTH_BACKENDS(an_entry_written_again_is_one_row) {
    struct fixture f cleanup(fixture_close) = {0};
    struct audit_entry e = entry_of(ME, "key.create", 0);
    struct audit_row *rows;
    size_t n;
    REQUIRE(fixture_open(&f, backend));
    REQUIRE_OK(audit_write(f.db, &e, &f.err), &f.err);
    REQUIRE_OK(audit_write(f.db, &e, &f.err), &f.err);
    REQUIRE_OK(audit_list(f.db, ME, 0, STR_EMPTY, 10, &f.arena, &rows, &n, &f.err), &f.err);
    REQUIRE(n == 1);
    CHECK_STR(rows[0].id, e.id.z);
    CHECK_INT(rows[0].created_us, e.created_us);
    CHECK_STR(rows[0].actor, "cli");
    CHECK_STR(rows[0].action, "key.create");
    CHECK_STR(rows[0].subject, "s");
    CHECK_STR(rows[0].detail, "{}");
    REQUIRE_OK(audit_list(f.db, OTHER, 0, STR_EMPTY, 10, &f.arena, &rows, &n, &f.err), &f.err);
    CHECK_INT(n, 0);
}

BOTH_BACKENDS(the_trail_is_read_in_pages_newest_first) {
    struct fixture f cleanup(fixture_close) = {0};
    struct str before = STR_EMPTY;
    int64_t before_us = 0;
    char seen[16] = "";
    REQUIRE(fixture_open(&f, backend));
    for (int i = 0; i < 5; i++) { /* two pairs of the same time */
        char action[2] = {(char)('a' + i), '\0'};
        struct audit_entry e = entry_of(ME, action, 1000 + i / 2);
        REQUIRE_OK(audit_write(f.db, &e, &f.err), &f.err);
    }
    for (int page = 0; page < 3; page++) {
        struct audit_row *rows;
        size_t n;
        REQUIRE_OK(audit_list(f.db, ME, before_us, before, 2, &f.arena, &rows, &n, &f.err), &f.err);
        for (size_t i = 0; i < n; i++) {
            strncat(seen, rows[i].action.p, rows[i].action.n);
            before_us = rows[i].created_us;
            before = rows[i].id;
        }
    }
    CHECK_STR(str_z(seen), "edcba");
}

TEST(an_actor_names_the_user_and_the_key) {
    struct arena arena cleanup(arena_done) = {0};
    CHECK_STR(audit_actor(&arena, ME, STR("0123456789abcdef0123")), "me key:0123456789ab");
    CHECK_STR(audit_actor(&arena, ME, STR_EMPTY), "me");
}
