/* The client against a real server, which runs in a child process as the client blocks. */
#include "cli/ws_client.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/websocket.h"
#include "test.h"

enum { LARGE = 300 * 1024, TIMEOUT_MS = 5000 };

/* ---- the server ---- */

static void on_text(struct websocket *ws, struct str message, void *context) {
    (void)context;
    if (str_eq(message, STR("bye"))) {
        websocket_close(ws, 1001, STR("going"));
    } else if (str_eq(message, STR("large"))) {
        char *large = calloc(1, LARGE);
        memset(large, 'x', LARGE);
        websocket_send(ws, &(struct str){large, LARGE}, 1);
        free(large);
    } else {
        websocket_send(ws, (struct str[]){STR("echo "), message}, 2);
    }
}

static void on_close(struct websocket *ws, unsigned code, void *context) {
    (void)ws, (void)code, (void)context;
}

static void respond(struct http_request *r, int status, struct str body) {
    http_respond(r, &(struct http_response){
                        .status = status, .content_type = "application/json", .body = body});
}

static void handle(struct http_request *r, void *context) {
    (void)context;
    struct websocket *ws;
    struct err err;
    const struct websocket_options options = {
        .callbacks = {.on_text = on_text, .on_close = on_close}};
    if (!str_eq(http_header(r, "X-API-Key"), STR("open sesame"))) {
        respond(r, 401, STR("{\"detail\":\"no such key\",\"status\":401}"));
    } else if (str_eq(http_path(r), STR("/base/thing"))) {
        respond(r, 200, STR("{\"a\":1}"));
    } else if (str_eq(http_path(r), STR("/base/broken"))) {
        respond(r, 500, STR("<html>"));
    } else if (!str_eq(http_path(r), STR("/base/ws"))) {
        respond(r, 404, STR("{}"));
    } else if (websocket_accept(r, &options, &ws, &err) == 0) {
        websocket_send(ws, &STR("welcome"), 1);
    }
}

static void serve(void *fd) {
    struct http_server *server;
    struct err err;
    const struct http_server_options options = {.address = "127.0.0.1:0", .handler = handle};
    if (http_server_start(&options, &server, &err) < 0) {
        _exit(1);
    }
    const char *address = http_server_address(server);
    if (write(*(int *)fd, address, strlen(address) + 1) < 0) {
        _exit(1);
    }
    fiber_sleep(60000);
    _exit(0);
}

struct peer {
    pid_t pid;
    char url[96];
    struct secret *key;
    struct ws_target target;
};

static void run_server(int fd) {
    uv_loop_t loop;
    struct fiber_scope scope;
    struct err err;
    uv_loop_init(&loop);
    fiber_runtime_start(&loop, &(struct fiber_options){0});
    fiber_scope_init(&scope);
    if (fiber_spawn(&scope, "server", serve, &fd, NULL, &err) == 0) {
        uv_run(&loop, UV_RUN_DEFAULT);
    }
    _exit(1);
}

static bool setup(struct peer *p) {
    char address[64] = "";
    int fds[2];
    if (!CHECK_INT(pipe(fds), 0)) {
        return false;
    }
    signal(SIGPIPE, SIG_IGN);
    p->pid = fork();
    if (p->pid == 0) {
        run_server(fds[1]);
    }
    close(fds[1]);
    bool ok = CHECK(read(fds[0], address, sizeof address - 1) > 0);
    close(fds[0]);
    snprintf(p->url, sizeof p->url, "ws://%s/base/", address);
    p->key = secret_new(STR("open sesame"));
    p->target = (struct ws_target){.url = str_z(p->url),
                                   .key = p->key,
                                   .timeout_ms = TIMEOUT_MS,
                                   .max_message_bytes = 1024 * 1024};
    return ok;
}

static void teardown(struct peer *p) {
    secret_free(p->key);
    kill(p->pid, SIGKILL);
    waitpid(p->pid, NULL, 0);
}

/* ---- the client ---- */

static void collect(void *arg, struct str message) {
    strbuf_add(arg, message);
    strbuf_addc(arg, '|');
}

/* Until a message came or the connection ended. */
static int receive(struct ws_client *c, struct strbuf *ret, struct err *err) {
    strbuf_reset(ret);
    while (ret->n == 0) {
        struct pollfd p = {.fd = ws_client_fd(c), .events = POLLIN};
        size_t bytes;
        if (poll(&p, 1, TIMEOUT_MS) <= 0) {
            return err_set(err, ERR_TIMEOUT, "nothing came");
        }
        if (ws_client_receive(c, collect, ret, &bytes, err) < 0) {
            return -(int)err->code;
        }
    }
    return 0;
}

