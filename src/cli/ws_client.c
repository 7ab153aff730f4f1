#include "cli/ws_client.h"

#include <curl/curl.h>
#include <poll.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/mem.h"
#include "net/websocket_frame.h"

enum {
    MAX_URL_BYTES = 2048,
    MAX_HANDSHAKE_BYTES = 32 * 1024,
    MAX_BODY_BYTES = 16 * 1024 * 1024,
    RECEIVE_BYTES = 64 * 1024,
    CLOSE_BYTES = 2,
};

struct ws_client {
    CURL *curl;
    curl_socket_t fd;
    int64_t timeout_ms;
    struct websocket_reader reader;
    bool closed;
    struct strbuf out; /* the frame that is sent */

    /* While ws_client_receive runs. */
    void (*on_text)(void *arg, struct str message);
    void *arg;
    struct err *err;
    int rc;

    char buffer[RECEIVE_BYTES];
};

/* ---- addresses ---- */

static bool scheme(struct str *url, struct str name) {
    if (!str_starts(*url, name)) {
        return false;
    }
    *url = str_skip(*url, name.n);
    return true;
}

/* The target's URL with http or https and `path` behind it. */
static int make_url(const struct ws_target *target, const char *path, struct strbuf *out,
                    struct err *err) {
    struct str rest = target->url;
    bool tls = scheme(&rest, STR("https://")) || scheme(&rest, STR("wss://"));
    if (!tls && !scheme(&rest, STR("http://")) && !scheme(&rest, STR("ws://"))) {
        return err_set(err, ERR_INVALID, "the URL must begin with http:// or https://");
    }
    while (str_ends(rest, STR("/"))) {
        rest.n--;
    }
    for (size_t i = 0; i < rest.n; i++) {
        if (rest.p[i] <= ' ' || rest.p[i] > '~' || rest.p[i] == '@') {
            return err_set(err, ERR_INVALID, "the URL has a character that it must not have");
        }
    }
    strbuf_addz(out, tls ? "https://" : "http://");
    strbuf_add(out, rest);
    strbuf_addz(out, path);
    return strbuf_check(out, "the URL", err);
}

static struct str host_of(struct str url) {
    struct str rest = str_skip(url, str_find(url, STR("://")) + 3);
    return str_head(rest, str_find_char(rest, '/'));
}

static bool is_loopback(struct str host) {
    return str_starts(host, STR("127.")) || str_starts(host, STR("[::1]")) ||
           str_starts(host, STR("localhost"));
}

/* ---- libcurl ---- */

static int fail_curl(CURLcode code, struct str url, struct err *err) {
    struct str host = host_of(url);
    enum err_code ours = code == CURLE_OPERATION_TIMEDOUT ? ERR_TIMEOUT : ERR_UNAVAILABLE;
    return err_set(err, ours, "%.*s: %s", STR_ARG(host), curl_easy_strerror(code));
}

static CURL *handle_new(const struct ws_target *target, const struct strbuf *url) {
    CURL *curl = curl_easy_init();
    if (!curl) {
        return NULL;
    }
    curl_easy_setopt(curl, CURLOPT_URL, strbuf_z(url));
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)target->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
    if (is_loopback(host_of(strbuf_str(url)))) {
        curl_easy_setopt(curl, CURLOPT_PROXY, "");
    }
    return curl;
}

static int wait_for(struct ws_client *c, short events, int64_t end_us, struct err *err) {
    struct pollfd p = {.fd = c->fd, .events = events};
    int64_t left_ms = (end_us - clock_mono_us()) / 1000;
    /* An interrupted wait is not an error: the caller tries again, and the deadline holds. */
    if (left_ms <= 0 || poll(&p, 1, (int)left_ms) == 0) {
        return err_set(err, ERR_TIMEOUT, "the server is silent");
    }
    return 0;
}

static int send_all(struct ws_client *c, struct str bytes, struct err *err) {
    int64_t end_us = clock_mono_us() + c->timeout_ms * 1000;
    while (bytes.n > 0) {
        size_t sent = 0;
        CURLcode code = curl_easy_send(c->curl, bytes.p, bytes.n, &sent);
        bytes = str_skip(bytes, sent);
        if (code == CURLE_AGAIN && wait_for(c, POLLOUT, end_us, err) < 0) {
            return -(int)err->code;
        }
        if (code != CURLE_OK && code != CURLE_AGAIN) {
            return err_set(err, ERR_UNAVAILABLE, "the connection was lost");
        }
    }
    return 0;
}

