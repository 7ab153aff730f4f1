/* Live turns of this process and those who follow them.
 *
 * A run is the stream of numbered events of one turn. Its turn emits; readers pull, each at its own
 * pace, with a cursor; nothing is queued for a reader. Events are kept in memory while they are not
 * stored, and a while longer, within a bound; a reader that is further behind gets them from the
 * store. While a run is held, what is emitted stays invisible: nothing leaves before what it says
 * is durable.
 *
 * Numbers: seq = epoch * RUN_EPOCH_SEQS + n, n from 1. A turn that was adopted goes on with numbers
 * above all that its dead owner can have given out, and begins with a snapshot. */
#pragma once
#include "base/strbuf.h"
#include "db/db.h"
#include "fiber/fiber.h"
#include "store/turns.h"

#define RUN_EPOCH_SEQS (INT64_C(1) << 24)

struct run;
struct runs; /* all of this process */

struct runs *runs_new(struct db *db, struct str process_id);
/* Cross-process fan-out: starts listening (PostgreSQL). */
may_yield int runs_start(struct runs *runs, struct err *err) must_check;
/* Ends what follows turns of other processes. All readers must be closed. */
may_yield void runs_stop(struct runs *runs);
void runs_free(struct runs *runs);

/* ---- the turn's side ---- */

struct run *run_open(struct runs *runs, struct str user_id, struct str thread_id,
                     struct str turn_id, int64_t epoch);
/* Appends one event; its number. */
int64_t run_emit(struct run *run, struct str event_json);
void run_hold(struct run *run);
void run_release(struct run *run);           /* makes everything emitted so far visible */
int64_t run_last_seq(const struct run *run); /* of the newest event, visible or not */
/* Makes the events up to seq visible; what follows stays held. */
void run_release_up_to(struct run *run, int64_t seq);
/* Takes back the events after seq, of which none may be visible or stored. */
void run_retract(struct run *run, int64_t seq);
/* Lines "<seq> <event>\n" of all events not stored yet; *ret_last_seq 0 when there are none. */
void run_unstored(struct run *run, struct strbuf *out, int64_t *ret_last_seq);
void run_stored(struct run *run, int64_t up_to_seq);
/* Bytes of events held in memory: above RUN_MAX_UNSTORED_BYTES the turn stores them in mid-step. */
size_t run_unstored_bytes(const struct run *run);
enum { RUN_MAX_UNSTORED_BYTES = 1024 * 1024 };
/* No more events: readers get what is left and then the end. The run is freed with its last reader.
 */
void run_close(struct run *run);
/* This process no longer owns the turn: readers go on with whoever does. */
void run_abandon(struct run *run);

/* ---- the readers' side ---- */

struct run_reader;

/* Follows a turn from after `since` (0: from the beginning), wherever it runs: here, in another
 * process, or nowhere (then from the store). ERR_NOT_FOUND: the user has no such turn. */
may_yield int run_reader_open(struct runs *runs, struct str user_id, struct str turn_id,
                              int64_t since, struct run_reader **ret, struct err *err) must_check;
/* For the one who submitted it: no look into the store. */
struct run_reader *run_reader_open_live(struct run *run);

struct run_event {
    int64_t seq;
    struct str json;
};
/* The next events: at least one, or *ret_n == 0 at the end of the run. Views live until the next
 * call on the reader. -ERR_TIMEOUT after timeout_ms without any (send a heartbeat, go on),
 * -ERR_CANCELLED, other errors with a message. */
may_yield int run_read(struct run_reader *reader, int64_t timeout_ms, const struct run_event **ret,
                       size_t *ret_n, struct err *err) must_check;
void run_reader_close(struct run_reader *reader); /* accepts NULL */

struct runs_stats {
    unsigned live_runs, readers, remote_readers;
    size_t bytes;
};
struct runs_stats runs_stats(const struct runs *runs);
