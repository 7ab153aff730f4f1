/* Peers that fail, stay silent, talk nonsense; and cancellation. */
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client_fixture.h"

static bool says(const struct got *got, const char *text) {
    bool found = str_find(str_z(got->err.msg), str_z(text)) != SIZE_MAX;
    if (!CHECK(found)) {
        printf("  \"%s\" is not in \"%s\"\n", text, got->err.msg);
    }
    return found;
}

/* ---- connections that are refused or break ---- */

static void no_script(struct raw_connection *c) {
    (void)c;
}

TEST_FIBER(client_names_who_refused) {
    struct raw_server s;
    struct err err;
    struct got got cleanup(got_done) = {0};
    char text[64];
    raw_server_start(&s, NULL, no_script);
    raw_server_stop(&s); /* now nobody listens on its port */
    CHECK_OK(http_client_start(&err), &err);
    CHECK_FAILS(fetch_path(&s, "/", &got), &got.err, ERR_UNAVAILABLE);
    snprintf(text, sizeof text, "127.0.0.1:%d refused the connection", s.port);
    CHECK_STR(str_z(got.err.msg), text);
    http_client_stop();
}

TEST_FIBER(client_names_what_cannot_be_resolved) {
    struct err err;
    struct got got cleanup(got_done) = {0};
    setenv("NO_PROXY", "*", 1);
    CHECK_OK(http_client_start(&err), &err);
    CHECK_FAILS(fetch(&(struct http_call){.url = "https://nowhere.invalid/x"}, &got), &got.err,
                ERR_UNAVAILABLE);
    says(&got, "nowhere.invalid:443");
    http_client_stop();
}

/* The answer "a|b" is sent as a, then the connection is closed ('.') or reset ('!'). */
static const char *broken_answer;
static char broken_end;

static void answer_broken(struct raw_connection *c) {
    struct str head, body;
    if (raw_read_request(c, &head, &body)) {
        raw_writez(c, broken_answer);
        if (broken_end == '!') {
            fiber_sleep(20); /* the bytes shall arrive before the reset discards them */
            raw_reset(c);
        }
    }
}

static void check_broken(const char *answer, char how_it_ends, enum err_code code,
                         const char *text) {
    struct raw_server s;
    struct got got cleanup(got_done) = {0};
    broken_answer = answer;
    broken_end = how_it_ends;
    begin(&s, answer_broken);
    if (!CHECK_FAILS(fetch_path(&s, "/", &got), &got.err, code) || !says(&got, text)) {
        printf("  for the answer \"%s\"\n", answer);
    }
    CHECK_INT(got.body.n, 0);
    end(&s);
}

TEST_FIBER(client_tells_a_broken_response_from_a_whole_one) {
    check_broken("", '.', ERR_UNAVAILABLE, "without an answer");
    check_broken("", '!', ERR_UNAVAILABLE, "reset the connection");
    check_broken("HTTP/1.1 200 OK\r\nContent-Le", '.', ERR_UNAVAILABLE, "127.0.0.1:");
    check_broken("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhell", '.', ERR_UNAVAILABLE,
                 "in mid-response");
    check_broken("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhell", '!', ERR_UNAVAILABLE,
                 "reset the connection");
    check_broken("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe", '.',
                 ERR_UNAVAILABLE, "in mid-response");
    check_broken("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", '.',
                 ERR_UNAVAILABLE, "in mid-response");
}

TEST_FIBER(client_refuses_nonsense) {
    check_broken("SSH-2.0-OpenSSH_9.2\r\n", '.', ERR_PROTOCOL, "broken response");
    check_broken("HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nhello", '.', ERR_PROTOCOL,
                 "broken response");
    check_broken("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhello", '.',
                 ERR_PROTOCOL, "broken response");
    check_broken("HTTP/9.9 huh\r\n\r\n", '.', ERR_PROTOCOL, "broken response");
}

