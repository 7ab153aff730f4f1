#include "mcp/bridge.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "bridge_fakes.h"
#include "net/http_client.h"
#include "test.h"

#define TOOL(name) "{\"name\":\"" name "\",\"inputSchema\":{\"type\":\"object\"}}"
/* Commands need no network; that their servers are fakes is all the same to the bridges. */
#define TWO                                                                                        \
    "{\"mcpServers\": {\"one\": {\"command\": \"one\"}, \"two\": {\"command\": \"two\", "          \
    "\"credential\": {\"service\": \"two\", \"env\": \"TOKEN\", \"value\": \"T-{token}\"}}}}"

enum { PATIENCE_MS = 20 * 1000 };

struct fixture {
    char folder[64], path[96];
    struct profile profile;
    struct bridges *bridges;
    struct err err;
    bool client;
};

static void write_config(struct fixture *f, const char *text) {
    char fresh[112];
    snprintf(fresh, sizeof fresh, "%s.new", f->path);
    FILE *file = fopen(fresh, "w");
    REQUIRE(file);
    fputs(text, file);
    fclose(file);
    CHECK_INT(rename(fresh, f->path), 0);
}

static bool setup(struct fixture *f, const char *config, int64_t idle_s) {
    static int vault, epochs; /* only their addresses count */
    *f = (struct fixture){.folder = "/tmp/bridge_test.XXXXXX"};
    CHECK(mkdtemp(f->folder) != NULL);
    snprintf(f->path, sizeof f->path, "%s/mcp.json", f->folder);
    f->profile.home = str_z(f->folder);
    f->profile.mcp_config = str_z(f->path);
    f->profile.mcp_idle_s = idle_s;
    if (config) {
        write_config(f, config);
    }
    fakes_reset();
    fake_server("one")->tools[0] = TOOL("a");
    fake_server("two")->tools[0] = TOOL("b");
    f->client = CHECK_OK(http_client_start(&f->err), &f->err);
    return CHECK_OK(bridges_new(&(struct bridges_options){.profile = &f->profile,
                                                          .vault = (struct vault *)&vault,
                                                          .epochs = (struct user_epochs *)&epochs},
                                &f->bridges, &f->err),
                    &f->err) &&
           CHECK_OK(bridges_start(f->bridges, &f->err), &f->err);
}

static void teardown(struct fixture *f) {
    if (f->bridges) {
        bridges_stop(f->bridges);
        bridges_free(f->bridges);
    }
    CHECK_INT(fake_clients_open(), 0);
    if (f->client) {
        http_client_stop();
    }
    unlink(f->path);
    rmdir(f->folder);
}

static void look(struct fixture *f, const char *user, int64_t wait_ms, struct bridge_view *ret) {
    *ret = (struct bridge_view){0};
    CHECK_OK(bridge_view_open(f->bridges, str_z(user), wait_ms, ret, &f->err), &f->err);
}

static const struct bridge_server *in(const struct bridge_view *v, const char *server) {
    static const struct bridge_server none;
    for (size_t i = 0; i < v->n; i++) {
        if (str_eq(v->servers[i].name, str_z(server))) {
            return &v->servers[i];
        }
    }
    CHECK(false);
    return &none;
}

static enum bridge_state state(struct fixture *f, const char *user, const char *server) {
    struct bridge_view v cleanup(bridge_view_done) = {0};
    look(f, user, 0, &v);
    return in(&v, server)->state;
}

static bool comes(struct fixture *f, const char *user, const char *server, enum bridge_state s) {
    int64_t end_us = clock_mono_us() + PATIENCE_MS * INT64_C(1000);
    while (state(f, user, server) != s) {
        if (clock_mono_us() > end_us) {
            return false;
        }
        fiber_sleep(5);
    }
    return true;
}

static int call(struct fixture *f, const char *user, const char *server) {
    struct arena arena cleanup(arena_done) = {0};
    struct mcp_call_result result;
    const struct mcp_call what = {.tool = STR("a"), .arguments = STR("{}")};
    return bridge_call(f->bridges, str_z(user), str_z(server), &what, &arena, &result, &f->err);
}

/* ---- what is seen ---- */

