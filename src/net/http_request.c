/* A request: what the handler may ask about it, and its body. */
#include <assert.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/mem.h"
#include "base/secret.h"
#include "net/http_internal.h"

struct http_request *http_request_new(struct http_connection *c) {
    struct http_request *r = mem_alloc(sizeof *r);
    struct id id = id_new();
    r->connection = c;
    r->server = c->server;
    memcpy(r->id, id.z, sizeof id.z);
    r->begun_us = clock_mono_us();
    fiber_cond_init(&r->changed);
    http_head_init(&r->head, &c->server->head_limits);
    r->early = STRBUF(HTTP_WINDOW_BYTES + HTTP_SLAB_BYTES);
    return r;
}

void http_request_free(struct http_request *r) {
    if (!r) {
        return;
    }
    http_head_done(&r->head);
    secret_strbuf_done(&r->early);
    mem_free(r);
}

void http_request_gone(struct http_request *r) {
    r->gone = true;
    /* Who has answered in full is not disturbed any more. */
    if (!r->responded || (r->streaming && !r->ended)) {
        fiber_cancel(r->fiber);
    }
    fiber_broadcast(&r->changed);
}

void http_request_report(struct http_request *r) {
    const struct http_server_options *o = &r->server->options;
    if (o->on_done) {
        o->on_done(r, r->status, r->bytes_sent, clock_mono_us() - r->begun_us, o->context);
    }
}

/* ---- the body as it comes ---- */

int http_request_begin_body(struct http_request *r) {
    const struct http_head *h = &r->head;
    if (h->content_length > r->server->options.max_body_bytes) {
        r->head.detail = "the body is too large";
        return -413;
    }
    r->body_left = h->content_length;
    r->body_complete = !h->chunked && r->body_left == 0;
    r->body_at_us = clock_mono_us();
    return 0;
}

static void take_data(struct http_request *r, struct str data) {
    r->body_bytes += data.n;
    r->body_at_us = clock_mono_us();
    if (r->body_over || r->gone) {
        return;
    }
    if (!r->fiber) { /* being drained */
        return;
    }
    struct strbuf *to = r->reader ? r->reader : &r->early;
    if (r->reader && data.n > r->reader_max - r->reader->n) {
        r->body_over = true;
    } else if (r->reader && !http_connection_hold(r->connection, r->reader->n + data.n)) {
        r->body_over = r->body_refused = true;
    } else {
        strbuf_add(to, data);
        r->body_over = to->failed;
    }
}

size_t http_request_feed_body(struct http_request *r, const char *p, size_t n) {
    size_t used = 0;
    while (used < n && !r->body_complete && !r->body_bad) {
        struct str data;
        size_t k;
        if (r->head.chunked) {
            http_chunked_feed(&r->chunked, p + used, n - used, &k, &data);
            r->body_complete = r->chunked.state == CHUNKED_END;
            r->body_bad = r->chunked.state == CHUNKED_BAD;
        } else {
            k = MIN(n - used, r->body_left);
            data = (struct str){p + used, k};
            r->body_left -= k;
            r->body_complete = r->body_left == 0;
        }
        if (data.n) {
            take_data(r, data);
        }
        used += k;
    }
    if (r->reader && (r->body_complete || r->body_bad || r->body_over)) {
        fiber_broadcast(&r->changed);
    }
    return used;
}

bool http_request_body_is_cheap(const struct http_request *r) {
    if (r->body_complete) {
        return true;
    }
    bool waits_for_continue = r->head.expects_continue && !r->continue_sent && r->body_bytes == 0;
    return !r->body_bad && !waits_for_continue &&
           (r->head.chunked || r->head.content_length <= HTTP_DRAIN_BYTES);
}

/* ---- the body as the handler wants it ---- */

static int body_state(const struct http_request *r, struct err *err) {
    if (r->gone) {
        return err_set(err, ERR_CANCELLED, "the peer is gone");
    }
    if (r->body_refused) {
        return err_set(err, ERR_BUSY, "too much is being sent here at once; try again in a moment");
    }
    if (r->body_over) {
        return err_set(err, ERR_LIMIT, "the body is larger than %zu bytes", r->reader_max);
    }
    if (r->body_bad) {
        return err_set(err, ERR_PROTOCOL, "malformed chunked body");
    }
    return r->body_complete ? 1 : 0;
}

