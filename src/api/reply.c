#include "api/reply.h"

#include <stdio.h>

enum { MAX_DELTA_BYTES = 1024 * 1024, LOOK_UP_MS = 60 * 1000 };

void reply_init(struct reply *r) {
    *r = (struct reply){.text = STRBUF(REPLY_MAX_BYTES),
                        .interrupts = STRBUF(REPLY_MAX_BYTES),
                        .question = STRBUF(REPLY_MAX_BYTES),
                        .error_message = STRBUF(4096),
                        .reasoning = STRBUF(MAX_DELTA_BYTES),
                        .state = TURN_RUNNING};
}

void reply_done(struct reply *r) {
    strbuf_done(&r->text);
    strbuf_done(&r->interrupts);
    strbuf_done(&r->question);
    strbuf_done(&r->error_message);
    strbuf_done(&r->reasoning);
}

struct str reply_last(const struct reply *r) {
    return str_skip(strbuf_str(&r->text), r->last_message);
}

/* ---- messages ---- */

static void begin_message(struct reply *r, struct str id) {
    if (str_eq(id, str_z(r->message_id))) { /* opened again after a snapshot */
        return;
    }
    if (r->text.n > r->last_message) {
        strbuf_add(&r->text, STR("\n\n"));
    }
    r->last_message = r->text.n;
    snprintf(r->message_id, sizeof r->message_id, "%.*s", STR_ARG(id));
}

static enum reply_change on_text_start(struct reply *r, const json_t *event, struct str *delta) {
    size_t before = r->text.n;
    begin_message(r, json_str(event, "messageId"));
    *delta = str_skip(strbuf_str(&r->text), before);
    return delta->n ? REPLY_TEXT : REPLY_NOTHING;
}

static enum reply_change on_text(struct reply *r, const json_t *event, struct str *delta) {
    size_t before = r->text.n;
    strbuf_add(&r->text, json_str(event, "delta"));
    *delta = str_skip(strbuf_str(&r->text), before);
    return REPLY_TEXT;
}

static enum reply_change on_reasoning(struct reply *r, const json_t *event, struct str *delta) {
    strbuf_reset(&r->reasoning);
    strbuf_add(&r->reasoning, json_str(event, "delta"));
    *delta = strbuf_str(&r->reasoning);
    return REPLY_REASONING;
}

static enum reply_change on_started(struct reply *r, const json_t *event, struct str *delta) {
    (void)delta;
    snprintf(r->run_id, sizeof r->run_id, "%.*s", STR_ARG(json_str(event, "runId")));
    return REPLY_NOTHING;
}

/* Messages are named after their turns. A turn that goes on with another has more before it since
 * the user's last words than it said itself. */
static bool is_of_run(const struct reply *r, const json_t *message) {
    struct str id = json_str(message, "id"), run = str_z(r->run_id);
    return run.n == 0 || (str_starts(id, run) && str_starts(str_skip(id, run.n), STR("-a")));
}

/* What the assistant said after the user's last words stands in the snapshot from there on. */
static enum reply_change on_snapshot(struct reply *r, const json_t *event, struct str *delta) {
    const json_t *messages = json_object_get(event, "messages");
    struct strbuf told = r->text;
    size_t from = 0, i;
    json_t *message;
    json_array_foreach (messages, i, message) {
        from = str_eq(json_str(message, "role"), STR("user")) ? i + 1 : from;
    }
    r->text = STRBUF(REPLY_MAX_BYTES);
    r->last_message = 0;
    r->message_id[0] = '\0';
    for (i = from; i < json_array_size(messages); i++) {
        message = json_array_get(messages, i);
        if (str_eq(json_str(message, "role"), STR("assistant")) && is_of_run(r, message) &&
            json_str(message, "content").n) {
            begin_message(r, json_str(message, "id"));
            strbuf_add(&r->text, json_str(message, "content"));
        }
    }
    bool goes_on = str_starts(strbuf_str(&r->text), strbuf_str(&told));
    *delta = str_skip(strbuf_str(&r->text), told.n);
    strbuf_done(&told);
    return !goes_on ? REPLY_RESTARTED : delta->n ? REPLY_TEXT : REPLY_NOTHING;
}

/* ---- the end ---- */

