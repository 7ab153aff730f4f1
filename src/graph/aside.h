/* What the gateway asks a model for its own ends, beside a turn and without holding it up: a
 * summary, a title. The same rules hold for whose key pays as in the conversation itself. */
#pragma once
#include "graph/internal.h"

struct aside {
    struct turn_engine *engine;
    struct arena arena;
    struct str user_id, thread_id, turn_id, model; /* of the conversation */
    bool allow_operator_llm;
};
/* What it must know of the turn, which may end before it. */
void aside_begin(struct aside *a, const struct turn *t);
void aside_done(struct aside *a);

struct aside_question {
    struct str model; /* where the user may not use it, and when empty: the conversation's */
    struct str instruction, text;
    int64_t max_output_tokens;
    int64_t total_timeout_ms; /* 0: llm_limits' own */
    int max_attempts;         /* 0: llm_limits' own */
};
struct aside_answer {
    struct str text; /* trimmed, in the arena */
    struct turn_usage usage;
};
may_yield int aside_ask(struct aside *a, const struct aside_question *q, struct aside_answer *ret,
                        struct err *err) must_check;
