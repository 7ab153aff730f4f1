/* What a turn asked its user before it ended: may this call be made, or what does a server want to
 * know. All functions may yield and name the user. */
#pragma once
#include "base/arena.h"
#include "db/db.h"
#include "store/turns.h"

/* As a step stores it; the rest of the row follows from the step. */
struct interrupt {
    struct str id;
    struct str code;    /* short, for people who answer in words */
    struct str kind;    /* "approval", "elicitation" */
    struct str call_id; /* the model's */
    struct str server, tool, name;
    struct str digest;    /* interrupt_digest of what is asked */
    struct str arguments; /* JSON: as the tool gets them */
    struct str request;   /* JSON: of an elicitation, what is asked and how the call goes on */
    int64_t expires_us;
};

enum { INTERRUPT_DIGEST_HEX = 64 };
/* Binds an answer to exactly this call: as the model wrote it, and as the tool gets it. */
void interrupt_digest(struct str server, struct str tool, struct str written, struct str arguments,
                      char ret[INTERRUPT_DIGEST_HEX + 1]);

struct interrupt_row {
    struct interrupt is;
    struct str thread_id, turn_id;
    struct str state; /* "open", "approved", "denied" */
    struct str answer;
    int64_t created_us, answered_us;
    bool superseded; /* the thread went on without an answer */
};
static inline bool interrupt_row_open(const struct interrupt_row *r, int64_t now_us) {
    return str_eq(r->state, STR("open")) && !r->superseded && r->is.expires_us > now_us;
}

may_yield int interrupt_get(struct db *db, struct str user_id, struct str id, struct arena *arena,
                            struct interrupt_row *ret, struct err *err) must_check;
/* The one with this code that has not expired: the open one; else the newest that was answered or
 * that its thread went on without. ERR_CONFLICT: several are open. ERR_NOT_FOUND. */
may_yield int interrupt_find(struct db *db, struct str user_id, struct str code, int64_t now_us,
                             struct arena *arena, struct interrupt_row *ret, struct err *err)
    must_check;
/* Open ones, oldest first; of one thread, or of all when thread_id is empty. */
may_yield int interrupts_open(struct db *db, struct str user_id, struct str thread_id,
                              int64_t now_us, size_t max, struct arena *arena,
                              struct interrupt_row **ret, size_t *ret_n, struct err *err)
    must_check;
/* All that a turn asked, in whatever state. */
may_yield int interrupts_of_turn(struct db *db, struct turn_key key, struct arena *arena,
                                 struct interrupt_row **ret, size_t *ret_n, struct err *err)
    must_check;

/* What became of questions whose calls were not begun after all. */
struct interrupt_left {
    struct str turn_id, call_id;
    struct str state;
    bool elicitation;
    bool elsewhere; /* asked in the thread that this one was forked from */
};
/* Of a thread, newest first, without those of one turn. */
may_yield int interrupts_left(struct db *db, struct str user_id, struct str thread_id,
                              struct str but_of_turn, struct arena *arena,
                              struct interrupt_left **ret, size_t *ret_n, struct err *err)
    must_check;

/* Answers one of several. ERR_PRECONDITION, nothing written: it is not open any more, or no other
 * one of its turn is: then the answer belongs to the turn that goes on (turn_accept). */
may_yield int interrupt_answer(struct db *db, struct turn_key asked_by,
                               const struct turn_answer *answer, int64_t now_us, struct err *err)
    must_check;
