#include "llm/tool_schema.h"

#include "base/crypto.h"
#include "llm/schema.h"

enum {
    MAX_NODES = 3000,
    MAX_KEY = 64,
    OPENAI_DESCRIPTION = 1024, /* of its characters; in bytes there are never fewer */
    MAX_NOTE = 4096,
    MAX_ARGUMENTS = 2000,
    MAX_PARAMETERS_BYTES = 4096,
};

/* ---- the root ---- */

static bool type_includes(const json_t *type, const char *name) {
    size_t i;
    json_t *word;
    json_array_foreach (type, i, word) {
        if (str_eq(json_value_str(word), str_z(name))) {
            return true;
        }
    }
    return str_eq(json_value_str(type), str_z(name));
}

static bool root_is_fine(const json_t *root) {
    static const char *const refused[] = {"allOf", "anyOf", "oneOf", "enum", "not", "const"};
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        if (json_object_get(root, refused[i])) {
            return false;
        }
    }
    return str_eq(json_str(root, "type"), STR("object")) && json_object_get(root, "properties");
}

/* Takes the reference and gives another: the root as all providers take it. */
static json_t *finished_root(json_t *root, bool inlined, struct strbuf *note) {
    if (root_is_fine(root) && !inlined) {
        return root;
    }
    json_t *own = json_copy(root);
    json_decref(root);
    if (inlined) {
        json_object_del(own, "$defs");
        json_object_del(own, "definitions");
    }
    schema_fold(own, note);
    json_object_del(own, "enum");
    json_object_del(own, "const");
    json_object_del(own, "not");
    json_object_set_new(own, "type", json_string("object"));
    if (!json_object_get(own, "properties")) {
        json_object_set_new(own, "properties", json_object());
    }
    return own;
}

static int check_root(const json_t *source, struct err *err) {
    const json_t *type = json_object_get(source, "type");
    if (!json_is_object(source)) {
        return err_set(err, ERR_INVALID, "its schema is no JSON object");
    }
    if (json_is_string(type) && json_value_str(type).n && !type_includes(type, "object") &&
        !str_eq_nocase(json_value_str(type), STR("object"))) {
        return err_set(err, ERR_INVALID,
                       "its schema asks for arguments of type \"%.20s\", not an object",
                       json_string_value(type));
    }
    if (json_is_array(type) && json_array_size(type) && !type_includes(type, "object")) {
        return err_set(err, ERR_INVALID, "its schema asks for arguments that are no object");
    }
    return 0;
}

/* ---- text ---- */

static int print(const json_t *tree, struct strbuf *out) {
    strbuf_reset(out);
    json_write_tree(out, tree);
    return out->failed ? -1 : 0;
}

/* The adapted tree (a new reference) and, where it is another one, its text. References that make
 * it too large are inlined less deeply. */
static int adapt(json_t *source, size_t source_bytes, struct strbuf *note, struct strbuf *text,
                 json_t **ret, struct err *err) {
    static const unsigned depths[] = {16, 3, 1, 0};
    for (size_t i = 0; i < ARRAY_LEN(depths); i++) {
        struct schema_rewrite r = {.root = source, .ref_depth = depths[i], .max_nodes = MAX_NODES};
        strbuf_reset(note);
        json_t *tree = schema_rewrite(&r, source);
        tree = finished_root(tree, r.inlined, note);
        bool same_and_fits = tree == source && source_bytes <= LLM_TOOL_SCHEMA_MAX_BYTES;
        if (same_and_fits || print(tree, text) == 0) {
            *ret = tree;
            return 0;
        }
        json_decref(tree);
        if (!r.inlined) {
            break;
        }
    }
    return err_set(err, ERR_LIMIT, "its schema is larger than %d bytes", LLM_TOOL_SCHEMA_MAX_BYTES);
}

/* ---- keys, for Anthropic ---- */

static bool key_char_is_fine(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
}

static bool key_is_fine(struct str key) {
    for (size_t i = 0; i < key.n; i++) {
        if (!key_char_is_fine(key.p[i])) {
            return false;
        }
    }
    return key.n >= 1 && key.n <= MAX_KEY;
}

