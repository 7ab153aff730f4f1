/* WWW-Authenticate: a list of challenges, each a scheme with a list of parameters, both separated
 * by commas, so that only the '=' behind a word tells a parameter from the next scheme. */
#include "mcp/oauth.h"

struct scan {
    const char *p, *end;
    struct arena *arena;
};

static bool is_token_char(char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_token68_char(char c) {
    return is_token_char(c) || c == '/' || c == '=';
}

static void skip_space(struct scan *s) {
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t')) {
        s->p++;
    }
}

static struct str scan_token(struct scan *s) {
    const char *begin = s->p;
    while (s->p < s->end && is_token_char(*s->p)) {
        s->p++;
    }
    return (struct str){begin, (size_t)(s->p - begin)};
}

/* After the opening quote; what is not closed reaches to the end. */
static struct str scan_quoted(struct scan *s) {
    char *out = arena_alloc(s->arena, (size_t)(s->end - s->p) + 1);
    size_t n = 0;
    for (; s->p < s->end && *s->p != '"'; s->p++) {
        if (*s->p == '\\' && s->p + 1 < s->end) {
            s->p++;
        }
        out[n++] = *s->p;
    }
    s->p += s->p < s->end;
    return (struct str){out, n};
}

/* "= value" behind a name; false, and nothing consumed, when that is not what stands there. */
static bool scan_value(struct scan *s, struct str *ret) {
    struct scan ahead = *s;
    skip_space(&ahead);
    if (ahead.p == ahead.end || *ahead.p != '=') {
        return false;
    }
    ahead.p++;
    skip_space(&ahead);
    if (ahead.p < ahead.end && *ahead.p == '"') {
        ahead.p++;
        *ret = scan_quoted(&ahead);
    } else {
        *ret = scan_token(&ahead);
        if (ret->n == 0) {
            return false; /* padding of a token68 */
        }
        /* Some write URLs without quotes. */
        while (ahead.p < ahead.end && *ahead.p != ',' && *ahead.p != ' ' && *ahead.p != '\t') {
            ahead.p++;
            ret->n++;
        }
    }
    *s = ahead;
    return true;
}

static void skip_token68(struct scan *s) {
    struct scan ahead = *s;
    while (ahead.p < ahead.end && is_token68_char(*ahead.p)) {
        ahead.p++;
    }
    struct scan after = ahead;
    skip_space(&after);
    if (after.p == after.end || *after.p == ',') {
        *s = ahead;
    }
}

static void set_parameter(struct oauth_challenge *c, struct str name, struct str value) {
    const struct {
        struct str name;
        struct str *place;
    } known[] = {
        {STR("resource_metadata"), &c->resource_metadata},
        {STR("scope"), &c->scope},
        {STR("error"), &c->error},
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (str_eq_nocase(name, known[i].name) && known[i].place->n == 0) {
            *known[i].place = value;
        }
    }
}

/* Only what may go into requests is kept: RFC 6749's scope-token has no quotes and backslashes. */
static void check(struct oauth_challenge *c) {
    for (size_t i = 0; i < c->scope.n; i++) {
        char ch = c->scope.p[i];
        if (ch < ' ' || ch > '~' || ch == '"' || ch == '\\') {
            c->scope = STR_EMPTY;
        }
    }
    if (c->scope.n > OAUTH_MAX_SCOPE_BYTES) {
        c->scope = STR_EMPTY;
    }
    c->scope = str_trim(c->scope);
}

void oauth_challenge_parse(struct str field, struct arena *arena, struct oauth_challenge *ret) {
    field = str_head(field, OAUTH_MAX_CHALLENGE_BYTES);
    struct scan s = {field.p, field.p + field.n, arena};
    struct oauth_challenge bearer = {
        .resource_metadata = STR_EMPTY, .scope = STR_EMPTY, .error = STR_EMPTY};
    bool in_bearer = false;
    while (s.p < s.end) {
        struct str word = scan_token(&s), value;
        if (word.n == 0) {
            s.p++; /* a comma, space, or what does not belong here */
            continue;
        }
        if (scan_value(&s, &value)) {
            if (in_bearer) {
                set_parameter(&bearer, word, arena_str(arena, value));
            }
            continue;
        }
        in_bearer = str_eq_nocase(word, STR("Bearer"));
        bearer.bearer |= in_bearer;
        skip_space(&s);
        struct scan ahead = s;
        if (scan_token(&ahead).n && !scan_value(&ahead, &value)) {
            skip_token68(&s);
        }
    }
    check(&bearer);
    *ret = bearer;
}
