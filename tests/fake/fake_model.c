/* The fake model's program: options, routes, start and stop. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "fake.h"

static const char usage[] =
    "usage: fake_model [--listen 127.0.0.1:PORT] [--port-file FILE] [--key KEY] [--delay MS]\n"
    "                  [--scenes FILE]\n"
    "\n"
    "Speaks the wire formats of Anthropic (/v1/messages), OpenAI (/v1/chat/completions) and\n"
    "Ollama (/api/chat). What it answers stands in square brackets in the last user message, for\n"
    "instance \"[tokens 200] [delay 50] [tool current_time {}]\".\n"
    "\n"
    "  --port-file FILE  write the port it listens on\n"
    "  --key KEY         demand this API key; KEY* any that begins so\n"
    "  --delay MS        between tokens, where the message says nothing\n"
    "  --scenes FILE     what to do when a message has a phrase: lines \"=== phrase\", each with\n"
    "                    directives behind it\n"
    "\n"
    "GET /v1/models and GET /api/tags list models; under a base URL that ends in /lists/HOW "
    "(models.c)\n"
    "as one may meet them.\n"
    "\n"
    "GET /requests?last=N shows what arrived, DELETE /requests forgets it; POST /effect counts by\n"
    "Idempotency-Key, GET /effects shows the counts. The model names bench-N and bench-N-Pms give\n"
    "N tokens at once, or one every P ms.\n";

enum { MAX_SCENES_BYTES = 1 << 20 };

struct options {
    const char *listen, *port_file, *key, *scenes;
    int64_t delay_ms;
};

struct program {
    struct options options;
    struct fake_model model;
    struct http_server *server;
    struct fiber_cond stop;
    uv_signal_t signals[2];
    int result;
};

/* ---- routes ---- */

static void serve_requests(struct fake_model *m, struct http_request *r) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(FAKE_MAX_BODY_BYTES * 4);
    struct strbuf last cleanup(strbuf_done) = STRBUF(32);
    int64_t n = 50;
    if (str_eq(http_method(r), STR("DELETE"))) {
        fake_log_clear(m->log);
    }
    if (http_query_param(r, "last", &last)) {
        (void)str_to_i64(strbuf_str(&last), &n);
    }
    fake_log_write(m->log, (size_t)MAX(n, 0), &out);
    (void)fake_respond(r, 200, "application/json", strbuf_str(&out), -1);
}

/* A side effect that must not happen twice. */
static void serve_effect(struct fake_model *m, struct http_request *r) {
    struct str key = http_header(r, "idempotency-key");
    intptr_t n = (intptr_t)map_get(&m->effects, key) + 1;
    char text[32];
    map_put(&m->effects, key, (void *)n);
    snprintf(text, sizeof text, "%ld", (long)n);
    (void)fake_respond(r, 200, "text/plain", str_z(text), -1);
}

static void write_effect(struct str key, void *value, void *arg) {
    struct jsonw *w = arg;
    jsonw_object(w);
    jsonw_kstr(w, "key", key);
    jsonw_kint(w, "count", (intptr_t)value);
    jsonw_end_object(w);
}

static void serve_effects(struct fake_model *m, struct http_request *r) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(FAKE_MAX_BODY_BYTES);
    struct jsonw w = jsonw_begin(&out);
    jsonw_array(&w);
    map_each(&m->effects, write_effect, &w);
    jsonw_end_array(&w);
    (void)fake_respond(r, 200, "application/json", strbuf_str(&out), -1);
}

/* "/lists/<how>" may stand before everything. */
static struct str cut_how(struct str *path) {
    static const struct str prefix = {"/lists/", 7};
    if (!str_starts(*path, prefix)) {
        return STR_EMPTY;
    }
    struct str rest = str_skip(*path, prefix.n), how = rest;
    how = str_cut(&rest, '/');
    *path = str_skip(*path, prefix.n + how.n);
    return how;
}

static bool serve_models(struct fake_model *m, struct http_request *r, struct str path,
                         struct str how) {
    const struct fake_wire *wire = str_eq(path, STR("/api/tags"))          ? &fake_ollama
                                   : !str_eq(path, STR("/v1/models"))      ? NULL
                                   : http_header(r, "anthropic-version").n ? &fake_anthropic
                                                                           : &fake_openai;
    if (wire) {
        fake_entry_status(fake_log_add(m->log, r, STR_EMPTY), 200);
        fake_models(r, wire, how, str_z(m->key ? m->key : ""));
    }
    return wire != NULL;
}

static void handle(struct http_request *r, void *context) {
    static const struct fake_wire *const wires[] = {&fake_anthropic, &fake_openai, &fake_ollama};
    struct fake_model *m = context;
    struct str path = http_path(r), how = cut_how(&path);
    bool post = str_eq(http_method(r), STR("POST"));
    for (size_t i = 0; i < ARRAY_LEN(wires); i++) {
        if (post && str_eq(path, str_z(wires[i]->path))) {
            fake_serve(m, wires[i], r);
            return;
        }
    }
    if (!post && serve_models(m, r, path, how)) {
        return;
    }
    if (str_eq(path, STR("/requests"))) {
        serve_requests(m, r);
    } else if (post && str_eq(path, STR("/effect"))) {
        serve_effect(m, r);
    } else if (str_eq(path, STR("/effects"))) {
        serve_effects(m, r);
    } else {
        (void)fake_respond(r, 404, "application/json", STR("{\"error\":\"not found\"}"), -1);
    }
}

