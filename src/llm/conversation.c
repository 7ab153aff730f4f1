#include "llm/conversation.h"

#include "base/log.h"
#include "base/mem.h"

enum { MAX_NAME = 64, MAX_ID = 64 };

/* ---- content ---- */

struct str llm_block_type(const json_t *block) {
    return json_str(block, "type");
}

bool llm_is_blank(struct str text) {
    return str_trim(text).n == 0;
}

void llm_content_text(const json_t *content, struct strbuf *out) {
    if (json_is_string(content)) {
        strbuf_add(out, json_value_str(content));
        return;
    }
    size_t i;
    json_t *block;
    bool first = true;
    json_array_foreach (content, i, block) {
        struct str text = json_str(block, "text");
        if (str_eq(llm_block_type(block), STR("text")) && !llm_is_blank(text)) {
            strbuf_add(out, first ? STR_EMPTY : STR("\n"));
            strbuf_add(out, text);
            first = false;
        }
    }
}

void llm_describe_images(const json_t *content, struct strbuf *out) {
    size_t i, n = 0;
    json_t *block;
    json_array_foreach (content, i, block) {
        n += str_eq(llm_block_type(block), STR("image"));
    }
    if (n) {
        strbuf_addf(out, "%s(%zu image%s, which this model cannot see)", out->n ? "\n" : "", n,
                    n == 1 ? "" : "s");
    }
}

/* ---- plain messages, without parsing ---- */

static const char user_start[] = "{\"role\":\"user\"",
                  assistant_start[] = "{\"role\":\"assistant\"",
                  tool_start[] = "{\"role\":\"tool\"", content_start[] = ",\"content\":";

/* The content's literal of {"role":...,"content":"..."}; p == NULL when it looks otherwise. */
static struct str plain_literal(struct str json, bool *ret_assistant) {
    *ret_assistant = str_starts(json, str_z(assistant_start));
    struct str rest =
        str_skip(json, *ret_assistant ? sizeof assistant_start - 1 : sizeof user_start - 1);
    if ((!*ret_assistant && !str_starts(json, str_z(user_start))) ||
        !str_starts(rest, str_z(content_start)) || !str_ends(rest, STR("\"}"))) {
        return (struct str){0};
    }
    rest = str_skip(rest, sizeof content_start - 1);
    return str_head(rest, rest.n - 1);
}

/* Reads no further than to the first character that counts. */
static bool literal_is_blank(struct str literal) {
    for (size_t i = 1; i + 1 < literal.n; i++) {
        char c = literal.p[i];
        if (c == '\\' && strchr("nrt", literal.p[i + 1])) {
            i++;
        } else if (c != ' ') {
            return false;
        }
    }
    return true;
}

static bool is_from_user(struct str json) {
    return str_starts(json, str_z(user_start));
}

/* ---- the walk ---- */

void llm_conversation_begin(struct llm_conversation *c, const struct llm_request *request) {
    *c = (struct llm_conversation){.request = request, .last_user = SIZE_MAX};
    for (size_t i = request->n_messages; i-- > 0;) {
        if (is_from_user(request->messages[i].json)) {
            c->last_user = i;
            break;
        }
    }
}

static void forget_current(struct llm_conversation *c) {
    for (size_t i = 0; i < c->n_trees; i++) {
        json_decref(c->trees[i]);
    }
    c->n_trees = 0;
    arena_done(&c->arena);
}

void llm_conversation_done(struct llm_conversation *c) {
    forget_current(c);
    mem_free(c->trees);
    map_done(&c->ids);
}

static json_t *parse(struct llm_conversation *c, struct str json) {
    struct err err;
    json_t *tree;
    if (json_read(json, &tree, &err) < 0) {
        log_warn("llm", "a stored message is left out: %s", err.msg);
        return NULL;
    }
    if (c->n_trees == c->trees_cap) {
        c->trees_cap = c->trees_cap ? c->trees_cap * 2 : 8;
        c->trees = mem_resize(c->trees, c->trees_cap * sizeof *c->trees);
    }
    return c->trees[c->n_trees++] = tree;
}

/* Letters, digits, '_' and '-' are what all providers take. */
static struct str cleaned(struct arena *arena, struct str s, size_t max, const char *fallback) {
    char *p = arena_z(arena, s.n ? str_head(s, max) : str_z(fallback));
    for (char *q = p; *q; q++) {
        char c = *q | 0x20;
        if (!((c >= 'a' && c <= 'z') || (*q >= '0' && *q <= '9') || *q == '-' || *q == '_')) {
            *q = '_';
        }
    }
    return str_z(p);
}

/* An id that an earlier message used too gets a number. */
static struct str unique_id(struct llm_conversation *c, struct str id) {
    id = cleaned(&c->arena, id, MAX_ID - 8, "call");
    struct str unique = id;
    for (size_t n = c->next; map_get(&c->ids, unique); n++) {
        unique = arena_printf(&c->arena, "%.*s_%zu", STR_ARG(id), n);
    }
    map_put(&c->ids, unique, c);
    return unique;
}

static struct str sound_arguments(struct llm_conversation *c, struct str text) {
    struct err err;
    json_t *tree;
    if (text.n == 0 || json_read(text, &tree, &err) < 0) {
        return STR("{}");
    }
    bool object = json_is_object(tree);
    json_decref(tree);
    return object ? arena_str(&c->arena, str_trim(text)) : STR("{}");
}

