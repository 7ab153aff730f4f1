#include "mcp/servers.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto.h"
#include "test.h"

static struct str variable(void *arg, const char *name) {
    (void)arg;
    if (strcmp(name, "TOKEN") == 0) {
        return STR("s3cret");
    }
    return strcmp(name, "HOST") == 0 ? STR("example.org") : (struct str){0};
}

static int parse(const char *text, struct servers **ret, struct err *err) {
    const struct servers_variables variables = {variable, NULL};
    return servers_parse(str_z(text), &variables, ret, err);
}

static void unref(struct servers **s) {
    servers_unref(*s);
}

/* It fails, and the message says where and what. */
static void refused(const char *text, const char *where, const char *what) {
    struct servers *s cleanup(unref) = NULL;
    struct err err = {0};
    CHECK_FAILS(parse(text, &s, &err), &err, ERR_INVALID);
    if (!CHECK(strstr(err.msg, where) != NULL) || !CHECK(strstr(err.msg, what) != NULL)) {
        printf("  the message was: %s\n", err.msg);
    }
}

TEST(an_entry_of_each_transport) {
    struct servers *s cleanup(unref) = NULL;
    struct err err;
    REQUIRE_OK(parse("{\"mcpServers\": {"
                     "\"web\": {\"type\": \"http\", \"url\": \"https://${HOST}/mcp\", \"headers\": "
                     "{\"X-Api-Key\": \"k-${TOKEN}\"}, \"era\": \"modern\", \"timeout_ms\": 5000, "
                     "\"pinned\": [\"a\", \"b\"]},"
                     "\"files\": {\"command\": \"npx\", \"args\": [\"-y\", \"${DIR:-/srv/x}\"], "
                     "\"env\": {\"LEVEL\": \"${env:TOKEN}\"}},"
                     "\"off\": {\"disabled\": true, \"url\": \"${UNSET}\"}}}",
                     &s, &err),
               &err);
    CHECK_INT(s->n, 2);
    const struct server *web = servers_find(s, STR("web")), *files = servers_find(s, STR("files"));
    REQUIRE(web && files && !servers_find(s, STR("off")));
    CHECK_STR(web->url, "https://example.org/mcp");
    CHECK_INT(web->transport, MCP_HTTP);
    CHECK_INT(web->pinned_era, MCP_ERA_MODERN);
    CHECK_INT(web->timeout_ms, 5000);
    CHECK_STR(web->values[0].name, "X-Api-Key");
    CHECK_STR(secret_reveal(web->values[0].value), "k-s3cret");
    CHECK_INT(web->n_pinned, 2);
    CHECK(!web->may_oauth);
    CHECK_INT(files->transport, MCP_STDIO);
    CHECK_STR(files->args[1], "/srv/x");
    CHECK_STR(secret_reveal(files->values[0].value), "s3cret");
    CHECK(!files->may_oauth && !s->preconfigured);
}

TEST(credentials_and_oauth) {
    struct servers *s cleanup(unref) = NULL;
    struct err err;
    REQUIRE_OK(parse("{\"mcpServers\": {"
                     "\"a\": {\"url\": \"http://a/mcp\"},"
                     "\"b\": {\"url\": \"http://b/mcp\", \"credential\": {\"service\": \"google\", "
                     "\"header\": \"Authorization\", \"value\": \"Bearer {access_token}\"}},"
                     "\"c\": {\"url\": \"http://c/mcp\", \"headers\": {\"X-Region\": \"eu\"}, "
                     "\"oauth\": {\"client_id\": \"id\", \"client_secret\": \"${TOKEN}\", "
                     "\"scopes\": \"read write\"}},"
                     "\"d\": {\"command\": \"d\", \"credential\": {\"service\": \"d\", \"env\": "
                     "\"D_TOKEN\"}}}}",
                     &s, &err),
               &err);
    CHECK(s->servers[0].may_oauth);
    CHECK(!s->servers[1].may_oauth);
    CHECK_STR(s->servers[1].credential.service, "google");
    CHECK_STR(s->servers[1].credential.template, "Bearer {access_token}");
    CHECK(s->servers[2].may_oauth);
    CHECK_STR(s->servers[2].oauth.client_id, "id");
    CHECK_STR(secret_reveal(s->servers[2].oauth.client_secret), "s3cret");
    CHECK_STR(s->servers[3].credential.carrier, "D_TOKEN");
    CHECK_STR(s->servers[3].credential.template, "{*}");
}

