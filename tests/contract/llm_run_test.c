/* llm_run against servers that answer, refuse, hang, lie and go away, in each provider's format. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "llm/llm.h"
#include "net/http_client.h"
#include "raw_server.h"
#include "test.h"

enum { PATIENCE_MS = 20 * 1000 };

/* ---- the formats ---- */

struct format {
    const char *provider, *head, *token, *end, *failure, *error_body;
};

#define SSE_HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
#define LINES_HEAD "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n"

/* Bodies end with their connection; `token` says "Hi ", `failure` that the server is overloaded. */
static const struct format formats[] = {
    {"anthropic", SSE_HEAD,
     "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\","
     "\"text\":\"Hi \"}}\n\n",
     "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{"
     "\"input_tokens\":5,\"output_tokens\":3}}\n\ndata: {\"type\":\"message_stop\"}\n\n",
     "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\","
     "\"message\":\"Overloaded\"}}\n\n",
     "{\"type\":\"error\",\"error\":{\"type\":\"some_error\",\"message\":\"%s\"}}"},
    {"openai", SSE_HEAD,
     "data: {\"model\":\"m-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi \"}}]}\n\n",
     "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
     "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":3}}\n\n"
     "data: [DONE]\n\n",
     "data: {\"error\":{\"message\":\"Overloaded\",\"type\":\"server_error\"}}\n\n",
     "{\"error\":{\"type\":\"some_error\",\"message\":\"%s\"}}"},
    {"ollama", LINES_HEAD,
     "{\"model\":\"m-1\",\"message\":{\"role\":\"assistant\",\"content\":\"Hi \"},\"done\":false}"
     "\n",
     "{\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true,\"done_reason\":"
     "\"stop\",\"prompt_eval_count\":5,\"eval_count\":3}\n",
     "{\"error\":\"Overloaded\"}\n", "{\"error\":\"%s\"}"},
};

/* ---- the server's part ---- */

enum act {
    ANSWER,          /* two tokens and the end */
    STATUS,          /* status, fields, error body with text */
    FAIL_AT_ONCE,    /* a stream that is an error */
    CLOSE_AT_ONCE,   /* a stream that ends before anything was said */
    RESET_AT_ONCE,   /* no response */
    TOKEN_AND_RESET, /* after the client has seen the token */
    TOKEN_AND_CLOSE,
    TOKEN_AND_SILENCE,
    SILENCE,
    GARBAGE,
    ENDLESS,
    WEB_PAGE,
    NEVER_ENDS, /* a whole answer whose connection stays open */
    CHATTERS,   /* a whole answer, and something more every few ms */
    PADDING,    /* for ever, and nothing of an answer */
    HALF_ERROR, /* a refusal whose body does not come to its end */
};

struct step {
    enum act act;
    int status;
    const char *fields, *text;
    const struct format *format; /* NULL: the play's */
};

/* What the server does, request by request; one play at a time. */
static struct play {
    const struct format *format;
    const struct step *steps;
    size_t n_steps, next;
    struct strbuf requests; /* all heads */
    struct fiber_cond token_seen;
    unsigned tokens_seen;
} play;

static void wait_for_token(void) {
    while (play.tokens_seen == 0 && fiber_wait(&play.token_seen, PATIENCE_MS) == 0) {
    }
}

static void send_status(struct raw_connection *c, const struct step *step) {
    char reply[2048];
    struct strbuf text cleanup(strbuf_done) = STRBUF(1024);
    struct str shape = str_z(play.format->error_body);
    size_t at = str_find(shape, STR("%s"));
    strbuf_add(&text, str_head(shape, at));
    strbuf_addz(&text, step->text ? step->text : "because");
    strbuf_add(&text, str_skip(shape, at + 2));
    snprintf(reply, sizeof reply,
             "HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n%s\r\n%s",
             step->status, text.n, step->fields ? step->fields : "", strbuf_z(&text));
    raw_writez(c, reply);
}

/* The parts up to NULL. */
static void send_parts(struct raw_connection *c, const char *const *parts) {
    while (*parts && raw_writez(c, *parts)) {
        parts++;
    }
}

#define SEND(...) send_parts(c, (const char *const[]){__VA_ARGS__, NULL})

