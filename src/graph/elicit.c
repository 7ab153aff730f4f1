/* What a server wants to know while it works on a call (input_required of MCP 2026-07-28), between
 * the server's shape and ours:
 *   {"message":..., "schema":{...}, "request_state":..., "questions":[{"key":..., "message":...,
 *    "mode":"form"|"url", "schema":{...}, "url":...}, ...]}
 * `schema` is of the whole answer: that of the one question, or an object with a member a question.
 */
#include "graph/internal.h"
#include "mcp/json_schema.h"

enum {
    MAX_ASKED_BYTES = 128 * 1024, /* as the server wrote it: a turn may ask sixteen times so much */
    MAX_REQUEST_BYTES = 1024 * 1024,
    MAX_QUESTIONS = 16,
    MAX_STATE_BYTES = 256 * 1024,
    MAX_URL_BYTES = 2048,
    MAX_MESSAGE_BYTES = 12 * 1024, /* of all of them: nothing of it, no address, is cut off */
};

/* ---- asking ---- */

static bool is_url(const json_t *params) {
    return str_eq(json_str(params, "mode"), STR("url"));
}

static void write_question(struct jsonw *w, const char *key, const json_t *params) {
    jsonw_object(w);
    jsonw_kstrz(w, "key", key);
    jsonw_kstrz(w, "mode", is_url(params) ? "url" : "form");
    jsonw_kstr(w, "message", json_str(params, "message"));
    if (is_url(params)) {
        jsonw_kstr(w, "url", json_str(params, "url"));
    } else if (json_is_object(json_object_get(params, "requestedSchema"))) {
        jsonw_key(w, "schema");
        jsonw_tree(w, json_object_get(params, "requestedSchema"));
    }
    jsonw_end_object(w);
}

static void write_schema_of(struct jsonw *w, const json_t *params) {
    const json_t *schema = json_object_get(params, "requestedSchema");
    if (json_is_object(schema)) {
        jsonw_tree(w, schema);
    } else {
        jsonw_raw(w, STR("{\"type\":\"object\"}"));
    }
}

static void write_schema(struct jsonw *w, json_t *requests) {
    const char *key;
    json_t *request;
    jsonw_key(w, "schema");
    if (json_object_size(requests) == 1) {
        request = json_object_iter_value(json_object_iter(requests));
        write_schema_of(w, json_object_get(request, "params"));
        return;
    }
    jsonw_object(w);
    jsonw_kstrz(w, "type", "object");
    jsonw_key(w, "properties");
    jsonw_object(w);
    json_object_foreach (requests, key, request) {
        jsonw_str_key(w, str_z(key));
        write_schema_of(w, json_object_get(request, "params"));
    }
    jsonw_end_object(w);
    jsonw_end_object(w);
}

static struct str authority_of(struct str rest) {
    size_t n = 0;
    while (n < rest.n && !strchr("/?#", rest.p[n])) {
        n++;
    }
    return str_head(rest, n);
}

/* Clients make a link of it, and a user decides by what is seen of it: a page on the web, in
 * characters that hide nothing. */
static bool is_web_address(struct str url) {
    size_t scheme = str_starts(url, STR("https://")) ? 8 : str_starts(url, STR("http://")) ? 7 : 0;
    for (size_t i = 0; i < url.n; i++) {
        if (url.p[i] <= ' ' || url.p[i] > '~' || strchr("\"<>\\^`{|}", url.p[i])) {
            return false;
        }
    }
    struct str authority = authority_of(str_skip(url, scheme));
    return scheme && url.n <= MAX_URL_BYTES && authority.n &&
           str_find_char(authority, '@') == SIZE_MAX;
}

int elicit_check(const json_t *params, struct err *err) {
    struct str message = json_str(params, "message"), url = json_str(params, "url");
    if (message.n + url.n > MAX_MESSAGE_BYTES) {
        return err_set(err, ERR_PROTOCOL, "the server asks at too great length");
    }
    if (is_url(params) && !is_web_address(url)) {
        return err_set(err, ERR_PROTOCOL,
                       "the server wants to send the user to what is no web address");
    }
    return 0;
}

