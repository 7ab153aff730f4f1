#include "api/event_stream.h"

/* An event beyond this is sent by itself, uncopied. */
enum { LARGE_EVENT_BYTES = 16 * 1024, MAX_CHANGED_BYTES = 64 * 1024 };

size_t event_stream_fields(struct http_field fields[2], struct str thread_id, struct str turn_id) {
    size_t n = 0;
    if (thread_id.n) {
        fields[n++] = (struct http_field){"X-Thread-Id", thread_id};
    }
    if (turn_id.n) {
        fields[n++] = (struct http_field){"X-Turn-Id", turn_id};
    }
    return n;
}

static void frame_head(struct strbuf *out, int64_t seq) {
    strbuf_add(out, STR("id: "));
    strbuf_add_i64(out, seq);
    strbuf_add(out, STR("\ndata: "));
}

void event_frame(struct strbuf *out, int64_t seq, struct str json) {
    frame_head(out, seq);
    strbuf_add(out, json);
    strbuf_add(out, STR("\n\n"));
}

struct str event_for_old_client(struct str json, struct strbuf *scratch) {
    struct err err;
    json_auto_t *tree = NULL;
    if (!str_starts(json, STR("{\"type\":\"RUN_FINISHED\"")) ||
        str_find(json, STR("\"cancelled\"")) == SIZE_MAX || json_read(json, &tree, &err) < 0) {
        return json;
    }
    if (str_eq(json_str(json_object_get(tree, "outcome"), "type"), STR("cancelled"))) {
        json_object_del(tree, "outcome");
    }
    strbuf_reset(scratch);
    json_write_tree(scratch, tree);
    return scratch->failed ? json : strbuf_str(scratch);
}

struct sender {
    struct http_request *request;
    struct strbuf frames;  /* gathered, one write a batch */
    struct strbuf changed; /* for old clients */
    bool old_client;
};

static int flush(struct sender *s) {
    int rc = s->frames.n ? http_stream_write(s->request, strbuf_str(&s->frames)) : 0;
    strbuf_reset(&s->frames);
    return rc;
}

static int send_large(struct sender *s, int64_t seq, struct str json) {
    frame_head(&s->frames, seq);
    int rc = flush(s);
    if (rc == 0) {
        rc = http_stream_write(s->request, json);
    }
    strbuf_add(&s->frames, STR("\n\n"));
    return rc;
}

static int send_batch(struct sender *s, const struct run_event *events, size_t n) {
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        struct str json =
            s->old_client ? event_for_old_client(events[i].json, &s->changed) : events[i].json;
        if (json.n > LARGE_EVENT_BYTES) {
            rc = send_large(s, events[i].seq, json);
            continue;
        }
        event_frame(&s->frames, events[i].seq, json);
        if (s->frames.n > EVENT_GATHER_BYTES - LARGE_EVENT_BYTES - 64) {
            rc = flush(s);
        }
    }
    return rc == 0 ? flush(s) : rc;
}

static int send_all(struct sender *s, struct run_reader *reader, struct err *err) {
    for (;;) {
        const struct run_event *events;
        size_t n;
        int rc = run_read(reader, EVENT_HEARTBEAT_MS, &events, &n, err);
        if (rc == -ERR_TIMEOUT) {
            rc = http_stream_write(s->request, STR(": still here\n\n"));
        } else if (rc == 0 && n == 0) {
            http_stream_end(s->request);
            return 0;
        } else if (rc == 0) {
            rc = send_batch(s, events, n);
        }
        if (rc == -ERR_CANCELLED) {
            return 0; /* the client went away; its turn goes on */
        }
        if (rc < 0) {
            return rc;
        }
    }
}

int event_stream_run(struct call *c, const struct event_stream *s, struct err *err) {
    struct http_field fields[3] = {{"X-Content-Type-Options", STR("nosniff")}};
    struct http_response head = {.status = 200,
                                 .content_type = "text/event-stream",
                                 .fields = fields,
                                 .n_fields =
                                     1 + event_stream_fields(fields + 1, s->thread_id, s->turn_id)};
    struct sender sender = {.request = c->request,
                            .frames = STRBUF(EVENT_GATHER_BYTES),
                            .changed = STRBUF(MAX_CHANGED_BYTES),
                            .old_client = s->old_client};
    int rc = 0;
    if (str_eq(http_method(c->request), STR("HEAD"))) {
        http_respond(c->request, &head);
    } else if (http_stream_begin(c->request, &head) == 0) {
        rc = send_all(&sender, s->reader, err);
    }
    strbuf_done(&sender.frames);
    strbuf_done(&sender.changed);
    run_reader_close(s->reader);
    return rc;
}