/* Some bytes into the buffer, or *ret_n = 0 when there are none now. */
static int receive_some(struct ws_client *c, size_t *ret_n, struct err *err) {
    *ret_n = 0;
    CURLcode code = curl_easy_recv(c->curl, c->buffer, sizeof c->buffer, ret_n);
    if (code == CURLE_AGAIN) {
        return 0;
    }
    if (code != CURLE_OK || *ret_n == 0) {
        return err_set(err, ERR_UNAVAILABLE, "the connection was lost");
    }
    return 0;
}

/* ---- what a server says no with ---- */

int ws_problem(const json_t *problem, int status, struct err *err) {
    static const struct {
        int status;
        enum err_code code;
        const char *say;
    } known[] = {
        {400, ERR_INVALID, "the server does not understand the request"},
        {401, ERR_UNAUTHORIZED, "the server does not accept the key"},
        {403, ERR_FORBIDDEN, "the server does not permit it"},
        {404, ERR_NOT_FOUND, "the server knows no such thing"},
        {409, ERR_CONFLICT, "the server says that something stands in the way"},
        {429, ERR_BUSY, "the server is busy"},
        {503, ERR_UNAVAILABLE, "the server is not ready"},
    };
    struct str detail = json_str(problem, "detail");
    enum err_code code = ERR_PROTOCOL;
    const char *say = NULL;
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (known[i].status == status) {
            code = known[i].code;
            say = known[i].say;
        }
    }
    if (detail.n > 0) {
        return err_set(err, code, "%.*s", STR_ARG(detail));
    }
    return say ? err_set(err, code, "%s", say)
               : err_set(err, code, "the server answers with status %d", status);
}

static int refused(int status, struct str body, struct err *err) {
    json_auto_t *problem = NULL;
    struct err ignored;
    if (json_read(body, &problem, &ignored) < 0) {
        problem = NULL;
    }
    return ws_problem(problem, status, err);
}

/* ---- the handshake ---- */

static int send_request(struct ws_client *c, const struct ws_target *target, struct str url,
                        struct str nonce, struct err *err) {
    struct strbuf head cleanup(strbuf_done) = STRBUF(MAX_HANDSHAKE_BYTES);
    struct str host = host_of(url);
    struct str path = str_skip(url, str_find(url, STR("://")) + 3 + host.n);
    strbuf_addf(&head,
                "GET %.*s HTTP/1.1\r\nHost: %.*s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %.*s\r\n",
                STR_ARG(path), STR_ARG(host), STR_ARG(nonce));
    if (target->key) {
        strbuf_addz(&head, "X-API-Key: ");
        strbuf_add(&head, secret_reveal(target->key));
        strbuf_addz(&head, "\r\n");
    }
    strbuf_addz(&head, "\r\n");
    int rc = strbuf_check(&head, "the request", err);
    if (rc == 0) {
        rc = send_all(c, strbuf_str(&head), err);
    }
    secret_wipe(head.p, head.n);
    return rc;
}

/* A field's value in a response head; names are compared without case. */
static struct str field(struct str head, struct str name) {
    while (head.n > 0) {
        struct str line = str_trim(str_cut(&head, '\n'));
        struct str value = line;
        struct str key = str_cut(&value, ':');
        if (key.n < line.n && str_eq_nocase(key, name)) {
            return str_trim(value);
        }
    }
    return STR_EMPTY;
}

static void expected_answer(struct str nonce, struct strbuf *out) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(256);
    uint8_t digest[20];
    strbuf_add(&text, nonce);
    strbuf_addz(&text, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"); /* RFC 6455, section 1.3 */
    crypto_sha1(strbuf_str(&text), digest);
    crypto_base64(out, (struct str){(const char *)digest, sizeof digest});
}

/* Reads until `in` has the whole head, and of a refusal its body; *ret_head_bytes tells the head's
 * size. */
