/* What a user's bridge to MCP servers costs, without the program around it. HOME's mcp.json names
 * the servers. A report is one line of JSON.
 *
 *     bench_bridge HOME calls SERVER TOOL N   a call through the bridge, and the same request made
 *                                             with bare libcurl, in turn: microseconds
 *     bench_bridge HOME list SERVER N         N users list the server: CPU microseconds of each
 *     bench_bridge HOME idle SERVER N         memory (PSS) of N users' idle bridges */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "db/migrate.h"
#include "mcp/bridge.h"
#include "net/http_client.h"
#include "store/migrations.h"
#include "tool/toolset.h"

enum { WARM_CALLS = 200, LIST_MS = 30000, SETTLE_MS = 1500 };

struct bench {
    const char *home, *what, *server, *tool;
    unsigned n;
    struct profile *profile;
    struct db *db;
    struct user_epochs *epochs;
    struct vault *vault;
    struct bridges *bridges;
    struct tool_registry *registry;
    struct toolbox *toolbox;
};

static void fail(const char *what, const struct err *err) {
    fprintf(stderr, "%s: %s\n", what, err->msg);
    exit(1);
}

/* ---- instruments ---- */

/* Of this thread, in which the loop runs, and of its workers. */
static int64_t cpu_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static long pss_kib(void) {
    char line[256];
    long kib = 0;
    FILE *f = fopen("/proc/self/smaps_rollup", "r");
    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "Pss: %ld", &kib) == 1) {
            break;
        }
    }
    if (f) {
        fclose(f);
    }
    return kib;
}

