/* Each user's tokens: consent, renewal once for all, what ends and what does not. */
#include "mcp/authorizer.h"

#include "base/clock.h"
#include "oauth_fakes.h"
#include "test.h"

#define ANN STR("ann")
#define BOB STR("bob")
#define WIKI STR("wiki")
#define ROW "mcp:wiki"

static struct authorizers *authorizers;

static bool start(void) {
    if (!oauth_fakes_start()) {
        return false;
    }
    authorizers =
        authorizers_new(&(struct authorizers_options){.public_url = STR("http://127.0.0.1:8080/")});
    authorizers_define(authorizers,
                       &(struct authorizer_server){.name = WIKI, .url = str_z(fakes.url)});
    return true;
}

static void stop(void) {
    authorizers_free(authorizers);
    oauth_fakes_stop();
}

/* ---- steps ---- */

struct link {
    char state[4096], scope[128], client[64];
};

static bool ask_link(struct str user, struct link *ret) {
    struct strbuf url cleanup(strbuf_done) = STRBUF(AUTHORIZER_MAX_URL_BYTES);
    struct err err;
    if (!CHECK_OK(authorizers_url(authorizers, user, WIKI, &url, &err), &err)) {
        return false;
    }
    snprintf(ret->state, sizeof ret->state, "%s", oauth_fakes_parameter(strbuf_z(&url), "state"));
    snprintf(ret->scope, sizeof ret->scope, "%s", oauth_fakes_parameter(strbuf_z(&url), "scope"));
    snprintf(ret->client, sizeof ret->client, "%s",
             oauth_fakes_parameter(strbuf_z(&url), "client_id"));
    CHECK_STR(str_z(oauth_fakes_parameter(strbuf_z(&url), "redirect_uri")),
              "http://127.0.0.1:8080/oauth/callback");
    CHECK_STR(str_z(oauth_fakes_parameter(strbuf_z(&url), "code_challenge_method")), "S256");
    CHECK_STR(str_z(oauth_fakes_parameter(strbuf_z(&url), "resource")), fakes.url);
    return true;
}

static int come_back(const struct link *link, const char *iss, struct err *err) {
    struct arena arena cleanup(arena_done) = {0};
    struct authorizer_visit visit;
    const struct authorizer_callback callback = {
        .code = STR("code"), .state = str_z(link->state), .iss = str_z(iss), .error = STR_EMPTY};
    int rc = authorizers_finish(authorizers, &callback, &arena, &visit, err);
    if (rc == 0) {
        CHECK_STR(visit.server, "wiki");
    }
    return rc;
}

static bool consent(struct str user) {
    struct link link;
    struct err err;
    return ask_link(user, &link) && CHECK_OK(come_back(&link, fakes.issuer, &err), &err);
}

static void check_token(struct authorizer *a, const char *want) {
    struct mcp_authorizer hooks = authorizer_hooks(a);
    struct secret *token cleanup(secret_free_p) = NULL;
    struct err err;
    CHECK_OK(hooks.token(hooks.arg, &token, &err), &err);
    CHECK_STR(secret_reveal(token), want);
}

static int refuse(struct authorizer *a, const char *used, int status, const char *field,
                  struct err *err) {
    struct mcp_authorizer hooks = authorizer_hooks(a);
    struct secret *token cleanup(secret_free_p) = used ? secret_new(str_z(used)) : NULL;
    return hooks.challenged(hooks.arg, token, status, str_z(field), err);
}

/* ---- consent ---- */

TEST_FIBER(a_user_consents_and_calls_have_a_token) {
    struct link link;
    struct err err;
    REQUIRE(start());
    struct authorizer *a = authorizer_new(authorizers, ANN, WIKI);
    check_token(a, "");
    CHECK_FAILS(refuse(a, NULL, 401, "Bearer", &err), &err, ERR_UNAUTHORIZED);
    CHECK(strstr(err.msg, "wiki needs your permission: open http://127.0.0.1:8080/oauth/start?"));
    REQUIRE(ask_link(ANN, &link));
    CHECK_STR(str_z(link.scope), "read");
    CHECK_STR(str_z(link.client), "client-1");
    CHECK_INT(fakes.as.tokens, 0);
    CHECK_OK(come_back(&link, fakes.issuer, &err), &err);
    CHECK_STR(str_z(oauth_fakes_parameter(fakes.as.form, "redirect_uri")),
              "http://127.0.0.1:8080/oauth/callback");
    CHECK_INT(strlen(oauth_fakes_parameter(fakes.as.form, "code_verifier")), 43);
    check_token(a, "access-1");
    CHECK(strstr(oauth_fakes_get("ann", ROW), "refresh-1"));
    /* It was refused before it came, so it may be tried. */
    CHECK_OK(refuse(a, NULL, 401, "Bearer", &err), &err);
    authorizer_free(a);
    stop();
}

