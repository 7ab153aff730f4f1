/* Checks a value against the part of JSON Schema that tools use: type, enum, const, required,
 * properties, additionalProperties, items, prefixItems, minimum and maximum (exclusive too),
 * multipleOf, the lengths of strings, arrays and objects, uniqueItems, allOf, anyOf, oneOf, not,
 * and $ref within the document. Keywords that are not known pass. Never fetches anything; bounded
 * in depth. */
#pragma once
#include "base/json.h"

/* ERR_INVALID: the message says where and what, for a model to read ("arguments.limit: must be at
 * most 50"). `what` names the root. A schema that cannot be used (a $ref into nowhere, nested too
 * deeply) passes: it is not the caller's fault. */
int json_schema_check(const json_t *schema, const json_t *value, const char *what, struct err *err)
    must_check;
