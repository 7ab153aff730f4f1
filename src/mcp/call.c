/* Tool calls, and other requests that are passed through. */
#include "base/log.h"
#include "base/mem.h"
#include "base/scan.h"
#include "mcp/client_internal.h"

enum {
    MAX_ROUNDS = 10,
    MAX_ANSWERS_BYTES = 1024 * 1024,
    MAX_STATE_BYTES = 1024 * 1024,
    PAUSE_MS = 500, /* before going on when the server only wants us to come again */
};

/* The members of a result that decide what happens next. */
struct outcome {
    struct str result_type, is_error, input_requests, request_state;
};

static int read_outcome(struct mcp_client *c, struct str result, struct outcome *ret,
                        struct err *err) {
    struct scan s = scan_begin(result);
    struct str key, value;
    bool first = true;
    *ret = (struct outcome){0};
    if (!scan_open(&s, '{')) {
        return client_err(c, err, ERR_PROTOCOL, "its result is no object");
    }
    while (scan_member_value(&s, &first, &key, &value)) {
        if (scan_is(key, "resultType")) {
            ret->result_type = value;
        } else if (scan_is(key, "isError")) {
            ret->is_error = value;
        } else if (scan_is(key, "inputRequests")) {
            ret->input_requests = value;
        } else if (scan_is(key, "requestState")) {
            ret->request_state = value;
        }
    }
    if (c->era == MCP_ERA_MODERN && !ret->result_type.p) {
        log_debug("mcp", "server %.*s: a result without resultType counts as complete",
                  STR_ARG(c->o.name));
    }
    return 0;
}

static int needs_input(struct mcp_client *c, const struct outcome *o, bool *ret, struct err *err) {
    *ret = false;
    if (c->era != MCP_ERA_MODERN || !o->result_type.p ||
        str_eq(o->result_type, STR("\"complete\""))) {
        return 0;
    }
    if (!str_eq(o->result_type, STR("\"input_required\""))) {
        return client_err(c, err, ERR_PROTOCOL, "its result is of a type that is not known here");
    }
    if (!o->input_requests.p && !o->request_state.p) {
        return client_err(c, err, ERR_PROTOCOL, "it wants input, but does not say which");
    }
    if (o->request_state.n > MAX_STATE_BYTES || o->input_requests.n > MAX_ANSWERS_BYTES) {
        return client_err(c, err, ERR_LIMIT, "what it wants to go on with is too large");
    }
    *ret = true;
    return 0;
}

/* ---- answering what a server wants to know (modern) ---- */

static int answer_input(struct mcp_client *c, const struct mcp_requests *requests,
                        struct str request, struct strbuf *out, struct err *err) {
    struct arena arena cleanup(arena_done) = {0};
    struct str method = STR_EMPTY, params = scan_get(request, "params");
    struct strbuf answer cleanup(strbuf_done) = STRBUF(MAX_ANSWERS_BYTES);
    struct str name = scan_get(request, "method");
    if (!name.p || !scan_text(&arena, name, &method)) {
        return client_err(c, err, ERR_PROTOCOL, "a request for input has no method");
    }
    int rc = server_request_ask(requests, method, params.p ? params : STR("{}"), &answer, err);
    if (rc == -ERR_NOT_FOUND) {
        return client_err(c, err, ERR_PROTOCOL, "it asks for %.*s, which was not offered",
                          STR_ARG(str_head(method, 64)));
    }
    strbuf_add(out, strbuf_str(&answer));
    return rc;
}

static int answer_inputs(struct mcp_client *c, const struct mcp_requests *requests,
                         struct str input_requests, struct strbuf *out, struct err *err) {
    struct scan s = scan_begin(input_requests);
    struct str key, value;
    bool first = true;
    if (!scan_open(&s, '{')) {
        return client_err(c, err, ERR_PROTOCOL, "its requests for input are no object");
    }
    strbuf_addc(out, '{');
    while (scan_member_value(&s, &first, &key, &value)) {
        strbuf_addz(out, out->n > 1 ? ",\"" : "\"");
        strbuf_add(out, key);
        strbuf_addz(out, "\":");
        if (answer_input(c, requests, value, out, err) < 0) {
            return -(int)err->code;
        }
    }
    strbuf_addc(out, '}');
    return strbuf_check(out, "the answers", err);
}

