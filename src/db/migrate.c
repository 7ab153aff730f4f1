#include "db/migrate.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "db/driver.h"

enum {
    MAX_SCRIPT_BYTES = 4 * 1024 * 1024,
    /* Also bounds the wait for somebody else who migrates the same database. */
    EXEC_TIMEOUT_MS = 600 * 1000,
};

/* The lock's key is "adjutant" in ASCII. */
#define PG_LOCK "SELECT pg_advisory_xact_lock(7017843301399715444);"

static const char *begin_sql(enum db_backend backend) {
    return backend == DB_POSTGRES ? "BEGIN; " PG_LOCK : "BEGIN IMMEDIATE;";
}

static const char *const create_records =
    "CREATE TABLE IF NOT EXISTS schema_migrations("
    "number INTEGER PRIMARY KEY, name TEXT NOT NULL, digest TEXT NOT NULL, "
    "applied_at TIMESTAMPTZ NOT NULL);";

/* SQLite's driver brings a function of the same name. VOLATILE (the default) keeps the planner from
 * evaluating it ahead of the run. */
static const char *const create_require =
    "CREATE OR REPLACE FUNCTION adjutant_require(condition boolean, tag text) RETURNS void "
    "LANGUAGE plpgsql AS $$ BEGIN "
    "IF condition IS NOT TRUE THEN RAISE EXCEPTION USING ERRCODE = 'AD001', MESSAGE = tag; END IF; "
    "END $$;";

/* ---- the text ---- */

static bool is_marker(struct str line, const char *marker) {
    return str_eq(str_trim(line), str_z(marker));
}

/* Leaves out the stretches that are for the other backend. */
static int for_backend(const char *sql, enum db_backend backend, struct strbuf *out,
                       struct err *err) {
    const char *ours = backend == DB_POSTGRES ? "--@postgresql" : "--@sqlite";
    const char *theirs = backend == DB_POSTGRES ? "--@sqlite" : "--@postgresql";
    bool within = false, skipping = false;
    struct str rest = str_z(sql);

    while (rest.n > 0) {
        struct str line = str_cut(&rest, '\n');
        if (is_marker(line, ours) || is_marker(line, theirs)) {
            if (within) {
                return err_set(err, ERR_INVALID, "a stretch for one database begins in another");
            }
            within = true;
            skipping = is_marker(line, theirs);
        } else if (is_marker(line, "--@end")) {
            if (!within) {
                return err_set(err, ERR_INVALID, "--@end without a beginning");
            }
            within = skipping = false;
        } else if (!skipping) {
            strbuf_add(out, line);
            strbuf_addc(out, '\n');
        }
    }
    if (within) {
        return err_set(err, ERR_INVALID, "--@end is missing");
    }
    return strbuf_check(out, "migration", err);
}

static void add_quoted(struct strbuf *out, struct str s) {
    strbuf_addc(out, '\'');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\'') {
            strbuf_addc(out, '\'');
        }
        strbuf_addc(out, s.p[i]);
    }
    strbuf_addc(out, '\'');
}

static void digest_of(const struct migration *m, char ret[SHA256_HEX + 1]) {
    crypto_sha256_hex(str_z(m->sql), ret);
}

/* ---- what is recorded ---- */

static int exec(struct db_session *session, const char *sql, struct arena *arena,
                struct db_table *ret_table, struct err *err) {
    return db_session_exec(session, sql, EXEC_TIMEOUT_MS, arena, ret_table, err);
}

static int read_records(struct db_session *session, struct arena *arena, struct db_table *ret,
                        struct err *err) {
    const char *exists =
        db_session_backend(session) == DB_POSTGRES
            ? "SELECT 1 WHERE to_regclass('schema_migrations') IS NOT NULL"
            : "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'schema_migrations'";
    struct db_table found;
    if (exec(session, exists, arena, &found, err) < 0) {
        return -(int)err->code;
    }
    if (found.rows == 0) {
        *ret = (struct db_table){0};
        return 0;
    }
    return exec(session, "SELECT number, digest FROM schema_migrations ORDER BY number", arena, ret,
                err);
}

static int64_t number_at(const struct db_table *records, size_t row) {
    int64_t number = 0;
    str_to_i64(records->cells[row * records->columns], &number);
    return number;
}

/* The records must be the first of what the program has; gives how many there are. */
static int check_records(const struct db_table *records, const struct migration *migrations,
                         size_t n, size_t *ret_applied, struct err *err) {
    for (size_t i = 0; i < records->rows; i++) {
        int64_t number = number_at(records, i);
        if (i >= n) {
            return err_set(err, ERR_CONFLICT,
                           "the database is newer than this program: it has migration %lld, the "
                           "program ends at %zu; run a newer program",
                           (long long)number, n);
        }
        char digest[SHA256_HEX + 1];
        digest_of(&migrations[i], digest);
        if (number != migrations[i].number) {
            return err_set(err, ERR_CONFLICT,
                           "migration %d is missing in the database, though "
                           "later ones are there",
                           migrations[i].number);
        }
        if (!str_eq(records->cells[i * records->columns + 1], str_z(digest))) {
            return err_set(err, ERR_CONFLICT,
                           "migration %d (%s) was changed after it had been applied",
                           migrations[i].number, migrations[i].name);
        }
    }
    *ret_applied = records->rows;
    return 0;
}

