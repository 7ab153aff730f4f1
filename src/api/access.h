/* Who asks, and whether a browser's page may ask in their name. */
#pragma once
#include "api/call.h"
#include "api/route.h"

enum { ACCESS_MAX_KEY_BYTES = 512 };
#define ACCESS_COOKIE "adjutant_session"

/* The raw key of the request (X-API-Key, Bearer, api_key parameter) and the session cookie's token;
 * empty views when there are none. They live as long as the call. */
void access_credentials(struct call *c, struct str *ret_key, struct str *ret_cookie);
/* Fills in c->principal. ERR_UNAUTHORIZED, ERR_FORBIDDEN (role, foreign page), ERR_BUSY. */
may_yield int access_check(struct call *c, enum access access, struct err *err) must_check;
/* The request does not come from somebody else's page: Sec-Fetch-Site, else Origin. `required`: one
 * of the two must be there, as browsers send them. */
int access_check_origin(const struct call *c, bool required, struct err *err) must_check;

/* The address of the peer, or of whom a proxy on this machine speaks for. */
struct str access_peer(const struct http_request *r);
bool access_host_is_loopback(struct str host);
