/* What the files of oauth.h share. */
#pragma once
#include "mcp/oauth.h"

/* Views into a URL that oauth_uri_parse took. */
struct oauth_uri {
    struct str scheme, authority, host, port, path, query; /* query: without its '?' */
};
/* http or https, with a host; no user, no fragment, nothing but printable ASCII. */
bool oauth_uri_parse(struct str url, struct oauth_uri *ret);
bool oauth_uri_same_origin(const struct oauth_uri *a, const struct oauth_uri *b);
struct str oauth_uri_origin(const struct oauth_uri *u, struct arena *arena);

/* "name=value" of application/x-www-form-urlencoded, with '&' before it unless it is the first. */
void oauth_form_add(struct strbuf *out, const char *name, struct str value);
void oauth_form_encode(struct strbuf *out, struct str value);

/* GET or POST (with a body) of a document; *ret_body must be empty. A status is no error here. */
may_yield int oauth_fetch(struct str url, const char *content_type, struct str body,
                          const struct secret *authorization, int *ret_status,
                          struct strbuf *ret_body, struct err *err) must_check;

/* RFC 7523: a signed assertion of who the client is; key: PEM, P-256. */
int oauth_jwt_sign(struct str key_pem, struct str client_id, struct str audience,
                   struct strbuf *ret, struct err *err) must_check;
