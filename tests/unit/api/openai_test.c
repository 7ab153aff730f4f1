#include "api/openai_chat.h"
#include "api/openai_responses.h"
#include "test.h"

#define STARTED "{\"type\":\"TEXT_MESSAGE_START\",\"timestamp\":1,\"messageId\":\"m1\"}"
#define SAYS(text) "{\"type\":\"TEXT_MESSAGE_CONTENT\",\"messageId\":\"m1\",\"delta\":\"" text "\"}"
#define FINISHED                                                                                   \
    "{\"type\":\"RUN_FINISHED\",\"threadId\":\"t\",\"runId\":\"r\",\"outcome\":{\"type\":"         \
    "\"success\"},\"usage\":[{\"inputTokens\":10,\"outputTokens\":4,\"cachedInputTokens\":3,"      \
    "\"reasoningTokens\":1}]}"

static enum reply_change feed(struct reply *r, const char *event, struct str *delta) {
    enum reply_change change = REPLY_NOTHING;
    struct err err;
    CHECK_OK(reply_feed(r, str_z(event), &change, delta, &err), &err);
    return change;
}

TEST(a_reply_is_gathered) {
    struct reply r cleanup(reply_done);
    struct str delta;
    reply_init(&r);
    CHECK_INT(feed(&r, "{\"type\":\"RUN_STARTED\"}", &delta), REPLY_NOTHING);
    CHECK_INT(feed(&r, STARTED, &delta), REPLY_NOTHING);
    CHECK_INT(feed(&r, SAYS("Hel"), &delta), REPLY_TEXT);
    CHECK_STR(delta, "Hel");
    CHECK_INT(feed(&r, SAYS("lo"), &delta), REPLY_TEXT);
    CHECK_STR(delta, "lo");
    CHECK_INT(feed(&r, "{\"type\":\"TEXT_MESSAGE_START\",\"messageId\":\"m2\"}", &delta),
              REPLY_TEXT);
    CHECK_STR(delta, "\n\n");
    CHECK_INT(feed(&r, SAYS("again"), &delta), REPLY_TEXT);
    CHECK_STR(strbuf_str(&r.text), "Hello\n\nagain");
    CHECK_STR(reply_last(&r), "again");
    CHECK_STR(str_z(r.message_id), "m2");
    CHECK_INT(feed(&r, FINISHED, &delta), REPLY_ENDED);
    CHECK(r.ended && r.state == TURN_DONE);
    CHECK_INT(r.usage.input_tokens, 10);
    CHECK_INT(r.usage.cached_input_tokens, 3);
}

TEST(a_reply_that_fails_keeps_what_was_said) {
    struct reply r cleanup(reply_done);
    struct str delta;
    reply_init(&r);
    feed(&r, STARTED, &delta);
    feed(&r, SAYS("half"), &delta);
    CHECK_INT(
        feed(&r, "{\"type\":\"RUN_ERROR\",\"message\":\"gone\",\"code\":\"unavailable\"}", &delta),
        REPLY_ENDED);
    CHECK_INT(r.state, TURN_FAILED);
    CHECK_STR(strbuf_str(&r.error_message), "gone");
    CHECK_STR(str_z(r.error_code), "unavailable");
    CHECK_STR(strbuf_str(&r.text), "half");
}

#define SNAPSHOT(text)                                                                             \
    "{\"type\":\"MESSAGES_SNAPSHOT\",\"messages\":[{\"id\":\"u0\",\"role\":\"user\",\"content\":"  \
    "\"x\"},{\"id\":\"a0\",\"role\":\"assistant\",\"content\":\"old\"},{\"id\":\"u1\",\"role\":"   \
    "\"user\",\"content\":\"y\"},{\"id\":\"m1\",\"role\":\"assistant\",\"content\":\"" text        \
    "\"}]}"

TEST(a_snapshot_that_goes_on_is_told_from_there) {
    struct reply r cleanup(reply_done);
    struct str delta;
    reply_init(&r);
    feed(&r, STARTED, &delta);
    feed(&r, SAYS("Hel"), &delta);
    CHECK_INT(feed(&r, SNAPSHOT("Hello"), &delta), REPLY_TEXT);
    CHECK_STR(delta, "lo");
    CHECK_INT(feed(&r, STARTED, &delta), REPLY_NOTHING); /* the same message, open again */
    feed(&r, SAYS("!"), &delta);
    CHECK_STR(strbuf_str(&r.text), "Hello!");
}

TEST(a_snapshot_that_differs_is_a_restart) {
    struct reply r cleanup(reply_done);
    struct str delta;
    reply_init(&r);
    feed(&r, STARTED, &delta);
    feed(&r, SAYS("Hello"), &delta);
    CHECK_INT(feed(&r, SNAPSHOT("Good day"), &delta), REPLY_RESTARTED);
    CHECK_STR(strbuf_str(&r.text), "Good day");
}

