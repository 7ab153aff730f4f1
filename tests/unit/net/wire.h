/* A raw TCP client for tests, on the fiber that calls it: every call may yield, and none waits
 * longer than five seconds. */
#pragma once
#include "base/strbuf.h"
#include "net/http_server.h"

struct wire {
    int fd;
    struct strbuf in; /* received and not yet consumed */
    bool ended;       /* the peer closed, or reset the connection */
    bool reset;       /* the end was not orderly */
};

void wire_open(struct wire *w, const char *address);
void wire_done(struct wire *w);
void wire_send(struct wire *w, struct str bytes);
/* Sends until the peer takes nothing for a while; how much it took. */
size_t wire_send_until_stuck(struct wire *w, struct str bytes);
void wire_half_close(struct wire *w);
/* Waits until at least n bytes are there; false when the connection ended before. */
bool wire_await(struct wire *w, size_t n);
/* Waits for `mark`; the position behind it, or 0 when the connection ended before. */
size_t wire_await_mark(struct wire *w, struct str mark);
/* Waits for the end; true when it came. */
bool wire_await_end(struct wire *w);

struct wire_response {
    int status;
    struct strbuf head, body;
};

/* One response: head, and the body by Content-Length, chunks, or the end of the connection. Status
 * 0 when there was none. */
void wire_read_response(struct wire *w, bool without_body, struct wire_response *ret);
void wire_response_done(struct wire_response *r);
/* "" when absent. */
struct str wire_field(const struct wire_response *r, const char *name);

/* Sends the request and gives the status of the first response, 0 when there is none. Leaves the
 * connection open. */
int wire_status(struct wire *w, struct str request);
