/* One connection for migrations, worked from an offload thread. */
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "db/sqlite.h"

struct call {
    const struct db_options *options;
    struct sqlite_conn *conn;
    const char *sql;
    struct arena *arena;
    struct db_table *table;
    int rc;
    struct err *err;
};

enum {
    /* Waiting for a lock on a worker is kept short: whoever holds it may need that worker to go on.
     * The rest of the wait is done by the fiber. */
    BUSY_TIMEOUT_MS = 10,
    RETRY_MS = 20,
};

/* Calls fn until it meets no lock. */
static int until_not_locked(void (*fn)(void *arg), struct call *call, int64_t timeout_ms) {
    int64_t limit_us = clock_mono_us() + timeout_ms * 1000;
    for (;;) {
        fiber_offload(fn, call);
        bool again = call->rc == -ERR_BUSY && (!call->conn || sqlite_conn_idle(call->conn));
        if (!again || clock_mono_us() > limit_us || fiber_sleep(RETRY_MS) < 0) {
            return call->rc;
        }
    }
}

static void open_on_worker(void *arg) {
    struct call *call = arg;
    call->rc = sqlite_conn_open(call->options->sqlite_path, SQLITE_OWNER, BUSY_TIMEOUT_MS,
                                &call->conn, call->err);
}

static int session_open(const struct db_options *options, void **ret, struct err *err) {
    enum { OPEN_TIMEOUT_MS = 5000 };
    struct call call = {.options = options, .err = err};
    if (until_not_locked(open_on_worker, &call, OPEN_TIMEOUT_MS) < 0) {
        return call.rc;
    }
    *ret = call.conn;
    return 0;
}

static void close_on_worker(void *arg) {
    sqlite_conn_close(arg);
}

static void session_close(void *session) {
    fiber_offload(close_on_worker, session);
}

static void keep_row(const struct call *call, sqlite3_stmt *statement, struct db_table *table) {
    size_t columns = (size_t)sqlite3_column_count(statement);
    struct str *cells = arena_alloc(call->arena, (table->rows + 1) * columns * sizeof *cells);
    if (table->rows > 0) {
        memcpy(cells, table->cells, table->rows * columns * sizeof *cells);
    }
    for (size_t i = 0; i < columns; i++) {
        const char *text = (const char *)sqlite3_column_text(statement, (int)i);
        cells[table->rows * columns + i] =
            text ? arena_str(call->arena, str_z(text)) : (struct str){0};
    }
    *table = (struct db_table){.rows = table->rows + 1, .columns = columns, .cells = cells};
}

static void run_on_worker(void *arg) {
    struct call *call = arg;
    const char *rest = call->sql;
    int rc = SQLITE_OK;
    while (*rest && rc == SQLITE_OK) {
        sqlite3_stmt *statement = NULL;
        struct db_table table = {0};
        rc = sqlite3_prepare_v2(call->conn->handle, rest, -1, &statement, &rest);
        if (rc != SQLITE_OK || !statement) { /* only white space or a comment was left */
            continue;
        }
        while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
            if (call->table) {
                keep_row(call, statement, &table);
            }
        }
        rc = sqlite3_finalize(statement);
        if (table.rows > 0) {
            *call->table = table;
        }
    }
    call->rc = rc == SQLITE_OK ? 0 : sqlite_conn_fail(call->conn, rc, "SQL script", call->err);
}

static int session_exec(void *session, const char *sql, int64_t timeout_ms, struct arena *arena,
                        struct db_table *ret_table, struct err *err) {
    struct call call = {
        .conn = session, .sql = sql, .arena = arena, .table = ret_table, .err = err};
    return until_not_locked(run_on_worker, &call, timeout_ms);
}

const struct db_session_driver db_session_driver_sqlite = {
    .backend = DB_SQLITE,
    .open = session_open,
    .close = session_close,
    .exec = session_exec,
};
