#include "net/http_head.h"

#include "base/mem.h"
#include "base/secret.h"

enum { FIRST_TEXT_BYTES = 500, FIRST_FIELDS = 16 };

enum gate {
    GATE_BLANK, /* before the request line */
    GATE_BLANK_LF,
    GATE_LINE,
    GATE_LINE_LF,
    GATE_FIELD, /* first byte of a field line */
    GATE_NAME,
    GATE_VALUE,
    GATE_VALUE_LF,
    GATE_END_LF,
    GATE_DONE,
};

static int refuse(struct http_head *h, int status, const char *detail) {
    h->detail = detail;
    return -status;
}

/* ---- llhttp's callbacks: text is collected, places are noted ---- */

static struct http_head *head_of(llhttp_t *parser) {
    return parser->data;
}

static int on_target(llhttp_t *parser, const char *p, size_t n) {
    struct http_head *h = head_of(parser);
    strbuf_add(&h->text, (struct str){p, n});
    h->target_n += (uint32_t)n;
    return 0;
}

static int on_field_name(llhttp_t *parser, const char *p, size_t n) {
    struct http_head *h = head_of(parser);
    struct http_head_field *f = &h->fields[h->n_fields];
    if (f->name_n == 0) {
        f->name = (uint32_t)h->text.n;
    }
    f->name_n += (uint32_t)n;
    strbuf_add(&h->text, (struct str){p, n});
    return 0;
}

static int on_field_name_complete(llhttp_t *parser) {
    struct http_head *h = head_of(parser);
    h->fields[h->n_fields].value = (uint32_t)h->text.n;
    return 0;
}

static int on_field_value(llhttp_t *parser, const char *p, size_t n) {
    struct http_head *h = head_of(parser);
    h->fields[h->n_fields].value_n += (uint32_t)n;
    strbuf_add(&h->text, (struct str){p, n});
    return 0;
}

static int on_field_value_complete(llhttp_t *parser) {
    struct http_head *h = head_of(parser);
    /* One more than the maximum is kept, so that its presence shows. */
    if (++h->n_fields > h->limits.max_fields) {
        return -1;
    }
    if (h->n_fields == h->cap_fields) {
        size_t old = h->cap_fields * sizeof *h->fields;
        h->cap_fields *= 2;
        h->fields = mem_resize(h->fields, old * 2);
        memset((char *)h->fields + old, 0, old);
    }
    return 0;
}

static int on_fields_complete(llhttp_t *parser) {
    struct http_head *h = head_of(parser);
    h->parsed = true;
    h->keep_alive = llhttp_should_keep_alive(parser);
    return HPE_PAUSED; /* bodies are not llhttp's business here */
}

static const llhttp_settings_t settings = {
    .on_url = on_target,
    .on_header_field = on_field_name,
    .on_header_field_complete = on_field_name_complete,
    .on_header_value = on_field_value,
    .on_header_value_complete = on_field_value_complete,
    .on_headers_complete = on_fields_complete,
};

void http_head_init(struct http_head *h, const struct http_head_limits *limits) {
    *h = (struct http_head){.limits = *limits};
    /* Beside the raw text: joined fields and the decoded path. */
    h->text = STRBUF(3 * limits->max_bytes + 4096);
    strbuf_room(&h->text, FIRST_TEXT_BYTES);
    h->cap_fields = FIRST_FIELDS;
    h->fields = mem_alloc(h->cap_fields * sizeof *h->fields);
    llhttp_init(&h->parser, HTTP_REQUEST, &settings);
    h->parser.data = h;
}

void http_head_done(struct http_head *h) {
    secret_strbuf_done(&h->text);
    mem_free(take(h->fields));
}

bool http_head_begun(const struct http_head *h) {
    return h->gate > GATE_BLANK_LF;
}

/* ---- the gate ---- */

static bool is_control(char c) {
    return (unsigned char)c < 0x20 || c == 0x7f;
}

