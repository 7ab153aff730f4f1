/* Threads over REST. */
#include "store/threads.h"

#include "api/handlers.h"
#include "api/input.h"
#include "api/json_output.h"
#include "base/id.h"

enum {
    MAX_TITLE_BYTES = 400,
    LIST_DEFAULT = 30,
    LIST_MAX = 100,
    MESSAGES_DEFAULT = 50,
    MESSAGES_MAX = 200,
    /* Messages may be large: they are read in pieces until this much was gathered. */
    MESSAGES_AT_ONCE = 25,
    MESSAGES_ENOUGH_BYTES = 8 * 1024 * 1024,
};

/* ---- threads as JSON ---- */

static void write_open_turn(struct jsonw *w, const struct thread_row *t) {
    jsonw_key(w, "open_turn");
    if (t->open_turn_id.n == 0) {
        jsonw_null(w);
        return;
    }
    jsonw_object(w);
    jsonw_kstr(w, "id", t->open_turn_id);
    jsonw_kstr(w, "state", t->open_turn_state);
    jsonw_end_object(w);
}

/* The object is left open. */
static void write_thread_members(struct jsonw *w, const struct thread_row *t) {
    jsonw_object(w);
    jsonw_kstr(w, "id", t->id);
    json_put_text(w, "title", t->title);
    jsonw_kstr(w, "agent", t->agent);
    json_put_text(w, "skill", t->skill);
    json_put_text(w, "model_provider", t->model_provider);
    json_put_text(w, "forked_from", t->forked_from);
    json_put_time(w, "created_at", t->created_us);
    json_put_time(w, "updated_at", t->updated_us);
    json_put_time(w, "archived_at", t->archived_us);
    jsonw_kint(w, "message_count", t->message_seq);
    jsonw_kint(w, "total_input_tokens", t->total_input_tokens);
    jsonw_kint(w, "total_output_tokens", t->total_output_tokens);
    write_open_turn(w, t);
}

static int respond_thread(struct call *c, struct str id, int status, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(16 * 1024);
    struct thread_row t;
    if (thread_get(c->gateway->db, c->principal.user_id, id, &c->arena, &t, err) < 0) {
        return -(int)err->code;
    }
    struct jsonw w = jsonw_begin(&out);
    write_thread_members(&w, &t);
    jsonw_end_object(&w);
    struct http_field location = {"Location",
                                  arena_printf(&c->arena, "/api/threads/%.*s", STR_ARG(id))};
    return call_respond_with(c, status, &out, &location, status == 201 ? 1 : 0, err);
}

/* ---- the list ---- */

int handle_thread_list(struct call *c, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(1024 * 1024);
    struct thread_row *rows;
    struct str before_id = STR_EMPTY;
    int64_t limit = LIST_DEFAULT, archived = 0, before_us = 0;
    size_t n;
    if (call_query_int(c, "limit", 1, LIST_MAX, &limit, err) < 0 ||
        call_query_int(c, "archived", 0, 1, &archived, err) < 0 ||
        call_query_cursor(c, &before_us, &before_id, err) < 0 ||
        thread_list(c->gateway->db, c->principal.user_id, archived, before_us, before_id,
                    (size_t)limit + 1, &c->arena, &rows, &n, err) < 0) {
        return -(int)err->code;
    }
    size_t shown = MIN(n, (size_t)limit);
    struct jsonw w = jsonw_begin(&out);
    jsonw_object(&w);
    jsonw_key(&w, "threads");
    jsonw_array(&w);
    for (size_t i = 0; i < shown; i++) {
        write_thread_members(&w, &rows[i]);
        jsonw_end_object(&w);
    }
    jsonw_end_array(&w);
    if (n > shown) {
        json_put_cursor(&w, rows[shown - 1].updated_us, rows[shown - 1].id);
    }
    jsonw_end_object(&w);
    return call_respond(c, 200, &out, err);
}

/* ---- one thread ---- */

static int read_title(const json_t *body, struct str *ret, struct err *err) {
    return json_want_str(body, "title", MAX_TITLE_BYTES, ret, err);
}

