#include "mcp/headers.h"

#include "base/crypto.h"
#include "base/json.h"

#define ANNOTATION "x-mcp-header"
#define SENTINEL "=?base64?"
#define SENTINEL_END "?="

enum { MAX_NAME_BYTES = 128, MAX_VALUE_BYTES = MCP_MAX_MIRRORED_BYTES * 3 / 4 - 64 };

struct walk {
    struct arena *arena;
    struct mcp_mirror *mirror; /* NULL: only check */
    struct str names[MCP_MAX_MIRRORED];
    size_t n_names;
};

static bool is_plain(struct str v) {
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] < 0x20 || v.p[i] > 0x7e) {
            return false;
        }
    }
    return v.n == 0 || (v.p[0] != ' ' && v.p[v.n - 1] != ' ');
}

struct str mcp_header_value(struct arena *arena, struct str value) {
    bool ambiguous = str_starts(value, STR(SENTINEL)) && str_ends(value, STR(SENTINEL_END));
    if (is_plain(value) && !ambiguous) {
        return arena_str(arena, value);
    }
    struct strbuf out cleanup(strbuf_done) = STRBUF(value.n / 3 * 4 + 64);
    strbuf_addz(&out, SENTINEL);
    crypto_base64(&out, value);
    strbuf_addz(&out, SENTINEL_END);
    return arena_str(arena, strbuf_str(&out));
}

/* ---- what may be annotated ---- */

static bool is_token(struct str s) {
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!alnum && (c == '\0' || !strchr(others, c))) {
            return false;
        }
    }
    return s.n > 0 && s.n <= MAX_NAME_BYTES;
}

static bool is_allowed_type(struct str type) {
    return str_eq(type, STR("string")) || str_eq(type, STR("integer")) ||
           str_eq(type, STR("boolean"));
}

/* A list of types may allow null beside one of ours. */
static bool has_allowed_type(const json_t *schema) {
    const json_t *type = json_object_get(schema, "type");
    if (!json_is_array(type)) {
        return is_allowed_type(json_value_str(type));
    }
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(type); i++) {
        struct str one = json_value_str(json_array_get(type, i));
        if (!str_eq(one, STR("null")) && !is_allowed_type(one)) {
            return false;
        }
        n += is_allowed_type(one);
    }
    return n > 0;
}

static int check_annotation(struct walk *w, const json_t *schema, struct str name,
                            struct err *err) {
    if (!is_token(name)) {
        return err_set(err, ERR_INVALID, ANNOTATION " is no name for a header field");
    }
    if (!has_allowed_type(schema)) {
        return err_set(err, ERR_INVALID,
                       ANNOTATION " \"%.*s\" stands on a type other than string, integer, boolean",
                       STR_ARG(name));
    }
    for (size_t i = 0; i < w->n_names; i++) {
        if (str_eq_nocase(w->names[i], name)) {
            return err_set(err, ERR_INVALID, ANNOTATION " \"%.*s\" is there twice", STR_ARG(name));
        }
    }
    if (w->n_names == MCP_MAX_MIRRORED) {
        return err_set(err, ERR_INVALID, "more than %d parameters have " ANNOTATION,
                       MCP_MAX_MIRRORED);
    }
    w->names[w->n_names++] = name;
    return 0;
}

/* ---- values ---- */

static int add_field(struct walk *w, struct str name, struct str value, struct err *err) {
    if (value.n > MAX_VALUE_BYTES) {
        return err_set(err, ERR_INVALID,
                       "the argument for the header field Mcp-Param-%.*s is larger than %d bytes",
                       STR_ARG(name), MAX_VALUE_BYTES);
    }
    w->mirror->fields[w->mirror->n++] = (struct http_client_field){
        .name = arena_printf(w->arena, "Mcp-Param-%.*s", STR_ARG(name)).p,
        .value = mcp_header_value(w->arena, value)};
    return 0;
}

static int mirror_value(struct walk *w, struct str name, const json_t *value, struct err *err) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(64);
    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_STRING:
        return add_field(w, name, json_value_str(value), err);
    case JSON_TRUE:
        return add_field(w, name, STR("true"), err);
    case JSON_FALSE:
        return add_field(w, name, STR("false"), err);
    case JSON_INTEGER:
    case JSON_REAL:
        json_write_tree(&text, value);
        return add_field(w, name, strbuf_str(&text), err);
    default: /* null and absent: none; the server will say what it thinks of the rest */
        return 0;
    }
}

