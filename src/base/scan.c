#include "base/scan.h"

#include "base/json.h"

enum { SCAN_MAX_DEPTH = 64, MAX_KEY_BYTES = 256 };

static void skip_space(struct scan *s) {
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t')) {
        s->p++;
    }
}

bool scan_open(struct scan *s, char bracket) {
    skip_space(s);
    if (s->p == s->end || *s->p != bracket) {
        return false;
    }
    s->p++;
    return true;
}

bool scan_member(struct scan *s, bool *first, struct str *ret_key) {
    *ret_key = (struct str){0};
    if (scan_open(s, '}')) {
        return false;
    }
    struct str key;
    if ((!*first && !scan_open(s, ',')) || !scan_string(s, &key) || !scan_open(s, ':')) {
        *ret_key = STR_EMPTY;
        return false;
    }
    *first = false;
    *ret_key = key;
    return true;
}

#define EACH_BYTE(c) (UINT64_C(0x0101010101010101) * (c))

/* Of eight bytes none is a quote, a backslash or a control character. The differences borrow from
 * their neighbours only where a byte is found. */
static bool are_plain(const char *p) {
    uint64_t v;
    memcpy(&v, p, sizeof v);
    uint64_t quote = v ^ EACH_BYTE('"'), backslash = v ^ EACH_BYTE('\\');
    uint64_t found = ((quote - EACH_BYTE(1)) & ~quote) | ((backslash - EACH_BYTE(1)) & ~backslash) |
                     ((v - EACH_BYTE(0x20)) & ~v);
    return (found & EACH_BYTE(0x80)) == 0;
}

bool scan_string(struct scan *s, struct str *ret_raw) {
    if (!scan_open(s, '"')) {
        return false;
    }
    const char *start = s->p;
    while (s->p < s->end) {
        if (s->end - s->p >= 8 && are_plain(s->p)) { /* images are megabytes of them */
            s->p += 8;
            continue;
        }
        unsigned char c = (unsigned char)*s->p;
        if (c == '"') {
            *ret_raw = (struct str){start, (size_t)(s->p - start)};
            s->p++;
            return true;
        }
        if (c < 0x20) {
            return false;
        }
        s->p += c == '\\' ? 2 : 1;
    }
    s->p = s->end; /* a backslash as the last byte steps past it */
    return false;
}

static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' ||
           c == 'E';
}

/* A number, true, false or null. */
static bool skip_word(struct scan *s) {
    const char *start = s->p;
    while (s->p < s->end && is_word(*s->p)) {
        s->p++;
    }
    return s->p > start;
}

static bool take_word(struct scan *s, struct str word) {
    skip_space(s);
    if (!str_starts((struct str){s->p, (size_t)(s->end - s->p)}, word)) {
        return false;
    }
    s->p += word.n;
    return true;
}

bool scan_null(struct scan *s) {
    return take_word(s, STR("null"));
}

bool scan_false(struct scan *s) {
    return take_word(s, STR("false"));
}

/* Counts brackets instead of recursing; the fast path may sit on a small stack. */
static bool skip_container(struct scan *s, size_t max_depth) {
    uint8_t is_array[JSON_CHECK_MAX_DEPTH / 8] = {0};
    size_t depth = 0;
    do {
        skip_space(s);
        if (s->p == s->end) {
            return false;
        }
        char c = *s->p;
        struct str ignored;
        if (c == '{' || c == '[') {
            if (depth == max_depth) {
                return false;
            }
            uint8_t bit = (uint8_t)(1u << depth % 8);
            is_array[depth / 8] =
                (uint8_t)(c == '[' ? is_array[depth / 8] | bit : is_array[depth / 8] & ~bit);
            depth++;
            s->p++;
        } else if (c == '}' || c == ']') {
            depth--;
            if ((is_array[depth / 8] >> depth % 8 & 1) != (c == ']')) {
                return false;
            }
            s->p++;
        } else if (c == '"') {
            if (!scan_string(s, &ignored)) {
                return false;
            }
        } else if (c == ',' || c == ':') {
            s->p++;
        } else if (!skip_word(s)) {
            return false;
        }
    } while (depth > 0);
    return true;
}

static bool skip_value(struct scan *s, size_t max_depth) {
    struct str ignored;
    skip_space(s);
    if (s->p == s->end) {
        return false;
    }
    switch (*s->p) {
    case '"':
        return scan_string(s, &ignored);
    case '{':
    case '[':
        return skip_container(s, max_depth);
    default:
        return skip_word(s);
    }
}

bool scan_skip(struct scan *s) {
    return skip_value(s, SCAN_MAX_DEPTH);
}

static bool means(struct str raw, const char *key) {
    if (str_find_char(raw, '\\') == SIZE_MAX) {
        return scan_is(raw, key);
    }
    struct strbuf meant cleanup(strbuf_done) = STRBUF(MAX_KEY_BYTES);
    return scan_unescape(&meant, raw) && str_eq(strbuf_str(&meant), str_z(key));
}