/* ---- start and stop ---- */

static void on_signal(uv_signal_t *handle, int number) {
    struct program *p = handle->data;
    (void)number;
    fiber_broadcast(&p->stop);
}

static int write_port(const struct options *o, const char *address) {
    const char *port = strrchr(address, ':') + 1;
    char temporary[4096];
    if (!o->port_file) {
        return 0;
    }
    snprintf(temporary, sizeof temporary, "%s.new", o->port_file);
    FILE *f = fopen(temporary, "w");
    bool ok = f && fprintf(f, "%s\n", port) > 0;
    ok = (!f || fclose(f) == 0) && ok;
    if (!ok || rename(temporary, o->port_file) < 0) {
        fprintf(stderr, "fake_model: %s: %s\n", o->port_file, strerror(errno));
        return -1;
    }
    return 0;
}

static void run(void *arg) {
    struct program *p = arg;
    struct err err;
    struct http_server_options options = {.address = p->options.listen,
                                          .handler = handle,
                                          .context = &p->model,
                                          .max_body_bytes = FAKE_MAX_BODY_BYTES,
                                          .max_connections = 15000};
    if (http_server_start(&options, &p->server, &err) < 0) {
        fprintf(stderr, "fake_model: %s\n", err.msg);
        p->result = 1;
    } else if (write_port(&p->options, http_server_address(p->server)) < 0) {
        p->result = 1;
    } else {
        printf("fake model on http://%s\n", http_server_address(p->server));
        fflush(stdout);
        (void)fiber_wait(&p->stop, FIBER_FOREVER);
    }
    if (p->server) {
        http_server_stop(p->server, 0);
        http_server_free(p->server);
    }
    for (size_t i = 0; i < ARRAY_LEN(p->signals); i++) {
        uv_close((uv_handle_t *)&p->signals[i], NULL);
    }
}

static void run_loop(struct program *p) {
    static const int numbers[] = {SIGINT, SIGTERM};
    struct fiber_options options = {0};
    struct fiber_scope scope;
    struct err err;
    uv_loop_t loop;
    uv_loop_init(&loop);
    fiber_runtime_start(&loop, &options);
    fiber_scope_init(&scope);
    fiber_cond_init(&p->stop);
    for (size_t i = 0; i < ARRAY_LEN(p->signals); i++) {
        uv_signal_init(&loop, &p->signals[i]);
        p->signals[i].data = p;
        uv_signal_start(&p->signals[i], on_signal, numbers[i]);
    }
    if (fiber_spawn(&scope, "main", run, p, NULL, &err) == 0) {
        uv_run(&loop, UV_RUN_DEFAULT);
    }
    fiber_runtime_stop();
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
}

static int read_options(int argc, char **argv, struct options *o) {
    static const struct option names[] = {{"listen", required_argument, NULL, 'l'},
                                          {"port-file", required_argument, NULL, 'p'},
                                          {"key", required_argument, NULL, 'k'},
                                          {"delay", required_argument, NULL, 'd'},
                                          {"scenes", required_argument, NULL, 's'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    int c;
    while ((c = getopt_long(argc, argv, "h", names, NULL)) != -1) {
        switch (c) {
        case 'l':
            o->listen = optarg;
            break;
        case 'p':
            o->port_file = optarg;
            break;
        case 'k':
            o->key = optarg;
            break;
        case 'd':
            o->delay_ms = strtol(optarg, NULL, 10);
            break;
        case 's':
            o->scenes = optarg;
            break;
        case 'h':
            fputs(usage, stdout);
            return 1;
        default:
            fputs(usage, stderr);
            return -1;
        }
    }
    return 0;
}

static int read_scenes(const char *path, struct fake_script_state *script) {
    char *text cleanup(mem_free_p) = mem_alloc(MAX_SCENES_BYTES);
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(text, 1, MAX_SCENES_BYTES, f) : 0;
    bool ok = f && !ferror(f) && n < MAX_SCENES_BYTES;
    if (f) {
        (void)fclose(f);
    }
    if (!ok) {
        fprintf(stderr, "fake_model: cannot read %s, or it has more than %d bytes\n", path,
                MAX_SCENES_BYTES);
        return -1;
    }
    fake_script_scenes(script, (struct str){text, n});
    return 0;
}

int main(int argc, char **argv) {
    struct program p = {.options = {.listen = "127.0.0.1:0"}};
    int rc = read_options(argc, argv, &p.options);
    if (rc != 0) {
        return rc < 0 ? 2 : 0;
    }
    p.model = (struct fake_model){.key = p.options.key,
                                  .delay_ms = p.options.delay_ms,
                                  .script = fake_script_state_new(),
                                  .log = fake_log_new()};
    if (p.options.scenes && read_scenes(p.options.scenes, p.model.script) < 0) {
        p.result = 2;
    } else {
        run_loop(&p);
    }
    fake_bench_clear(&p.model);
    fake_script_state_free(p.model.script);
    fake_log_free(p.model.log);
    map_done(&p.model.cached);
    map_done(&p.model.effects);
    return p.result;
}
