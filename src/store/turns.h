/* Turns: accepting, stepping, ending, claiming. All functions may yield and name the user. */
#pragma once
#include "base/arena.h"
#include "base/id.h"
#include "base/strbuf.h"
#include "db/db.h"
#include "store/usage.h"

struct turn_key {
    struct str user_id, turn_id;
};

struct interrupt;

enum turn_state {
    TURN_QUEUED,
    TURN_RUNNING,
    TURN_INTERRUPTED,
    TURN_DONE,
    TURN_FAILED,
    TURN_CANCELLED
};
const char *turn_state_name(enum turn_state s); /* as in the table */
enum turn_state turn_state_parse(struct str name);
static inline bool turn_state_open(enum turn_state s) {
    return s == TURN_QUEUED || s == TURN_RUNNING;
}

/* ---- accepting ---- */

/* The answer to something a turn asked. */
struct turn_answer {
    struct str interrupt_id;
    struct str state; /* "approved", "denied" */
    struct str json;  /* what else was said; empty: nothing */
};

struct turn_accept {
    struct str user_id, thread_id, turn_id;
    struct str message_id,
        message_json; /* canonical user message; empty json: none (regenerate, resume) */
    bool plain;
    struct str input; /* JSON: what the turn must know to be begun by another process. The message
                         need not stand in it: the store keeps a queued turn's beside it. */
    struct str owner; /* the process that will run it */
    struct str agent;
    bool must_be_new_thread; /* ERR_PRECONDITION when there is such a thread; saves work */
    /* The interrupted turn this one goes on with, and what was answered: all that is still open of
     * it and has not expired. What has expired can only be denied. ERR_PRECONDITION when that is
     * not so any more, or when the thread went on. */
    struct str resumes;
    const struct turn_answer *answers;
    size_t n_answers;
    int64_t now_us; /* 0: the clock's. See below */
};
enum { TURN_MAX_QUEUED = 32 };
struct turn_accepted {
    bool running;        /* else queued behind another turn of the thread */
    int64_t position;    /* of the turn in its thread */
    int64_t message_seq; /* of the thread's newest message: the user's when running */
};
/* One transaction: thread (made when missing), turn, message. When the thread was free the turn
 * runs at once, at epoch 0 and step 0, with its message stored. ERR_CONFLICT: turn_id exists.
 * ERR_BUSY: more than TURN_MAX_QUEUED turns would be open in the thread.
 * After ERR_UNAVAILABLE, whose outcome is unknown, calling again with the same now_us is safe: what
 * was committed then is recognised and told again. */
may_yield int turn_accept(struct db *db, const struct turn_accept *a, struct turn_accepted *ret,
                          struct err *err) must_check;

/* ---- reading ---- */

struct turn_row {
    struct str thread_id, input, error_code, error, lease_owner;
    enum turn_state state;
    int64_t position, epoch, step;
    int64_t message_seq; /* of the thread's newest message */
    bool cancel_requested;
};
may_yield int turn_get(struct db *db, struct turn_key key, struct arena *arena,
                       struct turn_row *ret, struct err *err) must_check;

struct turn_message {
    int64_t seq;
    struct str id, role, json;
    bool plain;
};
/* Newest first up to max_messages and max_bytes (of their JSON), then put
 * in order: ascending seq. Messages of seq <= up_to_seq. Those of turn_id are there in any case,
 * however large, from the user's message that it answers on; empty: none. Those that a summary
 * covers are left out; a first entry of role "summary", whose json is its plain text, stands for
 * them. */
may_yield int turn_history(struct db *db, struct str user_id, struct str thread_id,
                           struct str turn_id, int64_t up_to_seq, size_t max_messages,
                           size_t max_bytes, struct arena *arena, struct turn_message **ret,
                           size_t *ret_n, struct err *err) must_check;

struct turn_checkpoint {
    struct str node, state;
    int64_t message_seq;
};
/* ERR_NOT_FOUND when the turn has none yet. */
may_yield int turn_checkpoint_get(struct db *db, struct turn_key key, struct str thread_id,
                                  struct arena *arena, struct turn_checkpoint *ret, struct err *err)
    must_check;

struct turn_effect {
    struct str call_id, idempotency_key, tool, arguments, outcome;
    bool repeatable;
    struct str state;
};
may_yield int turn_effects(struct db *db, struct turn_key key, struct arena *arena,
                           struct turn_effect **ret, size_t *ret_n, struct err *err) must_check;

