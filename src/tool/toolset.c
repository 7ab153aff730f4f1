#include <stdio.h>

#include "base/mem.h"
#include "tool/names.h"
#include "tool/toolbox.h"

struct toolset {
    struct toolbox *box;
    struct arena arena;
    struct str user_id, skill;
    struct offer *offer;   /* the newest one */
    struct offer **offers; /* all that were in force: tools that were handed out live in them */
    size_t n_offers, offers_cap;
    char (*found)[TOOL_NAME_MAX + 1]; /* least recently found first */
    size_t n_found;
    struct llm_tool *specs; /* of what is shown, when that is more than the offer's own */
    size_t n_specs;
    struct tool search; /* search_tools, of this set */
    struct toolset_tool search_entry;
};

/* A name that the model was given goes on meaning the same tool, also when a server joined that has
 * one of this name too and both are called otherwise since. */
static const struct offer_tool *find_tool(const struct toolset *s, struct str name) {
    const struct offer_tool *t = offer_find(s->offer, name), *before = NULL;
    for (size_t i = s->n_offers; !t && !before && i-- > 0;) {
        before = offer_find(s->offers[i], name);
    }
    return before ? offer_find_own(s->offer, before->tool.server, before->tool.tool) : t;
}

/* ---- what is shown ---- */

/* Where in the offer; SIZE_MAX: it is not there, not allowed, or shown anyway. */
static size_t found_at(const struct toolset *s, size_t i) {
    const struct offer_tool *t = offer_find(s->offer, str_z(s->found[i]));
    size_t at = t ? (size_t)(t - s->offer->tools) : SIZE_MAX;
    return t && !t->shown && offer_tool_is_open(s->offer, at) ? at : SIZE_MAX;
}

/* Of the found ones, the newest that there is room for. */
static void show_found(struct toolset *s) {
    const struct offer *o = s->offer;
    size_t bytes = o->spec_bytes, from = s->n_found, n = o->n_specs;
    s->n_specs = o->n_specs;
    while (from > 0 && n < OFFER_MAX_SPECS) {
        size_t at = found_at(s, from - 1);
        bytes += at == SIZE_MAX ? 0 : o->catalog->tools[at].spec_bytes;
        if (bytes > OFFER_MAX_SPEC_BYTES) {
            break;
        }
        n += at != SIZE_MAX;
        from--;
    }
    if (n == o->n_specs) {
        return;
    }
    s->specs = mem_resize(s->specs, n * sizeof *s->specs);
    memcpy(s->specs, o->specs, o->n_specs * sizeof *s->specs);
    for (; from < s->n_found; from++) {
        size_t at = found_at(s, from);
        if (at != SIZE_MAX) {
            s->specs[s->n_specs++] = o->catalog->tools[at].spec;
        }
    }
}

size_t toolset_specs(struct toolset *s, const struct llm_tool **ret) {
    *ret = s->n_specs > s->offer->n_specs ? s->specs : s->offer->specs;
    return s->n_specs;
}

const struct toolset_tool *toolset_find(const struct toolset *s, struct str name) {
    if (s->offer->by_search && str_eq(name, STR(CATALOG_SEARCH_TOOL))) {
        return &s->search_entry;
    }
    const struct offer_tool *t = find_tool(s, name);
    return t ? &t->tool : NULL;
}

struct str toolset_arguments(const struct toolset_tool *t, struct str arguments,
                             struct arena *arena) {
    return t->facts ? llm_tool_own_arguments(t->facts, arguments, arena) : arguments;
}

size_t toolset_count(const struct toolset *s) {
    return s->offer->catalog->n;
}

struct toolset_listed toolset_at(const struct toolset *s, size_t i) {
    const struct offer_tool *t = &s->offer->tools[i];
    return (struct toolset_listed){.tool = &t->tool,
                                   .rule = t->rule,
                                   .usable = t->usable,
                                   .shown = t->shown,
                                   .quarantine = s->offer->catalog->tools[i].quarantine};
}

/* ---- what was found ---- */

static void note_found(struct toolset *s, struct str name) {
    size_t at = 0;
    if (name.n == 0 || name.n > TOOL_NAME_MAX) {
        return;
    }
    if (!s->found) {
        s->found = mem_alloc(TOOLSET_MAX_FOUND * sizeof *s->found);
    }
    while (at < s->n_found && !str_eq(str_z(s->found[at]), name)) {
        at++;
    }
    if (at == TOOLSET_MAX_FOUND) {
        at = 0;
    } else if (at == s->n_found) {
        s->n_found++;
    }
    memmove(s->found[at], s->found[at + 1], (s->n_found - at - 1) * sizeof *s->found);
    memset(s->found[s->n_found - 1], 0, sizeof *s->found);
    memcpy(s->found[s->n_found - 1], name.p, name.n);
}

/* Under the names of the offer in force. */
static void rename_found(struct toolset *s) {
    for (size_t i = 0; i < s->n_found; i++) {
        const struct offer_tool *t = find_tool(s, str_z(s->found[i]));
        if (t) {
            snprintf(s->found[i], sizeof *s->found, "%.*s", STR_ARG(t->tool.name));
        }
    }
}

void toolset_found_write(const struct toolset *s, struct strbuf *out) {
    for (size_t i = 0; i < s->n_found; i++) {
        strbuf_addz(out, i ? " " : "");
        strbuf_addz(out, s->found[i]);
    }
}

