/* adjutant chat: a conversation on the terminal, or one question and its answer. */
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/chat_input.h"
#include "cli/chat_session.h"
#include "cli/common.h"

enum {
    TIMEOUT_MS = 10 * 1000,
    MAX_MESSAGE_BYTES = 16 * 1024 * 1024,
    MAX_QUESTION_BYTES = 256 * 1024,
    SHOWN_MESSAGES = 6,
    LISTED_THREADS = 20,
    MAX_PATH_BYTES = 512,
};

struct chat {
    struct chat_session session;
    struct chat_view view;
    struct chat_input *input;
    char listed[LISTED_THREADS][CHAT_NAME_BYTES]; /* by the last /threads */
    size_t n_listed;
    bool leaving;
};

static volatile sig_atomic_t interrupts;

static void on_interrupt(int number) {
    (void)number;
    interrupts++;
}

/* No SA_RESTART: a wait has to end. */
static void watch_interrupts(void) {
    const struct sigaction action = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* ---- what went wrong, as an exit status ---- */

static int status_of(const struct err *err) {
    switch (err->code) {
    case ERR_UNAUTHORIZED:
    case ERR_FORBIDDEN:
        return EXIT_DENIED;
    case ERR_UNAVAILABLE:
    case ERR_TIMEOUT:
        return EXIT_UNREACHABLE;
    case ERR_CANCELLED:
        return EXIT_INTERRUPTED;
    default:
        return EXIT_FAILED;
    }
}

static int tell(struct chat *c, const struct err *err) {
    if (err->code != ERR_CANCELLED) {
        chat_view_error(&c->view, "%s", err->msg);
    }
    return status_of(err);
}

/* ---- threads ---- */

static void print_message(const json_t *message) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(CHAT_MAX_ANSWER_BYTES);
    struct str role = json_str(message, "role");
    bool user = str_eq(role, STR("user"));
    if ((user || str_eq(role, STR("assistant"))) && chat_message_text(message, &text).n > 0) {
        printf("%s", user ? "> " : "");
        chat_print_text(stdout, strbuf_str(&text));
        printf("\n");
        fflush(stdout);
    }
}

/* Shows where a thread stands, and follows what is being answered there. */
static int open_thread(struct chat *c, const char *id, struct err *err) {
    struct chat_session *s = &c->session;
    char path[MAX_PATH_BYTES];
    json_auto_t *thread = NULL;
    const json_t *message;
    size_t i;
    if (strpbrk(id, "/?#% ") || strlen(id) >= sizeof s->thread_id) {
        return err_set(err, ERR_INVALID, "'%s' is not the name of a thread", id);
    }
    snprintf(path, sizeof path, "/api/threads/%s?limit=%d", id, SHOWN_MESSAGES);
    int rc = ws_target_get(&s->target, path, &thread, err);
    if (rc < 0 && rc != -ERR_NOT_FOUND) {
        return rc;
    }
    snprintf(s->thread_id, sizeof s->thread_id, "%s", id);
    if (rc < 0) { /* the first question makes it */
        chat_view_note(&c->view, "a new thread, %s", id);
        return 0;
    }
    if (c->input) {
        json_array_foreach (json_object_get(thread, "messages"), i, message) {
            print_message(message);
        }
    }
    struct str open = json_str(json_object_get(thread, "open_turn"), "id");
    return open.n > 0 && c->input ? chat_session_follow(s, open, err) : 0;
}

