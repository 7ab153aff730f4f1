/* What arrived: counters, and the last requests with their bodies. Keys are kept as hashes. */
#include <stdio.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "fake.h"

enum { KEEP_REQUESTS = 200, KEEP_BYTES = 64 * 1024 * 1024, MAX_COUNTERS = 64 };

struct fake_entry {
    struct list in_log;
    uint64_t number;
    int64_t at_us;
    int64_t ended_us;
    char *path, *fields;
    struct str body;
    int status;
    const char *end;
};

struct counter {
    const char *name; /* a literal */
    uint64_t value;
};

struct fake_log {
    struct list entries;
    size_t n, bytes;
    uint64_t next_number;
    struct counter counters[MAX_COUNTERS];
};

struct fake_log *fake_log_new(void) {
    struct fake_log *log = mem_alloc(sizeof *log);
    list_init(&log->entries);
    log->next_number = 1;
    return log;
}

static void drop_oldest(struct fake_log *log) {
    struct fake_entry *e = list_entry(list_pop(&log->entries), struct fake_entry, in_log);
    log->n--;
    log->bytes -= e->body.n;
    mem_free(e->path);
    mem_free(e->fields);
    mem_free((char *)e->body.p);
    mem_free(e);
}

void fake_log_clear(struct fake_log *log) {
    while (log->n > 0) {
        drop_oldest(log);
    }
    memset(log->counters, 0, sizeof log->counters);
}

void fake_log_free(struct fake_log *log) {
    if (log) {
        fake_log_clear(log);
        mem_free(log);
    }
}

static struct counter *find_counter(struct fake_log *log, const char *name) {
    size_t i = 0;
    while (i + 1 < MAX_COUNTERS && log->counters[i].name &&
           strcmp(log->counters[i].name, name) != 0) {
        i++;
    }
    log->counters[i].name = name;
    return &log->counters[i];
}

void fake_log_count(struct fake_log *log, const char *counter) {
    find_counter(log, counter)->value++;
}

void fake_log_set(struct fake_log *log, const char *counter, uint64_t value) {
    find_counter(log, counter)->value = value;
}

static void write_fields(struct strbuf *out, struct http_request *r) {
    static const char *const names[] = {"host",           "user-agent",      "accept",
                                        "content-type",   "content-length",  "anthropic-version",
                                        "anthropic-beta", "idempotency-key", "x-request-id"};
    struct jsonw w = jsonw_begin(out);
    jsonw_object(&w);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct str value = http_header(r, names[i]);
        if (value.p) {
            jsonw_kstr(&w, names[i], value);
        }
    }
    struct str key = http_header(r, "x-api-key"), bearer = http_header(r, "authorization");
    if (!key.p && str_starts(bearer, STR("Bearer "))) {
        key = str_skip(bearer, 7);
    }
    if (key.p) {
        char hash[SHA256_HEX + 1];
        crypto_sha256_hex(key, hash);
        jsonw_kstrz(&w, "key_sha256", hash);
    }
    jsonw_end_object(&w);
}

struct fake_entry *fake_log_add(struct fake_log *log, struct http_request *r, struct str body) {
    struct strbuf fields cleanup(strbuf_done) = STRBUF(256 * 1024);
    struct fake_entry *e = mem_alloc(sizeof *e);
    write_fields(&fields, r);
    e->number = log->next_number++;
    e->at_us = clock_now_us();
    e->path = str_dup_z(http_path(r));
    e->fields = str_dup_z(strbuf_str(&fields));
    e->body = (struct str){mem_dup(body.p, body.n), body.n};
    e->end = "running";
    list_push(&log->entries, &e->in_log);
    log->n++;
    log->bytes += body.n;
    while (log->n > KEEP_REQUESTS || (log->n > 1 && log->bytes > KEEP_BYTES)) {
        drop_oldest(log);
    }
    return e;
}

uint64_t fake_entry_number(const struct fake_entry *e) {
    return e->number;
}

void fake_entry_status(struct fake_entry *e, int status) {
    e->status = status;
}

/* By number, as the entry may have been dropped meanwhile. */
void fake_entry_end(struct fake_log *log, uint64_t number, const char *how) {
    fake_log_count(log, how);
    list_each (node, &log->entries) {
        struct fake_entry *e = list_entry(node, struct fake_entry, in_log);
        if (e->number == number) {
            e->end = how;
            e->ended_us = clock_now_us();
        }
    }
}

static void write_entry(struct jsonw *w, const struct fake_entry *e) {
    jsonw_object(w);
    jsonw_kint(w, "number", (int64_t)e->number);
    jsonw_kint(w, "at_ms", e->at_us / 1000);
    jsonw_kint(w, "ended_ms", e->ended_us / 1000);
    jsonw_kstrz(w, "path", e->path);
    jsonw_kraw(w, "headers", str_z(e->fields));
    jsonw_kint(w, "status", e->status);
    jsonw_kstrz(w, "end", e->end);
    json_error_t error;
    json_t *tree = json_loadb(e->body.p, e->body.n, 0, &error);
    if (tree) {
        jsonw_kraw(w, "body", e->body);
        json_decref(tree);
    } else {
        jsonw_kstr(w, "body", e->body);
    }
    jsonw_end_object(w);
}

void fake_log_write(const struct fake_log *log, size_t last, struct strbuf *out) {
    struct jsonw w = jsonw_begin(out);
    size_t i = 0;
    jsonw_object(&w);
    jsonw_key(&w, "counters");
    jsonw_object(&w);
    for (size_t k = 0; k < MAX_COUNTERS && log->counters[k].name; k++) {
        jsonw_kint(&w, log->counters[k].name, (int64_t)log->counters[k].value);
    }
    jsonw_end_object(&w);
    jsonw_key(&w, "requests");
    jsonw_array(&w);
    list_each (node, (struct list *)&log->entries) {
        if (i++ + last >= log->n) {
            write_entry(&w, list_entry(node, struct fake_entry, in_log));
        }
    }
    jsonw_end_array(&w);
    jsonw_end_object(&w);
}
