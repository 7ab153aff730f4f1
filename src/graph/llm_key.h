/* Users' own model keys when they are stored: their shape, and whether the provider takes them. */
#pragma once
#include "base/json.h"
#include "graph/endpoints.h"

enum { LLM_KEY_MAX_BYTES = 1024, LLM_KEY_CHECK_MS = 12 * 1000 };

/* What tells a provider apart from the operator's: a key, or a server of the user's own, which may
 * want none; of Ollama the server. */
bool llm_key_is_enough(const struct llm_provider *p, struct str api_key, struct str base_url);
/* api_key and base_url of the object, both optional. base_url: https with a public name, or where
 * any_url (for admins) http too, to anywhere. ERR_INVALID: "<prefix><member>: ...". */
int llm_key_check_address(const json_t *object, const char *prefix, bool any_url, struct err *err)
    must_check;
/* {"api_key"?, "preferred_model"?, "base_url"?} and nothing else; api_key is needed where base_url
 * is not given, of Ollama base_url. As above; ERR_INVALID names the member. Services that hold no
 * model keys pass. */
int llm_key_check_shape(struct str service, const json_t *value, bool any_url, struct err *err)
    must_check;

struct llm_key_trial {
    bool verified;
    char reason[252]; /* why not: the provider could not be asked, or could not say */
};
/* Asks the provider one cheap question (Ollama, which would load the model first, for its list),
 * for LLM_KEY_CHECK_MS at most. ERR_INVALID, with the
 * provider's reason: the key is refused (401, 402, 403), or does not have the preferred model. A
 * provider that cannot be reached, is busy, or fails otherwise says nothing about the key:
 * ret->verified is then false. ERR_CANCELLED. */
may_yield int llm_key_try(const struct profile *profile, struct str service, const json_t *value,
                          struct llm_key_trial *ret, struct err *err) must_check;
