#include "api/json_input.h"

/* Parsing more than this would hold up the loop. */
enum { PARSE_HERE_MAX_BYTES = 128 * 1024 };

bool json_input_is_small(struct str text, size_t max) {
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

struct parse {
    struct str text;
    json_t *tree;
    int rc;
    struct err err;
};

static void parse(void *arg) {
    struct parse *p = arg;
    p->rc = json_read(p->text, &p->tree, &p->err);
}

int json_input_read(struct str text, json_t **ret, struct err *err) {
    struct parse p = {.text = text};
    if (!json_input_is_small(text, JSON_INPUT_MAX_VALUES)) {
        return err_set(err, ERR_INVALID, "the JSON has more than %d values", JSON_INPUT_MAX_VALUES);
    }
    if (text.n > PARSE_HERE_MAX_BYTES) {
        fiber_offload(parse, &p);
    } else {
        parse(&p);
    }
    if (p.rc < 0) {
        *err = p.err;
        return p.rc;
    }
    *ret = p.tree;
    return 0;
}
