/* Principals by the hash of what they showed, for PRINCIPAL_CACHE_SECONDS: so long a key revoked
 * elsewhere may still work. Bounded. */
#pragma once
#include "auth/auth.h"

enum { PRINCIPAL_CACHE_SECONDS = 10, PRINCIPAL_CACHE_MAX = 1024 };

struct principal_cache;

struct principal_cache *principal_cache_new(void);
void principal_cache_free(struct principal_cache *c);
/* epoch: the number that was put with it (auth/user_epoch.h). */
bool principal_cache_get(struct principal_cache *c, struct str hash, struct arena *arena,
                         struct principal *ret, uint64_t *ret_epoch);
void principal_cache_put(struct principal_cache *c, struct str hash, const struct principal *p,
                         uint64_t epoch);
void principal_cache_forget(struct principal_cache *c, struct str hash);
/* All that came in with the key: it and its sessions. */
void principal_cache_forget_key(struct principal_cache *c, struct str key_hash);
