/* What the files of this floor share: the state of a turn while a fiber walks it, and the nodes. */
#pragma once
#include "base/list.h"
#include "base/map.h"
#include "event/event.h"
#include "graph/endpoints.h"
#include "graph/turn.h"
#include "llm/llm.h"
#include "store/interrupts.h"
#include "tool/toolset.h"

enum {
    TURN_MAX_TOOL_CALLS = TURN_STEP_MAX, /* of one answer; more are answered with an error */
    TURN_HISTORY_MESSAGES = 400,
    TURN_MAX_RUNNING = 8000,
    TURN_MAX_ADOPTIONS = 5, /* in a row without a stored step: then the turn itself is the cause */
};

enum accept_state { ACCEPT_PENDING, ACCEPT_DONE, ACCEPT_DROPPED };

/* What the user is asked before a call is made, or goes on. */
enum call_question { CALL_NO_QUESTION, CALL_APPROVAL, CALL_ELICITATION };

/* One tool call of the answer at hand. */
struct pending_call {
    struct str id, name, arguments; /* as the model wrote them */
    struct str key;                 /* of the effect: "<model call>-<index>" */
    struct str idempotency_key;
    const struct toolset_tool
        *tool;   /* NULL: unknown or one too many; `outcome` is then set from the start */
    bool intent; /* stands in the journal, or is about to */
    bool began, finished, outcome_stored;
    bool told;                /* its result was emitted */
    bool answered;            /* its result stands in the thread already */
    const char *effect_state; /* "done", "failed", "unknown" once finished */
    struct str content;       /* what the user sees */
    bool is_blocks, is_error; /* what content is */
    struct str outcome;       /* the canonical tool message */

    enum call_question question; /* the turn ends with it */
    struct str request;          /* of an elicitation, as an interrupt has it */
    /* What the user answered. */
    struct str exact; /* the arguments that were asked about, as the tool knows them; or empty */
    bool edited;      /* they are not the model's */
    struct str request_state, input_responses; /* of an elicitation: how the call goes on */
    struct str held;                           /* the remote call that waits for it; or empty */
};

/* What the node at hand changed; stored and emptied by turn_commit. */
struct turn_changes {
    struct turn_message messages[TURN_STEP_MAX];
    size_t n_messages;
    struct turn_effect intents[TURN_STEP_MAX], outcomes[TURN_STEP_MAX];
    size_t n_intents, n_outcomes;
    const struct interrupt *interrupts; /* in the arena */
    size_t n_interrupts;
    bool has_usage;
    struct turn_usage usage;
    bool end;
    enum turn_state end_state;
    struct str error_code, error;
};

struct turn {
    struct turn_engine *engine;
    struct arena arena; /* all strings below */
    struct str user_id, thread_id, turn_id, agent, skill, model;
    bool allow_operator_llm;
    struct str message_id, message; /* the user's, canonical; empty when there is none */
    bool message_plain;
    bool new_thread; /* made by this turn: there is no history to read */
    bool lost;       /* ours in the store, and nobody here knew of it */
    bool taken;      /* another process has it by now */
    bool adopted;    /* from an owner that died, or from the queue: the message is in the history */
    struct str resumes; /* the interrupted turn this one goes on with; empty: none */
    const struct node
        *resume_at; /* where the dead owner's checkpoint says to go on; NULL: at the start */

    int64_t position, epoch, step;
    int64_t stored_epoch; /* of the owner that stored the newest step */
    int64_t message_seq;  /* of the thread's newest message */
    enum accept_state accepted;
    struct fiber_cond accepted_changed;
    bool cancel_requested, has_followers;
    bool plain_title, title_considered;
    bool in_doubt; /* whether its newest step was stored is not known: only the store can go on */

    struct run *run;     /* NULL before it is ours and after its end */
    struct fiber *fiber; /* NULL before it began */
    bool holding;        /* events after held_after are told once their step is stored */
    int64_t held_after;
    struct list in_engine;
    struct strbuf event; /* the one that is being written */

