/* AG-UI 1.0 events as JSON text, appended to a buffer; field rules as in the specification (no
 * nulls, string ids, integer timestamps). One event a call; the caller numbers and ships it. */
#pragma once
#include "base/json.h"
#include "db/db.h"
#include "llm/llm.h"
#include "store/interrupts.h"

void event_run_started(struct strbuf *out, struct str thread_id, struct str run_id);
void event_run_finished(struct strbuf *out, struct str thread_id, struct str run_id,
                        const struct llm_usage *usage, struct str provider, struct str model);
/* Only for clients that declared protocol 1.0: older ones reject this outcome. */
void event_run_cancelled(struct strbuf *out, struct str thread_id, struct str run_id);
/* The run ends with questions; their answers begin another one. */
void event_run_interrupted(struct strbuf *out, struct str thread_id, struct str run_id,
                           const struct llm_usage *usage, struct str provider, struct str model,
                           const struct interrupt *interrupts, size_t n);
/* One AG-UI interrupt: what is asked, of what shape the answer is, until when. Its metadata: kind,
 * code, server, tool, name, arguments, questions (of an elicitation), and `text`: all of it in
 * words, with how to answer in words. */
void event_interrupt(struct jsonw *w, const struct interrupt *i);
void event_state_snapshot(struct strbuf *out, struct str state_json);
void event_run_error(struct strbuf *out, struct str message, struct str code);
void event_text_start(struct strbuf *out, struct str message_id);
void event_text_content(struct strbuf *out, struct str message_id, struct str delta);
void event_text_end(struct strbuf *out, struct str message_id);
/* A reasoning item: start, message start, content..., message end, end; all with one id. */
void event_reasoning_start(struct strbuf *out, struct str message_id);
void event_reasoning_message_start(struct strbuf *out, struct str message_id);
void event_reasoning_content(struct strbuf *out, struct str message_id, struct str delta);
void event_reasoning_message_end(struct strbuf *out, struct str message_id);
void event_reasoning_end(struct strbuf *out, struct str message_id);
void event_tool_start(struct strbuf *out, struct str call_id, struct str name,
                      struct str parent_message_id);
void event_tool_args(struct strbuf *out, struct str call_id, struct str delta);
void event_tool_end(struct strbuf *out, struct str call_id);
struct event_result {
    struct str content;
    bool is_blocks; /* content is the JSON of an array of blocks */
    bool is_error;
};
void event_tool_result(struct strbuf *out, struct str message_id, struct str call_id,
                       const struct event_result *result);
/* messages_json: a JSON array of AG-UI messages. */
void event_messages_snapshot(struct strbuf *out, struct str messages_json);
void event_custom(struct strbuf *out, struct str name, struct str value_json);

/* A canonical message (docs/messages.md) as an AG-UI message object: text blocks joined, tool calls
 * as toolCalls, reasoning left out. */
int event_message_from_canonical(struct strbuf *out, struct str id, struct str json,
                                 struct err *err) must_check;

/* The words of a canonical message: its text blocks joined, images as "[image]", the rest left out.
 */
int event_message_text(struct strbuf *out, struct str json, struct err *err) must_check;

/* MESSAGES_SNAPSHOT of a thread as it is stored: its newest messages, at most
 * EVENT_SNAPSHOT_MESSAGES and EVENT_MAX_SNAPSHOT_BYTES. */
enum { EVENT_SNAPSHOT_MESSAGES = 200, EVENT_MAX_SNAPSHOT_BYTES = 4 * 1024 * 1024 };
may_yield int event_thread_snapshot(struct strbuf *out, struct db *db, struct str user_id,
                                    struct str thread_id, struct err *err) must_check;
