/* What the assistant waits to be allowed, as tools. Whoever calls them speaks for the user: hosts
 * are told by the annotations that an answer may destroy something. */
#include "api/call.h"
#include "api/input.h"
#include "api/json_output.h"
#include "api/mcp.h"
#include "base/clock.h"
#include "event/event.h"
#include "store/interrupts.h"

enum { MAX_LISTED = 50, MAX_LIST_BYTES = 6 * 1024 * 1024 };

static void write_row(struct jsonw *w, const struct interrupt_row *row) {
    jsonw_object(w);
    jsonw_kstr(w, "id", row->is.id);
    jsonw_kstr(w, "thread_id", row->thread_id);
    jsonw_kstr(w, "turn_id", row->turn_id);
    json_put_time(w, "created_at", row->created_us);
    json_put_time(w, "expires_at", row->is.expires_us);
    jsonw_key(w, "interrupt");
    event_interrupt(w, &row->is);
    jsonw_end_object(w);
}

int mcp_tool_list_approvals(struct mcp_request *r, const json_t *args, struct err *err) {
    const struct mcp_caller *caller = mcp_caller_of(r);
    struct strbuf out cleanup(strbuf_done) = STRBUF(MAX_LIST_BYTES);
    struct arena arena cleanup(arena_done) = {0};
    struct interrupt_row *rows;
    struct str thread_id = STR_EMPTY;
    size_t n;
    if (json_want_str(args, "thread_id", CALL_MAX_ID_BYTES, &thread_id, err) < 0 ||
        interrupts_open(caller->gateway->db, caller->user_id, thread_id, clock_now_us(), MAX_LISTED,
                        &arena, &rows, &n, err) < 0) {
        return -(int)err->code;
    }
    struct jsonw w = jsonw_begin(&out);
    jsonw_object(&w);
    jsonw_key(&w, "approvals");
    jsonw_array(&w);
    for (size_t i = 0; i < n && out.n < MAX_LIST_BYTES / 4; i++) {
        write_row(&w, &rows[i]);
    }
    jsonw_end_array(&w);
    jsonw_end_object(&w);
    if (strbuf_check(&out, "the list", err) < 0) {
        return -(int)err->code;
    }
    mcp_result_structured(r, strbuf_str(&out));
    return 0;
}

static int read_answer(const json_t *args, struct arena *arena, struct interrupt_answer *ret,
                       struct str *ret_turn_id, struct err *err) {
    struct str id = {0};
    if (json_want_str(args, "id", CALL_MAX_ID_BYTES, &id, err) < 0 ||
        input_read_id(args, "turn_id", ret_turn_id, err) < 0) {
        return -(int)err->code;
    }
    if (!id.n) {
        return err_set(err, ERR_INVALID, "id: is needed, as list_approvals and chat tell it");
    }
    if (!json_object_get(args, "approved") && !json_object_get(args, "action")) {
        return err_set(err, ERR_INVALID, "approved: is needed, or an action");
    }
    if (input_read_answer(args, arena, ret, err) < 0) {
        return -(int)err->code;
    }
    ret->interrupt_id = id;
    return 0;
}

int mcp_tool_answer_approval(struct mcp_request *r, const json_t *args, struct err *err) {
    const struct mcp_caller *caller = mcp_caller_of(r);
    struct arena arena cleanup(arena_done) = {0};
    struct interrupt_answer answer;
    struct turn_ticket ticket;
    struct str turn_id = STR_EMPTY;
    size_t open;
    if (read_answer(args, &arena, &answer, &turn_id, err) < 0) {
        return -(int)err->code;
    }
    const struct turn_resumption resumption = {.user_id = caller->user_id,
                                               .allow_operator_llm = caller->allow_operator_llm,
                                               .turn_id = turn_id,
                                               .answers = &answer,
                                               .n_answers = 1};
    if (turn_resume(caller->gateway->engine, &resumption, &ticket, &open, err) < 0) {
        return -(int)err->code;
    }
    if (open > 0) {
        mcp_result_textf(r,
                         "Noted. The turn goes on when the %zu other open approvals of it are "
                         "answered, too.",
                         open);
        return 0;
    }
    return mcp_follow_turn(r, &ticket, err);
}
