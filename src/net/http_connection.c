/* A connection: bytes in, bytes out, deadlines, and its end. Everything here runs on the loop's
 * stack or on the request's fiber, and never waits. */
#include <assert.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "net/http_internal.h"

struct http_write {
    uv_write_t write;
    struct http_connection *connection;
    struct strbuf bytes;
};

static void finish(struct http_connection *c, bool linger);

bool http_connection_hold(struct http_connection *c, size_t n) {
    struct http_server *s = c->server;
    size_t others = s->incoming_bytes - c->incoming_bytes;
    if (n > HTTP_WINDOW_BYTES && n > c->incoming_bytes &&
        others + n > s->options.max_incoming_bytes) {
        return false;
    }
    s->incoming_bytes = others + n;
    c->incoming_bytes = n;
    return true;
}

static void free_when_unused(struct http_connection *c) {
    struct http_server *s = c->server;
    if (!c->handle_closed || (c->request && c->request->fiber)) {
        return;
    }
    assert(!c->writing);
    (void)http_connection_hold(c, 0);
    http_request_free(c->request);
    strbuf_done(&c->stash);
    strbuf_done(&c->out);
    list_remove(&c->in_server);
    s->stats.connections--;
    s->stats.websockets -= c->upgraded;
    mem_free(c);
    fiber_broadcast(&s->changed);
}

static void on_closed(uv_handle_t *handle) {
    struct http_connection *c = container_of(handle, struct http_connection, tcp);
    c->handle_closed = true;
    if (c->upgraded) {
        c->sink.on_bytes(c->sink.context, NULL, 0);
    }
    free_when_unused(c);
}

void http_connection_end(struct http_connection *c) {
    if (c->phase == PHASE_CLOSED) {
        return;
    }
    c->phase = PHASE_CLOSED;
    c->reading = false;
    list_remove(&c->in_pump);
    if (c->request && c->request->fiber) {
        http_request_gone(c->request);
    }
    uv_close((uv_handle_t *)&c->tcp, on_closed);
}

/* ---- out ---- */

size_t http_connection_unsent(const struct http_connection *c) {
    return c->tcp.write_queue_size + c->out.n;
}

static void on_shutdown(uv_shutdown_t *request, int status) {
    (void)status;
    mem_free(request);
}

/* Everything is sent, and the connection is to be closed. Closing while bytes of the peer are
 * unread would reset it and could destroy the response on its way. */
static void flushed(struct http_connection *c) {
    uv_shutdown_t *request = c->linger ? mem_alloc(sizeof *request) : NULL;
    if (!request || uv_shutdown(request, (uv_stream_t *)&c->tcp, on_shutdown) < 0) {
        mem_free(request);
        http_connection_end(c);
        return;
    }
    c->phase = PHASE_LINGER;
    c->deadline_us = clock_mono_us() + HTTP_LINGER_MS * 1000;
    http_connection_resume(c);
}

static void on_written(uv_write_t *write, int status);

static void write_queued(struct http_connection *c) {
    struct http_write *w = mem_alloc(sizeof *w);
    w->connection = c;
    w->bytes = c->out;
    c->out = STRBUF(w->bytes.max);
    c->writing = w;
    uv_buf_t buf = uv_buf_init(w->bytes.p, (unsigned)w->bytes.n);
    if (uv_write(&w->write, (uv_stream_t *)&c->tcp, &buf, 1, on_written) < 0) {
        c->writing = NULL;
        strbuf_done(&w->bytes);
        mem_free(w);
        http_connection_end(c);
    }
}

static void on_written(uv_write_t *write, int status) {
    struct http_write *w = container_of(write, struct http_write, write);
    struct http_connection *c = w->connection;
    strbuf_done(&w->bytes);
    mem_free(w);
    c->writing = NULL;
    if (c->phase == PHASE_CLOSED) {
        return;
    }
    if (status < 0) {
        http_connection_end(c);
        return;
    }
    if (c->out.n) {
        write_queued(c);
    } else if (c->phase == PHASE_FLUSH) {
        flushed(c);
    }
    if (c->request && c->request->fiber) {
        fiber_broadcast(&c->request->changed);
    }
}

