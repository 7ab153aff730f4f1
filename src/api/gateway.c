/* From a request to its handler, and what is written down about it afterwards. */
#include "api/gateway.h"

#include <inttypes.h>

#include "api/access.h"
#include "api/metrics.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

enum { MAX_ORIGINS = 64 };

static const char **split_origins(struct str list) {
    const char **all = mem_alloc((MAX_ORIGINS + 1) * sizeof *all);
    size_t n = 0;
    while (list.n > 0 && n < MAX_ORIGINS) {
        struct str one = str_trim(str_cut(&list, ','));
        if (one.n) {
            all[n++] = str_dup_z(one);
        }
    }
    return all;
}

void gateway_init(struct gateway *g) {
    g->started_us = clock_mono_us();
    g->metrics = metrics_new();
    g->allowed_origins = split_origins(g->profile->allowed_origins);
    g->db_healthy = true;
    fiber_scope_init(&g->sockets);
    fiber_cond_init(&g->ws_look);
    list_init(&g->ws_sessions);
}

void gateway_stop(struct gateway *g) {
    fiber_scope_done(&g->sockets);
}

void gateway_done(struct gateway *g) {
    for (const char **origin = g->allowed_origins; origin && *origin; origin++) {
        mem_free((void *)(uintptr_t)*origin);
    }
    mem_free(take(g->allowed_origins));
    metrics_free(take(g->metrics));
}

/* ---- a request ---- */

static int no_route(struct call *c, const struct strbuf *allow, struct err *err) {
    if (allow->n == 0) {
        return err_set(err, ERR_NOT_FOUND, "there is nothing at this address");
    }
    return call_fail(c, &problem_method_not_allowed, err, "this address takes %s", strbuf_z(allow));
}

static int dispatch(struct call *c, struct strbuf *allow, struct err *err) {
    c->route = route_find(http_method(c->request), http_path(c->request), c->params, allow);
    if (!c->route) {
        return no_route(c, allow, err);
    }
    if (access_check(c, c->route->access, err) < 0) {
        return -(int)err->code;
    }
    return c->route->handler(c, err);
}

static void log_failure(const struct call *c, const struct err *err) {
    const struct problem *p = c->problem ? c->problem : problem_of(err->code);
    if (p->status >= 500 && !p->of_turn && err->code != ERR_CANCELLED) {
        log_warn("api", "a request failed: %s code=%s path=%.*s request=%s", err->msg,
                 err_name(err->code), STR_ARG(http_path(c->request)), http_request_id(c->request));
    }
}

void api_handle(struct http_request *request, void *gateway) {
    struct call *c = mem_alloc(sizeof *c);
    struct strbuf allow cleanup(strbuf_done) = STRBUF(128);
    struct err err = {0};
    c->gateway = gateway;
    c->request = request;
    http_set_user(request, c); /* api_on_done frees it */
    int rc = dispatch(c, &allow, &err);
    if (rc < 0 && !http_responded(request)) {
        struct http_field field = {"Allow", strbuf_str(&allow)};
        log_failure(c, &err);
        call_respond_error(c, &err, &field, allow.n ? 1 : 0);
    } else if (rc < 0) {
        log_failure(c, &err); /* a stream that is cut tells its reader by being cut */
    }
}

void api_on_done(const struct http_request *request, int status, uint64_t bytes_sent,
                 int64_t duration_us, void *gateway) {
    struct gateway *g = gateway;
    struct call *c = http_user(request);
    struct str user = c && c->authenticated ? c->principal.user_id : STR("-");
    metrics_count(g->metrics, c ? c->route : NULL, status, bytes_sent, duration_us);
    log_info("http", "%.*s %.*s status=%d bytes=%" PRIu64 " ms=%.1f peer=%.*s user=%.*s request=%s",
             STR_ARG(http_method(request)), STR_ARG(http_path(request)), status, bytes_sent,
             (double)duration_us / 1000.0, STR_ARG(access_peer(request)), STR_ARG(user),
             http_request_id(request));
    if (c) {
        arena_done(&c->arena);
        mem_free(c);
    }
}

void api_write_error(const struct http_request *request, int status, struct str detail,
                     struct strbuf *ret_body, const char **ret_content_type) {
    struct problem p = *problem_of_status(status);
    p.status = status;
    call_write_problem(request, &p, detail, ret_body, ret_content_type);
}
