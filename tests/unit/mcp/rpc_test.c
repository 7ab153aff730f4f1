#include "mcp/rpc.h"

#include "test.h"

struct fixture {
    struct arena arena;
    struct rpc_message m;
    struct err err;
};

static void done(struct fixture *f) {
    arena_done(&f->arena);
}

static int read_z(struct fixture *f, const char *text) {
    return rpc_read(str_z(text), &f->arena, &f->m, &f->err);
}

TEST(requests_keep_their_texts) {
    struct fixture f cleanup(done) = {0};
    REQUIRE_OK(read_z(&f,
                      " {\"jsonrpc\":\"2.0\", \"id\" : \"7\\u0061\",\"method\":\"tools\\/call\","
                      "\"params\":{\"a\" :1.0,  \"b\":[ ] } , \"x\":{}}\n"),
               &f.err);
    CHECK_INT(f.m.kind, RPC_REQUEST);
    CHECK_STR(f.m.id, "\"7\\u0061\"");
    CHECK_STR(f.m.method, "tools/call");
    CHECK_STR(f.m.params, "{\"a\" :1.0,  \"b\":[ ] }");
    CHECK(!f.m.result.p && !f.m.error_data.p);
}

TEST(notifications_have_no_id) {
    struct fixture f cleanup(done) = {0};
    REQUIRE_OK(read_z(&f, "{\"jsonrpc\":\"2.0\",\"method\":\"ping\"}"), &f.err);
    CHECK_INT(f.m.kind, RPC_NOTIFICATION);
    CHECK(!f.m.id.p && !f.m.params.p);
}

TEST(responses_have_a_result_or_an_error) {
    struct fixture f cleanup(done) = {0};
    REQUIRE_OK(read_z(&f, "{\"result\":{\"z\":1e5},\"id\":3,\"jsonrpc\":\"2.0\"}"), &f.err);
    CHECK_INT(f.m.kind, RPC_RESPONSE);
    CHECK_STR(f.m.result, "{\"z\":1e5}");
    CHECK(!f.m.is_error);
    REQUIRE_OK(
        read_z(&f, "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32601,\"message\":\"no \\\"x\\\"\","
                   "\"data\":[1]},\"result\":null}"),
        &f.err);
    CHECK(f.m.is_error);
    CHECK_INT(f.m.error_code, RPC_METHOD_NOT_FOUND);
    CHECK_STR(f.m.error_message, "no \"x\"");
    CHECK_STR(f.m.error_data, "[1]");
    CHECK_STR(f.m.id, "null");
}

