/* What http_client.c (the engine: sockets, timer, pooled handles), http_client_call.c (one request
 * and its reply) and http_client_error.c (what went wrong, for people) know of each other. */
#pragma once
#include <curl/curl.h>

#include "net/http_client.h"

/* One run of an easy handle in the multi handle. */
struct http_transfer {
    CURL *easy;
    bool running;
    CURLcode result;           /* once it does not run any more */
    struct fiber_cond changed; /* bytes came, or it ended */
};

/* An easy handle, new or used before, on which everything that is the same for all requests is
 * set. The taker sets all that differs. */
CURL *http_engine_take(void);
void http_engine_give(CURL *easy);

/* Starts t->easy. It may have ended already when this returns. ERR_BUSY: too many at once. */
int http_engine_begin(struct http_transfer *t, struct err *err) must_check;
/* Lets it go on after its write callback paused it. */
void http_engine_resume(struct http_transfer *t);
/* Drops the connection of a transfer that still runs. */
void http_engine_end(struct http_transfer *t);

enum { HTTP_HOST_TEXT = 128 };
/* "api.example.com:443", for messages. */
void http_host_text(const char *url, char ret[HTTP_HOST_TEXT]);
/* The error of a transfer that ended with t->result != CURLE_OK. */
int http_transfer_error(const struct http_transfer *t, const char *detail, struct err *err);
