/* The table a provider fills in, and what llm_run and the providers share. Only llm/ includes this.
 */
#pragma once
#include "llm/llm.h"
#include "net/http_client.h"

/* ---- building an answer ---- */

/* Gathers what a stream says: emits the deltas and keeps the canonical message. One for a try.
 * Providers call the llm_build_* functions; text that comes in one feed goes out as one delta. */
struct llm_build;

enum {
    LLM_MAX_TOOL_CALLS = 128, /* in one answer */
    LLM_MAX_BLOCKS = 1024,
};

int llm_build_text(struct llm_build *b, struct str text, struct err *err) must_check;
int llm_build_reasoning(struct llm_build *b, struct str text, struct err *err) must_check;
/* LLM_TEXT or LLM_REASONING from a JSON string as it stands between its quotes. False when it
 * cannot be read so; else *ret_rc is what llm_build_text would return. */
bool llm_build_raw_text(struct llm_build *b, enum llm_delta_type type, struct str raw, int *ret_rc,
                        struct err *err) must_check;
/* Ends the open reasoning block; signature or redacted data are kept for the provider that made
 * them. Without an open block it makes one that has no text. */
int llm_build_reasoning_end(struct llm_build *b, struct str signature, struct str redacted,
                            struct err *err) must_check;
/* index: the provider's own numbering of calls, each value once; an id that is empty or already
 * used in this answer is replaced by one made here. */
int llm_build_tool_start(struct llm_build *b, unsigned index, struct str id, struct str name,
                         struct err *err) must_check;
int llm_build_tool_arguments(struct llm_build *b, unsigned index, struct str fragment,
                             struct err *err) must_check;
int llm_build_tool_end(struct llm_build *b, unsigned index, struct err *err) must_check;
struct llm_usage *llm_build_usage(struct llm_build *b);
void llm_build_model(struct llm_build *b, struct str model);
void llm_build_stop(struct llm_build *b, enum llm_stop stop);
enum llm_stop llm_build_stopped(const struct llm_build *b); /* what was said last */
/* The answer is whole, but something more may come (usage): the end of the stream is no failure. */
void llm_build_may_end(struct llm_build *b);
void llm_build_complete(struct llm_build *b); /* the stream said that nothing follows */
void *llm_build_state(struct llm_build *b);   /* provider->state_bytes, zeroed */
struct strbuf *
llm_build_scratch(struct llm_build *b); /* the provider's, for what comes in pieces */
/* Ends the stream with an error that the provider's server reported; llm_run words it. */
int llm_build_failed(struct llm_build *b, enum err_code code, struct str message, struct err *err)
    must_check;

/* ---- reading a stream into it: llm_run and tests ---- */

struct llm_build *llm_build_new(const struct llm_provider *provider, const struct llm_sink *sink,
                                size_t max_answer_bytes);
void llm_build_free(struct llm_build *b); /* accepts NULL */
void llm_build_free_p(struct llm_build **b);
/* The next bytes of the response's body. */
int llm_build_feed(struct llm_build *b, struct str bytes, struct err *err) must_check;
/* The body ended. ERR_PROTOCOL when the answer is not whole. */
int llm_build_finish(struct llm_build *b, struct err *err) must_check;
bool llm_build_started(const struct llm_build *b);     /* there was a first token */
bool llm_build_is_whole(const struct llm_build *b);    /* may_end or complete was said */
bool llm_build_is_complete(const struct llm_build *b); /* complete was said */
bool llm_build_sink_failed(const struct llm_build *b); /* the error is the sink's own */
/* What llm_build_failed was told, in full; p == NULL when it was not called. */
struct str llm_build_failure(const struct llm_build *b);
/* whole: false leaves tool calls out. */
void llm_build_result(struct llm_build *b, bool whole, struct arena *arena, struct llm_result *ret);

/* ---- the table ---- */

enum llm_framing { LLM_SSE, LLM_LINES };
enum { LLM_MAX_FIELDS = 8 };

