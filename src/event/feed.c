/* What changed, user by user: coalesced, then told. */
#include "event/feed.h"

#include <assert.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "event/feed_internal.h"

enum { MAX_LINES_BYTES = 256 * 1024 };

enum what { THREAD, TURN, INTERRUPT, NOTIFICATION, SETTINGS };

/* Two of the same words are one; of a turn's states the newest counts. */
struct change {
    struct list in_user;
    enum what what;
    const char *state;
    struct str thread, id;
    char text[];
};

static const char ALL[] = "{\"type\":\"changed\",\"what\":\"all\"}\n";

/* FNV-1a, folded. Every process must come to the same. */
unsigned feed_slot(struct str user_id) {
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < user_id.n; i++) {
        h = (h ^ (unsigned char)user_id.p[i]) * UINT64_C(0x100000001b3);
    }
    return (unsigned)((h ^ h >> 32) % FEED_SLOTS);
}

/* ---- users ---- */

static struct feed_user *user_get(struct feed *f, struct str user_id) {
    struct feed_user *u = map_get(&f->users, user_id);
    if (!u) {
        u = mem_alloc(sizeof *u);
        u->id = (struct str){str_dup_z(user_id), user_id.n};
        u->slot = feed_slot(user_id);
        list_init(&u->watchers);
        list_init(&u->changes);
        map_put(&f->users, user_id, u);
    }
    return u;
}

static void drop_changes(struct feed_user *u) {
    struct list *node;
    while ((node = list_pop(&u->changes))) {
        mem_free(list_entry(node, struct change, in_user));
    }
    u->n_changes = 0;
}

static void user_unpin(struct feed *f, struct feed_user *u) {
    if (u->pins > 0 && --u->pins > 0) {
        return;
    }
    if (u->n_watchers == 0 && !list_linked(&u->in_due)) {
        map_remove(&f->users, u->id);
        drop_changes(u);
        mem_free((void *)(uintptr_t)u->id.p);
        mem_free(u);
    }
}

/* ---- changes ---- */

static bool is_same(const struct change *a, const struct change *b) {
    return a->what == b->what && str_eq(a->id, b->id) && str_eq(a->thread, b->thread);
}

static struct change *find(struct feed_user *u, const struct change *c) {
    list_each (node, &u->changes) {
        struct change *known = list_entry(node, struct change, in_user);
        if (is_same(known, c)) {
            return known;
        }
    }
    return NULL;
}

static void add(struct feed_user *u, const struct change *c) {
    struct change *known = find(u, c);
    if (known) {
        known->state = c->state;
        return;
    }
    if (u->n_changes == FEED_MAX_CHANGES) {
        u->all = true;
        drop_changes(u);
        return;
    }
    struct change *copy = mem_alloc(sizeof *copy + c->thread.n + c->id.n);
    *copy = *c;
    copy->thread.p = copy->text;
    copy->id.p = copy->text + c->thread.n;
    if (c->thread.n) {
        memcpy(copy->text, c->thread.p, c->thread.n);
    }
    if (c->id.n) {
        memcpy(copy->text + c->thread.n, c->id.p, c->id.n);
    }
    list_push(&u->changes, &copy->in_user);
    u->n_changes++;
}

static void make_due(struct feed *f, struct feed_user *u) {
    if (!list_linked(&u->in_due)) {
        u->due_us = clock_mono_us() + FEED_COALESCE_MS * 1000;
        list_push(&f->due, &u->in_due);
        f->n_due++;
        fiber_signal(&f->work);
    }
}

static void publish(struct feed *f, struct str user_id, const struct change *c) {
    if (!f || user_id.n == 0) {
        return;
    }
    unsigned slot = feed_slot(user_id);
    bool elsewhere = line_wanted(f, slot);
    struct feed_user *u = f->here[slot] ? map_get(&f->users, user_id) : NULL;
    bool here = u && u->n_watchers > 0;
    if (!elsewhere) {
        line_note_untold(f, slot);
    }
    if (!here && !elsewhere) {
        return;
    }
    if (!here && f->n_due >= FEED_MAX_DUE) {
        line_note_missed(f, slot);
        return;
    }
    u = user_get(f, user_id);
    u->elsewhere |= elsewhere;
    if (!u->all) {
        add(u, c);
    }
    make_due(f, u);
}

