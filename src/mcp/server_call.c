/* What runs functions of the table: tools/call, resources/read, prompts/get, completion/complete.
 */
#include "mcp/json_schema.h"
#include "mcp/server_internal.h"

const struct mcp_server_tool *mcp_find_tool(const struct mcp_request *r, struct str name) {
    const struct mcp_server *s = r->endpoint->options.server;
    for (size_t i = 0; i < s->n_tools; i++) {
        if (str_eq(str_z(s->tools[i].name), name)) {
            return !s->shows || s->shows(r, &s->tools[i]) ? &s->tools[i] : NULL;
        }
    }
    return NULL;
}

static void set_item(struct mcp_request *r, const void *item, void *arg) {
    r->item = item;
    r->item_arg = arg;
}

/* The array that the function wrote, as a member. */
static void write_gathered(struct mcp_request *r, struct jsonw *w, const char *key) {
    jsonw_key(w, key);
    jsonw_array(w);
    if (r->content.n) {
        jsonw_raw(w, strbuf_str(&r->content));
    }
    jsonw_end_array(w);
}

static int too_large(struct mcp_request *r, struct err *err) {
    return mcp_request_refuse(r, 0, RPC_INTERNAL_ERROR, err, "the result is larger than %zu bytes",
                              r->endpoint->options.max_result_bytes);
}

/* ---- tools ---- */

static int check_arguments(const struct mcp_server_tool *t, const json_t *arguments,
                           struct err *err) {
    json_auto_t *schema = NULL;
    struct err unusable;
    const char *text =
        t->input_schema ? t->input_schema
                        : "{\"type\":\"object\",\"properties\":{},\"additionalProperties\":false}";
    if (json_read(str_z(text), &schema, &unusable) < 0) {
        return 0; /* the table was checked; a schema that changed since is not the caller's fault */
    }
    return json_schema_check(schema, arguments, "arguments", err);
}

static void tell_error(struct mcp_request *r, const struct err *err) {
    if (r->content.failed || r->structured.failed) {
        strbuf_reset(&r->content);
        strbuf_reset(&r->structured);
        mcp_result_textf(r, "the result is larger than %zu bytes",
                         r->endpoint->options.max_result_bytes);
    } else if (r->content.n == 0) {
        mcp_result_text(r, str_z(err->msg));
    }
    r->is_error = true;
}

static void write_structured(struct mcp_request *r, struct jsonw *w) {
    struct str json = strbuf_str(&r->structured);
    bool fits = r->modern || (r->revision >= MCP_2025_06_18 && json.n && json.p[0] == '{');
    if (fits) {
        jsonw_kraw(w, "structuredContent", json);
    }
}

static int write_tool_result(struct mcp_request *r, struct jsonw *w, int rc, struct err *err) {
    if (r->fail_code) {
        return rc < 0 ? rc : -ERR_INVALID;
    }
    if (r->input_required) {
        mcp_ask_write(r, w);
        return 0;
    }
    if (rc == -ERR_CANCELLED) {
        return rc;
    }
    if (rc == 0 && r->structured.n && r->content.n == 0) {
        mcp_result_text(r, strbuf_str(&r->structured));
    }
    if (rc < 0 || r->content.failed || r->structured.failed) {
        tell_error(r, err);
    }
    write_gathered(r, w, "content");
    if (r->structured.n) {
        write_structured(r, w);
    }
    if (r->is_error) {
        jsonw_kbool(w, "isError", true);
    }
    return 0;
}

int mcp_call_tool(struct mcp_request *r, struct jsonw *w, struct err *err) {
    json_auto_t *none = NULL;
    struct str name = json_str(r->params, "name");
    const json_t *arguments = json_object_get(r->params, "arguments");
    const struct mcp_server_tool *t = name.p ? mcp_find_tool(r, name) : NULL;
    if (!t) {
        return mcp_request_refuse(r, 0, RPC_INVALID_PARAMS, err, "unknown tool: %.*s",
                                  STR_ARG(str_utf8_head(name, 100)));
    }
    if (!arguments || json_is_null(arguments)) {
        arguments = none = json_object();
    }
    int rc = mcp_ask_resume(r, err);
    if (rc < 0) {
        return rc;
    }
    set_item(r, t, t->arg);
    rc = check_arguments(t, arguments, err);
    if (rc == 0) {
        rc = t->run(r, arguments, err);
    }
    return write_tool_result(r, w, rc, err);
}

