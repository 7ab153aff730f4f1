/* A WebSocket client for programs with one connection and no event loop: blocking with deadlines,
 * over libcurl's connections (TLS verified, proxies), RFC 6455 without extensions. Beside it, plain
 * GET requests to the same server. */
#pragma once
#include "base/err.h"
#include "base/json.h"
#include "base/secret.h"

/* A server and as whom to call it. */
struct ws_target {
    struct str url; /* "http://host:port", https, ws or wss; a path before ours may follow */
    const struct secret *key; /* NULL: none */
    int64_t timeout_ms;       /* for each of: connecting with the handshake, sending, a GET */
    size_t max_message_bytes;
};

struct ws_client;

/* Connects to <url>/ws. ERR_INVALID (the URL), ERR_UNAVAILABLE, ERR_TIMEOUT, ERR_PROTOCOL,
 * ERR_UNAUTHORIZED and other codes with what the server says. */
int ws_client_open(const struct ws_target *target, struct ws_client **ret, struct err *err)
    must_check;
void ws_client_free(struct ws_client *c); /* says goodbye; accepts NULL */

/* For poll(): readable means that ws_client_receive has work. */
int ws_client_fd(const struct ws_client *c);
/* Takes everything that has arrived and calls on_text with each whole message; answers pings. Never
 * waits. ERR_UNAVAILABLE: the connection ended; ERR_PROTOCOL. *ret_bytes: 0 when nothing came. */
int ws_client_receive(struct ws_client *c, void (*on_text)(void *arg, struct str message),
                      void *arg, size_t *ret_bytes, struct err *err) must_check;
int ws_client_send(struct ws_client *c, struct str text, struct err *err) must_check;

/* GET <url><path>: the answer's JSON; a status that is not 200 becomes an error. */
int ws_target_get(const struct ws_target *target, const char *path, json_t **ret, struct err *err)
    must_check;

/* The error of a problem document or of a bare status, for whoever shows it. */
int ws_problem(const json_t *problem, int status, struct err *err);
