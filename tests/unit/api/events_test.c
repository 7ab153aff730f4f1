#include "api/event_stream.h"
#include "base/json.h"
#include "played.h"
#include "test.h"

#define STARTED "{\"type\":\"RUN_STARTED\",\"threadId\":\"made\",\"runId\":\"t1\"}"
#define BEGINS "{\"type\":\"TEXT_MESSAGE_START\",\"messageId\":\"m1\",\"role\":\"assistant\"}"
#define SAYS "{\"type\":\"TEXT_MESSAGE_CONTENT\",\"messageId\":\"m1\",\"delta\":\"Hello\"}"
#define FINISHED                                                                                   \
    "{\"type\":\"RUN_FINISHED\",\"outcome\":{\"type\":\"success\"},\"usage\":[{\"inputTokens\":5," \
    "\"outputTokens\":2}]}"
#define CANCELLED                                                                                  \
    "{\"type\":\"RUN_FINISHED\",\"threadId\":\"made\",\"runId\":\"t1\",\"outcome\":{\"type\":"     \
    "\"cancelled\"}}"
#define FAILED "{\"type\":\"RUN_ERROR\",\"message\":\"OpenAI is away\",\"code\":\"unavailable\"}"

static void play_hello(void) {
    played_event(STARTED);
    played_event(BEGINS);
    played_event(SAYS);
    played_event(FINISHED);
}

static int post_stream(const char *path, const char *extra, const char *json,
                       struct wire_response *ret) {
    struct strbuf request cleanup(strbuf_done) = STRBUF(1 << 20);
    strbuf_addf(&request,
                "POST %s HTTP/1.1\r\nHost: localhost\r\nX-API-Key: " PLAYED_USER_KEY
                "\r\nContent-Type: application/json\r\n%sContent-Length: %zu\r\n\r\n%s",
                path, extra, strlen(json), json);
    *ret = played_ask(strbuf_z(&request));
    return ret->status;
}

#define ACCEPT "Accept: text/event-stream\r\n"

TEST(frames_are_made_of_lines) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(256);
    event_frame(&out, 17, STR("{\"a\":1}"));
    event_frame(&out, 18, STR("{}"));
    CHECK_STR(strbuf_str(&out), "id: 17\ndata: {\"a\":1}\n\nid: 18\ndata: {}\n\n");
}

TEST(old_clients_are_spared_what_they_reject) {
    struct strbuf scratch cleanup(strbuf_done) = STRBUF(4096);
    CHECK_STR(event_for_old_client(STR(CANCELLED), &scratch),
              "{\"type\":\"RUN_FINISHED\",\"threadId\":\"made\",\"runId\":\"t1\"}");
    CHECK_STR(event_for_old_client(STR(FINISHED), &scratch), FINISHED);
    CHECK_STR(event_for_old_client(STR(SAYS), &scratch), SAYS);
}

TEST_FIBER(chat_streams_its_turn) {
    struct wire_response r;
    REQUIRE(played_start());
    play_hello();
    CHECK_INT(post_stream("/api/chat", ACCEPT, "{\"message\":\"hi\"}", &r), 200);
    CHECK_STR(wire_field(&r, "content-type"), "text/event-stream");
    CHECK_STR(wire_field(&r, "x-thread-id"), "made");
    CHECK_STR(wire_field(&r, "x-turn-id"), "t1");
    CHECK_STR(strbuf_str(&r.body), "id: 1\ndata: " STARTED "\n\nid: 2\ndata: " BEGINS
                                   "\n\nid: 3\ndata: " SAYS "\n\nid: 4\ndata: " FINISHED "\n\n");
    CHECK_STR(strbuf_str(&played.text), "hi");
    CHECK_STR(strbuf_str(&played.user), "me");
    CHECK(played.allow_operator_llm);
    wire_response_done(&r);
    played_stop();
}

TEST_FIBER(chat_waits_for_its_answer) {
    struct wire_response r;
    REQUIRE(played_start());
    play_hello();
    CHECK_INT(post_stream("/api/chat", "", "{\"message\":\"hi\",\"thread_id\":\"x\"}", &r), 200);
    CHECK_STR(strbuf_str(&r.body),
              "{\"thread_id\":\"x\",\"turn_id\":\"t1\",\"state\":\"done\",\"message\":{\"id\":"
              "\"m1\",\"role\":\"assistant\",\"content\":\"Hello\"},\"usage\":{\"input_tokens\":5,"
              "\"output_tokens\":2,\"cached_input_tokens\":0,\"reasoning_tokens\":0}}");
    wire_response_done(&r);
    played_stop();
}