/* ---- resources ---- */

/* {name} takes one or more characters of one path segment. */
static bool match_template(struct mcp_request *r, const char *template, struct str uri) {
    struct str t = str_z(template);
    r->n_variables = 0;
    while (t.n) {
        if (t.p[0] != '{') {
            if (uri.n == 0 || uri.p[0] != t.p[0]) {
                return false;
            }
            t = str_skip(t, 1);
            uri = str_skip(uri, 1);
            continue;
        }
        t = str_skip(t, 1);
        struct str name = str_cut(&t, '}');
        size_t n = 0;
        while (n < uri.n && uri.p[n] != '/' && !(t.n && uri.p[n] == t.p[0])) {
            n++;
        }
        if (n == 0 || r->n_variables == MCP_MAX_VARIABLES) {
            return false;
        }
        struct mcp_variable *v = &r->variables[r->n_variables++];
        snprintf(v->name, sizeof v->name, "%.*s", STR_ARG(name));
        v->value = str_head(uri, n);
        uri = str_skip(uri, n);
    }
    return uri.n == 0;
}

static int find_and_read(struct mcp_request *r, struct str uri, struct err *err) {
    const struct mcp_server *s = r->endpoint->options.server;
    for (size_t i = 0; i < s->n_resources; i++) {
        if (str_eq(str_z(s->resources[i].uri), uri)) {
            set_item(r, &s->resources[i], s->resources[i].arg);
            return s->resources[i].read(r, uri, err);
        }
    }
    for (size_t i = 0; i < s->n_templates; i++) {
        if (match_template(r, s->templates[i].uri_template, uri)) {
            set_item(r, &s->templates[i], s->templates[i].arg);
            return s->templates[i].read(r, uri, err);
        }
    }
    return err_set(err, ERR_NOT_FOUND, "there is no such resource");
}

static int resource_not_found(struct mcp_request *r, struct str uri, struct err *err) {
    struct strbuf data cleanup(strbuf_done) = STRBUF(16 * 1024);
    struct jsonw w = jsonw_begin(&data);
    jsonw_object(&w);
    jsonw_kstr(&w, "uri", str_utf8_head(uri, 2048));
    jsonw_end_object(&w);
    return mcp_request_fail(r, r->modern ? RPC_INVALID_PARAMS : RPC_RESOURCE_NOT_FOUND,
                            STR("resource not found"), strbuf_str(&data), err);
}

int mcp_read_resource(struct mcp_request *r, struct jsonw *w, struct err *err) {
    struct str uri = json_str(r->params, "uri");
    if (uri.n == 0) {
        return mcp_request_refuse(r, 0, RPC_INVALID_PARAMS, err, "params.uri: must be a string");
    }
    int rc = mcp_ask_resume(r, err);
    if (rc < 0) {
        return rc;
    }
    rc = find_and_read(r, uri, err);
    if (r->fail_code || rc == -ERR_CANCELLED) {
        return rc < 0 ? rc : -ERR_INVALID;
    }
    if (r->input_required) {
        mcp_ask_write(r, w);
        return 0;
    }
    if (rc == -ERR_NOT_FOUND || (rc == 0 && r->content.n == 0)) {
        return resource_not_found(r, uri, err);
    }
    if (rc < 0) {
        return rc;
    }
    if (r->content.failed) {
        return too_large(r, err);
    }
    write_gathered(r, w, "contents");
    mcp_write_caching(r, w, false);
    return 0;
}

/* ---- prompts ---- */

static const struct mcp_server_prompt *find_prompt(const struct mcp_request *r, struct str name) {
    const struct mcp_server *s = r->endpoint->options.server;
    for (size_t i = 0; i < s->n_prompts; i++) {
        if (str_eq(str_z(s->prompts[i].name), name)) {
            return &s->prompts[i];
        }
    }
    return NULL;
}

