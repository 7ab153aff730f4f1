#include "cli/common.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "store/migrations.h"

int cli_fail(enum exit_code code, const struct err *err) {
    fprintf(stderr, "adjutant: %s\n", err->msg);
    return (int)code;
}

static bool has_option(const struct cli_command *c, const char *name) {
    for (size_t i = 0; i < c->n_options; i++) {
        if (strcmp(c->options[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

int cli_load_profile(const struct cli_args *args, struct profile **ret) {
    struct err err;
    const char *listen = has_option(args->command, "listen") ? cli_value(args, "listen") : NULL;
    if (profile_load(cli_value(args, "home"), listen, ret, &err) < 0) {
        return cli_fail(EXIT_CONFIGURATION, &err);
    }
    profile_forget_environment();
    return EXIT_OK;
}

void cli_profile_free_p(struct profile **p) {
    profile_free(*p);
}

/* ---- the database ---- */

static struct db_options options_for(const struct profile *profile, struct str url) {
    return (struct db_options){.url = url.n ? url.p : NULL,
                               .sqlite_path = profile->sqlite_path.p,
                               .pool_size = profile->db_pool_size};
}

struct db_options cli_gateway_db(const struct profile *profile) {
    struct db_options options = options_for(profile, profile->system_db_url);
    options.role = options.url ? STORE_GATEWAY_ROLE : NULL;
    return options;
}

struct db_options cli_owner_db(const struct profile *profile) {
    return options_for(profile, profile->migrate_db_url);
}

int cli_apply_migrations(const struct profile *profile, int *ret_applied, struct err *err) {
    size_t n;
    const struct migration *migrations = store_migrations(&n);
    const struct db_options options = cli_owner_db(profile);
    return db_migrate(&options, migrations, n, ret_applied, err);
}

/* The schema is as this program wants it, or becomes so. */
static int check_schema(const struct profile *profile, struct err *err) {
    const struct db_options options = cli_owner_db(profile);
    size_t n;
    int state = 0, applied = 0;
    (void)store_migrations(&n);
    if (db_migration_state(&options, &state, err) < 0) {
        return -(int)err->code;
    }
    if (state >= (int)n) {
        return state == (int)n ? 0
                               : err_set(err, ERR_CONFLICT,
                                         "the database's schema is at %d, newer than this program "
                                         "(%zu): use a newer adjutant",
                                         state, n);
    }
    if (!profile->migrate_on_start) {
        return err_set(err, ERR_CONFLICT,
                       "the database's schema is at %d of %zu and ADJUTANT_MIGRATE is false: run "
                       "'adjutant migrate'",
                       state, n);
    }
    return cli_apply_migrations(profile, &applied, err);
}

int cli_open_db(const struct profile *profile, struct db **ret) {
    struct err err;
    const struct db_options options = cli_gateway_db(profile);
    if (check_schema(profile, &err) < 0 || db_open(&options, ret, &err) < 0) {
        return cli_fail(EXIT_DATABASE, &err);
    }
    return EXIT_OK;
}

/* ---- a fiber ---- */

struct call {
    int (*main)(void *arg);
    void *arg;
    int status;
};

static void run_call(void *arg) {
    struct call *call = arg;
    call->status = call->main(call->arg);
}

int cli_on_fiber(int (*main)(void *arg), void *arg) {
    uv_loop_t loop;
    struct fiber_scope scope;
    struct err err;
    struct call call = {main, arg, EXIT_FAILED};
    const char *chaos = getenv("ADJUTANT_CHAOS");
    const struct fiber_options options = {.chaos_seed = chaos ? strtoull(chaos, NULL, 10) : 0};

    /* A peer that went away is an error of the write, not a signal. */
    signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&loop);
    fiber_runtime_start(&loop, &options);
    fiber_scope_init(&scope);
    if (fiber_spawn(&scope, "main", run_call, &call, NULL, &err) < 0) {
        return cli_fail(EXIT_FAILED, &err);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    fiber_runtime_stop();
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    return call.status;
}
