#include "base/json.h"

#include "base/wiping.h"

/* Tokens and keys of users come and go as JSON. */
__attribute__((constructor)) static void wipe_trees(void) {
    json_set_alloc_funcs(wiping_malloc, wiping_free);
}

bool json_depth_ok(struct str text, size_t max) {
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (in_string) {
            if (c == '\\') {
                i++;
            } else if (c == '"') {
                in_string = false;
            }
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > max) {
                return false;
            }
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return true;
}

int json_read(struct str text, json_t **ret, struct err *err) {
    json_error_t why;
    if (!json_depth_ok(text, JSON_MAX_DEPTH)) {
        return err_set(err, ERR_INVALID, "the JSON is nested deeper than %d levels",
                       JSON_MAX_DEPTH);
    }
    json_t *tree =
        json_loadb(text.p ? text.p : "", text.n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    if (!tree) {
        /* jansson quotes the input after "near"; what it quotes may be anything, so it is left out.
         */
        struct str reason = str_z(why.text);
        reason = str_trim(str_head(reason, str_find(reason, STR(" near "))));
        return err_set(err, ERR_INVALID, "not valid JSON at line %d, column %d: %.*s", why.line,
                       why.column, STR_ARG(reason));
    }
    *ret = tree;
    return 0;
}

struct str json_value_str(const json_t *value) {
    return json_is_string(value) ? (struct str){json_string_value(value), json_string_length(value)}
                                 : (struct str){0};
}

struct str json_str(const json_t *object, const char *key) {
    return json_value_str(json_object_get(object, key));
}

int64_t json_int(const json_t *object, const char *key, int64_t fallback) {
    const json_t *v = json_object_get(object, key);
    return json_is_integer(v) ? json_integer_value(v) : fallback;
}

bool json_bool(const json_t *object, const char *key, bool fallback) {
    const json_t *v = json_object_get(object, key);
    return json_is_boolean(v) ? json_is_true(v) : fallback;
}

int json_want_str(const json_t *object, const char *key, size_t max_bytes, struct str *ret,
                  struct err *err) {
    const json_t *v = json_object_get(object, key);
    if (!v) {
        return 0;
    }
    if (!json_is_string(v)) {
        return err_set(err, ERR_INVALID, "%s: must be a string", key);
    }
    if (json_string_length(v) > max_bytes) {
        return err_set(err, ERR_INVALID, "%s: must have at most %zu bytes", key, max_bytes);
    }
    *ret = json_value_str(v);
    return 0;
}

int json_want_bool(const json_t *object, const char *key, bool *ret, struct err *err) {
    const json_t *v = json_object_get(object, key);
    if (!v) {
        return 0;
    }
    if (!json_is_boolean(v)) {
        return err_set(err, ERR_INVALID, "%s: must be true or false", key);
    }
    *ret = json_is_true(v);
    return 0;
}

int json_want_int(const json_t *object, const char *key, int64_t min, int64_t max, int64_t *ret,
                  struct err *err) {
    const json_t *v = json_object_get(object, key);
    if (!v) {
        return 0;
    }
    if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max) {
        return err_set(err, ERR_INVALID, "%s: must be a whole number from %lld to %lld", key,
                       (long long)min, (long long)max);
    }
    *ret = json_integer_value(v);
    return 0;
}
