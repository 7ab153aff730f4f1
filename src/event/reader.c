/* The readers' side: one cursor, fed from this process's memory, from the store, or from another
 * process. */
#include <assert.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "event/event.h"
#include "event/internal.h"

enum {
    MAX_OPEN_ITEMS = 64,
    STORED_BYTES = 256 * 1024, /* read ahead of a batch */
    STORED_MAX_BYTES = 64 * 1024 * 1024,
    OPEN_ID_BYTES = 320, /* as JSON has it: each character may be escaped */
    RECHECK_MS = 1000,   /* how often a turn that runs nowhere is looked for again */
    FRUITLESS_MS = 250,  /* before another process is asked again that had nothing to say */
};

/* A message, reasoning item or tool call whose START was delivered and whose END was not. */
struct open_item {
    char *id;
    const char *end_type, *id_key;
};

struct run_reader {
    struct runs *runs;
    struct str user_id, turn_id, thread_id;
    int64_t cursor; /* number of the last event delivered */
    bool started;   /* RUN_STARTED was delivered, or lies before the cursor */
    struct run *live;
    struct remote *remote;
    int64_t remote_since; /* the cursor when the other process was asked */
    bool ended;

    struct strbuf stored; /* lines read from the store, delivered up to stored_taken */
    size_t stored_taken;
    struct strbuf bytes; /* what the delivered views show */
    struct {
        int64_t seq;
        size_t at, n;
    } pieces[RUN_BATCH_EVENTS];
    size_t n_pieces;
    struct run_event events[RUN_BATCH_EVENTS];

    struct open_item open[MAX_OPEN_ITEMS];
    size_t n_open;
};

static struct run_reader *reader_new(struct runs *runs, struct str user_id, struct str turn_id) {
    struct run_reader *r = mem_alloc(sizeof *r);
    r->runs = runs;
    r->user_id = (struct str){str_dup_z(user_id), user_id.n};
    r->turn_id = (struct str){str_dup_z(turn_id), turn_id.n};
    r->bytes = STRBUF(32 * 1024 * 1024);
    return r;
}

static void forget_open_items(struct run_reader *r) {
    while (r->n_open) {
        mem_free(r->open[--r->n_open].id);
    }
}

static void leave_sources(struct run_reader *r) {
    if (r->live) {
        run_reader_detach(take(r->live));
    }
    remote_close(take(r->remote));
}

void run_reader_close(struct run_reader *r) {
    if (r) {
        leave_sources(r);
        forget_open_items(r);
        strbuf_done(&r->bytes);
        strbuf_done(&r->stored);
        mem_free((char *)r->user_id.p);
        mem_free((char *)r->turn_id.p);
        mem_free((char *)r->thread_id.p);
        mem_free(r);
    }
}

static void follow_live(struct run_reader *r, struct run *run) {
    run_reader_attach(run);
    r->live = run;
}

struct run_reader *run_reader_open_live_since(struct run *run, int64_t since) {
    struct run_reader *r = reader_new(run->runs, run->user_id, run->turn_id);
    r->thread_id = (struct str){str_dup_z(run->thread_id), run->thread_id.n};
    r->cursor = since;
    r->started = since > 0;
    follow_live(r, run);
    return r;
}

struct run_reader *run_reader_open_live(struct run *run) {
    return run_reader_open_live_since(run, 0);
}

/* ---- delivering ---- */

/* The kinds of events that open and close something, by the word in front of _START and _END. */
static const struct item_kind {
    const char *start, *end, *id_key;
} item_kinds[] = {
    {"TEXT_MESSAGE_START", "TEXT_MESSAGE_END", "messageId"},
    {"TOOL_CALL_START", "TOOL_CALL_END", "toolCallId"},
    {"REASONING_MESSAGE_START", "REASONING_MESSAGE_END", "messageId"},
    {"REASONING_START", "REASONING_END", "messageId"},
};

/* The type word of an event this program wrote: it comes first. */
static struct str event_type(struct str json) {
    struct str rest = str_skip(json, sizeof "{\"type\":\"" - 1);
    return str_head(rest, str_find_char(rest, '"'));
}

