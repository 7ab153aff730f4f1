#include "mcp/json_schema.h"

#include <math.h>

#include "base/strbuf.h"

enum { MAX_DEPTH = 32, MAX_STEPS = 100000, MAX_PATH = 160, MAX_UNIQUE = 1000 };

struct check {
    const json_t *root;
    struct strbuf path; /* where in the value */
    unsigned depth, steps;
    struct err *err;
};

static int check_value(struct check *c, const json_t *schema, const json_t *value);

static int refuse(struct check *c, const char *fmt, ...) printf_like(2, 3);

static int refuse(struct check *c, const char *fmt, ...) {
    char text[128];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return err_set(c->err, ERR_INVALID, "%s: %s", strbuf_z(&c->path), text);
}

/* ---- type, enum, const ---- */

static bool is_integer(const json_t *value) {
    return json_is_integer(value) ||
           (json_is_real(value) && floor(json_real_value(value)) == json_real_value(value));
}

static bool has_type(const json_t *value, struct str type) {
    static const char *const names[] = {
        [JSON_OBJECT] = "object",  [JSON_ARRAY] = "array", [JSON_STRING] = "string",
        [JSON_INTEGER] = "number", [JSON_REAL] = "number", [JSON_TRUE] = "boolean",
        [JSON_FALSE] = "boolean",  [JSON_NULL] = "null",
    };
    return str_eq(type, str_z(names[json_typeof(value)])) ||
           (str_eq(type, STR("integer")) && is_integer(value));
}

static int check_type(struct check *c, const json_t *type, const json_t *value) {
    struct strbuf names cleanup(strbuf_done) = STRBUF(100);
    if (json_is_string(type)) {
        return has_type(value, json_value_str(type))
                   ? 0
                   : refuse(c, "must be of type %s", json_string_value(type));
    }
    for (size_t i = 0; i < json_array_size(type); i++) {
        struct str name = json_value_str(json_array_get(type, i));
        if (has_type(value, name)) {
            return 0;
        }
        strbuf_addf(&names, "%s%.*s", i ? " or " : "", STR_ARG(name));
    }
    return json_array_size(type) ? refuse(c, "must be of type %s", strbuf_z(&names)) : 0;
}

/* JSON Schema knows one kind of number: 1 and 1.0 are equal. */
static bool same(const json_t *a, const json_t *b) {
    if (json_is_number(a) && json_is_number(b)) {
        return json_is_integer(a) && json_is_integer(b)
                   ? json_integer_value(a) == json_integer_value(b)
                   : json_number_value(a) == json_number_value(b);
    }
    return json_equal(a, b);
}

static int check_enum(struct check *c, const json_t *values, const json_t *value) {
    struct strbuf all cleanup(strbuf_done) = STRBUF(4096);
    for (size_t i = 0; i < json_array_size(values); i++) {
        if (same(json_array_get(values, i), value)) {
            return 0;
        }
        strbuf_addz(&all, i ? ", " : "");
        json_write_tree(&all, json_array_get(values, i));
    }
    struct str shown = str_utf8_head(strbuf_str(&all), 90);
    return refuse(c, "must be one of %.*s%s", STR_ARG(shown), shown.n < all.n ? "..." : "");
}

/* ---- numbers, strings ---- */

static bool number_of(const json_t *schema, const char *key, double *ret) {
    const json_t *v = json_object_get(schema, key);
    *ret = json_is_number(v) ? json_number_value(v) : 0;
    return json_is_number(v);
}

static int check_number(struct check *c, const json_t *schema, const json_t *value) {
    double v = json_number_value(value), limit;
    if (number_of(schema, "minimum", &limit) && v < limit) {
        return refuse(c, "must be at least %.15g", limit);
    }
    if (number_of(schema, "maximum", &limit) && v > limit) {
        return refuse(c, "must be at most %.15g", limit);
    }
    if (number_of(schema, "exclusiveMinimum", &limit) && v <= limit) {
        return refuse(c, "must be greater than %.15g", limit);
    }
    if (number_of(schema, "exclusiveMaximum", &limit) && v >= limit) {
        return refuse(c, "must be less than %.15g", limit);
    }
    if (number_of(schema, "multipleOf", &limit) && limit > 0) {
        double parts = v / limit;
        if (fabs(parts - nearbyint(parts)) > 1e-9 * fmax(1, fabs(parts))) {
            return refuse(c, "must be a multiple of %.15g", limit);
        }
    }
    return 0;
}