void toolset_found_read(struct toolset *s, struct str names) {
    while (names.n) {
        note_found(s, str_cut(&names, ' '));
    }
    show_found(s);
}

/* ---- search_tools ---- */

enum { DEFAULT_LIMIT = 8, MAX_LIMIT = 20, MAX_QUERY_BYTES = 1000, MAX_LINE_BYTES = 200 };

static bool is_open(const void *offer, size_t document) {
    return offer_tool_is_open(offer, document);
}

/* The first line, or sentence where that is long. */
static struct str summary_of(struct str description) {
    struct str line = str_trim(description);
    line = str_head(line, MIN(str_find_char(line, '\n'), line.n));
    if (line.n > MAX_LINE_BYTES) {
        size_t dot = str_find(line, STR(". "));
        line = str_utf8_head(line, MIN(dot == SIZE_MAX ? line.n : dot + 1, MAX_LINE_BYTES));
    }
    return str_trim(line);
}

static void write_hit(struct strbuf *out, const struct toolset_tool *t) {
    struct str about = summary_of(t->description);
    strbuf_addz(out, "\n- ");
    strbuf_add(out, t->name);
    if (t->server.n) {
        strbuf_addf(out, " (%.*s)", STR_ARG(t->server));
    }
    strbuf_addf(out, "%s%.*s", about.n ? ": " : "", STR_ARG(about));
}

static int run_search(const struct tool_call *call, struct arena *arena, struct tool_result *ret,
                      void *context, struct err *err) {
    struct toolset *s = context;
    struct strbuf out cleanup(strbuf_done) = STRBUF(64 * 1024);
    struct str query = STR_EMPTY;
    int64_t limit = DEFAULT_LIMIT;
    size_t hits[MAX_LIMIT];
    if (json_want_str(call->arguments, "query", MAX_QUERY_BYTES, &query, err) < 0 ||
        json_want_int(call->arguments, "limit", 1, MAX_LIMIT, &limit, err) < 0) {
        return -(int)err->code;
    }
    /* Read once: the set may have another offer when the index is there. */
    struct offer *o = s->offer;
    const struct search_index *index = catalog_index(o->catalog);
    size_t n = search_index_find(index, query, is_open, o, (size_t)limit, hits);
    if (n == 0) {
        ret->content = STR("No tool fits these words. Try others: what is to be done, on what, or "
                           "the name of a service.");
        return 0;
    }
    strbuf_addf(&out, "%zu tool%s found, to be called under these names:", n, n == 1 ? "" : "s");
    for (size_t i = n; i-- > 0;) {
        note_found(s, o->tools[hits[i]].tool.name); /* the best one is the newest */
    }
    for (size_t i = 0; i < n; i++) {
        write_hit(&out, &o->tools[hits[i]].tool);
    }
    ret->content = arena_str(arena, strbuf_str(&out));
    return 0;
}

static void init_search(struct toolset *s) {
    s->search = (struct tool){.name = CATALOG_SEARCH_TOOL,
                              .repeatable = true,
                              .timeout_ms = 30 * 1000,
                              .run = run_search,
                              .context = s};
    s->search_entry = (struct toolset_tool){.name = STR(CATALOG_SEARCH_TOOL),
                                            .server = STR_EMPTY,
                                            .tool = STR(CATALOG_SEARCH_TOOL),
                                            .title = STR("Search tools"),
                                            .description = STR_EMPTY,
                                            .policy = POLICY_ALLOW,
                                            .repeatable = true,
                                            .read_only = true,
                                            .timeout_ms = 30 * 1000,
                                            .builtin = &s->search};
}

/* ---- opening ---- */

/* Takes the reference. */
static void put_in_force(struct toolset *s, struct offer *o) {
    if (o == s->offer) {
        offer_unref(o);
    } else {
        if (s->n_offers == s->offers_cap) {
            s->offers_cap = s->offers_cap ? 2 * s->offers_cap : 1;
            s->offers = mem_resize(s->offers, s->offers_cap * sizeof *s->offers);
        }
        s->offer = s->offers[s->n_offers++] = o;
        rename_found(s);
    }
    show_found(s);
}

static int refresh(struct toolset *s, int64_t wait_ms, struct err *err) {
    struct offer *o;
    if (toolbox_offer(s->box, s->user_id, s->skill, wait_ms, &o, err) < 0) {
        return -(int)err->code;
    }
    put_in_force(s, o);
    return 0;
}

int toolset_refresh(struct toolset *s, struct err *err) {
    return refresh(s, 0, err);
}

static void close_p(struct toolset **s) {
    toolset_close(*s);
}

int toolset_open(struct toolbox *b, const struct toolset_options *options, struct toolset **ret,
                 struct err *err) {
    struct toolset *s cleanup(close_p) = mem_alloc(sizeof *s);
    s->box = b;
    s->user_id = arena_str(&s->arena, options->user_id);
    s->skill = arena_str(&s->arena, options->skill);
    init_search(s);
    if (refresh(s, options->wait_ms, err) < 0) {
        return -(int)err->code;
    }
    *ret = take(s);
    return 0;
}

void toolset_close(struct toolset *s) {
    if (!s) {
        return;
    }
    for (size_t i = 0; i < s->n_offers; i++) {
        offer_unref(s->offers[i]);
    }
    mem_free(s->offers);
    mem_free(s->found);
    mem_free(s->specs);
    arena_done(&s->arena);
    mem_free(s);
}
