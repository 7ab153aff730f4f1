/* What OpenAI's two endpoints have in common: who the model is, how a list of messages becomes one
 * message to a thread, and how a turn is told while it runs. */
#pragma once
#include "api/call.h"
#include "api/input.h"
#include "api/reply.h"

enum { OPENAI_MAX_MESSAGES = 10 * 1000 };

/* ---- models ---- */

/* The agent behind a model's name, or NULL. */
const char *openai_agent(struct str model);

/* ---- what comes in ---- */

struct openai_options {
    const char *model; /* static: one of the names above */
    bool stream, include_usage;
};

/* "model", "stream", "stream_options", and the name of the turn (Idempotency-Key). */
int openai_read_options(struct call *c, const json_t *body, struct openai_options *ret,
                        struct turn_submission *submission, struct err *err) must_check;
/* X-Thread-Id, else "user": the thread to continue; left empty for a new one. */
int openai_read_thread(struct call *c, const json_t *body, struct str *ret, struct err *err)
    must_check;
/* The last message, which must be the user's; and in a thread without messages what stood before
 * it, as one block of text marked as the client's. `instructions` may be empty. */
may_yield int openai_read_messages(struct call *c, struct str thread_id, struct str instructions,
                                   const json_t *messages, struct input_content *content,
                                   struct str *ret_content, struct err *err) must_check;
/* The last message as one text; empty when it is something else. */
struct str openai_last_words(const json_t *messages);
/* The block of text: what the client says went before. Appends nothing when that is nothing. */
void openai_context(struct strbuf *out, struct str instructions, const json_t *messages);
/* turn_submit, with a plain title for a thread that begins. */
may_yield int openai_submit(struct call *c, struct turn_submission *submission,
                            struct turn_ticket *ret, struct err *err) must_check;

/* ---- what goes out ---- */

/* One way of telling a turn. `whole` writes it as one JSON object; the others append whole frames
 * of server-sent events. */
struct openai_shape {
    void (*begin)(struct strbuf *out, void *context);
    void (*text)(struct strbuf *out, struct str delta, void *context);
    void (*reasoning)(struct strbuf *out, struct str delta, void *context); /* may be NULL */
    void (*end)(struct strbuf *out, const struct reply *reply, void *context);
    void (*fail)(struct strbuf *out, const struct problem *p, struct str message, void *context);
    void (*whole)(struct strbuf *out, const struct reply *reply, void *context);
};
/* Follows the ticket's turn, and closes its reader. A turn that fails before anything was told
 * becomes an ordinary error. */
may_yield int openai_tell(struct call *c, const struct turn_ticket *ticket, bool stream,
                          const struct openai_shape *shape, void *context, struct err *err)
    must_check;
