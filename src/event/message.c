/* Stored messages as AG-UI shows them. */
#include "base/log.h"
#include "event/event.h"
#include "store/threads.h"

static bool block_is(const json_t *block, const char *type) {
    return str_eq(json_str(block, "type"), str_z(type));
}

/* The text blocks of an array, or the string itself. */
static void add_text(struct strbuf *out, const json_t *content) {
    size_t i;
    json_t *block;
    strbuf_add(out, json_value_str(content));
    json_array_foreach (content, i, block) {
        if (block_is(block, "text")) {
            strbuf_add(out, json_str(block, "text"));
        } else if (block_is(block, "image")) {
            strbuf_addz(out, "[image]");
        }
    }
}

static void write_tool_calls(struct jsonw *w, const json_t *content) {
    size_t i;
    json_t *block;
    bool any = false;
    json_array_foreach (content, i, block) {
        if (!block_is(block, "tool_call")) {
            continue;
        }
        if (!any) {
            jsonw_key(w, "toolCalls");
            jsonw_array(w);
            any = true;
        }
        jsonw_object(w);
        jsonw_kstr(w, "id", json_str(block, "id"));
        jsonw_kstrz(w, "type", "function");
        jsonw_key(w, "function");
        jsonw_object(w);
        jsonw_kstr(w, "name", json_str(block, "name"));
        jsonw_kstr(w, "arguments", json_str(block, "arguments"));
        jsonw_end_object(w);
        jsonw_end_object(w);
    }
    if (any) {
        jsonw_end_array(w);
    }
}

int event_message_from_canonical(struct strbuf *out, struct str id, struct str json,
                                 struct err *err) {
    json_auto_t *message = NULL;
    struct strbuf text cleanup(strbuf_done) = STRBUF(out->max);
    if (json_read(json, &message, err) < 0) {
        return err_prefix(err, "stored message");
    }
    const json_t *content = json_object_get(message, "content");
    struct str role = json_str(message, "role");
    struct jsonw w = jsonw_begin(out);
    jsonw_object(&w);
    jsonw_kstr(&w, "id", id);
    jsonw_kstr(&w, "role", role);
    add_text(&text, content);
    if (text.n || !str_eq(role, STR("assistant"))) {
        jsonw_kstr(&w, "content", strbuf_str(&text));
    }
    if (str_eq(role, STR("tool"))) {
        jsonw_kstr(&w, "toolCallId", json_str(message, "tool_call_id"));
    } else {
        write_tool_calls(&w, content);
    }
    jsonw_end_object(&w);
    return strbuf_check(out, "the message list", err);
}

int event_message_text(struct strbuf *out, struct str json, struct err *err) {
    json_auto_t *message = NULL;
    if (json_read(json, &message, err) < 0) {
        return err_prefix(err, "stored message");
    }
    add_text(out, json_object_get(message, "content"));
    return strbuf_check(out, "the message's text", err);
}

/* Renders the newest messages that fit, and gives the number of the first. One that is damaged is
 * left out: it must not keep the others from being shown. */
static size_t render(const struct thread_message *messages, size_t n, struct arena *arena,
                     struct str *ret_json) {
    size_t bytes = 0, first = n;
    while (first > 0) {
        struct strbuf one cleanup(strbuf_done) = STRBUF(EVENT_MAX_SNAPSHOT_BYTES);
        const struct thread_message *m = &messages[first - 1];
        struct err err;
        if (event_message_from_canonical(&one, m->id, m->json, &err) < 0) {
            log_warn("event", "message %.*s is not shown: %s", STR_ARG(m->id), err.msg);
            strbuf_reset(&one);
        }
        bytes += one.n + 1;
        if (bytes > EVENT_MAX_SNAPSHOT_BYTES) {
            break;
        }
        ret_json[--first] = arena_str(arena, strbuf_str(&one));
    }
    return first;
}

int event_thread_snapshot(struct strbuf *out, struct db *db, struct str user_id,
                          struct str thread_id, struct err *err) {
    struct arena arena cleanup(arena_done) = {0};
    struct strbuf list cleanup(strbuf_done) = STRBUF(EVENT_MAX_SNAPSHOT_BYTES + 2);
    struct str json[EVENT_SNAPSHOT_MESSAGES];
    struct thread_message *messages;
    size_t n;
    if (thread_messages(db, user_id, thread_id, 0, EVENT_SNAPSHOT_MESSAGES, &arena, &messages, &n,
                        err) < 0) {
        return -(int)err->code;
    }
    strbuf_addc(&list, '[');
    for (size_t i = render(messages, n, &arena, json); i < n; i++) {
        if (json[i].n) {
            strbuf_addz(&list, list.n > 1 ? "," : "");
            strbuf_add(&list, json[i]);
        }
    }
    strbuf_addc(&list, ']');
    event_messages_snapshot(out, strbuf_str(&list));
    return strbuf_check(out, "the thread's snapshot", err);
}
