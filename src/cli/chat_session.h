/* A conversation over a WebSocket: asks, follows the turn to its end, and comes back to it after a
 * lost connection. What happens is shown by a chat_view. */
#pragma once
#include <signal.h>

#include "base/id.h"
#include "cli/chat_view.h"
#include "cli/ws_client.h"

enum { CHAT_NAME_BYTES = 132 };

struct chat_session {
    struct ws_target target;
    struct chat_view *view;
    struct ws_client *ws;
    const volatile sig_atomic_t *interrupts; /* counts Ctrl-C */
    char thread_id[CHAT_NAME_BYTES];         /* empty: the next question begins a thread */

    /* The turn that is followed. */
    char run_id[CHAT_NAME_BYTES];
    int64_t seq; /* the newest event seen */
    bool accepted, ended, lost, cancel_sent;
    struct err failure; /* the server refused; code ERR_NONE: it did not */
};

int chat_session_connect(struct chat_session *s, struct err *err) must_check;
void chat_session_done(struct chat_session *s);

/* Sends the question and shows what comes until the turn's end. The view tells how it ended.
 * ERR_CANCELLED: a second Ctrl-C, the turn is left. Others: the server refused, or could not be
 * reached again. */
int chat_session_ask(struct chat_session *s, struct str question, struct err *err) must_check;
/* Follows a turn that runs already, from its first event. */
int chat_session_follow(struct chat_session *s, struct str run_id, struct err *err) must_check;
/* Between questions: answers pings; a lost connection is noticed and opened again when needed. */
void chat_session_idle(struct chat_session *s);
int chat_session_fd(const struct chat_session *s); /* -1 while there is no connection */
