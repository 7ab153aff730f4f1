/* The turn's side of a run: a numbered list of events in memory. */
#include "event/run.h"

#include <assert.h>

#include "base/mem.h"
#include "event/internal.h"

/* ---- all runs ---- */

struct runs *runs_new(struct db *db, struct str process_id) {
    struct runs *runs = mem_alloc(sizeof *runs);
    runs->db = db;
    runs->process_id = (struct str){str_dup_z(process_id), process_id.n};
    list_init(&runs->all);
    list_init(&runs->remote_readers);
    list_init(&runs->forwarders);
    fiber_cond_init(&runs->opened);
    fiber_scope_init(&runs->scope);
    return runs;
}

int runs_start(struct runs *runs, struct err *err) {
    return remote_start(runs, err);
}

void runs_stop(struct runs *runs) {
    db_unlisten(runs->db, runs);
    fiber_scope_done(&runs->scope);
}

void runs_free(struct runs *runs) {
    if (runs) {
        assert(list_empty(&runs->all));
        map_done(&runs->live);
        mem_free((char *)runs->process_id.p);
        mem_free(runs);
    }
}

struct runs_stats runs_stats(const struct runs *runs) {
    return runs->stats;
}

/* Users may choose the names of turns, so the key holds both; ids contain no line ends. */
static struct str make_key(struct str user_id, struct str turn_id, struct strbuf *out) {
    strbuf_add(out, user_id);
    strbuf_addc(out, '\n');
    strbuf_add(out, turn_id);
    return strbuf_str(out);
}

struct run *run_find(struct runs *runs, struct str user_id, struct str turn_id) {
    struct strbuf key cleanup(strbuf_done) = STRBUF(1024);
    return map_get(&runs->live, make_key(user_id, turn_id, &key));
}

/* ---- one run ---- */

static struct str own_copy(struct str s) {
    return (struct str){str_dup_z(s), s.n};
}

struct run *run_open(struct runs *runs, struct str user_id, struct str thread_id,
                     struct str turn_id, int64_t epoch) {
    struct strbuf key cleanup(strbuf_done) = STRBUF(1024);
    struct run *run = mem_alloc(sizeof *run);
    run->runs = runs;
    run->key = own_copy(make_key(user_id, turn_id, &key));
    run->user_id = own_copy(user_id);
    run->thread_id = own_copy(thread_id);
    run->turn_id = own_copy(turn_id);
    run->first_seq = run->next_seq = epoch * RUN_EPOCH_SEQS + 1;
    run->visible_seq = run->stored_seq = run->first_seq - 1;
    fiber_cond_init(&run->changed);
    assert(!map_get(&runs->live, run->key));
    map_put(&runs->live, run->key, run);
    list_push(&runs->all, &run->in_runs);
    runs->stats.live_runs++;
    fiber_broadcast(&runs->opened);
    remote_moved_here(run);
    return run;
}

static void free_run(struct run *run) {
    for (size_t i = 0; i < run->n_entries; i++) {
        mem_free(run->entries[i]);
    }
    run->runs->stats.bytes -= run->bytes;
    list_remove(&run->in_runs);
    mem_free(run->entries);
    mem_free((char *)run->key.p);
    mem_free((char *)run->user_id.p);
    mem_free((char *)run->thread_id.p);
    mem_free((char *)run->turn_id.p);
    mem_free(run);
}

void run_reader_attach(struct run *run) {
    run->readers++;
    run->runs->stats.readers++;
}

void run_reader_detach(struct run *run) {
    run->runs->stats.readers--;
    if (--run->readers == 0 && run->closed) {
        free_run(run);
    }
}

static void close_run(struct run *run) {
    run->closed = true;
    map_remove(&run->runs->live, run->key);
    run->runs->stats.live_runs--;
    if (run->readers == 0) {
        free_run(run);
    } else {
        fiber_broadcast(&run->changed);
    }
}

void run_close(struct run *run) {
    run_release(run);
    close_run(run);
}

void run_abandon(struct run *run) {
    run->abandoned = true;
    close_run(run);
}

static void append(struct run *run, struct run_entry *entry) {
    if (run->n_entries == run->entries_cap) {
        run->entries_cap = run->entries_cap ? run->entries_cap * 2 : 16;
        run->entries = mem_resize(run->entries, run->entries_cap * sizeof(void *));
    }
    run->entries[run->n_entries++] = entry;
}

int64_t run_emit(struct run *run, struct str event_json) {
    struct run_entry *entry = mem_alloc(sizeof *entry + event_json.n);
    entry->n = (uint32_t)event_json.n;
    memcpy(entry->json, event_json.p, event_json.n);
    append(run, entry);
    run->bytes += event_json.n;
    run->runs->stats.bytes += event_json.n;
    int64_t seq = run->next_seq++;
    if (!run->held) {
        run->visible_seq = seq;
        fiber_broadcast(&run->changed);
    }
    return seq;
}

void run_hold(struct run *run) {
    run->held = true;
}

void run_release_up_to(struct run *run, int64_t seq) {
    if (run->visible_seq < seq) {
        run->visible_seq = seq;
        fiber_broadcast(&run->changed);
    }
}

void run_release(struct run *run) {
    run->held = false;
    run_release_up_to(run, run_last_seq(run));
}

int64_t run_last_seq(const struct run *run) {
    return run->next_seq - 1;
}

void run_retract(struct run *run, int64_t seq) {
    assert(seq >= run->visible_seq && seq >= run->stored_seq);
    while (run_last_seq(run) > seq) {
        struct run_entry *entry = run->entries[--run->n_entries];
        run->bytes -= entry->n;
        run->runs->stats.bytes -= entry->n;
        run->next_seq--;
        mem_free(entry);
    }
}

size_t run_unstored_bytes(const struct run *run) {
    return run
        ->bytes; /* what is stored is trimmed to a bound, so this is near enough for a limit */
}

void run_unstored(struct run *run, struct strbuf *out, int64_t *ret_last_seq) {
    *ret_last_seq = 0;
    for (int64_t seq = MAX(run->stored_seq + 1, run->first_seq); seq < run->next_seq; seq++) {
        const struct run_entry *entry = run->entries[seq - run->first_seq];
        strbuf_add_i64(out, seq);
        strbuf_addc(out, ' ');
        strbuf_add(out, (struct str){entry->json, entry->n});
        strbuf_addc(out, '\n');
        *ret_last_seq = seq;
    }
}

/* Stored events beyond the bound leave memory, oldest first. */
static void trim(struct run *run) {
    size_t drop = 0;
    while (run->bytes > RUN_MAX_STORED_BYTES && drop < run->n_entries &&
           run->first_seq + (int64_t)drop <= MIN(run->stored_seq, run->visible_seq)) {
        run->bytes -= run->entries[drop]->n;
        run->runs->stats.bytes -= run->entries[drop]->n;
        mem_free(run->entries[drop++]);
    }
    if (drop) {
        run->n_entries -= drop;
        run->first_seq += (int64_t)drop;
        memmove(run->entries, run->entries + drop, run->n_entries * sizeof(void *));
    }
}

void run_stored(struct run *run, int64_t up_to_seq) {
    run->stored_seq = MAX(run->stored_seq, up_to_seq);
    trim(run);
}
