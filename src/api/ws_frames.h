/* The gateway's own frames on a WebSocket, as text. `ref` is the client's mark of what a frame
 * answers; p == NULL: none. */
#pragma once
#include "api/problem.h"
#include "base/json.h"
#include "graph/turn.h"

enum { WS_MAX_SUBSCRIPTIONS = 32, WS_MAX_REF_BYTES = 128 };

void ws_frame_hello(struct strbuf *out, const char *version, struct str user_id);
void ws_frame_accepted(struct strbuf *out, struct str ref, const struct turn_ticket *ticket);
void ws_frame_ok(struct strbuf *out, struct str ref);
void ws_frame_end(struct strbuf *out, struct str run_id);
void ws_frame_pong(struct strbuf *out);
/* run_id: of the subscription that broke; p == NULL: the frame itself was refused. */
void ws_frame_error(struct strbuf *out, struct str ref, struct str run_id, const struct err *err);
/* What stands before an event's number in its envelope. */
void ws_frame_event_head(struct strbuf *out, struct str thread_id, struct str run_id);