static int read_response(struct ws_client *c, struct strbuf *in, size_t *ret_head_bytes,
                         int *ret_status, struct err *err) {
    int64_t end_us = clock_mono_us() + c->timeout_ms * 1000, status = 0, length = 0;
    size_t end = SIZE_MAX, n;
    for (;;) {
        if (receive_some(c, &n, err) < 0 || (n == 0 && wait_for(c, POLLIN, end_us, err) < 0)) {
            return -(int)err->code;
        }
        strbuf_add(in, (struct str){c->buffer, n});
        if (strbuf_check(in, "the server's answer", err) < 0) {
            return err_set(err, ERR_PROTOCOL, "the server's answer is too long");
        }
        end = end == SIZE_MAX ? str_find(strbuf_str(in), STR("\r\n\r\n")) : end;
        if (end == SIZE_MAX) {
            continue;
        }
        struct str head = str_head(strbuf_str(in), end);
        if (!str_starts(head, STR("HTTP/1.1 ")) ||
            !str_to_i64(str_head(str_skip(head, 9), 3), &status)) {
            return err_set(err, ERR_PROTOCOL, "this is not an HTTP server");
        }
        (void)str_to_i64(field(head, STR("Content-Length")), &length);
        if (status == 101 || (int64_t)(in->n - end - 4) >= MIN(length, MAX_HANDSHAKE_BYTES / 2)) {
            *ret_head_bytes = end + 4;
            *ret_status = (int)status;
            return 0;
        }
    }
}

static bool on_item(void *context, enum websocket_opcode opcode, struct str payload) {
    struct ws_client *c = context;
    if (opcode == WEBSOCKET_TEXT) {
        c->on_text(c->arg, payload);
        return true;
    }
    strbuf_reset(&c->out);
    if (opcode == WEBSOCKET_PING) {
        websocket_frame_masked(&c->out, WEBSOCKET_PONG, payload);
        c->rc = send_all(c, strbuf_str(&c->out), c->err);
    } else if (opcode == WEBSOCKET_CLOSE) {
        unsigned code = payload.n >= 2 ? (unsigned)(unsigned char)payload.p[0] << 8 |
                                             (unsigned char)payload.p[1]
                                       : WEBSOCKET_NO_STATUS;
        c->closed = true;
        c->rc = err_set(c->err, ERR_UNAVAILABLE, "the server closed the connection (%u)", code);
    }
    return c->rc == 0;
}

static int feed(struct ws_client *c, char *bytes, size_t n, struct err *err) {
    c->err = err;
    c->rc = 0;
    unsigned code =
        websocket_reader_feed(&c->reader, bytes, n, &(struct websocket_reader_sink){on_item, c});
    if (code != 0) {
        c->closed = true;
        return err_set(err, ERR_PROTOCOL, "the server broke the WebSocket protocol (%u)", code);
    }
    return c->rc;
}

static void too_early(void *arg, struct str message) {
    struct strbuf *early = arg;
    strbuf_add(early, message);
}

static int shake_hands(struct ws_client *c, const struct ws_target *target, struct str url,
                       struct err *err) {
    struct strbuf nonce cleanup(strbuf_done) = STRBUF(64),
                        in cleanup(strbuf_done) = STRBUF(MAX_HANDSHAKE_BYTES),
                        accept cleanup(strbuf_done) = STRBUF(64);
    char random[16];
    size_t head_bytes = 0;
    int status = 0;
    crypto_random(random, sizeof random);
    crypto_base64(&nonce, (struct str){random, sizeof random});
    if (send_request(c, target, url, strbuf_str(&nonce), err) < 0 ||
        read_response(c, &in, &head_bytes, &status, err) < 0) {
        return -(int)err->code;
    }
    struct str head = str_head(strbuf_str(&in), head_bytes);
    if (status != 101) {
        return refused(status, str_skip(strbuf_str(&in), head_bytes), err);
    }
    expected_answer(strbuf_str(&nonce), &accept);
    if (!str_eq(field(head, STR("Sec-WebSocket-Accept")), strbuf_str(&accept))) {
        return err_set(err, ERR_PROTOCOL, "the server's handshake is wrong");
    }
    /* The greeting may have come with the head. Nobody waits for it. */
    struct strbuf early cleanup(strbuf_done) = STRBUF(MAX_HANDSHAKE_BYTES);
    c->on_text = too_early;
    c->arg = &early;
    return feed(c, in.p + head_bytes, in.n - head_bytes, err);
}

