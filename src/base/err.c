#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/str.h"

/* A message cut in the middle of a character would make the JSON it ends up in invalid. */
static void cut_at_character(char *msg, size_t size) {
    size_t n = strnlen(msg, size);
    if (n == size - 1) {
        msg[str_utf8_head((struct str){msg, n}, n).n] = '\0';
    }
}

int err_set(struct err *err, enum err_code code, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->msg, sizeof err->msg, fmt, ap);
    va_end(ap);
    cut_at_character(err->msg, sizeof err->msg);
    err->code = code;
    return -(int)code;
}

int err_prefix(struct err *err, const char *fmt, ...) {
    char whole[sizeof err->msg];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(whole, sizeof whole, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof whole) {
        snprintf(whole + n, sizeof whole - (size_t)n, ": %s", err->msg);
    }
    memcpy(err->msg, whole, sizeof whole);
    cut_at_character(err->msg, sizeof err->msg);
    return -(int)err->code;
}

const char *err_name(enum err_code code) {
    switch (code) {
    case ERR_NONE:
        return "none";
    case ERR_INVALID:
        return "invalid";
    case ERR_LIMIT:
        return "limit";
    case ERR_UNAUTHORIZED:
        return "unauthorized";
    case ERR_FORBIDDEN:
        return "forbidden";
    case ERR_NOT_FOUND:
        return "not_found";
    case ERR_CONFLICT:
        return "conflict";
    case ERR_PRECONDITION:
        return "precondition";
    case ERR_BUSY:
        return "busy";
    case ERR_TIMEOUT:
        return "timeout";
    case ERR_CANCELLED:
        return "cancelled";
    case ERR_UNAVAILABLE:
        return "unavailable";
    case ERR_PROTOCOL:
        return "protocol";
    case ERR_IO:
        return "io";
    case ERR_INTERNAL:
        return "internal";
    }
    return "unknown";
}
