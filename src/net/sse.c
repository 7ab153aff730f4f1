#include "net/sse.h"

#include <string.h>

/* What a buffer may keep between events; one large event must not make the stream dear for good. */
enum { KEPT_BYTES = 16 * 1024 };

static void buffer_reset(struct strbuf *b) {
    if (b->cap > KEPT_BYTES) {
        strbuf_done(b);
    } else {
        strbuf_reset(b);
    }
}

#define BYTE_ORDER_MARK STR("\xef\xbb\xbf")

void sse_reader_init(struct sse_reader *r, size_t max_event_bytes) {
    *r = (struct sse_reader){
        /* The mark in front of the first line does not count. */
        .line = STRBUF(max_event_bytes + BYTE_ORDER_MARK.n),
        .data = STRBUF(max_event_bytes),
        .type = STRBUF(max_event_bytes),
        .id = STRBUF(max_event_bytes),
        .retry_ms = -1,
    };
}

void sse_reader_done(struct sse_reader *r) {
    strbuf_done(&r->line);
    strbuf_done(&r->data);
    strbuf_done(&r->type);
    strbuf_done(&r->id);
}

/* One call of sse_reader_feed. `data` and `type` are views into the fed bytes (p == NULL: none);
 * they are copied into the reader only when the event does not end within these bytes, or when a
 * second data line has to be joined to the first. */
struct sse_feed {
    struct sse_reader *r;
    const char *p, *end;
    const char *lf, *cr; /* the next of its kind at or behind p, or end */
    struct str data, type;
    int (*on_event)(const struct sse_event *event, void *arg, struct err *err);
    void *arg;
};

static int too_large(const struct sse_reader *r, struct err *err) {
    return err_set(err, ERR_LIMIT, "a streamed event is larger than %zu bytes", r->data.max);
}

static void add_data(struct sse_reader *r, struct str value) {
    if (r->has_data) {
        strbuf_addc(&r->data, '\n');
    }
    strbuf_add(&r->data, value);
    r->has_data = true;
}

static void keep_views(struct sse_feed *f) {
    if (f->data.p) {
        add_data(f->r, f->data);
        f->data.p = NULL;
    }
    if (f->type.p) {
        strbuf_reset(&f->r->type);
        strbuf_add(&f->r->type, f->type);
        f->type.p = NULL;
    }
}

static void take_data(struct sse_feed *f, struct str value, bool in_feed) {
    if (in_feed && !f->r->has_data && !f->data.p) {
        f->data = value;
        return;
    }
    keep_views(f);
    add_data(f->r, value);
}

static void take_type(struct sse_feed *f, struct str value, bool in_feed) {
    if (in_feed) {
        f->type = value;
        return;
    }
    f->type.p = NULL;
    strbuf_reset(&f->r->type);
    strbuf_add(&f->r->type, value);
}

static void take_retry(struct sse_reader *r, struct str value) {
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] < '0' || value.p[i] > '9') {
            return;
        }
    }
    int64_t ms;
    if (str_to_i64(value, &ms)) {
        r->retry_ms = ms;
    }
}

static void take_field(struct sse_feed *f, struct str line, bool in_feed) {
    size_t name_len = str_find_char(line, ':');
    struct str name = str_head(line, name_len);
    struct str value = name_len < line.n ? str_skip(line, name_len + 1) : STR_EMPTY;
    if (value.n > 0 && value.p[0] == ' ') {
        value = str_skip(value, 1);
    }
    if (str_eq(name, STR("data"))) {
        take_data(f, value, in_feed);
    } else if (str_eq(name, STR("event"))) {
        take_type(f, value, in_feed);
    } else if (str_eq(name, STR("id"))) {
        if (!value.n || !memchr(value.p, '\0', value.n)) {
            strbuf_reset(&f->r->id);
            strbuf_add(&f->r->id, value);
        }
    } else if (str_eq(name, STR("retry"))) {
        take_retry(f->r, value);
    }
}

static int dispatch(struct sse_feed *f, struct err *err) {
    struct sse_reader *r = f->r;
    int rc = 0;
    if (f->data.p || r->has_data) {
        struct str type = f->type.p ? f->type : strbuf_str(&r->type);
        struct sse_event event = {
            .type = type.n ? type : STR("message"),
            .data = f->data.p ? f->data : strbuf_str(&r->data),
            .id = strbuf_str(&r->id),
            .retry_ms = r->retry_ms,
        };
        rc = f->on_event(&event, f->arg, err);
    }
    f->data.p = f->type.p = NULL;
    r->has_data = false;
    buffer_reset(&r->data);
    buffer_reset(&r->type);
    return rc;
}

