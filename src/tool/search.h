/* Ranked search by words over a few thousand short documents (Okapi BM25, words of weightier fields
 * counting more; a word of the query also meets words that begin with it). Only tool/ and tests
 * include this. */
#pragma once
#include "base/attr.h"
#include "base/str.h"

struct search_document {
    struct str name, title, server, description, parameters;
};

struct search_index;
struct search_index *search_index_new(void);
void search_index_free(struct search_index *x); /* accepts NULL */
/* Numbered from 0 in the order in which they come. */
void search_index_add(struct search_index *x, const struct search_document *d);
void search_index_end(struct search_index *x); /* nothing more is added */

/* The best documents that `is_open` lets pass, best first; equally good ones in their order. */
size_t search_index_find(const struct search_index *x, struct str query,
                         bool (*is_open)(const void *arg, size_t document), const void *arg,
                         size_t max, size_t *ret);
