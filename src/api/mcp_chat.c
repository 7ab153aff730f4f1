/* The tool `chat`: a turn of the assistant. What it says so far is told as progress; whoever
 * cancels the call cancels the turn, and whoever only loses the connection finds it again by its
 * name. */
#include "api/input.h"
#include "api/mcp.h"
#include "api/reply.h"
#include "base/clock.h"

enum {
    TELL_EVERY_MS = 400,
    LOOK_UP_MS = 10 * 1000,      /* a silent turn: clients extend their patience with progress */
    PATIENCE_MS = 9 * 60 * 1000, /* below the endpoint's own, so that it ends with a word */
    TOLD_BYTES = 2000,
    MAX_STRUCTURED_BYTES = 2 * REPLY_MAX_BYTES,
};

struct follower {
    struct mcp_request *request;
    const struct turn_ticket *ticket;
    struct reply reply;
    double steps;
    int64_t began_us, told_us;
};

/* ---- progress ---- */

static void tell(struct follower *f, struct str message) {
    mcp_request_progress(f->request, ++f->steps, 0, message);
    f->told_us = clock_mono_us();
}

/* The end of what was said, from the beginning of a character. */
static struct str tail(struct str text) {
    size_t from = text.n > TOLD_BYTES ? text.n - TOLD_BYTES : 0;
    while (from > 0 && from < text.n && ((unsigned char)text.p[from] & 0xc0) == 0x80) {
        from++;
    }
    return str_skip(text, from);
}

static void tell_text(struct follower *f) {
    if (clock_mono_us() - f->told_us >= TELL_EVERY_MS * INT64_C(1000)) {
        tell(f, tail(strbuf_str(&f->reply.text)));
    }
}

static void tell_tool(struct follower *f, struct str event) {
    json_auto_t *tree = NULL;
    struct err err;
    char text[160];
    if (str_starts(event, STR("{\"type\":\"TOOL_CALL_START\"")) &&
        json_read(event, &tree, &err) == 0) {
        int n = snprintf(text, sizeof text, "calls %.*s",
                         STR_ARG(str_utf8_head(json_str(tree, "toolCallName"), 128)));
        tell(f, (struct str){text, (size_t)n});
    }
}

/* ---- following ---- */

static int feed_all(struct follower *f, const struct run_event *events, size_t n, struct err *err) {
    for (size_t i = 0; i < n; i++) {
        enum reply_change change;
        struct str delta;
        if (reply_feed(&f->reply, events[i].json, &change, &delta, err) < 0) {
            return -(int)err->code;
        }
        if (change == REPLY_TEXT) {
            tell_text(f);
        } else if (change == REPLY_NOTHING) {
            tell_tool(f, events[i].json);
        }
    }
    return 0;
}

/* To the turn's end, or until patience is over: then reply.ended is false. */
static int follow(struct follower *f, struct err *err) {
    while (clock_mono_us() - f->began_us < PATIENCE_MS * INT64_C(1000)) {
        const struct run_event *events;
        size_t n;
        int rc = run_read(f->ticket->reader, LOOK_UP_MS, &events, &n, err);
        if (rc == -ERR_TIMEOUT) {
            tell(f, STR("still at work"));
            continue;
        }
        if (rc < 0) {
            return rc;
        }
        if (n == 0) {
            return f->reply.ended ? 0
                                  : err_set(err, ERR_NOT_FOUND,
                                            "this turn ended long ago: get_thread has its answer");
        }
        if (feed_all(f, events, n, err) < 0) {
            return -(int)err->code;
        }
    }
    return 0;
}

/* The client takes back what it asked for, unless it is the gateway that goes. */
static int cancelled(struct follower *f, struct err *err) {
    const struct mcp_caller *caller = mcp_caller_of(f->request);
    struct str turn_id = str_z(f->ticket->turn_id);
    struct err ignored;
    if (mcp_face_stopping(caller->gateway->mcp)) {
        return err_set(err, ERR_CANCELLED,
                       "the gateway stops; the turn %s goes on later: call chat again with this "
                       "turn_id for its answer",
                       f->ticket->turn_id);
    }
    fiber_shield_enter();
    (void)!turn_cancel(caller->gateway->engine, caller->user_id, turn_id, &ignored);
    fiber_shield_leave();
    return err_set(err, ERR_CANCELLED, "cancelled");
}

