/* Questions to the client. Legacy: a request on the response's stream, and waiting. Modern: the
 * result names what is missing; the client comes again with answers and with requestState, which
 * holds the answers of earlier rounds and what the function kept:
 *
 *     base64({"x": expiry, "s": kept, "a": answers}) "." base64(HMAC(user, request, payload)) */
#include "base/clock.h"
#include "base/crypto.h"
#include "base/mem.h"
#include "mcp/server_internal.h"

enum { MAX_TOKEN_BYTES = 4 * MCP_SERVER_MAX_STATE_BYTES };

static const struct {
    const char *method, *capability;
} abilities[] = {
    [MCP_CAN_ELICIT] = {"elicitation/create", "{\"elicitation\":{\"form\":{}}}"},
    [MCP_CAN_ELICIT_URL] = {"elicitation/create", "{\"elicitation\":{\"url\":{}}}"},
    [MCP_CAN_SAMPLE] = {"sampling/createMessage", "{\"sampling\":{}}"},
    [MCP_CAN_LIST_ROOTS] = {"roots/list", "{\"roots\":{}}"},
};

/* ---- requestState ---- */

/* What the state is bound to: who asks, and for what. */
static void digest(const struct mcp_request *r, struct str payload, uint8_t ret[SHA256_BYTES]) {
    const struct secret *key = r->endpoint->options.state_key;
    struct str revealed =
        key ? secret_reveal(key)
            : (struct str){(const char *)r->endpoint->random_key, sizeof r->endpoint->random_key};
    struct str user = mcp_user_id(r->user);
    struct strbuf bound cleanup(strbuf_done) = STRBUF(SIZE_MAX / 2);
    json_t *what = json_pack("[s%, s%, O?, O?, O?]", r->method.p, r->method.n, user.p, user.n,
                             json_object_get(r->params, "name"), json_object_get(r->params, "uri"),
                             json_object_get(r->params, "arguments"));
    char *text = what ? json_dumps(what, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    strbuf_addz(&bound, text ? text : "");
    strbuf_addc(&bound, 0);
    strbuf_add(&bound, payload);
    crypto_hmac_sha256(revealed, strbuf_str(&bound), ret);
    free(text);
    json_decref(what);
}

static void seal(const struct mcp_request *r, struct strbuf *out) {
    struct strbuf payload cleanup(strbuf_done) = STRBUF(2 * MCP_SERVER_MAX_STATE_BYTES);
    struct jsonw w = jsonw_begin(&payload);
    uint8_t mac[SHA256_BYTES];
    jsonw_object(&w);
    jsonw_kint(&w, "x", clock_now_us() / 1000 + r->endpoint->options.state_ttl_ms);
    jsonw_kstr(&w, "s", strbuf_str(&r->state_out));
    if (r->answers) {
        jsonw_key(&w, "a");
        jsonw_tree(&w, r->answers);
    }
    jsonw_end_object(&w);
    if (payload.failed) {
        out->failed = true;
        return;
    }
    digest(r, strbuf_str(&payload), mac);
    crypto_base64(out, strbuf_str(&payload));
    strbuf_addc(out, '.');
    crypto_base64(out, (struct str){(const char *)mac, sizeof mac});
}

static bool unseal(struct mcp_request *r, struct str token, json_t **ret) {
    struct strbuf payload cleanup(strbuf_done) = STRBUF(MAX_TOKEN_BYTES);
    struct strbuf given cleanup(strbuf_done) = STRBUF(MAX_TOKEN_BYTES);
    struct str first, rest = token;
    uint8_t mac[SHA256_BYTES];
    struct err err;
    if (token.n > MAX_TOKEN_BYTES) {
        return false;
    }
    first = str_cut(&rest, '.');
    if (crypto_base64_decode(&payload, first, &err) < 0 ||
        crypto_base64_decode(&given, rest, &err) < 0) {
        return false;
    }
    digest(r, strbuf_str(&payload), mac);
    return crypto_equal(strbuf_str(&given), (struct str){(const char *)mac, sizeof mac}) &&
           json_read(strbuf_str(&payload), ret, &err) == 0;
}

static int read_state(struct mcp_request *r, const json_t *state, struct err *err) {
    json_auto_t *payload = NULL;
    if (!json_is_string(state) || !unseal(r, json_value_str(state), &payload)) {
        return mcp_request_refuse(r, 0, RPC_INVALID_PARAMS, err,
                                  "params.requestState is not what was given for this request");
    }
    if (json_int(payload, "x", 0) < clock_now_us() / 1000) {
        return mcp_request_refuse(r, 0, RPC_INVALID_PARAMS, err,
                                  "params.requestState has expired; begin again without it");
    }
    r->state_in = arena_str(&r->arena, json_str(payload, "s"));
    if (json_is_object(json_object_get(payload, "a"))) {
        json_object_update(r->answers, json_object_get(payload, "a"));
    }
    return 0;
}

int mcp_ask_resume(struct mcp_request *r, struct err *err) {
    json_t *state = json_object_get(r->params, "requestState");
    json_t *responses = json_object_get(r->params, "inputResponses");
    const char *key;
    json_t *value;
    int rc = 0;
    if (!r->modern) {
        return 0;
    }
    r->answers = json_object();
    if (state) {
        rc = read_state(r, state, err);
    }
    if (rc < 0 || !responses) {
        return rc;
    }
    if (!json_is_object(responses)) {
        return mcp_request_refuse(r, 0, RPC_INVALID_PARAMS, err,
                                  "params.inputResponses: must be an object");
    }
    json_object_foreach (responses, key, value) {
        if (!json_is_object(value)) {
            return mcp_request_refuse(r, 0, RPC_INVALID_PARAMS, err,
                                      "params.inputResponses: all values must be objects");
        }
    }
    json_object_update(r->answers, responses);
    return 0;
}

void mcp_ask_write(struct mcp_request *r, struct jsonw *w) {
    struct strbuf token cleanup(strbuf_done) = STRBUF(MAX_TOKEN_BYTES);
    jsonw_key(w, "inputRequests");
    jsonw_object(w);
    jsonw_raw(w, strbuf_str(&r->input_requests));
    jsonw_end_object(w);
    seal(r, &token);
    if (token.failed || r->input_requests.failed) {
        w->out->failed = true;
    }
    jsonw_kstr(w, "requestState", strbuf_str(&token));
}

struct str mcp_request_state(const struct mcp_request *r) {
    return r->state_in.p ? r->state_in : STR_EMPTY;
}

void mcp_request_keep(struct mcp_request *r, struct str state) {
    strbuf_reset(&r->state_out);
    strbuf_add(&r->state_out, state);
}

/* ---- asking ---- */

static bool answer_is_usable(const struct mcp_ask *ask, const json_t *answer) {
    struct str action = json_str(answer, "action");
    switch (ask->ability) {
    case MCP_CAN_ELICIT:
    case MCP_CAN_ELICIT_URL:
        return str_eq(action, STR("accept")) || str_eq(action, STR("decline")) ||
               str_eq(action, STR("cancel"));
    case MCP_CAN_SAMPLE:
        return json_object_get(answer, "content") != NULL;
    case MCP_CAN_LIST_ROOTS:
        return json_is_array(json_object_get(answer, "roots"));
    }
    return false;
}

static int check_abilities(struct mcp_request *r, const struct mcp_ask *asks, size_t n,
                           struct err *err) {
    for (size_t i = 0; i < n; i++) {
        if (mcp_request_can(r, asks[i].ability)) {
            continue;
        }
        struct strbuf data cleanup(strbuf_done) = STRBUF(200);
        const char *capability = abilities[asks[i].ability].capability;
        if (!r->modern) {
            return err_set(err, ERR_UNAVAILABLE, "the client must support %s, and does not",
                           abilities[asks[i].ability].method);
        }
        strbuf_addf(&data, "{\"requiredCapabilities\":%s}", capability);
        r->http_status = 400;
        return mcp_request_fail(r, RPC_MISSING_CAPABILITY,
                                STR("the request needs a capability that the client does not have"),
                                strbuf_str(&data), err);
    }
    return 0;
}

static int ask_modern(struct mcp_request *r, const struct mcp_ask *asks, size_t n,
                      const json_t **ret_answers, struct err *err) {
    struct jsonw w = jsonw_begin(&r->input_requests);
    bool missing = false;
    for (size_t i = 0; i < n; i++) {
        const json_t *answer = json_object_get(r->answers, asks[i].key);
        if (answer && !answer_is_usable(&asks[i], answer)) {
            return mcp_request_refuse(r, 0, RPC_INVALID_PARAMS, err,
                                      "params.inputResponses.%s: is no answer to the question",
                                      asks[i].key);
        }
        missing = missing || !answer;
        ret_answers[i] = answer;
    }
    if (!missing) {
        return 0;
    }
    int rc = check_abilities(r, asks, n, err);
    if (rc < 0) {
        return rc;
    }
    strbuf_reset(&r->input_requests);
    for (size_t i = 0; i < n; i++) {
        if (!json_object_get(r->answers, asks[i].key)) {
            jsonw_key(&w, asks[i].key);
            jsonw_object(&w);
            jsonw_kstrz(&w, "method", abilities[asks[i].ability].method);
            jsonw_kraw(&w, "params", asks[i].params.n ? asks[i].params : STR("{}"));
            jsonw_end_object(&w);
        }
    }
    r->input_required = true;
    return err_set(err, ERR_UNAVAILABLE, "answers of the client are needed");
}

static int await_answer(struct mcp_request *r, struct mcp_question *q, const struct mcp_ask *ask,
                        int64_t until_us, struct err *err) {
    const char *method = abilities[ask->ability].method;
    while (!q->answered) {
        int64_t left_ms = (until_us - clock_mono_us()) / 1000;
        int rc = left_ms > 0 ? fiber_wait(&q->changed, left_ms) : -ERR_TIMEOUT;
        if (rc == -ERR_CANCELLED) {
            return err_set(err, ERR_CANCELLED, "cancelled");
        }
        if (rc == -ERR_TIMEOUT && !q->answered) {
            return err_set(err, ERR_TIMEOUT, "the client did not answer %s in time", method);
        }
    }
    if (!json_is_object(q->result) || !answer_is_usable(ask, q->result)) {
        return err_set(err, ERR_PROTOCOL, "the client could not answer %s", method);
    }
    json_object_set(r->answers, ask->key, q->result);
    return 0;
}

static void send_question(struct mcp_request *r, struct mcp_question *q,
                          const struct mcp_ask *ask) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(r->content.max);
    fiber_cond_init(&q->changed);
    snprintf(q->id, sizeof q->id, "\"ask-%" PRIu64 "\"", ++r->session->questions_asked);
    list_push(&r->session->questions, &q->in_session);
    rpc_write_request(&text, str_z(q->id), abilities[ask->ability].method,
                      ask->params.n ? ask->params : STR("{}"));
    mcp_stream_push(r->stream, strbuf_str(&text), false);
}

