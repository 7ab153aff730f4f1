/* The line between the processes: one channel, four messages, each of which names its sender:
 *
 *     here <process> <slots>     the sender has watchers of users in these slots; renewed
 *     who <process>              everybody tells what is watched, please
 *     missed <process> <slots>   something of users in these slots was not told
 *     changed <process>          then a section a user: the user's id, JSON texts, an empty line
 *
 * A process keeps what others watch for a while. Where it did not know better and told nobody, it
 * says so once somebody turns out to watch: so a watcher hears of all that happened after it began,
 * if only as "all". */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "event/feed_internal.h"

enum {
    RENEW_MS = 30 * 1000,
    RETRY_MS = 1000,
    ANNOUNCE_MS = 2000,
};
#define HERE_US (100 * INT64_C(1000000))  /* so long "here" holds */
#define BLIND_US (5 * INT64_C(1000000))   /* so long "who" may take to be answered */
#define UNTOLD_US (10 * INT64_C(1000000)) /* so long "here" may be on its way */
#define CHANNEL "adjutant_feed"

struct section {
    struct list in_outbox;
    unsigned slot;
    size_t n;
    char text[];
};

/* ---- slots as text ---- */

static void slots_write(const struct feed_slots *s, struct strbuf *out) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < sizeof s->bits; i++) {
        strbuf_addc(out, digits[s->bits[i] >> 4]);
        strbuf_addc(out, digits[s->bits[i] & 15]);
    }
}

