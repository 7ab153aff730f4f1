#include "played.h"
#include "test.h"

/* The code of a problem document, "" when the body is none. */
static void check_problem(const struct wire_response *r, int status, const char *code) {
    json_auto_t *tree = NULL;
    struct err err;
    CHECK_INT(r->status, status);
    CHECK_STR(wire_field(r, "content-type"), "application/problem+json");
    if (CHECK_OK(json_read(strbuf_str(&r->body), &tree, &err), &err)) {
        CHECK_STR(json_str(tree, "code"), code);
        CHECK_INT(json_int(tree, "status", 0), status);
        CHECK(json_str(tree, "detail").n > 0);
        CHECK(str_starts(json_str(tree, "type"), STR("urn:adjutant:problem:")));
    }
}

static void ask_problem(const char *request, int status, const char *code) {
    struct wire_response r = played_ask(request);
    check_problem(&r, status, code);
    wire_response_done(&r);
}

#define HOST "Host: localhost\r\n"
#define KEY HOST "X-API-Key: " PLAYED_USER_KEY "\r\n"
#define JSON "Content-Type: application/json\r\n"

TEST_FIBER(unknown_addresses_and_methods) {
    REQUIRE(played_start());
    ask_problem("GET /nowhere HTTP/1.1\r\n" KEY "\r\n", 404, "not_found");
    ask_problem("GET /api/threads/ HTTP/1.1\r\n" KEY "\r\n", 404, "not_found");
    struct wire_response r = played_ask("PUT /api/threads HTTP/1.1\r\n" KEY "\r\n");
    check_problem(&r, 405, "method_not_allowed");
    CHECK_STR(wire_field(&r, "allow"), "GET, HEAD, POST");
    wire_response_done(&r);
    r = played_ask("OPTIONS /api/chat HTTP/1.1\r\n" HOST "\r\n");
    check_problem(&r, 405, "method_not_allowed");
    CHECK_STR(wire_field(&r, "allow"), "POST");
    wire_response_done(&r);
    r = played_ask("GET /v1/nowhere HTTP/1.1\r\n" KEY "\r\n");
    CHECK_INT(r.status, 404);
    CHECK(str_starts(strbuf_str(&r.body), STR("{\"error\":{\"message\":")));
    wire_response_done(&r);
    played_stop();
}

TEST_FIBER(keys_are_needed) {
    static const char *const refused[] = {
        "GET /api/me HTTP/1.1\r\n" HOST "\r\n",
        "GET /api/me HTTP/1.1\r\n" HOST "X-API-Key: wrong\r\n\r\n",
        "GET /api/me?api_key=wrong HTTP/1.1\r\n" HOST "\r\n",
        "GET /api/openapi.json HTTP/1.1\r\n" HOST "\r\n",
        "GET /ws HTTP/1.1\r\n" HOST "\r\n",
        "POST /agui HTTP/1.1\r\n" HOST "\r\n",
    };
    static const char *const allowed[] = {
        "GET /api/me HTTP/1.1\r\n" KEY "\r\n",
        "GET /api/me HTTP/1.1\r\n" HOST "Authorization: Bearer " PLAYED_USER_KEY "\r\n\r\n",
        "GET /api/me?api_key=" PLAYED_USER_KEY " HTTP/1.1\r\n" HOST "\r\n",
        "GET /api/me HTTP/1.1\r\n" HOST "Cookie: adjutant_session=" PLAYED_COOKIE "\r\n\r\n",
        "GET /api/health HTTP/1.1\r\n" HOST "\r\n",
        "GET / HTTP/1.1\r\n" HOST "\r\n",
        "GET /t/0199 HTTP/1.1\r\n" HOST "\r\n",
        "GET /static/app-0a1b2c3d.js HTTP/1.1\r\n" HOST "\r\n",
    };
    REQUIRE(played_start());
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct wire_response r = played_ask(refused[i]);
        check_problem(&r, 401, "unauthorized");
        CHECK(wire_field(&r, "www-authenticate").n > 0);
        wire_response_done(&r);
    }
    for (size_t i = 0; i < ARRAY_LEN(allowed); i++) {
        struct wire_response r = played_ask(allowed[i]);
        CHECK_INT(r.status, 200);
        wire_response_done(&r);
    }
    played_stop();
}

