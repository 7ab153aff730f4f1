/* Serving one request: from its bytes to the last byte of the answer, at the pace and with the
 * mishaps that the script asks for. */
#include <stdio.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "fake.h"

enum { FLUSH_BYTES = 64 * 1024, FOR_EVER_MS = 3600 * 1000, MAX_CACHED = 10000 };

struct session {
    struct fake_model *m;
    const struct fake_wire *wire;
    struct http_request *r;
    struct fake_conversation c;
    struct fake_answer a;
    struct fake_writer w;
    int64_t next_at_us; /* when the next piece is due */
};

/* ---- whole responses ---- */

int fake_respond(struct http_request *r, int status, const char *type, struct str body,
                 int64_t retry_after_s) {
    char seconds[24];
    snprintf(seconds, sizeof seconds, "%lld", (long long)retry_after_s);
    struct http_field field = {"Retry-After", str_z(seconds)};
    struct http_response response = {.status = status,
                                     .content_type = type,
                                     .body = body,
                                     .fields = &field,
                                     .n_fields = retry_after_s >= 0};
    (void)http_respond(r, &response);
    return status;
}

static int respond_problem(struct session *s, const struct fake_problem *p) {
    struct strbuf body cleanup(strbuf_done) = STRBUF(16 * 1024);
    s->wire->error(&body, p);
    return fake_respond(s->r, p->status, "application/json", strbuf_str(&body), s->a.retry_after_s);
}

static void ignore_bytes(void *context, char *bytes, size_t n) {
    (void)context;
    (void)bytes;
    (void)n;
}

static void ignore(void *context) {
    (void)context;
}

void fake_drop(struct http_request *r) {
    static const struct http_upgrade_sink sink = {
        .on_bytes = ignore_bytes, .on_tick = ignore, .on_shutdown = ignore};
    struct http_connection *c;
    if (http_upgrade(r, STR_EMPTY, &sink, &c) == 0) {
        http_connection_close(c, false);
    }
}

/* ---- streams ---- */

static int flush(struct session *s) {
    int rc = s->w.out.n ? http_stream_write(s->r, strbuf_str(&s->w.out)) : 0;
    strbuf_reset(&s->w.out);
    return rc;
}

static int wait_until_due(struct session *s) {
    int64_t left_us = s->next_at_us - clock_mono_us();
    return left_us > 0 ? fiber_sleep((left_us + 999) / 1000) : 0;
}

/* After a piece: sends it when there is a pace, else when much has gathered. */
static int pace(struct session *s) {
    if (s->a.delay_ms == 0) {
        return s->w.out.n > FLUSH_BYTES ? flush(s) : 0;
    }
    if (flush(s) < 0) {
        return -ERR_CANCELLED;
    }
    s->next_at_us += s->a.delay_ms * 1000;
    return wait_until_due(s);
}

static int wait_for_first(struct session *s) {
    s->next_at_us = clock_mono_us() + s->a.first_ms * 1000;
    if (s->a.first_ms > 0 && flush(s) < 0) {
        return -ERR_CANCELLED;
    }
    return wait_until_due(s);
}

static int play_reasoning(struct session *s) {
    struct str rest = s->a.redacted ? STR_EMPTY : s->a.reasoning;
    if (s->a.reasoning.n == 0) {
        return 0;
    }
    while (rest.n > 0) {
        s->wire->reasoning(&s->w, fake_next_piece(&rest, 0));
        s->w.reasoning_tokens++;
        s->w.output_tokens++;
        if (pace(s) < 0) {
            return -ERR_CANCELLED;
        }
    }
    s->wire->reasoning_end(&s->w, &s->a);
    return 0;
}

