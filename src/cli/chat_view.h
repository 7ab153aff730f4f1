/* What a person sees of a turn: AG-UI events as text on a terminal, or only the answer for a pipe.
 * Foreign text cannot steer the terminal: control characters are left out. */
#pragma once
#include <stdio.h>

#include "base/json.h"
#include "base/strbuf.h"

struct chat_style {
    FILE *out;        /* the answer */
    FILE *notes;      /* tool calls, errors, what happens to the connection */
    bool answer_only; /* nothing before the end, then the answer alone; errors still go to notes */
    bool colours;
};

enum chat_end { CHAT_OPEN, CHAT_DONE, CHAT_CANCELLED, CHAT_FAILED };

enum { CHAT_MAX_ANSWER_BYTES = 8 * 1024 * 1024, CHAT_MAX_TOOLS = 32, CHAT_MAX_NOTE_BYTES = 512 };

struct chat_view {
    struct chat_style style;
    struct strbuf answer; /* all of the assistant's text in this turn */
    struct strbuf line;   /* a tool's arguments, a note */
    bool answer_ended;    /* a message ended: the next one begins a paragraph */
    bool at_line_start, in_reasoning;
    struct chat_tool {
        char id[132], name[68];
        struct strbuf arguments;
    } tools[CHAT_MAX_TOOLS];
    size_t n_tools;
    enum chat_end end;
};

void chat_view_init(struct chat_view *v, const struct chat_style *style);
void chat_view_done(struct chat_view *v);
void chat_view_begin(struct chat_view *v); /* a new turn */
void chat_view_event(struct chat_view *v, const json_t *event);
/* The stored messages of the turn (role, content) take the place of what was shown. */
void chat_view_restore(struct chat_view *v, const json_t *messages, enum chat_end end);
/* The turn is over or given up: what is missing at its end. */
void chat_view_finish(struct chat_view *v);
/* A quiet line about what goes on, and a loud one. */
void chat_view_note(struct chat_view *v, const char *fmt, ...) printf_like(2, 3);
void chat_view_error(struct chat_view *v, const char *fmt, ...) printf_like(2, 3);

/* Writes text without its control characters; line ends and tabs stay. */
void chat_print_text(FILE *out, struct str text);
/* A stored message's text, of its blocks the text ones, in `scratch`. */
struct str chat_message_text(const json_t *message, struct strbuf *scratch);
