/* The program: its commands, and nothing else. */
#include <locale.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/time_zone.h"
#include "cli/common.h"

#ifdef HAVE_WEB
#include "net/assets.h"

extern const struct asset web_files[];
extern const size_t web_files_n;
#endif

static const struct cli_command *const commands[] = {
    &cli_serve, &cli_chat, &cli_keys, &cli_migrate, &cli_doctor, &cli_vault, &cli_version, NULL,
};

static const struct cli_command program = {
    .name = "",
    .summary = "A personal assistant: one server, one program.",
    .commands = commands,
    .lists_settings = true,
};

int main(int argc, char **argv) {
    const char *word = getenv("ADJUTANT_LOG");
    enum log_level level = LOG_INFO;
    if (word && word[0] && !log_level_parse(word, &level)) {
        fprintf(stderr, "adjutant: ADJUTANT_LOG: must be debug, info, warn or error\n");
        return EXIT_CONFIGURATION;
    }
    log_set_level(level);
    time_zone_start();
    setlocale(LC_CTYPE, ""); /* characters as the terminal has them; numbers stay as in C */
#ifdef HAVE_WEB
    cli_web = (struct cli_web){web_files, web_files_n};
#endif
    return cli_main(&program, argc, argv);
}
