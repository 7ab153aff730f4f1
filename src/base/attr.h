/* Marks on declarations that the whole program uses. No code of the program's own lives here. */
#pragma once
#include <stddef.h>
#include <sys/param.h> /* MIN, MAX */

/* The result must be looked at: every fallible function carries it. */
#define must_check __attribute__((warn_unused_result))

/* The function may suspend the calling fiber: pointers to shared objects must be looked up again
 * after it. */
#define may_yield

#define printf_like(fmt, args) __attribute__((format(printf, fmt, args)))

/* Runs fn(&variable) when the variable leaves its scope. */
#define cleanup(fn) __attribute__((cleanup(fn)))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Hands a scoped pointer over: yields its value and leaves NULL behind for the cleanup. */
#define take(ptr)                                                                                  \
    ({                                                                                             \
        __typeof__(ptr) t_ = (ptr);                                                                \
        (ptr) = NULL;                                                                              \
        t_;                                                                                        \
    })