TEST_FIBER(the_first_view_waits_and_shows_the_tools) {
    struct fixture f cleanup(teardown);
    struct bridge_view v cleanup(bridge_view_done) = {0};
    REQUIRE(setup(&f, TWO, 300));
    look(&f, "ann", PATIENCE_MS, &v);
    CHECK_INT(v.n, 2);
    CHECK_STR(v.servers[0].name, "one");
    CHECK_INT(v.servers[0].state, BRIDGE_READY);
    REQUIRE(v.servers[0].tools && v.servers[1].tools);
    CHECK_STR(v.servers[0].tools->tools[0].name, "a");
    CHECK_STR(v.servers[1].tools->tools[0].name, "b");
    CHECK_STR(v.servers[1].credential_service, "two");
    CHECK(!v.servers[1].has_credential);
    REQUIRE(v.servers[0].info);
    CHECK_STR(v.servers[0].info->instructions, "be kind");
    CHECK_STR(v.servers[0].error, "");
    CHECK_INT(bridges_stats(f.bridges).connections, 2);
    CHECK_INT(bridges_stats(f.bridges).bridges, 1);
}

TEST_FIBER(a_touch_connects_and_waits_for_nothing) {
    struct fixture f cleanup(teardown);
    REQUIRE(setup(&f, TWO, 300));
    bridges_touch(f.bridges, STR("ann"));
    CHECK_INT(fakes.n_clients, 0);
    for (int i = 0; i < 1000 && fake_server("two")->lists == 0; i++) {
        fiber_sleep(5);
    }
    CHECK_INT(fake_server("two")->lists, 1);
    CHECK_INT(call(&f, "ann", "one"), 0);
    CHECK_INT(fake_server("one")->connects, 1);
}

TEST_FIBER(a_server_that_hangs_holds_up_nobody_but_its_callers) {
    struct fixture f cleanup(teardown);
    struct bridge_view first cleanup(bridge_view_done) = {0}, then cleanup(bridge_view_done) = {0};
    REQUIRE(setup(&f, TWO, 300));
    fake_server("one")->connect_waits = true;
    look(&f, "ann", 20, &first);
    CHECK_INT(in(&first, "one")->state, BRIDGE_CONNECTING);
    CHECK_OK(call(&f, "ann", "two"), &f.err);
    look(&f, "ann", 3600 * 1000, &then); /* once was enough: this returns although it still hangs */
    CHECK_INT(in(&then, "one")->state, BRIDGE_CONNECTING);
    CHECK_INT(in(&then, "two")->state, BRIDGE_READY);
    bridge_view_done(&then);
    look(&f, "bob", 3600 * 1000, &then); /* nor does anybody else wait for it */
    CHECK_INT(in(&then, "one")->state, BRIDGE_CONNECTING);
    fakes_open_gate();
    CHECK(comes(&f, "ann", "one", BRIDGE_READY));
    CHECK_INT(fake_server("one")->connects, 2);
}

TEST_FIBER(there_is_no_such_server) {
    struct fixture f cleanup(teardown);
    REQUIRE(setup(&f, TWO, 300));
    CHECK_FAILS(call(&f, "ann", "three"), &f.err, ERR_NOT_FOUND);
    CHECK_FAILS(bridge_reconnect(f.bridges, STR("ann"), STR("three"), &f.err), &f.err,
                ERR_NOT_FOUND);
}

TEST_FIBER(a_server_without_tools_is_not_asked_for_them) {
    struct fixture f cleanup(teardown);
    struct bridge_view v cleanup(bridge_view_done) = {0};
    REQUIRE(setup(&f, TWO, 300));
    fake_server("one")->without_tools = true;
    look(&f, "ann", PATIENCE_MS, &v);
    CHECK_INT(in(&v, "one")->state, BRIDGE_READY);
    REQUIRE(in(&v, "one")->tools);
    CHECK_INT(in(&v, "one")->tools->n, 0);
    CHECK_INT(fake_server("one")->lists, 0);
}

TEST_FIBER(lists_follow_their_servers) {
    struct fixture f cleanup(teardown);
    struct bridge_view v cleanup(bridge_view_done) = {0}, old cleanup(bridge_view_done) = {0};
    REQUIRE(setup(&f, TWO, 300));
    look(&f, "ann", PATIENCE_MS, &old);
    fake_server("one")->tools[1] = TOOL("new");
    fake_tools_changed("one");
    for (int i = 0; i < 1000 && fake_server("one")->lists < 2; i++) {
        fiber_sleep(5);
    }
    CHECK(comes(&f, "ann", "one", BRIDGE_READY));
    look(&f, "ann", 0, &v);
    REQUIRE(in(&v, "one")->tools && in(&old, "one")->tools);
    CHECK_INT(in(&v, "one")->tools->n, 2);
    CHECK_INT(in(&old, "one")->tools->n, 1); /* whoever looks at the old one may go on */
    CHECK(v.version != old.version);
}

