#include "db/db.h"

#include <assert.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "db/driver.h"

enum {
    INITIAL_STATEMENTS = 8,
    INITIAL_VALUES = 32,
    ANSWER_MARGIN_MS = 5000, /* beyond the statement timeout, which the server enforces itself */
};

/* ---- opening ---- */

static char *dup_or_null(const char *z) {
    return z ? str_dup_z(str_z(z)) : NULL;
}

static int64_t or_default(int64_t value, int64_t fallback) {
    return value ? value : fallback;
}

/* "k" or "k:<word>"; false when the variable is unset or no number. */
static bool read_fault(const char *variable, const char *word, struct db_fault *ret) {
    struct str rest = str_z(getenv(variable));
    struct str count = str_cut(&rest, ':');
    int64_t k;
    if (!str_to_i64(count, &k) || k <= 0) {
        return false;
    }
    ret->countdown = (uint64_t)k;
    ret->after_commit = str_eq(rest, str_z(word));
    return true;
}

static void fault_from_environment(struct db *db) {
    struct db_fault fault = {.code = ERR_UNAVAILABLE};
    if (read_fault("ADJUTANT_FAIL_DB", "committed", &fault)) {
        db->fault = fault;
    } else if (read_fault("ADJUTANT_CRASH_AT", "after", &fault)) {
        fault.kill = true;
        db->fault = fault;
    }
}

static void db_free(struct db *db) {
    mem_free(db->url);
    mem_free(db->sqlite_path);
    mem_free(db->role);
    mem_free(db);
}

int db_open(const struct db_options *options, struct db **ret, struct err *err) {
    fiber_point();
    assert(options->url || options->sqlite_path);
    struct db *db = mem_alloc(sizeof *db);
    db->driver = options->url ? &db_driver_pg : &db_driver_sqlite;
    db->url = dup_or_null(options->url);
    db->sqlite_path = dup_or_null(options->sqlite_path);
    db->role = dup_or_null(options->role);
    db->pool_size = options->pool_size ? options->pool_size : 8;
    db->connect_timeout_ms = or_default(options->connect_timeout_ms, 5000);
    db->acquire_timeout_ms = or_default(options->acquire_timeout_ms, 5000);
    db->statement_timeout_ms = or_default(options->statement_timeout_ms, 30000);
    fiber_scope_init(&db->scope);
    list_init(&db->listeners);
    list_init(&db->messages);
    fiber_cond_init(&db->message_added);
    fault_from_environment(db);
    if (db->driver->open(db, err) < 0) {
        db_free(db);
        return -(int)err->code;
    }
    *ret = db;
    return 0;
}

void db_close(struct db *db) {
    if (!db) {
        return;
    }
    fiber_scope_done(&db->scope);
    db->driver->close(db);
    db_delivery_done(db);
    db_free(db);
}

const char *db_sqlite_path(const struct db *db) {
    return db->url ? NULL : db->sqlite_path;
}

enum db_backend db_backend(const struct db *db) {
    return db->driver->backend;
}

struct db_stats db_stats(const struct db *db) {
    struct db_stats stats = {.transactions = db->transactions, .errors = db->errors};
    db->driver->stats(db, &stats);
    return stats;
}

void db_fail_at(struct db *db, uint64_t k, enum err_code code, bool after_commit) {
    db->fault = (struct db_fault){.countdown = k, .code = code, .after_commit = after_commit};
}

/* ---- putting a transaction together ---- */

struct db_tx *db_tx_new(struct db *db, struct str user_id, enum db_mode mode) {
    struct db_tx *tx = mem_alloc(sizeof *tx);
    tx->db = db;
    tx->driver = db->driver;
    tx->user_id = user_id;
    tx->mode = mode;
    tx->acquire_timeout_ms = db->acquire_timeout_ms;
    tx->statement_timeout_ms = db->statement_timeout_ms;
    tx->answer_timeout_ms = db->statement_timeout_ms + ANSWER_MARGIN_MS;
    tx->arena = &tx->arena_memory;
    return tx;
}

