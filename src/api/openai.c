#include "api/openai.h"

#include "api/event_stream.h"

/* ---- what comes in ---- */

const char *openai_agent(struct str model) {
    static const struct {
        const char *model, *agent;
    } models[] = {{"adjutant", "cos"}, {"cos", "cos"}};
    for (size_t i = 0; i < ARRAY_LEN(models); i++) {
        if (str_eq(model, str_z(models[i].model))) {
            return models[i].agent;
        }
    }
    return NULL;
}

static int read_turn_id(struct call *c, struct str *ret, struct err *err) {
    struct str key = http_header(c->request, "Idempotency-Key");
    if (key.n && !call_id_valid(key)) {
        return err_set(err, ERR_INVALID,
                       "Idempotency-Key: must be 1 to %d printable ASCII "
                       "characters without space and /",
                       CALL_MAX_ID_BYTES);
    }
    *ret = key.n ? key : STR_EMPTY;
    return 0;
}

/* OpenAI's clients say null where they mean nothing. */
static bool is_given(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return value && !json_is_null(value);
}

static int read_stream_options(const json_t *body, struct openai_options *o, struct err *err) {
    const json_t *options = json_object_get(body, "stream_options");
    if (is_given(body, "stream") && json_want_bool(body, "stream", &o->stream, err) < 0) {
        return -(int)err->code;
    }
    o->include_usage = json_bool(options, "include_usage", false);
    return 0;
}

int openai_read_options(struct call *c, const json_t *body, struct openai_options *ret,
                        struct turn_submission *submission, struct err *err) {
    struct openai_options o = {0};
    struct str model = {0};
    if (json_want_str(body, "model", INPUT_MAX_MODEL_BYTES, &model, err) < 0 ||
        read_stream_options(body, &o, err) < 0 || read_turn_id(c, &submission->turn_id, err) < 0) {
        return -(int)err->code;
    }
    if (!model.p) {
        return err_set(err, ERR_INVALID, "model: is needed");
    }
    const char *agent = openai_agent(model);
    if (!agent) {
        return call_fail(c, &problem_model_not_found, err,
                         "the model '%.*s' does not exist; it is called adjutant",
                         STR_ARG(str_utf8_head(model, 60)));
    }
    if (json_int(body, "n", 1) != 1) {
        return err_set(err, ERR_INVALID, "n: must be 1");
    }
    submission->agent = str_z(agent);
    o.model = str_eq(model, STR("adjutant")) ? "adjutant" : agent;
    *ret = o;
    return 0;
}

int openai_read_thread(struct call *c, const json_t *body, struct str *ret, struct err *err) {
    struct str header = http_header(c->request, "X-Thread-Id");
    struct str id = STR_EMPTY;
    if (is_given(body, "user") && json_want_str(body, "user", CALL_MAX_ID_BYTES, &id, err) < 0) {
        return -(int)err->code;
    }
    id = header.n ? header : id;
    if (id.n && !call_id_valid(id)) {
        return err_set(err, ERR_INVALID,
                       "%s: names the thread, and must be at most %d printable ASCII characters "
                       "without space and /",
                       header.n ? "X-Thread-Id" : "user", CALL_MAX_ID_BYTES);
    }
    *ret = id.n ? id : STR_EMPTY;
    return 0;
}

int openai_submit(struct call *c, struct turn_submission *submission, struct turn_ticket *ret,
                  struct err *err) {
    /* Clients that send their whole history each time, and their own small requests too, begin a
     * thread with each: those are not worth a model's title. */
    submission->plain_title = submission->thread_id.n == 0;
    return turn_submit(c->gateway->engine, submission, ret, err);
}

/* ---- what goes out ---- */

struct teller {
    struct call *call;
    const struct turn_ticket *ticket;
    const struct openai_shape *shape;
    void *context;
    struct reply reply;
    struct strbuf frames;
    bool begun;
};

static int begin(struct teller *t) {
    struct http_field fields[3] = {{"X-Content-Type-Options", STR("nosniff")}};
    if (t->begun) {
        return 0;
    }
    t->begun = true;
    size_t n =
        1 + event_stream_fields(fields + 1, str_z(t->ticket->thread_id), str_z(t->ticket->turn_id));
    t->shape->begin(&t->frames, t->context);
    return http_stream_begin(
        t->call->request,
        &(struct http_response){
            .status = 200, .content_type = "text/event-stream", .fields = fields, .n_fields = n});
}

static int fail_turn(struct call *c, const struct reply *r, struct err *err) {
    return call_fail(c, problem_of_turn(str_z(r->error_code)), err, "%s",
                     strbuf_z(&r->error_message));
}

/* These clients know no interrupts: the question is the end of the answer. */
static struct str add_question(struct reply *r) {
    size_t before = r->text.n;
    if (r->state == TURN_INTERRUPTED) {
        strbuf_addz(&r->text, r->text.n ? "\n\n" : "");
        strbuf_add(&r->text, strbuf_str(&r->question));
    }
    return str_skip(strbuf_str(&r->text), before);
}