static int check_requests(json_t *requests, struct str request_state, struct err *err) {
    const char *key;
    json_t *request;
    size_t n = json_object_size(requests), bytes = 0;
    if (n == 0 || n > MAX_QUESTIONS || request_state.n > MAX_STATE_BYTES) {
        return err_set(err, ERR_PROTOCOL,
                       "the server asks for input in a way that cannot be answered");
    }
    json_object_foreach (requests, key, request) {
        if (!str_eq(json_str(request, "method"), STR("elicitation/create"))) {
            return err_set(err, ERR_PROTOCOL, "the server asks for %.*s, which it may not",
                           STR_ARG(str_utf8_head(json_str(request, "method"), 80)));
        }
        const json_t *params = json_object_get(request, "params");
        bytes += json_str(params, "message").n + json_str(params, "url").n;
        if (elicit_check(params, err) < 0) {
            return -(int)err->code;
        }
    }
    return bytes <= MAX_MESSAGE_BYTES
               ? 0
               : err_set(err, ERR_PROTOCOL, "the server asks at too great length");
}

static struct str joined_messages(struct turn *t, json_t *requests) {
    struct strbuf text cleanup(strbuf_done) = STRBUF(MAX_REQUEST_BYTES);
    const char *key;
    json_t *request;
    json_object_foreach (requests, key, request) {
        const json_t *params = json_object_get(request, "params");
        strbuf_addz(&text, text.n ? "\n" : "");
        strbuf_add(&text, json_str(params, "message"));
        if (is_url(params)) {
            strbuf_addz(&text, " ");
            strbuf_add(&text, json_str(params, "url"));
        }
    }
    return arena_str(&t->arena, strbuf_str(&text));
}

static int write_request(struct turn *t, json_t *requests, struct str request_state,
                         struct str held, struct str *ret, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(MAX_REQUEST_BYTES);
    const char *key;
    json_t *request;
    struct jsonw w = jsonw_begin(&out);
    jsonw_object(&w);
    jsonw_kstr(&w, "message", joined_messages(t, requests));
    write_schema(&w, requests);
    if (request_state.n) {
        jsonw_kraw(&w, "request_state", request_state);
    }
    if (held.n) {
        jsonw_kstr(&w, "held", held);
    }
    jsonw_key(&w, "questions");
    jsonw_array(&w);
    json_object_foreach (requests, key, request) {
        write_question(&w, key, json_object_get(request, "params"));
    }
    jsonw_end_array(&w);
    jsonw_end_object(&w);
    if (strbuf_check(&out, "what the server asks", err) < 0) {
        return -(int)err->code;
    }
    *ret = arena_str(&t->arena, strbuf_str(&out));
    return 0;
}

static int check_asked_size(struct str asked, struct err *err) {
    return asked.n <= MAX_ASKED_BYTES
               ? 0
               : err_set(err, ERR_LIMIT, "what the server asks is larger than %d bytes",
                         MAX_ASKED_BYTES);
}

int elicit_request(struct turn *t, struct str input_requests, struct str request_state,
                   struct str *ret, struct err *err) {
    json_auto_t *requests = NULL;
    if (check_asked_size(input_requests, err) < 0 ||
        json_read(input_requests, &requests, err) < 0 ||
        check_requests(requests, request_state, err) < 0) {
        return -(int)err->code;
    }
    return write_request(t, requests, request_state, STR_EMPTY, ret, err);
}

int elicit_request_held(struct turn *t, struct str params, struct str held, struct str *ret,
                        struct err *err) {
    json_t *tree = NULL;
    if (check_asked_size(params, err) < 0 || json_read(params, &tree, err) < 0) {
        return -(int)err->code;
    }
    json_auto_t *requests = json_pack("{s:{s:o}}", "answer", "params", tree);
    return write_request(t, requests, STR_EMPTY, held, ret, err);
}

/* ---- answering ---- */

