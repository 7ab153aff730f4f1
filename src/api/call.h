/* One request on its way through a handler: who asks, what was matched, and the few ways to answer.
 * Handlers return 0 after they answered, or an error, which the dispatcher writes. */
#pragma once
#include "api/gateway.h"
#include "api/problem.h"
#include "base/json.h"

struct route;

enum {
    CALL_MAX_PARAMS = 3,
    CALL_MAX_REPLY_BYTES = 64 * 1024 * 1024,
    CALL_MAX_ID_BYTES = 128,
    CALL_MAX_CURSOR_BYTES = CALL_MAX_ID_BYTES + 32
};

struct call {
    struct gateway *gateway;
    struct http_request *request;
    const struct route *route; /* NULL: none matched */
    struct arena arena;        /* goes with the request */
    struct principal principal;
    bool authenticated;
    struct str params[CALL_MAX_PARAMS]; /* of the path, in order */
    const struct problem *problem;      /* instead of the one for the error's code */
};

/* Fails with a problem that no error code stands for. */
int call_fail(struct call *c, const struct problem *p, struct err *err, const char *fmt, ...)
    printf_like(4, 5) must_check;

/* The body as a JSON object, at most the route's maximum. No body and no type gives an empty object
 * when `optional`. */
may_yield int call_read_json(struct call *c, bool optional, json_t **ret, struct err *err)
    must_check;

/* A query parameter; absent: *ret stays. ERR_INVALID when it is malformed, too long or not UTF-8.
 */
int call_query(struct call *c, const char *name, size_t max_bytes, struct str *ret, struct err *err)
    must_check;
int call_query_int(struct call *c, const char *name, int64_t min, int64_t max, int64_t *ret,
                   struct err *err) must_check;
/* A page's beginning, "<time>.<name>" as json_put_cursor writes it: a time in microseconds and a
 * name a client may give. Absent: 0 and *ret_name stays. */
int call_query_cursor(struct call *c, int64_t *ret_us, struct str *ret_name, struct err *err)
    must_check;
int call_read_cursor(struct str cursor, int64_t *ret_us, struct str *ret_name, struct err *err)
    must_check;
/* A time such as 2026-01-31T00:00:00Z; absent: *ret stays. */
int call_query_time(struct call *c, const char *name, int64_t *ret, struct err *err) must_check;
/* The id in the path; ERR_NOT_FOUND when it can't be one. */
int call_id(const struct call *c, size_t i, struct str *ret, struct err *err) must_check;
/* A name a client may give a thread or a turn. */
bool call_id_valid(struct str id);

/* `body` must not have failed. Gives 0: what becomes of an answer is no concern of a handler. */
may_yield int call_respond(struct call *c, int status, const struct strbuf *body, struct err *err)
    must_check;
may_yield int call_respond_with(struct call *c, int status, const struct strbuf *body,
                                const struct http_field *fields, size_t n_fields, struct err *err)
    must_check;
may_yield int call_respond_empty(struct call *c, int status, const struct http_field *fields,
                                 size_t n_fields);
/* The body of an error: a problem document, or OpenAI's shape where its clients look for it. */
void call_write_problem(const struct http_request *request, const struct problem *p,
                        struct str detail, struct strbuf *ret_body, const char **ret_content_type);
/* Answers with it. */
may_yield void call_respond_error(struct call *c, const struct err *err,
                                  const struct http_field *fields, size_t n_fields);
