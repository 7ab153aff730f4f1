#include "api/access.h"

void access_credentials(struct call *c, struct str *ret_key, struct str *ret_cookie) {
    struct strbuf param cleanup(strbuf_done) = STRBUF(ACCESS_MAX_KEY_BYTES);
    struct str bearer = http_header(c->request, "Authorization");
    struct str key = http_header(c->request, "X-API-Key");
    struct str cookie = STR_EMPTY;
    if (!key.n && str_eq_nocase(str_head(bearer, 7), STR("Bearer "))) {
        key = str_trim(str_skip(bearer, 7));
    }
    if (!key.n && http_query_param(c->request, "api_key", &param)) {
        key = arena_str(&c->arena, strbuf_str(&param));
    }
    if (!http_cookie(c->request, ACCESS_COOKIE, &cookie)) {
        cookie = STR_EMPTY;
    }
    /* Longer ones can't be right, and are not worth hashing. */
    *ret_key = str_head(key.n ? key : STR_EMPTY, ACCESS_MAX_KEY_BYTES);
    *ret_cookie = str_head(cookie, ACCESS_MAX_KEY_BYTES);
    secret_wipe(param.p, param.n);
}

static bool looks_like_address(struct str s) {
    for (size_t i = 0; i < s.n; i++) {
        if (!strchr("0123456789abcdefABCDEF:.", s.p[i])) {
            return false;
        }
    }
    return s.n > 0 && s.n <= 45;
}

struct str access_peer(const struct http_request *r) {
    struct str peer = http_peer(r);
    struct str list = http_header(r, "X-Forwarded-For");
    struct str last = list;
    if (!str_eq(peer, STR("127.0.0.1")) && !str_eq(peer, STR("::1"))) {
        return peer;
    }
    while (list.n > 0) { /* the proxy appends; what stands before was said by its client */
        last = str_trim(str_cut(&list, ','));
    }
    return looks_like_address(last) ? last : peer;
}

bool access_host_is_loopback(struct str host) {
    size_t colon = host.n;
    while (colon > 0 && host.p[colon - 1] >= '0' && host.p[colon - 1] <= '9') {
        colon--;
    }
    if (colon > 0 && host.p[colon - 1] == ':') {
        host = str_head(host, colon - 1);
    }
    return str_eq_nocase(host, STR("localhost")) || str_eq(host, STR("[::1]")) ||
           str_eq(host, STR("127.0.0.1"));
}

static bool origin_is_allowed(const struct call *c, struct str origin) {
    struct str host = http_header(c->request, "Host");
    size_t scheme = str_find(origin, STR("://"));
    if (scheme != SIZE_MAX && host.n && str_eq_nocase(str_skip(origin, scheme + 3), host)) {
        return true;
    }
    for (const char **allowed = c->gateway->allowed_origins; allowed && *allowed; allowed++) {
        if (str_eq_nocase(origin, str_z(*allowed))) {
            return true;
        }
    }
    return false;
}

int access_check_origin(const struct call *c, bool required, struct err *err) {
    struct str site = http_header(c->request, "Sec-Fetch-Site");
    struct str origin = http_header(c->request, "Origin");
    bool ok = !required;
    if (origin.n) {
        ok = origin_is_allowed(c, origin);
    } else if (site.n) {
        ok = str_eq(site, STR("same-origin")) || (!required && str_eq(site, STR("none")));
    }
    return ok ? 0
              : err_set(err, ERR_FORBIDDEN,
                        "this request did not come from the gateway's own pages");
}

static bool changes_something(const struct call *c) {
    struct str method = http_method(c->request);
    return !str_eq(method, STR("GET")) && !str_eq(method, STR("HEAD"));
}

/* Nobody needs a key, so what a page elsewhere could do in its visitor's browser must be refused:
 * requests across origins, and names that were rebound to this address. */
static int check_open(const struct call *c, struct err *err) {
    if (!access_host_is_loopback(http_header(c->request, "Host"))) {
        return err_set(err, ERR_FORBIDDEN,
                       "without a key the gateway answers under loopback names only; set "
                       "ASSISTANT_API_KEY to use it under others");
    }
    return changes_something(c) ? access_check_origin(c, false, err) : 0;
}

int access_check(struct call *c, enum access access, struct err *err) {
    struct str key, cookie;
    bool open = auth_mode(c->gateway->auth) == AUTH_OPEN;
    if (access == ACCESS_PUBLIC) {
        return 0;
    }
    if (open && check_open(c, err) < 0) {
        return -(int)err->code;
    }
    access_credentials(c, &key, &cookie);
    if (auth_check(c->gateway->auth, key, cookie, access_peer(c->request), &c->arena, &c->principal,
                   err) < 0) {
        return -(int)err->code;
    }
    c->authenticated = true;
    if (c->principal.from_cookie && changes_something(c) && access_check_origin(c, true, err) < 0) {
        return -(int)err->code;
    }
    if (access == ACCESS_ADMIN && c->principal.role != ROLE_ADMIN) {
        return err_set(err, ERR_FORBIDDEN, "this is for the operator (an admin's key)");
    }
    return 0;
}