size_t http_connection_try_write(struct http_connection *c, const struct str *parts, size_t n) {
    uv_buf_t bufs[16];
    size_t sent = 0;
    if (c->phase == PHASE_CLOSED || http_connection_unsent(c) > 0) {
        return 0;
    }
    while (n > 0) {
        unsigned k = 0;
        size_t total = 0;
        for (; k < ARRAY_LEN(bufs) && k < n; k++) {
            bufs[k] = uv_buf_init((char *)(uintptr_t)parts[k].p, (unsigned)parts[k].n);
            total += parts[k].n;
        }
        int rc = uv_try_write((uv_stream_t *)&c->tcp, bufs, k);
        if (rc < 0 && rc != UV_EAGAIN) {
            http_connection_end(c);
            return sent;
        }
        sent += rc > 0 ? (size_t)rc : 0;
        if (rc < 0 || (size_t)rc < total) {
            return sent;
        }
        parts += k;
        n -= k;
    }
    return sent;
}

void http_connection_write(struct http_connection *c, const struct str *parts, size_t n_parts) {
    size_t sent = http_connection_try_write(c, parts, n_parts);
    if (c->phase == PHASE_CLOSED) {
        return;
    }
    for (size_t i = 0; i < n_parts; i++) {
        size_t skip = MIN(sent, parts[i].n);
        sent -= skip;
        strbuf_add(&c->out, str_skip(parts[i], skip));
    }
    if (c->out.failed) { /* callers keep their own, smaller bounds */
        http_connection_end(c);
    } else if (c->out.n && !c->writing) {
        c->progress_at_us = clock_mono_us();
        write_queued(c);
    }
}

/* Sends what is unsent, then closes. */
static void finish(struct http_connection *c, bool linger) {
    if (c->phase == PHASE_CLOSED || c->phase == PHASE_FLUSH || c->phase == PHASE_LINGER) {
        return;
    }
    c->phase = PHASE_FLUSH;
    c->deadline_us = clock_mono_us() + c->server->options.body_total_timeout_ms * 1000;
    c->linger = linger;
    list_remove(&c->in_pump);
    strbuf_done(&c->stash);
    if (http_connection_unsent(c) == 0) {
        flushed(c);
    }
}

void http_connection_close(struct http_connection *c, bool after_flush) {
    if (after_flush) {
        finish(c, true);
    } else {
        http_connection_end(c);
    }
}

/* ---- in ---- */

static void stop_reading(struct http_connection *c) {
    if (c->reading) {
        c->reading = false;
        uv_read_stop((uv_stream_t *)&c->tcp);
    }
}

static void stash(struct http_connection *c, const char *p, size_t n) {
    strbuf_add(&c->stash, (struct str){p, n});
    if (c->stash.n >= HTTP_WINDOW_BYTES) {
        stop_reading(c);
    }
}

static void refuse(struct http_connection *c, int status, const char *detail) {
    http_refuse(c->request, status, detail);
    http_request_free(take(c->request));
    finish(c, true);
}

static void request_fiber(void *arg) {
    struct http_request *r = arg;
    struct http_connection *c = r->connection;
    r->server->options.handler(r, r->server->options.context);
    http_connection_request_done(c);
}

static void run_request(struct http_connection *c) {
    struct http_request *r = c->request;
    struct http_server *s = c->server;
    struct err err;
    int rc = http_request_begin_body(r);
    if (rc < 0) {
        refuse(c, -rc, r->head.detail);
        return;
    }
    if (fiber_spawn(&s->scope, "http request", request_fiber, r, &r->fiber, &err) < 0) {
        refuse(c, 503, err.msg);
        return;
    }
    s->stats.requests_running++;
    s->stats.requests_total++;
    c->phase = PHASE_RUNNING;
}

static size_t feed_head(struct http_connection *c, const char *p, size_t n) {
    size_t used = n;
    if (!c->request) {
        c->request = http_request_new(c);
        c->phase = PHASE_HEAD;
        c->deadline_us = clock_mono_us() + c->server->options.header_timeout_ms * 1000;
    }
    int rc = http_head_feed(&c->request->head, p, n, &used);
    if (rc < 0) {
        refuse(c, -rc, c->request->head.detail);
        return n;
    }
    if (rc == 1) {
        run_request(c);
    }
    return used;
}

static void become_idle(struct http_connection *c) {
    c->phase = PHASE_IDLE;
    c->deadline_us = clock_mono_us() + c->server->options.keepalive_timeout_ms * 1000;
    if (c->server->stopping) {
        finish(c, false);
        return;
    }
    if (c->stash.n) {
        http_server_pump_later(c);
    }
    http_connection_resume(c);
}