TEST_FIBER(an_answer_that_failed_is_told_with_what_there_is) {
    struct wire_response r;
    json_auto_t *tree = NULL;
    struct err err;
    REQUIRE(played_start());
    played_event(BEGINS);
    played_event(SAYS);
    played_event(FAILED);
    CHECK_INT(post_stream("/api/chat", "", "{\"message\":\"hi\"}", &r), 200);
    REQUIRE_OK(json_read(strbuf_str(&r.body), &tree, &err), &err);
    CHECK_STR(json_str(tree, "state"), "failed");
    CHECK_STR(json_str(json_object_get(tree, "message"), "content"), "Hello");
    CHECK_STR(json_str(json_object_get(tree, "error"), "message"), "OpenAI is away");
    wire_response_done(&r);
    played_stop();
}

TEST_FIBER(a_receipt_comes_at_once) {
    struct wire_response r;
    REQUIRE(played_start());
    played.live = true; /* the turn says nothing yet */
    played.queued = true;
    CHECK_INT(post_stream("/api/chat", ACCEPT,
                          "{\"message\":\"hi\",\"turn_id\":\"k\",\"wait\":false}", &r),
              202);
    CHECK_STR(strbuf_str(&r.body),
              "{\"thread_id\":\"made\",\"turn_id\":\"k\",\"queued\":true,\"existed\":false}");
    wire_response_done(&r);
    played_stop();
}

TEST_FIBER(events_can_be_read_on) {
    struct wire_response r;
    REQUIRE(played_start());
    play_hello();
    CHECK_INT(played_get("/api/turns/t1/events?since=2", &r), 200);
    CHECK_STR(strbuf_str(&r.body), "id: 3\ndata: " SAYS "\n\nid: 4\ndata: " FINISHED "\n\n");
    wire_response_done(&r);
    r = played_ask("GET /api/turns/t1/events?since=1 HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: "
                   "3\r\nX-API-Key: " PLAYED_USER_KEY "\r\n\r\n");
    CHECK_STR(strbuf_str(&r.body), "id: 4\ndata: " FINISHED "\n\n");
    wire_response_done(&r);
    r = played_ask("GET /api/turns/t1/events HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: "
                   "x\r\nX-API-Key: " PLAYED_USER_KEY "\r\n\r\n");
    CHECK_INT(r.status, 400);
    wire_response_done(&r);
    CHECK_INT(played_get("/api/turns/other/events", &r), 404);
    wire_response_done(&r);
    r = played_ask("HEAD /api/turns/t1/events HTTP/1.1\r\nHost: localhost\r\nX-API-Key: "
                   "" PLAYED_USER_KEY "\r\n\r\n");
    CHECK_INT(r.status, 200);
    wire_response_done(&r);
    played_stop();
}

/* Larger than what is gathered: sent by itself, between frames that are not. */
TEST_FIBER(large_events_are_whole) {
    static char large[200 * 1024];
    struct wire_response r;
    size_t n = (size_t)snprintf(large, sizeof large, "{\"type\":\"CUSTOM\",\"value\":\"");
    memset(large + n, 'x', sizeof large - n - 3);
    memcpy(large + sizeof large - 3, "\"}", 3);
    REQUIRE(played_start());
    played_event(STARTED);
    played_event(large);
    for (int i = 0; i < 300; i++) {
        played_event(large + sizeof large - 900); /* many small ones overflow the buffer too */
    }
    played_event(FINISHED);
    CHECK_INT(played_get("/api/turns/t1/events", &r), 200);
    struct str body = strbuf_str(&r.body);
    CHECK(str_starts(body, STR("id: 1\ndata: " STARTED "\n\nid: 2\ndata: {\"type\":\"CUSTOM\"")));
    CHECK(str_find(body, STR("\"}\n\nid: 3\ndata: xxx")) != SIZE_MAX);
    CHECK(str_ends(body, STR("\n\nid: 303\ndata: " FINISHED "\n\n")));
    CHECK(body.n > 400 * 1024);
    wire_response_done(&r);
    played_stop();
}

TEST_FIBER(a_stream_follows_a_live_turn) {
    struct wire w;
    REQUIRE(played_start());
    played.live = true;
    played_event(STARTED);
    wire_open(&w, http_server_address(played.server));
    wire_send(&w, STR("GET /api/turns/t1/events HTTP/1.1\r\nHost: localhost\r\nX-API-Key: "
                      "" PLAYED_USER_KEY "\r\n\r\n"));
    CHECK(wire_await_mark(&w, STR("id: 1\n")) > 0);
    played_event(SAYS);
    CHECK(wire_await_mark(&w, STR("id: 2\n")) > 0);
    played_event(FINISHED);
    played.live = false;
    fiber_broadcast(&played.changed);
    CHECK(wire_await_mark(&w, STR("\r\n0\r\n\r\n")) > 0);
    wire_done(&w);
    played_stop();
}