static void answer_with_endless_fields(struct raw_connection *c) {
    struct str head, body;
    if (raw_read_request(c, &head, &body)) {
        raw_writez(c, "HTTP/1.1 200 OK\r\n");
        while (raw_writez(c, "X-More: 0123456789012345678901234567890123456789\r\n")) {
        }
    }
}

static void answer_with_endless_hints(struct raw_connection *c) {
    struct str head, body;
    if (raw_read_request(c, &head, &body)) {
        while (raw_writez(c, "HTTP/1.1 103 Hint\r\nX-A: b\r\n\r\n")) {
        }
    }
}

static void answer_with_an_endless_field(struct raw_connection *c) {
    struct str head, body;
    if (raw_read_request(c, &head, &body)) {
        raw_writez(c, "HTTP/1.1 200 OK\r\nX-Long: ");
        while (raw_writez(c, "0123456789012345678901234567890123456789")) {
        }
    }
}

TEST_FIBER(client_limits_header_fields) {
    void (*const scripts[])(struct raw_connection *) = {
        answer_with_endless_fields, answer_with_endless_hints, answer_with_an_endless_field};
    for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
        struct raw_server s;
        struct got got cleanup(got_done) = {0};
        begin(&s, scripts[i]);
        CHECK_FAILS(fetch_path(&s, "/", &got), &got.err, ERR_LIMIT);
        end(&s);
    }
}

/* ---- time ---- */

static void stay_silent(struct raw_connection *c) {
    raw_wait_hang_up(c);
}

