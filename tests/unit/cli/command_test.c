#include "cli/command.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "test.h"

static struct cli_args seen;

static int remember(const struct cli_args *args) {
    seen = *args;
    return EXIT_OK;
}

static const struct cli_option options[] = {
    {"user", "USER", "whose"},
    {"user-name", "NAME", "a longer name with the same beginning"},
    {"force", NULL, "a flag"},
};
static const struct cli_command make = {.name = "keys make",
                                        .summary = "Makes one.",
                                        .words = "WHAT [WHERE]",
                                        .min_words = 1,
                                        .max_words = 2,
                                        .options = options,
                                        .n_options = ARRAY_LEN(options),
                                        .run = remember};
static const struct cli_command *const key_commands[] = {&make, NULL};
static const struct cli_command keys = {
    .name = "keys", .summary = "Keys.", .commands = key_commands};
static const struct cli_command *const commands[] = {&keys, NULL};
static const struct cli_command program = {
    .name = "", .summary = "A program.", .commands = commands, .lists_settings = true};

/* Runs the words after the program's name with what it prints caught; the exit status. */
static int run(struct strbuf *ret_output, int argc, const char *const *words) {
    char *argv[16] = {(char *)(uintptr_t) "adjutant"};
    FILE *caught = tmpfile();
    int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO);
    seen = (struct cli_args){0};
    for (int i = 0; i < argc; i++) {
        argv[i + 1] = (char *)(uintptr_t)words[i];
    }
    fflush(stdout);
    dup2(fileno(caught), STDOUT_FILENO);
    dup2(fileno(caught), STDERR_FILENO);
    int status = cli_main(&program, argc + 1, argv);
    fflush(stdout);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    close(out);
    close(err);
    ssize_t n = pread(fileno(caught), strbuf_room(ret_output, 64 * 1024), 64 * 1024, 0);
    strbuf_claim(ret_output, n > 0 ? (size_t)n : 0);
    fclose(caught);
    return status;
}

#define RUN(output, ...)                                                                           \
    run(output, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *),                            \
        (const char *[]){__VA_ARGS__})

TEST(options_and_words_come_in_any_order) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(1 << 17);
    CHECK_INT(RUN(&out, "keys", "make", "one", "--user", "ann", "two", "--force"), EXIT_OK);
    CHECK_STR(str_z(cli_value(&seen, "user")), "ann");
    CHECK(cli_value(&seen, "user-name") == NULL);
    CHECK(cli_flag(&seen, "force"));
    CHECK_INT(seen.n_words, 2);
    CHECK_STR(str_z(seen.words[1]), "two");
}

TEST(values_may_stand_behind_an_equals_sign) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(1 << 17);
    CHECK_INT(RUN(&out, "keys", "make", "--user=a=b", "--user-name=", "x"), EXIT_OK);
    CHECK_STR(str_z(cli_value(&seen, "user")), "a=b");
    CHECK_STR(str_z(cli_value(&seen, "user-name")), "");
}

TEST(two_dashes_end_the_options) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(1 << 17);
    CHECK_INT(RUN(&out, "keys", "make", "--", "--force", "--help"), EXIT_OK);
    CHECK(!cli_flag(&seen, "force"));
    CHECK_STR(str_z(seen.words[0]), "--force");
}

TEST(what_is_wrong_is_said_with_status_2) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(1 << 17);
    CHECK_INT(RUN(&out, "keys", "make", "x", "--nothing"), EXIT_USAGE);
    CHECK_INT(RUN(&out, "keys", "make", "x", "--use", "y"), EXIT_USAGE);
    CHECK_INT(RUN(&out, "keys", "make", "x", "--force=1"), EXIT_USAGE);
    CHECK_INT(RUN(&out, "keys", "make", "x", "--user"), EXIT_USAGE);
    CHECK_INT(RUN(&out, "keys", "make"), EXIT_USAGE);
    CHECK_INT(RUN(&out, "keys", "make", "1", "2", "3"), EXIT_USAGE);
    CHECK_INT(RUN(&out, "keys", "break"), EXIT_USAGE);
    CHECK_INT(RUN(&out, "lock"), EXIT_USAGE);
    CHECK_INT(RUN(&out, "keys"), EXIT_USAGE);
    CHECK(seen.command == NULL);
    CHECK(str_find(strbuf_str(&out), STR("--user wants USER behind it")) != SIZE_MAX);
    CHECK(str_find(strbuf_str(&out), STR("there is no command 'break'")) != SIZE_MAX);
}

TEST(help_tells_options_commands_and_settings) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(1 << 17);
    CHECK_INT(RUN(&out, "keys", "make", "--help"), EXIT_OK);
    CHECK(str_find(strbuf_str(&out), STR("usage: adjutant keys make [options] WHAT")) != SIZE_MAX);
    CHECK(str_find(strbuf_str(&out), STR("--user USER")) != SIZE_MAX);
    CHECK(str_find(strbuf_str(&out), STR("SYSTEM_DB_URL")) == SIZE_MAX);
    strbuf_reset(&out);
    CHECK_INT(RUN(&out, "keys", "-h"), EXIT_OK);
    CHECK(str_find(strbuf_str(&out), STR("  make ")) != SIZE_MAX);
    strbuf_reset(&out);
    CHECK_INT(RUN(&out, "--help"), EXIT_OK);
    CHECK(str_find(strbuf_str(&out), STR("SYSTEM_DB_URL")) != SIZE_MAX);
    CHECK(str_find(strbuf_str(&out), STR("Exit status")) != SIZE_MAX);
}
