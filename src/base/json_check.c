#include "base/json.h"

struct check {
    const unsigned char *p, *end;
    size_t depth, max;
    uint8_t is_array[JSON_CHECK_MAX_DEPTH / 8];
};

static void skip_space(struct check *c) {
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\n' || *c->p == '\r' || *c->p == '\t')) {
        c->p++;
    }
}

static bool take_char(struct check *c, char wanted) {
    if (c->p == c->end || *c->p != (unsigned char)wanted) {
        return false;
    }
    c->p++;
    return true;
}

static bool is_hex(unsigned char b) {
    return (b >= '0' && b <= '9') || ((b | 0x20) >= 'a' && (b | 0x20) <= 'f');
}

/* What stands behind the backslash. */
static bool check_escape(struct check *c) {
    if (c->p == c->end) {
        return false;
    }
    unsigned char b = *c->p++;
    if (b != 'u') {
        return b && strchr("\"\\/bfnrt", b);
    }
    for (int i = 0; i < 4; i++, c->p++) {
        if (c->p == c->end || !is_hex(*c->p)) {
            return false;
        }
    }
    return true;
}

/* UTF-8 is checked over the whole text, where it is cheaper. */
static bool check_string(struct check *c) {
    while (c->p < c->end) {
        unsigned char b = *c->p++;
        if (b == '"') {
            return true;
        }
        if (b < 0x20 || (b == '\\' && !check_escape(c))) {
            return false;
        }
    }
    return false;
}

static bool check_digits(struct check *c) {
    const unsigned char *start = c->p;
    while (c->p < c->end && *c->p >= '0' && *c->p <= '9') {
        c->p++;
    }
    return c->p > start;
}

static bool check_number(struct check *c) {
    take_char(c, '-');
    if (!take_char(c, '0') && !check_digits(c)) {
        return false;
    }
    if (take_char(c, '.') && !check_digits(c)) {
        return false;
    }
    if (take_char(c, 'e') || take_char(c, 'E')) {
        if (!take_char(c, '+')) {
            take_char(c, '-');
        }
        return check_digits(c);
    }
    return true;
}

static bool check_word(struct check *c, struct str word) {
    if ((size_t)(c->end - c->p) < word.n || memcmp(c->p, word.p, word.n) != 0) {
        return false;
    }
    c->p += word.n;
    return true;
}

static bool check_scalar(struct check *c) {
    switch (*c->p) {
    case '"':
        c->p++;
        return check_string(c);
    case 't':
        return check_word(c, STR("true"));
    case 'f':
        return check_word(c, STR("false"));
    case 'n':
        return check_word(c, STR("null"));
    default:
        return check_number(c);
    }
}

static bool in_array(const struct check *c) {
    size_t at = c->depth - 1;
    return c->is_array[at / 8] >> at % 8 & 1;
}

static bool enter(struct check *c, bool array) {
    if (c->depth == c->max) {
        return false;
    }
    uint8_t bit = (uint8_t)(1u << c->depth % 8);
    uint8_t *byte = &c->is_array[c->depth++ / 8];
    *byte = (uint8_t)(array ? *byte | bit : *byte & ~bit);
    return true;
}

static bool check_key(struct check *c) {
    skip_space(c);
    if (!take_char(c, '"') || !check_string(c)) {
        return false;
    }
    skip_space(c);
    return take_char(c, ':');
}

/* Behind a value: closes what ends here and, where another value follows, goes to its start.
 * Nothing is open any more when the whole value has ended. */
static bool check_after_value(struct check *c) {
    while (c->depth > 0) {
        skip_space(c);
        if (take_char(c, ',')) {
            return in_array(c) || check_key(c);
        }
        if (!take_char(c, in_array(c) ? ']' : '}')) {
            return false;
        }
        c->depth--;
    }
    return true;
}

/* At the start of a value. *ret_whole: it ended, or its first inner value comes next. */
static bool check_value_start(struct check *c, bool *ret_whole) {
    skip_space(c);
    if (c->p == c->end) {
        return false;
    }
    *ret_whole = true;
    bool array = *c->p == '[';
    if (!array && *c->p != '{') {
        return check_scalar(c);
    }
    c->p++;
    skip_space(c);
    if (take_char(c, array ? ']' : '}')) {
        return c->depth < c->max;
    }
    *ret_whole = false;
    return enter(c, array) && (array || check_key(c));
}

bool json_check(struct str text, size_t max) {
    struct check c = {.p = (const unsigned char *)text.p,
                      .end = (const unsigned char *)text.p + text.n,
                      .max = MIN(max, (size_t)JSON_CHECK_MAX_DEPTH)};
    do {
        bool whole;
        if (!check_value_start(&c, &whole) || (whole && !check_after_value(&c))) {
            return false;
        }
    } while (c.depth > 0);
    skip_space(&c);
    return c.p == c.end && str_is_utf8(text);
}

bool json_is_small(struct str text, size_t max) {
    size_t n = 1;
    bool in_string = false;
    for (size_t i = 0; i < text.n && n <= max; i++) {
        char c = text.p[i];
        if (in_string) {
            i += c == '\\';
            in_string = c != '"';
        } else if (c == '"') {
            in_string = true;
        } else {
            n += c == ',' || c == '[' || c == '{';
        }
    }
    return n <= max;
}
