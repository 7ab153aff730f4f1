/* JSON from clients: bounded in depth, duplicates and the number of values before it is parsed, and
 * parsed on a worker when it is large. */
#pragma once
#include "base/json.h"
#include "fiber/fiber.h"

enum { JSON_INPUT_MAX_VALUES = 100 * 1000 };

may_yield int json_input_read(struct str text, json_t **ret, struct err *err) must_check;