static int check_prompt_arguments(struct mcp_request *r, const struct mcp_server_prompt *p,
                                  const json_t *arguments, struct err *err) {
    const char *key;
    json_t *value;
    for (size_t i = 0; i < p->n_arguments; i++) {
        if (p->arguments[i].required && !json_object_get(arguments, p->arguments[i].name)) {
            return mcp_request_refuse(r, 0, RPC_INVALID_PARAMS, err,
                                      "params.arguments: \"%s\" is required", p->arguments[i].name);
        }
    }
    json_object_foreach ((json_t *)(uintptr_t)arguments, key, value) {
        if (!json_is_string(value)) {
            return mcp_request_refuse(r, 0, RPC_INVALID_PARAMS, err,
                                      "params.arguments: all values must be strings");
        }
    }
    return 0;
}

int mcp_get_prompt(struct mcp_request *r, struct jsonw *w, struct err *err) {
    json_auto_t *none = NULL;
    struct str name = json_str(r->params, "name");
    const json_t *arguments = json_object_get(r->params, "arguments");
    const struct mcp_server_prompt *p = name.p ? find_prompt(r, name) : NULL;
    if (!p) {
        return mcp_request_refuse(r, 0, RPC_INVALID_PARAMS, err, "unknown prompt: %.*s",
                                  STR_ARG(str_utf8_head(name, 100)));
    }
    if (!json_is_object(arguments)) {
        arguments = none = json_object();
    }
    int rc = check_prompt_arguments(r, p, arguments, err);
    if (rc == 0) {
        rc = mcp_ask_resume(r, err);
    }
    if (rc < 0) {
        return rc;
    }
    set_item(r, p, p->arg);
    rc = p->get(r, arguments, err);
    if (r->fail_code) {
        return rc < 0 ? rc : -ERR_INVALID;
    }
    if (r->input_required) {
        mcp_ask_write(r, w);
        return 0;
    }
    if (rc < 0) {
        return rc;
    }
    if (r->content.failed) {
        return too_large(r, err);
    }
    if (p->description) {
        jsonw_kstrz(w, "description", p->description);
    }
    write_gathered(r, w, "messages");
    return 0;
}

/* ---- completion ---- */

static bool is_template(const struct mcp_request *r, struct str uri) {
    const struct mcp_server *s = r->endpoint->options.server;
    for (size_t i = 0; i < s->n_templates; i++) {
        if (str_eq(str_z(s->templates[i].uri_template), uri)) {
            return true;
        }
    }
    return false;
}

int mcp_complete(struct mcp_request *r, struct jsonw *w, struct err *err) {
    const json_t *ref = json_object_get(r->params, "ref");
    const json_t *argument = json_object_get(r->params, "argument");
    struct str type = json_str(ref, "type");
    struct mcp_completion c = {
        .prompt = STR_EMPTY,
        .uri_template = STR_EMPTY,
        .argument = json_str(argument, "name"),
        .value = json_str(argument, "value"),
        .others = json_object_get(json_object_get(r->params, "context"), "arguments"),
    };
    if (str_eq(type, STR("ref/prompt"))) {
        c.prompt = json_str(ref, "name");
    } else if (str_eq(type, STR("ref/resource"))) {
        c.uri_template = json_str(ref, "uri");
    }
    if (!c.argument.p || !c.value.p ||
        !(c.prompt.n ? find_prompt(r, c.prompt) != NULL : is_template(r, c.uri_template))) {
        return mcp_request_refuse(r, 0, RPC_INVALID_PARAMS, err,
                                  "there is nothing of this reference to complete");
    }
    int rc = r->endpoint->options.server->complete(r, &c, err);
    if (rc < 0 || r->fail_code) {
        return rc < 0 ? rc : -ERR_INVALID;
    }
    jsonw_key(w, "completion");
    jsonw_object(w);
    write_gathered(r, w, "values");
    jsonw_kint(w, "total", r->n_completions);
    jsonw_kbool(w, "hasMore", r->n_completions > MCP_MAX_COMPLETIONS);
    jsonw_end_object(w);
    return 0;
}
