/* mcp.json: from its text to definitions. */
#include "auth/vault.h"
#include "base/log.h"
#include "base/mem.h"
#include "mcp/servers_internal.h"

enum {
    MAX_STRING_BYTES = 16 * 1024,
    MAX_VARIABLE_BYTES = 128,
    MAX_HEADER_NAME_BYTES = 128,
    MIN_TIMEOUT_MS = 1000,
    MAX_TIMEOUT_MS = 24 * 3600 * 1000,
};

struct parse {
    struct servers *s;
    const struct servers_variables *variables;
    char where[192]; /* "mcpServers.garmin" */
};

/* ---- saying what is wrong ---- */

static int printf_like(4, 5)
    bad(const struct parse *p, const char *member, struct err *err, const char *fmt, ...) {
    va_list ap;
    char text[160];
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return err_set(err, ERR_INVALID, "%s%s%s: %s", p->where, member[0] ? "." : "", member, text);
}

static void ignore(const struct parse *p, const char *member) {
    log_warn("mcp", "an unknown member is ignored at=%s%s%s", p->where, p->where[0] ? "." : "",
             member);
}

static void warn_unknown(const struct parse *p, const json_t *object, const char *const *known) {
    for (void *i = json_object_iter((json_t *)(uintptr_t)object); i;
         i = json_object_iter_next((json_t *)(uintptr_t)object, i)) {
        const char *key = json_object_iter_key(i);
        size_t k = 0;
        while (known[k] && strcmp(known[k], key) != 0) {
            k++;
        }
        if (!known[k]) {
            ignore(p, key);
        }
    }
}

/* ---- ${NAME} ---- */

static bool is_variable_name(struct str name) {
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
        if (!letter && !(i > 0 && c >= '0' && c <= '9')) {
            return false;
        }
    }
    return name.n > 0 && name.n < MAX_VARIABLE_BYTES;
}

/* inside: what stands between the braces. */
static int expand_one(const struct parse *p, const char *member, struct str inside,
                      struct strbuf *out, struct err *err) {
    struct str name = inside, fallback = {0};
    char name_z[MAX_VARIABLE_BYTES];
    size_t at = str_find(inside, STR(":-"));
    if (at != SIZE_MAX) {
        name = str_head(inside, at);
        fallback = str_skip(inside, at + 2);
    }
    if (str_starts(name, STR("env:"))) {
        name = str_skip(name, 4);
    }
    if (!is_variable_name(name)) {
        return bad(p, member, err, "${%.*s} names no variable", STR_ARG(str_head(inside, 40)));
    }
    snprintf(name_z, sizeof name_z, "%.*s", STR_ARG(name));
    struct str value = p->variables->get(p->variables->arg, name_z);
    if (!value.p && at == SIZE_MAX) {
        return bad(p, member, err, "the variable %s is not set; set it, or write ${%s:-what else}",
                   name_z, name_z);
    }
    strbuf_add(out, value.p ? value : fallback);
    return 0;
}

static int expand(const struct parse *p, const char *member, struct str text, struct strbuf *out,
                  struct err *err) {
    (void)strbuf_room(out, text.n + 1);
    while (text.n > 0) {
        size_t at = str_find(text, STR("${"));
        strbuf_add(out, str_head(text, MIN(at, text.n)));
        if (at == SIZE_MAX) {
            break;
        }
        struct str rest = str_skip(text, at + 2);
        size_t end = str_find_char(rest, '}');
        if (end == SIZE_MAX) {
            return bad(p, member, err, "a ${ is not closed");
        }
        if (expand_one(p, member, str_head(rest, end), out, err) < 0) {
            return -(int)err->code;
        }
        text = str_skip(rest, end + 1);
    }
    if (out->failed) {
        return bad(p, member, err, "is longer than %d bytes", MAX_STRING_BYTES);
    }
    for (size_t i = 0; i < out->n; i++) {
        if ((unsigned char)out->p[i] < ' ' && out->p[i] != '\t') {
            return bad(p, member, err, "contains a control character");
        }
    }
    return 0;
}