    const struct node *node;
    struct endpoints endpoints; /* with the user's keys */
    struct user_profile user;   /* who they say they are */
    struct str system_stable, system_changing;
    struct llm_message *messages;
    size_t n_messages, messages_cap;
    size_t history_bytes, budget_bytes; /* of the messages in the prompt, and what they may have */
    struct toolset *tools;              /* NULL until it was prepared */
    struct str tools_found;             /* by search, before a dead owner died */
    struct pending_call *calls;
    size_t n_calls;

    /* Monotonic, while a model was asked that has said nothing yet; else 0. */
    int64_t silent_since_us, tell_silence_at_us;

    /* The counters that the checkpoint keeps. */
    int64_t model_calls;
    struct llm_usage used;
    struct str used_provider, used_model;

    struct turn_changes changes;
};

/* A node does its work on the turn, notes what it changed, and names the next one; NULL ends the
 * walk. */
struct node {
    const char *name;
    int (*run)(struct turn *t, const struct node **ret_next, struct err *err) may_yield;
    /* Its changes go into the same transaction as those of the node before. */
    bool joins_previous_step;
};
extern const struct node node_route, node_prepare, node_model, node_tools, node_interrupt,
    node_finish;
const struct node *node_find(struct str name); /* NULL when unknown */

/* Stores the changes of the node at hand together with the checkpoint (the node that is next) and
 * the events emitted so far. Waits for a database that is away, up to a limit, and is not cancelled
 * meanwhile: what has been tried must be known to be done or not before anything else is stored.
 * -ERR_PRECONDITION: somebody else owns the turn now. t->in_doubt: it is not known whether it was
 * stored; this process must do nothing more for the turn. */
may_yield int turn_commit(struct turn *t, const struct node *next, struct err *err) must_check;
/* Tells the user's clients that the turn is in this state now, which is stored. */
void turn_publish(struct turn *t, enum turn_state state);

/* For what is read: `do { rc = ...; } while (rc < 0 && patience_left(t, &p, err));` tries again
 * while the database is away, up to a limit and until cancelled. */
struct patience {
    int64_t give_up_us, delay_ms; /* zero at the beginning */
};
may_yield bool patience_left(const struct turn *t, struct patience *p, struct err *err);

/* What is emitted between them is told when it is stored. While the message is not stored, nothing
 * is told at all. */
void turn_hold(struct turn *t);
void turn_release(struct turn *t);

/* Emission: write the event into turn_event(t), then turn_emit(t). */
struct strbuf *turn_event(struct turn *t);
void turn_emit(struct turn *t);

/* Appends to the prompt; and, with an id, to what the step stores. */
void turn_add_message(struct turn *t, struct str json, bool plain);
void turn_store_message(struct turn *t, struct str id, struct str role, struct str json,
                        bool plain);

/* node_model.c: what an answer cost, as it is recorded. Strings live in the arena. */
struct turn_usage turn_usage_of(const struct llm_endpoint *e, const struct llm_result *r,
                                struct arena *arena);

/* node_model.c: tells the client that the model takes its time. */
void turn_tell_silence(struct turn *t);

/* distill.c: begins to summarise the thread's older part when its prompt has grown near its budget.
 */
void distill_consider(struct turn *t);

/* branch.c: where a turn runs that says something again. `from` empty: where it was submitted. */
struct turn_branch {
    struct str from;
    int64_t before_seq;
};
/* *ret: the submission as it is run in the fork, which need not be there yet. */
may_yield int turn_branch(struct turn_engine *e, const struct turn_submission *s,
                          struct arena *arena, struct turn_branch *ret_branch,
                          struct turn_submission *ret, struct err *err) must_check;
may_yield int turn_branch_make(struct turn *t, const struct turn_branch *b, struct err *err)
    must_check;

/* title.c: names the thread of a first turn, beside it: once, as soon as the answer has begun to
 * come, or at the turn's end. Cheap to call again. ask: a model may be asked; else, and when that
 * fails, the title is made of the message's first words. */
void title_consider(struct turn *t, bool ask);
/* What a model gave as a title, as it is shown: one line, without quotes or a full stop. */
struct str title_clean(struct str answer, struct arena *arena);
/* The first words of a text; with an ellipsis when there are more. */
struct str title_of_words(struct str text, struct arena *arena);

