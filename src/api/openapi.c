/* The API's description, made from the table of routes. */
#include "api/openapi.h"
#include "api/handlers.h"
#include "api/route.h"
#include "net/assets.h"

extern const struct asset schema_files[];
extern const size_t schema_files_n;

enum { MAX_BYTES = 512 * 1024, MAX_NAME = 64 };

static void write_ref(struct jsonw *w, const char *schema) {
    char ref[MAX_NAME + 32];
    snprintf(ref, sizeof ref, "#/components/schemas/%s", schema);
    jsonw_key(w, "schema");
    jsonw_object(w);
    jsonw_kstrz(w, "$ref", ref);
    jsonw_end_object(w);
}

static void write_content(struct jsonw *w, const char *type, const char *schema) {
    jsonw_key(w, "content");
    jsonw_object(w);
    jsonw_key(w, type);
    jsonw_object(w);
    write_ref(w, schema);
    jsonw_end_object(w);
    jsonw_end_object(w);
}

static const char *type_of(const char *schema) {
    static const struct {
        const char *schema, *type;
    } others[] = {{"EventStream", "text/event-stream"},
                  {"Metrics", "text/plain"},
                  {"Page", "text/html"},
                  {"Image", "image/*"}};
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        if (str_eq(str_z(others[i].schema), str_z(schema))) {
            return others[i].type;
        }
    }
    return "application/json";
}

static void write_parameter(struct jsonw *w, struct str name, const char *in) {
    jsonw_object(w);
    jsonw_kstr(w, "name", name);
    jsonw_kstrz(w, "in", in);
    jsonw_kbool(w, "required", in[0] == 'p');
    jsonw_kraw(w, "schema", STR("{\"type\":\"string\"}"));
    jsonw_end_object(w);
}

static void write_parameters(struct jsonw *w, const struct route *r) {
    struct str path = str_z(r->pattern), query = str_z(r->query);
    jsonw_key(w, "parameters");
    jsonw_array(w);
    while (path.n > 0) {
        struct str part = str_cut(&path, '/');
        if (str_starts(part, STR("{"))) {
            struct str name = str_head(str_skip(part, 1), part.n - 2);
            write_parameter(w, str_head(name, MIN(str_find_char(name, '.'), name.n)), "path");
        }
    }
    while (query.n > 0) {
        write_parameter(w, str_cut(&query, ' '), "query");
    }
    jsonw_end_array(w);
}

static void write_responses(struct jsonw *w, const struct route *r) {
    char status[12];
    snprintf(status, sizeof status, "%d", r->status);
    jsonw_key(w, "responses");
    jsonw_object(w);
    jsonw_key(w, status);
    jsonw_object(w);
    jsonw_kstrz(w, "description", "as asked");
    if (r->response) {
        write_content(w, type_of(r->response), r->response);
    }
    jsonw_end_object(w);
    jsonw_key(w, "default");
    jsonw_object(w);
    jsonw_kstrz(w, "description", "an error");
    if (route_is_openai(str_z(r->pattern))) {
        write_content(w, "application/json", "OpenAIError");
    } else {
        write_content(w, "application/problem+json", "Problem");
    }
    jsonw_end_object(w);
    jsonw_end_object(w);
}

static void write_operation(struct jsonw *w, const struct route *r) {
    char method[8] = "";
    for (size_t i = 0; r->method[i] && i < sizeof method - 1; i++) {
        method[i] = (char)(r->method[i] | 0x20);
    }
    jsonw_key(w, method);
    jsonw_object(w);
    jsonw_key(w, "tags");
    jsonw_array(w);
    jsonw_strz(w, r->tag);
    jsonw_end_array(w);
    jsonw_kstrz(w, "summary", r->summary);
    if (r->access == ACCESS_PUBLIC) {
        jsonw_kraw(w, "security", STR("[]"));
    }
    write_parameters(w, r);
    if (r->request) {
        jsonw_key(w, "requestBody");
        jsonw_object(w);
        jsonw_kbool(w, "required", true);
        write_content(w, "application/json", r->request);
        jsonw_end_object(w);
    }
    write_responses(w, r);
    jsonw_end_object(w);
}

/* A path stands once, with all its methods: the table keeps those of one pattern together or not,
 * so each pattern is written where it stands first. */
static bool stands_before(const struct route *table, size_t i) {
    for (size_t k = 0; k < i; k++) {
        if (str_eq(str_z(table[k].pattern), str_z(table[i].pattern))) {
            return true;
        }
    }
    return false;
}

static void write_path(struct jsonw *w, const struct route *table, size_t n, size_t i) {
    char path[MAX_NAME] = "";
    size_t length = 0;
    for (const char *p = table[i].pattern; *p && length < sizeof path - 1; p++) {
        if (*p != '.' || !strstr(p, "}")) { /* "{path...}" is "{path}" to OpenAPI */
            path[length++] = *p;
        }
    }
    jsonw_key(w, path);
    jsonw_object(w);
    for (size_t k = i; k < n; k++) {
        if (str_eq(str_z(table[k].pattern), str_z(table[i].pattern))) {
            write_operation(w, &table[k]);
        }
    }
    jsonw_end_object(w);
}

void openapi_write(struct strbuf *out, const char *version) {
    size_t n;
    const struct route *table = routes(&n);
    struct jsonw w = jsonw_begin(out);
    jsonw_object(&w);
    jsonw_kstrz(&w, "openapi", "3.1.0");
    jsonw_key(&w, "info");
    jsonw_object(&w);
    jsonw_kstrz(&w, "title", "Adjutant");
    jsonw_kstrz(&w, "version", version);
    jsonw_end_object(&w);
    jsonw_kraw(&w, "security", STR("[{\"key\":[]},{\"bearer\":[]},{\"cookie\":[]}]"));
    jsonw_key(&w, "paths");
    jsonw_object(&w);
    for (size_t i = 0; i < n; i++) {
        if (!stands_before(table, i)) {
            write_path(&w, table, n, i);
        }
    }
    jsonw_end_object(&w);
    jsonw_kraw(&w, "components", schema_files[0].identity);
    jsonw_end_object(&w);
}

int handle_openapi(struct call *c, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(MAX_BYTES);
    openapi_write(&out, c->gateway->version);
    return call_respond(c, 200, &out, err);
}
