/* adjutant keys: who may call. Works on the database, beside a running server. */
#include <string.h>

#include "auth/auth.h"
#include "base/clock.h"
#include "cli/common.h"
#include "store/audit.h"
#include "store/keys.h"

enum { SHOWN_HASH = AUDIT_KEY_PREFIX };

static const struct str actor = {"cli", 3}; /* for the audit trail */

/* One subcommand's work, with the database open. */
struct keys_call {
    const struct cli_args *args;
    int (*work)(struct keys_call *call);
    const struct profile *profile;
    struct db *db;
    struct arena arena;
};

static int on_fiber(void *arg) {
    struct keys_call *call = arg;
    int rc = cli_open_db(call->profile, &call->db);
    if (rc == EXIT_OK) {
        rc = call->work(call);
        db_close(call->db);
    }
    arena_done(&call->arena);
    return rc;
}

static int run_keys(const struct cli_args *args, int (*work)(struct keys_call *call)) {
    struct profile *profile cleanup(cli_profile_free_p) = NULL;
    int rc = cli_load_profile(args, &profile);
    struct keys_call call = {.args = args, .work = work, .profile = profile};
    return rc != EXIT_OK ? rc : cli_on_fiber(on_fiber, &call);
}

/* What the caller named is not there, or means several: wrong words. The rest is the database's. */
static int fail(const struct err *err) {
    bool theirs =
        err->code == ERR_NOT_FOUND || err->code == ERR_CONFLICT || err->code == ERR_INVALID;
    return cli_fail(theirs ? EXIT_FAILED : EXIT_DATABASE, err);
}

/* Servers that share the database forget what they remember of the user's keys. Best effort: it
 * lasts ten seconds anyway. */
static void tell_servers(struct keys_call *call, struct str user_id) {
    struct user_epochs *epochs = user_epochs_new(call->db);
    user_epoch_changed(epochs, user_id);
    user_epochs_free(epochs);
}

static struct key_order order_of(const struct keys_call *call) {
    return (struct key_order){.hash_prefix = str_z(call->args->words[0]), .actor = actor};
}

/* ---- create ---- */

/* An instance that was open asks for keys once it has one. */
static int note_first(struct keys_call *call) {
    struct err err;
    int64_t n;
    if (key_count(call->db, &n, &err) < 0) {
        return fail(&err);
    }
    if (n == 1 && call->profile->system_db_url.n == 0 && !call->profile->api_key) {
        fprintf(stderr, "From now on this instance asks every caller for a key.\n");
    }
    return EXIT_OK;
}

static int create_key(struct keys_call *call) {
    const char *user = cli_value(call->args, "user"), *role = cli_value(call->args, "role"),
               *label = cli_value(call->args, "label");
    char hash[SHA256_HEX + 1];
    struct err err;
    struct secret *key cleanup(secret_free_p) = auth_key_new();
    crypto_sha256_hex(secret_reveal(key), hash);
    const struct key_row row = {
        .key_hash = str_z(hash),
        .user_id = user ? str_z(user) : call->profile->default_user,
        .profile_name = str_z(role ? role : "personal"),
        .label = str_z(label),
        .created_us = clock_now_us(),
        .allow_operator_llm = cli_flag(call->args, "allow-operator-llm"),
    };
    if (key_insert(call->db, &row, actor, &err) < 0) {
        return fail(&err);
    }
    fprintf(stderr, "A key for %.*s, role %.*s. It is shown only now:\n", STR_ARG(row.user_id),
            STR_ARG(row.profile_name));
    printf("%.*s\n", STR_ARG(secret_reveal(key)));
    return note_first(call);
}

static int run_create(const struct cli_args *args) {
    const char *user = cli_value(args, "user"), *role = cli_value(args, "role"),
               *label = cli_value(args, "label");
    enum role parsed;
    if (role && !role_parse(str_z(role), &parsed)) {
        return cli_usage_error(args->command, "--role is personal, admin or cos_internal");
    }
    if ((user && !auth_name_valid(str_z(user))) || (label && !auth_name_valid(str_z(label)))) {
        return cli_usage_error(args->command, "--user and --label are text of 1 to %d bytes",
                               AUTH_MAX_NAME_BYTES);
    }
    return run_keys(args, create_key);
}

static const struct cli_option create_options[] = {
    CLI_OPTION_HOME,
    {"user", "USER", "whose key it is [ASSISTANT_USER_ID]"},
    {"role", "ROLE", "personal, admin or cos_internal [personal]"},
    {"label", "LABEL", "what it is for: laptop, iphone"},
    {"allow-operator-llm", NULL, "its user may use the operator's keys for models"},
};

static const struct cli_command keys_create = {
    .name = "keys create",
    .summary = "Makes a key and prints it, once.",
    .details = "Only the key goes to standard output. The database keeps its SHA-256.",
    .options = create_options,
    .n_options = ARRAY_LEN(create_options),
    .run = run_create,
};

/* ---- list ---- */

