#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "db/sqlite.h"

enum {
    PROGRESS_OPCODES = 2000, /* between looks at the clock: well under a millisecond */
    WRITER_CACHE_KIB = 4096,
    READER_CACHE_KIB = 1024,
    WAL_KEEP_BYTES = 16 * 1024 * 1024, /* what the log is cut back to once it was larger */
};

static const char *const control_sql[SQLITE_N_CONTROLS] = {
    [SQLITE_DO_BEGIN] = "BEGIN",
    [SQLITE_DO_BEGIN_IMMEDIATE] = "BEGIN IMMEDIATE",
    [SQLITE_DO_COMMIT] = "COMMIT",
    [SQLITE_DO_ROLLBACK] = "ROLLBACK",
    [SQLITE_DO_SAVEPOINT] = "SAVEPOINT tx",
    [SQLITE_DO_RELEASE] = "RELEASE tx",
    [SQLITE_DO_ROLLBACK_TO] = "ROLLBACK TO tx",
};

struct sqlite_prepared {
    sqlite3_stmt *statement;
    bool reads_only;
    unsigned n_params;
    unsigned char place[DB_MAX_PARAMS]; /* of $1, $2, ... among SQLite's parameters; 0: unused */
};

struct sqlite_cell {
    union {
        int64_t i;
        double d;
        const char *p;
    };
    unsigned n;
    unsigned char type; /* enum db_type */
};

/* ---- errors ---- */

static enum err_code code_of(int rc) {
    switch (rc) {
    case SQLITE_CONSTRAINT_CHECK:
    case SQLITE_CONSTRAINT_NOTNULL:
    case SQLITE_CONSTRAINT_DATATYPE:
        return ERR_INVALID;
    default:
        break;
    }
    switch (rc & 0xff) {
    case SQLITE_CONSTRAINT:
        return ERR_CONFLICT;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERR_BUSY;
    case SQLITE_INTERRUPT:
        return ERR_TIMEOUT;
    case SQLITE_TOOBIG:
        return ERR_LIMIT;
    case SQLITE_FULL: /* until somebody makes room */
        return ERR_UNAVAILABLE;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_NOMEM:
        return ERR_IO;
    default:
        return ERR_INTERNAL;
    }
}

int sqlite_conn_fail(struct sqlite_conn *c, int rc, const char *what, struct err *err) {
    int extended = sqlite3_extended_errcode(c->handle);
    if ((extended & 0xff) == (rc & 0xff)) {
        rc = extended;
    }
    if (c->required) {
        c->required = false;
        return err_set(err, ERR_PRECONDITION, "%s", c->required_tag);
    }
    enum err_code code = code_of(rc);
    if ((rc & 0xff) == SQLITE_READONLY && c->reads_only) {
        return err_set(err, ERR_INTERNAL, "%s writes in a transaction for reading", what);
    }
    if (code == ERR_TIMEOUT) {
        return err_set(err, code, "%s took too long", what);
    }
    return err_set(err, code, "%s: %s", what, sqlite3_errmsg(c->handle));
}

/* ---- SQL functions and hooks ---- */

static void require_function(sqlite3_context *context, int n, sqlite3_value **args) {
    (void)n;
    struct sqlite_conn *c = sqlite3_user_data(context);
    if (sqlite3_value_int(args[0])) {
        sqlite3_result_null(context);
        return;
    }
    const unsigned char *tag = sqlite3_value_text(args[1]);
    struct str text = str_utf8_head(str_z((const char *)tag), sizeof c->required_tag - 1);
    memcpy(c->required_tag, text.p, text.n);
    c->required_tag[text.n] = 0;
    c->required = true;
    sqlite3_result_error(context, "requirement not met", -1);
}

static int on_progress(void *arg) {
    const struct sqlite_conn *c = arg;
    return c->deadline_us && clock_mono_us() > c->deadline_us;
}

static int on_wal(void *arg, sqlite3 *handle, const char *name, int frames) {
    (void)handle, (void)name;
    ((struct sqlite_conn *)arg)->wal_frames = frames;
    return SQLITE_OK;
}

