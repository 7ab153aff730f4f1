#include "served.h"

static struct served *of(const struct mcp_request *r) {
    return mcp_request_arg(r);
}

static int say(struct mcp_request *r, const json_t *arguments, struct err *err) {
    struct str text = json_str(arguments, "text");
    if (str_eq(text, STR("fail"))) {
        return err_set(err, ERR_UNAVAILABLE, "the cellar is dark");
    }
    mcp_result_textf(r, "%.*s says %.*s", STR_ARG(mcp_request_user(r)), STR_ARG(text));
    return 0;
}

static int wait_ms(struct mcp_request *r, const json_t *arguments, struct err *err) {
    if (fiber_sleep(json_int(arguments, "ms", 20000)) < 0) {
        of(r)->cancelled++;
        return err_set(err, ERR_CANCELLED, "cancelled");
    }
    mcp_result_text(r, STR("waited"));
    return 0;
}

static int progress(struct mcp_request *r, const json_t *arguments, struct err *err) {
    (void)arguments;
    (void)err;
    mcp_request_progress(r, 1, 3, STR("one"));
    mcp_request_progress(r, 1, 3, STR("one again"));
    mcp_request_progress(r, 0.5, 3, STR("back"));
    mcp_request_progress(r, 2.5, 3, STR("two"));
    mcp_result_text(r, STR("there"));
    return 0;
}

static const char form[] = "{\"type\":\"object\",\"properties\":{\"x\":{\"type\":\"string\"}}}";

static int ask(struct mcp_request *r, const json_t *arguments, struct err *err) {
    const json_t *content;
    (void)arguments;
    mcp_request_keep(r, STR("kept \"this\""));
    int rc = mcp_request_elicit(r, "first", STR("Which?"), str_z(form), &content, err);
    if (rc == 0) {
        of(r)->ran++;
        mcp_result_textf(r, "%.*s/%.*s", STR_ARG(json_str(content, "x")),
                         STR_ARG(mcp_request_state(r)));
    }
    return rc;
}

static int ask_twice(struct mcp_request *r, const json_t *arguments, struct err *err) {
    const json_t *first, *second;
    (void)arguments;
    int rc = mcp_request_elicit(r, "first", STR("Which?"), str_z(form), &first, err);
    if (rc == 0) {
        rc = mcp_request_elicit(r, "second", STR("And which?"), str_z(form), &second, err);
    }
    if (rc == 0) {
        mcp_result_textf(r, "%.*s, %.*s", STR_ARG(json_str(first, "x")),
                         STR_ARG(json_str(second, "x")));
    }
    return rc;
}

static int touch(struct mcp_request *r, const json_t *arguments, struct err *err) {
    struct strbuf json cleanup(strbuf_done) = STRBUF(4096);
    (void)err;
    of(r)->ran++;
    json_write_tree(&json, arguments);
    mcp_result_structured(r, strbuf_str(&json));
    return 0;
}

static int big(struct mcp_request *r, const json_t *arguments, struct err *err) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(64 << 20);
    (void)err;
    for (int64_t i = 0; i < json_int(arguments, "kib", 1); i++) {
        strbuf_addf(&text, "%01024d", 0);
    }
    mcp_result_text(r, strbuf_str(&text));
    return 0;
}

static int notes(struct mcp_request *r, const json_t *arguments, struct err *err) {
    (void)arguments;
    (void)err;
    mcp_request_log(r, MCP_LOG_DEBUG, NULL, STR("a detail"));
    mcp_request_log(r, MCP_LOG_WARNING, "cellar", STR("a warning"));
    mcp_result_text(r, STR("noted"));
    return 0;
}

static int read_resource(struct mcp_request *r, struct str uri, struct err *err) {
    struct str id = mcp_request_variable(r, "id");
    if (str_eq(id, STR("gone"))) {
        return err_set(err, ERR_NOT_FOUND, "gone");
    }
    mcp_contents_text(r, uri, "text/plain", id.n ? id : STR("a"));
    return 0;
}

static int greet(struct mcp_request *r, const json_t *arguments, struct err *err) {
    (void)err;
    mcp_result_textf(r, "Greet %.*s", STR_ARG(json_str(arguments, "name")));
    mcp_result_role(r, "assistant");
    mcp_result_text(r, STR("Hello"));
    return 0;
}

#define OBJECT(members, rest) "{\"type\":\"object\",\"properties\":{" members "}" rest "}"

