/* Health and metrics. */
#include "api/handlers.h"
#include "api/metrics.h"
#include "base/clock.h"
#include "base/log.h"

enum { PING_TIMEOUT_MS = 1000, PING_EVERY_US = 1000 * 1000, METRICS_MAX_BYTES = 1024 * 1024 };

/* Anybody may ask for health, so the database is asked at most once a second. */
static void look_at_database(struct gateway *g) {
    struct err err;
    int64_t begun = clock_mono_us();
    if (g->pinged_us && begun - g->pinged_us < PING_EVERY_US) {
        return;
    }
    g->pinged_us = begun;
    bool healthy = db_ping(g->db, PING_TIMEOUT_MS, &err) == 0;
    g->latency_us = clock_mono_us() - begun;
    if (!healthy && g->db_healthy) {
        log_warn("api", "the database does not answer: %s", err.msg);
    }
    g->db_healthy = healthy;
}

static void write_health(const struct gateway *g, struct strbuf *out) {
    char latency[32];
    snprintf(latency, sizeof latency, "%.3f", (double)g->latency_us / 1000.0);
    struct jsonw w = jsonw_begin(out);
    jsonw_object(&w);
    jsonw_kstrz(&w, "status", g->db_healthy ? "ok" : "degraded");
    jsonw_kstrz(&w, "version", g->version);
    jsonw_kint(&w, "uptime_s", (clock_mono_us() - g->started_us) / 1000000);
    jsonw_key(&w, "database");
    jsonw_object(&w);
    jsonw_kstrz(&w, "backend", db_backend(g->db) == DB_SQLITE ? "sqlite" : "postgresql");
    jsonw_kbool(&w, "healthy", g->db_healthy);
    jsonw_kraw(&w, "latency_ms", str_z(latency));
    jsonw_end_object(&w);
    jsonw_key(&w, "provider");
    jsonw_object(&w);
    jsonw_kbool(&w, "configured", g->profile->llm_configured);
    jsonw_kstr(&w, "name", g->profile->llm.provider);
    jsonw_end_object(&w);
    jsonw_end_object(&w);
}

int handle_health(struct call *c, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(4096);
    int64_t live = 0;
    if (call_query_int(c, "live", 0, 1, &live, err) < 0) {
        return -(int)err->code;
    }
    if (live) {
        strbuf_addz(&out, "{\"status\":\"ok\"}");
        return call_respond(c, 200, &out, err);
    }
    look_at_database(c->gateway);
    write_health(c->gateway, &out);
    return call_respond(c, c->gateway->db_healthy ? 200 : 503, &out, err);
}

int handle_metrics(struct call *c, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(METRICS_MAX_BYTES);
    struct http_field no_store = {"Cache-Control", STR("no-store")};
    metrics_write(c->gateway, &out);
    if (strbuf_check(&out, "the metrics", err) < 0) {
        return err_set(err, ERR_INTERNAL, "the metrics are too large");
    }
    http_respond(c->request,
                 &(struct http_response){.status = 200,
                                         .content_type = "text/plain; version=0.0.4; charset=utf-8",
                                         .fields = &no_store,
                                         .n_fields = 1,
                                         .body = strbuf_str(&out)});
    return 0;
}
