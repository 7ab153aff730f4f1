#include "mcp/credentials.h"

#include "base/json.h"
#include "base/scan.h"

static int add_checked(struct strbuf *out, struct str value, struct str member, struct err *err) {
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];
        if (c < ' ' || c > '~') {
            return err_set(err, ERR_INVALID,
                           "\"%.*s\" of the credential has characters that cannot be sent",
                           STR_ARG(str_head(member, 60)));
        }
    }
    strbuf_add(out, value);
    return 0;
}

/* JSON on one line, in ASCII: white space between tokens goes, other characters are escaped. */
static int no_json(struct err *err) {
    return err_set(err, ERR_INVALID, "the credential is no JSON object");
}

/* One character that is not printable ASCII, at *at; the text is UTF-8: the lead byte says how many
 * follow. */
static void add_escaped(struct strbuf *out, struct str text, size_t *at) {
    unsigned char c = (unsigned char)text.p[*at];
    size_t more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;
    uint32_t code = more ? c & (0x3fU >> more) : c;
    for (; more > 0; more--) {
        code = code << 6 | ((unsigned char)text.p[++*at] & 0x3f);
    }
    if (code >= 0x10000) {
        code -= 0x10000;
        strbuf_addf(out, "\\u%04x", 0xd800 | code >> 10);
        code = 0xdc00 | (code & 0x3ff);
    }
    strbuf_addf(out, "\\u%04x", code);
}

/* JSON on one line, in ASCII: white space between tokens goes, other characters are escaped. */
static int add_whole(struct strbuf *out, struct str entry, struct err *err) {
    bool in_string = false, escaped = false;
    for (size_t i = 0; i < entry.n; i++) {
        unsigned char c = (unsigned char)entry.p[i];
        if (!in_string && strchr(" \t\r\n", c) && c) {
            continue;
        }
        if (c < ' ' || (c >= 0x7f && (!in_string || escaped))) {
            return no_json(err);
        }
        if (c >= 0x7f) {
            add_escaped(out, entry, &i);
            continue;
        }
        strbuf_addc(out, (char)c);
        in_string = in_string != (c == '"' && !escaped);
        escaped = in_string && c == '\\' && !escaped;
    }
    return in_string ? no_json(err) : 0;
}

static int missing(struct str path, struct err *err) {
    return err_set(err, ERR_INVALID, "the credential has no \"%.*s\"", STR_ARG(str_head(path, 60)));
}

static int add_member(struct strbuf *out, struct str entry, struct str path, struct err *err) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(CREDENTIAL_MAX_BYTES);
    struct str rest = path, value = entry;
    if (path.n == 0) {
        return missing(path, err);
    }
    while (rest.n > 0 && value.p) {
        char key[64];
        struct str name = str_cut(&rest, '.');
        if (name.n == 0 || name.n >= sizeof key) {
            return missing(path, err);
        }
        snprintf(key, sizeof key, "%.*s", STR_ARG(name));
        value = scan_get(value, key);
    }
    if (!value.p || value.n == 0 || str_eq(value, STR("null"))) {
        return missing(path, err);
    }
    if (value.p[0] == '{' || value.p[0] == '[') {
        return add_whole(out, value, err);
    }
    if (value.p[0] != '"') {
        return add_checked(out, value, path, err);
    }
    (void)strbuf_room(&text, value.n); /* at once, as growing would leave copies behind */
    bool ok = scan_unescape(&text, (struct str){value.p + 1, value.n - 2});
    int rc = !ok       ? missing(path, err)
             : !text.n ? missing(path, err)
                       : add_checked(out, strbuf_str(&text), path, err);
    if (text.p) {
        secret_wipe(text.p, text.cap);
    }
    return rc;
}

static int render(struct str template, struct str entry, struct strbuf *out, struct err *err) {
    while (template.n > 0) {
        size_t at = str_find_char(template, '{');
        strbuf_add(out, str_head(template, MIN(at, template.n)));
        if (at == SIZE_MAX) {
            break;
        }
        struct str rest = str_skip(template, at + 1);
        size_t end = str_find_char(rest, '}');
        if (end == SIZE_MAX) {
            return err_set(err, ERR_INVALID, "a { of the template is not closed");
        }
        struct str path = str_head(rest, end);
        int rc =
            str_eq(path, STR("*")) ? add_whole(out, entry, err) : add_member(out, entry, path, err);
        if (rc < 0) {
            return rc;
        }
        template = str_skip(rest, end + 1);
    }
    return out->failed ? err_set(err, ERR_INVALID, "the credential is too large to be sent") : 0;
}

int credential_render(struct str template, struct str entry, struct secret **ret, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(CREDENTIAL_MAX_BYTES);
    entry = str_trim(entry);
    if (entry.n == 0 || entry.p[0] != '{' || !str_is_utf8(entry)) {
        return no_json(err);
    }
    /* Room for everything that can come, so that growing leaves no copies behind. */
    size_t likely = MIN(template.n + 2 * entry.n + 64, (size_t)CREDENTIAL_MAX_BYTES - 1);
    (void)strbuf_room(&out, likely);
    int rc = render(template, entry, &out, err);
    if (rc == 0) {
        *ret = secret_new(strbuf_str(&out));
    }
    if (out.p) {
        secret_wipe(out.p, out.cap);
    }
    return rc;
}
