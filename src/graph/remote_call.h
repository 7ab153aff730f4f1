/* A call to an MCP server under way, on a fiber of its own. It may outlive the turn that began it:
 * a server of before 2026-07-28 that asks its user something keeps the call open meanwhile, while
 * the turn ends with the question, and the turn that goes on takes the call over. Nobody waits for
 * long: the call's own deadline ends it. */
#pragma once
#include "mcp/bridge.h"

struct remote_calls; /* of one engine */

enum { REMOTE_CALLS_MAX_HELD = 256, REMOTE_CALLS_MAX_HELD_OF_USER = 8 };

struct remote_calls *remote_calls_new(struct bridges *bridges);
may_yield void remote_calls_free(struct remote_calls *r); /* accepts NULL; ends what is left */

struct remote_call;

struct remote_call_progress {
    void (*on_progress)(void *arg, const struct mcp_progress *p);
    void *arg;
};

/* Begins it; the texts of `call` are copied. ERR_BUSY: too many fibers. */
int remote_call_begin(struct remote_calls *r, struct str user_id, struct str server,
                      const struct mcp_call *call, const struct remote_call_progress *progress,
                      struct remote_call **ret, struct err *err) must_check;
/* One whose server waits for an answer, or that ended since; NULL: it is not here any more. */
struct remote_call *remote_call_find(struct remote_calls *r, struct str user_id, struct str name);
/* answer: an elicitation's result as JSON. */
void remote_call_answer(struct remote_call *c, struct str answer,
                        const struct remote_call_progress *progress);

struct remote_call_news {
    /* The server asks: the parameters of elicitation/create as JSON, and the name by which the call
     * is found again; it goes on without its turn. Empty: it ended. */
    struct str question, name;
    struct mcp_call_result result;
    bool sent;
};
/* Until it ends, or its server asks; the call belongs to nobody then. A cancelled wait cancels the
 * call. ret->sent holds also after an error. Texts in the arena. */
may_yield int remote_call_wait(struct remote_call *c, struct arena *arena,
                               struct remote_call_news *ret, struct err *err) must_check;
