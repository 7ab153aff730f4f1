/* Requests and their streamed answers. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

enum { READ_BYTES = 256 * 1024, MARK_BYTES = 64, MAX_EVENTS = 256 };

enum phase { HEAD, COUNTED, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER, UNTIL_CLOSE, WHOLE };

struct connection {
    int fd;
    unsigned index;
    enum phase phase;
    struct strbuf head; /* and the lines of chunks */
    struct strbuf out;
    size_t sent;
    uint64_t left; /* of the body or chunk */
    int status;
    bool keep;
    char tail[MARK_BYTES]; /* the body's last bytes, as marks may be cut in two */
    size_t n_tail;
    bool seen_first, seen_end;
    int64_t begun_us, first_us, last_us, longest_gap_us;
};

struct driver {
    const struct load_options *o;
    struct load_result *r;
    struct connection *connections;
    int epoll;
    uint64_t begun; /* requests */
    unsigned open;
    int64_t now_us, stop_us;
    char *buffer;
};

/* ---- requests ---- */

static void expand(struct strbuf *out, struct str text, unsigned c, uint64_t n) {
    while (text.n > 0) {
        if (str_starts(text, STR("{c}"))) {
            strbuf_add_i64(out, c);
            text = str_skip(text, 3);
        } else if (str_starts(text, STR("{n}"))) {
            strbuf_add_i64(out, (int64_t)n);
            text = str_skip(text, 3);
        } else {
            strbuf_addc(out, text.p[0]);
            text = str_skip(text, 1);
        }
    }
}

static void write_request(struct driver *d, struct connection *c) {
    const struct load_options *o = d->o;
    struct strbuf body cleanup(strbuf_done) = STRBUF(LOAD_MAX_REQUEST);
    expand(&body, o->body, c->index, d->begun);
    strbuf_reset(&c->out);
    strbuf_addf(&c->out, "POST %.*s HTTP/1.1\r\nHost: %.*s\r\nContent-Type: application/json\r\n",
                STR_ARG(o->path), STR_ARG(o->host));
    for (size_t i = 0; i < o->n_fields; i++) {
        strbuf_addf(&c->out, "%s\r\n", o->fields[i]);
    }
    strbuf_addf(&c->out, "Content-Length: %zu\r\n\r\n", body.n);
    strbuf_add(&c->out, strbuf_str(&body));
    c->sent = 0;
}

static void close_connection(struct driver *d, struct connection *c) {
    if (c->fd >= 0) {
        close(c->fd);
        c->fd = -1;
        d->open--;
    }
}

static bool open_connection(struct driver *d, struct connection *c) {
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    c->fd = load_connect(d->o);
    if (c->fd < 0) {
        load_fail(d->r, "connect: %s", strerror(errno));
        return false;
    }
    epoll_ctl(d->epoll, EPOLL_CTL_ADD, c->fd, &e);
    d->open++;
    return true;
}

static void send_rest(struct driver *d, struct connection *c) {
    while (c->sent < c->out.n) {
        ssize_t n = send(c->fd, c->out.p + c->sent, c->out.n - c->sent, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno != EAGAIN) {
                load_fail(d->r, "send: %s", strerror(errno));
                close_connection(d, c);
            }
            return;
        }
        c->sent += (size_t)n;
    }
}

static bool may_begin(const struct driver *d) {
    return d->o->requests ? d->begun < d->o->requests : d->now_us < d->stop_us;
}

static void begin(struct driver *d, struct connection *c) {
    if (!may_begin(d)) {
        close_connection(d, c);
        return;
    }
    if (c->fd < 0 && !open_connection(d, c)) {
        return;
    }
    d->begun++;
    c->phase = HEAD;
    strbuf_reset(&c->head);
    c->n_tail = 0;
    c->status = 0;
    c->seen_first = c->seen_end = false;
    c->longest_gap_us = 0;
    write_request(d, c);
    c->begun_us = c->last_us = clock_mono_us();
    send_rest(d, c);
}

/* ---- answers ---- */

