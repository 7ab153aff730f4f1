/* What was used: a user's own, and for admins across users. */
#include "api/handlers.h"
#include "api/json_output.h"
#include "base/clock.h"
#include "base/time_zone.h"
#include "store/admin.h"

enum { MAX_SUMS = 1000, MAX_DAYS = 400 };
static const int64_t default_span_us = INT64_C(30) * 24 * 3600 * 1000000;

static int query_span(struct call *c, int64_t *ret_from_us, int64_t *ret_to_us, struct err *err) {
    int64_t to_us = clock_now_us();
    if (call_query_time(c, "to", &to_us, err) < 0) {
        return -(int)err->code;
    }
    int64_t from_us = to_us - default_span_us;
    if (call_query_time(c, "from", &from_us, err) < 0) {
        return -(int)err->code;
    }
    if (from_us > to_us) {
        return err_set(err, ERR_INVALID, "from: is later than to");
    }
    *ret_from_us = from_us;
    *ret_to_us = to_us;
    return 0;
}

static void write_amounts(struct jsonw *w, const struct usage_row *r) {
    jsonw_kint(w, "calls", r->calls);
    jsonw_kint(w, "input_tokens", r->input_tokens);
    jsonw_kint(w, "output_tokens", r->output_tokens);
    jsonw_kint(w, "cached_input_tokens", r->cached_input_tokens);
    jsonw_kint(w, "cache_write_tokens", r->cache_write_tokens);
    jsonw_kint(w, "reasoning_tokens", r->reasoning_tokens);
    jsonw_kint(w, "cost_microusd", r->cost_microusd);
}

static void write_model(struct jsonw *w, const struct usage_row *r) {
    jsonw_kstr(w, "provider", r->provider);
    jsonw_kstr(w, "model", r->model);
    jsonw_kstr(w, "key_owner", r->key_owner);
}

static void begin_sums(struct jsonw *w, int64_t from_us, int64_t to_us) {
    jsonw_object(w);
    json_put_time(w, "from", from_us);
    json_put_time(w, "to", to_us);
    jsonw_key(w, "usage");
    jsonw_array(w);
}

static int respond_by_model(struct call *c, int64_t from_us, int64_t to_us, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(CALL_MAX_REPLY_BYTES);
    struct usage_row *rows;
    size_t n;
    if (usage_sum(c->gateway->db, c->principal.user_id, from_us, to_us, &c->arena, &rows, &n, err) <
        0) {
        return -(int)err->code;
    }
    struct jsonw w = jsonw_begin(&out);
    begin_sums(&w, from_us, to_us);
    for (size_t i = 0; i < n; i++) {
        jsonw_object(&w);
        write_model(&w, &rows[i]);
        write_amounts(&w, &rows[i]);
        jsonw_end_object(&w);
    }
    jsonw_end_array(&w);
    jsonw_end_object(&w);
    return call_respond(c, 200, &out, err);
}

/* ---- by day ---- */

struct days {
    struct str zone;
    int64_t bounds_us[MAX_DAYS + 1];
    struct usage_row rows[MAX_DAYS];
    size_t n;
};

static int query_zone(struct call *c, struct str *ret, struct err *err) {
    *ret = STR("UTC");
    if (call_query(c, "tz", TIME_ZONE_MAX_BYTES, ret, err) < 0) {
        return -(int)err->code;
    }
    return time_zone_exists(*ret)
               ? 0
               : err_set(err, ERR_INVALID, "tz: must be a time zone such as Europe/Vienna");
}

/* The days that have something of [from, to), the first and the last one cut there. */
static int divide(struct days *d, int64_t from_us, int64_t to_us, struct err *err) {
    d->bounds_us[0] = from_us;
    while (d->bounds_us[d->n] < to_us) {
        if (d->n == MAX_DAYS) {
            return err_set(err, ERR_INVALID, "from: at most %d days before to", MAX_DAYS - 1);
        }
        time_t start = (time_t)(d->bounds_us[d->n] / 1000000);
        start = d->n ? start : time_zone_day_start(d->zone, start);
        time_t next = time_zone_day_start(d->zone, start + 36 * 3600);
        d->bounds_us[++d->n] = MIN(next * INT64_C(1000000), to_us);
    }
    return 0;
}