TEST_FIBER(a_client_that_leaves_ends_its_reader_only) {
    struct wire w;
    REQUIRE(played_start());
    played.live = true;
    played_event(STARTED);
    wire_open(&w, http_server_address(played.server));
    wire_send(&w, STR("GET /api/turns/t1/events HTTP/1.1\r\nHost: localhost\r\nX-API-Key: "
                      "" PLAYED_USER_KEY "\r\n\r\n"));
    CHECK(wire_await_mark(&w, STR("id: 1\n")) > 0);
    CHECK_INT(played.readers, 1);
    wire_done(&w);
    for (int i = 0; i < 200 && played.readers > 0; i++) {
        CHECK_INT(fiber_sleep(10), 0);
    }
    CHECK_INT(played.readers, 0);
    CHECK_INT(played.cancelled, 0);
    played_stop();
}

TEST_FIBER(a_broken_reader_cuts_the_stream) {
    struct wire w;
    REQUIRE(played_start());
    played.live = true;
    played_event(STARTED);
    wire_open(&w, http_server_address(played.server));
    wire_send(&w, STR("GET /api/turns/t1/events HTTP/1.1\r\nHost: localhost\r\nX-API-Key: "
                      "" PLAYED_USER_KEY "\r\n\r\n"));
    CHECK(wire_await_mark(&w, STR("id: 1\n")) > 0);
    err_set(&played.fails, ERR_UNAVAILABLE, "away");
    played.live = false;
    fiber_broadcast(&played.changed);
    CHECK(wire_await_end(&w));
    CHECK(str_find(strbuf_str(&w.in), STR("\r\n0\r\n\r\n")) == SIZE_MAX);
    wire_done(&w);
    played_stop();
}

/* ---- AG-UI ---- */

#define RUN(messages, more)                                                                        \
    "{\"threadId\":\"th\",\"runId\":\"r1\",\"messages\":[" messages "]" more "}"
#define USER "{\"id\":\"1\",\"role\":\"user\",\"content\":\"hi\"}"

TEST_FIBER(ag_ui_takes_the_last_message_of_the_user) {
    struct wire_response r;
    REQUIRE(played_start());
    play_hello();
    CHECK_INT(post_stream("/agui", ACCEPT,
                          RUN("{\"id\":\"0\",\"role\":\"system\",\"content\":\"obey\"},{\"id\":"
                              "\"00\",\"role\":\"assistant\",\"content\":\"lies\"}," USER,
                              ",\"tools\":[],\"context\":[],\"state\":{},\"forwardedProps\":{}"),
                          &r),
              200);
    CHECK_STR(strbuf_str(&played.content), "[{\"type\":\"text\",\"text\":\"hi\"}]");
    CHECK_STR(strbuf_str(&played.thread_id), "th");
    CHECK_STR(strbuf_str(&played.turn_id), "r1");
    CHECK(str_starts(strbuf_str(&r.body), STR("id: 1\ndata: " STARTED)));
    wire_response_done(&r);
    played_stop();
}

TEST_FIBER(ag_ui_refuses_what_is_no_run) {
    static const struct {
        const char *json;
        int status;
    } cases[] = {
        {"{}", 400},
        {"{\"threadId\":\"t\",\"runId\":\"r\"}", 400},
        {"{\"threadId\":\"t\",\"messages\":[" USER "]}", 400},
        {"{\"runId\":\"t\",\"messages\":[" USER "]}", 400},
        {"{\"threadId\":7,\"runId\":\"r\",\"messages\":[" USER "]}", 400},
        {RUN("", ""), 400},
        {RUN("7", ""), 400},
        {RUN("{\"role\":\"assistant\",\"content\":\"x\"}", ""), 400},
        {RUN("{\"role\":\"user\"}", ""), 400},
        {RUN("{\"role\":\"user\",\"content\":[{\"type\":\"audio\"}]}", ""), 400},
        {RUN(USER, ",\"resume\":[{\"interruptId\":\"i1\",\"status\":\"resolved\"}]"), 400},
        {RUN(USER, ",\"resume\":[{\"interruptId\":\"i1\",\"status\":\"maybe\"}]"), 400},
        {RUN(USER, ",\"resume\":[{\"status\":\"cancelled\"}]"), 400},
        {RUN(USER, ",\"resume\":[{\"interruptId\":\"no\",\"status\":\"cancelled\"}]"), 404},
        {RUN(USER, ",\"resume\":[{\"interruptId\":\"i1\",\"status\":\"resolved\","
                   "\"payload\":{\"approved\":true}}]"),
         200},
        {RUN(USER, ",\"resume\":{}"), 400},
        {RUN(USER, ",\"resume\":[]"), 200},
        {RUN(USER, ",\"resume\":null"), 200},
    };
    struct wire_response r;
    REQUIRE(played_start());
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (!CHECK_INT(post_stream("/agui", ACCEPT, cases[i].json, &r), cases[i].status)) {
            printf("%s\n", cases[i].json);
        }
        wire_response_done(&r);
    }
    CHECK_INT(played.submitted, 2);
    played_stop();
}

