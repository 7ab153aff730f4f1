/* Search over one's messages. */
#include "store/search.h"

#include "api/handlers.h"
#include "api/json_output.h"
#include "store/threads.h"

enum {
    MAX_QUERY_BYTES = 64 * 1024, /* of which the first words count */
    MAX_CURSOR_BYTES = CALL_MAX_ID_BYTES + 48,
    LIMIT_DEFAULT = 20,
    LIMIT_MAX = 50,
    UPDATE_PATIENCE_MS = 1500,
};

/* "<time>.<seq>.<thread>". */
static int read_cursor(struct call *c, struct search_place *ret, bool *ret_there, struct err *err) {
    struct str rest = {0};
    if (call_query(c, "cursor", MAX_CURSOR_BYTES, &rest, err) < 0) {
        return -(int)err->code;
    }
    *ret_there = rest.p != NULL;
    if (!rest.p) {
        return 0;
    }
    struct str us = str_cut(&rest, '.'), seq = str_cut(&rest, '.');
    ret->thread_id = rest;
    if (!str_to_i64(us, &ret->created_us) || ret->created_us <= 0 || !str_to_i64(seq, &ret->seq) ||
        !thread_id_valid(rest)) {
        return err_set(err, ERR_INVALID, "cursor: must be a next_cursor the gateway gave");
    }
    return 0;
}

static void write_cursor(struct call *c, struct jsonw *w, const struct search_place *p) {
    jsonw_kstr(w, "next_cursor",
               arena_printf(&c->arena, "%lld.%lld.%.*s", (long long)p->created_us,
                            (long long)p->seq, STR_ARG(p->thread_id)));
}

static void write_part(struct jsonw *w, struct str text, bool match) {
    if (text.n) {
        jsonw_object(w);
        jsonw_kstr(w, "text", text);
        jsonw_kbool(w, "match", match);
        jsonw_end_object(w);
    }
}

static void write_snippet(struct jsonw *w, struct str snippet) {
    jsonw_key(w, "snippet");
    jsonw_array(w);
    while (snippet.n > 0) {
        write_part(w, str_cut(&snippet, SEARCH_MARK), false);
        write_part(w, str_cut(&snippet, SEARCH_UNMARK), true);
    }
    jsonw_end_array(w);
}

static void write_hit(struct jsonw *w, const struct search_hit *h) {
    jsonw_object(w);
    jsonw_kstr(w, "thread_id", h->place.thread_id);
    json_put_text(w, "title", h->title);
    jsonw_kstr(w, "message_id", h->message_id);
    jsonw_kint(w, "seq", h->place.seq);
    jsonw_kstr(w, "role", h->role);
    json_put_time(w, "created_at", h->place.created_us);
    write_snippet(w, h->snippet);
    jsonw_end_object(w);
}

int handle_search(struct call *c, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(CALL_MAX_REPLY_BYTES);
    struct str user = c->principal.user_id, text = STR_EMPTY;
    struct search_place behind = {0};
    struct search_hit *hits = NULL;
    int64_t limit = LIMIT_DEFAULT;
    bool has_cursor, complete;
    size_t n;
    if (call_query(c, "q", MAX_QUERY_BYTES, &text, err) < 0 ||
        call_query_int(c, "limit", 1, LIMIT_MAX, &limit, err) < 0 ||
        read_cursor(c, &behind, &has_cursor, err) < 0 ||
        search_update(c->gateway->db, user, UPDATE_PATIENCE_MS, &complete, err) < 0 ||
        search_messages(c->gateway->db, user, text, has_cursor ? &behind : NULL, (size_t)limit + 1,
                        &c->arena, &hits, &n, err) < 0) {
        return -(int)err->code;
    }
    size_t shown = MIN(n, (size_t)limit);
    struct jsonw w = jsonw_begin(&out);
    jsonw_object(&w);
    jsonw_key(&w, "hits");
    jsonw_array(&w);
    for (size_t i = 0; i < shown; i++) {
        write_hit(&w, &hits[i]);
    }
    jsonw_end_array(&w);
    jsonw_kbool(&w, "complete", complete);
    if (n > shown) {
        write_cursor(c, &w, &hits[shown - 1].place);
    }
    jsonw_end_object(&w);
    return call_respond(c, 200, &out, err);
}
