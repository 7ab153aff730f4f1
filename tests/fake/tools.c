/* What the providers demand of the tools in a request: one bad tool costs the whole request. */
#include "base/json.h"
#include "fake.h"

enum { MAX_DEPTH = 64 };

static const char *const composed[] = {"oneOf", "anyOf", "allOf", NULL};

/* The first place in a schema where `wrong` holds; NULL: nowhere. */
static const json_t *find(const json_t *schema, bool (*wrong)(const json_t *), unsigned depth) {
    const json_t *found = NULL;
    const char *key;
    json_t *value;
    size_t i;
    if (depth > MAX_DEPTH) {
        return NULL;
    }
    if (json_is_object(schema) && wrong(schema)) {
        return schema;
    }
    json_object_foreach ((json_t *)schema, key, value) {
        found = found ? found : find(value, wrong, depth + 1);
    }
    json_array_foreach (schema, i, value) {
        found = found ? found : find(value, wrong, depth + 1);
    }
    return found;
}

static bool is_reference(const json_t *schema) {
    return json_is_string(json_object_get(schema, "$ref"));
}

static bool is_array_of_nothing(const json_t *schema) {
    return str_eq(json_str(schema, "type"), STR("array")) && !json_object_get(schema, "items");
}

/* Anthropic looks at the keys of the root alone. */
static bool has_bad_key(const json_t *schema) {
    static const char legal[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    const char *key;
    json_t *value;
    json_object_foreach (json_object_get(schema, "properties"), key, value) {
        if (!*key || strlen(key) > 64 || key[strspn(key, legal)]) {
            return true;
        }
    }
    return false;
}

int fake_tool(struct fake_conversation *c, struct str name, size_t max_name, const json_t *schema,
              bool strict_arrays, struct fake_problem *p) {
    if (!fake_is_name(name, max_name)) {
        return fake_problem(p, 400, "invalid_request_error",
                            "tool name '%.*s': string should match pattern "
                            "'^[a-zA-Z0-9_-]{1,%zu}$'",
                            (int)MIN(name.n, 200), name.p, max_name);
    }
    if (fake_has_tool(c, name)) {
        return fake_problem(p, 400, "invalid_request_error",
                            "tools: Tool names must be unique: %.*s", STR_ARG(name));
    }
    if (!str_eq(json_str(schema, "type"), STR("object"))) {
        return fake_problem(p, 400, "invalid_request_error",
                            "schema of %.*s: type: Input should be 'object'", STR_ARG(name));
    }
    for (size_t i = 0; composed[i]; i++) {
        if (json_object_get(schema, composed[i])) {
            return fake_problem(p, 400, "invalid_request_error",
                                "schema of %.*s does not support oneOf, allOf, or anyOf at the "
                                "top level",
                                STR_ARG(name));
        }
    }
    if (find(schema, is_reference, 0)) {
        return fake_problem(p, 400, "invalid_request_error", "schema of %.*s has a $ref",
                            STR_ARG(name));
    }
    if (strict_arrays && find(schema, is_array_of_nothing, 0)) {
        return fake_problem(p, 400, "invalid_request_error",
                            "Invalid schema for function '%.*s': array schema missing items.",
                            STR_ARG(name));
    }
    if (!strict_arrays && has_bad_key(schema)) {
        return fake_problem(p, 400, "invalid_request_error",
                            "input_schema.properties of %.*s: Property keys should match pattern "
                            "'^[a-zA-Z0-9_.-]{1,64}$'",
                            STR_ARG(name));
    }
    strbuf_add(&c->tool_names, name);
    strbuf_addc(&c->tool_names, ' ');
    return 0;
}

/* True when `full` is `name` behind a prefix that ends with '_' or '-'. */
static bool is_prefixed(struct str full, struct str name) {
    return full.n > name.n && str_ends(full, name) && strchr("_-", full.p[full.n - name.n - 1]);
}

struct str fake_find_tool(const struct fake_conversation *c, struct str name) {
    struct str rest = strbuf_str(&c->tool_names);
    if (fake_has_tool(c, name)) {
        return name;
    }
    while (rest.n > 0) {
        struct str full = str_cut(&rest, ' ');
        if (is_prefixed(full, name)) {
            return full;
        }
    }
    return name;
}
