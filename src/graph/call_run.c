/* Making one tool call, with its deadline: a function of ours, or a tool of the user's MCP servers.
 */
#include "base/clock.h"
#include "event/event.h"
#include "graph/internal.h"
#include "graph/remote_call.h"

enum {
    DEFAULT_TIMEOUT_MS = 30 * 1000,
    REMOTE_TIMEOUT_MS = 330 * 1000, /* a server's own deadlines end before */
    PROGRESS_EVERY_US = 100 * 1000,
};

/* What a call under way needs beside the turn. */
struct making {
    struct turn *t;
    struct pending_call *c;
    struct str arguments;
    int64_t progress_us; /* when progress was told last */
    bool sent;           /* a server may have heard of it */
};

/* ---- ours ---- */

static int call_builtin(struct making *m, struct tool_result *ret, struct err *err) {
    struct turn *t = m->t;
    const struct tool *tool = m->c->tool->builtin;
    json_auto_t *arguments = NULL;
    if (json_read(m->arguments, &arguments, err) < 0) {
        return err_prefix(err, "the arguments");
    }
    struct tool_call call = {.user_id = t->user_id,
                             .thread_id = t->thread_id,
                             .turn_id = t->turn_id,
                             .call_id = m->c->id,
                             .idempotency_key = m->c->idempotency_key,
                             .time_zone = t->user.time_zone,
                             .arguments = arguments};
    m->sent = true;
    return tool->run(&call, &t->arena, ret, tool->context, err);
}

/* ---- of an MCP server ---- */

/* Seldom enough, and never so much that it fills the turn's memory. */
static void on_progress(void *arg, const struct mcp_progress *p) {
    struct making *m = arg;
    struct turn *t = m->t;
    struct strbuf value cleanup(strbuf_done) = STRBUF(8192);
    int64_t now_us = clock_mono_us();
    if (now_us - m->progress_us < PROGRESS_EVERY_US ||
        run_unstored_bytes(t->run) > RUN_MAX_UNSTORED_BYTES / 2) {
        return;
    }
    m->progress_us = now_us;
    struct jsonw w = jsonw_begin(&value);
    jsonw_object(&w);
    jsonw_kstr(&w, "toolCallId", m->c->id);
    jsonw_key(&w, "progress");
    jsonw_double(&w, p->progress);
    if (p->total > 0) {
        jsonw_key(&w, "total");
        jsonw_double(&w, p->total);
    }
    if (p->message.n) {
        jsonw_kstr(&w, "message", str_utf8_head(p->message, 1000));
    }
    jsonw_end_object(&w);
    if (!value.failed) {
        event_custom(turn_event(t), STR("tool_progress"), strbuf_str(&value));
        turn_emit(t);
    }
}

/* A call that waited for the user's answer goes on where it waits; one whose server does not wait
 * any more is made again only if that is safe. */
static int begin_remote(struct making *m, struct remote_call **ret, struct err *err) {
    struct turn *t = m->t;
    struct pending_call *c = m->c;
    const struct toolset_tool *tool = c->tool;
    struct remote_calls *calls = t->engine->remote_calls;
    struct remote_call_progress progress = {.on_progress = on_progress, .arg = m};
    struct mcp_call call = {
        .tool = tool->tool,
        .arguments = m->arguments,
        .input_schema = tool->mcp ? tool->mcp->input_schema : STR_EMPTY,
        .idempotency_key = c->idempotency_key,
        .repeatable = tool->repeatable,
        .request_state = c->request_state,
        .input_responses = c->input_responses,
    };
    if (!calls) {
        return err_set(err, ERR_NOT_FOUND, "there are no MCP servers here");
    }
    if (c->held.n == 0) {
        return remote_call_begin(calls, t->user_id, tool->server, &call, &progress, ret, err);
    }
    struct remote_call *held = remote_call_find(calls, t->user_id, c->held);
    if (held) {
        remote_call_answer(held, c->input_responses, &progress);
        *ret = held;
        return 0;
    }
    if (!tool->repeatable) {
        m->sent = true;
        return err_set(err, ERR_UNAVAILABLE,
                       "the server stopped waiting for the answer before it came");
    }
    call.input_responses = STR_EMPTY;
    return remote_call_begin(calls, t->user_id, tool->server, &call, &progress, ret, err);
}

