/* What json_read takes, json_check takes too; a message that was read has texts that are JSON, and
 * says the same when it is written and read again. */
#include <assert.h>

#include "base/scan.h"
#include "mcp/rpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(struct str json) {
    assert(!json.p || json_check(json, JSON_CHECK_MAX_DEPTH));
}

static void write_again(const struct rpc_message *m, struct strbuf *out, struct arena *arena) {
    if (m->kind == RPC_RESPONSE && m->is_error) {
        rpc_write_error(out, m->id, m->error_code, m->error_message, m->error_data);
    } else if (m->kind == RPC_RESPONSE) {
        rpc_write_result(out, m->id, m->result);
    } else if (m->kind == RPC_REQUEST) {
        rpc_write_request(out, m->id, arena_z(arena, m->method), m->params);
    } else {
        rpc_write_notification(out, arena_z(arena, m->method), m->params);
    }
}

static void check_message(const struct rpc_message *m, struct arena *arena) {
    struct strbuf out cleanup(strbuf_done) = STRBUF(4 << 20);
    struct rpc_message again;
    struct err err;
    check_text(m->id);
    check_text(m->params);
    check_text(m->result);
    check_text(m->error_data);
    write_again(m, &out, arena);
    int rc = rpc_read(strbuf_str(&out), arena, &again, &err);
    assert(rc == 0 && again.kind == m->kind && str_eq(again.id, m->id));
    assert(str_eq(again.method, m->method) && str_eq(again.params, m->params));
    assert(str_eq(again.result, m->result) && str_eq(again.error_message, m->error_message));
    assert(again.error_code == m->error_code && str_eq(again.error_data, m->error_data));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str text = {(const char *)data, size};
    struct arena arena cleanup(arena_done) = {0};
    struct rpc_message m;
    struct err err;
    json_auto_t *tree = NULL;
    if (memchr(data, 0, size)) {
        return 0; /* jansson overlooks a NUL behind a number */
    }
    bool checked = json_check(text, JSON_MAX_DEPTH);
    assert(json_read(text, &tree, &err) < 0 || checked);
    if (rpc_read(text, &arena, &m, &err) == 0) {
        check_message(&m, &arena);
    }
    return 0;
}
