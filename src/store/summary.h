/* The summary that stands for a thread's oldest messages in the prompt. May yield, names the user.
 */
#pragma once
#include "db/db.h"
#include "store/turns.h"

struct thread_summary {
    struct str user_id, thread_id;
    struct str text;
    int64_t up_to_seq;  /* the newest message it covers */
    struct str turn_id; /* beside which it was made: for the usage record */
    struct turn_usage usage;
};
/* ERR_PRECONDITION when the thread has a newer summary, or is gone; nothing is written then. */
may_yield int summary_set(struct db *db, const struct thread_summary *s, struct err *err)
    must_check;
