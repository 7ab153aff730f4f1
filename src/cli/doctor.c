/* adjutant doctor: looks at everything a server needs, and says what to do where something is
 * missing. Changes nothing. */
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/vault.h"
#include "base/log.h"
#include "cli/common.h"
#include "graph/endpoints.h"
#include "mcp/servers.h"
#include "net/http_client.h"
#include "store/keys.h"
#include "store/migrations.h"
#include "store/role.h"

enum { MIN_OPEN_FILES = 4096, HEALTH_TIMEOUT_MS = 3000, MAX_HEALTH_BYTES = 64 * 1024 };

struct doctor {
    const struct profile *profile;
    struct arena arena;
    int status; /* of the first failure */
};

/* ---- what it says ---- */

static void say(const char *mark, const char *subject, const char *fmt, va_list ap) {
    printf("%-5s %-10s ", mark, subject);
    vprintf(fmt, ap);
    printf("\n");
}

static void printf_like(2, 3) good(const char *subject, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    say("ok", subject, fmt, ap);
    va_end(ap);
}

static void printf_like(2, 3) warn(const char *subject, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    say("warn", subject, fmt, ap);
    va_end(ap);
}

static void printf_like(4, 5)
    bad(struct doctor *d, enum exit_code code, const char *subject, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    say("FAIL", subject, fmt, ap);
    va_end(ap);
    if (d->status == EXIT_OK) {
        d->status = (int)code;
    }
}

static void advise(const char *what) {
    printf("%-16s -> %s\n", "", what);
}

/* ---- the machine ---- */

static void check_home(struct doctor *d) {
    const char *home = d->profile->home.p;
    struct stat st;
    if (stat(home, &st) < 0) {
        bad(d, EXIT_CONFIGURATION, "home", "%s cannot be looked at", home);
    } else if (st.st_mode & 077) {
        warn("home", "%s can be read by others on this machine", home);
        advise("chmod 700 it");
    } else {
        good("home", "%s", home);
    }
}

static void check_limits(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
        return;
    }
    if (limit.rlim_max < MIN_OPEN_FILES) {
        warn("limits", "at most %llu open files: so many clients at most",
             (unsigned long long)limit.rlim_max);
        advise("raise the hard limit (ulimit -Hn, LimitNOFILE= of systemd)");
    } else {
        good("limits", "%llu open files", (unsigned long long)limit.rlim_max);
    }
}

/* ---- the database ---- */

static bool check_schema(struct doctor *d) {
    size_t n;
    int state = 0;
    struct err err;
    const struct db_options options = cli_owner_db(d->profile);
    (void)store_migrations(&n);
    if (db_migration_state(&options, &state, &err) < 0) {
        bad(d, EXIT_DATABASE, "database", "%s", err.msg);
        return false;
    }
    if (state > (int)n) {
        bad(d, EXIT_DATABASE, "schema", "at %d, newer than this program (%zu)", state, n);
        advise("use the newer adjutant that brought it there");
    } else if (state < (int)n && !d->profile->migrate_on_start) {
        bad(d, EXIT_DATABASE, "schema", "at %d of %zu, and ADJUTANT_MIGRATE is false", state, n);
        advise("run 'adjutant migrate'");
    } else if (state < (int)n) {
        warn("schema", "at %d of %zu: the next 'adjutant serve' brings it up to date", state, n);
    } else {
        good("schema", "up to date (%d)", state);
    }
    return state == (int)n;
}

static void check_role(struct doctor *d, struct db *db) {
    struct role_facts facts;
    struct err err;
    if (role_facts_get(db, &facts, &err) < 0) {
        bad(d, EXIT_DATABASE, "role", "%s", err.msg);
    } else if (facts.bypasses || facts.owns_tables) {
        bad(d, EXIT_DATABASE, "role", "%s is not bound by row-level security", STORE_GATEWAY_ROLE);
        advise("ALTER ROLE " STORE_GATEWAY_ROLE " NOSUPERUSER NOBYPASSRLS; it must own no table");
    } else if (facts.login_is_super) {
        warn("role", "%s is bound by row-level security, but the login is a superuser",
             STORE_GATEWAY_ROLE);
        advise("log in as a role that may only SET ROLE " STORE_GATEWAY_ROLE);
    } else {
        good("role", "%s, bound by row-level security", STORE_GATEWAY_ROLE);
    }
}