static size_t feed_drain(struct http_connection *c, const char *p, size_t n) {
    struct http_request *r = c->request;
    size_t used = http_request_feed_body(r, p, n);
    if (r->body_bad || r->body_bytes > HTTP_DRAIN_BYTES + HTTP_WINDOW_BYTES) {
        http_request_free(take(c->request));
        finish(c, true);
    } else if (r->body_complete) {
        http_request_free(take(c->request));
        become_idle(c);
    }
    return used;
}

static void feed(struct http_connection *c, char *p, size_t n) {
    while (n > 0) {
        size_t used = n;
        switch ((enum http_phase)c->phase) {
        case PHASE_IDLE:
        case PHASE_HEAD:
            used = feed_head(c, p, n);
            break;
        case PHASE_RUNNING:
            used = http_request_feed_body(c->request, p, n);
            if (c->request->body_complete || c->request->body_bad) {
                stash(c, p + used, n - used);
                used = n;
            }
            break;
        case PHASE_DRAIN:
            used = feed_drain(c, p, n);
            break;
        case PHASE_UPGRADED:
            c->sink.on_bytes(c->sink.context, p, n);
            break;
        case PHASE_FLUSH:
        case PHASE_LINGER:
        case PHASE_CLOSED:
            break;
        }
        p += used;
        n -= used;
    }
    if (c->phase == PHASE_RUNNING && c->request->early.n >= HTTP_WINDOW_BYTES) {
        stop_reading(c);
    }
}

