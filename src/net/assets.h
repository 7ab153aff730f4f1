/* Files that are part of the program, served from memory in the best encoding the client takes,
 * with validators (RFC 9110, sections 8.8.3, 12.5.3 and 13). The table is made at build time. */
#pragma once
#include "net/http_server.h"

struct asset {
    const char *path; /* "/static/app-3f9a.js" */
    const char *content_type;
    const char *etag;        /* of the content, without quotes; each encoding adds its own suffix */
    struct str identity;     /* always there */
    struct str gzip, brotli; /* n == 0: not there */
    bool immutable;          /* the name changes with the content: may be cached for ever */
};

struct assets {
    const struct asset *items;
    size_t n;
    const struct http_field *fields; /* sent with every asset; at most 8 */
    size_t n_fields;
};

/* NULL when there is none. */
const struct asset *assets_find(const struct assets *assets, struct str path);
/* Answers GET and HEAD with the asset, 304 when the client has it, 405 for other methods. */
may_yield void asset_respond(const struct assets *assets, const struct asset *asset,
                             struct http_request *r);
