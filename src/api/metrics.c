#include "api/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

enum { N_CLASSES = 6 }; /* 0 for peers that went away, then by the status's first digit */

static const double buckets_s[] = {0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60};

struct route_metrics {
    uint64_t requests[N_CLASSES];
    uint64_t buckets[ARRAY_LEN(buckets_s)]; /* not cumulative */
    uint64_t bytes;
    int64_t duration_us;
};

struct metrics {
    size_t n; /* routes, and one for what matched none */
    struct route_metrics routes[];
};

struct metrics *metrics_new(void) {
    size_t n;
    routes(&n);
    struct metrics *m = mem_alloc(sizeof *m + (n + 1) * sizeof m->routes[0]);
    m->n = n + 1;
    return m;
}

void metrics_free(struct metrics *m) {
    mem_free(m);
}

void metrics_count(struct metrics *m, const struct route *route, int status, uint64_t bytes,
                   int64_t duration_us) {
    size_t n;
    const struct route *table = routes(&n);
    struct route_metrics *r = &m->routes[route ? (size_t)(route - table) : n];
    r->requests[status >= 100 && status < 600 ? status / 100 : 0]++;
    r->bytes += bytes;
    r->duration_us += duration_us;
    for (size_t i = 0; i < ARRAY_LEN(buckets_s); i++) {
        if ((double)duration_us <= buckets_s[i] * 1e6) {
            r->buckets[i]++;
            break;
        }
    }
}

/* ---- the text ---- */

static void head(struct strbuf *out, const char *name, const char *type, const char *help) {
    strbuf_addf(out, "# HELP adjutant_%s %s\n# TYPE adjutant_%s %s\n", name, help, name, type);
}

static void value(struct strbuf *out, const char *name, const char *type, const char *help,
                  double v) {
    head(out, name, type, help);
    strbuf_addf(out, "adjutant_%s %.15g\n", name, v);
}

static void labelled(struct strbuf *out, const char *name, const char *label, const char *word,
                     uint64_t v) {
    strbuf_addf(out, "adjutant_%s{%s=\"%s\"} %" PRIu64 "\n", name, label, word, v);
}

/* Label values are patterns and methods of the table: nothing in them needs escaping. */
static void route_label(struct strbuf *out, const struct route *table, size_t n, size_t i) {
    strbuf_addf(out, "route=\"%s%s%s\"", i < n ? table[i].method : "", i < n ? " " : "none",
                i < n ? table[i].pattern : "");
}

static uint64_t requests_of(const struct route_metrics *r) {
    uint64_t sum = 0;
    for (size_t i = 0; i < N_CLASSES; i++) {
        sum += r->requests[i];
    }
    return sum;
}

static void write_requests(const struct metrics *m, struct strbuf *out) {
    static const char *const classes[N_CLASSES] = {"gone", "1xx", "2xx", "3xx", "4xx", "5xx"};
    size_t n;
    const struct route *table = routes(&n);
    head(out, "http_requests_total", "counter", "Requests by route and class of status.");
    for (size_t i = 0; i < m->n; i++) {
        for (size_t k = 0; k < N_CLASSES; k++) {
            if (m->routes[i].requests[k]) {
                strbuf_addz(out, "adjutant_http_requests_total{");
                route_label(out, table, n, i);
                strbuf_addf(out, ",status=\"%s\"} %" PRIu64 "\n", classes[k],
                            m->routes[i].requests[k]);
            }
        }
    }
}

static void write_durations(const struct metrics *m, struct strbuf *out) {
    size_t n;
    const struct route *table = routes(&n);
    head(out, "http_request_duration_seconds", "histogram",
         "From the first byte of a request to the end of its response; streams last as long as "
         "they flow.");
    for (size_t i = 0; i < m->n; i++) {
        const struct route_metrics *r = &m->routes[i];
        uint64_t count = requests_of(r), below = 0;
        for (size_t k = 0; count && k <= ARRAY_LEN(buckets_s); k++) {
            bool last = k == ARRAY_LEN(buckets_s);
            below = last ? count : below + r->buckets[k];
            strbuf_addz(out, "adjutant_http_request_duration_seconds_bucket{");
            route_label(out, table, n, i);
            if (last) {
                strbuf_addf(out, ",le=\"+Inf\"} %" PRIu64 "\n", below);
            } else {
                strbuf_addf(out, ",le=\"%g\"} %" PRIu64 "\n", buckets_s[k], below);
            }
        }
        if (count) {
            strbuf_addz(out, "adjutant_http_request_duration_seconds_sum{");
            route_label(out, table, n, i);
            strbuf_addf(out, "} %.6f\nadjutant_http_request_duration_seconds_count{",
                        (double)r->duration_us / 1e6);
            route_label(out, table, n, i);
            strbuf_addf(out, "} %" PRIu64 "\n", count);
        }
    }
}

static uint64_t sum_bytes(const struct metrics *m) {
    uint64_t sum = 0;
    for (size_t i = 0; i < m->n; i++) {
        sum += m->routes[i].bytes;
    }
    return sum;
}