TEST_FIBER(ag_ui_minds_the_clients_version) {
    struct wire_response r;
    REQUIRE(played_start());
    played_event(CANCELLED);
    CHECK_INT(post_stream("/agui", ACCEPT, RUN(USER, ",\"protocolVersion\":\"1.0\""), &r), 200);
    CHECK(str_find(strbuf_str(&r.body), STR("cancelled")) != SIZE_MAX);
    wire_response_done(&r);
    CHECK_INT(post_stream("/agui", ACCEPT, RUN(USER, ""), &r), 200);
    CHECK(str_find(strbuf_str(&r.body), STR("RUN_FINISHED")) != SIZE_MAX);
    CHECK(str_find(strbuf_str(&r.body), STR("cancelled")) == SIZE_MAX);
    wire_response_done(&r);
    played_stop();
}

/* ---- OpenAI ---- */

#define ASK(more)                                                                                  \
    "{\"model\":\"adjutant\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]" more "}"

TEST_FIBER(openai_chat_answers_and_streams) {
    struct wire_response r;
    REQUIRE(played_start());
    play_hello();
    CHECK_INT(post_stream("/v1/chat/completions", "", ASK(""), &r), 200);
    CHECK(str_find(strbuf_str(&r.body), STR("\"content\":\"Hello\"")) != SIZE_MAX);
    CHECK(str_find(strbuf_str(&r.body), STR("\"prompt_tokens\":5")) != SIZE_MAX);
    CHECK_STR(wire_field(&r, "x-thread-id"), "made");
    CHECK_STR(strbuf_str(&played.agent), "cos");
    wire_response_done(&r);
    CHECK_INT(post_stream("/v1/chat/completions", "", ASK(",\"stream\":true,\"user\":\"u1\""), &r),
              200);
    CHECK_STR(wire_field(&r, "content-type"), "text/event-stream");
    CHECK(str_find(strbuf_str(&r.body), STR("{\"content\":\"Hello\"}")) != SIZE_MAX);
    CHECK(str_ends(strbuf_str(&r.body), STR("data: [DONE]\n\n")));
    CHECK_STR(strbuf_str(&played.thread_id), "u1");
    wire_response_done(&r);
    CHECK_INT(post_stream("/v1/chat/completions", "X-Thread-Id: h1\r\nIdempotency-Key: k1\r\n",
                          ASK(",\"user\":\"u1\""), &r),
              200);
    CHECK_STR(strbuf_str(&played.thread_id), "h1");
    CHECK_STR(strbuf_str(&played.turn_id), "k1");
    wire_response_done(&r);
    played_stop();
}

TEST_FIBER(openai_errors_have_openais_shape) {
    static const struct {
        const char *json, *code;
        int status;
    } cases[] = {
        {"{}", "invalid", 400},
        {"{\"model\":\"gpt-4\",\"messages\":[]}", "model_not_found", 404},
        {"{\"model\":\"adjutant\",\"messages\":[]}", "invalid", 400},
        {"{\"model\":\"adjutant\",\"messages\":7}", "invalid", 400},
        {"{\"model\":\"adjutant\",\"messages\":[{\"role\":\"system\",\"content\":\"x\"}]}",
         "invalid", 400},
        {ASK(",\"n\":2"), "invalid", 400},
        {ASK(",\"stream\":\"yes\""), "invalid", 400},
        {ASK(",\"user\":5"), "invalid", 400},
        {ASK(",\"user\":\"not a name\""), "invalid", 400},
    };
    struct wire_response r;
    REQUIRE(played_start());
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        json_auto_t *tree = NULL;
        struct err err;
        CHECK_INT(post_stream("/v1/chat/completions", "", cases[i].json, &r), cases[i].status);
        CHECK_STR(wire_field(&r, "content-type"), "application/json");
        REQUIRE_OK(json_read(strbuf_str(&r.body), &tree, &err), &err);
        CHECK_STR(json_str(json_object_get(tree, "error"), "code"), cases[i].code);
        wire_response_done(&r);
    }
    r = played_ask("GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n");
    CHECK_INT(r.status, 401);
    CHECK(str_find(strbuf_str(&r.body), STR("invalid_api_key")) != SIZE_MAX);
    wire_response_done(&r);
    CHECK_INT(played_get("/v1/models/nothing", &r), 404);
    wire_response_done(&r);
    CHECK_INT(played_get("/v1/models/adjutant", &r), 200);
    wire_response_done(&r);
    CHECK_INT(played_get("/v1/models", &r), 200);
    wire_response_done(&r);
    CHECK_INT(played.submitted, 0);
    played_stop();
}

