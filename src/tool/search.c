#include "tool/search.h"

#include <math.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/mem.h"
#include "tool/words.h"

enum {
    MAX_TEXT_BYTES = 2000, /* of a description: what a tool is for stands at its beginning */
    MAX_QUERY_WORDS = 32,
    LEAST_PREFIX = 3,
};

static const double k1 = 1.2, b = 0.6, prefix_weight = 0.5;

struct posting {
    size_t document;
    double weight; /* times the word is there, by the weight of where */
};

struct term {
    struct posting *postings;
    size_t n, cap;
    size_t word_n;
    char word[];
};

struct search_index {
    struct map by_word;
    struct term **terms;
    size_t n_terms, terms_cap;
    double *lengths; /* of the documents */
    size_t n, cap;
    double average;
};

/* ---- making ---- */

struct search_index *search_index_new(void) {
    return mem_alloc(sizeof(struct search_index));
}

void search_index_free(struct search_index *x) {
    if (!x) {
        return;
    }
    for (size_t i = 0; i < x->n_terms; i++) {
        mem_free(x->terms[i]->postings);
        mem_free(x->terms[i]);
    }
    map_done(&x->by_word);
    mem_free(x->terms);
    mem_free(x->lengths);
    mem_free(x);
}

/* Room for one more. */
static void *grown(void *p, size_t n, size_t *cap, size_t size) {
    if (n < *cap) {
        return p;
    }
    *cap = *cap ? 2 * *cap : 4;
    return mem_resize(p, *cap * size);
}

static struct term *term_of(struct search_index *x, struct str word) {
    struct term *t = map_get(&x->by_word, word);
    if (!t) {
        t = mem_alloc(sizeof *t + word.n);
        memcpy(t->word, word.p, word.n);
        t->word_n = word.n;
        map_put(&x->by_word, word, t);
        x->terms = grown(x->terms, x->n_terms, &x->terms_cap, sizeof *x->terms);
        x->terms[x->n_terms++] = t;
    }
    return t;
}

static void add_field(struct search_index *x, struct str text, double weight) {
    struct words words = words_begin(text);
    struct str word;
    while (words_next(&words, &word)) {
        struct term *t = term_of(x, word);
        if (t->n == 0 || t->postings[t->n - 1].document != x->n) {
            t->postings = grown(t->postings, t->n, &t->cap, sizeof *t->postings);
            t->postings[t->n++] = (struct posting){.document = x->n};
        }
        t->postings[t->n - 1].weight += weight;
        x->lengths[x->n] += weight;
    }
}

void search_index_add(struct search_index *x, const struct search_document *d) {
    x->lengths = grown(x->lengths, x->n, &x->cap, sizeof *x->lengths);
    x->lengths[x->n] = 0;
    add_field(x, d->name, 4);
    add_field(x, d->title, 2);
    add_field(x, d->server, 2);
    add_field(x, str_utf8_head(d->description, MAX_TEXT_BYTES), 1);
    add_field(x, str_utf8_head(d->parameters, MAX_TEXT_BYTES), 0.5);
    x->n++;
}

void search_index_end(struct search_index *x) {
    double sum = 0;
    for (size_t i = 0; i < x->n; i++) {
        sum += x->lengths[i];
    }
    x->average = x->n && sum > 0 ? sum / (double)x->n : 1;
}

/* ---- finding ---- */

static void score_term(const struct search_index *x, const struct term *t, double factor,
                       double *scores) {
    double n = (double)x->n, in = (double)t->n;
    double rarity = log(1 + (n - in + 0.5) / (in + 0.5));
    for (size_t i = 0; i < t->n; i++) {
        const struct posting *p = &t->postings[i];
        double length = 1 - b + b * x->lengths[p->document] / x->average;
        scores[p->document] += factor * rarity * p->weight * (k1 + 1) / (p->weight + k1 * length);
    }
}

static void score_word(const struct search_index *x, struct str word, double *scores) {
    const struct term *whole = map_get(&x->by_word, word);
    if (whole) {
        score_term(x, whole, 1, scores);
    }
    for (size_t i = 0; i < x->n_terms && word.n >= LEAST_PREFIX; i++) {
        const struct term *t = x->terms[i];
        if (t != whole && str_starts((struct str){t->word, t->word_n}, word)) {
            score_term(x, t, prefix_weight, scores);
        }
    }
}

struct hit {
    size_t document;
    double score;
};

static int by_score(const void *a, const void *c) {
    const struct hit *x = a, *y = c;
    if (x->score != y->score) {
        return x->score < y->score ? 1 : -1;
    }
    return x->document < y->document ? -1 : x->document > y->document;
}

size_t search_index_find(const struct search_index *x, struct str query,
                         bool (*is_open)(const void *arg, size_t document), const void *arg,
                         size_t max, size_t *ret) {
    struct words words = words_begin(query);
    struct str word;
    double *scores = mem_alloc((x->n + 1) * sizeof *scores);
    struct hit *hits = mem_alloc((x->n + 1) * sizeof *hits);
    size_t n = 0;
    for (size_t i = 0; i < MAX_QUERY_WORDS && words_next(&words, &word); i++) {
        score_word(x, word, scores);
    }
    for (size_t i = 0; i < x->n; i++) {
        if (scores[i] > 0 && is_open(arg, i)) {
            hits[n++] = (struct hit){i, scores[i]};
        }
    }
    qsort(hits, n, sizeof *hits, by_score);
    n = MIN(n, max);
    for (size_t i = 0; i < n; i++) {
        ret[i] = hits[i].document;
    }
    mem_free(scores);
    mem_free(hits);
    return n;
}
