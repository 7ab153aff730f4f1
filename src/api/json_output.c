#include "api/json_output.h"

#include "base/clock.h"

enum { MAX_CURSOR_BYTES = 256 };

void json_put_time(struct jsonw *w, const char *key, int64_t us) {
    char iso[CLOCK_ISO_LEN + 1];
    if (us == 0) {
        jsonw_key(w, key);
        jsonw_null(w);
        return;
    }
    clock_iso(us, iso);
    jsonw_kstrz(w, key, iso);
}

void json_put_text(struct jsonw *w, const char *key, struct str text) {
    if (text.n) {
        jsonw_kstr(w, key, text);
    } else {
        jsonw_key(w, key);
        jsonw_null(w);
    }
}

void json_put_cursor(struct jsonw *w, int64_t us, struct str name) {
    struct strbuf cursor cleanup(strbuf_done) = STRBUF(MAX_CURSOR_BYTES);
    strbuf_add_i64(&cursor, us);
    strbuf_addc(&cursor, '.');
    strbuf_add(&cursor, name);
    jsonw_kstr(w, "next_cursor", strbuf_str(&cursor));
}
