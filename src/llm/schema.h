/* Rewriting JSON Schemas on trees. Trees are shared: a node that needs no change is the same node
 * with one more reference, so that "nothing changed" is a comparison of pointers. Only
 * llm/tool_schema.c and tests include this. */
#pragma once
#include "base/json.h"

struct schema_rewrite {
    const json_t *root;      /* what references point into */
    unsigned ref_depth;      /* references inlined within one another; more are cut */
    size_t nodes, max_nodes; /* schemas made; from max_nodes on references are cut */
    const json_t *open[16];  /* targets being inlined: meeting one again is a cycle */
    unsigned n_open;
    bool inlined;
};

/* A schema in which every keyword has the shape that draft 2020-12 gives it, without references,
 * boolean schemas among properties, and arrays without items. A new reference; never NULL. */
json_t *schema_rewrite(struct schema_rewrite *r, json_t *schema);

/* Folds an object's allOf, anyOf and oneOf into it. What gets lost is said in `note`. `schema` is
 * changed in place and must not be shared; its parts are not changed. */
void schema_fold(json_t *schema, struct strbuf *note);