static int call_remote(struct making *m, struct tool_result *ret, struct err *err) {
    struct turn *t = m->t;
    struct pending_call *c = m->c;
    struct remote_call *remote = NULL;
    struct remote_call_news news;
    if (begin_remote(m, &remote, err) < 0) {
        return -(int)err->code;
    }
    int rc = remote_call_wait(remote, &t->arena, &news, err);
    m->sent = news.sent;
    if (rc < 0) {
        return rc;
    }
    c->held = news.name;
    if (news.question.n) {
        rc = elicit_request_held(t, news.question, news.name, &c->request, err);
    } else if (news.result.input_required) {
        rc = elicit_request(t, news.result.input_requests, news.result.request_state, &c->request,
                            err);
    } else {
        return tool_result_from_mcp(news.result.json, news.result.is_error, &t->arena, ret, err);
    }
    c->question = rc == 0 ? CALL_ELICITATION : CALL_NO_QUESTION;
    return rc;
}

/* ---- both ---- */

static int check_arguments(struct str arguments, struct err *err) {
    json_auto_t *tree = NULL;
    if (json_read(arguments, &tree, err) < 0) {
        return err_prefix(err, "the arguments");
    }
    return json_is_object(tree) ? 0
                                : err_set(err, ERR_INVALID, "the arguments must be a JSON object");
}

static int call_tool(struct making *m, struct tool_result *ret, struct err *err) {
    const struct toolset_tool *tool = m->c->tool;
    struct fiber_timeout limit;
    if (check_arguments(m->arguments, err) < 0) {
        return -(int)err->code;
    }
    int64_t default_ms = tool->builtin ? DEFAULT_TIMEOUT_MS : REMOTE_TIMEOUT_MS;
    fiber_timeout_start(&limit, tool->timeout_ms ? tool->timeout_ms : default_ms);
    int rc = tool->builtin ? call_builtin(m, ret, err) : call_remote(m, ret, err);
    fiber_timeout_stop(&limit);
    if (rc == 0 && !ret->is_blocks) {
        ret->content = str_utf8_head(ret->content, TOOL_RESULT_MAX_BYTES);
    } else if (rc == 0 && ret->content.n > TOOL_RESULT_MAX_BLOCKS_BYTES) {
        return err_set(err, ERR_LIMIT, "the result is larger than %d bytes",
                       TOOL_RESULT_MAX_BLOCKS_BYTES);
    }
    return rc;
}

/* Whether nobody knows if a failed call took effect: a function of ours says so itself, unless it
 * was cut short; of a server that was sent the call only its own refusal is an answer. */
static bool outcome_is_unknown(const struct making *m, const struct err *why) {
    bool cut_short = why->code == ERR_TIMEOUT || why->code == ERR_CANCELLED;
    bool no_answer = why->code == ERR_UNAVAILABLE || why->code == ERR_PROTOCOL ||
                     why->code == ERR_LIMIT || why->code == ERR_IO;
    if (m->c->tool->repeatable || !m->sent) {
        return false;
    }
    return cut_short || (no_answer && !m->c->tool->builtin);
}

static void finish_failed(const struct making *m, const struct err *why) {
    char text[sizeof why->msg + 160];
    bool unknown = outcome_is_unknown(m, why);
    snprintf(text, sizeof text, "The call failed: %s%s", why->msg,
             unknown ? ". Outcome unknown: it may or may not have taken effect. Check before "
                       "trying again, and tell the user."
                     : "");
    pending_call_fail(m->t, m->c, unknown ? "unknown" : "failed", text);
}

void pending_call_run(struct turn *t, struct pending_call *c) {
    struct making m = {.t = t, .c = c, .arguments = pending_call_exact(t, c)};
    struct tool_result result = {0};
    struct err err;
    c->began = true;
    if (call_tool(&m, &result, &err) == 0) {
        if (c->question == CALL_NO_QUESTION) {
            pending_call_finish(t, c, result.content, result.is_blocks, result.is_error, "done");
        }
    } else if (err.code != ERR_CANCELLED || !fiber_cancelled()) {
        finish_failed(&m, &err);
    } /* else it stays an intent: whoever goes on decides by what the tool is */
}
