/* Lines from a person: edited with libedit and remembered in a file on a terminal, read as they are
 * otherwise. While it waits, another descriptor is looked after. */
#pragma once
#include <signal.h>

#include "base/err.h"
#include "base/strbuf.h"

struct chat_input;

struct chat_input_options {
    const char *prompt;
    const char *history_path;                /* NULL: not remembered */
    const volatile sig_atomic_t *interrupts; /* counts Ctrl-C */
    int (*other_fd)(void *arg);              /* negative: none now */
    void (*on_other)(void *arg);             /* it is readable */
    void *arg;
};

struct chat_input *chat_input_new(const struct chat_input_options *options);
void chat_input_free(struct chat_input *in); /* writes the history; accepts NULL */

enum chat_line { CHAT_LINE, CHAT_LINE_INTERRUPTED, CHAT_LINE_END };
/* A line without its end; one that ends in a backslash goes on in the next. */
enum chat_line chat_input_read(struct chat_input *in, struct strbuf *ret);
