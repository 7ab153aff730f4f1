#include <ctype.h>

#include "base/crypto.h"
#include "mcp/server_internal.h"

enum { MAX_MIRRORED_BYTES = 8192 };

/* ---- who may reach the endpoint: browsers of other sites must not (DNS rebinding) ---- */

static bool is_listed(const char *const *list, struct str value) {
    for (; *list; list++) {
        if (str_eq_nocase(str_z(*list), value) || str_eq(str_z(*list), STR("*"))) {
            return true;
        }
    }
    return false;
}

/* "name", "name:80", "[::1]:80" without the port. */
static struct str without_port(struct str host) {
    size_t close = str_find_char(host, ']');
    struct str rest = close == SIZE_MAX ? host : str_skip(host, close);
    size_t colon = str_find_char(rest, ':');
    return colon == SIZE_MAX ? host : str_head(host, host.n - rest.n + colon);
}

static const char *const loopback[] = {"localhost", "127.0.0.1", "[::1]", NULL};

bool mcp_guard_host(const struct mcp_endpoint *e, const struct http_request *request) {
    const char *const *allowed = e->options.allowed_hosts;
    return is_listed(allowed ? allowed : loopback, without_port(http_header(request, "host")));
}

bool mcp_guard_origin(const struct mcp_endpoint *e, const struct http_request *request) {
    struct str origin = http_header(request, "origin");
    if (!origin.p) {
        return true;
    }
    if (e->options.allowed_origins) {
        return is_listed(e->options.allowed_origins, origin);
    }
    size_t scheme = str_find(origin, STR("://"));
    return scheme != SIZE_MAX && is_listed(loopback, without_port(str_skip(origin, scheme + 3)));
}

/* ---- media types ---- */

static bool media_type_is(struct str value, const char *type) {
    struct str rest = value;
    return str_eq_nocase(str_trim(str_cut(&rest, ';')), str_z(type));
}

bool mcp_guard_content_type(const struct http_request *request) {
    return media_type_is(http_header(request, "content-type"), "application/json");
}

struct mcp_accepts mcp_guard_accept(const struct http_request *request) {
    struct mcp_accepts accepts = {0};
    struct str rest = http_header(request, "accept");
    if (rest.n == 0) {
        return (struct mcp_accepts){true, true};
    }
    while (rest.n) {
        struct str one = str_cut(&rest, ',');
        bool any = media_type_is(one, "*/*");
        accepts.json = accepts.json || any || media_type_is(one, "application/json") ||
                       media_type_is(one, "application/*");
        accepts.events = accepts.events || any || media_type_is(one, "text/event-stream") ||
                         media_type_is(one, "text/*");
    }
    return accepts;
}

/* ---- what headers mirror ---- */

/* The value that a header stands for: as it is, or =?base64?...?= for what a header cannot carry.
 */
static bool mirrored(struct str header, struct strbuf *ret) {
    struct err err;
    const struct str open = STR("=?base64?"), close = STR("?=");
    if (str_starts(header, open) && str_ends(header, close) && header.n >= open.n + close.n) {
        struct str inside = str_skip(str_head(header, header.n - close.n), open.n);
        return crypto_base64_decode(ret, inside, &err) == 0;
    }
    strbuf_add(ret, header);
    return !ret->failed;
}

static int check_mirror(struct mcp_request *r, const struct http_request *request,
                        const char *header, struct str value, struct err *err) {
    struct strbuf sent cleanup(strbuf_done) = STRBUF(MAX_MIRRORED_BYTES);
    struct str raw = http_header(request, header);
    if (!raw.p) {
        return mcp_request_refuse(r, 400, RPC_HEADER_MISMATCH, err, "the header %s is missing",
                                  header);
    }
    if (!mirrored(raw, &sent) || !str_eq(strbuf_str(&sent), value)) {
        return mcp_request_refuse(r, 400, RPC_HEADER_MISMATCH, err,
                                  "the header %s is not what the message says", header);
    }
    return 0;
}

static bool is_token(struct str name) {
    for (size_t i = 0; i < name.n; i++) {
        if (!isalnum((unsigned char)name.p[i]) && !strchr("!#$%&'*+-.^_`|~", name.p[i])) {
            return false;
        }
    }
    return name.n > 0 && name.n <= 100;
}

static int check_parameter(struct mcp_request *r, const struct http_request *request,
                           struct str suffix, const json_t *value, struct err *err) {
    char header[128], number[32];
    struct str text;
    snprintf(header, sizeof header, "Mcp-Param-%.*s", STR_ARG(suffix));
    if (json_is_string(value)) {
        text = json_value_str(value);
    } else if (json_is_boolean(value)) {
        text = json_is_true(value) ? STR("true") : STR("false");
    } else if (json_is_integer(value)) {
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        text = str_z(number);
    } else if (!value || json_is_null(value)) {
        return http_header(request, header).p
                   ? mcp_request_refuse(r, 400, RPC_HEADER_MISMATCH, err,
                                        "the header %s mirrors nothing", header)
                   : 0;
    } else {
        return 0; /* the input schema will refuse it */
    }
    return check_mirror(r, request, header, text, err);
}

static int check_parameters(struct mcp_request *r, const struct http_request *request,
                            struct err *err) {
    json_auto_t *schema = NULL;
    const struct mcp_server_tool *t = mcp_find_tool(r, json_str(r->params, "name"));
    const json_t *arguments = json_object_get(r->params, "arguments");
    const char *key;
    json_t *property;
    int rc = 0;
    if (!t || !t->input_schema || !strstr(t->input_schema, "x-mcp-header") ||
        json_read(str_z(t->input_schema), &schema, err) < 0) {
        return 0;
    }
    json_object_foreach (json_object_get(schema, "properties"), key, property) {
        struct str suffix = json_str(property, "x-mcp-header");
        if (suffix.p && is_token(suffix) && rc == 0) {
            rc = check_parameter(r, request, suffix, json_object_get(arguments, key), err);
        }
    }
    return rc;
}

int mcp_guard_mirrors(struct mcp_request *r, const struct http_request *request, struct err *err) {
    struct str version = json_str(r->meta, MCP_META "protocolVersion");
    int rc = check_mirror(r, request, "MCP-Protocol-Version", version, err);
    if (rc == 0) {
        rc = check_mirror(r, request, "Mcp-Method", r->method, err);
    }
    if (rc < 0) {
        return rc;
    }
    if (str_eq(r->method, STR("resources/read"))) {
        rc = check_mirror(r, request, "Mcp-Name", json_str(r->params, "uri"), err);
    } else if (str_eq(r->method, STR("tools/call")) || str_eq(r->method, STR("prompts/get"))) {
        rc = check_mirror(r, request, "Mcp-Name", json_str(r->params, "name"), err);
    }
    if (rc == 0 && str_eq(r->method, STR("tools/call"))) {
        rc = check_parameters(r, request, err);
    }
    return rc;
}
