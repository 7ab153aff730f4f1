#include "mcp/stdio_process.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

enum {
    LAST_WORDS_BYTES = 512,
    EOF_PATIENCE_MS = 2000,
    TERM_PATIENCE_MS = 2000,
    KILL_PATIENCE_MS = 2000,
    MAX_NOISE_BYTES = 64 * 1024 * 1024, /* on standard error, without a word on the other */
    DRAIN_MS = 500,                     /* between the end of its output and its own */
    MAX_ENVIRONMENT = 256,
    MAX_DESCRIPTORS = 65536,
};

enum { IN, OUT, ERR, PIPES };

struct stdio_process {
    uv_process_t process;
    uv_pipe_t pipes[PIPES];
    unsigned handles; /* open ones; they are closed once */
    unsigned refs;
    bool started, exited, ended, closed; /* ended: its output; closed: all handles are closing */
    bool paused, discard;
    int64_t exit_status;
    int signal;
    struct strbuf unread;
    char words[LAST_WORDS_BYTES]; /* the end of its standard error */
    size_t n_words, noise;
    struct fiber_cond changed;
};

/* One loop, and a read's bytes are taken before the next begins. */
static char read_buffer[64 * 1024];

static void give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(read_buffer, sizeof read_buffer);
}

/* ---- its end ---- */

static void free_if_last(struct stdio_process *p) {
    if (p->refs == 0 && p->handles == 0) {
        strbuf_done(&p->unread);
        mem_free(p);
    }
}

static void on_closed(uv_handle_t *handle) {
    struct stdio_process *p = handle->data;
    p->handles--;
    free_if_last(p);
}

static void close_handle(uv_handle_t *handle) {
    if (!uv_is_closing(handle)) {
        uv_close(handle, on_closed);
    }
}

static void close_all(struct stdio_process *p) {
    p->closed = true;
    close_handle((uv_handle_t *)&p->process);
    for (int i = 0; i < PIPES; i++) {
        close_handle((uv_handle_t *)&p->pipes[i]);
    }
}

static void signal_group(const struct stdio_process *p, int sig) {
    if (p->started) {
        kill(-p->process.pid, sig);
    }
}

static void on_exit_status(uv_process_t *process, int64_t exit_status, int sig) {
    struct stdio_process *p = container_of(process, struct stdio_process, process);
    p->exited = true;
    p->exit_status = exit_status;
    p->signal = sig;
    signal_group(p, SIGKILL); /* what it has started and left behind */
    fiber_broadcast(&p->changed);
}

struct stdio_process *stdio_process_ref(struct stdio_process *p) {
    p->refs++;
    return p;
}

void stdio_process_unref(struct stdio_process *p) {
    p->refs--;
    free_if_last(p);
}

static bool is_running(const struct stdio_process *p) {
    return p->started && !p->exited && !p->closed;
}

static void wait_for_exit(struct stdio_process *p, int64_t patience_ms) {
    int64_t until_us = clock_mono_us() + patience_ms * 1000;
    while (!p->exited) {
        int64_t left_ms = (until_us - clock_mono_us() + 999) / 1000;
        if (left_ms <= 0 || fiber_wait(&p->changed, left_ms) < 0) {
            return;
        }
    }
}

void stdio_process_stop(struct stdio_process *p) {
    static const struct {
        int signal;
        int64_t patience_ms;
    } ladder[] = {{0, EOF_PATIENCE_MS}, {SIGTERM, TERM_PATIENCE_MS}, {SIGKILL, KILL_PATIENCE_MS}};
    fiber_point();
    fiber_shield_enter();
    p->discard = true;
    close_handle((uv_handle_t *)&p->pipes[IN]);
    for (size_t i = 0; i < ARRAY_LEN(ladder) && p->started && !p->exited; i++) {
        if (ladder[i].signal) {
            signal_group(p, ladder[i].signal);
        }
        wait_for_exit(p, ladder[i].patience_ms);
    }
    close_all(p);
    fiber_broadcast(&p->changed);
    fiber_shield_leave();
}

/* ---- reading ---- */

static void on_output(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    struct stdio_process *p = stream->data;
    if (n < 0) {
        p->ended = true;
        uv_read_stop(stream);
    } else if (!p->discard) {
        p->noise = 0;
        strbuf_add(&p->unread, (struct str){buf->base, (size_t)n});
        if (p->unread.n + sizeof read_buffer > STDIO_MAX_UNREAD) {
            uv_read_stop(stream);
            p->paused = true;
        }
    }
    fiber_broadcast(&p->changed);
}