static struct mcp_server_tool tools[] = {
    {.name = "say",
     .title = "Say",
     .description = "Says a text.",
     .input_schema = OBJECT("\"text\":{\"type\":\"string\",\r\n\"maxLength\":20,"
                            "\"x-mcp-header\":\"Text\"}",
                            ",\"required\":[\"text\"]"),
     .read_only = true,
     .run = say},
    {.name = "wait",
     .description = "Waits.",
     .input_schema = OBJECT("\"ms\":{\"type\":\"integer\",\"minimum\":0}", ""),
     .run = wait_ms},
    {.name = "progress", .description = "Tells.", .run = progress},
    {.name = "ask", .description = "Asks.", .input_schema = OBJECT("", ""), .run = ask},
    {.name = "ask_twice", .description = "Asks.", .run = ask_twice},
    {.name = "touch", .description = "Counts.", .input_schema = OBJECT("", ""), .run = touch},
    {.name = "big",
     .description = "Says much.",
     .input_schema = OBJECT("\"kib\":{\"type\":\"integer\"}", ""),
     .run = big},
    {.name = "notes", .description = "Logs.", .run = notes},
};

static const struct mcp_server_resource resources[] = {
    {.uri = "test://a", .name = "a", .mime_type = "text/plain", .read = read_resource},
};
static const struct mcp_server_template templates[] = {
    {.uri_template = "test://{id}/b", .name = "b", .read = read_resource},
};
static const struct mcp_server_argument arguments[] = {{"name", "whom", true}};
static const struct mcp_server_prompt prompts[] = {
    {.name = "greet",
     .description = "Greets.",
     .arguments = arguments,
     .n_arguments = 1,
     .get = greet},
};

static void *copy_context(void *context) {
    ((struct served *)context)->copied++;
    return context;
}

static void release_context(void *context) {
    ((struct served *)context)->released++;
}

static void handle(struct http_request *request, void *context) {
    struct served *s = context;
    struct str user = http_header(request, "x-user");
    if (s->challenge) {
        mcp_endpoint_challenge(s->endpoint, request, 401, s->challenge);
        return;
    }
    mcp_endpoint_handle(s->endpoint, request, user.p ? user : STR("ann"), s);
}

void served_start(struct served *s) {
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(tools); i++) {
        tools[i].arg = s;
    }
    s->server = (struct mcp_server){
        .name = "test",
        .version = "1",
        .instructions = "Be brief.",
        .tools = tools,
        .n_tools = ARRAY_LEN(tools),
        .resources = resources,
        .n_resources = ARRAY_LEN(resources),
        .templates = templates,
        .n_templates = ARRAY_LEN(templates),
        .prompts = prompts,
        .n_prompts = ARRAY_LEN(prompts),
        .logging = true,
        .subscriptions = true,
        .changes = true,
        .shows = s->server.shows,
    };
    s->options.server = &s->server;
    s->options.context_copy = copy_context;
    s->options.context_release = release_context;
    CHECK_OK(mcp_endpoint_new(&s->options, &s->endpoint, &err), &err);
    struct http_server_options options = {
        .address = "127.0.0.1:0", .handler = handle, .context = s};
    CHECK_OK(http_server_start(&options, &s->http, &err), &err);
}

void served_stop(struct served *s) {
    mcp_endpoint_stop(s->endpoint);
    http_server_stop(s->http, 1000);
    CHECK_INT(mcp_endpoint_stats(s->endpoint).sessions, 0);
    CHECK_INT(mcp_endpoint_stats(s->endpoint).calls, 0);
    CHECK_INT(mcp_endpoint_stats(s->endpoint).listeners, 0);
    CHECK_INT(mcp_endpoint_stats(s->endpoint).replay_bytes, 0);
    CHECK_INT(s->copied, s->released);
    http_server_free(s->http);
    mcp_endpoint_free(s->endpoint);
}

struct str served_head(struct served *s, struct strbuf *out, const char *method, const char *fields,
                       struct str body) {
    (void)s;
    strbuf_addf(out, "%s /mcp HTTP/1.1\r\n", method);
    if (!strstr(fields, "Host:")) {
        strbuf_addz(out, "Host: localhost\r\n");
    }
    if (!strstr(fields, "Accept:")) {
        strbuf_addz(out, "Accept: application/json, text/event-stream\r\n");
    }
    if (!strstr(fields, "Content-Type:")) {
        strbuf_addz(out, "Content-Type: application/json; charset=utf-8\r\n");
    }
    strbuf_addf(out, "Content-Length: %zu\r\n%s\r\n", body.n, fields);
    strbuf_add(out, body);
    return strbuf_str(out);
}

