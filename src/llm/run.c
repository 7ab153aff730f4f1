/* One answer: connection, deadlines, tries, fallbacks. The errors of a try are worded here, where
 * endpoint and circumstances are known. */
#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "llm/provider.h"
#include "net/http_client.h"

enum {
    MAX_REQUEST_BYTES = 64 << 20,
    MAX_ERROR_BYTES = 16 * 1024,
    ERROR_BODY_TIMEOUT_MS = 2000,
    /* How long a whole answer waits for what may still follow: usage, the end of the stream. */
    USAGE_TIMEOUT_MS = 2000,
    END_TIMEOUT_MS = 100,
    /* Each token may come in an event of its own, whose JSON is much longer. */
    STREAM_BYTES_PER_ANSWER_BYTE = 32,
    BACKOFF_MS = 250,
    MAX_BACKOFF_MS = 4000,
};

struct run {
    const struct llm_endpoint *endpoints;
    size_t n_endpoints;
    const struct llm_request *request;
    struct llm_limits limits;
    const struct llm_sink *sink;
    struct arena *arena;
    struct llm_result *ret;
    int64_t deadline_us; /* no try begins later */
};

/* What became of a try, beside its error. */
struct outcome {
    bool started;   /* the user has seen a part of the answer: no other try may follow */
    bool final;     /* the sink's error, or a cancellation */
    bool retryable; /* the same request may work a moment later */
    int64_t retry_after_ms;
};

/* ---- the response ---- */

/* The wait for the response's fields, and between bytes, differ; the client knows one idle time, so
 * it gets the longer one and the shorter one is set around the wait. */
static int64_t client_idle_ms(const struct llm_limits *limits) {
    return MAX(limits->first_byte_timeout_ms, limits->idle_timeout_ms);
}

/* An answer as it is read: what comes without end must not keep its turn, or the process, busy. */
struct reading {
    size_t bytes;
    int64_t whole_at_us, complete_at_us; /* 0: not yet */
};

/* What a whole answer waits for comes in the time it has since it was whole, however much there is
 * to read meanwhile. */
static int64_t patience_ms(const struct run *run, const struct llm_build *b, struct reading *g) {
    int64_t now_us = clock_mono_us();
    if (!llm_build_is_whole(b)) {
        return run->limits.idle_timeout_ms;
    }
    g->whole_at_us = g->whole_at_us ? g->whole_at_us : now_us;
    if (!llm_build_is_complete(b)) {
        return USAGE_TIMEOUT_MS - (now_us - g->whole_at_us) / 1000;
    }
    g->complete_at_us = g->complete_at_us ? g->complete_at_us : now_us;
    return END_TIMEOUT_MS - (now_us - g->complete_at_us) / 1000;
}

static int read_some(const struct run *run, struct http_reply *reply, const struct llm_build *b,
                     struct reading *g, struct str *ret, struct err *err) {
    int64_t patience = patience_ms(run, b, g);
    if (patience == client_idle_ms(&run->limits)) {
        return http_reply_read(reply, ret, err);
    }
    if (patience <= 0) {
        return err_set(err, ERR_TIMEOUT, "the stream did not end");
    }
    struct fiber_timeout timeout;
    fiber_timeout_start(&timeout, patience);
    int rc = http_reply_read(reply, ret, err);
    fiber_timeout_stop(&timeout);
    return rc;
}

static int count_stream(const struct run *run, struct reading *g, size_t n, struct err *err) {
    g->bytes += n;
    return g->bytes / STREAM_BYTES_PER_ANSWER_BYTE <= run->limits.max_answer_bytes
               ? 0
               : err_set(err, ERR_LIMIT, "the answer's stream is too long");
}

static int read_answer(const struct run *run, struct http_reply *reply, struct llm_build *b,
                       struct err *err) {
    struct reading reading = {0};
    struct str bytes;
    for (;;) {
        int rc = read_some(run, reply, b, &reading, &bytes, err);
        if (rc < 0) {
            if (rc == -ERR_CANCELLED || !llm_build_is_whole(b)) {
                return rc;
            }
            break; /* a whole answer does not fail by the way in which its connection ends */
        }
        if (bytes.n == 0) {
            break;
        }
        if (count_stream(run, &reading, bytes.n, err) < 0) {
            return -(int)err->code;
        }
        rc = llm_build_feed(b, bytes, err);
        if (rc < 0) {
            return rc;
        }
    }
    return llm_build_finish(b, err);
}

