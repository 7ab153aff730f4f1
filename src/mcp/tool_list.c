#include "mcp/tool_list.h"

#include "base/crypto.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/scan.h"
#include "mcp/headers.h"

enum { SLICE_BYTES = 512 * 1024, MAX_TITLE_BYTES = 256, MAX_REASON_BYTES = 200 };

struct tool_lists {
    struct map by_digest;
    size_t bytes;
};

struct tool_list {
    struct mcp_tools tools; /* what others see */
    struct arena arena;
    struct tool_lists *table; /* NULL: it is gone */
    size_t bytes;
};

/* ---- one tool ---- */

static void printf_like(3, 4)
    quarantine(struct mcp_tool *t, struct arena *arena, const char *fmt, ...) {
    char reason[MAX_REASON_BYTES];
    va_list ap;
    if (t->quarantine.n > 0) {
        return; /* the first reason is the one to mend first */
    }
    va_start(ap, fmt);
    vsnprintf(reason, sizeof reason, fmt, ap);
    va_end(ap);
    t->quarantine = arena_str(arena, str_utf8_head(str_z(reason), sizeof reason));
}

static bool has_control(struct str s) {
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f) {
            return true;
        }
    }
    return false;
}

static void read_name(const json_t *item, struct arena *arena, struct mcp_tool *ret) {
    struct str name = json_str(item, "name");
    if (!name.p || name.n == 0) {
        quarantine(ret, arena, "it has no name");
    } else if (name.n > TOOL_LIST_MAX_NAME_BYTES) {
        quarantine(ret, arena, "its name is longer than %d bytes", TOOL_LIST_MAX_NAME_BYTES);
    } else if (has_control(name)) {
        quarantine(ret, arena, "its name has control characters");
    }
    /* What is shown of a bad name is bounded and cannot forge anything. */
    char *z = arena_z(arena, str_utf8_head(name.p ? name : STR_EMPTY, TOOL_LIST_MAX_NAME_BYTES));
    ret->name = str_z(z);
    for (; *z; z++) {
        if ((unsigned char)*z < ' ' || *z == 0x7f) {
            *z = '?';
        }
    }
}

static void read_annotations(const json_t *item, struct mcp_tool *ret) {
    const json_t *hints = json_object_get(item, "annotations");
    ret->read_only = json_bool(hints, "readOnlyHint", false);
    ret->destructive = !ret->read_only && json_bool(hints, "destructiveHint", true);
    ret->idempotent = json_bool(hints, "idempotentHint", false);
    ret->open_world = json_bool(hints, "openWorldHint", true);
}

static struct str text_of(const json_t *object, const char *key, size_t max, struct arena *arena) {
    struct str text = json_str(object, key);
    return text.p ? arena_str(arena, str_utf8_head(text, max)) : STR_EMPTY;
}

static void read_schemas(struct str text, const json_t *item, struct arena *arena,
                         struct mcp_tool *ret) {
    const json_t *input = json_object_get(item, "inputSchema");
    const json_t *output = json_object_get(item, "outputSchema");
    const json_t *type = json_object_get(input, "type");
    struct err err;
    if (!json_is_object(input)) {
        quarantine(ret, arena, input ? "its inputSchema is no object" : "it has no inputSchema");
        return;
    }
    if (type && !str_eq(json_value_str(type), STR("object"))) {
        quarantine(ret, arena, "its inputSchema is not of type object");
        return;
    }
    ret->input_schema = arena_str(arena, scan_get(text, "inputSchema"));
    if (ret->input_schema.n > TOOL_LIST_MAX_SCHEMA_BYTES) {
        quarantine(ret, arena, "its inputSchema has more than %d bytes",
                   TOOL_LIST_MAX_SCHEMA_BYTES);
        ret->input_schema = STR_EMPTY;
    }
    if (str_find(ret->input_schema, STR("x-mcp-header")) != SIZE_MAX &&
        mcp_headers_check(ret->input_schema, &err) < 0) {
        quarantine(ret, arena, "%s", err.msg);
    }
    if (json_is_object(output)) {
        struct str schema = arena_str(arena, scan_get(text, "outputSchema"));
        ret->output_schema = schema.n <= TOOL_LIST_MAX_SCHEMA_BYTES ? schema : STR_EMPTY;
    }
}

void tool_list_read(struct str item, struct arena *arena, struct mcp_tool *ret) {
    json_auto_t *tree = NULL;
    struct err err;
    *ret = (struct mcp_tool){.name = STR_EMPTY, .destructive = true, .open_world = true};
    if (item.n > TOOL_LIST_MAX_ITEM_BYTES) {
        quarantine(ret, arena, "it has more than %d bytes", TOOL_LIST_MAX_ITEM_BYTES);
        return;
    }
    if (json_read(item, &tree, &err) < 0) {
        quarantine(ret, arena, "%s", err.msg);
        return;
    }
    if (!json_is_object(tree)) {
        quarantine(ret, arena, "it is no object");
        return;
    }
    read_name(tree, arena, ret);
    read_annotations(tree, ret);
    ret->description = text_of(tree, "description", TOOL_LIST_MAX_DESCRIPTION_BYTES, arena);
    ret->title = text_of(tree, "title", MAX_TITLE_BYTES, arena);
    if (ret->title.n == 0) {
        ret->title = text_of(json_object_get(tree, "annotations"), "title", MAX_TITLE_BYTES, arena);
    }
    read_schemas(item, tree, arena, ret);
}

