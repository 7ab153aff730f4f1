/* Lists, page by page. What a server lists is cut out of its answers, never read into a tree. */
#include "base/crypto.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/scan.h"
#include "mcp/client_internal.h"

enum { MAX_CURSOR_BYTES = 16 * 1024, FIRST_ITEMS = 64 };

struct paging {
    const char *member; /* "tools" */
    struct arena *arena;
    struct str *items;
    size_t n, capacity;
    size_t bytes; /* of all pages */
    int64_t ttl_ms;
    const char *warning;
    struct str cursor; /* JSON text of the next page's; p == NULL: there is none */
    uint8_t (*seen)[SHA256_BYTES];
    size_t pages;
};

static const struct {
    const char *method, *member;
    size_t capability; /* in struct mcp_server_info */
} lists[] = {
    {"tools/list", "tools", offsetof(struct mcp_server_info, tools)},
    {"resources/list", "resources", offsetof(struct mcp_server_info, resources)},
    {"resources/templates/list", "resourceTemplates", offsetof(struct mcp_server_info, resources)},
    {"prompts/list", "prompts", offsetof(struct mcp_server_info, prompts)},
};

static void add_item(struct paging *p, struct str item) {
    if (p->n == p->capacity) {
        p->capacity = p->capacity ? p->capacity * 2 : (size_t)FIRST_ITEMS;
        p->items = mem_resize(p->items, p->capacity * sizeof *p->items);
    }
    p->items[p->n++] = item;
}

static const char more_than_is_taken[] = "it lists more than is taken; the rest is left out";

static int cut_items(struct paging *p, struct str array, struct err *err) {
    struct str copy = arena_str(p->arena, array), item;
    struct scan s = scan_begin(copy);
    bool first = true;
    if (!scan_open(&s, '[')) {
        return err_set(err, ERR_PROTOCOL, "\"%s\" is no array", p->member);
    }
    while (scan_element(&s, &first, &item)) {
        if (p->n >= MCP_MAX_TOOLS) {
            p->warning = more_than_is_taken;
            return 0;
        }
        if (item.p[0] == '{') {
            add_item(p, item);
        } else {
            p->warning = "an entry that is no object is left out";
        }
    }
    return item.p ? err_set(err, ERR_PROTOCOL, "\"%s\" cannot be read", p->member) : 0;
}

static bool was_seen(struct paging *p, struct str cursor) {
    uint8_t digest[SHA256_BYTES];
    crypto_sha256(cursor, digest);
    for (size_t i = 0; i < p->pages; i++) {
        if (memcmp(p->seen[i], digest, sizeof digest) == 0) {
            return true;
        }
    }
    memcpy(p->seen[p->pages], digest, sizeof digest);
    return false;
}

static void take_cursor(struct paging *p, struct str cursor) {
    p->cursor = (struct str){0};
    if (!cursor.p || cursor.p[0] != '"') {
        return;
    }
    if (cursor.n > MAX_CURSOR_BYTES) {
        p->warning = "it gives a cursor that is too long; the rest is left out";
    } else if (was_seen(p, cursor)) {
        p->warning = "it gives the same cursor again; the rest is left out";
    } else if (p->pages + 1 >= MCP_MAX_LIST_PAGES) {
        p->warning = "it has too many pages; the rest is left out";
    } else if (p->n >= MCP_MAX_TOOLS) {
        p->warning = more_than_is_taken;
    } else {
        p->cursor = arena_str(p->arena, cursor);
    }
}

static int take_page(struct paging *p, struct str result, struct err *err) {
    struct scan s = scan_begin(result);
    struct str key, value, items = {0}, cursor = {0};
    bool first = true;
    if (!scan_open(&s, '{')) {
        return err_set(err, ERR_PROTOCOL, "its list is no object");
    }
    while (scan_member_value(&s, &first, &key, &value)) {
        if (scan_is(key, p->member)) {
            items = value;
        } else if (scan_is(key, "nextCursor")) {
            cursor = value;
        } else if (scan_is(key, "ttlMs") && p->pages == 0) {
            (void)str_to_i64(value, &p->ttl_ms);
        }
    }
    if (!items.p) {
        return err_set(err, ERR_PROTOCOL, "its list has no \"%s\"", p->member);
    }
    p->bytes += result.n;
    if (p->bytes > MCP_MAX_LIST_BYTES) {
        p->warning = "its list is too large; the rest is left out";
        p->cursor = (struct str){0};
        return 0;
    }
    if (cut_items(p, items, err) < 0) {
        return -(int)err->code;
    }
    take_cursor(p, cursor);
    p->pages++;
    return 0;
}

static int fetch_page(struct mcp_client *c, const char *method, struct paging *p, struct err *err) {
    struct strbuf params cleanup(strbuf_done) = STRBUF(MAX_CURSOR_BYTES + 64);
    struct request_result answer cleanup(request_result_done) = {0};
    if (p->cursor.p) {
        struct jsonw w = jsonw_begin(&params);
        jsonw_object(&w);
        jsonw_kraw(&w, "cursor", p->cursor);
        jsonw_end_object(&w);
    }
    struct request_spec spec = {
        .method = method, .params = strbuf_str(&params), .repeatable = true};
    if (client_request(c, &spec, &answer, err) < 0) {
        return -(int)err->code;
    }
    if (answer.message.is_error) {
        return request_refused(c, &answer.message, err);
    }
    if (take_page(p, answer.message.result, err) < 0) {
        return err_prefix(err, "MCP server %.*s", STR_ARG(str_head(c->o.name, 64)));
    }
    return 0;
}

static bool is_offered(const struct mcp_client *c, size_t capability) {
    return *(const bool *)((const char *)&c->info + capability);
}

static int fetch_all(struct mcp_client *c, const char *method, struct paging *p,
                     struct mcp_list *ret, struct err *err) {
    do {
        if (fetch_page(c, method, p, err) < 0) {
            return -(int)err->code;
        }
    } while (p->cursor.p);
    ret->items = arena_alloc(p->arena, (p->n + 1) * sizeof *ret->items);
    if (p->n) {
        memcpy(ret->items, p->items, p->n * sizeof *ret->items);
    }
    ret->n = p->n;
    ret->ttl_ms = p->ttl_ms;
    ret->warning = str_z(p->warning);
    return 0;
}

int mcp_client_list(struct mcp_client *c, const char *method, struct arena *arena,
                    struct mcp_list *ret, struct err *err) {
    struct mcp_client *held cleanup(client_unref_p) = c;
    client_ref(held);
    size_t kind = 0;
    while (kind < ARRAY_LEN(lists) && strcmp(lists[kind].method, method) != 0) {
        kind++;
    }
    if (kind == ARRAY_LEN(lists)) {
        return err_set(err, ERR_INVALID, "%s lists nothing", method);
    }
    if (mcp_client_connect(c, err) < 0) {
        return -(int)err->code;
    }
    if (!is_offered(c, lists[kind].capability)) {
        *ret = (struct mcp_list){.ttl_ms = -1, .warning = STR_EMPTY};
        return 0;
    }
    struct paging p = {.member = lists[kind].member,
                       .arena = arena,
                       .ttl_ms = -1,
                       .seen = mem_alloc(MCP_MAX_LIST_PAGES * sizeof *p.seen)};
    int rc = fetch_all(c, method, &p, ret, err);
    mem_free(p.items);
    mem_free(p.seen);
    if (rc == 0 && kind == 0) {
        listen_ttl(c, ret->ttl_ms);
    }
    return rc;
}
