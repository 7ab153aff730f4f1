#include <assert.h>

#include "base/mem.h"
#include "tool/builtins.h"
#include "tool/tool.h"

struct tool_registry {
    const struct tool *tools[TOOL_MAX_COUNT];
    size_t n;
};

struct tool_registry *tool_registry_new(void) {
    return mem_alloc(sizeof(struct tool_registry));
}

void tool_registry_free(struct tool_registry *r) {
    mem_free(r);
}

static bool name_is_legal(struct str name) {
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '-';
        if (!ok) {
            return false;
        }
    }
    return name.n >= 1 && name.n <= 64; /* what every provider takes */
}

void tool_register(struct tool_registry *r, const struct tool *tool) {
    assert(r->n < TOOL_MAX_COUNT);
    assert(name_is_legal(str_z(tool->name)) && !tool_find(r, str_z(tool->name)));
    r->tools[r->n++] = tool;
}

const struct tool *tool_find(const struct tool_registry *r, struct str name) {
    for (size_t i = 0; i < r->n; i++) {
        if (str_eq(str_z(r->tools[i]->name), name)) {
            return r->tools[i];
        }
    }
    return NULL;
}

size_t tool_count(const struct tool_registry *r) {
    return r->n;
}

const struct tool *tool_at(const struct tool_registry *r, size_t i) {
    assert(i < r->n);
    return r->tools[i];
}

void tool_register_builtins(struct tool_registry *r) {
    tool_register(r, &tool_current_time);
    tool_register(r, &tool_calculate);
}
