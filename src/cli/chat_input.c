#include "cli/chat_input.h"

#include <errno.h>
#include <histedit.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

#include "base/mem.h"

enum { HISTORY_LINES = 1000, PENDING_BYTES = 4096 };

struct chat_input {
    struct chat_input_options options;
    EditLine *edit; /* NULL: not a terminal */
    History *history;
    sig_atomic_t interrupts_seen;
    bool interrupted, continued;
    char pending[PENDING_BYTES]; /* bytes read and not yet taken */
    size_t n_pending;
};

/* ---- bytes ---- */

/* Waits for bytes of the person, looking after the other descriptor. False at the end of the input
 * and when interrupted. */
static bool fill(struct chat_input *in) {
    const struct chat_input_options *o = &in->options;
    for (;;) {
        struct pollfd p[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
                              {.fd = o->other_fd(o->arg), .events = POLLIN}};
        int n = poll(p, 2, -1);
        if (*o->interrupts != in->interrupts_seen) {
            in->interrupts_seen = *o->interrupts;
            in->interrupted = true;
            return false;
        }
        if (n < 0 && errno != EINTR) {
            return false;
        }
        if (n > 0 && p[1].revents) {
            o->on_other(o->arg);
        }
        if (n > 0 && p[0].revents) {
            ssize_t got =
                read(STDIN_FILENO, in->pending + in->n_pending, sizeof in->pending - in->n_pending);
            in->n_pending += got > 0 ? (size_t)got : 0;
            return got > 0;
        }
    }
}

static void consume(struct chat_input *in, size_t n) {
    in->n_pending -= n;
    memmove(in->pending, in->pending + n, in->n_pending);
}

/* ---- a terminal ---- */

/* libedit asks for one character. */
static int get_character(EditLine *edit, wchar_t *ret) {
    struct chat_input *in;
    el_get(edit, EL_CLIENTDATA, &in);
    for (;;) {
        mbstate_t state = {0};
        size_t n = in->n_pending ? mbrtowc(ret, in->pending, in->n_pending, &state) : (size_t)-2;
        if (n == (size_t)-2) { /* not whole yet */
            if (!fill(in)) {
                return in->interrupted ? -1 : 0;
            }
        } else if (n == (size_t)-1) {
            consume(in, 1);
        } else {
            consume(in, n ? n : 1);
            return 1;
        }
    }
}

static char *prompt(EditLine *edit) {
    struct chat_input *in;
    el_get(edit, EL_CLIENTDATA, &in);
    return (char *)(uintptr_t)(in->continued ? "… " : in->options.prompt);
}

static void start_editing(struct chat_input *in) {
    HistEvent event;
    in->edit = el_init("adjutant", stdin, stdout, stderr);
    if (!in->edit) {
        return;
    }
    in->history = history_init();
    history(in->history, &event, H_SETSIZE, HISTORY_LINES);
    history(in->history, &event, H_SETUNIQUE, 1);
    if (in->options.history_path) {
        history(in->history, &event, H_LOAD, in->options.history_path);
    }
    el_set(in->edit, EL_CLIENTDATA, in);
    el_set(in->edit, EL_PROMPT, prompt);
    el_set(in->edit, EL_EDITOR, "emacs");
    el_set(in->edit, EL_HIST, history, in->history);
    el_set(in->edit, EL_GETCFN, get_character);
    el_set(in->edit, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_source(in->edit, NULL); /* the person's own ~/.editrc */
}

static enum chat_line edit_line(struct chat_input *in, struct strbuf *ret) {
    int n = 0;
    const char *line = el_gets(in->edit, &n);
    if (in->interrupted) {
        el_reset(in->edit);
        printf("\n");
        return CHAT_LINE_INTERRUPTED;
    }
    if (!line || n <= 0) {
        printf("\n");
        return CHAT_LINE_END;
    }
    strbuf_add(ret, (struct str){line, (size_t)n});
    return CHAT_LINE;
}

static void remember(struct chat_input *in, struct str line) {
    HistEvent event;
    if (in->edit && str_trim(line).n > 0 && str_find_char(line, '\n') == SIZE_MAX) {
        char *z cleanup(mem_free_p) = str_dup_z(line);
        history(in->history, &event, H_ENTER, z);
    }
}

/* ---- a pipe or a file ---- */

static enum chat_line plain_line(struct chat_input *in, struct strbuf *ret) {
    for (;;) {
        struct str pending = {in->pending, in->n_pending};
        size_t end = str_find_char(pending, '\n');
        size_t n = end == SIZE_MAX ? pending.n : end + 1;
        strbuf_add(ret, str_head(pending, n));
        consume(in, n);
        if (end != SIZE_MAX) {
            return CHAT_LINE;
        }
        if (!fill(in)) {
            return in->interrupted ? CHAT_LINE_INTERRUPTED : ret->n > 0 ? CHAT_LINE : CHAT_LINE_END;
        }
    }
}

/* ---- */

struct chat_input *chat_input_new(const struct chat_input_options *options) {
    struct chat_input *in = mem_alloc(sizeof *in);
    in->options = *options;
    if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)) {
        start_editing(in);
    }
    return in;
}

static void save_history(struct chat_input *in) {
    HistEvent event;
    mode_t before = umask(077); /* what was said to an assistant is nobody else's business */
    history(in->history, &event, H_SAVE, in->options.history_path);
    umask(before);
}

void chat_input_free(struct chat_input *in) {
    if (in && in->edit) {
        if (in->options.history_path) {
            save_history(in);
        }
        history_end(in->history);
        el_end(in->edit);
    }
    mem_free(in);
}

enum chat_line chat_input_read(struct chat_input *in, struct strbuf *ret) {
    enum chat_line rc;
    strbuf_reset(ret);
    in->interrupted = in->continued = false;
    in->interrupts_seen = *in->options.interrupts;
    do {
        rc = in->edit ? edit_line(in, ret) : plain_line(in, ret);
        while (ret->n > 0 && (ret->p[ret->n - 1] == '\n' || ret->p[ret->n - 1] == '\r')) {
            strbuf_truncate(ret, ret->n - 1);
        }
        in->continued = rc == CHAT_LINE && in->edit && str_ends(strbuf_str(ret), STR("\\"));
        if (in->continued) {
            strbuf_truncate(ret, ret->n - 1);
            strbuf_addc(ret, '\n');
        }
    } while (in->continued);
    if (rc == CHAT_LINE) {
        remember(in, strbuf_str(ret));
    }
    return rc;
}