static int check_size(struct check *c, const json_t *schema, const char *min_key,
                      const char *max_key, const char *unit, size_t n) {
    double limit;
    if (number_of(schema, min_key, &limit) && (double)n < limit) {
        return refuse(c, "must have at least %.15g %s", limit, unit);
    }
    if (number_of(schema, max_key, &limit) && (double)n > limit) {
        return refuse(c, "must have at most %.15g %s", limit, unit);
    }
    return 0;
}

static size_t characters(const json_t *string) {
    struct str s = json_value_str(string);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    }
    return n;
}

/* ---- arrays, objects ---- */

static int check_at(struct check *c, const json_t *schema, const json_t *value, const char *key,
                    size_t index) {
    size_t n = c->path.n;
    if (key) {
        struct str shown = str_utf8_head(str_z(key), 60);
        strbuf_addf(&c->path, ".%.*s", STR_ARG(shown));
    } else {
        strbuf_addf(&c->path, "[%zu]", index);
    }
    int rc = check_value(c, schema, value);
    c->path.failed = false;
    strbuf_truncate(&c->path, n);
    return rc;
}

static int check_unique(struct check *c, const json_t *array) {
    size_t n = MIN(json_array_size(array), MAX_UNIQUE);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < i; k++) {
            if (same(json_array_get(array, i), json_array_get(array, k))) {
                return refuse(c, "items %zu and %zu are equal", k, i);
            }
        }
    }
    return 0;
}

static int check_array(struct check *c, const json_t *schema, const json_t *value) {
    const json_t *prefix = json_object_get(schema, "prefixItems");
    const json_t *items = json_object_get(schema, "items");
    int rc = check_size(c, schema, "minItems", "maxItems", "items", json_array_size(value));
    if (rc == 0 && json_bool(schema, "uniqueItems", false)) {
        rc = check_unique(c, value);
    }
    for (size_t i = 0; i < json_array_size(value) && rc == 0; i++) {
        const json_t *s = i < json_array_size(prefix) ? json_array_get(prefix, i) : items;
        rc = s ? check_at(c, s, json_array_get(value, i), NULL, i) : 0;
    }
    return rc;
}

static int check_required(struct check *c, const json_t *names, const json_t *value) {
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        if (name && !json_object_get(value, name)) {
            struct str shown = str_utf8_head(str_z(name), 60);
            return refuse(c, "\"%.*s\" is required", STR_ARG(shown));
        }
    }
    return 0;
}

