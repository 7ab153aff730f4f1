#include "api/problem.h"

#include "base/json.h"
#include "test.h"

TEST(every_error_code_has_a_status) {
    for (int code = ERR_INVALID; code <= ERR_INTERNAL; code++) {
        const struct problem *p = problem_of((enum err_code)code);
        CHECK(p->status >= 400 && p->status < 600);
        CHECK(p->code && p->title);
    }
    CHECK_INT(problem_of(ERR_NOT_FOUND)->status, 404);
    CHECK_INT(problem_of(ERR_BUSY)->status, 429);
    CHECK_INT(problem_of(ERR_UNAVAILABLE)->status, 503);
    CHECK(problem_of(ERR_UNAVAILABLE)->retry_after_s > 0);
    CHECK_INT(problem_of((enum err_code)99)->status, 500);
}

TEST(the_servers_own_statuses_are_known) {
    static const int statuses[] = {400, 408, 413, 414, 431, 503, 500, 501, 505};
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        CHECK_INT(problem_of_status(statuses[i])->status, statuses[i]);
    }
    CHECK_INT(problem_of_status(499)->status, 400);
    CHECK_INT(problem_of_status(599)->status, 500);
}

TEST(a_document_has_all_members) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(4096);
    problem_write(&out, problem_of(ERR_NOT_FOUND), STR("no \"such\" thing\n"), "r-1");
    CHECK_STR(strbuf_str(&out),
              "{\"type\":\"urn:adjutant:problem:not_found\",\"title\":\"Not found\",\"status\":404,"
              "\"detail\":\"no \\\"such\\\" thing\\n\",\"code\":\"not_found\",\"request_id\":\"r-"
              "1\"}");
}

TEST(internals_are_not_told) {
    struct err err;
    err_set(&err, ERR_UNAVAILABLE, "connection to 10.0.0.7 refused");
    CHECK(str_find(problem_detail(problem_of(err.code), &err), STR("10.0")) == SIZE_MAX);
    err_set(&err, ERR_IO, "/var/lib/x: no space");
    CHECK(str_find(problem_detail(problem_of(err.code), &err), STR("/var")) == SIZE_MAX);
    err_set(&err, ERR_INVALID, "title: too long");
    CHECK_STR(problem_detail(problem_of(err.code), &err), "title: too long");
}

TEST(a_failed_turn_is_told_as_it_is) {
    struct err err;
    err_set(&err, ERR_INVALID, "Anthropic does not answer; try again later");
    CHECK_INT(problem_of_turn(STR("unavailable"))->status, 502);
    CHECK_INT(problem_of_turn(STR("unauthorized"))->status, 502);
    CHECK_INT(problem_of_turn(STR("busy"))->status, 429);
    CHECK_INT(problem_of_turn(STR("timeout"))->status, 504);
    CHECK_INT(problem_of_turn(STR(""))->status, 502);
    CHECK_STR(problem_detail(problem_of_turn(STR("unavailable")), &err),
              "Anthropic does not answer; try again later");
}

TEST(openai_has_its_own_shape) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(4096);
    problem_write_openai(&out, problem_of(ERR_UNAUTHORIZED), STR("no key"));
    CHECK_STR(strbuf_str(&out), "{\"error\":{\"message\":\"no key\",\"type\":\"authentication_"
                                "error\",\"param\":null,\"code\":\"invalid_api_key\"}}");
    strbuf_reset(&out);
    problem_write_openai(&out, &problem_model_not_found, STR("x"));
    CHECK(str_find(strbuf_str(&out), STR("\"code\":\"model_not_found\"")) != SIZE_MAX);
    strbuf_reset(&out);
    problem_write_openai(&out, problem_of(ERR_BUSY), STR("x"));
    CHECK(str_find(strbuf_str(&out), STR("rate_limit_exceeded")) != SIZE_MAX);
}
