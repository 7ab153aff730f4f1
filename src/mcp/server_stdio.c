/* stdio: a message a line, both ways. One session stands for the client of a legacy revision;
 * modern requests on the same pipe need none. A writer's fiber has the output for itself. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "mcp/server_internal.h"

enum {
    READ_BYTES = 64 * 1024,
    WRITE_BYTES = 64 * 1024,
    MAX_UNSENT_BYTES = 4 * 1024 * 1024, /* then no more is read until the client has taken some */
    LAST_CALLS_MS = 500,                /* what runs at the end of the input may finish */
    LAST_WRITES_MS = 5000,
};

/* A descriptor that fibers wait for. A file is always ready and cannot be polled. */
struct descriptor {
    int fd, old_flags;
    bool pollable, closed;
    uv_poll_t poll;
    struct fiber_cond ready;
};

struct stdio {
    struct mcp_endpoint *e;
    struct mcp_session *session;
    struct mcp_stream *out;
    void *user_context;
    struct descriptor from, to;
    struct strbuf line;
    bool skipping; /* a line that was too long */
    bool input_ended, output_ended;
    struct fiber_cond written;
};

/* ---- descriptors ---- */

static int descriptor_open(struct descriptor *d, int fd, struct err *err) {
    d->fd = fd;
    fiber_cond_init(&d->ready);
    d->old_flags = fcntl(fd, F_GETFL);
    if (d->old_flags < 0) {
        return err_set(err, ERR_IO, "descriptor %d: %s", fd, strerror(errno));
    }
    d->pollable = uv_poll_init(fiber_loop(), &d->poll, fd) == 0;
    if (d->pollable && fcntl(fd, F_SETFL, d->old_flags | O_NONBLOCK) < 0) {
        log_warn("mcp", "descriptor %d cannot be made non-blocking: %s", fd, strerror(errno));
    }
    return 0;
}

static void on_closed(uv_handle_t *handle) {
    struct descriptor *d = container_of(handle, struct descriptor, poll);
    d->closed = true;
    fiber_broadcast(&d->ready);
}

static may_yield void descriptor_close(struct descriptor *d) {
    if (!d->pollable) {
        return;
    }
    fcntl(d->fd, F_SETFL, d->old_flags);
    uv_close((uv_handle_t *)&d->poll, on_closed);
    fiber_shield_enter();
    while (!d->closed) {
        (void)fiber_wait(&d->ready, FIBER_FOREVER); /* the loop closes it at its next turn */
    }
    fiber_shield_leave();
}

static void on_ready(uv_poll_t *poll, int status, int events) {
    struct descriptor *d = container_of(poll, struct descriptor, poll);
    (void)status;
    (void)events;
    uv_poll_stop(poll);
    fiber_broadcast(&d->ready);
}

static may_yield int descriptor_wait(struct descriptor *d, int events) {
    if (!d->pollable) {
        fiber_yield();
        return fiber_cancelled() ? -ERR_CANCELLED : 0;
    }
    if (uv_poll_start(&d->poll, events, on_ready) < 0) {
        return -ERR_IO;
    }
    int rc = fiber_wait(&d->ready, FIBER_FOREVER); /* the client, or the end of the endpoint */
    uv_poll_stop(&d->poll);
    return rc;
}

/* ---- out ---- */

static may_yield int write_all(struct stdio *s, struct str bytes) {
    while (bytes.n) {
        ssize_t n = write(s->to.fd, bytes.p, bytes.n);
        if (n > 0) {
            bytes = str_skip(bytes, (size_t)n);
        } else if (n < 0 && errno != EAGAIN && errno != EINTR) {
            return -ERR_IO;
        } else if (descriptor_wait(&s->to, UV_WRITABLE) < 0) {
            return -ERR_CANCELLED;
        }
    }
    return 0;
}

