#include "mcp/rpc.h"

#include "base/scan.h"

/* A message's own members and then what it carries. Each tool of a list is read again by whoever
 * uses it, with a lower bound, so that one of them cannot spoil the list. */
enum { MAX_DEPTH = 512, MAX_ID_BYTES = 256, MAX_METHOD_BYTES = 256 };

/* The members that count, as JSON texts. */
struct members {
    struct str jsonrpc, id, method, params, result, error;
};

static struct str *member_place(struct members *m, struct str key) {
    static const struct {
        const char *name;
        size_t offset;
    } known[] = {
        {"jsonrpc", offsetof(struct members, jsonrpc)},
        {"id", offsetof(struct members, id)},
        {"method", offsetof(struct members, method)},
        {"params", offsetof(struct members, params)},
        {"result", offsetof(struct members, result)},
        {"error", offsetof(struct members, error)},
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (scan_is(key, known[i].name)) {
            return (struct str *)((char *)m + known[i].offset);
        }
    }
    return NULL;
}

static int no_message(struct err *err, const char *why) {
    return err_set(err, ERR_PROTOCOL, "not a JSON-RPC message: %s", why);
}

/* A member that is there twice may mean one thing to us and another to whoever looked before. */
static int read_members(struct str text, struct members *ret, struct err *err) {
    struct scan s = scan_begin(text);
    struct str key;
    bool first = true;
    if (!scan_open(&s, '{')) {
        return no_message(err, "it is no object");
    }
    for (struct str value; scan_member_value(&s, &first, &key, &value);) {
        struct str *place = member_place(ret, key);
        if (!place) {
            continue;
        }
        if (place->p) {
            return no_message(err, "a member is there twice");
        }
        *place = value;
    }
    return 0;
}

static bool is_string(struct str json) {
    return json.n > 0 && json.p[0] == '"';
}

static bool is_container(struct str json) {
    return json.n > 0 && (json.p[0] == '{' || json.p[0] == '[');
}

static bool is_null(struct str json) {
    return str_eq(json, STR("null"));
}

static bool is_id(struct str json) {
    return json.n > 0 && json.n <= MAX_ID_BYTES &&
           (is_string(json) || json.p[0] == '-' || (json.p[0] >= '0' && json.p[0] <= '9'));
}

static int read_error(struct str error, struct arena *arena, struct rpc_message *ret,
                      struct err *err) {
    struct str code = scan_get(error, "code"), message = scan_get(error, "message");
    if (error.p[0] != '{' || !code.p || !str_to_i64(code, &ret->error_code)) {
        return no_message(err, "its error has no code");
    }
    if (!message.p || !scan_text(arena, message, &ret->error_message)) {
        ret->error_message = STR("(no message)");
    }
    ret->error_data = scan_get(error, "data");
    ret->is_error = true;
    return 0;
}

static int read_call(const struct members *m, struct arena *arena, struct rpc_message *ret,
                     struct err *err) {
    if (m->result.p || m->error.p) {
        return no_message(err, "it is a request and a response");
    }
    if (m->method.n > MAX_METHOD_BYTES || !scan_text(arena, m->method, &ret->method)) {
        return no_message(err, "its method is no name");
    }
    if (m->params.p && !is_container(m->params)) {
        return no_message(err, "its params are no object");
    }
    if (m->id.p && !is_id(m->id)) {
        return no_message(err, "its id is neither a string nor a number");
    }
    ret->kind = m->id.p ? RPC_REQUEST : RPC_NOTIFICATION;
    ret->params = m->params;
    return 0;
}

static int read_response(const struct members *m, struct arena *arena, struct rpc_message *ret,
                         struct err *err) {
    ret->kind = RPC_RESPONSE;
    /* Servers that could not read the id leave it out or say null. */
    ret->id = m->id.p ? m->id : STR("null");
    if (!is_id(ret->id) && !is_null(ret->id)) {
        return no_message(err, "its id is neither a string nor a number");
    }
    if (m->error.p && !is_null(m->error)) {
        return m->result.p && !is_null(m->result) ? no_message(err, "it has a result and an error")
                                                  : read_error(m->error, arena, ret, err);
    }
    if (!m->result.p) {
        return no_message(err, "it has neither a method nor a result");
    }
    ret->result = m->result;
    return 0;
}

int rpc_read(struct str text, struct arena *arena, struct rpc_message *ret, struct err *err) {
    struct members m = {0};
    *ret = (struct rpc_message){0};
    if (!json_check(text, MAX_DEPTH)) {
        return err_set(err, ERR_INVALID, "not valid JSON");
    }
    if (read_members(text, &m, err) < 0) {
        return -(int)err->code;
    }
    struct rpc_message read = {.id = is_id(m.id) ? m.id : (struct str){0}};
    ret->id = read.id;
    if (!m.jsonrpc.p || !str_eq(m.jsonrpc, STR("\"2.0\""))) {
        return no_message(err, "\"jsonrpc\" is not \"2.0\"");
    }
    int rc = m.method.p ? read_call(&m, arena, &read, err) : read_response(&m, arena, &read, err);
    if (rc == 0) {
        *ret = read;
    }
    return rc;
}

bool rpc_id_is(struct str id, int64_t number) {
    int64_t got;
    if (is_string(id)) {
        id = (struct str){id.p + 1, id.n - 2};
    }
    return str_to_i64(id, &got) && got == number;
}

static struct jsonw begin(struct strbuf *out) {
    struct jsonw w = jsonw_begin(out);
    jsonw_object(&w);
    jsonw_kstrz(&w, "jsonrpc", "2.0");
    return w;
}

static void write_call(struct strbuf *out, struct str id, const char *method, struct str params) {
    struct jsonw w = begin(out);
    if (id.n) {
        jsonw_kraw(&w, "id", id);
    }
    jsonw_kstrz(&w, "method", method);
    if (params.n) {
        jsonw_kraw(&w, "params", params);
    }
    jsonw_end_object(&w);
}

void rpc_write_request(struct strbuf *out, struct str id, const char *method, struct str params) {
    write_call(out, id, method, params);
}

void rpc_write_notification(struct strbuf *out, const char *method, struct str params) {
    write_call(out, STR_EMPTY, method, params);
}

void rpc_write_result(struct strbuf *out, struct str id, struct str result) {
    struct jsonw w = begin(out);
    jsonw_kraw(&w, "id", id);
    jsonw_kraw(&w, "result", result);
    jsonw_end_object(&w);
}

void rpc_write_error(struct strbuf *out, struct str id, int64_t code, struct str message,
                     struct str data) {
    struct jsonw w = begin(out);
    jsonw_kraw(&w, "id", id.p ? id : STR("null"));
    jsonw_key(&w, "error");
    jsonw_object(&w);
    jsonw_kint(&w, "code", code);
    jsonw_kstr(&w, "message", message);
    if (data.n) {
        jsonw_kraw(&w, "data", data);
    }
    jsonw_end_object(&w);
    jsonw_end_object(&w);
}
