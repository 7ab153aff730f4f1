#include "cli/chat_view.h"

#include <stdarg.h>
#include <string.h>

enum { SHOWN_ARGUMENTS = 100, SHOWN_RESULT = 160 };

#define DIM "\033[2m"
#define RED "\033[31m"
#define PLAIN "\033[0m"

void chat_view_init(struct chat_view *v, const struct chat_style *style) {
    *v = (struct chat_view){.style = *style,
                            .answer = STRBUF(CHAT_MAX_ANSWER_BYTES),
                            .line = STRBUF(CHAT_MAX_NOTE_BYTES),
                            .at_line_start = true};
    for (size_t i = 0; i < CHAT_MAX_TOOLS; i++) {
        v->tools[i].arguments = STRBUF(CHAT_MAX_NOTE_BYTES);
    }
}

void chat_view_done(struct chat_view *v) {
    strbuf_done(&v->answer);
    strbuf_done(&v->line);
    for (size_t i = 0; i < CHAT_MAX_TOOLS; i++) {
        strbuf_done(&v->tools[i].arguments);
    }
}

void chat_view_begin(struct chat_view *v) {
    strbuf_reset(&v->answer);
    v->answer_ended = false;
    v->n_tools = 0;
    v->end = CHAT_OPEN;
}

/* ---- writing ---- */

/* How many bytes at p are one character that must not reach a terminal: C0 without line end and
 * tab, DEL, C1 in UTF-8, and what makes text read in another order than it has (U+202A to U+202E,
 * U+2066 to U+2069), as arguments that somebody is asked to approve must be what they look like.
 * 0: a harmless one. */
static size_t control_bytes(struct str s) {
    unsigned char c = (unsigned char)s.p[0];
    if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f) {
        return 1;
    }
    if (c == 0xc2) {
        return s.n > 1 && (unsigned char)s.p[1] < 0xa0 ? 2 : 0;
    }
    if (c != 0xe2 || s.n < 3) {
        return 0;
    }
    unsigned char second = (unsigned char)s.p[1], third = (unsigned char)s.p[2];
    bool embeds = second == 0x80 && third >= 0xaa && third <= 0xae;
    bool isolates = second == 0x81 && third >= 0xa6 && third <= 0xa9;
    return embeds || isolates ? 3 : 0;
}

void chat_print_text(FILE *out, struct str text) {
    size_t from = 0, i = 0;
    if (text.n == 0) {
        return; /* the view may be NULL, which fwrite does not like */
    }
    while (i < text.n) {
        size_t skip = control_bytes(str_skip(text, i));
        if (skip > 0) {
            fwrite(text.p + from, 1, i - from, out);
            from = i + skip;
        }
        i += skip > 0 ? skip : 1;
    }
    fwrite(text.p + from, 1, text.n - from, out);
}

static void colour(struct chat_view *v, FILE *out, const char *code) {
    if (v->style.colours) {
        fputs(code, out);
    }
}

static void end_reasoning(struct chat_view *v) {
    if (v->in_reasoning) {
        colour(v, v->style.out, PLAIN);
        v->in_reasoning = false;
    }
}

static void end_line(struct chat_view *v) {
    end_reasoning(v);
    if (!v->at_line_start) {
        fputc('\n', v->style.out);
        v->at_line_start = true;
    }
    fflush(v->style.out);
}

static void write_text(struct chat_view *v, struct str text) {
    if (text.n > 0) {
        chat_print_text(v->style.out, text);
        v->at_line_start = text.p[text.n - 1] == '\n';
        fflush(v->style.out);
    }
}

static void note(struct chat_view *v, const char *code, const char *mark, const char *fmt,
                 va_list ap) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(2048);
    strbuf_addfv(&text, fmt, ap);
    end_line(v);
    colour(v, v->style.notes, code);
    fputs(mark, v->style.notes);
    chat_print_text(v->style.notes, strbuf_str(&text));
    colour(v, v->style.notes, PLAIN);
    fputc('\n', v->style.notes);
    fflush(v->style.notes);
}

void chat_view_note(struct chat_view *v, const char *fmt, ...) {
    if (!v->style.answer_only) {
        va_list ap;
        va_start(ap, fmt);
        note(v, DIM, "· ", fmt, ap);
        va_end(ap);
    }
}

void chat_view_error(struct chat_view *v, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    note(v, RED, v->style.answer_only ? "adjutant: " : "! ", fmt, ap);
    va_end(ap);
}

/* ---- the answer ---- */

static void add_answer(struct chat_view *v, struct str text) {
    if (v->answer_ended && text.n > 0) {
        strbuf_addz(&v->answer, "\n\n");
        v->answer_ended = false;
    }
    strbuf_add(&v->answer, text);
}

