/* A value that must not be seen: no formatter takes it, its memory is wiped when it is freed, is
 * left out of core dumps and, as far as the system permits, not swapped out. For the loop's thread
 * only. */
#pragma once
#include "base/str.h"
#include "base/strbuf.h"

struct secret;

struct secret *secret_new(struct str value); /* copies; the caller wipes its own copy */
/* Of n bytes, which the caller fills in through *ret_bytes. */
struct secret *secret_alloc(size_t n, char **ret_bytes);
struct secret *secret_dup(const struct secret *s); /* NULL gives NULL */
void secret_free(struct secret *s);                /* accepts NULL */
void secret_free_p(struct secret **s);
/* The value itself, for the one request that needs it. NULL gives the empty view. */
struct str secret_reveal(const struct secret *s);
void secret_wipe(void *p, size_t n);
/* For a buffer that held one: wipes it and frees it. Growing leaves copies behind, so the buffer's
 * room is taken at once, with strbuf_room. */
void secret_strbuf_done(struct strbuf *b);
