#include <ctype.h>

#include "mcp/server_internal.h"

static bool name_is_legal(struct str name) {
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if (!isalnum((unsigned char)c) && c != '_' && c != '-' && c != '.') {
            return false;
        }
    }
    return name.n >= 1 && name.n <= 64;
}

static int check_schema_text(const char *tool, const char *which, const char *text, bool object,
                             struct err *err) {
    json_auto_t *schema = NULL;
    if (!text) {
        return 0;
    }
    if (json_read(str_z(text), &schema, err) < 0) {
        return err_prefix(err, "tool %s: %s", tool, which);
    }
    if (!json_is_object(schema) || (object && !str_eq(json_str(schema, "type"), STR("object")))) {
        return err_set(err, ERR_INVALID, "tool %s: %s: the root must have \"type\": \"object\"",
                       tool, which);
    }
    return 0;
}

int mcp_table_check(const struct mcp_server *server, struct err *err) {
    int rc = 0;
    if (!server->name || !server->version) {
        return err_set(err, ERR_INVALID, "a server has a name and a version");
    }
    for (size_t i = 0; i < server->n_tools && rc == 0; i++) {
        const struct mcp_server_tool *t = &server->tools[i];
        if (!name_is_legal(str_z(t->name)) || !t->run) {
            return err_set(err, ERR_INVALID, "tool %zu has no legal name, or no function", i);
        }
        for (size_t k = 0; k < i; k++) {
            if (str_eq(str_z(server->tools[k].name), str_z(t->name))) {
                return err_set(err, ERR_INVALID, "there are two tools %s", t->name);
            }
        }
        rc = check_schema_text(t->name, "input schema", t->input_schema, true, err);
        if (rc == 0) {
            rc = check_schema_text(t->name, "output schema", t->output_schema, false, err);
        }
    }
    return rc;
}

/* ---- what providers take ---- */

static int check_provider_schema(const char *tool, const json_t *schema, struct err *err) {
    const char *key;
    json_t *member;
    size_t i;
    int rc = 0;
    if (json_object_get(schema, "$ref")) {
        return err_set(err, ERR_INVALID, "tool %s: $ref is not taken by all providers", tool);
    }
    if (str_eq(json_str(schema, "type"), STR("array")) && !json_object_get(schema, "items")) {
        return err_set(err, ERR_INVALID, "tool %s: an array needs items", tool);
    }
    if (json_is_array(schema)) {
        json_array_foreach (schema, i, member) {
            rc = rc ? rc : check_provider_schema(tool, member, err);
        }
    } else if (json_is_object(schema)) {
        json_object_foreach ((json_t *)(uintptr_t)schema, key, member) {
            rc = rc ? rc : check_provider_schema(tool, member, err);
        }
    }
    return rc;
}

int mcp_server_check(const struct mcp_server *server, struct err *err) {
    static const char *const combinators[] = {"anyOf", "oneOf", "allOf", "not", "enum"};
    int rc = mcp_table_check(server, err);
    for (size_t i = 0; i < server->n_tools && rc == 0; i++) {
        const struct mcp_server_tool *t = &server->tools[i];
        json_auto_t *schema = NULL;
        if (!t->description || !t->description[0]) {
            return err_set(err, ERR_INVALID, "tool %s: a model needs a description", t->name);
        }
        if (str_find_char(str_z(t->name), '.') != SIZE_MAX) {
            return err_set(err, ERR_INVALID, "tool %s: not all providers take a dot", t->name);
        }
        if (!t->input_schema) {
            continue;
        }
        rc = json_read(str_z(t->input_schema), &schema, err);
        for (size_t k = 0; k < ARRAY_LEN(combinators) && rc == 0; k++) {
            if (json_object_get(schema, combinators[k])) {
                rc = err_set(err, ERR_INVALID, "tool %s: not all providers take %s at the root",
                             t->name, combinators[k]);
            }
        }
        rc = rc == 0 ? check_provider_schema(t->name, schema, err) : rc;
    }
    return rc;
}
