/* Decoder of the chunked transfer coding (RFC 9112, section 7.1), strict about line ends. Chunk
 * extensions and trailers are read within a limit and dropped. Knows no sockets. */
#pragma once
#include "base/str.h"

enum http_chunked_state {
    CHUNKED_SIZE, /* also the initial state: zero-filled is valid */
    CHUNKED_EXTENSION,
    CHUNKED_SIZE_LF,
    CHUNKED_DATA,
    CHUNKED_DATA_CR,
    CHUNKED_DATA_LF,
    CHUNKED_TRAILER, /* first byte of a line */
    CHUNKED_TRAILER_LINE,
    CHUNKED_TRAILER_LF,
    CHUNKED_END_LF,
    CHUNKED_END,
    CHUNKED_BAD,
};

struct http_chunked {
    enum http_chunked_state state;
    unsigned digits, overhead_bytes;
    uint64_t left;
};

/* Takes bytes until there is data to hand out (*ret_data, a view into p), the end, an error, or no
 * byte left; *ret_used tells how many. The state tells CHUNKED_END and CHUNKED_BAD. */
void http_chunked_feed(struct http_chunked *c, const char *p, size_t n, size_t *ret_used,
                       struct str *ret_data);
