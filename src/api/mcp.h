/* The gateway as an MCP server, at /mcp: the assistant for any client that speaks MCP. Its tools
 * act for the user whose key came with the request. mcp.c makes the table and lets callers in, a
 * file a kind of tool does the work. */
#pragma once
#include "api/gateway.h"
#include "mcp/server.h"

enum { MCP_FACE_MAX_BODY_BYTES = 8 * 1024 * 1024 };

struct mcp_face;

/* After gateway_init. ERR_INVALID: a tool of the registry is none for MCP. */
int mcp_face_new(struct gateway *g, struct mcp_face **ret, struct err *err) must_check;
/* Before the HTTP server stops. Turns that are waited for go on. */
may_yield void mcp_face_stop(struct mcp_face *f); /* accepts NULL */
void mcp_face_free(struct mcp_face *f);           /* accepts NULL; after mcp_face_stop */

/* ---- for the tools ---- */

/* Who calls; lives as long as the call. */
struct mcp_caller {
    struct gateway *gateway;
    struct str user_id;
    bool allow_operator_llm;
};
static inline const struct mcp_caller *mcp_caller_of(const struct mcp_request *r) {
    return mcp_request_context(r);
}
/* The gateway is going down: what is cancelled now was not cancelled by its client. */
bool mcp_face_stopping(const struct mcp_face *f);

/* mcp_chat.c */
/* Waits for the turn's end, tells what it says as progress, and writes the result. Takes the
 * ticket's reader over. A call that its client cancels cancels the turn. */
may_yield int mcp_follow_turn(struct mcp_request *r, const struct turn_ticket *ticket,
                              struct err *err) must_check;
may_yield int mcp_tool_chat(struct mcp_request *r, const json_t *args, struct err *err) must_check;
/* mcp_approvals.c */
may_yield int mcp_tool_list_approvals(struct mcp_request *r, const json_t *args, struct err *err)
    must_check;
may_yield int mcp_tool_answer_approval(struct mcp_request *r, const json_t *args, struct err *err)
    must_check;
/* mcp_threads.c */
may_yield int mcp_tool_list_threads(struct mcp_request *r, const json_t *args, struct err *err)
    must_check;
may_yield int mcp_tool_get_thread(struct mcp_request *r, const json_t *args, struct err *err)
    must_check;
may_yield int mcp_read_thread(struct mcp_request *r, struct str uri, struct err *err) must_check;