TEST_FIBER(a_link_in_a_message_leads_to_its_user_and_server) {
    struct arena arena cleanup(arena_done) = {0};
    struct authorizer_visit visit;
    struct err err;
    REQUIRE(start());
    struct authorizer *a = authorizer_new(authorizers, ANN, WIKI);
    CHECK_FAILS(refuse(a, NULL, 401, "", &err), &err, ERR_UNAUTHORIZED);
    const char *link = strstr(err.msg, "?link=");
    REQUIRE(link);
    struct str sealed = str_z(link + 6);
    CHECK_OK(authorizers_open_link(authorizers, sealed, &arena, &visit, &err), &err);
    CHECK_STR(visit.user_id, "ann");
    CHECK_STR(visit.server, "wiki");
    fakes.seals_older_s = AUTHORIZER_LINK_AGE_S + 1;
    CHECK_FAILS(authorizers_open_link(authorizers, sealed, &arena, &visit, &err), &err,
                ERR_INVALID);
    fakes.seals_older_s = 0;
    CHECK_FAILS(authorizers_open_link(authorizers, STR("00"), &arena, &visit, &err), &err,
                ERR_INVALID);
    authorizer_free(a);
    stop();
}

TEST_FIBER(a_client_registers_once) {
    struct link first, second;
    struct err err;
    REQUIRE(start());
    REQUIRE(ask_link(ANN, &first) && ask_link(ANN, &second));
    CHECK_INT(fakes.as.registrations, 1);
    CHECK_STR(str_z(second.client), "client-1");
    CHECK_OK(come_back(&first, fakes.issuer, &err), &err);
    REQUIRE(ask_link(BOB, &first));
    CHECK_STR(str_z(first.client), "client-2"); /* nothing is shared, not even this */
    stop();
}

TEST_FIBER(a_callback_is_for_one_request_in_its_time) {
    struct link link;
    struct err err;
    REQUIRE(start() && ask_link(ANN, &link));
    CHECK_FAILS(come_back(&link, "https://evil.example", &err), &err, ERR_INVALID);
    CHECK_FAILS(come_back(&link, "", &err), &err, ERR_INVALID);
    fakes.seals_older_s = AUTHORIZER_STATE_AGE_S + 1;
    CHECK_FAILS(come_back(&link, fakes.issuer, &err), &err, ERR_INVALID);
    fakes.seals_older_s = 0;
    struct link forged = link;
    forged.state[0] ^= 1;
    CHECK_FAILS(come_back(&forged, fakes.issuer, &err), &err, ERR_INVALID);
    CHECK_INT(fakes.as.tokens, 0);
    CHECK_OK(come_back(&link, fakes.issuer, &err), &err);
    CHECK_OK(come_back(&link, fakes.issuer, &err), &err); /* the page, loaded again */
    CHECK_INT(fakes.as.tokens, 1);
    stop();
}

TEST_FIBER(a_code_that_is_worth_nothing_stores_nothing) {
    struct link link;
    struct err err;
    REQUIRE(start() && ask_link(ANN, &link));
    fakes.as.refuses = "invalid_grant";
    CHECK_FAILS(come_back(&link, fakes.issuer, &err), &err, ERR_UNAUTHORIZED);
    CHECK(!strstr(oauth_fakes_get("ann", ROW), "access"));
    fakes.as.refuses = NULL;
    oauth_fakes_put("ann", ROW, NULL); /* the registration is gone */
    CHECK_FAILS(come_back(&link, fakes.issuer, &err), &err, ERR_CONFLICT);
    stop();
}

