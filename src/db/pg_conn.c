#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "db/pg.h"

/* ---- waiting ---- */

static void on_poll(uv_poll_t *poll, int status, int events) {
    struct pg_conn *c = poll->data;
    if (status < 0) {
        c->armed = 0; /* libuv stops a handle with an error, though bytes may still be there */
    }
    if (c->waiting) {
        c->arrived |= status < 0 ? UV_READABLE : events; /* libpq finds out what is wrong */
        fiber_signal(&c->ready);
    } else if (c->on_idle) {
        c->on_idle(c, c->on_idle_arg);
    } else {
        uv_poll_stop(poll);
        c->armed = 0;
    }
}

static void arm(struct pg_conn *c, int events) {
    if (c->armed != events) {
        uv_poll_start(c->poll, events, on_poll);
        c->armed = events;
    }
}

int pg_conn_wait(struct pg_conn *c, int events, int64_t limit_us) {
    int rc = 0;
    arm(c, events);
    c->arrived = 0;
    c->waiting = true;
    while (!c->arrived && rc == 0) {
        int64_t left_ms = (limit_us - clock_mono_us() + 999) / 1000;
        rc = fiber_wait(&c->ready, MAX(left_ms, (int64_t)0));
    }
    c->waiting = false;
    return c->arrived ? 0 : rc;
}

void pg_conn_watch(struct pg_conn *c) {
    arm(c, UV_READABLE);
}

/* ---- talking ---- */

bool pg_conn_consume(struct pg_conn *c) {
    /* With TLS a whole record may lie decrypted behind what libpq had room for, while the socket
     * stays silent; each call makes room and takes more. A record is 16 KiB, libpq's step 8. */
    int calls = PQsslInUse(c->handle) ? 3 : 1;
    for (int i = 0; i < calls; i++) {
        if (!PQconsumeInput(c->handle)) {
            c->dead = true;
            return false;
        }
    }
    return true;
}

static int gave_up(struct pg_conn *c, int rc, struct err *err) {
    c->dead = true;
    if (rc == -ERR_CANCELLED) {
        return err_set(err, ERR_CANCELLED, "cancelled");
    }
    return err_set(err, ERR_TIMEOUT, "the database did not answer in time");
}

int pg_conn_flush(struct pg_conn *c, int64_t limit_us, struct err *err) {
    for (;;) {
        int rc = PQflush(c->handle);
        if (rc == 0) {
            return 0;
        }
        if (rc < 0) {
            c->dead = true;
            return pg_lost(c, err);
        }
        rc = pg_conn_wait(c, UV_READABLE | UV_WRITABLE, limit_us);
        if (rc < 0) {
            return gave_up(c, rc, err);
        }
        /* Answers are taken in while sending, else both sides could wait for each other. */
        if ((c->arrived & UV_READABLE) && !pg_conn_consume(c)) {
            return pg_lost(c, err);
        }
    }
}

int pg_conn_result(struct pg_conn *c, int64_t limit_us, PGresult **ret, struct err *err) {
    while (PQisBusy(c->handle)) {
        int rc = pg_conn_wait(c, UV_READABLE, limit_us);
        if (rc < 0) {
            return gave_up(c, rc, err);
        }
        if (!pg_conn_consume(c)) {
            return pg_lost(c, err);
        }
    }
    *ret = PQgetResult(c->handle);
    return 0;
}

static bool is_good(const PGresult *result) {
    ExecStatusType status = PQresultStatus(result);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY;
}

/* The results up to the end of what was sent outside pipeline mode; the first failure is told. */
static int take_results(struct pg_conn *c, const char *what, int64_t limit_us,
                        void (*on_rows)(const PGresult *rows, void *arg), void *arg,
                        struct err *err) {
    bool failed = false;
    PGresult *result;
    if (pg_conn_flush(c, limit_us, err) < 0) {
        return -(int)err->code;
    }
    for (;;) {
        if (pg_conn_result(c, limit_us, &result, err) < 0) {
            return -(int)err->code;
        }
        if (!result) {
            return failed ? -(int)err->code : 0;
        }
        if (!is_good(result) && !failed) {
            failed = true;
            pg_error(result, what, err);
            c->dead = pg_error_is_fatal(result);
        } else if (on_rows && PQntuples(result) > 0) {
            on_rows(result, arg);
        }
        PQclear(result);
        if (c->dead) {
            return -(int)err->code;
        }
    }
}

int pg_conn_exec(struct pg_conn *c, const char *sql, int64_t limit_us,
                 void (*on_rows)(const PGresult *rows, void *arg), void *arg, struct err *err) {
    if (!PQsendQuery(c->handle, sql)) {
        c->dead = true;
        return pg_lost(c, err);
    }
    return take_results(c, "SQL script", limit_us, on_rows, arg, err);
}

