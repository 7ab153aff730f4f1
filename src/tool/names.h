/* The names under which models know the tools of servers. Only tool/ includes this. */
#pragma once
#include "base/arena.h"

enum { TOOL_NAME_MAX = 64 };

struct tool_name {
    struct str server, tool; /* given */
    struct str name;         /* made; [A-Za-z0-9_-]{1,64}; empty for the second of two equal ones */
};

/* Gives each a name of its own: the tool's where it is legal, no other server has it and `reserved`
 * does not say that it is taken; else "<server>_<tool>", sanitised, with a hash where that is still
 * not unique or too long. The same set gives the same names in any order. Names made live in the
 * arena; a tool's own stays a view. */
void tool_names_make(struct tool_name *names, size_t n,
                     bool (*reserved)(struct str name, const void *arg), const void *arg,
                     struct arena *arena);
