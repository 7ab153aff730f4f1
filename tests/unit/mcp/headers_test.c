#include "mcp/headers.h"

#include "test.h"

#define SCHEMA(properties) "{\"type\":\"object\",\"properties\":{" properties "}}"
#define HEADER(type, name) "{\"type\":\"" type "\",\"x-mcp-header\":\"" name "\"}"

static const struct http_client_field *find(const struct mcp_mirror *m, const char *name) {
    for (size_t i = 0; i < m->n; i++) {
        if (strcmp(m->fields[i].name, name) == 0) {
            return &m->fields[i];
        }
    }
    return NULL;
}

TEST(values_go_into_fields) {
    struct arena arena cleanup(arena_done) = {0};
    struct mcp_mirror m;
    struct err err;
    struct str schema =
        STR(SCHEMA("\"s\":" HEADER("string", "S") ",\"i\":" HEADER("integer", "I") ",\"b\":" HEADER(
            "boolean",
            "B") ",\"e\":" HEADER("string",
                                  "E") ",\"n\":" HEADER("string",
                                                        "N") ",\"a\":" HEADER("string",
                                                                              "A") ",\"x\":{"
                                                                                   "\"type\":"
                                                                                   "\"string\"},"
                                                                                   "\"o\":{"
                                                                                   "\"type\":"
                                                                                   "\"object\","
                                                                                   "\"properties\":"
                                                                                   "{\"d\":{"
                                                                                   "\"type\":["
                                                                                   "\"string\","
                                                                                   "\"null\"],\"x-"
                                                                                   "mcp-header\":"
                                                                                   "\"D\"}}}"));
    struct str arguments =
        STR("{\"s\":\"a b\",\"i\":-42,\"b\":false,\"e\":\"\",\"n\":null,\"x\":\"y\","
            "\"o\":{\"d\":\" \xc3\xbc\"}}");
    REQUIRE_OK(mcp_headers_mirror(schema, arguments, &arena, &m, &err), &err);
    CHECK_INT(m.n, 5);
    CHECK_STR(find(&m, "Mcp-Param-S")->value, "a b");
    CHECK_STR(find(&m, "Mcp-Param-I")->value, "-42");
    CHECK_STR(find(&m, "Mcp-Param-B")->value, "false");
    CHECK_STR(find(&m, "Mcp-Param-E")->value, "");
    CHECK_STR(find(&m, "Mcp-Param-D")->value, "=?base64?IMO8?=");
    CHECK(!find(&m, "Mcp-Param-N") && !find(&m, "Mcp-Param-A"));
    CHECK_OK(mcp_headers_mirror(schema, STR_EMPTY, &arena, &m, &err), &err);
    CHECK_INT(m.n, 0);
    CHECK_OK(mcp_headers_mirror(STR_EMPTY, arguments, &arena, &m, &err), &err);
    CHECK_INT(m.n, 0);
}

TEST(what_is_no_plain_text_is_encoded) {
    struct arena arena cleanup(arena_done) = {0};
    CHECK_STR(mcp_header_value(&arena, STR("plain ~")), "plain ~");
    CHECK_STR(mcp_header_value(&arena, STR("")), "");
    CHECK_STR(mcp_header_value(&arena, STR(" a")), "=?base64?IGE=?=");
    CHECK_STR(mcp_header_value(&arena, STR("a ")), "=?base64?YSA=?=");
    CHECK_STR(mcp_header_value(&arena, STR("a\r\nb: c")), "=?base64?YQ0KYjogYw==?=");
    CHECK_STR(mcp_header_value(&arena, STR("a\tb")), "=?base64?YQli?=");
    CHECK_STR(mcp_header_value(&arena, STR("=?base64?YQ==?=")), "=?base64?PT9iYXNlNjQ/WVE9PT89?=");
}

TEST(annotations_that_are_not_allowed_are_refused) {
    static const char *const bad[] = {
        SCHEMA("\"a\":" HEADER("string", "")),
        SCHEMA("\"a\":" HEADER("string", "a b")),
        SCHEMA("\"a\":" HEADER("string", "a:b")),
        SCHEMA("\"a\":" HEADER("string", "a\\r\\nb")),
        SCHEMA("\"a\":" HEADER("string", "R\xc3\xa9gion")),
        SCHEMA("\"a\":" HEADER("number", "A")),
        SCHEMA("\"a\":" HEADER("object", "A")),
        SCHEMA("\"a\":" HEADER("array", "A")),
        SCHEMA("\"a\":" HEADER("null", "A")),
        SCHEMA("\"a\":{\"x-mcp-header\":\"A\"}"),
        SCHEMA("\"a\":{\"type\":[\"null\"],\"x-mcp-header\":\"A\"}"),
        SCHEMA("\"a\":{\"type\":\"string\",\"x-mcp-header\":7}"),
        SCHEMA("\"a\":" HEADER("string", "A") ",\"b\":" HEADER("string", "a")),
        SCHEMA("\"a\":{\"type\":\"array\",\"items\":" HEADER("string", "A") "}"),
        "{\"type\":\"object\",\"x-mcp-header\":\"A\"}",
        "{\"anyOf\":[" SCHEMA("\"a\":" HEADER("string", "A")) "]}",
        "{\"$defs\":{\"d\":" HEADER("string", "A") "}}",
        "{\"x-mcp-header\"",
    };
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (!CHECK_FAILS(mcp_headers_check(str_z(bad[i]), &err), &err, ERR_INVALID)) {
            printf("    %s\n", bad[i]);
        }
    }
    CHECK_OK(mcp_headers_check(STR(SCHEMA("\"x-mcp-header\":{\"type\":\"string\"}")), &err), &err);
    CHECK_OK(mcp_headers_check(
                 STR(SCHEMA("\"a\":{\"default\":{\"items\":{\"x-mcp-header\":\"\"}}}")), &err),
             &err);
    CHECK_OK(mcp_headers_check(STR("no JSON at all"), &err), &err);
}

TEST(values_that_are_too_large_are_refused) {
    struct arena arena cleanup(arena_done) = {0};
    struct strbuf arguments cleanup(strbuf_done) = STRBUF(100000);
    struct mcp_mirror m;
    struct err err;
    strbuf_addz(&arguments, "{\"a\":\"");
    for (int i = 0; i < 10000; i++) {
        strbuf_addc(&arguments, 'x');
    }
    strbuf_addz(&arguments, "\"}");
    CHECK_FAILS(mcp_headers_mirror(STR(SCHEMA("\"a\":" HEADER("string", "A"))),
                                   strbuf_str(&arguments), &arena, &m, &err),
                &err, ERR_INVALID);
}