/* As it stands in the JSON, escapes and all, to be written again so. */
static struct str event_id(struct str json, const char *key) {
    char pattern[32];
    int n = snprintf(pattern, sizeof pattern, "\"%s\":\"", key);
    struct str rest = str_skip(json, str_find(json, (struct str){pattern, (size_t)n}));
    rest = str_skip(rest, (size_t)n);
    size_t end = 0;
    while (end < rest.n && rest.p[end] != '"') {
        end += rest.p[end] == '\\' ? 2 : 1;
    }
    return str_head(rest, end);
}

static void note_open(struct run_reader *r, const struct item_kind *kind, struct str id) {
    if (r->n_open < MAX_OPEN_ITEMS && id.n < OPEN_ID_BYTES) {
        r->open[r->n_open++] = (struct open_item){str_dup_z(id), kind->end, kind->id_key};
    }
}

static void note_closed(struct run_reader *r, const struct item_kind *kind, struct str id) {
    for (size_t i = 0; i < r->n_open; i++) {
        if (r->open[i].end_type == kind->end && str_eq(str_z(r->open[i].id), id)) {
            mem_free(r->open[i].id);
            r->open[i] = r->open[--r->n_open];
            return;
        }
    }
}

/* Remembers what is open, so that it can be closed should its owner die. */
static void track(struct run_reader *r, struct str type, struct str json) {
    bool start = str_ends(type, STR("_START")), end = str_ends(type, STR("_END"));
    for (size_t i = 0; (start || end) && i < ARRAY_LEN(item_kinds); i++) {
        const struct item_kind *kind = &item_kinds[i];
        if (str_eq(type, str_z(start ? kind->start : kind->end))) {
            struct str id = event_id(json, kind->id_key);
            start ? note_open(r, kind, id) : note_closed(r, kind, id);
        }
    }
}

static bool batch_full(const struct run_reader *r) {
    return r->n_pieces == RUN_BATCH_EVENTS || r->bytes.n >= RUN_BATCH_BYTES;
}

static void put(struct run_reader *r, int64_t seq, struct str json) {
    r->pieces[r->n_pieces].seq = seq;
    r->pieces[r->n_pieces].at = r->bytes.n;
    r->pieces[r->n_pieces++].n = json.n;
    strbuf_add(&r->bytes, json);
}

/* Events of a new owner follow: what the dead one left open ends here. These ends have no number.
 */
static void close_open_items(struct run_reader *r) {
    while (r->n_open && !batch_full(r)) {
        struct open_item *item = &r->open[--r->n_open];
        struct strbuf end cleanup(strbuf_done) = STRBUF(1024);
        strbuf_addf(&end, "{\"type\":\"%s\",\"%s\":\"%s\"}", item->end_type, item->id_key,
                    item->id);
        put(r, 0, strbuf_str(&end));
        mem_free(item->id);
    }
}

/* False when the batch is full before it. */
static bool deliver(struct run_reader *r, int64_t seq, struct str json) {
    bool new_owner = r->cursor && seq / RUN_EPOCH_SEQS != r->cursor / RUN_EPOCH_SEQS;
    if (new_owner) {
        close_open_items(r);
    }
    if (batch_full(r)) {
        return false;
    }
    struct str type = event_type(json);
    r->cursor = seq;
    if (str_eq(type, STR("RUN_STARTED"))) {
        if (r->started) { /* told already, by an owner that died before it could store it */
            return true;
        }
        r->started = true;
    }
    track(r, type, json);
    put(r, seq, json);
    return true;
}

/* ---- sources ---- */

static void deliver_live(struct run_reader *r) {
    const struct run *run = r->live;
    for (int64_t seq = MAX(r->cursor + 1, run->first_seq); seq <= run->visible_seq; seq++) {
        const struct run_entry *entry = run->entries[seq - run->first_seq];
        if (!deliver(r, seq, (struct str){entry->json, entry->n})) {
            return;
        }
    }
}

static bool behind_live(const struct run_reader *r) {
    return r->cursor + 1 < r->live->first_seq;
}

static bool live_has_more(const struct run_reader *r) {
    return r->cursor < r->live->visible_seq;
}