static int nibble(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool slots_read(struct str text, struct feed_slots *ret) {
    if (text.n != 2 * sizeof ret->bits) {
        return false;
    }
    for (size_t i = 0; i < sizeof ret->bits; i++) {
        int high = nibble(text.p[2 * i]), low = nibble(text.p[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        ret->bits[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* ---- what is known of the others ---- */

bool line_wanted(const struct feed *f, unsigned slot) {
    if (!f->shared) {
        return false;
    }
    int64_t now_us = clock_mono_us();
    return now_us < f->line.elsewhere_until_us[slot] || now_us < f->line.blind_until_us;
}

void line_note_untold(struct feed *f, unsigned slot) {
    if (f->shared) {
        f->line.untold_us[slot] = clock_mono_us();
    }
}

void line_note_missed(struct feed *f, unsigned slot) {
    slots_set(&f->line.missed, slot);
    f->line.any_missed = true;
    fiber_signal(&f->line.work);
}

/* ---- hearing ---- */

static void on_here(struct feed *f, struct str text) {
    struct feed_line *l = &f->line;
    struct feed_slots slots;
    int64_t now_us = clock_mono_us();
    if (!slots_read(text, &slots)) {
        return;
    }
    for (unsigned i = 0; i < FEED_SLOTS; i++) {
        if (!slots_have(&slots, i)) {
            continue;
        }
        bool is_new = now_us >= l->elsewhere_until_us[i];
        l->elsewhere_until_us[i] = now_us + HERE_US;
        if (is_new && l->untold_us[i] && now_us - l->untold_us[i] < UNTOLD_US) {
            line_note_missed(f, i);
        }
    }
}

static void on_missed(struct feed *f, struct str text) {
    struct feed_slots slots;
    if (slots_read(text, &slots)) {
        feed_missed(f, &slots);
    }
}

static void on_changed(struct feed *f, struct str sections) {
    while (sections.n) {
        struct str user_id = str_cut(&sections, '\n');
        size_t end = str_starts(sections, STR("\n")) ? 0 : str_find(sections, STR("\n\n"));
        size_t n = end == 0 ? 0 : end == SIZE_MAX ? sections.n : end + 1;
        feed_hand_out(f, user_id, str_head(sections, n));
        sections = str_skip(sections, n + 1);
    }
}

static void on_notify(struct str payload, void *feed) {
    struct feed *f = feed;
    struct str body = payload;
    struct str head = str_cut(&body, '\n');
    struct str word = str_cut(&head, ' ');
    if (str_eq(str_cut(&head, ' '), id_str(&f->line.self))) {
        return;
    }
    f->stats.received++;
    if (str_eq(word, STR("changed"))) {
        on_changed(f, body);
    } else if (str_eq(word, STR("here"))) {
        on_here(f, head);
    } else if (str_eq(word, STR("missed"))) {
        on_missed(f, head);
    } else if (str_eq(word, STR("who"))) {
        f->line.announce++;
        fiber_signal(&f->line.work);
    }
}

/* We listen, from now on or again: what came before was not heard, and what others watch by now is
 * not known. */
static void on_lost(void *feed) {
    struct feed *f = feed;
    struct feed_line *l = &f->line;
    bool again = l->listening;
    l->listening = true;
    l->blind_until_us = clock_mono_us() + BLIND_US;
    l->ask = true;
    l->announce++;
    if (again) {
        feed_missed(f, NULL);
    }
    for (unsigned i = 0; again && i < FEED_SLOTS; i++) {
        if (l->untold_us[i]) {
            l->untold_us[i] = 0;
            line_note_missed(f, i);
        }
    }
    fiber_signal(&l->work);
}

/* ---- telling ---- */

static int post(struct feed *f, struct str payload) {
    struct feed_line *l = &f->line;
    struct err err;
    int rc = db_notify(f->db, CHANNEL, payload, &err);
    if (rc < 0) {
        if (!l->failing && rc != -ERR_CANCELLED) {
            log_warn("event", "telling other processes of changes failed: %s", err.msg);
        }
        l->failing = true;
        return rc;
    }
    f->stats.sent++;
    if (l->failing) { /* others may have taken us for dead meanwhile */
        l->failing = false;
        feed_missed(f, NULL);
    }
    return 0;
}

static int post_slots(struct feed *f, const char *word, const struct feed_slots *slots) {
    struct strbuf payload cleanup(strbuf_done) = STRBUF(DB_NOTIFY_MAX_BYTES);
    strbuf_addf(&payload, "%s %s ", word, f->line.self.z);
    slots_write(slots, &payload);
    return post(f, strbuf_str(&payload));
}

static int ask(struct feed *f) {
    struct strbuf payload cleanup(strbuf_done) = STRBUF(DB_NOTIFY_MAX_BYTES);
    f->line.ask = false;
    strbuf_addf(&payload, "who %s", f->line.self.z);
    int rc = post(f, strbuf_str(&payload));
    f->line.ask |= rc < 0;
    return rc;
}

static int announce(struct feed *f) {
    struct feed_line *l = &f->line;
    struct feed_slots slots = {0};
    uint64_t up_to = l->announce;
    bool any = false;
    for (unsigned i = 0; i < FEED_SLOTS; i++) {
        if (f->here[i]) {
            slots_set(&slots, i);
            any = true;
        }
    }
    int rc = any ? post_slots(f, "here", &slots) : 0;
    if (rc == 0) {
        l->announced = up_to;
        fiber_broadcast(&l->done);
    }
    return rc;
}

static int send_missed(struct feed *f) {
    struct feed_line *l = &f->line;
    struct feed_slots slots = l->missed;
    l->missed = (struct feed_slots){0};
    l->any_missed = false;
    int rc = post_slots(f, "missed", &slots);
    for (unsigned i = 0; rc < 0 && i < FEED_SLOTS; i++) {
        if (slots_have(&slots, i)) {
            line_note_missed(f, i);
        }
    }
    return rc;
}

static bool fits(const struct strbuf *payload, const struct section *s) {
    return payload->n + s->n <= DB_NOTIFY_MAX_BYTES;
}

/* As many sections as one message has room for. */
static int send_changes(struct feed *f) {
    struct strbuf payload cleanup(strbuf_done) = STRBUF(DB_NOTIFY_MAX_BYTES);
    struct feed_line *l = &f->line;
    struct feed_slots slots = {0};
    strbuf_addf(&payload, "changed %s\n", l->self.z);
    while (!list_empty(&l->outbox)) {
        struct section *s = list_entry(l->outbox.next, struct section, in_outbox);
        if (!fits(&payload, s)) {
            break;
        }
        list_remove(&s->in_outbox);
        l->n_outbox--;
        slots_set(&slots, s->slot);
        strbuf_add(&payload, (struct str){s->text, s->n});
        mem_free(s);
    }
    int rc = post(f, strbuf_str(&payload));
    for (unsigned i = 0; rc < 0 && i < FEED_SLOTS; i++) {
        if (slots_have(&slots, i)) {
            line_note_missed(f, i);
        }
    }
    return rc;
}

static void add_section(struct feed *f, const struct feed_user *u, struct str lines) {
    struct feed_line *l = &f->line;
    struct section *s = mem_alloc(sizeof *s + u->id.n + lines.n + 2);
    s->slot = u->slot;
    s->n = u->id.n + lines.n + 2;
    memcpy(s->text, u->id.p, u->id.n);
    s->text[u->id.n] = '\n';
    memcpy(s->text + u->id.n + 1, lines.p, lines.n);
    s->text[s->n - 1] = '\n';
    list_push(&l->outbox, &s->in_outbox);
    l->n_outbox++;
}

/* Whole lines, as many as a message has room for. */
static struct str some_lines(struct str lines, size_t max) {
    size_t n = 0;
    while (n < lines.n) {
        size_t end = n + str_find_char(str_skip(lines, n), '\n') + 1;
        if (end > max && n > 0) {
            break;
        }
        n = end;
    }
    return str_head(lines, n);
}

void line_post(struct feed *f, const struct feed_user *u, struct str lines) {
    struct feed_line *l = &f->line;
    if (!f->shared) {
        return;
    }
    size_t max = FEED_SECTION_BYTES - MIN(u->id.n, (size_t)FEED_SECTION_BYTES);
    while (lines.n) {
        struct str some = some_lines(lines, max);
        lines = str_skip(lines, some.n);
        if (l->n_outbox >= FEED_MAX_OUTBOX || some.n > max) {
            line_note_missed(f, u->slot);
            return;
        }
        add_section(f, u, some);
    }
    fiber_signal(&l->work);
}

void line_announce(struct feed *f) {
    struct feed_line *l = &f->line;
    int64_t deadline_us = clock_mono_us() + ANNOUNCE_MS * 1000;
    if (!f->shared || !l->started) {
        return;
    }
    uint64_t wanted = ++l->announce;
    fiber_signal(&l->work);
    while (l->announced < wanted && !l->stopped) {
        int64_t left_ms = (deadline_us - clock_mono_us()) / 1000;
        if (left_ms <= 0 || fiber_wait(&l->done, left_ms) < 0) {
            return;
        }
    }
}

/* ---- the fiber that tells ---- */

static int do_next(struct feed *f, int64_t *renew_us) {
    struct feed_line *l = &f->line;
    int64_t now_us = clock_mono_us();
    if (l->ask) {
        return ask(f);
    }
    if (l->announce != l->announced || now_us >= *renew_us) {
        *renew_us = now_us + RENEW_MS * 1000;
        return announce(f);
    }
    if (l->any_missed) {
        return send_missed(f);
    }
    if (!list_empty(&l->outbox)) {
        return send_changes(f);
    }
    int rc = fiber_wait(&l->work, (*renew_us - now_us) / 1000 + 1);
    return rc == -ERR_TIMEOUT ? 0 : rc;
}

static void line_main(void *feed) {
    struct feed *f = feed;
    int64_t renew_us = 0;
    while (!fiber_cancelled()) {
        if (do_next(f, &renew_us) < 0) {
            (void)!fiber_sleep(RETRY_MS);
        }
    }
    if (!f->line.failing && !list_empty(&f->line.outbox)) { /* what happened at the very end */
        fiber_shield_enter();
        (void)!send_changes(f);
        fiber_shield_leave();
    }
    fiber_broadcast(&f->line.done);
}

void line_init(struct feed *f) {
    struct feed_line *l = &f->line;
    l->self = id_new();
    l->blind_until_us = INT64_MAX;
    list_init(&l->outbox);
    fiber_cond_init(&l->work);
    fiber_cond_init(&l->done);
}

int line_start(struct feed *f, struct err *err) {
    if (!f->shared) {
        return 0;
    }
    if (db_listen(f->db, CHANNEL, on_notify, on_lost, f, err) < 0 ||
        fiber_spawn(&f->scope, "feed line", line_main, f, NULL, err) < 0) {
        return -(int)err->code;
    }
    f->line.started = true;
    return 0;
}

void line_done(struct feed *f) {
    struct list *node;
    while ((node = list_pop(&f->line.outbox))) {
        mem_free(list_entry(node, struct section, in_outbox));
    }
}
