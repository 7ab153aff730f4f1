/* URLs, and what is written into them. */
#include "mcp/oauth_internal.h"

/* ---- taking apart ---- */

static bool is_plain(struct str url) {
    for (size_t i = 0; i < url.n; i++) {
        if (url.p[i] <= ' ' || url.p[i] > '~' || strchr("\\\"<>^`{|}#", url.p[i])) {
            return false;
        }
    }
    return true;
}

static bool split_authority(struct oauth_uri *u) {
    struct str rest = u->authority;
    if (rest.n && rest.p[0] == '[') {
        size_t close = str_find_char(rest, ']');
        if (close == SIZE_MAX) {
            return false;
        }
        u->host = str_head(rest, close + 1);
        rest = str_skip(rest, close + 1);
    } else {
        size_t colon = str_find_char(rest, ':');
        u->host = str_head(rest, MIN(colon, rest.n));
        rest = str_skip(rest, u->host.n);
    }
    u->port = STR_EMPTY;
    int64_t port = 1;
    if (rest.n) {
        if (rest.p[0] != ':' || !str_to_i64(str_skip(rest, 1), &port) || rest.p[1] == '+') {
            return false;
        }
        u->port = str_skip(rest, 1);
    }
    return u->host.n > 0 && port > 0 && port < 65536;
}

bool oauth_uri_parse(struct str url, struct oauth_uri *ret) {
    struct oauth_uri u = {.query = STR_EMPTY};
    size_t colon = str_find(url, STR("://"));
    if (url.n > OAUTH_MAX_URL_BYTES || colon == SIZE_MAX || !is_plain(url)) {
        return false;
    }
    u.scheme = str_head(url, colon);
    if (!str_eq_nocase(u.scheme, STR("https")) && !str_eq_nocase(u.scheme, STR("http"))) {
        return false;
    }
    struct str rest = str_skip(url, colon + 3);
    size_t n = 0;
    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?') {
        n++;
    }
    u.authority = str_head(rest, n);
    rest = str_skip(rest, n);
    u.path = str_cut(&rest, '?');
    u.query = rest;
    if (str_find_char(u.authority, '@') != SIZE_MAX || !split_authority(&u)) {
        return false;
    }
    *ret = u;
    return true;
}

static bool is_https(const struct oauth_uri *u) {
    return str_eq_nocase(u->scheme, STR("https"));
}

static struct str port_of(const struct oauth_uri *u) {
    return u->port.n ? u->port : is_https(u) ? STR("443") : STR("80");
}

bool oauth_uri_same_origin(const struct oauth_uri *a, const struct oauth_uri *b) {
    return str_eq_nocase(a->scheme, b->scheme) && str_eq_nocase(a->host, b->host) &&
           str_eq(port_of(a), port_of(b));
}

struct str oauth_uri_origin(const struct oauth_uri *u, struct arena *arena) {
    return arena_printf(arena, "%.*s://%.*s", STR_ARG(u->scheme), STR_ARG(u->authority));
}

/* ---- what is permitted ---- */

/* The whole of 127/8, as four numbers. */
static bool is_loopback_v4(struct str host) {
    struct str rest = host;
    int64_t part;
    for (int i = 0; i < 4; i++) {
        struct str word = str_cut(&rest, '.');
        if (!str_to_i64(word, &part) || part < 0 || part > 255 || (i == 0 && part != 127)) {
            return false;
        }
    }
    return rest.n == 0;
}

static bool is_loopback(const struct oauth_uri *u) {
    return str_eq_nocase(u->host, STR("localhost")) || str_eq(u->host, STR("[::1]")) ||
           is_loopback_v4(u->host);
}

bool oauth_url_is_loopback(struct str url) {
    struct oauth_uri u;
    return oauth_uri_parse(url, &u) && is_loopback(&u);
}

bool oauth_url_valid(struct str url, bool loopback) {
    struct oauth_uri u;
    return oauth_uri_parse(url, &u) && (is_https(&u) || (loopback && is_loopback(&u)));
}

/* ---- writing ---- */

void oauth_form_encode(struct strbuf *out, struct str value) {
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];
        if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
            (c && strchr("-._~", c))) {
            strbuf_addc(out, (char)c);
        } else {
            strbuf_addf(out, "%%%02X", c);
        }
    }
}

void oauth_form_add(struct strbuf *out, const char *name, struct str value) {
    if (out->n && out->p[out->n - 1] != '?') {
        strbuf_addc(out, '&');
    }
    strbuf_addz(out, name);
    strbuf_addc(out, '=');
    oauth_form_encode(out, value);
}
