#include "llm/schema.h"

#include <stdlib.h>

enum { MAX_DEPTH = 40 }; /* of schemas in one another, inlined ones included */

/* ---- keywords, and the shape each must have ---- */

enum shape {
    SHAPE_ANY,
    SHAPE_STRING,
    SHAPE_NUMBER,
    SHAPE_POSITIVE, /* multipleOf */
    SHAPE_COUNT,
    SHAPE_BOOLEAN,
    SHAPE_ARRAY,
    SHAPE_FILLED_ARRAY,
    SHAPE_STRINGS,
    SHAPE_TYPE,
    SHAPE_SCHEMA,
    SHAPE_ITEMS,
    SHAPE_SCHEMAS,
    SHAPE_PROPERTIES,
    SHAPE_SCHEMA_MAP,
    SHAPE_STRINGS_MAP,
    SHAPE_NOTHING, /* dropped */
};

static const struct {
    const char *name;
    enum shape shape;
} keywords[] = {
    {"$anchor", SHAPE_STRING},
    {"$comment", SHAPE_STRING},
    {"$defs", SHAPE_SCHEMA_MAP},
    {"$dynamicAnchor", SHAPE_NOTHING},
    {"$dynamicRef", SHAPE_NOTHING},
    {"$id", SHAPE_STRING},
    {"$recursiveAnchor", SHAPE_NOTHING},
    {"$recursiveRef", SHAPE_NOTHING},
    {"$ref", SHAPE_NOTHING}, /* one that is no string */
    {"$schema", SHAPE_STRING},
    {"$vocabulary", SHAPE_NOTHING},
    {"additionalProperties", SHAPE_SCHEMA},
    {"allOf", SHAPE_SCHEMAS},
    {"anyOf", SHAPE_SCHEMAS},
    {"contains", SHAPE_SCHEMA},
    {"contentEncoding", SHAPE_STRING},
    {"contentMediaType", SHAPE_STRING},
    {"contentSchema", SHAPE_SCHEMA},
    {"definitions", SHAPE_SCHEMA_MAP},
    {"dependencies", SHAPE_NOTHING}, /* of older drafts */
    {"dependentRequired", SHAPE_STRINGS_MAP},
    {"dependentSchemas", SHAPE_SCHEMA_MAP},
    {"deprecated", SHAPE_BOOLEAN},
    {"description", SHAPE_STRING},
    {"else", SHAPE_SCHEMA},
    {"enum", SHAPE_FILLED_ARRAY},
    {"examples", SHAPE_ARRAY},
    {"exclusiveMaximum", SHAPE_NUMBER},
    {"exclusiveMinimum", SHAPE_NUMBER},
    {"format", SHAPE_STRING},
    {"if", SHAPE_SCHEMA},
    {"items", SHAPE_ITEMS},
    {"maxContains", SHAPE_COUNT},
    {"maxItems", SHAPE_COUNT},
    {"maxLength", SHAPE_COUNT},
    {"maxProperties", SHAPE_COUNT},
    {"maximum", SHAPE_NUMBER},
    {"minContains", SHAPE_COUNT},
    {"minItems", SHAPE_COUNT},
    {"minLength", SHAPE_COUNT},
    {"minProperties", SHAPE_COUNT},
    {"minimum", SHAPE_NUMBER},
    {"multipleOf", SHAPE_POSITIVE},
    {"not", SHAPE_SCHEMA},
    {"oneOf", SHAPE_SCHEMAS},
    {"pattern", SHAPE_STRING},
    {"patternProperties", SHAPE_SCHEMA_MAP},
    {"prefixItems", SHAPE_SCHEMAS},
    {"properties", SHAPE_PROPERTIES},
    {"propertyNames", SHAPE_SCHEMA},
    {"readOnly", SHAPE_BOOLEAN},
    {"required", SHAPE_STRINGS},
    {"then", SHAPE_SCHEMA},
    {"title", SHAPE_STRING},
    {"type", SHAPE_TYPE},
    {"unevaluatedItems", SHAPE_SCHEMA},
    {"unevaluatedProperties", SHAPE_SCHEMA},
    {"uniqueItems", SHAPE_BOOLEAN},
    {"writeOnly", SHAPE_BOOLEAN},
};

static enum shape shape_of(const char *keyword) {
    size_t low = 0, high = ARRAY_LEN(keywords);
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(keyword, keywords[middle].name);
        if (order == 0) {
            return keywords[middle].shape;
        }
        *(order < 0 ? &high : &low) = order < 0 ? middle : middle + 1;
    }
    return SHAPE_ANY;
}

/* ---- simple shapes ---- */

