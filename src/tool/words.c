#include "tool/words.h"

/* ---- characters ---- */

enum kind { KIND_OTHER, KIND_LOWER, KIND_UPPER, KIND_DIGIT, KIND_WHOLE /* a word of its own */ };

struct character {
    uint32_t code;
    size_t n; /* its bytes */
    enum kind kind;
};

static uint32_t decode(struct str s, size_t *ret_n) {
    unsigned char c = (unsigned char)s.p[0];
    size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    uint32_t code = n == 1 ? c : c & (0xffu >> (n + 1));
    bool valid = n <= s.n && (c < 0x80 || (c >= 0xc2 && c < 0xf5));
    for (size_t i = 1; i < n && valid; i++) {
        valid = ((unsigned char)s.p[i] & 0xc0) == 0x80;
        code = code << 6 | ((unsigned char)s.p[i] & 0x3f);
    }
    *ret_n = valid ? n : 1;
    return valid ? code : ' ';
}

/* Simple case folding of the scripts that have cases and are common: Latin, Greek, Cyrillic. */
static uint32_t fold(uint32_t c) {
    bool shifted_32 = (c >= 'A' && c <= 'Z') || (c >= 0xc0 && c <= 0xde && c != 0xd7) ||
                      (c >= 0x391 && c <= 0x3a9) || (c >= 0x410 && c <= 0x42f);
    if (shifted_32) {
        return c + 32;
    }
    if (c >= 0x400 && c <= 0x40f) {
        return c + 80;
    }
    bool even_is_upper = (c >= 0x100 && c <= 0x137) || (c >= 0x14a && c <= 0x177);
    bool odd_is_upper = (c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17e);
    return c + ((even_is_upper && c % 2 == 0) || (odd_is_upper && c % 2 == 1));
}

static struct character look(struct str s) {
    struct character c = {0};
    c.code = decode(s, &c.n);
    if (c.code >= '0' && c.code <= '9') {
        c.kind = KIND_DIGIT;
    } else if (c.code >= 0x2e80 && c.code < 0xac00) {
        c.kind = KIND_WHOLE; /* Han and kana; Hangul is written with spaces */
    } else if ((c.code >= 'a' && c.code <= 'z') || (c.code >= 'A' && c.code <= 'Z') ||
               (c.code >= 0xc0 && !(c.code >= 0x2000 && c.code < 0x2c00))) {
        c.kind = fold(c.code) == c.code ? KIND_LOWER : KIND_UPPER;
    }
    return c;
}

static size_t encode(uint32_t c, char out[4]) {
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; c >>= 6) {
        out[i] = (char)(0x80 | (c & 0x3f));
    }
    out[0] = (char)((0xf00 >> n) | c);
    return n;
}

/* ---- endings ---- */

static bool is_vowel(char c) {
    return memchr("aeiouy", c, 6) != NULL;
}

static struct str without(struct str w, const char *ending, size_t least) {
    struct str e = str_z(ending);
    return str_ends(w, e) && w.n - e.n >= least ? str_head(w, w.n - e.n) : w;
}

/* running -> run, stopped -> stop; not calling -> cal. */
static struct str single(struct str w) {
    bool twice = w.n > 3 && w.p[w.n - 1] == w.p[w.n - 2] && !is_vowel(w.p[w.n - 1]) &&
                 !memchr("lsz", w.p[w.n - 1], 3);
    return twice ? str_head(w, w.n - 1) : w;
}

static struct str stem(char *p, size_t n) {
    struct str w = {p, n};
    if (n <= 3) {
        return w;
    }
    if (str_ends(w, STR("ies")) && n > 4) {
        p[n - 3] = 'y';
        w = str_head(w, n - 2);
    } else if (str_ends(w, STR("sses")) || str_ends(w, STR("xes")) || str_ends(w, STR("ches")) ||
               str_ends(w, STR("shes"))) {
        w = str_head(w, n - 2);
    } else if (!str_ends(w, STR("ss")) && !str_ends(w, STR("us")) && !str_ends(w, STR("is"))) {
        w = without(w, "s", 3);
    }
    struct str cut = without(w, "ing", 3);
    cut = cut.n == w.n ? without(w, "ed", 3) : cut;
    w = cut.n == w.n ? w : single(cut);
    return without(w, "e", 3);
}

/* ---- words ---- */

/* Whether a new word begins between two letters: camelCase, and digits apart from letters. */
static bool parts(enum kind before, enum kind now) {
    return (before == KIND_LOWER && now == KIND_UPPER) ||
           ((before == KIND_DIGIT) != (now == KIND_DIGIT));
}

/* In HTTPServer the S belongs to what follows. */
static bool begins_after_acronym(struct str rest, struct character now) {
    struct str next = str_skip(rest, now.n);
    return now.kind == KIND_UPPER && next.n && look(next).kind == KIND_LOWER;
}

bool words_next(struct words *w, struct str *ret) {
    size_t n = 0;
    enum kind before = KIND_OTHER;
    bool ascii = true;
    while (w->rest.n) {
        struct character c = look(w->rest);
        bool ends = c.kind == KIND_OTHER || c.kind == KIND_WHOLE || parts(before, c.kind) ||
                    (before == KIND_UPPER && begins_after_acronym(w->rest, c));
        if (before != KIND_OTHER && ends) {
            break;
        }
        w->rest = str_skip(w->rest, c.n);
        if (c.kind == KIND_OTHER) {
            continue;
        }
        char bytes[4];
        size_t k = encode(fold(c.code), bytes);
        if (n + k <= sizeof w->word) {
            memcpy(w->word + n, bytes, k);
            n += k;
        }
        ascii &= c.code < 0x80;
        before = c.kind;
        if (c.kind == KIND_WHOLE) {
            break;
        }
    }
    *ret = ascii ? stem(w->word, n) : (struct str){w->word, n};
    return n > 0;
}