/* in_feed: the line lies in the fed bytes, not in the reader's line buffer. */
static int take_line(struct sse_feed *f, struct str line, bool in_feed, struct err *err) {
    struct sse_reader *r = f->r;
    if (!r->started) {
        r->started = true;
        if (str_starts(line, BYTE_ORDER_MARK)) {
            line = str_skip(line, BYTE_ORDER_MARK.n);
        }
    }
    if (line.n == 0) {
        return dispatch(f, err);
    }
    if (line.n > r->data.max) {
        return too_large(r, err);
    }
    if (line.p[0] == ':') {
        return 0;
    }
    take_field(f, line, in_feed);
    return r->data.failed ? too_large(r, err) : 0;
}

static const char *next_of(const struct sse_feed *f, char c) {
    const char *at = memchr(f->p, c, (size_t)(f->end - f->p));
    return at ? at : f->end;
}

/* Each byte is looked at once for either line end, whichever of them the stream uses. */
static const char *line_end(struct sse_feed *f) {
    if (f->lf < f->p) {
        f->lf = next_of(f, '\n');
    }
    if (f->cr < f->p) {
        f->cr = next_of(f, '\r');
    }
    return MIN(f->lf, f->cr);
}

static int feed_line(struct sse_feed *f, const char *line_stop, struct err *err) {
    struct sse_reader *r = f->r;
    struct str piece = {f->p, (size_t)(line_stop - f->p)};
    f->p = line_stop + 1;
    if (*line_stop == '\r') {
        if (f->p == f->end) {
            r->skip_lf = true;
        } else if (*f->p == '\n') {
            f->p++;
        }
    }
    if (r->line.n == 0) {
        return take_line(f, piece, true, err);
    }
    strbuf_add(&r->line, piece);
    if (r->line.failed) {
        return too_large(r, err);
    }
    int rc = take_line(f, strbuf_str(&r->line), false, err);
    buffer_reset(&r->line);
    return rc;
}

int sse_reader_feed(struct sse_reader *r, struct str bytes,
                    int (*on_event)(const struct sse_event *event, void *arg, struct err *err),
                    void *arg, struct err *err) {
    if (bytes.n == 0) {
        return 0;
    }
    struct sse_feed f = {
        .r = r, .p = bytes.p, .end = bytes.p + bytes.n, .on_event = on_event, .arg = arg};
    if (r->skip_lf && *f.p == '\n') {
        f.p++;
    }
    r->skip_lf = false;
    f.lf = next_of(&f, '\n');
    f.cr = next_of(&f, '\r');
    while (f.p < f.end) {
        const char *stop = line_end(&f);
        if (stop == f.end) {
            strbuf_add(&r->line, (struct str){f.p, (size_t)(f.end - f.p)});
            break;
        }
        int rc = feed_line(&f, stop, err);
        if (rc < 0) {
            return rc;
        }
    }
    keep_views(&f);
    if (r->line.failed || r->data.failed) {
        return too_large(r, err);
    }
    return 0;
}

void line_reader_init(struct line_reader *r, size_t max_line_bytes) {
    /* One more for the CR that may stand before the LF. */
    r->line = STRBUF(max_line_bytes + 1);
}

void line_reader_done(struct line_reader *r) {
    strbuf_done(&r->line);
}

static int give_line(struct line_reader *r, struct str line,
                     int (*on_line)(struct str line, void *arg, struct err *err), void *arg,
                     struct err *err) {
    size_t max = r->line.max - 1;
    if (line.n > 0 && line.p[line.n - 1] == '\r') {
        line.n--;
    }
    if (line.n > max || r->line.failed) {
        return err_set(err, ERR_LIMIT, "a streamed line is larger than %zu bytes", max);
    }
    return line.n > 0 ? on_line(line, arg, err) : 0;
}

int line_reader_feed(struct line_reader *r, struct str bytes,
                     int (*on_line)(struct str line, void *arg, struct err *err), void *arg,
                     struct err *err) {
    struct str line;
    for (size_t at; bytes.n > 0; bytes = str_skip(bytes, at + 1)) {
        const char *lf = memchr(bytes.p, '\n', bytes.n);
        if (!lf) {
            strbuf_add(&r->line, bytes);
            break;
        }
        at = (size_t)(lf - bytes.p);
        line = str_head(bytes, at);
        if (r->line.n > 0) {
            strbuf_add(&r->line, line);
            line = strbuf_str(&r->line);
        }
        int rc = give_line(r, line, on_line, arg, err);
        buffer_reset(&r->line);
        if (rc < 0) {
            return rc;
        }
    }
    return r->line.failed ? give_line(r, STR_EMPTY, on_line, arg, err) : 0;
}

int line_reader_finish(struct line_reader *r,
                       int (*on_line)(struct str line, void *arg, struct err *err), void *arg,
                       struct err *err) {
    int rc = give_line(r, strbuf_str(&r->line), on_line, arg, err);
    buffer_reset(&r->line);
    return rc;
}