int handle_thread_create(struct call *c, struct err *err) {
    json_auto_t *body = NULL;
    struct id made = id_new();
    struct str id = {0}, title = STR_EMPTY;
    if (call_read_json(c, true, &body, err) < 0 || input_read_id(body, "id", &id, err) < 0 ||
        read_title(body, &title, err) < 0) {
        return -(int)err->code;
    }
    id = id.p ? id : id_str(&made);
    if (thread_create(c->gateway->db, c->principal.user_id, id, title, err) < 0) {
        return -(int)err->code;
    }
    feed_thread(c->gateway->feed, c->principal.user_id, id);
    return respond_thread(c, id, 201, err);
}

int handle_thread_patch(struct call *c, struct err *err) {
    json_auto_t *body = NULL;
    struct db *db = c->gateway->db;
    struct str user = c->principal.user_id, id, title = {0};
    bool archived = false;
    if (call_id(c, 0, &id, err) < 0 || call_read_json(c, false, &body, err) < 0 ||
        read_title(body, &title, err) < 0 || json_want_bool(body, "archived", &archived, err) < 0) {
        return -(int)err->code;
    }
    if (title.p && thread_rename(db, user, id, title, err) < 0) {
        return -(int)err->code;
    }
    if (json_object_get(body, "archived") && thread_archive(db, user, id, archived, err) < 0) {
        return -(int)err->code;
    }
    feed_thread(c->gateway->feed, user, id);
    return respond_thread(c, id, 200, err);
}

int handle_thread_delete(struct call *c, struct err *err) {
    struct str id;
    if (call_id(c, 0, &id, err) < 0 ||
        thread_delete(c->gateway->db, c->principal.user_id, id, err) < 0) {
        return -(int)err->code;
    }
    feed_thread(c->gateway->feed, c->principal.user_id, id);
    return call_respond_empty(c, 204, NULL, 0);
}

int handle_thread_cancel(struct call *c, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(1024);
    struct str id;
    if (call_id(c, 0, &id, err) < 0 ||
        turn_cancel_thread(c->gateway->engine, c->principal.user_id, id, err) < 0) {
        return -(int)err->code;
    }
    struct jsonw w = jsonw_begin(&out);
    jsonw_object(&w);
    jsonw_kstr(&w, "thread_id", id);
    jsonw_end_object(&w);
    return call_respond(c, 202, &out, err);
}

/* ---- its messages ---- */

/* {"seq","id","turn_id","created_at", and what the stored message has}: the stored text is not
 * parsed to be printed again. */
static void write_message(struct jsonw *w, const struct thread_message *m) {
    jsonw_object(w);
    jsonw_kint(w, "seq", m->seq);
    jsonw_kstr(w, "id", m->id);
    jsonw_kstr(w, "turn_id", m->turn_id);
    json_put_time(w, "created_at", m->created_us);
    if (m->json.n > 2 && m->json.p[0] == '{') {
        strbuf_addc(w->out, ',');
        strbuf_add(w->out, str_head(str_skip(m->json, 1), m->json.n - 2));
    }
    jsonw_end_object(w);
}

struct page {
    const struct thread_message *items[MESSAGES_MAX + MESSAGES_AT_ONCE]; /* newest first */
    size_t n;
    bool has_more;
};

static int read_page(struct call *c, struct str id, int64_t before, size_t limit, struct page *p,
                     struct err *err) {
    size_t bytes = 0;
    for (;;) {
        struct thread_message *some;
        size_t n, want = MIN(limit + 1 - p->n, (size_t)MESSAGES_AT_ONCE);
        if (thread_messages(c->gateway->db, c->principal.user_id, id, before, want, &c->arena,
                            &some, &n, err) < 0) {
            return -(int)err->code;
        }
        for (size_t i = n; i > 0; i--) {
            p->items[p->n++] = &some[i - 1];
            bytes += some[i - 1].json.n;
            before = some[i - 1].seq;
        }
        if (n < want) {
            return 0;
        }
        if (p->n > limit || bytes > MESSAGES_ENOUGH_BYTES) {
            p->has_more = p->n > limit || before > 1;
            p->n = MIN(p->n, limit);
            return 0;
        }
    }
}

