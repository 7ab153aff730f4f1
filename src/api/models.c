/* What the caller may ask, and whose key pays for it. */
#include "api/handlers.h"
#include "graph/endpoints.h"

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