TEST(nothing_said_yet_makes_a_snapshot_harmless) {
    struct reply r cleanup(reply_done);
    struct str delta;
    reply_init(&r);
    CHECK_INT(feed(&r,
                   "{\"type\":\"MESSAGES_SNAPSHOT\",\"messages\":[{\"id\":\"u\",\"role\":\"user\","
                   "\"content\":\"x\"}]}",
                   &delta),
              REPLY_NOTHING);
    CHECK_INT(r.message_id[0], 0);
    CHECK_INT(feed(&r, "{\"type\":\"RUN_FINISHED\",\"outcome\":{\"type\":\"cancelled\"}}", &delta),
              REPLY_ENDED);
    CHECK_INT(r.state, TURN_CANCELLED);
}

TEST(an_event_that_is_not_json_is_our_fault) {
    struct reply r cleanup(reply_done);
    enum reply_change change;
    struct str delta;
    struct err err;
    reply_init(&r);
    CHECK_FAILS(reply_feed(&r, STR("{\"type\":\"RUN_ERROR\""), &change, &delta, &err), &err,
                ERR_INTERNAL);
}

/* ---- shapes: every data line is parsed as a client would ---- */

static json_t *frames(const struct strbuf *out) {
    json_t *all = json_array();
    struct str rest = strbuf_str(out);
    while (rest.n > 0) {
        struct str line = str_cut(&rest, '\n');
        json_t *tree = NULL;
        struct err err;
        if (!str_starts(line, STR("data: {"))) {
            continue;
        }
        if (CHECK_OK(json_read(str_skip(line, 6), &tree, &err), &err)) {
            json_array_append_new(all, tree);
        }
    }
    return all;
}

static const json_t *choice(const json_t *all, size_t i) {
    return json_array_get(json_object_get(json_array_get(all, i), "choices"), 0);
}

TEST(chat_chunks_have_what_clients_need) {
    struct openai_chat chat = {
        .turn_id = STR("t1"), .model = "adjutant", .created_s = 5, .include_usage = true};
    struct strbuf out cleanup(strbuf_done) = STRBUF(1 << 16);
    struct reply r cleanup(reply_done);
    struct str delta;
    const struct openai_shape *s = &openai_chat_shape;
    reply_init(&r);
    feed(&r, FINISHED, &delta);
    s->begin(&out, &chat);
    s->reasoning(&out, STR("hm"), &chat);
    s->text(&out, STR("a\"b"), &chat);
    s->end(&out, &r, &chat);
    CHECK(str_ends(strbuf_str(&out), STR("data: [DONE]\n\n")));
    json_auto_t *all = frames(&out);
    REQUIRE(json_array_size(all) == 5);
    for (size_t i = 0; i < 4; i++) {
        CHECK_STR(json_str(json_array_get(all, i), "id"), "chatcmpl-t1");
        CHECK_STR(json_str(json_array_get(all, i), "object"), "chat.completion.chunk");
        CHECK_INT(json_int(choice(all, i), "index", -1), 0);
        CHECK(json_object_get(choice(all, i), "finish_reason"));
    }
    const json_t *first = json_object_get(choice(all, 0), "delta");
    CHECK_STR(json_str(first, "role"), "assistant");
    CHECK_STR(json_str(json_object_get(choice(all, 1), "delta"), "reasoning_content"), "hm");
    CHECK_STR(json_str(json_object_get(choice(all, 2), "delta"), "content"), "a\"b");
    CHECK_STR(json_str(choice(all, 3), "finish_reason"), "stop");
    const json_t *last = json_array_get(all, 4);
    CHECK_INT(json_array_size(json_object_get(last, "choices")), 0);
    CHECK_INT(json_int(json_object_get(last, "usage"), "total_tokens", 0), 14);
}

TEST(chat_usage_comes_only_when_asked_for) {
    struct openai_chat chat = {.turn_id = STR("t1"), .model = "adjutant"};
    struct strbuf out cleanup(strbuf_done) = STRBUF(1 << 16);
    struct reply r cleanup(reply_done);
    reply_init(&r);
    openai_chat_shape.end(&out, &r, &chat);
    CHECK(str_find(strbuf_str(&out), STR("usage")) == SIZE_MAX);
}

TEST(a_chat_that_fails_says_so_and_ends) {
    struct openai_chat chat = {.turn_id = STR("t1"), .model = "adjutant"};
    struct strbuf out cleanup(strbuf_done) = STRBUF(1 << 16);
    openai_chat_shape.fail(&out, problem_of_turn(STR("busy")), STR("later"), &chat);
    CHECK_STR(
        strbuf_str(&out),
        "data: {\"error\":{\"message\":\"later\",\"type\":\"rate_limit_error\",\"param\":null,"
        "\"code\":\"rate_limit_exceeded\"}}\n\ndata: [DONE]\n\n");
}

