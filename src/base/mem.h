/* Allocation that does not fail. Sizes are capped by the callers before they get here, so running
 * out means that the machine is out of memory: the process says so and ends, which is the crash
 * that the store is built to survive. */
#pragma once
#include <stddef.h>

void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull)); /* zeroed */
void *mem_resize(void *p, size_t size) __attribute__((returns_nonnull));
void *mem_dup(const void *p, size_t size) __attribute__((returns_nonnull));
void mem_free(void *p);

/* For `cleanup(mem_free_p)` on any pointer. */
void mem_free_p(void *pointer_to_pointer);
