#include "api/thread_markdown.h"

#include "test.h"

static const char *render(struct strbuf *out, const char *role, const char *json) {
    strbuf_reset(out);
    thread_markdown_message(out,
                            &(struct thread_message){.role = str_z(role), .json = str_z(json)});
    return strbuf_z(out);
}

TEST(fences_are_longer_than_what_they_hold) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(4096);
    CHECK_STR(
        str_z(render(&out, "tool", "{\"role\":\"tool\",\"name\":\"read\",\"content\":\"````x\"}")),
        "\n## Result of read, 1970-01-01 00:00 UTC\n\n`````\n````x\n`````\n");
    CHECK_STR(str_z(render(
                  &out, "tool",
                  "{\"role\":\"tool\",\"name\":\"a\\nb\",\"content\":[{\"type\":\"text\",\"text\":"
                  "\"y\"}]}")),
              "\n## Result of a b, 1970-01-01 00:00 UTC\n\n```\ny\n```\n");
}

TEST(messages_that_are_not_as_they_should_be_are_written_all_the_same) {
    static const char *const broken[] = {
        "",
        "{",
        "{\"content\":",
        "{\"content\":[",
        "{\"content\":[{\"type\":\"text\"}]}",
        "{\"content\":[{\"type\":\"tool_call\"},{\"type\":\"image\"},7,null]}",
        "{\"content\":{\"a\":1}}",
    };
    struct strbuf out cleanup(strbuf_done) = STRBUF(4096);
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        CHECK(str_starts(str_z(render(&out, "user", broken[i])), STR("\n## You, ")));
    }
}