TEST(what_is_no_json_is_told_from_what_is_no_message) {
    static const char *const no_json[] = {
        "",
        "{",
        "{\"jsonrpc\":\"2.0\",\"method\":\"a\"}}",
        "{\"jsonrpc\":\"2.0\",\"method\":\"a\",}",
        "{\"jsonrpc\":\"2.0\",\"method\":\"\xff\"}",
        "{\"jsonrpc\":\"2.0\",\"id\":01,\"method\":\"a\"}",
        "{\"jsonrpc\":\"2.0\",\"result\":[1,]}",
        "{\"jsonrpc\":\"2.0\",\"result\":{\"a\"}}",
        "{\"jsonrpc\":\"2.0\",\"result\":nul}",
        "{\"jsonrpc\":\"2.0\",\"result\":\"\\x\"}",
        "{\"jsonrpc\":\"2.0\",\"result\":\"\n\"}",
        "hello",
    };
    static const char *const no_message_[] = {
        "[]",
        "7",
        "{}",
        "{\"method\":\"a\"}",
        "{\"jsonrpc\":\"1.0\",\"method\":\"a\"}",
        "{\"jsonrpc\":2.0,\"method\":\"a\"}",
        "{\"jsonrpc\":\"2.0\"}",
        "{\"jsonrpc\":\"2.0\",\"id\":1}",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"a\"}",
        "{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"a\"}",
        "{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"a\"}",
        "{\"jsonrpc\":\"2.0\",\"id\":[1],\"result\":1}",
        "{\"jsonrpc\":\"2.0\",\"method\":7}",
        "{\"jsonrpc\":\"2.0\",\"method\":\"a\",\"params\":3}",
        "{\"jsonrpc\":\"2.0\",\"method\":\"a\",\"result\":3}",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":3}",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":\"x\"}}",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":1},\"result\":{}}",
    };
    for (size_t i = 0; i < ARRAY_LEN(no_json); i++) {
        struct fixture f cleanup(done) = {0};
        if (!CHECK_FAILS(read_z(&f, no_json[i]), &f.err, ERR_INVALID)) {
            printf("    %s\n", no_json[i]);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(no_message_); i++) {
        struct fixture f cleanup(done) = {0};
        if (!CHECK_FAILS(read_z(&f, no_message_[i]), &f.err, ERR_PROTOCOL)) {
            printf("    %s\n", no_message_[i]);
        }
    }
}

TEST(a_bad_message_still_tells_its_id) {
    struct fixture f cleanup(done) = {0};
    CHECK_FAILS(read_z(&f, "{\"id\":\"x\",\"method\":\"a\"}"), &f.err, ERR_PROTOCOL);
    CHECK_STR(f.m.id, "\"x\"");
    CHECK_FAILS(read_z(&f, "{\"id\":[],\"method\":\"a\"}"), &f.err, ERR_PROTOCOL);
    CHECK(!f.m.id.p);
}

TEST(nesting_is_bounded) {
    for (int depth = 500; depth < 530; depth += 20) {
        struct fixture f cleanup(done) = {0};
        struct strbuf text cleanup(strbuf_done) = STRBUF(4096);
        strbuf_addz(&text, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":");
        for (int i = 0; i < depth; i++) {
            strbuf_addc(&text, '[');
        }
        for (int i = 0; i < depth; i++) {
            strbuf_addc(&text, ']');
        }
        strbuf_addc(&text, '}');
        int rc = rpc_read(strbuf_str(&text), &f.arena, &f.m, &f.err);
        CHECK_INT(rc, depth < 512 ? 0 : -ERR_INVALID);
    }
}

TEST(ids_are_numbers_or_their_texts) {
    CHECK(rpc_id_is(STR("7"), 7));
    CHECK(rpc_id_is(STR("\"7\""), 7));
    CHECK(!rpc_id_is(STR("8"), 7));
    CHECK(!rpc_id_is(STR("\"7a\""), 7));
    CHECK(!rpc_id_is(STR("7.5"), 7));
    CHECK(!rpc_id_is(STR("null"), 0));
    CHECK(!rpc_id_is(STR("\"\""), 0));
}

TEST(what_is_written_can_be_read) {
    struct fixture f cleanup(done) = {0};
    struct strbuf out cleanup(strbuf_done) = STRBUF(1000);
    rpc_write_request(&out, STR("\"a\""), "x/y", STR("{\"p\":1}"));
    CHECK_STR(strbuf_str(&out),
              "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"x/y\",\"params\":{\"p\":1}}");
    strbuf_reset(&out);
    rpc_write_notification(&out, "n", STR_EMPTY);
    CHECK_STR(strbuf_str(&out), "{\"jsonrpc\":\"2.0\",\"method\":\"n\"}");
    strbuf_reset(&out);
    rpc_write_result(&out, STR("1"), STR("{}"));
    CHECK_STR(strbuf_str(&out), "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}");
    strbuf_reset(&out);
    rpc_write_error(&out, (struct str){0}, RPC_PARSE_ERROR, STR("a \"b\""), STR("{\"d\":2}"));
    REQUIRE_OK(rpc_read(strbuf_str(&out), &f.arena, &f.m, &f.err), &f.err);
    CHECK_STR(f.m.id, "null");
    CHECK_INT(f.m.error_code, -32700);
    CHECK_STR(f.m.error_message, "a \"b\"");
    CHECK_STR(f.m.error_data, "{\"d\":2}");
}
