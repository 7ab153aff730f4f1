/* What can be called, and what was used. */
#include "api/handlers.h"
#include "base/clock.h"
#include "store/usage.h"

static void write_model(struct jsonw *w, const struct profile_llm *m, bool is_default) {
    char id[300];
    snprintf(id, sizeof id, "%.*s:%.*s", STR_ARG(m->provider), STR_ARG(m->model));
    jsonw_object(w);
    jsonw_kstrz(w, "id", id);
    jsonw_kstr(w, "provider", m->provider);
    jsonw_kstr(w, "model", m->model);
    jsonw_kbool(w, "default", is_default);
    jsonw_end_object(w);
}

int handle_models(struct call *c, struct err *err) {
    const struct profile *p = c->gateway->profile;
    struct strbuf out cleanup(strbuf_done) = STRBUF(64 * 1024);
    struct jsonw w = jsonw_begin(&out);
    jsonw_object(&w);
    jsonw_key(&w, "models");
    jsonw_array(&w);
    write_model(&w, &p->llm, true);
    for (size_t i = 0; i < p->n_fallbacks; i++) {
        write_model(&w, &p->fallbacks[i], false);
    }
    jsonw_end_array(&w);
    jsonw_kbool(&w, "configured", p->llm_configured);
    jsonw_end_object(&w);
    return call_respond(c, 200, &out, err);
}

/* ---- usage ---- */

static const int64_t default_span_us = INT64_C(30) * 24 * 3600 * 1000000;

static int query_time(struct call *c, const char *name, int64_t *ret, struct err *err) {
    struct str text = {0};
    if (call_query(c, name, 40, &text, err) < 0) {
        return -(int)err->code;
    }
    if (text.p && !clock_parse(text, ret)) {
        return err_set(err, ERR_INVALID, "%s: must be a time such as 2026-01-31T00:00:00Z", name);
    }
    return 0;
}

static void write_time(struct jsonw *w, const char *key, int64_t us) {
    char iso[CLOCK_ISO_LEN + 1];
    clock_iso(us, iso);
    jsonw_kstrz(w, key, iso);
}

static void write_row(struct jsonw *w, const struct usage_row *r) {
    jsonw_object(w);
    jsonw_kstr(w, "provider", r->provider);
    jsonw_kstr(w, "model", r->model);
    jsonw_kstr(w, "key_owner", r->key_owner);
    jsonw_kint(w, "calls", r->calls);
    jsonw_kint(w, "input_tokens", r->input_tokens);
    jsonw_kint(w, "output_tokens", r->output_tokens);
    jsonw_kint(w, "cached_input_tokens", r->cached_input_tokens);
    jsonw_kint(w, "cache_write_tokens", r->cache_write_tokens);
    jsonw_kint(w, "reasoning_tokens", r->reasoning_tokens);
    jsonw_kint(w, "cost_microusd", r->cost_microusd);
    jsonw_end_object(w);
}

int handle_usage(struct call *c, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(CALL_MAX_REPLY_BYTES);
    struct usage_row *rows;
    size_t n;
    int64_t to_us = clock_now_us(), from_us;
    if (query_time(c, "to", &to_us, err) < 0) {
        return -(int)err->code;
    }
    from_us = to_us - default_span_us;
    if (query_time(c, "from", &from_us, err) < 0) {
        return -(int)err->code;
    }
    if (from_us > to_us) {
        return err_set(err, ERR_INVALID, "from: is later than to");
    }
    if (usage_sum(c->gateway->db, c->principal.user_id, from_us, to_us, &c->arena, &rows, &n, err) <
        0) {
        return -(int)err->code;
    }
    struct jsonw w = jsonw_begin(&out);
    jsonw_object(&w);
    write_time(&w, "from", from_us);
    write_time(&w, "to", to_us);
    jsonw_key(&w, "usage");
    jsonw_array(&w);
    for (size_t i = 0; i < n; i++) {
        write_row(&w, &rows[i]);
    }
    jsonw_end_array(&w);
    jsonw_end_object(&w);
    return call_respond(c, 200, &out, err);
}
