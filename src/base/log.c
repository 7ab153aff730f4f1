#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"

enum { LINE_BYTES = 2048 };

static enum log_level threshold = LOG_INFO;
static const char *const words[] = {"debug", "info", "warn", "error"};

void log_set_level(enum log_level level) {
    threshold = level;
}

bool log_enabled(enum log_level level) {
    return level >= threshold;
}

bool log_level_parse(const char *word, enum log_level *ret) {
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcmp(word, words[i]) == 0) {
            *ret = (enum log_level)i;
            return true;
        }
    }
    return false;
}

/* Copies text so that it stays on its line: control characters become \xNN, bytes that are no UTF-8
 * too. */
static size_t escape_line(char *out, size_t size, const char *text) {
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;
    bool utf8 = str_is_utf8(str_z(text));
    for (const unsigned char *p = (const unsigned char *)text; *p && n + 5 < size; p++) {
        if (*p >= 0x20 && *p != 0x7F && (utf8 || *p < 0x80)) {
            out[n++] = (char)*p;
        } else {
            memcpy(out + n, (char[]){'\\', 'x', hex[*p >> 4], hex[*p & 15]}, 4);
            n += 4;
        }
    }
    return n;
}

void log_write(enum log_level level, const char *area, const char *fmt, ...) {
    if (!log_enabled(level)) {
        return;
    }
    char message[LINE_BYTES], line[LINE_BYTES], time[CLOCK_ISO_LEN + 1];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    clock_iso(clock_now_us(), time);
    int head = snprintf(line, sizeof line, "%s %-5s %s: ", time, words[level], area);
    size_t n = (size_t)head;
    n += escape_line(line + n, sizeof line - n - 1, message);
    line[n++] = '\n';
    /* One write a line, so that lines of several processes do not mix. Nowhere is left to report a
     * failure to. */
    ssize_t ignored = write(STDERR_FILENO, line, n);
    (void)ignored;
}