void served_request(struct served *s, const char *method, const char *fields, struct str body,
                    struct wire_response *ret) {
    struct wire w;
    struct strbuf text cleanup(strbuf_done) = STRBUF(64 << 20);
    wire_open(&w, http_server_address(s->http));
    wire_send(&w, served_head(s, &text, method, fields, body));
    wire_read_response(&w, false, ret);
    wire_done(&w);
}

void served_session(struct served *s, const char *user, const char *revision,
                    const char *capabilities, struct strbuf *ret_id) {
    struct wire_response r;
    char fields[200], body[600];
    snprintf(fields, sizeof fields, "X-User: %s\r\n", user);
    snprintf(body, sizeof body,
             "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{"
             "\"protocolVersion\":\"%s\",\"capabilities\":%s,"
             "\"clientInfo\":{\"name\":\"unit\",\"version\":\"1\"}}}",
             revision, capabilities);
    served_request(s, "POST", fields, str_z(body), &r);
    CHECK_INT(r.status, 200);
    strbuf_reset(ret_id);
    strbuf_add(ret_id, wire_field(&r, "Mcp-Session-Id"));
    CHECK_INT(ret_id->n, 32);
    wire_response_done(&r);
}

void served_legacy(struct served *s, const char *user, const char *session, const char *message,
                   struct wire_response *ret) {
    char fields[300];
    snprintf(fields, sizeof fields, "X-User: %s\r\nMcp-Session-Id: %s\r\n", user, session);
    served_request(s, "POST", fields, str_z(message), ret);
}

#define META "io.modelcontextprotocol/"

void served_modern_text(struct served *s, const char *user, const char *method, const char *name,
                        const char *params, const char *capabilities, struct strbuf *out) {
    struct strbuf body cleanup(strbuf_done) = STRBUF(1 << 20);
    struct strbuf fields cleanup(strbuf_done) = STRBUF(4096);
    strbuf_addf(&fields, "X-User: %s\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: %s\r\n",
                user, method);
    if (name) {
        strbuf_addf(&fields, "Mcp-Name: %s\r\n", name);
    }
    if (name && str_eq(str_z(name), STR("say"))) {
        strbuf_addz(&fields, "Mcp-Param-Text: hello\r\n");
    }
    strbuf_addf(&body,
                "{\"jsonrpc\":\"2.0\",\"id\":\"m\",\"method\":\"%s\",\"params\":{%s%s\"_meta\":{"
                "\"" META "protocolVersion\":\"2026-07-28\",\"" META "clientCapabilities\":%s,"
                "\"progressToken\":7}}}",
                method, params, params[0] ? "," : "", capabilities);
    served_head(s, out, "POST", strbuf_z(&fields), strbuf_str(&body));
}

void served_modern(struct served *s, const char *user, const char *method, const char *name,
                   const char *params, const char *capabilities, struct wire_response *ret) {
    struct wire w;
    struct strbuf text cleanup(strbuf_done) = STRBUF(2 << 20);
    served_modern_text(s, user, method, name, params, capabilities, &text);
    wire_open(&w, http_server_address(s->http));
    wire_send(&w, strbuf_str(&text));
    wire_read_response(&w, false, ret);
    wire_done(&w);
}

bool has(const struct wire_response *r, const char *text) {
    bool found = str_find(strbuf_str(&r->body), str_z(text)) != SIZE_MAX;
    if (!found) {
        printf("  %d: no \"%s\" in %.*s\n", r->status, text,
               STR_ARG(str_head(strbuf_str(&r->body), 1500)));
    }
    return found;
}

struct str member(const struct wire_response *r, const char *path, struct strbuf *keep) {
    json_auto_t *tree = NULL;
    struct err err;
    struct str rest = str_z(path);
    strbuf_reset(keep);
    if (json_read(strbuf_str(&r->body), &tree, &err) < 0) {
        return STR_EMPTY;
    }
    const json_t *at = tree;
    while (rest.n && at) {
        struct str key = str_cut(&rest, '.');
        int64_t index;
        char name[64];
        snprintf(name, sizeof name, "%.*s", STR_ARG(key));
        at = json_is_array(at) && str_to_i64(key, &index) ? json_array_get(at, (size_t)index)
                                                          : json_object_get(at, name);
    }
    if (json_is_string(at)) {
        strbuf_add(keep, json_value_str(at));
    } else if (at) {
        json_write_tree(keep, at);
    }
    return strbuf_str(keep);
}
