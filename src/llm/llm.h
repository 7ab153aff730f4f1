/* Language models behind one small table. A provider knows its wire format and nothing else: how to
 * write a request and how to read a stream. Connections, deadlines, retries and fallbacks are
 * llm_run's.
 *
 * Messages are canonical JSON, as stored; docs/messages.md describes them:
 *   {"role":"user","content":"text"}                      plain: sent as it is by every provider
 *   {"role":"user"|"assistant","content":[block, ...]}
 *     {"type":"text","text":...}
 *     {"type":"image","media_type":"image/png","data":base64}  or  {"type":"image","url":...}
 *     {"type":"reasoning","text":...,"provider":...,"signature":...}  or with "redacted"
 *     {"type":"tool_call","id":...,"name":...,"arguments":"{json}"}
 *   {"role":"tool","tool_call_id":...,"name":...,"content":"text" | [text and image blocks],
 *    "is_error":bool}
 * What cannot be sent (empty messages, results without their call, unknown blocks) is left out or
 * repaired while a request is written, so that one bad message never costs a conversation. */
#pragma once
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"
#include "base/secret.h"
#include "base/str.h"
#include "fiber/fiber.h"

struct llm_message {
    struct str json; /* canonical */
    bool plain;      /* content is a string and role is user or assistant: may be sent verbatim */
};

/* How providers differ in the tools they take. */
enum llm_dialect { LLM_DIALECT_ANTHROPIC, LLM_DIALECT_OPENAI, LLM_DIALECT_OLLAMA, LLM_DIALECTS };

struct llm_tool {
    struct str name; /* [A-Za-z0-9_-]{1,64} */
    struct str description;
    struct str schema; /* JSON Schema of the arguments, an object */
    /* As each provider takes it (llm/tool_schema.h); empty: as above. */
    struct llm_tool_form {
        struct str description, schema;
    } forms[LLM_DIALECTS];
};

/* Where and as whom to call. */
struct llm_endpoint {
    const struct llm_provider *provider;
    struct str base_url; /* without trailing slash */
    struct str model;
    const struct secret *key; /* NULL: none (Ollama) */
    bool user_key;            /* it is the user's own, who pays, then */
};

struct llm_request {
    struct str system_stable;   /* the same from turn to turn: cached where the provider can */
    struct str system_changing; /* date, daily context; may be empty */
    const struct llm_message *messages;
    size_t n_messages;
    const struct llm_tool *tools;
    size_t n_tools;
    int64_t max_output_tokens; /* 0: the model's own default (llm_model_max_output) */
    double temperature;        /* negative: not sent */
    bool reasoning;            /* ask for reasoning where the model can */
};

struct llm_usage {
    int64_t input_tokens; /* all of the prompt, cached parts included */
    int64_t output_tokens;
    int64_t cached_input_tokens, cache_write_tokens, reasoning_tokens;
};

enum llm_stop { LLM_STOP_END, LLM_STOP_TOOLS, LLM_STOP_LENGTH, LLM_STOP_REFUSAL, LLM_STOP_OTHER };

/* What a stream says, in order. Called on the fiber that runs llm_run, views live during the call.
 * A negative return ends the call and is returned by llm_run. Text that arrived together comes
 * together. */
enum llm_delta_type {
    LLM_TEXT,      /* text */
    LLM_REASONING, /* text */
    LLM_REASONING_END,
    LLM_TOOL_START,     /* index (the place in llm_result.tool_calls), id, name */
    LLM_TOOL_ARGUMENTS, /* index, text */
    LLM_TOOL_END,       /* index */
};
struct llm_delta {
    enum llm_delta_type type;
    unsigned index;
    struct str text, id, name;
};
struct llm_sink {
    int (*on_delta)(const struct llm_delta *delta, void *arg, struct err *err);
    /* A try failed before its first token and another follows after delay_ms, at the same endpoint
     * or, without delay, at the next one: for the log and the user's view. May be NULL. */
    void (*on_retry)(const struct llm_endpoint *endpoint, int attempt, int64_t delay_ms,
                     const struct err *why, void *arg);
    void *arg;
};

/* The whole answer. Text lives in the arena given to llm_run. When llm_run fails in mid-answer it
 * is filled as far as it came, without tool calls: none of them may be carried out. */
