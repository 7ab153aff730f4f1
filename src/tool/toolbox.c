#include "tool/toolbox.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/policies.h"
#include "tool/adapted.h"

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

static void drop_offer(void *offer) {
    offer_unref(offer);
}

static void drop_shelf(void *shelf) {
    struct shelf *s = shelf;
    s->box->bytes -= s->catalog->bytes;
    cache_done(&s->offers);
    catalog_unref(s->catalog);
    mem_free(s);
}

static void add_to_key(struct strbuf *key, const struct catalog_source *s) {
    strbuf_add(key, s->server);
    strbuf_addc(key, ' ');
    strbuf_add(key, s->tools->digest);
    for (size_t i = 0; i < s->n_pinned; i++) {
        strbuf_addf(key, " %zu:", s->pinned[i].n);
        strbuf_add(key, s->pinned[i]);
    }
    strbuf_addc(key, '\n');
}

/* The new one stays even if it is too large alone: the turn at hand needs it. */
static struct shelf *add_shelf(struct toolbox *b, struct str key, struct catalog *catalog) {
    struct shelf *s = mem_alloc(sizeof *s);
    *s = (struct shelf){.box = b, .catalog = catalog};
    cache_init(&s->offers, TOOLBOX_OFFERS, drop_offer);
    b->bytes += catalog->bytes;
    while (cache_count(&b->shelves) && b->bytes > TOOLBOX_CATALOG_BYTES) {
        cache_drop_oldest(&b->shelves);
    }
    cache_put(&b->shelves, key, s);
    return s;
}

static struct shelf *get_shelf(struct toolbox *b, const struct catalog_source *sources, size_t n) {
    struct strbuf key cleanup(strbuf_done) = STRBUF(SIZE_MAX / 2);
    strbuf_addc(&key, '=');
    for (size_t i = 0; i < n; i++) {
        add_to_key(&key, &sources[i]);
    }
    struct shelf *s = cache_get(&b->shelves, strbuf_str(&key));
    return s ? s : add_shelf(b, strbuf_str(&key), catalog_new(b->options.registry, sources, n));
}

/* Held for the caller. */
static struct offer *get_offer(struct shelf *s, const bool *usable,
                               const struct user_rules *rules) {
    struct strbuf key cleanup(strbuf_done) = STRBUF(1024);
    strbuf_addc(&key, '=');
    for (size_t i = 0; i < s->catalog->n_sources; i++) {
        strbuf_addc(&key, usable[i] ? '1' : '0');
    }
    strbuf_addc(&key, ' ');
    strbuf_add(&key, rules->digest);
    struct offer *o = cache_get(&s->offers, strbuf_str(&key));
    if (!o) {
        o = offer_new(s->catalog, usable, &rules->policies);
        cache_put(&s->offers, strbuf_str(&key), o);
    }
    o->refs++;
    return o;
}

/* The servers whose lists are known; the lists are adapted. */
static size_t collect(const struct bridge_view *view, struct catalog_source *ret) {
    size_t n = 0;
    for (size_t i = 0; i < view->n && n < TOOLBOX_MAX_SERVERS; i++) {
        const struct bridge_server *s = &view->servers[i];
        if (s->tools) {
            adapted_list_make(s->tools);
            ret[n++] = (struct catalog_source){s->name, s->tools, s->pinned, s->n_pinned};
        }
    }
    return n;
}

static int see_servers(struct toolbox *b, struct str user_id, int64_t wait_ms,
                       struct bridge_view *ret, struct err *err) {
    if (!b->options.bridges ||
        bridge_view_open(b->options.bridges, user_id, wait_ms, ret, err) == 0) {
        return 0;
    }
    if (err->code == ERR_CANCELLED) {
        return -(int)err->code;
    }
    log_warn("tool", "a turn goes on without MCP servers: %s", err->msg);
    *ret = (struct bridge_view){0};
    return 0;
}

int toolbox_offer(struct toolbox *b, struct str user_id, struct str skill, int64_t wait_ms,
                  struct offer **ret, struct err *err) {
    struct user_rules *rules cleanup(rules_unref_p) = NULL;
    struct bridge_view view cleanup(bridge_view_done) = {0};
    struct catalog_source sources[TOOLBOX_MAX_SERVERS];
    bool usable[TOOLBOX_MAX_SERVERS];
    if (see_servers(b, user_id, wait_ms, &view, err) < 0) {
        return -(int)err->code;
    }
    size_t n = collect(&view, sources);
    /* Behind all that waits, so that a rule made meanwhile counts. */
    if (get_rules(b, user_id, &rules, err) < 0) {
        return -(int)err->code;
    }
    for (size_t i = 0; i < n; i++) {
        usable[i] = bridges_skill_uses(b->options.bridges, skill, sources[i].server);
    }
    *ret = get_offer(get_shelf(b, sources, n), usable, rules);
    return 0;
}

/* ---- changing rules ---- */

static struct str rule_subject(struct arena *arena, struct str server, struct str tool) {
    return arena_printf(arena, "%.*s/%.*s", STR_ARG(server), STR_ARG(tool));
}

static void changed(struct toolbox *b, struct str user_id) {
    if (b->options.epochs) {
        user_epoch_changed(b->options.epochs, user_id);
    }
}

int toolbox_policy_set(struct toolbox *b, struct str user_id, struct str actor,
                       const struct policy_rule *rule, struct err *err) {
    struct arena arena cleanup(arena_done) = {0};
    struct policy_row row = {.server = rule->server,
                             .tool = rule->tool,
                             .policy = str_z(policy_name(rule->policy)),
                             .updated_us = clock_now_us()};
    struct audit_entry audit = {
        .user_id = user_id,
        .actor = actor,
        .action = STR("policy.set"),
        .subject = rule_subject(&arena, rule->server, rule->tool),
        .detail = arena_printf(&arena, "{\"policy\":\"%s\"}", policy_name(rule->policy))};
    if (policy_put(b->options.db, user_id, &row, POLICIES_MAX, &audit, err) < 0) {
        return -(int)err->code;
    }
    changed(b, user_id);
    return 0;
}

int toolbox_policy_reset(struct toolbox *b, struct str user_id, struct str actor, struct str server,
                         struct str tool, struct err *err) {
    struct arena arena cleanup(arena_done) = {0};
    struct audit_entry audit = {.user_id = user_id,
                                .actor = actor,
                                .action = STR("policy.reset"),
                                .subject = rule_subject(&arena, server, tool)};
    if (policy_delete(b->options.db, user_id, server, tool, &audit, err) < 0) {
        return -(int)err->code;
    }
    changed(b, user_id);
    return 0;
}

/* ---- the box ---- */

struct toolbox *toolbox_new(const struct toolbox_options *options) {
    struct toolbox *b = mem_alloc(sizeof *b);
    b->options = *options;
    cache_init(&b->rules, TOOLBOX_USERS, rules_unref);
    cache_init(&b->shelves, TOOLBOX_CATALOGS, drop_shelf);
    return b;
}

void toolbox_free(struct toolbox *b) {
    if (b) {
        cache_done(&b->shelves);
        cache_done(&b->rules);
        mem_free(b);
    }
}