static void write_date(struct jsonw *w, struct str zone, int64_t us) {
    char date[16];
    struct tm tm;
    time_zone_local(zone, (time_t)(us / 1000000), &tm);
    strftime(date, sizeof date, "%Y-%m-%d", &tm);
    jsonw_kstrz(w, "date", date);
}

static int respond_by_day(struct call *c, int64_t from_us, int64_t to_us, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(CALL_MAX_REPLY_BYTES);
    struct days *d = arena_alloc(&c->arena, sizeof *d);
    if (query_zone(c, &d->zone, err) < 0 || divide(d, from_us, to_us, err) < 0 ||
        usage_sum_spans(c->gateway->db, c->principal.user_id, d->bounds_us, d->n, d->rows, err) <
            0) {
        return -(int)err->code;
    }
    struct jsonw w = jsonw_begin(&out);
    begin_sums(&w, from_us, to_us);
    for (size_t i = 0; i < d->n; i++) {
        jsonw_object(&w);
        write_date(&w, d->zone, d->bounds_us[i]);
        write_amounts(&w, &d->rows[i]);
        jsonw_end_object(&w);
    }
    jsonw_end_array(&w);
    jsonw_kstr(&w, "tz", d->zone);
    jsonw_end_object(&w);
    return call_respond(c, 200, &out, err);
}

int handle_usage(struct call *c, struct err *err) {
    struct str by = STR("model");
    int64_t from_us, to_us;
    if (call_query(c, "by", 16, &by, err) < 0 || query_span(c, &from_us, &to_us, err) < 0) {
        return -(int)err->code;
    }
    if (str_eq(by, STR("day"))) {
        return respond_by_day(c, from_us, to_us, err);
    }
    return str_eq(by, STR("model")) ? respond_by_model(c, from_us, to_us, err)
                                    : err_set(err, ERR_INVALID, "by: must be model or day");
}

/* ---- across users ---- */

static int query_by(struct call *c, enum admin_usage_by *ret, struct err *err) {
    struct str by = STR("user");
    if (call_query(c, "by", 16, &by, err) < 0) {
        return -(int)err->code;
    }
    if (!str_eq(by, STR("user")) && !str_eq(by, STR("model"))) {
        return err_set(err, ERR_INVALID, "by: must be user or model");
    }
    *ret = str_eq(by, STR("user")) ? ADMIN_USAGE_BY_USER : ADMIN_USAGE_BY_MODEL;
    return 0;
}

int handle_admin_usage(struct call *c, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(CALL_MAX_REPLY_BYTES);
    struct admin_usage_row *rows;
    enum admin_usage_by by = ADMIN_USAGE_BY_USER;
    int64_t from_us, to_us;
    size_t n;
    if (query_by(c, &by, err) < 0 || query_span(c, &from_us, &to_us, err) < 0 ||
        admin_usage(c->gateway->db, by, from_us, to_us, MAX_SUMS + 1, &c->arena, &rows, &n, err) <
            0) {
        return -(int)err->code;
    }
    struct jsonw w = jsonw_begin(&out);
    begin_sums(&w, from_us, to_us);
    for (size_t i = 0; i < MIN(n, (size_t)MAX_SUMS); i++) {
        jsonw_object(&w);
        if (by == ADMIN_USAGE_BY_USER) {
            jsonw_kstr(&w, "user_id", rows[i].user_id);
            jsonw_kstr(&w, "key_owner", rows[i].usage.key_owner);
        } else {
            write_model(&w, &rows[i].usage);
        }
        write_amounts(&w, &rows[i].usage);
        jsonw_end_object(&w);
    }
    jsonw_end_array(&w);
    jsonw_kbool(&w, "has_more", n > MAX_SUMS);
    jsonw_end_object(&w);
    return call_respond(c, 200, &out, err);
}