static int gate_request_line(struct http_head *h, char c) {
    if (c == '\r') {
        uint64_t version = h->line_tail & ~(uint64_t)0xff;
        if (version != 0x485454502f312e00) {     /* "HTTP/1." */
            return version >> 24 == 0x485454502f /* "HTTP/" */
                       ? refuse(h, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here")
                       : refuse(h, 400, "malformed request line");
        }
        h->gate = GATE_LINE_LF;
        return 0;
    }
    if (is_control(c) || (unsigned char)c >= 0x80) {
        return refuse(h, 400, "forbidden character in the request line");
    }
    if (c == ' ' && (h->line_tail & 0xff) == ' ') {
        return refuse(h, 400, "malformed request line");
    }
    h->line_tail = h->line_tail << 8 | (unsigned char)c;
    return 0;
}

static int gate_field_line(struct http_head *h, char c) {
    if (h->gate == GATE_FIELD) {
        if (c == '\r') {
            h->gate = GATE_END_LF;
            return 0;
        }
        if (c == ' ' || c == '\t') {
            return refuse(h, 400, "folded header line");
        }
        if (c == ':') {
            return refuse(h, 400, "header line without a name");
        }
        h->gate = GATE_NAME;
    }
    if (h->gate == GATE_NAME) {
        if (c == ':') {
            h->gate = GATE_VALUE;
        } else if (c == ' ' || c == '\t') {
            return refuse(h, 400, "white space before a colon");
        } else if (is_control(c) || (unsigned char)c >= 0x80) {
            return refuse(h, 400, "malformed header line");
        }
        return 0;
    }
    if (c == '\r') {
        h->gate = GATE_VALUE_LF;
    } else if (is_control(c) && c != '\t') {
        return refuse(h, 400, "forbidden character in a header value");
    }
    return 0;
}

static int gate_byte(struct http_head *h, char c) {
    switch ((enum gate)h->gate) {
    case GATE_BLANK:
        if (c == '\r') {
            h->gate = GATE_BLANK_LF;
            return 0;
        }
        h->gate = GATE_LINE;
        return gate_request_line(h, c);
    case GATE_LINE:
        return gate_request_line(h, c);
    case GATE_FIELD:
    case GATE_NAME:
    case GATE_VALUE:
        return gate_field_line(h, c);
    case GATE_BLANK_LF:
    case GATE_LINE_LF:
    case GATE_VALUE_LF:
    case GATE_END_LF:
        if (c != '\n') {
            return refuse(h, 400, "carriage return without line feed");
        }
        h->gate = h->gate == GATE_BLANK_LF ? GATE_BLANK
                  : h->gate == GATE_END_LF ? GATE_DONE
                                           : GATE_FIELD;
        return 0;
    case GATE_DONE:
        break;
    }
    return 0;
}

/* 0 with *ret_used at the end of the head or of the bytes, or a refusal. *ret_begin: where the
 * request line starts. */
static int gate_scan(struct http_head *h, const char *p, size_t n, size_t *ret_begin,
                     size_t *ret_used) {
    size_t i = 0, begin = 0;
    for (; i < n && h->gate != GATE_DONE; i++) {
        int rc = gate_byte(h, p[i]);
        if (rc < 0) {
            return rc;
        }
        if (!http_head_begun(h)) {
            begin = i + 1;
        }
        if (++h->bytes > h->limits.max_bytes) {
            return h->gate <= GATE_LINE_LF ? refuse(h, 414, "the request line is too long")
                                           : refuse(h, 431, "the header is too large");
        }
    }
    *ret_begin = begin;
    *ret_used = i;
    return 0;
}

/* ---- judging the whole ---- */

static uint32_t name_hash(struct str name) {
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        h = (h ^ (c >= 'A' && c <= 'Z' ? c | 0x20 : c)) * 16777619u;
    }
    return h;
}

static struct str field_name(const struct http_head *h, const struct http_head_field *f) {
    return (struct str){h->text.p + f->name, f->name_n};
}

static struct str field_value(const struct http_head *h, const struct http_head_field *f) {
    return (struct str){h->text.p + f->value, f->value_n};
}

static const struct http_head_field *find_field(const struct http_head *h, struct str name) {
    uint32_t hash = name_hash(name);
    for (unsigned i = 0; i < h->n_fields; i++) {
        if (h->fields[i].hash == hash && str_eq_nocase(field_name(h, &h->fields[i]), name)) {
            return &h->fields[i];
        }
    }
    return NULL;
}

