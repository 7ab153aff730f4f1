#include "graph/remote_call.h"

#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "graph/internal.h"

enum { MAX_ANSWER_BYTES = 1024 * 1024, KEEP_RESULT_MS = 5 * 60 * 1000 };

enum call_state { CALL_RUNS, CALL_ASKS, CALL_ENDED };

struct remote_calls {
    struct bridges *bridges;
    struct fiber_scope scope;
    struct list calls;
};

/* Belongs to its fiber, which ends when somebody took the result, or nobody came for it. */
struct remote_call {
    struct remote_calls *all;
    struct list node;
    struct id id;
    struct arena arena;
    struct str user_id, server;
    struct mcp_call call;
    struct fiber *fiber;
    struct remote_call_progress progress; /* of the turn that waits; empty while it is held */
    struct fiber_cond changed;
    enum call_state state;
    bool held;     /* the turn ended with the question */
    bool given_up; /* nobody wants its result */
    bool sent;
    struct str question; /* while it asks */
    struct strbuf answer;
    bool answered;
    int rc; /* once ended */
    struct err err;
    struct mcp_call_result result;
};

/* ---- the fiber ---- */

static void on_progress(void *arg, const struct mcp_progress *p) {
    struct remote_call *c = arg;
    if (c->progress.on_progress) {
        c->progress.on_progress(c->progress.arg, p);
    }
}

static bool may_ask(const struct remote_call *c) {
    unsigned held = 0, of_user = 0;
    list_each (node, &c->all->calls) {
        const struct remote_call *other = list_entry(node, struct remote_call, node);
        bool asks = other->state == CALL_ASKS;
        held += asks;
        of_user += asks && str_eq(other->user_id, c->user_id);
    }
    return !c->held && !c->given_up && held < REMOTE_CALLS_MAX_HELD &&
           of_user < REMOTE_CALLS_MAX_HELD_OF_USER;
}

static void ask(struct remote_call *c, const json_t *params) {
    struct strbuf question cleanup(strbuf_done) = STRBUF(MAX_ANSWER_BYTES);
    json_write_tree(&question, params);
    c->question = arena_str(&c->arena, strbuf_str(&question));
    c->answered = false;
    c->state = CALL_ASKS;
    fiber_broadcast(&c->changed);
}

/* The server's question, on the fiber of the call. Its wait is bounded by the call's own time. */
static int on_request(void *arg, struct str method, const json_t *params, struct strbuf *result,
                      struct err *err) {
    struct remote_call *c = arg;
    if (!str_eq(method, STR("elicitation/create"))) {
        return err_set(err, ERR_NOT_FOUND, "%.*s is not supported",
                       STR_ARG(str_utf8_head(method, 64)));
    }
    if (elicit_check(params, err) < 0) {
        return -(int)err->code;
    }
    if (!may_ask(c)) {
        strbuf_addz(result, "{\"action\":\"cancel\"}");
        return 0;
    }
    ask(c, params);
    int rc = 0;
    while (!c->answered && rc == 0) {
        rc = fiber_wait(&c->changed, FIBER_FOREVER);
    }
    c->state = CALL_RUNS;
    if (rc < 0) {
        return err_set(err, (enum err_code) - rc, "nobody answered in time");
    }
    strbuf_add(result, strbuf_str(&c->answer));
    return 0;
}

/* Somebody takes the result, or nobody comes for it in time. */
static void wait_until_taken(struct remote_call *c) {
    int rc = 0;
    while (!c->given_up && rc == 0) {
        rc = fiber_wait(&c->changed, KEEP_RESULT_MS);
    }
}

static void call_main(void *arg) {
    struct remote_call *c = arg;
    c->rc = bridge_call(c->all->bridges, c->user_id, c->server, &c->call, &c->arena, &c->result,
                        &c->err);
    c->state = CALL_ENDED;
    fiber_broadcast(&c->changed);
    wait_until_taken(c);
    list_remove(&c->node);
    strbuf_done(&c->answer);
    arena_done(&c->arena);
    mem_free(c);
}

/* ---- all of them ---- */

struct remote_calls *remote_calls_new(struct bridges *bridges) {
    struct remote_calls *r = mem_alloc(sizeof *r);
    r->bridges = bridges;
    list_init(&r->calls);
    fiber_scope_init(&r->scope);
    return r;
}

void remote_calls_free(struct remote_calls *r) {
    if (r) {
        fiber_scope_done(&r->scope);
        mem_free(r);
    }
}