static int by_value(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void print_quantiles(const char *name, int64_t *values, unsigned n) {
    qsort(values, n, sizeof *values, by_value);
    printf("\"%s\":{\"p50\":%lld,\"p90\":%lld,\"p99\":%lld}", name, (long long)values[n / 2],
           (long long)values[n * 9 / 10], (long long)values[n * 99 / 100]);
}

/* ---- the stage ---- */

static void open_all(struct bench *b) {
    struct err err;
    struct db_options options = {0};
    int applied;
    size_t n;
    const struct migration *migrations = store_migrations(&n);
    if (profile_load(b->home, "127.0.0.1:0", &b->profile, &err) < 0) {
        fail("profile", &err);
    }
    options.sqlite_path = b->profile->sqlite_path.p;
    if (db_migrate(&options, migrations, n, &applied, &err) < 0 ||
        db_open(&options, &b->db, &err) < 0) {
        fail("database", &err);
    }
    b->epochs = user_epochs_new(b->db);
    if (user_epochs_start(b->epochs, &err) < 0 ||
        vault_open(b->profile, b->db, b->epochs, &b->vault, &err) < 0 ||
        http_client_start(&err) < 0) {
        fail("start", &err);
    }
    const struct bridges_options bridges = {
        .profile = b->profile, .db = b->db, .vault = b->vault, .epochs = b->epochs};
    if (bridges_new(&bridges, &b->bridges, &err) < 0 || bridges_start(b->bridges, &err) < 0) {
        fail("bridges", &err);
    }
    b->registry = tool_registry_new();
    b->toolbox = toolbox_new(&(struct toolbox_options){
        .registry = b->registry, .bridges = b->bridges, .db = b->db, .epochs = b->epochs});
}

static void close_all(struct bench *b) {
    bridges_stop(b->bridges);
    toolbox_free(b->toolbox);
    tool_registry_free(b->registry);
    bridges_free(b->bridges);
    http_client_stop();
    vault_close(b->vault);
    user_epochs_free(b->epochs);
    db_close(b->db);
    profile_free(b->profile);
}

/* Opens the user's tools as a turn does; how many the model is shown. */
static size_t list_tools(struct bench *b, struct str user) {
    struct toolset_options options = {.user_id = user, .wait_ms = LIST_MS};
    struct toolset *set;
    const struct llm_tool *specs;
    struct err err;
    if (toolset_open(b->toolbox, &options, &set, &err) < 0) {
        fail("tools", &err);
    }
    size_t n = toolset_specs(set, &specs);
    toolset_close(set);
    return n;
}

static size_t known_tools(struct bench *b, struct str user) {
    struct bridge_view view = {0};
    struct err err;
    size_t n = 0;
    if (bridge_view_open(b->bridges, user, LIST_MS, &view, &err) < 0) {
        fail("view", &err);
    }
    for (size_t i = 0; i < view.n; i++) {
        if (str_eq(view.servers[i].name, str_z(b->server))) {
            n = view.servers[i].tools ? view.servers[i].tools->n : 0;
            if (n == 0) {
                fprintf(stderr, "%s: %.*s\n", b->server, STR_ARG(view.servers[i].error));
            }
        }
    }
    bridge_view_done(&view);
    return n;
}

/* ---- calls ---- */

/* The same request, without any of us: one connection that is kept. */
struct bare {
    CURL *easy;
    struct curl_slist *fields;
    struct strbuf body;
    size_t received;
};

static size_t on_bytes(char *bytes, size_t size, size_t n, void *arg) {
    struct bare *b = arg;
    (void)bytes;
    b->received += size * n;
    return size * n;
}

static void bare_open(struct bare *b, const char *url, const char *tool) {
    char field[256];
    b->easy = curl_easy_init();
    b->body = STRBUF(4096);
    strbuf_addf(&b->body,
                "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/call\",\"params\":{\"name\":"
                "\"%s\",\"arguments\":{},\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":"
                "\"2026-07-28\",\"io.modelcontextprotocol/clientCapabilities\":{},"
                "\"io.modelcontextprotocol/clientInfo\":{\"name\":\"bare\",\"version\":\"1\"},"
                "\"progressToken\":\"p-1\"}}}",
                tool);
    b->fields = curl_slist_append(NULL, "Content-Type: application/json");
    b->fields = curl_slist_append(b->fields, "Accept: application/json, text/event-stream");
    b->fields = curl_slist_append(b->fields, "MCP-Protocol-Version: 2026-07-28");
    b->fields = curl_slist_append(b->fields, "Mcp-Method: tools/call");
    snprintf(field, sizeof field, "Mcp-Name: %s", tool);
    b->fields = curl_slist_append(b->fields, field);
    curl_easy_setopt(b->easy, CURLOPT_URL, url);
    curl_easy_setopt(b->easy, CURLOPT_HTTPHEADER, b->fields);
    curl_easy_setopt(b->easy, CURLOPT_POSTFIELDS, strbuf_z(&b->body));
    curl_easy_setopt(b->easy, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(b->easy, CURLOPT_WRITEDATA, b);
}

static int64_t bare_call(struct bare *b) {
    int64_t begun_us = clock_mono_us();
    long status = 0;
    b->received = 0;
    CURLcode code = curl_easy_perform(b->easy);
    curl_easy_getinfo(b->easy, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK || status != 200 || b->received == 0) {
        fprintf(stderr, "bare call: %s, status %ld\n", curl_easy_strerror(code), status);
        exit(1);
    }
    return clock_mono_us() - begun_us;
}

static void bare_close(struct bare *b) {
    curl_slist_free_all(b->fields);
    curl_easy_cleanup(b->easy);
    strbuf_done(&b->body);
}

static int64_t bridged_call(struct bench *b, struct str user) {
    struct arena arena cleanup(arena_done) = {0};
    struct mcp_call call = {.tool = str_z(b->tool),
                            .arguments = STR("{}"),
                            .idempotency_key = STR("bench/1-0"),
                            .repeatable = true};
    struct mcp_call_result result;
    struct err err;
    int64_t begun_us = clock_mono_us();
    if (bridge_call(b->bridges, user, str_z(b->server), &call, &arena, &result, &err) < 0) {
        fail("call", &err);
    }
    if (result.is_error) {
        fprintf(stderr, "call: %.*s\n", STR_ARG(result.json));
        exit(1);
    }
    return clock_mono_us() - begun_us;
}

static void bench_calls(struct bench *b) {
    int64_t *ours = mem_alloc(b->n * sizeof *ours), *bare = mem_alloc(b->n * sizeof *bare);
    const struct server *server = servers_find(bridges_servers(b->bridges), str_z(b->server));
    struct str user = STR("user-0001");
    struct bare curl = {0};
    known_tools(b, user);
    bare_open(&curl, server->url.p, b->tool);
    for (unsigned i = 0; i < WARM_CALLS; i++) {
        bare_call(&curl);
        bridged_call(b, user);
    }
    int64_t cpu = cpu_us(), bare_cpu = 0;
    for (unsigned i = 0; i < b->n; i++) {
        int64_t before = cpu_us();
        bare[i] = bare_call(&curl);
        bare_cpu += cpu_us() - before;
        ours[i] = bridged_call(b, user);
    }
    cpu = cpu_us() - cpu - bare_cpu;
    printf("{\"n\":%u,", b->n);
    print_quantiles("bridge_us", ours, b->n);
    printf(",");
    print_quantiles("bare_us", bare, b->n);
    printf(",\"overhead_us\":%lld,\"bridge_cpu_us\":%lld,\"bare_cpu_us\":%lld}\n",
           (long long)(ours[b->n / 2] - bare[b->n / 2]), (long long)(cpu / b->n),
           (long long)(bare_cpu / b->n));
    bare_close(&curl);
    mem_free(ours);
    mem_free(bare);
}

/* ---- lists and idle bridges ---- */

static struct str user_name(char buffer[32], unsigned i) {
    int n = snprintf(buffer, 32, "user-%04u", i);
    return (struct str){buffer, (size_t)n};
}

static void bench_list(struct bench *b) {
    int64_t *lists = mem_alloc(b->n * sizeof *lists), *sets = mem_alloc(b->n * sizeof *sets);
    int64_t first_list = 0, first_set = 0;
    size_t tools = 0, shown = 0;
    for (unsigned i = 0; i < b->n; i++) {
        char name[32];
        int64_t begun = cpu_us();
        tools = known_tools(b, user_name(name, i));
        lists[i] = cpu_us() - begun;
        begun = cpu_us();
        shown = list_tools(b, user_name(name, i));
        sets[i] = cpu_us() - begun;
        first_list = i == 0 ? lists[0] : first_list; /* quantiles sort them */
        first_set = i == 0 ? sets[0] : first_set;
    }
    printf("{\"n\":%u,\"tools\":%zu,\"shown\":%zu,\"first_list_cpu_us\":%lld,"
           "\"first_toolset_cpu_us\":%lld,",
           b->n, tools, shown, (long long)first_list, (long long)first_set);
    print_quantiles("list_cpu_us", lists, b->n);
    printf(",");
    print_quantiles("toolset_cpu_us", sets, b->n);
    printf(",\"list_bytes\":%zu}\n", bridges_stats(b->bridges).list_bytes);
    mem_free(lists);
    mem_free(sets);
}

static void bench_idle(struct bench *b) {
    char name[32];
    known_tools(b, STR("the-first"));
    (void)fiber_sleep(SETTLE_MS);
    long before = pss_kib();
    for (unsigned i = 0; i < b->n; i++) {
        known_tools(b, user_name(name, i));
    }
    (void)fiber_sleep(SETTLE_MS);
    long after = pss_kib();
    struct bridges_stats stats = bridges_stats(b->bridges);
    int64_t cpu = cpu_us();
    (void)fiber_sleep(2 * SETTLE_MS);
    printf("{\"n\":%u,\"bridges\":%u,\"connections\":%u,\"bytes_each\":%lld,\"idle_cpu_us\":%lld}"
           "\n",
           b->n, stats.bridges, stats.connections,
           (long long)(after - before) * 1024 / (long long)MAX(b->n, 1U),
           (long long)(cpu_us() - cpu));
}

static void run(void *arg) {
    struct bench *b = arg;
    open_all(b);
    if (strcmp(b->what, "calls") == 0) {
        bench_calls(b);
    } else if (strcmp(b->what, "list") == 0) {
        bench_list(b);
    } else {
        bench_idle(b);
    }
    close_all(b);
}

int main(int argc, char **argv) {
    struct bench bench = {0};
    struct fiber_options options = {0};
    struct fiber_scope scope;
    struct err err;
    uv_loop_t loop;
    bool calls = argc == 6 && strcmp(argv[2], "calls") == 0;
    if (!calls && (argc != 5 || (strcmp(argv[2], "list") != 0 && strcmp(argv[2], "idle") != 0))) {
        fprintf(stderr, "usage: %s HOME calls SERVER TOOL N | list SERVER N | idle SERVER N\n",
                argv[0]);
        return 64;
    }
    bench.home = argv[1];
    bench.what = argv[2];
    bench.server = argv[3];
    bench.tool = calls ? argv[4] : NULL;
    bench.n = (unsigned)MAX(1, atoi(argv[argc - 1]));
    uv_loop_init(&loop);
    fiber_runtime_start(&loop, &options);
    fiber_scope_init(&scope);
    if (fiber_spawn(&scope, "bench", run, &bench, NULL, &err) < 0) {
        fail("spawn", &err);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    fiber_runtime_stop();
    uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop);
}
