/* A transaction as one pipeline: all statements up to one Sync are an implicit transaction, which
 * the server commits at the Sync or gives up at the first error (PostgreSQL's documentation,
 * "Pipelining" in the frontend/backend protocol). One round trip, no BEGIN and COMMIT. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "db/pg.h"

enum {
    BOOLEAN_OID = 16, /* pg_type.dat */
    BYTEA_OID = 17,
    TIMESTAMP_OID = 1114,
    TIMESTAMPTZ_OID = 1184,
    NUMBER_TEXT_BYTES = 40,
    SCRATCH_KEPT_BYTES = 64 * 1024,
};

static const struct db_sql sql_set_user =
    DB_SQL("set_user", "SELECT set_config('app.user_id', $1, true)");

/* What was sent and will be answered, in order. */
struct pg_op {
    const struct db_sql *sql;
    int statement;                /* its index, or one of: */
    struct pg_prepared *prepared; /* of an OP_PREPARE */
};

enum { OP_SET_USER = -1, OP_PREPARE = -2 };

struct pipeline {
    struct pg_conn *conn;
    struct db_tx *tx;
    int64_t limit_us;
    struct pg_op ops[2 * (DB_MAX_STATEMENTS + 1)];
    unsigned n;
};

/* ---- sending ---- */

/* The server's name for the statement; prepares it first when this connection has not. Being sent
 * is not enough to count as prepared, as an error before it in the pipeline skips it. */
static struct pg_prepared *find_prepared(struct pipeline *p, const struct db_sql *sql) {
    struct pg_conn *c = p->conn;
    struct statement_entry *entry = statement_map_at(&c->prepared, sql);
    struct pg_prepared *prepared = entry->prepared;
    if (!prepared) {
        prepared = entry->prepared = mem_alloc(sizeof *prepared);
        /* Statistics show the name; the number makes it unique. */
        snprintf(prepared->name, sizeof prepared->name, "%.48s_%zu", sql->name, c->prepared.count);
    }
    if (prepared->state == PG_UNPREPARED) {
        if (!PQsendPrepare(c->handle, prepared->name, sql->text, 0, NULL)) {
            return NULL;
        }
        prepared->state = PG_PREPARING;
        p->ops[p->n++] = (struct pg_op){.sql = sql, .statement = OP_PREPARE, .prepared = prepared};
    }
    return prepared;
}

struct arguments {
    const char *values[DB_MAX_PARAMS];
    int lengths[DB_MAX_PARAMS], formats[DB_MAX_PARAMS];
};

static size_t text_size(const struct db_value *v) {
    return v->type == DB_TEXT ? v->text.n + 1 : NUMBER_TEXT_BYTES;
}