/* ---- whose credential ---- */

TEST_FIBER(each_user_has_connections_of_their_own) {
    struct fixture f cleanup(teardown);
    REQUIRE(setup(&f, TWO, 300));
    fake_credential("ann", "two", "{\"token\":\"same\"}");
    fake_credential("bob", "two", "{\"token\":\"same\"}");
    fake_credential("cid", "two", "{\"token\":\"cid's\"}");
    CHECK_OK(call(&f, "ann", "two"), &f.err);
    CHECK_OK(call(&f, "bob", "two"), &f.err);
    CHECK_OK(call(&f, "cid", "two"), &f.err);
    CHECK_OK(call(&f, "dan", "two"), &f.err);
    unsigned same = 0, cids = 0, without = 0;
    for (size_t i = 0; i < fakes.n_clients; i++) {
        const struct fake_client *c = &fakes.clients[i];
        if (c->calls) {
            CHECK_INT(c->calls, 1);
            same += strcmp(c->header, "TOKEN=T-same;") == 0;
            cids += strcmp(c->header, "TOKEN=T-cid's;") == 0;
            without += strcmp(c->header, "") == 0;
        }
    }
    CHECK_INT(same, 2);
    CHECK_INT(cids, 1);
    CHECK_INT(without, 1);
}

struct running {
    struct fixture *f;
    int rc;
    bool done;
};
static void run_call(void *arg) {
    struct running *r = arg;
    struct arena arena cleanup(arena_done) = {0};
    struct mcp_call_result result;
    struct err err;
    const struct mcp_call what = {.tool = STR("a"), .arguments = STR("{}")};
    r->rc = bridge_call(r->f->bridges, STR("ann"), STR("two"), &what, &arena, &result, &err);
    r->done = true;
}

TEST_FIBER(a_changed_credential_counts_from_the_next_call_on) {
    struct fixture f cleanup(teardown);
    struct fiber_scope scope cleanup(fiber_scope_done);
    struct running running = {.f = &f};
    fiber_scope_init(&scope);
    REQUIRE(setup(&f, TWO, 300));
    fake_credential("ann", "two", "{\"token\":\"old\"}");
    fake_server("two")->call_waits = true;
    REQUIRE_OK(fiber_spawn(&scope, "call", run_call, &running, NULL, &f.err), &f.err);
    while (fake_server("two")->calls == 0) {
        fiber_sleep(5);
    }
    fake_credential("ann", "two", "{\"token\":\"new\"}");
    fake_server("two")->call_waits = false;
    CHECK_OK(call(&f, "ann", "two"), &f.err);
    REQUIRE(fake_client("two", "T-new") && fake_client("two", "T-old"));
    CHECK_INT(fake_client("two", "T-new")->calls, 1);
    CHECK_INT(fake_client("two", "T-old")->calls, 1);
    CHECK(!fake_client("two", "T-old")->freed && !running.done); /* it finishes what it began */
    fakes_open_gate();
    fiber_scope_join(&scope);
    CHECK_INT(running.rc, 0);
    for (int i = 0; i < 1000 && !fake_client("two", "T-old")->freed; i++) {
        fiber_sleep(5);
    }
    CHECK(fake_client("two", "T-old")->freed);
    fake_credential("ann", "two", NULL);
    CHECK_OK(call(&f, "ann", "two"), &f.err);
    CHECK_STR(str_z(fake_client("two", "")->header), "");
    CHECK_INT(fake_client("two", "")->calls, 1);
    CHECK_INT(fake_client("two", "T-new")->calls, 1);
}

TEST_FIBER(a_change_of_something_else_drops_nothing) {
    struct fixture f cleanup(teardown);
    REQUIRE(setup(&f, TWO, 300));
    fake_credential("ann", "two", "{\"token\":\"t\"}");
    CHECK_OK(call(&f, "ann", "two"), &f.err);
    fakes.epoch++;
    fake_credential("ann", "other", "{}");
    CHECK_OK(call(&f, "ann", "two"), &f.err);
    CHECK_INT(fake_client("two", "T-t")->calls, 2);
}