/* What the user left out and the schema has a default for. */
static void fill_defaults(json_t *content, const json_t *schema) {
    json_t *properties = json_object_get(schema, "properties");
    const char *name;
    json_t *property;
    json_object_foreach (properties, name, property) {
        json_t *value = json_object_get(property, "default");
        if (value && !json_object_get(content, name)) {
            json_object_set(content, name, value);
        }
    }
}

static bool asks_for_content(const json_t *question) {
    return !str_eq(json_str(question, "mode"), STR("url"));
}

static int check_question(const json_t *question, const json_t *content, const char *what,
                          struct err *err) {
    const json_t *schema = json_object_get(question, "schema");
    if (!asks_for_content(question)) {
        return 0;
    }
    json_auto_t *filled = json_is_object(content) ? json_deep_copy(content) : json_object();
    fill_defaults(filled, schema);
    return schema ? json_schema_check(schema, filled, what, err) : 0;
}

int elicit_check_content(struct str request, struct str content, struct err *err) {
    json_auto_t *asked = NULL, *said = NULL;
    if (json_read(request, &asked, err) < 0 || json_read(content, &said, err) < 0) {
        return -(int)err->code;
    }
    const json_t *questions = json_object_get(asked, "questions");
    bool one = json_array_size(questions) == 1;
    size_t i;
    json_t *question;
    json_array_foreach (questions, i, question) {
        struct str key = json_str(question, "key");
        const json_t *part = one ? said : json_object_getn(said, key.p, key.n);
        if (check_question(question, part, one ? "content" : key.p, err) < 0) {
            return -(int)err->code;
        }
    }
    return 0;
}

/* An elicitation's result. */
static void write_result(struct jsonw *w, const json_t *question, struct str action,
                         json_t *content) {
    bool accepted = str_eq(action, STR("accept"));
    jsonw_object(w);
    jsonw_kstr(w, "action", action);
    if (accepted && asks_for_content(question)) {
        json_auto_t *filled = json_is_object(content) ? json_deep_copy(content) : json_object();
        fill_defaults(filled, json_object_get(question, "schema"));
        jsonw_key(w, "content");
        jsonw_tree(w, filled);
    }
    jsonw_end_object(w);
}

static void write_results(struct jsonw *w, const json_t *questions, struct str action,
                          const json_t *content) {
    bool one = json_array_size(questions) == 1;
    size_t i;
    json_t *question;
    jsonw_object(w);
    json_array_foreach (questions, i, question) {
        struct str key = json_str(question, "key");
        jsonw_str_key(w, key);
        write_result(w, question, action,
                     one ? (json_t *)(uintptr_t)content : json_object_getn(content, key.p, key.n));
    }
    jsonw_end_object(w);
}

int elicit_answer(struct turn *t, struct pending_call *c, struct str request, struct str action,
                  struct str content, struct err *err) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(MAX_REQUEST_BYTES);
    struct strbuf state cleanup(strbuf_done) = STRBUF(2 * MAX_STATE_BYTES);
    json_auto_t *asked = NULL, *said = NULL;
    if (json_read(request, &asked, err) < 0 || (content.n && json_read(content, &said, err) < 0)) {
        return -(int)err->code;
    }
    const json_t *questions = json_object_get(asked, "questions");
    struct jsonw w = jsonw_begin(&out);
    c->held = arena_str(&t->arena, json_str(asked, "held"));
    if (c->held.n) {
        write_result(&w, json_array_get(questions, 0), action, said);
    } else {
        write_results(&w, questions, action, said);
    }
    if (json_object_get(asked, "request_state")) {
        json_write_tree(&state, json_object_get(asked, "request_state"));
    }
    if (strbuf_check(&out, "the answer", err) < 0 || strbuf_check(&state, "its state", err) < 0) {
        return -(int)err->code;
    }
    c->input_responses = arena_str(&t->arena, strbuf_str(&out));
    c->request_state = arena_str(&t->arena, strbuf_str(&state));
    return 0;
}