TEST(response_events_come_in_order) {
    static const char *const types[] = {"response.created",           "response.in_progress",
                                        "response.output_item.added", "response.content_part.added",
                                        "response.output_text.delta", "response.output_text.delta",
                                        "response.output_text.done",  "response.content_part.done",
                                        "response.output_item.done",  "response.completed"};
    struct openai_response response = {
        .turn_id = STR("t1"), .model = "adjutant", .created_s = 5, .text = STRBUF(1024)};
    struct strbuf out cleanup(strbuf_done) = STRBUF(1 << 16);
    struct reply r cleanup(reply_done);
    struct str delta;
    const struct openai_shape *s = &openai_responses_shape;
    reply_init(&r);
    feed(&r, STARTED, &delta);
    s->begin(&out, &response);
    feed(&r, SAYS("Hel"), &delta);
    s->text(&out, delta, &response);
    feed(&r, SAYS("lo"), &delta);
    s->text(&out, delta, &response);
    feed(&r, FINISHED, &delta);
    s->end(&out, &r, &response);
    json_auto_t *all = frames(&out);
    REQUIRE(json_array_size(all) == ARRAY_LEN(types));
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        const json_t *event = json_array_get(all, i);
        CHECK_STR(json_str(event, "type"), types[i]);
        CHECK_INT(json_int(event, "sequence_number", -1), i);
    }
    const json_t *created = json_object_get(json_array_get(all, 0), "response");
    CHECK_STR(json_str(created, "id"), "resp_t1");
    CHECK_INT(json_array_size(json_object_get(created, "output")), 0);
    CHECK_STR(json_str(json_array_get(all, 4), "item_id"), "msg_t1");
    const json_t *item = json_object_get(json_array_get(all, 8), "item");
    const json_t *part = json_array_get(json_object_get(item, "content"), 0);
    CHECK_STR(json_str(part, "text"), "Hello");
    const json_t *done = json_object_get(json_array_get(all, 9), "response");
    CHECK_STR(json_str(done, "status"), "completed");
    CHECK_INT(json_int(json_object_get(done, "usage"), "total_tokens", 0), 14);
    strbuf_done(&response.text);
}

/* ---- what went before, as text ---- */

static const char *context_of(const char *instructions, const char *messages) {
    static char result[8192];
    json_auto_t *tree = NULL;
    struct err err;
    struct strbuf out cleanup(strbuf_done) = STRBUF(1 << 20);
    if (CHECK_OK(json_read(str_z(messages), &tree, &err), &err)) {
        openai_context(&out, str_z(instructions), tree);
    }
    snprintf(result, sizeof result, "%s", strbuf_z(&out));
    return result;
}

TEST(a_first_message_alone_has_no_context) {
    CHECK_STR(str_z(context_of("", "[{\"role\":\"user\",\"content\":\"hi\"}]")), "");
    CHECK_STR(str_z(context_of("", "[]")), "");
}

TEST(what_went_before_is_marked_as_the_clients) {
    struct str text = str_z(context_of(
        "be brief",
        "[{\"role\":\"user\",\"content\":\"one\"},{\"role\":\"system\",\"content\":\"be kind\"},"
        "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"two\"},{\"type\":"
        "\"image_url\"}]},{\"role\":\"user\",\"content\":\"three\"}]"));
    CHECK(str_starts(text, STR("Context from the program")));
    CHECK(str_find(text, STR("instructions: be brief\n\ninstructions: be kind\n\nuser: "
                             "one\n\nassistant: two[image]\n\nThe message")) != SIZE_MAX);
    CHECK(str_find(text, STR("three")) == SIZE_MAX);
}

TEST(of_a_long_past_the_newest_is_kept) {
    struct strbuf messages cleanup(strbuf_done) = STRBUF(4 << 20);
    struct strbuf out cleanup(strbuf_done) = STRBUF(4 << 20);
    json_auto_t *tree = NULL;
    struct err err;
    strbuf_addc(&messages, '[');
    for (int i = 0; i < 100; i++) {
        strbuf_addf(&messages, "{\"role\":\"user\",\"content\":\"no. %d ", i);
        for (int k = 0; k < 10000; k++) {
            strbuf_addc(&messages, 'x');
        }
        strbuf_addz(&messages, "\"},");
    }
    strbuf_addz(&messages, "{\"role\":\"user\",\"content\":\"now\"}]");
    REQUIRE_OK(json_read(strbuf_str(&messages), &tree, &err), &err);
    openai_context(&out, STR_EMPTY, tree);
    CHECK(!out.failed && out.n < 170 * 1024 && out.n > 100 * 1024);
    CHECK(str_find(strbuf_str(&out), STR("no. 99 ")) != SIZE_MAX);
    CHECK(str_find(strbuf_str(&out), STR("no. 2 ")) == SIZE_MAX);
}