static int await_body(struct http_request *r, struct err *err) {
    const struct http_server_options *o = &r->server->options;
    int64_t begun_us = clock_mono_us();
    for (;;) {
        int rc = body_state(r, err);
        if (rc != 0) {
            return rc < 0 ? rc : 0;
        }
        int64_t now_us = clock_mono_us();
        int64_t total_left_us = begun_us + o->body_total_timeout_ms * 1000 - now_us;
        int64_t idle_left_us = r->body_at_us + o->body_timeout_ms * 1000 - now_us;
        if (total_left_us <= 0 || idle_left_us <= 0) {
            return err_set(err, ERR_TIMEOUT, "the body took too long");
        }
        rc = fiber_wait(&r->changed, MIN(total_left_us, idle_left_us) / 1000 + 1);
        if (rc == -ERR_CANCELLED) {
            return err_set(err, ERR_CANCELLED, "cancelled");
        }
    }
}

static void ask_to_continue(struct http_request *r) {
    if (r->head.expects_continue && !r->continue_sent && r->body_bytes == 0 && !r->responded) {
        struct str line = STR("HTTP/1.1 100 Continue\r\n\r\n");
        r->continue_sent = true;
        http_connection_write(r->connection, &line, 1);
    }
}

int http_read_body(struct http_request *r, size_t max_bytes, struct strbuf *ret, struct err *err) {
    fiber_point();
    assert(r->fiber == fiber_self() && !r->reader);
    r->reader_max = MIN(max_bytes, r->server->options.max_body_bytes);
    if (r->head.content_length > r->reader_max || r->early.n > r->reader_max) {
        return err_set(err, ERR_LIMIT, "the body is larger than %zu bytes", r->reader_max);
    }
    strbuf_reset(ret);
    strbuf_add(ret, strbuf_str(&r->early));
    secret_strbuf_done(&r->early);
    if (ret->failed) {
        return strbuf_check(ret, "the body", err);
    }
    if (r->gone) {
        return err_set(err, ERR_CANCELLED, "the peer is gone");
    }
    ask_to_continue(r);
    r->reader = ret;
    r->body_at_us = clock_mono_us();
    http_connection_resume(r->connection);
    int rc = await_body(r, err);
    r->reader = NULL;
    (void)http_connection_hold(r->connection, 0);
    return rc;
}

/* ---- accessors ---- */

struct str http_method(const struct http_request *r) {
    return r->head.method;
}

struct str http_path(const struct http_request *r) {
    return r->head.path;
}

struct str http_query(const struct http_request *r) {
    return r->head.query;
}

struct str http_header(const struct http_request *r, const char *name) {
    return http_head_value(&r->head, str_z(name));
}

struct str http_peer(const struct http_request *r) {
    return str_z(r->connection->peer);
}

const char *http_request_id(const struct http_request *r) {
    return r->id;
}

void http_set_user(struct http_request *r, void *user) {
    r->user = user;
}

void *http_user(const struct http_request *r) {
    return r->user;
}

bool http_responded(const struct http_request *r) {
    return r->responded;
}

bool http_query_param(const struct http_request *r, const char *name, struct strbuf *out) {
    struct str rest = r->head.query;
    while (rest.n > 0) {
        struct str value = str_cut(&rest, '&');
        struct str key = str_cut(&value, '=');
        strbuf_reset(out);
        if (!http_percent_decode(key, true, out) || !str_eq(strbuf_str(out), str_z(name))) {
            continue;
        }
        strbuf_reset(out);
        return http_percent_decode(value, true, out) && str_is_utf8(strbuf_str(out)) &&
               str_find_char(strbuf_str(out), '\0') == SIZE_MAX;
    }
    strbuf_reset(out);
    return false;
}

bool http_cookie(const struct http_request *r, const char *name, struct str *ret) {
    struct str rest = http_header(r, "cookie");
    while (rest.n > 0) {
        struct str value = str_cut(&rest, ';');
        struct str key = str_trim(str_cut(&value, '='));
        if (str_eq(key, str_z(name))) {
            value = str_trim(value);
            bool quoted = value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"';
            *ret = quoted ? (struct str){value.p + 1, value.n - 2} : value;
            return true;
        }
    }
    return false;
}
