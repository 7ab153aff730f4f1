/* Which models an instance may ask, with whose key, in order. */
#pragma once
#include "llm/llm.h"
#include "profile/profile.h"

enum { TURN_MAX_ENDPOINTS = 1 + PROFILE_MAX_FALLBACKS };

/* Whom to ask, in order: the chosen model, then the fallbacks. ERR_FORBIDDEN when the caller may
 * not use the operator's key, ERR_INVALID for an unknown provider. */
int endpoints_resolve(const struct profile *profile, struct str model, bool allow_operator_llm,
                      struct llm_endpoint *ret, size_t *ret_n, struct err *err) must_check;