/* *ret untouched when absent. */
static int want_text(struct parse *p, const json_t *entry, const char *member, struct str *ret,
                     struct err *err) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(MAX_STRING_BYTES);
    const json_t *value = json_object_get(entry, member);
    if (!value) {
        return 0;
    }
    if (!json_is_string(value)) {
        return bad(p, member, err, "must be a string");
    }
    if (expand(p, member, json_value_str(value), &text, err) < 0) {
        return -(int)err->code;
    }
    *ret = arena_str(&p->s->arena, strbuf_str(&text));
    return 0;
}

static int want_secret(struct parse *p, const char *member, const json_t *value,
                       struct secret **ret, struct err *err) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(MAX_STRING_BYTES);
    if (!json_is_string(value)) {
        return bad(p, member, err, "must be a string");
    }
    int rc = expand(p, member, json_value_str(value), &text, err);
    if (rc == 0) {
        *ret = secret_new(strbuf_str(&text));
    }
    if (text.p) {
        secret_wipe(text.p, text.cap);
    }
    return rc;
}

/* ---- parts of an entry ---- */

static bool is_token(struct str name) { /* RFC 9110 */
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!letter && (!c || !strchr("!#$%&'*+-.^_`|~", c))) {
            return false;
        }
    }
    return name.n > 0 && name.n <= MAX_HEADER_NAME_BYTES;
}

static bool is_server_name(struct str name) {
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!letter && c != '_' && c != '-' && c != '.') {
            return false;
        }
    }
    return name.n > 0 && name.n <= SERVERS_MAX_NAME_BYTES && !str_eq(name, STR(".")) &&
           !str_eq(name, STR(".."));
}

static int read_values(struct parse *p, const json_t *entry, const char *member, size_t max,
                       bool (*valid)(struct str), struct server *ret, struct err *err) {
    json_t *object = json_object_get(entry, member), *value;
    const char *key;
    if (!object) {
        return 0;
    }
    if (!json_is_object(object) || json_object_size(object) > max) {
        return bad(p, member, err, "must be an object of at most %zu strings", max);
    }
    ret->values = arena_alloc(&p->s->arena, (json_object_size(object) + 1) * sizeof *ret->values);
    json_object_foreach (object, key, value) {
        struct server_value *v = &ret->values[ret->n_values];
        if (!valid(str_z(key))) {
            return bad(p, member, err, "\"%.60s\" cannot be a name here", key);
        }
        if (want_secret(p, member, value, &v->value, err) < 0) {
            return -(int)err->code;
        }
        v->name = arena_str(&p->s->arena, str_z(key));
        ret->n_values++;
    }
    return 0;
}

static int read_texts(struct parse *p, const json_t *entry, const char *member, struct str **ret,
                      size_t *ret_n, struct err *err) {
    const json_t *array = json_object_get(entry, member);
    if (!array) {
        return 0;
    }
    if (!json_is_array(array) || json_array_size(array) > SERVERS_MAX_ARGS) {
        return bad(p, member, err, "must be an array of at most %d strings", SERVERS_MAX_ARGS);
    }
    *ret = arena_alloc(&p->s->arena, (json_array_size(array) + 1) * sizeof **ret);
    for (size_t i = 0; i < json_array_size(array); i++) {
        struct strbuf text cleanup(strbuf_done) = STRBUF(MAX_STRING_BYTES);
        const json_t *value = json_array_get(array, i);
        if (!json_is_string(value)) {
            return bad(p, member, err, "must be an array of strings");
        }
        if (expand(p, member, json_value_str(value), &text, err) < 0) {
            return -(int)err->code;
        }
        (*ret)[(*ret_n)++] = arena_str(&p->s->arena, strbuf_str(&text));
    }
    return 0;
}