TEST(what_is_wrong_is_named) {
    refused("{", "line 1", "JSON");
    refused("[]", "mcpServers", "object");
    refused("{\"servers\": {}}", "mcpServers", "must");
    refused("{\"mcpServers\": []}", "mcpServers", "object");
    refused("{\"mcpServers\": {\"a b\": {\"url\": \"http://x\"}}}", "mcpServers.a b", "name");
    refused("{\"mcpServers\": {\"..\": {\"url\": \"http://x\"}}}", "mcpServers...", "name");
    refused("{\"mcpServers\": {\"a\": 1}}", "mcpServers.a", "object");
    refused("{\"mcpServers\": {\"a\": {}}}", "mcpServers.a", "url or command");
    refused("{\"mcpServers\": {\"a\": {\"url\": \"http://x\", \"command\": \"y\"}}}",
            "mcpServers.a", "url or command");
    refused("{\"mcpServers\": {\"a\": {\"url\": 7}}}", "mcpServers.a.url", "string");
    refused("{\"mcpServers\": {\"a\": {\"url\": \"ftp://x\"}}}", "mcpServers.a.url", "http://");
    refused("{\"mcpServers\": {\"a\": {\"url\": \"http://x/\\n\"}}}", "mcpServers.a.url",
            "control");
    refused("{\"mcpServers\": {\"a\": {\"type\": \"sse\", \"url\": \"http://x\"}}}",
            "mcpServers.a.type", "streamable");
    refused("{\"mcpServers\": {\"a\": {\"type\": \"stdio\", \"url\": \"http://x\"}}}",
            "mcpServers.a.type", "url");
    refused("{\"mcpServers\": {\"a\": {\"url\": \"http://${NOWHERE}/\"}}}", "mcpServers.a.url",
            "NOWHERE");
    refused("{\"mcpServers\": {\"a\": {\"url\": \"http://${HOST\"}}}", "mcpServers.a.url",
            "closed");
    refused("{\"mcpServers\": {\"a\": {\"url\": \"http://${A B}\"}}}", "mcpServers.a.url",
            "variable");
    refused("{\"mcpServers\": {\"a\": {\"command\": \"x\", \"args\": \"y\"}}}", "mcpServers.a.args",
            "array");
    refused("{\"mcpServers\": {\"a\": {\"command\": \"x\", \"args\": [1]}}}", "mcpServers.a.args",
            "strings");
    refused("{\"mcpServers\": {\"a\": {\"command\": \"x\", \"env\": {\"A-B\": \"1\"}}}}",
            "mcpServers.a.env", "A-B");
    refused("{\"mcpServers\": {\"a\": {\"url\": \"http://x\", \"headers\": {\"A B\": \"1\"}}}}",
            "mcpServers.a.headers", "A B");
    refused("{\"mcpServers\": {\"a\": {\"url\": \"http://x\", \"headers\": {\"A\": 1}}}}",
            "mcpServers.a.headers", "string");
    refused("{\"mcpServers\": {\"a\": {\"url\": \"http://x\", \"credential\": {\"header\": "
            "\"X\"}}}}",
            "mcpServers.a.credential.service", "vault");
    refused("{\"mcpServers\": {\"a\": {\"url\": \"http://x\", \"credential\": {\"service\": "
            "\"s\"}}}}",
            "mcpServers.a.credential", "header");
    refused("{\"mcpServers\": {\"a\": {\"url\": \"http://x\", \"headers\": {\"authorization\": "
            "\"b\"}, \"oauth\": {}}}}",
            "mcpServers.a.oauth", "Authorization");
    refused("{\"mcpServers\": {\"a\": {\"url\": \"http://x\", \"era\": \"old\"}}}",
            "mcpServers.a.era", "legacy");
    refused("{\"mcpServers\": {\"a\": {\"url\": \"http://x\", \"timeout_ms\": 5}}}", "mcpServers.a",
            "timeout_ms");
    refused("{\"mcpServers\": {\"a\": {\"url\": \"http://x\", \"disabled\": 1}}}", "mcpServers.a",
            "disabled");
    refused("{\"mcpServers\": {\"a\": {\"url\": \"http://x\"}, \"a\": {\"url\": \"http://y\"}}}",
            "line 1", "duplicate");
    refused("{\"mcpServers\": {}, \"skillServers\": {\"s\": \"a\"}}", "skillServers.s", "array");
    refused("{\"mcpServers\": {}, \"skillServers\": 1}", "skillServers", "object");
}

