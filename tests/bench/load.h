/* A load generator for HTTP with streamed answers and for idle WebSockets: one thread on epoll, so
 * that it takes little from what it measures. */
#pragma once
#include <netinet/in.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strbuf.h"

enum { LOAD_MAX_HEAD = 16 * 1024, LOAD_MAX_REQUEST = 8 * 1024 * 1024, LOAD_MAX_FIELDS = 16 };

struct load_options {
    struct sockaddr_in address;
    struct str host, path;
    const char *fields[LOAD_MAX_FIELDS];
    size_t n_fields;
    struct str body;
    struct str first_mark, end_mark;
    unsigned concurrency;
    uint64_t requests; /* 0: by time */
    int64_t seconds;
    int64_t ramp_ms; /* over which the connections are begun */
    int64_t pace_ms; /* of the answers; 0: not looked at */
    unsigned tokens; /* of the answers */
};

/* Durations in microseconds. */
struct samples {
    uint32_t *values;
    size_t n, cap;
};
void samples_add(struct samples *s, int64_t us);
/* "name":{"n":..,"p50":..,"p95":..,"p99":..,"max":..,"mean":..}; sorts them. */
void samples_write(struct samples *s, const char *name, struct strbuf *out);
void samples_done(struct samples *s);

struct load_result {
    uint64_t done, errors, bytes;
    int64_t begun_us, ended_us;
    struct samples first, total; /* from the request's first byte */
    struct samples late;         /* the whole stream, against its pace */
    struct samples gap;          /* the longest pause of a stream beyond its pace */
    char first_error[256];
};
void load_fail(struct load_result *r, const char *fmt, ...) printf_like(2, 3);

/* Connected, non-blocking; -1 on failure. */
int load_connect(const struct load_options *o);
/* Request after request on each connection. */
void load_exchange(const struct load_options *o, struct load_result *ret);
/* Opens the WebSockets, says so on stdout, answers pings until stdin ends. */
void load_sockets(const struct load_options *o, struct load_result *ret);