static void on_text(struct chat_view *v, struct str text) {
    add_answer(v, text);
    if (!v->style.answer_only) {
        if (v->in_reasoning) {
            end_line(v);
        }
        write_text(v, text);
    }
}

static void on_text_end(struct chat_view *v) {
    v->answer_ended = v->answer.n > 0;
    if (!v->style.answer_only) {
        end_line(v);
    }
}

static void on_reasoning(struct chat_view *v, struct str text) {
    if (v->style.answer_only || text.n == 0) {
        return;
    }
    if (!v->in_reasoning) {
        end_line(v);
        colour(v, v->style.out, DIM);
        v->in_reasoning = true;
    }
    write_text(v, text);
}

/* ---- tools ---- */

static struct chat_tool *tool_find(struct chat_view *v, struct str id) {
    for (size_t i = 0; i < v->n_tools; i++) {
        if (str_eq(str_z(v->tools[i].id), id)) {
            return &v->tools[i];
        }
    }
    return NULL;
}

static void on_tool_start(struct chat_view *v, struct str id, struct str name) {
    if (v->n_tools == CHAT_MAX_TOOLS) {
        v->n_tools = 0; /* the oldest ones have long been shown */
    }
    struct chat_tool *t = &v->tools[v->n_tools++];
    snprintf(t->id, sizeof t->id, "%.*s", STR_ARG(id));
    snprintf(t->name, sizeof t->name, "%.*s", STR_ARG(name));
    strbuf_reset(&t->arguments);
}

/* The text on one line, cut after `max` bytes. */
static struct str on_one_line(struct chat_view *v, struct str text, size_t max) {
    struct str cut = str_utf8_head(str_trim(text), max);
    strbuf_reset(&v->line);
    for (size_t i = 0; i < cut.n; i++) {
        bool space = cut.p[i] == '\n' || cut.p[i] == '\t';
        strbuf_addc(&v->line, space ? ' ' : cut.p[i]);
    }
    if (cut.n < str_trim(text).n) {
        strbuf_addz(&v->line, "…");
    }
    return strbuf_str(&v->line);
}

static void on_tool_end(struct chat_view *v, struct str id) {
    struct chat_tool *t = tool_find(v, id);
    if (t) {
        struct str arguments = on_one_line(v, strbuf_str(&t->arguments), SHOWN_ARGUMENTS);
        chat_view_note(v, "%s %.*s", t->name, STR_ARG(arguments));
    }
}

static void on_tool_result(struct chat_view *v, const json_t *event) {
    const struct chat_tool *t = tool_find(v, json_str(event, "toolCallId"));
    struct str result = on_one_line(v, json_str(event, "content"), SHOWN_RESULT);
    chat_view_note(v, "%s → %.*s", t ? t->name : "tool", STR_ARG(result));
}

/* ---- what was shown is replaced ---- */

struct str chat_message_text(const json_t *message, struct strbuf *scratch) {
    const json_t *content = json_object_get(message, "content"), *block;
    size_t i;
    strbuf_reset(scratch);
    strbuf_add(scratch, json_value_str(content));
    json_array_foreach (content, i, block) {
        if (str_eq(json_str(block, "type"), STR("text"))) {
            strbuf_add(scratch, json_str(block, "text"));
        }
    }
    return strbuf_str(scratch);
}

/* The assistant's text after the last message of the user. */
static void answer_of(const json_t *messages, struct strbuf *ret_answer) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(CHAT_MAX_ANSWER_BYTES);
    const json_t *message;
    size_t i;
    json_array_foreach (messages, i, message) {
        struct str role = json_str(message, "role");
        if (str_eq(role, STR("user"))) {
            strbuf_reset(ret_answer);
        } else if (str_eq(role, STR("assistant")) && chat_message_text(message, &text).n > 0) {
            strbuf_addz(ret_answer, ret_answer->n > 0 ? "\n\n" : "");
            strbuf_add(ret_answer, strbuf_str(&text));
        }
    }
}

static void replace_answer(struct chat_view *v, const json_t *messages) {
    struct strbuf stored cleanup(strbuf_done) = STRBUF(CHAT_MAX_ANSWER_BYTES);
    answer_of(messages, &stored);
    struct str now = strbuf_str(&stored), shown = strbuf_str(&v->answer);
    bool follows = str_starts(now, shown);
    if (!v->style.answer_only) {
        if (!follows) {
            chat_view_note(v, "the answer above was cut; it begins again");
        }
        write_text(v, follows ? str_skip(now, shown.n) : now);
        end_line(v);
    }
    strbuf_reset(&v->answer);
    strbuf_add(&v->answer, now);
    v->answer_ended = v->answer.n > 0;
}

