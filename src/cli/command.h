/* Subcommands as tables: what each takes, what --help says of it, and what runs. Used by every file
 * of this floor; knows nothing of what the commands do. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/attr.h"

/* What the program's exit status means; --help and the README list them. */
enum exit_code {
    EXIT_OK = 0,
    EXIT_FAILED = 1,        /* what was asked for did not work */
    EXIT_USAGE = 2,         /* the command line is wrong */
    EXIT_CONFIGURATION = 3, /* a setting or the home folder is wrong */
    EXIT_DATABASE = 4,      /* the database cannot be used */
    EXIT_UNREACHABLE = 5,   /* a server cannot be reached */
    EXIT_DENIED = 6,        /* a server does not accept the key */
    EXIT_INTERRUPTED = 130, /* Ctrl-C */
};

enum { CLI_MAX_OPTIONS = 16, CLI_MAX_WORDS = 8 };

struct cli_option {
    const char *name;  /* without the dashes */
    const char *value; /* what stands for its value in the help; NULL: it takes none */
    const char *meaning;
};

struct cli_command;

struct cli_args {
    const struct cli_command *command;
    const char *values[CLI_MAX_OPTIONS]; /* in the order of the command's options */
    const char *words[CLI_MAX_WORDS];
    size_t n_words;
};

struct cli_command {
    const char *name; /* as written behind the program's name: "keys create" */
    const char *summary;
    const char *words; /* what stands for its words in the help; NULL: it takes none */
    size_t min_words, max_words;
    const char *details; /* paragraphs of the help, may be NULL */
    bool lists_settings; /* its help tells the environment's variables */
    const struct cli_option *options;
    size_t n_options;
    int (*run)(const struct cli_args *args);   /* NULL: it only has commands of its own */
    const struct cli_command *const *commands; /* ended by NULL; may be NULL */
};

/* Finds the command, reads its options and runs it; the exit status. */
int cli_main(const struct cli_command *program, int argc, char **argv);

/* The option's value, "" for one that takes none, or NULL when it was not given. Asserts that the
 * command has such an option. */
const char *cli_value(const struct cli_args *args, const char *option);
static inline bool cli_flag(const struct cli_args *args, const char *option) {
    return cli_value(args, option) != NULL;
}

/* "adjutant <command>: <message>" on standard error, and where the help is; gives EXIT_USAGE. */
int cli_usage_error(const struct cli_command *command, const char *fmt, ...) printf_like(2, 3);
void cli_help(const struct cli_command *command, FILE *out);
