/* What the commands share: loading the profile, opening the database, and running on a fiber. */
#pragma once
#include "cli/command.h"
#include "db/db.h"
#include "profile/profile.h"

/* The commands; bin/adjutant.c lists them. */
extern const struct cli_command cli_serve, cli_chat, cli_keys, cli_migrate, cli_doctor, cli_vault,
    cli_version;

/* The web app that `serve` serves; nothing when it is built without. */
struct asset;
struct cli_web {
    const struct asset *files;
    size_t n_files;
};
extern struct cli_web cli_web;

#define CLI_OPTION_HOME                                                                            \
    { "home", "DIR", "the folder that keeps this instance's data" }

/* "adjutant: <message>" on standard error; gives `code`. */
int cli_fail(enum exit_code code, const struct err *err);

/* EXIT_OK and *ret, or says what is wrong and gives EXIT_CONFIGURATION. Takes --home, and --listen
 * when the command has it. */
int cli_load_profile(const struct cli_args *args, struct profile **ret);
void cli_profile_free_p(struct profile **p);

/* How the gateway connects: with the role that row-level security binds. */
struct db_options cli_gateway_db(const struct profile *profile);
/* How the owner of the tables connects. */
struct db_options cli_owner_db(const struct profile *profile);
/* Brings the schema up to date; *ret_applied counts what was new. */
may_yield int cli_apply_migrations(const struct profile *profile, int *ret_applied, struct err *err)
    must_check;

/* The gateway's database, with its schema up to date unless ADJUTANT_MIGRATE says otherwise. Says
 * what is wrong and gives EXIT_DATABASE. */
may_yield int cli_open_db(const struct profile *profile, struct db **ret);

/* Runs `main` on a fiber of a new loop until it returns; its exit status. The runtime's chaos seed
 * comes from ADJUTANT_CHAOS. */
int cli_on_fiber(int (*main)(void *arg), void *arg);
