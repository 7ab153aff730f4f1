/* adjutant vault: users' credentials and the keys they are encrypted under. Works on the database,
 * beside a running server. */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "auth/vault.h"
#include "base/clock.h"
#include "cli/common.h"
#include "graph/llm_key.h"
#include "net/http_client.h"

/* One subcommand's work, with the vault open. */
struct vault_call {
    const struct cli_args *args;
    int (*work)(struct vault_call *call);
    const struct profile *profile;
    struct db *db;
    struct user_epochs *epochs;
    struct vault *vault;
    struct secret *value; /* from standard input; NULL where none is wanted */
    struct str user_id;
    struct arena arena;
};

/* The caller's words are wrong, the vault's key is, or the database cannot be used. */
static int fail(const struct err *err) {
    bool theirs = err->code == ERR_NOT_FOUND || err->code == ERR_CONFLICT ||
                  err->code == ERR_INVALID || err->code == ERR_LIMIT;
    return cli_fail(theirs                       ? EXIT_FAILED
                    : err->code == ERR_FORBIDDEN ? EXIT_CONFIGURATION
                                                 : EXIT_DATABASE,
                    err);
}

static int with_vault(struct vault_call *call) {
    struct err err;
    call->epochs = user_epochs_new(call->db);
    int rc = vault_open(call->profile, call->db, call->epochs, &call->vault, &err) < 0
                 ? cli_fail(EXIT_CONFIGURATION, &err)
                 : call->work(call);
    vault_close(call->vault);
    user_epochs_free(call->epochs);
    return rc;
}

static int on_fiber(void *arg) {
    struct vault_call *call = arg;
    int rc = cli_open_db(call->profile, &call->db);
    if (rc == EXIT_OK) {
        rc = with_vault(call);
        db_close(call->db);
    }
    arena_done(&call->arena);
    return rc;
}

static int run_vault(const struct cli_args *args, const char *user, struct secret *value,
                     int (*work)(struct vault_call *call)) {
    struct profile *profile cleanup(cli_profile_free_p) = NULL;
    int rc = cli_load_profile(args, &profile);
    if (rc != EXIT_OK) {
        return rc;
    }
    struct vault_call call = {.args = args,
                              .work = work,
                              .profile = profile,
                              .value = value,
                              .user_id = user ? str_z(user) : profile->default_user};
    return cli_on_fiber(on_fiber, &call);
}

/* ---- status, rotate ---- */

static int tell_unreadable(const struct vault_tally *tally) {
    if (tally->unreadable == 0) {
        return EXIT_OK;
    }
    fprintf(stderr,
            "adjutant: %" PRId64 " cannot be read: set the key they were stored under in "
            "CREDENTIALS_ENCRYPTION_KEY_OLD\n",
            tally->unreadable);
    return EXIT_FAILED;
}

static int show_status(struct vault_call *call) {
    struct vault_key_use *uses;
    struct vault_tally tally;
    struct err err;
    size_t n;
    if (vault_keys_in_use(call->vault, &call->arena, &uses, &n, &err) < 0 ||
        vault_check(call->vault, &tally, &err) < 0) {
        return fail(&err);
    }
    printf("%-16s  %-12s %-8s %s\n", "KEY", "CREDENTIALS", "USERS", "STATE");
    for (size_t i = 0; i < n; i++) {
        printf("%.*s  %-12" PRId64 " %-8" PRId64 " %s\n", STR_ARG(uses[i].key_id),
               uses[i].credentials, uses[i].users,
               uses[i].is_current ? "current"
               : uses[i].is_set   ? "older, for reading"
                                  : "not set here");
    }
    printf("%" PRId64 " credentials, %" PRId64 " can be read\n", tally.seen,
           tally.seen - tally.unreadable);
    return tell_unreadable(&tally);
}

static int run_status(const struct cli_args *args) {
    return run_vault(args, NULL, NULL, show_status);
}

static const struct cli_option home_only[] = {CLI_OPTION_HOME};