TEST_FIBER(unchanged_the_vault_is_not_asked) {
    struct fixture f cleanup(teardown);
    REQUIRE(setup(&f, TWO, 300));
    CHECK_OK(call(&f, "ann", "two"), &f.err);
    unsigned before = fakes.vault_reads;
    for (int i = 0; i < 10; i++) {
        CHECK_OK(call(&f, "ann", "two"), &f.err);
        CHECK_INT(state(&f, "ann", "two"), BRIDGE_READY);
    }
    CHECK_INT(fakes.vault_reads, before);
}

/* Without a header the server would act with the operator's rights. */
TEST_FIBER(a_vault_that_fails_lets_nobody_in) {
    struct fixture f cleanup(teardown);
    REQUIRE(setup(&f, TWO, 300));
    fake_credential("ann", "two", "{\"token\":\"t\"}");
    fakes.vault_fails = ERR_UNAVAILABLE;
    CHECK_FAILS(call(&f, "ann", "two"), &f.err, ERR_UNAVAILABLE);
    CHECK_INT(state(&f, "ann", "two"), BRIDGE_UNREACHABLE);
    CHECK_INT(fakes.n_clients, 0);
    fakes.vault_fails = ERR_NONE;
    CHECK_OK(call(&f, "ann", "two"), &f.err);
    fakes.epoch++;
    fakes.vault_fails = ERR_UNAVAILABLE;
    CHECK_FAILS(call(&f, "ann", "two"), &f.err, ERR_UNAVAILABLE);
    fakes.vault_fails = ERR_NONE;
    CHECK_OK(call(&f, "ann", "two"), &f.err);
    CHECK_INT(fake_client("two", "T-t")->calls, 2); /* the connection was kept for then */
}

TEST_FIBER(a_credential_that_does_not_fit_is_the_users_matter) {
    struct fixture f cleanup(teardown);
    struct bridge_view v cleanup(bridge_view_done) = {0};
    REQUIRE(setup(&f, TWO, 300));
    fake_credential("ann", "two", "{\"tocken\":\"t\"}");
    CHECK_FAILS(call(&f, "ann", "two"), &f.err, ERR_UNAUTHORIZED);
    CHECK(strstr(f.err.msg, "token") != NULL);
    CHECK(fake_client("two", "") == NULL);
    look(&f, "ann", 0, &v);
    CHECK_INT(in(&v, "two")->state, BRIDGE_UNAUTHORIZED);
    CHECK(in(&v, "two")->has_credential);
    fake_credential("ann", "two", "{\"token\":\"t\"}");
    CHECK_OK(call(&f, "ann", "two"), &f.err); /* at once: what was wrong is mended */
}

/* ---- the breaker ---- */

TEST_FIBER(a_dead_server_is_answered_for_at_once_and_tried_again_later) {
    struct fixture f cleanup(teardown);
    REQUIRE(setup(&f, TWO, 300));
    fake_server("one")->connect_fails = ERR_UNAVAILABLE;
    CHECK_FAILS(call(&f, "ann", "one"), &f.err, ERR_UNAVAILABLE);
    for (int i = 0; i < 5; i++) {
        CHECK_FAILS(call(&f, "ann", "one"), &f.err, ERR_UNAVAILABLE);
        CHECK(strstr(f.err.msg, "tried again in") != NULL);
    }
    CHECK(fake_server("one")->connects < 6); /* not with each call */
    CHECK_OK(call(&f, "ann", "two"), &f.err);
    CHECK_OK(call(&f, "bob", "two"), &f.err);
    fake_server("one")->connect_fails = ERR_NONE;
    CHECK(comes(&f, "ann", "one", BRIDGE_READY)); /* by itself: ann was here just now */
    CHECK_OK(call(&f, "ann", "one"), &f.err);
    CHECK(fake_server("one")->connects >= 2);
}

TEST_FIBER(a_call_that_lost_its_server_opens_the_breaker) {
    struct fixture f cleanup(teardown);
    REQUIRE(setup(&f, TWO, 300));
    CHECK_OK(call(&f, "ann", "one"), &f.err);
    fake_server("one")->call_fails = ERR_UNAVAILABLE;
    CHECK_FAILS(call(&f, "ann", "one"), &f.err, ERR_UNAVAILABLE);
    CHECK_FAILS(call(&f, "ann", "one"), &f.err, ERR_UNAVAILABLE);
    CHECK_INT(fake_server("one")->calls, 2);
    fake_server("one")->call_fails = ERR_NONE;
    CHECK_OK(bridge_reconnect(f.bridges, STR("ann"), STR("one"), &f.err), &f.err);
    CHECK_OK(call(&f, "ann", "one"), &f.err);
    struct bridges_stats s = bridges_stats(f.bridges);
    CHECK_INT(s.calls, 4);
    CHECK_INT(s.failures, 2);
}