/* Stored events with seq > since, in order: lines "<seq> <event>\n" appended to out, as many whole
 * lines as its maximum has room for; ERR_LIMIT when not even the first fits. */
may_yield int turn_events(struct db *db, struct turn_key key, int64_t since, struct strbuf *out,
                          struct err *err) must_check;

/* ---- a step: what one node changed, in one transaction ---- */

struct turn_step {
    struct turn_key key;
    struct str thread_id;
    int64_t position, epoch, step;       /* step: the number this transaction gives the turn */
    const struct turn_message *messages; /* seq: consecutive, after the thread's newest */
    size_t n_messages;
    const struct turn_effect *intents; /* inserted in state 'intent' */
    size_t n_intents;
    const struct turn_effect *outcomes; /* set: state, outcome */
    size_t n_outcomes;
    struct str node, state; /* checkpoint */
    int64_t message_seq;
    const struct interrupt *interrupts; /* what the turn asks; with its end */
    size_t n_interrupts;
    const struct turn_usage *usage; /* NULL: none */
    struct str events;              /* lines; empty: none */
    int64_t events_last_seq;
    bool end; /* the turn ends: end_state, error_code, error */
    enum turn_state end_state;
    struct str error_code, error;
};
/* ERR_PRECONDITION: the turn is no longer this owner's (epoch), or gone; nothing was written.
 * Repeating a step whose outcome is unknown (ERR_UNAVAILABLE) is safe: one that was committed
 * already is recognised. *ret_cancel: somebody asked to cancel. At most TURN_STEP_MAX messages,
 * intents, outcomes and interrupts each. At the end of a turn the thread's checkpoints beyond the
 * newest 200 or so are dropped. */
enum { TURN_STEP_MAX = 16 };
may_yield int turn_step_store(struct db *db, const struct turn_step *s, bool *ret_cancel,
                              struct err *err) must_check;

/* ---- who runs what ---- */

may_yield int lease_renew(struct db *db, struct str owner, int64_t until_us, struct err *err)
    must_check;
may_yield int lease_drop(struct db *db, struct str owner, struct err *err) must_check;
/* Turns that may be taken now: running ones without a valid lease, queued ones that are first in a
 * free thread. Ids only. */
may_yield int turns_claimable(struct db *db, int64_t now_us, size_t max, struct arena *arena,
                              struct turn_key **ret, size_t *ret_n, struct err *err) must_check;
/* Running turns that the owner has according to the store, whether it knows of them or not: after a
 * transaction whose outcome is unknown. Ids only. */
may_yield int turns_owned(struct db *db, struct str owner, size_t max, struct arena *arena,
                          struct turn_key **ret, size_t *ret_n, struct err *err) must_check;
/* Takes a turn: epoch grows, owner is set, a queued one's message gets its place in the thread.
 * ERR_CONFLICT: somebody else was faster (also in this process), or it cannot be taken. After
 * ERR_UNAVAILABLE calling again with the same now_us is safe; no two claims of an owner may have
 * the same one. */
may_yield int turn_claim(struct db *db, struct turn_key key, struct str owner, int64_t now_us,
                         struct arena *arena, struct turn_row *ret, struct err *err) must_check;
/* The same for a turn that `owner` has already and, as the caller knows, does not run. */
may_yield int turn_claim_own(struct db *db, struct turn_key key, struct str owner, int64_t now_us,
                             struct arena *arena, struct turn_row *ret, struct err *err) must_check;
/* The queued turn that is next in a thread, or ERR_NOT_FOUND. */
may_yield int turn_next_queued(struct db *db, struct str user_id, struct str thread_id,
                               struct arena *arena, struct str *ret_turn_id, struct err *err)
    must_check;
/* Marks an open turn for cancelling; a queued one ends at once. *ret_state: what it is now.
 * ERR_NOT_FOUND. */
may_yield int turn_request_cancel(struct db *db, struct turn_key key, enum turn_state *ret_state,
                                  struct err *err) must_check;
/* Deletes the stored events of turns that ended before before_us; about max rows a call, oldest
 * first. *ret_deleted: less than max when nothing is left. */
may_yield int events_sweep(struct db *db, int64_t before_us, size_t max, size_t *ret_deleted,
                           struct err *err) must_check;