/* As much as comes in a short time; the status alone says enough. Fails when cancelled. */
static int read_error_body(struct http_reply *reply, struct strbuf *out, struct err *err) {
    struct fiber_timeout timeout;
    struct str bytes;
    int rc;
    fiber_timeout_start(&timeout, ERROR_BODY_TIMEOUT_MS);
    while ((rc = http_reply_read(reply, &bytes, err)) == 0 && bytes.n &&
           out->n + bytes.n <= out->max) {
        strbuf_add(out, bytes);
    }
    fiber_timeout_stop(&timeout);
    return rc == -ERR_CANCELLED ? rc : 0;
}

static int cancelled(struct outcome *out, struct err *err) {
    out->final = true;
    return err_set(err, ERR_CANCELLED, "cancelled");
}

static int refused(const struct llm_endpoint *e, struct http_reply *reply, struct outcome *out,
                   struct err *err) {
    int status = http_reply_status(reply);
    struct strbuf body cleanup(strbuf_done) = STRBUF(MAX_ERROR_BYTES);
    struct strbuf message cleanup(strbuf_done) = STRBUF(2 * MAX_ERROR_BYTES);
    out->retry_after_ms =
        llm_retry_after_ms(http_reply_header(reply, "retry-after"),
                           http_reply_header(reply, "retry-after-ms"), clock_now_us());
    if (read_error_body(reply, &body, err) < 0) {
        return cancelled(out, err);
    }
    enum err_code code = e->provider->read_error(status, strbuf_str(&body), &message);
    out->retryable = code == ERR_NONE && llm_status_is_retryable(status);
    code = code == ERR_NONE ? llm_status_code(status) : code;
    return llm_failure(e, code, status, strbuf_str(&message), out->retry_after_ms, err);
}

/* A server that knows nothing of streams, or a web page behind a wrong URL. */
static bool is_stream(const struct llm_endpoint *e, const struct http_reply *reply) {
    struct str type = http_reply_header(reply, "content-type");
    return e->provider->framing == LLM_LINES
               ? !str_starts(type, STR("text/html"))
               : !str_starts(type, STR("application/json")) && !str_starts(type, STR("text/html"));
}

static int not_a_stream(const struct llm_endpoint *e, struct http_reply *reply, struct outcome *out,
                        struct err *err) {
    struct strbuf body cleanup(strbuf_done) = STRBUF(MAX_ERROR_BYTES);
    struct strbuf message cleanup(strbuf_done) = STRBUF(2 * MAX_ERROR_BYTES);
    if (read_error_body(reply, &body, err) < 0) {
        return cancelled(out, err);
    }
    enum err_code code = e->provider->read_error(400, strbuf_str(&body), &message);
    return llm_failure(e, code ? code : ERR_PROTOCOL, 0,
                       message.n ? strbuf_str(&message) : STR("no stream"), -1, err);
}

/* ---- one try ---- */

/* An error of the stream becomes one for people. */
static int explain(const struct llm_endpoint *e, const struct llm_build *b, int rc,
                   struct outcome *out, struct err *err) {
    const char *label = e->provider->label;
    struct err why = *err;
    enum err_code code = (enum err_code) - rc;
    out->started = llm_build_started(b);
    if (llm_build_sink_failed(b)) {
        out->final = true;
        return rc;
    }
    if (llm_build_failure(b).p) {
        out->retryable = code == ERR_UNAVAILABLE || code == ERR_BUSY || code == ERR_TIMEOUT;
        return llm_failure(e, code, 0, llm_build_failure(b), -1, err);
    }
    switch (code) {
    case ERR_CANCELLED:
        return cancelled(out, err);
    case ERR_UNAVAILABLE:
        out->retryable = true;
        return err_set(err, code, "the connection to %s broke; try again (%s)", label, why.msg);
    case ERR_TIMEOUT:
        out->retryable = true;
        return out->started ? err_set(err, code, "%s went silent in mid-answer; try again", label)
                            : llm_failure(e, code, 0, STR_EMPTY, -1, err);
    case ERR_PROTOCOL:
        out->retryable = true;
        return err_set(err, code, "%s: %s; try again", label, why.msg);
    default:
        return err_set(err, code, "%s: %s", label, why.msg);
    }
}