static may_yield int write_pending(struct stdio *s) {
    struct strbuf lines cleanup(strbuf_done) =
        STRBUF(s->e->options.max_result_bytes * 4 + WRITE_BYTES);
    struct mcp_message *m;
    while (lines.n < WRITE_BYTES && (m = mcp_stream_after(s->out, s->out->sent_seq))) {
        strbuf_add(&lines, (struct str){m->text, m->n});
        strbuf_addc(&lines, '\n');
        mcp_stream_sent(s->out, m->seq);
    }
    return write_all(s, strbuf_str(&lines));
}

static void writer(void *arg) {
    struct stdio *s = arg;
    int rc = 0;
    while (rc == 0) {
        if (mcp_stream_after(s->out, s->out->sent_seq)) {
            rc = write_pending(s);
            fiber_broadcast(&s->written);
        } else if (s->out->finished) {
            break;
        } else {
            rc = fiber_wait(&s->out->changed, FIBER_FOREVER); /* the reader ends it */
        }
    }
    s->output_ended = true;
    fiber_broadcast(&s->written);
    fiber_broadcast(&s->from.ready); /* the reader has nobody to read for */
}

/* ---- in ---- */

static void answer_error(struct stdio *s, struct str id, int code, struct str message) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(64 * 1024);
    rpc_write_error(&text, id, code, message, STR_EMPTY);
    mcp_stream_push(s->out, strbuf_str(&text), false);
}

static void take_request(struct stdio *s, const struct rpc_message *m, json_t *params) {
    struct err err;
    if (mcp_session_request(s->session, m->id)) {
        answer_error(s, m->id, RPC_INVALID_REQUEST, STR("a request of this id is running"));
        return;
    }
    if (s->session->user->calls >= s->e->options.max_calls_per_user) {
        answer_error(s, m->id, RPC_INTERNAL_ERROR, STR("too many requests at a time"));
        return;
    }
    struct mcp_request *r =
        mcp_request_new(s->e, s->session->user, s->user_context, mcp_session_ref(s->session),
                        mcp_stream_ref(s->out), m, json_incref(params));
    if (mcp_message_is_modern(m, params) &&
        (mcp_request_read_meta(r, &err) < 0 || mcp_request_check_version(r, &err) < 0)) {
        mcp_respond_failure(r, &err);
        mcp_request_unref(r);
    } else if (mcp_dispatch_yields(r)) {
        mcp_dispatch_begin(r);
    } else {
        mcp_dispatch(r);
        mcp_request_unref(r);
    }
}

static void take_line(struct stdio *s, struct str line) {
    struct arena arena cleanup(arena_done) = {0};
    struct rpc_message m = {0};
    json_auto_t *params = NULL;
    struct err err;
    if (str_trim(line).n == 0) {
        return;
    }
    int rc = rpc_read(line, &arena, &m, &err);
    if (rc < 0) {
        answer_error(s, rc == -ERR_PROTOCOL ? m.id : (struct str){0},
                     rc == -ERR_PROTOCOL ? RPC_INVALID_REQUEST : RPC_PARSE_ERROR, str_z(err.msg));
        return;
    }
    if (m.kind == RPC_RESPONSE) {
        mcp_session_answer(s->session, &m);
    } else if (m.kind == RPC_NOTIFICATION) {
        mcp_dispatch_notification(s->session, &m);
    } else if (m.params.p && json_read(m.params, &params, &err) < 0) {
        answer_error(s, m.id, RPC_PARSE_ERROR, str_z(err.msg));
    } else if (params && !json_is_object(params)) {
        answer_error(s, m.id, RPC_INVALID_PARAMS, STR("params: must be an object"));
    } else {
        take_request(s, &m, params);
    }
}