static int list_threads(struct chat *c, struct err *err) {
    char path[MAX_PATH_BYTES];
    json_auto_t *answer = NULL;
    const json_t *thread;
    size_t i;
    snprintf(path, sizeof path, "/api/threads?limit=%d", LISTED_THREADS);
    if (ws_target_get(&c->session.target, path, &answer, err) < 0) {
        return -(int)err->code;
    }
    c->n_listed = 0;
    json_array_foreach (json_object_get(answer, "threads"), i, thread) {
        struct str id = json_str(thread, "id"), title = json_str(thread, "title");
        if (i >= LISTED_THREADS || id.n >= CHAT_NAME_BYTES) {
            break;
        }
        snprintf(c->listed[c->n_listed++], CHAT_NAME_BYTES, "%.*s", STR_ARG(id));
        printf("%3zu  %.16s  ", i + 1,
               json_str(thread, "updated_at").n >= 16 ? json_str(thread, "updated_at").p
                                                      : "                ");
        chat_print_text(stdout, title.n ? title : id);
        printf("%s\n", str_eq(id, str_z(c->session.thread_id)) ? "  (this one)" : "");
    }
    printf("/threads NUMBER continues one\n");
    return 0;
}

static int threads_command(struct chat *c, struct str argument, struct err *err) {
    int64_t number;
    if (argument.n == 0) {
        return list_threads(c, err);
    }
    if (!str_to_i64(argument, &number) || number < 1 || (size_t)number > c->n_listed) {
        return err_set(err, ERR_INVALID, "there is no such number; /threads lists them");
    }
    return open_thread(c, c->listed[number - 1], err);
}

/* ---- lines ---- */

static void help(void) {
    printf("/new               begins a new thread\n"
           "/threads [NUMBER]  lists the threads, or continues one\n"
           "/help              this text\n"
           "/quit              leaves, as Ctrl-D does\n"
           "Ctrl-C             cancels the answer; again: leaves\n"
           "A line that ends in \\ goes on in the next.\n");
}

static int command(struct chat *c, struct str line, struct err *err) {
    struct str argument = line;
    struct str word = str_cut(&argument, ' ');
    argument = str_trim(argument);
    if (str_eq(word, STR("/quit"))) {
        c->leaving = true;
    } else if (str_eq(word, STR("/new"))) {
        c->session.thread_id[0] = '\0';
        chat_view_note(&c->view, "a new thread");
    } else if (str_eq(word, STR("/threads"))) {
        return threads_command(c, argument, err);
    } else if (str_eq(word, STR("/help"))) {
        help();
    } else {
        return err_set(err, ERR_INVALID, "there is no command %.*s; /help lists them",
                       STR_ARG(word));
    }
    return 0;
}

static int take_line(struct chat *c, struct str line, struct err *err) {
    line = str_trim(line);
    if (line.n == 0) {
        return 0;
    }
    if (line.p[0] == '/') {
        return command(c, line, err);
    }
    if (!str_is_utf8(line)) {
        return err_set(err, ERR_INVALID, "the message is not UTF-8");
    }
    return chat_session_ask(&c->session, line, err);
}

/* ---- the two modes ---- */

static int other_fd(void *chat) {
    return chat_session_fd(&((struct chat *)chat)->session);
}

static void on_other(void *chat) {
    chat_session_idle(&((struct chat *)chat)->session);
}

static int converse(struct chat *c) {
    struct strbuf line cleanup(strbuf_done) = STRBUF(MAX_QUESTION_BYTES);
    bool warned = false;
    struct err err;
    while (!c->leaving) {
        enum chat_line read = chat_input_read(c->input, &line);
        if (read == CHAT_LINE_END) {
            return EXIT_OK;
        }
        if (read == CHAT_LINE_INTERRUPTED && warned) {
            return EXIT_INTERRUPTED;
        }
        warned = read == CHAT_LINE_INTERRUPTED;
        if (warned) {
            chat_view_note(&c->view, "Ctrl-C again leaves");
        } else if (strbuf_check(&line, "the message", &err) < 0 ||
                   take_line(c, strbuf_str(&line), &err) < 0) {
            tell(c, &err);
            if (err.code == ERR_CANCELLED) {
                return EXIT_INTERRUPTED;
            }
        }
    }
    return EXIT_OK;
}