static int not_reached(const struct llm_endpoint *e, int rc, struct outcome *out, struct err *err) {
    out->final = rc == -ERR_CANCELLED;
    out->retryable = rc == -ERR_UNAVAILABLE || rc == -ERR_TIMEOUT;
    return llm_unreached(e, rc, err);
}

static int open_call(const struct run *run, const struct llm_endpoint *e, struct str body,
                     struct http_reply **ret, struct err *err) {
    struct arena arena cleanup(arena_done) = {0};
    struct http_client_field fields[LLM_MAX_FIELDS];
    struct fiber_timeout timeout;
    struct http_call call = {
        .url = llm_url(e, e->provider->path, &arena),
        .fields = fields,
        .n_fields = e->provider->write_fields(e, &arena, fields),
        .body = body,
        .connect_timeout_ms = run->limits.connect_timeout_ms,
        .idle_timeout_ms = client_idle_ms(&run->limits),
        .total_timeout_ms = run->limits.total_timeout_ms,
    };
    fiber_timeout_start(&timeout, run->limits.first_byte_timeout_ms);
    int rc = http_call_open(&call, ret, err);
    fiber_timeout_stop(&timeout);
    llm_wipe_key(e, fields, call.n_fields);
    return rc;
}

static int receive(const struct run *run, const struct llm_endpoint *e, struct http_reply *reply,
                   struct outcome *out, struct err *err) {
    int status = http_reply_status(reply);
    if (status < 200 || status > 299) {
        return refused(e, reply, out, err);
    }
    if (!is_stream(e, reply)) {
        return not_a_stream(e, reply, out, err);
    }
    struct llm_build *b cleanup(llm_build_free_p) =
        llm_build_new(e->provider, run->sink, run->limits.max_answer_bytes);
    int rc = read_answer(run, reply, b, err);
    if (rc < 0) {
        rc = explain(e, b, rc, out, err);
    }
    llm_build_result(b, rc == 0, run->arena, run->ret);
    return rc;
}

static int try_once(const struct run *run, const struct llm_endpoint *e, struct str body,
                    struct outcome *out, struct err *err) {
    struct http_reply *reply cleanup(http_reply_close_p) = NULL;
    *out = (struct outcome){.retry_after_ms = -1};
    int rc = open_call(run, e, body, &reply, err);
    return rc < 0 ? not_reached(e, rc, out, err) : receive(run, e, reply, out, err);
}

/* ---- tries and fallbacks ---- */

static int64_t random_below(int64_t n) {
    uint32_t r;
    crypto_random(&r, sizeof r);
    return n > 0 ? (int64_t)(r % (uint64_t)n) : 0;
}

/* 250, 500, 1,000 ... each between one half and one and a half of it. */
static int64_t backoff_ms(int attempt) {
    int64_t base = BACKOFF_MS;
    while (--attempt > 0 && base < MAX_BACKOFF_MS) {
        base *= 2;
    }
    return base / 2 + random_below(base);
}

static void tell_retry(const struct run *run, const struct llm_endpoint *e, int attempt,
                       int64_t delay_ms, const struct err *why) {
    log_info("llm", "a try failed provider=%s attempt=%d delay_ms=%lld error=%s", e->provider->name,
             attempt, (long long)delay_ms, err_name(why->code));
    if (run->sink->on_retry) {
        run->sink->on_retry(e, attempt, delay_ms, why, run->sink->arg);
    }
}

/* `deadline_us`: this endpoint's share of the time for tries. */
static int try_endpoint(const struct run *run, const struct llm_endpoint *e, int64_t deadline_us,
                        int *ret_attempts, struct outcome *out, struct err *err) {
    struct strbuf body cleanup(strbuf_done) = STRBUF(MAX_REQUEST_BYTES);
    *out = (struct outcome){.final = true};
    if (e->provider->write_body(e, run->request, &body, err) < 0) {
        return -(int)err->code;
    }
    for (int attempt = 1;; attempt++) {
        *ret_attempts = attempt;
        int rc = try_once(run, e, strbuf_str(&body), out, err);
        if (rc == 0 || out->final || out->started || !out->retryable ||
            attempt >= run->limits.max_attempts) {
            return rc;
        }
        int64_t delay = MAX(backoff_ms(attempt), out->retry_after_ms);
        if (clock_mono_us() + delay * 1000 > deadline_us) {
            return rc;
        }
        tell_retry(run, e, attempt, delay, err);
        if (fiber_sleep(delay) < 0) {
            return cancelled(out, err);
        }
    }
}