static void take_bytes(struct stdio *s, struct str bytes) {
    while (bytes.n) {
        size_t end = str_find_char(bytes, '\n');
        struct str part = str_head(bytes, end);
        strbuf_add(&s->line, part);
        if (s->line.failed && !s->skipping) {
            s->skipping = true;
            answer_error(s, (struct str){0}, RPC_INVALID_REQUEST, STR("the message is too large"));
        }
        if (end == SIZE_MAX) {
            return;
        }
        bytes = str_skip(bytes, end + 1);
        if (!s->skipping) {
            take_line(s, strbuf_str(&s->line));
        }
        s->skipping = false;
        strbuf_reset(&s->line);
    }
}

static bool ended(const struct stdio *s) {
    return s->input_ended || s->output_ended || s->session->closed;
}

static may_yield int reader(struct stdio *s) {
    char *buffer cleanup(mem_free_p) = mem_alloc(READ_BYTES);
    int rc = 0;
    while (rc == 0 && !ended(s)) {
        if (s->out->bytes > MAX_UNSENT_BYTES) {
            rc = fiber_wait(&s->written, FIBER_FOREVER); /* the client has to read */
            continue;
        }
        ssize_t n = read(s->from.fd, buffer, READ_BYTES);
        if (n > 0) {
            take_bytes(s, (struct str){buffer, (size_t)n});
            fiber_yield();
        } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            s->input_ended = true;
        } else {
            rc = descriptor_wait(&s->from, UV_READABLE);
        }
    }
    return rc == -ERR_CANCELLED ? rc : 0;
}

/* ---- all of it ---- */

/* Something other than listening is under way. */
static bool works(const struct mcp_session *s) {
    list_each (node, &s->requests) {
        struct mcp_request *r = list_entry(node, struct mcp_request, in_session);
        if (!str_eq(r->method, STR("subscriptions/listen"))) {
            return true;
        }
    }
    return false;
}

static may_yield void let_finish(struct stdio *s) {
    int64_t until_us = clock_mono_us() + LAST_CALLS_MS * 1000;
    while (works(s->session) && !s->output_ended) {
        int64_t left_ms = (until_us - clock_mono_us()) / 1000;
        if (left_ms <= 0 || fiber_wait(&s->out->changed, left_ms) < 0) {
            return;
        }
    }
}

static may_yield void flush(struct stdio *s) {
    int64_t until_us = clock_mono_us() + LAST_WRITES_MS * 1000;
    while (!s->output_ended) {
        int64_t left_ms = (until_us - clock_mono_us()) / 1000;
        if (left_ms <= 0 || fiber_wait(&s->written, left_ms) < 0) {
            return;
        }
    }
}

static may_yield int serve(struct stdio *s, struct err *err) {
    struct fiber_scope scope;
    fiber_scope_init(&scope);
    int rc = fiber_spawn(&scope, "mcp stdio writer", writer, s, NULL, err);
    if (rc == 0) {
        rc = reader(s);
        if (rc == 0) {
            let_finish(s);
        }
        mcp_session_close(s->session);
        flush(s);
    }
    fiber_scope_done(&scope);
    return rc == -ERR_CANCELLED ? err_set(err, ERR_CANCELLED, "cancelled") : rc;
}

int mcp_endpoint_stdio(struct mcp_endpoint *e, int in_fd, int out_fd, struct str user_id,
                       void *user_context, struct err *err) {
    struct stdio s = {.e = e, .user_context = user_context};
    fiber_point();
    int rc = descriptor_open(&s.from, in_fd, err);
    if (rc == 0) {
        rc = descriptor_open(&s.to, out_fd, err);
    }
    if (rc == 0) {
        s.session = mcp_session_ref(mcp_session_stdio(e, mcp_user_get(e, user_id)));
        s.out = mcp_stream_ref(s.session->own);
        s.line = STRBUF(e->options.max_body_bytes);
        fiber_cond_init(&s.written);
        rc = serve(&s, err);
        mcp_session_close(s.session);
        mcp_session_unref(s.session);
        mcp_stream_unref(s.out);
        strbuf_done(&s.line);
    }
    descriptor_close(&s.to);
    descriptor_close(&s.from);
    return rc;
}
