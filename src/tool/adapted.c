#include "tool/adapted.h"

#include "base/mem.h"

enum { SLICE_BYTES = 256 * 1024 };

static void adapted_free(void *adapted) {
    struct adapted_list *a = adapted;
    arena_done(&a->arena);
    mem_free(a);
}

static struct str describe(const struct mcp_tool *t) {
    if (t->description.n) {
        return t->description;
    }
    return t->title.n ? t->title : t->name;
}

static void adapt(struct adapted_list *a, const struct mcp_tool *from, struct adapted_tool *to) {
    struct err err;
    to->quarantine = from->quarantine;
    to->spec = (struct llm_tool){.description = describe(from), .schema = from->input_schema};
    if (to->quarantine.n == 0 && llm_tool_adapt(&to->spec, &a->arena, &to->facts, &err) < 0) {
        to->quarantine = arena_str(&a->arena, str_z(err.msg));
    }
}

void adapted_list_make(struct mcp_tools *list) {
    size_t slice = 0;
    if (list->adapted) {
        return;
    }
    struct adapted_list *a = mem_alloc(sizeof *a);
    a->tools = arena_alloc(&a->arena, list->n * sizeof *a->tools);
    for (size_t i = 0; i < list->n; i++) {
        slice += list->tools[i].input_schema.n;
        if (slice > SLICE_BYTES) {
            slice = 0;
            fiber_yield();
        }
        adapt(a, &list->tools[i], &a->tools[i]);
    }
    if (list->adapted) { /* by somebody else, while this one yielded */
        adapted_free(a);
        return;
    }
    list->adapted = a;
    list->free_adapted = adapted_free;
}