static void drop_results(struct db_tx *tx) {
    for (unsigned i = 0; i < tx->n_statements; i++) {
        tx->driver->drop_result(&tx->results[i]);
        tx->results[i] = (struct db_result){0};
    }
    tx->done = false;
}

void db_tx_free(struct db_tx *tx) {
    if (!tx) {
        return;
    }
    drop_results(tx);
    arena_done(&tx->arena_memory);
    mem_free(tx->statements);
    mem_free(tx->results);
    mem_free(tx->values);
    mem_free(tx);
}

void db_tx_free_p(struct db_tx **tx) {
    db_tx_free(*tx);
}

static void reserve(struct db_tx *tx, size_t n_values) {
    if (tx->n_statements == tx->cap_statements) {
        tx->cap_statements = MAX(INITIAL_STATEMENTS, tx->cap_statements * 2);
        tx->statements = mem_resize(tx->statements, tx->cap_statements * sizeof *tx->statements);
        tx->results = mem_resize(tx->results, tx->cap_statements * sizeof *tx->results);
    }
    if (tx->n_values + n_values > tx->cap_values) {
        unsigned wanted = MAX(tx->cap_values * 2, tx->n_values + (unsigned)n_values);
        tx->cap_values = MAX(INITIAL_VALUES, wanted);
        tx->values = mem_resize(tx->values, tx->cap_values * sizeof *tx->values);
    }
}

size_t db_tx_add_values(struct db_tx *tx, const struct db_sql *sql, const struct db_value *values,
                        size_t n) {
    assert(!tx->done && tx->n_statements < DB_MAX_STATEMENTS && n <= DB_MAX_PARAMS);
    reserve(tx, n);
    tx->statements[tx->n_statements] =
        (struct db_statement){.sql = sql, .first_value = tx->n_values, .n_values = (unsigned)n};
    tx->results[tx->n_statements] = (struct db_result){0};
    if (n > 0) {
        memcpy(tx->values + tx->n_values, values, n * sizeof *values);
    }
    tx->n_values += (unsigned)n;
    return tx->n_statements++;
}

/* ---- running it ---- */

static bool has_nul(struct str s) {
    return s.n > 0 && memchr(s.p, 0, s.n) != NULL;
}

/* PostgreSQL's text cannot hold NUL; both backends refuse it alike. */
static int check_values(const struct db_tx *tx, struct err *err) {
    for (unsigned i = 0; i < tx->n_values; i++) {
        if (tx->values[i].type == DB_TEXT && has_nul(tx->values[i].text)) {
            return err_set(err, ERR_INVALID, "a text contains a NUL character");
        }
    }
    if (has_nul(tx->user_id)) {
        return err_set(err, ERR_INVALID, "the user id contains a NUL character");
    }
    return 0;
}

static bool fault_is_due(const struct db_tx *tx) {
    struct db_fault *fault = &tx->db->fault;
    bool counts = !fault->kill || tx->mode == DB_WRITE;
    return counts && fault->countdown > 0 && --fault->countdown == 0;
}

static int inject(const struct db_fault *fault, struct err *err) {
    if (fault->kill) {
        kill(getpid(), SIGKILL);
    }
    return err_set(err, fault->code, "injected failure of the database");
}

static int run(struct db_tx *tx, struct err *err) {
    bool fail = fault_is_due(tx);
    struct db_fault fault = tx->db->fault;
    if (fail && !fault.after_commit) {
        return inject(&fault, err);
    }
    if (tx->n_statements > 0) {
        int rc = tx->db->driver->run(tx, err);
        if (rc < 0) {
            return rc;
        }
    }
    return fail ? inject(&fault, err) : 0;
}

int db_tx_run(struct db_tx *tx, struct err *err) {
    fiber_point();
    assert(!tx->done);
    if (fiber_cancelled()) {
        return err_set(err, ERR_CANCELLED, "cancelled");
    }
    if (check_values(tx, err) < 0) {
        return -(int)err->code;
    }
    tx->db->transactions++;
    if (run(tx, err) < 0) {
        tx->db->errors++;
        drop_results(tx);
        return -(int)err->code;
    }
    tx->done = true;
    return 0;
}