static bool same_secret(const struct secret *a, const struct secret *b) {
    return crypto_equal(secret_reveal(a), secret_reveal(b));
}

/* Whether asking `next` can help after `failed` failed so. */
static bool can_help(const struct llm_endpoint *failed, const struct llm_endpoint *next,
                     enum err_code code) {
    bool elsewhere =
        failed->provider != next->provider || !str_eq(failed->base_url, next->base_url);
    switch (code) {
    case ERR_LIMIT:
    case ERR_CANCELLED:
        return false;
    case ERR_INVALID:
        return elsewhere;
    case ERR_UNAUTHORIZED:
    case ERR_FORBIDDEN:
        return elsewhere || !same_secret(failed->key, next->key);
    case ERR_NOT_FOUND:
        return elsewhere || !str_eq(failed->model, next->model);
    default:
        return true;
    }
}

static size_t next_endpoint(const struct run *run, size_t failed, enum err_code code) {
    size_t next = failed + 1;
    while (next < run->n_endpoints &&
           !can_help(&run->endpoints[failed], &run->endpoints[next], code)) {
        next++;
    }
    return next;
}

static int run_all(const struct run *run, struct err *err) {
    struct outcome out;
    const char *before = NULL;
    int attempts = 0;
    for (size_t i = 0;;) {
        const struct llm_endpoint *e = &run->endpoints[i];
        int64_t now = clock_mono_us();
        int64_t share = (run->deadline_us - now) / (int64_t)(run->n_endpoints - i);
        int rc = try_endpoint(run, e, now + share, &attempts, &out, err);
        if (rc == 0) {
            run->ret->endpoint_index = i;
            return 0;
        }
        if (out.final || out.started) {
            return rc;
        }
        size_t next = next_endpoint(run, i, err->code);
        if (next == run->n_endpoints || clock_mono_us() > run->deadline_us) {
            return before ? err_prefix(err, "after %s failed", before) : rc;
        }
        tell_retry(run, e, attempts, 0, err);
        before = e->provider->label;
        i = next;
    }
}

static int64_t or_default(int64_t value, int64_t fallback) {
    return value > 0 ? value : fallback;
}

static struct llm_limits with_defaults(const struct llm_limits *given) {
    struct llm_limits l = given ? *given : (struct llm_limits){0};
    return (struct llm_limits){
        .connect_timeout_ms = or_default(l.connect_timeout_ms, 3000),
        .first_byte_timeout_ms = or_default(l.first_byte_timeout_ms, 60000),
        .idle_timeout_ms = or_default(l.idle_timeout_ms, 60000),
        .total_timeout_ms = or_default(l.total_timeout_ms, 600000),
        .retry_budget_ms = or_default(l.retry_budget_ms, 8000),
        .max_attempts = (int)or_default(l.max_attempts, 4),
        .max_answer_bytes = l.max_answer_bytes ? l.max_answer_bytes : (size_t)4 << 20,
    };
}

int llm_run(const struct llm_endpoint *endpoints, size_t n_endpoints,
            const struct llm_request *request, const struct llm_limits *limits,
            const struct llm_sink *sink, struct arena *arena, struct llm_result *ret,
            struct err *err) {
    struct run run = {.endpoints = endpoints,
                      .n_endpoints = n_endpoints,
                      .request = request,
                      .limits = with_defaults(limits),
                      .sink = sink,
                      .arena = arena,
                      .ret = ret};
    fiber_point();
    *ret = (struct llm_result){.message = STR_EMPTY, .model = STR_EMPTY};
    run.deadline_us = clock_mono_us() + run.limits.retry_budget_ms * 1000;
    if (n_endpoints == 0) {
        return err_set(err, ERR_INVALID, "no language model is set up");
    }
    return run_all(&run, err);
}
