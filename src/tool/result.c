/* Results of MCP servers as models read them. The text is walked with a scanner: images stay views
 * of it until they are written, and nothing foreign is parsed into trees. */
#include "base/crypto.h"
#include "base/scan.h"
#include "tool/image.h"
#include "tool/toolset.h"

enum {
    MAX_ITEMS = 1000,
    MAX_TEXT_BYTES = TOOL_RESULT_MAX_BYTES - 256, /* the rest is for the words about a cut */
    MAX_WORD_BYTES = 500,                         /* of names, addresses and types that are told */
    MAX_PIXELS_A_SIDE = 8000,                     /* providers refuse more */
};

/* A block of the result: text, or an image. */
struct block {
    struct str text;
    struct str data; /* base64; n > 0: an image */
    const char *media_type;
};

struct reading {
    struct arena *arena;
    struct block *blocks;
    size_t n, n_images;
    size_t text_bytes, cut_bytes;
};

/* ---- text ---- */

/* The length of the escape that begins at raw.p[at]; a pair of surrogates is one. */
static size_t escape_length(struct str raw, size_t at) {
    struct str rest = str_skip(raw, at);
    if (rest.n < 2 || rest.p[1] != 'u') {
        return MIN(rest.n, (size_t)2);
    }
    bool high = rest.n > 3 && (rest.p[2] | 0x20) == 'd' && strchr("89abAB", rest.p[3]);
    bool pair = high && rest.n >= 12 && rest.p[6] == '\\' && rest.p[7] == 'u';
    return MIN(rest.n, pair ? (size_t)12 : (size_t)6);
}

/* What JSON may say and text may not have (NUL, half characters) becomes U+FFFD. */
static void unescape(struct str raw, struct strbuf *out) {
    while (raw.n) {
        size_t run = MIN(str_find_char(raw, '\\'), raw.n);
        strbuf_add(out, str_head(raw, run));
        raw = str_skip(raw, run);
        if (raw.n) {
            size_t n = escape_length(raw, 0);
            if (!scan_unescape(out, str_head(raw, n))) {
                n = MIN(n, (size_t)6);
                strbuf_addz(out, "\xef\xbf\xbd");
            }
            raw = str_skip(raw, n);
        }
    }
}

/* The meaning of a JSON string; p == NULL when it is none. */
static struct str string_value(struct reading *r, struct str json) {
    struct scan s = scan_begin(json);
    struct str raw;
    if (!json.p || !scan_string(&s, &raw)) {
        return (struct str){0};
    }
    struct strbuf text cleanup(strbuf_done) = STRBUF(3 * raw.n + 4);
    unescape(raw, &text);
    return arena_str(r->arena, strbuf_str(&text));
}

static struct str member(struct reading *r, struct str object, const char *key) {
    return string_value(r, scan_get(object, key));
}

/* Data that may be large is not copied. */
static struct str base64_member(struct reading *r, struct str object, const char *key) {
    struct str json = scan_get(object, key), raw;
    struct scan s = scan_begin(json);
    bool plain = json.p && scan_string(&s, &raw) && str_find_char(raw, '\\') == SIZE_MAX;
    return plain ? raw : string_value(r, json);
}

/* For names, addresses and types: one line, bounded. */
static struct str word(struct reading *r, struct str object, const char *key,
                       const char *fallback) {
    struct str s = member(r, object, key);
    s = str_utf8_head(s.n ? s : str_z(fallback), MAX_WORD_BYTES);
    char *z = arena_z(r->arena, s);
    for (char *c = z; *c; c++) {
        *c = (unsigned char)*c < ' ' ? ' ' : *c;
    }
    return str_z(z);
}

/* ---- blocks ---- */

static void add_text(struct reading *r, struct str text) {
    struct str head = str_utf8_head(text, MAX_TEXT_BYTES - MIN(r->text_bytes, MAX_TEXT_BYTES));
    r->text_bytes += head.n + 1;
    r->cut_bytes += text.n - head.n;
    if (head.n) {
        r->blocks[r->n++] = (struct block){.text = head};
    }
}

static void printf_like(2, 3) add_note(struct reading *r, const char *fmt, ...) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(8 * MAX_WORD_BYTES);
    va_list ap;
    va_start(ap, fmt);
    strbuf_addfv(&out, fmt, ap);
    va_end(ap);
    add_text(r, arena_str(r->arena, strbuf_str(&out)));
}

