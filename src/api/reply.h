/* The assistant's reply, gathered from a turn's events, for protocols that tell it in another form.
 */
#pragma once
#include "base/json.h"
#include "event/run.h"
#include "llm/llm.h"
#include "store/turns.h"

enum { REPLY_MAX_BYTES = 16 * 1024 * 1024 };

struct reply {
    struct strbuf
        text; /* all the assistant said in this turn, its messages apart by a blank line */
    size_t last_message; /* where the last message begins in it */
    char run_id[132];
    char message_id[192]; /* the last message's; empty: none yet */
    struct llm_usage usage;
    bool ended;
    enum turn_state state;       /* once ended */
    struct strbuf interrupts;    /* when interrupted: AG-UI's array of them */
    struct strbuf question;      /* and the same in words, how to answer included */
    struct strbuf error_message; /* when failed */
    char error_code[32];
    struct strbuf reasoning; /* scratch of the last delta */
};

enum reply_change {
    REPLY_NOTHING,
    REPLY_TEXT,      /* *ret_delta was added to the text */
    REPLY_REASONING, /* *ret_delta was thought */
    REPLY_RESTARTED, /* the text is another now: what was told of it does not hold */
    REPLY_ENDED,
};

void reply_init(struct reply *r);
void reply_done(struct reply *r);
/* Views of *ret_delta live until the next call. Events that do not concern the reply cost little.
 * ERR_LIMIT: more than REPLY_MAX_BYTES were said. */
int reply_feed(struct reply *r, struct str event, enum reply_change *ret_change,
               struct str *ret_delta, struct err *err) must_check;
/* Reads the turn to its end. ERR_UNAVAILABLE when its events end without one, as those of long ago
 * do. */
may_yield int reply_follow(struct reply *r, struct run_reader *reader, struct err *err) must_check;
/* The last message's text. */
struct str reply_last(const struct reply *r);