static void check_keys(struct doctor *d, struct db *db) {
    int64_t n = 0;
    struct err err;
    if (key_count(db, &n, &err) < 0) {
        bad(d, EXIT_DATABASE, "keys", "%s", err.msg);
    } else if (n == 0 && !d->profile->api_key && d->profile->system_db_url.n > 0) {
        warn("keys", "there is none: nobody can call");
        advise("run 'adjutant keys create --role admin --allow-operator-llm'");
    } else if (n == 0 && !d->profile->api_key && !d->profile->loopback_only) {
        bad(d, EXIT_CONFIGURATION, "keys", "there is none, and %.*s is open to others",
            STR_ARG(d->profile->listen));
        advise("set ASSISTANT_API_KEY, run 'adjutant keys create', or listen on 127.0.0.1");
    } else if (n == 0) {
        good("keys", "%s",
             d->profile->api_key ? "ASSISTANT_API_KEY" : "none; open to this machine");
    } else {
        good("keys", "%lld in the table", (long long)n);
    }
}

static void tell_keys_in_use(struct doctor *d, const struct vault_key_use *uses, size_t n) {
    int64_t rows = 0, unreadable = 0;
    for (size_t i = 0; i < n; i++) {
        rows += uses[i].credentials;
        unreadable += uses[i].is_set ? 0 : uses[i].credentials;
    }
    if (unreadable > 0) {
        bad(d, EXIT_CONFIGURATION, "vault",
            "%lld of %lld credentials were stored under keys that are not set here",
            (long long)unreadable, (long long)rows);
        advise("set the keys in CREDENTIALS_ENCRYPTION_KEY and CREDENTIALS_ENCRYPTION_KEY_OLD");
    } else {
        good("vault", "%lld credentials, their keys are set", (long long)rows);
    }
}

static void check_vault(struct doctor *d, struct db *db) {
    const struct profile *p = d->profile;
    bool local = p->system_db_url.n == 0 && !p->credentials_key;
    struct user_epochs *epochs = user_epochs_new(db);
    struct vault *vault = NULL;
    struct vault_key_use *uses;
    struct err err;
    size_t n;
    if (local && access(p->credentials_key_path.p, F_OK) < 0) {
        good("vault", "its key file %s is made at the first start", p->credentials_key_path.p);
    } else if (vault_open(p, db, epochs, &vault, &err) < 0) {
        bad(d, EXIT_CONFIGURATION, "vault", "%s", err.msg);
    } else if (vault_keys_in_use(vault, &d->arena, &uses, &n, &err) < 0) {
        bad(d, EXIT_DATABASE, "vault", "%s", err.msg);
    } else {
        tell_keys_in_use(d, uses, n);
    }
    vault_close(vault);
    user_epochs_free(epochs);
}

static void check_database(struct doctor *d) {
    const struct profile *p = d->profile;
    bool postgres = p->system_db_url.n > 0;
    struct db *db = NULL;
    struct err err;
    if (!check_schema(d)) {
        return;
    }
    const struct db_options options = cli_gateway_db(p);
    if (db_open(&options, &db, &err) < 0) {
        bad(d, EXIT_DATABASE, "database", "%s", err.msg);
        if (postgres) {
            advise("the login must be allowed to SET ROLE " STORE_GATEWAY_ROLE
                   ": GRANT " STORE_GATEWAY_ROLE " TO the login's role");
        }
        return;
    }
    good("database", "%s", postgres ? "PostgreSQL, reachable" : p->sqlite_path.p);
    if (postgres) {
        check_role(d, db);
    }
    check_keys(d, db);
    check_vault(d, db);
    db_close(db);
}

/* ---- the provider ---- */

static void check_provider(struct doctor *d) {
    const struct endpoints_request asker = {.profile = d->profile, .allow_operator_llm = true};
    struct endpoints endpoints cleanup(endpoints_done) = {0};
    struct err err;
    if (!d->profile->llm_configured || endpoints_resolve(&asker, &endpoints, &err) < 0) {
        warn("model", "no provider is configured: nobody can chat");
        advise("set ANTHROPIC_API_KEY, OPENAI_API_KEY or OLLAMA_BASE_URL; or try 'make demo'");
        return;
    }
    for (size_t i = 0; i < endpoints.n; i++) {
        const struct llm_endpoint *e = &endpoints.list[i];
        const char *label = llm_provider_label(e->provider);
        if (llm_check(e, &err) < 0) {
            bad(d, err.code == ERR_UNAUTHORIZED ? EXIT_DENIED : EXIT_UNREACHABLE, "model",
                "%.*s of %s: %s", STR_ARG(e->model), label, err.msg);
        } else {
            good("model", "%.*s of %s answers", STR_ARG(e->model), label);
        }
    }
}