/* ---- the result ---- */

static const char *state_of(const struct follower *f) {
    return f->reply.ended ? turn_state_name(f->reply.state) : "running";
}

static void write_text(struct follower *f) {
    struct mcp_request *r = f->request;
    struct str answer = reply_last(&f->reply);
    if (answer.n) {
        mcp_result_text(r, answer);
    }
    if (!f->reply.ended) {
        mcp_result_textf(r,
                         "The assistant is still at work. Call chat again with turn_id \"%s\" to "
                         "wait for its answer.",
                         f->ticket->turn_id);
    } else if (f->reply.state == TURN_FAILED) {
        mcp_result_text(r, strbuf_str(&f->reply.error_message));
        mcp_result_error(r);
    } else if (f->reply.state == TURN_CANCELLED) {
        mcp_result_textf(r, "The turn was cancelled.");
        mcp_result_error(r);
    } else if (f->reply.state == TURN_INTERRUPTED) {
        mcp_result_text(r, strbuf_str(&f->reply.question));
        mcp_result_textf(r, "Ask the user, then call answer_approval, or chat with these words.");
    } else if (!answer.n) {
        mcp_result_text(r, STR_EMPTY);
    }
}

static int write_result(struct follower *f, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(MAX_STRUCTURED_BYTES);
    struct jsonw w = jsonw_begin(&out);
    jsonw_object(&w);
    jsonw_kstrz(&w, "thread_id", f->ticket->thread_id);
    jsonw_kstrz(&w, "turn_id", f->ticket->turn_id);
    jsonw_kstrz(&w, "state", state_of(f));
    jsonw_kstr(&w, "answer", reply_last(&f->reply));
    if (f->reply.state == TURN_INTERRUPTED) {
        jsonw_kraw(&w, "interrupts", strbuf_str(&f->reply.interrupts));
    }
    jsonw_end_object(&w);
    if (strbuf_check(&out, "the answer", err) < 0) {
        return -(int)err->code;
    }
    write_text(f);
    mcp_result_structured(f->request, strbuf_str(&out));
    return 0;
}

/* ---- the tools ---- */

static int submit(const struct mcp_caller *caller, const json_t *args, struct turn_ticket *ret,
                  struct err *err) {
    struct input_content content cleanup(input_content_done);
    struct turn_submission s = {.user_id = caller->user_id,
                                .allow_operator_llm = caller->allow_operator_llm};
    input_content_begin(&content);
    if (input_read_chat(args, &input_names_rest, &content, &s, err) < 0) {
        return -(int)err->code;
    }
    return turn_submit(caller->gateway->engine, &s, ret, err);
}

int mcp_follow_turn(struct mcp_request *r, const struct turn_ticket *ticket, struct err *err) {
    struct follower f = {.request = r, .ticket = ticket, .began_us = clock_mono_us()};
    char text[400];
    reply_init(&f.reply);
    int n = snprintf(text, sizeof text, "turn %s of thread %s", ticket->turn_id, ticket->thread_id);
    tell(&f, (struct str){text, (size_t)n});
    int rc = follow(&f, err);
    if (rc == -ERR_CANCELLED) {
        rc = cancelled(&f, err);
    }
    run_reader_close(ticket->reader);
    if (rc == 0) {
        rc = write_result(&f, err);
    }
    reply_done(&f.reply);
    return rc;
}

int mcp_tool_chat(struct mcp_request *r, const json_t *args, struct err *err) {
    struct turn_ticket ticket;
    return submit(mcp_caller_of(r), args, &ticket, err) < 0 ? -(int)err->code
                                                            : mcp_follow_turn(r, &ticket, err);
}
