#include "mcp/json_schema.h"

#include "test.h"

/* want: NULL when it passes, else a part of the message. */
static void check(const char *schema, const char *value, const char *want) {
    json_auto_t *s = NULL, *v = NULL;
    struct err err = {0};
    REQUIRE_OK(json_read(str_z(schema), &s, &err), &err);
    REQUIRE_OK(json_read(str_z(value), &v, &err), &err);
    int rc = json_schema_check(s, v, "arguments", &err);
    if (!want) {
        CHECK_OK(rc, &err);
    } else if (CHECK_FAILS(rc, &err, ERR_INVALID) && !CHECK(strstr(err.msg, want) != NULL)) {
        printf("  %s\n", err.msg);
    }
}

TEST(types) {
    check("{\"type\":\"object\"}", "{}", NULL);
    check("{\"type\":\"object\"}", "[]", "arguments: must be of type object");
    check("{\"type\":[\"string\",\"null\"]}", "null", NULL);
    check("{\"type\":[\"string\",\"null\"]}", "1", "string or null");
    check("{\"type\":\"integer\"}", "1.0", NULL);
    check("{\"type\":\"integer\"}", "1.5", "integer");
    check("{\"type\":\"number\"}", "1", NULL);
    check("{\"type\":\"boolean\"}", "false", NULL);
    check("{\"type\":\"boolean\"}", "0", "boolean");
    check("{}", "{\"any\":[1]}", NULL);
    check("true", "1", NULL);
    check("false", "1", "nothing is permitted");
}

TEST(values) {
    check("{\"enum\":[\"a\",2]}", "2.0", NULL);
    check("{\"enum\":[\"a\",2]}", "\"b\"", "must be one of \"a\", 2");
    check("{\"const\":{\"a\":1}}", "{\"a\":1}", NULL);
    check("{\"const\":1}", "2", "the one value");
    check("{\"minimum\":1,\"maximum\":50}", "0", "at least 1");
    check("{\"minimum\":1,\"maximum\":50}", "50", NULL);
    check("{\"minimum\":1,\"maximum\":50}", "50.5", "at most 50");
    check("{\"exclusiveMinimum\":0}", "0", "greater than 0");
    check("{\"exclusiveMaximum\":9}", "9", "less than 9");
    check("{\"multipleOf\":0.1}", "0.3", NULL);
    check("{\"multipleOf\":2}", "3", "multiple of 2");
    check("{\"minLength\":2,\"maxLength\":3}", "\"\u00e9\u00e9\u00e9\"", NULL);
    check("{\"minLength\":2}", "\"\u00e9\"", "at least 2 characters");
    check("{\"maxLength\":3}", "\"abcd\"", "at most 3 characters");
    check("{\"minLength\":2}", "1", NULL); /* says nothing of numbers */
}

TEST(objects_and_arrays) {
    const char *schema = "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},"
                         "\"l\":{\"type\":\"array\",\"items\":{\"properties\":{\"b\":{\"type\":"
                         "\"string\"}}},\"maxItems\":2,\"uniqueItems\":true}},"
                         "\"required\":[\"a\"],\"additionalProperties\":false}";
    check(schema, "{\"a\":1}", NULL);
    check(schema, "{}", "\"a\" is required");
    check(schema, "{\"a\":\"1\"}", "arguments.a: must be of type integer");
    check(schema, "{\"a\":1,\"c\":1}", "there is no \"c\"");
    check(schema, "{\"a\":1,\"l\":[{\"b\":\"x\"},{\"b\":2}]}", "arguments.l[1].b: must be");
    check(schema, "{\"a\":1,\"l\":[1,2,3]}", "arguments.l: must have at most 2 items");
    check(schema, "{\"a\":1,\"l\":[1,1.0]}", "are equal");
    check("{\"prefixItems\":[{\"type\":\"string\"}],\"items\":{\"type\":\"null\"}}", "[\"a\",null]",
          NULL);
    check("{\"prefixItems\":[{\"type\":\"string\"}],\"items\":false}", "[\"a\",null]",
          "arguments[1]");
    check("{\"minItems\":1}", "[]", "at least 1 items");
    check("{\"minProperties\":1}", "{}", "at least 1 members");
    check("{\"additionalProperties\":{\"type\":\"string\"}}", "{\"k\":1}", "arguments.k");
    check("{\"additionalProperties\":false,\"patternProperties\":{\"^x\":{}}}", "{\"x1\":1}", NULL);
}

TEST(combinations_and_references) {
    check("{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]}", "null", NULL);
    check("{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]}", "1", "none of the permitted");
    check("{\"oneOf\":[{\"minimum\":1},{\"maximum\":5}]}", "3", "matches 2");
    check("{\"allOf\":[{\"minimum\":1},{\"maximum\":5}]}", "6", "at most 5");
    check("{\"not\":{\"type\":\"string\"}}", "\"a\"", "not permitted");
    check("{\"$defs\":{\"a/b\":{\"type\":\"string\"}},\"$ref\":\"#/$defs/a~1b\"}", "1", "string");
    check("{\"$ref\":\"#/nowhere\"}", "1", NULL);
    check("{\"$ref\":\"http://localhost:1/x\"}", "1", NULL);
    check("{\"properties\":{\"next\":{\"$ref\":\"#\"}},\"required\":[\"v\"]}",
          "{\"v\":1,\"next\":{\"v\":2,\"next\":{}}}", "arguments.next.next: \"v\" is required");
}

/* A schema that is at fault is not the caller's fault, and must end. */
TEST(hostile_schemas_pass_and_end) {
    check("{\"$ref\":\"#\"}", "1", NULL);
    check("{\"allOf\":[{\"$ref\":\"#\"},{\"$ref\":\"#\"},{\"$ref\":\"#\"}]}", "{}", NULL);
    check("{\"anyOf\":[{\"$ref\":\"#\"}],\"oneOf\":[{\"$ref\":\"#\"}]}", "1", NULL);
    check("{\"type\":7,\"enum\":3,\"required\":{},\"properties\":[],\"items\":1,\"minimum\":\"x\"}",
          "{\"a\":[1]}", NULL);
}
