#include "raw_server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

enum { PATIENCE_MS = 20 * 1000, MAX_INPUT_BYTES = 16 << 20 };

struct raw_connection {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    };
    struct raw_server *server;
    struct fiber_cond changed;
    struct strbuf in;
    size_t taken;
    unsigned number;
    bool ended, closed, script_done;
    char buffer[16384];
};

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret) {
    (void)suggested;
    struct raw_connection *c = handle->data;
    *ret = uv_buf_init(c->buffer, sizeof c->buffer);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    struct raw_connection *c = stream->data;
    if (n > 0) {
        strbuf_add(&c->in, (struct str){buf->base, (size_t)n});
    } else if (n < 0) {
        c->ended = true;
        c->server->hung_up++;
        fiber_broadcast(&c->server->changed);
        uv_read_stop(stream);
    }
    fiber_broadcast(&c->changed);
}

static void free_when_unused(struct raw_connection *c) {
    if (c->closed && c->script_done) {
        strbuf_done(&c->in);
        mem_free(c);
    }
}

static void on_closed(uv_handle_t *handle) {
    struct raw_connection *c = handle->data;
    c->closed = true;
    free_when_unused(c);
}

static void run_script(void *arg) {
    struct raw_connection *c = arg;
    c->server->script(c);
    if (!uv_is_closing(&c->handle)) {
        uv_close(&c->handle, on_closed);
    }
    c->script_done = true;
    free_when_unused(c);
}

static void init_stream(uv_handle_t *handle, const struct raw_server *s) {
    if (s->socket_path) {
        uv_pipe_init(fiber_loop(), (uv_pipe_t *)handle, 0);
    } else {
        uv_tcp_init(fiber_loop(), (uv_tcp_t *)handle);
    }
}

static void on_connection(uv_stream_t *listener, int status) {
    struct raw_server *s = listener->data;
    struct err err;
    assert(status == 0);
    struct raw_connection *c = mem_alloc(sizeof *c);
    c->server = s;
    c->number = ++s->accepted;
    c->in = STRBUF(MAX_INPUT_BYTES);
    fiber_cond_init(&c->changed);
    init_stream(&c->handle, s);
    c->handle.data = c;
    int rc = uv_accept(listener, &c->stream);
    assert(rc == 0);
    uv_read_start(&c->stream, on_alloc, on_read);
    rc = fiber_spawn(&s->scope, "raw connection", run_script, c, NULL, &err);
    assert(rc == 0);
}

static void bind_tcp(struct raw_server *s) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int length = sizeof address;
    int rc = uv_tcp_bind(&s->tcp, (struct sockaddr *)&address, 0);
    assert(rc == 0);
    rc = uv_tcp_getsockname(&s->tcp, (struct sockaddr *)&address, &length);
    assert(rc == 0);
    s->port = ntohs(address.sin_port);
}

void raw_server_start(struct raw_server *s, const char *socket_path,
                      void (*script)(struct raw_connection *c)) {
    *s = (struct raw_server){.script = script};
    s->socket_path = socket_path ? str_dup_z(str_z(socket_path)) : NULL;
    fiber_scope_init(&s->scope);
    fiber_cond_init(&s->changed);
    init_stream(&s->handle, s);
    s->handle.data = s;
    if (socket_path) {
        int rc = uv_pipe_bind(&s->pipe, socket_path);
        assert(rc == 0);
    } else {
        bind_tcp(s);
    }
    snprintf(s->url, sizeof s->url, "http://127.0.0.1:%d", s->port);
    int rc = uv_listen(&s->stream, 16, on_connection);
    assert(rc == 0);
}

static void on_server_closed(uv_handle_t *handle) {
    struct raw_server *s = handle->data;
    s->closed = true;
    fiber_broadcast(&s->changed);
}

void raw_server_stop(struct raw_server *s) {
    fiber_scope_done(&s->scope);
    uv_close(&s->handle, on_server_closed);
    while (!s->closed) {
        (void)fiber_wait(&s->changed, PATIENCE_MS);
    }
    mem_free(s->socket_path);
}

struct raw_server *raw_server_of(struct raw_connection *c) {
    return c->server;
}

unsigned raw_number(const struct raw_connection *c) {
    return c->number;
}

static bool wait_for_input(struct raw_connection *c) {
    return !c->ended && fiber_wait(&c->changed, PATIENCE_MS) == 0;
}

static size_t content_length(struct str head) {
    size_t at = str_find(head, STR("\r\nContent-Length: "));
    return at == SIZE_MAX ? 0 : strtoul(head.p + at + 18, NULL, 10);
}

bool raw_read_request(struct raw_connection *c, struct str *ret_head, struct str *ret_body) {
    strbuf_consume(&c->in, c->taken);
    c->taken = 0;
    size_t at;
    while ((at = str_find(strbuf_str(&c->in), STR("\r\n\r\n"))) == SIZE_MAX) {
        if (!wait_for_input(c)) {
            return false;
        }
    }
    size_t head = at + 4, body = content_length(str_head(strbuf_str(&c->in), head));
    while (c->in.n < head + body) {
        if (!wait_for_input(c)) {
            return false;
        }
    }
    c->taken = head + body;
    c->server->requests++;
    *ret_head = str_head(strbuf_str(&c->in), head);
    *ret_body = str_head(str_skip(strbuf_str(&c->in), head), body);
    return true;
}

struct write {
    uv_write_t request;
    struct fiber_cond done;
    bool finished;
    int status;
};

static void on_written(uv_write_t *request, int status) {
    struct write *w = request->data;
    w->finished = true;
    w->status = status;
    fiber_broadcast(&w->done);
}

bool raw_write(struct raw_connection *c, struct str bytes) {
    struct write w = {.request.data = &w};
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)bytes.p, (unsigned)bytes.n);
    fiber_cond_init(&w.done);
    if (c->ended || uv_is_closing(&c->handle) ||
        uv_write(&w.request, &c->stream, &buf, 1, on_written) < 0) {
        return false;
    }
    if (fiber_wait(&w.done, PATIENCE_MS) < 0) {
        /* The request lies on this stack; closing the connection ends it. */
        c->ended = true;
        uv_close(&c->handle, on_closed);
        fiber_shield_enter();
        while (!w.finished) {
            (void)fiber_wait(&w.done, PATIENCE_MS);
        }
        fiber_shield_leave();
    }
    return w.status == 0;
}

bool raw_writez(struct raw_connection *c, const char *z) {
    return raw_write(c, str_z(z));
}

void raw_wait_hang_up(struct raw_connection *c) {
    while (wait_for_input(c)) {
    }
}

void raw_reset(struct raw_connection *c) {
    c->ended = true;
    uv_tcp_close_reset(&c->tcp, on_closed);
}