/* Depends on the key alone unless the plain form is taken. */
static struct str fine_key(struct str key, const json_t *properties, const json_t *made,
                           struct arena *arena) {
    char hex[SHA256_HEX + 1];
    char *plain = arena_z(arena, str_head(key, MAX_KEY - 9));
    for (char *c = plain; *c; c++) {
        *c = key_char_is_fine(*c) ? *c : '_';
    }
    size_t n = strlen(plain);
    while (n > 1 && plain[n - 1] == '_') {
        plain[--n] = '\0';
    }
    if (n && key.n <= MAX_KEY - 9 && !json_object_get(properties, plain) &&
        !json_object_get(made, plain)) {
        return str_z(plain);
    }
    crypto_sha256_hex(key, hex);
    for (int digits = 8; digits <= 48; digits += 8) {
        struct str s = arena_printf(arena, "%.*s_%.*s", MAX_KEY - 1 - digits, plain, digits, hex);
        if (!json_object_get(properties, s.p) && !json_object_get(made, s.p)) {
            return s;
        }
    }
    return STR_EMPTY;
}

static bool keys_are_fine(const json_t *properties) {
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)properties, key, value) {
        if (!key_is_fine(str_z(key))) {
            return false;
        }
    }
    return true;
}

static struct str sent_name(const struct llm_tool_rename *names, size_t n, struct str own) {
    for (size_t i = 0; i < n; i++) {
        if (str_eq(names[i].own, own)) {
            return names[i].sent;
        }
    }
    return own;
}

/* A new reference: the tree with other keys, which are told in ret. */
static json_t *renamed(json_t *tree, struct arena *arena, struct llm_tool_facts *ret) {
    json_t *properties = json_object_get(tree, "properties"), *made = json_object();
    struct llm_tool_rename *names =
        arena_alloc(arena, json_object_size(properties) * sizeof *names);
    const char *key;
    json_t *value;
    size_t n = 0, i;
    json_object_foreach (properties, key, value) {
        if (key_is_fine(str_z(key))) {
            json_object_set_nocheck(made, key, value);
            continue;
        }
        struct str sent = fine_key(str_z(key), properties, made, arena);
        if (sent.n) {
            names[n++] = (struct llm_tool_rename){sent, arena_str(arena, str_z(key))};
            json_object_set(made, sent.p, value);
        }
    }
    json_t *out = json_copy(tree), *required = json_array();
    json_object_set_new(out, "properties", made);
    json_array_foreach (json_object_get(tree, "required"), i, value) {
        struct str sent = sent_name(names, n, json_value_str(value));
        json_array_append_new(required, json_stringn(sent.p, sent.n));
    }
    if (json_array_size(required)) {
        json_object_set_new(out, "required", required);
    } else {
        json_decref(required);
    }
    ret->renames = names;
    ret->n_renames = n;
    return out;
}

/* ---- descriptions ---- */

static struct str with_note(const struct llm_tool *tool, struct str note, struct arena *arena) {
    struct str d = str_utf8_head(tool->description, LLM_TOOL_DESCRIPTION_MAX_BYTES);
    if (note.n == 0 && d.n == tool->description.n) {
        return STR_EMPTY;
    }
    return arena_printf(arena, "%.*s%s%s%.*s", STR_ARG(d),
                        d.n < tool->description.n ? " [...]" : "", note.n && d.n ? "\n\n" : "",
                        STR_ARG(note));
}

/* OpenAI's limit does not hold for descriptions within the schema: the rest goes there. */
static int split_description(struct llm_tool *tool, json_t *tree, struct arena *arena,
                             struct strbuf *text, struct err *err) {
    static const char more[] = " (continued in the description of the parameters)";
    struct llm_tool_form *form = &tool->forms[LLM_DIALECT_OPENAI];
    struct str all = form->description.n ? form->description : tool->description;
    if (all.n <= OPENAI_DESCRIPTION) {
        return 0;
    }
    struct str head = str_utf8_head(all, OPENAI_DESCRIPTION - (sizeof more - 1));
    struct str rest = str_skip(all, head.n), own = json_str(tree, "description");
    struct strbuf joined cleanup(strbuf_done) = STRBUF(4 * LLM_TOOL_DESCRIPTION_MAX_BYTES);
    strbuf_addz(&joined, "(continued) ");
    strbuf_add(&joined, rest);
    strbuf_addz(&joined, own.n ? "\n\n" : "");
    strbuf_add(&joined, str_utf8_head(own, LLM_TOOL_DESCRIPTION_MAX_BYTES));
    json_auto_t *described = json_copy(tree);
    json_object_set_new(described, "description", json_stringn(strbuf_z(&joined), joined.n));
    if (print(described, text) < 0) {
        return err_set(err, ERR_LIMIT, "its schema is larger than %d bytes",
                       LLM_TOOL_SCHEMA_MAX_BYTES);
    }
    form->schema = arena_str(arena, strbuf_str(text));
    form->description = arena_printf(arena, "%.*s%s", STR_ARG(head), more);
    return 0;
}

