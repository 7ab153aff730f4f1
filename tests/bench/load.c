/* Options and report of the load generator. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

static const char usage[] =
    "usage: load post URL [options]     request after request, each answer read to its end\n"
    "       load sockets URL [options]  opens WebSockets and holds them until stdin ends\n"
    "\n"
    "  -c N            connections (1)\n"
    "  -n N | -t S     requests in all, or seconds\n"
    "  -d BODY         the request's body; {c} is the connection's number, {n} the request's\n"
    "  -H FIELD        a field of the request's head, such as \"X-API-Key: k\"; several may be "
    "given\n"
    "  --first TEXT    what marks the first token in the answer\n"
    "  --end TEXT      what a whole answer must contain\n"
    "  --ramp MS       begins the connections over this time\n"
    "  --pace MS --tokens N   what the answers' pace should be\n"
    "\n"
    "Prints one line of JSON; times are in microseconds.\n";

/* ---- samples ---- */

void samples_add(struct samples *s, int64_t us) {
    if (s->n == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 1024;
        s->values = mem_resize(s->values, s->cap * sizeof *s->values);
    }
    s->values[s->n++] = us < 0 ? 0 : us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static uint32_t quantile(const struct samples *s, double q) {
    return s->n ? s->values[(size_t)(q * (double)(s->n - 1) + 0.5)] : 0;
}

void samples_write(struct samples *s, const char *name, struct strbuf *out) {
    double sum = 0;
    if (s->n) {
        qsort(s->values, s->n, sizeof *s->values, by_value);
    }
    for (size_t i = 0; i < s->n; i++) {
        sum += s->values[i];
    }
    strbuf_addf(out, "\"%s\":{\"n\":%zu,\"mean\":%.0f,\"p50\":%u,\"p95\":%u,\"p99\":%u,\"max\":%u}",
                name, s->n, s->n ? sum / (double)s->n : 0, quantile(s, 0.5), quantile(s, 0.95),
                quantile(s, 0.99), quantile(s, 1));
}

void samples_done(struct samples *s) {
    mem_free(s->values);
}

void load_fail(struct load_result *r, const char *fmt, ...) {
    va_list ap;
    r->errors++;
    if (!r->first_error[0]) {
        va_start(ap, fmt);
        vsnprintf(r->first_error, sizeof r->first_error, fmt, ap);
        va_end(ap);
        for (char *p = r->first_error; *p; p++) {
            *p = *p < ' ' || *p == '"' || *p == '\\' || (unsigned char)*p > 126 ? ' ' : *p;
        }
    }
}

int load_connect(const struct load_options *o) {
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    if (connect(fd, (const struct sockaddr *)&o->address, sizeof o->address) < 0) {
        close(fd);
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void report(struct load_result *r) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(64 * 1024);
    double seconds = (double)(r->ended_us - r->begun_us) / 1e6;
    strbuf_addf(&out,
                "{\"done\":%llu,\"errors\":%llu,\"bytes\":%llu,\"seconds\":%.3f,\"rate\":%.1f,",
                (unsigned long long)r->done, (unsigned long long)r->errors,
                (unsigned long long)r->bytes, seconds, seconds > 0 ? (double)r->done / seconds : 0);
    samples_write(&r->first, "first_us", &out);
    strbuf_addc(&out, ',');
    samples_write(&r->total, "total_us", &out);
    strbuf_addc(&out, ',');
    samples_write(&r->late, "late_us", &out);
    strbuf_addc(&out, ',');
    samples_write(&r->gap, "gap_us", &out);
    strbuf_addf(&out, ",\"first_error\":\"%s\"}", r->first_error);
    puts(strbuf_z(&out));
}

/* ---- options ---- */

static int read_url(const char *url, struct load_options *o) {
    struct str rest = str_z(url), host;
    int64_t port;
    if (!str_starts(rest, STR("http://"))) {
        return -1;
    }
    rest = str_skip(rest, 7);
    host = str_head(rest, MIN(str_find_char(rest, '/'), rest.n));
    o->host = host;
    o->path = host.n < rest.n ? str_skip(rest, host.n) : STR("/");
    char address[64];
    struct str name = str_cut(&host, ':');
    snprintf(address, sizeof address, "%.*s", STR_ARG(name));
    if (!str_to_i64(host, &port) || port < 1 || port > 65535) {
        return -1;
    }
    o->address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    return inet_pton(AF_INET, address, &o->address.sin_addr) == 1 ? 0 : -1;
}

enum { OPT_FIRST = 256, OPT_END, OPT_RAMP, OPT_PACE, OPT_TOKENS };

static int read_option(int c, struct load_options *o) {
    switch (c) {
    case 'c':
        o->concurrency = (unsigned)strtoul(optarg, NULL, 10);
        return 0;
    case 'n':
        o->requests = strtoull(optarg, NULL, 10);
        return 0;
    case 't':
        o->seconds = strtoll(optarg, NULL, 10);
        return 0;
    case 'd':
        o->body = str_z(optarg);
        return 0;
    case 'H':
        if (o->n_fields == LOAD_MAX_FIELDS) {
            return -1;
        }
        o->fields[o->n_fields++] = optarg;
        return 0;
    case OPT_FIRST:
        o->first_mark = str_z(optarg);
        return 0;
    case OPT_END:
        o->end_mark = str_z(optarg);
        return 0;
    case OPT_RAMP:
        o->ramp_ms = strtoll(optarg, NULL, 10);
        return 0;
    case OPT_PACE:
        o->pace_ms = strtoll(optarg, NULL, 10);
        return 0;
    case OPT_TOKENS:
        o->tokens = (unsigned)strtoul(optarg, NULL, 10);
        return 0;
    default:
        return -1;
    }
}

static int read_options(int argc, char **argv, struct load_options *o) {
    static const struct option names[] = {{"first", required_argument, NULL, OPT_FIRST},
                                          {"end", required_argument, NULL, OPT_END},
                                          {"ramp", required_argument, NULL, OPT_RAMP},
                                          {"pace", required_argument, NULL, OPT_PACE},
                                          {"tokens", required_argument, NULL, OPT_TOKENS},
                                          {0}};
    int c;
    while ((c = getopt_long(argc, argv, "c:n:t:d:H:", names, NULL)) != -1) {
        if (read_option(c, o) < 0) {
            return -1;
        }
    }
    return argc - optind == 2 && read_url(argv[optind + 1], o) == 0 && o->concurrency > 0 ? 0 : -1;
}

static void raise_file_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv) {
    struct load_options o = {.concurrency = 1};
    struct load_result r = {0};
    if (read_options(argc, argv, &o) < 0) {
        fputs(usage, stderr);
        return 2;
    }
    raise_file_limit();
    r.begun_us = clock_mono_us();
    if (strcmp(argv[optind], "post") == 0) {
        load_exchange(&o, &r);
    } else if (strcmp(argv[optind], "sockets") == 0) {
        load_sockets(&o, &r);
    } else {
        fputs(usage, stderr);
        return 2;
    }
    r.ended_us = r.ended_us ? r.ended_us : clock_mono_us();
    report(&r);
    samples_done(&r.first);
    samples_done(&r.total);
    samples_done(&r.late);
    samples_done(&r.gap);
    return r.errors ? 1 : 0;
}