/* ---- the walk; its depth is bounded by json_read ---- */

/* Only parameters may be annotated: what is reached through properties alone. */
enum place { ROOT, PARAMETER, ELSEWHERE };

static int walk_schema(struct walk *w, const json_t *schema, enum place place, const json_t *value,
                       struct err *err);

static int walk_map(struct walk *w, const json_t *schemas, enum place place, const json_t *values,
                    struct err *err) {
    const char *key;
    json_t *schema;
    json_object_foreach ((json_t *)schemas, key, schema) {
        if (walk_schema(w, schema, place, json_object_get(values, key), err) < 0) {
            return -(int)err->code;
        }
    }
    return 0;
}

static int walk_list(struct walk *w, const json_t *schemas, struct err *err) {
    if (!json_is_array(schemas)) {
        return walk_schema(w, schemas, ELSEWHERE, NULL, err);
    }
    for (size_t i = 0; i < json_array_size(schemas); i++) {
        if (walk_schema(w, json_array_get(schemas, i), ELSEWHERE, NULL, err) < 0) {
            return -(int)err->code;
        }
    }
    return 0;
}

static bool is_one_of(const char *key, const char *const *words, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (strcmp(key, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

static int walk_keyword(struct walk *w, const char *key, const json_t *inner, enum place place,
                        const json_t *value, struct err *err) {
    static const char *const maps[] = {"patternProperties", "$defs", "definitions",
                                       "dependentSchemas"};
    static const char *const lists[] = {"items",
                                        "prefixItems",
                                        "contains",
                                        "additionalProperties",
                                        "additionalItems",
                                        "unevaluatedItems",
                                        "propertyNames",
                                        "unevaluatedProperties",
                                        "allOf",
                                        "anyOf",
                                        "oneOf",
                                        "not",
                                        "if",
                                        "then",
                                        "else"};
    if (strcmp(key, "properties") == 0) {
        return walk_map(w, inner, place == ELSEWHERE ? ELSEWHERE : PARAMETER, value, err);
    }
    if (is_one_of(key, maps, ARRAY_LEN(maps))) {
        return walk_map(w, inner, ELSEWHERE, NULL, err);
    }
    return is_one_of(key, lists, ARRAY_LEN(lists)) ? walk_list(w, inner, err) : 0;
}

static int walk_schema(struct walk *w, const json_t *schema, enum place place, const json_t *value,
                       struct err *err) {
    const json_t *annotation = json_object_get(schema, ANNOTATION);
    if (annotation) {
        struct str name = json_value_str(annotation);
        if (place != PARAMETER) {
            return err_set(err, ERR_INVALID, ANNOTATION " stands where no parameter is");
        }
        if (check_annotation(w, schema, name, err) < 0 ||
            (w->mirror && mirror_value(w, name, value, err) < 0)) {
            return -(int)err->code;
        }
    }
    const char *key;
    json_t *inner;
    json_object_foreach ((json_t *)schema, key, inner) {
        if (walk_keyword(w, key, inner, place, value, err) < 0) {
            return -(int)err->code;
        }
    }
    return 0;
}

static bool has_annotations(struct str schema) {
    return str_find(schema, STR(ANNOTATION)) != SIZE_MAX;
}

int mcp_headers_check(struct str input_schema, struct err *err) {
    json_auto_t *schema = NULL;
    struct walk w = {0};
    if (!has_annotations(input_schema)) {
        return 0;
    }
    return json_read(input_schema, &schema, err) < 0 ? -(int)err->code
                                                     : walk_schema(&w, schema, ROOT, NULL, err);
}

int mcp_headers_mirror(struct str input_schema, struct str arguments, struct arena *arena,
                       struct mcp_mirror *ret, struct err *err) {
    json_auto_t *schema = NULL;
    json_auto_t *values = NULL;
    struct walk w = {.arena = arena, .mirror = ret};
    ret->n = 0;
    if (!has_annotations(input_schema)) {
        return 0;
    }
    if (json_read(input_schema, &schema, err) < 0 ||
        (arguments.n && json_read(arguments, &values, err) < 0)) {
        return -(int)err->code;
    }
    return walk_schema(&w, schema, ROOT, values, err);
}