TEST_FIBER(a_client_id_of_the_operators_is_for_its_issuer_only) {
    struct strbuf url cleanup(strbuf_done) = STRBUF(AUTHORIZER_MAX_URL_BYTES);
    struct secret *secret cleanup(secret_free_p) = secret_new(STR("top"));
    struct link link;
    struct err err;
    REQUIRE(start());
    struct authorizer_server own = {.name = WIKI,
                                    .url = str_z(fakes.url),
                                    .client_id = STR("operators"),
                                    .client_secret = secret,
                                    .issuer = STR("https://elsewhere.example")};
    authorizers_define(authorizers, &own);
    CHECK_FAILS(authorizers_url(authorizers, ANN, WIKI, &url, &err), &err, ERR_PROTOCOL);
    own.issuer = str_z(fakes.issuer);
    authorizers_define(authorizers, &own);
    REQUIRE(ask_link(ANN, &link));
    CHECK_STR(str_z(link.client), "operators");
    CHECK_OK(come_back(&link, fakes.issuer, &err), &err);
    CHECK_INT(fakes.as.registrations, 0);
    CHECK(!strstr(oauth_fakes_get("ann", ROW), "top")); /* not for users to have */
    stop();
}

TEST_FIBER(who_takes_no_strangers_or_asks_for_nothing_is_named) {
    struct strbuf url cleanup(strbuf_done) = STRBUF(AUTHORIZER_MAX_URL_BYTES);
    char open[80];
    struct err err;
    REQUIRE(start());
    fakes.as.without_registration = true;
    CHECK_FAILS(authorizers_url(authorizers, ANN, WIKI, &url, &err), &err, ERR_CONFLICT);
    snprintf(open, sizeof open, "%s/open", fakes.issuer);
    authorizers_define(authorizers, &(struct authorizer_server){.name = WIKI, .url = str_z(open)});
    CHECK_FAILS(authorizers_url(authorizers, ANN, WIKI, &url, &err), &err, ERR_CONFLICT);
    CHECK_FAILS(authorizers_url(authorizers, ANN, STR("other"), &url, &err), &err, ERR_NOT_FOUND);
    stop();
}

TEST_FIBER(users_share_nothing) {
    struct err err;
    REQUIRE(start() && consent(ANN));
    struct authorizer *a = authorizer_new(authorizers, ANN, WIKI);
    struct authorizer *b = authorizer_new(authorizers, BOB, WIKI);
    check_token(a, "access-1");
    check_token(b, "");
    CHECK_FAILS(refuse(b, "access-1", 401, "Bearer", &err), &err, ERR_UNAUTHORIZED);
    CHECK_INT(fakes.as.refreshes, 0);
    authorizer_free(a);
    authorizer_free(b);
    stop();
}

TEST_FIBER(a_token_is_for_the_address_it_was_given_for) {
    struct authorizer_state state;
    struct err err;
    REQUIRE(start() && consent(ANN));
    struct authorizer *a = authorizer_new(authorizers, ANN, WIKI);
    check_token(a, "access-1");
    authorizers_define(authorizers, &(struct authorizer_server){
                                        .name = WIKI, .url = STR("https://elsewhere.example")});
    check_token(a, "");
    CHECK_OK(authorizer_look(a, &state, &err), &err);
    CHECK(!state.connected && !state.expired);
    authorizer_free(a);
    stop();
}

/* ---- renewal ---- */

struct caller {
    struct authorizer *authorizer;
    const char *used;
    int rc;
    struct err err;
    bool done;
};

static void call(void *arg) {
    struct caller *c = arg;
    c->rc = refuse(c->authorizer, c->used, 401, "Bearer error=\"invalid_token\"", &c->err);
    c->done = true;
}

static void spawn(struct fiber_scope *scope, struct caller *c, struct fiber **ret) {
    struct err err;
    CHECK_OK(fiber_spawn(scope, "caller", call, c, ret, &err), &err);
}

TEST_FIBER(ten_calls_renew_a_token_once) {
    struct fiber_scope scope;
    struct caller callers[10];
    REQUIRE(start() && consent(ANN));
    fiber_scope_init(&scope);
    struct authorizer *a = authorizer_new(authorizers, ANN, WIKI);
    for (size_t i = 0; i < ARRAY_LEN(callers); i++) {
        callers[i] = (struct caller){.authorizer = a, .used = "access-1"};
        spawn(&scope, &callers[i], NULL);
    }
    fiber_scope_join(&scope);
    for (size_t i = 0; i < ARRAY_LEN(callers); i++) {
        CHECK_OK(callers[i].rc, &callers[i].err);
    }
    CHECK_INT(fakes.as.refreshes, 1);
    check_token(a, "access-2");
    /* One that was refused with the old token, and comes late. */
    CHECK_OK(refuse(a, "access-1", 401, "Bearer", &callers[0].err), &callers[0].err);
    CHECK_INT(fakes.as.refreshes, 1);
    authorizer_free(a);
    stop();
}