static int ask_legacy(struct mcp_request *r, const struct mcp_ask *asks, size_t n,
                      const json_t **ret_answers, struct err *err) {
    struct mcp_question questions[MCP_SERVER_MAX_ASKS] = {0};
    int64_t until_us = clock_mono_us() + r->endpoint->options.ask_timeout_ms * 1000;
    int rc = check_abilities(r, asks, n, err);
    if (rc < 0) {
        return rc;
    }
    if (r->one_answer) {
        return err_set(err, ERR_UNAVAILABLE, "the client must accept text/event-stream");
    }
    r->answers = r->answers ? r->answers : json_object();
    for (size_t i = 0; i < n; i++) {
        send_question(r, &questions[i], &asks[i]);
    }
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = await_answer(r, &questions[i], &asks[i], until_us, err);
        ret_answers[i] = rc == 0 ? json_object_get(r->answers, asks[i].key) : NULL;
    }
    for (size_t i = 0; i < n; i++) {
        list_remove(&questions[i].in_session);
        json_decref(questions[i].result);
    }
    return rc;
}

int mcp_request_ask(struct mcp_request *r, const struct mcp_ask *asks, size_t n,
                    const json_t **ret_answers, struct err *err) {
    if (n > MCP_SERVER_MAX_ASKS) {
        return err_set(err, ERR_LIMIT, "more than %d questions", MCP_SERVER_MAX_ASKS);
    }
    return r->modern ? ask_modern(r, asks, n, ret_answers, err)
                     : ask_legacy(r, asks, n, ret_answers, err);
}

int mcp_request_elicit(struct mcp_request *r, const char *key, struct str message,
                       struct str schema, const json_t **ret_content, struct err *err) {
    struct strbuf params cleanup(strbuf_done) = STRBUF(r->content.max);
    struct jsonw w = jsonw_begin(&params);
    const json_t *answer = NULL;
    jsonw_object(&w);
    if (r->revision >= MCP_2025_11_25) {
        jsonw_kstrz(&w, "mode", "form");
    }
    jsonw_kstr(&w, "message", message);
    jsonw_kraw(&w, "requestedSchema", schema);
    jsonw_end_object(&w);
    if (strbuf_check(&params, "the question", err) < 0) {
        return -err->code;
    }
    struct mcp_ask ask = {key, MCP_CAN_ELICIT, strbuf_str(&params)};
    int rc = mcp_request_ask(r, &ask, 1, &answer, err);
    if (rc == 0) {
        const json_t *content = json_object_get(answer, "content");
        bool accepted = str_eq(json_str(answer, "action"), STR("accept"));
        *ret_content = accepted && json_is_object(content) ? content : NULL;
    }
    return rc;
}
