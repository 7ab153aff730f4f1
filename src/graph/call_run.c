/* Making one tool call, with its deadline: a function of ours, or a tool of the user's MCP servers.
 */
#include "base/clock.h"
#include "event/event.h"
#include "graph/internal.h"

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

static int call_remote(struct making *m, struct tool_result *ret, struct err *err) {
    struct turn *t = m->t;
    struct pending_call *c = m->c;
    const struct toolset_tool *tool = c->tool;
    struct mcp_call_result result;
    struct mcp_call call = {
        .tool = tool->tool,
        .arguments = m->arguments,
        .input_schema = tool->mcp ? tool->mcp->input_schema : STR_EMPTY,
        .idempotency_key = c->idempotency_key,
        .repeatable = tool->repeatable,
        .on_progress = on_progress,
        .on_progress_arg = m,
        .request_state = c->request_state,
        .input_responses = c->input_responses,
        .sent = &m->sent,
    };
    int rc = bridge_call(t->engine->options.bridges, t->user_id, tool->server, &call, &t->arena,
                         &result, err);
    if (rc < 0) {
        return rc;
    }
    if (!result.input_required) {
        return tool_result_from_mcp(result.json, result.is_error, &t->arena, ret, err);
    }
    if (elicit_request(t, result.input_requests, result.request_state, &c->request, err) < 0) {
        return -(int)err->code;
    }
    c->question = CALL_ELICITATION;
    return 0;
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
    if (rc == 0 && ret->content.n > TOOL_RESULT_MAX_BYTES) {
        ret->content = str_utf8_head(ret->content, TOOL_RESULT_MAX_BYTES);
        return ret->is_blocks ? err_set(err, ERR_LIMIT, "the result is larger than %d bytes",
                                        TOOL_RESULT_MAX_BYTES)
                              : 0;
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
    struct making m = {.t = t, .c = c, .arguments = c->edited.n ? c->edited : c->arguments};
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