int db_ping(struct db *db, int64_t timeout_ms, struct err *err) {
    static const struct db_sql sql_ping = DB_SQL("ping", "SELECT 1");
    struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, STR_EMPTY, DB_READ);
    int64_t end_us = clock_mono_us() + timeout_ms * 1000;

    tx->acquire_timeout_ms = tx->statement_timeout_ms = tx->answer_timeout_ms = timeout_ms;
    db_tx_add_values(tx, &sql_ping, NULL, 0);
    int rc = db_tx_run(tx, err);
    if (rc == 0 && clock_mono_us() > end_us) {
        return err_set(err, ERR_TIMEOUT, "the database took longer than %" PRId64 " ms",
                       timeout_ms);
    }
    return rc;
}

/* ---- results ---- */

static const struct db_result *result_of(const struct db_tx *tx, size_t statement) {
    assert(tx->done && statement < tx->n_statements);
    return &tx->results[statement];
}

static struct db_value cell_of(const struct db_tx *tx, size_t statement, size_t row,
                               size_t column) {
    const struct db_result *result = result_of(tx, statement);
    assert(row < result->rows && column < result->columns);
    return tx->driver->cell(tx, result, row, column);
}

size_t db_rows(const struct db_tx *tx, size_t statement) {
    return result_of(tx, statement)->rows;
}

int64_t db_rows_affected(const struct db_tx *tx, size_t statement) {
    return result_of(tx, statement)->affected;
}

bool db_is_null(const struct db_tx *tx, size_t statement, size_t row, size_t column) {
    return cell_of(tx, statement, row, column).type == DB_NULL;
}

struct str db_get_text(const struct db_tx *tx, size_t statement, size_t row, size_t column) {
    struct db_value v = cell_of(tx, statement, row, column);
    switch (v.type) {
    case DB_TEXT:
    case DB_BYTES:
        return v.text;
    case DB_INT:
    case DB_BOOL:
        return arena_printf(tx->arena, "%" PRId64, v.i);
    case DB_DOUBLE:
        return arena_printf(tx->arena, "%.17g", v.d);
    case DB_TIME: {
        char iso[CLOCK_ISO_LEN + 1];
        clock_iso(v.i, iso);
        return arena_str(tx->arena, (struct str){iso, CLOCK_ISO_LEN});
    }
    case DB_NULL:
        break;
    }
    return STR_EMPTY;
}

int64_t db_get_int(const struct db_tx *tx, size_t statement, size_t row, size_t column) {
    struct db_value v = cell_of(tx, statement, row, column);
    int64_t i = 0;
    switch (v.type) {
    case DB_INT:
    case DB_BOOL:
    case DB_TIME:
        return v.i;
    case DB_DOUBLE:
        return (int64_t)v.d;
    case DB_TEXT:
        str_to_i64(v.text, &i);
        return i;
    default:
        return 0;
    }
}

double db_get_double(const struct db_tx *tx, size_t statement, size_t row, size_t column) {
    struct db_value v = cell_of(tx, statement, row, column);
    switch (v.type) {
    case DB_DOUBLE:
        return v.d;
    case DB_INT:
    case DB_BOOL:
        return (double)v.i;
    case DB_TEXT:
        return strtod(arena_z(tx->arena, v.text), NULL);
    default:
        return 0;
    }
}

bool db_get_bool(const struct db_tx *tx, size_t statement, size_t row, size_t column) {
    return db_get_int(tx, statement, row, column) != 0;
}

int64_t db_get_time(const struct db_tx *tx, size_t statement, size_t row, size_t column) {
    struct db_value v = cell_of(tx, statement, row, column);
    int64_t us = 0;
    if (v.type == DB_TIME) {
        return v.i;
    }
    if (v.type == DB_TEXT) {
        clock_parse(v.text, &us);
    }
    return us;
}
