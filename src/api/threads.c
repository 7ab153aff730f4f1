/* Threads over REST. */
#include "store/threads.h"

#include "api/handlers.h"
#include "api/input.h"
#include "api/json_output.h"
#include "api/thread_json.h"
#include "base/id.h"

enum {
    MAX_TITLE_BYTES = 400,
    LIST_DEFAULT = 30,
    LIST_MAX = 100,
    CHECKPOINTS_DEFAULT = 50,
    CHECKPOINTS_MAX = 200,
};

static int respond_thread(struct call *c, struct str id, int status, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(16 * 1024);
    struct thread_row t;
    if (thread_get(c->gateway->db, c->principal.user_id, id, &c->arena, &t, err) < 0) {
        return -(int)err->code;
    }
    struct jsonw w = jsonw_begin(&out);
    thread_json_begin(&w, &t);
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
        thread_json_begin(&w, &rows[i]);
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

/* ---- checkpoints ---- */

static int require_thread(struct call *c, struct str id, struct err *err) {
    struct thread_row t;
    return thread_get(c->gateway->db, c->principal.user_id, id, &c->arena, &t, err);
}

int handle_thread_checkpoints(struct call *c, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(256 * 1024);
    struct thread_checkpoint *points;
    struct str id;
    int64_t limit = CHECKPOINTS_DEFAULT;
    size_t n;
    if (call_id(c, 0, &id, err) < 0 ||
        call_query_int(c, "limit", 1, CHECKPOINTS_MAX, &limit, err) < 0 ||
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