/* ---- opening ---- */

/* Only a file that was not there is opened: closing any descriptor of a database drops all locks
 * this process has on it (POSIX), and then another process that closes it last would remove the
 * write-ahead log under our connections. */
static int make_file(const char *path, struct err *err) {
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno != EEXIST) {
        return err_set(err, ERR_IO, "cannot open the database %s: %s", path, strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    return 0;
}

static int configure(struct sqlite_conn *c, enum sqlite_role role, int64_t busy_timeout_ms) {
    char sql[512];
    sqlite3_busy_timeout(c->handle, (int)busy_timeout_ms);
    sqlite3_extended_result_codes(c->handle, 1);
    snprintf(sql, sizeof sql,
             "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
             "PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY; PRAGMA trusted_schema=OFF;"
             "PRAGMA cache_size=-%d; PRAGMA journal_size_limit=%d; PRAGMA wal_autocheckpoint=%d;"
             "PRAGMA query_only=%d",
             role == SQLITE_READER ? READER_CACHE_KIB : WRITER_CACHE_KIB, WAL_KEEP_BYTES,
             role == SQLITE_OWNER ? 1000 : 0, role == SQLITE_READER);
    int rc = sqlite3_exec(c->handle, sql, NULL, NULL, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_create_function(c->handle, "adjutant_require", 2,
                                     SQLITE_UTF8 | SQLITE_DIRECTONLY, c, require_function, NULL,
                                     NULL);
    }
    if (rc == SQLITE_OK && role != SQLITE_OWNER) {
        sqlite3_wal_hook(c->handle, on_wal, c);
        sqlite3_progress_handler(c->handle, PROGRESS_OPCODES, on_progress, c);
    }
    return rc;
}

static void configure_library(void) {
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); /* a global lock less at each allocation */
}

int sqlite_conn_open(const char *path, enum sqlite_role role, int64_t busy_timeout_ms,
                     struct sqlite_conn **ret, struct err *err) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, configure_library);
    if (make_file(path, err) < 0) {
        return -(int)err->code;
    }
    struct sqlite_conn *c = mem_alloc(sizeof *c);
    c->reads_only = role == SQLITE_READER;
    int rc = sqlite3_open_v2(
        path, &c->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK) {
        rc = configure(c, role, busy_timeout_ms);
    }
    if (rc != SQLITE_OK) {
        err_set(err, code_of(rc), "cannot open the database %s: %s", path,
                c->handle ? sqlite3_errmsg(c->handle) : sqlite3_errstr(rc));
        sqlite_conn_close(c);
        return -(int)err->code;
    }
    *ret = c;
    return 0;
}

static void drop_prepared(void *pointer) {
    struct sqlite_prepared *p = pointer;
    sqlite3_finalize(p->statement);
    mem_free(p);
}

void sqlite_conn_close(struct sqlite_conn *c) {
    if (!c) {
        return;
    }
    statement_map_done(&c->prepared, drop_prepared);
    for (int i = 0; i < SQLITE_N_CONTROLS; i++) {
        sqlite3_finalize(c->controls[i]);
    }
    sqlite3_close(c->handle);
    mem_free(c);
}

/* ---- control ---- */

int sqlite_conn_control(struct sqlite_conn *c, enum sqlite_control control, struct err *err) {
    sqlite3_stmt **statement = &c->controls[control];
    int rc = SQLITE_OK;
    if (!*statement) {
        rc = sqlite3_prepare_v3(c->handle, control_sql[control], -1, SQLITE_PREPARE_PERSISTENT,
                                statement, NULL);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(*statement);
        int reset = sqlite3_reset(*statement);
        rc = rc == SQLITE_DONE ? reset : rc;
    }
    return rc == SQLITE_OK ? 0 : sqlite_conn_fail(c, rc, control_sql[control], err);
}

bool sqlite_conn_idle(const struct sqlite_conn *c) {
    return sqlite3_get_autocommit(c->handle);
}

