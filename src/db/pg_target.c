#include <arpa/inet.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "db/pg.h"

enum { MAX_ADDRESSES = 16, MAX_HOST_TEXT = 4096 };

struct pg_target {
    PQconninfoOption *options;
};

int pg_target_parse(const char *url, struct pg_target **ret, struct err *err) {
    char *message = NULL;
    PQconninfoOption *options = PQconninfoParse(url, &message);
    if (!options) {
        /* libpq's message may quote the URL, and with it a password. */
        PQfreemem(message);
        return err_set(err, ERR_INVALID,
                       "the database URL is not valid; it should read "
                       "postgres://user:password@host:5432/name");
    }
    struct pg_target *target = mem_alloc(sizeof *target);
    target->options = options;
    *ret = target;
    return 0;
}

void pg_target_free(struct pg_target *target) {
    if (target) {
        PQconninfoFree(target->options);
        mem_free(target);
    }
}

void pg_target_free_p(struct pg_target **target) {
    pg_target_free(*target);
}

static const char *option(const struct pg_target *target, const char *name) {
    for (const PQconninfoOption *o = target->options; o->keyword; o++) {
        if (strcmp(o->keyword, name) == 0) {
            return o->val;
        }
    }
    return NULL;
}

static void add_param(struct pg_params *params, const char *name, const char *value) {
    if (params->n + 1 < PG_MAX_PARAMS) {
        params->names[params->n] = name;
        params->values[params->n++] = value;
    }
}

/* ---- names to addresses ---- */

struct lookup {
    uv_getaddrinfo_t request;
    struct fiber_cond finished;
    struct addrinfo *addresses;
    int status;
    bool done, abandoned;
};

static void lookup_free(struct lookup *l) {
    uv_freeaddrinfo(l->addresses);
    mem_free(l);
}

static void on_looked_up(uv_getaddrinfo_t *request, int status, struct addrinfo *addresses) {
    struct lookup *l = container_of(request, struct lookup, request);
    l->addresses = addresses;
    l->status = status;
    l->done = true;
    if (l->abandoned) {
        lookup_free(l);
    } else {
        fiber_signal(&l->finished);
    }
}

/* A look-up that runs cannot be stopped: who gives up leaves it to its callback. */
static int look_up(const char *host, int64_t limit_us, struct lookup **ret, struct err *err) {
    struct lookup *l = mem_alloc(sizeof *l);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
    fiber_cond_init(&l->finished);
    int rc = uv_getaddrinfo(fiber_loop(), &l->request, on_looked_up, host, NULL, &hints);
    if (rc < 0) {
        mem_free(l);
        return err_set(err, ERR_UNAVAILABLE, "cannot resolve %s: %s", host, uv_strerror(rc));
    }
    int code = 0;
    while (!l->done && code == 0) {
        int64_t left_ms = (limit_us - clock_mono_us()) / 1000;
        code = fiber_wait(&l->finished, MAX(left_ms, (int64_t)0));
    }
    if (!l->done) {
        l->abandoned = true;
        return err_set(err, (enum err_code) - code, "resolving %s was given up", host);
    }
    if (l->status < 0) {
        err_set(err, ERR_UNAVAILABLE, "cannot resolve %s: %s", host, uv_strerror(l->status));
        lookup_free(l);
        return -(int)err->code;
    }
    *ret = l;
    return 0;
}

/* The lists that libpq takes side by side: an entry for each address of each host. */
struct host_lists {
    struct strbuf hosts, addresses, ports;
    unsigned n;
};

static void add_host(struct host_lists *lists, struct str host, const char *address,
                     struct str port) {
    if (lists->n == MAX_ADDRESSES) {
        return;
    }
    if (lists->n++ > 0) {
        strbuf_addc(&lists->hosts, ',');
        strbuf_addc(&lists->addresses, ',');
        strbuf_addc(&lists->ports, ',');
    }
    strbuf_add(&lists->hosts, host);
    strbuf_addz(&lists->addresses, address);
    strbuf_add(&lists->ports, port);
}

static bool is_name(const char *host) {
    unsigned char buffer[sizeof(struct in6_addr)];
    return host[0] != '\0' && host[0] != '/' && host[0] != '@' &&
           inet_pton(AF_INET, host, buffer) != 1 && inet_pton(AF_INET6, host, buffer) != 1;
}