static int interactive(struct chat *c, const struct profile *profile, const char *thread) {
    struct arena arena cleanup(arena_done) = {0};
    struct err err;
    struct str history = arena_printf(&arena, "%.*s/chat_history", STR_ARG(profile->home));
    c->input = chat_input_new(&(struct chat_input_options){.prompt = "> ",
                                                           .history_path = history.p,
                                                           .interrupts = &interrupts,
                                                           .other_fd = other_fd,
                                                           .on_other = on_other,
                                                           .arg = c});
    int rc = EXIT_OK;
    if (chat_session_connect(&c->session, &err) < 0 ||
        (thread && open_thread(c, thread, &err) < 0)) {
        rc = tell(c, &err);
    } else {
        chat_view_note(&c->view, "%.*s; /help lists the commands", STR_ARG(c->session.target.url));
        rc = converse(c);
    }
    chat_input_free(c->input);
    return rc;
}

static int one_shot(struct chat *c, const char *question, const char *thread) {
    struct str text = str_z(question);
    struct err err;
    if (!str_is_utf8(text) || text.n > MAX_QUESTION_BYTES) {
        err_set(&err, ERR_INVALID, "the question must be UTF-8 text of at most %d bytes",
                MAX_QUESTION_BYTES);
        return tell(c, &err);
    }
    if (chat_session_connect(&c->session, &err) < 0 ||
        (thread && open_thread(c, thread, &err) < 0) ||
        chat_session_ask(&c->session, text, &err) < 0) {
        return tell(c, &err);
    }
    return c->view.end == CHAT_DONE        ? EXIT_OK
           : c->view.end == CHAT_CANCELLED ? EXIT_INTERRUPTED
                                           : EXIT_FAILED;
}

/* Where to, and as whom: the options, else this instance's own server and key. */
static struct ws_target target_of(const struct cli_args *args, struct profile *profile,
                                  const struct secret *given) {
    const char *url = cli_value(args, "url");
    struct str own = arena_printf(&profile->arena, "http://%.*s", STR_ARG(profile->listen));
    return (struct ws_target){.url = url ? str_z(url) : own,
                              .key = given ? given : profile->api_key,
                              .timeout_ms = TIMEOUT_MS,
                              .max_message_bytes = MAX_MESSAGE_BYTES};
}

static int run(const struct cli_args *args) {
    struct profile *profile cleanup(cli_profile_free_p) = NULL;
    const char *key = cli_value(args, "key");
    bool terminal = isatty(STDOUT_FILENO), asks = args->n_words > 0;
    int rc = cli_load_profile(args, &profile);
    if (rc != EXIT_OK) {
        return rc;
    }
    struct secret *given cleanup(secret_free_p) = key ? secret_new(str_z(key)) : NULL;
    struct chat c = {.session = {.target = target_of(args, profile, given),
                                 .interrupts = &interrupts,
                                 .view = &c.view}};
    chat_view_init(&c.view, &(struct chat_style){.out = stdout,
                                                 .notes = stderr,
                                                 .answer_only = asks && !terminal,
                                                 .colours = terminal});
    watch_interrupts();
    rc = asks ? one_shot(&c, args->words[0], cli_value(args, "thread"))
              : interactive(&c, profile, cli_value(args, "thread"));
    chat_session_done(&c.session);
    chat_view_done(&c.view);
    return rc;
}

static const struct cli_option options[] = {
    CLI_OPTION_HOME,
    {"url", "URL", "the server [http:// and the address this instance serves on]"},
    {"key", "KEY", "the caller's key [ASSISTANT_API_KEY]; others on this machine can see it"},
    {"thread", "ID", "continue this thread, or begin it under this name"},
};

const struct cli_command cli_chat = {
    .name = "chat",
    .summary = "Talks to a running server.",
    .words = "[QUESTION]",
    .max_words = 1,
    .details =
        "Without a question it is a conversation; /help lists its commands. With one it prints\n"
        "the answer and ends: only the answer, when the output is not a terminal. A lost\n"
        "connection is opened again, and the answer goes on where it was.",
    .options = options,
    .n_options = ARRAY_LEN(options),
    .run = run,
};
