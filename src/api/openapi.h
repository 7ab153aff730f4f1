/* OpenAPI 3.1 of everything in the table of routes. */
#pragma once
#include "base/strbuf.h"

void openapi_write(struct strbuf *out, const char *version);