static void perform(struct raw_connection *c, const struct step *step) {
    const struct format *f = step->format ? step->format : play.format;
    switch (step->act) {
    case ANSWER:
        SEND(f->head, f->token, f->token, f->end);
        break;
    case STATUS:
        send_status(c, step);
        break;
    case FAIL_AT_ONCE:
        SEND(f->head, f->failure);
        break;
    case CLOSE_AT_ONCE:
        raw_writez(c, f->head);
        break;
    case RESET_AT_ONCE:
        raw_reset(c);
        break;
    case TOKEN_AND_RESET:
    case TOKEN_AND_CLOSE:
    case TOKEN_AND_SILENCE:
        SEND(f->head, f->token);
        wait_for_token();
        if (step->act == TOKEN_AND_RESET) {
            raw_reset(c);
        } else if (step->act == TOKEN_AND_SILENCE) {
            raw_wait_hang_up(c);
        }
        break;
    case SILENCE:
        raw_wait_hang_up(c);
        break;
    case GARBAGE:
        raw_writez(c, "220 mail.example.org ESMTP\r\n\r\n");
        break;
    case ENDLESS:
        raw_writez(c, f->head);
        while (raw_writez(c, f->token)) {
        }
        break;
    case WEB_PAGE:
        raw_writez(c, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 14\r\n\r\n"
                      "<html>ha</html>");
        break;
    case HALF_ERROR:
        SEND("HTTP/1.1 500 X\r\nContent-Length: 100\r\n\r\n{\"error\"");
        raw_wait_hang_up(c);
        break;
    case CHATTERS:
        SEND(f->head, f->token, f->end);
        while (raw_writez(c, "\n") && fiber_sleep(5) == 0) {
        }
        break;
    case PADDING:
        raw_writez(c, f->head);
        while (raw_writez(c, "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n")) {
        }
        break;
    case NEVER_ENDS:
        SEND(f->head, f->token, f->end);
        raw_wait_hang_up(c);
        break;
    }
}

static void follow_play(struct raw_connection *c) {
    struct str head, body;
    while (raw_read_request(c, &head, &body)) {
        strbuf_add(&play.requests, head);
        if (!CHECK(play.next < play.n_steps)) {
            return;
        }
        const struct step *step = &play.steps[play.next++];
        perform(c, step);
        if (step->act != STATUS) {
            return; /* the connection ends with the body */
        }
    }
}

/* ---- the client's part ---- */

#define KEY "sk-secret-0123456789"

struct call {
    struct raw_server server;
    struct llm_endpoint endpoints[3];
    size_t n_endpoints;
    struct llm_message message;
    struct llm_request request;
    struct llm_limits limits;
    struct llm_sink sink;
    struct secret *key, *other_key;
    char bases[3][96];
    struct arena arena;
    struct llm_result result;
    struct strbuf said;
    unsigned retries;
    int64_t last_delay_ms;
    bool refuse;
    int rc;
    struct err err;
};

static int on_delta(const struct llm_delta *d, void *arg, struct err *err) {
    struct call *call = arg;
    if (call->refuse) {
        return err_set(err, ERR_CONFLICT, "not wanted");
    }
    strbuf_add(&call->said, d->text);
    play.tokens_seen++;
    fiber_broadcast(&play.token_seen);
    return 0;
}

static void on_retry(const struct llm_endpoint *e, int attempt, int64_t delay_ms,
                     const struct err *why, void *arg) {
    struct call *call = arg;
    CHECK(attempt > 0 && why->code != ERR_NONE && e->provider != NULL);
    CHECK(str_find(str_z(why->msg), STR(KEY)) == SIZE_MAX);
    call->retries++;
    call->last_delay_ms = delay_ms;
}

