/* One client on a WebSocket. While nothing happens it is this structure and no fiber: a worker
 * fiber lives while there are frames to process, in order, and a fiber for each subscription while
 * its turn runs. All of them hold a reference; the socket's own goes with its close. */
#pragma once
#include "api/gateway.h"
#include "base/secret.h"
#include "base/strbuf.h"
#include "net/websocket.h"

struct ws_session {
    struct gateway *gateway;
    struct websocket *ws; /* NULL once closed */
    unsigned refs;
    struct list in_gateway;
    struct str user_id, peer;
    struct secret *key,
        *cookie;         /* to be checked again: a key may be revoked while a socket lives */
    uint64_t seen_epoch; /* of the user, when the key was last looked at between frames */
    int64_t seen_us;
    unsigned looking; /* at its key, now */
    bool in_doubt;    /* the newest look did not find out: cancelled, or the database is away */
    struct list subscriptions;
    unsigned n_subscriptions;
    struct list inbox; /* frames not processed yet */
    unsigned n_inbox;
    size_t inbox_bytes;
    struct fiber *worker; /* NULL: none runs */
    struct feed_watcher watcher;
    struct strbuf held; /* frames of the feed, a line each, that could not be sent at once */
};

void ws_session_ref(struct ws_session *s);
void ws_session_unref(struct ws_session *s);
/* Sends a frame of the gateway's own. */
void ws_session_send(struct ws_session *s, const struct strbuf *frame);
void ws_session_send_error(struct ws_session *s, struct str ref, struct str run_id,
                           const struct err *err);

/* ws_follow.c: takes the reader over, also on failure. Replaces an earlier subscription to the same
 * turn. ERR_BUSY: too many. */
int ws_follow(struct ws_session *s, struct str thread_id, struct str turn_id,
              struct run_reader *reader, struct err *err) must_check;
bool ws_is_following(const struct ws_session *s, struct str turn_id);
void ws_unfollow(struct ws_session *s, struct str turn_id);
void ws_unfollow_all(struct ws_session *s);

/* ws_watch.c: closes sockets whose key or session has ended. */
int ws_watch_add(struct ws_session *s, struct err *err) must_check;
void ws_watch_remove(struct ws_session *s);
/* At once those of a user; empty: all. After the change was made known to g->auth. */
may_yield void ws_watch_look(struct gateway *g, struct str user_id);

/* Whether its key was looked at since something of its user changed. */
bool ws_watch_is_current(const struct ws_session *s);

/* ws_feed.c: what changed, told to sockets that asked for it. Beginning again changes nothing. */
may_yield void ws_feed_begin(struct ws_session *s);
void ws_feed_end(struct ws_session *s);
/* Sends what was held back, as far as it may be sent now; or lets go of it. */
void ws_feed_release(struct ws_session *s);
void ws_feed_forget(struct ws_session *s);

/* ws_commands.c: processes one frame. ERR_UNAUTHORIZED ends the session; other failures were told
 * to the client. */
may_yield int ws_process(struct ws_session *s, struct str frame, struct err *err) must_check;
