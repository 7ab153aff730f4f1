/* What the files of this floor share. */
#pragma once
#include "base/list.h"
#include "base/map.h"
#include "event/run.h"

enum {
    RUN_MAX_STORED_BYTES = 256 * 1024, /* stored events kept in memory as well, a run */
    RUN_BATCH_EVENTS = 128,
    RUN_BATCH_BYTES = 128 * 1024,
};

struct run_entry {
    uint32_t n;
    char json[];
};

struct run {
    struct runs *runs;
    struct str key; /* of runs->live */
    struct str user_id, thread_id, turn_id;
    struct run_entry **entries; /* entries[i] has number first_seq + i */
    size_t n_entries, entries_cap;
    size_t bytes;
    int64_t first_seq, next_seq, visible_seq, stored_seq;
    bool held, closed, abandoned;
    unsigned readers;
    struct fiber_cond changed;
    struct list in_runs;
};

struct runs {
    struct db *db;
    struct str process_id;
    struct map live; /* run_key -> struct run */
    struct list all;
    struct fiber_cond opened; /* a run began here */
    struct fiber_scope scope;
    struct list remote_readers, forwarders;
    struct runs_stats stats;
};

/* run.c */
struct run *run_find(struct runs *runs, struct str user_id, struct str turn_id); /* or NULL */
void run_reader_attach(struct run *run);
struct run_reader *run_reader_open_live_since(struct run *run, int64_t since);
void run_reader_detach(struct run *run); /* may free the run */

/* remote.c: a turn followed in another process, through messages */
struct remote;
struct remote *remote_open(struct runs *runs, struct str owner, struct str user_id,
                           struct str turn_id, int64_t since);
void remote_close(struct remote *r); /* accepts NULL */
/* A run began in this process: readers that follow its turn elsewhere look again. */
void remote_moved_here(const struct run *run);
/* Moves what has arrived into lines "<seq> <event>\n"; false: silent too long, ended, or a gap:
 * look into the store. */
may_yield bool remote_read(struct remote *r, int64_t timeout_ms, struct strbuf *out);
may_yield int remote_start(struct runs *runs, struct err *err) must_check;
