/* Writers of results. They gather the blocks; the method puts them into its result. */
#include "base/crypto.h"
#include "mcp/server_internal.h"

/* Begins a block; for prompts inside its message. */
static struct jsonw block_begin(struct mcp_request *r) {
    struct jsonw w = jsonw_begin(&r->content);
    w.comma = r->content.n > 0;
    if (str_eq(r->method, STR("prompts/get"))) {
        jsonw_object(&w);
        jsonw_kstrz(&w, "role", r->role);
        jsonw_key(&w, "content");
    }
    return w;
}

static void block_end(struct mcp_request *r, struct jsonw *w) {
    if (str_eq(r->method, STR("prompts/get"))) {
        jsonw_end_object(w);
    }
}

void mcp_result_block(struct mcp_request *r, struct str json) {
    struct jsonw w = block_begin(r);
    jsonw_raw(&w, json);
    block_end(r, &w);
}

void mcp_result_text(struct mcp_request *r, struct str text) {
    struct jsonw w = block_begin(r);
    jsonw_object(&w);
    jsonw_kstrz(&w, "type", "text");
    jsonw_kstr(&w, "text", text);
    jsonw_end_object(&w);
    block_end(r, &w);
}

void mcp_result_textf(struct mcp_request *r, const char *fmt, ...) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(r->content.max);
    va_list ap;
    va_start(ap, fmt);
    strbuf_addfv(&text, fmt, ap);
    va_end(ap);
    if (text.failed) {
        r->content.failed = true;
        return;
    }
    mcp_result_text(r, strbuf_str(&text));
}

/* A string member in base64, which needs no escapes. */
static void write_base64(struct jsonw *w, const char *key, struct str bytes) {
    jsonw_key(w, key);
    strbuf_addc(w->out, '"');
    crypto_base64(w->out, bytes);
    strbuf_addc(w->out, '"');
    w->comma = true;
}

static void write_media(struct mcp_request *r, const char *type, const char *mime_type,
                        struct str bytes) {
    struct jsonw w = block_begin(r);
    jsonw_object(&w);
    jsonw_kstrz(&w, "type", type);
    write_base64(&w, "data", bytes);
    jsonw_kstrz(&w, "mimeType", mime_type);
    jsonw_end_object(&w);
    block_end(r, &w);
}

void mcp_result_image(struct mcp_request *r, const char *mime_type, struct str bytes) {
    write_media(r, "image", mime_type, bytes);
}

void mcp_result_audio(struct mcp_request *r, const char *mime_type, struct str bytes) {
    if (r->revision < MCP_2025_03_26) {
        mcp_result_textf(r, "[audio, %s, %zu bytes]", mime_type, bytes.n);
    } else {
        write_media(r, "audio", mime_type, bytes);
    }
}

static void write_contents(struct jsonw *w, struct str uri, const char *mime_type,
                           const struct str *text, const struct str *blob) {
    jsonw_object(w);
    jsonw_kstr(w, "uri", uri);
    if (mime_type) {
        jsonw_kstrz(w, "mimeType", mime_type);
    }
    if (text) {
        jsonw_kstr(w, "text", *text);
    } else {
        write_base64(w, "blob", *blob);
    }
    jsonw_end_object(w);
}

static void write_embedded(struct mcp_request *r, struct str uri, const char *mime_type,
                           const struct str *text, const struct str *blob) {
    struct jsonw w = block_begin(r);
    jsonw_object(&w);
    jsonw_kstrz(&w, "type", "resource");
    jsonw_key(&w, "resource");
    write_contents(&w, uri, mime_type, text, blob);
    jsonw_end_object(&w);
    block_end(r, &w);
}

void mcp_result_resource_text(struct mcp_request *r, struct str uri, const char *mime_type,
                              struct str text) {
    write_embedded(r, uri, mime_type, &text, NULL);
}

void mcp_result_resource_blob(struct mcp_request *r, struct str uri, const char *mime_type,
                              struct str bytes) {
    write_embedded(r, uri, mime_type, NULL, &bytes);
}

void mcp_result_link(struct mcp_request *r, struct str uri, struct str name,
                     const char *mime_type) {
    if (r->revision < MCP_2025_06_18) {
        mcp_result_textf(r, "%.*s: %.*s", STR_ARG(name), STR_ARG(uri));
        return;
    }
    struct jsonw w = block_begin(r);
    jsonw_object(&w);
    jsonw_kstrz(&w, "type", "resource_link");
    jsonw_kstr(&w, "uri", uri);
    jsonw_kstr(&w, "name", name);
    if (mime_type) {
        jsonw_kstrz(&w, "mimeType", mime_type);
    }
    jsonw_end_object(&w);
    block_end(r, &w);
}

void mcp_result_structured(struct mcp_request *r, struct str json) {
    strbuf_reset(&r->structured);
    strbuf_add(&r->structured, json);
}

void mcp_result_structured_tree(struct mcp_request *r, const json_t *value) {
    strbuf_reset(&r->structured);
    json_write_tree(&r->structured, value);
}

void mcp_result_error(struct mcp_request *r) {
    r->is_error = true;
}

void mcp_result_role(struct mcp_request *r, const char *role) {
    r->role = role;
}

void mcp_contents_text(struct mcp_request *r, struct str uri, const char *mime_type,
                       struct str text) {
    struct jsonw w = jsonw_begin(&r->content);
    w.comma = r->content.n > 0;
    write_contents(&w, uri, mime_type, &text, NULL);
}

void mcp_contents_blob(struct mcp_request *r, struct str uri, const char *mime_type,
                       struct str bytes) {
    struct jsonw w = jsonw_begin(&r->content);
    w.comma = r->content.n > 0;
    write_contents(&w, uri, mime_type, NULL, &bytes);
}

void mcp_completion_add(struct mcp_request *r, struct str value) {
    struct jsonw w = jsonw_begin(&r->content);
    w.comma = r->content.n > 0;
    if (++r->n_completions <= MCP_MAX_COMPLETIONS) {
        jsonw_str(&w, value);
    }
}
