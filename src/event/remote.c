/* Following a turn that runs in another process, through the database's messages.
 *
 * A reader asks the owner ("follow"), who forwards the run's lines in numbered pieces until the run
 * ends, the reader stops it, or the reader was not heard of for a while. Messages may be lost: a
 * missing number or a long silence sends the reader back to the store, which knows everything that
 * was stored, and it asks again. */
#include <inttypes.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "event/internal.h"

enum {
    RENEW_MS = 10 * 1000,
    BEAT_MS = 2 * 1000,
    SILENCE_MS = 6500,
    MAX_FORWARDERS = 512,
    MAX_INBOX_BYTES = 8 * 1024 * 1024,
    MAX_LINES_A_READ = 64,
    MAX_BYTES_A_READ = RUN_BATCH_BYTES / 2,
    PIECE_BYTES = DB_NOTIFY_MAX_BYTES - 100,
};

struct remote {
    struct runs *runs;
    struct id subscription;
    struct str owner, user_id, turn_id;
    int64_t since, renewed_us, heard_us;
    int64_t next_piece;
    struct strbuf inbox;
    bool broken, asked;
    struct fiber_cond arrived;
    struct list in_runs;
};

struct forwarder {
    struct runs *runs;
    struct id subscription;
    struct str to, user_id, turn_id;
    int64_t since, wanted_until_us, next_piece;
    struct list in_runs;
};

static void channel_of(struct str process_id, char ret[64]) {
    size_t n = (size_t)snprintf(ret, 64, "adjutant_events_");
    for (size_t i = 0; i < process_id.n && n < 63; i++) {
        char c = process_id.p[i];
        if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z')) {
            ret[n++] = c;
        }
    }
    ret[n] = '\0';
}

static int post(struct runs *runs, struct str process_id, struct str payload, struct err *err) {
    char channel[64];
    channel_of(process_id, channel);
    return db_notify(runs->db, channel, payload, err);
}

static struct str own_copy(struct str s) {
    return (struct str){str_dup_z(s), s.n};
}

/* ---- the reader's side ---- */

struct remote *remote_open(struct runs *runs, struct str owner, struct str user_id,
                           struct str turn_id, int64_t since) {
    struct remote *r = mem_alloc(sizeof *r);
    r->runs = runs;
    r->subscription = id_new();
    r->owner = own_copy(owner);
    r->user_id = own_copy(user_id);
    r->turn_id = own_copy(turn_id);
    r->since = since;
    r->heard_us = clock_mono_us();
    r->inbox = STRBUF(MAX_INBOX_BYTES);
    fiber_cond_init(&r->arrived);
    list_push(&runs->remote_readers, &r->in_runs);
    runs->stats.remote_readers++;
    return r;
}

/* The owner stops by itself when nobody renews, so nothing has to be told here. */
void remote_close(struct remote *r) {
    if (!r) {
        return;
    }
    r->runs->stats.remote_readers--;
    list_remove(&r->in_runs);
    strbuf_done(&r->inbox);
    mem_free((char *)r->owner.p);
    mem_free((char *)r->user_id.p);
    mem_free((char *)r->turn_id.p);
    mem_free(r);
}

static int ask(struct remote *r, struct err *err) {
    struct strbuf payload cleanup(strbuf_done) = STRBUF(DB_NOTIFY_MAX_BYTES);
    struct jsonw w = jsonw_begin(&payload);
    jsonw_object(&w);
    jsonw_kstrz(&w, "op", r->asked ? "renew" : "follow");
    jsonw_kstr(&w, "subscription", id_str(&r->subscription));
    jsonw_kstr(&w, "reply_to", r->runs->process_id);
    jsonw_kstr(&w, "user_id", r->user_id);
    jsonw_kstr(&w, "turn_id", r->turn_id);
    jsonw_kint(&w, "since", r->since);
    jsonw_end_object(&w);
    r->asked = true;
    r->renewed_us = clock_mono_us();
    return post(r->runs, r->owner, strbuf_str(&payload), err);
}

