/* Which models a turn may ask, and with whose key. */
#include "graph/internal.h"

static struct str or_default(struct str value, const char *fallback) {
    return value.n ? value : str_z(fallback);
}

static bool fill(const struct profile *profile, struct str provider, struct str model,
                 struct llm_endpoint *ret) {
    const struct llm_provider *p = llm_provider_find(provider);
    if (!p) {
        return false;
    }
    struct str url = STR_EMPTY;
    const struct secret *key = NULL;
    if (p == &llm_anthropic) {
        url = profile->anthropic_base_url;
        key = profile->anthropic_key;
    } else if (p == &llm_openai) {
        url = profile->openai_base_url;
        key = profile->openai_key;
    } else {
        url = profile->ollama_base_url;
    }
    *ret = (struct llm_endpoint){.provider = p,
                                 .base_url = or_default(url, llm_provider_default_url(p)),
                                 .model = or_default(model, llm_provider_default_model(p)),
                                 .key = key};
    return true;
}

static bool usable(const struct llm_endpoint *e) {
    return e->key || !llm_provider_needs_key(e->provider, e->base_url);
}

/* "provider:model", else a model of the profile's provider. Models of Ollama have colons of their
 * own. */
static int chosen(const struct profile *profile, struct str model, struct llm_endpoint *ret,
                  struct err *err) {
    struct str rest = model;
    struct str word = str_cut(&rest, ':');
    if (rest.n && llm_provider_find(word)) {
        fill(profile, word, rest, ret);
        return 0;
    }
    if (!fill(profile, profile->llm.provider, model.n ? model : profile->llm.model, ret)) {
        return err_set(err, ERR_FORBIDDEN,
                       "No LLM key configured. Provide your own key or request operator access.");
    }
    return 0;
}

int endpoints_resolve(const struct profile *profile, struct str model, bool allow_operator_llm,
                      struct llm_endpoint *ret, size_t *ret_n, struct err *err) {
    size_t n = 0;
    if (!allow_operator_llm) {
        return err_set(err, ERR_FORBIDDEN,
                       "No LLM key configured. Provide your own key or request operator access.");
    }
    if (chosen(profile, model, &ret[n], err) < 0) {
        return -(int)err->code;
    }
    if (!usable(&ret[n])) {
        return err_set(err, ERR_FORBIDDEN,
                       "No LLM key configured. Provide your own key or request operator access.");
    }
    n++;
    for (size_t i = 0; i < profile->n_fallbacks; i++) {
        const struct profile_llm *f = &profile->fallbacks[i];
        if (fill(profile, f->provider, f->model, &ret[n]) && usable(&ret[n])) {
            n++;
        }
    }
    *ret_n = n;
    return 0;
}
