#include "tool/offer.h"

#include "base/mem.h"

static void copy_rules(struct offer *o, const struct policies *rules) {
    struct policy_rule *copy = arena_alloc(&o->arena, rules->n * sizeof *copy);
    for (size_t i = 0; i < rules->n; i++) {
        copy[i] = (struct policy_rule){.server = arena_str(&o->arena, rules->rules[i].server),
                                       .tool = arena_str(&o->arena, rules->rules[i].tool),
                                       .policy = rules->rules[i].policy};
    }
    o->rules = (struct policies){.rules = copy, .n = rules->n};
}

static void judge(struct offer *o, size_t i, const bool *usable) {
    const struct catalog_tool *c = &o->catalog->tools[i];
    struct offer_tool *t = &o->tools[i];
    t->tool = c->tool;
    t->usable = c->source == SIZE_MAX || usable[c->source];
    t->rule = policy_find(&o->rules, c->tool.server, c->tool.tool);
    t->tool.policy = policy_decide(&o->rules, c->tool.server, c->tool.tool, c->tool.read_only);
}

bool offer_tool_is_open(const struct offer *o, size_t i) {
    return o->tools[i].usable && o->tools[i].tool.policy != POLICY_DENY &&
           o->catalog->tools[i].quarantine.n == 0;
}

static void show(struct offer *o, size_t i) {
    if (!o->tools[i].shown && offer_tool_is_open(o, i) && o->n_specs < OFFER_MAX_SPECS - 1) {
        o->tools[i].shown = true;
        o->specs[o->n_specs++] = o->catalog->tools[i].spec;
        o->spec_bytes += o->catalog->tools[i].spec_bytes;
    }
}

static bool is_few(const struct offer *o) {
    size_t n = 0, bytes = 0;
    for (size_t i = 0; i < o->catalog->n; i++) {
        if (offer_tool_is_open(o, i)) {
            n++;
            bytes += o->catalog->tools[i].spec_bytes;
        }
    }
    return n <= TOOLSET_DIRECT && bytes <= OFFER_DIRECT_BYTES;
}

/* ---- search_tools ---- */

static void write_servers(const struct offer *o, struct strbuf *out) {
    size_t n = 0;
    for (size_t i = o->catalog->n_builtin; i < o->catalog->n; i++) {
        bool first = i == o->catalog->n_builtin ||
                     o->catalog->tools[i].source != o->catalog->tools[i - 1].source;
        if (first && o->tools[i].usable) {
            strbuf_addz(out, n++ ? ", " : "");
            strbuf_add(out, o->tools[i].tool.server);
        }
    }
}

static void show_search(struct offer *o) {
    struct strbuf servers cleanup(strbuf_done) = STRBUF(8192);
    size_t hidden = 0;
    for (size_t i = 0; i < o->catalog->n; i++) {
        hidden += offer_tool_is_open(o, i) && !o->tools[i].shown;
    }
    write_servers(o, &servers);
    struct llm_tool *spec = &o->specs[o->n_specs++];
    spec->name = STR(CATALOG_SEARCH_TOOL);
    spec->description = arena_printf(
        &o->arena,
        "Finds tools: %zu more than those listed here can be called once they are found. Say in a "
        "few English words what is to be done, or on what. They come from: %.*s.",
        hidden, STR_ARG(str_utf8_head(strbuf_str(&servers), 600)));
    spec->schema =
        STR("{\"type\":\"object\",\"properties\":{\"query\":{\"type\":\"string\","
            "\"description\":\"what the tools are to do, for example: create calendar event\"},"
            "\"limit\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":20,"
            "\"description\":\"how many to find at most, 8 by default\"}},"
            "\"required\":[\"query\"]}");
    o->by_search = true;
}

/* ---- making ---- */

/* The pinned ones; a tool that the user allowed by name is one that they use. */
static bool is_wanted(const struct offer *o, size_t i) {
    const struct policy_rule *rule = o->tools[i].rule;
    return o->catalog->tools[i].pinned ||
           (rule && rule->policy == POLICY_ALLOW && !str_eq(rule->tool, STR("*")));
}

static void choose(struct offer *o) {
    bool few = is_few(o);
    for (size_t i = 0; i < o->catalog->n; i++) {
        if (few || i < o->catalog->n_builtin) {
            show(o, i);
        }
    }
    if (few) {
        return;
    }
    for (int configured = 1; configured >= 0; configured--) {
        for (size_t i = o->catalog->n_builtin; i < o->catalog->n; i++) {
            bool room = o->n_specs < TOOLSET_DIRECT && o->spec_bytes < OFFER_DIRECT_BYTES;
            if (room && is_wanted(o, i) && o->catalog->tools[i].pinned == configured) {
                show(o, i);
            }
        }
    }
    show_search(o);
}

struct offer *offer_new(struct catalog *catalog, const bool *usable, const struct policies *rules) {
    struct offer *o = mem_alloc(sizeof *o);
    o->refs = 1;
    o->catalog = catalog;
    catalog->refs++;
    copy_rules(o, rules);
    o->tools = arena_alloc(&o->arena, catalog->n * sizeof *o->tools);
    o->specs = arena_alloc(&o->arena, OFFER_MAX_SPECS * sizeof *o->specs);
    for (size_t i = 0; i < catalog->n; i++) {
        judge(o, i, usable);
    }
    choose(o);
    return o;
}

const struct offer_tool *offer_find(const struct offer *o, struct str name) {
    const struct catalog_tool *c = name.n ? map_get(&o->catalog->by_name, name) : NULL;
    const struct offer_tool *t = c ? &o->tools[c - o->catalog->tools] : NULL;
    return t && t->usable ? t : NULL;
}

const struct offer_tool *offer_find_own(const struct offer *o, struct str server, struct str tool) {
    for (size_t i = 0; i < o->catalog->n; i++) {
        const struct offer_tool *t = &o->tools[i];
        if (str_eq(t->tool.tool, tool) && str_eq(t->tool.server, server)) {
            return t->usable && o->catalog->tools[i].quarantine.n == 0 ? t : NULL;
        }
    }
    return NULL;
}

void offer_unref(struct offer *o) {
    if (o && --o->refs == 0) {
        catalog_unref(o->catalog);
        arena_done(&o->arena);
        mem_free(o);
    }
}