TEST_FIBER(metrics_are_the_operators) {
    struct wire_response r;
    REQUIRE(played_start());
    CHECK_INT(played_get("/metrics", &r), 403);
    wire_response_done(&r);
    r = played_ask("GET /metrics HTTP/1.1\r\n" HOST "X-API-Key: " PLAYED_ADMIN_KEY "\r\n\r\n");
    CHECK_INT(r.status, 200);
    struct str text = strbuf_str(&r.body);
    CHECK(str_find(text, STR("adjutant_http_requests_total{route=\"GET "
                             "/metrics\",status=\"4xx\"} 1\n")) != SIZE_MAX);
    CHECK(str_find(text, STR("adjutant_turns_ended_total{outcome=\"done\"} 7\n")) != SIZE_MAX);
    CHECK(str_find(text, STR("adjutant_tokens_total{direction=\"output\"} 5\n")) != SIZE_MAX);
    CHECK(str_find(text, STR("adjutant_resident_memory_bytes ")) != SIZE_MAX);
    CHECK(str_find(text, STR("le=\"+Inf\"} 1\n")) != SIZE_MAX);
    wire_response_done(&r);
    played.mode = AUTH_OPEN;
    r = played_ask("GET /metrics HTTP/1.1\r\n" HOST "\r\n");
    CHECK_INT(r.status, 200);
    wire_response_done(&r);
    played_stop();
}

#define COOKIE "Cookie: a=b; adjutant_session=" PLAYED_COOKIE "\r\n"
#define POST_CHAT "POST /api/chat HTTP/1.1\r\n"
#define HI JSON "Content-Length: 30\r\n\r\n{\"message\":\"hi\",\"wait\": false}"

TEST_FIBER(a_cookie_works_from_our_own_pages_only) {
    static const struct {
        const char *request;
        int status;
    } cases[] = {
        {POST_CHAT HOST COOKIE HI, 403},
        {POST_CHAT HOST COOKIE "Sec-Fetch-Site: same-origin\r\n" HI, 202},
        {POST_CHAT HOST COOKIE "Sec-Fetch-Site: same-site\r\n" HI, 403},
        {POST_CHAT HOST COOKIE "Sec-Fetch-Site: cross-site\r\n" HI, 403},
        {POST_CHAT HOST COOKIE "Sec-Fetch-Site: none\r\n" HI, 403},
        {POST_CHAT HOST COOKIE "Origin: https://localhost\r\n" HI, 202},
        {POST_CHAT HOST COOKIE "Origin: https://localhost.evil.example\r\n" HI, 403},
        {POST_CHAT HOST COOKIE "Origin: https://evil.example\r\n" HI, 403},
        {POST_CHAT HOST COOKIE "Origin: null\r\n" HI, 403},
        {POST_CHAT HOST COOKIE "Origin: https://app.example\r\n" HI, 202},
        {POST_CHAT HOST COOKIE "Origin: https://evil.example\r\nSec-Fetch-Site: same-origin\r\n" HI,
         403},
        {POST_CHAT KEY "Origin: https://evil.example\r\n" HI, 202}, /* the key itself was shown */
    };
    REQUIRE(played_start());
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct wire_response r = played_ask(cases[i].request);
        if (!CHECK_INT(r.status, cases[i].status)) {
            printf("%s\n", cases[i].request);
        }
        wire_response_done(&r);
    }
    CHECK_INT(played.submitted, 4);
    played_stop();
}

TEST_FIBER(an_open_gateway_is_closed_to_other_pages) {
    static const struct {
        const char *request;
        int status;
    } cases[] = {
        {POST_CHAT HOST HI, 202},
        {POST_CHAT "Host: 127.0.0.1:8080\r\n" HI, 202},
        {POST_CHAT "Host: [::1]:8080\r\n" HI, 202},
        {POST_CHAT "Host: rebound.example:8080\r\n" HI, 403},
        {POST_CHAT "Host: localhost.evil.example\r\n" HI, 403},
        {POST_CHAT HOST "Origin: http://evil.example\r\n" HI, 403},
        {POST_CHAT HOST "Sec-Fetch-Site: cross-site\r\n" HI, 403},
        {POST_CHAT HOST "Origin: http://localhost\r\nSec-Fetch-Site: same-origin\r\n" HI, 202},
        {"GET /api/me HTTP/1.1\r\nHost: rebound.example\r\n\r\n", 403},
        {"GET /api/health HTTP/1.1\r\nHost: rebound.example\r\n\r\n", 200},
    };
    REQUIRE(played_start());
    played.mode = AUTH_OPEN;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct wire_response r = played_ask(cases[i].request);
        if (!CHECK_INT(r.status, cases[i].status)) {
            printf("%s\n", cases[i].request);
        }
        wire_response_done(&r);
    }
    played_stop();
}

