/* Time zones by their IANA names, out of the system's time zone database. The C library converts in
 * the zone of its environment only, so that is changed and put back; all of it on the loop's
 * thread.
 */
#pragma once
#include <stdbool.h>
#include <time.h>

#include "base/str.h"

enum { TIME_ZONE_MAX_BYTES = 64 };

/* Before threads are started: gives TZ a value (the system's zone) where it has none, since from
 * then on it may be replaced while other threads read the environment, but never added. */
void time_zone_start(void);
/* A name of the database ("Europe/Vienna", "UTC"), and nothing that could lead out of it. */
bool time_zone_exists(struct str zone);
/* zone: one that exists; empty: the process's own. */
void time_zone_local(struct str zone, time_t t, struct tm *ret);
/* The first second of the day there that t lies in; days are 23 to 25 hours long, and need not
 * begin at midnight. */
time_t time_zone_day_start(struct str zone, time_t t);
