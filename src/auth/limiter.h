/* Failed attempts by address: ten in a minute, then the address waits until the minute is over.
 * An IPv6 network of 64 bits is one address. Bounded; the address that failed longest ago makes
 * room. */
#pragma once
#include <stdbool.h>

#include "base/str.h"

enum { LIMITER_MAX_FAILURES = 10, LIMITER_ADDRESSES = 1024 };

struct limiter;

struct limiter *limiter_new(void);
void limiter_free(struct limiter *l);
bool limiter_blocked(struct limiter *l, struct str address);
void limiter_failed(struct limiter *l, struct str address);
