/* The quick reader agrees with the thorough one: what json_read takes, it takes alike; a string
 * means the same to both. */
#include <assert.h>

#include "base/json.h"
#include "base/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_string(struct str text) {
    struct scan s = scan_begin(text);
    struct str raw;
    json_auto_t *tree = NULL;
    struct err err;
    bool valid = json_read(text, &tree, &err) == 0;
    bool scanned = scan_string(&s, &raw) && scan_at_end(&s);
    struct strbuf meant cleanup(strbuf_done) = STRBUF(1 << 20);
    scanned = scanned && scan_unescape(&meant, raw);
    assert(scanned == valid);
    if (valid) {
        assert(str_eq(strbuf_str(&meant), json_value_str(tree)));
    }
}

static void check_object(struct str text, const json_t *object) {
    struct scan s = scan_begin(text);
    struct str key;
    bool first = true;
    size_t n = 0;
    assert(scan_open(&s, '{'));
    while (scan_member(&s, &first, &key)) {
        assert(scan_skip(&s));
        n++;
    }
    assert(!key.p && scan_at_end(&s) && n == json_object_size(object));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str text = {(const char *)data, size}, trimmed = str_trim(text);
    json_auto_t *tree = NULL;
    struct err err;
    if (memchr(data, 0, size)) {
        return 0; /* jansson overlooks a NUL behind a number */
    }
    if (trimmed.n && trimmed.p[0] == '"') {
        check_string(trimmed);
    }
    if (json_read(text, &tree, &err) == 0) {
        struct scan s = scan_begin(text);
        assert(scan_skip(&s) && scan_at_end(&s));
        if (json_is_object(tree)) {
            check_object(text, tree);
        }
    }
    return 0;
}