/* *ret_taken: the bytes of the lines that were delivered or had been before. */
static int deliver_lines(struct run_reader *r, struct str lines, size_t *ret_taken,
                         struct err *err) {
    struct str rest = lines;
    *ret_taken = 0;
    while (rest.n) {
        struct str line = str_cut(&rest, '\n');
        int64_t seq;
        if (!str_to_i64(str_cut(&line, ' '), &seq)) {
            return err_set(err, ERR_INTERNAL, "the stored events of turn %.*s are damaged",
                           STR_ARG(r->turn_id));
        }
        if (seq > r->cursor && !deliver(r, seq, line)) {
            break;
        }
        *ret_taken = lines.n - rest.n;
    }
    return 0;
}

/* A batch takes less than was read; the rest is kept for the next, or long turns would be read
 * again for every batch. */
static int deliver_stored(struct run_reader *r, struct err *err) {
    struct turn_key key = {r->user_id, r->turn_id};
    size_t taken;
    if (r->stored_taken >= r->stored.n) {
        strbuf_reset(&r->stored);
        r->stored_taken = 0;
        r->stored.max = STORED_BYTES;
        int rc = turn_events(r->runs->db, key, r->cursor, &r->stored, err);
        if (rc == -ERR_LIMIT) { /* one event alone is larger */
            r->stored.max = STORED_MAX_BYTES;
            rc = turn_events(r->runs->db, key, r->cursor, &r->stored, err);
        }
        if (rc < 0) {
            return rc;
        }
    }
    if (deliver_lines(r, str_skip(strbuf_str(&r->stored), r->stored_taken), &taken, err) < 0) {
        return -(int)err->code;
    }
    r->stored_taken += taken;
    if (r->stored_taken >= r->stored.n) {
        strbuf_done(&r->stored);
        r->stored_taken = 0;
    }
    return 0;
}

/* ---- a turn whose events were swept: its outcome, from what stays for ever ---- */

static void deliver_end(struct run_reader *r, const struct turn_row *row) {
    struct strbuf event cleanup(strbuf_done) = STRBUF(8192);
    struct llm_usage none = {0};
    if (row->state == TURN_FAILED) {
        event_run_error(&event, row->error, row->error_code);
    } else if (row->state == TURN_CANCELLED) {
        event_run_cancelled(&event, r->thread_id, r->turn_id);
    } else {
        event_run_finished(&event, r->thread_id, r->turn_id, &none, STR_EMPTY, STR_EMPTY);
    }
    put(r, 0, strbuf_str(&event));
}

static int deliver_outcome(struct run_reader *r, const struct turn_row *row, struct err *err) {
    struct strbuf event cleanup(strbuf_done) = STRBUF(EVENT_MAX_SNAPSHOT_BYTES + 1024);
    if (!r->started) {
        event_run_started(&event, r->thread_id, r->turn_id);
        put(r, 0, strbuf_str(&event));
        r->started = true;
    }
    strbuf_reset(&event);
    if (event_thread_snapshot(&event, r->runs->db, r->user_id, r->thread_id, err) < 0) {
        return -(int)err->code;
    }
    put(r, 0, strbuf_str(&event));
    deliver_end(r, row);
    return 0;
}

/* ---- reading ---- */

/* Where the turn runs may have changed: looks, and picks the source to go on with. */
static int locate(struct run_reader *r, struct err *err) {
    struct run *run = run_find(r->runs, r->user_id, r->turn_id);
    if (run) {
        follow_live(r, run);
        return 0;
    }
    struct arena arena cleanup(arena_done) = {0};
    struct turn_row row;
    struct turn_key key = {r->user_id, r->turn_id};
    /* The state first, then the events: in the other order an end in between would be missed. */
    if (turn_get(r->runs->db, key, &arena, &row, err) < 0) {
        return -(int)err->code;
    }
    if (r->thread_id.p == NULL) {
        r->thread_id = (struct str){str_dup_z(row.thread_id), row.thread_id.n};
    }
    if (deliver_stored(r, err) < 0) {
        return -(int)err->code;
    }
    if (r->n_pieces) {
        return 0;
    }
    if (!turn_state_open(row.state)) {
        r->ended = true;
        return r->cursor && r->started ? 0 : deliver_outcome(r, &row, err);
    }
    run = run_find(r->runs, r->user_id, r->turn_id);
    if (run) { /* it began while the store was asked */
        follow_live(r, run);
        return 0;
    }
    if (row.state == TURN_RUNNING && row.lease_owner.n &&
        !str_eq(row.lease_owner, r->runs->process_id) && db_backend(r->runs->db) == DB_POSTGRES) {
        r->remote = remote_open(r->runs, row.lease_owner, r->user_id, r->turn_id, r->cursor);
        r->remote_since = r->cursor;
    }
    return 0;
}

