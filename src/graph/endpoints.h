/* Which models a caller may ask, with whose key, in order. The operator's key is only for callers
 * that may use it, and never a replacement for a user's own. */
#pragma once
#include "auth/vault.h"
#include "llm/llm.h"
#include "profile/profile.h"

enum {
    ENDPOINTS_MAX_USER_KEYS = 3,
    ENDPOINTS_PROVIDERS = 3,
    ENDPOINTS_MAX = 1 + PROFILE_MAX_FALLBACKS + ENDPOINTS_PROVIDERS,
};

struct endpoints_request {
    const struct profile *profile;
    struct vault *vault; /* NULL: nobody has keys of their own */
    struct str user_id;
    struct str model; /* "provider:model", or a model; empty: none named */
    bool allow_operator_llm;
};

/* Owns the user's keys and all strings that the list points to. Zero is empty. */
struct endpoints {
    struct llm_endpoint list[ENDPOINTS_MAX];
    size_t n;
    struct secret *user_keys[ENDPOINTS_MAX_USER_KEYS];
    struct arena arena;
};

/* Whom to ask, in order: the chosen model, then the fallbacks that the same caller may pay for. The
 * provider is the one that is named, else the profile's, else (when no key fits that one) one for
 * which the user has a key. A user's own key comes first; with it, the model is the one it prefers
 * when none is named, and all fallbacks are the user's, too. ERR_FORBIDDEN: no key; the user's key
 * does not decrypt. The database's errors. */
may_yield int endpoints_resolve(const struct endpoints_request *q, struct endpoints *ret,
                                struct err *err) must_check;
/* What the caller may choose from: what endpoints_resolve gives when no model is named, if
 * anything, then a model of each provider that is not among it. *ret_default tells whether the
 * first one is what is asked when nothing is named. */
may_yield int endpoints_offer(const struct endpoints_request *q, struct endpoints *ret,
                              bool *ret_default, struct err *err) must_check;
void endpoints_done(struct endpoints *e);

/* The services that hold users' keys or addresses: "llm_anthropic", "llm_openai", "llm_ollama".
 * NULL for other services. */
const struct llm_provider *endpoints_provider_of_service(struct str service);
/* Where the profile reaches a provider. */
struct str endpoints_base_url(const struct profile *profile, const struct llm_provider *p);