static const char *day(int64_t us, char ret[CLOCK_ISO_LEN + 1]) {
    clock_iso(us, ret);
    ret[sizeof "2026-01-01T00:00" - 1] = '\0';
    ret[sizeof "2026-01-01" - 1] = ' ';
    return us ? ret : "never";
}

static int list_keys(struct keys_call *call) {
    struct key_row *rows;
    size_t n;
    struct err err;
    char created[CLOCK_ISO_LEN + 1], used[CLOCK_ISO_LEN + 1];
    if (key_list(call->db, &call->arena, &rows, &n, &err) < 0) {
        return fail(&err);
    }
    printf("%-*s  %-16s %-12s %-18s %-16s %-16s %s\n", SHOWN_HASH, "HASH", "USER", "ROLE", "LABEL",
           "CREATED (UTC)", "LAST USED", "STATE");
    for (size_t i = 0; i < n; i++) {
        const struct key_row *k = &rows[i];
        printf("%.*s  %-16.*s %-12.*s %-18.*s %-16s %-16s %s\n", SHOWN_HASH, k->key_hash.p,
               STR_ARG(k->user_id), STR_ARG(k->profile_name), STR_ARG(k->label),
               day(k->created_us, created), day(k->last_used_us, used),
               k->is_revoked           ? "revoked"
               : k->allow_operator_llm ? "valid, operator's models"
                                       : "valid");
    }
    return EXIT_OK;
}

static int run_list(const struct cli_args *args) {
    return run_keys(args, list_keys);
}

static const struct cli_option home_only[] = {CLI_OPTION_HOME};

static const struct cli_command keys_list = {
    .name = "keys list",
    .summary = "Lists the keys: their hashes, never the keys.",
    .options = home_only,
    .n_options = ARRAY_LEN(home_only),
    .run = run_list,
};

/* ---- revoke, allow-operator-llm ---- */

/* Whoever may run this can also make keys, so the last admin's key is no reason to refuse. */
static int note_last_admin(struct keys_call *call, const struct key_row *revoked) {
    struct err err;
    int64_t n;
    if (!str_eq(revoked->profile_name, STR("admin"))) {
        return EXIT_OK;
    }
    if (key_count_admins(call->db, &n, &err) < 0) {
        return fail(&err);
    }
    if (n == 0) {
        fprintf(stderr, "No key of an admin is left: \"adjutant keys create --role admin\" makes "
                        "one.\n");
    }
    return EXIT_OK;
}

static int revoke_key(struct keys_call *call) {
    struct key_order order = order_of(call);
    struct key_row row;
    struct err err;
    if (key_revoke(call->db, &order, false, &call->arena, &row, &err) < 0) {
        return fail(&err);
    }
    tell_servers(call, row.user_id);
    printf("revoked %.*s of %.*s\n", SHOWN_HASH, row.key_hash.p, STR_ARG(row.user_id));
    return note_last_admin(call, &row);
}

static int run_revoke(const struct cli_args *args) {
    return run_keys(args, revoke_key);
}

static const struct cli_command keys_revoke = {
    .name = "keys revoke",
    .summary = "Makes a key worthless.",
    .words = "HASHPREFIX",
    .details =
        "HASHPREFIX: at least 8 characters of a hash that 'adjutant keys list' shows. A running\n"
        "server stops taking the key at once (PostgreSQL) or within 10 seconds (SQLite).",
    .min_words = 1,
    .max_words = 1,
    .options = home_only,
    .n_options = ARRAY_LEN(home_only),
    .run = run_revoke,
};

static int allow_operator_llm(struct keys_call *call) {
    bool on = strcmp(call->args->words[1], "on") == 0;
    const struct key_change change = {.sets_operator_llm = true, .allow_operator_llm = on};
    struct key_order order = order_of(call);
    struct key_row row;
    struct err err;
    if (key_change(call->db, &order, &change, &call->arena, &row, &err) < 0) {
        return fail(&err);
    }
    tell_servers(call, row.user_id);
    printf("%.*s: %.*s %s the operator's keys for models\n", SHOWN_HASH, row.key_hash.p,
           STR_ARG(row.user_id), on ? "may use" : "may no longer use");
    return EXIT_OK;
}

static int run_allow(const struct cli_args *args) {
    const char *state = args->words[1];
    if (strcmp(state, "on") != 0 && strcmp(state, "off") != 0) {
        return cli_usage_error(args->command, "the second word is on or off");
    }
    return run_keys(args, allow_operator_llm);
}

static const struct cli_command keys_allow = {
    .name = "keys allow-operator-llm",
    .summary = "Says whether a key's user may use the operator's keys for models.",
    .words = "HASHPREFIX on|off",
    .min_words = 2,
    .max_words = 2,
    .options = home_only,
    .n_options = ARRAY_LEN(home_only),
    .run = run_allow,
};

static const struct cli_command *const commands[] = {
    &keys_create, &keys_list, &keys_revoke, &keys_allow, NULL,
};

const struct cli_command cli_keys = {
    .name = "keys",
    .summary = "Makes, lists and revokes the keys of callers.",
    .commands = commands,
};
