/* What a server asks of us: elicitation, and sampling and roots where they are declared. */
#include "base/log.h"
#include "base/mem.h"
#include "mcp/client_internal.h"

enum { MAX_ANSWER_BYTES = 1024 * 1024 };

struct server_request *server_request_new(const struct rpc_message *m) {
    struct server_request *r = mem_alloc(sizeof *r);
    r->id = arena_str(&r->arena, m->id);
    r->method = arena_str(&r->arena, m->method);
    r->params = arena_str(&r->arena, m->params.p ? m->params : STR("{}"));
    return r;
}

void server_request_free(struct server_request *r) {
    arena_done(&r->arena);
    mem_free(r);
}

void server_request_capabilities(const struct mcp_requests *requests, struct strbuf *out) {
    struct jsonw w = jsonw_begin(out);
    jsonw_object(&w);
    if (requests->handle && (requests->elicitation_form || requests->elicitation_url)) {
        jsonw_key(&w, "elicitation");
        jsonw_object(&w);
        if (requests->elicitation_form) {
            jsonw_kraw(&w, "form", STR("{}"));
        }
        if (requests->elicitation_url) {
            jsonw_kraw(&w, "url", STR("{}"));
        }
        jsonw_end_object(&w);
    }
    if (requests->handle && requests->sampling) {
        jsonw_kraw(&w, "sampling", STR("{}"));
    }
    if (requests->handle && requests->roots) {
        jsonw_kraw(&w, "roots", STR("{}"));
    }
    jsonw_end_object(&w);
}

static bool is_elicitation(struct str method) {
    return str_eq(method, STR("elicitation/create"));
}

static bool is_declared(const struct mcp_requests *r, struct str method, const json_t *params) {
    if (!r->handle) {
        return false;
    }
    if (is_elicitation(method)) {
        return str_eq(json_str(params, "mode"), STR("url")) ? r->elicitation_url
                                                            : r->elicitation_form;
    }
    return (r->sampling && str_eq(method, STR("sampling/createMessage"))) ||
           (r->roots && str_eq(method, STR("roots/list")));
}

/* ---- elicitation: a form that was accepted has its schema's defaults where the user gave nothing
 * ---- */

static void fill_defaults(const json_t *params, json_t *answer) {
    const json_t *properties =
        json_object_get(json_object_get(params, "requestedSchema"), "properties");
    if (!str_eq(json_str(answer, "action"), STR("accept")) || !properties) {
        return;
    }
    json_t *content = json_object_get(answer, "content");
    if (!json_is_object(content)) {
        content = json_object();
        json_object_set_new(answer, "content", content);
    }
    const char *key;
    json_t *schema;
    json_object_foreach ((json_t *)properties, key, schema) {
        json_t *value = json_object_get(schema, "default");
        if (value && !json_object_get(content, key)) {
            json_object_set(content, key, value);
        }
    }
}

static int complete_form(const json_t *params, struct strbuf *result, struct err *err) {
    json_auto_t *answer = NULL;
    if (json_read(strbuf_str(result), &answer, err) < 0) {
        return err_prefix(err, "an answer of ours");
    }
    fill_defaults(params, answer);
    strbuf_reset(result);
    json_write_tree(result, answer);
    return strbuf_check(result, "the answer", err);
}

int server_request_ask(const struct mcp_requests *requests, struct str method, struct str params,
                       struct strbuf *result, struct err *err) {
    json_auto_t *tree = NULL;
    if (json_read(params, &tree, err) < 0) {
        return -(int)err->code;
    }
    if (!is_declared(requests, method, tree)) {
        return err_set(err, ERR_NOT_FOUND, "%.*s is not supported", STR_ARG(str_head(method, 64)));
    }
    if (requests->handle(requests->arg, method, tree, result, err) < 0) {
        return -(int)err->code;
    }
    return is_elicitation(method) ? complete_form(tree, result, err)
                                  : strbuf_check(result, "the answer", err);
}

static int64_t error_code(const struct server_request *r, const struct err *err) {
    switch (err->code) {
    case ERR_NOT_FOUND: /* of an elicitation only the mode can be unknown */
        return is_elicitation(r->method) ? RPC_INVALID_PARAMS : RPC_METHOD_NOT_FOUND;
    case ERR_INVALID:
        return RPC_INVALID_PARAMS;
    default:
        return RPC_INTERNAL_ERROR;
    }
}

void server_request_answer(struct mcp_client *c, const struct mcp_requests *requests,
                           const struct server_request *r) {
    struct strbuf result cleanup(strbuf_done) = STRBUF(MAX_ANSWER_BYTES);
    struct strbuf message cleanup(strbuf_done) = STRBUF(MAX_ANSWER_BYTES + 1024);
    struct err err;
    if (server_request_ask(requests, r->method, r->params, &result, &err) == 0) {
        rpc_write_result(&message, r->id, strbuf_str(&result));
    } else {
        bool can_elicit = requests->elicitation_form || requests->elicitation_url;
        int64_t code = is_elicitation(r->method) && !(requests->handle && can_elicit)
                           ? RPC_METHOD_NOT_FOUND
                           : error_code(r, &err);
        rpc_write_error(&message, r->id, code, str_z(err.msg), STR_EMPTY);
    }
    client_post_later(c, strbuf_str(&message));
}
