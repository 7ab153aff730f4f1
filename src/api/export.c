/* A user's threads to take along: one, or all of them. They are streamed in pieces, so that it does
 * not matter how much there is, and a reader that is slow holds back the reading. */
#include "api/handlers.h"
#include "api/json_output.h"
#include "api/thread_json.h"
#include "api/thread_markdown.h"
#include "base/clock.h"
#include "store/transcript.h"

enum {
    PIECE_BYTES = 1024 * 1024,
    PIECE_MESSAGES = 500,
    PIECE_THREADS = 50,
    WRITE_BYTES = 64 * 1024,
    MAX_HELD_BYTES = 32 * 1024 * 1024, /* a piece ends with a message that may be large */
};

struct export {
    struct call *call;
    struct strbuf out;
    struct jsonw w;
    bool markdown;
};

static int flush(struct export *x, size_t enough, struct err *err) {
    if (strbuf_check(&x->out, "a message", err) < 0) {
        return -(int)err->code;
    }
    if (x->out.n <= enough) {
        return 0;
    }
    if (http_stream_write(x->call->request, strbuf_str(&x->out)) < 0) {
        return err_set(err, ERR_CANCELLED, "the reader went away");
    }
    strbuf_reset(&x->out);
    return 0;
}

/* ---- a thread ---- */

static void write_message(struct export *x, const struct thread_message *m) {
    if (x->markdown) {
        thread_markdown_message(&x->out, m);
    } else {
        thread_json_message(&x->w, m);
    }
}

static int write_messages(struct export *x, struct str thread_id, struct err *err) {
    struct transcript_piece piece = {
        .order = TRANSCRIPT_OLDEST_FIRST, .max_messages = PIECE_MESSAGES, .max_bytes = PIECE_BYTES};
    for (;;) {
        struct arena passing cleanup(arena_done) = {0};
        struct thread_message *some;
        size_t n;
        if (transcript_read(x->call->gateway->db, x->call->principal.user_id, thread_id, &piece,
                            &passing, &some, &n, err) < 0) {
            return -(int)err->code;
        }
        if (n == 0) {
            return 0;
        }
        for (size_t i = 0; i < n; i++) {
            write_message(x, &some[i]);
            if (flush(x, WRITE_BYTES, err) < 0) {
                return -(int)err->code;
            }
        }
        piece.beyond_seq = some[n - 1].seq;
    }
}

static int write_thread(struct export *x, const struct thread_row *t, struct err *err) {
    if (x->markdown) {
        thread_markdown_head(&x->out, t);
        return write_messages(x, t->id, err);
    }
    thread_json_begin(&x->w, t);
    jsonw_key(&x->w, "messages");
    jsonw_array(&x->w);
    if (write_messages(x, t->id, err) < 0) {
        return -(int)err->code;
    }
    jsonw_end_array(&x->w);
    jsonw_end_object(&x->w);
    return 0;
}

/* ---- all of them ---- */

static int write_threads(struct export *x, struct err *err) {
    struct str after = STR_EMPTY;
    char last[CALL_MAX_ID_BYTES + 1];
    for (;;) {
        struct arena passing cleanup(arena_done) = {0};
        struct thread_row *rows;
        size_t n;
        if (thread_list_by_id(x->call->gateway->db, x->call->principal.user_id, after,
                              PIECE_THREADS, &passing, &rows, &n, err) < 0) {
            return -(int)err->code;
        }
        for (size_t i = 0; i < n; i++) {
            if (write_thread(x, &rows[i], err) < 0) {
                return -(int)err->code;
            }
        }
        if (n < PIECE_THREADS) {
            return 0;
        }
        snprintf(last, sizeof last, "%.*s", STR_ARG(rows[n - 1].id));
        after = str_z(last);
    }
}