TEST_FIBER(ten_calls_fail_together) {
    struct fiber_scope scope;
    struct caller callers[10];
    struct authorizer_state state;
    struct err err;
    REQUIRE(start() && consent(ANN));
    fakes.as.status = 503;
    fiber_scope_init(&scope);
    struct authorizer *a = authorizer_new(authorizers, ANN, WIKI);
    for (size_t i = 0; i < ARRAY_LEN(callers); i++) {
        callers[i] = (struct caller){.authorizer = a, .used = "access-1"};
        spawn(&scope, &callers[i], NULL);
    }
    fiber_scope_join(&scope);
    for (size_t i = 0; i < ARRAY_LEN(callers); i++) {
        CHECK_FAILS(callers[i].rc, &callers[i].err, ERR_UNAVAILABLE);
    }
    CHECK_INT(fakes.as.refreshes, 1);
    CHECK_OK(authorizer_look(a, &state, &err), &err);
    CHECK(state.connected); /* that a server is away says nothing of the token */
    fakes.as.status = 0;
    CHECK_OK(refuse(a, "access-1", 401, "Bearer", &err), &err);
    check_token(a, "access-3");
    authorizer_free(a);
    stop();
}

TEST_FIBER(a_call_that_is_given_up_costs_no_token) {
    struct fiber_scope scope;
    struct fiber *fiber;
    struct err err;
    REQUIRE(start() && consent(ANN));
    fakes.as.waits = true;
    fiber_scope_init(&scope);
    struct authorizer *a = authorizer_new(authorizers, ANN, WIKI);
    struct caller caller = {.authorizer = a, .used = "access-1"};
    spawn(&scope, &caller, &fiber);
    while (fakes.as.refreshes == 0) {
        REQUIRE(fiber_sleep(1) == 0);
    }
    fiber_cancel(fiber);
    fiber_scope_join(&scope);
    CHECK_FAILS(caller.rc, &caller.err, ERR_CANCELLED);
    oauth_fakes_open_gate();
    CHECK_OK(refuse(a, "access-1", 401, "Bearer", &err), &err);
    check_token(a, "access-2");
    CHECK_INT(fakes.as.refreshes, 1);
    authorizer_free(a);
    stop();
}

TEST_FIBER(a_token_is_renewed_before_its_end) {
    REQUIRE(start());
    fakes.as.expires_in = 5;
    REQUIRE(consent(ANN));
    fakes.as.expires_in = 3600;
    struct authorizer *a = authorizer_new(authorizers, ANN, WIKI);
    check_token(a, "access-2");
    check_token(a, "access-2");
    CHECK_INT(fakes.as.refreshes, 1);
    authorizer_free(a);
    stop();
}

TEST_FIBER(a_refresh_token_that_stays_is_used_again) {
    struct err err;
    REQUIRE(start());
    fakes.as.keeps_refresh = true;
    REQUIRE(consent(ANN));
    struct authorizer *a = authorizer_new(authorizers, ANN, WIKI);
    CHECK_OK(refuse(a, "access-1", 401, "Bearer", &err), &err);
    CHECK_OK(refuse(a, "access-2", 401, "Bearer", &err), &err);
    check_token(a, "access-3");
    CHECK_STR(str_z(oauth_fakes_parameter(fakes.as.form, "refresh_token")), "refresh-0");
    authorizer_free(a);
    stop();
}

/* Of another process: the same record with other tokens. */
static void renew_elsewhere(int n) {
    char value[4096], refresh[32];
    snprintf(value, sizeof value, "%s", oauth_fakes_get("ann", ROW));
    char *p = strstr(value, "access-1"), *q = strstr(value, "refresh-");
    REQUIRE(p && q);
    memcpy(p, "elsewher", 8);
    snprintf(refresh, sizeof refresh, "refresh-%d", n);
    memcpy(q, refresh, strlen(refresh));
    oauth_fakes_put("ann", ROW, value);
}

TEST_FIBER(what_another_process_renewed_is_taken) {
    struct err err;
    REQUIRE(start() && consent(ANN));
    struct authorizer *a = authorizer_new(authorizers, ANN, WIKI);
    check_token(a, "access-1");
    renew_elsewhere(2);
    CHECK_OK(refuse(a, "access-1", 401, "Bearer", &err), &err);
    check_token(a, "elsewher");
    CHECK_INT(fakes.as.refreshes, 0);
    authorizer_free(a);
    stop();
}