static void begin_call(struct call *call, const struct format *format, const struct step *steps,
                       size_t n_steps) {
    struct err err;
    setenv("NO_PROXY", "*", 1);
    strbuf_done(&play.requests);
    play = (struct play){
        .format = format, .steps = steps, .n_steps = n_steps, .requests = STRBUF(1 << 16)};
    fiber_cond_init(&play.token_seen);
    CHECK_OK(http_client_start(&err), &err);
    *call = (struct call){.key = secret_new(STR(KEY)),
                          .other_key = secret_new(STR("sk-other-0123456789")),
                          .n_endpoints = 1,
                          .said = STRBUF(1 << 20)};
    raw_server_start(&call->server, NULL, follow_play);
    for (size_t i = 0; i < ARRAY_LEN(call->endpoints); i++) {
        snprintf(call->bases[i], sizeof call->bases[i], "%s/base", call->server.url);
        call->endpoints[i] =
            (struct llm_endpoint){.provider = llm_provider_find(str_z(format->provider)),
                                  .base_url = str_z(call->bases[i]),
                                  .model = i ? STR("other-model") : STR("first-model"),
                                  .key = call->key};
    }
    call->message = (struct llm_message){.json = STR("{\"role\":\"user\",\"content\":\"hello\"}"),
                                         .plain = true};
    call->request = (struct llm_request){.system_stable = STR_EMPTY,
                                         .system_changing = STR_EMPTY,
                                         .messages = &call->message,
                                         .n_messages = 1,
                                         .temperature = -1};
    call->limits = (struct llm_limits){.max_attempts = 2};
    call->sink = (struct llm_sink){.on_delta = on_delta, .on_retry = on_retry, .arg = call};
}

static void run_call(struct call *call) {
    call->rc = llm_run(call->endpoints, call->n_endpoints, &call->request, &call->limits,
                       &call->sink, &call->arena, &call->result, &call->err);
    if (call->rc < 0) {
        CHECK_INT(call->err.code, -call->rc);
        CHECK(str_find(str_z(call->err.msg), STR(KEY)) == SIZE_MAX);
    }
}

static void end_call(struct call *call) {
    http_client_stop();
    raw_server_stop(&call->server);
    CHECK_INT(play.next, play.n_steps);
    arena_done(&call->arena);
    strbuf_done(&call->said);
    strbuf_done(&play.requests);
    secret_free(call->key);
    secret_free(call->other_key);
}

static bool error_says(const struct call *call, const char *words) {
    bool says = str_find(str_z(call->err.msg), str_z(words)) != SIZE_MAX;
    if (!CHECK(says)) {
        printf("    \"%s\" does not say \"%s\"\n", call->err.msg, words);
    }
    return says;
}

static bool requests_hold(const char *words) {
    return CHECK(str_find(strbuf_str(&play.requests), str_z(words)) != SIZE_MAX);
}

/* The body of a test, over every format. */
#define EACH_FORMAT(...)                                                                           \
    for (const struct format *f = formats; f < formats + ARRAY_LEN(formats); f++) {                \
        static const struct step steps[] = {__VA_ARGS__};                                          \
        struct call call;                                                                          \
        begin_call(&call, f, steps, ARRAY_LEN(steps));
#define END_EACH                                                                                   \
    end_call(&call);                                                                               \
    }

static void check_answered(const struct call *call, size_t endpoint, unsigned retries) {
    CHECK_OK(call->rc, &call->err);
    CHECK_STR(strbuf_str(&call->said), "Hi Hi ");
    CHECK_STR(call->result.message, "{\"role\":\"assistant\",\"content\":\"Hi Hi \"}");
    CHECK(call->result.plain && call->result.has_text);
    CHECK_INT(call->result.usage.input_tokens, 5);
    CHECK_INT(call->result.usage.output_tokens, 3);
    CHECK_INT(call->result.endpoint_index, endpoint);
    CHECK_INT(call->retries, retries);
}

/* A failure after the first token keeps what came and is not tried again. */
static void check_broken(const struct call *call, enum err_code code) {
    CHECK_INT(-call->rc, code);
    CHECK_STR(call->result.message, "{\"role\":\"assistant\",\"content\":\"Hi \"}");
    CHECK_INT(call->retries, 0);
}

/* ---- it goes well ---- */

TEST_FIBER(an_answer_streams) {
    EACH_FORMAT({ANSWER})
    run_call(&call);
    check_answered(&call, 0, 0);
    requests_hold("POST /base");
    requests_hold(KEY);
    END_EACH
}

TEST_FIBER(an_endpoint_can_be_checked) {
    EACH_FORMAT({ANSWER}, {STATUS, 401})
    CHECK_OK(llm_check(&call.endpoints[0], &call.err), &call.err);
    CHECK_FAILS(llm_check(&call.endpoints[0], &call.err), &call.err, ERR_UNAUTHORIZED);
    END_EACH
}

