#include "net/http_chunked.h"

/* Extensions and trailers of one body, and of one size line the digits. */
enum { MAX_OVERHEAD_BYTES = 8192, MAX_DIGITS = 15 };

static int digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_text(char c) {
    return c == '\t' || ((unsigned char)c >= 0x20 && c != 0x7f);
}

static enum http_chunked_state size_byte(struct http_chunked *c, char b) {
    int d = digit(b);
    if (d >= 0) {
        c->left = c->left << 4 | (uint64_t)d;
        return ++c->digits > MAX_DIGITS ? CHUNKED_BAD : CHUNKED_SIZE;
    }
    if (c->digits == 0) {
        return CHUNKED_BAD;
    }
    return b == '\r' ? CHUNKED_SIZE_LF : b == ';' ? CHUNKED_EXTENSION : CHUNKED_BAD;
}

static enum http_chunked_state expect(char b, char want, enum http_chunked_state next) {
    return b == want ? next : CHUNKED_BAD;
}

static enum http_chunked_state framing_byte(struct http_chunked *c, char b) {
    switch (c->state) {
    case CHUNKED_SIZE:
        return size_byte(c, b);
    case CHUNKED_EXTENSION:
        c->overhead_bytes++;
        return b == '\r' ? CHUNKED_SIZE_LF : is_text(b) ? CHUNKED_EXTENSION : CHUNKED_BAD;
    case CHUNKED_SIZE_LF:
        return expect(b, '\n', c->left ? CHUNKED_DATA : CHUNKED_TRAILER);
    case CHUNKED_DATA_CR:
        return expect(b, '\r', CHUNKED_DATA_LF);
    case CHUNKED_DATA_LF:
        c->digits = 0;
        return expect(b, '\n', CHUNKED_SIZE);
    case CHUNKED_TRAILER:
        if (b == '\r') {
            return CHUNKED_END_LF;
        }
        /* No folded lines, and no empty names. */
        return b != ' ' && b != '\t' && b != ':' && is_text(b) ? CHUNKED_TRAILER_LINE : CHUNKED_BAD;
    case CHUNKED_TRAILER_LINE:
        c->overhead_bytes++;
        return b == '\r' ? CHUNKED_TRAILER_LF : is_text(b) ? CHUNKED_TRAILER_LINE : CHUNKED_BAD;
    case CHUNKED_TRAILER_LF:
        c->overhead_bytes++;
        return expect(b, '\n', CHUNKED_TRAILER);
    case CHUNKED_END_LF:
        return expect(b, '\n', CHUNKED_END);
    case CHUNKED_DATA:
    case CHUNKED_END:
    case CHUNKED_BAD:
        break;
    }
    return c->state;
}

void http_chunked_feed(struct http_chunked *c, const char *p, size_t n, size_t *ret_used,
                       struct str *ret_data) {
    size_t i = 0;
    *ret_data = STR_EMPTY;
    while (i < n && c->state != CHUNKED_END && c->state != CHUNKED_BAD) {
        if (c->state == CHUNKED_DATA) {
            size_t k = MIN(c->left, n - i);
            *ret_data = (struct str){p + i, k};
            c->left -= k;
            if (c->left == 0) {
                c->state = CHUNKED_DATA_CR;
            }
            i += k;
            break;
        }
        c->state = framing_byte(c, p[i++]);
        if (c->overhead_bytes > MAX_OVERHEAD_BYTES) {
            c->state = CHUNKED_BAD;
        }
    }
    *ret_used = i;
}