struct llm_result {
    struct str message; /* canonical assistant message, "" when nothing came */
    bool plain;
    size_t n_tool_calls;
    struct llm_tool_call {
        struct str id, name, arguments; /* arguments: JSON text as the model wrote it, "{}" when
                                           empty; maybe invalid */
    } * tool_calls;
    bool has_text;
    enum llm_stop stop;
    struct llm_usage usage;
    size_t endpoint_index; /* which of the endpoints answered */
    struct str model;      /* as the provider names it */
};

struct llm_limits {
    int64_t connect_timeout_ms;    /* [3,000] */
    int64_t first_byte_timeout_ms; /* [60,000] until the response's fields: models may think long */
    int64_t idle_timeout_ms;       /* [60,000] between bytes */
    int64_t total_timeout_ms;      /* [600,000] one call */
    int64_t
        retry_budget_ms; /* [8,000] no new try is begun later than this after the first one began */
    int max_attempts;    /* [4] an endpoint */
    size_t max_answer_bytes; /* [4 MiB] */
};

/* Streams one answer. Tries endpoints[0] with retries (408, 409, 429, 5xx, 529, broken connections,
 * before the first token only; jittered backoff, Retry-After honoured within the budget), then the
 * next ones, which share what is left of the budget. Errors are for people: which provider, what
 * happened, what to do; never a key: ERR_UNAUTHORIZED (the key), ERR_FORBIDDEN (rights, credit),
 * ERR_NOT_FOUND (the model), ERR_INVALID (request refused), ERR_LIMIT (context or answer too long),
 * ERR_BUSY (rate limit), ERR_UNAVAILABLE, ERR_TIMEOUT, ERR_PROTOCOL, ERR_CANCELLED.
 *
 * A fallback is taken where it can help: never after ERR_LIMIT, ERR_CANCELLED or an error of the
 * sink; after ERR_UNAUTHORIZED and ERR_FORBIDDEN only to another key or server; after ERR_NOT_FOUND
 * only to another model or server; after ERR_INVALID only to another provider or server. */
may_yield int llm_run(const struct llm_endpoint *endpoints, size_t n_endpoints,
                      const struct llm_request *request, const struct llm_limits *limits,
                      const struct llm_sink *sink, struct arena *arena, struct llm_result *ret,
                      struct err *err) must_check;

/* ---- the table ---- */

extern const struct llm_provider llm_anthropic, llm_openai, llm_ollama;
/* "claude" or "anthropic", "openai", "ollama"; NULL for others. */
const struct llm_provider *llm_provider_find(struct str name);
/* "anthropic": also the second half of llm_<name> in the vault. */
const char *llm_provider_name(const struct llm_provider *p);
const char *llm_provider_label(const struct llm_provider *p); /* "Anthropic" */
const char *llm_provider_default_url(const struct llm_provider *p);
const char *llm_provider_default_model(const struct llm_provider *p);
/* A server reached over plain http, and Ollama anywhere, needs none. */
bool llm_provider_needs_key(const struct llm_provider *p, struct str base_url);

/* ---- models; unknown ones get the provider's defaults ---- */

int64_t llm_model_context(const struct llm_provider *p, struct str model); /* tokens */
/* The longest answer asked for when a request names no maximum: the model's own limit, at most
 * LLM_DEFAULT_OUTPUT_TOKENS. */
enum { LLM_DEFAULT_OUTPUT_TOKENS = 32000 };
int64_t llm_model_max_output(const struct llm_provider *p, struct str model);
/* What this usage costs at list price, in millionths of a dollar; 0 for local models, -1 when the
 * price is not known. For display, not for billing. */
int64_t llm_model_cost(const struct llm_provider *p, struct str model,
                       const struct llm_usage *usage);

/* ---- what there is to choose from ---- */

struct llm_listed {
    struct str id, name; /* name: as people know it; may be empty */
};
enum { LLM_MAX_LISTED = 500 };
/* The models that the endpoint's provider has now (endpoint->model is not read), within ten
 * seconds: what is good for conversation first, what plainly is not left out. Strings are in the
 * arena. Errors as llm_run; ERR_NOT_FOUND: there is no list at this address. */
may_yield int llm_list_models(const struct llm_endpoint *endpoint, struct arena *arena,
                              struct llm_listed **ret, size_t *ret_n, struct err *err) must_check;

/* One cheap call that tells whether endpoint, key and model work; errors as llm_run. For doctor and
 * for keys when stored. */
may_yield int llm_check(const struct llm_endpoint *endpoint, struct err *err) must_check;
