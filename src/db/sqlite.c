/* The SQLite driver: one thread writes, few read. Fibers hand transactions over in bounded queues
 * and sleep; the writer takes all that wait and commits them as one group. The threads are the
 * driver's own and not libuv's, so that slow name look-ups elsewhere cannot hold back a commit. */
#include <assert.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/mem.h"
#include "db/sqlite.h"

enum {
    N_READERS = 2,
    MAX_QUEUED = 8192, /* transactions waiting, each way */
    MAX_GROUP = 128,
    THREAD_STACK_BYTES = 512 * 1024,
    /* The log is copied back when it has this many pages: 8 MiB. */
    CHECKPOINT_PAGES = 2048,
};

enum checkpoint_state {
    CHECKPOINT_NONE,
    CHECKPOINT_WANTED, /* a reader copies most of the log beside the writer */
    CHECKPOINT_RUNS,
    /* The writer copies what was added meanwhile; with nobody writing then, the log starts anew. */
    CHECKPOINT_LAST_PART,
};

struct sqlite {
    pthread_mutex_t lock; /* guards everything up to the blank line */
    pthread_cond_t writes_wait, reads_wait;
    struct list writes, reads, finished; /* of sqlite_job */
    unsigned n_writes, n_reads, running;
    enum checkpoint_state checkpoint;
    int checkpoint_at; /* pages in the log */
    bool stopping, healthy;
    uint64_t commits;

    uv_async_t finished_async;
    bool async_closed;
    struct fiber_cond async_closes;
    struct sqlite_conn *writer, *readers[N_READERS];
    pthread_t writer_thread, reader_threads[N_READERS];
    unsigned next_reader; /* while the threads start */
};

/* ---- the worker threads ---- */

static unsigned move_list(struct list *from, struct list *to, unsigned max) {
    unsigned n = 0;
    while (n < max && !list_empty(from)) {
        list_push(to, list_pop(from));
        n++;
    }
    return n;
}

/* With the lock held. */
static void give_back(struct sqlite *s, struct list *jobs) {
    bool was_empty = list_empty(&s->finished);
    s->running -= move_list(jobs, &s->finished, MAX_GROUP);
    if (was_empty) {
        uv_async_send(&s->finished_async);
    }
}

static void note_commit(struct sqlite *s, bool committed, bool io_error) {
    s->commits += committed;
    if (committed || io_error) {
        s->healthy = !io_error;
    }
    int frames = s->writer->wal_frames;
    if (frames < CHECKPOINT_PAGES) {
        s->checkpoint_at = CHECKPOINT_PAGES; /* it began anew */
    } else if (frames >= s->checkpoint_at && s->checkpoint == CHECKPOINT_NONE) {
        s->checkpoint_at = frames + CHECKPOINT_PAGES; /* should a long reader be in the way */
        s->checkpoint = CHECKPOINT_WANTED;
        pthread_cond_signal(&s->reads_wait);
    }
}

static bool any_io_error(const struct list *jobs) {
    for (struct list *node = jobs->next; node != jobs; node = node->next) {
        if (list_entry(node, struct sqlite_job, node)->rc == -ERR_IO) {
            return true;
        }
    }
    return false;
}

static void write_group(struct sqlite *s) {
    struct list group;
    bool committed;

    list_init(&group);
    unsigned n = move_list(&s->writes, &group, MAX_GROUP);
    s->n_writes -= n;
    s->running += n;
    bool last_part = s->checkpoint == CHECKPOINT_LAST_PART;
    pthread_mutex_unlock(&s->lock);

    sqlite_write_group(s->writer, &group, &committed);
    bool io_error = any_io_error(&group);

    pthread_mutex_lock(&s->lock);
    give_back(s, &group);
    if (last_part) {
        pthread_mutex_unlock(&s->lock);
        sqlite_conn_checkpoint(s->writer);
        pthread_mutex_lock(&s->lock);
        s->checkpoint = CHECKPOINT_NONE;
    }
    note_commit(s, committed, io_error);
}

