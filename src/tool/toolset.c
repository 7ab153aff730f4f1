#include "base/mem.h"
#include "tool/toolbox.h"

enum { MAX_NAME = 64 };

struct toolset {
    struct toolbox *box;
    struct arena arena;
    struct str user_id, skill;
    struct offer *offer;   /* the newest one */
    struct offer **offers; /* all that were in force: tools that were handed out live in them */
    size_t n_offers, offers_cap;
    char (*found)[MAX_NAME + 1]; /* least recently found first */
    size_t n_found;
    struct llm_tool *specs; /* of what is shown, when that is more than the offer's own */
    size_t n_specs;
};

/* ---- what is shown ---- */

static void show_found(struct toolset *s) {
    const struct offer *o = s->offer;
    s->n_specs = o->n_specs;
    if (s->n_found == 0) {
        return;
    }
    s->specs = mem_resize(s->specs, (o->n_specs + s->n_found) * sizeof *s->specs);
    memcpy(s->specs, o->specs, o->n_specs * sizeof *s->specs);
    for (size_t i = 0; i < s->n_found; i++) {
        const struct offer_tool *t = offer_find(o, str_z(s->found[i]));
        size_t at = t ? (size_t)(t - o->tools) : 0;
        if (t && !t->shown && offer_tool_is_open(o, at)) {
            s->specs[s->n_specs++] = o->catalog->tools[at].spec;
        }
    }
}

size_t toolset_specs(struct toolset *s, const struct llm_tool **ret) {
    *ret = s->n_specs > s->offer->n_specs ? s->specs : s->offer->specs;
    return s->n_specs;
}

const struct toolset_tool *toolset_find(const struct toolset *s, struct str name) {
    const struct offer_tool *t = offer_find(s->offer, name);
    return t ? &t->tool : NULL;
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

/* ---- what was found ---- */

static void note_found(struct toolset *s, struct str name) {
    size_t at = 0;
    if (name.n == 0 || name.n > MAX_NAME) {
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