void feed_thread(struct feed *f, struct str user_id, struct str thread_id) {
    publish(f, user_id, &(struct change){.what = THREAD, .thread = thread_id});
}

void feed_turn(struct feed *f, struct str user_id, struct str thread_id, struct str turn_id,
               enum turn_state state) {
    publish(f, user_id,
            &(struct change){
                .what = TURN, .thread = thread_id, .id = turn_id, .state = turn_state_name(state)});
}

void feed_interrupt(struct feed *f, struct str user_id, struct str thread_id, struct str turn_id) {
    publish(f, user_id, &(struct change){.what = INTERRUPT, .thread = thread_id, .id = turn_id});
}

void feed_notification(struct feed *f, struct str user_id, struct str id) {
    publish(f, user_id, &(struct change){.what = NOTIFICATION, .id = id});
}

void feed_settings(struct feed *f, struct str user_id, enum feed_settings what) {
    static const char *const names[] = {[FEED_CREDENTIALS] = "credentials",
                                        [FEED_POLICIES] = "policies",
                                        [FEED_CONNECTIONS] = "connections",
                                        [FEED_PROFILE] = "profile",
                                        [FEED_KEYS] = "keys"};
    publish(f, user_id, &(struct change){.what = SETTINGS, .id = str_z(names[what])});
}

bool feed_wanted(struct feed *f, struct str user_id) {
    if (!f) {
        return false;
    }
    unsigned slot = feed_slot(user_id);
    return f->here[slot] > 0 || line_wanted(f, slot);
}

/* ---- as JSON ---- */

static void write_change(struct strbuf *out, const struct change *c) {
    static const char *const names[] = {[THREAD] = "thread",
                                        [TURN] = "turn",
                                        [INTERRUPT] = "interrupt",
                                        [NOTIFICATION] = "notification",
                                        [SETTINGS] = "settings"};
    static const char *const ids[] = {
        [TURN] = "runId", [INTERRUPT] = "runId", [NOTIFICATION] = "id", [SETTINGS] = "name"};
    struct jsonw w = jsonw_begin(out);
    jsonw_object(&w);
    jsonw_kstrz(&w, "type", "changed");
    jsonw_kstrz(&w, "what", names[c->what]);
    if (c->what <= INTERRUPT) {
        jsonw_kstr(&w, "threadId", c->thread);
    }
    if (c->what != THREAD) {
        jsonw_kstr(&w, ids[c->what], c->id);
    }
    if (c->what == TURN) {
        jsonw_kstrz(&w, "state", c->state);
    }
    jsonw_end_object(&w);
    strbuf_addc(out, '\n');
}

static void write_changes(struct strbuf *out, const struct feed_user *u) {
    if (u->all) {
        strbuf_addz(out, ALL);
        return;
    }
    list_each (node, &u->changes) {
        write_change(out, list_entry(node, struct change, in_user));
    }
}

/* ---- telling ---- */

static void tell(struct feed *f, struct feed_user *u, struct str lines) {
    while (lines.n) {
        struct str json = str_cut(&lines, '\n');
        list_each (node, &u->watchers) {
            struct feed_watcher *w = list_entry(node, struct feed_watcher, in_user);
            f->stats.told++;
            w->on_change(json, w->arg);
        }
    }
}

void feed_hand_out(struct feed *f, struct str user_id, struct str lines) {
    struct feed_user *u = map_get(&f->users, user_id);
    if (u && u->n_watchers > 0) {
        u->pins++; /* its last watcher may go meanwhile */
        tell(f, u, lines);
        user_unpin(f, u);
    }
}