static int write_all(struct export *x, struct err *err) {
    jsonw_object(&x->w);
    jsonw_kstr(&x->w, "user_id", x->call->principal.user_id);
    json_put_time(&x->w, "exported_at", clock_now_us());
    jsonw_kstrz(&x->w, "version", x->call->gateway->version);
    jsonw_key(&x->w, "threads");
    jsonw_array(&x->w);
    if (write_threads(x, err) < 0) {
        return -(int)err->code;
    }
    jsonw_end_array(&x->w);
    jsonw_end_object(&x->w);
    return 0;
}

/* ---- the answer ---- */

static void begin_export(struct export *x, struct call *c, bool markdown) {
    *x = (struct export){.call = c, .out = STRBUF(MAX_HELD_BYTES), .markdown = markdown};
    x->w = jsonw_begin(&x->out);
}

static void export_done(struct export *x) {
    strbuf_done(&x->out);
}

/* False: the reader is gone. */
static bool begin_stream(struct export *x, struct str name) {
    char day[16];
    struct tm tm;
    time_t now = (time_t)(clock_now_us() / 1000000);
    gmtime_r(&now, &tm);
    strftime(day, sizeof day, "%Y-%m-%d", &tm);
    const struct http_field fields[] = {
        {"Content-Disposition", arena_printf(&x->call->arena, "attachment; filename=\"%.*s-%s.%s\"",
                                             STR_ARG(name), day, x->markdown ? "md" : "json")},
        {"X-Content-Type-Options", STR("nosniff")},
    };
    return http_stream_begin(x->call->request, &(struct http_response){
                                                   .status = 200,
                                                   .content_type = x->markdown ? "text/markdown; "
                                                                                 "charset=utf-8"
                                                                               : "application/json",
                                                   .fields = fields,
                                                   .n_fields = ARRAY_LEN(fields)}) == 0;
}

static int end_stream(struct export *x, struct err *err) {
    if (!x->markdown) {
        strbuf_addc(&x->out, '\n');
    }
    if (flush(x, 0, err) < 0) {
        return -(int)err->code;
    }
    (void)http_stream_end(x->call->request);
    return 0;
}

int handle_export(struct call *c, struct err *err) {
    struct export x cleanup(export_done) = {0};
    begin_export(&x, c, false);
    if (!begin_stream(&x, STR("adjutant"))) {
        return 0;
    }
    return write_all(&x, err) < 0 ? -(int)err->code : end_stream(&x, err);
}

static int query_format(struct call *c, bool *ret_markdown, struct err *err) {
    struct str format = STR("json");
    if (call_query(c, "format", 16, &format, err) < 0) {
        return -(int)err->code;
    }
    *ret_markdown = str_eq(format, STR("md"));
    return *ret_markdown || str_eq(format, STR("json"))
               ? 0
               : err_set(err, ERR_INVALID, "format: must be md or json");
}

/* What every system takes as the name of a file. */
static struct str file_name(struct call *c, struct str thread_id) {
    struct str name = arena_printf(&c->arena, "thread-%.*s", STR_ARG(str_head(thread_id, 64)));
    char *p = arena_z(&c->arena, name);
    for (size_t i = 0; i < name.n; i++) {
        bool plain = (p[i] >= 'a' && p[i] <= 'z') || (p[i] >= 'A' && p[i] <= 'Z') ||
                     (p[i] >= '0' && p[i] <= '9');
        p[i] = plain ? p[i] : '-';
    }
    return str_z(p);
}

int handle_thread_export(struct call *c, struct err *err) {
    struct export x cleanup(export_done) = {0};
    struct thread_row t;
    struct str id;
    bool markdown;
    if (call_id(c, 0, &id, err) < 0 || query_format(c, &markdown, err) < 0 ||
        thread_get(c->gateway->db, c->principal.user_id, id, &c->arena, &t, err) < 0) {
        return -(int)err->code;
    }
    begin_export(&x, c, markdown);
    if (!begin_stream(&x, file_name(c, id))) {
        return 0;
    }
    return write_thread(&x, &t, err) < 0 ? -(int)err->code : end_stream(&x, err);
}
