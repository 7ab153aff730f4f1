/* permessage-deflate (RFC 7692) without context takeover in either direction, so that one pair of
 * zlib streams serves the whole process and a socket holds none. */
#pragma once
#include "base/strbuf.h"

/* Reads Sec-WebSocket-Extensions. True when one of the offers can be met as it is: `out` then gets
 * the value to answer with. Offers that are malformed, unknown, or ask for a smaller window of ours
 * are declined. */
bool websocket_deflate_negotiate(struct str offers, struct strbuf *out);

/* Both results are views that the next call of the same function overwrites. */

/* 0, or a close code: not deflate data, or larger than max_bytes when inflated. */
unsigned websocket_inflate(struct str in, size_t max_bytes, struct str *ret);
/* False when deflating does not pay: send the parts as they are. */
bool websocket_deflate(const struct str *parts, size_t n_parts, struct str *ret);
