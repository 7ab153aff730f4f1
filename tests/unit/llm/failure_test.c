/* The words for people, and what is read from an upstream's. */
#include "llm/provider.h"
#include "test.h"

static struct llm_endpoint endpoint(struct secret *key) {
    return (struct llm_endpoint){.provider = &llm_anthropic,
                                 .base_url = STR("https://api.anthropic.com"),
                                 .model = STR("claude-opus-5-5"),
                                 .key = key};
}

TEST(retry_after_is_seconds_or_a_date) {
    static const struct {
        const char *value, *ms;
        int64_t want;
    } cases[] = {
        {"", "", -1},
        {"7", "", 7000},
        {" 0 ", "", 0},
        {"-3", "", -1},
        {"soon", "", -1},
        {"7", "120", 120},
        {"99999999999999", "", 365LL * 24 * 3600 * 1000},
        {"Sun, 06 Nov 1994 08:49:37 GMT", "", 7000},
        {"Sun, 06 Nov 1994 08:49:00 GMT", "", 0},
        {"Sun, 06 Nov 1994 08:49:37 CET", "", 7000},
        {"Sun, 06 Xxx 1994 08:49:37 GMT", "", -1},
        {"Sun, 06 ovD 1994 08:49:37 GMT", "", -1},
        {"Sun, 06 Nov 1994 99:49:37 GMT", "", -1},
        {"Sunday, 06-Nov-94 08:49:37 GMT", "", -1},
    };
    int64_t now = 784111770LL * 1000000; /* 1994-11-06T08:49:30Z */
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t got = llm_retry_after_ms(str_z(cases[i].value), str_z(cases[i].ms), now);
        if (!CHECK_INT(got, cases[i].want)) {
            printf("    %s\n", cases[i].value);
        }
    }
}

TEST(retry_after_may_be_absent) {
    CHECK_INT(llm_retry_after_ms((struct str){0}, (struct str){0}, 0), -1);
}

TEST(error_bodies_have_many_shapes) {
    static const struct {
        const char *body, *message, *kind;
    } cases[] = {
        {"{\"type\":\"error\",\"error\":{\"type\":\"not_found_error\",\"message\":\"model: x\"}}",
         "model: x", "not_found_error   "},
        {"{\"error\":{\"message\":\"m\",\"type\":\"t\",\"code\":\"c\"}}", "m", "t c  "},
        {"{\"error\":\"model 'x' not found\"}", "model 'x' not found", "   "},
        {"{\"object\":\"error\",\"message\":\"m\",\"type\":\"BadRequestError\",\"code\":400}", "m",
         "BadRequestError   "},
        {"{\"detail\":\"Not Found\"}", "Not Found", "   "},
        {"{\"error\":{\"message\":\"m\",\"details\":{\"error_code\":\"spend\"}}}", "m", "   spend"},
        {"<html>Bad gateway</html>", "<html>Bad gateway</html>", ""},
        {"", "", ""},
        {"[]", "", "   "},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct strbuf message cleanup(strbuf_done) = STRBUF(1000);
        struct strbuf kind cleanup(strbuf_done) = STRBUF(1000);
        llm_error_text(str_z(cases[i].body), &message, &kind);
        CHECK_STR(strbuf_str(&message), cases[i].message);
        CHECK_STR(strbuf_str(&kind), cases[i].kind);
    }
}

TEST(providers_tell_what_a_status_leaves_open) {
    static const struct {
        const struct llm_provider *provider;
        int status;
        const char *body;
        enum err_code want;
    } cases[] = {
        {&llm_anthropic, 400, "{\"error\":{\"message\":\"prompt is too long: 9 > 8\"}}", ERR_LIMIT},
        {&llm_anthropic, 400, "{\"error\":{\"message\":\"Your credit balance is too low\"}}",
         ERR_FORBIDDEN},
        {&llm_anthropic, 429,
         "{\"error\":{\"message\":\"m\",\"details\":{\"error_code\":\"enforced_spend_limit_"
         "reached\"}}}",
         ERR_FORBIDDEN},
        {&llm_anthropic, 429, "{\"error\":{\"message\":\"slow down\"}}", ERR_NONE},
        {&llm_openai, 429, "{\"error\":{\"message\":\"m\",\"code\":\"insufficient_quota\"}}",
         ERR_FORBIDDEN},
        {&llm_openai, 400, "{\"error\":{\"message\":\"m\",\"code\":\"context_length_exceeded\"}}",
         ERR_LIMIT},
        {&llm_openai, 400, "{\"error\":{\"message\":\"m\",\"code\":\"model_not_found\"}}",
         ERR_NOT_FOUND},
        {&llm_openai, 401, "{\"error\":{\"message\":\"m\"}}", ERR_NONE},
        {&llm_ollama, 400, "{\"error\":\"the input length exceeds the context length\"}",
         ERR_LIMIT},
        {&llm_ollama, 404, "{\"error\":\"model 'x' not found\"}", ERR_NONE},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct strbuf message cleanup(strbuf_done) = STRBUF(1000);
        CHECK_INT(cases[i].provider->read_error(cases[i].status, str_z(cases[i].body), &message),
                  cases[i].want);
        CHECK(message.n > 0);
    }
}

