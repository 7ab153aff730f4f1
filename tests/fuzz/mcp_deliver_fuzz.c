/* Whatever a server writes as lines, cut anywhere, a client with nothing in flight takes it,
 * answers what can be answered and lives. The first byte chooses the pieces' size. */
#include <assert.h>

#include "base/mem.h"
#include "mcp/client_internal.h"
#include "net/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fixture {
    struct mcp_client *client;
    struct mcp_exchange exchange;
    struct fiber_scope scope;
    struct str input;
    size_t piece_bytes;
};

static int swallow(struct mcp_client *c, struct str message, struct err *err) {
    struct arena arena cleanup(arena_done) = {0};
    struct rpc_message m;
    (void)c;
    int rc = rpc_read(message, &arena, &m, err);
    assert(rc == 0); /* what we answer is always a message */
    return 0;
}

static void stop(struct mcp_client *c) {
    (void)c;
}

static const struct mcp_channel channel = {.post = swallow, .stop = stop};

static int take_line(struct str line, void *arg, struct err *err) {
    struct fixture *f = arg;
    (void)client_deliver(f->client, NULL, line, err);
    (void)client_deliver(f->client, &f->exchange, line, err);
    return 0;
}

static void on_progress(void *arg, const struct mcp_progress *p) {
    (void)arg;
    assert(!p->message.p || str_is_utf8(p->message));
}

static void feed(void *arg) {
    struct fixture *f = arg;
    struct line_reader lines;
    struct err err;
    int rc = 0;
    struct mcp_client_options o = {.name = STR("fuzz"), .transport = MCP_HTTP};
    struct mcp_client *c = f->client = mcp_client_new(&o);
    c->channel = &channel;
    exchange_init(&f->exchange, c, "tools/call");
    f->exchange.on_progress = on_progress;
    list_push(&c->exchanges, &f->exchange.node);
    line_reader_init(&lines, 1 << 16);
    for (struct str rest = f->input; rc == 0 && rest.n > 0; rest = str_skip(rest, f->piece_bytes)) {
        struct str piece = str_head(rest, f->piece_bytes);
        char *copy = mem_dup(piece.p, piece.n);
        rc = line_reader_feed(&lines, (struct str){copy, piece.n}, take_line, f, &err);
        mem_free(copy);
    }
    if (rc == 0) {
        (void)line_reader_finish(&lines, take_line, f, &err);
    }
    line_reader_done(&lines);
    exchange_done(&f->exchange);
    mcp_client_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) {
        return 0;
    }
    uv_loop_t loop;
    struct err err;
    struct fixture f = {.input = {(const char *)data + 1, size - 1},
                        .piece_bytes = (size_t)data[0] + 1};
    uv_loop_init(&loop);
    fiber_runtime_start(&loop, &(struct fiber_options){0});
    fiber_scope_init(&f.scope);
    int rc = fiber_spawn(&f.scope, "fuzz", feed, &f, NULL, &err);
    assert(rc == 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    fiber_runtime_stop();
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    return 0;
}
