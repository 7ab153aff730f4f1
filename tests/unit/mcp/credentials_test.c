#include "mcp/credentials.h"

#include "test.h"

static void gives(struct str template, struct str entry, const char *want) {
    struct secret *s cleanup(secret_free_p) = NULL;
    struct err err;
    if (CHECK_OK(credential_render(template, entry, &s, &err), &err)) {
        CHECK_STR(secret_reveal(s), want);
    }
}

static void refuses(struct str template, struct str entry, const char *names) {
    struct secret *s = NULL;
    struct err err = {0};
    CHECK_FAILS(credential_render(template, entry, &s, &err), &err, ERR_INVALID);
    CHECK(strstr(err.msg, names) != NULL);
    CHECK(strstr(err.msg, "s3cret") == NULL);
}

TEST(members_and_the_whole) {
    gives(STR("Bearer {access_token}"), STR("{\"access_token\":\"abc\",\"x\":1}"), "Bearer abc");
    gives(STR("{api_key}"), STR(" {\"api_key\" : \"a\\u002fb\\\\\"} "), "a/b\\");
    gives(STR("{a.b}-{n}"), STR("{\"a\":{\"b\":\"deep\"},\"n\":42}"), "deep-42");
    gives(STR("{a}"), STR("{\"a\":{ \"b\" : [ 1, 2 ] }}"), "{\"b\":[1,2]}");
    gives(STR("plain"), STR("{}"), "plain");
    gives(STR("{*}"), STR("{ \"a b\" : \"c  d\",\n\t\"e\":[1, true] }"),
          "{\"a b\":\"c  d\",\"e\":[1,true]}");
    gives(STR("{*}"), STR("{\"q\":\"a\\\"b \\\\\", \"r\": 1}"), "{\"q\":\"a\\\"b \\\\\",\"r\":1}");
}

TEST(other_characters_are_escaped_in_the_whole_and_refused_in_members) {
    gives(STR("{*}"), STR("{\"a\":\"\x7f\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"}"),
          "{\"a\":\"\\u007f\\u00e9\\u20ac\\ud83d\\ude00\"}");
    refuses(STR("{a}"), STR("{\"a\":\"s3cret\\r\\nX: y\"}"), "\"a\"");
    refuses(STR("{a}"), STR("{\"a\":\"s3cret\xc3\xa9\"}"), "\"a\"");
    refuses(STR("{a}"), STR("{\"a\":\"s3cret\\u0000\"}"), "\"a\"");
}

TEST(what_is_missing_is_named) {
    refuses(STR("{a}"), STR("{\"b\":\"s3cret\"}"), "\"a\"");
    refuses(STR("{a}"), STR("{\"a\":\"\"}"), "\"a\"");
    refuses(STR("{a}"), STR("{\"a\":null}"), "\"a\"");
    refuses(STR("{a.b}"), STR("{\"a\":\"s3cret\"}"), "\"a.b\"");
    refuses(STR("{}"), STR("{\"a\":\"s3cret\"}"), "has no");
    refuses(STR("{a"), STR("{\"a\":\"s3cret\"}"), "closed");
    refuses(STR("{a}"), STR("[\"s3cret\"]"), "object");
    refuses(STR("{a}"), STR(""), "object");
    refuses(STR("{*}"), STR("{\"a\":\x1d \"s3cret\"}"), "object");
    refuses(STR("{*}"), STR("{\"a\":\"s3cret\n\"}"), "object");
    refuses(STR("{*}"), STR("{\"a\":\"s3cret\\\r\"}"), "object");
    refuses(STR("{*}"), STR("{\"a\":\"s3cret"), "object");
    refuses(STR("{a}"), STR("{\"a\":\"s3cret\xff\"}"), "object");
}