TEST_FIBER(a_whole_answer_does_not_wait_for_its_connection) {
    EACH_FORMAT({NEVER_ENDS})
    run_call(&call);
    CHECK_OK(call.rc, &call.err);
    CHECK_INT(call.result.usage.output_tokens, 3);
    END_EACH
}

/* Whatever still comes: the test's deadline would end it otherwise. */
TEST_FIBER(a_whole_answer_does_not_wait_for_silence) {
    EACH_FORMAT({CHATTERS})
    run_call(&call);
    CHECK_OK(call.rc, &call.err);
    CHECK_INT(call.result.usage.output_tokens, 3);
    END_EACH
}

/* ---- tries ---- */

TEST_FIBER(what_may_pass_is_tried_again) {
    EACH_FORMAT({RESET_AT_ONCE}, {ANSWER}, {STATUS, 408}, {ANSWER}, {STATUS, 409}, {ANSWER},
                {STATUS, 429}, {ANSWER}, {STATUS, 500}, {ANSWER}, {STATUS, 529}, {ANSWER},
                {CLOSE_AT_ONCE}, {ANSWER}, {FAIL_AT_ONCE}, {ANSWER})
    for (unsigned i = 1; i <= ARRAY_LEN(steps) / 2; i++) {
        strbuf_reset(&call.said);
        run_call(&call);
        check_answered(&call, 0, i);
    }
    END_EACH
}

TEST_FIBER(tries_end) {
    EACH_FORMAT({STATUS, 503}, {STATUS, 503})
    run_call(&call);
    CHECK_FAILS(call.rc, &call.err, ERR_UNAVAILABLE);
    CHECK_INT(call.retries, 1);
    error_says(&call, llm_provider_label(call.endpoints[0].provider));
    error_says(&call, "(503: because)");
    CHECK_STR(call.result.message, "");
    END_EACH
}

TEST_FIBER(no_try_begins_after_the_budget) {
    EACH_FORMAT({STATUS, 503})
    call.limits.retry_budget_ms = 1;
    run_call(&call);
    CHECK_FAILS(call.rc, &call.err, ERR_UNAVAILABLE);
    END_EACH
}

TEST_FIBER(retry_after_is_kept_to_within_the_budget) {
    EACH_FORMAT({STATUS, 429, "Retry-After: 1\r\n"}, {ANSWER})
    run_call(&call);
    check_answered(&call, 0, 1);
    CHECK(call.last_delay_ms >= 1000);
    END_EACH
}

TEST_FIBER(retry_after_beyond_the_budget_is_told_at_once) {
    EACH_FORMAT({STATUS, 429, "Retry-After: 600\r\n"})
    run_call(&call);
    CHECK_FAILS(call.rc, &call.err, ERR_BUSY);
    error_says(&call, "try again in 10 minutes");
    END_EACH
}

/* ---- fallbacks ---- */

TEST_FIBER(a_server_that_stays_down_is_left_for_the_next) {
    EACH_FORMAT({STATUS, 500}, {STATUS, 502}, {ANSWER})
    call.n_endpoints = 2;
    run_call(&call);
    check_answered(&call, 1, 2);
    CHECK_INT(call.last_delay_ms, 0);
    END_EACH
}

TEST_FIBER(a_fallback_may_speak_another_format) {
    static const struct step steps[] = {{STATUS, 500}, {ANSWER, .format = &formats[1]}};
    struct call call;
    begin_call(&call, &formats[0], steps, ARRAY_LEN(steps));
    call.n_endpoints = 2;
    call.limits.max_attempts = 1;
    call.endpoints[1].provider = &llm_openai;
    run_call(&call);
    check_answered(&call, 1, 1);
    CHECK_STR(call.result.model, "m-1");
    end_call(&call);
}

TEST_FIBER(a_long_wait_goes_to_the_next_at_once) {
    EACH_FORMAT({STATUS, 429, "Retry-After: 600\r\n"}, {ANSWER})
    call.n_endpoints = 2;
    run_call(&call);
    check_answered(&call, 1, 1);
    END_EACH
}

