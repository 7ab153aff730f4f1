/* Errors by value. A fallible function returns 0 or a negative code and takes `struct err *err`
 * last.
 *
 *     int thing_load(struct str name, struct thing **ret, struct err *err);
 *
 *     if (thing_load(name, &thing, err) < 0) {
 *         return err_prefix(err, "loading %.*s", STR_ARG(name));
 *     }
 *
 * Wrong: testing `err.code` instead of the result; passing NULL; logging and returning the same
 * error. Reporting never allocates. Outputs (`ret_x`) are untouched on failure unless a header says
 * otherwise. */
#pragma once
#include "base/attr.h"

enum err_code {
    ERR_NONE = 0,
    ERR_INVALID,      /* the caller's input is wrong; the message says what */
    ERR_LIMIT,        /* a named maximum was exceeded */
    ERR_UNAUTHORIZED, /* nobody, or somebody unknown */
    ERR_FORBIDDEN,    /* known, but not allowed */
    ERR_NOT_FOUND,
    ERR_CONFLICT, /* the state of the thing does not permit it (unique violation, wrong state) */
    ERR_PRECONDITION, /* a `require` inside a transaction did not hold; nothing was written */
    ERR_BUSY,         /* a bound was reached; try again later */
    ERR_TIMEOUT,
    ERR_CANCELLED,
    ERR_UNAVAILABLE, /* a counterpart cannot be reached or went away */
    ERR_PROTOCOL,    /* a counterpart said something it must not say */
    ERR_IO,          /* a file or a system call failed */
    ERR_INTERNAL,    /* our own fault */
};

struct err {
    enum err_code code;
    char msg[252];
};

/* Both return the negative code, so that `return err_set(...)` is the idiom. The message is for
 * people: lower case, no trailing stop, no secrets. Over-long messages are cut at a character
 * boundary. */
int err_set(struct err *err, enum err_code code, const char *fmt, ...) printf_like(3, 4);

/* Puts "context: " before the message that is already there. */
int err_prefix(struct err *err, const char *fmt, ...) printf_like(2, 3);

/* "timeout", "not_found", ...: stable words for logs and machine-readable answers. */
const char *err_name(enum err_code code);
