/* Time. Wall time is UTC microseconds since 1970; monotonic time is for waiting. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

int64_t clock_now_us(void);
int64_t clock_mono_us(void);

/* "2026-11-22T15:23:24.123456Z": always this width, so that text order is time order. */
enum { CLOCK_ISO_LEN = 27 };
void clock_iso(int64_t us, char ret[CLOCK_ISO_LEN + 1]);

/* Reads the above, PostgreSQL's "2026-11-22 15:23:24.1+00", and RFC 3339 with or without fraction
 * and offset. */
bool clock_parse(struct str text, int64_t *ret_us);