static int add_resolved(struct host_lists *lists, struct str host, struct str port,
                        int64_t limit_us, struct err *err) {
    char *name cleanup(mem_free_p) = str_dup_z(host);
    if (!is_name(name)) {
        add_host(lists, host, "", port);
        return 0;
    }
    struct lookup *found = NULL;
    if (look_up(name, limit_us, &found, err) < 0) {
        return -(int)err->code;
    }
    for (const struct addrinfo *a = found->addresses; a; a = a->ai_next) {
        char text[INET6_ADDRSTRLEN];
        if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST) ==
            0) {
            add_host(lists, host, text, port);
        }
    }
    lookup_free(found);
    return 0;
}

static int resolve_all(struct host_lists *lists, struct str hosts, struct str ports,
                       int64_t limit_us, struct err *err) {
    bool one_port = str_find_char(ports, ',') == SIZE_MAX;
    struct str port = one_port ? ports : STR_EMPTY;
    do {
        struct str host = str_cut(&hosts, ',');
        if (!one_port) {
            port = str_cut(&ports, ',');
        }
        if (add_resolved(lists, host, port, limit_us, err) < 0) {
            return -(int)err->code;
        }
    } while (hosts.n > 0);
    return strbuf_check(&lists->addresses, "list of database hosts", err);
}

static const char *value_or_env(const struct pg_target *target, const char *name,
                                const char *variable) {
    const char *value = option(target, name);
    return value && value[0] ? value : getenv(variable);
}

static int add_hosts(const struct pg_target *target, int64_t limit_us, struct pg_params *params,
                     struct err *err) {
    const char *host = value_or_env(target, "host", "PGHOST");
    const char *hostaddr = value_or_env(target, "hostaddr", "PGHOSTADDR");
    const char *port = value_or_env(target, "port", "PGPORT");
    if (!host || !host[0] || (hostaddr && hostaddr[0])) {
        add_param(params, "host", option(target, "host"));
        add_param(params, "hostaddr", option(target, "hostaddr"));
        add_param(params, "port", option(target, "port"));
        return 0;
    }
    struct host_lists lists = {STRBUF(MAX_HOST_TEXT), STRBUF(MAX_HOST_TEXT), STRBUF(MAX_HOST_TEXT),
                               0};
    int rc = resolve_all(&lists, str_z(host), str_z(port), limit_us, err);
    if (rc == 0) {
        add_param(params, "host", arena_z(&params->arena, strbuf_str(&lists.hosts)));
        add_param(params, "hostaddr", arena_z(&params->arena, strbuf_str(&lists.addresses)));
        add_param(params, "port", arena_z(&params->arena, strbuf_str(&lists.ports)));
    }
    strbuf_done(&lists.hosts);
    strbuf_done(&lists.addresses);
    strbuf_done(&lists.ports);
    return rc;
}

static bool is_host_option(const char *name) {
    return strcmp(name, "host") == 0 || strcmp(name, "hostaddr") == 0 || strcmp(name, "port") == 0;
}

int pg_target_resolve(const struct pg_target *target, int64_t limit_us, struct pg_params *ret,
                      struct err *err) {
    static const char *const defaults[][2] = {
        {"client_encoding", "UTF8"},
        {"fallback_application_name", "adjutant"},
        /* A server that vanished without a word is noticed within a minute. */
        {"keepalives_idle", "30"},
        {"keepalives_interval", "10"},
        {"keepalives_count", "3"},
        {"tcp_user_timeout", "60000"},
    };
    *ret = (struct pg_params){0};
    /* The first entry of a name counts less than a later one. */
    for (size_t i = 0; i < ARRAY_LEN(defaults); i++) {
        add_param(ret, defaults[i][0], defaults[i][1]);
    }
    for (const PQconninfoOption *o = target->options; o->keyword; o++) {
        if (o->val && !is_host_option(o->keyword) && strcmp(o->keyword, "client_encoding") != 0) {
            add_param(ret, o->keyword, o->val);
        }
    }
    if (add_hosts(target, limit_us, ret, err) < 0) {
        pg_params_done(ret);
        return -(int)err->code;
    }
    return 0;
}

void pg_params_done(struct pg_params *params) {
    arena_done(&params->arena);
}
