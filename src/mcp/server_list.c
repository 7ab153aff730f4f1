/* The lists, in the order of the table; cursors are positions in it. */
#include "mcp/server_internal.h"

void mcp_write_caching(const struct mcp_request *r, struct jsonw *w, bool shared) {
    if (r->modern) {
        jsonw_kint(w, "ttlMs", r->endpoint->options.server->ttl_ms);
        jsonw_kstrz(w, "cacheScope", shared ? "public" : "private");
    }
}

void mcp_write_server_info(const struct mcp_request *r, struct jsonw *w, const char *key) {
    const struct mcp_server *s = r->endpoint->options.server;
    jsonw_key(w, key);
    jsonw_object(w);
    jsonw_kstrz(w, "name", s->name);
    if (s->title && r->revision >= MCP_2025_06_18) {
        jsonw_kstrz(w, "title", s->title);
    }
    jsonw_kstrz(w, "version", s->version);
    jsonw_end_object(w);
}

static void write_capability(struct jsonw *w, const char *key, bool changes, bool subscribe) {
    jsonw_key(w, key);
    jsonw_object(w);
    if (changes) {
        jsonw_kbool(w, "listChanged", true);
    }
    if (subscribe) {
        jsonw_kbool(w, "subscribe", true);
    }
    jsonw_end_object(w);
}

void mcp_write_capabilities(const struct mcp_request *r, struct jsonw *w) {
    const struct mcp_server *s = r->endpoint->options.server;
    jsonw_key(w, "capabilities");
    jsonw_object(w);
    if (s->tools) {
        write_capability(w, "tools", s->changes, false);
    }
    if (s->resources || s->templates) {
        write_capability(w, "resources", s->changes, s->subscriptions);
    }
    if (s->prompts) {
        write_capability(w, "prompts", s->changes, false);
    }
    if (s->complete && r->revision >= MCP_2025_03_26) {
        write_capability(w, "completions", false, false);
    }
    if (s->logging) {
        write_capability(w, "logging", false, false);
    }
    jsonw_end_object(w);
}

/* ---- pages ---- */

static int page_begin(struct mcp_request *r, size_t n, size_t *ret_from, size_t *ret_to,
                      struct err *err) {
    const json_t *cursor = json_object_get(r->params, "cursor");
    int64_t from = 0;
    if (cursor && !json_is_null(cursor) &&
        (!json_is_string(cursor) || !str_to_i64(json_value_str(cursor), &from) || from < 1 ||
         from > (int64_t)n)) {
        return mcp_request_refuse(r, 0, RPC_INVALID_PARAMS, err, "the cursor is not one of ours");
    }
    *ret_from = (size_t)from;
    *ret_to = MIN(n, (size_t)from + r->endpoint->options.page_size);
    return 0;
}

static void page_end(struct mcp_request *r, struct jsonw *w, size_t n, size_t to) {
    jsonw_end_array(w);
    if (to < n) {
        char cursor[24];
        snprintf(cursor, sizeof cursor, "%zu", to);
        jsonw_kstrz(w, "nextCursor", cursor);
    }
    mcp_write_caching(r, w, r->endpoint->options.server->public_lists);
}

static void write_optional(struct jsonw *w, const char *key, const char *value) {
    if (value) {
        jsonw_kstrz(w, key, value);
    }
}

static void write_names(const struct mcp_request *r, struct jsonw *w, const char *name,
                        const char *title, const char *description) {
    jsonw_kstrz(w, "name", name);
    write_optional(w, "title", r->revision >= MCP_2025_06_18 ? title : NULL);
    write_optional(w, "description", description);
}

/* ---- the four ---- */

