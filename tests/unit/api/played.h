/* The floors below the API, played: what tests put in is what handlers get, and what handlers asked
 * for can be looked at. One gateway on a real server, and clients on real sockets. */
#pragma once
#include "api/gateway.h"
#include "store/threads.h"
#include "wire.h"

#define PLAYED_ADMIN_KEY "adj_admin"
#define PLAYED_USER_KEY "adj_user"
#define PLAYED_COOKIE "token-of-the-user"

enum { PLAYED_MAX_EVENTS = 512 };

struct played {
    /* what the floors answer */
    enum auth_mode mode;
    bool keys_revoked;
    bool recheck_fails; /* as when the database is away */
    struct err fails;   /* code not ERR_NONE: what every call below the API fails with */
    bool db_is_away;
    const char *events[PLAYED_MAX_EVENTS]; /* of the one turn there is */
    size_t n_events;
    bool live;                 /* readers wait for more after the last event */
    struct fiber_cond changed; /* signalled when events or `live` change */
    bool existed, queued;
    const char *thread; /* the one thread there is; NULL: none */
    int64_t thread_messages;
    int64_t image_at;      /* seq of the message that has images; 0: none */
    const char *open_turn; /* of the thread; NULL: none, and nothing waits */

    /* what they were asked */
    unsigned submitted, cancelled, readers;
    struct strbuf user, thread_id, turn_id, text, content, model, agent;
    bool allow_operator_llm;

    struct profile profile;
    struct gateway gateway;
    struct http_server *server;
};
extern struct played played;

/* Everything as at the beginning, and a server. */
bool played_start(void);
void played_stop(void);
/* Sends a whole request, and reads the response. Give it back with wire_response_done. */
struct wire_response played_ask(const char *request);
/* "POST <path>" with the user's key and a JSON body; status. */
int played_post(const char *path, const char *json, struct wire_response *ret);
int played_get(const char *path, struct wire_response *ret);
/* Opens a WebSocket with the user's key; what comes back is read by played_frame. */
bool played_ws(struct wire *w);
void played_ws_send(struct wire *w, const char *text);
/* The next frame's payload, valid until the next call; empty at the end. */
struct str played_ws_frame(struct wire *w);
void played_event(const char *json);
extern unsigned played_codes; /* of the authorization callback that were exchanged */
extern unsigned played_touches, played_reconnects; /* of the bridges */
