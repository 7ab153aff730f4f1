/* A value that must not be seen: no formatter takes it, and its memory is wiped when it is freed.
 */
#pragma once
#include "base/str.h"

struct secret;

struct secret *secret_new(struct str value);       /* copies; the caller wipes its own copy */
struct secret *secret_dup(const struct secret *s); /* NULL gives NULL */
void secret_free(struct secret *s);                /* accepts NULL */
void secret_free_p(struct secret **s);
/* The value itself, for the one request that needs it. NULL gives the empty view. */
struct str secret_reveal(const struct secret *s);
void secret_wipe(void *p, size_t n);
