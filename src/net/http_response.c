/* Responses: heads, whole bodies, streams, and refusals of the server's own. */
#include <assert.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/http_internal.h"

const char http_overload_response[] = "HTTP/1.1 503 Service Unavailable\r\n"
                                      "Content-Length: 0\r\n"
                                      "Retry-After: 5\r\n"
                                      "Connection: close\r\n\r\n";

static const char *reason_phrase(int status) {
    static const struct {
        int status;
        const char *phrase;
    } table[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {402, "Payment Required"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {425, "Too Early"},
        {426, "Upgrade Required"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (table[i].status == status) {
            return table[i].phrase;
        }
    }
    return "Status";
}

/* ---- the head ---- */

/* IMF-fixdate, the same for all within a second. */
static const char *date(struct http_server *s) {
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    int64_t second = clock_now_us() / 1000000;
    if (second != s->date_second) {
        time_t t = (time_t)second;
        struct tm tm;
        gmtime_r(&t, &tm);
        snprintf(s->date, sizeof s->date, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday],
                 tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
                 tm.tm_sec);
        s->date_second = second;
    }
    return s->date;
}

static bool is_token(struct str s) {
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= ' ' || c >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", c)) {
            return false;
        }
    }
    return s.n > 0;
}

static bool is_value(struct str s) {
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == '\0') {
            return false;
        }
    }
    return true;
}

static bool fields_are_valid(const struct http_response *response) {
    for (size_t i = 0; i < response->n_fields; i++) {
        if (!is_token(str_z(response->fields[i].name)) || !is_value(response->fields[i].value)) {
            return false;
        }
    }
    return !response->content_type || is_value(str_z(response->content_type));
}

static void add_field(struct strbuf *out, const char *name, struct str value) {
    strbuf_addz(out, name);
    strbuf_add(out, STR(": "));
    strbuf_add(out, value);
    strbuf_add(out, STR("\r\n"));
}

static bool has_no_body(const struct http_request *r, int status) {
    return status == 204 || status == 304 || str_eq(r->head.method, STR("HEAD"));
}

/* The head in the server's scratch buffer, without the fields about the body and the end. */
static struct strbuf *begin_head(struct http_request *r, const struct http_response *response) {
    struct strbuf *out = &r->server->scratch;
    strbuf_reset(out);
    strbuf_add(out, STR("HTTP/1.1 "));
    strbuf_add_i64(out, response->status);
    strbuf_addc(out, ' ');
    strbuf_addz(out, reason_phrase(response->status));
    strbuf_add(out, STR("\r\n"));
    add_field(out, "Date", str_z(date(r->server)));
    if (response->content_type) {
        add_field(out, "Content-Type", str_z(response->content_type));
    }
    for (size_t i = 0; i < response->n_fields; i++) {
        add_field(out, response->fields[i].name, response->fields[i].value);
    }
    add_field(out, "X-Request-Id", str_z(r->id));
    return out;
}

static struct str end_head(struct http_request *r, struct strbuf *out) {
    if (!r->keep) {
        strbuf_add(out, STR("Connection: close\r\n"));
    } else if (r->head.minor_version == 0) {
        strbuf_add(out, STR("Connection: keep-alive\r\n"));
    }
    strbuf_add(out, STR("\r\n"));
    return strbuf_str(out);
}

static void settle(struct http_request *r, const struct http_response *response) {
    assert(!r->responded && response->status >= 200 && response->status <= 599);
    r->responded = true;
    r->status = response->status;
    r->keep = r->head.keep_alive && !response->close && !r->server->stopping &&
              http_request_body_is_cheap(r);
}

/* Head and as much of the body as belongs to it; what the peer does not take is left in `parts`. */
static void build_response(struct http_request *r, const struct http_response *response,
                           struct str parts[2]) {
    struct strbuf *out = begin_head(r, response);
    if (response->status != 204 && !(response->status == 304 && response->body.n == 0)) {
        strbuf_add(out, STR("Content-Length: "));
        strbuf_add_i64(out, (int64_t)response->body.n);
        strbuf_add(out, STR("\r\n"));
    }
    parts[0] = end_head(r, out);
    parts[1] = has_no_body(r, response->status) ? STR_EMPTY : response->body;
    r->bytes_sent = parts[0].n + parts[1].n;
}

/* ---- refusals ---- */

static void error_response(struct http_request *r, int status, struct str detail,
                           struct strbuf *body, struct http_response *ret) {
    const char *type = NULL;
    if (r->server->options.write_error) {
        r->server->options.write_error(r, status, detail, body, &type);
    }
    *ret = (struct http_response){.status = status, .content_type = type, .body = strbuf_str(body)};
}

void http_refuse(struct http_request *r, int status, const char *detail) {
    struct strbuf body cleanup(strbuf_done) = STRBUF(16 * 1024);
    struct http_response response;
    struct str parts[2];
    r->server->stats.refused_total += status != 500;
    error_response(r, status, str_z(detail), &body, &response);
    response.close = true;
    settle(r, &response);
    build_response(r, &response, parts);
    http_connection_write(r->connection, parts, 2);
    if (!r->fiber) {
        http_request_report(r);
    }
}

