/* The audit trail, and what admins see across users. */
#include "store/admin.h"
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

static int add_entry(struct fixture *f, struct audit_entry *e) {
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(f->db, e->user_id, DB_WRITE);
    audit_add(tx, e);
    return db_tx_run(tx, &f->err);
}

BOTH_BACKENDS(an_entry_written_again_is_one_row) {
    struct fixture f cleanup(fixture_close) = {0};
    struct audit_entry e = entry_of(ME, "key.create", 0);
    struct audit_row *rows;
    size_t n;
    REQUIRE(fixture_open(&f, backend));
    REQUIRE_OK(add_entry(&f, &e), &f.err);
    REQUIRE_OK(add_entry(&f, &e), &f.err);
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
        REQUIRE_OK(add_entry(&f, &e), &f.err);
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

/* ---- keys ---- */

static struct str hash_of(struct fixture *f, char digit) {
    char hash[65];
    memset(hash, digit, 64);
    hash[64] = '\0';
    return arena_str(&f->arena, str_z(hash));
}

static struct str add_key(struct fixture *f, char digit, struct str user, const char *role) {
    struct key_row row = {.key_hash = hash_of(f, digit),
                          .user_id = user,
                          .profile_name = str_z(role),
                          .label = STR("laptop"),
                          .created_us = 1000};
    CHECK_OK(key_insert(f->db, &row, STR("cli"), &f->err), &f->err);
    return row.key_hash;
}

static int revoke_one(struct fixture *f, struct str hash, struct str user, bool keep_an_admin) {
    struct key_order order = {.hash_prefix = hash, .user_id = user, .actor = STR("boss")};
    struct key_row row;
    return key_revoke(f->db, &order, keep_an_admin, &f->arena, &row, &f->err);
}

/* "action subject detail" of each, newest first, a line each. */
static struct str trail(struct fixture *f, struct str user) {
    struct admin_audit_page page = {.user_id = user, .before_id = STR_EMPTY, .max = 50};
    struct strbuf text cleanup(strbuf_done) = STRBUF(10000);
    struct audit_row *rows;
    size_t n = 0;
    CHECK_OK(admin_audit(f->db, &page, &f->arena, &rows, &n, &f->err), &f->err);
    for (size_t i = 0; i < n; i++) {
        strbuf_addf(&text, "%.*s %.*s %.*s %.*s\n", STR_ARG(rows[i].actor), STR_ARG(rows[i].action),
                    2, rows[i].subject.p, STR_ARG(rows[i].detail));
    }
    return arena_str(&f->arena, strbuf_str(&text));
}

BOTH_BACKENDS(each_change_of_a_key_is_in_the_trail) {
    struct fixture f cleanup(fixture_close) = {0};
    struct key_change change = {
        .sets_operator_llm = true, .allow_operator_llm = true, .label = STR("phone")};
    struct key_row row;
    REQUIRE(fixture_open(&f, backend));
    struct str a = add_key(&f, 'a', ME, "personal"), b = add_key(&f, 'b', OTHER, "admin");
    struct key_order order = {.hash_prefix = a, .actor = STR("boss")};
    REQUIRE_OK(key_change(f.db, &order, &change, &f.arena, &row, &f.err), &f.err);
    CHECK(row.allow_operator_llm);
    CHECK_STR(row.label, "phone");
    REQUIRE_OK(revoke_one(&f, a, STR_EMPTY, true), &f.err);
    REQUIRE_OK(revoke_one(&f, a, STR_EMPTY, true), &f.err); /* again: nothing changes */
    CHECK_STR(trail(&f, ME),
              "boss key.revoke aa {}\n"
              "boss key.change aa {\"allow_operator_llm\":true,\"label\":\"phone\"}\n"
              "cli key.create aa "
              "{\"role\":\"personal\",\"label\":\"laptop\",\"allow_operator_llm\":false}\n");
    CHECK_INT(number_of(&f, &audit_rows), 4);
    order.hash_prefix = b;
    order.user_id = ME; /* not this user's key */
    CHECK_FAILS(key_change(f.db, &order, &change, &f.arena, &row, &f.err), &f.err, ERR_NOT_FOUND);
    CHECK_FAILS(revoke_one(&f, b, ME, false), &f.err, ERR_NOT_FOUND);
    CHECK_INT(number_of(&f, &audit_rows), 4);
}

BOTH_BACKENDS(the_last_admin_key_is_kept) {
    struct fixture f cleanup(fixture_close) = {0};
    REQUIRE(fixture_open(&f, backend));
    struct str a = add_key(&f, 'a', ME, "admin"), b = add_key(&f, 'b', OTHER, "admin"),
               c = add_key(&f, 'c', OTHER, "personal");
    int64_t n = 0;
    REQUIRE_OK(revoke_one(&f, a, STR_EMPTY, true), &f.err);
    CHECK_FAILS(revoke_one(&f, b, STR_EMPTY, true), &f.err, ERR_CONFLICT);
    CHECK(strstr(f.err.msg, "last") != NULL);
    REQUIRE_OK(key_count_admins(f.db, &n, &f.err), &f.err);
    CHECK_INT(n, 1);
    REQUIRE_OK(revoke_one(&f, c, STR_EMPTY, true), &f.err);
    REQUIRE_OK(revoke_one(&f, b, STR_EMPTY, false), &f.err);
    REQUIRE_OK(key_count_admins(f.db, &n, &f.err), &f.err);
    CHECK_INT(n, 0);
}

struct rival {
    struct fixture *f;
    struct str key;
    int rc;
};

static void revoke_rival(void *arg) {
    struct rival *r = arg;
    struct key_order order = {.hash_prefix = r->key, .actor = STR("boss")};
    struct arena arena cleanup(arena_done) = {0};
    struct key_row row;
    struct err err;
    r->rc = key_revoke(r->f->db, &order, true, &arena, &row, &err);
}

BOTH_BACKENDS(two_admins_who_revoke_each_other_leave_one) {
    struct fixture f cleanup(fixture_close) = {0};
    int64_t n = 0;
    REQUIRE(fixture_open(&f, backend));
    for (int round = 0; round < 4; round++) {
        struct rival rivals[] = {
            {.f = &f, .key = add_key(&f, (char)('0' + 2 * round), ME, "admin")},
            {.f = &f, .key = add_key(&f, (char)('1' + 2 * round), OTHER, "admin")}};
        struct fiber_scope scope;
        fiber_scope_init(&scope);
        for (size_t i = 0; i < 2; i++) {
            CHECK_OK(fiber_spawn(&scope, "rival", revoke_rival, &rivals[i], NULL, &f.err), &f.err);
        }
        fiber_scope_join(&scope);
        REQUIRE_OK(key_count_admins(f.db, &n, &f.err), &f.err);
        CHECK(n >= 1);
        for (size_t i = 0; i < 2; i++) { /* the next round begins without any */
            REQUIRE_OK(revoke_one(&f, rivals[i].key, STR_EMPTY, false), &f.err);
        }
    }
}

BOTH_BACKENDS(a_user_has_so_many_keys_and_no_more) {
    struct fixture f cleanup(fixture_close) = {0};
    char hash[65];
    struct key_row row = {.user_id = ME, .profile_name = STR("personal"), .created_us = 1000};
    REQUIRE(fixture_open(&f, backend));
    for (int i = 0; i < KEY_MAX_PER_USER; i++) {
        snprintf(hash, sizeof hash, "%064x", i);
        row.key_hash = str_z(hash);
        REQUIRE_OK(key_insert(f.db, &row, STR("cli"), &f.err), &f.err);
    }
    row.key_hash = hash_of(&f, 'f');
    CHECK_FAILS(key_insert(f.db, &row, STR("cli"), &f.err), &f.err, ERR_CONFLICT);
    snprintf(hash, sizeof hash, "%064x", 5);
    REQUIRE_OK(revoke_one(&f, str_z(hash), ME, true), &f.err);
    CHECK_OK(key_insert(f.db, &row, STR("cli"), &f.err), &f.err);
}

BOTH_BACKENDS(keys_are_read_in_pages_newest_first) {
    struct fixture f cleanup(fixture_close) = {0};
    struct key_page page = {.user_id = ME, .before_hash = STR_EMPTY, .max = 2};
    char seen[16] = "";
    REQUIRE(fixture_open(&f, backend));
    for (int i = 0; i < 5; i++) { /* all of one time */
        add_key(&f, (char)('a' + i), i == 3 ? OTHER : ME, "personal");
    }
    for (int i = 0; i < 3; i++) {
        struct key_row *rows;
        size_t n;
        REQUIRE_OK(key_list_page(f.db, &page, &f.arena, &rows, &n, &f.err), &f.err);
        for (size_t k = 0; k < n; k++) {
            strncat(seen, rows[k].key_hash.p, 1);
            page.before_us = rows[k].created_us;
            page.before_hash = str_head(rows[k].key_hash, AUDIT_KEY_PREFIX);
        }
    }
    CHECK_STR(str_z(seen), "ecba");
    struct key_row *rows;
    size_t n;
    page = (struct key_page){.before_hash = STR_EMPTY, .max = 9};
    REQUIRE_OK(key_list_page(f.db, &page, &f.arena, &rows, &n, &f.err), &f.err);
    CHECK_INT(n, 5);
}

/* ---- sessions ---- */

BOTH_BACKENDS(a_user_sees_and_ends_its_own_sessions_only) {
    struct fixture f cleanup(fixture_close) = {0};
    struct session_row *rows, row;
    size_t n;
    REQUIRE(fixture_open(&f, backend));
    struct session_owner me = {ME, STR_EMPTY}, with_shared = {ME, hash_of(&f, '9')};
    struct str a = add_key(&f, 'a', ME, "admin"), b = add_key(&f, 'b', OTHER, "admin");
    REQUIRE_OK(session_insert(f.db, hash_of(&f, '1'), a, 10, 1000, &f.err), &f.err);
    REQUIRE_OK(session_insert(f.db, hash_of(&f, '2'), a, 20, 50, &f.err), &f.err);
    REQUIRE_OK(session_insert(f.db, hash_of(&f, '3'), b, 30, 1000, &f.err), &f.err);
    REQUIRE_OK(session_insert(f.db, hash_of(&f, '4'), hash_of(&f, '9'), 40, 1000, &f.err), &f.err);
    REQUIRE_OK(session_list(f.db, me, 100, 9, &f.arena, &rows, &n, &f.err), &f.err);
    REQUIRE(n == 1);
    CHECK_INT(rows[0].token_hash.p[0], '1');
    REQUIRE_OK(session_list(f.db, with_shared, 100, 9, &f.arena, &rows, &n, &f.err), &f.err);
    REQUIRE(n == 2);
    CHECK_INT(rows[0].token_hash.p[0], '4');
    CHECK_FAILS(session_end(f.db, me, STR("33333333"), STR("me"), &f.arena, &row, &f.err), &f.err,
                ERR_NOT_FOUND);
    CHECK_FAILS(session_end(f.db, me, STR("44444444"), STR("me"), &f.arena, &row, &f.err), &f.err,
                ERR_NOT_FOUND);
    CHECK_FAILS(session_end(f.db, me, STR("1"), STR("me"), &f.arena, &row, &f.err), &f.err,
                ERR_INVALID);
    REQUIRE_OK(session_end(f.db, me, STR("11111111"), STR("me"), &f.arena, &row, &f.err), &f.err);
    REQUIRE_OK(session_list(f.db, me, 100, 9, &f.arena, &rows, &n, &f.err), &f.err);
    CHECK_INT(n, 0);
    CHECK(str_starts(trail(&f, ME), STR("me session.end 11 {}\n")));
}

/* ---- users and usage ---- */

BOTH_BACKENDS(admins_see_counts_and_sums_across_users) {
    struct fixture f cleanup(fixture_close) = {0};
    struct turn_accepted a;
    struct user_row *users;
    struct admin_usage_row *sums;
    size_t n;
    int64_t until = clock_now_us() + INT64_C(3600000000);
    REQUIRE(fixture_open(&f, backend));
    add_key(&f, 'a', ME, "admin");
    struct str b = add_key(&f, 'b', OTHER, "personal");
    REQUIRE_OK(revoke_one(&f, b, STR_EMPTY, true), &f.err);
    REQUIRE_OK(accept_turn(&f, "t", "r1", "one", &a), &f.err);
    REQUIRE_OK(end_turn(&f, "t", "r1", 1, 0, 1, 2), &f.err);
    REQUIRE_OK(admin_users(f.db, STR_EMPTY, 9, &f.arena, &users, &n, &f.err), &f.err);
    REQUIRE(n == 2);
    CHECK_STR(users[0].user_id, "me");
    CHECK_INT(users[0].created_us, 1000);
    CHECK_INT(users[0].valid_keys, 1);
    CHECK_INT(users[0].threads, 1);
    CHECK(users[0].last_activity_us > 0);
    CHECK_INT(users[0].input_tokens, 10);
    CHECK_INT(users[0].output_tokens, 3);
    CHECK_STR(users[1].user_id, "other");
    CHECK(users[1].valid_keys == 0 && users[1].threads == 0 && users[1].last_activity_us == 0);
    REQUIRE_OK(admin_users(f.db, ME, 9, &f.arena, &users, &n, &f.err), &f.err);
    CHECK_INT(n, 1);
    REQUIRE_OK(admin_users(f.db, STR_EMPTY, 1, &f.arena, &users, &n, &f.err), &f.err);
    CHECK_INT(n, 1);

    REQUIRE_OK(admin_usage(f.db, ADMIN_USAGE_BY_USER, 0, until, 9, &f.arena, &sums, &n, &f.err),
               &f.err);
    REQUIRE(n == 1);
    CHECK_STR(sums[0].user_id, "me");
    CHECK_STR(sums[0].usage.key_owner, "operator");
    CHECK_INT(sums[0].usage.calls, 1);
    CHECK_INT(sums[0].usage.cost_microusd, 7);
    REQUIRE_OK(admin_usage(f.db, ADMIN_USAGE_BY_MODEL, 0, until, 9, &f.arena, &sums, &n, &f.err),
               &f.err);
    REQUIRE(n == 1);
    CHECK_STR(sums[0].usage.provider, "anthropic");
    CHECK_INT(sums[0].usage.input_tokens, 10);
    CHECK_INT(sums[0].user_id.n, 0);
    REQUIRE_OK(admin_usage(f.db, ADMIN_USAGE_BY_USER, 0, 1, 9, &f.arena, &sums, &n, &f.err),
               &f.err);
    CHECK_INT(n, 0);
}