struct str http_head_value(const struct http_head *h, struct str name) {
    const struct http_head_field *f = find_field(h, name);
    return f ? field_value(h, f) : (struct str){0};
}

static bool must_be_single(struct str name) {
    static const char *const names[] = {"host", "content-length", "transfer-encoding", "expect"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (str_eq_nocase(name, str_z(names[i]))) {
            return true;
        }
    }
    return false;
}

/* The value of `later` is appended to that of `first`, both in a new place. */
static void join_fields(struct http_head *h, struct http_head_field *first,
                        const struct http_head_field *later) {
    bool cookie = str_eq_nocase(field_name(h, first), STR("cookie"));
    size_t n = first->value_n + 2 + later->value_n;
    char *to = strbuf_room(&h->text, n);
    if (!to) {
        return;
    }
    memcpy(to, h->text.p + first->value, first->value_n);
    memcpy(to + first->value_n, cookie ? "; " : ", ", 2);
    memcpy(to + first->value_n + 2, h->text.p + later->value, later->value_n);
    first->value = (uint32_t)h->text.n;
    first->value_n = (uint32_t)n;
    strbuf_claim(&h->text, n);
}

static int unite_fields(struct http_head *h) {
    unsigned kept = 0;
    for (unsigned i = 0; i < h->n_fields; i++) {
        struct http_head_field *f = &h->fields[i];
        struct str value = str_trim(field_value(h, f));
        f->value = (uint32_t)(value.n ? value.p - h->text.p : 0);
        f->value_n = (uint32_t)value.n;
        f->hash = name_hash(field_name(h, f));
        unsigned same = 0;
        while (same < kept && !(h->fields[same].hash == f->hash &&
                                str_eq_nocase(field_name(h, &h->fields[same]), field_name(h, f)))) {
            same++;
        }
        if (same == kept) {
            h->fields[kept++] = *f;
        } else if (must_be_single(field_name(h, f))) {
            return refuse(h, 400, "a header field that must stand once stands twice");
        } else {
            join_fields(h, &h->fields[same], f);
        }
    }
    h->n_fields = kept;
    return h->text.failed ? refuse(h, 431, "the header is too large") : 0;
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool http_percent_decode(struct str text, bool plus_is_space, struct strbuf *out) {
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '%') {
            int hi = i + 2 < text.n ? hex_value(text.p[i + 1]) : -1;
            int lo = i + 2 < text.n ? hex_value(text.p[i + 2]) : -1;
            if (hi < 0 || lo < 0) {
                return false;
            }
            c = (char)(hi << 4 | lo);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        strbuf_addc(out, c);
    }
    return !out->failed;
}

static bool path_is_clean(struct str path) {
    for (size_t i = 0; i < path.n; i++) {
        if (is_control(path.p[i])) {
            return false;
        }
    }
    for (struct str rest = str_skip(path, 1); rest.n > 0;) {
        struct str segment = str_cut(&rest, '/');
        if (str_eq(segment, STR(".")) || str_eq(segment, STR(".."))) {
            return false;
        }
    }
    return str_is_utf8(path);
}

static int judge_path(struct http_head *h, struct str target) {
    struct str path = str_cut(&target, '?');
    h->query = target;
    if (str_find_char(path, '%') == SIZE_MAX) {
        h->path = path;
    } else {
        /* Room was made before, so that the text does not move under the views. */
        size_t at = h->text.n;
        if (!http_percent_decode(path, false, &h->text)) {
            return refuse(h, 400, "bad percent-encoding in the path");
        }
        h->path = (struct str){h->text.p + at, h->text.n - at};
    }
    return path_is_clean(h->path) ? 0 : refuse(h, 400, "the path is not acceptable");
}

