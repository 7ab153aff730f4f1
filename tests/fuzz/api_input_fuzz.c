/* What clients send as JSON: in every dialect it becomes a valid canonical message or is refused,
 * and what is told of a turn's events never depends on their being well formed. */
#include <stdlib.h>

#include "api/input.h"
#include "api/json_input.h"
#include "api/openai.h"
#include "api/reply.h"

static void require(bool ok) {
    if (!ok) {
        abort();
    }
}

static void require_json(struct str text, bool is_array) {
    json_auto_t *tree = NULL;
    struct err err;
    require(json_read(text, &tree, &err) == 0 && json_is_array(tree) == is_array);
}

static void read_content(const json_t *value) {
    struct input_content content;
    struct str canonical;
    struct err err;
    input_content_begin(&content);
    if (input_content_value(&content, value, &err) == 0 &&
        input_content_end(&content, &canonical, &err) == 0) {
        require_json(canonical, true);
    }
    input_content_done(&content);
}

static void read_submission(const json_t *value, const struct input_names *names) {
    struct turn_submission s = {0};
    struct input_content content;
    struct err err;
    input_content_begin(&content);
    if (json_is_object(value) && input_read_chat(value, names, &content, &s, &err) == 0) {
        require(s.text.n > 0 || s.content_json.n > 0);
    }
    input_content_done(&content);
}

static void read_context(const json_t *messages) {
    struct strbuf out = STRBUF(4 << 20);
    if (json_is_array(messages)) {
        openai_context(&out, STR("be brief"), messages);
        require(!out.failed && str_is_utf8(strbuf_str(&out)));
    }
    strbuf_done(&out);
}

static void feed_reply(struct str event) {
    struct reply r;
    enum reply_change change;
    struct str delta;
    struct err err;
    reply_init(&r);
    for (int i = 0; i < 2; i++) {
        if (reply_feed(&r, event, &change, &delta, &err) == 0) {
            require(r.last_message <= r.text.n && delta.n <= event.n + 2);
        }
    }
    reply_done(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    struct str text = {(const char *)data, n};
    json_t *tree = NULL;
    struct err err;
    feed_reply(text);
    if (!json_is_small(text, 10000) || json_read(text, &tree, &err) < 0) {
        return 0;
    }
    read_content(tree);
    read_content(json_object_get(tree, "content"));
    read_submission(tree, &input_names_rest);
    read_submission(tree, &input_names_ag_ui);
    read_context(json_is_array(tree) ? tree : json_object_get(tree, "messages"));
    json_decref(tree);
    return 0;
}
