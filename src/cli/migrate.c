/* adjutant migrate: brings the database's schema up to date, or tells how it stands. */
#include "cli/common.h"
#include "store/migrations.h"

struct migrate {
    const struct profile *profile;
    bool only_status;
};

static int tell_status(const struct profile *profile, struct err *err) {
    size_t n;
    const struct migration *migrations = store_migrations(&n);
    const struct db_options options = cli_owner_db(profile);
    int state = 0;
    if (db_migration_state(&options, &state, err) < 0) {
        return -(int)err->code;
    }
    for (size_t i = 0; i < n; i++) {
        printf("%-8s %04d %s\n", migrations[i].number <= state ? "applied" : "missing",
               migrations[i].number, migrations[i].name);
    }
    if (state > (int)n) {
        return err_set(err, ERR_CONFLICT,
                       "the database is at %d, newer than this program (%zu): use a newer adjutant",
                       state, n);
    }
    return 0;
}

static int on_fiber(void *arg) {
    const struct migrate *m = arg;
    struct err err;
    int applied = 0;
    if (m->only_status) {
        return tell_status(m->profile, &err) < 0 ? cli_fail(EXIT_DATABASE, &err) : EXIT_OK;
    }
    if (cli_apply_migrations(m->profile, &applied, &err) < 0) {
        return cli_fail(EXIT_DATABASE, &err);
    }
    if (applied > 0) {
        printf("%d migration%s applied; the schema is up to date\n", applied,
               applied == 1 ? "" : "s");
    } else {
        printf("nothing to do; the schema is up to date\n");
    }
    return EXIT_OK;
}

static int run(const struct cli_args *args) {
    struct profile *profile cleanup(cli_profile_free_p) = NULL;
    int rc = cli_load_profile(args, &profile);
    struct migrate m = {profile, cli_flag(args, "status")};
    return rc != EXIT_OK ? rc : cli_on_fiber(on_fiber, &m);
}

static const struct cli_option options[] = {
    CLI_OPTION_HOME,
    {"status", NULL, "only tell which migrations the database has"},
};

const struct cli_command cli_migrate = {
    .name = "migrate",
    .summary = "Brings the database's schema up to date.",
    .details =
        "'adjutant serve' does it too when it starts, unless ADJUTANT_MIGRATE is false. It may\n"
        "run at any time and any number of times. With PostgreSQL it connects as the owner of\n"
        "the tables: SYSTEM_DB_MIGRATE_URL, or SYSTEM_DB_URL when that is not set.",
    .options = options,
    .n_options = ARRAY_LEN(options),
    .run = run,
};
