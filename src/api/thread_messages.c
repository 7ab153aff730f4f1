/* A thread's messages over REST: a page of them, those that wait, and the images in them. */
#include "api/handlers.h"
#include "api/json_output.h"
#include "api/thread_json.h"
#include "base/crypto.h"
#include "base/scan.h"
#include "store/transcript.h"

enum {
    LIMIT_DEFAULT = 50,
    LIMIT_MAX = 200,
    /* Messages may be large: they are read in pieces, until so much was gathered or read. */
    PIECE_BYTES = 2 * 1024 * 1024,
    ENOUGH_BYTES = 8 * 1024 * 1024,
    ENOUGH_READ_BYTES = 64 * 1024 * 1024,
    QUEUED_AT_ONCE = 4,
    MAX_MESSAGE_ID_BYTES = 512,
};

struct page {
    struct thread_message items[LIMIT_MAX + 1]; /* newest first */
    size_t n;
    bool has_more;
};

struct asked {
    struct str thread_id;
    int64_t before, limit;
    bool link_images;
};

/* A piece, linked, without what is not shown of it any more. */
static void keep_piece(struct call *c, const struct asked *a, const struct thread_message *some,
                       size_t n, struct page *p, size_t *bytes, size_t *read) {
    for (size_t i = 0; i < n; i++) {
        struct thread_message *m = &p->items[p->n++];
        *read += some[i].json.n;
        *m = some[i];
        if (a->link_images) {
            m->id = arena_str(&c->arena, some[i].id);
            m->turn_id = arena_str(&c->arena, some[i].turn_id);
            m->json = thread_json_link_images(&c->arena, a->thread_id, &some[i]);
            m->json = m->json.p == some[i].json.p ? arena_str(&c->arena, m->json) : m->json;
        }
        *bytes += m->json.n;
    }
}

static int read_page(struct call *c, const struct asked *a, struct page *p, struct err *err) {
    struct transcript_piece piece = {
        .order = TRANSCRIPT_NEWEST_FIRST, .beyond_seq = a->before, .max_bytes = PIECE_BYTES};
    size_t limit = (size_t)a->limit, bytes = 0, read = 0;
    for (;;) {
        struct arena passing cleanup(arena_done) = {0};
        struct thread_message *some;
        size_t n;
        piece.max_messages = limit + 1 - p->n;
        if (transcript_read(c->gateway->db, c->principal.user_id, a->thread_id, &piece,
                            a->link_images ? &passing : &c->arena, &some, &n, err) < 0) {
            return -(int)err->code;
        }
        if (n == 0) {
            return 0;
        }
        keep_piece(c, a, some, n, p, &bytes, &read);
        piece.beyond_seq = some[n - 1].seq;
        if (p->n > limit || bytes > ENOUGH_BYTES || read > ENOUGH_READ_BYTES) {
            p->has_more = p->n > limit || piece.beyond_seq > 1;
            p->n = MIN(p->n, limit);
            return 0;
        }
    }
}

/* ---- what waits ---- */

static void write_queued(struct call *c, struct jsonw *w, struct str thread_id,
                         const struct thread_message *m) {
    struct str json = thread_json_link_images(&c->arena, thread_id, m);
    struct str content = scan_get(json, "content");
    jsonw_object(w);
    jsonw_kstr(w, "turn_id", m->turn_id);
    jsonw_kstr(w, "id", m->id);
    json_put_time(w, "created_at", m->created_us);
    jsonw_kraw(w, "content", content.n ? content : STR("\"\""));
    jsonw_end_object(w);
}

static int read_queued(struct call *c, const struct thread_row *t, struct strbuf *out,
                       struct err *err) {
    struct jsonw w = jsonw_begin(out);
    int64_t beyond = 0;
    size_t n = t->open_turn_id.n ? QUEUED_AT_ONCE : 0;
    jsonw_array(&w);
    while (n == QUEUED_AT_ONCE) {
        struct arena passing cleanup(arena_done) = {0};
        struct thread_message *some;
        if (transcript_queued(c->gateway->db, c->principal.user_id, t->id, beyond, QUEUED_AT_ONCE,
                              &passing, &some, &n, err) < 0) {
            return -(int)err->code;
        }
        for (size_t i = 0; i < n; i++) {
            write_queued(c, &w, t->id, &some[i]);
            beyond = some[i].seq;
        }
    }
    jsonw_end_array(&w);
    return 0;
}

/* ---- how turns ended ---- */

static int read_ends(struct call *c, const struct asked *a, const struct page *p,
                     struct strbuf *out, struct err *err) {
    struct transcript_end *ends;
    size_t n = 0;
    if (p->n > 0 &&
        transcript_ends(c->gateway->db, c->principal.user_id, a->thread_id, p->items[p->n - 1].seq,
                        p->items[0].seq, &c->arena, &ends, &n, err) < 0) {
        return -(int)err->code;
    }
    struct jsonw w = jsonw_begin(out);
    jsonw_array(&w);
    for (size_t i = 0; i < n; i++) {
        jsonw_object(&w);
        jsonw_kstr(&w, "id", ends[i].turn_id);
        jsonw_kstr(&w, "state", ends[i].state);
        if (ends[i].error.n) {
            jsonw_key(&w, "error");
            jsonw_object(&w);
            jsonw_kstr(&w, "code", ends[i].error_code);
            jsonw_kstr(&w, "message", ends[i].error);
            jsonw_end_object(&w);
        }
        jsonw_end_object(&w);
    }
    jsonw_end_array(&w);
    return 0;
}