void chat_view_restore(struct chat_view *v, const json_t *messages, enum chat_end end) {
    replace_answer(v, messages);
    v->end = end;
}

/* ---- events ---- */

static void on_custom(struct chat_view *v, const json_t *event) {
    const json_t *value = json_object_get(event, "value");
    if (str_eq(json_str(event, "name"), STR("model_retry"))) {
        struct str reason = json_str(value, "reason");
        chat_view_note(v, "%.*s; trying again", STR_ARG(reason));
    } else if (str_eq(json_str(event, "name"), STR("model_silent"))) {
        chat_view_note(v, "the model has been silent for %lld s; waiting",
                       (long long)json_int(value, "seconds", 0));
    } else if (str_eq(json_str(event, "name"), STR("model_silent"))) {
        struct str model = json_str(value, "model");
        chat_view_note(v, "%.*s has said nothing for %lld s; still waiting", STR_ARG(model),
                       (long long)json_int(value, "seconds", 0));
    }
}

/* They end the answer, with how to reply to them. */
static void show_questions(struct chat_view *v, const json_t *interrupts) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(CHAT_MAX_ANSWER_BYTES);
    const json_t *interrupt;
    size_t i;
    json_array_foreach (interrupts, i, interrupt) {
        strbuf_addz(&text, v->answer.n || text.n ? "\n\n" : "");
        strbuf_add(&text, json_str(json_object_get(interrupt, "metadata"), "text"));
    }
    strbuf_add(&v->answer, strbuf_str(&text));
    if (!v->style.answer_only) {
        write_text(v, strbuf_str(&text));
        end_line(v);
    }
}

static void on_finished(struct chat_view *v, const json_t *event) {
    const json_t *outcome = json_object_get(event, "outcome");
    struct str type = json_str(outcome, "type");
    v->end = str_eq(type, STR("cancelled")) ? CHAT_CANCELLED : CHAT_DONE;
    if (v->end == CHAT_CANCELLED) {
        chat_view_note(v, "cancelled");
    } else if (str_eq(type, STR("interrupt"))) {
        show_questions(v, json_object_get(outcome, "interrupts"));
    }
}

static void on_error(struct chat_view *v, const json_t *event) {
    struct str message = json_str(event, "message");
    v->end = str_eq(json_str(event, "code"), STR("cancelled")) ? CHAT_CANCELLED : CHAT_FAILED;
    chat_view_error(v, "%.*s", STR_ARG(message));
}

void chat_view_event(struct chat_view *v, const json_t *event) {
    struct str type = json_str(event, "type"), delta = json_str(event, "delta");
    struct str call = json_str(event, "toolCallId");
    if (str_eq(type, STR("TEXT_MESSAGE_CONTENT"))) {
        on_text(v, delta);
    } else if (str_eq(type, STR("TEXT_MESSAGE_END"))) {
        on_text_end(v);
    } else if (str_eq(type, STR("REASONING_MESSAGE_CONTENT"))) {
        on_reasoning(v, delta);
    } else if (str_eq(type, STR("REASONING_MESSAGE_END"))) {
        end_line(v);
    } else if (str_eq(type, STR("TOOL_CALL_START"))) {
        on_tool_start(v, call, json_str(event, "toolCallName"));
    } else if (str_eq(type, STR("TOOL_CALL_ARGS"))) {
        struct chat_tool *t = tool_find(v, call);
        if (t) {
            strbuf_add(&t->arguments, delta);
        }
    } else if (str_eq(type, STR("TOOL_CALL_END"))) {
        on_tool_end(v, call);
    } else if (str_eq(type, STR("TOOL_CALL_RESULT"))) {
        on_tool_result(v, event);
    } else if (str_eq(type, STR("MESSAGES_SNAPSHOT"))) {
        replace_answer(v, json_object_get(event, "messages"));
    } else if (str_eq(type, STR("CUSTOM"))) {
        on_custom(v, event);
    } else if (str_eq(type, STR("RUN_FINISHED"))) {
        on_finished(v, event);
    } else if (str_eq(type, STR("RUN_ERROR"))) {
        on_error(v, event);
    }
}

void chat_view_finish(struct chat_view *v) {
    if (v->style.answer_only && v->answer.n > 0) {
        chat_print_text(v->style.out, strbuf_str(&v->answer));
        v->at_line_start = v->answer.p[v->answer.n - 1] == '\n';
    }
    end_line(v);
}