static const struct cli_command vault_status = {
    .name = "vault status",
    .summary = "Tells how many credentials stand under which key, and whether all can be read.",
    .options = home_only,
    .n_options = ARRAY_LEN(home_only),
    .run = run_status,
};

static int rotate(struct vault_call *call) {
    struct vault_tally tally;
    struct err err;
    if (vault_rotate(call->vault, &tally, &err) < 0) {
        return fail(&err);
    }
    printf("%" PRId64 " credentials brought under the current key\n", tally.rotated);
    if (tally.seen == 0) {
        printf("None stands under another one. How to change the key: vault rotate --help\n");
    }
    return tell_unreadable(&tally);
}

static int run_rotate(const struct cli_args *args) {
    return run_vault(args, NULL, NULL, rotate);
}

static const struct cli_command vault_rotate_command = {
    .name = "vault rotate",
    .summary = "Encrypts all credentials anew under the current key.",
    .details =
        "To change the key: give the new one to every server as CREDENTIALS_ENCRYPTION_KEY and\n"
        "the one before as CREDENTIALS_ENCRYPTION_KEY_OLD, restart them, and run this. What is\n"
        "read moves by itself meanwhile. Then the old key can go. Where servers are restarted one\n"
        "by one, first make the new key known to all of them as CREDENTIALS_ENCRYPTION_KEY_OLD.\n"
        "Where the key is the file credentials.key, setting CREDENTIALS_ENCRYPTION_KEY is enough:\n"
        "what the file encrypted can still be read.",
    .options = home_only,
    .n_options = ARRAY_LEN(home_only),
    .run = run_rotate,
};

/* ---- list, put, delete ---- */

static const char *day(int64_t us, char ret[CLOCK_ISO_LEN + 1]) {
    clock_iso(us, ret);
    ret[sizeof "2026-01-01T00:00" - 1] = '\0';
    ret[sizeof "2026-01-01" - 1] = ' ';
    return us ? ret : "never";
}

static int list(struct vault_call *call) {
    struct vault_entry *entries;
    struct err err;
    char expires[CLOCK_ISO_LEN + 1], updated[CLOCK_ISO_LEN + 1];
    size_t n;
    if (vault_list(call->vault, call->user_id, &call->arena, &entries, &n, &err) < 0) {
        return fail(&err);
    }
    printf("%-24s %-16s %-16s %s\n", "SERVICE", "CHANGED (UTC)", "EXPIRES", "SCOPES");
    for (size_t i = 0; i < n; i++) {
        printf("%-24.*s %-16s %-16s %.*s\n", STR_ARG(entries[i].service),
               day(entries[i].updated_us, updated), day(entries[i].expires_us, expires),
               STR_ARG(entries[i].scopes));
    }
    return EXIT_OK;
}

static int run_list(const struct cli_args *args) {
    return run_vault(args, cli_value(args, "user"), NULL, list);
}

static const struct cli_option user_options[] = {
    CLI_OPTION_HOME,
    {"user", "USER", "whose credentials [ASSISTANT_USER_ID]"},
};

static const struct cli_command vault_list_command = {
    .name = "vault list",
    .summary = "Lists a user's credentials; never what they say.",
    .options = user_options,
    .n_options = ARRAY_LEN(user_options),
    .run = run_list,
};

static int try_key(struct vault_call *call, struct str service, const json_t *value,
                   struct err *err) {
    struct llm_key_trial trial;
    if (http_client_start(err) < 0) {
        return -(int)err->code;
    }
    int rc = llm_key_try(call->profile, service, value, &trial, err);
    http_client_stop();
    if (rc == 0 && !trial.verified) {
        fprintf(stderr, "The key is stored unverified: %s\n", trial.reason);
    }
    return rc;
}

static int check(struct vault_call *call, struct str service, struct err *err) {
    json_auto_t *value = NULL;
    if (json_read(secret_reveal(call->value), &value, err) < 0) {
        return err_prefix(err, "the value on standard input");
    }
    if (!json_is_object(value)) {
        return err_set(err, ERR_INVALID, "the value on standard input must be a JSON object");
    }
    if (llm_key_check_shape(service, value, true, err) < 0) {
        return -(int)err->code;
    }
    return cli_flag(call->args, "unverified") ? 0 : try_key(call, service, value, err);
}

