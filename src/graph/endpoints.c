#include "graph/endpoints.h"

#include "base/json.h"
#include "graph/llm_key.h"

#define NO_KEY "No LLM key configured. Provide your own key or request operator access."

/* ---- providers ---- */

/* Whose keys users may bring, in the order in which they are looked for. */
static const struct {
    const struct llm_provider *provider;
    const char *service;
} brought[ENDPOINTS_MAX_USER_KEYS] = {
    {&llm_anthropic, "llm_anthropic"},
    {&llm_openai, "llm_openai"},
    {&llm_ollama, "llm_ollama"},
};

const struct llm_provider *endpoints_provider_of_service(struct str service) {
    for (size_t i = 0; i < ARRAY_LEN(brought); i++) {
        if (str_eq(service, str_z(brought[i].service))) {
            return brought[i].provider;
        }
    }
    return NULL;
}

static struct str or_default(struct str value, const char *fallback) {
    return value.n ? value : str_z(fallback);
}

struct str endpoints_base_url(const struct profile *profile, const struct llm_provider *p) {
    struct str url = p == &llm_anthropic ? profile->anthropic_base_url
                     : p == &llm_openai  ? profile->openai_base_url
                                         : profile->ollama_base_url;
    return or_default(url, llm_provider_default_url(p));
}

static const struct secret *operator_key(const struct profile *profile,
                                         const struct llm_provider *p) {
    return p == &llm_anthropic ? profile->anthropic_key
           : p == &llm_openai  ? profile->openai_key
                               : NULL;
}

/* ---- what the user has ---- */

struct own_key {
    bool looked, found;
    const struct secret *key; /* NULL: a server of the user's own that wants none */
    struct str preferred_model, base_url;
};

struct resolution {
    const struct endpoints_request *q;
    struct endpoints *ret;
    struct own_key own[ENDPOINTS_MAX_USER_KEYS];
};

static int read_own(struct resolution *r, size_t i, const struct secret *value, struct err *err) {
    json_auto_t *tree = NULL;
    struct err why;
    bool read = json_read(secret_reveal(value), &tree, &why) == 0;
    struct str key = json_str(tree, "api_key");
    if (!read || !llm_key_is_enough(brought[i].provider, key, json_str(tree, "base_url"))) {
        return err_set(err, ERR_FORBIDDEN, "your stored key for %s has no \"%s\"; store it again",
                       llm_provider_label(brought[i].provider),
                       brought[i].provider == &llm_ollama ? "base_url" : "api_key");
    }
    struct arena *arena = &r->ret->arena;
    r->own[i].found = true;
    r->ret->user_keys[i] = key.n ? secret_new(key) : NULL;
    r->own[i].key = r->ret->user_keys[i];
    r->own[i].preferred_model = arena_str(arena, json_str(tree, "preferred_model"));
    r->own[i].base_url = arena_str(arena, json_str(tree, "base_url"));
    return 0;
}

static int look(struct resolution *r, size_t i, struct err *err) {
    struct secret *value cleanup(secret_free_p) = NULL;
    if (r->own[i].looked || !r->q->vault) {
        return 0;
    }
    int rc = vault_find(r->q->vault, r->q->user_id, str_z(brought[i].service), &value, err);
    if (rc < 0 && rc != -ERR_NOT_FOUND) {
        return rc;
    }
    r->own[i].looked = true;
    return value ? read_own(r, i, value, err) : 0;
}

/* *ret is NULL when the user has no key for the provider. */
static int own_key(struct resolution *r, const struct llm_provider *p, const struct own_key **ret,
                   struct err *err) {
    *ret = NULL;
    for (size_t i = 0; i < ARRAY_LEN(brought); i++) {
        if (brought[i].provider == p) {
            if (look(r, i, err) < 0) {
                return -(int)err->code;
            }
            *ret = r->own[i].found ? &r->own[i] : NULL;
        }
    }
    return 0;
}

/* ---- one endpoint ---- */

/* With the user's key, else with the operator's where the caller may use it. *ret_found is false
 * when neither is there. `model` empty: what the user prefers, else the default. */
static int add(struct resolution *r, const struct llm_provider *p, struct str model,
               struct str default_model, bool operator_pays, bool *ret_found, struct err *err) {
    const struct profile *profile = r->q->profile;
    const struct own_key *own;
    if (own_key(r, p, &own, err) < 0) {
        return -(int)err->code;
    }
    struct llm_endpoint e = {.provider = p, .base_url = endpoints_base_url(profile, p)};
    if (own) {
        e.key = own->key;
        e.user_key = true;
        e.base_url = own->base_url.n ? own->base_url : e.base_url;
        model = model.n ? model : own->preferred_model;
    } else {
        e.key = operator_key(profile, p);
    }
    bool may = own || (operator_pays && (e.key || !llm_provider_needs_key(p, e.base_url)));
    model = model.n ? model : default_model;
    e.model = arena_str(&r->ret->arena, or_default(model, llm_provider_default_model(p)));
    if (may) {
        r->ret->list[r->ret->n++] = e;
    }
    *ret_found = may;
    return 0;
}