/* What goes wrong in the middle. Gives how it ended. */
static const char *play_mishap(struct session *s) {
    static const struct fake_problem overloaded = {.status = 529, .message = "Overloaded"};
    switch (s->a.mishap) {
    case FAKE_TRUNCATE:
        return flush(s) < 0 || http_stream_end(s->r) < 0 ? "client gone" : "truncated";
    case FAKE_STALL:
        return flush(s) < 0 || fiber_sleep(FOR_EVER_MS) < 0 ? "client gone" : "stalled";
    case FAKE_ERROR:
        s->wire->error_event(&s->w, &overloaded);
        return flush(s) < 0 || http_stream_end(s->r) < 0 ? "client gone" : "error in stream";
    case FAKE_GARBAGE:
        strbuf_add(&s->w.out, STR("data: {\"oops\": [1, 2\n\n\xff\xfe\x01 <html>\n\n"));
        return flush(s) < 0 || http_stream_end(s->r) < 0 ? "client gone" : "garbage";
    default: /* a handler that leaves its stream open breaks the connection */
        return flush(s) < 0 ? "client gone" : "cut";
    }
}

static const char *play_stream(struct session *s) {
    struct str rest = s->a.text;
    struct http_response head = {.status = 200, .content_type = s->wire->stream_type};
    if (http_stream_begin(s->r, &head) < 0) {
        return "client gone";
    }
    s->wire->begin(&s->w);
    if (wait_for_first(s) < 0 || play_reasoning(s) < 0) {
        return "client gone";
    }
    for (unsigned n = 0; rest.n > 0; n++) {
        if (s->a.mishap != FAKE_WELL && n == s->a.at) {
            return play_mishap(s);
        }
        s->wire->text(&s->w, fake_next_piece(&rest, s->a.piece_bytes));
        s->w.output_tokens++;
        if (pace(s) < 0) {
            return "client gone";
        }
    }
    if (s->a.mishap != FAKE_WELL) {
        return play_mishap(s);
    }
    for (size_t i = 0; i < s->a.n_calls; i++) {
        s->wire->call(&s->w, &s->a.calls[i]);
        s->w.output_tokens += 12;
        if (pace(s) < 0) {
            return "client gone";
        }
    }
    s->wire->end(&s->w, &s->a);
    return flush(s) < 0 || http_stream_end(s->r) < 0 ? "client gone" : "done";
}

static const char *play_whole(struct session *s) {
    if (fiber_sleep(s->a.first_ms) < 0) {
        return "client gone";
    }
    if (s->a.mishap == FAKE_STALL) {
        return fiber_sleep(FOR_EVER_MS) < 0 ? "client gone" : "stalled";
    }
    s->w.output_tokens = (int64_t)s->a.text.n / 5 + (int64_t)s->a.n_calls * 12 + 1;
    s->wire->whole(&s->w, &s->a);
    struct str body = strbuf_str(&s->w.out);
    if (s->a.mishap != FAKE_WELL) {
        body = str_head(body, body.n / 2);
    }
    (void)fake_respond(s->r, 200, s->wire->whole_type, body, -1);
    return s->a.mishap == FAKE_WELL ? "done" : "garbage";
}

static const char *play(struct session *s, struct fake_entry *entry) {
    struct fake_problem p;
    if (s->a.mishap == FAKE_STATUS) {
        (void)fake_problem(&p, s->a.status, NULL,
                           s->a.status == 529 ? "Overloaded" : "scripted failure %d", s->a.status);
        fake_entry_status(entry, s->a.status);
    } else if (s->a.mishap != FAKE_HANG && s->a.mishap != FAKE_DROP) {
        fake_entry_status(entry, 200);
    }
    if (s->a.head_ms > 0 && fiber_sleep(s->a.head_ms) < 0) {
        return "client gone";
    }
    switch (s->a.mishap) {
    case FAKE_HANG:
        return fiber_sleep(FOR_EVER_MS) < 0 ? "client gone" : "hung";
    case FAKE_DROP:
        fake_drop(s->r);
        return "dropped";
    case FAKE_STATUS:
        (void)respond_problem(s, &p);
        return "failed";
    default:
        return s->c.stream ? play_stream(s) : play_whole(s);
    }
}

/* ---- the request ---- */