static int judge_target(struct http_head *h) {
    if (!strbuf_room(&h->text, h->target_n + 1)) {
        return refuse(h, 431, "the header is too large");
    }
    struct str target = {h->text.p, h->target_n};
    if (str_find_char(target, '#') != SIZE_MAX) {
        return refuse(h, 400, "the request target has a fragment");
    }
    bool plain = str_starts(str_head(target, 7), STR("http://"));
    if (plain || str_starts(target, STR("https://"))) {
        struct str rest = str_skip(target, plain ? 7 : 8);
        size_t end = 0;
        while (end < rest.n && rest.p[end] != '/' && rest.p[end] != '?') {
            end++;
        }
        if (!str_eq_nocase(str_head(rest, end), http_head_value(h, STR("host")))) {
            return refuse(h, 400, "request target and Host differ");
        }
        target = str_skip(rest, end);
        if (target.n == 0 || target.p[0] == '?') {
            h->path = STR("/");
            h->query = str_skip(target, 1);
            return 0;
        }
    } else if (str_eq(target, STR("*")) && str_eq(h->method, STR("OPTIONS"))) {
        h->path = target;
        h->query = STR_EMPTY;
        return 0;
    }
    if (target.n == 0 || target.p[0] != '/') {
        return refuse(h, 400, "malformed request target");
    }
    return judge_path(h, target);
}

static int judge_host(struct http_head *h) {
    struct str host = http_head_value(h, STR("host"));
    if (!host.p) {
        return h->minor_version ? refuse(h, 400, "no Host field") : 0;
    }
    for (size_t i = 0; i < host.n; i++) {
        if ((unsigned char)host.p[i] <= ' ' || (unsigned char)host.p[i] >= 0x7f ||
            strchr("/\\?#@,\"<>^`{|}", host.p[i])) {
            return refuse(h, 400, "malformed Host field");
        }
    }
    return 0;
}

static int judge_framing(struct http_head *h) {
    struct str length = http_head_value(h, STR("content-length"));
    struct str coding = http_head_value(h, STR("transfer-encoding"));
    if (coding.p) {
        if (length.p || !h->minor_version) {
            return refuse(h, 400, "Transfer-Encoding is not allowed here");
        }
        if (!str_eq_nocase(coding, STR("chunked"))) {
            return refuse(h, 501, "the only transfer coding is chunked");
        }
        h->chunked = true;
    }
    if (length.p) {
        if (length.n == 0 || length.n > 18) {
            return refuse(h, 400, "malformed Content-Length");
        }
        for (size_t i = 0; i < length.n; i++) {
            if (length.p[i] < '0' || length.p[i] > '9') {
                return refuse(h, 400, "malformed Content-Length");
            }
            h->content_length = h->content_length * 10 + (uint64_t)(length.p[i] - '0');
        }
    }
    struct str expect = http_head_value(h, STR("expect"));
    if (expect.p && !str_eq_nocase(expect, STR("100-continue"))) {
        return refuse(h, 417, "the only expectation is 100-continue");
    }
    h->expects_continue = expect.p && h->minor_version && (h->chunked || h->content_length);
    return 0;
}

static int judge(struct http_head *h) {
    h->method = str_z(llhttp_method_name((llhttp_method_t)llhttp_get_method(&h->parser)));
    h->minor_version = llhttp_get_http_minor(&h->parser);
    if (llhttp_get_method(&h->parser) == HTTP_CONNECT) {
        return refuse(h, 501, "CONNECT is not served here");
    }
    int rc = unite_fields(h);
    if (rc == 0) {
        rc = judge_host(h);
    }
    if (rc == 0) {
        rc = judge_target(h);
    }
    if (rc == 0) {
        rc = judge_framing(h);
    }
    return rc < 0 ? rc : 1;
}

int http_head_feed(struct http_head *h, const char *p, size_t n, size_t *ret_used) {
    size_t begin = 0;
    int rc = gate_scan(h, p, n, &begin, ret_used);
    if (rc < 0) {
        return rc;
    }
    if (http_head_begun(h)) {
        llhttp_errno_t e = llhttp_execute(&h->parser, p + begin, *ret_used - begin);
        if (h->n_fields > h->limits.max_fields) {
            return refuse(h, 431, "too many header fields");
        }
        if (e != HPE_OK && !(e == HPE_PAUSED && h->parsed)) {
            return refuse(h, 400, "malformed request");
        }
        if (h->text.failed) {
            return refuse(h, 431, "the header is too large");
        }
    }
    if (h->gate != GATE_DONE) {
        return 0;
    }
    return h->parsed ? judge(h) : refuse(h, 400, "malformed request");
}

bool http_has_token(struct str list, struct str token) {
    while (list.n > 0) {
        if (str_eq_nocase(str_trim(str_cut(&list, ',')), token)) {
            return true;
        }
    }
    return false;
}