TEST_FIBER(calls_that_take_too_long_open_it_too) {
    struct fixture f cleanup(teardown);
    REQUIRE(setup(&f, TWO, 300));
    CHECK(comes(&f, "ann", "one", BRIDGE_READY));
    fake_server("one")->call_fails = ERR_TIMEOUT;
    for (int i = 0; i < 3; i++) {
        CHECK_FAILS(call(&f, "ann", "one"), &f.err, ERR_TIMEOUT);
    }
    CHECK_FAILS(call(&f, "ann", "one"), &f.err, ERR_UNAVAILABLE);
    CHECK_INT(fake_server("one")->calls, 3);
}

TEST_FIBER(what_a_server_refuses_is_the_calls_own_matter) {
    struct fixture f cleanup(teardown);
    static const enum err_code codes[] = {ERR_INVALID, ERR_LIMIT, ERR_PROTOCOL};
    REQUIRE(setup(&f, TWO, 300));
    for (size_t i = 0; i < 9; i++) {
        fake_server("one")->call_fails = codes[i % 3];
        CHECK_FAILS(call(&f, "ann", "one"), &f.err, codes[i % 3]);
    }
    CHECK_INT(state(&f, "ann", "one"), BRIDGE_READY);
}

TEST_FIBER(one_users_failure_is_no_other_users) {
    struct fixture f cleanup(teardown);
    REQUIRE(setup(&f, TWO, 300));
    fake_server("one")->connect_fails = ERR_UNAUTHORIZED;
    CHECK_FAILS(call(&f, "ann", "one"), &f.err, ERR_UNAUTHORIZED);
    fake_server("one")->connect_fails = ERR_NONE;
    CHECK_OK(call(&f, "bob", "one"), &f.err);
    CHECK_FAILS(call(&f, "ann", "one"), &f.err, ERR_UNAUTHORIZED);
    CHECK_INT(state(&f, "ann", "one"), BRIDGE_UNAUTHORIZED);
}

TEST_FIBER(a_list_that_cannot_be_used_is_told_of) {
    struct fixture f cleanup(teardown);
    struct bridge_view v cleanup(bridge_view_done) = {0};
    REQUIRE(setup(&f, TWO, 300));
    fake_server("one")->list_fails = ERR_PROTOCOL;
    look(&f, "ann", PATIENCE_MS, &v);
    CHECK_INT(in(&v, "one")->state, BRIDGE_FAILED);
    CHECK(in(&v, "one")->error.n > 0 && in(&v, "one")->retry_at_us > clock_mono_us());
    CHECK(in(&v, "one")->tools == NULL);
}

/* ---- coming and going ---- */

TEST_FIBER(unused_connections_are_closed_and_their_tools_remembered) {
    struct fixture f cleanup(teardown);
    struct bridge_view v cleanup(bridge_view_done) = {0};
    REQUIRE(setup(&f, TWO, 1));
    look(&f, "ann", PATIENCE_MS, &v);
    bridge_view_done(&v);
    for (int i = 0; i < 2000 && fake_clients_open() > 0; i++) {
        fiber_sleep(5);
    }
    CHECK_INT(fake_clients_open(), 0);
    CHECK_INT(bridges_stats(f.bridges).connections, 0);
    CHECK_INT(bridges_stats(f.bridges).bridges, 1);
    look(&f, "ann", 0, &v);
    CHECK(in(&v, "one")->tools != NULL);
    CHECK_INT(in(&v, "one")->state, BRIDGE_IDLE);
    CHECK_OK(call(&f, "ann", "one"), &f.err);
    bridge_view_done(&v);
    for (int i = 0; i < 4000 && bridges_stats(f.bridges).bridges > 0; i++) {
        fiber_sleep(5);
    }
    CHECK_INT(bridges_stats(f.bridges).bridges, 0); /* and at last forgotten */
    CHECK_INT(bridges_stats(f.bridges).list_bytes, 0);
}