TEST_FIBER(a_race_for_the_refresh_token_may_be_lost) {
    struct fiber_scope scope;
    REQUIRE(start() && consent(ANN));
    fakes.as.waits = true;
    fakes.as.refuses = "invalid_grant";
    fiber_scope_init(&scope);
    struct authorizer *a = authorizer_new(authorizers, ANN, WIKI);
    struct caller caller = {.authorizer = a, .used = "access-1"};
    spawn(&scope, &caller, NULL);
    while (fakes.as.refreshes == 0) {
        REQUIRE(fiber_sleep(1) == 0);
    }
    oauth_fakes_open_gate();
    REQUIRE(fiber_sleep(100) == 0);
    CHECK(!caller.done); /* it looks again before it gives up */
    renew_elsewhere(2);
    fiber_scope_join(&scope);
    CHECK_OK(caller.rc, &caller.err);
    check_token(a, "elsewher");
    CHECK_INT(fakes.n_notified, 0);
    authorizer_free(a);
    stop();
}

TEST_FIBER(what_has_ended_for_good_is_told_once) {
    struct authorizer_state state, again;
    struct err err;
    REQUIRE(start() && consent(ANN));
    struct authorizer *a = authorizer_new(authorizers, ANN, WIKI);
    CHECK_OK(authorizer_look(a, &state, &err), &err);
    CHECK(state.connected && state.grant.z[0]);
    fakes.as.refuses = "invalid_grant";
    CHECK_FAILS(refuse(a, "access-1", 401, "Bearer", &err), &err, ERR_UNAUTHORIZED);
    CHECK(strstr(err.msg, "wiki needs your permission again: open http"));
    CHECK_FAILS(refuse(a, "access-1", 401, "Bearer", &err), &err, ERR_UNAUTHORIZED);
    CHECK_INT(fakes.as.refreshes, 1);
    CHECK_INT(fakes.n_notified, 1);
    CHECK(strstr(fakes.notified[0], "ann oauth-expired:") && strstr(fakes.notified[0], "wiki"));
    check_token(a, "");
    CHECK(!strstr(oauth_fakes_get("ann", ROW), "refresh-"));
    CHECK_OK(authorizer_look(a, &again, &err), &err);
    CHECK(!again.connected && again.expired && !again.grant.z[0]);
    fakes.as.refuses = NULL;
    REQUIRE(consent(ANN));
    CHECK_INT(fakes.as.registrations, 1);
    CHECK_OK(authorizer_look(a, &again, &err), &err);
    CHECK(again.connected && !str_eq(id_str(&again.grant), id_str(&state.grant)));
    authorizer_free(a);
    stop();
}

TEST_FIBER(a_token_without_refresh_ends_when_it_is_refused) {
    struct err err;
    REQUIRE(start());
    fakes.as.without_refresh = true;
    REQUIRE(consent(ANN));
    struct authorizer *a = authorizer_new(authorizers, ANN, WIKI);
    check_token(a, "access-1");
    CHECK_FAILS(refuse(a, "access-1", 401, "Bearer", &err), &err, ERR_UNAUTHORIZED);
    CHECK_INT(fakes.as.refreshes, 0);
    CHECK_INT(fakes.n_notified, 1);
    authorizer_free(a);
    stop();
}

TEST_FIBER(a_registration_that_was_forgotten_is_made_anew) {
    struct link link;
    struct err err;
    REQUIRE(start() && consent(ANN));
    struct authorizer *a = authorizer_new(authorizers, ANN, WIKI);
    fakes.as.refuses = "invalid_client";
    CHECK_FAILS(refuse(a, "access-1", 401, "Bearer", &err), &err, ERR_UNAUTHORIZED);
    fakes.as.refuses = NULL;
    REQUIRE(ask_link(ANN, &link));
    CHECK_STR(str_z(link.client), "client-2");
    authorizer_free(a);
    stop();
}