/* ---- rounds ---- */

/* A request that may go on for several rounds: its own members, and what the last round added. */
struct conversation {
    struct request_spec spec;
    struct str members;             /* of params, without braces; never empty */
    struct strbuf state, responses; /* JSON texts; empty: none */
    bool answer_inputs;
};

static void conversation_done(struct conversation *v) {
    strbuf_done(&v->state);
    strbuf_done(&v->responses);
}

static int ask_round(struct mcp_client *c, struct conversation *v, struct request_result *ret,
                     struct err *err) {
    struct strbuf params cleanup(strbuf_done) = STRBUF(CLIENT_MAX_REQUEST_BYTES);
    strbuf_addc(&params, '{');
    strbuf_add(&params, v->members);
    if (v->responses.n) {
        strbuf_addz(&params, ",\"inputResponses\":");
        strbuf_add(&params, strbuf_str(&v->responses));
    }
    if (v->state.n) {
        strbuf_addz(&params, ",\"requestState\":");
        strbuf_add(&params, strbuf_str(&v->state));
    }
    strbuf_addc(&params, '}');
    if (strbuf_check(&params, "the request", err) < 0) {
        return -(int)err->code;
    }
    v->spec.params = strbuf_str(&params);
    int rc = client_request(c, &v->spec, ret, err);
    v->spec.params = STR_EMPTY;
    return rc;
}

static int prepare_next(struct mcp_client *c, struct conversation *v, const struct outcome *o,
                        struct err *err) {
    const struct mcp_requests *requests = v->spec.requests ? v->spec.requests : &c->o.requests;
    strbuf_done(&v->responses);
    strbuf_done(&v->state);
    v->responses = STRBUF(MAX_ANSWERS_BYTES);
    v->state = STRBUF(MAX_STATE_BYTES);
    strbuf_add(&v->state, o->request_state.p ? o->request_state : STR_EMPTY);
    if (o->input_requests.p) {
        return answer_inputs(c, requests, o->input_requests, &v->responses, err);
    }
    int rc = fiber_sleep(PAUSE_MS);
    return rc < 0 ? client_err(c, err, (enum err_code) - rc, "%s was cancelled", v->spec.method)
                  : 0;
}

/* Until the result is complete, or needs input that is not answered here. */
static int converse(struct mcp_client *c, struct conversation *v, struct request_result *ret,
                    struct outcome *ret_outcome, bool *ret_needs_input, struct err *err) {
    for (int round = 0; round < MAX_ROUNDS; round++) {
        struct request_result answer cleanup(request_result_done) = {0};
        *ret_needs_input = false;
        *ret_outcome = (struct outcome){0};
        if (ask_round(c, v, &answer, err) < 0) {
            return -(int)err->code;
        }
        if (!answer.message.is_error &&
            (read_outcome(c, answer.message.result, ret_outcome, err) < 0 ||
             needs_input(c, ret_outcome, ret_needs_input, err) < 0)) {
            return -(int)err->code;
        }
        bool asks = *ret_needs_input && ret_outcome->input_requests.p;
        if (!*ret_needs_input || (asks && !v->answer_inputs)) {
            *ret = answer;
            answer = (struct request_result){0};
            return 0;
        }
        if (prepare_next(c, v, ret_outcome, err) < 0) {
            return -(int)err->code;
        }
    }
    return client_err(c, err, ERR_PROTOCOL, "it wants input for the %dth time", MAX_ROUNDS);
}

/* ---- tools/call ---- */

/* A page the user must visit first: nobody can find it from the message alone. */
static void add_urls(struct strbuf *out, struct str data) {
    struct scan s = scan_begin(scan_get(data, "elicitations"));
    struct str one;
    bool first = true;
    if (!scan_open(&s, '[')) {
        return;
    }
    while (scan_element(&s, &first, &one)) {
        struct arena arena cleanup(arena_done) = {0};
        struct str url, json = scan_get(one, "url");
        if (json.p && scan_text(&arena, json, &url)) {
            strbuf_addc(out, '\n');
            strbuf_add(out, url);
        }
    }
}