static void flush(struct feed *f, struct feed_user *u) {
    struct strbuf lines cleanup(strbuf_done) = STRBUF(MAX_LINES_BYTES);
    write_changes(&lines, u);
    drop_changes(u);
    u->all = false;
    bool elsewhere = u->elsewhere;
    u->elsewhere = false;
    u->pins++;
    tell(f, u, strbuf_str(&lines));
    if (elsewhere) {
        line_post(f, u, strbuf_str(&lines));
    }
    user_unpin(f, u);
}

static void flush_first(struct feed *f) {
    struct feed_user *u = list_entry(list_pop(&f->due), struct feed_user, in_due);
    f->n_due--;
    flush(f, u);
}

static void flush_main(void *feed) {
    struct feed *f = feed;
    int rc = 0;
    while (rc != -ERR_CANCELLED) {
        int64_t now_us = clock_mono_us();
        struct feed_user *u =
            list_empty(&f->due) ? NULL : list_entry(f->due.next, struct feed_user, in_due);
        if (!u) {
            rc = fiber_wait(&f->work, FIBER_FOREVER); /* whoever publishes sees to it */
        } else if (u->due_us > now_us) {
            rc = fiber_sleep((u->due_us - now_us) / 1000 + 1);
        } else {
            flush_first(f);
        }
    }
}

struct missed {
    struct feed *feed;
    const struct feed_slots *slots;
};

static void miss(struct str key, void *value, void *arg) {
    struct feed_user *u = value;
    const struct missed *m = arg;
    (void)key;
    if (u->n_watchers > 0 && (!m->slots || slots_have(m->slots, u->slot))) {
        m->feed->stats.missed++;
        u->all = true;
        drop_changes(u);
        make_due(m->feed, u);
    }
}

void feed_missed(struct feed *f, const struct feed_slots *slots) {
    struct missed m = {f, slots};
    map_each(&f->users, miss, &m);
}

/* ---- watching ---- */

void feed_watch(struct feed *f, struct str user_id, struct feed_watcher *w) {
    fiber_point();
    assert(!w->user);
    struct feed_user *u = user_get(f, user_id);
    bool first = f->here[u->slot]++ == 0;
    w->user = u;
    list_push(&u->watchers, &w->in_user);
    f->stats.watched_users += u->n_watchers++ == 0;
    f->stats.watchers++;
    if (first) {
        line_announce(f);
    }
}

void feed_unwatch(struct feed *f, struct feed_watcher *w) {
    struct feed_user *u = take(w->user);
    if (!u) {
        return;
    }
    list_remove(&w->in_user);
    f->here[u->slot]--;
    f->stats.watched_users -= --u->n_watchers == 0;
    f->stats.watchers--;
    u->pins++;
    user_unpin(f, u);
}

struct feed_stats feed_stats(const struct feed *f) {
    return f->stats;
}

/* ---- its life ---- */

struct feed *feed_new(struct db *db) {
    struct feed *f = mem_alloc(sizeof *f);
    f->db = db;
    f->shared = db && db_backend(db) == DB_POSTGRES;
    fiber_scope_init(&f->scope);
    fiber_cond_init(&f->work);
    list_init(&f->due);
    line_init(f);
    return f;
}

int feed_start(struct feed *f, struct err *err) {
    fiber_point();
    if (fiber_spawn(&f->scope, "feed", flush_main, f, NULL, err) < 0) {
        return -(int)err->code;
    }
    return line_start(f, err);
}

void feed_stop(struct feed *f) {
    if (f) {
        if (f->db) {
            db_unlisten(f->db, f);
        }
        f->line.stopped = true;
        while (!list_empty(&f->due)) {
            flush_first(f);
        }
        fiber_scope_done(&f->scope);
    }
}

static void free_user(struct str key, void *value, void *arg) {
    struct feed *f = arg;
    struct feed_user *u = value;
    (void)key;
    assert(u->n_watchers == 0);
    list_remove(&u->in_due);
    user_unpin(f, u);
}

void feed_free(struct feed *f) {
    if (f) {
        map_each(&f->users, free_user, f);
        map_done(&f->users);
        line_done(f);
        mem_free(f);
    }
}