static json_t *json_same(json_t *value) {
    return json_incref(value);
}

static json_t *keep_if(json_t *value, bool ok) {
    return ok ? json_same(value) : NULL;
}

/* Type names of other languages that servers are known to send. */
static const char *type_name(struct str name) {
    static const struct {
        const char *word, *type;
    } words[] = {
        {"array", "array"},   {"boolean", "boolean"}, {"integer", "integer"}, {"null", "null"},
        {"number", "number"}, {"object", "object"},   {"string", "string"},   {"bool", "boolean"},
        {"dict", "object"},   {"double", "number"},   {"float", "number"},    {"int", "integer"},
        {"int64", "integer"}, {"int32", "integer"},   {"list", "array"},      {"map", "object"},
        {"str", "string"},    {"uint", "integer"},
    };
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (str_eq_nocase(name, str_z(words[i].word))) {
            return words[i].type;
        }
    }
    return NULL;
}

static bool array_has(const json_t *array, const json_t *value) {
    size_t i;
    json_t *other;
    json_array_foreach (array, i, other) {
        if (json_equal(other, value)) {
            return true;
        }
    }
    return false;
}

static json_t *rewrite_type_name(json_t *value) {
    const char *name = type_name(json_value_str(value));
    if (!name) {
        return NULL;
    }
    return str_eq(json_value_str(value), str_z(name)) ? json_same(value) : json_string(name);
}

static json_t *rewrite_type(json_t *value) {
    size_t i;
    json_t *word;
    bool changed = false;
    if (!json_is_array(value)) {
        return rewrite_type_name(value);
    }
    json_t *types = json_array();
    json_array_foreach (value, i, word) {
        json_auto_t *type = rewrite_type_name(word);
        changed |= type != word;
        if (type && !array_has(types, type)) {
            json_array_append(types, type);
        } else {
            changed = true;
        }
    }
    if (json_array_size(types) == 0) {
        json_decref(types);
        return NULL;
    }
    if (!changed) {
        json_decref(types);
        return json_same(value);
    }
    return types;
}

static json_t *rewrite_strings(json_t *value) {
    enum { MAX_STRINGS = 256 };
    size_t i;
    json_t *s;
    if (!json_is_array(value)) {
        return NULL;
    }
    json_auto_t *seen = json_object();
    json_t *strings = json_array();
    json_array_foreach (value, i, s) {
        if (json_is_string(s) && i < MAX_STRINGS && !json_object_get(seen, json_string_value(s))) {
            json_object_set(seen, json_string_value(s), s);
            json_array_append(strings, s);
        }
    }
    if (json_array_size(strings) == json_array_size(value)) {
        json_decref(strings);
        return json_same(value);
    }
    return strings;
}

static json_t *rewrite_strings_map(json_t *value) {
    const char *key;
    json_t *strings;
    bool ok = json_is_object(value);
    json_object_foreach (value, key, strings) {
        json_auto_t *same = rewrite_strings(strings);
        ok &= same == strings;
    }
    return keep_if(value, ok);
}

/* ---- schemas within schemas ---- */

static json_t *rewrite(struct schema_rewrite *r, json_t *schema, unsigned depth);

/* Anything that is no object becomes one: true and garbage allow everything; false, where it can
 * stand, is the caller's. */
static json_t *rewrite_object(struct schema_rewrite *r, json_t *schema, unsigned depth) {
    return json_is_object(schema) ? rewrite(r, schema, depth) : json_object();
}

static json_t *rewrite_schema(struct schema_rewrite *r, json_t *value, unsigned depth) {
    return json_is_object(value) ? rewrite(r, value, depth)
                                 : keep_if(value, json_is_boolean(value));
}

static json_t *rewrite_schemas(struct schema_rewrite *r, json_t *value, unsigned depth) {
    size_t i;
    json_t *schema;
    bool changed = false;
    json_t *schemas = json_is_array(value) ? json_array() : NULL;
    json_array_foreach (value, i, schema) {
        if (json_is_false(schema)) {
            changed = true;
            continue;
        }
        json_t *fresh = rewrite_object(r, schema, depth);
        changed |= fresh != schema;
        json_array_append_new(schemas, fresh);
    }
    if (json_array_size(schemas) == 0 || !changed) {
        json_t *same = json_array_size(schemas) ? json_same(value) : NULL;
        json_decref(schemas);
        return same;
    }
    return schemas;
}

