/* The database: transactions as lists of statements, over PostgreSQL or SQLite.
 *
 * A transaction is put together, then run as a whole: PostgreSQL gets it as one pipeline (one round
 * trip), SQLite's writer commits all that came together with one fsync. Nothing is held open while
 * a fiber thinks. What must hold for a write is said in SQL: `SELECT adjutant_require(<condition>,
 * '<tag>')` ends the transaction with ERR_PRECONDITION when the condition is not true; nothing is
 * written then, and err->msg is the tag.
 *
 * One SQL text serves both backends: placeholders $1..$n, RETURNING, ON CONFLICT, no functions that
 * only one has. Times are parameters, not now(). The user of a transaction stands in it:
 * PostgreSQL's row-level security reads it as app.user_id (set for the transaction only), and on
 * both backends each statement on user data names the user as well.
 *
 *     static const struct db_sql SQL_RENAME = DB_SQL("thread_rename", "UPDATE threads SET title =
 * $3 WHERE user_id = $1 AND id = $2");
 *
 *     struct db_tx *tx cleanup(db_tx_free_p) = db_tx_new(db, user_id, DB_WRITE);
 *     size_t rename = db_tx_add(tx, &SQL_RENAME, db_text(user_id), db_text(id), db_text(title));
 *     if (db_tx_run(tx, err) < 0) return -err->code;
 *     if (db_rows_affected(tx, rename) == 0) ...
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "fiber/fiber.h"

struct db;
struct db_tx;

struct db_options {
    const char *url;              /* postgres://... ; NULL: SQLite */
    const char *sqlite_path;      /* the file, made when missing with mode 0600 */
    const char *role;             /* PostgreSQL: SET ROLE at connecting; NULL: none */
    unsigned pool_size;           /* PostgreSQL connections [8] */
    int64_t connect_timeout_ms;   /* [5,000] */
    int64_t acquire_timeout_ms;   /* [5,000] waiting for a free connection */
    int64_t statement_timeout_ms; /* [30,000] */
};

enum db_backend { DB_POSTGRES, DB_SQLITE };

/* Connects once to be sure. ERR_UNAVAILABLE says what to do. */
may_yield int db_open(const struct db_options *options, struct db **ret, struct err *err)
    must_check;
may_yield void db_close(struct db *db); /* accepts NULL; open transactions must have ended */
enum db_backend db_backend(const struct db *db);
const char *db_sqlite_path(const struct db *db); /* NULL on PostgreSQL */

/* ---- statements and values ---- */

/* Static and shared: its address identifies the prepared statement, its name shows in statistics
 * and errors. */
struct db_sql {
    const char *name;
    const char *text;
};
#define DB_SQL(name_, text_) ((struct db_sql){.name = (name_), .text = (text_)})

enum db_type { DB_NULL, DB_TEXT, DB_INT, DB_BOOL, DB_TIME, DB_DOUBLE, DB_BYTES };

struct db_value {
    enum db_type type;
    struct str text; /* DB_TEXT, DB_BYTES: must live until the transaction was run */
    int64_t i;       /* DB_INT, DB_BOOL, DB_TIME (microseconds, UTC) */
    double d;
};

static inline struct db_value db_text(struct str s) {
    return (struct db_value){.type = DB_TEXT, .text = s};
}
static inline struct db_value db_textz(const char *z) {
    return (struct db_value){.type = z ? DB_TEXT : DB_NULL, .text = str_z(z)};
}
/* NULL when the view is empty. */
static inline struct db_value db_text_or_null(struct str s) {
    return (struct db_value){.type = s.n ? DB_TEXT : DB_NULL, .text = s};
}
static inline struct db_value db_int(int64_t v) {
    return (struct db_value){.type = DB_INT, .i = v};
}
static inline struct db_value db_bool(bool v) {
    return (struct db_value){.type = DB_BOOL, .i = v};
}
static inline struct db_value db_time(int64_t us) {
    return (struct db_value){.type = DB_TIME, .i = us};
}
static inline struct db_value db_double(double v) {
    return (struct db_value){.type = DB_DOUBLE, .d = v};
}
static inline struct db_value db_bytes(struct str s) {
    return (struct db_value){.type = DB_BYTES, .text = s};
}
static inline struct db_value db_null(void) {
    return (struct db_value){.type = DB_NULL};
}

/* ---- a transaction ---- */

enum db_mode { DB_READ, DB_WRITE };
enum { DB_MAX_STATEMENTS = 64, DB_MAX_PARAMS = 32 };

