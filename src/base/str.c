#include "base/str.h"

#include <strings.h>

#include "base/mem.h"

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

bool str_eq_nocase(struct str a, struct str b) {
    return a.n == b.n && (a.n == 0 || strncasecmp(a.p, b.p, a.n) == 0);
}

bool str_starts(struct str s, struct str prefix) {
    return s.n >= prefix.n && str_eq(str_head(s, prefix.n), prefix);
}

bool str_ends(struct str s, struct str suffix) {
    return s.n >= suffix.n && str_eq(str_skip(s, s.n - suffix.n), suffix);
}

size_t str_find(struct str s, struct str needle) {
    if (needle.n == 0) {
        return 0;
    }
    const char *hit = s.n ? memmem(s.p, s.n, needle.p, needle.n) : NULL;
    return hit ? (size_t)(hit - s.p) : SIZE_MAX;
}

size_t str_find_char(struct str s, char c) {
    const char *hit = s.n ? memchr(s.p, c, s.n) : NULL;
    return hit ? (size_t)(hit - s.p) : SIZE_MAX;
}

struct str str_trim(struct str s) {
    while (s.n && is_space(s.p[0])) {
        s = str_skip(s, 1);
    }
    while (s.n && is_space(s.p[s.n - 1])) {
        s.n--;
    }
    return s;
}

struct str str_skip(struct str s, size_t n) {
    n = MIN(n, s.n);
    return n ? (struct str){s.p + n, s.n - n} : s;
}

struct str str_head(struct str s, size_t n) {
    return (struct str){s.p, MIN(n, s.n)};
}

struct str str_cut(struct str *rest, char c) {
    size_t at = str_find_char(*rest, c);
    struct str head = str_head(*rest, at);
    *rest = at == SIZE_MAX ? str_skip(*rest, rest->n) : str_skip(*rest, at + 1);
    return head;
}

bool str_to_i64(struct str s, int64_t *ret) {
    bool negative = s.n && s.p[0] == '-';
    if (negative || (s.n && s.p[0] == '+')) {
        s = str_skip(s, 1);
    }
    if (s.n == 0) {
        return false;
    }
    int64_t v = 0; /* built as a negative number, whose range is the larger one */
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9' || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_sub_overflow(v, s.p[i] - '0', &v)) {
            return false;
        }
    }
    if (!negative && v == INT64_MIN) {
        return false;
    }
    *ret = negative ? v : -v;
    return true;
}

char *str_dup_z(struct str s) {
    char *z = mem_alloc(s.n + 1);
    if (s.n) {
        memcpy(z, s.p, s.n);
    }
    return z;
}

/* Length of the valid character at s, 0 when there is none. Table 3-7 of the Unicode standard. */
static size_t utf8_character(const unsigned char *s, size_t n) {
    if (s[0] < 0x80) {
        return 1;
    }
    size_t length = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
    if (s[0] < 0xC2 || s[0] > 0xF4 || length > n) {
        return 0;
    }
    unsigned char low = s[0] == 0xE0 ? 0xA0 : s[0] == 0xF0 ? 0x90 : 0x80;
    unsigned char high = s[0] == 0xED ? 0x9F : s[0] == 0xF4 ? 0x8F : 0xBF;
    if (s[1] < low || s[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < length; i++) {
        if ((s[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    return length;
}

bool str_is_utf8(struct str s) {
    const unsigned char *p = (const unsigned char *)s.p;
    size_t i = 0;
    while (i < s.n) {
        uint64_t word;
        if (i + 8 <= s.n && (memcpy(&word, p + i, 8), (word & 0x8080808080808080ull) == 0)) {
            i += 8;
            continue;
        }
        size_t length = utf8_character(p + i, s.n - i);
        if (length == 0) {
            return false;
        }
        i += length;
    }
    return true;
}

struct str str_utf8_head(struct str s, size_t max) {
    size_t n = MIN(max, s.n);
    /* Steps back over the bytes of a character whose rest lies beyond the cut. */
    size_t start = n;
    for (int back = 0; back < 3 && start > 0 && ((unsigned char)s.p[start - 1] & 0xC0) == 0x80;
         back++) {
        start--;
    }
    if (start > 0 && ((unsigned char)s.p[start - 1] & 0x80)) {
        start--;
        if (utf8_character((const unsigned char *)s.p + start, n - start) == 0) {
            n = start;
        }
    }
    return str_head(s, n);
}
