/* An MCP endpoint behind a real HTTP server, for tests, and short ways to talk to it. The header
 * X-User says whose request it is. */
#pragma once
#include "mcp/server.h"
#include "test.h"
#include "wire.h"

struct served {
    struct mcp_server server;
    struct mcp_endpoint_options options; /* to be filled in before served_start */
    struct mcp_endpoint *endpoint;
    struct http_server *http;
    unsigned copied, released; /* user contexts */
    unsigned cancelled;        /* runs of "wait" that ended early */
    unsigned ran;              /* runs of "touch" */
    const char *challenge;     /* not NULL: every request is answered with this */
};

/* With the tools of served.c: say {text}, wait {ms}, progress, ask, ask_twice, keep, touch, big,
 * notes (logs); the resource test://a and test://{id}/b; the prompt greet {name}. */
void served_start(struct served *s);
void served_stop(struct served *s);

/* One request on a connection of its own. fields: whole lines, each with CRLF. */
void served_request(struct served *s, const char *method, const char *fields, struct str body,
                    struct wire_response *ret);
struct str served_head(struct served *s, struct strbuf *out, const char *method, const char *fields,
                       struct str body);

/* A new session of the user; its id. */
void served_session(struct served *s, const char *user, const char *revision,
                    const char *capabilities, struct strbuf *ret_id);
/* A message within a session. */
void served_legacy(struct served *s, const char *user, const char *session, const char *message,
                   struct wire_response *ret);
/* A request of 2026-07-28; params: the members besides _meta, "" for none; name: for the mirrored
 * header, NULL for none. */
void served_modern(struct served *s, const char *user, const char *method, const char *name,
                   const char *params, const char *capabilities, struct wire_response *ret);
/* The same as text, to be sent by hand. */
void served_modern_text(struct served *s, const char *user, const char *method, const char *name,
                        const char *params, const char *capabilities, struct strbuf *out);

bool has(const struct wire_response *r, const char *text);
/* A member of the response's result, by path ("tools.0.name"); "" when it is not there. */
struct str member(const struct wire_response *r, const char *path, struct strbuf *keep);
