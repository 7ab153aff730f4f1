/* A stand-in for the providers of models, for tests, benchmarks and the demonstration. It speaks
 * the wire formats of Anthropic Messages, OpenAI Chat Completions and Ollama, is as strict as they
 * are about what it is sent, and answers as the last user message tells it to (docs in script.c).
 *
 * A request goes one way: wire->read makes a fake_conversation of it or says what is wrong,
 * fake_script makes a fake_answer of that, and stream.c plays the answer through the wire. */
#pragma once
#include <jansson.h>

#include "base/arena.h"
#include "base/crypto.h"
#include "base/id.h"
#include "base/map.h"
#include "net/http_server.h"

enum {
    FAKE_MAX_BODY_BYTES = 64 * 1024 * 1024,
    FAKE_MAX_ANSWER_BYTES = 64 * 1024 * 1024,
    FAKE_MAX_CALLS = 24,
    FAKE_MAX_RESULTS = 256,
};

/* ---- what was asked ---- */

struct fake_problem;

struct fake_result {
    struct str call_id, name, content;
};

/* Views live as long as the request's tree and arena. */
struct fake_conversation {
    struct arena *arena;
    struct str model;
    bool stream, include_usage;
    size_t n_messages;                            /* without system prompts */
    struct str last_user;                         /* what a person wrote last */
    unsigned rounds;                              /* of tool calls behind it */
    struct fake_result results[FAKE_MAX_RESULTS]; /* of the last round */
    size_t n_results;
    struct str system;
    struct strbuf transcript;  /* the messages, the same in every wire format */
    struct strbuf tool_names;  /* "a b " */
    char hash[SHA256_HEX + 1]; /* of the transcript */
    struct str cache_key;      /* what a provider would cache; empty: nothing */
    int64_t input_tokens, cached_tokens, cache_write_tokens;
};

/* Adds a message to the transcript and keeps account of rounds and results. */
void fake_saw_user(struct fake_conversation *c, struct str text);
void fake_saw_assistant(struct fake_conversation *c, struct str text);
void fake_saw_call(struct fake_conversation *c, struct str id, struct str name,
                   struct str arguments);
void fake_saw_result(struct fake_conversation *c, struct str id, struct str name,
                     struct str content);
/* Pictures that belong to the results before them, where a wire has no other place for them. True
 * when that is what they are: results came right before. */
bool fake_saw_result_images(struct fake_conversation *c, size_t n);

/* A tool of the request, with the rules that providers have for it. strict_arrays: each array needs
 * its items (OpenAI); else the keys of the properties are looked at (Anthropic). */
int fake_tool(struct fake_conversation *c, struct str name, size_t max_name, const json_t *schema,
              bool strict_arrays, struct fake_problem *p);
bool fake_has_tool(const struct fake_conversation *c, struct str name);
/* The request's tool of that name, else one that has it behind a prefix, else the name itself. */
struct str fake_find_tool(const struct fake_conversation *c, struct str name);

/* ---- what is answered ---- */

enum fake_stop { FAKE_STOP_END, FAKE_STOP_TOOLS, FAKE_STOP_LENGTH, FAKE_STOP_REFUSAL };

/* Where an answer goes wrong: before piece number `at`. */
enum fake_mishap {
    FAKE_WELL,
    FAKE_CUT,      /* the connection breaks */
    FAKE_TRUNCATE, /* the body ends in good order, but too early */
    FAKE_STALL,    /* nothing comes any more */
    FAKE_ERROR,    /* the provider's error event */
    FAKE_GARBAGE,  /* what is no event of the provider's */
    FAKE_HANG,     /* not even a status */
    FAKE_DROP,     /* the connection closes instead of an answer */
    FAKE_STATUS,   /* an error instead of an answer */
};

struct fake_call {
    struct str name, arguments;
};

struct fake_answer {
    enum fake_mishap mishap;
    unsigned at;
    int status;
    int64_t retry_after_s; /* -1: none */
    int64_t head_ms, first_ms, delay_ms;
    struct str reasoning;
    bool redacted;
    struct str text;
    size_t piece_bytes; /* 0: a word and its space a piece */
    struct fake_call calls[FAKE_MAX_CALLS];
    size_t n_calls;
    enum fake_stop stop;
};

struct fake_script_state; /* failures counted by conversation */
struct fake_script_state *fake_script_state_new(void);
void fake_script_state_free(struct fake_script_state *s);
/* Scenes: "=== phrase" on a line, then directives to the next such line. */
void fake_script_scenes(struct fake_script_state *s, struct str text);

/* default_delay_ms: for answers that say nothing about their pace. */
void fake_script(struct fake_script_state *state, const struct fake_conversation *c,
                 int64_t default_delay_ms, struct fake_answer *ret);
/* The next piece of a text, as a model would send it: empty at the end. */
struct str fake_next_piece(struct str *rest, size_t piece_bytes);

/* ---- wire formats ---- */

