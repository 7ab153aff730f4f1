#include "api/json_input.h"

/* Parsing more than this would hold up the loop. */
enum { PARSE_HERE_MAX_BYTES = 128 * 1024 };

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
    if (!json_is_small(text, JSON_INPUT_MAX_VALUES)) {
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