static struct str value_text(struct scan *s) {
    skip_space(s);
    const char *start = s->p;
    return skip_value(s, JSON_CHECK_MAX_DEPTH) ? (struct str){start, (size_t)(s->p - start)}
                                               : (struct str){0};
}

bool scan_member_value(struct scan *s, bool *first, struct str *ret_key, struct str *ret_value) {
    if (!scan_member(s, first, ret_key)) {
        return false;
    }
    *ret_value = value_text(s);
    if (!ret_value->p) {
        *ret_key = STR_EMPTY;
        return false;
    }
    return true;
}

struct str scan_get(struct str object, const char *key) {
    struct scan s = scan_begin(object);
    struct str raw, value;
    bool first = true;
    if (scan_open(&s, '{')) {
        while (scan_member_value(&s, &first, &raw, &value)) {
            if (means(raw, key)) {
                return value;
            }
        }
    }
    return (struct str){0};
}

bool scan_element(struct scan *s, bool *first, struct str *ret) {
    *ret = (struct str){0};
    if (scan_open(s, ']')) {
        return false;
    }
    *ret = STR_EMPTY;
    if (!*first && !scan_open(s, ',')) {
        return false;
    }
    struct str value = value_text(s);
    if (!value.p) {
        return false;
    }
    *first = false;
    *ret = value;
    return true;
}

bool scan_at_end(struct scan *s) {
    skip_space(s);
    return s->p == s->end;
}

bool scan_is(struct str raw, const char *literal) {
    return str_eq(raw, str_z(literal));
}

static int hex4(struct str raw, size_t at) {
    int v = 0;
    if (raw.n - at < 4) {
        return -1;
    }
    for (size_t i = at; i < at + 4; i++) {
        char c = raw.p[i];
        int digit = c >= '0' && c <= '9'                     ? c - '0'
                    : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                             : -1;
        if (digit < 0) {
            return -1;
        }
        v = v * 16 + digit;
    }
    return v;
}

static void add_utf8(struct strbuf *out, unsigned c) {
    char b[4];
    size_t n;
    if (c < 0x80) {
        b[0] = (char)c, n = 1;
    } else if (c < 0x800) {
        b[0] = (char)(0xc0 | c >> 6), b[1] = (char)(0x80 | (c & 0x3f)), n = 2;
    } else if (c < 0x10000) {
        b[0] = (char)(0xe0 | c >> 12), b[1] = (char)(0x80 | (c >> 6 & 0x3f));
        b[2] = (char)(0x80 | (c & 0x3f)), n = 3;
    } else {
        b[0] = (char)(0xf0 | c >> 18), b[1] = (char)(0x80 | (c >> 12 & 0x3f));
        b[2] = (char)(0x80 | (c >> 6 & 0x3f)), b[3] = (char)(0x80 | (c & 0x3f)), n = 4;
    }
    strbuf_add(out, (struct str){b, n});
}

/* `\uXXXX` at raw.p[*at] (the u); surrogates come in pairs. */
static bool add_escaped_unicode(struct strbuf *out, struct str raw, size_t *at) {
    int c = hex4(raw, *at + 1);
    *at += 5;
    if (c <= 0 || (c >= 0xdc00 && c <= 0xdfff)) {
        return false;
    }
    if (c < 0xd800 || c > 0xdbff) {
        add_utf8(out, (unsigned)c);
        return true;
    }
    if (raw.n - *at < 6 || raw.p[*at] != '\\' || raw.p[*at + 1] != 'u') {
        return false;
    }
    int low = hex4(raw, *at + 2);
    *at += 6;
    if (low < 0xdc00 || low > 0xdfff) {
        return false;
    }
    add_utf8(out, 0x10000u + ((unsigned)(c - 0xd800) << 10) + (unsigned)(low - 0xdc00));
    return true;
}

bool scan_unescape(struct strbuf *out, struct str raw) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (!str_is_utf8(raw)) {
        return false;
    }
    for (size_t i = 0; i < raw.n;) {
        size_t run = str_find_char(str_skip(raw, i), '\\');
        if (run == SIZE_MAX) {
            strbuf_add(out, str_skip(raw, i));
            return true;
        }
        strbuf_add(out, str_head(str_skip(raw, i), run));
        i += run + 1;
        if (i >= raw.n) {
            return false;
        }
        const char *simple = memchr(from, raw.p[i], sizeof from - 1);
        if (simple) {
            strbuf_addc(out, to[simple - from]);
            i++;
        } else if (raw.p[i] != 'u' || !add_escaped_unicode(out, raw, &i)) {
            return false;
        }
    }
    return true;
}

bool scan_text(struct arena *arena, struct str json, struct str *ret) {
    struct scan s = scan_begin(json);
    struct str raw;
    if (!scan_string(&s, &raw) || !scan_at_end(&s)) {
        return false;
    }
    struct strbuf meant cleanup(strbuf_done) = STRBUF(raw.n);
    if (!scan_unescape(&meant, raw)) {
        return false;
    }
    *ret = arena_str(arena, strbuf_str(&meant));
    return true;
}
