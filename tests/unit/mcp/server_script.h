/* An MCP server of a test's own making, over HTTP: the test answers each request by its method. */
#pragma once
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/scan.h"
#include "mcp/client.h"
#include "net/http_client.h"
#include "raw_server.h"
#include "test.h"

enum { SCRIPT_LOG = 64, SCRIPT_MAX = 4 << 20 };

/* One request as it came. */
struct script_request {
    struct str verb, head, body; /* "POST" */
    struct str method;           /* of the message, without quotes; empty when there is none */
    struct str id;               /* JSON text */
    struct str params;
};

struct script {
    struct raw_server server;
    /* Writes the whole HTTP response. */
    void (*answer)(struct script *s, struct raw_connection *c, const struct script_request *r);
    unsigned n;                   /* requests so far */
    char methods[SCRIPT_LOG][32]; /* what was asked, in order: the message's method or the verb */
    bool hang_up;                 /* close the connection after the answer */
    unsigned counter;             /* for the test */
    char kept[256];               /* likewise */
};

static struct script script;

static inline struct str script_field(struct str head, const char *name) {
    struct str rest = head;
    while (rest.n) {
        struct str line = str_trim(str_cut(&rest, '\n')), value = line;
        struct str key = str_cut(&value, ':');
        if (str_eq_nocase(key, str_z(name))) {
            return str_trim(value);
        }
    }
    return (struct str){0};
}

static inline struct str script_unquote(struct str json) {
    return json.n >= 2 ? (struct str){json.p + 1, json.n - 2} : STR_EMPTY;
}

static inline void script_serve(struct raw_connection *c) {
    struct script_request r;
    while (raw_read_request(c, &r.head, &r.body)) {
        struct str head = r.head;
        char *copy cleanup(mem_free_p) = str_dup_z(r.head);
        char *body cleanup(mem_free_p) = str_dup_z(r.body);
        r.head = (struct str){copy, head.n};
        r.body = (struct str){body, r.body.n};
        head = r.head;
        r.verb = str_cut(&head, ' ');
        r.method = script_unquote(scan_get(r.body, "method"));
        r.id = scan_get(r.body, "id");
        r.params = scan_get(r.body, "params");
        struct str label = r.method.n ? r.method : r.verb;
        if (script.n < SCRIPT_LOG) {
            snprintf(script.methods[script.n], 32, "%.*s", STR_ARG(label));
        }
        script.n++;
        script.answer(&script, c, &r);
        if (script.hang_up) {
            script.hang_up = false;
            return;
        }
    }
}

static inline void script_begin(void (*answer)(struct script *s, struct raw_connection *c,
                                               const struct script_request *r)) {
    struct err err;
    memset(&script, 0, sizeof script);
    script.answer = answer;
    setenv("NO_PROXY", "*", 1);
    CHECK_OK(http_client_start(&err), &err);
    raw_server_start(&script.server, NULL, script_serve);
}

static inline void script_end(void) {
    http_client_stop();
    raw_server_stop(&script.server);
}

static inline unsigned script_count(const char *method) {
    unsigned n = 0;
    for (unsigned i = 0; i < script.n && i < SCRIPT_LOG; i++) {
        n += strcmp(script.methods[i], method) == 0;
    }
    return n;
}

/* ---- answers ---- */

static inline void script_http(struct raw_connection *c, const char *status, const char *fields,
                               struct str body) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(SCRIPT_MAX);
    strbuf_addf(&out, "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n", status, fields, body.n);
    strbuf_add(&out, body);
    raw_write(c, strbuf_str(&out));
}

#define JSON_TYPE "Content-Type: application/json; charset=utf-8\r\n"
#define STREAM_HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"

/* member: "\"result\":{...}" or "\"error\":{...}". */
static inline void script_json(struct raw_connection *c, const char *status, const char *fields,
                               struct str id, const char *member) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(SCRIPT_MAX);
    strbuf_addz(&out, "{\"jsonrpc\":\"2.0\",\"id\":");
    strbuf_add(&out, id);
    strbuf_addc(&out, ',');
    strbuf_addz(&out, member);
    strbuf_addc(&out, '}');
    script_http(c, status, fields, strbuf_str(&out));
}

static inline void script_result(struct raw_connection *c, const struct script_request *r,
                                 const char *result) {
    struct strbuf member cleanup(strbuf_done) = STRBUF(SCRIPT_MAX);
    strbuf_addz(&member, "\"result\":");
    strbuf_addz(&member, result);
    script_json(c, "200 OK", JSON_TYPE, r->id, strbuf_z(&member));
}

static inline void script_event(struct raw_connection *c, const char *json) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(SCRIPT_MAX);
    strbuf_addz(&out, "data: ");
    strbuf_addz(&out, json);
    strbuf_addz(&out, "\n\n");
    raw_write(c, strbuf_str(&out));
}

static inline bool script_is(const struct script_request *r, const char *method) {
    return str_eq(r->method, str_z(method));
}

/* The handshake of a legacy server with sessions. True: it was that. */
static inline bool script_legacy(struct raw_connection *c, const struct script_request *r) {
    if (script_is(r, "server/discover")) {
        script_http(c, "400 Bad Request", "", STR("Bad Request: no session"));
    } else if (script_is(r, "initialize")) {
        char fields[128];
        snprintf(fields, sizeof fields, JSON_TYPE "Mcp-Session-Id: s%u\r\n",
                 script_count("initialize"));
        script_json(
            c, "200 OK", fields, r->id,
            "\"result\":{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{\"tools\":{}},"
            "\"serverInfo\":{\"name\":\"old\",\"version\":\"1\"}}");
    } else if (script_is(r, "notifications/initialized") ||
               script_is(r, "notifications/cancelled") || r->method.n == 0) {
        script_http(c, str_eq(r->verb, STR("GET")) ? "405 No" : "202 Accepted", "", STR_EMPTY);
    } else {
        return false;
    }
    return true;
}

static inline bool script_modern(struct raw_connection *c, const struct script_request *r) {
    if (!script_is(r, "server/discover")) {
        return false;
    }
    script_result(c, r,
                  "{\"resultType\":\"complete\",\"ttlMs\":0,\"cacheScope\":\"private\","
                  "\"supportedVersions\":[\"2025-11-25\",\"2026-07-28\"],"
                  "\"capabilities\":{\"tools\":{}},\"instructions\":\"be kind\","
                  "\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"new\","
                  "\"version\":\"2\"}}}");
    return true;
}

/* ---- the client ---- */

static inline struct mcp_client_options script_options(void) {
    /* A path of its own, as eras are remembered by address. */
    static char url[128];
    static unsigned n;
    snprintf(url, sizeof url, "%s/mcp%u", script.server.url, ++n);
    return (struct mcp_client_options){
        .name = STR("test"), .transport = MCP_HTTP, .url = str_z(url), .connect_timeout_ms = 5000};
}

static inline struct mcp_client *script_client(void) {
    struct mcp_client_options o = script_options();
    return mcp_client_new(&o);
}
