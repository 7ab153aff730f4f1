#include "profile/profile.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/mem.h"
#include "llm/llm.h"
#include "profile/source.h"

enum { MAX_VALUE_BYTES = 4096 };

struct load {
    struct profile *p;
    struct source source;
};

/* ---- one value ---- */

static int bad(const char *name, struct err *err, const char *what) {
    return err_set(err, ERR_INVALID, "%s: %s", name, what);
}

/* A missing variable leaves *ret as it is. */
static int get_text(struct load *l, const char *name, struct str *ret, struct err *err) {
    struct str value = source_get(&l->source, name);
    if (!value.p) {
        return 0;
    }
    if (value.n > MAX_VALUE_BYTES || !str_is_utf8(value)) {
        return bad(name, err, "must be UTF-8 text of at most 4096 bytes");
    }
    *ret = arena_str(&l->p->arena, value);
    return 0;
}

static int get_secret(struct load *l, const char *name, struct secret **ret, struct err *err) {
    struct str value = source_get(&l->source, name);
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] <= ' ' || value.p[i] > '~') {
            return bad(name, err, "must be printable ASCII without space");
        }
    }
    if (value.n > MAX_VALUE_BYTES) {
        return bad(name, err, "must have at most 4096 characters");
    }
    *ret = value.p ? secret_new(value) : NULL;
    return 0;
}

static int get_int(struct load *l, const char *name, int64_t min, int64_t max, int64_t *ret,
                   struct err *err) {
    struct str value = source_get(&l->source, name);
    int64_t number;
    if (!value.p) {
        return 0;
    }
    if (!str_to_i64(str_trim(value), &number) || number < min || number > max) {
        return err_set(err, ERR_INVALID, "%s: must be a whole number from %" PRId64 " to %" PRId64,
                       name, min, max);
    }
    *ret = number;
    return 0;
}

static bool one_of(struct str s, const char *const *words, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (str_eq_nocase(s, str_z(words[i]))) {
            return true;
        }
    }
    return false;
}

static int get_bool(struct load *l, const char *name, bool *ret, struct err *err) {
    static const char *const yes[] = {"true", "1", "yes", "on"};
    static const char *const no[] = {"false", "0", "no", "off"};
    struct str value = source_get(&l->source, name);
    if (!value.p) {
        return 0;
    }
    if (!one_of(value, yes, ARRAY_LEN(yes)) && !one_of(value, no, ARRAY_LEN(no))) {
        return bad(name, err, "must be true or false");
    }
    *ret = one_of(value, yes, ARRAY_LEN(yes));
    return 0;
}

static int get_db_url(struct load *l, const char *name, struct str *ret, struct err *err) {
    struct str value = STR_EMPTY;
    if (get_text(l, name, &value, err) < 0) {
        return -(int)err->code;
    }
    if (value.n > 0 && !str_starts(value, STR("postgres://")) &&
        !str_starts(value, STR("postgresql://"))) {
        return bad(name, err, "must begin with postgres:// or postgresql://");
    }
    *ret = value;
    return 0;
}

static int get_http_url(struct load *l, const char *name, struct str *ret, struct err *err) {
    struct str value = STR_EMPTY;
    if (get_text(l, name, &value, err) < 0) {
        return -(int)err->code;
    }
    bool ok = str_starts(value, STR("http://")) || str_starts(value, STR("https://"));
    if (value.n > 0 && !ok) {
        return bad(name, err, "must begin with http:// or https://");
    }
    while (value.n > 0 && value.p[value.n - 1] == '/') {
        value.n--;
    }
    *ret = arena_str(&l->p->arena, value);
    return 0;
}

/* Relative paths are meant from the home folder. */
static int get_path(struct load *l, const char *name, const char *fallback, struct str *ret,
                    struct err *err) {
    struct profile *p = l->p;
    struct str value = str_z(fallback);
    if (get_text(l, name, &value, err) < 0) {
        return -(int)err->code;
    }
    *ret = value.p[0] == '/'
               ? value
               : arena_printf(&p->arena, "%.*s/%.*s", STR_ARG(p->home), STR_ARG(value));
    return 0;
}

/* ---- the home folder ---- */