static bool contains(const struct connection *c, struct str data, struct str mark) {
    char seam[MARK_BYTES * 2];
    if (mark.n == 0 || str_find(data, mark) != SIZE_MAX) {
        return true;
    }
    size_t n = MIN(data.n, mark.n - 1);
    memcpy(seam, c->tail, c->n_tail);
    memcpy(seam + c->n_tail, data.p, n);
    return str_find((struct str){seam, c->n_tail + n}, mark) != SIZE_MAX;
}

static void keep_tail(struct connection *c, struct str data) {
    if (data.n >= MARK_BYTES) {
        memcpy(c->tail, data.p + data.n - MARK_BYTES, MARK_BYTES);
        c->n_tail = MARK_BYTES;
        return;
    }
    size_t keep = MIN(c->n_tail, MARK_BYTES - data.n);
    memmove(c->tail, c->tail + c->n_tail - keep, keep);
    memcpy(c->tail + keep, data.p, data.n);
    c->n_tail = keep + data.n;
}

static void on_body(struct driver *d, struct connection *c, struct str data) {
    d->r->bytes += data.n;
    if (!c->seen_first && contains(c, data, d->o->first_mark)) {
        c->seen_first = true;
        c->first_us = d->now_us;
    } else if (c->seen_first) {
        c->longest_gap_us = MAX(c->longest_gap_us, d->now_us - c->last_us);
    }
    c->last_us = d->now_us;
    c->seen_end = c->seen_end || contains(c, data, d->o->end_mark);
    keep_tail(c, data);
}

static void finish(struct driver *d, struct connection *c) {
    if (c->status != 200) {
        load_fail(d->r, "status %d: %.*s", c->status, (int)c->n_tail, c->tail);
    } else if (!c->seen_first || !c->seen_end) {
        load_fail(d->r, "the answer lacks %s: %.*s", c->seen_first ? "its end" : "text",
                  (int)c->n_tail, c->tail);
    } else {
        d->r->done++;
        samples_add(&d->r->first, c->first_us - c->begun_us);
        samples_add(&d->r->total, d->now_us - c->begun_us);
        if (d->o->pace_ms) {
            int64_t pace_us = d->o->pace_ms * 1000;
            samples_add(&d->r->late, d->now_us - c->first_us - (d->o->tokens - 1) * pace_us);
            samples_add(&d->r->gap, c->longest_gap_us - pace_us);
        }
    }
    if (!c->keep) {
        close_connection(d, c);
    }
    begin(d, c);
}

static void read_head(struct connection *c) {
    struct str rest = strbuf_str(&c->head);
    struct str line = str_cut(&rest, '\n');
    int64_t n = -1;
    bool chunked = false;
    c->status = line.n > 12 ? atoi(line.p + 9) : 0;
    c->keep = true;
    while (rest.n > 0) {
        line = str_cut(&rest, '\n');
        struct str value = str_trim(line), name = str_cut(&value, ':');
        value = str_trim(value);
        if (str_eq_nocase(name, STR("content-length"))) {
            (void)str_to_i64(value, &n);
        } else if (str_eq_nocase(name, STR("transfer-encoding"))) {
            chunked = true;
        } else if (str_eq_nocase(name, STR("connection")) && str_eq_nocase(value, STR("close"))) {
            c->keep = false;
        }
    }
    c->left = n > 0 ? (uint64_t)n : 0;
    c->phase = chunked ? CHUNK_SIZE : n > 0 ? COUNTED : n == 0 ? WHOLE : UNTIL_CLOSE;
    strbuf_reset(&c->head);
}

/* Gathers up to and with the next line end; false when it did not come yet. */
static bool take_line(struct connection *c, struct str *data) {
    size_t n = str_find_char(*data, '\n');
    bool whole = n != SIZE_MAX;
    strbuf_add(&c->head, str_head(*data, whole ? n + 1 : data->n));
    *data = str_skip(*data, whole ? n + 1 : data->n);
    return whole;
}

static void take_data(struct driver *d, struct connection *c, struct str *data, enum phase next) {
    struct str piece = str_head(*data, MIN(data->n, c->left));
    on_body(d, c, piece);
    *data = str_skip(*data, piece.n);
    c->left -= piece.n;
    if (c->left == 0) {
        c->phase = next;
    }
}