/* ---- tool calls ---- */

/* pending_call.c. Finds the tool and decides what is to be done; finishes a call that cannot be
 * made at once with an error. */
void pending_call_prepare(struct turn *t, struct pending_call *c, size_t index);
/* It is to be made and the journal does not have it yet. */
bool pending_call_wants_intent(const struct pending_call *c);
/* With the next step. */
void pending_call_note_intent(struct turn *t, struct pending_call *c);
/* What is sent to the tool. */
struct str pending_call_exact(struct turn *t, const struct pending_call *c);
/* content: text, or an array of canonical blocks. */
void pending_call_finish(struct turn *t, struct pending_call *c, struct str content, bool is_blocks,
                         bool is_error, const char *effect_state);
void pending_call_fail(struct turn *t, struct pending_call *c, const char *effect_state,
                       const char *text);
/* Nothing more is to be done for it in this turn. */
bool pending_call_rests(const struct pending_call *c);
bool pending_calls_rest(const struct turn *t);
bool pending_calls_ask(const struct turn *t); /* some of them have a question */
/* Outcomes that are not in the journal yet, and their events, which show once they are. */
void pending_calls_note_outcomes(struct turn *t);
/* The results as messages of the thread, in the order of the calls, whichever ended first. True:
 * there are more than a step can store. */
bool pending_calls_add_results(struct turn *t);
/* The turn ends with calls open: each gets an answer, so that the thread stays whole. */
void pending_calls_settle(struct turn *t, const char *why);

/* call_run.c: makes the call on the running fiber and finishes it; or leaves it with a question;
 * or, cancelled, as an intent. */
may_yield void pending_call_run(struct turn *t, struct pending_call *c);

/* call_recover.c: the calls of the thread's last answer, with what the journal and the user's
 * answers know of them. */
may_yield int pending_calls_recover(struct turn *t, struct err *err) must_check;

/* unanswered.c: what the thread's history has of calls that were asked about and never made. The
 * results that tell so belong behind message i. */
struct unanswered {
    struct interrupt_left *list;
    size_t n;
};
may_yield int unanswered_look(struct turn *t, const struct turn_message *m, size_t n,
                              struct unanswered *ret, struct err *err) must_check;
void unanswered_tell(struct turn *t, const struct unanswered *u, const struct turn_message *m,
                     size_t n, size_t i);

/* elicit.c: whether a user can be asked that: at readable length, and only to pages of the web. */
int elicit_check(const json_t *params, struct err *err) must_check;
/* What a server wants to know as an interrupt has it, and the user's answer as the server
 * gets it. ERR_PROTOCOL: it is nothing a user can be asked. */
int elicit_request(struct turn *t, struct str input_requests, struct str request_state,
                   struct str *ret, struct err *err) must_check;
/* The same for a server that waits with the call open (`held`: its name). */
int elicit_request_held(struct turn *t, struct str params, struct str held, struct str *ret,
                        struct err *err) must_check;
/* Whether the content, with the schemas' defaults for what it lacks, is what was asked for. */
int elicit_check_content(struct str request, struct str content, struct err *err) must_check;
/* Into c->input_responses, c->request_state and c->held. */
int elicit_answer(struct turn *t, struct pending_call *c, struct str request, struct str action,
                  struct str content, struct err *err) must_check;

/* ---- engine.c ---- */

struct turn_engine {
    struct turn_engine_options options;
    struct arena arena;
    struct str process_id;
    struct remote_calls *remote_calls; /* NULL: there are no MCP servers */
    struct map known;        /* "user\nturn" -> turns being submitted, claimed, run or ended here */
    struct map threads;      /* "user\nthread" -> the turn that runs here */
    struct map open_of_user; /* user -> number of open turns, as a pointer-sized integer */
    struct map distilling;   /* the same keys -> a distillation under way */
    unsigned naming;         /* titles that are being asked for */
    struct list turns;
    struct fiber_scope turn_scope, house_scope;
    struct fiber_cond changed; /* a turn ended, or the engine stops */
    bool stopping;
    int64_t last_claim_us;
    int64_t lease_until_us;
    bool lapsed; /* it had run out when it was renewed: others may have taken turns that run here */
    int64_t doubt_us; /* when the outcome of a transaction was last unknown; 0: never */
    struct turn_engine_stats stats;
};