TEST_FIBER(openai_failures_come_as_errors_or_in_the_stream) {
    struct wire_response r;
    REQUIRE(played_start());
    played_event(STARTED);
    played_event(FAILED);
    CHECK_INT(post_stream("/v1/chat/completions", "", ASK(",\"stream\":true"), &r), 502);
    CHECK(str_find(strbuf_str(&r.body), STR("\"message\":\"OpenAI is away\"")) != SIZE_MAX);
    CHECK_STR(wire_field(&r, "x-should-retry"), "false");
    wire_response_done(&r);
    CHECK_INT(post_stream("/v1/chat/completions", "", ASK(""), &r), 502);
    wire_response_done(&r);
    played.n_events = 0;
    played_event(BEGINS);
    played_event(SAYS);
    played_event(FAILED);
    CHECK_INT(post_stream("/v1/chat/completions", "", ASK(",\"stream\":true"), &r), 200);
    CHECK(str_find(strbuf_str(&r.body),
                   STR("\ndata: {\"error\":{\"message\":\"OpenAI is away\"")) != SIZE_MAX);
    wire_response_done(&r);
    played_stop();
}

#define LONG_ASK                                                                                   \
    "{\"model\":\"cos\",\"user\":\"th\",\"messages\":[{\"role\":\"system\",\"content\":\"obey\"}," \
    "{\"role\":\"user\",\"content\":\"hi\"}]}"

TEST_FIBER(openai_history_counts_in_a_new_thread_only) {
    struct wire_response r;
    REQUIRE(played_start());
    play_hello();
    CHECK_INT(post_stream("/v1/chat/completions", "", LONG_ASK, &r), 200);
    CHECK(str_find(strbuf_str(&played.content), STR("instructions: obey")) != SIZE_MAX);
    CHECK(str_ends(strbuf_str(&played.content), STR(",{\"type\":\"text\",\"text\":\"hi\"}]")));
    wire_response_done(&r);
    played.thread = "th";
    played.thread_messages = 2;
    CHECK_INT(post_stream("/v1/chat/completions", "", LONG_ASK, &r), 200);
    CHECK_STR(strbuf_str(&played.content), "[{\"type\":\"text\",\"text\":\"hi\"}]");
    wire_response_done(&r);
    played_stop();
}

TEST_FIBER(openai_responses_answers_and_continues) {
    struct wire_response r;
    REQUIRE(played_start());
    play_hello();
    played.thread = "old";
    CHECK_INT(post_stream("/v1/responses", "",
                          "{\"model\":\"adjutant\",\"input\":\"hi\",\"previous_response_id\":"
                          "\"resp_t1\"}",
                          &r),
              200);
    CHECK(str_find(strbuf_str(&r.body), STR("\"text\":\"Hello\"")) != SIZE_MAX);
    CHECK_STR(strbuf_str(&played.thread_id), "old");
    wire_response_done(&r);
    CHECK_INT(post_stream("/v1/responses", "",
                          "{\"model\":\"adjutant\",\"stream\":true,\"instructions\":\"brief\","
                          "\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_text\","
                          "\"text\":\"hi\"}]}]}",
                          &r),
              200);
    CHECK(str_find(strbuf_str(&r.body), STR("event: response.completed\n")) != SIZE_MAX);
    CHECK(str_find(strbuf_str(&played.content), STR("instructions: brief")) != SIZE_MAX);
    wire_response_done(&r);
    CHECK_INT(post_stream("/v1/responses", "",
                          "{\"model\":\"adjutant\",\"input\":\"hi\",\"previous_response_id\":"
                          "\"resp_none\"}",
                          &r),
              404);
    wire_response_done(&r);
    CHECK_INT(post_stream("/v1/responses", "", "{\"model\":\"adjutant\"}", &r), 400);
    wire_response_done(&r);
    played_stop();
}