static int find_home(struct profile *p, const char *home, struct err *err) {
    const char *user_home = getenv("HOME");
    if (!home || !home[0]) {
        home = getenv("ADJUTANT_HOME");
    }
    if (home && home[0]) {
        p->home = arena_str(&p->arena, str_z(home));
    } else if (user_home && user_home[0]) {
        p->home = arena_printf(&p->arena, "%s/.adjutant", user_home);
    } else {
        return bad("ADJUTANT_HOME", err, "must be set, as HOME is not");
    }
    while (p->home.n > 1 && p->home.p[p->home.n - 1] == '/') {
        p->home = arena_str(&p->arena, str_head(p->home, p->home.n - 1));
    }
    return 0;
}

static int make_home(const struct profile *p, struct err *err) {
    char *path cleanup(mem_free_p) = str_dup_z(p->home);
    struct stat st;
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)!mkdir(path, 0700); /* what matters is whether the last one is there */
        *slash = '/';
    }
    if (mkdir(path, 0700) < 0 && errno != EEXIST) {
        return err_set(err, ERR_INVALID, "ADJUTANT_HOME: cannot make the folder %s: %s", path,
                       strerror(errno));
    }
    if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode)) {
        return err_set(err, ERR_INVALID, "ADJUTANT_HOME: %s is not a folder", path);
    }
    return 0;
}

static bool is_known(struct str name) {
    size_t n;
    const struct profile_variable *variables = profile_variables(&n);
    for (size_t i = 0; i < n; i++) {
        if (str_eq(name, str_z(variables[i].name))) {
            return true;
        }
    }
    return false;
}

static struct str file_path(const struct profile *p, struct arena *arena) {
    return arena_printf(arena, "%.*s/adjutant.env", STR_ARG(p->home));
}

static int read_file(struct load *l, struct err *err) {
    struct str path = file_path(l->p, &l->p->arena);
    if (source_read(&l->source, path.p, err) < 0) {
        return -(int)err->code;
    }
    for (size_t i = 0; i < l->source.n_settings; i++) {
        struct str name = l->source.settings[i].name;
        if (str_eq(name, STR("ADJUTANT_HOME"))) {
            return err_set(err, ERR_INVALID, "%s: ADJUTANT_HOME cannot be set here", path.p);
        }
        if (!is_known(name)) {
            log_warn("profile", "unknown setting file=%s name=%.*s", path.p, STR_ARG(name));
        }
    }
    return 0;
}

/* ---- where to listen ---- */