bool sqlite_conn_owes_keys(const struct sqlite_conn *c) {
    int owed = 0, high;
    sqlite3_db_status(c->handle, SQLITE_DBSTATUS_DEFERRED_FKS, &owed, &high, 0);
    return owed > 0;
}

void sqlite_conn_checkpoint(struct sqlite_conn *c) {
    sqlite3_wal_checkpoint_v2(c->handle, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

/* ---- statements ---- */

static int prepare(struct sqlite_conn *c, const struct db_sql *sql, struct sqlite_prepared **ret,
                   struct err *err) {
    sqlite3_stmt *statement;
    int rc =
        sqlite3_prepare_v3(c->handle, sql->text, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL);
    if (rc != SQLITE_OK) {
        return sqlite_conn_fail(c, rc, sql->name, err);
    }
    struct sqlite_prepared *p = mem_alloc(sizeof *p);
    p->statement = statement;
    p->reads_only = sqlite3_stmt_readonly(statement);
    for (int i = 1; i <= sqlite3_bind_parameter_count(statement); i++) {
        const char *name = sqlite3_bind_parameter_name(statement, i);
        unsigned number = name && name[0] == '$' ? (unsigned)atoi(name + 1) : 0;
        if (number < 1 || number > DB_MAX_PARAMS) {
            drop_prepared(p);
            return err_set(err, ERR_INTERNAL, "%s: parameters must be $1 to $%d", sql->name,
                           DB_MAX_PARAMS);
        }
        p->place[number - 1] = (unsigned char)i;
        p->n_params = MAX(p->n_params, number);
    }
    *ret = p;
    return 0;
}

static int find_prepared(struct sqlite_conn *c, const struct db_sql *sql,
                         struct sqlite_prepared **ret, struct err *err) {
    struct statement_entry *entry = statement_map_at(&c->prepared, sql);
    if (!entry->prepared) {
        struct sqlite_prepared *fresh = NULL;
        if (prepare(c, sql, &fresh, err) < 0) {
            return -(int)err->code;
        }
        entry->prepared = fresh;
    }
    *ret = entry->prepared;
    return 0;
}

static int bind_value(sqlite3_stmt *statement, int place, const struct db_value *v) {
    switch (v->type) {
    case DB_TEXT:
        return sqlite3_bind_text64(statement, place, v->text.n ? v->text.p : "", v->text.n,
                                   SQLITE_STATIC, SQLITE_UTF8);
    case DB_BYTES:
        return sqlite3_bind_blob64(statement, place, v->text.n ? v->text.p : "", v->text.n,
                                   SQLITE_STATIC);
    case DB_INT:
    case DB_BOOL:
        return sqlite3_bind_int64(statement, place, v->i);
    case DB_DOUBLE:
        return sqlite3_bind_double(statement, place, v->d);
    case DB_TIME: {
        char iso[CLOCK_ISO_LEN + 1];
        clock_iso(v->i, iso);
        return sqlite3_bind_text(statement, place, iso, CLOCK_ISO_LEN, SQLITE_TRANSIENT);
    }
    case DB_NULL:
        break;
    }
    return sqlite3_bind_null(statement, place);
}

static int bind_all(struct sqlite_conn *c, const struct sqlite_prepared *p,
                    const struct db_statement *s, const struct db_value *values, struct err *err) {
    if (p->n_params != s->n_values) {
        return err_set(err, ERR_INTERNAL, "%s: has %u parameters, got %u", s->sql->name,
                       p->n_params, s->n_values);
    }
    for (unsigned i = 0; i < s->n_values; i++) {
        const struct db_value *v = &values[i];
        if (v->type == DB_TEXT && !str_is_utf8(v->text)) {
            return err_set(err, ERR_INVALID, "%s: a text is not valid UTF-8", s->sql->name);
        }
        int rc = p->place[i] ? bind_value(p->statement, p->place[i], v) : SQLITE_OK;
        if (rc != SQLITE_OK) {
            return sqlite_conn_fail(c, rc, s->sql->name, err);
        }
    }
    return 0;
}

/* ---- rows ---- */

static struct sqlite_cell read_cell(struct db_tx *tx, sqlite3_stmt *statement, int column) {
    struct sqlite_cell cell = {.type = DB_NULL};
    const char *p;
    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
        cell.type = DB_INT;
        cell.i = sqlite3_column_int64(statement, column);
        break;
    case SQLITE_FLOAT:
        cell.type = DB_DOUBLE;
        cell.d = sqlite3_column_double(statement, column);
        break;
    case SQLITE_TEXT:
    case SQLITE_BLOB:
        cell.type = sqlite3_column_type(statement, column) == SQLITE_TEXT ? DB_TEXT : DB_BYTES;
        p = sqlite3_column_blob(statement, column);
        cell.n = (unsigned)sqlite3_column_bytes(statement, column);
        cell.p = arena_str(tx->arena, (struct str){p ? p : "", cell.n}).p;
        break;
    default:
        break;
    }
    return cell;
}

static void add_row(struct db_tx *tx, struct db_result *result, sqlite3_stmt *statement) {
    size_t used = result->rows * result->columns;
    /* Room doubles: there is none left at each power of two. */
    if ((result->rows & (result->rows - 1)) == 0) {
        size_t rows = result->rows ? result->rows * 2 : 1;
        struct sqlite_cell *larger =
            arena_alloc(tx->arena, rows * result->columns * sizeof *larger);
        if (used > 0) {
            memcpy(larger, result->data, used * sizeof *larger);
        }
        result->data = larger;
    }
    struct sqlite_cell *cells = result->data;
    for (size_t i = 0; i < result->columns; i++) {
        cells[used + i] = read_cell(tx, statement, (int)i);
    }
    result->rows++;
}

static int run_statement(struct sqlite_conn *c, struct db_tx *tx, unsigned index, struct err *err) {
    const struct db_statement *s = &tx->statements[index];
    struct db_result *result = &tx->results[index];
    struct sqlite_prepared *p = NULL;
    int rc;

    if (find_prepared(c, s->sql, &p, err) < 0 ||
        bind_all(c, p, s, tx->values + s->first_value, err) < 0) {
        return -(int)err->code;
    }
    while ((rc = sqlite3_step(p->statement)) == SQLITE_ROW) {
        /* The columns are known only now: a changed schema may have been noticed by the step. */
        result->columns = (size_t)sqlite3_column_count(p->statement);
        add_row(tx, result, p->statement);
    }
    if (rc != SQLITE_DONE) {
        sqlite_conn_fail(c, rc, s->sql->name, err);
    }
    sqlite3_reset(p->statement);
    if (rc != SQLITE_DONE) {
        return -(int)err->code;
    }
    result->affected = p->reads_only ? (int64_t)result->rows : sqlite3_changes64(c->handle);
    return 0;
}

int sqlite_conn_run(struct sqlite_conn *c, struct db_tx *tx, struct err *err) {
    int rc = 0;
    c->required = false;
    c->deadline_us = clock_mono_us() + tx->statement_timeout_ms * 1000;
    for (unsigned i = 0; i < tx->n_statements && rc == 0; i++) {
        rc = run_statement(c, tx, i, err);
    }
    c->deadline_us = 0;
    return rc;
}

void sqlite_drop_result(struct db_result *result) {
    (void)result; /* all in the transaction's arena */
}

struct db_value sqlite_cell(const struct db_tx *tx, const struct db_result *result, size_t row,
                            size_t column) {
    (void)tx;
    const struct sqlite_cell *cell =
        &((const struct sqlite_cell *)result->data)[row * result->columns + column];
    switch (cell->type) {
    case DB_INT:
        return db_int(cell->i);
    case DB_DOUBLE:
        return db_double(cell->d);
    case DB_TEXT:
        return db_text((struct str){cell->p, cell->n});
    case DB_BYTES:
        return db_bytes((struct str){cell->p, cell->n});
    default:
        return db_null();
    }
}
