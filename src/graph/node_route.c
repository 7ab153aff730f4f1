#include "graph/internal.h"

/* Who answers. There is one agent so far: the Chief of Staff; names of others are refused where
 * they are submitted. */
static int run(struct turn *t, const struct node **ret_next, struct err *err) {
    if (!str_eq(t->agent, STR("cos"))) {
        return err_set(err, ERR_NOT_FOUND, "there is no agent \"%.*s\"", STR_ARG(t->agent));
    }
    *ret_next = &node_prepare;
    return 0;
}

const struct node node_route = {.name = "route", .run = run};
