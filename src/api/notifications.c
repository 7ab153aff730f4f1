/* What the user is told without having asked. */
#include "store/notifications.h"

#include "api/handlers.h"
#include "base/clock.h"

enum { LIST_DEFAULT = 30, LIST_MAX = 100 };

/* "u<time>.<id>" or "r<time>.<id>" of the last one of the page before: unread, or read. */
struct position {
    bool read;
    int64_t before_us;
    struct str before_id;
};

static int read_cursor(struct call *c, struct position *ret, struct err *err) {
    struct str cursor = {0};
    if (call_query(c, "cursor", CALL_MAX_ID_BYTES + 32, &cursor, err) < 0) {
        return -(int)err->code;
    }
    if (!cursor.p) {
        return 0;
    }
    struct str id = str_skip(cursor, 1);
    if (cursor.n == 0 || (cursor.p[0] != 'u' && cursor.p[0] != 'r') ||
        !str_to_i64(str_cut(&id, '.'), &ret->before_us) || ret->before_us <= 0 || id.n == 0) {
        return err_set(err, ERR_INVALID, "cursor: must be a next_cursor the gateway gave");
    }
    ret->read = cursor.p[0] == 'r';
    ret->before_id = id;
    return 0;
}

static void write_time(struct jsonw *w, const char *key, int64_t us) {
    char iso[CLOCK_ISO_LEN + 1];
    if (us) {
        clock_iso(us, iso);
        jsonw_kstrz(w, key, iso);
    } else {
        jsonw_key(w, key);
        jsonw_null(w);
    }
}

static void write_notification(struct jsonw *w, const struct notification *n) {
    jsonw_object(w);
    jsonw_kstr(w, "id", n->id);
    jsonw_key(w, "from_agent");
    if (n->from_agent.n) {
        jsonw_str(w, n->from_agent);
    } else {
        jsonw_null(w);
    }
    jsonw_kstr(w, "message", n->message);
    jsonw_kstr(w, "priority", n->priority);
    write_time(w, "created_at", n->created_us);
    write_time(w, "read_at", n->read_us);
    jsonw_end_object(w);
}

/* One page: unread ones, and behind the last of them those that are read. */
static int gather(struct call *c, const struct position *from, bool unread_only, size_t max,
                  struct notification *ret, size_t *ret_n, struct err *err) {
    struct position p = *from;
    size_t n = 0;
    for (;;) {
        struct notification *rows;
        size_t got;
        if (notification_list(c->gateway->db, c->principal.user_id, p.read, p.before_us,
                              p.before_id, max - n, &c->arena, &rows, &got, err) < 0) {
            return -(int)err->code;
        }
        memcpy(ret + n, rows, got * sizeof *rows);
        n += got;
        if (n == max || p.read || unread_only) {
            *ret_n = n;
            return 0;
        }
        p = (struct position){.read = true, .before_id = STR_EMPTY};
    }
}

int handle_notification_list(struct call *c, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(2 * 1024 * 1024);
    struct position from = {.before_id = STR_EMPTY};
    int64_t limit = LIST_DEFAULT, unread = 0;
    if (call_query_int(c, "limit", 1, LIST_MAX, &limit, err) < 0 ||
        call_query_int(c, "unread", 0, 1, &unread, err) < 0 || read_cursor(c, &from, err) < 0) {
        return -(int)err->code;
    }
    size_t n, max = (size_t)limit;
    struct notification *rows = arena_alloc(&c->arena, (max + 1) * sizeof *rows);
    if (gather(c, &from, unread, max + 1, rows, &n, err) < 0) {
        return -(int)err->code;
    }
    struct jsonw w = jsonw_begin(&out);
    jsonw_object(&w);
    jsonw_key(&w, "notifications");
    jsonw_array(&w);
    for (size_t i = 0; i < MIN(n, max); i++) {
        write_notification(&w, &rows[i]);
    }
    jsonw_end_array(&w);
    if (n > max) {
        const struct notification *last = &rows[max - 1];
        jsonw_kstr(&w, "next_cursor",
                   arena_printf(&c->arena, "%c%lld.%.*s", last->read_us ? 'r' : 'u',
                                (long long)last->created_us, STR_ARG(last->id)));
    }
    jsonw_end_object(&w);
    return call_respond(c, 200, &out, err);
}

int handle_notification_read(struct call *c, struct err *err) {
    struct str id;
    if (call_id(c, 0, &id, err) < 0 ||
        notification_read(c->gateway->db, c->principal.user_id, id, err) < 0) {
        return -(int)err->code;
    }
    feed_notification(c->gateway->feed, c->principal.user_id, id);
    return call_respond_empty(c, 204, NULL, 0);
}
