/* adjutant serve: puts the house together, from the database up to the socket, waits for a signal,
 * and takes it apart again. */
#include <inttypes.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "api/gateway.h"
#include "api/mcp.h"
#include "base/clock.h"
#include "base/log.h"
#include "cli/banner.h"
#include "cli/common.h"
#include "cli/instance.h"
#include "cli/trim.h"
#include "net/http_client.h"
#include "tool/toolset.h"

enum {
    STOP_GRACE_MS = 8000, /* below the 10 s after which container runtimes kill */
    MAX_OPEN_FILES = 1 << 18,
    MAX_CONNECTIONS = 12000,
    TRIM_EVERY_MS = 10 * 1000,
};

struct cli_web cli_web;

struct serve {
    struct profile *profile;
    bool reuse_port;
    struct instance instance;
    struct db *db;
    struct auth *auth;
    struct user_epochs *epochs;
    struct vault *vault;
    struct user_profiles *user_profiles;
    struct authorizers *authorizers;
    struct bridges *bridges;
    struct runs *runs;
    struct feed *feed;
    struct tool_registry *tools;
    struct toolbox *toolbox;
    struct turn_engine *engine;
    struct gateway gateway;
    struct http_server *server;
    bool has_client;

    uv_signal_t signals[2];
    struct fiber *main;
    struct fiber_cond asked;
    bool serving, stopping;
};

/* ---- signals ---- */

static void on_signal(uv_signal_t *handle, int number) {
    struct serve *s = handle->data;
    if (s->stopping) {
        _exit(128 + number); /* the second one: whoever sent it does not want to wait */
    }
    s->stopping = true;
    if (s->serving) {
        fiber_signal(&s->asked);
    } else {
        fiber_cancel(s->main);
    }
}

static void watch_signals(struct serve *s) {
    static const int numbers[] = {SIGTERM, SIGINT};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        uv_signal_init(fiber_loop(), &s->signals[i]);
        s->signals[i].data = s;
        uv_signal_start(&s->signals[i], on_signal, numbers[i]);
    }
}

static void unwatch_signals(struct serve *s) {
    for (size_t i = 0; i < ARRAY_LEN(s->signals); i++) {
        uv_close((uv_handle_t *)&s->signals[i], NULL);
    }
}

/* ---- up ---- */

static int start_bridges(struct serve *s, struct err *err) {
    const struct bridges_options options = {.profile = s->profile,
                                            .db = s->db,
                                            .vault = s->vault,
                                            .epochs = s->epochs,
                                            .feed = s->feed,
                                            .authorizers = s->authorizers};
    return bridges_new(&options, &s->bridges, err) < 0 ? -(int)err->code
                                                       : bridges_start(s->bridges, err);
}

static int start_turns(struct serve *s, struct err *err) {
    struct str id = id_str(&s->instance.id);
    s->runs = runs_new(s->db, id);
    if (runs_start(s->runs, err) < 0) {
        return -(int)err->code;
    }
    if (s->instance.previous.z[0] && lease_drop(s->db, id_str(&s->instance.previous), err) < 0) {
        return -(int)err->code;
    }
    s->tools = tool_registry_new();
    tool_register_builtins(s->tools);
    s->toolbox = toolbox_new(&(struct toolbox_options){
        .registry = s->tools, .bridges = s->bridges, .db = s->db, .epochs = s->epochs});
    s->engine = turn_engine_new(&(struct turn_engine_options){.profile = s->profile,
                                                              .db = s->db,
                                                              .runs = s->runs,
                                                              .feed = s->feed,
                                                              .toolbox = s->toolbox,
                                                              .bridges = s->bridges,
                                                              .epochs = s->epochs,
                                                              .vault = s->vault,
                                                              .user_profiles = s->user_profiles,
                                                              .process_id = id});
    return turn_engine_start(s->engine, err);
}

/* Clients get half of the descriptors, so that however many come, turns still reach their models.
 */
static unsigned max_connections(void) {
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0
               ? (unsigned)MIN(limit.rlim_cur / 2, (rlim_t)MAX_CONNECTIONS)
               : MAX_CONNECTIONS;
}

static int start_http(struct serve *s, struct err *err) {
    s->gateway = (struct gateway){.profile = s->profile,
                                  .db = s->db,
                                  .auth = s->auth,
                                  .epochs = s->epochs,
                                  .vault = s->vault,
                                  .user_profiles = s->user_profiles,
                                  .authorizers = s->authorizers,
                                  .bridges = s->bridges,
                                  .toolbox = s->toolbox,
                                  .runs = s->runs,
                                  .feed = s->feed,
                                  .engine = s->engine,
                                  .tools = s->tools,
                                  .version = ADJUTANT_VERSION,
                                  .web_files = cli_web.files,
                                  .n_web_files = cli_web.n_files};
    gateway_init(&s->gateway);
    if (mcp_face_new(&s->gateway, &s->gateway.mcp, err) < 0) {
        return -(int)err->code;
    }
    const struct http_server_options options = {.address = s->profile->listen.p,
                                                .reuse_port = s->reuse_port,
                                                .max_connections = max_connections(),
                                                .handler = api_handle,
                                                .on_done = api_on_done,
                                                .write_error = api_write_error,
                                                .context = &s->gateway};
    if (http_server_start(&options, &s->server, err) < 0) {
        return -(int)err->code;
    }
    s->gateway.server = s->server;
    return 0;
}