/* In templates {...} is for the vault; ${...} was expanded before. */
static int read_credential(struct parse *p, const json_t *entry, struct server *ret,
                           struct err *err) {
    static const char *const known_http[] = {"service", "header", "value", NULL};
    static const char *const known_stdio[] = {"service", "env", "value", NULL};
    bool http = ret->transport == MCP_HTTP;
    const char *carrier = http ? "header" : "env";
    const json_t *object = json_object_get(entry, "credential");
    struct server_credential *c = &ret->credential;
    if (!object) {
        return 0;
    }
    if (!json_is_object(object)) {
        return bad(p, "credential", err, "must be an object");
    }
    warn_unknown(p, object, http ? known_http : known_stdio);
    c->template = STR("{*}");
    if (want_text(p, object, "service", &c->service, err) < 0 ||
        want_text(p, object, carrier, &c->carrier, err) < 0 ||
        want_text(p, object, "value", &c->template, err) < 0) {
        return -(int)err->code;
    }
    if (c->service.n == 0 || c->service.n > VAULT_MAX_SERVICE_BYTES) {
        return bad(p, "credential.service", err, "must name a service of the vault");
    }
    if (http ? !is_token(c->carrier) : !is_variable_name(c->carrier)) {
        return bad(p, "credential", err, "%s: must be a name, such as %s", carrier,
                   http ? "Authorization" : "API_TOKEN");
    }
    if (c->template.n == 0) {
        return bad(p, "credential.value", err, "must not be empty");
    }
    return 0;
}

static int read_oauth(struct parse *p, const json_t *entry, struct server *ret, struct err *err) {
    static const char *const known[] = {"client_id", "client_secret", "scopes", "issuer", NULL};
    const json_t *object = json_object_get(entry, "oauth");
    if (!object) {
        return 0;
    }
    if (!json_is_object(object) || ret->transport != MCP_HTTP) {
        return bad(p, "oauth", err, "must be an object, at a server with a url");
    }
    warn_unknown(p, object, known);
    const json_t *secret = json_object_get(object, "client_secret");
    if (want_text(p, object, "client_id", &ret->oauth.client_id, err) < 0 ||
        want_text(p, object, "scopes", &ret->oauth.scopes, err) < 0 ||
        want_text(p, object, "issuer", &ret->oauth.issuer, err) < 0 ||
        (secret &&
         want_secret(p, "oauth.client_secret", secret, &ret->oauth.client_secret, err) < 0)) {
        return -(int)err->code;
    }
    return 0;
}

static int read_era(struct parse *p, const json_t *entry, struct server *ret, struct err *err) {
    struct str era = {0};
    if (want_text(p, entry, "era", &era, err) < 0) {
        return -(int)err->code;
    }
    if (!era.p || str_eq(era, STR("auto"))) {
        return 0;
    }
    if (str_eq(era, STR("modern")) || str_eq(era, STR("2026-07-28"))) {
        ret->pinned_era = MCP_ERA_MODERN;
    } else if (str_eq(era, STR("legacy"))) {
        ret->pinned_era = MCP_ERA_LEGACY;
    } else {
        return bad(p, "era", err, "must be auto, modern or legacy");
    }
    return 0;
}