static struct mcp_call copy_call(struct remote_call *c, const struct mcp_call *call) {
    struct arena *a = &c->arena;
    return (struct mcp_call){
        .tool = arena_str(a, call->tool),
        .arguments = arena_str(a, call->arguments),
        .input_schema = arena_str(a, call->input_schema),
        .idempotency_key = arena_str(a, call->idempotency_key),
        .repeatable = call->repeatable,
        .on_progress = on_progress,
        .on_progress_arg = c,
        .request_state = arena_str(a, call->request_state),
        .input_responses = arena_str(a, call->input_responses),
        .sent = &c->sent,
        .idle_timeout_ms = call->idle_timeout_ms,
        .absolute_timeout_ms = call->absolute_timeout_ms,
    };
}

int remote_call_begin(struct remote_calls *r, struct str user_id, struct str server,
                      const struct mcp_call *call, const struct remote_call_progress *progress,
                      struct remote_call **ret, struct err *err) {
    struct remote_call *c = mem_alloc(sizeof *c);
    c->all = r;
    c->id = id_new();
    c->user_id = arena_str(&c->arena, user_id);
    c->server = arena_str(&c->arena, server);
    c->call = copy_call(c, call);
    c->progress = *progress;
    c->answer = STRBUF(MAX_ANSWER_BYTES);
    struct mcp_requests *requests = arena_alloc(&c->arena, sizeof *requests);
    *requests = (struct mcp_requests){
        .handle = on_request, .arg = c, .elicitation_form = true, .elicitation_url = true};
    c->call.requests = requests;
    fiber_cond_init(&c->changed);
    list_push(&r->calls, &c->node);
    if (fiber_spawn(&r->scope, "remote call", call_main, c, &c->fiber, err) < 0) {
        list_remove(&c->node);
        arena_done(&c->arena);
        mem_free(c);
        return -(int)err->code;
    }
    *ret = c;
    return 0;
}

struct remote_call *remote_call_find(struct remote_calls *r, struct str user_id, struct str name) {
    list_each (node, &r->calls) {
        struct remote_call *c = list_entry(node, struct remote_call, node);
        if (c->held && str_eq(id_str(&c->id), name) && str_eq(c->user_id, user_id)) {
            return c;
        }
    }
    return NULL;
}

void remote_call_answer(struct remote_call *c, struct str answer,
                        const struct remote_call_progress *progress) {
    c->held = false;
    c->progress = *progress;
    strbuf_reset(&c->answer);
    strbuf_add(&c->answer, answer);
    c->answered = true;
    if (c->state == CALL_ASKS) {
        c->state = CALL_RUNS;
    }
    fiber_broadcast(&c->changed);
}

/* ---- waiting for one ---- */

/* From here on it must not be touched. */
static void give_up(struct remote_call *c) {
    c->progress = (struct remote_call_progress){0};
    c->given_up = true;
    if (c->state != CALL_ENDED) {
        fiber_cancel(c->fiber);
    }
    fiber_broadcast(&c->changed);
}

static struct mcp_call_result copy_result(const struct mcp_call_result *r, struct arena *arena) {
    return (struct mcp_call_result){.json = arena_str(arena, r->json),
                                    .is_error = r->is_error,
                                    .input_required = r->input_required,
                                    .input_requests = arena_str(arena, r->input_requests),
                                    .request_state = arena_str(arena, r->request_state)};
}

int remote_call_wait(struct remote_call *c, struct arena *arena, struct remote_call_news *ret,
                     struct err *err) {
    int rc = 0;
    *ret = (struct remote_call_news){0};
    while (c->state == CALL_RUNS && rc == 0) {
        rc = fiber_wait(&c->changed, FIBER_FOREVER); /* its own deadline, and the caller's */
    }
    ret->sent = c->sent;
    if (rc < 0) {
        give_up(c);
        return err_set(err, (enum err_code) - rc, "waiting for the server");
    }
    if (c->state == CALL_ASKS) {
        ret->question = arena_str(arena, c->question);
        ret->name = arena_str(arena, id_str(&c->id));
        c->progress = (struct remote_call_progress){0};
        c->held = true;
        return 0;
    }
    rc = c->rc;
    if (rc < 0) {
        *err = c->err;
    } else {
        ret->result = copy_result(&c->result, arena);
    }
    give_up(c);
    return rc;
}
