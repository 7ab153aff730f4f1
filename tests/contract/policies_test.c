/* Rules about tools, on both databases: stored with their audit rows, told by epoch, bounded. */
#include "store/policies.h"

#include "auth/user_epoch.h"
#include "store_fixture.h"
#include "tool/toolset.h"

struct house {
    struct fixture f;
    struct user_epochs *epochs;
    struct tool_registry *registry;
    struct toolbox *box;
};

static void house_done(struct house *h) {
    toolbox_free(h->box);
    tool_registry_free(h->registry);
    user_epochs_free(h->epochs);
    fixture_close(&h->f);
}

static bool house_open(struct house *h, struct test_backend *backend) {
    if (!fixture_open(&h->f, backend)) {
        return false;
    }
    h->epochs = user_epochs_new(h->f.db);
    h->registry = tool_registry_new();
    tool_register_builtins(h->registry);
    h->box = toolbox_new(
        &(struct toolbox_options){.registry = h->registry, .db = h->f.db, .epochs = h->epochs});
    return CHECK_OK(user_epochs_start(h->epochs, &h->f.err), &h->f.err);
}

static int set(struct house *h, struct str user, const char *server, const char *tool,
               enum policy policy) {
    struct policy_rule rule = {str_z(server), str_z(tool), policy};
    return toolbox_policy_set(h->box, user, STR("test"), &rule, &h->f.err);
}

static int reset(struct house *h, struct str user, const char *server, const char *tool) {
    return toolbox_policy_reset(h->box, user, STR("test"), str_z(server), str_z(tool), &h->f.err);
}

/* All rules of a user as text. */
static struct str rules_of(struct house *h, struct str user) {
    struct policy_row *rows;
    struct strbuf out cleanup(strbuf_done) = STRBUF(1 << 20);
    size_t n;
    if (!CHECK_OK(policy_list(h->f.db, user, &h->f.arena, &rows, &n, &h->f.err), &h->f.err)) {
        return STR_EMPTY;
    }
    for (size_t i = 0; i < n; i++) {
        CHECK(rows[i].updated_us > 0);
        strbuf_addf(&out, "%s%.*s/%.*s=%.*s", i ? " " : "", STR_ARG(rows[i].server),
                    STR_ARG(rows[i].tool), STR_ARG(rows[i].policy));
    }
    return arena_str(&h->f.arena, strbuf_str(&out));
}

BOTH_BACKENDS(rules_are_each_users_own) {
    struct house h cleanup(house_done) = {0};
    REQUIRE(house_open(&h, backend));
    CHECK_OK(set(&h, ME, "notes", "write", POLICY_ALLOW), &h.f.err);
    CHECK_OK(set(&h, ME, "notes", "*", POLICY_DENY), &h.f.err);
    CHECK_OK(set(&h, ME, "", "calculate", POLICY_ASK), &h.f.err);
    CHECK_OK(set(&h, OTHER, "notes", "write", POLICY_ASK), &h.f.err);
    CHECK_STR(rules_of(&h, ME), "/calculate=ask notes/*=deny notes/write=allow");
    CHECK_OK(set(&h, ME, "notes", "write", POLICY_DENY), &h.f.err);
    CHECK_OK(reset(&h, ME, "notes", "*"), &h.f.err);
    CHECK_STR(rules_of(&h, ME), "/calculate=ask notes/write=deny");
    CHECK_STR(rules_of(&h, OTHER), "notes/write=ask");
    CHECK_FAILS(reset(&h, ME, "notes", "*"), &h.f.err, ERR_NOT_FOUND);
    CHECK_FAILS(reset(&h, OTHER, "", "calculate"), &h.f.err, ERR_NOT_FOUND);
}

BOTH_BACKENDS(each_change_has_its_audit_row_and_a_failed_one_none) {
    static const struct db_sql rows = DB_SQL("test_audit", "SELECT COUNT(*) FROM audit");
    struct house h cleanup(house_done) = {0};
    REQUIRE(house_open(&h, backend));
    CHECK_OK(set(&h, ME, "notes", "write", POLICY_ALLOW), &h.f.err);
    CHECK_OK(reset(&h, ME, "notes", "write"), &h.f.err);
    CHECK_FAILS(reset(&h, ME, "notes", "write"), &h.f.err, ERR_NOT_FOUND);
    CHECK_INT(number_of(&h.f, &rows), 2);
    struct audit_row *audit;
    size_t n;
    REQUIRE_OK(audit_list(h.f.db, ME, 0, STR_EMPTY, 10, &h.f.arena, &audit, &n, &h.f.err),
               &h.f.err);
    REQUIRE(n == 2);
    CHECK_STR(audit[0].action, "policy.reset");
    CHECK_STR(audit[1].action, "policy.set");
    CHECK_STR(audit[1].subject, "notes/write");
    CHECK_STR(audit[1].detail, "{\"policy\":\"allow\"}");
    CHECK_STR(audit[1].actor, "test");
}