static size_t kilobytes(struct str base64) {
    return (base64.n / 4 * 3 + 1023) / 1024;
}

/* ---- images ---- */

static struct str without_space(struct arena *arena, struct str s) {
    if (s.n > 2 * TOOL_RESULT_MAX_IMAGE_BYTES || str_find_char(s, '\n') == SIZE_MAX) {
        return s;
    }
    char *z = arena_z(arena, s), *to = z;
    for (const char *from = z; *from; from++) {
        if (*from != '\n' && *from != '\r' && *from != ' ') {
            *to++ = *from;
        }
    }
    return (struct str){z, (size_t)(to - z)};
}

/* NULL, or why the model cannot see it. */
static const char *look(struct reading *r, struct str data, struct image_facts *ret) {
    struct strbuf bytes cleanup(strbuf_done) = STRBUF(TOOL_RESULT_MAX_IMAGE_BYTES);
    struct err err;
    if (data.n > TOOL_RESULT_MAX_IMAGE_BYTES) {
        return "it is too large to be shown";
    }
    if (r->n_images == TOOL_RESULT_MAX_IMAGES) {
        return "there are too many images to show them all";
    }
    if (crypto_base64_decode(&bytes, data, &err) < 0) {
        return "its data is no valid base64";
    }
    if (!image_look(strbuf_str(&bytes), ret)) {
        return "it is of a kind that cannot be shown";
    }
    if (ret->width > MAX_PIXELS_A_SIDE || ret->height > MAX_PIXELS_A_SIDE) {
        return "it has too many pixels to be shown";
    }
    return NULL;
}

static void add_image(struct reading *r, struct str data, struct str media_type, struct str uri) {
    struct image_facts facts;
    data = without_space(r->arena, data);
    const char *why = look(r, data, &facts);
    if (why) {
        add_note(r, "[An image%s%.*s (%.*s, about %zu KB): %s.]", uri.n ? " " : "", STR_ARG(uri),
                 STR_ARG(media_type), kilobytes(data), why);
        return;
    }
    r->n_images++;
    r->blocks[r->n++] = (struct block){.data = data, .media_type = facts.media_type};
}

/* ---- the kinds of content ---- */

static void read_text(struct reading *r, struct str item) {
    struct str text = member(r, item, "text");
    if (text.p) {
        add_text(r, text);
    } else {
        add_note(r, "[A text that cannot be read.]");
    }
}

static void read_image(struct reading *r, struct str item) {
    add_image(r, base64_member(r, item, "data"), word(r, item, "mimeType", "unknown type"),
              STR_EMPTY);
}

static void read_audio(struct reading *r, struct str item) {
    struct str type = word(r, item, "mimeType", "unknown type");
    add_note(r, "[A sound (%.*s, about %zu KB), which cannot be played here.]", STR_ARG(type),
             kilobytes(base64_member(r, item, "data")));
}

static void read_resource(struct reading *r, struct str item) {
    struct str resource = scan_get(item, "resource");
    struct str uri = word(r, resource, "uri", "without an address");
    struct str type = word(r, resource, "mimeType", "unknown type");
    struct str text = member(r, resource, "text"), blob = base64_member(r, resource, "blob");
    if (text.p) {
        add_note(r, "[Resource %.*s]", STR_ARG(uri));
        add_text(r, text);
    } else if (str_starts(type, STR("image/")) && blob.n) {
        add_image(r, blob, type, uri);
    } else if (blob.p) {
        add_note(r, "[Resource %.*s: about %zu KB of %.*s.]", STR_ARG(uri), kilobytes(blob),
                 STR_ARG(type));
    } else {
        add_note(r, "[Resource %.*s, which cannot be read.]", STR_ARG(uri));
    }
}

static void read_link(struct reading *r, struct str item) {
    struct str uri = word(r, item, "uri", "without an address");
    struct str name = word(r, item, "title", ""), about = word(r, item, "description", "");
    struct str type = word(r, item, "mimeType", "");
    name = name.n ? name : word(r, item, "name", "");
    add_note(r, "[Link to a resource: %.*s%s%.*s%s%.*s%s%s%.*s]", STR_ARG(uri), name.n ? ", " : "",
             STR_ARG(name), type.n ? " (" : "", STR_ARG(type), type.n ? ")" : "",
             about.n ? ": " : "", STR_ARG(about));
}

