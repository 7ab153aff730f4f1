/* OpenAI's Responses as text. */
#pragma once
#include "api/openai.h"

struct openai_response {
    struct str turn_id;
    const char *model;
    int64_t created_s;
    int64_t sequence;   /* of the next event */
    struct strbuf text; /* what was told so far */
};

/* The context of these is a struct openai_response. */
extern const struct openai_shape openai_responses_shape;