TEST(messages_go_both_ways) {
    struct peer p;
    struct ws_client *c = NULL;
    struct strbuf got cleanup(strbuf_done) = STRBUF(1 << 20);
    struct err err;
    REQUIRE(setup(&p));
    if (CHECK_OK(ws_client_open(&p.target, &c, &err), &err)) {
        CHECK_OK(ws_client_send(c, STR("one"), &err), &err);
        CHECK_OK(receive(c, &got, &err), &err);
        if (str_eq(strbuf_str(&got), STR("welcome|"))) { /* it came behind the handshake */
            CHECK_OK(receive(c, &got, &err), &err);
        }
        CHECK(str_ends(strbuf_str(&got), STR("echo one|")));
        CHECK_OK(ws_client_send(c, STR("large"), &err), &err);
        CHECK_OK(receive(c, &got, &err), &err);
        CHECK_INT(got.n, LARGE + 1);
    }
    ws_client_free(c);
    teardown(&p);
}

TEST(a_close_is_told) {
    struct peer p;
    struct ws_client *c = NULL;
    struct strbuf got cleanup(strbuf_done) = STRBUF(1 << 20);
    struct err err;
    REQUIRE(setup(&p));
    if (CHECK_OK(ws_client_open(&p.target, &c, &err), &err)) {
        CHECK_OK(ws_client_send(c, STR("bye"), &err), &err);
        int rc = receive(c, &got, &err);
        if (rc == 0) { /* the welcome */
            rc = receive(c, &got, &err);
        }
        CHECK_INT(rc, -ERR_UNAVAILABLE);
        CHECK(str_find(str_z(err.msg), STR("1001")) != SIZE_MAX);
    }
    ws_client_free(c);
    teardown(&p);
}

TEST(a_dead_server_is_noticed) {
    struct peer p;
    struct ws_client *c = NULL;
    struct strbuf got cleanup(strbuf_done) = STRBUF(1 << 20);
    struct err err;
    REQUIRE(setup(&p));
    if (CHECK_OK(ws_client_open(&p.target, &c, &err), &err)) {
        kill(p.pid, SIGKILL);
        int rc = receive(c, &got, &err);
        if (rc == 0) {
            rc = receive(c, &got, &err);
        }
        CHECK_INT(rc, -ERR_UNAVAILABLE);
    }
    ws_client_free(c);
    c = NULL;
    CHECK_FAILS(ws_client_open(&p.target, &c, &err), &err, ERR_UNAVAILABLE);
    teardown(&p);
}

TEST(a_refusal_says_why) {
    struct peer p;
    struct ws_client *c = NULL;
    json_t *tree = NULL;
    struct err err;
    REQUIRE(setup(&p));
    struct ws_target nobody = p.target, elsewhere = p.target;
    nobody.key = NULL;
    CHECK_FAILS(ws_client_open(&nobody, &c, &err), &err, ERR_UNAUTHORIZED);
    CHECK_STR(str_z(err.msg), "no such key");
    CHECK_FAILS(ws_target_get(&nobody, "/thing", &tree, &err), &err, ERR_UNAUTHORIZED);
    elsewhere.url = str_head(p.target.url, p.target.url.n - sizeof "base/" + 1);
    CHECK_FAILS(ws_client_open(&elsewhere, &c, &err), &err, ERR_NOT_FOUND);
    CHECK_FAILS(ws_target_get(&p.target, "/broken", &tree, &err), &err, ERR_PROTOCOL);
    teardown(&p);
}

TEST(get_reads_json) {
    struct peer p;
    json_auto_t *tree = NULL;
    struct err err;
    REQUIRE(setup(&p));
    if (CHECK_OK(ws_target_get(&p.target, "/thing", &tree, &err), &err)) {
        CHECK_INT(json_int(tree, "a", 0), 1);
    }
    teardown(&p);
}

TEST(addresses_of_other_kinds_are_refused) {
    static const char *const urls[] = {
        "", "ftp://x", "127.0.0.1:8080", "http://user@host", "http://a b", "http://a\r\nX: y"};
    struct ws_client *c;
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        const struct ws_target target = {.url = str_z(urls[i]), .timeout_ms = 100};
        CHECK_FAILS(ws_client_open(&target, &c, &err), &err, ERR_INVALID);
    }
}
