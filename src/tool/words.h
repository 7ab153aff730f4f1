/* Words of names and descriptions, folded so that forms of a word meet: case, plural and the common
 * English endings are dropped, names in camelCase or with underscores fall apart. Scripts without
 * spaces give a word a character. Only tool/ and tests include this. */
#pragma once
#include "base/str.h"

enum { WORD_MAX = 48 }; /* bytes; longer ones are cut */

struct words {
    struct str rest;
    char word[WORD_MAX];
};
static inline struct words words_begin(struct str text) {
    return (struct words){.rest = text};
}
/* The next word; the view lives until the next call. False at the end. */
bool words_next(struct words *w, struct str *ret);