TEST_FIBER(a_user_who_does_nothing_keeps_no_stream_open) {
    struct fixture f cleanup(teardown);
    REQUIRE(setup(&f, TWO, 10));
    CHECK(comes(&f, "ann", "one", BRIDGE_READY));
    struct fake_client *c = fake_client("one", "");
    CHECK(!c->deaf);
    for (int i = 0; i < 2000 && !c->deaf; i++) {
        fiber_sleep(5);
    }
    CHECK(c->deaf && !c->freed);
    CHECK_OK(call(&f, "ann", "one"), &f.err);
    CHECK(!c->deaf);
    for (int i = 0; i < 2000 && fake_server("one")->lists < 2; i++) {
        fiber_sleep(5);
    }
    CHECK_INT(fake_server("one")->lists, 2); /* something may have changed unheard */
    CHECK_INT(fake_server("one")->connects, 1);
}

TEST_FIBER(another_file_changes_what_is_different_in_it) {
    struct fixture f cleanup(teardown);
    struct fiber_scope scope cleanup(fiber_scope_done);
    struct running running = {.f = &f};
    fiber_scope_init(&scope);
    REQUIRE(setup(&f, TWO, 300));
    fake_server("three")->tools[0] = TOOL("c");
    CHECK_OK(call(&f, "ann", "one"), &f.err);
    fake_server("two")->call_waits = true;
    REQUIRE_OK(fiber_spawn(&scope, "call", run_call, &running, NULL, &f.err), &f.err);
    while (fake_server("two")->calls == 0) {
        fiber_sleep(5);
    }
    write_config(&f, "{\"mcpServers\": {\"three\": {\"command\": \"3\"}, \"two\": {\"command\": "
                     "\"two\"}, \"one\": {\"command\": \"one\"}}}");
    int64_t end_us = clock_mono_us() + PATIENCE_MS * INT64_C(1000);
    while (call(&f, "ann", "three") == -ERR_NOT_FOUND && clock_mono_us() < end_us) {
        fiber_sleep(20);
    }
    CHECK_INT(fake_server("three")->calls, 1);
    CHECK_OK(call(&f, "ann", "one"), &f.err);
    CHECK_INT(fake_server("one")->connects, 1); /* it is the same server */
    CHECK(!running.done && !fake_client("two", "")->freed);
    fakes_open_gate();
    fiber_scope_join(&scope);
    CHECK_INT(running.rc, 0);
    CHECK_OK(call(&f, "ann", "two"), &f.err);
    CHECK_INT(fake_server("two")->connects, 2); /* it has no credential any more */
    write_config(&f, "{\"mcpServers\": {");
    fiber_sleep(4000);
    CHECK_OK(call(&f, "ann", "three"), &f.err); /* a broken file changes nothing */
}

TEST_FIBER(the_end_comes_while_everything_is_going_on) {
    struct fixture f cleanup(teardown);
    struct bridge_view v cleanup(bridge_view_done) = {0};
    REQUIRE(setup(&f, TWO, 300));
    fake_server("one")->connect_waits = true;
    fake_server("two")->list_waits = true;
    look(&f, "ann", 10, &v);
    CHECK_INT(state(&f, "bob", "two"), BRIDGE_CONNECTING);
    bridges_touch(f.bridges, STR("cid"));
    CHECK_INT(in(&v, "one")->state, BRIDGE_CONNECTING);
}

TEST_FIBER(preconfigured_servers_are_off_until_they_are_reachable) {
    struct fixture f cleanup(teardown);
    struct bridge_view v cleanup(bridge_view_done) = {0};
    REQUIRE(setup(&f, NULL, 300));
    look(&f, "ann", 3600 * 1000, &v); /* does not wait */
    CHECK_INT(v.n, 5);
    for (size_t i = 0; i < v.n; i++) {
        CHECK_INT(v.servers[i].state, BRIDGE_UNREACHABLE);
        CHECK(v.servers[i].error.n > 0);
    }
    CHECK_INT(fakes.n_clients, 0);
    CHECK_FAILS(call(&f, "ann", "garmin"), &f.err, ERR_UNAVAILABLE);
}

TEST_FIBER(a_bad_file_is_refused_at_the_start) {
    struct fixture f cleanup(teardown);
    struct bridges *b = NULL;
    REQUIRE(setup(&f, TWO, 300));
    write_config(&f, "{\"mcpServers\": {\"x\": {}}}");
    CHECK_FAILS(bridges_new(&(struct bridges_options){.profile = &f.profile}, &b, &f.err), &f.err,
                ERR_INVALID);
    CHECK(strstr(f.err.msg, "mcpServers.x") != NULL && strstr(f.err.msg, f.path) != NULL);
}