TEST_FIBER(bodies_are_checked) {
    struct strbuf deep cleanup(strbuf_done) = STRBUF(4096);
    struct wire_response r;
    REQUIRE(played_start());
    ask_problem(POST_CHAT KEY "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}", 415,
                "unsupported_media_type");
    ask_problem(POST_CHAT KEY "Content-Length: 2\r\n\r\n{}", 415, "unsupported_media_type");
    ask_problem(POST_CHAT KEY JSON "Content-Length: 0\r\n\r\n", 400, "invalid");
    ask_problem(POST_CHAT KEY JSON "Content-Length: 1\r\n\r\n{", 400, "invalid");
    ask_problem(POST_CHAT KEY JSON "Content-Length: 2\r\n\r\n[]", 400, "invalid");
    ask_problem(POST_CHAT KEY JSON "Content-Length: 16\r\n\r\n{\"message\":\"\xff\"} ", 400,
                "invalid");
    ask_problem(POST_CHAT KEY JSON
                "Content-Length: 29\r\n\r\n{\"message\":\"a\",\"message\":\"b\"}",
                400, "invalid");
    ask_problem("POST /api/login HTTP/1.1\r\n" HOST JSON "Content-Length: 5000\r\n\r\n", 413,
                "limit");
    r = played_ask(POST_CHAT KEY JSON "Content-Length: 99999999999\r\n\r\n"); /* the server's own */
    check_problem(&r, 413, "limit");
    CHECK(str_find(strbuf_str(&r.body), STR("\"request_id\":\"")) != SIZE_MAX);
    wire_response_done(&r);
    strbuf_addz(&deep, "{\"message\":");
    for (int i = 0; i < 100; i++) {
        strbuf_addc(&deep, '[');
    }
    CHECK_INT(played_post("/api/chat", strbuf_z(&deep), &r), 400);
    check_problem(&r, 400, "invalid");
    wire_response_done(&r);
    CHECK_INT(played_post("/api/chat", "{\"message\":7}", &r), 400);
    CHECK(str_find(strbuf_str(&r.body), STR("message: must be a string")) != SIZE_MAX);
    wire_response_done(&r);
    r = played_ask(POST_CHAT KEY "Content-Type: Application/JSON; charset=utf-8\r\nContent-Length: "
                                 "30\r\n\r\n{\"message\":\"hi\",\"wait\": false}");
    CHECK_INT(r.status, 202);
    wire_response_done(&r);
    played_stop();
}

TEST_FIBER(failures_below_become_statuses) {
    static const struct {
        enum err_code code;
        int status;
    } cases[] = {{ERR_FORBIDDEN, 403},   {ERR_BUSY, 429},     {ERR_UNAVAILABLE, 503},
                 {ERR_INTERNAL, 500},    {ERR_CONFLICT, 409}, {ERR_TIMEOUT, 503},
                 {ERR_PRECONDITION, 409}};
    struct wire_response r;
    REQUIRE(played_start());
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        err_set(&played.fails, cases[i].code, "host 10.0.0.7 says no");
        CHECK_INT(played_post("/api/chat", "{\"message\":\"hi\"}", &r), cases[i].status);
        bool tells = str_find(strbuf_str(&r.body), STR("10.0.0.7")) != SIZE_MAX;
        CHECK(tells == (cases[i].status < 500));
        bool later = cases[i].status == 429 || cases[i].status == 503;
        CHECK((wire_field(&r, "retry-after").n > 0) == later);
        wire_response_done(&r);
    }
    CHECK_INT(played_get("/api/usage", &r), 409);
    wire_response_done(&r);
    played_stop();
}

