/* Tools a model may call. A tool is a row in a table: name, schema, what a repetition would do, and
 * a function. Higher floors register theirs at start. */
#pragma once
#include "base/arena.h"
#include "base/json.h"
#include "fiber/fiber.h"
#include "llm/llm.h"

struct tool_call {
    struct str user_id, thread_id, turn_id, call_id;
    struct str idempotency_key; /* the same for every try of this call */
    struct str time_zone;       /* the user's, IANA name; empty: the process's own */
    const json_t *arguments;    /* an object */
};

struct tool_result {
    struct str content; /* text, or a JSON array of content blocks when is_blocks */
    bool is_blocks;
    bool is_error; /* the tool ran and says no: for the model to read */
};

struct tool {
    const char *name, *description, *schema;
    bool repeatable;    /* read-only or idempotent: may be called again after a crash */
    int64_t timeout_ms; /* [30,000] */
    /* Errors become results the model can read. Result in the arena; text of at most
     * TOOL_RESULT_MAX_BYTES, blocks of at most TOOL_RESULT_MAX_BLOCKS_BYTES. */
    int (*run)(const struct tool_call *call, struct arena *arena, struct tool_result *ret,
               void *context, struct err *err) may_yield;
    void *context;
};
enum {
    TOOL_RESULT_MAX_BYTES = 256 * 1024,
    TOOL_RESULT_MAX_IMAGES = 4,
    TOOL_RESULT_MAX_IMAGE_BYTES = 1024 * 1024, /* of its base64 text */
    TOOL_RESULT_MAX_BLOCKS_BYTES =
        TOOL_RESULT_MAX_IMAGES * TOOL_RESULT_MAX_IMAGE_BYTES + 6 * TOOL_RESULT_MAX_BYTES + 65536,
    TOOL_MAX_COUNT = 128
};

struct tool_registry;
struct tool_registry *tool_registry_new(void);
void tool_registry_free(struct tool_registry *r);
/* Asserts that the name is legal and new; tools are static. */
void tool_register(struct tool_registry *r, const struct tool *tool);
const struct tool *tool_find(const struct tool_registry *r, struct str name);
/* In order of registration. */
size_t tool_count(const struct tool_registry *r);
const struct tool *tool_at(const struct tool_registry *r, size_t i);

/* current_time and calculate. */
void tool_register_builtins(struct tool_registry *r);