static int check_object(struct check *c, const json_t *schema, const json_t *value) {
    const json_t *properties = json_object_get(schema, "properties");
    const json_t *others = json_object_get(schema, "additionalProperties");
    bool patterns = json_object_get(schema, "patternProperties") != NULL;
    const char *key;
    json_t *member;
    int rc = check_required(c, json_object_get(schema, "required"), value);
    if (rc == 0) {
        rc = check_size(c, schema, "minProperties", "maxProperties", "members",
                        json_object_size(value));
    }
    if (rc < 0) {
        return rc;
    }
    json_object_foreach ((json_t *)(uintptr_t)value, key, member) {
        const json_t *s = json_object_get(properties, key);
        struct str shown = str_utf8_head(str_z(key), 60);
        if (!s && json_is_false(others) && !patterns) {
            return refuse(c, "there is no \"%.*s\"", STR_ARG(shown));
        }
        s = s || patterns ? s : others;
        rc = s ? check_at(c, s, member, key, 0) : 0;
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

/* ---- combinations ---- */

static bool passes(struct check *c, const json_t *schema, const json_t *value) {
    struct err ignored, *kept = c->err;
    c->err = &ignored;
    int rc = check_value(c, schema, value);
    c->err = kept;
    return rc == 0;
}

static int check_combined(struct check *c, const json_t *schema, const json_t *value) {
    const json_t *all = json_object_get(schema, "allOf"), *any = json_object_get(schema, "anyOf"),
                 *one = json_object_get(schema, "oneOf"), *never = json_object_get(schema, "not");
    size_t matches = 0;
    int rc = 0;
    for (size_t i = 0; i < json_array_size(all) && rc == 0; i++) {
        rc = check_value(c, json_array_get(all, i), value);
    }
    for (size_t i = 0; i < json_array_size(any) && !matches && rc == 0; i++) {
        matches = passes(c, json_array_get(any, i), value);
    }
    if (rc == 0 && json_array_size(any) && !matches) {
        rc = refuse(c, "matches none of the permitted forms");
    }
    matches = 0;
    for (size_t i = 0; i < json_array_size(one) && rc == 0; i++) {
        matches += passes(c, json_array_get(one, i), value);
    }
    if (rc == 0 && json_array_size(one) && matches != 1) {
        rc = refuse(c, "matches %zu of the permitted forms instead of one", matches);
    }
    if (rc == 0 && never && passes(c, never, value)) {
        rc = refuse(c, "has a form that is not permitted");
    }
    return rc;
}

/* "#", "#/$defs/name" and the like; NULL: elsewhere, or nowhere. */
static const json_t *resolve(const struct check *c, struct str ref) {
    const json_t *at = c->root;
    char name[128];
    if (ref.n == 0 || ref.p[0] != '#') {
        return NULL;
    }
    struct str rest = str_skip(ref, 1);
    if (rest.n && rest.p[0] != '/') {
        return NULL;
    }
    rest = str_skip(rest, 1);
    while (rest.n && at) {
        struct str part = str_cut(&rest, '/');
        int64_t index;
        size_t n = 0;
        for (size_t i = 0; i < part.n && n < sizeof name - 1; i++) {
            bool escaped = part.p[i] == '~' && i + 1 < part.n;
            name[n++] = escaped ? (part.p[++i] == '1' ? '/' : '~') : part.p[i];
        }
        name[n] = 0;
        at = json_is_array(at) && str_to_i64(part, &index) && index >= 0
                 ? json_array_get(at, (size_t)index)
                 : json_object_get(at, name);
    }
    return at;
}

static int check_keywords(struct check *c, const json_t *schema, const json_t *value) {
    const json_t *type = json_object_get(schema, "type");
    const json_t *values = json_object_get(schema, "enum"),
                 *fixed = json_object_get(schema, "const");
    const json_t *target = resolve(c, json_str(schema, "$ref"));
    int rc = type ? check_type(c, type, value) : 0;
    if (rc == 0 && json_is_array(values)) {
        rc = check_enum(c, values, value);
    }
    if (rc == 0 && fixed && !same(fixed, value)) {
        rc = refuse(c, "does not have the one value that is permitted");
    }
    if (rc == 0 && json_is_number(value)) {
        rc = check_number(c, schema, value);
    } else if (rc == 0 && json_is_string(value)) {
        rc = check_size(c, schema, "minLength", "maxLength", "characters", characters(value));
    } else if (rc == 0 && json_is_array(value)) {
        rc = check_array(c, schema, value);
    } else if (rc == 0 && json_is_object(value)) {
        rc = check_object(c, schema, value);
    }
    if (rc == 0 && target) {
        rc = check_value(c, target, value);
    }
    return rc == 0 ? check_combined(c, schema, value) : rc;
}

static int check_value(struct check *c, const json_t *schema, const json_t *value) {
    if (json_is_false(schema)) {
        return refuse(c, "nothing is permitted here");
    }
    /* Beyond these bounds the schema is at fault; see the header. */
    if (!json_is_object(schema) || c->depth >= MAX_DEPTH || c->steps >= MAX_STEPS) {
        return 0;
    }
    c->depth++;
    c->steps++;
    int rc = check_keywords(c, schema, value);
    c->depth--;
    return rc;
}

int json_schema_check(const json_t *schema, const json_t *value, const char *what,
                      struct err *err) {
    struct check c = {.root = schema, .path = STRBUF(MAX_PATH), .err = err};
    strbuf_addz(&c.path, what);
    int rc = check_value(&c, schema, value);
    strbuf_done(&c.path);
    return rc;
}
