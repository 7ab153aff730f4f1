/* Between sqlite*.c: one connection (sqlite_conn.c) is used by one thread at a time; sqlite.c owns
 * the threads and the queues. */
#pragma once
#include <sqlite3.h>

#include "db/driver.h"
#include "db/statement_map.h"

/* What is said often, prepared once. */
enum sqlite_control {
    SQLITE_DO_BEGIN,
    SQLITE_DO_BEGIN_IMMEDIATE,
    SQLITE_DO_COMMIT,
    SQLITE_DO_ROLLBACK,
    SQLITE_DO_SAVEPOINT,
    SQLITE_DO_RELEASE,
    SQLITE_DO_ROLLBACK_TO,
    SQLITE_N_CONTROLS,
};

enum sqlite_role { SQLITE_READER, SQLITE_WRITER, SQLITE_OWNER };

enum { SQLITE_TAG_BYTES = 128 };

struct sqlite_conn {
    sqlite3 *handle;
    bool reads_only;
    struct statement_map prepared;
    sqlite3_stmt *controls[SQLITE_N_CONTROLS];
    int64_t deadline_us;                 /* the running statement is interrupted then; 0: none */
    bool required;                       /* adjutant_require ended the running statement */
    char required_tag[SQLITE_TAG_BYTES]; /* with this */
    int wal_frames;                      /* in the log after the last commit */
};

/* Makes the file with mode 0600 when it is missing. Blocks, as everything here does. */
int sqlite_conn_open(const char *path, enum sqlite_role role, int64_t busy_timeout_ms,
                     struct sqlite_conn **ret, struct err *err) must_check;
void sqlite_conn_close(struct sqlite_conn *c); /* accepts NULL */

/* The statements of tx, without beginning or ending anything. */
int sqlite_conn_run(struct sqlite_conn *c, struct db_tx *tx, struct err *err) must_check;
int sqlite_conn_control(struct sqlite_conn *c, enum sqlite_control control, struct err *err)
    must_check;
/* True while neither BEGIN nor SAVEPOINT is in force. */
bool sqlite_conn_idle(const struct sqlite_conn *c);
/* Constraints that were put off to the end of the transaction and do not hold. */
bool sqlite_conn_owes_keys(const struct sqlite_conn *c);
/* Copies what is in the log to the file without making anybody wait; best effort. */
void sqlite_conn_checkpoint(struct sqlite_conn *c);
/* Sets err from the connection's last failure; `what` is the statement's name. */
int sqlite_conn_fail(struct sqlite_conn *c, int rc, const char *what, struct err *err);

void sqlite_drop_result(struct db_result *result);
struct db_value sqlite_cell(const struct db_tx *tx, const struct db_result *result, size_t row,
                            size_t column);

/* ---- sqlite_group.c ---- */

struct sqlite_job {
    struct list node;
    struct db_tx *tx;
    struct fiber_cond finished;
    bool done;     /* set on the loop's thread */
    bool excluded; /* it made the database give up the whole group; it is not tried again */
    int rc;
    struct err err;
};

/* Runs the group's transactions with one commit; each job gets its own outcome. */
void sqlite_write_group(struct sqlite_conn *c, struct list *jobs, bool *ret_committed);
void sqlite_read_job(struct sqlite_conn *c, struct sqlite_job *job);
