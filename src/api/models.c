/* What the caller may ask, and whose key pays for it; what a provider has to choose from. */
#include "api/handlers.h"
#include "graph/llm_key.h"

static void write_model(struct jsonw *w, const struct llm_endpoint *e, bool is_default) {
    struct strbuf id cleanup(strbuf_done) = STRBUF(1024);
    const char *provider = llm_provider_name(e->provider);
    strbuf_addf(&id, "%s:%.*s", provider, STR_ARG(e->model));
    jsonw_object(w);
    jsonw_kstr(w, "id", strbuf_str(&id));
    jsonw_kstrz(w, "provider", provider);
    jsonw_kstr(w, "model", e->model);
    jsonw_kbool(w, "default", is_default);
    jsonw_kstrz(w, "key_owner", e->user_key ? "user" : "operator");
    jsonw_end_object(w);
}

int handle_models(struct call *c, struct err *err) {
    const struct endpoints_request q = {.profile = c->gateway->profile,
                                        .vault = c->gateway->vault,
                                        .user_id = c->principal.user_id,
                                        .model = STR_EMPTY,
                                        .allow_operator_llm = c->principal.allow_operator_llm};
    struct endpoints endpoints cleanup(endpoints_done) = {0};
    struct strbuf out cleanup(strbuf_done) = STRBUF(64 * 1024);
    struct jsonw w = jsonw_begin(&out);
    bool has_default = false;
    if (endpoints_offer(&q, &endpoints, &has_default, err) < 0) {
        return -(int)err->code;
    }
    jsonw_object(&w);
    jsonw_key(&w, "models");
    jsonw_array(&w);
    for (size_t i = 0; i < endpoints.n; i++) {
        write_model(&w, &endpoints.list[i], has_default && i == 0);
    }
    jsonw_end_array(&w);
    jsonw_kbool(&w, "configured", has_default);
    jsonw_end_object(&w);
    return call_respond(c, 200, &out, err);
}

/* ---- what a provider has now ---- */

struct discovery {
    const struct llm_provider *provider;
    struct endpoints stored; /* what the caller may use without saying so */
    struct secret *key;      /* the one given */
    struct llm_endpoint endpoint;
};

static void discovery_done(struct discovery *d) {
    endpoints_done(&d->stored);
    secret_free(d->key);
}

/* Nothing that counts is given: the caller's stored key, else the operator's where they may use it.
 */
static int use_stored(struct call *c, struct discovery *d, struct err *err) {
    const struct endpoints_request q = {
        .profile = c->gateway->profile,
        .vault = c->gateway->vault,
        .user_id = c->principal.user_id,
        .model = arena_printf(&c->arena, "%s:any", llm_provider_name(d->provider)),
        .allow_operator_llm = c->principal.allow_operator_llm};
    if (endpoints_resolve(&q, &d->stored, err) < 0) {
        return -(int)err->code;
    }
    d->endpoint = d->stored.list[0];
    return 0;
}

/* A stored key never goes to an address that comes with the request. Any key would do for the
 * operator's Ollama: who may not use that needs a server of their own. */
static int choose_endpoint(struct call *c, const json_t *body, struct discovery *d,
                           struct err *err) {
    struct str key = json_str(body, "api_key"), url = json_str(body, "base_url");
    bool given = key.n > 0 || url.n > 0;
    bool enough = llm_key_is_enough(d->provider, key, url) || c->principal.allow_operator_llm;
    if (!given || !enough) {
        return use_stored(c, d, err);
    }
    d->key = key.n ? secret_new(key) : NULL;
    d->endpoint = (struct llm_endpoint){
        .provider = d->provider,
        .base_url = url.n ? url : endpoints_base_url(c->gateway->profile, d->provider),
        .model = str_z(llm_provider_default_model(d->provider)),
        .key = d->key,
        .user_key = true};
    return 0;
}

static int read_discovery(struct call *c, const json_t *body, struct discovery *d,
                          struct err *err) {
    struct str provider = STR_EMPTY;
    if (json_want_str(body, "provider", 64, &provider, err) < 0 ||
        llm_key_check_address(body, "", c->principal.role == ROLE_ADMIN, err) < 0) {
        return -(int)err->code;
    }
    d->provider = llm_provider_find(provider);
    return d->provider ? choose_endpoint(c, body, d, err)
                       : err_set(err, ERR_INVALID,
                                 "provider: must be \"anthropic\", \"openai\" or \"ollama\"");
}

/* What the other server did is told in its words: our own 401 and 404 mean something else. */
static int tell(struct call *c, struct err *err) {
    switch (err->code) {
    case ERR_UNAUTHORIZED:
    case ERR_FORBIDDEN:
        err->code = ERR_INVALID;
        return err_prefix(err, "api_key");
    case ERR_CANCELLED:
    case ERR_INVALID:
        break;
    default:
        c->problem = &problem_upstream;
    }
    return -(int)err->code;
}

int handle_models_discover(struct call *c, struct err *err) {
    json_auto_t *body = NULL;
    struct discovery d cleanup(discovery_done) = {0};
    struct strbuf out cleanup(strbuf_done) = STRBUF(1024 * 1024);
    struct llm_listed *list;
    size_t n;
    if (call_read_json(c, false, &body, err) < 0 || read_discovery(c, body, &d, err) < 0) {
        return -(int)err->code;
    }
    if (llm_list_models(&d.endpoint, &c->arena, &list, &n, err) < 0) {
        return tell(c, err);
    }
    struct jsonw w = jsonw_begin(&out);
    jsonw_object(&w);
    jsonw_key(&w, "models");
    jsonw_array(&w);
    for (size_t i = 0; i < n; i++) {
        jsonw_object(&w);
        jsonw_kstr(&w, "id", list[i].id);
        if (list[i].name.n) {
            jsonw_kstr(&w, "name", list[i].name);
        }
        jsonw_end_object(&w);
    }
    jsonw_end_array(&w);
    jsonw_end_object(&w);
    return call_respond(c, 200, &out, err);
}
