/* Turns: accepted, run by a fiber each through the graph's nodes, adopted when their owner died,
 * cancelled, ended. The engine owns all turns of this process. */
#pragma once
#include "auth/auth.h"
#include "auth/user_profiles.h"
#include "base/id.h"
#include "event/feed.h"
#include "event/run.h"
#include "profile/profile.h"
#include "tool/toolset.h"

struct turn_engine;

struct turn_engine_options {
    const struct profile *profile;
    struct db *db;
    struct runs *runs;
    struct feed *feed; /* NULL: nobody is told what changes */
    struct toolbox *toolbox;
    struct bridges *bridges;             /* NULL: built-in tools only */
    struct user_epochs *epochs;          /* NULL: nobody caches anything */
    struct vault *vault;                 /* NULL: nobody has keys of their own */
    struct user_profiles *user_profiles; /* NULL: nobody says who they are */
    struct str process_id;
};

struct turn_engine *turn_engine_new(const struct turn_engine_options *options);
/* Takes the lease, adopts what was left behind, begins to look for more, sweeps. */
may_yield int turn_engine_start(struct turn_engine *e, struct err *err) must_check;
/* No new turns; running ones may end for grace_ms, then they are left for another process to adopt.
 */
may_yield void turn_engine_stop(struct turn_engine *e, int64_t grace_ms);
void turn_engine_free(struct turn_engine *e);

struct turn_submission {
    struct str user_id;
    bool allow_operator_llm;
    struct str thread_id;    /* empty: a new thread */
    struct str turn_id;      /* empty: a new one; else an idempotency key of the client */
    struct str text;         /* the user's words, valid UTF-8 */
    struct str content_json; /* instead of text: a JSON array of canonical blocks (text, image) */
    struct str words;        /* of the content, what the user said just now; empty: all of it */
    struct str model; /* empty: the thread's or the profile's; "provider:model" or a model of the
                         profile's provider */
    struct str agent; /* empty: "cos" */
    struct str skill; /* whose servers the turn may use; empty: all */
    /* One of these, with thread_id: the turn runs in a fork of the thread from before this message
     * of the user, with the new words; or from before the message of this turn, with the same words
     * (text and content_json empty). The ticket names the fork. ERR_NOT_FOUND. */
    struct str edit_of, regenerate;
    bool plain_title; /* a new thread is named by its first words: no model is asked */
};
enum { TURN_MAX_TEXT_BYTES = 256 * 1024, TURN_MAX_INPUT_BYTES = 6 * 1024 * 1024 };

struct turn_ticket {
    char thread_id[132], turn_id[132];
    bool existed;              /* turn_id was known: this is the earlier submission */
    bool queued;               /* waits for an earlier turn of the thread */
    struct run_reader *reader; /* follows the turn from its first event; the caller closes it */
};
/* A message of the form "approve K7Q2", "deny K7Q2" or "always K7Q2" that names an open question
 * answers it, for clients that know no other way; ERR_CONFLICT then also says that more of the
 * turn's questions are open.
 * Returns once the message is durable. The model call may have begun before, its events have not
 * left. ERR_INVALID, ERR_FORBIDDEN ("No LLM key configured. ..."), ERR_BUSY (too many open turns of
 * this user or in all), ERR_UNAVAILABLE (database). */
may_yield int turn_submit(struct turn_engine *e, const struct turn_submission *s,
                          struct turn_ticket *ret, struct err *err) must_check;
/* Stops a turn wherever it runs. ERR_NOT_FOUND. Cancelling an ended turn does nothing. */
may_yield int turn_cancel(struct turn_engine *e, struct str user_id, struct str turn_id,
                          struct err *err) must_check;
/* Cancels the running and the queued turns of a thread. */
may_yield int turn_cancel_thread(struct turn_engine *e, struct str user_id, struct str thread_id,
                                 struct err *err) must_check;

/* ---- answers to what turns ask ---- */

struct interrupt_answer {
    struct str interrupt_id;
    bool approved;
    struct str arguments; /* a JSON object instead of the one asked about; empty: as asked */
    struct str content;   /* of an elicitation: a JSON object */
    struct str action;    /* of an elicitation: "accept", "decline", "cancel"; empty: by approved */
    struct str reason;    /* of a refusal, for the model */
    bool always;          /* allow this tool from now on */
};
struct turn_resumption {
    struct str user_id;
    bool allow_operator_llm;
    struct str thread_id; /* whose questions these must be; empty: of any thread */
    struct str turn_id;   /* of the turn that goes on; empty: a new name */
    bool all;             /* ERR_CONFLICT unless these are the answers to all that is open */
    const struct interrupt_answer *answers; /* to one turn's questions */
    size_t n_answers;                       /* 1 to TURN_STEP_MAX */
};
/* Returns once the answers are durable. With the last one of its turn's questions a turn begins
 * that goes on; else *ret_open is the number of questions left, and no ticket is filled.
 * ERR_NOT_FOUND, ERR_INVALID, ERR_CONFLICT (answered already, expired, or the thread went on), and
 * those of turn_submit. */
may_yield int turn_resume(struct turn_engine *e, const struct turn_resumption *r,
                          struct turn_ticket *ret, size_t *ret_open, struct err *err) must_check;

struct turn_engine_stats {
    unsigned running, queued_here;
    uint64_t accepted, done, failed, cancelled, adopted, lost_leases;
    uint64_t input_tokens, output_tokens; /* of answered model calls */
};
struct turn_engine_stats turn_engine_stats(const struct turn_engine *e);