/* The names that other clients have for the two transports. */
static int read_transport(struct parse *p, const json_t *entry, struct server *ret,
                          struct err *err) {
    struct str type = {0};
    if (want_text(p, entry, "type", &type, err) < 0 ||
        want_text(p, entry, "url", &ret->url, err) < 0 ||
        want_text(p, entry, "command", &ret->command, err) < 0) {
        return -(int)err->code;
    }
    bool stdio = str_eq(type, STR("stdio"));
    bool http = str_eq(type, STR("http")) || str_eq(type, STR("streamable-http")) ||
                str_eq(type, STR("streamableHttp")) || str_eq(type, STR("streamable_http"));
    if (str_eq(type, STR("sse"))) {
        return bad(p, "type", err,
                   "sse is the transport of 2024, which is not spoken; use the server's "
                   "streamable HTTP address and type http");
    }
    if (type.p && !stdio && !http) {
        return bad(p, "type", err, "must be http or stdio");
    }
    if ((ret->url.n > 0) == (ret->command.n > 0)) {
        return bad(p, "", err, "must have either url or command");
    }
    if ((stdio && !ret->command.n) || (http && !ret->url.n)) {
        return bad(p, "type", err, "does not fit to %s", ret->url.n ? "url" : "command");
    }
    if (ret->url.n && !str_starts(ret->url, STR("http://")) &&
        !str_starts(ret->url, STR("https://"))) {
        return bad(p, "url", err, "must begin with http:// or https://");
    }
    ret->transport = ret->url.n ? MCP_HTTP : MCP_STDIO;
    return 0;
}

static bool has_header(const struct server *s, struct str name) {
    for (size_t i = 0; i < s->n_values; i++) {
        if (str_eq_nocase(s->values[i].name, name)) {
            return true;
        }
    }
    return str_eq_nocase(s->credential.carrier, name);
}

/* ---- entries ---- */

static const char *const known_http[] = {"type",   "url",         "headers",    "credential",
                                         "oauth",  "era",         "timeout_ms", "disabled",
                                         "pinned", "description", NULL};
static const char *const known_stdio[] = {"type",       "command",     "args",       "env",
                                          "credential", "era",         "timeout_ms", "disabled",
                                          "pinned",     "description", NULL};

static int read_entry(struct parse *p, const json_t *entry, struct server *ret, struct err *err) {
    bool http;
    if (read_transport(p, entry, ret, err) < 0) {
        return -(int)err->code;
    }
    http = ret->transport == MCP_HTTP;
    warn_unknown(p, entry, http ? known_http : known_stdio);
    int rc = http ? read_values(p, entry, "headers", MCP_MAX_HEADERS - 1, is_token, ret, err)
                  : read_values(p, entry, "env", SERVERS_MAX_ENV, is_variable_name, ret, err);
    if (rc < 0 || read_texts(p, entry, "args", &ret->args, &ret->n_args, err) < 0 ||
        read_texts(p, entry, "pinned", &ret->pinned, &ret->n_pinned, err) < 0 ||
        read_credential(p, entry, ret, err) < 0 || read_oauth(p, entry, ret, err) < 0 ||
        read_era(p, entry, ret, err) < 0) {
        return -(int)err->code;
    }
    if (json_want_int(entry, "timeout_ms", MIN_TIMEOUT_MS, MAX_TIMEOUT_MS, &ret->timeout_ms, err) <
        0) {
        return err_prefix(err, "%s", p->where);
    }
    if (has_header(ret, STR("Authorization")) && json_object_get(entry, "oauth")) {
        return bad(p, "oauth", err, "the server has an Authorization header already");
    }
    /* Who is told by a header who calls is never taken through OAuth, unless it says so. */
    ret->may_oauth = http && (json_object_get(entry, "oauth") ||
                              (ret->n_values == 0 && ret->credential.service.n == 0));
    return 0;
}

