#include <math.h>

#include "base/json.h"

/* What stands for a byte inside a string: 0 itself, 1 a \u escape, else the character after a
 * backslash. */
static const unsigned char escapes[256] = {
    [0 ... 7] = 1, ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n',        [0x0B] = 1,
    ['\f'] = 'f',  ['\r'] = 'r', ['"'] = '"',  [0x0E ... 0x1F] = 1, ['\\'] = '\\',
};

static void escape_valid(struct strbuf *out, struct str s) {
    size_t from = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        unsigned char escape = escapes[c];
        if (escape == 0) {
            continue;
        }
        strbuf_add(out, (struct str){s.p + from, i - from});
        if (escape == 1) {
            strbuf_addf(out, "\\u%04x", c);
        } else {
            strbuf_add(out, (struct str){(char[]){'\\', (char)escape}, 2});
        }
        from = i + 1;
    }
    strbuf_add(out, (struct str){s.p + from, s.n - from});
}

/* Replaces each byte that is no part of a character by U+FFFD. */
static void escape_repaired(struct strbuf *out, struct str s) {
    while (s.n) {
        size_t length = 0;
        for (size_t k = 1; k <= MIN(s.n, (size_t)4) && !length; k++) {
            length = str_is_utf8(str_head(s, k)) ? k : 0;
        }
        if (length) {
            escape_valid(out, str_head(s, length));
        } else {
            strbuf_addz(out, "\xEF\xBF\xBD");
            length = 1;
        }
        s = str_skip(s, length);
    }
}

void json_escape(struct strbuf *out, struct str s) {
    if (s.n == 0) {
        return;
    }
    str_is_utf8(s) ? escape_valid(out, s) : escape_repaired(out, s);
}

static void separate(struct jsonw *w) {
    if (w->comma) {
        strbuf_addc(w->out, ',');
    }
    w->comma = true;
}

static void open_with(struct jsonw *w, char c) {
    separate(w);
    strbuf_addc(w->out, c);
    w->comma = false;
}

static void close_with(struct jsonw *w, char c) {
    strbuf_addc(w->out, c);
    w->comma = true;
}

void jsonw_object(struct jsonw *w) {
    open_with(w, '{');
}

void jsonw_end_object(struct jsonw *w) {
    close_with(w, '}');
}

void jsonw_array(struct jsonw *w) {
    open_with(w, '[');
}

void jsonw_end_array(struct jsonw *w) {
    close_with(w, ']');
}

void jsonw_key(struct jsonw *w, const char *key) {
    separate(w);
    strbuf_addc(w->out, '"');
    strbuf_addz(w->out, key);
    strbuf_add(w->out, STR("\":"));
    w->comma = false;
}

void jsonw_str_key(struct jsonw *w, struct str key) {
    jsonw_str(w, key);
    strbuf_addc(w->out, ':');
    w->comma = false;
}

void jsonw_str(struct jsonw *w, struct str s) {
    separate(w);
    strbuf_addc(w->out, '"');
    json_escape(w->out, s);
    strbuf_addc(w->out, '"');
}

void jsonw_strz(struct jsonw *w, const char *z) {
    jsonw_str(w, str_z(z));
}

void jsonw_int(struct jsonw *w, int64_t v) {
    separate(w);
    strbuf_add_i64(w->out, v);
}

void jsonw_double(struct jsonw *w, double v) {
    separate(w);
    if (isfinite(v)) {
        strbuf_addf(w->out, "%.17g", v);
    } else {
        strbuf_add(w->out, STR("null"));
    }
}

void jsonw_bool(struct jsonw *w, bool v) {
    jsonw_raw(w, v ? STR("true") : STR("false"));
}

void jsonw_null(struct jsonw *w) {
    jsonw_raw(w, STR("null"));
}

void jsonw_raw(struct jsonw *w, struct str json) {
    separate(w);
    strbuf_add(w->out, json);
}

static int dump_to_strbuf(const char *bytes, size_t n, void *out) {
    strbuf_add(out, (struct str){bytes, n});
    return 0;
}

void json_write_tree(struct strbuf *out, const json_t *value) {
    if (json_dump_callback(value, dump_to_strbuf, out, JSON_COMPACT | JSON_ENCODE_ANY) != 0) {
        out->failed = true;
    }
}

void jsonw_tree(struct jsonw *w, const json_t *value) {
    separate(w);
    json_write_tree(w->out, value);
}

void jsonw_kstr(struct jsonw *w, const char *key, struct str s) {
    jsonw_key(w, key);
    jsonw_str(w, s);
}

void jsonw_kstrz(struct jsonw *w, const char *key, const char *z) {
    jsonw_kstr(w, key, str_z(z));
}

void jsonw_kint(struct jsonw *w, const char *key, int64_t v) {
    jsonw_key(w, key);
    jsonw_int(w, v);
}

void jsonw_kbool(struct jsonw *w, const char *key, bool v) {
    jsonw_key(w, key);
    jsonw_bool(w, v);
}

void jsonw_kraw(struct jsonw *w, const char *key, struct str json) {
    jsonw_key(w, key);
    jsonw_raw(w, json);
}
