/* A whole server and one client that follows the input as a script: sends, reads, closes its side,
 * goes away, or lets the server run in between. No order of events may corrupt memory, leave a
 * connection behind, or keep the loop busy. */
#include <arpa/inet.h>
#include <assert.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"
#include "net/websocket.h"

enum { MAX_TURNS = 20000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uv_loop_t loop;
static struct fiber_scope scope;
static struct http_server *server;

static void on_text(struct websocket *ws, struct str message, void *context) {
    (void)context;
    if (str_starts(message, STR("c"))) {
        websocket_close(ws, 1000, message);
    } else {
        (void)websocket_send(ws, &message, 1);
    }
}

static void on_close(struct websocket *ws, unsigned code, void *context) {
    (void)ws, (void)code, (void)context;
}

static void accept_socket(struct http_request *r) {
    const struct websocket_options options = {
        .callbacks = {.on_text = on_text, .on_close = on_close}, .deflate = true};
    struct websocket *ws;
    struct err err;
    if (websocket_accept(r, &options, &ws, &err) < 0) {
        (void)http_respond(r, &(struct http_response){.status = 400});
    }
}

static void stream(struct http_request *r) {
    static const char block[3000];
    int rc = http_stream_begin(r, &(struct http_response){.status = 200});
    for (int i = 0; i < 20 && rc == 0; i++) {
        rc = http_stream_write(r, (struct str){block, sizeof block});
        fiber_yield();
    }
    if (rc == 0) {
        (void)http_stream_end(r);
    }
}

static void handle(struct http_request *r, void *context) {
    struct strbuf body cleanup(strbuf_done) = STRBUF(1000);
    struct str path = http_path(r);
    struct err err;
    (void)context;
    switch (path.n > 1 ? path.p[1] : 0) {
    case 'b':
        if (http_read_body(r, 500, &body, &err) < 0) {
            return; /* no response: the server gives one */
        }
        break;
    case 's':
        stream(r);
        return;
    case 'w':
        accept_socket(r);
        return;
    case 'y':
        fiber_yield();
        fiber_yield();
        break;
    case 'z':
        (void)fiber_sleep(100000);
        break;
    default:
        break;
    }
    (void)http_respond(r, &(struct http_response){.status = 200, .body = strbuf_str(&body)});
}

static void start(void *arg) {
    const struct http_server_options options = {.address = "127.0.0.1:0",
                                                .handler = handle,
                                                .max_header_bytes = 1000,
                                                .max_body_bytes = 800,
                                                .max_write_queue_bytes = 5000};
    struct err err;
    (void)arg;
    int rc = http_server_start(&options, &server, &err);
    assert(rc == 0);
}

static void start_once(void) {
    struct fiber_options options = {0};
    struct err err;
    if (server) {
        return;
    }
    log_set_level(LOG_ERROR + 1);
    uv_loop_init(&loop);
    fiber_runtime_start(&loop, &options);
    fiber_scope_init(&scope);
    int rc = fiber_spawn(&scope, "start", start, NULL, NULL, &err);
    assert(rc == 0);
    while (!server) {
        uv_run(&loop, UV_RUN_NOWAIT);
    }
}

static int open_client(void) {
    struct str rest = str_z(http_server_address(server));
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int64_t port = 0;
    str_cut(&rest, ':');
    str_to_i64(rest, &port);
    a.sin_port = htons((uint16_t)port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int rc = connect(fd, (struct sockaddr *)&a, sizeof a);
    assert(rc == 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void follow(int fd, const uint8_t *p, size_t n) {
    char sink[4096];
    while (n > 0) {
        size_t k = *p & 0x7f;
        bool send_it = *p & 0x80;
        p++, n--;
        if (send_it) {
            k = MIN(k == 0x7f ? n : k, n);
            (void)!send(fd, p, k, MSG_NOSIGNAL);
            p += k;
            n -= k;
        } else if (k < 0x60) {
            for (size_t i = 0; i <= k % 8; i++) {
                uv_run(&loop, UV_RUN_NOWAIT);
            }
        } else if (k < 0x70) {
            (void)!recv(fd, sink, sizeof sink, 0);
        } else {
            shutdown(fd, SHUT_WR);
        }
    }
}

static void close_client(int fd) {
    struct linger at_once = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
    for (int i = 0; http_server_stats(server).connections > 0; i++) {
        uv_run(&loop, UV_RUN_NOWAIT);
        assert(i < MAX_TURNS);
    }
    assert(fiber_stats().live == 0);
    assert(http_server_stats(server).requests_running == 0);
    assert(http_server_stats(server).websockets == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    start_once();
    int fd = open_client();
    uv_run(&loop, UV_RUN_NOWAIT);
    follow(fd, data, size);
    close_client(fd);
    return 0;
}
