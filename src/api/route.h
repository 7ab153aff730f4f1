/* The table of routes. Everything the gateway serves stands in it, with what the API's description
 * needs to know. */
#pragma once
#include "api/call.h"

enum access { ACCESS_PUBLIC, ACCESS_USER, ACCESS_ADMIN };

struct route {
    const char *method;
    const char *pattern; /* "/api/threads/{id}"; a last "{path...}" takes the rest */
    int (*handler)(struct call *call, struct err *err) may_yield;
    enum access access;
    size_t max_body_bytes;
    /* For the description: names of schemas in schemas.json, NULL when there is none. */
    const char *tag, *summary;
    const char *query; /* names of query parameters, space-separated */
    const char *request, *response;
    int status; /* of success */
};

const struct route *routes(size_t *ret_n);
/* Whose clients expect errors in OpenAI's shape, whether there is such a route or not. */
bool route_is_openai(struct str path);
/* The pattern, its braces filled from the path; views into the path. */
bool route_matches(const char *pattern, struct str path, struct str ret_params[CALL_MAX_PARAMS]);
/* NULL: nothing there (allow stays empty), or only with other methods, which `allow` then lists.
 * HEAD is answered by GET's route. */
const struct route *route_find(struct str method, struct str path,
                               struct str ret_params[CALL_MAX_PARAMS], struct strbuf *allow);
