/* Messages as lines of a child's input and output. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "mcp/client_internal.h"
#include "mcp/stdio_process.h"
#include "net/sse.h"

enum {
    QUICK_DEATH_US = 10 * 1000 * 1000,
    MIN_BACKOFF_MS = 500,
    MAX_BACKOFF_MS = 60 * 1000,
    MAX_LAST_WORDS = 1024,
    MIN_SECRET_BYTES = 4,
    MAX_NOISE_BYTES = 16 * 1024 * 1024, /* of lines that are no messages, one after the other */
};

/* ---- reading ---- */

struct reader {
    struct mcp_client *client;
    struct stdio_process *process;
    size_t noise;
};

static int take_line(struct str line, void *arg, struct err *err) {
    struct reader *r = arg;
    struct mcp_client *c = r->client;
    struct err why;
    line = str_trim(line);
    bool plausible = line.n && (line.p[0] == '{' || line.p[0] == '[');
    if (plausible && client_deliver(c, NULL, line, &why) == 0) {
        r->noise = 0;
        return 0;
    }
    log_debug("mcp", "server %.*s: a line that is no message is skipped (%zu bytes)",
              STR_ARG(c->o.name), line.n);
    r->noise += line.n + 1;
    return r->noise > MAX_NOISE_BYTES ? err_set(err, ERR_PROTOCOL, "what it writes is no MCP") : 0;
}

static int read_lines(struct reader *r, struct err *err) {
    struct line_reader lines cleanup(line_reader_done);
    struct strbuf piece cleanup(strbuf_done) = STRBUF(STDIO_MAX_UNREAD);
    line_reader_init(&lines, MCP_MAX_RESULT_BYTES);
    for (;;) {
        if (stdio_process_read(r->process, &piece, err) < 0) {
            return -(int)err->code;
        }
        if (piece.n == 0) {
            return line_reader_finish(&lines, take_line, r, err);
        }
        if (line_reader_feed(&lines, strbuf_str(&piece), take_line, r, err) < 0) {
            return -(int)err->code;
        }
        if (piece.n > MAX_LAST_WORDS) {
            strbuf_done(&piece); /* a quiet server costs little */
            piece = STRBUF(STDIO_MAX_UNREAD);
        }
        strbuf_reset(&piece);
    }
}

/* What a server is given must not come back in its last words. */
static void redact(const struct mcp_client *c, struct strbuf *words) {
    for (size_t i = 0; i < c->o.n_env; i++) {
        struct str value = secret_reveal(c->env[i]);
        (void)str_cut(&value, '=');
        if (value.n < MIN_SECRET_BYTES) {
            continue;
        }
        for (size_t at; (at = str_find(strbuf_str(words), value)) != SIZE_MAX;) {
            memset(words->p + at, '*', value.n);
        }
    }
}

static int64_t backoff_ms(unsigned deaths) {
    int64_t ms = MIN_BACKOFF_MS;
    for (unsigned i = 1; i < deaths && ms < MAX_BACKOFF_MS; i++) {
        ms *= 2;
    }
    return MIN(ms, (int64_t)MAX_BACKOFF_MS);
}

static void note_death(struct mcp_client *c) {
    int64_t now_us = clock_mono_us();
    c->quick_deaths = now_us - c->process_started_us < QUICK_DEATH_US ? c->quick_deaths + 1 : 0;
    c->respawn_at_us = c->quick_deaths ? now_us + backoff_ms(c->quick_deaths) * 1000 : 0;
}

/* The process is still the client's: nobody stopped it. */
static void lose_process(struct mcp_client *c, const struct err *why) {
    struct stdio_process *p = take(c->process);
    struct strbuf words cleanup(strbuf_done) = STRBUF(MAX_LAST_WORDS);
    struct err err = *why;
    stdio_process_last_words(p, &words);
    redact(c, &words);
    if (why->code == ERR_NONE) {
        client_err(c, &err, ERR_UNAVAILABLE, "%s", strbuf_z(&words));
    } else {
        client_err(c, &err, why->code, "%s", why->msg);
    }
    log_warn("mcp", "%s", err.msg);
    note_death(c);
    exchange_fail_all(c, &err);
    client_lost(c, c->generation);
    stdio_process_stop(p);
    stdio_process_unref(p);
}

