/* Walks a request's messages and hands out what can be sent, already repaired: tool calls with the
 * results that belong to them, ids and names that every provider takes, nothing empty, nothing
 * orphaned. Plain messages are passed through unread. */
#pragma once
#include "base/map.h"
#include "llm/llm.h"

struct llm_sent_call {
    const json_t *block;
    struct str id, name;
    struct str arguments; /* a JSON object */
    const json_t *result; /* the canonical tool message; NULL: none came */
};

struct llm_sent_message {
    bool assistant;        /* else from the user */
    bool running;          /* behind the last user message: part of the exchange that goes on */
    struct str plain;      /* p != NULL: the whole message, to be sent as it is */
    struct str literal;    /* of a plain one: the content as a JSON string, quotes included */
    const json_t *content; /* else: an array of blocks or a string */
    const struct llm_sent_call *calls; /* in the order of their blocks */
    size_t n_calls;
};

struct llm_conversation {
    const struct llm_request *request;
    size_t next, last_user;
    struct arena arena; /* the current message's calls */
    json_t **trees;     /* parsed for the current message */
    size_t n_trees, trees_cap;
    struct map ids; /* all ids sent so far */
};

void llm_conversation_begin(struct llm_conversation *c, const struct llm_request *request);
void llm_conversation_done(struct llm_conversation *c);
/* False at the end. Views live until the next call. */
bool llm_conversation_next(struct llm_conversation *c, struct llm_sent_message *ret);

/* ---- looking into content ---- */

struct str llm_block_type(const json_t *block);
/* The text of a tool's result or a message: text blocks joined with line ends. */
void llm_content_text(const json_t *content, struct strbuf *out);
/* What a blind model is told of a result's images; nothing when there are none. */
void llm_describe_images(const json_t *content, struct strbuf *out);
bool llm_is_blank(struct str text); /* nothing but white space */
/* A tool's description and schema for a provider. */
struct llm_tool_form llm_tool_form(const struct llm_tool *tool, enum llm_dialect dialect);
/* What OpenAI's and Ollama's formats share: the system prompt as the first of the messages, nothing
 * when there is none, and the member "tools", left out when there are none. */
void llm_system_message(struct jsonw *w, const struct llm_request *request);
void llm_function_tools(struct jsonw *w, const struct llm_request *request,
                        enum llm_dialect dialect);
/* What a model is told where the outcome of a call is missing. */
#define LLM_NO_RESULT "The call was interrupted; its outcome is not known."
