#include "llm/schema.h"

enum { MAX_DEPTH = 8, MAX_NOTE_BYTES = 2000 };

static const char *const combiners[] = {"allOf", "anyOf", "oneOf"};

static bool has_combiner(const json_t *schema) {
    for (size_t i = 0; i < ARRAY_LEN(combiners); i++) {
        if (json_object_get(schema, combiners[i])) {
            return true;
        }
    }
    return false;
}

/* ---- parts ---- */

/* The member, made or copied where others have it too, so that it can be changed. */
static json_t *own_member(json_t *schema, const char *key, json_type type) {
    json_t *mine = json_object_get(schema, key);
    if (mine && json_typeof(mine) == type && mine->refcount == 1) {
        return mine;
    }
    mine = mine && json_typeof(mine) == type ? json_copy(mine)
           : type == JSON_ARRAY              ? json_array()
                                             : json_object();
    json_object_set_new(schema, key, mine);
    return mine;
}

static bool is_required(const json_t *schema, const char *name) {
    size_t i;
    json_t *s;
    json_array_foreach (json_object_get(schema, "required"), i, s) {
        if (str_eq(json_value_str(s), str_z(name))) {
            return true;
        }
    }
    return false;
}

static void require(json_t *schema, const char *name) {
    enum { MAX_REQUIRED = 512 };
    json_t *mine = own_member(schema, "required", JSON_ARRAY);
    if (json_array_size(mine) < MAX_REQUIRED && !is_required(schema, name)) {
        json_array_append_new(mine, json_string(name));
    }
}

/* A property that several parts have: either description will do for one of alternatives. */
static json_t *alternatives(json_t *a, json_t *b) {
    enum { MAX_ALTERNATIVES = 32 };
    json_t *list = json_object_get(a, "anyOf");
    size_t i;
    json_t *s;
    bool is_list = json_is_array(list) && json_object_size(a) == 1;
    json_t *all = is_list ? json_copy(list) : json_array();
    if (!is_list) {
        json_array_append(all, a);
    }
    json_array_foreach (all, i, s) {
        if (json_equal(s, b)) {
            json_decref(all);
            return json_incref(a);
        }
    }
    if (json_array_size(all) < MAX_ALTERNATIVES) {
        json_array_append(all, b);
    }
    json_t *both = json_object();
    json_object_set_new(both, "anyOf", all);
    return both;
}

static void add_properties(json_t *schema, const json_t *part, bool alternative) {
    const char *key;
    json_t *value;
    if (json_object_size(json_object_get(part, "properties")) == 0) {
        return;
    }
    json_t *mine = own_member(schema, "properties", JSON_OBJECT);
    json_object_foreach (json_object_get(part, "properties"), key, value) {
        json_t *there = json_object_get(mine, key);
        if (!there) {
            json_object_set_nocheck(mine, key, value);
        } else if (alternative && !json_equal(there, value)) {
            json_object_set_new_nocheck(mine, key, alternatives(there, value));
        }
    }
}

/* ---- allOf ---- */

static void add_all(json_t *schema, json_t *part) {
    const char *key;
    json_t *value;
    size_t i;
    add_properties(schema, part, false);
    json_array_foreach (json_object_get(part, "required"), i, value) {
        require(schema, json_string_value(value));
    }
    json_object_foreach (part, key, value) {
        if (!json_object_get(schema, key)) {
            json_object_set_nocheck(schema, key, value);
        }
    }
}

/* ---- anyOf, oneOf ---- */

/* Closed alternatives would close the whole. */
static void open_up(json_t *schema) {
    if (json_is_false(json_object_get(schema, "additionalProperties"))) {
        json_object_del(schema, "additionalProperties");
    }
    json_object_del(schema, "unevaluatedProperties");
}

static void note_names(struct strbuf *note, const json_t *part) {
    const char *key;
    json_t *value;
    size_t i, n = 0;
    struct str title = json_str(part, "title");
    strbuf_addz(note, "{");
    json_array_foreach (json_object_get(part, "required"), i, value) {
        strbuf_addz(note, n++ ? ", " : "");
        strbuf_add(note, json_value_str(value));
    }
    if (n == 0) {
        json_object_foreach (json_object_get(part, "properties"), key, value) {
            strbuf_addz(note, n++ ? ", " : "");
            strbuf_addz(note, key);
        }
    }
    strbuf_addz(note, n == 0 && title.n == 0 ? "nothing" : "");
    strbuf_add(note, n == 0 ? str_utf8_head(title, 100) : STR_EMPTY);
    strbuf_addz(note, "}");
}

static void note_alternatives(struct strbuf *note, const json_t *parts, bool one) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(MAX_NOTE_BYTES);
    size_t i;
    json_t *part;
    strbuf_addf(&text,
                "Give %s of these sets of parameters: ", one ? "exactly one" : "at least one");
    json_array_foreach (parts, i, part) {
        strbuf_addz(&text, i ? " | " : "");
        note_names(&text, part);
    }
    strbuf_addz(&text, ".");
    if (!text.failed) {
        strbuf_addz(note, note->n ? "\n" : "");
        strbuf_add(note, strbuf_str(&text));
    }
}

static void add_any(json_t *schema, const json_t *parts) {
    size_t i;
    json_t *part, *name;
    json_array_foreach (parts, i, part) {
        add_properties(schema, part, true);
    }
    /* Required is what all of them require. */
    json_array_foreach (json_object_get(json_array_get(parts, 0), "required"), i, name) {
        size_t k;
        bool everywhere = true;
        json_array_foreach (parts, k, part) {
            everywhere &= is_required(part, json_string_value(name));
        }
        if (everywhere) {
            require(schema, json_string_value(name));
        }
    }
    open_up(schema);
}

/* ---- the whole ---- */

static void fold(json_t *schema, struct strbuf *note, unsigned depth);

/* The parts, folded themselves. Those that are no objects' say nothing of parameters. */
static json_t *folded_parts(const json_t *parts, struct strbuf *note, unsigned depth) {
    size_t i;
    json_t *part, *all = json_array();
    json_array_foreach (parts, i, part) {
        const json_t *type = json_object_get(part, "type");
        bool other = json_is_string(type) && !str_eq(json_value_str(type), STR("object"));
        if (json_is_object(part) && !other) {
            json_t *own = json_copy(part);
            fold(own, note, depth + 1);
            json_array_append_new(all, own);
        }
    }
    return all;
}

static void fold(json_t *schema, struct strbuf *note, unsigned depth) {
    for (size_t i = 0; i < ARRAY_LEN(combiners); i++) {
        json_auto_t *parts = json_incref(json_object_get(schema, combiners[i]));
        size_t k;
        json_t *part;
        json_object_del(schema, combiners[i]);
        if (!parts || depth >= MAX_DEPTH) {
            continue;
        }
        json_auto_t *folded = folded_parts(parts, note, depth);
        if (i == 0) {
            json_array_foreach (folded, k, part) {
                add_all(schema, part);
            }
        } else if (json_array_size(folded)) {
            note_alternatives(note, folded, i == 2);
            add_any(schema, folded);
        }
    }
}

void schema_fold(json_t *schema, struct strbuf *note) {
    if (has_combiner(schema)) {
        fold(schema, note, 0);
    }
}
