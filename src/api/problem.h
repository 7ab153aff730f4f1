/* Errors as HTTP knows them: the one place that maps error codes to statuses, and the two shapes of
 * error bodies. What a peer is told of 5xx names no internals. */
#pragma once
#include <stdbool.h>

#include "base/strbuf.h"

struct problem {
    int status;
    const char *code, *title;
    unsigned retry_after_s; /* 0: no Retry-After */
    bool of_turn;           /* a turn failed, and its message is for people as it is */
};

const struct problem *problem_of(enum err_code code);
/* For the server's own refusals, and for turns that failed: never NULL. */
const struct problem *problem_of_status(int status);
/* A turn failed, by the words of err_name() as they stand in RUN_ERROR. */
const struct problem *problem_of_turn(struct str code);

extern const struct problem problem_method_not_allowed, problem_unsupported_media_type,
    problem_body_timeout, problem_upgrade_required, problem_model_not_found;
/* A server that the user asked us to talk to failed; the message is for people as it is. */
extern const struct problem problem_upstream;

/* The text for the peer: err's own below 500 and of turns, a general one else. */
struct str problem_detail(const struct problem *p, const struct err *err);

/* RFC 9457. request_id may be NULL. */
void problem_write(struct strbuf *out, const struct problem *p, struct str detail,
                   const char *request_id);
/* {"error":{message,type,param,code}} */
void problem_write_openai(struct strbuf *out, const struct problem *p, struct str detail);
