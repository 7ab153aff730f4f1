/* Group commit: what came together shares one BEGIN ... COMMIT and thereby one fsync. Each
 * transaction stands in a savepoint of its own, so that a failing one takes back its own work only.
 */
#include <assert.h>

#include "db/sqlite.h"

static void reset(struct sqlite_job *job) {
    for (unsigned i = 0; i < job->tx->n_statements; i++) {
        sqlite_drop_result(&job->tx->results[i]);
        job->tx->results[i] = (struct db_result){0};
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

/* Ends a savepoint, or what is left when there is none. The statements cannot fail while the
 * transaction stands. */
static void take_back(struct sqlite_conn *c, bool savepoint) {
    struct err err;
    if (sqlite_conn_idle(c)) {
        return;
    }
    if (savepoint) {
        if (sqlite_conn_control(c, SQLITE_DO_ROLLBACK_TO, &err) == 0 &&
            sqlite_conn_control(c, SQLITE_DO_RELEASE, &err) == 0) {
            return;
        }
    }
    if (sqlite_conn_control(c, SQLITE_DO_ROLLBACK, &err) < 0) {
        assert(sqlite_conn_idle(c));
    }
}

static void run_member(struct sqlite_conn *c, struct sqlite_job *job, bool savepoint) {
    job->rc = savepoint ? sqlite_conn_control(c, SQLITE_DO_SAVEPOINT, &job->err) : 0;
    if (job->rc < 0) {
        return;
    }
    job->rc = run_tx(c, job);
    if (job->rc == 0 && savepoint) {
        job->rc = sqlite_conn_control(c, SQLITE_DO_RELEASE, &job->err);
    }
    if (job->rc < 0) {
        take_back(c, savepoint);
    }
}

/* False when SQLite rolled the whole group back (an interrupted statement, a full disk). */
static bool run_members(struct sqlite_conn *c, struct list *jobs, bool savepoints) {
    list_each (node, jobs) {
        struct sqlite_job *job = list_entry(node, struct sqlite_job, node);
        if (job->excluded) {
            continue;
        }
        reset(job);
        run_member(c, job, savepoints);
        if (sqlite_conn_idle(c)) {
            job->excluded = true;
            return false;
        }
    }
    return true;
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
    bool savepoints = jobs->next->next != jobs; /* alone, a transaction needs none */
    *ret_committed = false;
    do {
        if (all_excluded(jobs)) {
            return;
        }
        if (sqlite_conn_control(c, SQLITE_DO_BEGIN_IMMEDIATE, &err) < 0) {
            fail_all(jobs, &err);
            return;
        }
    } while (!run_members(c, jobs, savepoints));
    bool wrote = any_succeeded(jobs);
    if (sqlite_conn_control(c, SQLITE_DO_COMMIT, &err) < 0) {
        take_back(c, false);
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
        take_back(c, false);
    }
}