/* "provider:model", else a model of the session's provider. Models of Ollama have colons of their
 * own. */
static const struct llm_provider *named_provider(struct str *model) {
    struct str rest = *model;
    const struct llm_provider *p = llm_provider_find(str_cut(&rest, ':'));
    if (!p || rest.n == 0) {
        return NULL;
    }
    *model = rest;
    return p;
}

static int no_key(struct err *err) {
    return err_set(err, ERR_FORBIDDEN, NO_KEY);
}

static int add_chosen(struct resolution *r, struct err *err) {
    const struct profile *profile = r->q->profile;
    bool allowed = r->q->allow_operator_llm, found = false;
    struct str model = r->q->model;
    const struct llm_provider *named = named_provider(&model);
    const struct llm_provider *p = named ? named : llm_provider_find(profile->llm.provider);
    /* LLM_MODEL is of LLM_PROVIDER. */
    struct str usual = named ? STR_EMPTY : profile->llm.model;
    if (p && add(r, p, model, usual, allowed, &found, err) < 0) {
        return -(int)err->code;
    }
    for (size_t i = 0; !found && !named && i < ARRAY_LEN(brought); i++) {
        if (brought[i].provider != p &&
            add(r, brought[i].provider, model, STR_EMPTY, false, &found, err) < 0) {
            return -(int)err->code;
        }
    }
    return found ? 0 : no_key(err);
}

/* A caller whose own key fails is not helped with the operator's. */
static int add_fallbacks(struct resolution *r, struct err *err) {
    const struct profile *profile = r->q->profile;
    bool operator_pays = r->q->allow_operator_llm && !r->ret->list[0].user_key, found;
    for (size_t i = 0; i < profile->n_fallbacks; i++) {
        const struct profile_llm *f = &profile->fallbacks[i];
        const struct llm_provider *p = llm_provider_find(f->provider);
        if (p && add(r, p, f->model, STR_EMPTY, operator_pays, &found, err) < 0) {
            return -(int)err->code;
        }
    }
    return 0;
}

static int resolve(struct resolution *r, struct err *err) {
    return add_chosen(r, err) < 0 || add_fallbacks(r, err) < 0 ? -(int)err->code : 0;
}

static bool is_listed(const struct endpoints *e, const struct llm_provider *p) {
    for (size_t i = 0; i < e->n; i++) {
        if (e->list[i].provider == p) {
            return true;
        }
    }
    return false;
}

static int has_own(struct resolution *r, const struct llm_provider *p, bool *ret, struct err *err) {
    const struct own_key *own;
    if (own_key(r, p, &own, err) < 0) {
        return -(int)err->code;
    }
    *ret = own != NULL;
    return 0;
}

/* An Ollama that nobody has set up is none. */
static int add_others(struct resolution *r, struct err *err) {
    static const struct llm_provider *const all[ENDPOINTS_PROVIDERS] = {&llm_anthropic, &llm_openai,
                                                                        &llm_ollama};
    bool allowed = r->q->allow_operator_llm, found;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        bool there = true;
        if (all[i] == &llm_ollama && r->q->profile->ollama_base_url.n == 0 &&
            has_own(r, all[i], &there, err) < 0) {
            return -(int)err->code;
        }
        if (there && !is_listed(r->ret, all[i]) &&
            add(r, all[i], STR_EMPTY, STR_EMPTY, allowed, &found, err) < 0) {
            return -(int)err->code;
        }
    }
    return 0;
}

int endpoints_offer(const struct endpoints_request *q, struct endpoints *ret, bool *ret_default,
                    struct err *err) {
    struct endpoints e = {0};
    struct resolution r = {.q = q, .ret = &e};
    int rc = resolve(&r, err);
    bool has_default = rc == 0;
    if ((rc < 0 && rc != -ERR_FORBIDDEN) || add_others(&r, err) < 0) {
        endpoints_done(&e);
        return -(int)err->code;
    }
    *ret = e;
    *ret_default = has_default;
    return 0;
}

int endpoints_resolve(const struct endpoints_request *q, struct endpoints *ret, struct err *err) {
    struct endpoints e = {0};
    struct resolution r = {.q = q, .ret = &e};
    if (resolve(&r, err) < 0) {
        endpoints_done(&e);
        return -(int)err->code;
    }
    *ret = e;
    return 0;
}

void endpoints_done(struct endpoints *e) {
    for (size_t i = 0; i < ARRAY_LEN(e->user_keys); i++) {
        secret_free(e->user_keys[i]);
    }
    arena_done(&e->arena);
    *e = (struct endpoints){0};
}