/* ---- opening ---- */

static void ignore_notice(void *arg, const PGresult *result) {
    (void)arg;
    log_debug("db", "notice sqlstate=%s",
              PQresultErrorField(result, PG_DIAG_SQLSTATE)
                  ? PQresultErrorField(result, PG_DIAG_SQLSTATE)
                  : "");
}

static void on_poll_closed(uv_handle_t *handle) {
    mem_free(handle);
}

static void stop_poll(struct pg_conn *c) {
    if (c->poll) {
        uv_poll_stop(c->poll);
        uv_close((uv_handle_t *)c->poll, on_poll_closed);
        c->poll = NULL;
        c->armed = 0;
    }
}

static int start_poll(struct pg_conn *c, struct err *err) {
    c->poll = mem_alloc(sizeof *c->poll);
    int rc = uv_poll_init(fiber_loop(), c->poll, PQsocket(c->handle));
    if (rc < 0) {
        mem_free(take(c->poll));
        return err_set(err, ERR_UNAVAILABLE, "cannot watch the database's socket: %s",
                       uv_strerror(rc));
    }
    c->poll->data = c;
    return 0;
}

/* The socket may become another at each step, when libpq tries the next address. */
static int connect_steps(struct pg_conn *c, int64_t limit_us, struct err *err) {
    PostgresPollingStatusType step = PGRES_POLLING_WRITING;
    while (step != PGRES_POLLING_OK) {
        if (step == PGRES_POLLING_FAILED || PQsocket(c->handle) < 0) {
            return pg_lost(c, err);
        }
        if (start_poll(c, err) < 0) {
            return -(int)err->code;
        }
        int rc =
            pg_conn_wait(c, step == PGRES_POLLING_READING ? UV_READABLE : UV_WRITABLE, limit_us);
        stop_poll(c);
        if (rc < 0) {
            return gave_up(c, rc, err);
        }
        step = PQconnectPoll(c->handle);
    }
    return start_poll(c, err);
}

static int start(struct pg_conn *c, const struct pg_target *target, int64_t limit_us,
                 struct err *err) {
    struct pg_params params;
    if (pg_target_resolve(target, limit_us, &params, err) < 0) {
        return -(int)err->code;
    }
    c->handle = PQconnectStartParams(params.names, params.values, 0);
    pg_params_done(&params);
    if (!c->handle || PQstatus(c->handle) == CONNECTION_BAD) {
        return pg_lost(c, err);
    }
    PQsetNoticeReceiver(c->handle, ignore_notice, NULL);
    return connect_steps(c, limit_us, err);
}

#define SETTINGS                                                                                   \
    "SELECT set_config('statement_timeout', $1, false), set_config('TimeZone', 'UTC', false), "    \
    "set_config('DateStyle', 'ISO', false), set_config('bytea_output', 'hex', false)"

static int apply_settings(struct pg_conn *c, const struct pg_settings *settings, int64_t limit_us,
                          struct err *err) {
    char timeout[32];
    const char *values[] = {timeout, settings->role};
    snprintf(timeout, sizeof timeout, "%" PRId64, settings->statement_timeout_ms);
    if (PQsetnonblocking(c->handle, 1) < 0 ||
        !PQsendQueryParams(c->handle,
                           settings->role ? SETTINGS ", set_config('role', $2, false)" : SETTINGS,
                           settings->role ? 2 : 1, NULL, values, NULL, NULL, 0)) {
        return pg_lost(c, err);
    }
    if (take_results(c, "session settings", limit_us, NULL, NULL, err) < 0) {
        bool told = c->dead || !settings->role;
        return told ? -(int)err->code
                    : err_set(err, ERR_UNAVAILABLE,
                              "cannot take the role %s: it must exist and "
                              "be granted to the user of the URL",
                              settings->role);
    }
    if (settings->pipeline && !PQenterPipelineMode(c->handle)) {
        return pg_lost(c, err);
    }
    return 0;
}

int pg_conn_open(const struct pg_target *target, const struct pg_settings *settings,
                 int64_t limit_us, struct pg_conn **ret, struct err *err) {
    struct pg_conn *c = mem_alloc(sizeof *c);
    fiber_cond_init(&c->ready);
    c->scratch = STRBUF(PG_MAX_VALUE_BYTES);
    if (start(c, target, limit_us, err) < 0 || apply_settings(c, settings, limit_us, err) < 0) {
        pg_conn_close(c);
        return -(int)err->code;
    }
    pg_conn_watch(c);
    *ret = c;
    return 0;
}

void pg_conn_close(struct pg_conn *c) {
    if (!c) {
        return;
    }
    stop_poll(c);
    PQfinish(c->handle);
    statement_map_done(&c->prepared, mem_free);
    strbuf_done(&c->scratch);
    mem_free(c);
}
