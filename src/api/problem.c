#include "api/problem.h"

#include "base/json.h"

static const struct problem by_code[] = {
    [ERR_NONE] = {500, "internal", "Internal error", 0},
    [ERR_INVALID] = {400, "invalid", "Invalid request", 0},
    [ERR_LIMIT] = {413, "limit", "Too large", 0},
    [ERR_UNAUTHORIZED] = {401, "unauthorized", "A valid key is needed", 0},
    [ERR_FORBIDDEN] = {403, "forbidden", "Not allowed", 0},
    [ERR_NOT_FOUND] = {404, "not_found", "Not found", 0},
    [ERR_CONFLICT] = {409, "conflict", "Conflict", 0},
    [ERR_PRECONDITION] = {409, "conflict", "Conflict", 0},
    [ERR_BUSY] = {429, "busy", "Too many at once", 2},
    [ERR_TIMEOUT] = {503, "unavailable", "Unavailable", 2},
    [ERR_CANCELLED] = {503, "unavailable", "Unavailable", 2},
    [ERR_UNAVAILABLE] = {503, "unavailable", "Unavailable", 2},
    [ERR_PROTOCOL] = {502, "upstream", "Upstream failed", 0},
    [ERR_IO] = {500, "internal", "Internal error", 0},
    [ERR_INTERNAL] = {500, "internal", "Internal error", 0},
};

const struct problem problem_method_not_allowed = {405, "method_not_allowed", "Method not allowed",
                                                   0};
const struct problem problem_unsupported_media_type = {415, "unsupported_media_type",
                                                       "Unsupported media type", 0};
const struct problem problem_body_timeout = {408, "timeout", "Request timeout", 0};
const struct problem problem_upgrade_required = {426, "upgrade_required", "Upgrade required", 0};
const struct problem problem_model_not_found = {404, "model_not_found", "No such model", 0};

const struct problem problem_upstream = {502, "upstream", "The other server failed", 0, true};

const struct problem *problem_of(enum err_code code) {
    return &by_code[code > 0 && code < (int)ARRAY_LEN(by_code) ? code : ERR_INTERNAL];
}

const struct problem *problem_of_status(int status) {
    static const struct problem others[] = {
        {414, "limit", "The address is too long", 0},
        {417, "invalid", "Expectation failed", 0},
        {431, "limit", "The header fields are too large", 0},
        {501, "invalid", "Not implemented", 0},
        {505, "invalid", "HTTP version not supported", 0},
    };
    static const struct problem *const named[] = {&problem_method_not_allowed,
                                                  &problem_unsupported_media_type,
                                                  &problem_body_timeout, &problem_upgrade_required};
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        if (others[i].status == status) {
            return &others[i];
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(named); i++) {
        if (named[i]->status == status) {
            return named[i];
        }
    }
    for (size_t i = ERR_INVALID; i < ARRAY_LEN(by_code); i++) {
        if (by_code[i].status == status) {
            return &by_code[i];
        }
    }
    return &by_code[status < 500 ? ERR_INVALID : ERR_INTERNAL];
}

const struct problem *problem_of_turn(struct str code) {
    static const struct {
        enum err_code code;
        struct problem problem;
    } known[] = {
        {ERR_BUSY, {429, "busy", "The model provider is busy", 10, true}},
        {ERR_LIMIT, {413, "limit", "Too large for the model", 0, true}},
        {ERR_INVALID, {400, "invalid", "The model provider refused the request", 0, true}},
        {ERR_TIMEOUT, {504, "timeout", "The model provider took too long", 0, true}},
    };
    static const struct problem upstream = {502, "upstream", "The model provider failed", 0, true};
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (str_eq(code, str_z(err_name(known[i].code)))) {
            return &known[i].problem;
        }
    }
    return &upstream;
}

struct str problem_detail(const struct problem *p, const struct err *err) {
    if (p->status < 500 || p->of_turn) {
        return str_z(err->msg);
    }
    return p->status == 503 ? STR("the gateway or its database can't answer now; try again soon")
                            : STR("something went wrong here; the log has the request's id");
}

void problem_write(struct strbuf *out, const struct problem *p, struct str detail,
                   const char *request_id) {
    char type[64];
    snprintf(type, sizeof type, "urn:adjutant:problem:%s", p->code);
    struct jsonw w = jsonw_begin(out);
    jsonw_object(&w);
    jsonw_kstrz(&w, "type", type);
    jsonw_kstrz(&w, "title", p->title);
    jsonw_kint(&w, "status", p->status);
    jsonw_kstr(&w, "detail", detail);
    jsonw_kstrz(&w, "code", p->code);
    if (request_id) {
        jsonw_kstrz(&w, "request_id", request_id);
    }
    jsonw_end_object(&w);
}

static const char *openai_type(int status) {
    switch (status) {
    case 401:
        return "authentication_error";
    case 403:
        return "permission_error";
    case 429:
        return "rate_limit_error";
    default:
        return status < 500 ? "invalid_request_error" : "server_error";
    }
}

static const char *openai_code(const struct problem *p) {
    switch (p->status) {
    case 401:
        return "invalid_api_key";
    case 429:
        return "rate_limit_exceeded";
    default:
        return p->code;
    }
}

void problem_write_openai(struct strbuf *out, const struct problem *p, struct str detail) {
    struct jsonw w = jsonw_begin(out);
    jsonw_object(&w);
    jsonw_key(&w, "error");
    jsonw_object(&w);
    jsonw_kstr(&w, "message", detail);
    jsonw_kstrz(&w, "type", openai_type(p->status));
    jsonw_key(&w, "param");
    jsonw_null(&w);
    jsonw_kstrz(&w, "code", openai_code(p));
    jsonw_end_object(&w);
    jsonw_end_object(&w);
}