struct fake_problem {
    int status;
    const char *type; /* in the provider's words; NULL: by status */
    const char *code; /* OpenAI's */
    char message[600];
};
/* Fills in and returns -1. */
int fake_problem(struct fake_problem *p, int status, const char *type, const char *fmt, ...)
    printf_like(4, 5);

/* One answer being written. Bytes gather in `out`; stream.c sends them when the pace says so. */
struct fake_writer {
    struct strbuf out;
    const struct fake_conversation *conversation;
    struct str model;
    struct str id; /* of the answer */
    int64_t created_us;
    bool reasons;   /* the ids of its calls will tell */
    unsigned index; /* of the block or call */
    bool open;      /* a block is */
    int64_t output_tokens, reasoning_tokens;
};

struct fake_wire {
    const char *name, *path, *stream_type, *whole_type;
    /* Looks at the request's fields; key: the one demanded, or empty. */
    int (*check_fields)(struct http_request *r, struct str key, struct fake_problem *problem);
    int (*read)(json_t *body, struct fake_conversation *ret, struct fake_problem *problem);
    void (*error)(struct strbuf *out, const struct fake_problem *problem);

    /* A stream: begin, reasoning..., reasoning_end, text..., call..., end. */
    void (*begin)(struct fake_writer *w);
    void (*reasoning)(struct fake_writer *w, struct str piece);
    void (*reasoning_end)(struct fake_writer *w, const struct fake_answer *a);
    void (*text)(struct fake_writer *w, struct str piece);
    void (*call)(struct fake_writer *w, const struct fake_call *call);
    void (*end)(struct fake_writer *w, const struct fake_answer *a);
    void (*error_event)(struct fake_writer *w, const struct fake_problem *problem);
    /* The same answer in one object. */
    void (*whole)(struct fake_writer *w, const struct fake_answer *a);
    /* The list of models. */
    const char *models_path;
    void (*models)(struct strbuf *out, const char *const *names, size_t n);
};
extern const struct fake_wire fake_anthropic, fake_openai, fake_ollama;
int fake_anthropic_read(json_t *body, struct fake_conversation *ret, struct fake_problem *problem);

/* The id of an answer's call, in the words of the wire ("toolu_", "call_"); those of an answer that
 * reasoned are marked. */
struct str fake_call_id(struct fake_writer *w, const char *prefix);
bool fake_call_id_reasoned(struct str id);
/* What signs a thinking block. */
void fake_signature(struct strbuf *out, struct str thinking);
/* True when every key of the object is in the NULL-terminated list; else *ret_key is the odd one.
 */
bool fake_only_keys(const json_t *object, const char *const *keys, const char **ret_key);
/* What a provider takes as the name of a tool. */
bool fake_is_name(struct str s, size_t max);

/* ---- the log of requests ---- */

struct fake_log;
struct fake_log *fake_log_new(void);
void fake_log_free(struct fake_log *log);

struct fake_entry;
/* Keeps the fields and the body of a request, for GET /requests; older ones are dropped. */
struct fake_entry *fake_log_add(struct fake_log *log, struct http_request *r, struct str body);
void fake_entry_status(struct fake_entry *e, int status);
/* How it ended: "done", "client gone", ...: a literal. Counts, too. */
void fake_entry_end(struct fake_log *log, uint64_t number, const char *how);
uint64_t fake_entry_number(const struct fake_entry *e);
void fake_log_count(struct fake_log *log, const char *counter);
void fake_log_set(struct fake_log *log, const char *counter, uint64_t value);
void fake_log_clear(struct fake_log *log);
void fake_log_write(const struct fake_log *log, size_t last, struct strbuf *out);

/* ---- answering ---- */

/* The key that is demanded; "sk-fake-*" demands any that begins so. */
static inline bool fake_key_fits(struct str given, struct str demanded) {
    return str_ends(demanded, STR("*"))
               ? str_starts(given, str_head(demanded, demanded.n - 1))
               : given.n == demanded.n && memcmp(given.p, demanded.p, given.n) == 0;
}

struct fake_model {
    const char *key;
    int64_t delay_ms;
    struct fake_script_state *script;
    struct fake_log *log;
    struct map bench;   /* "wire/tokens" -> struct fake_bench */
    struct map cached;  /* prefixes seen */
    struct map effects; /* idempotency key -> number of calls */
};

/* models.c: a list of models, under the conditions that `how` names; empty: the usual ones. */
may_yield void fake_models(struct http_request *r, const struct fake_wire *wire, struct str how,
                           struct str key);
/* The whole of POST <wire->path>. */
may_yield void fake_serve(struct fake_model *m, const struct fake_wire *wire,
                          struct http_request *r);
void fake_bench_clear(struct fake_model *m);
/* Ends the connection without a response. */
void fake_drop(struct http_request *r);
/* A whole response. Its status. */
may_yield int fake_respond(struct http_request *r, int status, const char *type, struct str body,
                           int64_t retry_after_s);