/* Tokens as if four bytes were one; a prefix that was seen before comes from the cache. */
static void account(struct session *s) {
    struct fake_conversation *c = &s->c;
    char key[SHA256_HEX + 1];
    int64_t prefix = (int64_t)c->cache_key.n / 4;
    crypto_sha256_hex(strbuf_str(&c->transcript), c->hash);
    c->input_tokens = (int64_t)(c->transcript.n + c->system.n + c->tool_names.n) / 4 + 3;
    if (prefix == 0) {
        return;
    }
    prefix = MIN(prefix, c->input_tokens);
    crypto_sha256_hex(c->cache_key, key);
    if (map_get(&s->m->cached, str_z(key))) {
        c->cached_tokens = prefix;
        return;
    }
    if (map_count(&s->m->cached) > MAX_CACHED) {
        map_done(&s->m->cached);
        s->m->cached = (struct map){0};
    }
    map_put(&s->m->cached, str_z(key), s->m);
    if (s->wire == &fake_anthropic) {
        c->cache_write_tokens = prefix;
    }
}

static int understand(struct session *s, struct str body, json_t **ret_tree,
                      struct fake_problem *p) {
    struct err err;
    if (s->wire->check_fields(s->r, str_z(s->m->key), p) < 0) {
        return -1;
    }
    if (!str_starts(http_header(s->r, "content-type"), STR("application/json"))) {
        return fake_problem(p, 415, NULL, "Content-Type must be application/json");
    }
    if (json_read(body, ret_tree, &err) < 0) {
        return fake_problem(p, 400, NULL, "the body is not JSON: %s", err.msg);
    }
    if (!json_is_object(*ret_tree)) {
        return fake_problem(p, 400, NULL, "the body is not an object");
    }
    if (s->wire->read(*ret_tree, &s->c, p) < 0) {
        return -1;
    }
    if (str_starts(s->c.model, STR("missing"))) {
        return fake_problem(p, 404, NULL, "model: %.*s was not found", STR_ARG(s->c.model));
    }
    return 0;
}

static const char *answer(struct session *s, struct str body, struct fake_entry *entry) {
    json_auto_t *tree = NULL;
    struct fake_problem p;
    struct id id = id_new();
    s->a.retry_after_s = -1;
    if (understand(s, body, &tree, &p) < 0) {
        fake_entry_status(entry, p.status);
        (void)respond_problem(s, &p);
        return "refused";
    }
    account(s);
    fake_script(s->m->script, &s->c, s->m->delay_ms, &s->a);
    s->w = (struct fake_writer){.out = STRBUF(FAKE_MAX_ANSWER_BYTES * 2),
                                .conversation = &s->c,
                                .model = s->c.model,
                                .id = arena_str(s->c.arena, id_str(&id)),
                                .created_us = clock_now_us(),
                                .reasons = s->a.reasoning.n > 0};
    const char *end = play(s, entry);
    strbuf_done(&s->w.out);
    return end;
}

/* ---- fixed answers for benchmarks ---- */

struct fake_bench {
    struct strbuf bytes;
    size_t *ends; /* of the pieces */
    size_t n;
};

static void bench_piece(struct fake_bench *b, struct fake_writer *w) {
    strbuf_add(&b->bytes, strbuf_str(&w->out));
    strbuf_reset(&w->out);
    b->ends[b->n++] = b->bytes.n;
}

static struct fake_bench *bench_new(const struct fake_wire *wire, unsigned tokens) {
    struct arena arena cleanup(arena_done) = {0};
    struct fake_conversation c = {.arena = &arena, .include_usage = true, .input_tokens = 100};
    struct fake_answer a = {.stop = FAKE_STOP_END};
    struct fake_writer w = {.out = STRBUF(FAKE_MAX_ANSWER_BYTES),
                            .conversation = &c,
                            .model = STR("bench"),
                            .id = STR("01JDBENCH"),
                            .created_us = clock_now_us(),
                            .output_tokens = tokens};
    struct fake_bench *b = mem_alloc(sizeof *b);
    b->bytes = STRBUF(FAKE_MAX_ANSWER_BYTES);
    b->ends = mem_alloc((tokens + 1) * sizeof *b->ends);
    wire->begin(&w);
    for (unsigned i = 0; i < tokens; i++) {
        wire->text(&w, i + 1 < tokens ? STR("token ") : STR("end."));
        if (i + 1 < tokens) {
            bench_piece(b, &w);
        }
    }
    wire->end(&w, &a);
    bench_piece(b, &w);
    strbuf_done(&w.out);
    return b;
}

static void bench_free(struct str key, void *value, void *arg) {
    struct fake_bench *b = value;
    (void)key;
    (void)arg;
    strbuf_done(&b->bytes);
    mem_free(b->ends);
    mem_free(b);
}

