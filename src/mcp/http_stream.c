/* Messages as server-sent events, and going on with a legacy stream that ended early. */
#include "base/log.h"
#include "base/mem.h"
#include "mcp/client_internal.h"
#include "net/http_client.h"
#include "net/sse.h"

enum {
    RETRY_MS = 1000,
    MAX_RETRY_MS = 30 * 1000,
    MAX_FAILURES = 3, /* to resume, one after the other */
    LISTEN_TIMEOUT_MS = 24 * 3600 * 1000,
};

struct stream {
    struct mcp_client *client;
    struct mcp_exchange *x;
    size_t bytes;
    unsigned events, garbage;
    bool at_end; /* what comes now may be half of an event */
};

static int take_event(const struct sse_event *event, void *arg, struct err *err) {
    struct stream *s = arg;
    (void)err;
    s->events++;
    if (event->data.n == 0 || (s->x && s->x->done)) {
        return 0; /* the empty ones only tell an id */
    }
    struct err why;
    if (client_deliver(s->client, s->x, event->data, &why) < 0) {
        s->garbage += !s->at_end;
        log_debug("mcp", "server %.*s: an event is skipped: %s", STR_ARG(s->client->o.name),
                  why.msg);
    }
    return 0;
}

/* 0 at the end of the stream or of the exchange. */
static int read_events(struct stream *s, struct sse_reader *reader, struct http_reply *reply,
                       struct err *err) {
    for (struct str piece;;) {
        if (s->x && s->x->done) {
            return 0;
        }
        if (http_reply_read(reply, &piece, err) < 0) {
            return -(int)err->code;
        }
        s->bytes += piece.n;
        s->at_end = piece.n == 0;
        if (s->x && s->bytes > CLIENT_MAX_STREAM_BYTES) {
            return err_set(err, ERR_LIMIT, "its stream is larger than %d bytes",
                           CLIENT_MAX_STREAM_BYTES);
        }
        /* An event whose blank line is missing at the end is taken, if it is a whole message. */
        int rc = sse_reader_feed(reader, piece.n ? piece : STR("\n\n"), take_event, s, err);
        if (rc < 0 || piece.n == 0) {
            return rc;
        }
    }
}

static int ended(const struct stream *s, struct err *err) {
    s->x->unanswered = s->garbage == 0;
    if (s->garbage) {
        return client_err(s->client, err, ERR_PROTOCOL, "what it sent for %s is no MCP",
                          s->x->method);
    }
    return client_err(s->client, err, ERR_UNAVAILABLE, "it ended the stream without answering %s",
                      s->x->method);
}

static int open_again(struct stream *s, const struct sse_reader *reader, struct http_reply **ret,
                      struct err *err) {
    struct mcp_client *c = s->client;
    int64_t wait_ms =
        reader->retry_ms >= 0 ? MIN(reader->retry_ms, (int64_t)MAX_RETRY_MS) : (int64_t)RETRY_MS;
    if (fiber_sleep(wait_ms) < 0) {
        return err_set(err, ERR_CANCELLED, "cancelled");
    }
    struct http_send send = {.method = "GET",
                             .last_event_id = strbuf_str(&reader->id),
                             .total_timeout_ms = LISTEN_TIMEOUT_MS};
    struct http_reply *reply cleanup(http_reply_close_p) = NULL;
    if (http_send(c, &send, &reply, err) < 0) {
        return -(int)err->code;
    }
    if (!http_is_stream(reply)) {
        return http_reply_status(reply) >= 500
                   ? err_set(err, ERR_UNAVAILABLE, "it answers HTTP %d", http_reply_status(reply))
                   : ended(s, err);
    }
    *ret = take(reply);
    return 0;
}

static bool may_resume(const struct stream *s, const struct sse_reader *reader) {
    return s->x && s->client->era != MCP_ERA_MODERN && reader->id.n > 0 &&
           s->x->generation == s->client->generation;
}

/* The reader keeps the id; what was half read of an event is dropped with the connection. */
static void start_anew(struct sse_reader *reader) {
    struct strbuf id = reader->id;
    int64_t retry_ms = reader->retry_ms;
    reader->id = STRBUF(id.max);
    sse_reader_done(reader);
    sse_reader_init(reader, MCP_MAX_RESULT_BYTES);
    strbuf_done(&reader->id);
    reader->id = id;
    reader->retry_ms = retry_ms;
}

static int read_and_resume(struct stream *s, struct sse_reader *reader, struct http_reply *first,
                           struct err *err) {
    struct http_reply *reply cleanup(http_reply_close_p) = first;
    for (unsigned failures = 0;;) {
        unsigned events = s->events;
        int rc = reply ? read_events(s, reader, reply, err) : 0;
        if (s->x ? s->x->done : true) {
            return s->x ? 0 : rc;
        }
        if (rc == -ERR_CANCELLED || rc == -ERR_LIMIT || rc == -ERR_TIMEOUT) {
            return err_prefix(err, "MCP server %.*s", STR_ARG(str_head(s->client->o.name, 64)));
        }
        if (!may_resume(s, reader)) {
            return ended(s, err);
        }
        failures = s->events > events ? 0 : failures + 1;
        http_reply_close(take(reply));
        start_anew(reader);
        if (open_again(s, reader, &reply, err) < 0 &&
            (err->code != ERR_UNAVAILABLE || s->x->unanswered || failures >= MAX_FAILURES)) {
            s->x->unanswered = err->code == ERR_UNAVAILABLE;
            return -(int)err->code;
        }
    }
}

int http_stream_read(struct mcp_client *c, struct mcp_exchange *x, struct http_reply *reply,
                     struct err *err) {
    struct stream s = {.client = c, .x = x};
    struct sse_reader reader cleanup(sse_reader_done);
    sse_reader_init(&reader, MCP_MAX_RESULT_BYTES);
    return read_and_resume(&s, &reader, reply, err);
}
