/* Listening, the tick of all deadlines, and the graceful end. */
#include <assert.h>
#include <signal.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/http_internal.h"

static void apply_defaults(struct http_server_options *o) {
#define DEFAULT(field, value)                                                                      \
    do {                                                                                           \
        if (o->field == 0) {                                                                       \
            o->field = (value);                                                                    \
        }                                                                                          \
    } while (0)
    DEFAULT(max_header_bytes, 16 * 1024);
    DEFAULT(max_fields, 100);
    DEFAULT(max_body_bytes, 8 << 20);
    DEFAULT(max_incoming_bytes, (size_t)256 << 20);
    DEFAULT(max_write_queue_bytes, 256 * 1024);
    DEFAULT(max_connections, 12000);
    DEFAULT(header_timeout_ms, 10000);
    DEFAULT(body_timeout_ms, 30000);
    DEFAULT(body_total_timeout_ms, 120000);
    DEFAULT(keepalive_timeout_ms, 75000);
#undef DEFAULT
}

/* "127.0.0.1:8080" or "[::1]:8080". */
static int parse_address(const char *text, struct sockaddr_storage *ret, struct err *err) {
    struct str rest = str_z(text), host, port;
    int64_t number;
    char host_z[INET6_ADDRSTRLEN];
    bool v6 = str_starts(rest, STR("["));
    if (v6) {
        rest = str_skip(rest, 1);
        host = str_cut(&rest, ']');
        port = str_starts(rest, STR(":")) ? str_skip(rest, 1) : STR_EMPTY;
    } else {
        host = str_cut(&rest, ':');
        port = rest;
    }
    if (!str_to_i64(port, &number) || number < 0 || number > 65535 || host.n >= sizeof host_z) {
        return err_set(err, ERR_INVALID, "\"%s\" is not an address like 127.0.0.1:8080", text);
    }
    snprintf(host_z, sizeof host_z, "%.*s", STR_ARG(host));
    int rc = v6 ? uv_ip6_addr(host_z, (int)number, (struct sockaddr_in6 *)ret)
                : uv_ip4_addr(host_z, (int)number, (struct sockaddr_in *)ret);
    if (rc < 0) {
        return err_set(err, ERR_INVALID, "\"%s\" is not an address like 127.0.0.1:8080", text);
    }
    return 0;
}

static void note_address(struct http_server *s) {
    struct sockaddr_storage a;
    int n = sizeof a;
    char host[INET6_ADDRSTRLEN] = "";
    if (uv_tcp_getsockname(&s->listener, (struct sockaddr *)&a, &n) < 0) {
        return;
    }
    uv_ip_name((const struct sockaddr *)&a, host, sizeof host);
    bool v6 = a.ss_family == AF_INET6;
    unsigned port =
        ntohs(v6 ? ((struct sockaddr_in6 *)&a)->sin6_port : ((struct sockaddr_in *)&a)->sin_port);
    snprintf(s->address, sizeof s->address, v6 ? "[%s]:%u" : "%s:%u", host, port);
}

/* ---- the loop's callbacks ---- */

static void on_connection(uv_stream_t *listener, int status) {
    struct http_server *s = container_of(listener, struct http_server, listener);
    if (status < 0) {
        log_warn("net", "accepting failed: %s", uv_strerror(status));
        return;
    }
    http_connection_accept(s);
}

static void on_tick(uv_timer_t *timer) {
    struct http_server *s = container_of(timer, struct http_server, tick);
    int64_t now_us = clock_mono_us();
    list_each (node, &s->connections) {
        http_connection_tick(list_entry(node, struct http_connection, in_server), now_us);
    }
}

/* An active idle handle keeps the loop from sleeping while a stash waits to be fed. */
static void on_pump(uv_idle_t *idle) {
    struct http_server *s = container_of(idle, struct http_server, pump);
    struct list batch;
    list_init(&batch);
    for (struct list *node; (node = list_pop(&s->pumped));) {
        list_push(&batch, node);
    }
    for (struct list *node; (node = list_pop(&batch));) {
        http_connection_pump(list_entry(node, struct http_connection, in_pump));
    }
    fiber_drain();
    if (list_empty(&s->pumped)) {
        uv_idle_stop(idle);
    }
}

void http_server_pump_later(struct http_connection *c) {
    struct http_server *s = c->server;
    if (!list_linked(&c->in_pump)) {
        list_push(&s->pumped, &c->in_pump);
        uv_idle_start(&s->pump, on_pump);
    }
}

static void on_handle_closed(uv_handle_t *handle) {
    struct http_server *s = handle->data;
    s->open_handles--;
    fiber_broadcast(&s->changed);
}