TEST(skills_and_what_they_may_use) {
    struct servers *s cleanup(unref) = NULL;
    struct err err;
    REQUIRE_OK(parse("{\"mcpServers\": {\"a\": {\"url\": \"http://a\"}, \"b\": {\"url\": "
                     "\"http://b\"}}, \"skillServers\": {\"x\": [\"a\"], \"none\": [], \"all\": "
                     "[\"*\"]}, \"inputs\": []}",
                     &s, &err),
               &err);
    CHECK(servers_skill_may_use(s, STR("x"), STR("a")));
    CHECK(!servers_skill_may_use(s, STR("x"), STR("b")));
    CHECK(!servers_skill_may_use(s, STR("none"), STR("a")));
    CHECK(servers_skill_may_use(s, STR("all"), STR("b")));
    CHECK(servers_skill_may_use(s, STR("not-listed"), STR("b")));
    CHECK(servers_skill_may_use(s, STR("cos"), STR("b")));
    CHECK(servers_skill_may_use(s, STR_EMPTY, STR("b")));
}

TEST(equal_definitions_are_known_as_such) {
    struct servers *a cleanup(unref) = NULL, *b cleanup(unref) = NULL;
    struct err err;
    REQUIRE_OK(parse("{\"mcpServers\": {\"x\": {\"url\": \"http://x\", \"headers\": {\"A\": "
                     "\"1\"}}, \"y\": {\"url\": \"http://y\"}}}",
                     &a, &err),
               &err);
    REQUIRE_OK(parse("{\"mcpServers\": {\"y\": {\"url\": \"http://y\"}, \"x\": {\"url\": "
                     "\"http://x\", \"headers\": {\"A\": \"2\"}}}}",
                     &b, &err),
               &err);
    CHECK(memcmp(a->servers[1].identity, b->servers[0].identity, 32) == 0);
    CHECK(memcmp(a->servers[0].identity, b->servers[1].identity, 32) != 0);
}