/* ---- the whole ---- */

static struct str parameter_names(const json_t *tree, struct arena *arena) {
    struct strbuf names cleanup(strbuf_done) = STRBUF(MAX_PARAMETERS_BYTES);
    const char *key;
    json_t *value;
    json_object_foreach (json_object_get(tree, "properties"), key, value) {
        strbuf_addz(&names, names.n ? "\n" : "");
        strbuf_addz(&names, key);
    }
    return arena_str(arena, strbuf_str(&names));
}

static int write_forms(struct llm_tool *tool, json_t *tree, bool changed, struct str note,
                       struct strbuf *text, struct arena *arena, struct llm_tool_facts *ret,
                       struct err *err) {
    struct llm_tool_form form = {.description = with_note(tool, note, arena),
                                 .schema =
                                     changed ? arena_str(arena, strbuf_str(text)) : STR_EMPTY};
    for (size_t i = 0; i < LLM_DIALECTS; i++) {
        tool->forms[i] = form;
    }
    if (!keys_are_fine(json_object_get(tree, "properties"))) {
        json_auto_t *anthropic = renamed(tree, arena, ret);
        if (print(anthropic, text) < 0) {
            return err_set(err, ERR_LIMIT, "its schema is larger than %d bytes",
                           LLM_TOOL_SCHEMA_MAX_BYTES);
        }
        tool->forms[LLM_DIALECT_ANTHROPIC].schema = arena_str(arena, strbuf_str(text));
    }
    return split_description(tool, tree, arena, text, err);
}

int llm_tool_adapt(struct llm_tool *tool, struct arena *arena, struct llm_tool_facts *ret,
                   struct err *err) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(LLM_TOOL_SCHEMA_MAX_BYTES);
    struct strbuf note cleanup(strbuf_done) = STRBUF(MAX_NOTE);
    json_auto_t *source = NULL, *tree = NULL;
    *ret = (struct llm_tool_facts){0};
    if (tool->schema.n > LLM_TOOL_SCHEMA_MAX_SOURCE_BYTES) {
        return err_set(err, ERR_LIMIT, "its schema is larger than %d bytes",
                       LLM_TOOL_SCHEMA_MAX_SOURCE_BYTES);
    }
    if (json_read(tool->schema, &source, err) < 0) {
        return err_prefix(err, "its schema is not readable");
    }
    if (check_root(source, err) < 0 ||
        adapt(source, tool->schema.n, &note, &text, &tree, err) < 0) {
        return -(int)err->code;
    }
    ret->parameters = parameter_names(tree, arena);
    return write_forms(tool, tree, tree != source, strbuf_str(&note), &text, arena, ret, err);
}

struct str llm_tool_own_arguments(const struct llm_tool_facts *facts, struct str arguments,
                                  struct arena *arena) {
    json_auto_t *source = NULL;
    struct strbuf text cleanup(strbuf_done) = STRBUF(8 * arguments.n + 1024);
    struct err err;
    bool changed = false;
    const char *key;
    json_t *value;
    if (facts->n_renames == 0 || json_read(arguments, &source, &err) < 0 ||
        json_object_size(source) > MAX_ARGUMENTS) {
        return arguments;
    }
    json_auto_t *own = json_object();
    json_object_foreach (source, key, value) {
        struct str name = str_z(key);
        for (size_t i = 0; i < facts->n_renames; i++) {
            if (str_eq(facts->renames[i].sent, name)) {
                name = facts->renames[i].own;
                changed = true;
                break;
            }
        }
        json_object_set_nocheck(own, name.p, value);
    }
    if (!changed || print(own, &text) < 0) {
        return arguments;
    }
    return arena_str(arena, strbuf_str(&text));
}