static void add_usage(struct llm_usage *sum, const json_t *list) {
    size_t i;
    json_t *u;
    json_array_foreach (list, i, u) {
        sum->input_tokens += json_int(u, "inputTokens", 0);
        sum->output_tokens += json_int(u, "outputTokens", 0);
        sum->cached_input_tokens += json_int(u, "cachedInputTokens", 0);
        sum->cache_write_tokens += json_int(u, "cacheWriteInputTokens", 0);
        sum->reasoning_tokens += json_int(u, "reasoningTokens", 0);
    }
}

static void note_questions(struct reply *r, const json_t *interrupts) {
    size_t i;
    json_t *interrupt;
    strbuf_reset(&r->interrupts);
    strbuf_reset(&r->question);
    json_write_tree(&r->interrupts, interrupts);
    json_array_foreach (interrupts, i, interrupt) {
        strbuf_addz(&r->question, i ? "\n\n" : "");
        strbuf_add(&r->question, json_str(json_object_get(interrupt, "metadata"), "text"));
    }
}

static enum reply_change on_finished(struct reply *r, const json_t *event, struct str *delta) {
    struct str outcome = json_str(json_object_get(event, "outcome"), "type");
    (void)delta;
    add_usage(&r->usage, json_object_get(event, "usage"));
    r->ended = true;
    if (str_eq(outcome, STR("interrupt"))) {
        note_questions(r, json_object_get(json_object_get(event, "outcome"), "interrupts"));
    }
    r->state = str_eq(outcome, STR("cancelled"))   ? TURN_CANCELLED
               : str_eq(outcome, STR("interrupt")) ? TURN_INTERRUPTED
                                                   : TURN_DONE;
    return REPLY_ENDED;
}

static enum reply_change on_error(struct reply *r, const json_t *event, struct str *delta) {
    (void)delta;
    add_usage(&r->usage, json_object_get(event, "usage"));
    strbuf_reset(&r->error_message);
    strbuf_add(&r->error_message, str_utf8_head(json_str(event, "message"), 4000));
    snprintf(r->error_code, sizeof r->error_code, "%.*s", STR_ARG(json_str(event, "code")));
    r->ended = true;
    r->state = TURN_FAILED;
    return REPLY_ENDED;
}

int reply_feed(struct reply *r, struct str event, enum reply_change *ret_change,
               struct str *ret_delta, struct err *err) {
    static const struct {
        struct str head; /* our events begin with their type */
        enum reply_change (*apply)(struct reply *r, const json_t *event, struct str *delta);
    } table[] = {
        {STR("{\"type\":\"TEXT_MESSAGE_CONTENT\""), on_text},
        {STR("{\"type\":\"REASONING_MESSAGE_CONTENT\""), on_reasoning},
        {STR("{\"type\":\"TEXT_MESSAGE_START\""), on_text_start},
        {STR("{\"type\":\"MESSAGES_SNAPSHOT\""), on_snapshot},
        {STR("{\"type\":\"RUN_STARTED\""), on_started},
        {STR("{\"type\":\"RUN_FINISHED\""), on_finished},
        {STR("{\"type\":\"RUN_ERROR\""), on_error},
    };
    *ret_change = REPLY_NOTHING;
    *ret_delta = STR_EMPTY;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (str_starts(event, table[i].head)) {
            json_auto_t *tree = NULL;
            if (json_read(event, &tree, err) < 0) {
                return err_set(err, ERR_INTERNAL, "an event of our own is not valid JSON");
            }
            *ret_change = table[i].apply(r, tree, ret_delta);
            return strbuf_check(&r->text, "the reply", err);
        }
    }
    return 0;
}

static int feed_all(struct reply *r, const struct run_event *events, size_t n, struct err *err) {
    for (size_t i = 0; i < n; i++) {
        enum reply_change change;
        struct str delta;
        if (reply_feed(r, events[i].json, &change, &delta, err) < 0) {
            return -(int)err->code;
        }
    }
    return 0;
}

int reply_follow(struct reply *r, struct run_reader *reader, struct err *err) {
    for (;;) {
        const struct run_event *events;
        size_t n;
        int rc = run_read(reader, LOOK_UP_MS, &events, &n, err);
        if (rc == -ERR_TIMEOUT) { /* the turn has a deadline of its own */
            continue;
        }
        if (rc < 0) {
            return rc == -ERR_CANCELLED ? err_set(err, ERR_CANCELLED, "cancelled") : rc;
        }
        if (n == 0) {
            return r->ended ? 0
                            : err_set(err, ERR_UNAVAILABLE,
                                      "the events of this turn are no longer kept");
        }
        if (feed_all(r, events, n, err) < 0) {
            return -(int)err->code;
        }
    }
}