static void *writer_main(void *arg) {
    struct sqlite *s = arg;
    pthread_mutex_lock(&s->lock);
    while (!s->stopping) {
        if (list_empty(&s->writes)) {
            pthread_cond_wait(&s->writes_wait, &s->lock);
        } else {
            write_group(s);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static void read_one(struct sqlite *s, struct sqlite_conn *c) {
    struct list one;
    list_init(&one);
    s->n_reads -= move_list(&s->reads, &one, 1);
    s->running++;
    pthread_mutex_unlock(&s->lock);
    sqlite_read_job(c, list_entry(one.next, struct sqlite_job, node));
    pthread_mutex_lock(&s->lock);
    give_back(s, &one);
}

static void checkpoint_beside(struct sqlite *s, struct sqlite_conn *c) {
    s->checkpoint = CHECKPOINT_RUNS;
    pthread_mutex_unlock(&s->lock);
    sqlite_conn_checkpoint(c);
    pthread_mutex_lock(&s->lock);
    s->checkpoint = CHECKPOINT_LAST_PART;
}

static void *reader_main(void *arg) {
    struct sqlite *s = arg;
    pthread_mutex_lock(&s->lock);
    struct sqlite_conn *c = s->readers[s->next_reader++];
    while (!s->stopping) {
        if (s->checkpoint == CHECKPOINT_WANTED) {
            checkpoint_beside(s, c);
        } else if (!list_empty(&s->reads)) {
            read_one(s, c);
        } else {
            pthread_cond_wait(&s->reads_wait, &s->lock);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- opening and closing ---- */

static void on_finished(uv_async_t *async) {
    struct sqlite *s = container_of(async, struct sqlite, finished_async);
    struct list jobs;

    list_init(&jobs);
    pthread_mutex_lock(&s->lock);
    move_list(&s->finished, &jobs, UINT32_MAX);
    pthread_mutex_unlock(&s->lock);
    while (!list_empty(&jobs)) {
        struct sqlite_job *job = list_entry(list_pop(&jobs), struct sqlite_job, node);
        job->done = true;
        fiber_signal(&job->finished);
    }
}

static void start_thread(pthread_t *thread, const char *name, void *(*body)(void *),
                         struct sqlite *s) {
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, THREAD_STACK_BYTES);
    int rc = pthread_create(thread, &attr, body, s);
    pthread_attr_destroy(&attr);
    assert(rc == 0); /* three small threads at the start: else nothing will work */
    pthread_setname_np(*thread, name);
}

struct opening {
    struct sqlite *s;
    const char *path;
    int64_t busy_timeout_ms;
    int rc;
    struct err *err;
};

static void close_connections(struct sqlite *s) {
    for (int i = 0; i < N_READERS; i++) {
        sqlite_conn_close(s->readers[i]);
    }
    sqlite_conn_close(s->writer); /* last: it copies the log back and removes it */
}

static void open_connections(void *arg) {
    struct opening *o = arg;
    o->rc = sqlite_conn_open(o->path, SQLITE_WRITER, o->busy_timeout_ms, &o->s->writer, o->err);
    for (int i = 0; i < N_READERS && o->rc == 0; i++) {
        o->rc =
            sqlite_conn_open(o->path, SQLITE_READER, o->busy_timeout_ms, &o->s->readers[i], o->err);
    }
    if (o->rc < 0) {
        close_connections(o->s);
    }
}

static struct sqlite *sqlite_new(void) {
    struct sqlite *s = mem_alloc(sizeof *s);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->writes_wait, NULL);
    pthread_cond_init(&s->reads_wait, NULL);
    list_init(&s->writes);
    list_init(&s->reads);
    list_init(&s->finished);
    fiber_cond_init(&s->async_closes);
    s->healthy = true;
    return s;
}

static void sqlite_free(struct sqlite *s) {
    pthread_cond_destroy(&s->reads_wait);
    pthread_cond_destroy(&s->writes_wait);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

static int sqlite_open(struct db *db, struct err *err) {
    struct sqlite *s = sqlite_new();
    struct opening opening = {
        .s = s, .path = db->sqlite_path, .busy_timeout_ms = db->acquire_timeout_ms, .err = err};

    fiber_offload(open_connections, &opening);
    if (opening.rc < 0) {
        sqlite_free(s);
        return opening.rc;
    }
    uv_async_init(fiber_loop(), &s->finished_async, on_finished);
    start_thread(&s->writer_thread, "db writer", writer_main, s);
    for (int i = 0; i < N_READERS; i++) {
        start_thread(&s->reader_threads[i], "db reader", reader_main, s);
    }
    db->impl = s;
    return 0;
}

static void join_and_close(void *arg) {
    struct sqlite *s = arg;
    pthread_join(s->writer_thread, NULL);
    for (int i = 0; i < N_READERS; i++) {
        pthread_join(s->reader_threads[i], NULL);
    }
    close_connections(s);
}

static void on_async_closed(uv_handle_t *handle) {
    struct sqlite *s = container_of((uv_async_t *)handle, struct sqlite, finished_async);
    s->async_closed = true;
    fiber_signal(&s->async_closes);
}

static void sqlite_close_driver(struct db *db) {
    struct sqlite *s = db->impl;
    pthread_mutex_lock(&s->lock);
    assert(list_empty(&s->writes) && list_empty(&s->reads));
    s->stopping = true;
    pthread_cond_broadcast(&s->writes_wait);
    pthread_cond_broadcast(&s->reads_wait);
    pthread_mutex_unlock(&s->lock);
    fiber_offload(join_and_close, s);
    fiber_shield_enter();
    uv_close((uv_handle_t *)&s->finished_async, on_async_closed);
    while (!s->async_closed) {
        (void)!fiber_wait(&s->async_closes, FIBER_FOREVER);
    }
    fiber_shield_leave();
    sqlite_free(s);
}

/* ---- running transactions ---- */

static int submit(struct sqlite *s, struct sqlite_job *job, struct err *err) {
    bool writes = job->tx->mode == DB_WRITE;
    unsigned *n = writes ? &s->n_writes : &s->n_reads;

    pthread_mutex_lock(&s->lock);
    bool full = *n >= MAX_QUEUED;
    if (!full) {
        list_push(writes ? &s->writes : &s->reads, &job->node);
        ++*n;
        pthread_cond_signal(writes ? &s->writes_wait : &s->reads_wait);
    }
    pthread_mutex_unlock(&s->lock);
    return full ? err_set(err, ERR_BUSY, "too many transactions wait for the database") : 0;
}

/* Takes a job back that no thread has begun. */
static bool withdraw(struct sqlite *s, struct sqlite_job *job) {
    bool writes = job->tx->mode == DB_WRITE;
    bool found = false;
    pthread_mutex_lock(&s->lock);
    list_each (node, writes ? &s->writes : &s->reads) {
        if (node == &job->node) {
            list_remove(node);
            --*(writes ? &s->n_writes : &s->n_reads);
            found = true;
            break;
        }
    }
    pthread_mutex_unlock(&s->lock);
    return found;
}

/* Once a thread has begun, the job's memory is that thread's until it is done. */
static int await(struct sqlite *s, struct sqlite_job *job, struct err *err) {
    int64_t limit_us = clock_mono_us() + job->tx->acquire_timeout_ms * 1000;
    int rc = 0;
    while (!job->done && rc == 0) {
        rc = fiber_wait(&job->finished, MAX((limit_us - clock_mono_us()) / 1000, (int64_t)1));
    }
    if (!job->done && withdraw(s, job)) {
        if (rc == -ERR_CANCELLED) {
            return err_set(err, ERR_CANCELLED, "cancelled");
        }
        bool ours = clock_mono_us() >= limit_us;
        return err_set(err, ours ? ERR_BUSY : ERR_TIMEOUT, "the database is busy");
    }
    fiber_shield_enter();
    while (!job->done) {
        (void)!fiber_wait(&job->finished, FIBER_FOREVER);
    }
    fiber_shield_leave();
    if (job->rc < 0) {
        *err = job->err;
    }
    return job->rc;
}

static int sqlite_run(struct db_tx *tx, struct err *err) {
    struct sqlite *s = tx->db->impl;
    struct sqlite_job job = {.tx = tx};
    fiber_cond_init(&job.finished);
    if (submit(s, &job, err) < 0) {
        return -(int)err->code;
    }
    return await(s, &job, err);
}

static int sqlite_listen(struct db *db, struct err *err) {
    (void)db, (void)err;
    return 0;
}

static int sqlite_notify(struct db *db, const char *channel, struct str payload, struct err *err) {
    (void)err;
    db_deliver(db, channel, payload);
    return 0;
}

static void sqlite_stats(const struct db *db, struct db_stats *ret) {
    struct sqlite *s = db->impl;
    pthread_mutex_lock(&s->lock);
    ret->connections = 1 + N_READERS;
    ret->busy = s->running;
    ret->waiting = s->n_writes + s->n_reads;
    ret->commits = s->commits;
    ret->healthy = s->healthy;
    pthread_mutex_unlock(&s->lock);
}

const struct db_driver db_driver_sqlite = {
    .backend = DB_SQLITE,
    .open = sqlite_open,
    .close = sqlite_close_driver,
    .run = sqlite_run,
    .drop_result = sqlite_drop_result,
    .cell = sqlite_cell,
    .listen = sqlite_listen,
    .notify = sqlite_notify,
    .stats = sqlite_stats,
};