/* walk.c: the fiber of a turn, from its node to its end. */
void turn_walk_main(void *turn);
/* Ends a turn that could not even begin, and leaves. */
may_yield void turn_fail(struct turn *t, const struct err *why);
/* No two objects are of one turn: the caller has looked with turn_find. */
struct turn *turn_new(struct turn_engine *e, struct str user_id, struct str thread_id,
                      struct str turn_id);
void turn_free(struct turn *t);
struct turn *turn_find(struct turn_engine *e, struct str user_id, struct str turn_id);
/* The store may have turns as ours that nobody here knows of: they are looked for. */
void engine_doubt(struct turn_engine *e);
/* The outcome of a write that failed so is not known. */
static inline bool outcome_unknown(enum err_code code) {
    return code == ERR_UNAVAILABLE || code == ERR_TIMEOUT || code == ERR_IO;
}
/* Enters and leaves the engine's books; leave also starts what waited behind it. */
void turn_enter(struct turn *t);
void turn_leave(struct turn *t);
/* claim.c: takes a turn over in a fiber of its own, unless another process is faster. */
void turn_take(struct turn_engine *e, struct str user_id, struct str turn_id);
may_yield void turn_claim_loop(void *engine);
/* For the turn that ended: the next one of its thread. */
may_yield void turn_take_next(struct turn_engine *e, struct str user_id, struct str thread_id);
size_t user_open_count(struct turn_engine *e, struct str user_id);
void user_open_add(struct turn_engine *e, struct str user_id, int n);
/* submit.c */
int check_engine_open(struct turn_engine *e, struct str user_id, struct err *err) must_check;
/* An earlier submission of this turn: its ticket. ERR_NOT_FOUND: there is none. */
may_yield int turn_follow_earlier(struct turn_engine *e, struct str user_id, struct str turn_id,
                                  struct turn_ticket *ret, struct err *err) must_check;
void turn_ticket_fill(struct turn_ticket *ret, struct str thread_id, struct str turn_id);
/* Durable, and nothing is before it: opens its run and lets it walk. */
void turn_begin_accepted(struct turn *t, const struct turn_accepted *a, struct turn_ticket *ret);
/* Stores it, filled in from the turn; tries again while it is not known whether it was stored. */
may_yield int turn_accept_patiently(struct turn *t, struct turn_accept *a,
                                    struct turn_accepted *ret, struct err *err) must_check;
/* resume.c: the message is an answer to an open question: ERR_NOT_FOUND when it is none. */
may_yield int turn_answer_in_words(struct turn_engine *e, const struct turn_submission *s,
                                   struct turn_ticket *ret, struct err *err) must_check;
/* submit.c: requests to cancel that come from other processes. */
may_yield int engine_listen(struct turn_engine *e, struct err *err) must_check;
void engine_channel(struct str process_id, char ret[64]);
struct str engine_key(struct str user_id, struct str id, struct strbuf *out);
/* Who may ask which model: to be completed with the model. */
struct endpoints_request engine_endpoints(const struct turn_engine *e, struct str user_id,
                                          bool allow_operator_llm);

/* ---- input.c: what a turn must know to be begun elsewhere ---- */

/* The canonical user message of a submission. */
int turn_input_message(struct turn *t, const struct turn_submission *s, struct err *err) must_check;
struct str turn_input_write(struct turn *t);
int turn_input_read(struct turn *t, struct str input, struct err *err) must_check;
struct str turn_state_write(struct turn *t); /* the checkpoint's state */
void turn_state_read(struct turn *t, struct str state);

/* ---- context.c ---- */

struct str context_system_stable(const struct profile *profile, const struct user_profile *user,
                                 struct arena *arena);
struct str context_system_changing(const struct user_profile *user, struct arena *arena);
