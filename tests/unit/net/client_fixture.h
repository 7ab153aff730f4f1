/* What the HTTP client's tests share. */
#pragma once
#include <stdlib.h>

#include "net/http_client.h"
#include "raw_server.h"
#include "test.h"

enum { MAX_BODY = 4 << 20, PATIENCE_MS = 20 * 1000 };

static inline void begin(struct raw_server *s, void (*script)(struct raw_connection *c)) {
    struct err err;
    unsetenv("no_proxy"); /* it comes before NO_PROXY */
    setenv("NO_PROXY", "*", 1);
    CHECK_OK(http_client_start(&err), &err);
    raw_server_start(s, NULL, script);
}

static inline void end(struct raw_server *s) {
    http_client_stop();
    raw_server_stop(s);
}

struct got {
    int status;
    struct strbuf body;
    struct err err;
};

static inline void got_done(struct got *got) {
    strbuf_done(&got->body);
}

static inline int fetch(const struct http_call *call, struct got *got) {
    strbuf_done(&got->body);
    *got = (struct got){.body = STRBUF(MAX_BODY)};
    return http_fetch(call, MAX_BODY, &got->status, &got->body, &got->err);
}

static inline int fetch_path(const struct raw_server *s, const char *path, struct got *got) {
    char url[128];
    snprintf(url, sizeof url, "%s%s", s->url, path);
    return fetch(&(struct http_call){.url = url, .follow_redirects = true}, got);
}

static inline void wait_for_hang_ups(struct raw_server *s, unsigned n) {
    while (s->hung_up < n && fiber_wait(&s->changed, PATIENCE_MS) != -ERR_TIMEOUT) {
    }
    CHECK_INT(s->hung_up, n);
}