TEST_FIBER(login_gives_a_cookie) {
    struct wire_response r;
    REQUIRE(played_start());
    r = played_ask("POST /api/login HTTP/1.1\r\n" HOST JSON
                   "Content-Length: 18\r\n\r\n{\"key\":\"" PLAYED_USER_KEY "\"}");
    CHECK_INT(r.status, 200);
    struct str cookie = wire_field(&r, "set-cookie");
    CHECK(str_starts(cookie, STR("adjutant_session=" PLAYED_COOKIE "; Path=/; Max-Age=")));
    CHECK(str_ends(cookie, STR("; HttpOnly; SameSite=Strict")));
    CHECK(str_find(strbuf_str(&r.body), STR("\"user_id\":\"me\"")) != SIZE_MAX);
    wire_response_done(&r);
    r = played_ask("POST /api/login HTTP/1.1\r\n" HOST JSON
                   "X-Forwarded-Proto: https\r\nContent-Length: 18\r\n\r\n{\"key\":"
                   "\"" PLAYED_USER_KEY "\"}");
    CHECK(str_ends(wire_field(&r, "set-cookie"), STR("; Secure")));
    wire_response_done(&r);
    ask_problem("POST /api/login HTTP/1.1\r\n" HOST JSON
                "Content-Length: 11\r\n\r\n{\"key\":\"x\"}",
                401, "unauthorized");
    ask_problem("POST /api/login HTTP/1.1\r\n" HOST JSON "Content-Length: 2\r\n\r\n{}", 400,
                "invalid");
    ask_problem("POST /api/login HTTP/1.1\r\n" HOST JSON
                "Origin: https://evil.example\r\nContent-Length: 2\r\n\r\n{}",
                403, "forbidden");
    r = played_ask("POST /api/logout HTTP/1.1\r\n" HOST COOKIE "\r\n");
    CHECK_INT(r.status, 204);
    CHECK(str_find(wire_field(&r, "set-cookie"), STR("Max-Age=0")) != SIZE_MAX);
    CHECK_STR(strbuf_str(&played.text), PLAYED_COOKIE);
    wire_response_done(&r);
    played_stop();
}

TEST_FIBER(health_tells_of_the_database) {
    struct wire_response r;
    REQUIRE(played_start());
    played.db_is_away = true;
    r = played_ask("GET /api/health HTTP/1.1\r\n" HOST "\r\n");
    CHECK_INT(r.status, 503);
    CHECK(str_starts(strbuf_str(&r.body), STR("{\"status\":\"degraded\"")));
    CHECK(str_find(strbuf_str(&r.body), STR("10.0.0.7")) == SIZE_MAX);
    wire_response_done(&r);
    r = played_ask("GET /api/health?live=1 HTTP/1.1\r\n" HOST "\r\n");
    CHECK_INT(r.status, 200);
    wire_response_done(&r);
    played.db_is_away = false;
    played.gateway.pinged_us = 0; /* as if a second had passed */
    r = played_ask("GET /api/health HTTP/1.1\r\n" HOST "\r\n");
    CHECK_INT(r.status, 200);
    CHECK(str_find(strbuf_str(&r.body), STR("\"backend\":\"sqlite\"")) != SIZE_MAX);
    wire_response_done(&r);
    played_stop();
}

TEST_FIBER(the_page_is_safe_and_cached) {
    REQUIRE(played_start());
    struct wire_response r = played_ask("GET / HTTP/1.1\r\n" HOST "\r\n");
    CHECK_INT(r.status, 200);
    CHECK(str_starts(wire_field(&r, "content-security-policy"), STR("default-src 'none'")));
    CHECK(str_find(strbuf_str(&r.body), STR("<script")) == SIZE_MAX);
    CHECK(str_find(strbuf_str(&r.body), STR("style=")) == SIZE_MAX);
    CHECK(wire_field(&r, "etag").n > 10);
    wire_response_done(&r);
    ask_problem("GET /static/../etc/passwd HTTP/1.1\r\n" HOST "\r\n", 400, "invalid");
    ask_problem("GET /static/nothing HTTP/1.1\r\n" HOST "\r\n", 404, "not_found");
    played_stop();
}

