/* Group commit: what came together shares one BEGIN ... COMMIT and thereby one fsync. A failing
 * transaction must take back its own work only. That is what savepoints are for, but they cost a
 * third of a small transaction, and most do not fail: a group is first run without, and again with
 * a savepoint for each when one of them failed. */
#include <assert.h>

#include "db/sqlite.h"

static void reset(struct sqlite_job *job) {
    for (unsigned i = 0; i < job->tx->n_statements; i++) {
        job->tx->results[i] = (struct db_result){0}; /* what a former attempt left */
    }
}

static int run_tx(struct sqlite_conn *c, struct sqlite_job *job) {
    if (sqlite_conn_run(c, job->tx, &job->err) < 0) {
        return -(int)job->err.code;
    }
    if (sqlite_conn_owes_keys(c)) {
        return err_set(&job->err, ERR_CONFLICT, "a foreign key is not satisfied");
    }
    return 0;
}

static void roll_back(struct sqlite_conn *c) {
    struct err err;
    if (!sqlite_conn_idle(c) && sqlite_conn_control(c, SQLITE_DO_ROLLBACK, &err) < 0) {
        assert(sqlite_conn_idle(c)); /* even when it says that the disk failed */
    }
}

static void take_back(struct sqlite_conn *c) {
    struct err err;
    if (sqlite_conn_control(c, SQLITE_DO_ROLLBACK_TO, &err) < 0 ||
        sqlite_conn_control(c, SQLITE_DO_RELEASE, &err) < 0) {
        roll_back(c);
    }
}

static int run_member(struct sqlite_conn *c, struct sqlite_job *job, bool savepoint) {
    job->rc = savepoint ? sqlite_conn_control(c, SQLITE_DO_SAVEPOINT, &job->err) : 0;
    if (job->rc < 0) {
        return job->rc;
    }
    job->rc = run_tx(c, job);
    if (job->rc == 0 && savepoint) {
        job->rc = sqlite_conn_control(c, SQLITE_DO_RELEASE, &job->err);
    }
    if (job->rc < 0 && savepoint && !sqlite_conn_idle(c)) {
        take_back(c);
    }
    return job->rc;
}

enum outcome {
    GROUP_STANDS,
    GROUP_FELL,        /* SQLite took all back: a write was interrupted, the disk is full */
    SAVEPOINTS_WANTED, /* one failed that stood in none, so all was taken back */
};

static enum outcome run_members(struct sqlite_conn *c, struct list *jobs, bool savepoints) {
    bool alone = jobs->next->next == jobs;
    list_each (node, jobs) {
        struct sqlite_job *job = list_entry(node, struct sqlite_job, node);
        if (job->excluded) {
            continue;
        }
        reset(job);
        if (run_member(c, job, savepoints) == 0 || (savepoints && !sqlite_conn_idle(c))) {
            continue;
        }
        job->excluded = alone || sqlite_conn_idle(c);
        roll_back(c);
        return job->excluded ? GROUP_FELL : SAVEPOINTS_WANTED;
    }
    return GROUP_STANDS;
}

/* What failed in a group that did not commit failed against data that never was: all get the
 * group's error, except those that were excluded for a reason of their own. */
static void fail_all(struct list *jobs, const struct err *err) {
    list_each (node, jobs) {
        struct sqlite_job *job = list_entry(node, struct sqlite_job, node);
        if (!job->excluded) {
            job->err = *err;
            job->rc = -(int)err->code;
        }
    }
}

static bool all_excluded(const struct list *jobs) {
    for (struct list *node = jobs->next; node != jobs; node = node->next) {
        if (!list_entry(node, struct sqlite_job, node)->excluded) {
            return false;
        }
    }
    return true;
}

static bool any_succeeded(const struct list *jobs) {
    for (struct list *node = jobs->next; node != jobs; node = node->next) {
        if (list_entry(node, struct sqlite_job, node)->rc == 0) {
            return true;
        }
    }
    return false;
}

void sqlite_write_group(struct sqlite_conn *c, struct list *jobs, bool *ret_committed) {
    struct err err;
    enum outcome outcome = GROUP_FELL;
    bool savepoints = false;
    *ret_committed = false;
    while (outcome != GROUP_STANDS) {
        if (all_excluded(jobs)) {
            return;
        }
        if (sqlite_conn_control(c, SQLITE_DO_BEGIN_IMMEDIATE, &err) < 0) {
            fail_all(jobs, &err);
            return;
        }
        outcome = run_members(c, jobs, savepoints);
        savepoints = savepoints || outcome == SAVEPOINTS_WANTED;
    }
    bool wrote = any_succeeded(jobs);
    if (sqlite_conn_control(c, SQLITE_DO_COMMIT, &err) < 0) {
        roll_back(c);
        fail_all(jobs, &err);
        return;
    }
    *ret_committed = wrote;
}

void sqlite_read_job(struct sqlite_conn *c, struct sqlite_job *job) {
    struct err err;
    bool snapshot = job->tx->n_statements > 1; /* one statement is one by itself */
    job->rc = snapshot ? sqlite_conn_control(c, SQLITE_DO_BEGIN, &job->err) : 0;
    if (job->rc < 0) {
        return;
    }
    job->rc = sqlite_conn_run(c, job->tx, &job->err);
    if (snapshot && !sqlite_conn_idle(c) && sqlite_conn_control(c, SQLITE_DO_COMMIT, &err) < 0) {
        roll_back(c);
    }
}
