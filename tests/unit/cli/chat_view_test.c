#include "cli/chat_view.h"

#include <stdlib.h>

#include "test.h"

/* A view whose output is caught. */
struct fixture {
    struct chat_view view;
    FILE *out, *notes;
    char *out_text, *notes_text;
    size_t out_bytes, notes_bytes;
};

static void setup(struct fixture *f, bool answer_only) {
    f->out = open_memstream(&f->out_text, &f->out_bytes);
    f->notes = open_memstream(&f->notes_text, &f->notes_bytes);
    chat_view_init(&f->view, &(struct chat_style){
                                 .out = f->out, .notes = f->notes, .answer_only = answer_only});
    chat_view_begin(&f->view);
}

static void teardown(struct fixture *f) {
    chat_view_done(&f->view);
    fclose(f->out);
    fclose(f->notes);
    free(f->out_text);
    free(f->notes_text);
}

static struct str out(struct fixture *f) {
    fflush(f->out);
    return (struct str){f->out_text, f->out_bytes};
}

static struct str notes(struct fixture *f) {
    fflush(f->notes);
    return (struct str){f->notes_text, f->notes_bytes};
}

static void event(struct fixture *f, const char *json) {
    json_auto_t *tree = NULL;
    struct err err;
    if (CHECK_OK(json_read(str_z(json), &tree, &err), &err)) {
        chat_view_event(&f->view, tree);
    }
}

static void say(struct fixture *f, const char *text) {
    json_auto_t *tree = json_pack("{s:s,s:s}", "type", "TEXT_MESSAGE_CONTENT", "delta", text);
    chat_view_event(&f->view, tree);
}

#define FINISHED "{\"type\":\"RUN_FINISHED\",\"outcome\":{\"type\":\"success\"}}"

TEST(text_streams_and_ends_its_line) {
    struct fixture f;
    setup(&f, false);
    say(&f, "Hel");
    CHECK_STR(out(&f), "Hel");
    say(&f, "lo");
    event(&f, "{\"type\":\"TEXT_MESSAGE_END\"}");
    event(&f, FINISHED);
    chat_view_finish(&f.view);
    CHECK_STR(out(&f), "Hello\n");
    CHECK_INT(f.view.end, CHAT_DONE);
    teardown(&f);
}

TEST(tools_are_quiet_lines) {
    struct fixture f;
    setup(&f, false);
    say(&f, "Let me see.");
    event(&f,
          "{\"type\":\"TOOL_CALL_START\",\"toolCallId\":\"c1\",\"toolCallName\":\"calculate\"}");
    event(&f,
          "{\"type\":\"TOOL_CALL_ARGS\",\"toolCallId\":\"c1\",\"delta\":\"{\\\"expression\\\":\"}");
    event(&f, "{\"type\":\"TOOL_CALL_ARGS\",\"toolCallId\":\"c1\",\"delta\":\"\\\"6*7\\\"}\"}");
    event(&f, "{\"type\":\"TOOL_CALL_END\",\"toolCallId\":\"c1\"}");
    event(&f,
          "{\"type\":\"TOOL_CALL_RESULT\",\"toolCallId\":\"c1\",\"content\":\"42\\nfortytwo\"}");
    CHECK_STR(out(&f), "Let me see.\n");
    CHECK_STR(notes(&f), "· calculate {\"expression\":\"6*7\"}\n· calculate → 42 fortytwo\n");
    teardown(&f);
}

TEST(a_pipe_gets_the_answer_alone) {
    struct fixture f;
    setup(&f, true);
    event(&f, "{\"type\":\"REASONING_MESSAGE_CONTENT\",\"delta\":\"hm\"}");
    say(&f, "One.");
    event(&f, "{\"type\":\"TEXT_MESSAGE_END\"}");
    event(&f, "{\"type\":\"TOOL_CALL_START\",\"toolCallId\":\"c\",\"toolCallName\":\"t\"}");
    event(&f, "{\"type\":\"TOOL_CALL_END\",\"toolCallId\":\"c\"}");
    say(&f, "Two.");
    event(&f, "{\"type\":\"TEXT_MESSAGE_END\"}");
    event(&f, FINISHED);
    CHECK_STR(out(&f), "");
    chat_view_finish(&f.view);
    CHECK_STR(out(&f), "One.\n\nTwo.\n");
    CHECK_STR(notes(&f), "");
    teardown(&f);
}

