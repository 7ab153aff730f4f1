#include "tool/catalog.h"

#include "base/mem.h"

enum { BUILTIN_TIMEOUT_MS = 30 * 1000 };

static void add_builtin(struct catalog *c, const struct tool *t) {
    struct catalog_tool *entry = &c->tools[c->n++];
    entry->source = SIZE_MAX;
    entry->tool =
        (struct toolset_tool){.name = str_z(t->name),
                              .tool = str_z(t->name),
                              .title = str_z(t->name),
                              .policy = POLICY_ALLOW,
                              .repeatable = t->repeatable,
                              .read_only = t->repeatable,
                              .timeout_ms = t->timeout_ms ? t->timeout_ms : BUILTIN_TIMEOUT_MS,
                              .builtin = t};
    entry->spec = (struct llm_tool){
        .name = str_z(t->name), .description = str_z(t->description), .schema = str_z(t->schema)};
    entry->spec_bytes = entry->spec.name.n + entry->spec.description.n + entry->spec.schema.n;
    map_put(&c->by_name, entry->tool.name, entry);
}

struct catalog *catalog_new(const struct tool_registry *registry,
                            const struct catalog_source *sources, size_t n_sources) {
    struct catalog *c = mem_alloc(sizeof *c);
    c->refs = 1;
    c->n_builtin = tool_count(registry);
    size_t n = c->n_builtin;
    for (size_t i = 0; i < n_sources; i++) {
        n += sources[i].tools->n;
    }
    c->tools = arena_alloc(&c->arena, n * sizeof *c->tools);
    for (size_t i = 0; i < c->n_builtin; i++) {
        add_builtin(c, tool_at(registry, i));
    }
    return c;
}

void catalog_unref(struct catalog *c) {
    if (!c || --c->refs > 0) {
        return;
    }
    for (size_t i = 0; i < c->n_sources; i++) {
        mcp_tools_unref(c->sources[i].tools);
    }
    map_done(&c->by_name);
    arena_done(&c->arena);
    mem_free(c);
}