/* ---- a list ---- */

/* Of the digests of the items, so that where one ends counts too. */
static void digest_of(const struct str *items, size_t n, char ret[SHA256_HEX + 1]) {
    uint8_t *all = mem_alloc(n * SHA256_BYTES + 1);
    for (size_t i = 0; i < n; i++) {
        crypto_sha256(items[i], all + i * SHA256_BYTES);
    }
    crypto_sha256_hex((struct str){(char *)all, n * SHA256_BYTES}, ret);
    mem_free(all);
}

static void list_free(struct mcp_tools *tools) {
    struct tool_list *l = container_of(tools, struct tool_list, tools);
    if (l->table) {
        l->table->bytes -= l->bytes;
        map_remove(&l->table->by_digest, l->tools.digest);
    }
    if (l->tools.adapted && l->tools.free_adapted) {
        l->tools.free_adapted(l->tools.adapted);
    }
    arena_done(&l->arena);
    mem_free(l);
}

static int read_tools(struct tool_list *l, const struct str *items, struct err *err) {
    struct map names = {0};
    size_t slice = 0;
    int rc = 0;
    for (size_t i = 0; i < l->tools.n && rc == 0; i++) {
        struct mcp_tool *t = &l->tools.tools[i];
        tool_list_read(items[i], &l->arena, t);
        if (t->quarantine.n == 0 && map_get(&names, t->name)) {
            quarantine(t, &l->arena, "another tool of the list has this name");
        } else if (t->quarantine.n == 0) {
            map_put(&names, t->name, t);
        }
        slice += items[i].n;
        if (slice > SLICE_BYTES) {
            slice = 0;
            fiber_yield();
            rc = fiber_cancelled() ? err_set(err, ERR_CANCELLED, "cancelled") : 0;
        }
    }
    map_done(&names);
    return rc;
}

int tool_list_make(struct tool_lists *t, const struct str *items, size_t n, struct mcp_tools **ret,
                   struct err *err) {
    char digest[SHA256_HEX + 1];
    fiber_point();
    n = MIN(n, (size_t)MCP_MAX_TOOLS);
    digest_of(items, n, digest);
    struct tool_list *known = map_get(&t->by_digest, str_z(digest));
    if (known) {
        *ret = mcp_tools_ref(&known->tools);
        return 0;
    }
    struct tool_list *l = mem_alloc(sizeof *l);
    l->tools.refs = 1;
    l->tools.free = list_free;
    l->tools.n = n;
    l->tools.digest = arena_str(&l->arena, str_z(digest));
    l->tools.tools = arena_alloc(&l->arena, (n + 1) * sizeof *l->tools.tools);
    int rc = read_tools(l, items, err);
    if (rc == 0 && t->bytes + l->arena.total_bytes > TOOL_LIST_MAX_TOTAL_BYTES) {
        rc = err_set(err, ERR_LIMIT, "the tool lists of all servers need more than %d MiB",
                     TOOL_LIST_MAX_TOTAL_BYTES / (1024 * 1024));
    }
    known = map_get(&t->by_digest, str_z(digest)); /* somebody else's, while this one yielded */
    if (rc < 0 || known) {
        list_free(&l->tools);
        *ret = rc == 0 ? mcp_tools_ref(&known->tools) : *ret;
        return rc;
    }
    l->table = t;
    l->bytes = l->arena.total_bytes;
    t->bytes += l->bytes;
    map_put(&t->by_digest, l->tools.digest, l);
    *ret = &l->tools;
    return 0;
}

size_t tool_list_quarantined(const struct mcp_tools *list) {
    size_t n = 0;
    for (size_t i = 0; i < list->n; i++) {
        n += list->tools[i].quarantine.n > 0;
    }
    return n;
}

/* ---- all of them ---- */

struct tool_lists *tool_lists_new(void) {
    return mem_alloc(sizeof(struct tool_lists));
}

static void orphan(struct str key, void *value, void *arg) {
    (void)key;
    (void)arg;
    ((struct tool_list *)value)->table = NULL;
}

void tool_lists_free(struct tool_lists *t) {
    if (t) {
        map_each(&t->by_digest, orphan, NULL);
        map_done(&t->by_digest);
        mem_free(t);
    }
}

size_t tool_lists_bytes(const struct tool_lists *t) {
    return t->bytes;
}
