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
    if (!o->tools[i].shown && offer_tool_is_open(o, i)) {
        o->tools[i].shown = true;
        o->specs[o->n_specs++] = o->catalog->tools[i].spec;
        o->spec_bytes += o->catalog->tools[i].spec_bytes;
    }
}

struct offer *offer_new(struct catalog *catalog, const bool *usable, const struct policies *rules) {
    struct offer *o = mem_alloc(sizeof *o);
    o->refs = 1;
    o->catalog = catalog;
    catalog->refs++;
    copy_rules(o, rules);
    o->tools = arena_alloc(&o->arena, catalog->n * sizeof *o->tools);
    o->specs = arena_alloc(&o->arena, catalog->n * sizeof *o->specs);
    for (size_t i = 0; i < catalog->n; i++) {
        judge(o, i, usable);
    }
    for (size_t i = 0; i < catalog->n; i++) {
        show(o, i);
    }
    return o;
}

const struct offer_tool *offer_find(const struct offer *o, struct str name) {
    const struct catalog_tool *c = name.n ? map_get(&o->catalog->by_name, name) : NULL;
    const struct offer_tool *t = c ? &o->tools[c - o->catalog->tools] : NULL;
    return t && t->usable ? t : NULL;
}

void offer_unref(struct offer *o) {
    if (o && --o->refs == 0) {
        catalog_unref(o->catalog);
        arena_done(&o->arena);
        mem_free(o);
    }
}