TEST_FIBER(numbers_in_the_address_are_checked) {
    static const char *const bad[] = {
        "/api/threads?limit=0",
        "/api/threads?limit=101",
        "/api/threads?limit=x",
        "/api/threads?limit=1%00",
        "/api/threads?cursor=5",
        "/api/threads?cursor=x.y",
        "/api/threads?archived=2",
        "/api/threads?cursor=%ff",
        "/api/usage?from=yesterday",
        "/api/usage?by=week",
        "/api/usage?by=day&tz=Mars/Olympus",
        "/api/usage?by=day&from=2020-01-01T00:00:00Z",
        "/api/usage?from=2030-01-01T00:00:00Z&to=2020-01-01T00:00:00Z",
        "/api/turns/t1/events?since=-1",
    };
    struct wire_response r;
    REQUIRE(played_start());
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (!CHECK_INT(played_get(bad[i], &r), 400)) {
            printf("%s\n", bad[i]);
        }
        wire_response_done(&r);
    }
    CHECK_INT(played_get("/api/usage?from=2020-01-01T00:00:00Z", &r), 200);
    CHECK(str_find(strbuf_str(&r.body), STR("\"from\":\"2020-01-01T00:00:00.000000Z\"")) !=
          SIZE_MAX);
    wire_response_done(&r);
    played_stop();
}

TEST_FIBER(the_web_app_is_one_page) {
    static const struct {
        const char *path;
        int status;
        const char *body, *cached;
    } cases[] = {
        {"/", 200, "<!doctype html>", "no-cache"},
        {"/t/0199-a", 200, "<!doctype html>", "no-cache"},
        {"/settings/keys", 200, "<!doctype html>", "no-cache"},
        {"/static/app-0a1b2c3d.js", 200, "app", "public, max-age=31536000, immutable"},
        {"/sw.js", 200, "self", "no-cache"},
        {"/favicon.ico", 404, NULL, "no-store"},
        {"/static/app-ffffffff.js", 404, NULL, "no-store"},
        {"/t/", 404, NULL, "no-store"},
        {"/t/a/b", 404, NULL, "no-store"},
    };
    REQUIRE(played_start());
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct wire_response r;
        CHECK_INT(played_get(cases[i].path, &r), cases[i].status);
        CHECK_STR(wire_field(&r, "cache-control"), cases[i].cached);
        if (cases[i].body) {
            CHECK_STR(strbuf_str(&r.body), cases[i].body);
            CHECK(str_starts(wire_field(&r, "content-security-policy"), STR("default-src 'none'")));
        }
        wire_response_done(&r);
    }
    played_stop();
}

TEST_FIBER(a_build_without_the_web_app_says_so) {
    struct wire_response r;
    REQUIRE(played_start());
    played.gateway.n_web_files = 0;
    CHECK_INT(played_get("/", &r), 200);
    CHECK(str_find(strbuf_str(&r.body), STR("no web app")) != SIZE_MAX);
    wire_response_done(&r);
    CHECK_INT(played_get("/static/index.html", &r), 404);
    wire_response_done(&r);
    played_stop();
}

TEST_FIBER(usage_by_day_has_the_days_of_the_zone) {
    static const struct {
        const char *query, *date;
        int64_t n, first, second, last;
    } cases[] = {
        /* summer time begins on the 29th, and the day has 23 hours */
        {"from=2026-03-28T11:00:00Z&to=2026-03-30T10:00:00Z&tz=Europe/Vienna", "2026-03-28", 3, 12,
         23, 12},
        {"from=2026-03-28T11:00:00Z&to=2026-03-30T10:00:00Z", "2026-03-28", 3, 13, 24, 10},
        {"from=2026-03-28T00:00:00Z&to=2026-03-29T00:00:00Z&tz=America/New_York", "2026-03-27", 2,
         4, 20, 20},
    };
    REQUIRE(played_start());
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct wire_response r;
        struct err err;
        char path[200];
        json_auto_t *tree = NULL;
        snprintf(path, sizeof path, "/api/usage?by=day&%s", cases[i].query);
        REQUIRE(CHECK_INT(played_get(path, &r), 200));
        REQUIRE_OK(json_read(strbuf_str(&r.body), &tree, &err), &err);
        const json_t *days = json_object_get(tree, "usage");
        size_t n = json_array_size(days);
        CHECK_INT(n, cases[i].n);
        CHECK_STR(json_str(json_array_get(days, 0), "date"), cases[i].date);
        CHECK_INT(json_int(json_array_get(days, 0), "calls", 0), cases[i].first);
        CHECK_INT(json_int(json_array_get(days, 1), "calls", 0), cases[i].second);
        CHECK_INT(json_int(json_array_get(days, n - 1), "calls", 0), cases[i].last);
        wire_response_done(&r);
    }
    played_stop();
}
