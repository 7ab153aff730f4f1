/* Members that many answers have. */
#pragma once
#include "base/json.h"

/* RFC 3339; null for 0. */
void json_put_time(struct jsonw *w, const char *key, int64_t us);
/* null for the empty view. */
void json_put_text(struct jsonw *w, const char *key, struct str text);
/* "next_cursor": what call_query_cursor reads. */
void json_put_cursor(struct jsonw *w, int64_t us, struct str name);
