#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"

enum { WIRE_TIMEOUT_MS = 5000 };

void wire_open(struct wire *w, const char *address) {
    struct str rest = str_z(address);
    struct sockaddr_in a = {.sin_family = AF_INET};
    int64_t port = 0;
    int one = 1;
    char *host = str_dup_z(str_cut(&rest, ':'));
    inet_pton(AF_INET, host, &a.sin_addr);
    free(host);
    str_to_i64(rest, &port);
    a.sin_port = htons((uint16_t)port);
    *w = (struct wire){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
                       .in = STRBUF((size_t)64 << 20)};
    /* The listening queue takes the connection without the server's help. */
    if (connect(w->fd, (struct sockaddr *)&a, sizeof a) < 0) {
        w->ended = true;
    }
    setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(w->fd, F_SETFL, O_NONBLOCK);
}

void wire_done(struct wire *w) {
    close(w->fd);
    strbuf_done(&w->in);
}

void wire_send(struct wire *w, struct str bytes) {
    int64_t until_us = clock_mono_us() + WIRE_TIMEOUT_MS * 1000;
    while (bytes.n > 0 && clock_mono_us() < until_us) {
        ssize_t n = send(w->fd, bytes.p, bytes.n, MSG_NOSIGNAL);
        if (n > 0) {
            bytes = str_skip(bytes, (size_t)n);
        } else if (errno != EAGAIN) {
            return;
        } else {
            fiber_sleep(1);
        }
    }
}

size_t wire_send_until_stuck(struct wire *w, struct str bytes) {
    size_t sent = 0;
    for (int stuck = 0; stuck < 50 && sent < bytes.n;) {
        ssize_t n = send(w->fd, bytes.p + sent, bytes.n - sent, MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        stuck = n > 0 ? 0 : stuck + 1;
        fiber_sleep(1);
    }
    return sent;
}

void wire_half_close(struct wire *w) {
    shutdown(w->fd, SHUT_WR);
}

static void receive(struct wire *w) {
    char buf[65536];
    ssize_t n = recv(w->fd, buf, sizeof buf, 0);
    if (n > 0) {
        strbuf_add(&w->in, (struct str){buf, (size_t)n});
    } else if (n == 0 || errno != EAGAIN) {
        w->ended = true;
        w->reset = n < 0;
    } else {
        fiber_sleep(1);
    }
}

bool wire_await(struct wire *w, size_t n) {
    int64_t until_us = clock_mono_us() + WIRE_TIMEOUT_MS * 1000;
    while (w->in.n < n && !w->ended && clock_mono_us() < until_us) {
        receive(w);
    }
    return w->in.n >= n;
}

size_t wire_await_mark(struct wire *w, struct str mark) {
    for (;;) {
        size_t at = str_find(strbuf_str(&w->in), mark);
        if (at != SIZE_MAX) {
            return at + mark.n;
        }
        if (!wire_await(w, w->in.n + 1)) {
            return 0;
        }
    }
}

bool wire_await_end(struct wire *w) {
    while (wire_await(w, w->in.n + 1)) {
    }
    return w->ended;
}

static bool consume_into(struct wire *w, size_t n, struct strbuf *to) {
    if (!wire_await(w, n)) {
        return false;
    }
    strbuf_add(to, (struct str){w->in.p, n});
    strbuf_consume(&w->in, n);
    return true;
}

static void read_chunks(struct wire *w, struct strbuf *body) {
    struct strbuf line cleanup(strbuf_done) = STRBUF(1024);
    for (;;) {
        size_t n = wire_await_mark(w, STR("\r\n"));
        strbuf_reset(&line);
        if (n == 0 || !consume_into(w, n, &line)) {
            strbuf_addz(body, "<cut>");
            return;
        }
        size_t size = strtoul(line.p, NULL, 16);
        strbuf_reset(&line);
        if (!consume_into(w, size, body) || !consume_into(w, 2, &line)) {
            strbuf_addz(body, "<cut>");
            return;
        }
        if (size == 0) {
            return;
        }
    }
}

struct str wire_field(const struct wire_response *r, const char *name) {
    struct str rest = strbuf_str(&r->head);
    while (rest.n > 0) {
        struct str value = str_cut(&rest, '\n');
        struct str key = str_cut(&value, ':');
        if (str_eq_nocase(key, str_z(name))) {
            return str_trim(value);
        }
    }
    return STR_EMPTY;
}

void wire_read_response(struct wire *w, bool without_body, struct wire_response *ret) {
    int64_t length = -1;
    *ret = (struct wire_response){.head = STRBUF(65536), .body = STRBUF((size_t)64 << 20)};
    size_t n = wire_await_mark(w, STR("\r\n\r\n"));
    if (n == 0) {
        return;
    }
    consume_into(w, n, &ret->head);
    ret->status = atoi(ret->head.p + 9);
    if (without_body || ret->status / 100 == 1 || ret->status == 204 || ret->status == 304) {
        return;
    }
    if (str_eq(wire_field(ret, "Transfer-Encoding"), STR("chunked"))) {
        read_chunks(w, &ret->body);
    } else if (str_to_i64(wire_field(ret, "Content-Length"), &length)) {
        consume_into(w, (size_t)length, &ret->body);
    } else {
        wire_await_end(w);
        consume_into(w, w->in.n, &ret->body);
    }
}

void wire_response_done(struct wire_response *r) {
    strbuf_done(&r->head);
    strbuf_done(&r->body);
}

int wire_status(struct wire *w, struct str request) {
    struct wire_response r;
    wire_send(w, request);
    wire_read_response(w, false, &r);
    wire_response_done(&r);
    return r.status;
}