TEST_FIBER(a_refused_key_is_tried_nowhere_else) {
    EACH_FORMAT({STATUS, 401, NULL, "invalid key " KEY}, {STATUS, 401}, {ANSWER}, {STATUS, 403},
                {ANSWER})
    call.n_endpoints = 2;
    run_call(&call);
    CHECK_FAILS(call.rc, &call.err, ERR_UNAUTHORIZED);
    error_says(&call, "invalid key [key]");
    CHECK_INT(call.retries, 0);
    for (unsigned i = 1; i <= 2; i++) {
        call.endpoints[1].key = call.other_key;
        strbuf_reset(&call.said);
        run_call(&call);
        check_answered(&call, 1, i);
    }
    END_EACH
}

TEST_FIBER(an_unknown_model_falls_back_to_another_only) {
    EACH_FORMAT({STATUS, 404, NULL, "model not found"}, {STATUS, 404}, {ANSWER})
    call.n_endpoints = 2;
    call.endpoints[1].model = call.endpoints[0].model;
    run_call(&call);
    CHECK_FAILS(call.rc, &call.err, ERR_NOT_FOUND);
    error_says(&call, "first-model");
    call.endpoints[1].model = STR("other-model");
    run_call(&call);
    check_answered(&call, 1, 1);
    END_EACH
}

TEST_FIBER(a_refused_request_is_not_tried_again) {
    EACH_FORMAT({STATUS, 400, NULL, "no such field"})
    call.n_endpoints = 2;
    run_call(&call);
    CHECK_FAILS(call.rc, &call.err, ERR_INVALID);
    error_says(&call, "no such field");
    END_EACH
}

TEST_FIBER(a_conversation_that_is_too_long_is_said_so) {
    EACH_FORMAT({STATUS, 400, NULL, "prompt is too long: 210000 tokens > 200000 maximum"},
                {STATUS, 413})
    call.n_endpoints = 2;
    run_call(&call);
    CHECK_FAILS(call.rc, &call.err, ERR_LIMIT);
    error_says(&call, "too long for first-model");
    run_call(&call);
    CHECK_FAILS(call.rc, &call.err, ERR_LIMIT);
    END_EACH
}

TEST_FIBER(when_all_fail_the_first_is_named_too) {
    EACH_FORMAT({STATUS, 500}, {STATUS, 401})
    call.n_endpoints = 2;
    call.limits.max_attempts = 1;
    run_call(&call);
    CHECK_FAILS(call.rc, &call.err, ERR_UNAUTHORIZED);
    error_says(&call, "after ");
    error_says(&call, "API key");
    END_EACH
}

/* ---- it breaks ---- */

TEST_FIBER(a_reset_in_mid_answer_keeps_what_came) {
    EACH_FORMAT({TOKEN_AND_RESET})
    run_call(&call);
    check_broken(&call, ERR_UNAVAILABLE);
    END_EACH
}

TEST_FIBER(an_answer_without_its_end_is_no_answer) {
    EACH_FORMAT({TOKEN_AND_CLOSE})
    call.n_endpoints = 2;
    run_call(&call);
    check_broken(&call, ERR_PROTOCOL);
    error_says(&call, "the answer broke off");
    END_EACH
}

TEST_FIBER(silence_ends_at_its_deadline) {
    EACH_FORMAT({SILENCE})
    call.limits.first_byte_timeout_ms = 50;
    call.limits.max_attempts = 1;
    run_call(&call);
    CHECK_FAILS(call.rc, &call.err, ERR_TIMEOUT);
    error_says(&call, "did not answer in time");
    END_EACH
}

TEST_FIBER(silence_in_mid_answer_keeps_what_came) {
    EACH_FORMAT({TOKEN_AND_SILENCE})
    call.limits.idle_timeout_ms = 50;
    run_call(&call);
    check_broken(&call, ERR_TIMEOUT);
    END_EACH
}

TEST_FIBER(what_is_no_http_is_a_protocol_error) {
    EACH_FORMAT({GARBAGE})
    run_call(&call);
    CHECK_FAILS(call.rc, &call.err, ERR_PROTOCOL);
    END_EACH
}

TEST_FIBER(a_web_page_is_no_answer) {
    EACH_FORMAT({WEB_PAGE})
    run_call(&call);
    CHECK_FAILS(call.rc, &call.err, ERR_PROTOCOL);
    error_says(&call, "base URL");
    END_EACH
}

TEST_FIBER(an_endless_answer_is_cut) {
    EACH_FORMAT({ENDLESS})
    call.limits.max_answer_bytes = 10000;
    run_call(&call);
    CHECK_FAILS(call.rc, &call.err, ERR_LIMIT);
    CHECK(call.result.message.n > 1000 && call.result.message.n < 20000);
    END_EACH
}