/* Gives results to the calls. They stand behind the assistant's message; a user's message may have
 * come between, another assistant's message ends the search. */
static void find_results(struct llm_conversation *c, struct llm_sent_call *calls, size_t n_calls) {
    size_t missing = n_calls;
    for (size_t i = c->next; i < c->request->n_messages && missing; i++) {
        const struct llm_message *m = &c->request->messages[i];
        if (m->plain || is_from_user(m->json)) {
            if (str_starts(m->json, str_z(assistant_start))) {
                return;
            }
            continue;
        }
        json_t *tree = parse(c, m->json);
        if (tree && !str_eq(json_str(tree, "role"), STR("tool"))) {
            return;
        }
        struct str id = json_str(tree, "tool_call_id");
        for (size_t k = 0; k < n_calls; k++) {
            if (!calls[k].result && str_eq(json_str(calls[k].block, "id"), id)) {
                calls[k].result = tree;
                missing--;
                break;
            }
        }
    }
}

static void collect_calls(struct llm_conversation *c, const json_t *content,
                          struct llm_sent_message *ret) {
    struct llm_sent_call *calls =
        arena_alloc(&c->arena, (json_array_size(content) + 1) * sizeof *calls);
    size_t i, n = 0;
    json_t *block;
    json_array_foreach (content, i, block) {
        if (!str_eq(llm_block_type(block), STR("tool_call")) || json_str(block, "id").n == 0) {
            continue;
        }
        calls[n++] = (struct llm_sent_call){
            .block = block,
            .id = unique_id(c, json_str(block, "id")),
            .name = cleaned(&c->arena, json_str(block, "name"), MAX_NAME, "unknown"),
            .arguments = sound_arguments(c, json_str(block, "arguments")),
        };
    }
    if (n) {
        find_results(c, calls, n);
    }
    ret->calls = calls;
    ret->n_calls = n;
}

static bool has_substance(const json_t *content) {
    if (json_is_string(content)) {
        return !llm_is_blank(json_value_str(content));
    }
    size_t i;
    json_t *block;
    json_array_foreach (content, i, block) {
        struct str type = llm_block_type(block);
        bool image =
            str_eq(type, STR("image")) && (json_str(block, "data").n || json_str(block, "url").n);
        if (image || (str_eq(type, STR("text")) && !llm_is_blank(json_str(block, "text")))) {
            return true;
        }
    }
    return false;
}

static bool take_parsed(struct llm_conversation *c, struct str json, struct llm_sent_message *ret) {
    json_t *tree = parse(c, json);
    struct str role = json_str(tree, "role");
    ret->assistant = str_eq(role, STR("assistant"));
    ret->content = json_object_get(tree, "content");
    if (ret->assistant) {
        collect_calls(c, ret->content, ret);
    } else if (!str_eq(role, STR("user"))) {
        return false;
    }
    return ret->n_calls || has_substance(ret->content);
}

bool llm_conversation_next(struct llm_conversation *c, struct llm_sent_message *ret) {
    while (c->next < c->request->n_messages) {
        const struct llm_message *m = &c->request->messages[c->next];
        *ret = (struct llm_sent_message){.running =
                                             c->last_user != SIZE_MAX && c->next > c->last_user};
        c->next++;
        if (c->n_trees || c->arena.head) {
            forget_current(c);
        }
        if (m->plain) {
            ret->literal = plain_literal(m->json, &ret->assistant);
            ret->plain = ret->literal.p ? m->json : (struct str){0};
        }
        if (str_starts(m->json, str_z(tool_start))) {
            continue; /* taken along with its call */
        }
        if (ret->plain.p ? !literal_is_blank(ret->literal) : take_parsed(c, m->json, ret)) {
            return true;
        }
    }
    return false;
}

/* ---- tools ---- */

struct llm_tool_form llm_tool_form(const struct llm_tool *tool, enum llm_dialect dialect) {
    struct llm_tool_form form = tool->forms[dialect];
    form.description = form.description.n ? form.description : tool->description;
    form.schema = form.schema.n ? form.schema : tool->schema;
    return form;
}

/* ---- what two formats share ---- */

void llm_system_message(struct jsonw *w, const struct llm_request *r) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(w->out->max);
    if (!llm_is_blank(r->system_stable)) {
        strbuf_add(&text, r->system_stable);
    }
    if (!llm_is_blank(r->system_changing)) {
        strbuf_add(&text, text.n ? STR("\n\n") : STR_EMPTY);
        strbuf_add(&text, r->system_changing);
    }
    if (text.n) {
        jsonw_object(w);
        jsonw_kstrz(w, "role", "system");
        jsonw_kstr(w, "content", strbuf_str(&text));
        jsonw_end_object(w);
    }
}

void llm_function_tools(struct jsonw *w, const struct llm_request *r, enum llm_dialect dialect) {
    if (r->n_tools == 0) {
        return;
    }
    jsonw_key(w, "tools");
    jsonw_array(w);
    for (size_t i = 0; i < r->n_tools; i++) {
        struct llm_tool_form form = llm_tool_form(&r->tools[i], dialect);
        jsonw_object(w);
        jsonw_kstrz(w, "type", "function");
        jsonw_key(w, "function");
        jsonw_object(w);
        jsonw_kstr(w, "name", r->tools[i].name);
        jsonw_kstr(w, "description", form.description);
        jsonw_kraw(w, "parameters", form.schema);
        jsonw_end_object(w);
        jsonw_end_object(w);
    }
    jsonw_end_array(w);
}
