/* The tools that need nothing but the program itself. */
#pragma once
#include "tool/tool.h"

extern const struct tool tool_current_time, tool_calculate;

/* The value of an arithmetic expression (see calculate.c for the grammar). ERR_INVALID says where
 * and why not. */
int calculate(struct str expression, double *ret, struct err *err) must_check;