struct llm_provider {
    const char *name, *label, *default_url, *default_model;
    const char *path, *list_path; /* appended to the base URL */
    enum llm_framing framing;
    enum llm_dialect dialect;
    size_t state_bytes;
    /* The request's body; messages are converted only where they are not plain. */
    int (*write_body)(const struct llm_endpoint *endpoint, const struct llm_request *request,
                      struct strbuf *out, struct err *err);
    /* Fills at most LLM_MAX_FIELDS fields from the arena; gives their number. Values that hold the
     * key are wiped by the caller. */
    size_t (*write_fields)(const struct llm_endpoint *endpoint, struct arena *arena,
                           struct http_client_field *fields);
    /* One event (its type, empty for lines, and its JSON). */
    int (*on_event)(struct llm_build *b, struct str type, struct str data, struct err *err);
    /* The human part of an error body, and a code where the status is ambiguous (ERR_NONE: by
     * status). */
    enum err_code (*read_error)(int status, struct str body, struct strbuf *ret_message);
};

/* ---- calls ---- */

/* Base URLs of Anthropic are given with and without /v1. */
char *llm_url(const struct llm_endpoint *e, const char *path, struct arena *arena);
/* Wipes the copies of the key in fields that write_fields made. */
void llm_wipe_key(const struct llm_endpoint *e, const struct http_client_field *fields, size_t n);

/* The answer of list_path, best first; false when it is none. May run on a worker. */
bool llm_list_read(const struct llm_provider *p, struct str body, struct arena *arena,
                   struct llm_listed **ret, size_t *ret_n);

/* ---- models ---- */

enum llm_model_trait {
    LLM_THINKS_BY_BUDGET = 1 << 0, /* Anthropic: thinking is asked for with budget_tokens */
    LLM_THINKS_ADAPTIVELY = 1 << 1,
    LLM_THINKS_ALWAYS = 1 << 2,  /* adaptively, also when not asked */
    LLM_BINDS_THINKING = 1 << 3, /* thinking blocks are checked against what stood before them */
    LLM_NO_SAMPLING = 1 << 4,    /* a temperature is refused */
    LLM_TAKES_EFFORT = 1 << 5,   /* OpenAI: reasoning_effort */
    LLM_NO_EFFORT_WITH_TOOLS = 1 << 6, /* OpenAI: tools only with reasoning_effort "none" */
    LLM_TAKES_THINK = 1 << 7,          /* Ollama: knows "think" */
    LLM_BLIND = 1 << 8, /* images are refused: those of results, which stay in the conversation,
                           are described instead */
};

struct llm_model {
    const char *provider, *prefix;
    int32_t context, max_output;                                        /* tokens */
    int32_t input_price, cached_price, cache_write_price, output_price; /* dollars/10,000 a million
                                                                            tokens; -1 unknown */
    int32_t long_above; /* tokens of prompt above which the next two apply; 0: none */
    int16_t long_input_percent, long_output_percent;
    unsigned traits;
};

/* Never NULL. */
const struct llm_model *llm_model_find(const struct llm_provider *p, struct str model);

/* ---- failures, worded for people ---- */

/* By status alone; ERR_NONE for 2xx. */
enum err_code llm_status_code(int status);
bool llm_status_is_retryable(int status);
/* Retry-After (RFC 9110, 10.2.3: seconds or a date) and OpenAI's retry-after-ms; -1 when absent or
 * unreadable. */
int64_t llm_retry_after_ms(struct str retry_after, struct str retry_after_ms, int64_t now_us);
/* Sets err: what happened at this endpoint and what to do. `detail` is foreign text: it is bounded
 * and the key is blotted out. status 0: none; retry_after_ms -1: unknown. Returns -code. */
int llm_failure(const struct llm_endpoint *endpoint, enum err_code code, int status,
                struct str detail, int64_t retry_after_ms, struct err *err);
/* For a call that got no answer: words err anew, whose code is -rc. Returns -code. */
int llm_unreached(const struct llm_endpoint *endpoint, int rc, struct err *err);
/* Finds the message in the shapes that error bodies have: {"error":{"message"}}, {"error":"text"},
 * {"message"}, {"detail"}; else the body's beginning. type and code, where there are any, are
 * written behind one another to ret_kind: "invalid_request_error context_length_exceeded". */
void llm_error_text(struct str body, struct strbuf *ret_message, struct strbuf *ret_kind);
/* Whether an upstream's words say that the conversation does not fit the model. */
bool llm_says_too_long(struct str message, struct str kind);
