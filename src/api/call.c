#include "api/call.h"

#include <stdio.h>

#include "api/json_input.h"
#include "api/route.h"
#include "base/clock.h"
#include "base/secret.h"
#include "store/threads.h"

int call_fail(struct call *c, const struct problem *p, struct err *err, const char *fmt, ...) {
    char msg[sizeof err->msg];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    c->problem = p;
    return err_set(err, ERR_INVALID, "%s", msg);
}

/* ---- the body ---- */

static bool is_json(struct str content_type) {
    struct str rest = content_type;
    return str_eq_nocase(str_trim(str_cut(&rest, ';')), STR("application/json"));
}

static int parse_object(struct str text, json_t **ret, struct err *err) {
    json_t *tree;
    if (json_input_read(text, &tree, err) < 0) {
        return err_prefix(err, "the body");
    }
    if (!json_is_object(tree)) {
        json_decref(tree);
        return err_set(err, ERR_INVALID, "the body must be a JSON object");
    }
    *ret = tree;
    return 0;
}

int call_read_json(struct call *c, bool optional, json_t **ret, struct err *err) {
    size_t max = c->route->max_body_bytes;
    struct strbuf body cleanup(secret_strbuf_done) = STRBUF(max);
    struct str type = http_header(c->request, "Content-Type");
    if (http_read_body(c->request, max, &body, err) < 0) {
        return err->code == ERR_TIMEOUT
                   ? call_fail(c, &problem_body_timeout, err, "the body did not arrive in time")
                   : -(int)err->code;
    }
    if (body.n == 0 && optional && type.n == 0) {
        *ret = json_object();
        return 0;
    }
    if (!is_json(type) && (body.n > 0 || type.n > 0)) {
        return call_fail(c, &problem_unsupported_media_type, err,
                         "the body must be application/json");
    }
    return parse_object(strbuf_str(&body), ret, err);
}

/* ---- the address ---- */

static bool query_names(struct str query, const char *name) {
    while (query.n > 0) {
        struct str pair = str_cut(&query, '&');
        if (str_eq(str_cut(&pair, '='), str_z(name))) {
            return true;
        }
    }
    return false;
}

int call_query(struct call *c, const char *name, size_t max_bytes, struct str *ret,
               struct err *err) {
    struct strbuf value cleanup(strbuf_done) = STRBUF(max_bytes);
    if (!http_query_param(c->request, name, &value)) {
        return query_names(http_query(c->request), name)
                   ? err_set(err, ERR_INVALID, "%s: not a valid value of at most %zu bytes", name,
                             max_bytes)
                   : 0;
    }
    *ret = arena_str(&c->arena, strbuf_str(&value));
    return 0;
}

int call_query_int(struct call *c, const char *name, int64_t min, int64_t max, int64_t *ret,
                   struct err *err) {
    struct str text = {0};
    int64_t value;
    if (call_query(c, name, 32, &text, err) < 0) {
        return -(int)err->code;
    }
    if (!text.p) {
        return 0;
    }
    if (!str_to_i64(text, &value) || value < min || value > max) {
        return err_set(err, ERR_INVALID, "%s: must be a number from %lld to %lld", name,
                       (long long)min, (long long)max);
    }
    *ret = value;
    return 0;
}

int call_read_cursor(struct str cursor, int64_t *ret_us, struct str *ret_name, struct err *err) {
    struct str name = cursor;
    if (!str_to_i64(str_cut(&name, '.'), ret_us) || *ret_us <= 0 || !call_id_valid(name)) {
        return err_set(err, ERR_INVALID, "cursor: must be a next_cursor the gateway gave");
    }
    *ret_name = name;
    return 0;
}

int call_query_cursor(struct call *c, int64_t *ret_us, struct str *ret_name, struct err *err) {
    struct str cursor = {0};
    if (call_query(c, "cursor", CALL_MAX_CURSOR_BYTES, &cursor, err) < 0) {
        return -(int)err->code;
    }
    return cursor.p ? call_read_cursor(cursor, ret_us, ret_name, err) : 0;
}

