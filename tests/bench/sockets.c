/* Idle WebSockets: opened, held, pings answered. */
#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

enum { MAX_EVENTS = 256, MAX_UNREAD = 64 * 1024 };

struct socket {
    int fd;
    bool open;
    struct strbuf in;
};

struct holder {
    const struct load_options *o;
    struct load_result *r;
    struct socket *sockets;
    int epoll;
    unsigned n_open, n_closed;
};

static void shake_hands(struct holder *h, struct socket *s) {
    const struct load_options *o = h->o;
    struct strbuf out cleanup(strbuf_done) = STRBUF(LOAD_MAX_HEAD);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = s};
    s->in = STRBUF(MAX_UNREAD);
    s->fd = load_connect(o);
    if (s->fd < 0) {
        load_fail(h->r, "connect: %s", strerror(errno));
        h->n_closed++;
        return;
    }
    strbuf_addf(&out,
                "GET %.*s HTTP/1.1\r\nHost: %.*s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
                STR_ARG(o->path), STR_ARG(o->host));
    for (size_t i = 0; i < o->n_fields; i++) {
        strbuf_addf(&out, "%s\r\n", o->fields[i]);
    }
    strbuf_addz(&out, "\r\n");
    (void)!send(s->fd, out.p, out.n, MSG_NOSIGNAL);
    epoll_ctl(h->epoll, EPOLL_CTL_ADD, s->fd, &e);
}

static void end_socket(struct holder *h, struct socket *s, const char *why) {
    load_fail(h->r, "%s: %.*s", why, (int)MIN(s->in.n, 100), strbuf_z(&s->in));
    close(s->fd);
    s->fd = -1;
    h->n_open -= s->open;
    h->n_closed++;
    s->open = false;
}

/* Length of the frame at the beginning of `in`, 0 while it is not whole. */
static size_t frame_length(struct str in) {
    if (in.n < 2) {
        return 0;
    }
    size_t n = (unsigned char)in.p[1] & 127, head = 2;
    if (n == 126) {
        if (in.n < 4) {
            return 0;
        }
        n = (size_t)(unsigned char)in.p[2] << 8 | (unsigned char)in.p[3];
        head = 4;
    }
    return head + n <= in.n ? head + n : 0;
}

static void answer_ping(struct socket *s, struct str frame) {
    char pong[6 + 125] = {(char)0x8a, (char)(0x80 | (frame.n - 2)), 0, 0, 0, 0};
    if (frame.n - 2 <= 125) {
        memcpy(pong + 6, frame.p + 2, frame.n - 2); /* the mask is zero */
        (void)!send(s->fd, pong, 6 + frame.n - 2, MSG_NOSIGNAL);
    }
}

static void on_readable(struct holder *h, struct socket *s) {
    char buffer[4096];
    ssize_t n = recv(s->fd, buffer, sizeof buffer, 0);
    if (n <= 0) {
        if (n == 0 || errno != EAGAIN) {
            end_socket(h, s, "closed");
        }
        return;
    }
    strbuf_add(&s->in, (struct str){buffer, (size_t)n});
    if (!s->open) {
        size_t end = str_find(strbuf_str(&s->in), STR("\r\n\r\n"));
        if (end == SIZE_MAX) {
            return;
        }
        if (!str_starts(strbuf_str(&s->in), STR("HTTP/1.1 101"))) {
            end_socket(h, s, "refused");
            return;
        }
        strbuf_consume(&s->in, end + 4);
        s->open = true;
        h->n_open++;
    }
    for (size_t length; (length = frame_length(strbuf_str(&s->in))) > 0;) {
        unsigned opcode = (unsigned char)s->in.p[0] & 15;
        if (opcode == 9) {
            answer_ping(s, (struct str){s->in.p, length});
        } else if (opcode == 8) {
            end_socket(h, s, "closed by the server");
            return;
        }
        strbuf_consume(&s->in, length);
    }
    if (s->in.n == 0) {
        strbuf_done(&s->in);
        s->in = STRBUF(MAX_UNREAD);
    }
}

/* False when stdin ended. */
static bool turn(struct holder *h, int timeout_ms) {
    struct epoll_event events[MAX_EVENTS];
    char byte;
    int n = epoll_wait(h->epoll, events, MAX_EVENTS, timeout_ms);
    for (int i = 0; i < n; i++) {
        struct socket *s = events[i].data.ptr;
        if (!s) {
            if (read(STDIN_FILENO, &byte, 1) <= 0) {
                return false;
            }
        } else if (s->fd >= 0) {
            on_readable(h, s);
        }
    }
    return true;
}

void load_sockets(const struct load_options *o, struct load_result *ret) {
    struct holder h = {.o = o, .r = ret, .epoll = epoll_create1(EPOLL_CLOEXEC)};
    struct epoll_event in = {.events = EPOLLIN};
    h.sockets = mem_alloc(o->concurrency * sizeof *h.sockets);
    bool more = epoll_ctl(h.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &in) == 0;
    for (unsigned i = 0; i < o->concurrency; i++) {
        shake_hands(&h, &h.sockets[i]);
        while (i + 1 - h.n_open - h.n_closed > 100 && turn(&h, 1000)) {
        }
    }
    int64_t deadline_us = clock_mono_us() + 10 * 1000000;
    while (h.n_open + h.n_closed < o->concurrency && clock_mono_us() < deadline_us) {
        more = turn(&h, 100) && more;
    }
    ret->done = h.n_open;
    printf("open %u\n", h.n_open);
    fflush(stdout);
    while (more) {
        more = turn(&h, 1000);
    }
    for (unsigned i = 0; i < o->concurrency; i++) {
        if (h.sockets[i].fd >= 0) {
            close(h.sockets[i].fd);
        }
        strbuf_done(&h.sockets[i].in);
    }
    mem_free(h.sockets);
    close(h.epoll);
}