static int put(struct vault_call *call) {
    const char *scopes = cli_value(call->args, "scopes"),
               *expires = cli_value(call->args, "expires");
    struct err err;
    struct vault_entry entry = {
        .service = str_z(call->args->words[0]), .scopes = str_z(scopes), .actor = STR("cli")};
    if (expires && !clock_parse(str_z(expires), &entry.expires_us)) {
        return cli_usage_error(call->args->command,
                               "--expires is a time such as 2026-01-31T00:00:00Z");
    }
    if (check(call, entry.service, &err) < 0 ||
        vault_put(call->vault, call->user_id, &entry, secret_reveal(call->value), &err) < 0) {
        return fail(&err);
    }
    printf("stored %s of %.*s\n", call->args->words[0], STR_ARG(call->user_id));
    return EXIT_OK;
}

static struct secret *read_value(void) {
    char *bytes;
    struct secret *room cleanup(secret_free_p) = secret_alloc(VAULT_MAX_VALUE_BYTES + 1, &bytes);
    size_t n = 0;
    ssize_t got = 1;
    if (isatty(STDIN_FILENO)) {
        fprintf(stderr, "The value, a JSON object, then Ctrl-D:\n");
    }
    while (got > 0 && n <= VAULT_MAX_VALUE_BYTES) {
        got = read(STDIN_FILENO, bytes + n, VAULT_MAX_VALUE_BYTES + 1 - n);
        n += got > 0 ? (size_t)got : 0;
    }
    return secret_new(str_head(secret_reveal(room), n));
}

static int run_put(const struct cli_args *args) {
    struct secret *value cleanup(secret_free_p) = read_value();
    return run_vault(args, cli_value(args, "user"), value, put);
}

static const struct cli_option put_options[] = {
    CLI_OPTION_HOME,
    {"user", "USER", "whose credential it is [ASSISTANT_USER_ID]"},
    {"scopes", "WORDS", "what it permits, separated by spaces"},
    {"expires", "TIME", "when it ends by itself: 2026-01-31T00:00:00Z"},
    {"unverified", NULL, "do not try a model key at its provider first"},
};

static const struct cli_command vault_put_command = {
    .name = "vault put",
    .summary = "Stores a credential; the value comes from standard input.",
    .words = "SERVICE",
    .details =
        "The value is a JSON object, as {\"api_key\":\"sk-...\",\"preferred_model\":\"...\"} for\n"
        "llm_anthropic and llm_openai. It never stands on the command line, where others see it.",
    .min_words = 1,
    .max_words = 1,
    .options = put_options,
    .n_options = ARRAY_LEN(put_options),
    .run = run_put,
};

static int delete (struct vault_call *call) {
    struct err err;
    if (vault_delete(call->vault, call->user_id, str_z(call->args->words[0]), STR("cli"), &err) <
        0) {
        return fail(&err);
    }
    printf("deleted %s of %.*s\n", call->args->words[0], STR_ARG(call->user_id));
    return EXIT_OK;
}

static int run_delete(const struct cli_args *args) {
    return run_vault(args, cli_value(args, "user"), NULL, delete);
}

static const struct cli_command vault_delete_command = {
    .name = "vault delete",
    .summary = "Forgets a credential.",
    .words = "SERVICE",
    .min_words = 1,
    .max_words = 1,
    .options = user_options,
    .n_options = ARRAY_LEN(user_options),
    .run = run_delete,
};

static const struct cli_command *const commands[] = {
    &vault_status,      &vault_rotate_command, &vault_list_command,
    &vault_put_command, &vault_delete_command, NULL,
};

const struct cli_command cli_vault = {
    .name = "vault",
    .summary = "Keeps users' credentials, and changes the key they are encrypted under.",
    .commands = commands,
};