static int read_servers(struct parse *p, json_t *object, struct err *err) {
    const char *name;
    json_t *entry;
    if (!json_is_object(object) || json_object_size(object) > SERVERS_MAX) {
        return err_set(err, ERR_INVALID, "mcpServers: must be an object of at most %d servers",
                       SERVERS_MAX);
    }
    p->s->servers = arena_alloc(&p->s->arena, (SERVERS_MAX + 1) * sizeof *p->s->servers);
    json_object_foreach (object, name, entry) {
        struct server *server = &p->s->servers[p->s->n];
        bool disabled = false;
        snprintf(p->where, sizeof p->where, "mcpServers.%.100s", name);
        if (!is_server_name(str_z(name))) {
            return bad(p, "", err, "a server's name has 1 to %d of A-Z a-z 0-9 _ - .",
                       SERVERS_MAX_NAME_BYTES);
        }
        if (!json_is_object(entry)) {
            return bad(p, "", err, "must be an object");
        }
        if (json_want_bool(entry, "disabled", &disabled, err) < 0) {
            return err_prefix(err, "%s", p->where);
        }
        if (disabled) {
            continue;
        }
        server->name = arena_str(&p->s->arena, str_z(name));
        p->s->n++; /* now, so that what it holds is freed when it fails */
        if (read_entry(p, entry, server, err) < 0) {
            return -(int)err->code;
        }
        server_identify(server);
    }
    return 0;
}

/* ---- skills ---- */

static int read_skill(struct parse *p, const char *skill, const json_t *names, const json_t *known,
                      struct err *err) {
    struct server_skill *s = &p->s->skills[p->s->n_skills++];
    snprintf(p->where, sizeof p->where, "skillServers.%.100s", skill);
    if (!json_is_array(names) || json_array_size(names) > SERVERS_MAX) {
        return bad(p, "", err, "must be an array of server names");
    }
    s->skill = arena_str(&p->s->arena, str_z(skill));
    s->servers = arena_alloc(&p->s->arena, (json_array_size(names) + 1) * sizeof *s->servers);
    for (size_t i = 0; i < json_array_size(names); i++) {
        struct str name = json_value_str(json_array_get(names, i));
        if (!name.p) {
            return bad(p, "", err, "must be an array of server names");
        }
        if (!json_object_get(known, name.p) && !str_eq(name, STR("*"))) {
            log_warn("mcp", "a skill names a server that is not there at=%s server=%.*s", p->where,
                     STR_ARG(str_head(name, 100)));
        }
        s->servers[s->n++] = arena_str(&p->s->arena, name);
    }
    return 0;
}

static int read_skills(struct parse *p, json_t *object, const json_t *known, struct err *err) {
    const char *skill;
    json_t *names;
    if (!object) {
        return 0;
    }
    if (!json_is_object(object) || json_object_size(object) > SERVERS_MAX_SKILLS) {
        return err_set(err, ERR_INVALID, "skillServers: must be an object of at most %d skills",
                       SERVERS_MAX_SKILLS);
    }
    p->s->skills = arena_alloc(&p->s->arena, (json_object_size(object) + 1) * sizeof *p->s->skills);
    json_object_foreach (object, skill, names) {
        if (read_skill(p, skill, names, known, err) < 0) {
            return -(int)err->code;
        }
    }
    return 0;
}

/* ---- the whole ---- */

int servers_parse(struct str text, const struct servers_variables *variables, struct servers **ret,
                  struct err *err) {
    static const char *const known[] = {"mcpServers", "skillServers", "$schema", NULL};
    json_auto_t *tree = NULL;
    if (text.n > SERVERS_MAX_FILE_BYTES) {
        return err_set(err, ERR_INVALID, "is larger than %d bytes", SERVERS_MAX_FILE_BYTES);
    }
    if (json_read(text, &tree, err) < 0) {
        return -(int)err->code;
    }
    if (!json_is_object(tree) || !json_object_get(tree, "mcpServers")) {
        return err_set(err, ERR_INVALID, "must be an object with the member mcpServers");
    }
    struct servers *s = mem_alloc(sizeof *s);
    struct parse p = {.s = s, .variables = variables};
    s->refs = 1;
    warn_unknown(&p, tree, known);
    json_t *servers = json_object_get(tree, "mcpServers");
    if (read_servers(&p, servers, err) < 0 ||
        read_skills(&p, json_object_get(tree, "skillServers"), servers, err) < 0) {
        servers_unref(s);
        return -(int)err->code;
    }
    *ret = s;
    return 0;
}