static void close_handle(struct http_server *s, uv_handle_t *handle) {
    handle->data = s;
    uv_close(handle, on_handle_closed);
}

/* ---- start ---- */

static uint64_t tick_ms(const struct http_server_options *o) {
    int64_t shortest = MIN(MIN(o->header_timeout_ms, o->body_timeout_ms), o->keepalive_timeout_ms);
    return (uint64_t)MIN(MAX(shortest / 4, (int64_t)10), (int64_t)1000);
}

static int listen_on(struct http_server *s, const struct sockaddr_storage *address) {
    uv_os_fd_t fd;
    int one = 1;
    if (s->options.reuse_port && (uv_fileno((uv_handle_t *)&s->listener, &fd) < 0 ||
                                  setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) < 0)) {
        return UV_ENOTSUP;
    }
    int rc = uv_tcp_bind(&s->listener, (const struct sockaddr *)address, 0);
    return rc < 0 ? rc : uv_listen((uv_stream_t *)&s->listener, SOMAXCONN, on_connection);
}

static void abandon(uv_handle_t *handle) {
    mem_free(container_of(handle, struct http_server, listener));
}

int http_server_start(const struct http_server_options *options, struct http_server **ret,
                      struct err *err) {
    struct sockaddr_storage address;
    if (parse_address(options->address, &address, err) < 0) {
        return -ERR_INVALID;
    }
    signal(SIGPIPE, SIG_IGN); /* libuv writes without MSG_NOSIGNAL */
    struct http_server *s = mem_alloc(sizeof *s);
    s->options = *options;
    apply_defaults(&s->options);
    s->head_limits = (struct http_head_limits){.max_bytes = s->options.max_header_bytes,
                                               .max_fields = s->options.max_fields};
    s->scratch = STRBUF(HTTP_RESPONSE_HEAD_BYTES);
    list_init(&s->connections);
    list_init(&s->pumped);
    fiber_scope_init(&s->scope);
    fiber_cond_init(&s->changed);
    uv_tcp_init_ex(fiber_loop(), &s->listener, address.ss_family);
    int rc = listen_on(s, &address);
    if (rc < 0) {
        uv_close((uv_handle_t *)&s->listener, abandon);
        return err_set(err, rc == UV_EADDRINUSE ? ERR_CONFLICT : ERR_IO, "cannot listen on %s: %s",
                       options->address, uv_strerror(rc));
    }
    uv_idle_init(fiber_loop(), &s->pump);
    uv_timer_init(fiber_loop(), &s->tick);
    uv_timer_start(&s->tick, on_tick, tick_ms(&s->options), tick_ms(&s->options));
    s->open_handles = 3;
    note_address(s);
    *ret = s;
    return 0;
}

const char *http_server_address(const struct http_server *server) {
    return server->address;
}

struct http_server_stats http_server_stats(const struct http_server *server) {
    return server->stats;
}

/* ---- stop ---- */

static void stop_accepting(struct http_server *s) {
    s->stopping = true;
    close_handle(s, (uv_handle_t *)&s->listener);
    list_each (node, &s->connections) {
        http_connection_stop(list_entry(node, struct http_connection, in_server));
    }
}

static void cut_connections(struct http_server *s) {
    list_each (node, &s->connections) {
        http_connection_end(list_entry(node, struct http_connection, in_server));
    }
    fiber_scope_cancel(&s->scope);
}

void http_server_stop(struct http_server *s, int64_t grace_ms) {
    fiber_point();
    assert(!s->stopping);
    int64_t until_us = clock_mono_us() + grace_ms * 1000;
    stop_accepting(s);
    while (!list_empty(&s->connections)) {
        int64_t left_ms = (until_us - clock_mono_us()) / 1000;
        if (left_ms <= 0 || fiber_wait(&s->changed, left_ms) == -ERR_CANCELLED) {
            break;
        }
    }
    /* The connections hold pointers to the server: it must see the last of them. */
    fiber_shield_enter();
    cut_connections(s);
    fiber_scope_join(&s->scope);
    close_handle(s, (uv_handle_t *)&s->tick);
    close_handle(s, (uv_handle_t *)&s->pump);
    while (!list_empty(&s->connections) || s->open_handles > 0) {
        fiber_wait(&s->changed, FIBER_FOREVER);
    }
    fiber_shield_leave();
    s->stopped = true;
}

void http_server_free(struct http_server *s) {
    if (!s) {
        return;
    }
    assert(s->stopped);
    strbuf_done(&s->scratch);
    mem_free(s);
}
