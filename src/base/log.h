/* Structured log on stderr, one line an entry: time, level, area, message. Control characters are
 * escaped, so that foreign text cannot forge a line. Never pass a secret: struct secret has no
 * formatter on purpose. */
#pragma once
#include <stdbool.h>

#include "base/attr.h"
#include "base/err.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);
bool log_level_parse(const char *word, enum log_level *ret);

/* area: the folder or subject ("net", "turn"). The message is a sentence followed by key=value
 * pairs. */
void log_write(enum log_level level, const char *area, const char *fmt, ...) printf_like(3, 4);

#define log_debug(area, ...)                                                                       \
    do {                                                                                           \
        if (log_enabled(LOG_DEBUG))                                                                \
            log_write(LOG_DEBUG, area, __VA_ARGS__);                                               \
    } while (0)
#define log_info(area, ...) log_write(LOG_INFO, area, __VA_ARGS__)
#define log_warn(area, ...) log_write(LOG_WARN, area, __VA_ARGS__)
#define log_error(area, ...) log_write(LOG_ERROR, area, __VA_ARGS__)