static struct str error_as_result(struct arena *arena, const struct rpc_message *m) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(MCP_MAX_RESULT_BYTES);
    /* Escaping makes six characters of one at worst. */
    struct strbuf out cleanup(strbuf_done) = STRBUF(MCP_MAX_RESULT_BYTES * 6 + 256);
    struct jsonw w = jsonw_begin(&out);
    strbuf_add(&text, m->error_message);
    if (m->error_code == RPC_URL_ELICITATION_REQUIRED) {
        add_urls(&text, m->error_data);
    }
    jsonw_object(&w);
    jsonw_key(&w, "content");
    jsonw_array(&w);
    jsonw_object(&w);
    jsonw_kstrz(&w, "type", "text");
    jsonw_kstr(&w, "text", strbuf_str(&text));
    jsonw_end_object(&w);
    jsonw_end_array(&w);
    jsonw_kbool(&w, "isError", true);
    jsonw_end_object(&w);
    return arena_str(arena, strbuf_str(&out));
}

/* The schema that the tool has now. */
static int find_schema(struct mcp_client *c, struct str tool, struct arena *arena, struct str *ret,
                       struct err *err) {
    struct mcp_list list;
    *ret = STR_EMPTY;
    if (mcp_client_list(c, "tools/list", arena, &list, err) < 0) {
        return -(int)err->code;
    }
    for (size_t i = 0; i < list.n; i++) {
        struct str name, json = scan_get(list.items[i], "name");
        if (json.p && scan_text(arena, json, &name) && str_eq(name, tool)) {
            struct str schema = scan_get(list.items[i], "inputSchema");
            *ret = schema.p ? schema : STR_EMPTY;
            break;
        }
    }
    listen_changed(c);
    return 0;
}

static void write_members(const struct mcp_call *call, struct strbuf *out) {
    *out = STRBUF(CLIENT_MAX_REQUEST_BYTES);
    strbuf_addz(out, "\"name\":");
    struct jsonw w = jsonw_begin(out);
    jsonw_str(&w, call->tool);
    strbuf_addz(out, ",\"arguments\":");
    strbuf_add(out, call->arguments.n ? call->arguments : STR("{}"));
}

static int call_with_schema(struct mcp_client *c, const struct mcp_call *call, struct str schema,
                            struct request_result *ret, struct outcome *ret_outcome,
                            bool *ret_needs_input, struct err *err) {
    struct arena arena cleanup(arena_done) = {0};
    struct strbuf members cleanup(strbuf_done) = {0};
    struct conversation v cleanup(conversation_done) = {0};
    struct mcp_mirror mirror = {.n = 0};
    if (mcp_client_connect(c, err) < 0 ||
        (c->era == MCP_ERA_MODERN && c->o.transport == MCP_HTTP &&
         mcp_headers_mirror(schema, call->arguments, &arena, &mirror, err) < 0)) {
        return -(int)err->code;
    }
    if ((call->requests ? call->requests : &c->o.requests)->handle) {
        listen_start(c, true);
        listen_wait(c);
    }
    write_members(call, &members);
    v = (struct conversation){
        .spec = {.method = "tools/call",
                 .name = call->tool,
                 .mirror = &mirror,
                 .requests = call->requests,
                 .idempotency_key = call->idempotency_key,
                 .repeatable = call->repeatable,
                 .with_progress = true,
                 .on_progress = call->on_progress,
                 .on_progress_arg = call->on_progress_arg,
                 .idle_timeout_ms = call->idle_timeout_ms,
                 .absolute_timeout_ms = call->absolute_timeout_ms,
                 .sent = call->sent},
        .members = strbuf_str(&members),
        .answer_inputs = call->answer_inputs,
        .state = STRBUF(MAX_STATE_BYTES),
        .responses = STRBUF(MAX_ANSWERS_BYTES),
    };
    strbuf_add(&v.state, call->request_state);
    strbuf_add(&v.responses, call->input_responses);
    if (strbuf_check(&members, "the arguments", err) < 0 ||
        strbuf_check(&v.state, "the state", err) < 0 ||
        strbuf_check(&v.responses, "the answers", err) < 0) {
        return -(int)err->code;
    }
    return converse(c, &v, ret, ret_outcome, ret_needs_input, err);
}