static void write_server(const struct gateway *g, struct strbuf *out) {
    if (!g->server) {
        return;
    }
    struct http_server_stats s = http_server_stats(g->server);
    value(out, "http_connections", "gauge", "Open connections.", s.connections);
    value(out, "http_requests_running", "gauge", "Requests being handled.", s.requests_running);
    value(out, "http_refused_total", "counter", "Requests the server itself refused.",
          (double)s.refused_total);
    value(out, "websockets", "gauge", "Open WebSockets.", s.websockets);
}

static void write_turns(const struct gateway *g, struct strbuf *out) {
    struct turn_engine_stats t = turn_engine_stats(g->engine);
    struct runs_stats r = runs_stats(g->runs);
    value(out, "turns_running", "gauge", "Turns this process runs.", t.running);
    value(out, "turns_queued", "gauge", "Turns that wait for an earlier one.", t.queued_here);
    value(out, "turns_accepted_total", "counter", "Turns accepted.", (double)t.accepted);
    head(out, "turns_ended_total", "counter", "Turns by outcome.");
    labelled(out, "turns_ended_total", "outcome", "done", t.done);
    labelled(out, "turns_ended_total", "outcome", "failed", t.failed);
    labelled(out, "turns_ended_total", "outcome", "cancelled", t.cancelled);
    head(out, "tokens_total", "counter", "Tokens of answered model calls.");
    labelled(out, "tokens_total", "direction", "input", t.input_tokens);
    labelled(out, "tokens_total", "direction", "output", t.output_tokens);
    value(out, "turns_adopted_total", "counter", "Turns taken over from dead owners.",
          (double)t.adopted);
    value(out, "leases_lost_total", "counter", "Turns another process took away.",
          (double)t.lost_leases);
    value(out, "runs_live", "gauge", "Runs whose events are held in memory.", r.live_runs);
    value(out, "run_readers", "gauge", "Readers of runs.", r.readers);
    value(out, "run_bytes", "gauge", "Memory of held events.", (double)r.bytes);
}

static void write_database(const struct gateway *g, struct strbuf *out) {
    struct db_stats d = db_stats(g->db);
    value(out, "db_healthy", "gauge", "1 when the database answers.", d.healthy);
    value(out, "db_connections", "gauge", "Connections to the database.", d.connections);
    value(out, "db_connections_busy", "gauge", "Of these, in use.", d.busy);
    value(out, "db_waiting", "gauge", "Transactions that wait for a connection.", d.waiting);
    value(out, "db_transactions_total", "counter", "Transactions.", (double)d.transactions);
    value(out, "db_errors_total", "counter", "Transactions that failed.", (double)d.errors);
    value(out, "db_commits_total", "counter", "Commits; on SQLite each is one fsync.",
          (double)d.commits);
}

static void write_bridges(const struct gateway *g, struct strbuf *out) {
    struct bridges_stats b = bridges_stats(g->bridges);
    value(out, "mcp_bridges", "gauge", "Users whose MCP servers are known.", b.bridges);
    value(out, "mcp_connections", "gauge", "Connections to MCP servers.", b.connections);
    value(out, "mcp_processes", "gauge", "MCP servers that run as programs of ours.", b.processes);
    value(out, "mcp_list_bytes", "gauge", "Memory of tool lists.", (double)b.list_bytes);
    value(out, "mcp_calls_total", "counter", "Calls of MCP tools.", (double)b.calls);
    value(out, "mcp_call_failures_total", "counter", "Calls that no server answered.",
          (double)b.failures);
}

static double resident_bytes(void) {
    long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f) {
        if (fscanf(f, "%ld %ld", &pages, &resident) != 2) {
            resident = 0;
        }
        fclose(f);
    }
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static void write_process(const struct gateway *g, struct strbuf *out) {
    struct fiber_stats f = fiber_stats();
    value(out, "fibers", "gauge", "Live fibers.", f.live);
    value(out, "fiber_stacks_pooled", "gauge", "Stacks kept for reuse.", f.pooled_stacks);
    value(out, "fiber_slow_slices_total", "counter", "Stretches above 50 ms without a yield.",
          (double)f.slow_slices);
    value(out, "resident_memory_bytes", "gauge", "Resident set size.", resident_bytes());
    value(out, "uptime_seconds", "gauge", "Since the start.",
          (double)(clock_mono_us() - g->started_us) / 1e6);
    head(out, "build_info", "gauge", "The program.");
    labelled(out, "build_info", "version", g->version, 1);
}

void metrics_write(const struct gateway *g, struct strbuf *out) {
    write_requests(g->metrics, out);
    write_durations(g->metrics, out);
    value(out, "http_sent_bytes_total", "counter", "Bytes of responses.",
          (double)sum_bytes(g->metrics));
    write_server(g, out);
    write_turns(g, out);
    write_bridges(g, out);
    write_database(g, out);
    write_process(g, out);
}
