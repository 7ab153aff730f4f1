#include "tool/toolbox.h"

#include "base/crypto.h"
#include "base/mem.h"
#include "store/policies.h"

/* ---- rules ---- */

static void rules_unref(void *rules) {
    struct user_rules *r = rules;
    if (--r->refs == 0) {
        arena_done(&r->arena);
        mem_free(r);
    }
}

static void rules_unref_p(struct user_rules **r) {
    if (*r) {
        rules_unref(*r);
    }
}

static struct str rules_digest(struct arena *arena, const struct policy_row *rows, size_t n) {
    if (n == 0) {
        return STR_EMPTY;
    }
    char hex[SHA256_HEX + 1];
    struct strbuf all cleanup(strbuf_done) = STRBUF(SIZE_MAX / 2);
    for (size_t i = 0; i < n; i++) {
        strbuf_addf(&all, "%zu %zu ", rows[i].server.n, rows[i].tool.n);
        strbuf_add(&all, rows[i].server);
        strbuf_add(&all, rows[i].tool);
        strbuf_add(&all, rows[i].policy);
    }
    crypto_sha256_hex(strbuf_str(&all), hex);
    return arena_str(arena, str_z(hex));
}

static int read_rules(struct toolbox *b, struct str user_id, struct user_rules *r,
                      struct err *err) {
    struct policy_row *rows;
    size_t n;
    if (!b->options.db) {
        return 0;
    }
    if (policy_list(b->options.db, user_id, &r->arena, &rows, &n, err) < 0) {
        return err_prefix(err, "reading the policies of tools");
    }
    struct policy_rule *rules = arena_alloc(&r->arena, n * sizeof *rules);
    for (size_t i = 0; i < n; i++) {
        rules[i] = (struct policy_rule){.server = rows[i].server, .tool = rows[i].tool};
        if (!policy_parse(rows[i].policy, &rules[i].policy)) {
            rules[i].policy = POLICY_DENY; /* a word of a later version: not to be taken lightly */
        }
    }
    r->policies = (struct policies){.rules = rules, .n = n};
    r->digest = rules_digest(&r->arena, rows, n);
    return 0;
}

/* Held for the caller. */
static int get_rules(struct toolbox *b, struct str user_id, struct user_rules **ret,
                     struct err *err) {
    struct user_epochs *epochs = b->options.epochs;
    uint64_t epoch = epochs ? user_epoch(epochs, user_id) : 0;
    struct user_rules *r = epochs ? cache_get(&b->rules, user_id) : NULL;
    if (!r || r->epoch != epoch) {
        struct user_rules *fresh cleanup(rules_unref_p) = mem_alloc(sizeof *fresh);
        *fresh = (struct user_rules){.refs = 1, .epoch = epoch, .digest = STR_EMPTY};
        if (read_rules(b, user_id, fresh, err) < 0) {
            return -(int)err->code;
        }
        r = take(fresh);
        r->refs++;
        cache_put(&b->rules, user_id, r);
        *ret = r; /* the first reference is the caller's */
        return 0;
    }
    r->refs++;
    *ret = r;
    return 0;
}

/* ---- catalogues and offers ---- */

static void drop_catalog(void *catalog) {
    catalog_unref(catalog);
}

static void drop_offer(void *offer) {
    offer_unref(offer);
}

static struct catalog *get_catalog(struct toolbox *b, const struct catalog_source *sources,
                                   size_t n) {
    struct strbuf key cleanup(strbuf_done) = STRBUF(1 << 20);
    strbuf_addc(&key, '=');
    for (size_t i = 0; i < n; i++) {
        strbuf_add(&key, sources[i].server);
        strbuf_addc(&key, ' ');
        strbuf_add(&key, sources[i].tools->digest);
        strbuf_addc(&key, '\n');
    }
    struct catalog *c = cache_get(&b->catalogs, strbuf_str(&key));
    if (!c) {
        c = catalog_new(b->options.registry, sources, n);
        cache_put(&b->catalogs, strbuf_str(&key), c);
    }
    return c;
}

static struct offer *get_offer(struct toolbox *b, struct catalog *c, const bool *usable,
                               const struct user_rules *rules) {
    struct strbuf key cleanup(strbuf_done) = STRBUF(1024);
    strbuf_addf(&key, "%p ", (void *)c);
    for (size_t i = 0; i < c->n_sources; i++) {
        strbuf_addc(&key, usable[i] ? '1' : '0');
    }
    strbuf_addc(&key, ' ');
    strbuf_add(&key, rules->digest);
    struct offer *o = cache_get(&b->offers, strbuf_str(&key));
    if (!o) {
        o = offer_new(c, usable, &rules->policies);
        cache_put(&b->offers, strbuf_str(&key), o);
    }
    o->refs++;
    return o;
}

int toolbox_offer(struct toolbox *b, struct str user_id, struct str skill, int64_t wait_ms,
                  struct offer **ret, struct err *err) {
    struct user_rules *rules cleanup(rules_unref_p) = NULL;
    bool usable[TOOLBOX_MAX_SERVERS];
    (void)skill;
    (void)wait_ms;
    if (get_rules(b, user_id, &rules, err) < 0) {
        return -(int)err->code;
    }
    *ret = get_offer(b, get_catalog(b, NULL, 0), usable, rules);
    return 0;
}

/* ---- the box ---- */

struct toolbox *toolbox_new(const struct toolbox_options *options) {
    struct toolbox *b = mem_alloc(sizeof *b);
    b->options = *options;
    cache_init(&b->rules, TOOLBOX_USERS, rules_unref);
    cache_init(&b->catalogs, TOOLBOX_CATALOGS, drop_catalog);
    cache_init(&b->offers, TOOLBOX_OFFERS, drop_offer);
    return b;
}

void toolbox_free(struct toolbox *b) {
    if (b) {
        cache_done(&b->offers);
        cache_done(&b->catalogs);
        cache_done(&b->rules);
        mem_free(b);
    }
}