int ws_client_open(const struct ws_target *target, struct ws_client **ret, struct err *err) {
    struct strbuf url cleanup(strbuf_done) = STRBUF(MAX_URL_BYTES);
    if (make_url(target, "/ws", &url, err) < 0) {
        return -(int)err->code;
    }
    struct ws_client *c = mem_alloc(sizeof *c);
    c->timeout_ms = target->timeout_ms;
    c->fd = CURL_SOCKET_BAD;
    c->closed = true;
    c->out = STRBUF(target->max_message_bytes + 64);
    websocket_reader_init(&c->reader, target->max_message_bytes);
    c->reader.from_server = true;
    c->curl = handle_new(target, &url);
    CURLcode code = CURLE_FAILED_INIT;
    if (c->curl) {
        curl_easy_setopt(c->curl, CURLOPT_CONNECT_ONLY, 1L);
        curl_easy_setopt(c->curl, CURLOPT_HTTPPROXYTUNNEL, 1L);
        code = curl_easy_perform(c->curl);
    }
    if (code == CURLE_OK) {
        code = curl_easy_getinfo(c->curl, CURLINFO_ACTIVESOCKET, &c->fd);
    }
    int rc = code == CURLE_OK ? shake_hands(c, target, strbuf_str(&url), err)
                              : fail_curl(code, strbuf_str(&url), err);
    if (rc < 0) {
        ws_client_free(c);
        return rc;
    }
    c->closed = false;
    *ret = c;
    return 0;
}

void ws_client_free(struct ws_client *c) {
    if (!c) {
        return;
    }
    if (!c->closed) {
        struct err ignored;
        strbuf_reset(&c->out);
        websocket_frame_masked(&c->out, WEBSOCKET_CLOSE,
                               (struct str){"\x03\xe8", CLOSE_BYTES}); /* 1000 */
        (void)!send_all(c, strbuf_str(&c->out), &ignored);
    }
    websocket_reader_done(&c->reader);
    strbuf_done(&c->out);
    curl_easy_cleanup(c->curl);
    mem_free(c);
}

/* ---- traffic ---- */

int ws_client_fd(const struct ws_client *c) {
    return c->fd;
}

int ws_client_receive(struct ws_client *c, void (*on_text)(void *arg, struct str message),
                      void *arg, size_t *ret_bytes, struct err *err) {
    size_t n = 0;
    *ret_bytes = 0;
    c->on_text = on_text;
    c->arg = arg;
    do { /* to the end of what has arrived: TLS may hold more than the socket shows */
        if (receive_some(c, &n, err) < 0) {
            c->closed = true;
            return -(int)err->code;
        }
        *ret_bytes += n;
        if (feed(c, c->buffer, n, err) < 0) {
            return -(int)err->code;
        }
    } while (n > 0);
    return 0;
}

int ws_client_send(struct ws_client *c, struct str text, struct err *err) {
    strbuf_reset(&c->out);
    websocket_frame_masked(&c->out, WEBSOCKET_TEXT, text);
    if (strbuf_check(&c->out, "the message", err) < 0) {
        return -(int)err->code;
    }
    int rc = send_all(c, strbuf_str(&c->out), err);
    c->closed |= rc < 0;
    return rc;
}

/* ---- GET ---- */

static size_t on_body(char *bytes, size_t size, size_t n, void *arg) {
    struct strbuf *body = arg;
    strbuf_add(body, (struct str){bytes, size * n});
    return body->failed ? 0 : size * n;
}

int ws_target_get(const struct ws_target *target, const char *path, json_t **ret, struct err *err) {
    struct strbuf url cleanup(strbuf_done) = STRBUF(MAX_URL_BYTES),
                      body cleanup(strbuf_done) = STRBUF(MAX_BODY_BYTES),
                      key cleanup(strbuf_done) = STRBUF(MAX_HANDSHAKE_BYTES);
    long status = 0;
    if (make_url(target, path, &url, err) < 0) {
        return -(int)err->code;
    }
    CURL *curl = handle_new(target, &url);
    if (!curl) {
        return fail_curl(CURLE_FAILED_INIT, strbuf_str(&url), err);
    }
    struct curl_slist *fields = curl_slist_append(NULL, "Accept: application/json");
    if (target->key) {
        strbuf_addz(&key, "X-API-Key: ");
        strbuf_add(&key, secret_reveal(target->key));
        fields = curl_slist_append(fields, strbuf_z(&key));
    }
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, fields);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)target->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(fields);
    curl_easy_cleanup(curl);
    secret_wipe(key.p, key.n);
    if (code != CURLE_OK) {
        return fail_curl(code, strbuf_str(&url), err);
    }
    return status == 200 ? json_read(strbuf_str(&body), ret, err)
                         : refused((int)status, strbuf_str(&body), err);
}
