#include "tool/names.h"

#include "base/crypto.h"
#include "base/map.h"

static bool is_legal_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

static bool is_legal(struct str name) {
    for (size_t i = 0; i < name.n; i++) {
        if (!is_legal_char(name.p[i])) {
            return false;
        }
    }
    return name.n >= 1 && name.n <= TOOL_NAME_MAX;
}

/* ---- forms, from the plainest on ---- */

enum form { FORM_OWN, FORM_SERVER, FORM_HASH_8, FORM_HASH_16, FORM_HASH_32, FORMS };

/* What is not legal becomes '_', a run of it one. */
static struct str with_server(const struct tool_name *t, struct arena *arena) {
    struct str both = arena_printf(arena, "%.*s_%.*s", STR_ARG(t->server), STR_ARG(t->tool));
    char *z = arena_z(arena, both);
    char *to = z;
    for (const char *from = z; *from; from++) {
        bool legal = is_legal_char(*from);
        if (legal || to == z || to[-1] != '_') {
            *to++ = legal ? *from : '_';
        }
    }
    return (struct str){z, (size_t)(to - z)};
}

static struct str with_hash(const struct tool_name *t, size_t digits, struct arena *arena) {
    char hex[SHA256_HEX + 1];
    struct strbuf both cleanup(strbuf_done) = STRBUF(t->server.n + t->tool.n + 8);
    strbuf_add(&both, t->server);
    strbuf_addc(&both, '\n'); /* stands in no name */
    strbuf_add(&both, t->tool);
    crypto_sha256_hex(strbuf_str(&both), hex);
    struct str head = str_head(with_server(t, arena), TOOL_NAME_MAX - 1 - digits);
    return arena_printf(arena, "%.*s_%.*s", STR_ARG(head), (int)digits, hex);
}

/* Empty when the tool has no such form. */
static struct str make_form(const struct tool_name *t, enum form form, struct arena *arena) {
    static const size_t digits[FORMS] = {
        [FORM_HASH_8] = 8, [FORM_HASH_16] = 16, [FORM_HASH_32] = 32};
    if (form == FORM_OWN) {
        return is_legal(t->tool) ? t->tool : STR_EMPTY;
    }
    if (form == FORM_SERVER) {
        struct str name = with_server(t, arena);
        return name.n <= TOOL_NAME_MAX ? name : STR_EMPTY;
    }
    return with_hash(t, digits[form], arena);
}

/* ---- rounds ---- */

struct naming {
    struct tool_name *names;
    bool *twice;    /* the second of two equal ones */
    size_t n, left; /* without a name yet */
    struct map taken;
    bool (*reserved)(struct str name, const void *arg);
    const void *arg;
    struct arena *arena;
};

/* In each round those who are alone in wanting a name get it. Whoever goes into the next round, and
 * what is taken by then, depends on the set alone. */
static void give(struct naming *g, enum form form) {
    struct map wanted = {0};
    struct str *forms = arena_alloc(g->arena, g->n * sizeof *forms);
    for (size_t i = 0; i < g->n; i++) {
        if (g->names[i].name.n || g->twice[i]) {
            continue;
        }
        forms[i] = make_form(&g->names[i], form, g->arena);
        if (forms[i].n) {
            size_t others = (size_t)map_get(&wanted, forms[i]);
            map_put(&wanted, forms[i], (void *)(others + 1));
        }
    }
    for (size_t i = 0; i < g->n; i++) {
        if (forms[i].n && (size_t)map_get(&wanted, forms[i]) == 1 &&
            !map_get(&g->taken, forms[i]) && !g->reserved(forms[i], g->arg)) {
            g->names[i].name = forms[i];
            map_put(&g->taken, forms[i], g);
            g->left--;
        }
    }
    map_done(&wanted);
}

static void find_twice(struct naming *g) {
    struct map seen = {0};
    struct strbuf key cleanup(strbuf_done) = STRBUF(1 << 20);
    for (size_t i = 0; i < g->n; i++) {
        strbuf_reset(&key);
        strbuf_add(&key, g->names[i].server);
        strbuf_addc(&key, '\n');
        strbuf_add(&key, g->names[i].tool);
        g->twice[i] = map_get(&seen, strbuf_str(&key));
        g->left -= g->twice[i];
        map_put(&seen, strbuf_str(&key), g);
    }
    map_done(&seen);
}

void tool_names_make(struct tool_name *names, size_t n,
                     bool (*reserved)(struct str name, const void *arg), const void *arg,
                     struct arena *arena) {
    struct arena temporary cleanup(arena_done) = {0};
    struct naming g = {
        .names = names, .n = n, .left = n, .reserved = reserved, .arg = arg, .arena = &temporary};
    g.twice = arena_alloc(&temporary, n * sizeof *g.twice);
    for (size_t i = 0; i < n; i++) {
        names[i].name = STR_EMPTY;
    }
    find_twice(&g);
    for (enum form form = FORM_OWN; form < FORMS && g.left; form++) {
        give(&g, form);
    }
    for (size_t i = 0; i < n; i++) {
        if (names[i].name.p != names[i].tool.p) {
            names[i].name = arena_str(arena, names[i].name);
        }
    }
    map_done(&g.taken);
}
