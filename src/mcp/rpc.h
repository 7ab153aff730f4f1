/* JSON-RPC 2.0 messages as MCP uses them (no batches), for both of its sides: read into views of
 * the text, so that what is only passed on stays byte for byte what it was; written without a
 * tree. */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"

enum rpc_error_code {
    RPC_PARSE_ERROR = -32700,
    RPC_INVALID_REQUEST = -32600,
    RPC_METHOD_NOT_FOUND = -32601,
    RPC_INVALID_PARAMS = -32602,
    RPC_INTERNAL_ERROR = -32603,
    /* MCP's own */
    RPC_RESOURCE_NOT_FOUND = -32002, /* until 2025-11-25 */
    RPC_HEADER_MISMATCH = -32020,
    RPC_MISSING_CAPABILITY = -32021,
    RPC_UNSUPPORTED_VERSION = -32022,
    RPC_URL_ELICITATION_REQUIRED = -32042,
};

enum rpc_kind { RPC_REQUEST, RPC_NOTIFICATION, RPC_RESPONSE };

/* Texts whose p is NULL were not there. */
struct rpc_message {
    enum rpc_kind kind;
    struct str id;     /* JSON text of a string or a number; of a response also "null" */
    struct str method; /* what the string means */
    struct str params; /* JSON text of an object or array */
    struct str result; /* JSON text of any value */
    bool is_error;     /* a response: the three below instead of result */
    int64_t error_code;
    struct str error_message; /* what the string means */
    struct str error_data;    /* JSON text */
};

/* Views live as long as text and arena (which takes strings that were escaped). ERR_INVALID: no
 * JSON (answer: RPC_PARSE_ERROR). ERR_PROTOCOL: JSON, but no message (RPC_INVALID_REQUEST); ret->id
 * is then the id if there was a usable one, and the rest is unset. */
int rpc_read(struct str text, struct arena *arena, struct rpc_message *ret, struct err *err)
    must_check;

/* The answer to our request of that number: 7, or the "7" of servers that make text of it. */
bool rpc_id_is(struct str id, int64_t number);

/* Whole messages, without a line end. id: JSON text. params, data: JSON text; empty: none. */
void rpc_write_request(struct strbuf *out, struct str id, const char *method, struct str params);
void rpc_write_notification(struct strbuf *out, const char *method, struct str params);
void rpc_write_result(struct strbuf *out, struct str id, struct str result);
/* An id without p is written as null: the request's could not be read. */
void rpc_write_error(struct strbuf *out, struct str id, int64_t code, struct str message,
                     struct str data);