static void read_on(void *arg) {
    struct reader *r = arg;
    struct mcp_client *c = r->client;
    struct err err = {0};
    if (read_lines(r, &err) == 0) {
        err = (struct err){0};
    }
    if (c->process == r->process && !c->closing) {
        lose_process(c, &err);
    }
    stdio_process_unref(r->process);
    mem_free(r);
}

/* ---- starting and stopping ---- */

static int start_process(struct mcp_client *c, struct err *err) {
    struct stdio_options o = {.command = c->o.command,
                              .args = c->o.args,
                              .n_args = c->o.n_args,
                              .env = c->o.env,
                              .n_env = c->o.n_env};
    struct stdio_process *p;
    c->process_started_us = clock_mono_us();
    if (stdio_process_start(&o, &p, err) < 0) {
        note_death(c);
        return err_prefix(err, "MCP server %.*s", STR_ARG(str_head(c->o.name, 64)));
    }
    struct reader *r = mem_alloc(sizeof *r);
    *r = (struct reader){.client = c, .process = stdio_process_ref(p)};
    if (!client_spawn(c, "mcp stdio", read_on, r)) {
        stdio_process_unref(p);
        mem_free(r);
        stdio_process_stop(p);
        stdio_process_unref(p);
        return client_err(c, err, ERR_BUSY, "it cannot be started now");
    }
    c->process = p;
    return 0;
}

static void stop_process(void *arg) {
    struct stdio_process *p = arg;
    stdio_process_stop(p);
    stdio_process_unref(p);
}

/* In the background, when nobody should wait for it. */
static void abandon_process(struct mcp_client *c) {
    struct stdio_process *p = take(c->process);
    if (p && !client_spawn(c, "mcp stop", stop_process, p)) {
        stop_process(p);
    }
}

static int stdio_start(struct mcp_client *c, struct err *err) {
    int64_t wait_us = c->respawn_at_us - clock_mono_us();
    if (wait_us > 0) {
        return client_err(c, err, ERR_UNAVAILABLE, "it ended %u times in a row; %lld s to go",
                          c->quick_deaths, (long long)(wait_us / 1000000 + 1));
    }
    abandon_process(c);
    return start_process(c, err);
}

/* What it made of a message that it did not know is its own affair, and counts for nothing. */
static int stdio_restart(struct mcp_client *c, struct err *err) {
    c->quick_deaths = 0;
    c->respawn_at_us = 0;
    abandon_process(c);
    return start_process(c, err);
}

static void stdio_stop(struct mcp_client *c) {
    if (c->process) {
        stop_process(take(c->process));
    }
}

/* ---- writing ---- */

static int write_line(struct mcp_client *c, struct str message, struct err *err) {
    struct strbuf line cleanup(strbuf_done) = STRBUF(message.n + 1);
    if (!c->process) {
        return client_err(c, err, ERR_UNAVAILABLE, "it has ended");
    }
    strbuf_add(&line, message);
    /* Between the values of what was passed through; within strings there are none. */
    for (size_t i = 0; i < line.n; i++) {
        if (line.p[i] == '\n' || line.p[i] == '\r') {
            line.p[i] = ' ';
        }
    }
    strbuf_addc(&line, '\n');
    if (stdio_process_write(c->process, strbuf_str(&line), err) < 0) {
        return err_prefix(err, "MCP server %.*s", STR_ARG(str_head(c->o.name, 64)));
    }
    return 0;
}

static int stdio_send(struct mcp_exchange *x, struct err *err) {
    if (x->sent) {
        *x->sent = true;
    }
    return write_line(x->client, strbuf_str(&x->body), err);
}

static int stdio_post(struct mcp_client *c, struct str message, struct err *err) {
    return write_line(c, message, err);
}

const struct mcp_channel stdio_channel = {.start = stdio_start,
                                          .restart = stdio_restart,
                                          .send = stdio_send,
                                          .post = stdio_post,
                                          .stop = stdio_stop};