TEST(five_servers_are_there_without_a_file) {
    struct servers *s cleanup(unref) = servers_preconfigured();
    CHECK_INT(s->n, 5);
    CHECK(s->preconfigured);
    const struct server *garmin = servers_find(s, STR("garmin"));
    REQUIRE(garmin);
    CHECK_STR(garmin->url, "http://garmin:5555/mcp");
    CHECK_STR(garmin->credential.carrier, "X-Garmin-Token");
    CHECK_STR(garmin->credential.template, "{*}");
    const struct server *google = servers_find(s, STR("google-workspace"));
    REQUIRE(google);
    CHECK_STR(google->url, "http://google-workspace:3000/mcp");
    CHECK_STR(google->credential.service, "google");
    CHECK_STR(google->credential.carrier, "Authorization");
    CHECK_STR(google->credential.template, "Bearer {access_token}");
    const struct server *splitwise = servers_find(s, STR("splitwise"));
    REQUIRE(splitwise);
    CHECK_STR(splitwise->url, "http://splitwise:4000/mcp");
    CHECK_STR(splitwise->credential.carrier, "X-Splitwise-Key");
    CHECK_STR(splitwise->credential.template, "{api_key}");
    const struct server *journal = servers_find(s, STR("journal-db"));
    const struct server *places = servers_find(s, STR("google-places"));
    REQUIRE(journal && places);
    CHECK_STR(journal->url, "http://journal-db:3333/mcp");
    CHECK_STR(places->url, "http://google-places:1111/mcp");
    CHECK_INT(journal->credential.service.n + places->credential.service.n, 0);
    for (size_t i = 0; i < s->n; i++) {
        CHECK(!s->servers[i].may_oauth);
    }
}

/* ---- the file ---- */

struct fixture {
    char folder[64], path[96];
    struct profile profile;
};

static void setup(struct fixture *f, const char *text, mode_t mode) {
    *f = (struct fixture){.folder = "/tmp/servers_test.XXXXXX"};
    CHECK(mkdtemp(f->folder) != NULL);
    snprintf(f->path, sizeof f->path, "%s/mcp.json", f->folder);
    f->profile.home = str_z(f->folder);
    f->profile.mcp_config = str_z(f->path);
    if (text) {
        FILE *file = fopen(f->path, "w");
        REQUIRE(file);
        fputs(text, file);
        fclose(file);
        CHECK_INT(chmod(f->path, mode), 0);
    }
}

static void teardown(struct fixture *f) {
    char path[128];
    unlink(f->path);
    snprintf(path, sizeof path, "%s/adjutant.env", f->folder);
    unlink(path);
    rmdir(f->folder);
}

TEST(the_file_and_its_variables) {
    struct fixture f cleanup(teardown);
    struct servers *s cleanup(unref) = NULL;
    struct err err;
    char path[128];
    setup(&f, "{\"mcpServers\": {\"a\": {\"url\": \"http://${SERVERS_TEST_HOST}/\"}}}", 0600);
    CHECK_FAILS(servers_load(&f.profile, &s, &err), &err, ERR_INVALID);
    CHECK(strstr(err.msg, "mcp.json: mcpServers.a.url") != NULL);
    snprintf(path, sizeof path, "%s/adjutant.env", f.folder);
    FILE *file = fopen(path, "w");
    REQUIRE(file);
    fputs("SERVERS_TEST_HOST=from-file\n", file);
    fclose(file);
    CHECK_INT(chmod(path, 0600), 0);
    REQUIRE_OK(servers_load(&f.profile, &s, &err), &err);
    CHECK_STR(s->servers[0].url, "http://from-file/");
}

TEST(a_file_that_everybody_may_change_is_refused) {
    struct fixture f cleanup(teardown);
    struct servers *s cleanup(unref) = NULL;
    struct err err;
    setup(&f, "{\"mcpServers\": {}}", 0646);
    CHECK_FAILS(servers_load(&f.profile, &s, &err), &err, ERR_INVALID);
    CHECK(strstr(err.msg, "chmod") != NULL);
}

TEST(a_missing_file_matters_only_when_it_was_named) {
    struct fixture f cleanup(teardown);
    struct servers *s cleanup(unref) = NULL;
    struct err err;
    setup(&f, NULL, 0);
    REQUIRE_OK(servers_load(&f.profile, &s, &err), &err);
    CHECK(s->preconfigured);
    servers_unref(s);
    s = NULL;
    f.profile.mcp_config_named = true;
    CHECK_FAILS(servers_load(&f.profile, &s, &err), &err, ERR_INVALID);
    CHECK(strstr(err.msg, "MCP_CONFIG") != NULL);
}
