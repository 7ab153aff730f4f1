#include <string.h>

#include "db/pg.h"

static const char *field(const PGresult *result, int code) {
    const char *text = PQresultErrorField(result, code);
    return text ? text : "";
}

static bool in_class(const char *state, const char *prefix) {
    return strncmp(state, prefix, strlen(prefix)) == 0;
}

/* By SQLSTATE (PostgreSQL's documentation, appendix A); a longer prefix stands before a shorter. */
static enum err_code code_of(const char *state) {
    static const struct {
        const char *prefix;
        enum err_code code;
    } codes[] = {
        {"AD001", ERR_PRECONDITION}, /* adjutant_require */
        {"23502", ERR_INVALID},      /* not_null_violation */
        {"23514", ERR_INVALID},      /* check_violation */
        {"23", ERR_CONFLICT},        /* integrity constraints: unique, foreign key, exclusion */
        {"40", ERR_CONFLICT},        /* serialization_failure, deadlock_detected */
        {"55P03", ERR_CONFLICT},     /* lock_not_available */
        {"22", ERR_INVALID},         /* data exceptions */
        {"54", ERR_LIMIT},           /* program_limit_exceeded */
        {"57014", ERR_TIMEOUT},      /* query_canceled */
        {"57P", ERR_UNAVAILABLE},    /* shutdown, crash, starting up */
        {"08P01", ERR_INTERNAL},     /* protocol_violation: a wrong number of parameters */
        {"08", ERR_UNAVAILABLE},     /* connection exceptions */
        {"53300", ERR_UNAVAILABLE},  /* too_many_connections */
        {"53100", ERR_IO},           /* disk_full */
        {"58", ERR_IO},              /* system errors */
        {"0A000", ERR_UNAVAILABLE},  /* a cached plan no longer fits its tables */
        {"26000", ERR_UNAVAILABLE},  /* the server forgot a prepared statement */
        {"42501", ERR_FORBIDDEN},    /* insufficient_privilege, row-level security */
    };
    if (state[0] == '\0') {
        return ERR_UNAVAILABLE; /* libpq's own, about the connection */
    }
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        if (in_class(state, codes[i].prefix)) {
            return codes[i].code;
        }
    }
    return ERR_INTERNAL;
}

bool pg_error_is_fatal(const PGresult *result) {
    return code_of(field(result, PG_DIAG_SQLSTATE)) == ERR_UNAVAILABLE;
}

int pg_error(const PGresult *result, const char *what, struct err *err) {
    const char *state = field(result, PG_DIAG_SQLSTATE);
    const char *message = field(result, PG_DIAG_MESSAGE_PRIMARY);
    enum err_code code = code_of(state);
    switch (code) {
    case ERR_PRECONDITION:
        return err_set(err, code, "%s", message);
    case ERR_TIMEOUT:
        return err_set(err, code, "%s took too long", what);
    case ERR_UNAVAILABLE:
        return err_set(err, code, "the database broke off %s: %s", what, message);
    case ERR_CONFLICT:
    case ERR_INVALID:
        /* The message would quote values; names are enough. */
        return err_set(err, code, "%s: SQLSTATE %s %s%s%s", what, state,
                       field(result, PG_DIAG_CONSTRAINT_NAME), field(result, PG_DIAG_TABLE_NAME),
                       field(result, PG_DIAG_COLUMN_NAME));
    default:
        break;
    }
    /* Class 42 speaks of the statement's own text, which holds no values. */
    bool safe = in_class(state, "42") || in_class(state, "08") || code == ERR_IO;
    return err_set(err, code, "%s: SQLSTATE %s%s%s", what, state, safe ? " " : "",
                   safe ? message : "");
}

int pg_lost(const struct pg_conn *c, struct err *err) {
    char line[200];
    size_t n = 0;
    for (const char *p = PQerrorMessage(c->handle); *p && n + 1 < sizeof line; p++) {
        bool blank = *p == '\n' || *p == '\t' || *p == ' ';
        if (!blank) {
            line[n++] = *p;
        } else if (n > 0 && line[n - 1] != ' ') {
            line[n++] = ' ';
        }
    }
    while (n > 0 && line[n - 1] == ' ') {
        n--;
    }
    line[n] = '\0';
    return err_set(err, ERR_UNAVAILABLE, "%s", n ? line : "the connection to the database ended");
}