static void feed(struct driver *d, struct connection *c, struct str data) {
    while (data.n > 0 && c->phase != WHOLE) {
        switch (c->phase) {
        case HEAD:
            if (take_line(c, &data) && str_ends(strbuf_str(&c->head), STR("\r\n\r\n"))) {
                read_head(c);
            }
            break;
        case CHUNK_SIZE:
            if (take_line(c, &data)) {
                c->left = strtoull(strbuf_z(&c->head), NULL, 16);
                c->phase = c->left ? CHUNK_DATA : TRAILER;
                strbuf_reset(&c->head);
            }
            break;
        case CHUNK_END:
        case TRAILER:
            if (take_line(c, &data)) {
                c->phase = c->phase == TRAILER ? WHOLE : CHUNK_SIZE;
                strbuf_reset(&c->head);
            }
            break;
        case COUNTED:
            take_data(d, c, &data, WHOLE);
            break;
        case CHUNK_DATA:
            take_data(d, c, &data, CHUNK_END);
            break;
        default:
            on_body(d, c, data);
            data = STR_EMPTY;
        }
    }
    if (c->phase == WHOLE) {
        finish(d, c);
    }
}

static void on_readable(struct driver *d, struct connection *c) {
    for (;;) {
        ssize_t n = c->fd < 0 ? -1 : recv(c->fd, d->buffer, READ_BYTES, 0);
        if (n < 0 && (c->fd < 0 || errno == EAGAIN)) {
            return;
        }
        d->now_us = clock_mono_us();
        if (n > 0) {
            feed(d, c, (struct str){d->buffer, (size_t)n});
            continue;
        }
        close_connection(d, c);
        if (n == 0 && c->phase == UNTIL_CLOSE) {
            finish(d, c);
        } else {
            load_fail(d->r, "the connection closed in mid-answer, status %d", c->status);
            begin(d, c);
        }
        return;
    }
}

/* ---- the loop ---- */

static void begin_due(struct driver *d, unsigned *begun) {
    const struct load_options *o = d->o;
    int64_t since_ms = (d->now_us - d->r->begun_us) / 1000;
    unsigned due = o->concurrency;
    if (o->ramp_ms > 0 && since_ms < o->ramp_ms) {
        due = (unsigned)((int64_t)o->concurrency * since_ms / o->ramp_ms);
    }
    while (*begun < due) {
        begin(d, &d->connections[(*begun)++]);
    }
}

void load_exchange(const struct load_options *o, struct load_result *ret) {
    struct driver d = {.o = o, .r = ret, .epoll = epoll_create1(EPOLL_CLOEXEC)};
    struct epoll_event events[MAX_EVENTS];
    unsigned begun = 0;
    d.buffer = mem_alloc(READ_BYTES);
    d.connections = mem_alloc(o->concurrency * sizeof *d.connections);
    d.now_us = ret->begun_us;
    d.stop_us = ret->begun_us + o->seconds * 1000000;
    for (unsigned i = 0; i < o->concurrency; i++) {
        d.connections[i].fd = -1;
        d.connections[i].index = i;
        d.connections[i].head = STRBUF(LOAD_MAX_HEAD);
        d.connections[i].out = STRBUF(LOAD_MAX_REQUEST + LOAD_MAX_HEAD);
    }
    do {
        begin_due(&d, &begun);
        int n = epoll_wait(d.epoll, events, MAX_EVENTS, begun < o->concurrency ? 1 : 1000);
        d.now_us = clock_mono_us();
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (c->fd >= 0 && c->sent < c->out.n) {
                send_rest(&d, c);
            }
            on_readable(&d, c);
        }
    } while (d.open > 0 || begun < o->concurrency);
    ret->ended_us = d.now_us;
    for (unsigned i = 0; i < o->concurrency; i++) {
        strbuf_done(&d.connections[i].head);
        strbuf_done(&d.connections[i].out);
    }
    mem_free(d.connections);
    mem_free(d.buffer);
    close(d.epoll);
}