/* ---- responses of handlers ---- */

/* Sends the parts, holding no more than the queue's maximum of what the peer does not take. A peer
 * that takes nothing is cut by the connection's tick, so the wait ends. */
static int send_parts(struct http_request *r, struct str *parts, size_t n) {
    struct http_connection *c = r->connection;
    size_t max = r->server->options.max_write_queue_bytes;
    size_t sent = http_connection_try_write(c, parts, n);
    for (size_t i = 0; i < n; i++) {
        size_t skip = MIN(sent, parts[i].n);
        sent -= skip;
        struct str rest = str_skip(parts[i], skip);
        while (rest.n > 0 && !r->gone) {
            struct str piece = str_head(rest, max);
            rest = str_skip(rest, piece.n);
            http_connection_write(c, &piece, 1);
            while (!r->gone && http_connection_unsent(c) > max) {
                int rc = fiber_wait(&r->changed, FIBER_FOREVER);
                if (rc < 0) {
                    http_connection_end(c);
                    return -ERR_CANCELLED;
                }
            }
        }
    }
    return r->gone ? -ERR_CANCELLED : 0;
}

/* What comes from a yield on must not lie in the shared scratch buffer. */
static int send_response(struct http_request *r, struct str parts[2]) {
    struct strbuf copy cleanup(strbuf_done) = STRBUF(HTTP_RESPONSE_HEAD_BYTES);
    if (r->server->scratch.failed) {
        log_error("net", "a response head is too large path=%.*s", STR_ARG(r->head.path));
        http_connection_end(r->connection);
        return -ERR_CANCELLED;
    }
    size_t sent = http_connection_try_write(r->connection, parts, 2);
    if (sent == parts[0].n + parts[1].n) {
        return 0;
    }
    size_t of_head = MIN(sent, parts[0].n);
    strbuf_add(&copy, str_skip(parts[0], of_head));
    struct str rest[2] = {strbuf_str(&copy), str_skip(parts[1], sent - of_head)};
    return send_parts(r, rest, 2);
}

int http_respond(struct http_request *r, const struct http_response *response) {
    struct strbuf body cleanup(strbuf_done) = STRBUF(16 * 1024);
    struct http_response instead;
    struct str parts[2];
    fiber_point();
    if (r->gone) {
        r->responded = true;
        return -ERR_CANCELLED;
    }
    if (!fields_are_valid(response)) {
        log_error("net", "a handler gave an invalid field path=%.*s", STR_ARG(r->head.path));
        error_response(r, 500, STR("invalid response field"), &body, &instead);
        response = &instead;
    }
    settle(r, response);
    build_response(r, response, parts);
    return send_response(r, parts);
}

int http_stream_begin(struct http_request *r, const struct http_response *response) {
    struct str parts[2] = {STR_EMPTY, STR_EMPTY};
    fiber_point();
    assert(response->body.n == 0);
    if (r->gone) {
        r->responded = true;
        return -ERR_CANCELLED;
    }
    if (!fields_are_valid(response)) {
        log_error("net", "a handler gave an invalid field path=%.*s", STR_ARG(r->head.path));
        return http_respond(r, &(struct http_response){.status = 500});
    }
    settle(r, response);
    r->streaming = true;
    r->keep = r->keep && r->head.minor_version == 1;
    struct strbuf *out = begin_head(r, response);
    strbuf_add(out, STR("Cache-Control: no-store\r\nX-Accel-Buffering: no\r\n"));
    if (r->head.minor_version == 1) {
        strbuf_add(out, STR("Transfer-Encoding: chunked\r\n"));
    }
    parts[0] = end_head(r, out);
    r->bytes_sent = parts[0].n;
    return send_response(r, parts);
}

int http_stream_write(struct http_request *r, struct str bytes) {
    char size[20];
    fiber_point();
    assert(r->streaming && !r->ended);
    if (r->gone) {
        return -ERR_CANCELLED;
    }
    if (bytes.n == 0 || has_no_body(r, r->status)) {
        return 0;
    }
    r->bytes_sent += bytes.n;
    if (r->head.minor_version == 0) {
        return send_parts(r, &bytes, 1);
    }
    int n = snprintf(size, sizeof size, "%zx\r\n", bytes.n);
    struct str parts[3] = {{size, (size_t)n}, bytes, STR("\r\n")};
    return send_parts(r, parts, 3);
}

int http_stream_end(struct http_request *r) {
    struct str last = STR("0\r\n\r\n");
    fiber_point();
    assert(r->streaming && !r->ended);
    if (r->gone) {
        return -ERR_CANCELLED;
    }
    r->ended = true;
    if (r->head.minor_version == 0 || has_no_body(r, r->status)) {
        return 0;
    }
    return send_parts(r, &last, 1);
}
