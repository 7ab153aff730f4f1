/* A thread's messages for those who read much of it: in pieces whose size is bounded, however large
 * single messages are. All may yield and name the user. */
#pragma once
#include "store/threads.h"

enum transcript_order { TRANSCRIPT_NEWEST_FIRST, TRANSCRIPT_OLDEST_FIRST };
struct transcript_piece {
    enum transcript_order order;
    int64_t beyond_seq; /* of the last message of the piece before; 0: from the beginning */
    size_t max_messages;
    size_t max_bytes; /* of content: a message that begins below it is still part of the piece */
};
/* In that order. None: that was all, or the user has no such thread. */
may_yield int transcript_read(struct db *db, struct str user_id, struct str thread_id,
                              const struct transcript_piece *piece, struct arena *arena,
                              struct thread_message **ret, size_t *ret_n, struct err *err)
    must_check;

/* What was said while other turns were at work, and has no place in the thread yet: `seq` is its
 * turn's position, beyond which the next piece begins. In order. */
may_yield int transcript_queued(struct db *db, struct str user_id, struct str thread_id,
                                int64_t beyond_position, size_t max_messages, struct arena *arena,
                                struct thread_message **ret, size_t *ret_n, struct err *err)
    must_check;

/* How turns ended that did not end well, of those with messages from first_seq to last_seq. */
struct transcript_end {
    struct str turn_id, state, error_code,
        error; /* failed or cancelled; the latter without words */
};
may_yield int transcript_ends(struct db *db, struct str user_id, struct str thread_id,
                              int64_t first_seq, int64_t last_seq, struct arena *arena,
                              struct transcript_end **ret, size_t *ret_n, struct err *err)
    must_check;

/* The canonical JSON of one message of the thread, stored or queued. ERR_NOT_FOUND. */
may_yield int transcript_message(struct db *db, struct str user_id, struct str thread_id,
                                 struct str message_id, struct arena *arena, struct str *ret,
                                 struct err *err) must_check;