static void on_words(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    struct stdio_process *p = stream->data;
    if (n < 0) {
        uv_read_stop(stream);
        return;
    }
    struct str fresh = {buf->base, (size_t)n};
    p->noise += fresh.n;
    if (p->noise > MAX_NOISE_BYTES) {
        p->ended = true; /* whoever reads takes that for its end */
        uv_read_stop(stream);
        fiber_broadcast(&p->changed);
        return;
    }
    if (fresh.n >= LAST_WORDS_BYTES) {
        fresh = str_skip(fresh, fresh.n - LAST_WORDS_BYTES);
    }
    size_t drop =
        p->n_words + fresh.n > LAST_WORDS_BYTES ? p->n_words + fresh.n - LAST_WORDS_BYTES : 0;
    memmove(p->words, p->words + drop, p->n_words - drop);
    memcpy(p->words + p->n_words - drop, fresh.p, fresh.n);
    p->n_words += fresh.n - drop;
}

int stdio_process_read(struct stdio_process *p, struct strbuf *ret, struct err *err) {
    fiber_point();
    /* Both ends are waited for, as its status tells more: either may come first. */
    while (p->unread.n == 0 && !(p->ended && p->exited) && !p->closed) {
        bool ending = p->ended || p->exited;
        int rc = fiber_wait(&p->changed, ending ? DRAIN_MS : FIBER_FOREVER);
        if (rc == -ERR_TIMEOUT && ending) {
            break;
        }
        if (rc < 0) {
            return err_set(err, (enum err_code) - rc, "reading from a process was cancelled");
        }
    }
    struct strbuf filled = p->unread;
    p->unread = *ret;
    p->unread.max = STDIO_MAX_UNREAD;
    strbuf_reset(&p->unread);
    *ret = filled;
    if (p->paused && !p->closed) {
        p->paused = false;
        uv_read_start((uv_stream_t *)&p->pipes[OUT], give_buffer, on_output);
    }
    return 0;
}

void stdio_process_last_words(const struct stdio_process *p, struct strbuf *out) {
    if (p->exited && p->signal) {
        strbuf_addf(out, "it was ended by signal %d", p->signal);
    } else if (p->exited) {
        strbuf_addf(out, "it ended with status %lld", (long long)p->exit_status);
    } else {
        strbuf_addz(out, "it closed its output");
    }
    struct str words = str_trim((struct str){p->words, p->n_words});
    for (size_t at; (at = str_find_char(words, '\n')) != SIZE_MAX;) {
        words = str_skip(words, at + 1);
    }
    if (words.n && str_is_utf8(words)) {
        strbuf_addz(out, ": ");
        strbuf_add(out, words);
    }
}

/* ---- writing ---- */

struct write {
    uv_write_t request;
    char bytes[];
};

static void on_written(uv_write_t *request, int status) {
    (void)status; /* its end is seen elsewhere */
    mem_free(container_of(request, struct write, request));
}

int stdio_process_write(struct stdio_process *p, struct str bytes, struct err *err) {
    uv_stream_t *in = (uv_stream_t *)&p->pipes[IN];
    if (!is_running(p) || uv_is_closing((uv_handle_t *)in)) {
        return err_set(err, ERR_UNAVAILABLE, "it has ended");
    }
    if (uv_stream_get_write_queue_size(in) + bytes.n > STDIO_MAX_UNSENT) {
        return err_set(err, ERR_UNAVAILABLE, "it does not read its input");
    }
    struct write *w = mem_alloc(sizeof *w + bytes.n);
    memcpy(w->bytes, bytes.p, bytes.n);
    uv_buf_t buf = uv_buf_init(w->bytes, (unsigned)bytes.n);
    if (uv_write(&w->request, in, &buf, 1, on_written) < 0) {
        mem_free(w);
        return err_set(err, ERR_UNAVAILABLE, "it does not take input");
    }
    return 0;
}

/* ---- its start ---- */

static bool names(const struct secret *const *env, size_t n, const char *variable) {
    size_t len = strlen(variable);
    for (size_t i = 0; i < n; i++) {
        struct str e = secret_reveal(env[i]);
        if (e.n > len && e.p[len] == '=' && memcmp(e.p, variable, len) == 0) {
            return true;
        }
    }
    return false;
}

/* In one block, which is wiped afterwards. */
struct environment {
    char *entries[MAX_ENVIRONMENT + 1];
    struct strbuf text;
};

static void add_entry(struct environment *e, size_t *n, struct str name, struct str value) {
    if (*n == MAX_ENVIRONMENT) {
        return;
    }
    e->entries[(*n)++] = (char *)(uintptr_t)e->text.n; /* an offset until all is written */
    strbuf_add(&e->text, name);
    strbuf_add(&e->text, value);
    strbuf_addc(&e->text, '\0');
}

