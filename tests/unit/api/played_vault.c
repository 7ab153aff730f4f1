/* Users' credentials and model keys: as in played_admin.c, the flow tests look at these. */
#include "graph/llm_key.h"
#include "played.h"

#define NOT_PLAYED err_set(err, ERR_INTERNAL, "%s is not played", __func__)

int vault_list(struct vault *v, struct str user_id, struct arena *arena, struct vault_entry **ret,
               size_t *ret_n, struct err *err) {
    (void)v, (void)user_id, (void)arena, (void)ret, (void)ret_n;
    return NOT_PLAYED;
}

int vault_put(struct vault *v, struct str user_id, const struct vault_entry *entry,
              struct str value, struct err *err) {
    (void)v, (void)user_id, (void)entry, (void)value;
    return NOT_PLAYED;
}

int vault_delete(struct vault *v, struct str user_id, struct str service, struct str actor,
                 struct err *err) {
    (void)v, (void)user_id, (void)service, (void)actor;
    return NOT_PLAYED;
}

int llm_key_check_shape(struct str service, const json_t *value, bool any_url, struct err *err) {
    (void)service, (void)value, (void)any_url;
    return NOT_PLAYED;
}

int llm_key_try(const struct profile *profile, struct str service, const json_t *value,
                struct llm_key_trial *ret, struct err *err) {
    (void)profile, (void)service, (void)value, (void)ret;
    return NOT_PLAYED;
}

int endpoints_offer(const struct endpoints_request *q, struct endpoints *ret, bool *ret_default,
                    struct err *err) {
    (void)q, (void)ret, (void)ret_default;
    return NOT_PLAYED;
}

int endpoints_resolve(const struct endpoints_request *q, struct endpoints *ret, struct err *err) {
    (void)q, (void)ret;
    return err_set(err, ERR_FORBIDDEN, "nobody has a key");
}

void endpoints_done(struct endpoints *e) {
    arena_done(&e->arena);
}

const char *llm_provider_name(const struct llm_provider *p) {
    (void)p;
    return "played";
}

int user_profiles_find(struct user_profiles *p, struct str user_id, struct arena *arena,
                       struct user_profile *ret, struct err *err) {
    (void)p, (void)user_id, (void)arena, (void)err;
    *ret = (struct user_profile){0};
    return 0;
}

int user_profiles_put(struct user_profiles *p, struct str user_id, struct user_profile *profile,
                      struct err *err) {
    (void)p, (void)user_id, (void)profile;
    return NOT_PLAYED;
}

bool llm_key_is_enough(const struct llm_provider *p, struct str api_key, struct str base_url) {
    (void)p;
    return api_key.n > 0 || base_url.n > 0;
}

int llm_key_check_address(const json_t *object, const char *prefix, bool any_url, struct err *err) {
    (void)object, (void)prefix, (void)any_url;
    return NOT_PLAYED;
}

int llm_list_models(const struct llm_endpoint *endpoint, struct arena *arena,
                    struct llm_listed **ret, size_t *ret_n, struct err *err) {
    (void)endpoint, (void)arena, (void)ret, (void)ret_n;
    return NOT_PLAYED;
}

const struct llm_provider *llm_provider_find(struct str name) {
    (void)name;
    return NULL;
}

const char *llm_provider_default_model(const struct llm_provider *p) {
    (void)p;
    return "played";
}

struct str endpoints_base_url(const struct profile *profile, const struct llm_provider *p) {
    (void)profile, (void)p;
    return STR_EMPTY;
}
