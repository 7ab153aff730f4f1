/* What can be called. */
#include "api/handlers.h"

static void write_model(struct jsonw *w, const struct profile_llm *m, bool is_default) {
    char id[300];
    snprintf(id, sizeof id, "%.*s:%.*s", STR_ARG(m->provider), STR_ARG(m->model));
    jsonw_object(w);
    jsonw_kstrz(w, "id", id);
    jsonw_kstr(w, "provider", m->provider);
    jsonw_kstr(w, "model", m->model);
    jsonw_kbool(w, "default", is_default);
    jsonw_end_object(w);
}

int handle_models(struct call *c, struct err *err) {
    const struct profile *p = c->gateway->profile;
    struct strbuf out cleanup(strbuf_done) = STRBUF(64 * 1024);
    struct jsonw w = jsonw_begin(&out);
    jsonw_object(&w);
    jsonw_key(&w, "models");
    jsonw_array(&w);
    write_model(&w, &p->llm, true);
    for (size_t i = 0; i < p->n_fallbacks; i++) {
        write_model(&w, &p->fallbacks[i], false);
    }
    jsonw_end_array(&w);
    jsonw_kbool(&w, "configured", p->llm_configured);
    jsonw_end_object(&w);
    return call_respond(c, 200, &out, err);
}