static int check_state(struct db_session *session, const struct migration *migrations, size_t n,
                       size_t *ret_applied, struct err *err) {
    struct arena arena cleanup(arena_done) = {0};
    struct db_table records;
    if (read_records(session, &arena, &records, err) < 0) {
        return -(int)err->code;
    }
    return check_records(&records, migrations, n, ret_applied, err);
}

/* ---- applying ---- */

static int prepare_database(struct db_session *session, struct err *err) {
    if (exec(session, create_records, NULL, NULL, err) < 0) {
        return -(int)err->code;
    }
    if (db_session_backend(session) == DB_POSTGRES) {
        return exec(session, create_require, NULL, NULL, err);
    }
    return 0;
}

static int run_and_record(struct db_session *session, const struct migration *m, struct err *err) {
    struct strbuf sql cleanup(strbuf_done) = STRBUF(MAX_SCRIPT_BYTES);
    char digest[SHA256_HEX + 1], now[CLOCK_ISO_LEN + 1];

    if (for_backend(m->sql, db_session_backend(session), &sql, err) < 0) {
        return -(int)err->code;
    }
    digest_of(m, digest);
    clock_iso(clock_now_us(), now);
    strbuf_addf(&sql,
                "\n;INSERT INTO schema_migrations(number, name, digest, applied_at) "
                "VALUES (%d, ",
                m->number);
    add_quoted(&sql, str_z(m->name));
    strbuf_addf(&sql, ", '%s', '%s');", digest, now);
    if (strbuf_check(&sql, "migration", err) < 0) {
        return -(int)err->code;
    }
    return exec(session, strbuf_z(&sql), NULL, NULL, err);
}

/* Within the transaction and its lock: the first migration that is missing, if any. */
static int apply_within(struct db_session *session, const struct migration *migrations, size_t n,
                        size_t *ret_applied, bool *ret_new, struct err *err) {
    if (prepare_database(session, err) < 0 ||
        check_state(session, migrations, n, ret_applied, err) < 0) {
        return -(int)err->code;
    }
    *ret_new = *ret_applied < n;
    if (!*ret_new) {
        return 0;
    }
    const struct migration *m = &migrations[*ret_applied];
    if (run_and_record(session, m, err) < 0) {
        return err_prefix(err, "migration %d (%s)", m->number, m->name);
    }
    ++*ret_applied;
    return 0;
}

static int apply_next(struct db_session *session, const struct migration *migrations, size_t n,
                      size_t *ret_applied, bool *ret_new, struct err *err) {
    struct err ignored;
    if (exec(session, begin_sql(db_session_backend(session)), NULL, NULL, err) < 0) {
        return -(int)err->code;
    }
    int rc = apply_within(session, migrations, n, ret_applied, ret_new, err);
    if (rc == 0) {
        rc = exec(session, "COMMIT", NULL, NULL, err);
    }
    if (rc < 0) {
        /* On a lost connection, or after SQLite took all back itself, there is nothing to end. */
        (void)!exec(session, "ROLLBACK", NULL, NULL, &ignored);
    }
    return rc;
}

static int apply_missing(struct db_session *session, const struct migration *migrations, size_t n,
                         int *ret_new, struct err *err) {
    size_t applied;
    if (check_state(session, migrations, n, &applied, err) < 0) {
        return -(int)err->code;
    }
    while (applied < n) {
        bool one_more = false;
        if (apply_next(session, migrations, n, &applied, &one_more, err) < 0) {
            return -(int)err->code;
        }
        if (one_more) {
            const struct migration *m = &migrations[applied - 1];
            log_info("db", "migration applied number=%d name=%s", m->number, m->name);
            ++*ret_new;
        }
    }
    return 0;
}

int db_migrate(const struct db_options *options, const struct migration *migrations, size_t n,
               int *ret_applied, struct err *err) {
    struct db_session *session;
    int applied = 0;

    for (size_t i = 0; i < n; i++) {
        assert(migrations[i].number == (int)i + 1);
    }
    if (db_session_open(options, &session, err) < 0) {
        return -(int)err->code;
    }
    int rc = apply_missing(session, migrations, n, &applied, err);
    db_session_close(session);
    if (rc == 0) {
        *ret_applied = applied;
    }
    return rc;
}

int db_migration_state(const struct db_options *options, int *ret_number, struct err *err) {
    struct arena arena cleanup(arena_done) = {0};
    struct db_session *session;
    struct db_table records;

    if (!options->url && access(options->sqlite_path, F_OK) < 0) {
        *ret_number = 0; /* looking must not make a file */
        return 0;
    }
    if (db_session_open(options, &session, err) < 0) {
        return -(int)err->code;
    }
    int rc = read_records(session, &arena, &records, err);
    db_session_close(session);
    if (rc == 0) {
        *ret_number = records.rows ? (int)number_at(&records, records.rows - 1) : 0;
    }
    return rc;
}
