/* Keeps a user's open clients in step: whoever changes something publishes it, and every watcher of
 * that user, in every process on the same database, gets a small JSON text that says what to look
 * at again. These are hints and never the truth: what was missed is replaced by a single "all".
 *
 * Publishing never waits and never fails; a user whom nobody watches costs two look-ups in a table.
 * What comes within FEED_COALESCE_MS is told once. Nothing is queued for a watcher: it takes what
 * it is given, or remembers by itself that it must look at everything.
 *
 * On SQLite there is one process. On PostgreSQL processes tell each other which users they have
 * watchers of (by hash, in one message of fixed size), so that nothing is sent about the others. */
#pragma once
#include "base/list.h"
#include "db/db.h"
#include "store/turns.h"

enum {
    FEED_COALESCE_MS = 50,
    FEED_MAX_CHANGES = 64, /* of a user at once; more are "all" */
};

struct feed; /* all of this process */

/* db NULL: there are no other processes, as on SQLite. */
struct feed *feed_new(struct db *db);
may_yield int feed_start(struct feed *f, struct err *err) must_check;
may_yield void feed_stop(struct feed *f); /* accepts NULL. Nobody is told anything any more */
void feed_free(struct feed *f);           /* accepts NULL. All watchers must be gone */

/* ---- publishing, once the change is durable; f NULL: nobody listens ---- */

/* Made, renewed, renamed, archived, deleted, or it got messages. */
void feed_thread(struct feed *f, struct str user_id, struct str thread_id);
/* It began, was queued or ended. */
void feed_turn(struct feed *f, struct str user_id, struct str thread_id, struct str turn_id,
               enum turn_state state);
/* The turn asked something, or it was answered. */
void feed_interrupt(struct feed *f, struct str user_id, struct str thread_id, struct str turn_id);
/* A new one, or one was read. */
void feed_notification(struct feed *f, struct str user_id, struct str id);

enum feed_settings {
    FEED_CREDENTIALS,
    FEED_POLICIES,
    FEED_CONNECTIONS,
    FEED_PROFILE,
    FEED_KEYS, /* API keys and sessions */
};
void feed_settings(struct feed *f, struct str user_id, enum feed_settings what);
/* Whether anybody would be told: for what it costs something to find out. */
bool feed_wanted(struct feed *f, struct str user_id);

/* ---- watching ---- */

struct feed_user;

/* Zero-filled: does not watch. */
struct feed_watcher {
    struct list in_user;
    struct feed_user *user;
    /* A JSON object; lives during the call, which must not yield. It may end this watcher, and no
     * other. */
    void (*on_change)(struct str json, void *arg);
    void *arg;
};

/* Returns when the other processes were told, or could not be told within a moment (then "all"
 * follows when they are): what changes after this call is heard. The watcher may end meanwhile. */
may_yield void feed_watch(struct feed *f, struct str user_id, struct feed_watcher *w);
void feed_unwatch(struct feed *f, struct feed_watcher *w); /* also one that does not watch */

struct feed_stats {
    unsigned watchers, watched_users;
    uint64_t told, sent, received, missed; /* texts to watchers; messages; "all" that were needed */
};
struct feed_stats feed_stats(const struct feed *f);