/* ---- the thread ---- */

static int read_images(struct call *c, bool *ret_link, struct err *err) {
    struct str images = STR("inline");
    if (call_query(c, "images", 16, &images, err) < 0) {
        return -(int)err->code;
    }
    *ret_link = str_eq(images, STR("link"));
    return *ret_link || str_eq(images, STR("inline"))
               ? 0
               : err_set(err, ERR_INVALID, "images: must be inline or link");
}

int handle_thread_get(struct call *c, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(CALL_MAX_REPLY_BYTES);
    struct strbuf queued cleanup(strbuf_done) = STRBUF(CALL_MAX_REPLY_BYTES);
    struct strbuf ends cleanup(strbuf_done) = STRBUF(CALL_MAX_REPLY_BYTES);
    struct page *page = arena_alloc(&c->arena, sizeof *page);
    struct asked a = {.limit = LIMIT_DEFAULT};
    struct thread_row t;
    /* What waits is read first: a message that begins meanwhile is in both, else it would be in
     * neither. */
    if (call_id(c, 0, &a.thread_id, err) < 0 ||
        call_query_int(c, "before", 1, INT64_MAX, &a.before, err) < 0 ||
        call_query_int(c, "limit", 1, LIMIT_MAX, &a.limit, err) < 0 ||
        read_images(c, &a.link_images, err) < 0 ||
        thread_get(c->gateway->db, c->principal.user_id, a.thread_id, &c->arena, &t, err) < 0 ||
        read_queued(c, &t, &queued, err) < 0 || read_page(c, &a, page, err) < 0 ||
        read_ends(c, &a, page, &ends, err) < 0) {
        return -(int)err->code;
    }
    struct jsonw w = jsonw_begin(&out);
    thread_json_begin(&w, &t);
    jsonw_key(&w, "messages");
    jsonw_array(&w);
    for (size_t i = page->n; i > 0; i--) {
        thread_json_message(&w, &page->items[i - 1]);
    }
    jsonw_end_array(&w);
    jsonw_kbool(&w, "has_more", page->has_more);
    jsonw_kraw(&w, "queued", strbuf_str(&queued));
    jsonw_kraw(&w, "ends", strbuf_str(&ends));
    jsonw_end_object(&w);
    return call_respond(c, 200, &out, err);
}

/* ---- an image ---- */

static bool is_shown_type(struct str media_type) {
    static const char *const shown[] = {"image/png", "image/jpeg", "image/gif", "image/webp"};
    for (size_t i = 0; i < ARRAY_LEN(shown); i++) {
        if (str_eq(media_type, str_z(shown[i]))) {
            return true;
        }
    }
    return false;
}

/* What tools give may say that it is an image and be anything: nothing but images is shown by a
 * browser, and nothing runs. The bytes never change; they belong to one user, so that a cache keeps
 * them by what says who asks. */
static int respond_image(struct call *c, struct str media_type, struct str bytes) {
    static const struct http_field fields[] = {
        {"Cache-Control", STR("private, max-age=31536000, immutable")},
        {"Vary", STR("Cookie, Authorization, X-API-Key")},
        {"X-Content-Type-Options", STR("nosniff")},
        {"Content-Security-Policy", STR("default-src 'none'; sandbox")},
        {"Cross-Origin-Resource-Policy", STR("same-origin")},
        {"Content-Disposition", STR("attachment")},
    };
    bool shown = is_shown_type(media_type);
    struct http_response response = {.status = 200,
                                     .content_type = shown ? arena_z(&c->arena, media_type)
                                                           : "application/octet-stream",
                                     .fields = fields,
                                     .n_fields = shown ? ARRAY_LEN(fields) - 1 : ARRAY_LEN(fields),
                                     .body = bytes};
    http_respond(c->request, &response);
    return 0;
}

int handle_message_image(struct call *c, struct err *err) {
    struct str thread_id, message, media_type, base64;
    int64_t index;
    if (call_id(c, 0, &thread_id, err) < 0) {
        return -(int)err->code;
    }
    if (c->params[1].n > MAX_MESSAGE_ID_BYTES || !str_to_i64(c->params[2], &index) || index < 0) {
        return err_set(err, ERR_NOT_FOUND, "there is nothing under this name");
    }
    if (transcript_message(c->gateway->db, c->principal.user_id, thread_id, c->params[1], &c->arena,
                           &message, err) < 0) {
        return -(int)err->code;
    }
    if (!thread_json_image(&c->arena, message, index, &media_type, &base64)) {
        return err_set(err, ERR_NOT_FOUND, "the message has no such image");
    }
    struct strbuf bytes cleanup(strbuf_done) = STRBUF(base64.n + 16);
    if (crypto_base64_decode(&bytes, base64, err) < 0) {
        return err_set(err, ERR_NOT_FOUND, "the image cannot be read");
    }
    return respond_image(c, media_type, strbuf_str(&bytes));
}