/* Moves whole lines out, as many as one batch of a reader takes. */
static bool take_lines(struct remote *r, struct strbuf *out) {
    struct str rest = strbuf_str(&r->inbox);
    size_t taken = 0;
    for (int i = 0; i < MAX_LINES_A_READ && taken < MAX_BYTES_A_READ; i++) {
        size_t end = str_find_char(str_skip(rest, taken), '\n');
        if (end == SIZE_MAX) {
            break;
        }
        taken += end + 1;
    }
    strbuf_add(out, str_head(rest, taken));
    strbuf_consume(&r->inbox, taken);
    return taken > 0;
}

bool remote_read(struct remote *r, int64_t timeout_ms, struct strbuf *out) {
    struct err err;
    int64_t deadline_us = clock_mono_us() + timeout_ms * 1000;
    while (!take_lines(r, out)) {
        int64_t now_us = clock_mono_us();
        if (r->broken || now_us - r->heard_us > SILENCE_MS * 1000) {
            return false;
        }
        if (now_us >= deadline_us) {
            return true;
        }
        if ((!r->asked || now_us - r->renewed_us > RENEW_MS * 1000) && ask(r, &err) < 0) {
            log_warn("event", "asking another process for its events failed: %s", err.msg);
            return false;
        }
        int64_t wait_ms = MIN((deadline_us - now_us) / 1000 + 1, (int64_t)BEAT_MS);
        if (fiber_wait(&r->arrived, wait_ms) == -ERR_CANCELLED) {
            return true;
        }
    }
    return true;
}

static struct remote *find_remote(struct runs *runs, struct str subscription) {
    list_each (node, &runs->remote_readers) {
        struct remote *r = list_entry(node, struct remote, in_runs);
        if (str_eq(id_str(&r->subscription), subscription)) {
            return r;
        }
    }
    return NULL;
}

/* "piece <subscription> <number>\n<bytes>", or "end <subscription> <number>\n". */
static void on_piece(struct runs *runs, struct str payload) {
    struct str body = payload;
    struct str head = str_cut(&body, '\n');
    bool end = str_eq(str_cut(&head, ' '), STR("end"));
    struct remote *r = find_remote(runs, str_cut(&head, ' '));
    int64_t number;
    if (!r || !str_to_i64(head, &number)) {
        return;
    }
    r->heard_us = clock_mono_us();
    if (r->broken || number != r->next_piece++) {
        r->broken = true; /* the lines before the gap are whole; what follows it may be none */
    } else {
        strbuf_add(&r->inbox, body);
        r->broken = end || r->inbox.failed;
    }
    fiber_broadcast(&r->arrived);
}

void remote_moved_here(const struct run *run) {
    list_each (node, &run->runs->remote_readers) {
        struct remote *r = list_entry(node, struct remote, in_runs);
        if (str_eq(r->turn_id, run->turn_id) && str_eq(r->user_id, run->user_id)) {
            r->broken = true;
            fiber_broadcast(&r->arrived);
        }
    }
}

/* ---- the owner's side ---- */

static void forwarder_free(struct forwarder *f) {
    list_remove(&f->in_runs);
    mem_free((char *)f->to.p);
    mem_free((char *)f->user_id.p);
    mem_free((char *)f->turn_id.p);
    mem_free(f);
}

static int send_piece(struct forwarder *f, const char *word, struct str body, struct err *err) {
    struct strbuf payload cleanup(strbuf_done) = STRBUF(DB_NOTIFY_MAX_BYTES);
    strbuf_addf(&payload, "%s %s %" PRId64 "\n", word, f->subscription.z, f->next_piece++);
    strbuf_add(&payload, body);
    return post(f->runs, f->to, strbuf_str(&payload), err);
}

static int send_lines(struct forwarder *f, const struct run_event *events, size_t n,
                      struct err *err) {
    struct strbuf lines cleanup(strbuf_done) = STRBUF(32 * 1024 * 1024);
    for (size_t i = 0; i < n; i++) {
        strbuf_add_i64(&lines, events[i].seq);
        strbuf_addc(&lines, ' ');
        strbuf_add(&lines, events[i].json);
        strbuf_addc(&lines, '\n');
    }
    struct str rest = strbuf_str(&lines);
    while (rest.n) {
        struct str piece = str_utf8_head(rest, PIECE_BYTES);
        if (send_piece(f, "piece", piece, err) < 0) {
            return -(int)err->code;
        }
        rest = str_skip(rest, piece.n);
    }
    return 0;
}

