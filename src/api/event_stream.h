/* A turn's events as server-sent events. */
#pragma once
#include "api/call.h"

enum { EVENT_HEARTBEAT_MS = 15 * 1000, EVENT_GATHER_BYTES = 64 * 1024 };

struct event_stream {
    struct run_reader *reader; /* closed by event_stream_run */
    struct str thread_id;      /* empty: not told */
    struct str turn_id;
    bool old_client; /* AG-UI before 1.0: knows no cancelled outcome */
};

/* Answers the call with the events until the turn's end. An error after the beginning cuts the
 * stream, so that the client comes back. */
may_yield int event_stream_run(struct call *c, const struct event_stream *s, struct err *err)
    must_check;

/* The two headers that say which thread and turn an answer is about. */
size_t event_stream_fields(struct http_field fields[2], struct str thread_id, struct str turn_id);

/* Appends one frame. */
void event_frame(struct strbuf *out, int64_t seq, struct str json);
/* The event without an outcome that clients of before AG-UI 1.0 reject; *scratch holds what had to
 * be changed. */
struct str event_for_old_client(struct str json, struct strbuf *scratch);