/* Objects only: models' servers read each member of "properties" into a structure. */
static json_t *rewrite_map(struct schema_rewrite *r, json_t *value, bool properties,
                           unsigned depth) {
    const char *key;
    json_t *schema;
    bool changed = false;
    if (!json_is_object(value)) {
        return properties ? json_object() : NULL; /* PHP writes an empty map as [] */
    }
    json_t *map = json_object();
    json_object_foreach (value, key, schema) {
        json_t *fresh = json_is_false(schema) && properties      ? NULL
                        : json_is_boolean(schema) && !properties ? json_same(schema)
                                                                 : rewrite_object(r, schema, depth);
        changed |= fresh != schema;
        if (fresh) {
            json_object_set_new_nocheck(map, key, fresh);
        }
    }
    if (!changed) {
        json_decref(map);
        return json_same(value);
    }
    return map;
}

static json_t *rewrite_value(struct schema_rewrite *r, enum shape shape, json_t *value,
                             unsigned depth) {
    switch (shape) {
    case SHAPE_ANY:
        return json_same(value);
    case SHAPE_STRING:
        return keep_if(value, json_is_string(value));
    case SHAPE_NUMBER:
        return keep_if(value, json_is_number(value));
    case SHAPE_POSITIVE:
        return keep_if(value, json_is_number(value) && json_number_value(value) > 0);
    case SHAPE_COUNT:
        return keep_if(value, json_is_integer(value) && json_integer_value(value) >= 0);
    case SHAPE_BOOLEAN:
        return keep_if(value, json_is_boolean(value));
    case SHAPE_ARRAY:
        return keep_if(value, json_is_array(value));
    case SHAPE_FILLED_ARRAY:
        return keep_if(value, json_array_size(value) > 0);
    case SHAPE_STRINGS:
        return rewrite_strings(value);
    case SHAPE_TYPE:
        return rewrite_type(value);
    case SHAPE_SCHEMA:
        return rewrite_schema(r, value, depth + 1);
    case SHAPE_ITEMS:
        return rewrite_object(r, value, depth + 1);
    case SHAPE_SCHEMAS:
        return rewrite_schemas(r, value, depth + 1);
    case SHAPE_PROPERTIES:
        return rewrite_map(r, value, true, depth + 1);
    case SHAPE_SCHEMA_MAP:
        return rewrite_map(r, value, false, depth + 1);
    case SHAPE_STRINGS_MAP:
        return rewrite_strings_map(value);
    case SHAPE_NOTHING:
        break;
    }
    return NULL;
}

/* ---- references ---- */

/* RFC 6901, in a fragment: "~1" is '/', "~0" is '~'; percent-encoding first. */
static bool pointer_token(struct str token, struct strbuf *out) {
    for (size_t i = 0; i < token.n; i++) {
        char c = token.p[i];
        if (c == '%' && i + 2 < token.n) {
            char hex[3] = {token.p[i + 1], token.p[i + 2], '\0'}, *end;
            c = (char)strtol(hex, &end, 16);
            if (*end || c == '\0') {
                return false;
            }
            i += 2;
        }
        if (c == '~') {
            if (i + 1 == token.n || (token.p[i + 1] != '0' && token.p[i + 1] != '1')) {
                return false;
            }
            c = token.p[++i] == '0' ? '~' : '/';
        }
        strbuf_addc(out, c);
    }
    return true;
}

static json_t *step_into(json_t *at, struct str token) {
    struct strbuf name cleanup(strbuf_done) = STRBUF(1024);
    int64_t index;
    if (!pointer_token(token, &name) || name.failed) {
        return NULL;
    }
    if (json_is_array(at)) {
        bool ok = str_to_i64(strbuf_str(&name), &index) && index >= 0;
        return ok ? json_array_get(at, (size_t)index) : NULL;
    }
    return json_object_get(at, strbuf_z(&name));
}

/* Anchors are looked for where definitions are. */
static json_t *find_anchor(const json_t *root, struct str name) {
    static const char *const places[] = {"$defs", "definitions", "properties"};
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        const char *key;
        json_t *schema;
        json_object_foreach (json_object_get(root, places[i]), key, schema) {
            if (str_eq(json_str(schema, "$anchor"), name) && name.n) {
                return schema;
            }
        }
    }
    return NULL;
}

static json_t *resolve(const struct schema_rewrite *r, struct str ref) {
    json_t *at = (json_t *)r->root;
    struct str id = json_str(at, "$id");
    if (id.n && str_starts(ref, id)) {
        ref = str_skip(ref, id.n);
    }
    if (ref.n == 0 || ref.p[0] != '#') {
        return NULL;
    }
    ref = str_skip(ref, 1);
    if (ref.n == 0) {
        return at;
    }
    if (ref.p[0] != '/') {
        return find_anchor(r->root, ref);
    }
    ref = str_skip(ref, 1);
    for (bool more = true; more && at;) {
        more = str_find_char(ref, '/') != SIZE_MAX;
        at = step_into(at, str_cut(&ref, '/'));
    }
    return at;
}

