#include "tool/catalog.h"

#include "base/mem.h"
#include "tool/adapted.h"
#include "tool/names.h"

enum {
    BUILTIN_TIMEOUT_MS = 30 * 1000,
    INDEX_SLICE = 200, /* tools indexed before others get their turn */
};

static size_t spec_bytes(const struct llm_tool *spec) {
    size_t most = spec->description.n + spec->schema.n;
    for (size_t i = 0; i < LLM_DIALECTS; i++) {
        most = MAX(most, spec->forms[i].description.n + spec->forms[i].schema.n);
    }
    return spec->name.n + most;
}

/* ---- built-in tools ---- */

static void add_builtin(struct catalog *c, const struct tool *t) {
    struct catalog_tool *entry = &c->tools[c->n++];
    entry->source = SIZE_MAX;
    entry->tool =
        (struct toolset_tool){.name = str_z(t->name),
                              .server = STR_EMPTY,
                              .tool = str_z(t->name),
                              .title = str_z(t->name),
                              .description = str_z(t->description),
                              .policy = POLICY_ALLOW,
                              .repeatable = t->repeatable,
                              .read_only = t->repeatable,
                              .timeout_ms = t->timeout_ms ? t->timeout_ms : BUILTIN_TIMEOUT_MS,
                              .builtin = t};
    entry->spec = (struct llm_tool){
        .name = str_z(t->name), .description = str_z(t->description), .schema = str_z(t->schema)};
    entry->spec_bytes = spec_bytes(&entry->spec);
    map_put(&c->by_name, entry->tool.name, entry);
}

static bool is_reserved(struct str name, const void *arg) {
    const struct tool_registry *registry = arg;
    return str_eq(name, STR(CATALOG_SEARCH_TOOL)) || tool_find(registry, name);
}

/* ---- servers' tools ---- */

static bool is_pinned(const struct catalog_source *s, struct str tool) {
    for (size_t i = 0; i < s->n_pinned; i++) {
        if (str_eq(s->pinned[i], tool)) {
            return true;
        }
    }
    return false;
}

/* Without its name, which depends on the others. */
static void add_tool(struct catalog *c, size_t source, size_t i) {
    const struct catalog_source *s = &c->sources[source];
    const struct mcp_tool *t = &s->tools->tools[i];
    const struct adapted_tool *adapted = &adapted_list_of(s->tools)->tools[i];
    struct catalog_tool *entry = &c->tools[c->n++];
    *entry = (struct catalog_tool){.source = source,
                                   .spec = adapted->spec,
                                   .pinned = is_pinned(s, t->name),
                                   .quarantine = adapted->quarantine};
    entry->tool = (struct toolset_tool){.name = STR_EMPTY,
                                        .server = s->server,
                                        .tool = t->name,
                                        .title = t->title.n ? t->title : t->name,
                                        .description = adapted->spec.description,
                                        .policy = t->read_only ? POLICY_ALLOW : POLICY_ASK,
                                        .repeatable = t->read_only || t->idempotent,
                                        .read_only = t->read_only,
                                        .destructive = t->destructive,
                                        .facts = &adapted->facts,
                                        .mcp = t};
    if (c->n - c->n_builtin > CATALOG_MAX_TOOLS && entry->quarantine.n == 0) {
        entry->quarantine =
            arena_printf(&c->arena, "there are more than %d tools in all", CATALOG_MAX_TOOLS);
    }
}

/* What is not offered takes no name away from others. */
static void name_tools(struct catalog *c, const struct tool_registry *registry) {
    struct arena temporary cleanup(arena_done) = {0};
    struct tool_name *names = arena_alloc(&temporary, c->n * sizeof *names);
    struct catalog_tool **named = arena_alloc(&temporary, c->n * sizeof(void *));
    size_t n = 0;
    for (size_t i = c->n_builtin; i < c->n; i++) {
        if (c->tools[i].quarantine.n == 0) {
            names[n] =
                (struct tool_name){c->tools[i].tool.server, c->tools[i].tool.tool, STR_EMPTY};
            named[n++] = &c->tools[i];
        }
    }
    tool_names_make(names, n, is_reserved, registry, &c->arena);
    for (size_t i = 0; i < n; i++) {
        struct catalog_tool *t = named[i];
        if (names[i].name.n == 0) {
            t->quarantine = STR("another tool of the server has this name");
            continue;
        }
        t->tool.name = t->spec.name = names[i].name;
        t->spec_bytes = spec_bytes(&t->spec);
        map_put(&c->by_name, t->tool.name, t);
    }
}

static size_t list_bytes(const struct mcp_tools *list) {
    size_t bytes = adapted_list_of(list)->arena.total_bytes;
    for (size_t i = 0; i < list->n; i++) {
        const struct mcp_tool *t = &list->tools[i];
        bytes += sizeof *t + t->name.n + t->title.n + t->description.n + t->input_schema.n +
                 t->output_schema.n;
    }
    return bytes;
}

static void hold_sources(struct catalog *c, const struct catalog_source *sources, size_t n) {
    c->n_sources = n;
    c->sources = arena_alloc(&c->arena, n * sizeof *c->sources);
    for (size_t i = 0; i < n; i++) {
        c->sources[i] = sources[i];
        c->sources[i].server = arena_str(&c->arena, sources[i].server);
        mcp_tools_ref(sources[i].tools);
        c->bytes += list_bytes(sources[i].tools);
    }
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
    hold_sources(c, sources, n_sources);
    for (size_t i = 0; i < n_sources; i++) {
        for (size_t k = 0; k < sources[i].tools->n; k++) {
            add_tool(c, i, k);
        }
        c->sources[i].pinned = NULL; /* the caller's memory */
        c->sources[i].n_pinned = 0;
    }
    name_tools(c, registry);
    c->bytes += c->arena.total_bytes;
    return c;
}

void catalog_unref(struct catalog *c) {
    if (!c || --c->refs > 0) {
        return;
    }
    for (size_t i = 0; i < c->n_sources; i++) {
        mcp_tools_unref(c->sources[i].tools);
    }
    search_index_free(c->index);
    map_done(&c->by_name);
    arena_done(&c->arena);
    mem_free(c);
}

/* ---- searching ---- */

static struct search_document document_of(const struct catalog_tool *t) {
    if (t->quarantine.n) {
        return (struct search_document){STR_EMPTY, STR_EMPTY, STR_EMPTY, STR_EMPTY, STR_EMPTY};
    }
    return (struct search_document){
        .name = t->tool.tool,
        .title = str_eq(t->tool.title, t->tool.tool) ? STR_EMPTY : t->tool.title,
        .server = t->tool.server,
        .description = t->tool.description,
        .parameters = t->tool.facts ? t->tool.facts->parameters : STR_EMPTY,
    };
}

const struct search_index *catalog_index(struct catalog *c) {
    if (c->index) {
        return c->index;
    }
    struct search_index *x = search_index_new();
    for (size_t i = 0; i < c->n; i++) {
        struct search_document d = document_of(&c->tools[i]);
        search_index_add(x, &d);
        if (i % INDEX_SLICE == INDEX_SLICE - 1) {
            fiber_yield();
        }
    }
    search_index_end(x);
    if (c->index) { /* made by somebody else, while this one yielded */
        search_index_free(x);
    } else {
        c->index = x;
    }
    return c->index;
}