int handle_thread_get(struct call *c, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(CALL_MAX_REPLY_BYTES);
    struct page *page = arena_alloc(&c->arena, sizeof *page);
    struct thread_row t;
    struct str id;
    int64_t before = 0, limit = MESSAGES_DEFAULT;
    if (call_id(c, 0, &id, err) < 0 ||
        call_query_int(c, "before", 1, INT64_MAX, &before, err) < 0 ||
        call_query_int(c, "limit", 1, MESSAGES_MAX, &limit, err) < 0 ||
        thread_get(c->gateway->db, c->principal.user_id, id, &c->arena, &t, err) < 0 ||
        read_page(c, id, before, (size_t)limit, page, err) < 0) {
        return -(int)err->code;
    }
    struct jsonw w = jsonw_begin(&out);
    write_thread_members(&w, &t);
    jsonw_key(&w, "messages");
    jsonw_array(&w);
    for (size_t i = page->n; i > 0; i--) {
        write_message(&w, page->items[i - 1]);
    }
    jsonw_end_array(&w);
    jsonw_kbool(&w, "has_more", page->has_more);
    jsonw_end_object(&w);
    return call_respond(c, 200, &out, err);
}

/* ---- checkpoints ---- */

static int require_thread(struct call *c, struct str id, struct err *err) {
    struct thread_row t;
    return thread_get(c->gateway->db, c->principal.user_id, id, &c->arena, &t, err);
}

int handle_thread_checkpoints(struct call *c, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(256 * 1024);
    struct thread_checkpoint *points;
    struct str id;
    int64_t limit = MESSAGES_DEFAULT;
    size_t n;
    if (call_id(c, 0, &id, err) < 0 ||
        call_query_int(c, "limit", 1, MESSAGES_MAX, &limit, err) < 0 ||
        thread_checkpoints(c->gateway->db, c->principal.user_id, id, (size_t)limit, &c->arena,
                           &points, &n, err) < 0 ||
        (n == 0 && require_thread(c, id, err) < 0)) {
        return -(int)err->code;
    }
    struct jsonw w = jsonw_begin(&out);
    jsonw_object(&w);
    jsonw_key(&w, "checkpoints");
    jsonw_array(&w);
    for (size_t i = 0; i < n; i++) {
        jsonw_object(&w);
        jsonw_kstr(&w, "turn_id", points[i].turn_id);
        jsonw_kstr(&w, "node", points[i].node);
        jsonw_kstr(&w, "turn_state", points[i].turn_state);
        jsonw_kint(&w, "position", points[i].position);
        jsonw_kint(&w, "message_seq", points[i].message_seq);
        json_put_time(&w, "created_at", points[i].created_us);
        jsonw_end_object(&w);
    }
    jsonw_end_array(&w);
    jsonw_end_object(&w);
    return call_respond(c, 200, &out, err);
}

int handle_thread_fork(struct call *c, struct err *err) {
    json_auto_t *body = NULL;
    struct id made = id_new();
    struct str id, turn_id = {0}, new_id = {0};
    if (call_id(c, 0, &id, err) < 0 || call_read_json(c, false, &body, err) < 0 ||
        input_read_id(body, "turn_id", &turn_id, err) < 0 ||
        input_read_id(body, "thread_id", &new_id, err) < 0) {
        return -(int)err->code;
    }
    if (!turn_id.p) {
        return err_set(err, ERR_INVALID, "turn_id: is needed");
    }
    new_id = new_id.p ? new_id : id_str(&made);
    if (thread_fork(c->gateway->db, c->principal.user_id, id, turn_id, new_id, err) < 0) {
        return -(int)err->code;
    }
    feed_thread(c->gateway->feed, c->principal.user_id, new_id);
    return respond_thread(c, new_id, 201, err);
}