int call_query_time(struct call *c, const char *name, int64_t *ret, struct err *err) {
    struct str text = {0};
    if (call_query(c, name, 40, &text, err) < 0) {
        return -(int)err->code;
    }
    if (text.p && !clock_parse(text, ret)) {
        return err_set(err, ERR_INVALID, "%s: must be a time such as 2026-01-31T00:00:00Z", name);
    }
    return 0;
}

bool call_id_valid(struct str id) {
    return thread_id_valid(id) && str_find_char(id, '/') == SIZE_MAX;
}

int call_id(const struct call *c, size_t i, struct str *ret, struct err *err) {
    if (!call_id_valid(c->params[i])) {
        return err_set(err, ERR_NOT_FOUND, "there is nothing under this name");
    }
    *ret = c->params[i];
    return 0;
}

/* ---- the answer ---- */

enum { MAX_FIELDS = 8 };

static size_t add_fields(struct http_field *all, const struct http_field *fields, size_t n) {
    size_t count = 0;
    all[count++] = (struct http_field){"Cache-Control", STR("no-store")};
    all[count++] = (struct http_field){"X-Content-Type-Options", STR("nosniff")};
    for (size_t i = 0; i < n && count < MAX_FIELDS; i++) {
        all[count++] = fields[i];
    }
    return count;
}

int call_respond_with(struct call *c, int status, const struct strbuf *body,
                      const struct http_field *fields, size_t n_fields, struct err *err) {
    struct http_field all[MAX_FIELDS];
    if (strbuf_check(body, "the answer", err) < 0) {
        return err_set(err, ERR_INTERNAL, "the answer is too large");
    }
    struct http_response response = {.status = status,
                                     .content_type = "application/json",
                                     .fields = all,
                                     .n_fields = add_fields(all, fields, n_fields),
                                     .body = strbuf_str(body)};
    http_respond(c->request, &response);
    return 0;
}

int call_respond(struct call *c, int status, const struct strbuf *body, struct err *err) {
    return call_respond_with(c, status, body, NULL, 0, err);
}

int call_respond_empty(struct call *c, int status, const struct http_field *fields,
                       size_t n_fields) {
    struct http_field all[MAX_FIELDS];
    struct http_response response = {
        .status = status, .fields = all, .n_fields = add_fields(all, fields, n_fields)};
    http_respond(c->request, &response);
    return 0;
}

static bool is_openai(const struct http_request *r) {
    return route_is_openai(http_path(r));
}

void call_write_problem(const struct http_request *request, const struct problem *p,
                        struct str detail, struct strbuf *ret_body, const char **ret_content_type) {
    if (is_openai(request)) {
        problem_write_openai(ret_body, p, detail);
        *ret_content_type = "application/json";
    } else {
        problem_write(ret_body, p, detail, http_request_id(request));
        *ret_content_type = "application/problem+json";
    }
}

void call_respond_error(struct call *c, const struct err *err, const struct http_field *fields,
                        size_t n_fields) {
    const struct problem *p = c->problem ? c->problem : problem_of(err->code);
    struct strbuf body cleanup(strbuf_done) = STRBUF(16 * 1024);
    struct http_field all[MAX_FIELDS];
    char seconds[12];
    const char *type;
    size_t n = add_fields(all, fields, n_fields);
    call_write_problem(c->request, p, problem_detail(p, err), &body, &type);
    if (p->retry_after_s && n < MAX_FIELDS) {
        snprintf(seconds, sizeof seconds, "%u", p->retry_after_s);
        all[n++] = (struct http_field){"Retry-After", str_z(seconds)};
    }
    if (p->status == 401 && n < MAX_FIELDS) {
        all[n++] = (struct http_field){"WWW-Authenticate", STR("Bearer realm=\"adjutant\"")};
    }
    if (p->status == 426 && n < MAX_FIELDS) {
        all[n++] = (struct http_field){"Sec-WebSocket-Version", STR("13")};
    }
    if (is_openai(c->request) && p->of_turn && n < MAX_FIELDS) {
        /* The thread has the message: its clients would send it again by themselves. */
        all[n++] = (struct http_field){"X-Should-Retry", STR("false")};
    }
    struct http_response response = {.status = p->status,
                                     .content_type = type,
                                     .fields = all,
                                     .n_fields = n,
                                     .body = strbuf_str(&body)};
    http_respond(c->request, &response);
}