/* What stands for a schema that cannot be written down: what is known of it without looking
 * further. */
static json_t *anything_like(const json_t *target) {
    static const char *const kept[] = {"type", "title", "description"};
    json_t *schema = json_object();
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        json_auto_t *value = json_incref(json_object_get(target, kept[i]));
        json_t *type = i == 0 && value ? rewrite_type(value) : NULL;
        if (type) {
            json_object_set_new(schema, kept[i], type);
        } else if (i > 0 && json_is_string(value)) {
            json_object_set(schema, kept[i], value);
        }
    }
    if (str_eq(json_str(schema, "type"), STR("array"))) {
        json_object_set_new(schema, "items", json_object());
    }
    return schema;
}

static json_t *inline_target(struct schema_rewrite *r, json_t *target, unsigned depth) {
    bool cut = r->n_open >= MIN(r->ref_depth, ARRAY_LEN(r->open)) || r->nodes >= r->max_nodes ||
               !json_is_object(target);
    for (unsigned i = 0; i < r->n_open; i++) {
        cut |= r->open[i] == target;
    }
    /* The document itself is always being written. */
    if (cut || target == r->root) {
        return anything_like(target);
    }
    r->open[r->n_open++] = target;
    json_t *schema = rewrite(r, target, depth);
    r->n_open--;
    return schema;
}

/* What stands beside a reference counts too (since draft 2019-09) and describes it more closely. */
static json_t *rewrite_ref(struct schema_rewrite *r, json_t *schema, unsigned depth) {
    const char *key;
    json_t *value;
    json_auto_t *rest = json_copy(schema);
    json_object_del(rest, "$ref");
    json_object_del(rest, "$defs");
    json_object_del(rest, "definitions");
    r->inlined = true;
    json_auto_t *target = inline_target(r, resolve(r, json_str(schema, "$ref")), depth + 1);
    if (json_object_size(rest) == 0) {
        return json_copy(target);
    }
    json_auto_t *beside = rewrite(r, rest, depth + 1);
    json_t *both = json_copy(target);
    json_object_foreach (beside, key, value) {
        json_object_set(both, key, value);
    }
    return both;
}

/* ---- one schema ---- */

static bool may_be_array(const json_t *schema) {
    size_t i;
    json_t *word;
    const json_t *type = json_object_get(schema, "type");
    json_array_foreach (type, i, word) {
        if (str_eq(json_value_str(word), STR("array"))) {
            return true;
        }
    }
    return str_eq(json_value_str(type), STR("array"));
}

/* Before the members are looked at: items as an array is what prefixItems is now. */
static json_t *modernised(json_t *schema) {
    json_t *items = json_object_get(schema, "items");
    if (!json_is_array(items)) {
        return json_same(schema);
    }
    json_t *fresh = json_copy(schema);
    if (!json_object_get(schema, "prefixItems")) {
        json_object_set(fresh, "prefixItems", items);
    }
    json_object_set_new(fresh, "items", json_object());
    json_object_del(fresh, "additionalItems");
    return fresh;
}

static json_t *rewrite_members(struct schema_rewrite *r, json_t *schema, unsigned depth) {
    const char *key;
    json_t *value, *out = NULL;
    json_object_foreach (schema, key, value) {
        json_t *fresh = rewrite_value(r, shape_of(key), value, depth);
        if (fresh != value && !out) {
            out = json_copy(schema);
        }
        if (fresh && fresh != value) {
            json_object_set_nocheck(out, key, fresh);
        } else if (!fresh) {
            json_object_del(out, key);
        }
        json_decref(fresh);
    }
    return out ? out : json_same(schema);
}

static json_t *rewrite(struct schema_rewrite *r, json_t *schema, unsigned depth) {
    r->nodes++;
    if (depth > MAX_DEPTH) {
        return anything_like(schema);
    }
    if (json_is_string(json_object_get(schema, "$ref"))) {
        return rewrite_ref(r, schema, depth);
    }
    json_auto_t *modern = modernised(schema);
    json_t *out = rewrite_members(r, modern, depth);
    if (may_be_array(out) && !json_object_get(out, "items")) {
        json_t *with_items = json_copy(out);
        json_decref(out);
        json_object_set_new(with_items, "items", json_object());
        return with_items;
    }
    return out;
}

json_t *schema_rewrite(struct schema_rewrite *r, json_t *schema) {
    return rewrite_object(r, schema, 0);
}