/* user_id: whose data; empty for tables without owner (api_keys). It must live until the
 * transaction was run. On PostgreSQL an empty one leaves app.user_id as it is between
 * transactions: unknown or '', which no row may have as its user. */
struct db_tx *db_tx_new(struct db *db, struct str user_id, enum db_mode mode);
void db_tx_free(struct db_tx *tx); /* accepts NULL */
void db_tx_free_p(struct db_tx **tx);

/* Appends a statement; gives its index. More than the maxima is a bug and asserts. */
size_t db_tx_add_values(struct db_tx *tx, const struct db_sql *sql, const struct db_value *values,
                        size_t n);
#define db_tx_add(tx, sql, ...)                                                                    \
    db_tx_add_values(tx, sql, (const struct db_value[]){__VA_ARGS__},                              \
                     sizeof((const struct db_value[]){__VA_ARGS__}) / sizeof(struct db_value))

/* All or nothing. After a failure the same transaction may be run again. Errors: ERR_PRECONDITION
 * (a require; msg is its tag), ERR_CONFLICT (unique or foreign key violation, serialization
 * failure), ERR_INVALID (a value the database refuses: bad UUID, NUL in text, CHECK, NOT NULL),
 * ERR_FORBIDDEN (row-level security), ERR_BUSY (no connection or no turn within acquire_timeout;
 * nothing was written), ERR_TIMEOUT (a statement was interrupted, or the server is silent),
 * ERR_UNAVAILABLE (the database went away), ERR_IO (SQLite: the disk), ERR_CANCELLED (only before
 * it was sent). After ERR_TIMEOUT, ERR_UNAVAILABLE and ERR_IO a write may have been committed all
 * the same, so writers must be repeatable. */
may_yield int db_tx_run(struct db_tx *tx, struct err *err) must_check;

/* ---- results, after a successful run; views live as long as the transaction, which may outlive
 * its database ---- */

size_t db_rows(const struct db_tx *tx, size_t statement);
int64_t db_rows_affected(const struct db_tx *tx, size_t statement);
bool db_is_null(const struct db_tx *tx, size_t statement, size_t row, size_t column);
struct str db_get_text(const struct db_tx *tx, size_t statement, size_t row,
                       size_t column); /* NULL: empty view */
int64_t db_get_int(const struct db_tx *tx, size_t statement, size_t row,
                   size_t column); /* NULL: 0 */
double db_get_double(const struct db_tx *tx, size_t statement, size_t row, size_t column);
bool db_get_bool(const struct db_tx *tx, size_t statement, size_t row, size_t column);
int64_t db_get_time(const struct db_tx *tx, size_t statement, size_t row,
                    size_t column); /* NULL: 0 */

/* ---- messages between processes (PostgreSQL's LISTEN/NOTIFY; within the process on SQLite) ----
 */

enum { DB_NOTIFY_MAX_BYTES = 7900 };
/* on_notify runs on a fiber of the database's own and must not wait long; payload lives during the
 * call. A lost connection is opened again with backoff; on_lost (may be NULL) tells that messages
 * may have been missed: whenever PostgreSQL begins to listen, the first time included, and when
 * messages came faster than they were taken. Channel names are [a-z_][a-z0-9_]*. */
int db_listen(struct db *db, const char *channel, void (*on_notify)(struct str payload, void *arg),
              void (*on_lost)(void *arg), void *arg, struct err *err) must_check;
/* From now on nothing is told to those who listen with this arg. */
void db_unlisten(struct db *db, void *arg);
/* Not part of a transaction, best effort: the message may be lost, and equal ones sent together
 * may arrive as one. ERR_LIMIT above DB_NOTIFY_MAX_BYTES. */
may_yield int db_notify(struct db *db, const char *channel, struct str payload, struct err *err)
    must_check;

struct db_stats {
    unsigned connections, busy, waiting;
    uint64_t transactions, errors, commits; /* commits: fsyncs on SQLite */
    bool healthy;
};
struct db_stats db_stats(const struct db *db);
/* A cheap round trip, at most timeout_ms. */
may_yield int db_ping(struct db *db, int64_t timeout_ms, struct err *err) must_check;

/* Failure injection for tests: the k-th transaction from now fails with `code`; with after_commit
 * it fails after it was committed. 0 switches it off. Also from the environment:
 * ADJUTANT_FAIL_DB="k" or "k:committed". ADJUTANT_CRASH_AT="k" or "k:after" kills the process right
 * before or after its k-th write. */
void db_fail_at(struct db *db, uint64_t k, enum err_code code, bool after_commit);
