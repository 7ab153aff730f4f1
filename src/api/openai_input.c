/* A client's list of messages as one message to a thread. OpenAI's clients keep the conversation
 * themselves and send all of it each time; here the thread as stored is the truth. Only a thread
 * that has nothing yet takes over what the client says went before, as text of the user's. */
#include "api/openai.h"
#include "store/threads.h"

enum { MAX_CONTEXT_BYTES = 160 * 1024, MAX_MESSAGE_BYTES = 64 * 1024 };

static bool is_role(const json_t *message, const char *role) {
    return str_eq(json_str(message, "role"), str_z(role));
}

static bool is_instruction(const json_t *message) {
    return is_role(message, "system") || is_role(message, "developer");
}

/* ---- the context ---- */

static void add_text(struct strbuf *out, const json_t *content) {
    size_t i;
    json_t *part;
    strbuf_add(out, json_value_str(content));
    json_array_foreach (content, i, part) {
        struct str text = json_str(part, "text");
        strbuf_add(out, text.p ? text : STR("[image]"));
    }
}

/* Its text, cut where it is too long; empty when it has none. */
static struct str text_of(const json_t *message, struct strbuf *scratch) {
    strbuf_reset(scratch);
    add_text(scratch, json_object_get(message, "content"));
    return str_trim(str_utf8_head(strbuf_str(scratch), MAX_MESSAGE_BYTES));
}

static void add_message(struct strbuf *out, struct str role, struct str text) {
    if (text.n) {
        strbuf_add(out, role);
        strbuf_add(out, STR(": "));
        strbuf_add(out, text);
        strbuf_add(out, STR("\n\n"));
    }
}

static void add_instructions(struct strbuf *out, struct str instructions, const json_t *messages,
                             struct strbuf *scratch) {
    size_t n = json_array_size(messages);
    add_message(out, STR("instructions"), str_utf8_head(instructions, MAX_MESSAGE_BYTES));
    for (size_t i = 0; i + 1 < n && out->n < MAX_CONTEXT_BYTES / 2; i++) {
        const json_t *message = json_array_get(messages, i);
        if (is_instruction(message)) {
            add_message(out, STR("instructions"), text_of(message, scratch));
        }
    }
}

/* From where the newest messages before the last fit into the space. */
static size_t find_start(const json_t *messages, size_t space, struct strbuf *scratch) {
    size_t i = json_array_size(messages) - 1, used = 0;
    while (i > 0) {
        const json_t *message = json_array_get(messages, i - 1);
        used += is_instruction(message) ? 0 : text_of(message, scratch).n + 16;
        if (used > space) {
            break;
        }
        i--;
    }
    return i;
}

void openai_context(struct strbuf *out, struct str instructions, const json_t *messages) {
    struct strbuf body cleanup(strbuf_done) = STRBUF(4 * MAX_CONTEXT_BYTES);
    struct strbuf scratch cleanup(strbuf_done) = STRBUF(TURN_MAX_INPUT_BYTES);
    size_t n = json_array_size(messages);
    add_instructions(&body, instructions, messages, &scratch);
    size_t space = body.n < MAX_CONTEXT_BYTES ? MAX_CONTEXT_BYTES - body.n : 0;
    for (size_t i = n > 0 ? find_start(messages, space, &scratch) : 0; i + 1 < n; i++) {
        const json_t *message = json_array_get(messages, i);
        if (!is_instruction(message)) {
            struct str role = json_str(message, "role");
            add_message(&body, str_head(role, 16), text_of(message, &scratch));
        }
    }
    if (body.n) {
        strbuf_add(out, STR("Context from the program this message was written in, which says that "
                            "this went before:\n\n"));
        strbuf_add(out, strbuf_str(&body));
        strbuf_add(out, STR("The message to answer follows.\n"));
    }
}

/* ---- the message ---- */

static int has_messages(struct call *c, struct str thread_id, bool *ret, struct err *err) {
    struct thread_row t;
    *ret = false;
    if (thread_id.n == 0) {
        return 0;
    }
    int rc = thread_get(c->gateway->db, c->principal.user_id, thread_id, &c->arena, &t, err);
    if (rc == -ERR_NOT_FOUND) {
        return 0;
    }
    *ret = rc == 0 && (t.message_seq > 0 || t.open_turn_id.n > 0);
    return rc;
}

static int add_context(struct call *c, struct str thread_id, struct str instructions,
                       const json_t *messages, struct input_content *content, struct err *err) {
    struct strbuf context cleanup(strbuf_done) = STRBUF(4 * MAX_CONTEXT_BYTES);
    bool continues;
    if (json_array_size(messages) == 1 && instructions.n == 0) {
        return 0;
    }
    if (has_messages(c, thread_id, &continues, err) < 0) {
        return -(int)err->code;
    }
    if (continues) {
        return 0;
    }
    openai_context(&context, instructions, messages);
    return context.n ? input_content_text(content, strbuf_str(&context), err) : 0;
}

int openai_read_messages(struct call *c, struct str thread_id, struct str instructions,
                         const json_t *messages, struct input_content *content,
                         struct str *ret_content, struct err *err) {
    size_t n = json_array_size(messages);
    if (n == 0 || n > OPENAI_MAX_MESSAGES) {
        return err_set(err, ERR_INVALID, "messages: must be an array of 1 to %d",
                       OPENAI_MAX_MESSAGES);
    }
    const json_t *last = json_array_get(messages, n - 1);
    if (!is_role(last, "user")) {
        return err_set(err, ERR_INVALID, "messages: the last one must be the user's");
    }
    if (add_context(c, thread_id, instructions, messages, content, err) < 0 ||
        input_content_value(content, json_object_get(last, "content"), err) < 0) {
        return -(int)err->code;
    }
    return input_content_end(content, ret_content, err);
}

struct str openai_last_words(const json_t *messages) {
    size_t n = json_array_size(messages);
    const json_t *content = json_object_get(n ? json_array_get(messages, n - 1) : NULL, "content");
    if (json_is_array(content)) {
        content = json_array_size(content) == 1
                      ? json_object_get(json_array_get(content, 0), "text")
                      : NULL;
    }
    struct str text = json_value_str(content);
    return text.p ? text : STR_EMPTY;
}
