/* URLs, and what is written into them. */
#include <arpa/inet.h>
#include <netinet/in.h>

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

/* This machine or its link, in every spelling that resolvers take for an address. */
static bool is_near_v4(struct in_addr address) {
    uint32_t n = ntohl(address.s_addr);
    return n >> 24 == 127 || n >> 24 == 0 || n >> 16 == 0xa9fe;
}

static bool is_near_v6(struct in6_addr a) {
    struct in_addr v4;
    memcpy(&v4, a.s6_addr + 12, sizeof v4);
    return IN6_IS_ADDR_LOOPBACK(&a) || IN6_IS_ADDR_UNSPECIFIED(&a) || IN6_IS_ADDR_LINKLOCAL(&a) ||
           (IN6_IS_ADDR_V4MAPPED(&a) && is_near_v4(v4));
}

static bool is_near(struct str host) {
    char z[256];
    struct in_addr v4;
    struct in6_addr v6;
    bool literal = host.p[0] == '[';
    host = literal ? str_head(str_skip(host, 1), host.n - 2) : host;
    host.n -= str_ends(host, STR(".")) ? 1 : 0;
    if (host.n >= sizeof z) {
        return true; /* no name is as long */
    }
    memcpy(z, host.p, host.n);
    z[host.n] = '\0';
    if (literal) {
        return inet_pton(AF_INET6, z, &v6) != 1 || is_near_v6(v6); /* with a zone: its link */
    }
    struct str last = host.n > 10 ? str_skip(host, host.n - 10) : STR_EMPTY;
    return str_eq_nocase(host, STR("localhost")) || str_eq_nocase(last, STR(".localhost")) ||
           (inet_aton(z, &v4) != 0 && is_near_v4(v4));
}

bool oauth_url_valid(struct str url, bool loopback) {
    struct oauth_uri u;
    if (!oauth_uri_parse(url, &u)) {
        return false;
    }
    return loopback ? is_https(&u) || is_loopback(&u) : is_https(&u) && !is_near(u.host);
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