void http_connection_pump(struct http_connection *c) {
    if (c->stash.n == 0 || c->phase == PHASE_RUNNING || c->phase >= PHASE_FLUSH) {
        return;
    }
    struct strbuf bytes = c->stash;
    c->stash = STRBUF(bytes.max);
    feed(c, bytes.p, bytes.n);
    strbuf_done(&bytes);
    if (c->phase != PHASE_CLOSED) {
        http_connection_resume(c);
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret) {
    struct http_connection *c = container_of(handle, struct http_connection, tcp);
    (void)suggested;
    *ret = uv_buf_init(c->server->slab, sizeof c->server->slab);
}

static void on_end_of_input(struct http_connection *c, bool failed) {
    if (failed || c->phase == PHASE_RUNNING || c->phase == PHASE_UPGRADED ||
        c->phase == PHASE_LINGER) {
        http_connection_end(c);
        return;
    }
    /* A peer that only closed its own side may still read what is on its way. */
    stop_reading(c);
    finish(c, false);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    struct http_connection *c = container_of(stream, struct http_connection, tcp);
    if (n < 0) {
        on_end_of_input(c, n != UV_EOF);
    } else if (c->stash.n && c->phase < PHASE_FLUSH) {
        stash(c, buf->base, (size_t)n);
    } else {
        feed(c, buf->base, (size_t)n);
    }
    if (n > 0) {
        secret_wipe(buf->base, (size_t)n); /* all connections share it: keys would stand there */
    }
    fiber_drain();
}

void http_connection_resume(struct http_connection *c) {
    bool full = c->stash.n >= HTTP_WINDOW_BYTES ||
                (c->phase == PHASE_RUNNING && c->request->early.n >= HTTP_WINDOW_BYTES);
    if (c->reading || full || c->phase == PHASE_CLOSED) {
        return;
    }
    int rc = uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
    if (rc < 0) {
        http_connection_end(c);
        return;
    }
    c->reading = true;
}

/* ---- the life of a request's end ---- */

void http_connection_request_done(struct http_connection *c) {
    struct http_request *r = c->request;
    struct http_server *s = c->server;
    if (!r->gone && !r->responded) {
        log_error("net", "a handler gave no response path=%.*s", STR_ARG(r->head.path));
        http_refuse(r, 500, "no response");
    } else if (!r->gone && r->streaming && !r->ended) {
        http_connection_end(c); /* the peer must see that the body is not whole */
    }
    http_request_report(r);
    s->stats.requests_running--;
    r->fiber = NULL;
    if (c->phase != PHASE_RUNNING) { /* upgraded, or closed */
        http_request_free(take(c->request));
        if (c->phase == PHASE_UPGRADED && c->stash.n) {
            http_server_pump_later(c);
        }
        free_when_unused(c);
    } else if (!r->keep) {
        bool unread = !r->body_complete || c->stash.n > 0;
        http_request_free(take(c->request));
        finish(c, unread);
    } else if (!r->body_complete) {
        strbuf_done(&r->early);
        c->phase = PHASE_DRAIN;
        c->deadline_us = clock_mono_us() + s->options.header_timeout_ms * 1000;
        http_connection_resume(c);
    } else {
        http_request_free(take(c->request));
        become_idle(c);
    }
}

int http_upgrade(struct http_request *r, struct str head, const struct http_upgrade_sink *sink,
                 struct http_connection **ret) {
    struct http_connection *c = r->connection;
    assert(!r->responded);
    if (c->server->stopping) { /* the sinks were told already */
        return -ERR_UNAVAILABLE;
    }
    r->responded = true;
    if (r->gone) {
        return -ERR_CANCELLED;
    }
    http_connection_write(c, &head, 1);
    if (c->phase == PHASE_CLOSED) {
        return -ERR_CANCELLED;
    }
    r->status = 101;
    r->bytes_sent = head.n;
    c->sink = *sink;
    c->phase = PHASE_UPGRADED;
    c->upgraded = true;
    c->server->stats.websockets++;
    http_connection_resume(c);
    *ret = c;
    return 0;
}

/* ---- deadlines, beginning and the server's end ---- */

static bool is_stuck(struct http_connection *c, int64_t now_us) {
    size_t unsent = http_connection_unsent(c);
    if (unsent == 0 || unsent != c->seen_unsent) {
        c->seen_unsent = unsent;
        c->progress_at_us = now_us;
    }
    return now_us - c->progress_at_us > c->server->options.body_timeout_ms * 1000;
}

void http_connection_tick(struct http_connection *c, int64_t now_us) {
    if (c->phase == PHASE_CLOSED) {
        return;
    }
    if (is_stuck(c, now_us)) {
        http_connection_end(c);
        return;
    }
    bool late = now_us > c->deadline_us;
    switch ((enum http_phase)c->phase) {
    case PHASE_HEAD:
        if (late && http_head_begun(&c->request->head)) {
            refuse(c, 408, "the request took too long");
        } else if (late) {
            http_connection_end(c);
        }
        break;
    case PHASE_IDLE:
    case PHASE_DRAIN:
    case PHASE_FLUSH:
    case PHASE_LINGER:
        if (late) {
            http_connection_end(c);
        }
        break;
    case PHASE_UPGRADED:
        c->sink.on_tick(c->sink.context);
        break;
    case PHASE_RUNNING:
    case PHASE_CLOSED:
        break;
    }
}

void http_connection_stop(struct http_connection *c) {
    if (c->phase == PHASE_UPGRADED) {
        c->sink.on_shutdown(c->sink.context);
    } else if (c->phase == PHASE_IDLE || c->phase == PHASE_HEAD) {
        finish(c, false);
    }
}

static void note_peer(struct http_connection *c) {
    struct sockaddr_storage a;
    int n = sizeof a;
    if (uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&a, &n) == 0) {
        uv_ip_name((const struct sockaddr *)&a, c->peer, sizeof c->peer);
    }
}

void http_connection_accept(struct http_server *s) {
    struct http_connection *c = mem_alloc(sizeof *c);
    c->server = s;
    c->stash = STRBUF(HTTP_WINDOW_BYTES + HTTP_SLAB_BYTES);
    c->out = STRBUF((size_t)256 << 20);
    uv_tcp_init(fiber_loop(), &c->tcp);
    list_push(&s->connections, &c->in_server);
    s->stats.connections++;
    if (uv_accept((uv_stream_t *)&s->listener, (uv_stream_t *)&c->tcp) < 0 || s->stopping ||
        s->stats.connections > s->options.max_connections + HTTP_SPARE_CONNECTIONS) {
        http_connection_end(c);
        return;
    }
    note_peer(c);
    uv_tcp_nodelay(&c->tcp, 1);
    become_idle(c);
    if (s->stats.connections > s->options.max_connections && c->phase == PHASE_IDLE) {
        struct str response = str_z(http_overload_response);
        s->stats.refused_total++;
        http_connection_write(c, &response, 1);
        finish(c, true);
    }
}