static void copy_result(const struct request_result *answer, const struct outcome *o, bool needs,
                        struct arena *arena, struct mcp_call_result *ret) {
    *ret = (struct mcp_call_result){0};
    if (answer->message.is_error) {
        ret->json = error_as_result(arena, &answer->message);
        ret->is_error = true;
        return;
    }
    ret->json = arena_str(arena, answer->message.result);
    ret->is_error = str_eq(o->is_error, STR("true"));
    ret->input_required = needs;
    if (needs) {
        ret->input_requests = arena_str(arena, o->input_requests.p ? o->input_requests : STR_EMPTY);
        ret->request_state = arena_str(arena, o->request_state.p ? o->request_state : STR_EMPTY);
    }
}

int mcp_client_call(struct mcp_client *c, const struct mcp_call *call, struct arena *arena,
                    struct mcp_call_result *ret, struct err *err) {
    struct mcp_client *held cleanup(client_unref_p) = c;
    struct str schema = call->input_schema;
    client_ref(held);
    for (int attempt = 0;; attempt++) {
        struct request_result answer cleanup(request_result_done) = {0};
        struct outcome outcome = {0};
        bool needs = false;
        if (call_with_schema(c, call, schema, &answer, &outcome, &needs, err) < 0) {
            return -(int)err->code;
        }
        /* The server refused the headers before it did anything: the schema was not its newest. */
        bool mismatch = answer.message.is_error && c->era == MCP_ERA_MODERN &&
                        answer.message.error_code == RPC_HEADER_MISMATCH;
        if (!mismatch || attempt > 0) {
            copy_result(&answer, &outcome, needs, arena, ret);
            return 0;
        }
        if (find_schema(c, call->tool, arena, &schema, err) < 0) {
            return -(int)err->code;
        }
    }
}

/* ---- any other request ---- */

static struct str inside_braces(struct str params) {
    params = str_trim(params);
    return params.n >= 2 ? str_trim((struct str){params.p + 1, params.n - 2}) : STR_EMPTY;
}

static int pass_through(struct mcp_client *c, const char *method, struct str params,
                        struct arena *arena, struct request_result *ret, struct err *err) {
    struct outcome outcome;
    bool needs = false;
    struct str name = {0}, json = scan_get(params, "name");
    json = strcmp(method, "resources/read") == 0 ? scan_get(params, "uri") : json;
    if (json.p && !scan_text(arena, json, &name)) {
        return err_set(err, ERR_INVALID, "the name of what is asked for cannot be read");
    }
    if (inside_braces(params).n == 0) {
        struct request_spec spec = {.method = method, .repeatable = true};
        return client_request(c, &spec, ret, err);
    }
    struct conversation v cleanup(conversation_done) = {
        .spec = {.method = method, .name = name, .repeatable = true},
        .members = inside_braces(params),
        .answer_inputs = true,
    };
    return converse(c, &v, ret, &outcome, &needs, err);
}

int mcp_client_request(struct mcp_client *c, const char *method, struct str params,
                       struct arena *arena, struct str *ret_result, struct err *err) {
    struct mcp_client *held cleanup(client_unref_p) = c;
    struct request_result answer cleanup(request_result_done) = {0};
    client_ref(held);
    if (mcp_client_connect(c, err) < 0 ||
        pass_through(c, method, params, arena, &answer, err) < 0) {
        return -(int)err->code;
    }
    if (answer.message.is_error) {
        return request_refused(c, &answer.message, err);
    }
    *ret_result = arena_str(arena, answer.message.result);
    return 0;
}
