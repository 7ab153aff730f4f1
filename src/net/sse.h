/* Readers of streamed text, fed with bytes as they come, cut anywhere: server-sent events (WHATWG
 * HTML, "Interpreting an event stream") and newline-delimited JSON. Both call back once a whole
 * item is there; both have a maximum. */
#pragma once
#include "base/err.h"
#include "base/strbuf.h"

struct sse_event {
    struct str type; /* "message" when the stream names none */
    struct str data;
    struct str id;    /* the last id seen */
    int64_t retry_ms; /* the last retry seen, or -1 */
};

struct sse_reader {
    struct strbuf line, data, type, id;
    int64_t retry_ms;
    bool skip_lf, started, has_data;
};

void sse_reader_init(struct sse_reader *r, size_t max_event_bytes);
void sse_reader_done(struct sse_reader *r);
/* Calls on_event for every event that `bytes` completes; views live during the call. on_event
 * returns 0 to go on or a negative code, which ends the feed and is returned. ERR_LIMIT: a line, or
 * the joined data lines of an event, are larger than the maximum. After an error the reader can
 * only be ended. */
int sse_reader_feed(struct sse_reader *r, struct str bytes,
                    int (*on_event)(const struct sse_event *event, void *arg, struct err *err),
                    void *arg, struct err *err) must_check;

struct line_reader {
    struct strbuf line;
};

void line_reader_init(struct line_reader *r, size_t max_line_bytes);
void line_reader_done(struct line_reader *r);
/* Lines end in LF or CRLF; empty ones are skipped. */
int line_reader_feed(struct line_reader *r, struct str bytes,
                     int (*on_line)(struct str line, void *arg, struct err *err), void *arg,
                     struct err *err) must_check;
/* What stands after the last line end, at the end of the stream. */
int line_reader_finish(struct line_reader *r,
                       int (*on_line)(struct str line, void *arg, struct err *err), void *arg,
                       struct err *err) must_check;