static int wait_until(struct fiber_cond *cond, int64_t deadline_us, int64_t at_most_ms) {
    int64_t left_ms = (deadline_us - clock_mono_us() + 999) / 1000;
    if (left_ms <= 0) {
        return -ERR_TIMEOUT;
    }
    int rc = fiber_wait(cond, MIN(left_ms, at_most_ms));
    return rc == -ERR_TIMEOUT && left_ms > at_most_ms ? 0 : rc;
}

static int read_live(struct run_reader *r, int64_t deadline_us, struct err *err) {
    struct run *run = r->live;
    if (behind_live(r) && deliver_stored(r, err) < 0) {
        return -(int)err->code;
    }
    if (r->n_pieces == 0) {
        deliver_live(r);
    }
    if (r->n_pieces || live_has_more(r)) {
        return 0;
    }
    if (run->closed) {
        r->ended = !run->abandoned;
        run_reader_detach(take(r->live));
        return 0;
    }
    return wait_until(&run->changed, deadline_us, INT32_MAX);
}

static int read_remote(struct run_reader *r, int64_t deadline_us, struct err *err) {
    struct strbuf lines cleanup(strbuf_done) = STRBUF(32 * 1024 * 1024);
    int64_t left_ms = (deadline_us - clock_mono_us()) / 1000;
    if (left_ms <= 0) {
        return -ERR_TIMEOUT;
    }
    if (!remote_read(r->remote, left_ms, &lines)) {
        remote_close(take(r->remote));
        /* An owner that knows nothing of its turn must not be asked as fast as it can answer. */
        bool fruitless = r->cursor == r->remote_since;
        return fruitless ? wait_until(&r->runs->opened, deadline_us, FRUITLESS_MS) : 0;
    }
    size_t taken;
    return deliver_lines(r, strbuf_str(&lines), &taken, err);
}

static void show(struct run_reader *r, const struct run_event **ret, size_t *ret_n) {
    for (size_t i = 0; i < r->n_pieces; i++) {
        r->events[i] = (struct run_event){.seq = r->pieces[i].seq,
                                          .json = {r->bytes.p + r->pieces[i].at, r->pieces[i].n}};
    }
    *ret = r->events;
    *ret_n = r->n_pieces;
}

int run_read(struct run_reader *r, int64_t timeout_ms, const struct run_event **ret, size_t *ret_n,
             struct err *err) {
    int64_t deadline_us = clock_mono_us() + timeout_ms * 1000;
    int rc = 0;
    fiber_point();
    strbuf_reset(&r->bytes);
    r->n_pieces = 0;
    while (rc == 0 && r->n_pieces == 0 && !r->ended) {
        if (fiber_cancelled()) {
            rc = -ERR_CANCELLED;
        } else if (r->live) {
            rc = read_live(r, deadline_us, err);
        } else if (r->remote) {
            rc = read_remote(r, deadline_us, err);
        } else {
            rc = locate(r, err);
            if (rc == 0 && !r->live && !r->remote && !r->n_pieces && !r->ended) {
                rc = wait_until(&r->runs->opened, deadline_us, RECHECK_MS);
            }
        }
    }
    if (rc < 0 && r->n_pieces == 0) {
        return rc == -ERR_TIMEOUT || rc == -ERR_CANCELLED
                   ? err_set(err, (enum err_code) - rc, "no event")
                   : rc;
    }
    show(r, ret, ret_n);
    return 0;
}

int run_reader_open(struct runs *runs, struct str user_id, struct str turn_id, int64_t since,
                    struct run_reader **ret, struct err *err) {
    struct run_reader *r = reader_new(runs, user_id, turn_id);
    fiber_point();
    r->cursor = since;
    r->started = since > 0;
    if (locate(r, err) < 0) {
        run_reader_close(r);
        return -(int)err->code;
    }
    /* What locate found already is found again by the first read. */
    r->cursor = since;
    r->started = since > 0;
    r->ended = false;
    r->n_pieces = r->stored_taken = 0;
    forget_open_items(r);
    *ret = r;
    return 0;
}