TEST_FIBER(a_stream_without_end_or_words_is_cut) {
    EACH_FORMAT({PADDING})
    call.limits.max_answer_bytes = 10000;
    run_call(&call);
    CHECK_FAILS(call.rc, &call.err, ERR_LIMIT);
    CHECK_INT(call.retries, 0);
    END_EACH
}

TEST_FIBER(a_sink_that_fails_ends_the_call_with_its_error) {
    EACH_FORMAT({ANSWER})
    call.refuse = true;
    call.n_endpoints = 2;
    run_call(&call);
    CHECK_FAILS(call.rc, &call.err, ERR_CONFLICT);
    CHECK_STR(str_z(call.err.msg), "not wanted");
    CHECK_INT(call.retries, 0);
    END_EACH
}

TEST_FIBER(a_server_that_is_not_there_is_named) {
    EACH_FORMAT({0})
    play.n_steps = 0;
    call.endpoints[0].base_url = STR("http://127.0.0.1:1");
    run_call(&call);
    CHECK_FAILS(call.rc, &call.err, ERR_UNAVAILABLE);
    CHECK_INT(call.retries, 1);
    error_says(&call, "cannot be reached");
    END_EACH
}

TEST_FIBER(a_key_or_url_that_cannot_be_sent_is_told) {
    EACH_FORMAT({0})
    play.n_steps = 0;
    call.endpoints[0].base_url = STR("ftp://127.0.0.1:1");
    run_call(&call);
    CHECK_FAILS(call.rc, &call.err, ERR_INVALID);
    call.n_endpoints = 0;
    run_call(&call);
    CHECK_FAILS(call.rc, &call.err, ERR_INVALID);
    END_EACH
}

/* ---- cancelling ---- */

static void run_in_fiber(void *arg) {
    run_call(arg);
}

static void cancel_while(struct call *call, bool (*reached)(void)) {
    struct fiber_scope scope;
    struct fiber *runner;
    struct err err;
    fiber_scope_init(&scope);
    REQUIRE_OK(fiber_spawn(&scope, "run", run_in_fiber, call, &runner, &err), &err);
    while (!reached() && fiber_sleep(1) == 0) {
    }
    fiber_cancel(runner);
    fiber_scope_join(&scope);
    CHECK_FAILS(call->rc, &call->err, ERR_CANCELLED);
}

static bool token_was_seen(void) {
    return play.tokens_seen > 0;
}

static bool request_was_read(void) {
    return play.next > 0;
}

static void check_server_sees_close(struct call *call) {
    while (call->server.hung_up == 0 &&
           fiber_wait(&call->server.changed, PATIENCE_MS) != -ERR_TIMEOUT) {
    }
    CHECK_INT(call->server.hung_up, 1);
}

TEST_FIBER(cancelling_in_mid_answer_closes_the_upstream) {
    EACH_FORMAT({TOKEN_AND_SILENCE})
    cancel_while(&call, token_was_seen);
    CHECK_STR(call.result.message, "{\"role\":\"assistant\",\"content\":\"Hi \"}");
    check_server_sees_close(&call);
    END_EACH
}

TEST_FIBER(cancelling_before_the_answer_closes_the_upstream) {
    EACH_FORMAT({SILENCE})
    cancel_while(&call, request_was_read);
    check_server_sees_close(&call);
    CHECK_INT(call.retries, 0);
    END_EACH
}

TEST_FIBER(cancelling_between_tries_ends_them) {
    EACH_FORMAT({STATUS, 429, "Retry-After: 5\r\n"})
    cancel_while(&call, request_was_read);
    END_EACH
}

TEST_FIBER(cancelling_while_a_refusal_is_read_closes_the_upstream) {
    EACH_FORMAT({HALF_ERROR})
    cancel_while(&call, request_was_read);
    check_server_sees_close(&call);
    CHECK_INT(call.retries, 0);
    END_EACH
}

TEST_FIBER(a_refusal_that_does_not_end_is_still_told) {
    EACH_FORMAT({HALF_ERROR})
    call.limits.max_attempts = 1;
    run_call(&call);
    CHECK_FAILS(call.rc, &call.err, ERR_UNAVAILABLE);
    END_EACH
}
