/* Lists of models, as each provider gives them. What they should be like stands in the base URL:
 * http://.../lists/<how>[/v1] is a server whose list is
 *
 *   many     of all kinds, as OpenAI has it: chat and other models, dated copies
 *   huge     of 3,000 models
 *   endless  larger than anybody should read
 *   deep     a small text of very many values
 *   slow     not there for half a minute
 *   broken   no JSON
 *   html     a web page
 *   bare     an array, as some compatible servers have it
 *   empty    of none
 *   absent   not there: 404
 *   down     an error 503
 *   limited  an error 429
 *   moved    elsewhere: a redirect
 */
#include <stdio.h>

#include "base/json.h"
#include "fake.h"

enum { SLOW_MS = 30 * 1000 };

static void send_error(struct http_request *r, const struct fake_wire *wire, int status,
                       const char *message) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(4096);
    struct fake_problem p = {.status = status};
    snprintf(p.message, sizeof p.message, "%s", message);
    wire->error(&out, &p);
    (void)fake_respond(r, status, "application/json", strbuf_str(&out), -1);
}

static void send_list(struct http_request *r, const struct fake_wire *wire,
                      const char *const *names, size_t n) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(FAKE_MAX_BODY_BYTES);
    wire->models(&out, names, n);
    (void)fake_respond(r, 200, "application/json", strbuf_str(&out), -1);
}

static void send_usual(struct http_request *r, const struct fake_wire *wire) {
    static const char *const names[] = {"fake-1", "fake-mini"};
    send_list(r, wire, names, ARRAY_LEN(names));
}

static void send_many(struct http_request *r, const struct fake_wire *wire) {
    static const char *const names[] = {"text-embedding-3-large",
                                        "whisper-1",
                                        "gpt-5-2025-08-07",
                                        "some-model:free",
                                        "gpt-5",
                                        "gpt-6-sol",
                                        "gpt-4o-mini-tts",
                                        "omni-moderation-latest",
                                        "dall-e-3",
                                        "gpt-image-1",
                                        "gpt-4o-realtime",
                                        "claude-opus-5-5",
                                        "nomic-embed-text:v1.5",
                                        "qwen3:8b",
                                        "bge-m3"};
    send_list(r, wire, names, ARRAY_LEN(names));
}

static void send_huge(struct http_request *r, const struct fake_wire *wire) {
    enum { N = 3000, BYTES = 24 };
    static char texts[N][BYTES];
    static const char *names[N];
    for (int i = 0; i < N; i++) {
        snprintf(texts[i], BYTES, "model-%d", i);
        names[i] = texts[i];
    }
    send_list(r, wire, names, N);
}

static void send_repeated(struct http_request *r, const char *piece, size_t bytes) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(FAKE_MAX_BODY_BYTES);
    strbuf_addz(&out, "{\"data\":[");
    while (out.n < bytes) {
        strbuf_addz(&out, piece);
    }
    strbuf_addz(&out, "{}]}");
    (void)fake_respond(r, 200, "application/json", strbuf_str(&out), -1);
}

static void send_moved(struct http_request *r) {
    struct http_field to = {"Location", STR("http://127.0.0.1:1/elsewhere")};
    struct http_response response = {
        .status = 302, .content_type = "text/plain", .fields = &to, .n_fields = 1};
    (void)http_respond(r, &response);
}

void fake_models(struct http_request *r, const struct fake_wire *wire, struct str how,
                 struct str key) {
    struct fake_problem problem = {0};
    if (wire->check_fields(r, key, &problem) < 0) {
        send_error(r, wire, problem.status, problem.message);
    } else if (how.n == 0) {
        send_usual(r, wire);
    } else if (str_eq(how, STR("many"))) {
        send_many(r, wire);
    } else if (str_eq(how, STR("huge"))) {
        send_huge(r, wire);
    } else if (str_eq(how, STR("endless"))) {
        send_repeated(r, "{\"id\":\"a-model-like-all-the-others\"},", 8 * 1024 * 1024);
    } else if (str_eq(how, STR("deep"))) {
        send_repeated(r, "{},", 2 * 1024 * 1024);
    } else if (str_eq(how, STR("slow"))) {
        (void)fiber_sleep(SLOW_MS);
        send_usual(r, wire);
    } else if (str_eq(how, STR("broken"))) {
        (void)fake_respond(r, 200, "application/json", STR("{\"data\":[{\"id\":"), -1);
    } else if (str_eq(how, STR("html"))) {
        (void)fake_respond(r, 200, "text/html", STR("<!doctype html><title>Router</title>"), -1);
    } else if (str_eq(how, STR("bare"))) {
        (void)fake_respond(
            r, 200, "application/json",
            STR("[{\"id\":\"a/chat\",\"display_name\":\"A Chat\"},{\"no\":1},7,{\"id\":\"a b\"}]"),
            -1);
    } else if (str_eq(how, STR("empty"))) {
        send_list(r, wire, NULL, 0);
    } else if (str_eq(how, STR("down"))) {
        send_error(r, wire, 503, "The server is currently overloaded");
    } else if (str_eq(how, STR("limited"))) {
        send_error(r, wire, 429, "Rate limit reached");
    } else if (str_eq(how, STR("moved"))) {
        send_moved(r);
    } else {
        send_error(r, wire, 404, "Not found");
    }
}