static bool is_loopback(struct str host) {
    char text[INET6_ADDRSTRLEN];
    struct in_addr v4;
    struct in6_addr v6;
    if (str_eq_nocase(host, STR("localhost"))) {
        return true;
    }
    if (host.n >= sizeof text) {
        return false;
    }
    memcpy(text, host.p, host.n);
    text[host.n] = '\0';
    if (inet_pton(AF_INET, text, &v4) == 1) {
        return ntohl(v4.s_addr) >> 24 == 127;
    }
    return inet_pton(AF_INET6, text, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static bool split_address(struct str address, struct str *ret_host, int64_t *ret_port) {
    size_t colon = address.n;
    while (colon > 0 && address.p[colon - 1] != ':') {
        colon--;
    }
    if (colon < 2) {
        return false;
    }
    struct str host = str_head(address, colon - 1);
    bool bracketed = host.p[0] == '[' && host.p[host.n - 1] == ']';
    if (bracketed) {
        host = (struct str){host.p + 1, host.n - 2};
    }
    *ret_host = host;
    return (bracketed || str_find_char(host, ':') == SIZE_MAX) &&
           str_to_i64(str_skip(address, colon), ret_port) && *ret_port >= 0 && *ret_port <= 65535;
}

/* An origin: scheme, host, perhaps a port, no path. */
static bool is_origin(struct str url) {
    struct str rest = str_skip(url, str_starts(url, STR("https://")) ? 8 : 7);
    for (size_t i = 0; i < rest.n; i++) {
        if (rest.p[i] <= ' ' || rest.p[i] > '~' || strchr("/?#@\\\"<>", rest.p[i])) {
            return false;
        }
    }
    return rest.n && (str_starts(url, STR("https://")) || str_starts(url, STR("http://")));
}

static int read_public_url(struct load *l, struct str host, int64_t port, struct err *err) {
    struct profile *p = l->p;
    bool any = str_eq(host, STR("0.0.0.0")) || str_eq(host, STR("::"));
    struct str shown = any ? STR("127.0.0.1") : host;
    bool bracketed = str_find_char(shown, ':') != SIZE_MAX;
    p->public_url = arena_printf(&p->arena, "http://%s%.*s%s:%" PRId64, bracketed ? "[" : "",
                                 STR_ARG(shown), bracketed ? "]" : "", port);
    if (get_text(l, "ADJUTANT_PUBLIC_URL", &p->public_url, err) < 0) {
        return -(int)err->code;
    }
    if (str_ends(p->public_url, STR("/"))) {
        p->public_url.n--;
    }
    return is_origin(p->public_url)
               ? 0
               : bad("ADJUTANT_PUBLIC_URL", err,
                     "must be https://host or https://host:port, without a path");
}

static int read_listen(struct load *l, const char *listen, struct err *err) {
    struct profile *p = l->p;
    struct str host;
    int64_t port;
    p->listen = STR("127.0.0.1:8080");
    if (listen && listen[0]) {
        p->listen = arena_str(&p->arena, str_z(listen));
    } else if (get_text(l, "ADJUTANT_LISTEN", &p->listen, err) < 0) {
        return -(int)err->code;
    }
    if (!split_address(p->listen, &host, &port)) {
        return bad("ADJUTANT_LISTEN", err, "must be address:port, as 127.0.0.1:8080 or [::1]:8080");
    }
    p->loopback_only = is_loopback(host);
    return read_public_url(l, host, port, err);
}

/* ---- models ---- */

/* How each provider can be called here, in the order of preference. */
struct access {
    const struct llm_provider *provider;
    const struct secret *key;
    struct str base_url;
};
enum { N_PROVIDERS = 3 };

static void list_access(const struct profile *p, struct access ret[N_PROVIDERS]) {
    ret[0] = (struct access){&llm_anthropic, p->anthropic_key, p->anthropic_base_url};
    ret[1] = (struct access){&llm_openai, p->openai_key, p->openai_base_url};
    ret[2] = (struct access){&llm_ollama, NULL, p->ollama_base_url};
}

static bool can_be_called(const struct access *a) {
    struct str url = a->base_url.n ? a->base_url : str_z(llm_provider_default_url(a->provider));
    return a->key || !llm_provider_needs_key(a->provider, url);
}

/* One with a key, else one at an address that was given. */
static const struct llm_provider *first_provider(const struct access *list) {
    for (size_t i = 0; i < N_PROVIDERS; i++) {
        if (list[i].key) {
            return list[i].provider;
        }
    }
    for (size_t i = 0; i < N_PROVIDERS; i++) {
        if (list[i].base_url.n && can_be_called(&list[i])) {
            return list[i].provider;
        }
    }
    return NULL;
}

static void choose_provider(struct profile *p, const struct llm_provider *asked) {
    struct access list[N_PROVIDERS];
    list_access(p, list);
    const struct llm_provider *chosen = asked ? asked : first_provider(list);
    p->llm.provider = str_z(llm_provider_name(chosen ? chosen : &llm_anthropic));
    for (size_t i = 0; i < N_PROVIDERS; i++) {
        p->llm_configured |= list[i].provider == chosen && can_be_called(&list[i]);
    }
}

static int read_provider(struct load *l, struct err *err) {
    struct profile *p = l->p;
    struct str word = STR_EMPTY;
    if (get_text(l, "LLM_PROVIDER", &word, err) < 0 ||
        get_text(l, "LLM_MODEL", &p->llm.model, err) < 0 ||
        get_text(l, "DISTILL_MODEL", &p->distill_model, err) < 0 ||
        get_text(l, "TITLE_MODEL", &p->title_model, err) < 0) {
        return -(int)err->code;
    }
    p->titles = !str_eq_nocase(p->title_model, STR("off"));
    const struct llm_provider *asked = word.n ? llm_provider_find(word) : NULL;
    if (word.n && !asked) {
        return bad("LLM_PROVIDER", err, "must be claude, openai or ollama");
    }
    choose_provider(p, asked);
    return 0;
}

static int read_fallbacks(struct load *l, struct err *err) {
    struct profile *p = l->p;
    struct str rest = STR_EMPTY;
    if (get_text(l, "LLM_FALLBACKS", &rest, err) < 0) {
        return -(int)err->code;
    }
    while (rest.n > 0) {
        struct str model = str_trim(str_cut(&rest, ','));
        if (model.n == 0) {
            continue;
        }
        const struct llm_provider *provider = llm_provider_find(str_cut(&model, ':'));
        if (!provider || model.n == 0) {
            return bad("LLM_FALLBACKS", err, "must be provider:model, separated by commas");
        }
        if (p->n_fallbacks == PROFILE_MAX_FALLBACKS) {
            return bad("LLM_FALLBACKS", err, "must name at most 8 models");
        }
        p->fallbacks[p->n_fallbacks++] = (struct profile_llm){
            .provider = str_z(llm_provider_name(provider)), .model = arena_str(&p->arena, model)};
    }
    return 0;
}

static int read_llm(struct load *l, struct err *err) {
    struct profile *p = l->p;
    if (get_secret(l, "ANTHROPIC_API_KEY", &p->anthropic_key, err) < 0 ||
        get_secret(l, "OPENAI_API_KEY", &p->openai_key, err) < 0 ||
        get_http_url(l, "ANTHROPIC_BASE_URL", &p->anthropic_base_url, err) < 0 ||
        get_http_url(l, "OPENAI_BASE_URL", &p->openai_base_url, err) < 0 ||
        get_http_url(l, "OLLAMA_BASE_URL", &p->ollama_base_url, err) < 0 ||
        get_bool(l, "ADJUTANT_DEMO", &p->demo, err) < 0 || read_provider(l, err) < 0) {
        return -(int)err->code;
    }
    return read_fallbacks(l, err);
}

/* ---- all of it ---- */

static int read_storage(struct load *l, struct err *err) {
    struct profile *p = l->p;
    if (get_db_url(l, "SYSTEM_DB_URL", &p->system_db_url, err) < 0 ||
        get_db_url(l, "SYSTEM_DB_MIGRATE_URL", &p->migrate_db_url, err) < 0 ||
        get_db_url(l, "JOURNAL_DB_URL", &p->journal_db_url, err) < 0) {
        return -(int)err->code;
    }
    if (p->migrate_db_url.n == 0) {
        p->migrate_db_url = p->system_db_url;
    } else if (p->system_db_url.n == 0) {
        return bad("SYSTEM_DB_MIGRATE_URL", err, "needs SYSTEM_DB_URL too");
    }
    p->sqlite_path = arena_printf(&p->arena, "%.*s/adjutant.db", STR_ARG(p->home));
    return 0;
}

static int read_identity(struct load *l, struct err *err) {
    struct profile *p = l->p;
    p->name = STR("personal");
    p->default_user = STR("me");
    p->credentials_key_path = arena_printf(&p->arena, "%.*s/credentials.key", STR_ARG(p->home));
    if (get_text(l, "PROFILE_NAME", &p->name, err) < 0 ||
        get_text(l, "ASSISTANT_USER_ID", &p->default_user, err) < 0 ||
        get_secret(l, "ASSISTANT_API_KEY", &p->api_key, err) < 0 ||
        get_secret(l, "CREDENTIALS_ENCRYPTION_KEY", &p->credentials_key, err) < 0 ||
        get_secret(l, "CREDENTIALS_ENCRYPTION_KEY_OLD", &p->credentials_key_old, err) < 0 ||
        get_text(l, "ALLOWED_SKILLS", &p->allowed_skills, err) < 0 ||
        get_text(l, "ADJUTANT_ALLOWED_ORIGINS", &p->allowed_origins, err) < 0 ||
        get_path(l, "SKILLS_DIR", "skills", &p->skills_dir, err) < 0) {
        return -(int)err->code;
    }
    p->mcp_config_named = source_get(&l->source, "MCP_CONFIG").p != NULL;
    if (get_path(l, "MCP_CONFIG", "mcp.json", &p->mcp_config, err) < 0) {
        return -(int)err->code;
    }
    return get_path(l, "USER_CONTEXT_PATH", "user-context.md", &p->user_context_path, err);
}

static int read_limits(struct load *l, struct err *err) {
    struct profile *p = l->p;
    int64_t pool = 8;
    const struct {
        const char *name;
        int64_t min, max, fallback, *ret;
    } limits[] = {
        {"ADJUTANT_DB_POOL", 1, 64, pool, &pool},
        {"ADJUTANT_TURN_MAX_STEPS", 1, 1000, 32, &p->turn_max_steps},
        {"ADJUTANT_TURN_MAX_TOKENS", 1000, 100000000, 400000, &p->turn_max_tokens},
        {"ADJUTANT_TURN_MAX_SECONDS", 1, 86400, 900, &p->turn_max_seconds},
        {"ADJUTANT_USER_MAX_TURNS", 1, 100000, 64, &p->user_max_turns},
        {"ADJUTANT_LEASE_MS", 500, 600000, 15000, &p->lease_ms},
        {"ADJUTANT_EVENT_RETENTION_S", 0, 604800, 600, &p->event_retention_s},
        {"ADJUTANT_APPROVAL_TTL_S", 1, 31536000, 604800, &p->approval_ttl_s},
        {"ADJUTANT_LLM_IDLE_TIMEOUT_MS", 1000, 3600000, 60000, &p->llm_idle_timeout_ms},
        {"ADJUTANT_MCP_IDLE_S", 1, 86400, 300, &p->mcp_idle_s},
    };
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        *limits[i].ret = limits[i].fallback;
        if (get_int(l, limits[i].name, limits[i].min, limits[i].max, limits[i].ret, err) < 0) {
            return -(int)err->code;
        }
    }
    p->db_pool_size = (unsigned)pool;
    p->migrate_on_start = true;
    return get_bool(l, "ADJUTANT_MIGRATE", &p->migrate_on_start, err);
}

static int load(struct load *l, const char *home, const char *listen, struct err *err) {
    if (find_home(l->p, home, err) < 0 || make_home(l->p, err) < 0 || read_file(l, err) < 0 ||
        read_identity(l, err) < 0 || read_storage(l, err) < 0 || read_listen(l, listen, err) < 0 ||
        read_llm(l, err) < 0) {
        return -(int)err->code;
    }
    return read_limits(l, err);
}

int profile_load(const char *home, const char *listen, struct profile **ret, struct err *err) {
    struct load l = {.p = mem_alloc(sizeof *l.p)};
    int rc = load(&l, home, listen, err);
    source_done(&l.source);
    if (rc < 0) {
        profile_free(l.p);
        return rc;
    }
    *ret = l.p;
    return 0;
}

void profile_forget_environment(void) {
    size_t n;
    const struct profile_variable *variables = profile_variables(&n);
    for (size_t i = 0; i < n; i++) {
        char *value = variables[i].secret ? getenv(variables[i].name) : NULL;
        if (value) {
            secret_wipe(value, strlen(value));
            unsetenv(variables[i].name);
        }
    }
}

void profile_free(struct profile *p) {
    if (!p) {
        return;
    }
    secret_free(p->api_key);
    secret_free(p->credentials_key);
    secret_free(p->credentials_key_old);
    secret_free(p->anthropic_key);
    secret_free(p->openai_key);
    arena_done(&p->arena);
    mem_free(p);
}

/* ---- for other files ---- */

struct profile_environment {
    struct source source;
};

int profile_environment_open(const struct profile *p, struct profile_environment **ret,
                             struct err *err) {
    struct arena arena cleanup(arena_done) = {0};
    struct profile_environment *e = mem_alloc(sizeof *e);
    if (source_read(&e->source, file_path(p, &arena).p, err) < 0) {
        profile_environment_free(e);
        return -(int)err->code;
    }
    *ret = e;
    return 0;
}

void profile_environment_free(struct profile_environment *e) {
    if (e) {
        source_done(&e->source);
        mem_free(e);
    }
}

struct str profile_environment_get(const struct profile_environment *e, const char *name) {
    return source_get(&e->source, name);
}
