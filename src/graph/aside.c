#include "graph/aside.h"

enum { MAX_ANSWER_BYTES = 8 * 1024 * 1024 };

void aside_begin(struct aside *a, const struct turn *t) {
    *a = (struct aside){.engine = t->engine, .allow_operator_llm = t->allow_operator_llm};
    a->user_id = arena_str(&a->arena, t->user_id);
    a->thread_id = arena_str(&a->arena, t->thread_id);
    a->turn_id = arena_str(&a->arena, t->turn_id);
    a->model = arena_str(&a->arena, t->model);
}

void aside_done(struct aside *a) {
    arena_done(&a->arena);
}

static int ignore_delta(const struct llm_delta *delta, void *arg, struct err *err) {
    (void)delta, (void)arg, (void)err;
    return 0;
}

static int choose_model(struct aside *a, struct str model, struct endpoints *ret, struct err *err) {
    struct endpoints_request q = engine_endpoints(a->engine, a->user_id, a->allow_operator_llm);
    q.model = model.n ? model : a->model;
    int rc = endpoints_resolve(&q, ret, err);
    if (rc == -ERR_FORBIDDEN && model.n) {
        q.model = a->model;
        rc = endpoints_resolve(&q, ret, err);
    }
    return rc;
}

static struct str text_of(struct aside *a, struct str message) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(MAX_ANSWER_BYTES);
    struct err err;
    if (event_message_text(&text, message, &err) < 0) {
        return STR_EMPTY;
    }
    return arena_str(&a->arena, str_trim(strbuf_str(&text)));
}

int aside_ask(struct aside *a, const struct aside_question *q, struct aside_answer *ret,
              struct err *err) {
    const struct profile *p = a->engine->options.profile;
    struct endpoints endpoints cleanup(endpoints_done) = {0};
    struct strbuf message cleanup(strbuf_done) = STRBUF(2 * q->text.n + 1024);
    struct llm_result r = {0};
    if (choose_model(a, q->model, &endpoints, err) < 0) {
        return -(int)err->code;
    }
    struct jsonw w = jsonw_begin(&message);
    jsonw_object(&w);
    jsonw_kstrz(&w, "role", "user");
    jsonw_kstr(&w, "content", q->text);
    jsonw_end_object(&w);
    struct llm_message prompt = {.json = strbuf_str(&message), .plain = true};
    struct llm_request request = {.system_stable = q->instruction,
                                  .messages = &prompt,
                                  .n_messages = 1,
                                  .max_output_tokens = q->max_output_tokens,
                                  .temperature = -1};
    struct llm_limits limits = {.idle_timeout_ms = p->llm_idle_timeout_ms,
                                .total_timeout_ms = q->total_timeout_ms,
                                .max_attempts = q->max_attempts};
    struct llm_sink sink = {.on_delta = ignore_delta};
    if (llm_run(endpoints.list, endpoints.n, &request, &limits, &sink, &a->arena, &r, err) < 0) {
        return -(int)err->code;
    }
    ret->text = text_of(a, r.message);
    ret->usage = turn_usage_of(&endpoints.list[r.endpoint_index], &r, &a->arena);
    return 0;
}
