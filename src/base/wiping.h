/* An allocator for libraries through whose hands secrets go: what is freed, or outgrown, is wiped.
 */
#pragma once
#include <stddef.h>

void *wiping_malloc(size_t size);
void *wiping_calloc(size_t n, size_t size);
void *wiping_realloc(void *p, size_t size);
char *wiping_strdup(const char *z);
void wiping_free(void *p); /* accepts NULL */