static void read_item(struct reading *r, struct str item) {
    static const struct {
        const char *type;
        void (*read)(struct reading *r, struct str item);
    } kinds[] = {{"text", read_text},
                 {"image", read_image},
                 {"audio", read_audio},
                 {"resource", read_resource},
                 {"resource_link", read_link}};
    struct str type = word(r, item, "type", "");
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (str_eq(type, str_z(kinds[i].type))) {
            kinds[i].read(r, item);
            return;
        }
    }
    add_note(r, "[Content of a kind that is not known here: \"%.*s\".]", STR_ARG(type));
}

static int read_content(struct reading *r, struct str content, struct err *err) {
    struct scan s = scan_begin(content);
    struct str item;
    bool first = true;
    size_t n = 0;
    if (!content.p || str_eq(content, STR("null"))) {
        return 0;
    }
    if (!scan_open(&s, '[')) {
        return err_set(err, ERR_PROTOCOL, "the tool's result has content that is no list");
    }
    while (scan_element(&s, &first, &item)) {
        if (++n <= MAX_ITEMS) {
            read_item(r, item);
        }
    }
    if (n > MAX_ITEMS) {
        add_note(r, "[%zu more parts were left out.]", n - MAX_ITEMS);
    }
    return 0;
}

/* ---- the whole ---- */

static void add_cut_note(struct reading *r) {
    if (r->cut_bytes) {
        r->blocks[r->n++].text = arena_printf(
            r->arena, "[The result was too long: %zu more bytes of text were cut off here.]",
            r->cut_bytes);
    }
}

static void join_texts(struct strbuf *out, const struct block *blocks, size_t n) {
    for (size_t i = 0; i < n; i++) {
        strbuf_addz(out, i ? "\n" : "");
        strbuf_add(out, blocks[i].text);
    }
}

/* Texts that stand together become one block. */
static void write_blocks(const struct reading *r, struct strbuf *out) {
    struct jsonw w = jsonw_begin(out);
    jsonw_array(&w);
    for (size_t i = 0; i < r->n;) {
        size_t n = 0;
        jsonw_object(&w);
        while (i + n < r->n && !r->blocks[i + n].data.n) {
            n++;
        }
        if (n) {
            struct strbuf text cleanup(strbuf_done) = STRBUF(2 * TOOL_RESULT_MAX_BYTES);
            join_texts(&text, r->blocks + i, n);
            jsonw_kstrz(&w, "type", "text");
            jsonw_kstr(&w, "text", strbuf_str(&text));
        } else {
            jsonw_kstrz(&w, "type", "image");
            jsonw_kstrz(&w, "media_type", r->blocks[i].media_type);
            jsonw_kstr(&w, "data", r->blocks[i].data);
        }
        jsonw_end_object(&w);
        i += MAX(n, (size_t)1);
    }
    jsonw_end_array(&w);
}

int tool_result_from_mcp(struct str result_json, bool is_error, struct arena *arena,
                         struct tool_result *ret, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(TOOL_RESULT_MAX_BLOCKS_BYTES);
    struct arena temporary cleanup(arena_done) = {0};
    struct reading r = {.arena = &temporary};
    if (!json_check(result_json, JSON_CHECK_MAX_DEPTH) ||
        !str_starts(str_trim(result_json), STR("{"))) {
        return err_set(err, ERR_PROTOCOL, "the tool's result is no JSON object");
    }
    r.blocks = arena_alloc(&temporary, (2 * MAX_ITEMS + 3) * sizeof *r.blocks);
    if (read_content(&r, scan_get(result_json, "content"), err) < 0) {
        return -(int)err->code;
    }
    struct str structured = scan_get(result_json, "structuredContent");
    if (r.n == 0 && structured.p) {
        add_text(&r, structured);
    }
    if (r.n == 0) {
        add_note(&r, "[The tool gave no result.]");
    }
    add_cut_note(&r);
    if (r.n_images) {
        write_blocks(&r, &out);
    } else {
        join_texts(&out, r.blocks, r.n);
    }
    if (strbuf_check(&out, "the tool's result", err) < 0) {
        return -(int)err->code;
    }
    *ret = (struct tool_result){.content = arena_str(arena, strbuf_str(&out)),
                                .is_blocks = r.n_images > 0,
                                .is_error = is_error};
    return 0;
}
