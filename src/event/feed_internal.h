/* The feed's own: changes of users, coalesced and handed to watchers (feed.c), and the line to the
 * other processes (feed_line.c). */
#pragma once
#include "base/id.h"
#include "base/map.h"
#include "base/strbuf.h"
#include "event/feed.h"

enum {
    FEED_SLOTS = 4096,   /* users by hash; two that share one cost needless messages */
    FEED_MAX_DUE = 8192, /* users with changes that nobody here watches */
    FEED_SECTION_BYTES = DB_NOTIFY_MAX_BYTES - 100, /* of one user, in one message */
    FEED_MAX_OUTBOX = 1024,                         /* sections that wait to be sent */
};

struct feed_slots {
    uint8_t bits[FEED_SLOTS / 8];
};
static inline void slots_set(struct feed_slots *s, unsigned slot) {
    s->bits[slot / 8] |= (uint8_t)(1U << slot % 8);
}
static inline bool slots_have(const struct feed_slots *s, unsigned slot) {
    return s->bits[slot / 8] >> slot % 8 & 1;
}

/* The feed's side of what other processes know. */
struct feed_line {
    struct id self; /* what we send comes back to us, too */
    bool started, listening, stopped;
    int64_t elsewhere_until_us[FEED_SLOTS]; /* another process has watchers */
    int64_t untold_us[FEED_SLOTS];          /* when others were last not told; 0: never */
    int64_t blind_until_us; /* it is not known yet what others watch: they are told all */
    struct list outbox;
    unsigned n_outbox;
    bool ask;                     /* who watches what is to be asked */
    bool failing;                 /* the last message was not sent */
    bool any_missed;              /* others missed something of these users */
    struct feed_slots missed;     /* which they are told */
    uint64_t announce, announced; /* asked for, done */
    struct fiber_cond work, done;
};

/* Somebody with watchers, with changes to be told, or both. */
struct feed_user {
    struct str id; /* on the heap */
    unsigned slot, pins, n_watchers, n_changes;
    struct list watchers, changes, in_due;
    bool all;       /* instead of the changes */
    bool elsewhere; /* others are told, too */
    int64_t due_us;
};

struct feed {
    struct db *db;
    bool shared; /* other processes may serve the same users */
    struct fiber_scope scope;
    struct map users;
    struct list due; /* users with changes, the oldest first */
    unsigned n_due;
    struct fiber_cond work;
    unsigned here[FEED_SLOTS]; /* watchers in this process */
    struct feed_line line;
    struct feed_stats stats;
};

/* feed.c */
unsigned feed_slot(struct str user_id);
/* Hands JSON texts, a line each, to those who watch the user here. */
void feed_hand_out(struct feed *f, struct str user_id, struct str lines);
/* "all", to all users here with one of these slots; NULL: to everybody. */
void feed_missed(struct feed *f, const struct feed_slots *slots);

/* feed_line.c */
void line_init(struct feed *f);
int line_start(struct feed *f, struct err *err) must_check;
void line_done(struct feed *f);
/* Whether another process may have watchers of these users. */
bool line_wanted(const struct feed *f, unsigned slot);
/* Others were not told something of these users, as nobody was known to watch them. */
void line_note_untold(struct feed *f, unsigned slot);
/* Others missed something of these users, and are told so. */
void line_note_missed(struct feed *f, unsigned slot);
/* JSON texts, a line each; sent soon. */
void line_post(struct feed *f, const struct feed_user *u, struct str lines);
/* Tells what is watched here; returns when that is done or takes too long. */
may_yield void line_announce(struct feed *f);