/* Each step says what is wrong itself, as the exit status tells which one it was. */
static int start(struct serve *s) {
    struct err err;
    int rc = cli_open_db(s->profile, &s->db);
    if (rc != EXIT_OK) {
        return rc;
    }
    if (auth_new(s->profile, s->db, &s->auth, &err) < 0) {
        return cli_fail(EXIT_CONFIGURATION, &err);
    }
    if (auth_seed(s->auth, &err) < 0) {
        return cli_fail(err.code == ERR_INVALID ? EXIT_CONFIGURATION : EXIT_DATABASE, &err);
    }
    s->epochs = user_epochs_new(s->db);
    if (user_epochs_start(s->epochs, &err) < 0) {
        return cli_fail(EXIT_DATABASE, &err);
    }
    auth_use_epochs(s->auth, s->epochs);
    s->user_profiles = user_profiles_new(s->db, s->epochs);
    if (vault_open(s->profile, s->db, s->epochs, &s->vault, &err) < 0) {
        return cli_fail(EXIT_CONFIGURATION, &err);
    }
    if (http_client_start(&err) < 0) {
        return cli_fail(EXIT_FAILED, &err);
    }
    s->has_client = true;
    s->feed = feed_new(s->db);
    if (feed_start(s->feed, &err) < 0) {
        return cli_fail(EXIT_DATABASE, &err);
    }
    s->authorizers =
        authorizers_new(&(struct authorizers_options){.vault = s->vault,
                                                      .epochs = s->epochs,
                                                      .feed = s->feed,
                                                      .db = s->db,
                                                      .public_url = s->profile->public_url});
    if (start_bridges(s, &err) < 0) {
        return cli_fail(EXIT_CONFIGURATION, &err);
    }
    if (start_turns(s, &err) < 0) {
        return cli_fail(EXIT_DATABASE, &err);
    }
    if (start_http(s, &err) < 0) {
        return cli_fail(EXIT_FAILED, &err);
    }
    return EXIT_OK;
}

/* ---- down: in the opposite order, as far as it came up ---- */

static void stop(struct serve *s) {
    int64_t end_us = clock_mono_us() + STOP_GRACE_MS * INT64_C(1000);
    mcp_face_stop(s->gateway.mcp);
    if (s->server) {
        http_server_stop(s->server, STOP_GRACE_MS / 2);
    }
    if (s->gateway.metrics) {
        gateway_stop(&s->gateway);
    }
    if (s->engine) {
        turn_engine_stop(s->engine, MAX(0, (end_us - clock_mono_us()) / 1000));
        turn_engine_free(s->engine);
    }
    toolbox_free(s->toolbox);
    tool_registry_free(s->tools);
    if (s->runs) {
        runs_stop(s->runs);
        runs_free(s->runs);
    }
    http_server_free(s->server);
    mcp_face_free(s->gateway.mcp);
    gateway_done(&s->gateway);
    if (s->bridges) {
        bridges_stop(s->bridges);
        bridges_free(s->bridges);
    }
    authorizers_free(s->authorizers);
    feed_stop(s->feed);
    feed_free(s->feed);
    if (s->has_client) {
        http_client_stop();
    }
    vault_close(s->vault);
    user_profiles_free(s->user_profiles);
    user_epochs_free(s->epochs);
    auth_free(s->auth);
    db_close(s->db);
}

static int on_fiber(void *arg) {
    struct serve *s = arg;
    s->main = fiber_self();
    fiber_cond_init(&s->asked);
    watch_signals(s);
    int rc = start(s);
    if (rc == EXIT_OK) {
        s->serving = true;
        banner_print(s->profile, db_backend(s->db), auth_mode(s->auth),
                     http_server_address(s->server));
        struct trim trim = {0};
        while (!s->stopping) {
            if (fiber_wait(&s->asked, TRIM_EVERY_MS) == -ERR_TIMEOUT) {
                trim_look(&trim);
            }
        }
        log_info("serve", "stopping; a second signal ends the process at once");
    }
    fiber_shield_enter(); /* a signal in the middle of the start has cancelled this fiber */
    stop(s);
    fiber_shield_leave();
    unwatch_signals(s);
    return rc != EXIT_OK && s->stopping ? EXIT_INTERRUPTED : rc;
}

/* ---- before the loop ---- */

static void raise_open_files(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = MIN(limit.rlim_max, (rlim_t)MAX_OPEN_FILES);
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int run(const struct cli_args *args) {
    struct profile *profile cleanup(cli_profile_free_p) = NULL;
    struct err err;
    int rc = cli_load_profile(args, &profile);
    if (rc != EXIT_OK) {
        return rc;
    }
    struct serve s = {.profile = profile, .reuse_port = cli_flag(args, "reuse-port")};
    if (instance_open(&s.instance, profile->home, profile->system_db_url.n == 0, &err) < 0) {
        return cli_fail(EXIT_CONFIGURATION, &err);
    }
    raise_open_files();
    /* Of libuv's pool: names to resolve, and what would block the loop. The default of 4 would let
     * four slow name servers hold up everything else. */
    setenv("UV_THREADPOOL_SIZE", "8", false);
    rc = cli_on_fiber(on_fiber, &s);
    instance_close(&s.instance);
    return rc;
}

static const struct cli_option options[] = {
    CLI_OPTION_HOME,
    {"listen", "ADDRESS", "where to serve [127.0.0.1:8080]; port 0 picks one"},
    {"reuse-port", NULL, "share the address with other processes (PostgreSQL)"},
};

const struct cli_command cli_serve = {
    .name = "serve",
    .summary = "Runs the server.",
    .details =
        "Without any setting it keeps its data in SQLite under the home folder and is open to "
        "this\n"
        "machine only. SIGTERM and SIGINT end it in order: running answers get some seconds, what\n"
        "is not finished goes on at the next start. A second signal ends it at once; nothing is\n"
        "lost then either.",
    .lists_settings = true,
    .options = options,
    .n_options = ARRAY_LEN(options),
    .run = run,
};
