#include "api/thread_markdown.h"

#include <time.h>

#include "base/scan.h"

static void add_time(struct strbuf *out, int64_t us) {
    char text[32];
    struct tm tm;
    time_t t = (time_t)(us / 1000000);
    gmtime_r(&t, &tm);
    strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &tm);
    strbuf_addz(out, text);
}

/* On one line: a title may have been given with several. */
static void add_line(struct strbuf *out, struct str text) {
    for (size_t i = 0; i < text.n; i++) {
        strbuf_addc(out, (unsigned char)text.p[i] < ' ' ? ' ' : text.p[i]);
    }
}

void thread_markdown_head(struct strbuf *out, const struct thread_row *t) {
    strbuf_addz(out, "# ");
    add_line(out, t->title.n ? t->title : STR("Conversation"));
    strbuf_addz(out, "\n\n");
    add_time(out, t->created_us);
    strbuf_addz(out, " to ");
    add_time(out, t->updated_us);
    strbuf_addz(out, "\n");
}

/* ---- blocks ---- */

/* Between fences longer than any run of backticks in it. */
static void add_fenced(struct strbuf *out, const char *language, struct str text) {
    size_t run = 0, longest = 2;
    for (size_t i = 0; i < text.n; i++) {
        run = text.p[i] == '`' ? run + 1 : 0;
        longest = MAX(longest, run);
    }
    strbuf_addz(out, "\n");
    for (size_t i = 0; i <= longest; i++) {
        strbuf_addc(out, '`');
    }
    strbuf_addf(out, "%s\n%.*s\n", language, STR_ARG(text));
    for (size_t i = 0; i <= longest; i++) {
        strbuf_addc(out, '`');
    }
    strbuf_addz(out, "\n");
}

static struct str member(struct arena *arena, struct str object, const char *key) {
    struct str text;
    return scan_text(arena, scan_get(object, key), &text) ? text : STR_EMPTY;
}

static void add_text(struct strbuf *out, struct str text, bool of_tool) {
    if (of_tool) {
        add_fenced(out, "", text);
    } else {
        strbuf_addc(out, '\n');
        strbuf_add(out, text);
        strbuf_addc(out, '\n');
    }
}

static void add_image(struct strbuf *out, struct arena *arena, struct str block) {
    struct str url = member(arena, block, "url");
    if (url.n) {
        strbuf_addf(out, "\n[Image](<%.*s>)\n", STR_ARG(url));
    } else {
        strbuf_addz(out, "\n*(an image)*\n");
    }
}

static void add_block(struct strbuf *out, struct str block, bool of_tool) {
    struct arena arena cleanup(arena_done) = {0};
    struct str type = scan_get(block, "type");
    if (str_eq(type, STR("\"text\""))) {
        add_text(out, member(&arena, block, "text"), of_tool);
    } else if (str_eq(type, STR("\"image\""))) {
        add_image(out, &arena, block);
    } else if (str_eq(type, STR("\"tool_call\""))) {
        strbuf_addz(out, "\nCalls ");
        add_line(out, member(&arena, block, "name"));
        strbuf_addz(out, ":\n");
        add_fenced(out, "json", member(&arena, block, "arguments"));
    }
}

/* ---- a message ---- */

static void add_heading(struct strbuf *out, struct arena *arena, const struct thread_message *m) {
    strbuf_addz(out, "\n## ");
    if (str_eq(m->role, STR("user"))) {
        strbuf_addz(out, "You");
    } else if (str_eq(m->role, STR("tool"))) {
        strbuf_addz(out, "Result of ");
        add_line(out, member(arena, m->json, "name"));
    } else {
        strbuf_addz(out, "Assistant");
    }
    strbuf_addz(out, ", ");
    add_time(out, m->created_us);
    strbuf_addz(out, "\n");
}

void thread_markdown_message(struct strbuf *out, const struct thread_message *m) {
    struct arena arena cleanup(arena_done) = {0};
    bool of_tool = str_eq(m->role, STR("tool")), first = true;
    struct str content = scan_get(m->json, "content"), block;
    struct scan s = scan_begin(content);
    add_heading(out, &arena, m);
    if (!scan_open(&s, '[')) {
        add_text(out, member(&arena, m->json, "content"), of_tool);
        return;
    }
    while (scan_element(&s, &first, &block)) {
        add_block(out, block, of_tool);
    }
}
