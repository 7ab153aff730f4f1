#include "api/route.h"

bool route_is_openai(struct str path) {
    return str_starts(path, STR("/v1/"));
}

/* "{id}" is one segment that is not empty, "{path...}" all that is left. */
bool route_matches(const char *pattern, struct str path, struct str ret_params[CALL_MAX_PARAMS]) {
    struct str want = str_z(pattern);
    size_t n = 0;
    if (!str_starts(path, STR("/"))) {
        return false;
    }
    do {
        want = str_skip(want, 1);
        path = str_skip(path, 1);
        struct str name = str_head(want, MIN(str_find_char(want, '/'), want.n));
        struct str part = str_head(path, MIN(str_find_char(path, '/'), path.n));
        if (str_starts(name, STR("{")) && n < CALL_MAX_PARAMS) {
            part = str_ends(name, STR("...}")) ? path : part;
            if (part.n == 0) {
                return false;
            }
            ret_params[n++] = part;
        } else if (!str_eq(name, part)) {
            return false;
        }
        want = str_skip(want, name.n);
        path = str_skip(path, part.n);
    } while (want.n > 0 && path.n > 0);
    return want.n == 0 && path.n == 0;
}

const struct route *route_find(struct str method, struct str path,
                               struct str ret_params[CALL_MAX_PARAMS], struct strbuf *allow) {
    size_t n;
    const struct route *table = routes(&n);
    struct str wanted = str_eq(method, STR("HEAD")) ? STR("GET") : method;
    for (size_t i = 0; i < n; i++) {
        if (!route_matches(table[i].pattern, path, ret_params)) {
            continue;
        }
        if (str_eq(str_z(table[i].method), wanted)) {
            strbuf_reset(allow);
            return &table[i];
        }
        strbuf_addz(allow, allow->n ? ", " : "");
        strbuf_addz(allow, table[i].method);
        if (str_eq(str_z(table[i].method), STR("GET"))) {
            strbuf_addz(allow, ", HEAD");
        }
    }
    return NULL;
}
