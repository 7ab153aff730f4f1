/* What the user says, as the various protocols put it, made into a turn's submission. Everything is
 * checked here: types, sizes, kinds of images. */
#pragma once
#include "auth/auth.h"
#include "base/json.h"
#include "graph/turn.h"

enum {
    INPUT_MAX_BLOCKS = 32,
    INPUT_MAX_MODEL_BYTES = 200,
    INPUT_MAX_AGENT_BYTES = 64,
    INPUT_MAX_URL_BYTES = 2048,
};

/* Blocks under construction: the canonical JSON array of docs/messages.md. */
struct input_content {
    struct strbuf json;
    struct jsonw w;
    size_t n_blocks, text_bytes;
    bool has_image;
};

void input_content_begin(struct input_content *c);
void input_content_done(struct input_content *c);
int input_content_text(struct input_content *c, struct str text, struct err *err) must_check;
/* A block of any dialect: ours, AG-UI's parts, OpenAI's parts. ERR_INVALID for others. */
int input_content_block(struct input_content *c, const json_t *block, struct err *err) must_check;
/* A string or an array of blocks. */
int input_content_value(struct input_content *c, const json_t *value, struct err *err) must_check;
/* ERR_INVALID when nothing was said. *ret is a view into c. */
int input_content_end(struct input_content *c, struct str *ret, struct err *err) must_check;

/* How a protocol names the members that tell which thread and turn are meant. */
struct input_names {
    const char *thread, *turn, *edit_of;
};
extern const struct input_names input_names_rest, input_names_ag_ui;

/* {"message" | "content", thread, turn, "model", "agent", "skill", edit_of}; or with
 * "regenerate" and no message. Views into the object and `content`, which the caller begins and
 * ends. */
int input_read_chat(const json_t *object, const struct input_names *names,
                    struct input_content *content, struct turn_submission *ret, struct err *err)
    must_check;
/* An optional name of a thread or turn; ERR_INVALID when it can't be one. */
int input_read_id(const json_t *object, const char *key, struct str *ret, struct err *err)
    must_check;
/* {"approved", "arguments", "content", "action", "reason", "always"}: what is there of it. An
 * object that has neither "approved" nor "action" is the content of an elicitation itself. Texts in
 * the arena or views into the object. */
int input_read_answer(const json_t *object, struct arena *arena, struct interrupt_answer *ret,
                      struct err *err) must_check;