static void put_int(int64_t value, char *at) {
    char digits[20];
    size_t n = 0;
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
    do {
        digits[n++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0) {
        *at++ = '-';
    }
    while (n > 0) {
        *at++ = digits[--n];
    }
    *at = '\0';
}

/* Writes the value's text form at `at`, which has text_size(v) bytes. */
static void put_text(const struct db_value *v, char *at) {
    switch (v->type) {
    case DB_TEXT:
        if (v->text.n > 0) {
            memcpy(at, v->text.p, v->text.n);
        }
        at[v->text.n] = '\0';
        break;
    case DB_INT:
        put_int(v->i, at);
        break;
    case DB_BOOL:
        memcpy(at, v->i ? "t" : "f", 2);
        break;
    case DB_TIME:
        clock_iso(v->i, at);
        break;
    case DB_DOUBLE:
        snprintf(at, NUMBER_TEXT_BYTES, "%.17g", v->d);
        break;
    case DB_NULL:
    case DB_BYTES:
        break;
    }
}

static void put_arguments(struct strbuf *scratch, const struct db_value *values, unsigned n,
                          struct arguments *ret) {
    size_t size = 0;
    for (unsigned i = 0; i < n; i++) {
        size += text_size(&values[i]);
    }
    strbuf_reset(scratch);
    char *at = strbuf_room(scratch, size + 1);
    for (unsigned i = 0; i < n; i++) {
        const struct db_value *v = &values[i];
        ret->lengths[i] = 0;
        ret->formats[i] = 0;
        if (v->type == DB_NULL) {
            ret->values[i] = NULL;
        } else if (v->type == DB_BYTES) {
            ret->values[i] = v->text.n ? v->text.p : "";
            ret->lengths[i] = (int)v->text.n;
            ret->formats[i] = 1;
        } else {
            put_text(v, at);
            ret->values[i] = at;
            at += text_size(v);
        }
    }
}

static size_t arguments_size(const struct db_value *values, unsigned n) {
    size_t size = 0;
    for (unsigned i = 0; i < n; i++) {
        size += values[i].text.n + NUMBER_TEXT_BYTES;
    }
    return size;
}

static int send_statement(struct pipeline *p, const struct db_sql *sql, int statement,
                          const struct db_value *values, unsigned n) {
    struct arguments args;
    const struct pg_prepared *prepared = find_prepared(p, sql);
    if (!prepared) {
        return -1;
    }
    put_arguments(&p->conn->scratch, values, n, &args);
    if (!PQsendQueryPrepared(p->conn->handle, prepared->name, (int)n, args.values, args.lengths,
                             args.formats, 0)) {
        return -1;
    }
    p->ops[p->n++] = (struct pg_op){.sql = sql, .statement = statement};
    return 0;
}

static int send_all(struct pipeline *p, struct err *err) {
    struct db_tx *tx = p->tx;
    int rc = 0;
    if (tx->user_id.n > 0) {
        struct db_value user = db_text(tx->user_id);
        rc = send_statement(p, &sql_set_user, OP_SET_USER, &user, 1);
    }
    for (unsigned i = 0; i < tx->n_statements && rc == 0; i++) {
        const struct db_statement *s = &tx->statements[i];
        rc = send_statement(p, s->sql, (int)i, tx->values + s->first_value, s->n_values);
    }
    if (rc < 0 || !PQpipelineSync(p->conn->handle)) {
        p->conn->dead = true;
        return pg_lost(p->conn, err);
    }
    if (p->conn->scratch.cap > SCRATCH_KEPT_BYTES) {
        strbuf_done(&p->conn->scratch);
    }
    return pg_conn_flush(p->conn, p->limit_us, err);
}

/* ---- receiving ---- */

static void keep(struct pipeline *p, const struct pg_op *op, PGresult *result) {
    if (op->statement == OP_PREPARE) {
        op->prepared->state = PG_PREPARED;
    }
    if (op->statement < 0) {
        PQclear(result);
        return;
    }
    struct db_result *r = &p->tx->results[op->statement];
    r->data = result;
    r->rows = (size_t)PQntuples(result);
    r->columns = (size_t)PQnfields(result);
    str_to_i64(str_z(PQcmdTuples(result)), &r->affected);
}

static void refused(struct pipeline *p, const struct pg_op *op, const PGresult *result,
                    struct err *err) {
    pg_error(result, op ? op->sql->name : "commit", err);
    p->conn->dead = pg_error_is_fatal(result);
}

/* What an error kept from being prepared is prepared when it is wanted again. */
static void forget_skipped(struct pipeline *p) {
    for (unsigned i = 0; i < p->n; i++) {
        if (p->ops[i].statement == OP_PREPARE && p->ops[i].prepared->state == PG_PREPARING) {
            p->ops[i].prepared->state = PG_UNPREPARED;
        }
    }
}

static int unexpected(struct pipeline *p, struct err *err) {
    p->conn->dead = true;
    return err_set(err, ERR_PROTOCOL, "the database answered out of order");
}

/* Each operation is answered by a result and then by NULL; the Sync by one result of its own. */
static int receive_all(struct pipeline *p, struct err *err) {
    unsigned at = 0;
    bool failed = false;
    for (;;) {
        PGresult *result;
        if (pg_conn_result(p->conn, p->limit_us, &result, err) < 0) {
            return -(int)err->code;
        }
        const struct pg_op *op = at < p->n ? &p->ops[at] : NULL;
        ExecStatusType status = result ? PQresultStatus(result) : PGRES_EMPTY_QUERY;
        if (!result) {
            if (at++ > p->n) {
                return unexpected(p, err);
            }
        } else if (status == PGRES_PIPELINE_SYNC) {
            PQclear(result);
            forget_skipped(p);
            return failed ? -(int)err->code : 0;
        } else if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
            if (!op || (op->statement >= 0 && p->tx->results[op->statement].data)) {
                PQclear(result);
                return unexpected(p, err);
            }
            keep(p, op, result);
        } else {
            if (status == PGRES_FATAL_ERROR && !failed) {
                failed = true;
                refused(p, op, result, err);
            }
            PQclear(result);
            if (p->conn->dead) {
                return -(int)err->code; /* nothing more will come */
            }
        }
    }
}

int pg_run(struct db_tx *tx, struct err *err) {
    struct pg *pg = tx->db->impl;
    struct pipeline p = {.tx = tx};

    if (arguments_size(tx->values, tx->n_values) > PG_MAX_VALUE_BYTES) {
        return err_set(err, ERR_LIMIT, "the values of a transaction are too large");
    }
    if (pg_acquire(pg, tx->acquire_timeout_ms, &p.conn, err) < 0) {
        return -(int)err->code;
    }
    p.limit_us = clock_mono_us() + tx->answer_timeout_ms * 1000;
    /* From here on it runs to its end: half an answer would leave the connection useless. */
    fiber_shield_enter();
    int rc = send_all(&p, err);
    if (rc == 0) {
        rc = receive_all(&p, err);
    }
    fiber_shield_leave();
    pg_release(pg, p.conn);
    pg->commits += rc == 0 && tx->mode == DB_WRITE;
    return rc;
}

/* ---- results ---- */

void pg_drop_result(struct db_result *result) {
    PQclear(result->data);
}

static unsigned nibble(char c) {
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* bytea_output = 'hex': \x and two digits a byte. */
static struct str decode_hex(struct arena *arena, struct str hex) {
    size_t n = hex.n >= 2 ? (hex.n - 2) / 2 : 0;
    char *bytes = arena_alloc(arena, n + 1);
    for (size_t i = 0; i < n; i++) {
        bytes[i] = (char)(nibble(hex.p[2 + 2 * i]) << 4 | nibble(hex.p[3 + 2 * i]));
    }
    return (struct str){bytes, n};
}

struct db_value pg_cell(const struct db_tx *tx, const struct db_result *result, size_t row,
                        size_t column) {
    const PGresult *r = result->data;
    int i = (int)row, j = (int)column;
    int64_t us;
    if (PQgetisnull(r, i, j)) {
        return db_null();
    }
    struct str text = {PQgetvalue(r, i, j), (size_t)PQgetlength(r, i, j)};
    switch (PQftype(r, j)) {
    case BOOLEAN_OID:
        return db_bool(text.p[0] == 't');
    case BYTEA_OID:
        return db_bytes(decode_hex(tx->arena, text));
    case TIMESTAMP_OID:
    case TIMESTAMPTZ_OID:
        return clock_parse(text, &us) ? db_time(us) : db_text(text);
    default:
        return db_text(text);
    }
}
