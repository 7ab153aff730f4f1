/* Counters of the HTTP face, and the Prometheus text of everything that is counted. */
#pragma once
#include "api/gateway.h"
#include "api/route.h"

struct metrics *metrics_new(void);
void metrics_free(struct metrics *m); /* accepts NULL */
/* route: NULL when none matched. status 0: the peer went away before the answer. */
void metrics_count(struct metrics *m, const struct route *route, int status, uint64_t bytes,
                   int64_t duration_us);
/* Text exposition format 0.0.4. */
void metrics_write(const struct gateway *g, struct strbuf *out);
