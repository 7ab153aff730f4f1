/* A server as a child process: in a group of its own, so that what it starts ends with it, with
 * three pipes. Its end is polite first: its input is closed, then SIGTERM, then SIGKILL. */
#pragma once
#include "base/err.h"
#include "base/secret.h"
#include "base/strbuf.h"
#include "fiber/fiber.h"

struct stdio_process;

enum { STDIO_MAX_UNREAD = 256 * 1024, STDIO_MAX_UNSENT = 16 * 1024 * 1024 };

struct stdio_options {
    struct str command;
    const struct str *args;
    size_t n_args;
    /* "NAME=value"; beside these the child sees PATH, HOME and LANG, unless they name them. */
    const struct secret *const *env;
    size_t n_env;
};

/* The caller holds one reference. ERR_UNAVAILABLE: it cannot be started. */
int stdio_process_start(const struct stdio_options *options, struct stdio_process **ret,
                        struct err *err) must_check;
struct stdio_process *stdio_process_ref(struct stdio_process *p);
void stdio_process_unref(struct stdio_process *p); /* after stop */

/* The next bytes of its output, to be given back with strbuf_reset; empty at the end. */
may_yield int stdio_process_read(struct stdio_process *p, struct strbuf *ret, struct err *err)
    must_check;
/* Never waits. ERR_UNAVAILABLE: it has ended, or does not read. */
int stdio_process_write(struct stdio_process *p, struct str bytes, struct err *err) must_check;
/* The last line that it wrote to its standard error, and how it ended if it did. */
void stdio_process_last_words(const struct stdio_process *p, struct strbuf *out);
/* The whole ladder, some seconds at most; cancellation does not shorten it. */
may_yield void stdio_process_stop(struct stdio_process *p);
