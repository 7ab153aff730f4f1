#include "db/pg.h"

#include "base/clock.h"
#include "base/mem.h"

static void pg_free(struct pg *pg) {
    pg_target_free(pg->target);
    mem_free(pg);
}

static int pg_open(struct db *db, struct err *err) {
    struct pg *pg = mem_alloc(sizeof *pg);
    pg->db = db;
    list_init(&pg->notes);
    fiber_cond_init(&pg->listen_changed);
    if (pg_target_parse(db->url, &pg->target, err) < 0) {
        pg_free(pg);
        return -(int)err->code;
    }
    if (pg_pool_open(pg, err) < 0) {
        pg_free(pg);
        return err_prefix(err, "cannot open the database; see that its server runs and that the "
                               "URL is right");
    }
    db->impl = pg;
    return 0;
}

static void pg_close(struct db *db) {
    pg_pool_close(db->impl);
    pg_free(db->impl);
}

static void pg_stats(const struct db *db, struct db_stats *ret) {
    const struct pg *pg = db->impl;
    ret->connections = pg->n_open;
    ret->busy = pg->n_busy;
    ret->waiting = pg->n_waiting;
    ret->commits = pg->commits;
    ret->healthy = !pg->away;
}

const struct db_driver db_driver_pg = {
    .backend = DB_POSTGRES,
    .open = pg_open,
    .close = pg_close,
    .run = pg_run,
    .drop_result = pg_drop_result,
    .cell = pg_cell,
    .listen = pg_listen,
    .notify = pg_notify,
    .stats = pg_stats,
};

/* ---- one connection for migrations ---- */

struct rows {
    struct arena *arena;
    struct db_table *table;
};

static void keep_rows(const PGresult *result, void *arg) {
    const struct rows *rows = arg;
    size_t n = (size_t)PQntuples(result), columns = (size_t)PQnfields(result);
    struct str *cells = arena_alloc(rows->arena, n * columns * sizeof *cells);
    for (size_t i = 0; i < n * columns; i++) {
        int row = (int)(i / columns), column = (int)(i % columns);
        if (!PQgetisnull(result, row, column)) {
            cells[i] = arena_str(rows->arena, str_z(PQgetvalue(result, row, column)));
        }
    }
    *rows->table = (struct db_table){.rows = n, .columns = columns, .cells = cells};
}

static int64_t in_ms(int64_t ms) {
    return clock_mono_us() + ms * 1000;
}

static int session_open(const struct db_options *options, void **ret, struct err *err) {
    struct pg_settings settings = {.statement_timeout_ms = 0};
    struct pg_target *target cleanup(pg_target_free_p) = NULL;
    struct pg_conn *c;
    int64_t timeout_ms = options->connect_timeout_ms ? options->connect_timeout_ms : 5000;
    if (pg_target_parse(options->url, &target, err) < 0 ||
        pg_conn_open(target, &settings, in_ms(timeout_ms), &c, err) < 0) {
        return -(int)err->code;
    }
    *ret = c;
    return 0;
}

static void session_close(void *session) {
    pg_conn_close(session);
}

static int session_exec(void *session, const char *sql, int64_t timeout_ms, struct arena *arena,
                        struct db_table *ret_table, struct err *err) {
    struct pg_conn *c = session;
    struct rows rows = {.arena = arena, .table = ret_table};
    if (c->dead) {
        return err_set(err, ERR_UNAVAILABLE, "the connection to the database ended");
    }
    return pg_conn_exec(c, sql, in_ms(timeout_ms), ret_table ? keep_rows : NULL, &rows, err);
}

const struct db_session_driver db_session_driver_pg = {
    .backend = DB_POSTGRES,
    .open = session_open,
    .close = session_close,
    .exec = session_exec,
};