TEST(statuses_have_codes) {
    static const struct {
        int status;
        enum err_code code;
        bool retryable;
    } cases[] = {
        {200, ERR_NONE, false},         {302, ERR_PROTOCOL, false},    {400, ERR_INVALID, false},
        {401, ERR_UNAUTHORIZED, false}, {402, ERR_FORBIDDEN, false},   {403, ERR_FORBIDDEN, false},
        {404, ERR_NOT_FOUND, false},    {408, ERR_TIMEOUT, true},      {409, ERR_UNAVAILABLE, true},
        {413, ERR_LIMIT, false},        {422, ERR_INVALID, false},     {429, ERR_BUSY, true},
        {500, ERR_UNAVAILABLE, true},   {501, ERR_UNAVAILABLE, false}, {503, ERR_UNAVAILABLE, true},
        {529, ERR_UNAVAILABLE, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_INT(llm_status_code(cases[i].status), cases[i].code);
        CHECK_INT(llm_status_is_retryable(cases[i].status), cases[i].retryable);
    }
}

TEST(failures_say_who_what_and_what_to_do) {
    struct llm_endpoint e = endpoint(NULL);
    struct err err;
    CHECK_FAILS(llm_failure(&e, ERR_UNAUTHORIZED, 401, STR("invalid\nx-api-key."), -1, &err), &err,
                ERR_UNAUTHORIZED);
    CHECK_STR(str_z(err.msg), "Anthropic wants an API key; provide one (401: invalid x-api-key)");
    CHECK_FAILS(llm_failure(&e, ERR_BUSY, 429, STR_EMPTY, 30000, &err), &err, ERR_BUSY);
    CHECK_STR(str_z(err.msg),
              "Anthropic limits how often this key may ask; try again in 30 s (429)");
    CHECK_FAILS(llm_failure(&e, ERR_UNAVAILABLE, 0, STR_EMPTY, -1, &err), &err, ERR_UNAVAILABLE);
    CHECK_STR(str_z(err.msg),
              "Anthropic is out of order or overloaded; try again in a few minutes");
}

TEST(waits_are_said_in_fitting_units) {
    static const struct {
        int64_t ms;
        const char *want;
    } cases[] = {{0, "in 1 s"},
                 {119000, "in 119 s"},
                 {120000, "in 2 minutes"},
                 {7199000, "in 120 minutes"},
                 {7200000, "in 2 hours"}};
    struct llm_endpoint e = endpoint(NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err;
        CHECK_FAILS(llm_failure(&e, ERR_BUSY, 0, STR_EMPTY, cases[i].ms, &err), &err, ERR_BUSY);
        CHECK(str_ends(str_z(err.msg), str_z(cases[i].want)));
    }
}

TEST(a_key_is_never_told) {
    struct secret *key = secret_new(STR("sk-ant-0123456789"));
    struct llm_endpoint e = endpoint(key);
    struct strbuf detail cleanup(strbuf_done) = STRBUF(1 << 16);
    struct err err;
    /* also where it stands across the place at which the text is cut */
    for (size_t before = 0; before < 400; before++) {
        strbuf_reset(&detail);
        for (size_t i = 0; i < before; i++) {
            strbuf_addc(&detail, 'x');
        }
        strbuf_addz(&detail, "sk-ant-0123456789sk-ant-0123456789 tail");
        CHECK_FAILS(llm_failure(&e, ERR_INVALID, 400, strbuf_str(&detail), -1, &err), &err,
                    ERR_INVALID);
        CHECK(str_find(str_z(err.msg), STR("sk-a")) == SIZE_MAX);
    }
    secret_free(key);
}

TEST(foreign_words_are_bounded) {
    struct llm_endpoint e = endpoint(NULL);
    struct strbuf detail cleanup(strbuf_done) = STRBUF(1 << 20);
    struct err err;
    for (int i = 0; i < 50000; i++) {
        strbuf_addz(&detail, "ü");
    }
    CHECK_FAILS(llm_failure(&e, ERR_INVALID, 400, strbuf_str(&detail), -1, &err), &err,
                ERR_INVALID);
    CHECK(strlen(err.msg) < 200 && str_is_utf8(str_z(err.msg)));
    CHECK(str_ends(str_z(err.msg), STR("...)")));
}
