/* Threads as their users see them: list, read, rename, archive, delete, fork. All may yield and
 * name the user. */
#pragma once
#include "base/arena.h"
#include "db/db.h"
#include "store/usage.h"

struct thread_row {
    struct str id, title, agent, skill, model_provider, forked_from;
    int64_t total_input_tokens, total_output_tokens, message_seq, created_us, updated_us,
        archived_us;
    struct str open_turn_id,
        open_turn_state; /* the running or oldest queued turn; empty when none */
};

may_yield int thread_create(struct db *db, struct str user_id, struct str id, struct str title,
                            struct err *err) must_check; /* ERR_CONFLICT */
may_yield int thread_get(struct db *db, struct str user_id, struct str id, struct arena *arena,
                         struct thread_row *ret, struct err *err) must_check;
/* Newest first. Page: rows strictly older than (before_us, before_id); 0 and empty for the first.
 */
may_yield int thread_list(struct db *db, struct str user_id, bool archived, int64_t before_us,
                          struct str before_id, size_t max, struct arena *arena,
                          struct thread_row **ret, size_t *ret_n, struct err *err) must_check;
/* All of them, archived ones too, by id: those behind after_id (empty: from the first). */
may_yield int thread_list_by_id(struct db *db, struct str user_id, struct str after_id, size_t max,
                                struct arena *arena, struct thread_row **ret, size_t *ret_n,
                                struct err *err) must_check;
struct thread_message {
    int64_t seq, created_us;
    struct str id, turn_id, role, json;
};
/* Ascending; the `max` newest ones below before_seq (0: from the end). */
may_yield int thread_messages(struct db *db, struct str user_id, struct str id, int64_t before_seq,
                              size_t max, struct arena *arena, struct thread_message **ret,
                              size_t *ret_n, struct err *err) must_check;
/* A message of the user's: of this id, or else of this turn. Without its id and role.
 * ERR_NOT_FOUND. */
may_yield int thread_said(struct db *db, struct str user_id, struct str id, struct str message_id,
                          struct str turn_id, struct arena *arena, struct thread_message *ret,
                          struct err *err) must_check;
/* A new thread with the messages below before_seq. ERR_NOT_FOUND; ERR_CONFLICT: new_id exists. */
may_yield int thread_fork_before(struct db *db, struct str user_id, struct str id,
                                 int64_t before_seq, struct str new_id, struct err *err) must_check;
/* Each ERR_NOT_FOUND when the user has no such thread. */
may_yield int thread_rename(struct db *db, struct str user_id, struct str id, struct str title,
                            struct err *err) must_check;
/* A title that was made for the thread, and what it cost. */
struct thread_title {
    struct str user_id, thread_id, title;
    struct str turn_id; /* beside which it was made: for the usage record */
    bool used;          /* a model was asked: usage is recorded, also when the title is not taken */
    struct turn_usage usage;
};
/* *ret_set: it is the thread's now; not when it has one already, or is gone. */
may_yield int thread_title_set(struct db *db, const struct thread_title *t, bool *ret_set,
                               struct err *err) must_check;
may_yield int thread_archive(struct db *db, struct str user_id, struct str id, bool archived,
                             struct err *err) must_check;
/* ERR_CONFLICT while a turn is running or queued. */
may_yield int thread_delete(struct db *db, struct str user_id, struct str id, struct err *err)
    must_check;
struct thread_checkpoint {
    struct str turn_id, node, turn_state;
    int64_t position, message_seq, created_us;
};
may_yield int thread_checkpoints(struct db *db, struct str user_id, struct str id, size_t max,
                                 struct arena *arena, struct thread_checkpoint **ret, size_t *ret_n,
                                 struct err *err) must_check;
/* A new thread with the messages up to and including those of turn_id's checkpoint. ERR_NOT_FOUND,
 * ERR_CONFLICT (new_id exists). */
may_yield int thread_fork(struct db *db, struct str user_id, struct str id, struct str turn_id,
                          struct str new_id, struct err *err) must_check;
/* A name a client may give a thread or turn: 1 to 128 characters of printable ASCII without space,
 * quotes and backslash. */
bool thread_id_valid(struct str id);