void fake_bench_clear(struct fake_model *m) {
    map_each(&m->bench, bench_free, NULL);
    map_done(&m->bench);
}

/* "bench-32" or "bench-32-50ms" behind "model":; false when the model is another one. */
static bool bench_model(struct str body, int64_t *ret_tokens, int64_t *ret_delay_ms) {
    static const struct str mark = {"\"model\":\"bench-", 15};
    size_t at = str_find(body, mark);
    if (at == SIZE_MAX) {
        return false;
    }
    struct str rest = str_skip(body, at + mark.n), name = str_cut(&rest, '"');
    struct str tokens = str_cut(&name, '-');
    *ret_delay_ms = 0;
    if (name.n > 2 && str_ends(name, STR("ms")) &&
        !str_to_i64(str_head(name, name.n - 2), ret_delay_ms)) {
        return false;
    }
    return str_to_i64(tokens, ret_tokens) && *ret_tokens > 0 && *ret_tokens <= 100000;
}

static void play_bench(const struct fake_bench *b, struct http_request *r, int64_t delay_ms,
                       const char *type) {
    int64_t begun_us = clock_mono_us();
    size_t from = 0;
    if (http_stream_begin(r, &(struct http_response){.status = 200, .content_type = type}) < 0) {
        return;
    }
    for (size_t i = 0; i < b->n; i++) {
        int64_t left_us = begun_us + (int64_t)i * delay_ms * 1000 - clock_mono_us();
        if (left_us > 0 && fiber_sleep((left_us + 999) / 1000) < 0) {
            return;
        }
        if (http_stream_write(r, (struct str){b->bytes.p + from, b->ends[i] - from}) < 0) {
            return;
        }
        from = b->ends[i];
    }
    (void)http_stream_end(r);
}

static void serve_bench(struct fake_model *m, const struct fake_wire *wire, struct http_request *r,
                        size_t body_bytes, int64_t tokens, int64_t delay_ms) {
    char key[64];
    int n = snprintf(key, sizeof key, "%s/%lld", wire->name, (long long)tokens);
    struct str name = {key, (size_t)n};
    struct fake_bench *b = map_get(&m->bench, name);
    if (!b) {
        b = bench_new(wire, (unsigned)tokens);
        map_put(&m->bench, name, b);
    }
    fake_log_count(m->log, "bench");
    fake_log_set(m->log, "bench_last_bytes", body_bytes);
    if (delay_ms == 0) {
        (void)fake_respond(r, 200, wire->stream_type, strbuf_str(&b->bytes), -1);
    } else {
        play_bench(b, r, delay_ms, wire->stream_type);
    }
}

void fake_serve(struct fake_model *m, const struct fake_wire *wire, struct http_request *r) {
    struct strbuf body cleanup(strbuf_done) = STRBUF(FAKE_MAX_BODY_BYTES);
    struct arena arena cleanup(arena_done) = {0};
    struct err err;
    int64_t tokens, delay_ms;
    if (http_read_body(r, FAKE_MAX_BODY_BYTES, &body, &err) < 0) {
        (void)fake_respond(r, err.code == ERR_LIMIT ? 413 : 400, "text/plain", str_z(err.msg), -1);
        return;
    }
    if (bench_model(strbuf_str(&body), &tokens, &delay_ms)) {
        serve_bench(m, wire, r, body.n, tokens, delay_ms);
        return;
    }
    struct session *s = arena_alloc(&arena, sizeof *s);
    *s = (struct session){.m = m, .wire = wire, .r = r};
    s->c = (struct fake_conversation){.arena = &arena,
                                      .transcript = STRBUF(FAKE_MAX_BODY_BYTES * 2),
                                      .tool_names = STRBUF(1024 * 1024)};
    struct fake_entry *entry = fake_log_add(m->log, r, strbuf_str(&body));
    uint64_t number = fake_entry_number(entry);
    fake_log_count(m->log, wire->name);
    fake_entry_end(m->log, number, answer(s, strbuf_str(&body), entry));
    strbuf_done(&s->c.transcript);
    strbuf_done(&s->c.tool_names);
}