TEST(foreign_text_does_not_steer_the_terminal) {
    struct fixture f;
    setup(&f, false);
    say(&f, "a\033[2Jb\007c\x7f"
            "d\xc2\x9b"
            "e\tf\ng \xc2\xa9 \xe2\x82\xac");
    CHECK_STR(out(&f), "a[2Jbcde\tf\ng \xc2\xa9 \xe2\x82\xac");
    say(&f, "|\xe2\x80\xaex\xe2\x80\xaay\xe2\x81\xa6z\xe2\x81\xa9|\xe2\x80\xa6");
    CHECK_STR(out(&f), "a[2Jbcde\tf\ng \xc2\xa9 \xe2\x82\xac|xyz|\xe2\x80\xa6");
    event(&f, "{\"type\":\"RUN_ERROR\",\"message\":\"\\u001b]0;title\\u0007 no\"}");
    CHECK_STR(notes(&f), "! ]0;title no\n");
    CHECK_INT(f.view.end, CHAT_FAILED);
    teardown(&f);
}

TEST(a_snapshot_that_goes_on_shows_only_the_rest) {
    struct fixture f;
    setup(&f, false);
    say(&f, "One, tw");
    event(&f, "{\"type\":\"MESSAGES_SNAPSHOT\",\"messages\":["
              "{\"role\":\"assistant\",\"content\":\"of an earlier turn\"},"
              "{\"role\":\"user\",\"content\":\"count\"},"
              "{\"role\":\"assistant\",\"content\":\"One, two\"}]}");
    say(&f, "three");
    CHECK_STR(out(&f), "One, two\nthree");
    CHECK_STR(notes(&f), "");
    teardown(&f);
}

TEST(a_snapshot_takes_back_what_was_cut) {
    struct fixture f;
    setup(&f, false);
    say(&f, "Half an ans");
    event(&f,
          "{\"type\":\"MESSAGES_SNAPSHOT\",\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}");
    say(&f, "Another one");
    CHECK_STR(out(&f), "Half an ans\nAnother one");
    CHECK_STR(notes(&f), "· the answer above was cut; it begins again\n");
    teardown(&f);
    setup(&f, true);
    say(&f, "Half an ans");
    event(&f,
          "{\"type\":\"MESSAGES_SNAPSHOT\",\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}");
    say(&f, "Another one");
    chat_view_finish(&f.view);
    CHECK_STR(out(&f), "Another one\n");
    teardown(&f);
}

TEST(stored_messages_with_blocks_are_restored) {
    struct fixture f;
    json_auto_t *messages = NULL;
    struct err err;
    setup(&f, true);
    say(&f, "A");
    REQUIRE_OK(json_read(STR("[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\","
                             "\"content\":[{\"type\":\"reasoning\",\"text\":\"no\"},"
                             "{\"type\":\"text\",\"text\":\"All of it\"}]}]"),
                         &messages, &err),
               &err);
    chat_view_restore(&f.view, messages, CHAT_DONE);
    chat_view_finish(&f.view);
    CHECK_STR(out(&f), "All of it\n");
    CHECK_INT(f.view.end, CHAT_DONE);
    teardown(&f);
}

TEST(a_model_that_fails_or_is_silent_is_noted) {
    struct fixture f;
    setup(&f, false);
    event(&f,
          "{\"type\":\"CUSTOM\",\"name\":\"model_retry\",\"value\":{\"reason\":\"it is busy\"}}");
    event(&f, "{\"type\":\"CUSTOM\",\"name\":\"model_silent\",\"value\":{\"seconds\":8}}");
    CHECK_STR(notes(&f), "· it is busy; trying again\n"
                         "· the model has been silent for 8 s; waiting\n");
    teardown(&f);
}

TEST(a_cancelled_turn_is_no_success) {
    struct fixture f;
    setup(&f, false);
    event(&f, "{\"type\":\"RUN_FINISHED\",\"outcome\":{\"type\":\"cancelled\"}}");
    CHECK_INT(f.view.end, CHAT_CANCELLED);
    teardown(&f);
}

TEST(events_of_unexpected_shape_are_harmless) {
    struct fixture f;
    setup(&f, false);
    event(&f, "{}");
    event(&f, "[]");
    event(&f, "\"TEXT_MESSAGE_CONTENT\"");
    event(&f, "{\"type\":\"TEXT_MESSAGE_CONTENT\",\"delta\":7}");
    chat_print_text(f.out, (struct str){0});
    event(&f, "{\"type\":\"TOOL_CALL_END\",\"toolCallId\":\"unknown\"}");
    event(&f, "{\"type\":\"TOOL_CALL_RESULT\",\"content\":[1]}");
    event(&f, "{\"type\":\"MESSAGES_SNAPSHOT\",\"messages\":[7,{\"role\":\"assistant\"}]}");
    event(&f, "{\"type\":\"CUSTOM\",\"name\":\"model_retry\"}");
    event(&f, "{\"type\":\"RUN_FINISHED\"}");
    for (int i = 0; i < 2 * CHAT_MAX_TOOLS; i++) {
        char start[128];
        snprintf(start, sizeof start,
                 "{\"type\":\"TOOL_CALL_START\",\"toolCallId\":\"%d\",\"toolCallName\":\"t\"}", i);
        event(&f, start);
    }
    CHECK_STR(out(&f), "");
    teardown(&f);
}