/* ---- MCP servers ---- */

/* Whether they answer is each user's to see: GET /api/connections. */
static void check_servers(struct doctor *d) {
    struct servers *servers = NULL;
    struct err err;
    struct stat st;
    const char *path = d->profile->mcp_config.p;
    if (servers_load(d->profile, &servers, &err) < 0) {
        bad(d, EXIT_CONFIGURATION, "tools", "%s", err.msg);
        return;
    }
    if (servers->preconfigured) {
        good("tools", "no mcp.json; the %zu standard servers are used where they are reachable",
             servers->n);
    } else if (stat(path, &st) == 0 && (st.st_mode & S_IROTH)) {
        warn("tools", "%s can be read by others on this machine", path);
        advise("chmod 600 it when keys stand in it; or write ${NAME} for them");
    } else {
        good("tools", "%zu servers in %s", servers->n, path);
    }
    servers_unref(servers);
}

/* ---- the address ---- */

static void tell_server(struct doctor *d, int status, struct str body) {
    json_auto_t *health = NULL;
    struct err err;
    struct str listen = d->profile->listen;
    struct str version =
        json_read(body, &health, &err) < 0 ? (struct str){0} : json_str(health, "version");
    if (!version.p) {
        bad(d, EXIT_FAILED, "address", "something else than adjutant answers on %.*s",
            STR_ARG(listen));
        advise("choose another one with --listen or ADJUTANT_LISTEN");
    } else if (status != 200) {
        bad(d, EXIT_FAILED, "address", "the server on %.*s is not well: %.*s", STR_ARG(listen),
            STR_ARG(json_str(health, "status")));
        advise("see its log");
    } else {
        good("address", "a server answers on %.*s (version %.*s)", STR_ARG(listen),
             STR_ARG(version));
    }
}

static void check_address(struct doctor *d) {
    struct strbuf body cleanup(strbuf_done) = STRBUF(MAX_HEALTH_BYTES);
    struct str listen = d->profile->listen;
    struct err err;
    int status = 0;
    if (str_ends(listen, STR(":0"))) {
        good("address", "%.*s: a free port is picked at the start", STR_ARG(listen));
        return;
    }
    struct str url = arena_printf(&d->arena, "http://%.*s/api/health", STR_ARG(listen));
    const struct http_call call = {.url = url.p,
                                   .connect_timeout_ms = HEALTH_TIMEOUT_MS,
                                   .idle_timeout_ms = HEALTH_TIMEOUT_MS,
                                   .total_timeout_ms = HEALTH_TIMEOUT_MS};
    int rc = http_fetch(&call, MAX_HEALTH_BYTES, &status, &body, &err);
    if (rc == -ERR_UNAVAILABLE) {
        good("address", "%.*s is free; no server runs there", STR_ARG(listen));
    } else if (rc < 0) {
        bad(d, EXIT_FAILED, "address", "something else than adjutant holds %.*s: %s",
            STR_ARG(listen), err.msg);
        advise("choose another one with --listen or ADJUTANT_LISTEN");
    } else {
        tell_server(d, status, strbuf_str(&body));
    }
}

static int on_fiber(void *arg) {
    struct doctor *d = arg;
    struct err err;
    if (http_client_start(&err) < 0) {
        return cli_fail(EXIT_FAILED, &err);
    }
    good("settings", "profile %.*s", STR_ARG(d->profile->name));
    check_home(d);
    check_limits();
    check_database(d);
    check_provider(d);
    check_servers(d);
    check_address(d);
    http_client_stop();
    arena_done(&d->arena);
    return d->status;
}

static int run(const struct cli_args *args) {
    struct profile *profile cleanup(cli_profile_free_p) = NULL;
    int rc = cli_load_profile(args, &profile);
    if (rc != EXIT_OK) {
        return rc;
    }
    log_set_level(LOG_ERROR); /* what is wrong stands in its own lines */
    return cli_on_fiber(on_fiber, &(struct doctor){.profile = profile});
}

static const struct cli_option options[] = {
    CLI_OPTION_HOME,
    {"listen", "ADDRESS", "the address to look at"},
};

const struct cli_command cli_doctor = {
    .name = "doctor",
    .summary = "Checks the settings, the database, credentials, mcp.json, the model, the address.",
    .details = "Each line begins with ok, warn or FAIL; what to do stands below. Asks the model's\n"
               "provider one cheap question. Works beside a running server and without one.",
    .lists_settings = true,
    .options = options,
    .n_options = ARRAY_LEN(options),
    .run = run,
};
