/* Conversations as tools and resources. */
#include "api/call.h"
#include "api/json_output.h"
#include "api/mcp.h"
#include "event/event.h"
#include "store/threads.h"

enum {
    LIST_DEFAULT = 20,
    LIST_MAX = 100,
    MESSAGES_DEFAULT = 20,
    MESSAGES_MAX = 50,
    MAX_MESSAGE_BYTES = 16 * 1024 * 1024,
    SHOWN_BYTES = 16 * 1024, /* of one message's text */
    MAX_LIST_BYTES = 1024 * 1024,
    MAX_THREAD_BYTES = 4 * 1024 * 1024,
};

/* ---- the list ---- */

static void write_thread(struct jsonw *w, const struct thread_row *t) {
    jsonw_object(w);
    jsonw_kstr(w, "thread_id", t->id);
    json_put_text(w, "title", t->title);
    jsonw_kstr(w, "agent", t->agent);
    json_put_time(w, "updated_at", t->updated_us);
    jsonw_kint(w, "message_count", t->message_seq);
    json_put_text(w, "open_turn", t->open_turn_id);
    jsonw_end_object(w);
}

int mcp_tool_list_threads(struct mcp_request *r, const json_t *args, struct err *err) {
    const struct mcp_caller *caller = mcp_caller_of(r);
    struct strbuf out cleanup(strbuf_done) = STRBUF(MAX_LIST_BYTES);
    struct arena arena cleanup(arena_done) = {0};
    struct str cursor = {0}, before_id = STR_EMPTY;
    int64_t limit = LIST_DEFAULT, before_us = 0;
    struct thread_row *rows;
    size_t n;
    if (json_want_int(args, "limit", 1, LIST_MAX, &limit, err) < 0 ||
        json_want_str(args, "cursor", CALL_MAX_CURSOR_BYTES, &cursor, err) < 0 ||
        (cursor.p && call_read_cursor(cursor, &before_us, &before_id, err) < 0) ||
        thread_list(caller->gateway->db, caller->user_id, json_bool(args, "archived", false),
                    before_us, before_id, (size_t)limit + 1, &arena, &rows, &n, err) < 0) {
        return -(int)err->code;
    }
    size_t shown = MIN(n, (size_t)limit);
    struct jsonw w = jsonw_begin(&out);
    jsonw_object(&w);
    jsonw_key(&w, "threads");
    jsonw_array(&w);
    for (size_t i = 0; i < shown; i++) {
        write_thread(&w, &rows[i]);
    }
    jsonw_end_array(&w);
    if (n > shown) {
        json_put_cursor(&w, rows[shown - 1].updated_us, rows[shown - 1].id);
    }
    jsonw_end_object(&w);
    if (strbuf_check(&out, "the list", err) < 0) {
        return -(int)err->code;
    }
    mcp_result_structured(r, strbuf_str(&out));
    return 0;
}

/* ---- one thread ---- */

/* A damaged one must not hide the others. */
static void write_message(struct jsonw *w, const struct thread_message *m) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(MAX_MESSAGE_BYTES);
    struct err err;
    bool readable = event_message_text(&text, m->json, &err) == 0;
    struct str shown = readable ? str_utf8_head(strbuf_str(&text), SHOWN_BYTES) : STR_EMPTY;
    jsonw_object(w);
    jsonw_kint(w, "seq", m->seq);
    jsonw_kstr(w, "role", m->role);
    jsonw_kstr(w, "text", shown);
    if (shown.n < text.n) {
        jsonw_kbool(w, "cut", true);
    }
    jsonw_kstr(w, "turn_id", m->turn_id);
    json_put_time(w, "created_at", m->created_us);
    jsonw_end_object(w);
}

static int write_thread_with_messages(const struct mcp_caller *caller, struct str id,
                                      int64_t before, size_t limit, struct strbuf *out,
                                      struct err *err) {
    struct arena arena cleanup(arena_done) = {0};
    struct thread_message *messages;
    struct thread_row t;
    size_t n;
    if (thread_get(caller->gateway->db, caller->user_id, id, &arena, &t, err) < 0 ||
        thread_messages(caller->gateway->db, caller->user_id, id, before, limit + 1, &arena,
                        &messages, &n, err) < 0) {
        return -(int)err->code;
    }
    struct jsonw w = jsonw_begin(out);
    jsonw_object(&w);
    jsonw_kstr(&w, "thread_id", t.id);
    json_put_text(&w, "title", t.title);
    json_put_text(&w, "open_turn", t.open_turn_id);
    jsonw_key(&w, "messages");
    jsonw_array(&w);
    for (size_t i = n > limit; i < n; i++) {
        write_message(&w, &messages[i]);
    }
    jsonw_end_array(&w);
    jsonw_kbool(&w, "has_more", n > limit);
    jsonw_end_object(&w);
    return strbuf_check(out, "the conversation", err);
}

int mcp_tool_get_thread(struct mcp_request *r, const json_t *args, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(MAX_THREAD_BYTES);
    struct str id = {0};
    int64_t limit = MESSAGES_DEFAULT, before = 0;
    if (json_want_str(args, "thread_id", CALL_MAX_ID_BYTES, &id, err) < 0 ||
        json_want_int(args, "limit", 1, MESSAGES_MAX, &limit, err) < 0 ||
        json_want_int(args, "before", 1, INT64_MAX, &before, err) < 0) {
        return -(int)err->code;
    }
    if (!id.p) {
        return err_set(err, ERR_INVALID, "thread_id: is needed");
    }
    if (write_thread_with_messages(mcp_caller_of(r), id, before, (size_t)limit, &out, err) < 0) {
        return -(int)err->code;
    }
    mcp_result_structured(r, strbuf_str(&out));
    return 0;
}

int mcp_read_thread(struct mcp_request *r, struct str uri, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(MAX_THREAD_BYTES);
    struct str id = mcp_request_variable(r, "thread_id");
    if (!call_id_valid(id)) {
        return err_set(err, ERR_NOT_FOUND, "there is no such conversation");
    }
    if (write_thread_with_messages(mcp_caller_of(r), id, 0, MESSAGES_MAX, &out, err) < 0) {
        return -(int)err->code;
    }
    mcp_contents_text(r, uri, "application/json", strbuf_str(&out));
    return 0;
}
