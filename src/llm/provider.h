/* The table a provider fills in. Only llm/ includes this. */
#pragma once
#include "llm/llm.h"
#include "net/http_client.h"

/* What a stream reader builds up; one for a call, owned by llm_run. Providers call the llm_build_*
 * functions, which emit the deltas and gather the canonical message. */
struct llm_build;

int llm_build_text(struct llm_build *b, struct str text, struct err *err) must_check;
int llm_build_reasoning(struct llm_build *b, struct str text, struct err *err) must_check;
/* Ends the open reasoning block; signature or redacted data are kept for the provider that made
 * them. */
int llm_build_reasoning_end(struct llm_build *b, struct str signature, struct str redacted,
                            struct err *err) must_check;
/* index: the provider's own numbering of calls; an empty id gets one made here. */
int llm_build_tool_start(struct llm_build *b, unsigned index, struct str id, struct str name,
                         struct err *err) must_check;
int llm_build_tool_arguments(struct llm_build *b, unsigned index, struct str fragment,
                             struct err *err) must_check;
int llm_build_tool_end(struct llm_build *b, unsigned index, struct err *err) must_check;
struct llm_usage *llm_build_usage(struct llm_build *b);
void llm_build_model(struct llm_build *b, struct str model);
void llm_build_stop(struct llm_build *b, enum llm_stop stop);
void llm_build_complete(struct llm_build *b); /* the stream said that it is whole */
void *llm_build_state(struct llm_build *b);   /* provider->state_bytes, zeroed */

enum llm_framing { LLM_SSE, LLM_LINES };

struct llm_provider {
    const char *name, *label, *default_url, *default_model;
    const char *path; /* appended to the base URL */
    enum llm_framing framing;
    size_t state_bytes;
    /* The request's body; messages are converted only where they are not plain. */
    int (*write_body)(const struct llm_endpoint *endpoint, const struct llm_request *request,
                      struct strbuf *out, struct err *err);
    /* Fills at most LLM_MAX_FIELDS fields from the arena; gives their number. */
    size_t (*write_fields)(const struct llm_endpoint *endpoint, struct arena *arena,
                           struct http_client_field *fields);
    /* One event (its type, empty for lines, and its JSON). */
    int (*on_event)(struct llm_build *b, struct str type, struct str data, struct err *err);
    /* The human part of an error body, and a code where the status is ambiguous (ERR_NONE: by
     * status). */
    enum err_code (*read_error)(int status, struct str body, struct strbuf *ret_message);
};
enum { LLM_MAX_FIELDS = 8 };