TEST_FIBER(tokens_outlive_a_change_of_address) {
    struct link link, other;
    struct err err;
    REQUIRE(start() && consent(ANN) && ask_link(ANN, &link));
    authorizers_free(authorizers);
    authorizers =
        authorizers_new(&(struct authorizers_options){.public_url = STR("https://me.example")});
    authorizers_define(authorizers,
                       &(struct authorizer_server){.name = WIKI, .url = str_z(fakes.url)});
    struct authorizer *a = authorizer_new(authorizers, ANN, WIKI);
    CHECK_OK(refuse(a, "access-1", 401, "Bearer", &err), &err);
    check_token(a, "access-2");
    struct strbuf url cleanup(strbuf_done) = STRBUF(AUTHORIZER_MAX_URL_BYTES);
    CHECK_OK(authorizers_url(authorizers, ANN, WIKI, &url, &err), &err);
    snprintf(other.client, sizeof other.client, "%s",
             oauth_fakes_parameter(strbuf_z(&url), "client_id"));
    CHECK_STR(str_z(other.client), "client-2"); /* the old one may not come back to here */
    CHECK_OK(refuse(a, "access-2", 401, "Bearer", &err), &err);
    /* A link that was made before, taken back by whoever has the new address. */
    CHECK_OK(come_back(&link, fakes.issuer, &err), &err);
    CHECK_STR(str_z(oauth_fakes_parameter(fakes.as.form, "redirect_uri")),
              "http://127.0.0.1:8080/oauth/callback");
    check_token(a, "access-4");
    authorizer_free(a);
    stop();
}

TEST_FIBER(who_disconnects_during_a_refresh_stays_disconnected) {
    struct fiber_scope scope;
    REQUIRE(start() && consent(ANN));
    fakes.as.waits = true;
    fiber_scope_init(&scope);
    struct authorizer *a = authorizer_new(authorizers, ANN, WIKI);
    struct caller caller = {.authorizer = a, .used = "access-1"};
    spawn(&scope, &caller, NULL);
    while (fakes.as.refreshes == 0) {
        REQUIRE(fiber_sleep(1) == 0);
    }
    oauth_fakes_put("ann", ROW, NULL);
    oauth_fakes_open_gate();
    fiber_scope_join(&scope);
    CHECK_FAILS(caller.rc, &caller.err, ERR_UNAUTHORIZED);
    CHECK_STR(str_z(oauth_fakes_get("ann", ROW)), "");
    check_token(a, "");
    authorizer_free(a);
    stop();
}

TEST_FIBER(a_token_that_could_not_be_stored_still_counts) {
    struct err err;
    REQUIRE(start() && consent(ANN));
    struct authorizer *a = authorizer_new(authorizers, ANN, WIKI);
    check_token(a, "access-1");
    fakes.put_fails = ERR_UNAVAILABLE;
    CHECK_OK(refuse(a, "access-1", 401, "Bearer", &err), &err);
    CHECK(strstr(oauth_fakes_get("ann", ROW), "access-1"));
    check_token(a, "access-2");
    fakes.put_fails = ERR_NONE;
    check_token(a, "access-2");
    CHECK(strstr(oauth_fakes_get("ann", ROW), "access-2"));
    authorizer_free(a);
    stop();
}

/* ---- more permissions ---- */

#define MORE "Bearer error=\"insufficient_scope\", scope=\"write\""

TEST_FIBER(more_permissions_are_asked_for_beside_the_old_ones) {
    struct link link;
    struct err err;
    REQUIRE(start() && consent(ANN));
    struct authorizer *a = authorizer_new(authorizers, ANN, WIKI);
    CHECK_FAILS(refuse(a, "access-1", 403, MORE, &err), &err, ERR_UNAUTHORIZED);
    CHECK(strstr(err.msg, "wiki needs further permissions: open http"));
    check_token(a, "access-1"); /* it is good for the rest */
    CHECK_INT(fakes.as.refreshes, 0);
    REQUIRE(ask_link(ANN, &link));
    CHECK_STR(str_z(link.scope), "read write");
    CHECK_OK(come_back(&link, fakes.issuer, &err), &err);
    check_token(a, "access-2");
    authorizer_free(a);
    stop();
}

TEST_FIBER(a_server_that_is_never_content_is_given_up) {
    struct err err;
    REQUIRE(start() && consent(ANN));
    struct authorizer *a = authorizer_new(authorizers, ANN, WIKI);
    char used[32];
    for (unsigned i = 1; i <= 3; i++) {
        snprintf(used, sizeof used, "access-%u", i);
        CHECK_FAILS(refuse(a, used, 403, MORE, &err), &err, ERR_UNAUTHORIZED);
        CHECK(strstr(err.msg, "open http"));
        REQUIRE(consent(ANN));
    }
    CHECK_FAILS(refuse(a, "access-4", 403, MORE, &err), &err, ERR_UNAUTHORIZED);
    CHECK(!strstr(err.msg, "open http"));
    CHECK_FAILS(refuse(a, "access-4", 403, "Bearer", &err), &err, ERR_UNAUTHORIZED);
    CHECK(strstr(err.msg, "does not permit this"));
    authorizer_free(a);
    stop();
}
