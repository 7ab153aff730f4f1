/* A server for tests that sends exactly the bytes it is told to: each connection is a fiber that
 * runs the test's script. The server lives in the test's fiber. */
#pragma once
#include <uv.h>

#include "base/strbuf.h"
#include "fiber/fiber.h"

struct raw_connection;

struct raw_server {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    };
    struct fiber_scope scope;
    struct fiber_cond changed;
    void (*script)(struct raw_connection *c);
    int port;
    unsigned accepted; /* connections so far */
    unsigned requests; /* read with raw_read_request */
    unsigned hung_up;  /* connections that the client closed or reset */
    bool closed;
    char *socket_path;
    char url[64]; /* "http://127.0.0.1:port" */
};

/* socket_path NULL: TCP on 127.0.0.1. */
void raw_server_start(struct raw_server *s, const char *socket_path,
                      void (*script)(struct raw_connection *c));
may_yield void raw_server_stop(struct raw_server *s);

/* ---- for scripts ---- */

struct raw_server *raw_server_of(struct raw_connection *c);
unsigned raw_number(const struct raw_connection *c); /* 1 for the first connection */
/* A head and, by its Content-Length, a body; false when the client is gone. The views live until
 * the next call. */
may_yield bool raw_read_request(struct raw_connection *c, struct str *ret_head,
                                struct str *ret_body);
/* False when the client is gone. Returns when the kernel has taken the bytes. */
may_yield bool raw_write(struct raw_connection *c, struct str bytes);
may_yield bool raw_writez(struct raw_connection *c, const char *z);
/* Until the client closes. */
may_yield void raw_wait_hang_up(struct raw_connection *c);
void raw_reset(struct raw_connection *c); /* ends the connection with RST; only return after it */
