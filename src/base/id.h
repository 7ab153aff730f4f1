/* Identifiers: UUIDv7 (RFC 9562), as lower-case text. Made in one process they are strictly
 * increasing. */
#pragma once
#include <stdbool.h>

#include "base/str.h"

enum { ID_LEN = 36 };

struct id {
    char z[ID_LEN + 1]; /* NUL-terminated; empty when none */
};

struct id id_new(void);
static inline struct str id_str(const struct id *id) {
    return (struct str){id->z, id->z[0] ? (size_t)ID_LEN : 0};
}
/* Any UUID in its canonical 8-4-4-4-12 form; upper case is folded. False leaves *ret untouched. */
bool id_parse(struct str s, struct id *ret);