BOTH_BACKENDS(a_user_has_so_many_rules) {
    struct house h cleanup(house_done) = {0};
    struct policy_row row = {
        .server = STR("s"), .tool = STR("a"), .policy = STR("ask"), .updated_us = 1};
    struct audit_entry audit[5];
    REQUIRE(house_open(&h, backend));
    for (size_t i = 0; i < ARRAY_LEN(audit); i++) {
        audit[i] =
            (struct audit_entry){.user_id = ME, .actor = STR("test"), .action = STR("policy.set")};
    }
    CHECK_OK(policy_put(h.f.db, ME, &row, 2, &audit[0], &h.f.err), &h.f.err);
    row.tool = STR("b");
    CHECK_OK(policy_put(h.f.db, ME, &row, 2, &audit[1], &h.f.err), &h.f.err);
    CHECK_OK(policy_put(h.f.db, ME, &row, 2, &audit[2], &h.f.err), &h.f.err);
    row.tool = STR("c");
    CHECK_FAILS(policy_put(h.f.db, ME, &row, 2, &audit[3], &h.f.err), &h.f.err, ERR_LIMIT);
    CHECK_STR(rules_of(&h, ME), "s/a=ask s/b=ask");
    row = (struct policy_row){.server = STR("s"), .tool = STR("a"), .policy = STR("perhaps")};
    CHECK_FAILS(policy_put(h.f.db, ME, &row, 2, &audit[4], &h.f.err), &h.f.err, ERR_INVALID);
}

static int open_set(struct house *h, struct str user, struct toolset **ret) {
    struct toolset_options options = {.user_id = user, .skill = STR_EMPTY};
    return toolset_open(h->box, &options, ret, &h->f.err);
}

/* Where PostgreSQL begins to listen somewhat later, everything counts as changed once more. */
static bool opens_without_query(struct house *h) {
    for (int tries = 0; tries < 100; tries++) {
        struct toolset *s = NULL;
        uint64_t before = db_stats(h->f.db).transactions;
        if (!CHECK_OK(open_set(h, ME, &s), &h->f.err)) {
            return false;
        }
        bool fresh = toolset_refresh(s, &h->f.err) == 0;
        toolset_close(s);
        if (fresh && db_stats(h->f.db).transactions == before) {
            return true;
        }
        fiber_sleep(20);
    }
    return false;
}

BOTH_BACKENDS(a_turn_without_changes_costs_no_query) {
    struct house h cleanup(house_done) = {0};
    struct toolset *s = NULL;
    const struct llm_tool *specs;
    REQUIRE(house_open(&h, backend));
    REQUIRE(opens_without_query(&h));
    REQUIRE_OK(open_set(&h, ME, &s), &h.f.err);
    CHECK_INT(toolset_specs(s, &specs), 2);
    REQUIRE_OK(set(&h, ME, "", "calculate", POLICY_DENY), &h.f.err);
    CHECK_INT(toolset_specs(s, &specs), 2);
    CHECK_OK(toolset_refresh(s, &h.f.err), &h.f.err);
    CHECK_INT(toolset_specs(s, &specs), 1);
    CHECK_INT(toolset_find(s, STR("calculate"))->policy, POLICY_DENY);
    CHECK_STR(toolset_at(s, 1).rule->tool, "calculate");
    toolset_close(s);
    REQUIRE_OK(open_set(&h, OTHER, &s), &h.f.err);
    CHECK_INT(toolset_specs(s, &specs), 2);
    toolset_close(s);
}

static void from_elsewhere(struct test_backend *backend) {
    struct house h cleanup(house_done) = {0};
    struct toolset *s = NULL;
    REQUIRE(house_open(&h, backend));
    REQUIRE_OK(open_set(&h, ME, &s), &h.f.err);
    struct user_epochs *there = user_epochs_new(h.f.db);
    CHECK_OK(user_epochs_start(there, &h.f.err), &h.f.err);
    struct toolbox *box = toolbox_new(
        &(struct toolbox_options){.registry = h.registry, .db = h.f.db, .epochs = there});
    struct policy_rule rule = {STR_EMPTY, STR("calculate"), POLICY_ASK};
    CHECK_OK(toolbox_policy_set(box, ME, STR("test"), &rule, &h.f.err), &h.f.err);
    int64_t end_us = clock_mono_us() + 5000000;
    while (toolset_find(s, STR("calculate"))->policy != POLICY_ASK && clock_mono_us() < end_us) {
        fiber_sleep(5);
        CHECK_OK(toolset_refresh(s, &h.f.err), &h.f.err);
    }
    CHECK_INT(toolset_find(s, STR("calculate"))->policy, POLICY_ASK);
    toolset_close(s);
    toolbox_free(box);
    user_epochs_free(there);
}

TEST_FIBER(what_another_process_changed_counts) {
    test_on_backend(DB_POSTGRES, from_elsewhere); /* on SQLite there is one process */
}

BOTH_BACKENDS(rules_that_cannot_be_read_are_an_error) {
    struct house h cleanup(house_done) = {0};
    struct toolset *s = NULL;
    REQUIRE(house_open(&h, backend));
    db_fail_at(h.f.db, 1, ERR_UNAVAILABLE, false);
    CHECK_FAILS(open_set(&h, ME, &s), &h.f.err, ERR_UNAVAILABLE);
    CHECK(!s);
    REQUIRE_OK(open_set(&h, ME, &s), &h.f.err);
    user_epoch_changed(h.epochs, ME);
    db_fail_at(h.f.db, 1, ERR_UNAVAILABLE, false);
    CHECK_FAILS(toolset_refresh(s, &h.f.err), &h.f.err, ERR_UNAVAILABLE);
    CHECK(toolset_find(s, STR("calculate")));
    CHECK_OK(toolset_refresh(s, &h.f.err), &h.f.err);
    toolset_close(s);
}