static void tell_question(struct teller *t) {
    struct str question = add_question(&t->reply);
    if (question.n) {
        t->shape->text(&t->frames, question, t->context);
    }
}

/* What is left to tell at the end; fails when nothing was told and the turn failed. */
static int tell_end(struct teller *t, struct err *err) {
    if (t->reply.state != TURN_FAILED) {
        int rc = begin(t);
        tell_question(t);
        t->shape->end(&t->frames, &t->reply, t->context);
        return rc;
    }
    if (!t->begun) {
        return fail_turn(t->call, &t->reply, err);
    }
    t->shape->fail(&t->frames, problem_of_turn(str_z(t->reply.error_code)),
                   strbuf_str(&t->reply.error_message), t->context);
    return 0;
}

static int tell(struct teller *t, enum reply_change change, struct str delta, struct err *err) {
    int rc = 0;
    switch (change) {
    case REPLY_TEXT:
        rc = begin(t);
        t->shape->text(&t->frames, delta, t->context);
        break;
    case REPLY_REASONING:
        if (t->shape->reasoning) {
            rc = begin(t);
            t->shape->reasoning(&t->frames, delta, t->context);
        }
        break;
    case REPLY_RESTARTED:
        t->shape->fail(&t->frames, problem_of(ERR_UNAVAILABLE),
                       STR("the answer had to be begun again; the thread will have it"),
                       t->context);
        t->reply.ended = true;
        break;
    case REPLY_ENDED:
        rc = tell_end(t, err);
        break;
    case REPLY_NOTHING:
        break;
    }
    return rc;
}

static int tell_batch(struct teller *t, const struct run_event *events, size_t n, struct err *err) {
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0 && !t->reply.ended; i++) {
        enum reply_change change;
        struct str delta;
        rc = reply_feed(&t->reply, events[i].json, &change, &delta, err);
        rc = rc == 0 ? tell(t, change, delta, err) : rc;
    }
    if (rc == 0) {
        rc = strbuf_check(&t->frames, "the answer", err);
    }
    return rc;
}

static int heartbeat(struct teller *t) {
    int rc = begin(t);
    strbuf_add(&t->frames, STR(": still here\n\n"));
    return rc;
}

static int tell_all(struct teller *t, struct run_reader *reader, struct err *err) {
    while (!t->reply.ended) {
        const struct run_event *events;
        size_t n;
        int rc = run_read(reader, EVENT_HEARTBEAT_MS, &events, &n, err);
        if (rc == 0 && n == 0) {
            return err_set(err, ERR_UNAVAILABLE, "the events of this turn are no longer kept");
        }
        if (rc == -ERR_TIMEOUT) {
            rc = heartbeat(t);
        } else if (rc == 0) {
            rc = tell_batch(t, events, n, err);
        }
        if (rc == 0 && t->frames.n) {
            rc = http_stream_write(t->call->request, strbuf_str(&t->frames));
            strbuf_reset(&t->frames);
        }
        if (rc < 0) {
            return rc;
        }
    }
    http_stream_end(t->call->request);
    return 0;
}

static int tell_stream(struct call *c, const struct turn_ticket *ticket,
                       const struct openai_shape *shape, void *context, struct err *err) {
    struct teller t = {.call = c,
                       .ticket = ticket,
                       .shape = shape,
                       .context = context,
                       .frames = STRBUF(3 * REPLY_MAX_BYTES)};
    reply_init(&t.reply);
    int rc = tell_all(&t, ticket->reader, err);
    reply_done(&t.reply);
    strbuf_done(&t.frames);
    return rc == -ERR_CANCELLED ? err_set(err, ERR_CANCELLED, "the client went away") : rc;
}

static int tell_whole(struct call *c, const struct turn_ticket *ticket,
                      const struct openai_shape *shape, void *context, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(2 * REPLY_MAX_BYTES);
    struct reply reply cleanup(reply_done);
    struct http_field fields[2];
    reply_init(&reply);
    if (reply_follow(&reply, ticket->reader, err) < 0) {
        return -(int)err->code;
    }
    if (reply.state == TURN_FAILED) {
        return fail_turn(c, &reply, err);
    }
    add_question(&reply);
    if (strbuf_check(&reply.text, "the reply", err) < 0) {
        return -(int)err->code;
    }
    shape->whole(&out, &reply, context);
    size_t n = event_stream_fields(fields, str_z(ticket->thread_id), str_z(ticket->turn_id));
    return call_respond_with(c, 200, &out, fields, n, err);
}

int openai_tell(struct call *c, const struct turn_ticket *ticket, bool stream,
                const struct openai_shape *shape, void *context, struct err *err) {
    int rc = stream ? tell_stream(c, ticket, shape, context, err)
                    : tell_whole(c, ticket, shape, context, err);
    run_reader_close(ticket->reader);
    return rc;
}