/* Until the run ends or moves, or nobody wants it any more. */
static int forward(struct forwarder *f, struct run_reader *reader, struct err *err) {
    while (clock_mono_us() < f->wanted_until_us) {
        const struct run_event *events;
        size_t n;
        int rc = run_read(reader, BEAT_MS, &events, &n, err);
        if (rc == -ERR_TIMEOUT) {
            rc = send_piece(f, "piece", STR_EMPTY, err);
        } else if (rc == 0 && n > 0) {
            rc = send_lines(f, events, n, err);
        } else if (rc == 0) {
            return 0;
        }
        if (rc < 0) {
            return rc;
        }
        if (!run_find(f->runs, f->user_id, f->turn_id)) {
            return 0; /* the store has the rest */
        }
    }
    return 0;
}

static void forwarder_main(void *arg) {
    struct forwarder *f = arg;
    struct err err;
    struct run *run = run_find(f->runs, f->user_id, f->turn_id);
    if (run) {
        struct run_reader *reader = run_reader_open_live_since(run, f->since);
        if (forward(f, reader, &err) < 0 && err.code != ERR_CANCELLED) {
            log_warn("event", "forwarding events to another process ended: %s", err.msg);
        }
        run_reader_close(reader);
    }
    if (!fiber_cancelled() && send_piece(f, "end", STR_EMPTY, &err) < 0) {
        log_warn("event", "telling another process the end failed: %s", err.msg);
    }
    forwarder_free(f);
}

static struct forwarder *find_forwarder(struct runs *runs, struct str subscription,
                                        size_t *ret_count) {
    struct forwarder *found = NULL;
    *ret_count = 0;
    list_each (node, &runs->forwarders) {
        struct forwarder *f = list_entry(node, struct forwarder, in_runs);
        ++*ret_count;
        if (str_eq(id_str(&f->subscription), subscription)) {
            found = f;
        }
    }
    return found;
}

static void on_request(struct runs *runs, struct str payload) {
    json_auto_t *request = NULL;
    struct err err;
    struct id subscription;
    size_t count;
    if (json_read(payload, &request, &err) < 0 ||
        !id_parse(json_str(request, "subscription"), &subscription)) {
        log_warn("event", "ignored a malformed message from another process");
        return;
    }
    struct forwarder *f = find_forwarder(runs, id_str(&subscription), &count);
    int64_t until_us = clock_mono_us() + 3 * RENEW_MS * 1000;
    if (f) {
        f->wanted_until_us = until_us;
        return;
    }
    if (!str_eq(json_str(request, "op"), STR("follow")) || count >= MAX_FORWARDERS) {
        return;
    }
    f = mem_alloc(sizeof *f);
    f->runs = runs;
    f->subscription = subscription;
    f->to = own_copy(json_str(request, "reply_to"));
    f->user_id = own_copy(json_str(request, "user_id"));
    f->turn_id = own_copy(json_str(request, "turn_id"));
    f->since = json_int(request, "since", 0);
    f->wanted_until_us = until_us;
    list_push(&runs->forwarders, &f->in_runs);
    if (fiber_spawn(&runs->scope, "event-forwarder", forwarder_main, f, NULL, &err) < 0) {
        log_warn("event", "a remote reader was refused: %s", err.msg);
        forwarder_free(f);
    }
}

static void on_notify(struct str payload, void *arg) {
    if (str_starts(payload, STR("{"))) {
        on_request(arg, payload);
    } else {
        on_piece(arg, payload);
    }
}

static void on_lost(void *arg) {
    struct runs *runs = arg;
    list_each (node, &runs->remote_readers) {
        struct remote *r = list_entry(node, struct remote, in_runs);
        r->broken = true;
        fiber_broadcast(&r->arrived);
    }
}

int remote_start(struct runs *runs, struct err *err) {
    char channel[64];
    if (db_backend(runs->db) != DB_POSTGRES) {
        return 0; /* one process */
    }
    channel_of(runs->process_id, channel);
    return db_listen(runs->db, channel, on_notify, on_lost, runs, err);
}
