#include "cli/command.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

#include "profile/profile.h"

#define PROGRAM "adjutant"

/* ---- help ---- */

static void print_name(const struct cli_command *c, FILE *out) {
    fprintf(out, "%s%s%s", PROGRAM, c->name[0] ? " " : "", c->name);
}

static void help_commands(const struct cli_command *c, FILE *out) {
    fprintf(out, "\nCommands:\n");
    for (const struct cli_command *const *sub = c->commands; *sub; sub++) {
        const char *last = strrchr((*sub)->name, ' ');
        fprintf(out, "  %-20s %s\n", last ? last + 1 : (*sub)->name, (*sub)->summary);
    }
    fprintf(out, "\n'");
    print_name(c, out);
    fprintf(out, " COMMAND --help' tells more.\n");
}

static void help_options(const struct cli_command *c, FILE *out) {
    char left[64];
    fprintf(out, "\nOptions:\n");
    for (size_t i = 0; i < c->n_options; i++) {
        const struct cli_option *o = &c->options[i];
        snprintf(left, sizeof left, "--%s%s%s", o->name, o->value ? " " : "",
                 o->value ? o->value : "");
        fprintf(out, "  %-24s %s\n", left, o->meaning);
    }
    fprintf(out, "  %-24s %s\n", "--help", "this text");
}

static void help_settings(FILE *out) {
    size_t n;
    const struct profile_variable *v = profile_variables(&n);
    fprintf(out, "\nSettings, from the environment or the file <home>/adjutant.env:\n");
    for (size_t i = 0; i < n; i++) {
        fprintf(out, "  %-28s %s%s%s%s\n", v[i].name, v[i].meaning, v[i].fallback ? " [" : "",
                v[i].fallback ? v[i].fallback : "", v[i].fallback ? "]" : "");
    }
    fprintf(out, "  %-28s %s\n", "ADJUTANT_LOG",
            "debug, info, warn or error; from the environment only [info]");
}

static void help_exit_codes(FILE *out) {
    fprintf(out,
            "\nExit status: 0 done, 1 it did not work, 2 wrong command line, 3 wrong setting,\n"
            "4 database, 5 server not reached, 6 key not accepted, 130 interrupted.\n");
}

void cli_help(const struct cli_command *c, FILE *out) {
    fprintf(out, "usage: ");
    print_name(c, out);
    if (c->commands) {
        fprintf(out, " COMMAND");
    }
    fprintf(out, "%s%s%s\n\n%s\n", c->n_options ? " [options]" : "", c->words ? " " : "",
            c->words ? c->words : "", c->summary);
    if (c->details) {
        fprintf(out, "\n%s\n", c->details);
    }
    if (c->commands) {
        help_commands(c, out);
    } else {
        help_options(c, out);
    }
    if (c->lists_settings) {
        help_settings(out);
    }
    help_exit_codes(out);
}

int cli_usage_error(const struct cli_command *c, const char *fmt, ...) {
    va_list ap;
    print_name(c, stderr);
    fprintf(stderr, ": ");
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\n'");
    print_name(c, stderr);
    fprintf(stderr, " --help' tells what it takes.\n");
    return EXIT_USAGE;
}

/* ---- reading the command line ---- */

const char *cli_value(const struct cli_args *args, const char *option) {
    const struct cli_command *c = args->command;
    for (size_t i = 0; i < c->n_options; i++) {
        if (strcmp(c->options[i].name, option) == 0) {
            return args->values[i];
        }
    }
    assert(!"the command has no such option");
    return NULL;
}

static bool is_help(const char *arg) {
    return strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0;
}

/* --name value, --name=value, or --name alone for one that takes no value. */
static int read_option(struct cli_args *args, int argc, char **argv, int *at) {
    const struct cli_command *c = args->command;
    const char *name = argv[*at] + 2;
    size_t n = strcspn(name, "=");
    for (size_t i = 0; i < c->n_options; i++) {
        const struct cli_option *o = &c->options[i];
        if (strlen(o->name) != n || memcmp(o->name, name, n) != 0) {
            continue;
        }
        if (!o->value) {
            args->values[i] = "";
            return name[n] ? cli_usage_error(c, "--%s takes no value", o->name) : EXIT_OK;
        }
        if (name[n]) {
            args->values[i] = name + n + 1;
        } else if (*at + 1 < argc) {
            args->values[i] = argv[++*at];
        } else {
            return cli_usage_error(c, "--%s wants %s behind it", o->name, o->value);
        }
        return EXIT_OK;
    }
    return cli_usage_error(c, "unknown option %s", argv[*at]);
}

static int run_command(const struct cli_command *c, int argc, char **argv) {
    struct cli_args args = {.command = c};
    bool only_words = false;
    assert(c->n_options <= CLI_MAX_OPTIONS && c->max_words <= CLI_MAX_WORDS);
    for (int i = 0; i < argc; i++) {
        if (!only_words && is_help(argv[i])) {
            cli_help(c, stdout);
            return EXIT_OK;
        }
        if (!only_words && strcmp(argv[i], "--") == 0) {
            only_words = true;
        } else if (!only_words && argv[i][0] == '-' && argv[i][1] == '-') {
            int rc = read_option(&args, argc, argv, &i);
            if (rc != EXIT_OK) {
                return rc;
            }
        } else if (args.n_words < c->max_words) {
            args.words[args.n_words++] = argv[i];
        } else {
            return cli_usage_error(c, "'%s' is one word too many", argv[i]);
        }
    }
    if (args.n_words < c->min_words) {
        return cli_usage_error(c, "it wants %s", c->words);
    }
    return c->run(&args);
}

static const struct cli_command *find(const struct cli_command *c, const char *word) {
    for (const struct cli_command *const *sub = c->commands; *sub; sub++) {
        const char *last = strrchr((*sub)->name, ' ');
        if (strcmp(last ? last + 1 : (*sub)->name, word) == 0) {
            return *sub;
        }
    }
    return NULL;
}

int cli_main(const struct cli_command *program, int argc, char **argv) {
    const struct cli_command *c = program;
    int at = 1;
    while (c->commands) {
        if (at == argc) {
            cli_help(c, stderr);
            return EXIT_USAGE;
        }
        if (is_help(argv[at])) {
            cli_help(c, stdout);
            return EXIT_OK;
        }
        const struct cli_command *sub = find(c, argv[at]);
        if (!sub) {
            return cli_usage_error(c, "there is no command '%s'", argv[at]);
        }
        c = sub;
        at++;
    }
    return run_command(c, argc - at, argv + at);
}
