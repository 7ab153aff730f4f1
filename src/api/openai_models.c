#include "api/handlers.h"
#include "api/openai.h"

static void write_model(struct jsonw *w, struct str id) {
    jsonw_object(w);
    jsonw_kstr(w, "id", id);
    jsonw_kstrz(w, "object", "model");
    jsonw_kint(w, "created", 0);
    jsonw_kstrz(w, "owned_by", "adjutant");
    jsonw_end_object(w);
}

int handle_openai_models(struct call *c, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(4096);
    struct jsonw w = jsonw_begin(&out);
    jsonw_object(&w);
    jsonw_kstrz(&w, "object", "list");
    jsonw_key(&w, "data");
    jsonw_array(&w);
    write_model(&w, STR("adjutant"));
    jsonw_end_array(&w);
    jsonw_end_object(&w);
    return call_respond(c, 200, &out, err);
}

int handle_openai_model(struct call *c, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(4096);
    struct jsonw w = jsonw_begin(&out);
    if (!openai_agent(c->params[0])) {
        return call_fail(c, &problem_model_not_found, err,
                         "the model '%.*s' does not exist; it is called adjutant",
                         STR_ARG(str_utf8_head(c->params[0], 60)));
    }
    write_model(&w, c->params[0]);
    return call_respond(c, 200, &out, err);
}