static void write_environment(struct environment *e, const struct stdio_options *o) {
    static const char *const passed_on[] = {"PATH", "HOME", "LANG"};
    size_t n = 0, need = 0;
    for (size_t i = 0; i < o->n_env; i++) {
        need += secret_reveal(o->env[i]).n + 1;
    }
    for (size_t i = 0; i < ARRAY_LEN(passed_on); i++) {
        need += strlen(passed_on[i]) + str_z(getenv(passed_on[i])).n + 2;
    }
    e->text = STRBUF(need + 1);
    strbuf_room(&e->text, need + 1);
    for (size_t i = 0; i < ARRAY_LEN(passed_on); i++) {
        char name[16];
        snprintf(name, sizeof name, "%s=", passed_on[i]);
        if (getenv(passed_on[i]) && !names(o->env, o->n_env, passed_on[i])) {
            add_entry(e, &n, str_z(name), str_z(getenv(passed_on[i])));
        }
    }
    for (size_t i = 0; i < o->n_env; i++) {
        add_entry(e, &n, secret_reveal(o->env[i]), STR_EMPTY);
    }
    for (size_t i = 0; i < n; i++) {
        e->entries[i] = e->text.p + (uintptr_t)e->entries[i];
    }
    e->entries[n] = NULL;
}

static void environment_done(struct environment *e) {
    if (e->text.p) {
        secret_wipe(e->text.p, e->text.n);
    }
    strbuf_done(&e->text);
}

/* What a library opened without marking it (libcurl's sockets) would be the program's too: it could
 * read others' connections, and those we close would stay open. */
static void keep_descriptors(void) {
    if (close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC) == 0) {
        return;
    }
    long n = sysconf(_SC_OPEN_MAX); /* a kernel before 5.11 */
    for (int fd = STDERR_FILENO + 1; fd < MIN(n, (long)MAX_DESCRIPTORS); fd++) {
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
}

static int spawn(struct stdio_process *p, const struct stdio_options *o) {
    struct environment environment cleanup(environment_done) = {.text = STRBUF(0)};
    char **argv = mem_alloc((o->n_args + 2) * sizeof *argv);
    uv_stdio_container_t stdio[PIPES];
    static const unsigned flags[PIPES] = {UV_CREATE_PIPE | UV_READABLE_PIPE,
                                          UV_CREATE_PIPE | UV_WRITABLE_PIPE,
                                          UV_CREATE_PIPE | UV_WRITABLE_PIPE};
    write_environment(&environment, o);
    argv[0] = (char *)o->command.p;
    for (size_t i = 0; i < o->n_args; i++) {
        argv[i + 1] = (char *)o->args[i].p;
    }
    for (int i = 0; i < PIPES; i++) {
        stdio[i].flags = (uv_stdio_flags)flags[i];
        stdio[i].data.stream = (uv_stream_t *)&p->pipes[i];
    }
    uv_process_options_t options = {
        .file = o->command.p,
        .args = argv,
        .env = environment.entries,
        .flags = UV_PROCESS_DETACHED,
        .stdio = stdio,
        .stdio_count = PIPES,
        .exit_cb = on_exit_status,
    };
    keep_descriptors();
    int rc = uv_spawn(fiber_loop(), &p->process, &options);
    mem_free(argv);
    return rc;
}

int stdio_process_start(const struct stdio_options *o, struct stdio_process **ret,
                        struct err *err) {
    struct stdio_process *p = mem_alloc(sizeof *p);
    p->refs = 1;
    p->unread = STRBUF(STDIO_MAX_UNREAD);
    fiber_cond_init(&p->changed);
    p->process.data = p;
    for (int i = 0; i < PIPES; i++) {
        uv_pipe_init(fiber_loop(), &p->pipes[i], 0);
        p->pipes[i].data = p;
        p->handles++;
    }
    int rc = spawn(p, o);
    p->handles++; /* libuv has initialised the process even if it could not start it */
    if (rc < 0) {
        close_all(p);
        stdio_process_unref(p);
        return err_set(err, ERR_UNAVAILABLE, "%.*s cannot be started: %s",
                       STR_ARG(str_head(o->command, 128)), uv_strerror(rc));
    }
    p->started = true;
    uv_read_start((uv_stream_t *)&p->pipes[OUT], give_buffer, on_output);
    uv_read_start((uv_stream_t *)&p->pipes[ERR], give_buffer, on_words);
    *ret = p;
    return 0;
}
