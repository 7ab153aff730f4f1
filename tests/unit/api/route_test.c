#include "api/route.h"

#include <stdio.h>
#include <stdlib.h>

#include "api/openapi.h"
#include "test.h"

TEST(patterns_match_whole_segments) {
    struct str params[CALL_MAX_PARAMS];
    CHECK(route_matches("/", STR("/"), params));
    CHECK(!route_matches("/", STR("/x"), params));
    CHECK(!route_matches("/", STR(""), params));
    CHECK(route_matches("/api/threads/{id}", STR("/api/threads/a.b"), params));
    CHECK_STR(params[0], "a.b");
    CHECK(!route_matches("/api/threads/{id}", STR("/api/threads/"), params));
    CHECK(!route_matches("/api/threads/{id}", STR("/api/threads"), params));
    CHECK(!route_matches("/api/threads/{id}", STR("/api/threads/a/b"), params));
    CHECK(!route_matches("/api/threads/{id}", STR("/api/threads/a/"), params));
    CHECK(!route_matches("/api/threads", STR("/api/threads/"), params));
    CHECK(!route_matches("/api/threads", STR("/api/thread"), params));
    CHECK(!route_matches("/api/threads", STR("/api/threadsx"), params));
    CHECK(route_matches("/api/threads/{id}/cancel", STR("/api/threads/x/cancel"), params));
    CHECK_STR(params[0], "x");
    CHECK(route_matches("/static/{path...}", STR("/static/a/b.css"), params));
    CHECK_STR(params[0], "a/b.css");
    CHECK(!route_matches("/static/{path...}", STR("/static/"), params));
}

TEST(a_route_is_found_by_method_and_path) {
    struct str params[CALL_MAX_PARAMS];
    struct strbuf allow cleanup(strbuf_done) = STRBUF(128);
    const struct route *r = route_find(STR("PATCH"), STR("/api/threads/7"), params, &allow);
    REQUIRE(r);
    CHECK_STR(str_z(r->pattern), "/api/threads/{id}");
    CHECK_INT(allow.n, 0);
    CHECK(route_find(STR("HEAD"), STR("/api/health"), params, &allow));
    CHECK(!route_find(STR("PUT"), STR("/api/threads/7"), params, &allow));
    CHECK_STR(strbuf_str(&allow), "GET, HEAD, PATCH, DELETE");
    strbuf_reset(&allow);
    CHECK(!route_find(STR("GET"), STR("/nowhere"), params, &allow));
    CHECK_INT(allow.n, 0);
}

TEST(every_route_is_described) {
    size_t n;
    const struct route *table = routes(&n);
    for (size_t i = 0; i < n; i++) {
        CHECK(table[i].handler && table[i].tag && table[i].summary && table[i].status);
        bool has_body = !str_eq(str_z(table[i].method), STR("GET"));
        CHECK(has_body == (table[i].max_body_bytes > 0));
        for (size_t k = 0; k < i; k++) { /* nothing is shadowed by what stands before it */
            CHECK(!str_eq(str_z(table[k].method), str_z(table[i].method)) ||
                  !str_eq(str_z(table[k].pattern), str_z(table[i].pattern)));
        }
    }
}

static void check_schema(const json_t *schemas, const char *name) {
    if (name && !json_object_get(schemas, name)) {
        printf("no schema %s\n", name);
        CHECK(false);
    }
}

TEST(the_description_has_every_route) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(1 << 20);
    json_auto_t *tree = NULL;
    struct err err;
    size_t n;
    const struct route *table = routes(&n);
    openapi_write(&out, "1.2.3");
    REQUIRE_OK(json_read(strbuf_str(&out), &tree, &err), &err);
    CHECK_STR(json_str(tree, "openapi"), "3.1.0");
    const json_t *schemas = json_object_get(json_object_get(tree, "components"), "schemas");
    for (size_t i = 0; i < n; i++) {
        char method[16] = "", path[128] = "";
        for (size_t k = 0; table[i].method[k]; k++) {
            method[k] = (char)(table[i].method[k] | 0x20);
        }
        size_t length = strlen(table[i].pattern),
               dots = str_find(str_z(table[i].pattern), STR("..."));
        memcpy(path, table[i].pattern, length);
        if (dots != SIZE_MAX) {
            memmove(path + dots, path + dots + 3, length - dots - 2);
        }
        const json_t *item = json_object_get(json_object_get(tree, "paths"), path);
        const json_t *operation = json_object_get(item, method);
        if (!CHECK(json_is_object(operation))) {
            printf("%s %s\n", method, path);
        }
        CHECK_STR(json_str(operation, "summary"), table[i].summary);
        check_schema(schemas, table[i].request);
        check_schema(schemas, table[i].response);
    }
    check_schema(schemas, "Problem");
    check_schema(schemas, "OpenAIError");
}

/* Every "#/components/schemas/X" names one that is there. */
TEST(references_in_the_description_lead_somewhere) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(1 << 20);
    json_auto_t *tree = NULL;
    struct err err;
    size_t found = 0;
    openapi_write(&out, "1");
    REQUIRE_OK(json_read(strbuf_str(&out), &tree, &err), &err);
    const json_t *schemas = json_object_get(json_object_get(tree, "components"), "schemas");
    struct str rest = strbuf_str(&out), mark = STR("#/components/schemas/");
    for (size_t at; (at = str_find(rest, mark)) != SIZE_MAX; found++) {
        char name[64];
        rest = str_skip(rest, at + mark.n);
        snprintf(name, sizeof name, "%.*s", STR_ARG(str_head(rest, str_find_char(rest, '"'))));
        check_schema(schemas, name);
    }
    CHECK(found > 20);
}

TEST(the_documentation_names_every_route) {
    static char text[1 << 18];
    char path[4096];
    size_t n;
    const struct route *table = routes(&n);
    const char *docs = getenv("ADJUTANT_DOCS");
    snprintf(path, sizeof path, "%s/api.md", docs ? docs : "docs");
    FILE *f = fopen(path, "re");
    REQUIRE(f);
    size_t size = fread(text, 1, sizeof text, f);
    fclose(f);
    struct str page = {text, size};
    for (size_t i = 0; i < n; i++) {
        char heading[128];
        snprintf(heading, sizeof heading, "%s %s", table[i].method, table[i].pattern);
        struct str wanted = str_z(heading);
        if (str_find(wanted, STR("...")) != SIZE_MAX) {
            wanted = str_head(wanted, str_find(wanted, STR("...")));
        }
        if (!CHECK(str_find(page, wanted) != SIZE_MAX)) {
            printf("%s is not in api.md\n", heading);
        }
    }
}