static void answer_and_stay_silent(struct raw_connection *c) {
    struct str head, body;
    if (raw_read_request(c, &head, &body)) {
        raw_writez(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
        raw_wait_hang_up(c);
    }
}

static void trickle(struct raw_connection *c) {
    struct str head, body;
    if (raw_read_request(c, &head, &body)) {
        raw_writez(c, "HTTP/1.1 200 OK\r\n\r\n");
        while (raw_writez(c, "x")) {
            fiber_sleep(10);
        }
    }
}

static void trickle_fields(struct raw_connection *c) {
    struct str head, body;
    if (raw_read_request(c, &head, &body)) {
        raw_writez(c, "HTTP/1.1 200 OK\r\n");
        while (raw_writez(c, "x:y\r\n")) {
            fiber_sleep(10);
        }
    }
}

static void check_time_out(void (*script)(struct raw_connection *c), int64_t idle_ms,
                           int64_t total_ms, const char *text) {
    struct raw_server s;
    struct got got cleanup(got_done) = {0};
    begin(&s, script);
    struct http_call call = {
        .url = s.url, .idle_timeout_ms = idle_ms, .total_timeout_ms = total_ms};
    CHECK_FAILS(fetch(&call, &got), &got.err, ERR_TIMEOUT);
    says(&got, text);
    says(&got, "127.0.0.1:");
    wait_for_hang_ups(&s, 1);
    end(&s);
}

TEST_FIBER(client_gives_up_on_silence) {
    check_time_out(stay_silent, 80, 0, "sent nothing for 0.08 seconds");
    check_time_out(answer_and_stay_silent, 80, 0, "sent nothing for 0.08 seconds");
}

TEST_FIBER(client_gives_up_at_the_total_timeout) {
    check_time_out(stay_silent, 0, 80, "in time");
    check_time_out(answer_and_stay_silent, 0, 80, "in time");
    check_time_out(trickle, 5000, 200, "in time");
    check_time_out(trickle_fields, 5000, 200, "in time");
}

TEST_FIBER(client_obeys_the_callers_deadline) {
    struct raw_server s;
    struct fiber_timeout timeout;
    struct got got cleanup(got_done) = {0};
    begin(&s, stay_silent);
    fiber_timeout_start(&timeout, 50);
    CHECK_FAILS(fetch_path(&s, "/", &got), &got.err, ERR_TIMEOUT);
    fiber_timeout_stop(&timeout);
    CHECK(timeout.expired);
    wait_for_hang_ups(&s, 1);
    end(&s);
}

TEST_FIBER(client_limits_the_time_to_connect) {
    struct err err;
    struct got got cleanup(got_done) = {0};
    /* A listener whose queue is full does not answer further connections. */
    int fd = socket(AF_INET, SOCK_STREAM, 0), fill[8];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    CHECK_INT(bind(fd, (struct sockaddr *)&address, length), 0);
    CHECK_INT(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    CHECK_INT(listen(fd, 0), 0);
    for (size_t i = 0; i < ARRAY_LEN(fill); i++) {
        fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(fill[i], (struct sockaddr *)&address, length);
    }
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", ntohs(address.sin_port));
    setenv("NO_PROXY", "*", 1);
    CHECK_OK(http_client_start(&err), &err);
    CHECK_FAILS(fetch(&(struct http_call){.url = url, .connect_timeout_ms = 100}, &got), &got.err,
                ERR_TIMEOUT);
    says(&got, "no connection to 127.0.0.1:");
    http_client_stop();
    for (size_t i = 0; i < ARRAY_LEN(fill); i++) {
        close(fill[i]);
    }
    close(fd);
}

/* ---- cancellation ---- */

static void open_and_wait(void *arg) {
    struct raw_server *s = arg;
    struct http_reply *reply = NULL;
    struct err err;
    CHECK_FAILS(http_call_open(&(struct http_call){.url = s->url}, &reply, &err), &err,
                ERR_CANCELLED);
    CHECK(reply == NULL);
}

static void open_and_read(void *arg) {
    struct raw_server *s = arg;
    struct http_reply *reply = NULL;
    struct err err;
    struct str piece;
    REQUIRE_OK(http_call_open(&(struct http_call){.url = s->url}, &reply, &err), &err);
    CHECK_OK(http_reply_read(reply, &piece, &err), &err);
    CHECK_STR(piece, "hello");
    CHECK_FAILS(http_reply_read(reply, &piece, &err), &err, ERR_CANCELLED);
    http_reply_close(reply);
}

static void check_cancel(void (*script)(struct raw_connection *c), void (*fn)(void *arg)) {
    struct raw_server s;
    struct fiber_scope scope;
    struct err err;
    begin(&s, script);
    fiber_scope_init(&scope);
    REQUIRE_OK(fiber_spawn(&scope, "client", fn, &s, NULL, &err), &err);
    while (s.accepted == 0 && fiber_sleep(5) == 0) {
    }
    CHECK_INT(fiber_sleep(50), 0);
    fiber_scope_done(&scope);
    wait_for_hang_ups(&s, 1);
    end(&s);
}

TEST_FIBER(client_cancelled_closes_its_connection_at_once) {
    check_cancel(stay_silent, open_and_wait);
    check_cancel(answer_and_stay_silent, open_and_read);
}

static void open_nowhere(void *arg) {
    struct http_reply *reply = NULL;
    struct err err;
    (void)arg;
    CHECK(http_call_open(&(struct http_call){.url = "http://nowhere.invalid"}, &reply, &err) < 0);
}

TEST_FIBER(client_cancelled_does_not_wait_for_the_resolver) {
    struct fiber_scope scope;
    struct err err;
    CHECK_OK(http_client_start(&err), &err);
    fiber_scope_init(&scope);
    for (int i = 0; i < 20; i++) {
        CHECK_OK(fiber_spawn(&scope, "client", open_nowhere, NULL, NULL, &err), &err);
    }
    fiber_yield();
    fiber_yield();
    fiber_scope_done(&scope);
    http_client_stop();
}

TEST_FIBER(client_drops_what_is_not_read_to_its_end) {
    struct raw_server s;
    struct http_reply *reply = NULL;
    struct err err;
    begin(&s, answer_and_stay_silent);
    for (unsigned i = 1; i <= 3; i++) {
        REQUIRE_OK(http_call_open(&(struct http_call){.url = s.url}, &reply, &err), &err);
        http_reply_close(reply);
        wait_for_hang_ups(&s, i);
        CHECK_INT(s.accepted, i);
    }
    end(&s);
}

/* ---- pooled connections ---- */

/* The first connection is closed by the server once it has answered, without saying so before. */
static void answer_and_leave(struct raw_connection *c) {
    struct str head, body;
    while (raw_read_request(c, &head, &body)) {
        raw_writez(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        if (raw_number(c) == 1) {
            return;
        }
    }
}

TEST_FIBER(client_replaces_a_connection_that_died_in_the_pool) {
    struct raw_server s;
    struct got got cleanup(got_done) = {0};
    begin(&s, answer_and_leave);
    CHECK_OK(fetch_path(&s, "/", &got), &got.err);
    CHECK_INT(fiber_sleep(20), 0);
    CHECK_OK(fetch_path(&s, "/", &got), &got.err);
    CHECK_STR(strbuf_str(&got.body), "ok");
    CHECK_INT(s.accepted, 2);
    end(&s);
}

/* The first connection dies when the second request has arrived. */
static void leave_at_second_request(struct raw_connection *c) {
    struct str head, body;
    for (int i = 1; raw_read_request(c, &head, &body); i++) {
        if (raw_number(c) == 1 && i == 2) {
            return;
        }
        raw_writez(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    }
}

TEST_FIBER(client_repeats_a_request_whose_pooled_connection_was_stale) {
    struct raw_server s;
    struct got got cleanup(got_done) = {0};
    begin(&s, leave_at_second_request);
    CHECK_OK(fetch(&(struct http_call){.url = s.url, .body = STR("1")}, &got), &got.err);
    CHECK_OK(fetch(&(struct http_call){.url = s.url, .body = STR("2")}, &got), &got.err);
    CHECK_STR(strbuf_str(&got.body), "ok");
    CHECK_INT(s.accepted, 2);
    CHECK_INT(s.requests, 3);
    end(&s);
}

TEST_FIBER(client_sends_once_what_it_must_not_repeat) {
    struct raw_server s;
    struct got got cleanup(got_done) = {0};
    begin(&s, leave_at_second_request);
    struct http_call call = {.url = s.url, .body = STR("1"), .once = true};
    CHECK_OK(fetch(&call, &got), &got.err);
    CHECK_STR(strbuf_str(&got.body), "ok");
    CHECK_INT(fetch(&call, &got), -ERR_UNAVAILABLE);
    CHECK_INT(s.requests, 2);
    CHECK_OK(fetch(&call, &got), &got.err); /* the handle is good for more */
    CHECK_OK(fetch(&(struct http_call){.url = s.url, .body = STR("2")}, &got), &got.err);
    CHECK_INT(s.requests, 4);
    end(&s);
}

static void fetch_many(void *arg) {
    struct got got cleanup(got_done) = {0};
    for (int i = 0; i < 20; i++) {
        CHECK_OK(fetch_path(arg, "/", &got), &got.err);
        CHECK_STR(strbuf_str(&got.body), "ok");
    }
}

static void answer_ok(struct raw_connection *c) {
    struct str head, body;
    while (raw_read_request(c, &head, &body)) {
        raw_writez(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    }
}

TEST_FIBER(client_serves_many_fibers_with_as_many_connections) {
    struct raw_server s;
    struct fiber_scope scope;
    struct err err;
    begin(&s, answer_ok);
    fiber_scope_init(&scope);
    for (int i = 0; i < 30; i++) {
        CHECK_OK(fiber_spawn(&scope, "client", fetch_many, &s, NULL, &err), &err);
    }
    fiber_scope_join(&scope);
    CHECK_INT(s.requests, 600);
    CHECK(s.accepted <= 30);
    end(&s);
}
