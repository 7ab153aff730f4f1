/* OpenAI's Chat Completions as text. */
#pragma once
#include "api/openai.h"

struct openai_chat {
    struct str turn_id;
    const char *model;
    int64_t created_s;
    bool include_usage;
};

/* The context of these is a struct openai_chat. */
extern const struct openai_shape openai_chat_shape;