static void write_tool(const struct mcp_request *r, struct jsonw *w,
                       const struct mcp_server_tool *t) {
    jsonw_object(w);
    write_names(r, w, t->name, t->title, t->description);
    jsonw_kraw(w, "inputSchema",
               t->input_schema
                   ? str_z(t->input_schema)
                   : STR("{\"type\":\"object\",\"properties\":{},\"additionalProperties\":false}"));
    if (t->output_schema && r->revision >= MCP_2025_06_18) {
        jsonw_kraw(w, "outputSchema", str_z(t->output_schema));
    }
    if (r->revision >= MCP_2025_03_26) {
        jsonw_key(w, "annotations");
        jsonw_object(w);
        write_optional(w, "title", t->title);
        jsonw_kbool(w, "readOnlyHint", t->read_only);
        jsonw_kbool(w, "destructiveHint", !t->read_only && !t->additive);
        jsonw_kbool(w, "idempotentHint", t->read_only || t->idempotent);
        jsonw_kbool(w, "openWorldHint", !t->closed_world);
        jsonw_end_object(w);
    }
    jsonw_end_object(w);
}

int mcp_list_tools(struct mcp_request *r, struct jsonw *w, struct err *err) {
    const struct mcp_server *s = r->endpoint->options.server;
    size_t from, to;
    int rc = page_begin(r, s->n_tools, &from, &to, err);
    if (rc < 0) {
        return rc;
    }
    jsonw_key(w, "tools");
    jsonw_array(w);
    for (size_t i = from; i < to; i++) {
        if (!s->shows || s->shows(r, &s->tools[i])) {
            write_tool(r, w, &s->tools[i]);
        }
    }
    page_end(r, w, s->n_tools, to);
    return 0;
}

int mcp_list_resources(struct mcp_request *r, struct jsonw *w, struct err *err) {
    const struct mcp_server *s = r->endpoint->options.server;
    size_t from, to;
    int rc = page_begin(r, s->n_resources, &from, &to, err);
    if (rc < 0) {
        return rc;
    }
    jsonw_key(w, "resources");
    jsonw_array(w);
    for (size_t i = from; i < to; i++) {
        const struct mcp_server_resource *res = &s->resources[i];
        jsonw_object(w);
        jsonw_kstrz(w, "uri", res->uri);
        write_names(r, w, res->name, res->title, res->description);
        write_optional(w, "mimeType", res->mime_type);
        jsonw_end_object(w);
    }
    page_end(r, w, s->n_resources, to);
    return 0;
}

int mcp_list_templates(struct mcp_request *r, struct jsonw *w, struct err *err) {
    const struct mcp_server *s = r->endpoint->options.server;
    size_t from, to;
    int rc = page_begin(r, s->n_templates, &from, &to, err);
    if (rc < 0) {
        return rc;
    }
    jsonw_key(w, "resourceTemplates");
    jsonw_array(w);
    for (size_t i = from; i < to; i++) {
        const struct mcp_server_template *t = &s->templates[i];
        jsonw_object(w);
        jsonw_kstrz(w, "uriTemplate", t->uri_template);
        write_names(r, w, t->name, t->title, t->description);
        write_optional(w, "mimeType", t->mime_type);
        jsonw_end_object(w);
    }
    page_end(r, w, s->n_templates, to);
    return 0;
}

static void write_arguments(struct jsonw *w, const struct mcp_server_prompt *p) {
    jsonw_key(w, "arguments");
    jsonw_array(w);
    for (size_t i = 0; i < p->n_arguments; i++) {
        jsonw_object(w);
        jsonw_kstrz(w, "name", p->arguments[i].name);
        write_optional(w, "description", p->arguments[i].description);
        jsonw_kbool(w, "required", p->arguments[i].required);
        jsonw_end_object(w);
    }
    jsonw_end_array(w);
}

int mcp_list_prompts(struct mcp_request *r, struct jsonw *w, struct err *err) {
    const struct mcp_server *s = r->endpoint->options.server;
    size_t from, to;
    int rc = page_begin(r, s->n_prompts, &from, &to, err);
    if (rc < 0) {
        return rc;
    }
    jsonw_key(w, "prompts");
    jsonw_array(w);
    for (size_t i = from; i < to; i++) {
        const struct mcp_server_prompt *p = &s->prompts[i];
        jsonw_object(w);
        write_names(r, w, p->name, p->title, p->description);
        if (p->n_arguments) {
            write_arguments(w, p);
        }
        jsonw_end_object(w);
    }
    page_end(r, w, s->n_prompts, to);
    return 0;
}
